//! The jobs of a run, before anything of them has begun.

use std::sync::Arc;

use greenlight_workflow::{
    Contexts, Job as JobSpec, JobKind, JobPlan, Value, Workflow, ancestors, below_caller, expand_job, strategy_context,
};

use super::choose::{CIBUILD, reference};
use crate::id::{Context, JobKey};
use crate::repository::Repository;
use crate::run::{Call, Conclusion, Job, JobState, Run};
use crate::time::{Duration, Timestamp};

/// How long a job may take where the workflow does not say.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(360 * 60);

/// Returns the jobs of one workflow of a run: its own, or one that a job calls. Nothing of them has begun.
pub(crate) fn jobs_of(
    state: &Repository,
    run: &Run,
    workflow: &Workflow,
    caller: Option<&Job>,
    contexts: &Contexts,
    now: Timestamp,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for spec in &workflow.jobs {
        if caller.is_none() && !is_selected(state, workflow, &spec.id) {
            continue;
        }
        match expand_job(spec, contexts) {
            Ok(legs) => jobs.extend(legs_of(state, run, caller, workflow, spec, legs)),
            Err(problem) => {
                let mut made = new_job(run, caller, workflow, spec, &spec.id);
                if spec.needs.is_empty() {
                    let reason = problem.to_string().into();
                    made.state =
                        JobState::Completed { conclusion: Conclusion::Failure, at: now, reason, started_at: None };
                } else {
                    made.expanded = false;
                }
                jobs.push(made);
            }
        }
    }
    jobs
}

fn is_selected(state: &Repository, workflow: &Workflow, id: &Arc<str>) -> bool {
    let jobs = &state.settings.selection.jobs;
    jobs.is_empty() || jobs.contains(id) || jobs.iter().any(|job| ancestors(workflow, job).contains(id))
}

/// Returns the legs of a job whose matrix is known.
pub(crate) fn legs_of(
    state: &Repository,
    run: &Run,
    caller: Option<&Job>,
    workflow: &Workflow,
    spec: &JobSpec,
    legs: Vec<JobPlan>,
) -> Vec<Job> {
    let wanted = &state.settings.selection.matrix;
    let is_wanted = |leg: &JobPlan| {
        leg.matrix.as_object().is_none_or(|matrix| {
            matrix.iter().all(|(key, value)| {
                let of_key = || wanted.iter().filter(|(known, _)| known.eq_ignore_ascii_case(key));
                of_key().next().is_none() || of_key().any(|(_, text)| **text == *value.coerce_string())
            })
        })
    };
    let leg = |leg: JobPlan| {
        let mut made = new_job(run, caller, workflow, spec, &leg.name);
        made.key = JobKey::from(below_caller(caller.map(|caller| caller.key.as_str()), &leg.key));
        made.matrix = leg.matrix;
        made.fail_fast = leg.fail_fast;
        made.max_parallel = leg.max_parallel.and_then(|most| u32::try_from(most).ok());
        made.leg = (u32::try_from(leg.index).unwrap_or(u32::MAX), u32::try_from(leg.total).unwrap_or(u32::MAX));
        made
    };
    legs.into_iter().filter(is_wanted).map(leg).collect()
}

fn new_job(run: &Run, caller: Option<&Job>, workflow: &Workflow, spec: &JobSpec, name: &str) -> Job {
    let name: Arc<str> = below_caller(caller.map(|caller| &*caller.name), name).into();
    let context = match &*run.workflow {
        CIBUILD => Context::from("greenlight / cibuild"),
        _ => Context::from(format!("greenlight / {} / {name} ({})", run.name, run.suite.event)),
    };
    let call = match &spec.kind {
        JobKind::Call { uses, .. } => Some(Call { file: reference(&workflow.path, uses).into(), inputs: None }),
        JobKind::Steps(_) => None,
    };
    Job {
        key: JobKey::from(below_caller(caller.map(|caller| caller.key.as_str()), &spec.id)),
        caller: caller.map(|caller| caller.key.clone()),
        job_id: spec.id.clone(),
        call,
        turn: None,
        name,
        context,
        matrix: Value::Null,
        leg: (0, 1),
        expanded: true,
        needs: spec.needs.clone(),
        labels: Arc::from([]),
        timeout: JOB_TIMEOUT,
        continue_on_error: false,
        fail_fast: true,
        max_parallel: None,
        state: JobState::Waiting,
        attempt: run.attempt,
        tried: 1,
        cancelled: None,
        outputs: Vec::new(),
        environment_url: None,
    }
}

/// Returns the `strategy` context.
pub(crate) fn strategy_value(job: &Job) -> Value {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    strategy_context(job.fail_fast, count(job.leg.0), count(job.leg.1), job.max_parallel.map(count))
}
