//! The loop that steps the rules: one repository, one event, until its runs are over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use greenlight_core::effect::{
    Answer, Dispatch, Effect, JobEnd, JobOrder, JobReport, Outcome, Reconciled, Refusal, Reply,
};
use greenlight_core::event::{CommitFiles, Permission};
use greenlight_core::fact::{Click, Fact, LeaseAsked, RepositoryRef, Wish};
use greenlight_core::id::{AttemptId, JobKey, RunNumber, Token};
use greenlight_core::outbox::Budget;
use greenlight_core::port;
use greenlight_core::repository::Settings;
use greenlight_core::run::{Conclusion, Job, JobState, Run, RunState, SuitePhase};
use greenlight_core::step::{self, Cell, Input};
use greenlight_runner::{Answered, JobHost, Pool, Server};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};

use super::host::{Images, Place};
use super::memory::Memory;
use super::platform::{Platform, Platforms};
use super::view::{JobName, View, Word};
use crate::server::clock;

/// How many messages may wait.
const MESSAGES_MAX: usize = 256;
/// How long a slot that finds nothing waits before it asks again though nobody called.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// How long the loop sleeps where nothing is due.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// What slots ask and tell.
enum Message {
    Ask(LeaseAsked, oneshot::Sender<Option<JobOrder>>),
    Report(Box<Fact>, oneshot::Sender<Reply>),
}

/// The loop's end of the gate.
pub struct Mailbox {
    messages: mpsc::Receiver<Message>,
    closed: mpsc::UnboundedReceiver<AttemptId>,
    board: watch::Sender<u64>,
    images: Images,
}

/// Where the runner's slots ask for work.
pub struct Gate {
    messages: mpsc::Sender<Message>,
    board: watch::Receiver<u64>,
    place: Place,
}

impl Gate {
    /// Opens the gate to jobs in a place, which tells when each of them was closed.
    pub fn open(place: Place, closed: mpsc::UnboundedReceiver<AttemptId>) -> (Self, Mailbox) {
        let (sender, messages) = mpsc::channel(MESSAGES_MAX);
        let (board, seen) = watch::channel(0);
        let images = place.images();
        (Self { messages: sender, board: seen, place }, Mailbox { messages, closed, board, images })
    }

    async fn find(&self, asked: LeaseAsked) -> Result<Option<JobOrder>, String> {
        let mut board = self.board.clone();
        let deadline = tokio::time::Instant::now() + LOOK_EVERY;
        loop {
            board.borrow_and_update();
            let (answer, answered) = oneshot::channel();
            let gone = || "the run is over".to_owned();
            self.messages.send(Message::Ask(asked.clone(), answer)).await.map_err(|_| gone())?;
            if let Some(order) = answered.await.map_err(|_| gone())? {
                return Ok(Some(order));
            }
            match tokio::time::timeout_at(deadline, board.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(None),
            }
        }
    }

    async fn tell(&self, attempt: &AttemptId, token: Token, report: JobReport) -> Result<Reply, String> {
        let (answer, answered) = oneshot::channel();
        let fact = Box::new(Fact::Reported { attempt: attempt.clone(), token, report });
        // Behind the end of all runs nobody listens any more, and the job is nobody's.
        if self.messages.send(Message::Report(fact, answer)).await.is_err() {
            return Ok(Reply::NotYours);
        }
        Ok(answered.await.unwrap_or(Reply::NotYours))
    }
}

impl Server for Gate {
    fn ask(&self, asked: LeaseAsked) -> port::Reply<'_, Result<Option<JobOrder>, String>> {
        Box::pin(self.find(asked))
    }

    fn report<'a>(&'a self, attempt: &'a AttemptId, token: Token, report: JobReport) -> Answered<'a> {
        Box::pin(self.tell(attempt, token, report))
    }

    fn host(&self, order: &JobOrder) -> Arc<dyn JobHost> {
        self.place.host(order)
    }
}

/// What the view was told of a job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Begun,
    Over,
}

/// What the loop works with.
pub struct Means {
    /// What is run.
    pub repository: RepositoryRef,
    /// Its files.
    pub files: CommitFiles,
    /// Which labels mean this machine, and which an image.
    pub platforms: Platforms,
    /// What runs the jobs.
    pub pool: Arc<Pool>,
    /// What is told how they go.
    pub view: Arc<dyn View>,
    /// What the jobs say.
    pub mailbox: Mailbox,
}

/// The loop.
pub struct Driver {
    means: Means,
    told: BTreeMap<(RunNumber, JobKey), Told>,
    /// Jobs that were handed to a slot and have not said their last word: their end is shown behind it.
    open: BTreeSet<(RunNumber, JobKey)>,
    ended: BTreeMap<RunNumber, Conclusion>,
    interrupted: bool,
}

impl Driver {
    /// Returns a loop that has not begun.
    pub fn new(means: Means) -> Self {
        let (told, open, ended) = (BTreeMap::new(), BTreeSet::new(), BTreeMap::new());
        Self { means, told, open, ended, interrupted: false }
    }

