//! One step: whether it runs, with which variables, and what its end means for the job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::run::Conclusion;
use greenlight_workflow::{Step, StepKind, evaluate_entries};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::contexts::{Frame, Seen, Status, StepResult};
use crate::host::StepState;
use crate::job::JobRun;
use crate::stop::Stop;

/// The output that says where a deployment is.
const ENVIRONMENT_URL: &str = "environment_url";

/// How long a step without a limit of its own may take: as long as its job.
const TIMEOUT_MINUTES_MAX: f64 = 60.0 * 24.0 * 365.0;

/// How a step came out.
#[derive(Debug)]
pub(crate) struct StepEnd {
    pub(crate) outcome: Conclusion,
    pub(crate) outputs: Vec<(String, String)>,
    /// Why it failed, as the end of "step 'X' …".
    pub(crate) reason: Option<String>,
    /// What it set for later steps.
    pub(crate) env: Vec<(String, String)>,
    /// What it put before the path of later steps.
    pub(crate) paths: Vec<String>,
}

impl StepEnd {
    pub(crate) fn new(outcome: Conclusion) -> Self {
        Self { outcome, outputs: Vec::new(), reason: None, env: Vec::new(), paths: Vec::new() }
    }

    pub(crate) fn success(outputs: Vec<(String, String)>) -> Self {
        Self { outputs, ..Self::new(Conclusion::Success) }
    }

    pub(crate) fn failure(reason: impl Into<String>) -> Self {
        Self { reason: Some(reason.into()), ..Self::new(Conclusion::Failure) }
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(Conclusion::Cancelled)
    }

    /// Returns how it counts: a failure that may be is a success.
    pub(crate) fn conclusion(&self, may_fail: bool) -> Conclusion {
        if may_fail && self.outcome == Conclusion::Failure { Conclusion::Success } else { self.outcome }
    }

    /// Returns the same as a failure.
    pub(crate) fn failed(self, reason: impl Into<String>) -> Self {
        Self { outcome: Conclusion::Failure, reason: Some(reason.into()), ..self }
    }
}

/// Where a step stands in the job.
#[derive(Clone, Debug)]
pub(crate) struct At {
    /// Its place in the log.
    pub(crate) index: u32,
    /// Its key within the job.
    pub(crate) key: String,
    /// What tells it to stop: the job, or for a step in the background also another step.
    pub(crate) stop: watch::Receiver<Stop>,
    /// When the step that it is part of has used up its time.
    pub(crate) deadline: Option<Instant>,
}

/// What a step runs with.
pub(crate) struct StepScope<'a> {
    pub(crate) step: &'a Step,
    pub(crate) at: At,
    pub(crate) seen: Seen,
    /// What `env` is for it: workflow, job, what steps before it set, its own.
    pub(crate) env: BTreeMap<String, String>,
    /// What it may take by itself.
    pub(crate) timeout: Option<Duration>,
}

impl StepScope<'_> {
    /// Returns how long what begins now may take.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        self.at.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

/// A step that is over, before anything of it counts.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) name: String,
    pub(crate) end: StepEnd,
    /// After `continue-on-error`.
    pub(crate) conclusion: Conclusion,
}

impl JobRun {
    /// Runs a step, if it is to run, and lets its end count.
    pub(crate) async fn run_step(&self, frame: &Arc<Frame>, step: &Step, at: At) {
        let finished = self.run_to_end(frame, step, at).await;
        self.let_count(frame, step, finished).await;
    }

    /// Runs a step, if it is to run.
    pub(crate) async fn run_to_end(&self, frame: &Arc<Frame>, step: &Step, at: At) -> Finished {
        let told = self.told();
        let is_ended_alone = told == Stop::No && *at.stop.borrow() != Stop::No;
        let mut env = self.state().env.clone();
        env.extend(frame.env.iter().cloned());
        let seen = self.contexts.of_step(frame, &step.id, &env, self.status());
        let name = step.display_name(&seen);
        let own_env = evaluate_entries(&step.env, &seen)
            .map_err(|error| format!("failed: its env cannot be computed: {}", error.message));
        let runs = match own_env {
            Ok(own) => {
                env.extend(own);
                let seen = seen.with_env(&env);
                // What belongs to an action is left out with it; a step of the job that was to run was cancelled.
                let is_over = matches!(told, Stop::Lost(_)) || is_ended_alone && frame.depth > 0;
                let condition = if is_over { Ok(false) } else { step.condition.evaluate(&seen) };
                condition
                    .map(|holds| (holds, seen))
                    .map_err(|error| format!("failed: its if cannot be computed: {}", error.message))
            }
            Err(why) => Err(why),
        };
        let started_at = self.now();
        let (end, may_fail, started_at) = match runs {
            Ok((false, _)) => (StepEnd::new(Conclusion::Skipped), false, None),
            Ok((true, _)) if is_ended_alone => (StepEnd::new(Conclusion::Cancelled), false, None),
            Ok((true, seen)) => {
                self.tell(frame, &at, &name, StepState::Running { started_at }).await;
                let scope = StepScope { step, at: at.clone(), seen, env, timeout: None };
                let (end, may_fail) = self.run_scope(frame, scope).await;
                (end, may_fail, Some(started_at))
            }
            Err(why) => {
                self.tell(frame, &at, &name, StepState::Running { started_at }).await;
                (self.complained(&at, StepEnd::failure(why)).await, false, Some(started_at))
            }
        };
        let conclusion = end.conclusion(may_fail);
        let completed = StepState::Completed { outcome: end.outcome, conclusion, started_at, completed_at: self.now() };
        if frame.depth == 0 {
            let masked = |(name, value): &(String, String)| (name.as_str().into(), self.log.masked(value).into());
            self.log.host.outputs(at.index, end.outputs.iter().map(masked).collect());
        }
        self.tell(frame, &at, &name, completed).await;
        Finished { name, end, conclusion }
    }

