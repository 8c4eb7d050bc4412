//! The list of a job's steps, some of which run beside the others: `background`, `wait`, `wait-all`, `cancel`, `parallel`.
//!
//! A step in the background starts where it stands and ends when it likes. What it set (outputs, variables, its failure) counts
//! once somebody waited for it, so that what comes in between does not depend on who is faster. A group of parallel steps is
//! steps in the background and a wait. Before the post parts everything is waited for.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use greenlight_core::run::Conclusion;
use greenlight_workflow::{Step, StepKind};
use tokio::sync::{Semaphore, watch};

use crate::contexts::Frame;
use crate::host::StepState;
use crate::job::JobRun;
use crate::step::{At, Finished, StepEnd, StepScope};
use crate::stop::{Stop, tell, worse_than};

/// How many steps run in the background at a time; more wait for their turn.
pub(crate) const BACKGROUND_MAX: usize = 10;

/// A step in the background, on its way.
type Running<'a> = FuturesUnordered<Pin<Box<dyn Future<Output = (usize, Finished)> + Send + 'a>>>;

/// The steps in the background.
struct Background<'a> {
    frame: &'a Arc<Frame>,
    turns: Arc<Semaphore>,
    running: Running<'a>,
    started: Vec<Started<'a>>,
}

/// A step that was started in the background.
struct Started<'a> {
    step: &'a Step,
    name: String,
    stop: watch::Sender<Stop>,
    /// How it ended, until it counts.
    finished: Option<Finished>,
    has_counted: bool,
}

impl JobRun {
    /// Runs the job's steps.
    pub(crate) async fn run_steps(&self, frame: &Arc<Frame>) {
        let turns = Arc::new(Semaphore::new(BACKGROUND_MAX));
        let mut background = Background { frame, turns, running: Running::new(), started: Vec::new() };
        for (position, step) in self.job.steps().iter().enumerate() {
            let key = frame.key_of(position);
            match &step.kind {
                StepKind::Parallel { steps } => {
                    let first = background.started.len();
                    for (position, step) in steps.iter().enumerate() {
                        self.start(&mut background, step, format!("{key}/{position}"));
                    }
                    let all: Vec<usize> = (first..background.started.len()).collect();
                    self.run_control(&mut background, step, key, &all).await;
                }
                StepKind::Wait { targets } => {
                    let wanted = background.named(targets);
                    self.run_control(&mut background, step, key, &wanted).await;
                }
                StepKind::Cancel { target } => {
                    let wanted = background.named(std::slice::from_ref(target));
                    self.run_control(&mut background, step, key, &wanted).await;
                }
                StepKind::WaitAll => {
                    let all = background.open();
                    self.run_control(&mut background, step, key, &all).await;
                }
                _ if step.background => self.start(&mut background, step, key),
                _ => background.beside(self.run_step(frame, step, self.at(key))).await,
            }
        }
        let all = background.open();
        self.wait(&mut background, &all).await;
    }

    fn at(&self, key: String) -> At {
        At { index: self.next_index(), key, stop: self.stop.clone(), deadline: None }
    }

