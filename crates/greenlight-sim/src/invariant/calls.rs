//! Workflows that jobs call: the core ends a calling job, and no runner does; what goes in and what comes back.

use greenlight_core::effect::JobOrder;
use greenlight_core::run::{Conclusion, Job, JobState, Run};

use super::{Checked, must};
use crate::coverage::{Coverage, Moment};

/// What every sample workflow is called with, and what it hands back where it succeeded.
const INPUT: (&str, &str) = ("what", "parts");
const OUTPUT: (&str, &str) = ("version", "1");

/// A job was handed out. I12: none that calls a workflow ever is, and one of a called workflow only while every call around it
/// is under way, which began after what it needs was over.
pub fn i12_every_call_is_under_way(run: &Run, job: &Job, order: &JobOrder) -> Checked {
    must(job.call.is_none(), "I12", || format!("{} calls a workflow and was handed out", order.attempt))?;
    let around = callers(run, job);
    for caller in &around {
        must(caller.is_open_call() && !caller.is_over(), "I12", || {
            format!("{} began, but {} around it is {:?}", order.attempt, caller.key, caller.state)
        })?;
        for need in &caller.needs {
            must(run.legs(caller, need).all(Job::is_over), "I12", || {
                format!("{} began before {need} was over, which {} needs", order.attempt, caller.key)
            })?;
        }
    }
    must(order.callers.len() == around.len(), "I12", || {
        format!("{} is told of {} calls around it and has {}", order.attempt, order.callers.len(), around.len())
    })?;
    let (name, value) = INPUT;
    let given = order.inputs.get(name);
    must(around.is_empty() || given.as_str() == Some(value), "I12", || {
        format!("{} was called with {name}: {value}, and is handed {given:?}", order.attempt)
    })
}

/// Returns the jobs whose calls a job stands in, the innermost first.
fn callers<'a>(run: &'a Run, job: &'a Job) -> Vec<&'a Job> {
    std::iter::successors(above(run, job), |caller| above(run, caller)).collect()
}

fn above<'a>(run: &'a Run, job: &'a Job) -> Option<&'a Job> {
    job.caller.as_ref().and_then(|caller| run.job(caller))
}

/// A run was committed. I9: a call is over when, and only when, the jobs that it made are, and ends as the worst of them.
pub fn i9_a_call_ends_with_its_jobs(run: &Run, before: Option<&Run>, coverage: &mut Coverage) -> Checked {
    for job in run.jobs.iter().filter(|job| job.is_open_call()) {
        let was = before.filter(|before| before.attempt == run.attempt).and_then(|before| before.job(&job.key));
        if !was.is_some_and(Job::is_open_call) {
            coverage.saw(if job.caller.is_none() { Moment::Called } else { Moment::CalledWithin });
        }
        let ends: Vec<_> = run.jobs.iter().filter(|made| made.caller.as_ref() == Some(&job.key)).collect();
        let are_over = ends.iter().all(|made| made.is_over());
        must(are_over == job.is_over(), "I9", || {
            format!("run {} call {} is {:?}, and its jobs are over: {are_over}", run.number, job.key, job.state)
        })?;
        let JobState::Completed { conclusion, .. } = &job.state else { continue };
        let due = worst(&ends);
        must(conclusion.as_result() == due, "I9", || {
            format!("run {} call {} is {conclusion:?}, and its jobs come to {due}", run.number, job.key)
        })?;
        if *conclusion == Conclusion::Success && job.caller.is_none() {
            let returned = job.outputs.iter().any(|(name, value)| (&**name, &**value) == OUTPUT);
            must(returned, "I9", || format!("run {} call {} handed {:?} back", run.number, job.key, job.outputs))?;
            if was.is_some_and(|was| !was.is_over()) {
                coverage.saw(Moment::CallReturned);
            }
        }
    }
    Ok(())
}

fn worst(ends: &[&Job]) -> &'static str {
    let came = |wanted: &str| ends.iter().any(|job| job.conclusion().is_some_and(|end| end.as_result() == wanted));
    ["failure", "cancelled", "success"].into_iter().find(|wanted| came(wanted)).unwrap_or("skipped")
}