    /// Lets something happen, and goes on until all that follows from it is over.
    pub async fn drive(&mut self, settings: Settings, happened: Vec<Fact>) -> anyhow::Result<Option<Conclusion>> {
        // Both listen from here on: who listened anew for each would miss the one that comes while something else is done.
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        // What comes due while this runs is nobody's business here.
        let settings = Settings { ignores_clock: true, ..settings };
        let mut cell = step::open(&Memory, self.means.repository.clone(), settings, clock::now()).await?;
        self.take(&mut cell, happened).await?;
        while !is_over(&cell) || !self.open.is_empty() {
            let sleep = cell.wake_at().map_or(SLEEP_MAX, |at| at.since(clock::now()).min(SLEEP_MAX));
            tokio::select! {
                Some(message) = self.means.mailbox.messages.recv() => self.hear(&mut cell, message).await?,
                Some(attempt) = self.means.mailbox.closed.recv() => {
                    self.open.remove(&(attempt.run, attempt.job));
                    self.show(&cell);
                }
                Some(()) = interrupt.recv() => self.interrupt(&mut cell).await?,
                Some(()) = terminate.recv() => self.interrupt(&mut cell).await?,
                () = tokio::time::sleep(sleep) => {
                    self.take(&mut cell, Vec::new()).await?;
                }
            }
        }
        Ok(self.ended.values().copied().max_by_key(|conclusion| gravity(*conclusion)))
    }

    async fn hear(&mut self, cell: &mut Cell, message: Message) -> anyhow::Result<()> {
        match message {
            Message::Ask(asked, answer) => {
                let order = self.lease(cell, asked).await?;
                if let Err(Some(order)) = answer.send(order) {
                    self.open.remove(&(order.attempt.run, order.attempt.job.clone()));
                    // The slot is gone: the pool goes down, and its job with it.
                    let report = JobReport::Ended(lost());
                    let fact = Fact::Reported { attempt: order.attempt, token: order.token, report };
                    self.take(cell, vec![fact]).await?;
                }
            }
            Message::Report(fact, answer) => {
                let reply = self.take(cell, vec![*fact]).await?;
                // Whether the slot still waits for it does not matter.
                let _ = answer.send(reply.unwrap_or(Reply::NotYours));
            }
        }
        Ok(())
    }

    /// Hands out the oldest job. One that asks for a machine that this one is not is skipped instead.
    async fn lease(&mut self, cell: &mut Cell, asked: LeaseAsked) -> anyhow::Result<Option<JobOrder>> {
        loop {
            let labels: Vec<Arc<str>> = cell.queued().iter().flat_map(|job| job.labels.iter().cloned()).collect();
            if !cell.is_any_queued() {
                return Ok(None);
            }
            let asked = LeaseAsked { labels: labels.into(), ..asked.clone() };
            let leased = self.take_in(cell, vec![Fact::LeaseAsked(asked)]).await?;
            let Some(Reply::Leased(order)) = leased else {
                self.show(cell);
                return Ok(None);
            };
            let job = cell.repository().runs.get(&order.attempt.run).and_then(|run| run.job(&order.attempt.job));
            let labels = job.map(|job| job.labels.clone()).unwrap_or_default();
            if let Some(platform) = self.means.platforms.of(&labels) {
                if let Platform::Image(image) = platform {
                    let mut images = self.means.mailbox.images.lock().unwrap_or_else(PoisonError::into_inner);
                    images.insert(order.attempt.clone(), image);
                }
                self.open.insert((order.attempt.run, order.attempt.job.clone()));
                self.show(cell);
                return Ok(Some(*order));
            }
            let reason = format!("it asks for {}, which this machine is not", labels.join(", "));
            let end = JobEnd { conclusion: Conclusion::Skipped, reason: reason.into(), ..lost() };
            let report = JobReport::Ended(end);
            let fact = Fact::Reported { attempt: order.attempt.clone(), token: order.token, report };
            self.take(cell, vec![fact]).await?;
        }
    }

    /// The first interruption asks the jobs to end in good order, the second ends them at once.
    async fn interrupt(&mut self, cell: &mut Cell) -> anyhow::Result<()> {
        let is_second = std::mem::replace(&mut self.interrupted, true);
        self.means.view.tell(&Word::Interrupted { is_second });
        let runs: Vec<_> = cell.repository().runs.values().filter(|run| !run.is_over()).map(|run| run.number).collect();
        let cancel = |number| Fact::Click(Click { by: "you".into(), wish: Wish::Cancel(number) });
        self.take(cell, runs.into_iter().map(cancel).collect()).await?;
        if is_second {
            self.means.pool.close();
            // Whose slot is closed has no last word.
            self.take(cell, lost_leases(cell)).await?;
        }
        Ok(())
    }

    /// Takes facts in, and shows what came of them. Returns the answer to the first.
    async fn take(&mut self, cell: &mut Cell, facts: Vec<Fact>) -> anyhow::Result<Option<Reply>> {
        let reply = self.take_in(cell, facts).await?;
        self.show(cell);
        Ok(reply)
    }

