//! What may start: whether a job's needs, its condition and its turn let it go on, and what becomes of it then.

use std::sync::Arc;

use greenlight_workflow::workflow::JOBS_MAX;
use greenlight_workflow::{
    Context as _, Contexts, Job as JobSpec, JobPlan, JobResult, StatusCheck, Value, Workflow, ancestors, expand_job,
};

use super::index;
use super::stop::give_way;
use crate::call;
use crate::id::{JobKey, RunNumber};
use crate::plan::{self, contexts, strategy_value};
use crate::repository::Repository;
use crate::run::{Conclusion, Job, JobState, Run, Suite, Turn};
use crate::time::{Duration, Timestamp};
use crate::turn::{self, Place};

/// Returns who has the turn that a run waits for.
pub(super) fn holder_before(state: &Repository, number: RunNumber) -> Option<Place> {
    let group = state.runs.get(&number)?.concurrency.as_ref()?.group.clone();
    let holder = turn::standing(state, &group).holder?;
    (holder.run != number || holder.job.is_some()).then_some(holder)
}

/// Is it a job's turn in its group?
fn has_turn(state: &Repository, run: &Run, job: &Job) -> bool {
    let Some(turn) = &job.turn else { return true };
    let holder = turn::standing(state, &turn.concurrency.group).holder;
    holder.is_none_or(|holder| holder.run == run.number && holder.job.as_ref() == Some(&job.key))
}

/// Looks at every job that waits, until none can go on.
pub(super) fn advance(state: &mut Repository, suite: &Suite, number: RunNumber, now: Timestamp) {
    loop {
        let Some(run) = state.runs.get(&number) else { return };
        let may_go_on = |job: &Job| {
            job.state == JobState::Waiting
                && !job.is_open_call()
                && needs_are_over(run, job)
                && has_room(run, job)
                && has_turn(state, run, job)
        };
        let Some(at) = run.jobs.iter().position(may_go_on) else { return };
        let job = run.jobs[at].clone();
        let Some(workflow) = call::workflow_at(state, number, job.caller.as_ref()) else { return };
        let Some(verdict) = look_at(state, suite, number, &workflow, &job, now) else { return };
        carry_out(state, suite, number, at, verdict, now);
    }
}

/// What becomes of a job that was looked at.
enum Verdict {
    /// It is so now.
    Is(Box<Job>),
    /// Its legs are known.
    Legs(Vec<JobPlan>),
    /// It asks for its turn in a group.
    Asks(Box<Job>),
    /// It calls a workflow with these inputs.
    Opens(Value),
}

fn carry_out(state: &mut Repository, suite: &Suite, number: RunNumber, at: usize, verdict: Verdict, now: Timestamp) {
    match verdict {
        Verdict::Is(job) => {
            let Some(run) = state.runs.get_mut(&number) else { return };
            run.jobs[at] = *job;
        }
        Verdict::Asks(job) => {
            let Some(run) = state.runs.get_mut(&number) else { return };
            let key = job.key.clone();
            run.jobs[at] = *job;
            index(state, number);
            turn::touch_circle(state, number, &key);
            give_way(state, number, now);
        }
        Verdict::Legs(legs) => {
            let Some(run) = state.runs.get(&number) else { return };
            let (job, caller) = (&run.jobs[at], run.jobs[at].caller.clone());
            let job_id = job.job_id.clone();
            let Some(workflow) = call::workflow_at(state, number, caller.as_ref()) else { return };
            let Some(run) = state.runs.get(&number) else { return };
            let Some(spec) = workflow.job(&job_id) else { return };
            let caller = caller.as_ref().and_then(|caller| run.job(caller));
            let legs = plan::legs_of(state, run, caller, &workflow, spec, legs);
            let Some(run) = state.runs.get_mut(&number) else { return };
            run.jobs.splice(at..=at, legs);
        }
        Verdict::Opens(inputs) => open(state, suite, number, at, inputs, now),
    }
}

/// Makes the jobs of the workflow that a job calls.
fn open(state: &mut Repository, suite: &Suite, number: RunNumber, at: usize, inputs: Value, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    let key = run.jobs[at].key.clone();
    let Some(called) = call::workflow_at(state, number, Some(&key)) else { return };
    let Some(run) = state.runs.get(&number) else { return };
    let seen = contexts(state, suite, run, &called, None).with("inputs", inputs.clone());
    let made = plan::jobs_of(state, run, &called, Some(&run.jobs[at]), &seen, now);
    let Some(run) = state.runs.get_mut(&number) else { return };
    if let Some(call) = &mut run.jobs[at].call {
        call.inputs = Some(inputs);
    }
    if run.jobs.len() + made.len() > JOBS_MAX {
        let reason = format!("a run has at most {JOBS_MAX} jobs").into();
        run.jobs[at].state = JobState::Completed { conclusion: Conclusion::Failure, at: now, reason, started_at: None };
        return;
    }
    run.jobs.splice(at + 1..at + 1, made);
}

