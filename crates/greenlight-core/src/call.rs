//! Workflows that jobs call: the jobs that a call makes, what goes in with it, and what comes back.
//!
//! A calling job stays in its run beside the jobs that it made: theirs name it as their caller, and it is over when they are.

use std::sync::Arc;

use greenlight_workflow::{Contexts, Job as JobSpec, JobKind, JobResult, Value, Workflow, call_inputs, call_outputs};

use crate::effect::Caller;
use crate::event::Looked;
use crate::id::{JobKey, RunNumber};
use crate::plan::{self, contexts, strategy_value};
use crate::repository::Repository;
use crate::run::{Conclusion, Job, JobState, Run, Suite};
use crate::time::Timestamp;

/// Returns the workflow in which the jobs of one level stand.
pub(crate) fn workflow_at(state: &mut Repository, number: RunNumber, caller: Option<&JobKey>) -> Option<Arc<Workflow>> {
    let Some(caller) = caller else { return plan::workflow_of(state, number) };
    let run = state.runs.get(&number)?;
    let file = run.job(caller)?.call.as_ref()?.file.clone();
    let text = run.called_text(&file)?.clone();
    plan::workflow_in(state, &plan::path_of(&file).into(), &text)
}

/// Returns the `inputs` context of one level: the run's own, or those that its caller was handed.
pub(crate) fn inputs_at(run: &Run, caller: Option<&JobKey>, own: Value) -> Value {
    match caller.and_then(|caller| run.job(caller)).and_then(|job| job.call.as_ref()) {
        Some(call) => call.inputs.clone().unwrap_or_default(),
        None => own,
    }
}

/// Returns what a call hands over.
pub(crate) fn inputs(called: &Workflow, spec: &JobSpec, seen: &Contexts) -> Result<Value, String> {
    let JobKind::Call { with, .. } = &spec.kind else { return Err("it calls nothing".into()) };
    let Some(declared) = called.on.event("workflow_call") else {
        return Err(format!("{} cannot be called: it has no 'workflow_call' under 'on'", called.path));
    };
    call_inputs(declared, with, seen).map_err(|problem| problem.message)
}

/// Ends calls whose jobs are over. Returns whether there was one.
pub(crate) fn close(state: &mut Repository, suite: &Suite, number: RunNumber, now: Timestamp) -> bool {
    let Some(run) = state.runs.get(&number) else { return false };
    let is_done = |job: &Job| job.is_open_call() && !job.is_over() && run.level(Some(&job.key)).all(Job::is_over);
    let Some(at) = run.jobs.iter().position(is_done) else { return false };
    let job = run.jobs[at].clone();
    let (conclusion, reason) = end_of(run, &job);
    let reason = with_commit(run, &job, reason);
    let called = workflow_at(state, number, Some(&job.key));
    let Some(run) = state.runs.get(&number) else { return false };
    let outputs = called.map_or_else(
        || Ok(Vec::new()),
        |called| {
            let jobs = run.results(Some(&job.key), called.jobs.iter().map(|spec| &spec.id));
            let inputs = job.call.as_ref().and_then(|call| call.inputs.clone()).unwrap_or_default();
            let seen = contexts(state, suite, run, &called, None).with("inputs", inputs).with("jobs", jobs);
            call_outputs(&called, &seen)
        },
    );
    let (conclusion, reason, outputs) = match outputs {
        Ok(outputs) => (conclusion, reason, outputs),
        Err(problem) => {
            (Conclusion::Failure, format!("outputs of the called workflow: {}", problem.message), Vec::new())
        }
    };
    let Some(run) = state.runs.get_mut(&number) else { return false };
    let job = &mut run.jobs[at];
    job.outputs = outputs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    job.state = JobState::Completed { conclusion, at: now, reason: reason.into(), started_at: None };
    true
}

/// Says in what a call ended by at which commit the called file was, where it is another repository's.
fn with_commit(run: &Run, caller: &Job, reason: String) -> String {
    let found = caller.call.as_ref().and_then(|call| Some((&call.file, run.looked(&call.file)?)));
    match found {
        Some((file, Looked::At(sha))) => format!("{reason}; {file} is commit {}", sha.short()),
        _ => reason,
    }
}

/// Says why a called file is not here.
pub(crate) fn missing(run: &Run, file: &str) -> String {
    let why: &str = match run.looked(file) {
        Some(Looked::Missing(why)) => why,
        _ => "its repository has no such file at this ref, or is not open to us",
    };
    format!("the workflow that it calls is not here: {why}")
}

/// Returns how a call ended: as the worst of the jobs that it made.
fn end_of(run: &Run, caller: &Job) -> (Conclusion, String) {
    let made = || run.level(Some(&caller.key));
    let worst = JobResult::worst(made().filter_map(Job::result));
    match (worst, made().find(|job| job.result() == Some(worst))) {
        (JobResult::Success, _) => (Conclusion::Success, "the jobs of the called workflow succeeded".into()),
        (JobResult::Cancelled | JobResult::Failure, Some(job)) => {
            (job.conclusion().unwrap_or(Conclusion::Failure), format!("{}: {}", job.name, worst.as_str()))
        }
        _ => (Conclusion::Skipped, "every job of the called workflow was skipped".into()),
    }
}

/// Returns the jobs that called the workflow in which a job stands, the outermost first.
pub(crate) fn callers(state: &mut Repository, suite: &Suite, number: RunNumber, job: &Job) -> Vec<Caller> {
    let mut callers = Vec::new();
    let mut above = job.caller.clone();
    while let Some(key) = above {
        let Some(caller) = state.runs.get(&number).and_then(|run| run.job(&key)).cloned() else { break };
        above = caller.caller.clone();
        let Some(workflow) = workflow_at(state, number, caller.caller.as_ref()) else { break };
        let Some(run) = state.runs.get(&number) else { break };
        let Some((workflow_path, workflow_text)) = file_at(run, caller.caller.as_ref()) else { break };
        let own = contexts(state, suite, run, &workflow, None);
        callers.push(Caller {
            workflow_path,
            workflow_text,
            job_id: caller.job_id.clone(),
            matrix: caller.matrix.clone(),
            strategy: strategy_value(&caller),
            needs: run.results(caller.caller.as_ref(), caller.needs.iter()),
            inputs: inputs_at(run, caller.caller.as_ref(), greenlight_workflow::Context::named(&own, "inputs")),
        });
    }
    callers.reverse();
    callers
}

/// Returns path and text of the file in which the jobs of one level stand.
pub(crate) fn file_at(run: &Run, caller: Option<&JobKey>) -> Option<(Arc<str>, Arc<str>)> {
    let Some(caller) = caller else { return Some((run.workflow.clone(), run.source.clone())) };
    let file = &run.job(caller)?.call.as_ref()?.file;
    Some((plan::path_of(file).into(), run.called_text(file)?.clone()))
}
