//! Stopping: a run, a job with those that it called, what gives way in a group, the legs beside one that failed.

use greenlight_workflow::JobResult;

use crate::id::{JobKey, RunNumber};
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Job, JobState, Run};
use crate::time::Timestamp;
use crate::turn::{self, Place};

/// Asks a run to stop: what has not begun never does, what runs is told to.
pub(crate) fn cancel_run(state: &mut Repository, number: RunNumber, reason: &str, now: Timestamp) {
    if state.runs.get(&number).is_none_or(Run::is_over) {
        return;
    }
    let Some(run) = state.runs.get_mut(&number) else { return };
    if run.cancelled.is_none() {
        run.cancelled = Some(reason.into());
    }
    for job in &mut run.jobs {
        cancel_job(job, reason, now);
    }
    state.note(format!("run {number}"), format!("cancelled: {reason}"));
    state.touch(Topic::Run(number));
}

/// Stops a job. A call is over when the jobs that it made are: they are to be stopped themselves.
fn cancel_job(job: &mut Job, reason: &str, now: Timestamp) {
    if job.is_open_call() {
        return;
    }
    match job.state {
        JobState::Waiting | JobState::Queued { .. } => {
            let reason = format!("cancelled: {reason}").into();
            job.state = JobState::Completed { conclusion: Conclusion::Cancelled, at: now, reason, started_at: None };
        }
        JobState::Leased(_) if job.cancelled.is_none() => job.cancelled = Some(reason.into()),
        JobState::Leased(_) | JobState::Completed { .. } => {}
    }
}

/// Stops a job with the jobs that it made, where it called a workflow.
fn cancel_with_called(run: &mut Run, key: &JobKey, reason: &str, now: Timestamp) {
    let called: Vec<JobKey> = run.level(Some(key)).map(|job| job.key.clone()).collect();
    for job in called {
        cancel_with_called(run, &job, reason, now);
    }
    if let Some(job) = run.job_mut(key) {
        cancel_job(job, reason, now);
    }
}

/// Stops what must give way in the groups that a run has a part in: a newer one that waits takes the place of an older one.
pub(super) fn give_way(state: &mut Repository, number: RunNumber, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    for (group, _) in turn::groups_of(run) {
        for (place, newest) in turn::standing(state, &group).stopped {
            let reason = match &newest.job {
                None => format!("run {} took its place in {group}", newest.run),
                Some(job) => format!("{job} of run {} took its place in {group}", newest.run),
            };
            stop_place(state, &place, &reason, now);
        }
    }
}

fn stop_place(state: &mut Repository, place: &Place, reason: &str, now: Timestamp) {
    let Some(run) = state.runs.get(&place.run) else { return };
    match &place.job {
        None if run.cancelled.is_none() => cancel_run(state, place.run, reason, now),
        None => {}
        Some(key) => {
            let is_told = |job: &Job| job.is_over() || job.cancelled.is_some();
            if run.job(key).is_none_or(is_told) || run.jobs.iter().all(|job| !is_below(run, job, key) || is_told(job)) {
                return;
            }
            if let Some(run) = state.runs.get_mut(&place.run) {
                cancel_with_called(run, key, reason, now);
            }
            state.touch(Topic::Run(place.run));
        }
    }
}

/// Is a job this one, or made by it?
fn is_below(run: &Run, job: &Job, key: &JobKey) -> bool {
    let mut next = Some(job);
    while let Some(job) = next {
        if job.key == *key {
            return !job.is_open_call();
        }
        next = job.caller.as_ref().and_then(|caller| run.job(caller));
    }
    false
}

/// Stops the legs beside a failed one. Returns whether one was over by that: what needs it may go on.
pub(super) fn stop_legs(state: &mut Repository, number: RunNumber, now: Timestamp) -> bool {
    let Some(run) = state.runs.get(&number) else { return false };
    let fails = |job: &&Job| job.fail_fast && job.leg.1 > 1 && job.result() == Some(JobResult::Failure);
    let beside = |failed: &Job, job: &Job| {
        job.caller == failed.caller && job.job_id == failed.job_id && !job.is_over() && job.cancelled.is_none()
    };
    let stopped: Vec<(JobKey, String)> = run
        .jobs
        .iter()
        .filter_map(|job| Some((job, run.jobs.iter().filter(fails).find(|failed| beside(failed, job))?)))
        .map(|(job, failed)| (job.key.clone(), format!("{} failed", failed.name)))
        .collect();
    if stopped.is_empty() {
        return false;
    }
    let over = |run: &Run| run.jobs.iter().filter(|job| job.is_over()).count();
    let Some(run) = state.runs.get_mut(&number) else { return false };
    let before = over(run);
    for (leg, reason) in stopped {
        cancel_with_called(run, &leg, &reason, now);
    }
    over(run) > before
}
