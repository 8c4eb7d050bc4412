//! Running again what is over: a whole run, what failed of it, or one job, always with the same files, inputs and commit. What a
//! job that runs again hands on may differ, so whatever needs it runs again too; all others keep their ends and their outputs.
//!
//! As on GitHub, with one difference: of a called workflow all jobs run again, not only those that failed.

use std::collections::BTreeSet;
use std::sync::Arc;

use greenlight_workflow::Workflow;

use crate::fact::Again;
use crate::id::{JobKey, RunNumber};
use crate::plan::workflow_of;
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Job, JobState, Run, RunState, Subject, SuitePhase};
use crate::time::Timestamp;
use crate::turn;

/// Runs a run again, or a part of it. The error says why that cannot be.
pub(crate) fn rerun(
    state: &mut Repository,
    number: RunNumber,
    again: &Again,
    now: Timestamp,
) -> Result<Arc<str>, Arc<str>> {
    let run = state.runs.get(&number).ok_or_else(|| format!("there is no run {number}"))?;
    may_run_again(run, state.suites.get(&run.suite).is_some_and(|suite| !suite.may_run()))?;
    let key = run.suite.clone();
    let event = key.event.clone();
    let jobs = jobs_of(run, again)?;
    let workflow = workflow_of(state, number).ok_or("its workflow file cannot be read any more")?;
    let suite = state.suites.get_mut(&key).ok_or_else(|| format!("run {number} is history; push again"))?;
    if matches!(suite.phase, SuitePhase::Reading { .. }) {
        return Err(
            format!("the files of run {number} are being read for a newer attempt: it runs again by itself").into()
        );
    }
    if !suite.runs.contains(&number) {
        return Err(format!("run {number} belongs to an older attempt").into());
    }
    suite.turns += 1;
    let group = state.runs.get(&number).and_then(|run| Some(run.concurrency.as_ref()?.group.clone()));
    let created_at = group.map_or(now, |group| turn::since(state, &group, now));
    let run = state.runs.get_mut(&number).ok_or_else(|| format!("there is no run {number}"))?;
    run.attempt += 1;
    run.state = RunState::Active;
    run.reason = "it runs again".into();
    run.cancelled = None;
    run.created_at = created_at;
    // What a call made, it makes again.
    let stays = |job: &Job| job.caller.as_ref().is_none_or(|caller| !jobs.contains(outermost(&run.jobs, caller)));
    let stay: Vec<bool> = run.jobs.iter().map(stays).collect();
    let mut stay = stay.into_iter();
    run.jobs.retain(|_| stay.next().unwrap_or(true));
    let attempt = run.attempt;
    for job in run.jobs.iter_mut().filter(|job| jobs.contains(&job.key)) {
        reset(job, attempt, &workflow);
    }
    // The legs of a matrix that depends on `needs` are made anew.
    run.jobs.retain(|job| job.expanded || job.leg.0 == 0 || !jobs.contains(&job.key));
    state.note(format!("run {number}"), format!("attempt {attempt} of {event} at {}", key.head_sha.short()));
    state.reopen_suite(&key);
    state.touch(Topic::Run(number));
    state.touch(Topic::Suite(key));
    let what = match again {
        Again::All => format!("run {number} runs again"),
        Again::Failed => format!("what failed of run {number} runs again"),
        Again::Job(job) => format!("{job} of run {number} runs again"),
    };
    Ok(format!("{what}, as attempt {attempt}").into())
}

fn may_run_again(run: &Run, is_awaiting: bool) -> Result<(), String> {
    let number = run.number;
    if !run.is_over() && is_awaiting {
        return Err(format!("run {number} waits for an approval, so there is nothing to run again yet"));
    }
    if !run.is_over() {
        return Err(format!("run {number} is not over; cancel it first"));
    }
    if let Subject::Deployment(id) = run.suite.subject {
        return Err(format!("run {number} is of deployment {id}, and a deployment is never repeated: make a new one"));
    }
    if run.jobs.is_empty() && run.problem.is_none() {
        return Err(format!("run {number} never had a job ({}): mend its workflow file and push", run.reason));
    }
    if run.problem.is_some() {
        return Err(format!("run {number} has a workflow file that cannot be read: mend it and push"));
    }
    Ok(())
}

/// Returns the jobs of the run's own file that are to run again.
fn jobs_of(run: &Run, again: &Again) -> Result<BTreeSet<JobKey>, String> {
    let own = || run.level(None);
    let mut jobs: BTreeSet<JobKey> = match again {
        Again::All => return Ok(own().map(|job| job.key.clone()).collect()),
        Again::Failed => own().filter(|job| has_failed(job)).map(|job| job.key.clone()).collect(),
        Again::Job(key) => run.job(key).map(|job| outermost(&run.jobs, &job.key).clone()).into_iter().collect(),
    };
    if jobs.is_empty() {
        return Err(match again {
            Again::Job(key) => format!("run {} has no job '{key}'", run.number),
            _ => format!("nothing failed in run {}: run all of it again", run.number),
        });
    }
    loop {
        let ids: BTreeSet<&Arc<str>> = own().filter(|job| jobs.contains(&job.key)).map(|job| &job.job_id).collect();
        let follows = |job: &&Job| {
            let is_made_anew = !job.expanded && ids.contains(&job.job_id);
            !jobs.contains(&job.key) && (is_made_anew || job.needs.iter().any(|id| ids.contains(id)))
        };
        let more: Vec<JobKey> = own().filter(follows).map(|job| job.key.clone()).collect();
        if more.is_empty() {
            return Ok(jobs);
        }
        jobs.extend(more);
    }
}

fn has_failed(job: &Job) -> bool {
    !matches!(job.conclusion(), Some(Conclusion::Success | Conclusion::Skipped))
}

/// Returns the job of the run's own file that this one stands in, through however many calls.
fn outermost<'a>(jobs: &'a [Job], key: &'a JobKey) -> &'a JobKey {
    let caller = |key: &JobKey| jobs.iter().find(|job| job.key == *key).and_then(|job| job.caller.as_ref());
    let mut key = key;
    // A call is as deep as it was made: each caller stands before what it called.
    while let Some(outer) = caller(key) {
        key = outer;
    }
    key
}

fn reset(job: &mut Job, attempt: u32, workflow: &Workflow) {
    if workflow.job(&job.job_id).is_some() {
        job.state = JobState::Waiting;
    }
    if let Some(call) = &mut job.call {
        call.inputs = None;
    }
    job.attempt = attempt;
    job.turn = None;
    job.tried = 1;
    job.cancelled = None;
    job.outputs.clear();
    job.environment_url = None;
}
