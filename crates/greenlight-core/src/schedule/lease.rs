//! Leases: which jobs may be handed out, who holds them and until when, and what their runners tell.

use std::sync::Arc;

use super::index;
use super::start::contexts_at;
use crate::call;
use crate::effect::{Checkout, DEPLOYMENT_ID, JobEnd, JobOrder, JobReport, Reply};
use crate::fact::LeaseAsked;
use crate::id::{AttemptId, JobKey, RunNumber, Token};
use crate::plan::strategy_value;
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Job, JobState, Lease, Run, Suite};
use crate::time::{Duration, Timestamp, spoken};
use greenlight_workflow::Context as _;

/// How often a job is tried when its runner is lost; a deployment's only once.
pub const TRIES_MAX: u32 = 2;

/// How much longer than its timeout a job may hold its lease, for the runner to end it itself.
pub const TIMEOUT_GRACE: Duration = Duration::from_secs(60);

pub(super) fn queued_since(job: &Job) -> Option<Timestamp> {
    match job.state {
        JobState::Queued { since } => Some(since),
        _ => None,
    }
}

/// Ends leases that ran out. None is renewed beyond its job's deadline; one that a restart renewed may end behind it, so that a
/// runner which the server could not hear has its say first.
pub(super) fn sweep(state: &mut Repository, number: RunNumber, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    if !run.jobs.iter().any(|job| job.lease().is_some_and(|lease| lease.until <= now)) {
        return;
    }
    let deploys = run.deployment.is_some();
    let Some(run) = state.runs.get_mut(&number) else { return };
    for job in &mut run.jobs {
        let Some(lease) = job.lease().filter(|lease| lease.until <= now).cloned() else { continue };
        // Of a deployment nobody knows how it ended where nobody said so, however late it is.
        if deadline(&lease, job.timeout) <= now && !deploys {
            let reason = format!("it took longer than {}", spoken(job.timeout)).into();
            job.state =
                JobState::Completed { conclusion: Conclusion::TimedOut, at: now, reason, started_at: lease.started_at };
        } else {
            lose(job, &lease, deploys, "its runner was not heard of any more", now);
        }
    }
}

fn deadline(lease: &Lease, timeout: Duration) -> Timestamp {
    lease.since + timeout + TIMEOUT_GRACE
}

/// A heartbeat renews a lease, but not beyond the deadline of its job.
fn renew(lease: &mut Lease, timeout: Duration, now: Timestamp) {
    let deadline = deadline(lease, timeout);
    if now < deadline {
        lease.until = (now + lease.length).min(deadline);
    }
}

/// A lease is over without a word. A CI job is tried once more; a deployment never is, for nobody knows how far it came.
fn lose(job: &mut Job, lease: &Lease, deploys: bool, why: &str, now: Timestamp) {
    let started_at = lease.started_at;
    job.state = if let Some(reason) = job.cancelled.as_ref().filter(|_| !deploys || started_at.is_some()) {
        let reason = format!("cancelled: {reason}").into();
        JobState::Completed { conclusion: Conclusion::Cancelled, at: now, reason, started_at }
    } else if !deploys && job.tried < TRIES_MAX {
        job.tried += 1;
        JobState::Queued { since: now }
    } else {
        let tries = if job.tried > 1 { format!("; it was tried {} times", job.tried) } else { String::new() };
        let reason = format!("{why} ({}), and nobody knows how far it came{tries}", lease.runner).into();
        JobState::Completed { conclusion: Conclusion::Lost, at: now, reason, started_at }
    };
}