    /// Lets the end of a step count: for the variables and the path, for its list, and for the job.
    pub(crate) async fn let_count(&self, frame: &Frame, step: &Step, finished: Finished) {
        let Finished { name, end, conclusion } = finished;
        self.note(frame, &name, &end, conclusion);
        let mut state = self.state();
        state.env.extend(end.env);
        state.paths.extend(end.paths);
        let url = end.outputs.iter().rev().find(|(name, url)| name == ENVIRONMENT_URL && !url.is_empty());
        if let Some((_, url)) = url {
            state.environment_url = Some(url.clone());
        }
        drop(state);
        if step.explicit_id {
            let result = StepResult { outcome: end.outcome, conclusion, outputs: end.outputs };
            let mut own = frame.state();
            own.steps.retain(|(id, _)| *id != step.id);
            own.steps.push((step.id.clone(), result));
        }
    }

    /// Notes what a step's end means for the job, or for the action that it belongs to.
    pub(crate) fn note(&self, frame: &Frame, name: &str, end: &StepEnd, conclusion: Conclusion) {
        // A step that another one cancelled does not fail the job; that the job was cancelled is known already.
        if conclusion != Conclusion::Failure {
            return;
        }
        let mut own = frame.state();
        if own.status == Status::Success {
            own.status = Status::Failure;
        }
        drop(own);
        if frame.depth == 0 {
            let mut state = self.state();
            if state.status == Status::Success {
                state.status = Status::Failure;
            }
            let why = end.reason.as_deref().unwrap_or("failed");
            state.reason.get_or_insert_with(|| format!("step '{name}' {why}"));
        }
    }

    /// Runs a step that is to run. Returns its end, and whether it may fail.
    async fn run_scope(&self, frame: &Arc<Frame>, mut scope: StepScope<'_>) -> (StepEnd, bool) {
        let may_fail = match self.bounds(&mut scope) {
            Ok(may_fail) => may_fail,
            Err(why) => return (self.complained(&scope.at, StepEnd::failure(why)).await, false),
        };
        let end = match &scope.step.kind {
            StepKind::Run { script, shell, working_directory } => {
                self.run_script(frame, &scope, script, shell.as_ref(), working_directory.as_ref()).await
            }
            StepKind::Uses { reference, with } => Box::pin(self.run_action(frame, &scope, reference, with)).await,
            // Lists of steps do those themselves.
            _ => StepEnd::failure("waits for steps in a place where none run beside it"),
        };
        (self.complained(&scope.at, end).await, may_fail)
    }

    /// Computes how long a step may take, and whether it may fail.
    pub(crate) fn bounds(&self, scope: &mut StepScope<'_>) -> Result<bool, String> {
        let step = scope.step;
        let may_fail = step
            .continue_on_error
            .evaluate_bool(&scope.seen)
            .map_err(|error| format!("has a continue-on-error that cannot be computed: {}", error.message))?;
        let minutes = step.timeout_minutes.as_ref().map(|minutes| minutes.evaluate_number(&scope.seen)).transpose();
        let minutes = minutes
            .map_err(|error| format!("has a timeout-minutes that cannot be computed: {}", error.message))?
            .filter(|minutes| *minutes > 0.0)
            .map(|minutes| Duration::from_secs_f64(minutes.min(TIMEOUT_MINUTES_MAX) * 60.0));
        scope.timeout = minutes;
        let own = minutes.map(|minutes| Instant::now() + minutes);
        scope.at.deadline = [own, scope.at.deadline].into_iter().flatten().min();
        Ok(may_fail)
    }

    /// Says in the log why a step failed.
    pub(crate) async fn complained(&self, at: &At, end: StepEnd) -> StepEnd {
        if let (Conclusion::Failure, Some(reason)) = (end.outcome, &end.reason) {
            self.log.line(at.index, &format!("##[error]{}", sentence(reason))).await;
        }
        end
    }
}

/// Makes a sentence of the end of one: "Process completed with exit code 2."
fn sentence(reason: &str) -> String {
    if let Some(code) = reason.strip_prefix("failed with ") {
        return format!("Process completed with {code}.");
    }
    match reason.strip_prefix("failed: ") {
        Some(why) => why.to_owned(),
        None => format!("The step {reason}."),
    }
}