    fn start<'a>(&'a self, background: &mut Background<'a>, step: &'a Step, key: String) {
        let (sender, own_stop) = watch::channel(self.stop.borrow().clone());
        let mut cancelled = own_stop.clone();
        let at = At { stop: own_stop, ..self.at(key) };
        let (place, frame, turns) = (background.started.len(), background.frame, background.turns.clone());
        let forward = sender.clone();
        let run = async move {
            // The semaphore is never closed. What is cancelled while it waits needs no turn: it does not begin.
            let _turn = tokio::select! {
                turn = turns.acquire() => turn.ok(),
                _ = cancelled.changed() => None,
            };
            let mut stop = self.stop.clone();
            let told = async {
                let mut known = Stop::No;
                loop {
                    known = worse_than(&mut stop, &known).await;
                    tell(&forward, known.clone());
                }
            };
            tokio::select! {
                finished = self.run_to_end(frame, step, at) => (place, finished),
                never = told => never,
            }
        };
        let name = match &step.name {
            Some(name) => name.source().to_owned(),
            None => step.id.to_string(),
        };
        background.running.push(Box::pin(run));
        background.started.push(Started { step, name, stop: sender, finished: None, has_counted: false });
    }

    /// Runs a step that waits for others, or cancels one.
    async fn run_control<'a>(&'a self, background: &mut Background<'a>, step: &Step, key: String, wanted: &[usize]) {
        let frame = background.frame;
        let at = self.at(key);
        let env = self.state().env.clone();
        self.told();
        let seen = self.contexts.of_step(frame, &step.id, &env, self.status());
        let name = step.display_name(&seen);
        let is_group = matches!(step.kind, StepKind::Parallel { .. });
        // A group that began is waited for, whatever became of the job meanwhile.
        let runs = is_group || step.condition.evaluate(&seen).unwrap_or(false);
        let started_at = runs.then(|| self.now());
        let mut may_fail = false;
        let end = if let Some(started_at) = started_at {
            self.tell_of(&at, &name, StepState::Running { started_at }).await;
            let mut scope = StepScope { step, at: at.clone(), seen, env, timeout: None };
            may_fail = self.bounds(&mut scope).unwrap_or(false);
            let is_cancel = matches!(step.kind, StepKind::Cancel { .. });
            self.log.line(at.index, &background.told(is_cancel, wanted)).await;
            let failed = if is_cancel {
                background.cancel(wanted);
                self.wait(background, wanted).await;
                Vec::new()
            } else {
                self.wait(background, wanted).await
            };
            let end = match failed.is_empty() {
                true => StepEnd::success(Vec::new()),
                false => StepEnd::failure(format!("waited for what failed: {}", failed.join(", "))),
            };
            self.complained(&at, end).await
        } else {
            StepEnd::new(Conclusion::Skipped)
        };
        let conclusion = end.conclusion(may_fail);
        let completed = StepState::Completed { outcome: end.outcome, conclusion, started_at, completed_at: self.now() };
        self.tell_of(&at, &name, completed).await;
        self.let_count(frame, step, Finished { name, end, conclusion }).await;
    }

    /// Waits for steps in the background, and lets them count. Returns the names of those that failed.
    async fn wait<'a>(&'a self, background: &mut Background<'a>, wanted: &[usize]) -> Vec<String> {
        while wanted.iter().any(|&place| background.is_running(place)) {
            match background.running.next().await {
                Some((place, finished)) => background.started[place].finished = Some(finished),
                None => break,
            }
        }
        let mut failed = Vec::new();
        for &place in wanted {
            let started = &mut background.started[place];
            started.has_counted = true;
            if let Some(finished) = started.finished.take() {
                if finished.conclusion == Conclusion::Failure {
                    failed.push(finished.name.clone());
                }
                self.let_count(background.frame, started.step, finished).await;
            }
        }
        failed
    }
}

impl Background<'_> {
    /// Does something while the steps in the background go on.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some((place, finished)) = self.running.next(), if !self.running.is_empty() => {
                    self.started[place].finished = Some(finished);
                }
            }
        }
    }

    fn named(&self, ids: &[String]) -> Vec<usize> {
        let is_named = |started: &Started<'_>| ids.iter().any(|id| id.eq_ignore_ascii_case(&started.step.id));
        let all = self.started.iter().enumerate();
        all.filter(|(_, started)| is_named(started)).map(|(place, _)| place).collect()
    }

    /// Returns those that nobody waited for.
    fn open(&self) -> Vec<usize> {
        let all = self.started.iter().enumerate();
        all.filter(|(_, started)| !started.has_counted).map(|(place, _)| place).collect()
    }

    fn is_running(&self, place: usize) -> bool {
        let started = &self.started[place];
        started.finished.is_none() && !started.has_counted
    }

    fn cancel(&self, wanted: &[usize]) {
        for &place in wanted {
            tell(&self.started[place].stop, Stop::Cancelled("another step cancelled it".into()));
        }
    }

    fn told(&self, is_cancel: bool, wanted: &[usize]) -> String {
        let names: Vec<&str> = wanted.iter().map(|&place| self.started[place].name.as_str()).collect();
        let names = if names.is_empty() { "(none)".to_owned() } else { names.join(", ") };
        if is_cancel { format!("Cancelling {names}") } else { format!("Waiting for {names}") }
    }
}