/// A server started, or can store again. Its built-in runner's leases of an earlier life are over at once; all others count from now
/// on, not from a heartbeat that nobody was there to hear (P5).
pub(crate) fn booted(state: &mut Repository, boot: &Arc<str>, now: Timestamp) {
    state.meta_mut().boot = Some(boot.clone());
    let stale = |lease: &Lease| lease.boot.as_ref().is_some_and(|known| known != boot);
    let held = |run: &&Run| run.jobs.iter().any(|job| job.lease().is_some());
    let numbers: Vec<_> = state.runs.values().filter(held).map(|run| run.number).collect();
    for number in numbers {
        let Some(run) = state.runs.get_mut(&number) else { continue };
        let (deploys, mut any_stale) = (run.deployment.is_some(), false);
        for job in &mut run.jobs {
            match &mut job.state {
                // Never more than its length ahead: a clock that was set back would hold it for ever.
                JobState::Leased(lease) if !stale(lease) => lease.until = now + lease.length,
                JobState::Leased(lease) => {
                    let lease = lease.clone();
                    lose(job, &lease, deploys, "the server was restarted, and its runner with it", now);
                    any_stale = true;
                }
                _ => {}
            }
        }
        if any_stale {
            state.note(format!("run {number}"), "the server was restarted, and its runner with it");
        }
        state.touch(Topic::Run(number));
    }
}

/// Runners came or went: what is said of the jobs that wait may be another thing now.
pub(crate) fn labels_known(state: &mut Repository, labels: &Arc<[Arc<str>]>) {
    if state.settings.labels.as_ref() != Some(labels) {
        state.settings.labels = Some(labels.clone());
        for number in state.queued.keys().copied().collect::<Vec<_>>() {
            state.touch(Topic::Run(number));
        }
    }
}

/// Returns when a run is next to be looked at.
pub(super) fn alarm(state: &Repository, number: RunNumber) -> Option<Timestamp> {
    let run = state.runs.get(&number)?;
    run.jobs.iter().filter_map(|job| job.lease().map(|lease| lease.until)).min()
}

/// A job that may be handed out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedJob {
    /// Since when it waits.
    pub since: Timestamp,
    /// What it asks of a runner.
    pub labels: Arc<[Arc<str>]>,
}

/// Returns the jobs that may be handed out now, the oldest first.
pub fn queued(state: &Repository) -> Vec<QueuedJob> {
    let mut jobs: Vec<QueuedJob> = open_doors(state)
        .flat_map(|run| &run.jobs)
        .filter_map(|job| Some(QueuedJob { since: queued_since(job)?, labels: job.labels.clone() }))
        .collect();
    jobs.sort_by_key(|job| job.since);
    jobs
}

/// Is there a job that may be handed out now?
pub(crate) fn is_any_queued(state: &Repository) -> bool {
    open_doors(state).flat_map(|run| &run.jobs).any(|job| queued_since(job).is_some())
}

/// The runs with a job that waits for a runner and may be handed out (S1).
fn open_doors(state: &Repository) -> impl Iterator<Item = &Run> {
    let runs = state.queued.keys().filter_map(|number| state.runs.get(number));
    runs.filter(|run| state.suites.get(&run.suite).is_some_and(Suite::may_run))
}

/// Hands out the oldest job that the runner can do. The door: an untrusted run that nobody approved is not handed out (S1).
pub(crate) fn lease(state: &mut Repository, asked: &LeaseAsked, now: Timestamp) -> Reply {
    let fits = |job: &Job| job.labels.iter().all(|label| asked.labels.contains(label));
    let oldest = open_doors(state)
        .flat_map(|run| run.jobs.iter().filter(|job| fits(job)).map(move |job| (run, job)))
        .filter_map(|(run, job)| Some((queued_since(job)?, run.number, &job.key)))
        .min()
        .map(|(_, number, key)| (number, key.clone()));
    let Some((number, key)) = oldest else { return Reply::NoJob };
    let token = state.next_token();
    let Some(job) = state.runs.get_mut(&number).and_then(|run| run.job_mut(&key)) else { return Reply::NoJob };
    let mut lease = Lease {
        runner: asked.runner.clone(),
        boot: asked.boot.clone(),
        token,
        length: asked.length,
        until: now,
        since: now,
        started_at: None,
    };
    renew(&mut lease, job.timeout, now);
    job.state = JobState::Leased(lease);
    state.touch(Topic::Run(number));
    index(state, number);
    match order(state, number, &key, token) {
        Some(order) => Reply::Leased(Box::new(order)),
        None => Reply::NoJob,
    }
}