fn look_at(
    state: &mut Repository,
    suite: &Suite,
    number: RunNumber,
    workflow: &Workflow,
    job: &Job,
    now: Timestamp,
) -> Option<Verdict> {
    let spec = workflow.job(&job.job_id)?;
    let run = state.runs.get(&number)?;
    let contexts = contexts_at(state, suite, run, workflow, job);
    let needed = ancestors(workflow, &spec.id);
    let standing = Standing { contexts, run, caller: job.caller.as_ref(), needed };
    let ended = |conclusion: Conclusion, reason: String| {
        let state = JobState::Completed { conclusion, at: now, reason: reason.into(), started_at: None };
        Some(Verdict::Is(Box::new(Job { state, ..job.clone() })))
    };
    if job.turn.is_none() {
        match spec.condition.evaluate(&standing) {
            Ok(true) => {}
            Ok(false) => return ended(Conclusion::Skipped, skip_reason(&standing, spec)),
            Err(problem) => return ended(Conclusion::Failure, format!("if: {problem}")),
        }
    }
    if !job.expanded {
        return match expand_job(spec, &standing) {
            Ok(legs) if legs.is_empty() => ended(Conclusion::Skipped, "its matrix has no combination".into()),
            Ok(legs) => Some(Verdict::Legs(legs)),
            Err(problem) => ended(Conclusion::Failure, problem.to_string()),
        };
    }
    let seen = standing.contexts.clone().with("matrix", job.matrix.clone()).with("strategy", strategy_value(job));
    let job = match ready(&seen, spec, job) {
        Ok(job) => job,
        Err(problem) => return ended(Conclusion::Failure, problem),
    };
    if let (Some(concurrency), None) = (&spec.concurrency, &job.turn) {
        let concurrency = match concurrency.evaluate(&seen) {
            Ok(group) => plan::group_of(group),
            Err(problem) => return ended(Conclusion::Failure, format!("concurrency: {problem}")),
        };
        if let Some(holder) = turn::deadlock(run, &job, &concurrency.group) {
            let reason =
                format!("cancelled: {holder}, of which it is a part, has the concurrency group {}", concurrency.group);
            return ended(Conclusion::Cancelled, reason);
        }
        let since = turn::since(state, &concurrency.group, now);
        return Some(Verdict::Asks(Box::new(Job { turn: Some(Turn { concurrency, since }), ..job })));
    }
    if job.call.is_none() {
        return Some(Verdict::Is(Box::new(Job { state: JobState::Queued { since: now }, ..job })));
    }
    match call::workflow_at(state, number, Some(&job.key)) {
        Some(called) => match call::inputs(&called, spec, &seen) {
            Ok(inputs) => Some(Verdict::Opens(inputs)),
            Err(problem) => ended(Conclusion::Failure, problem),
        },
        None => {
            let file = job.call.as_ref().map_or("", |call| &call.file);
            ended(Conclusion::Failure, call::missing(state.runs.get(&number)?, file))
        }
    }
}

/// Returns the contexts that a job's expressions see before it runs.
pub(super) fn contexts_at(state: &Repository, suite: &Suite, run: &Run, workflow: &Workflow, job: &Job) -> Contexts {
    let caller = job.caller.as_ref();
    let needs = run.results(caller, job.needs.iter());
    let contexts = contexts(state, suite, run, workflow, Some(needs));
    let own = contexts.named("inputs");
    contexts.with("inputs", call::inputs_at(run, caller, own))
}

fn skip_reason(standing: &Standing<'_>, spec: &JobSpec) -> String {
    let blamed = spec.needs.iter().find(|id| standing.run.result_of(standing.caller, id) != JobResult::Success);
    match (spec.condition.written(), blamed) {
        (Some(written), _) => format!("skipped: its condition ({written}) is false"),
        (None, Some(id)) => format!("skipped: {id} was no success"),
        (None, None) => "skipped: something before it was no success".into(),
    }
}

/// Evaluates what is needed to queue a job.
fn ready(seen: &Contexts, spec: &JobSpec, job: &Job) -> Result<Job, String> {
    let mut job = job.clone();
    if job.call.is_some() {
        return Ok(job);
    }
    let request = spec.runs_on.evaluate(seen).map_err(|problem| format!("runs-on: {problem}"))?;
    job.labels = request.labels.iter().map(|label| Arc::from(label.to_lowercase())).collect();
    if let Some(timeout) = &spec.timeout_minutes {
        let minutes = timeout.evaluate_number(seen).map_err(|problem| format!("timeout-minutes: {problem}"))?;
        job.timeout =
            Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| "timeout-minutes: no length of time".to_owned())?;
    }
    job.continue_on_error =
        spec.continue_on_error.evaluate_bool(seen).map_err(|problem| format!("continue-on-error: {problem}"))?;
    Ok(job)
}

fn needs_are_over(run: &Run, job: &Job) -> bool {
    job.needs.iter().all(|id| run.legs(job, id).all(Job::is_over))
}

fn has_room(run: &Run, job: &Job) -> bool {
    job.max_parallel.is_none_or(|most| {
        let begun = run.legs(job, &job.job_id).filter(|other| other.has_begun());
        begun.count() < usize::try_from(most).unwrap_or(usize::MAX)
    })
}

/// How the jobs before one stand: what `success()` and its kin look at.
struct Standing<'a> {
    contexts: Contexts,
    run: &'a Run,
    caller: Option<&'a JobKey>,
    needed: Vec<Arc<str>>,
}

impl Standing<'_> {
    fn of(&self, ids: impl Iterator<Item = String>) -> StatusCheck {
        let stands = StatusCheck::of_results(ids.map(|id| self.run.result_of(self.caller, &id)));
        match self.run.cancelled {
            Some(_) => StatusCheck { success: false, cancelled: true, ..stands },
            None => stands,
        }
    }
}

impl greenlight_workflow::Context for Standing<'_> {
    fn named(&self, name: &str) -> Value {
        self.contexts.named(name)
    }

    fn status(&self) -> StatusCheck {
        self.of(self.needed.iter().map(ToString::to_string))
    }

    fn status_of(&self, job_ids: &[String]) -> StatusCheck {
        self.of(job_ids.iter().cloned())
    }
}