    /// Takes facts in, and all that follows from them at once. Returns the answer to the first.
    async fn take_in(&mut self, cell: &mut Cell, facts: Vec<Fact>) -> anyhow::Result<Option<Reply>> {
        let (mut facts, mut reply) = (facts, None);
        let mut budget = Budget::unlimited();
        loop {
            let input = Input { facts, deliveries: Vec::new() };
            let stepped = step::step(&Memory, cell, input, clock::now()).await?;
            reply = reply.or_else(|| stepped.replies.into_iter().next().flatten());
            let dispatches = step::dispatch(cell, &mut budget, clock::now());
            if dispatches.is_empty() {
                break;
            }
            let outcome = |dispatch: &Dispatch| Fact::Outcome {
                effect: dispatch.key.clone(),
                outcome: self.perform(&dispatch.effect),
            };
            facts = dispatches.iter().map(outcome).collect();
        }
        crate::server::pool::cancel(&self.means.pool, cell);
        self.means.mailbox.board.send_modify(|version| *version += 1);
        Ok(reply)
    }

    /// Carries an effect out, as far as there is anything outside.
    fn perform(&self, effect: &Effect) -> Outcome {
        match effect {
            Effect::ReadCommit { .. } => Outcome::Done(Answer::Commit(Box::new(self.means.files.clone()))),
            Effect::ReadPermission(_) => Outcome::Done(Answer::Permission(Permission::Admin)),
            Effect::Reconcile { .. } => Outcome::Done(Answer::Reconciled(Box::new(Reconciled {
                repository: self.means.repository.clone(),
                pulls: Vec::new(),
                pulls_until: None,
                reviews: Vec::new(),
                comments: Vec::new(),
                refs: Vec::new(),
                deployments: Vec::new(),
            }))),
            Effect::Show { .. } | Effect::ShowDeployment { .. } | Effect::Tell { .. } => Outcome::Done(Answer::Nothing),
            Effect::PrepareMerge { .. }
            | Effect::ReadPull(_)
            | Effect::Comment { .. }
            | Effect::Merge { .. }
            | Effect::CreateDeployment { .. } => {
                Outcome::Refused(Refusal::Other("there is no GitHub on this machine".into()))
            }
        }
    }

    /// Tells the view what changed.
    fn show(&mut self, cell: &Cell) {
        let state = cell.repository();
        for run in state.runs.values() {
            for job in &run.jobs {
                self.show_job(run, job);
            }
            if let RunState::Completed { conclusion, .. } = run.state
                && !self.open.iter().any(|(number, _)| *number == run.number)
                && self.ended.insert(run.number, conclusion).is_none()
            {
                self.means.view.tell(&Word::RunEnd { run });
            }
        }
    }

    fn show_job(&mut self, run: &Run, job: &Job) {
        let now = match &job.state {
            JobState::Waiting | JobState::Queued { .. } => Told::Nothing,
            JobState::Leased(_) => Told::Begun,
            JobState::Completed { .. } => Told::Over,
        };
        let id = (run.number, job.key.clone());
        let is_open = now == Told::Over && self.open.contains(&id);
        let told = self.told.entry(id).or_insert(Told::Nothing);
        if now <= *told || is_open {
            return;
        }
        let before = std::mem::replace(told, now);
        let name = JobName { run: run.number, key: job.key.clone(), name: job.name.clone() };
        if now == Told::Begun {
            self.means.view.tell(&Word::JobStart { run, job: &name });
        }
        if now == Told::Over {
            self.means.view.tell(&Word::JobEnd { run, job: &name, state: job, began: before == Told::Begun });
        }
    }
}

/// Returns the news that every job which a slot holds is lost.
fn lost_leases(cell: &Cell) -> Vec<Fact> {
    let state = cell.repository();
    let runs = state.runs.values().filter(|run| !run.is_over());
    let held = runs.flat_map(|run| run.jobs.iter().filter_map(move |job| Some((run, job, job.lease()?.token))));
    let lost = |(run, job, token): (&Run, &Job, Token)| Fact::Reported {
        attempt: AttemptId {
            repo: state.meta().repository.id,
            run: run.number,
            run_attempt: run.attempt,
            job: job.key.clone(),
            tried: job.tried,
        },
        token,
        report: JobReport::Lost,
    };
    held.map(lost).collect()
}

fn lost() -> JobEnd {
    JobEnd {
        conclusion: Conclusion::Cancelled,
        reason: "the runner goes down".into(),
        outputs: Vec::new(),
        environment_url: None,
    }
}

/// Is every suite read, and every run over?
fn is_over(cell: &Cell) -> bool {
    let state = cell.repository();
    let is_reading = state.suites.values().any(|suite| matches!(suite.phase, SuitePhase::Reading { .. }));
    !is_reading && state.runs.values().all(Run::is_over)
}

/// Orders ends: the gravest says how the whole ended.
pub fn gravity(conclusion: Conclusion) -> u8 {
    match conclusion {
        Conclusion::Skipped => 0,
        Conclusion::Success => 1,
        Conclusion::Cancelled => 2,
        Conclusion::TimedOut => 3,
        Conclusion::Failure => 4,
        Conclusion::Lost => 5,
    }
}