fn order(state: &mut Repository, number: RunNumber, key: &JobKey, token: Token) -> Option<JobOrder> {
    let run = state.runs.get(&number)?;
    let (job, suite) = (run.job(key)?.clone(), state.suites.get_shared(&run.suite)?);
    let workflow = call::workflow_at(state, number, job.caller.as_ref())?;
    let callers = call::callers(state, &suite, number, &job);
    let run = state.runs.get(&number)?;
    let (workflow_path, workflow_text) = call::file_at(run, job.caller.as_ref())?;
    let contexts = contexts_at(state, &suite, run, &workflow, &job);
    let attempt = AttemptId {
        repo: state.meta().repository.id,
        run: number,
        run_attempt: run.attempt,
        job: key.clone(),
        tried: job.tried,
    };
    Some(JobOrder {
        attempt,
        token,
        repository: state.meta().repository.full_name.clone(),
        workflow_path,
        workflow_text,
        callers,
        job_id: job.job_id.clone(),
        job_name: job.name.clone(),
        matrix: job.matrix.clone(),
        strategy: strategy_value(&job),
        github: contexts.named("github"),
        needs: contexts.named("needs"),
        inputs: contexts.named("inputs"),
        env: deploy_env(state, &suite),
        checkout: Checkout { sha: run.sha, git_ref: suite.git_ref.clone() },
        timeout: job.timeout,
        trusted: suite.trust == crate::run::Trust::Trusted,
    })
}

/// Returns the variables that a deployment's jobs get, by Heaven's names.
fn deploy_env(state: &Repository, suite: &Suite) -> Vec<(Arc<str>, Arc<str>)> {
    let Some(deployment) = suite.deployment().and_then(|id| state.deployments.get(&id)) else { return Vec::new() };
    let snapshot = &deployment.snapshot;
    vec![
        ("BRANCH".into(), snapshot.git_ref.clone()),
        ("SHA".into(), snapshot.sha.to_string().into()),
        ("DEPLOY_ENV".into(), snapshot.environment.as_str().into()),
        ("DEPLOY_TASK".into(), snapshot.task.clone()),
        (DEPLOYMENT_ID.into(), snapshot.id.to_string().into()),
    ]
}

/// Takes in what a runner tells. It is heard only under the lease that it holds (I10).
pub(crate) fn reported(
    state: &mut Repository,
    attempt: &AttemptId,
    token: Token,
    report: &JobReport,
    now: Timestamp,
) -> Reply {
    let holds = state
        .runs
        .get(&attempt.run)
        .filter(|run| run.attempt == attempt.run_attempt)
        .and_then(|run| run.job(&attempt.job))
        .is_some_and(|job| {
            job.tried == attempt.tried && job.lease().is_some_and(|lease| lease.token == token && lease.until > now)
        });
    if !holds {
        return Reply::NotYours;
    }
    let Some(run) = state.runs.get_mut(&attempt.run) else { return Reply::NotYours };
    let deploys = run.deployment.is_some();
    let Some(job) = run.job_mut(&attempt.job) else { return Reply::NotYours };
    let cancelled = job.cancelled.is_some();
    match report {
        JobReport::Started | JobReport::Alive => {
            if let JobState::Leased(lease) = &mut job.state {
                renew(lease, job.timeout, now);
                if *report == JobReport::Started && lease.started_at.is_none() {
                    lease.started_at = Some(now);
                }
            }
        }
        JobReport::Lost => {
            if let Some(lease) = job.lease().cloned() {
                lose(job, &lease, deploys, "its runner was started again without it", now);
            }
        }
        JobReport::Ended(end) => ended(job, end, now),
    }
    state.touch(Topic::Run(attempt.run));
    Reply::Heard { cancelled }
}

pub(super) fn ended(job: &mut Job, end: &JobEnd, now: Timestamp) {
    let started_at = job.lease().and_then(|lease| lease.started_at);
    job.state = JobState::Completed { conclusion: end.conclusion, at: now, reason: end.reason.clone(), started_at };
    job.outputs.clone_from(&end.outputs);
    job.environment_url.clone_from(&end.environment_url);
}
