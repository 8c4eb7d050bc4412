//! Which jobs run now: the services ask before they let a token do anything, so that it ends with its job.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use greenlight_core::id::AttemptId;
use greenlight_core::port::Reply;
use greenlight_core::time::Timestamp;

use super::repository::Handle;
use super::{Shared, clock};
use crate::services::Jobs;

/// How long a job lasts that was made for trying the services.
pub const DEV_JOB_LENGTH: Duration = Duration::from_secs(6 * 3600);
/// How many of them there are at once.
const DEV_JOBS_MAX: usize = 1000;

/// How long a repository is waited for that is not known (yet).
const KNOWN_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Jobs that are no run's, for trying the services from outside.
#[derive(Default)]
pub struct DevJobs {
    jobs: Mutex<BTreeMap<AttemptId, Timestamp>>,
}

impl DevJobs {
    /// Takes one in. False where there are too many.
    pub fn add(&self, attempt: AttemptId) -> bool {
        let now = clock::now();
        let mut jobs = self.jobs.lock().expect("nobody panics while holding these jobs");
        jobs.retain(|_, until| *until > now);
        jobs.len() < DEV_JOBS_MAX && jobs.insert(attempt, now + DEV_JOB_LENGTH).is_none()
    }

    fn has(&self, attempt: &AttemptId) -> bool {
        let jobs = self.jobs.lock().expect("nobody panics while holding these jobs");
        jobs.get(attempt).is_some_and(|until| *until > clock::now())
    }
}

/// Tells the services who knows the jobs.
pub fn begin(shared: &Arc<Shared>) {
    let issuer = shared.config.url.clone().unwrap_or_else(|| address(shared));
    shared.services.begin(Arc::new(Leases(Arc::downgrade(shared))), issuer);
}

/// Returns where jobs on this machine reach the public listener.
pub fn address(shared: &Shared) -> Arc<str> {
    if let Some(url) = &shared.config.services.url {
        return url.clone();
    }
    let mut at = shared.public_at;
    if at.ip().is_unspecified() {
        at.set_ip(if at.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]) });
    }
    format!("http://{at}").into()
}

struct Leases(Weak<Shared>);

impl Jobs for Leases {
    fn is_held<'a>(&'a self, attempt: &'a AttemptId) -> Reply<'a, bool> {
        Box::pin(async move {
            let Some(shared) = self.0.upgrade() else { return false };
            if shared.dev_jobs.has(attempt) {
                return true;
            }
            let Some(handle) = repository(&shared, attempt).await else { return false };
            let attempt = attempt.clone();
            handle.look(move |cell| runner_of(cell, &attempt).is_some()).await.unwrap_or(false)
        })
    }
}

/// Returns the repository of a job. A server that has just started may not know it yet, and a job that outlived the one before waits.
async fn repository(shared: &Shared, attempt: &AttemptId) -> Option<Handle> {
    let deadline = tokio::time::Instant::now() + KNOWN_WITHIN;
    loop {
        let found = shared.directory.by_id(attempt.repo);
        if found.is_some() || tokio::time::Instant::now() >= deadline {
            return found;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Returns the lease of a job attempt, where a runner holds it now.
pub fn runner_of(cell: &greenlight_core::step::Cell, attempt: &AttemptId) -> Option<greenlight_core::run::Lease> {
    let run = cell.repository().runs.get(&attempt.run).filter(|run| run.attempt == attempt.run_attempt)?;
    let job = run.job(&attempt.job).filter(|job| job.tried == attempt.tried)?;
    job.lease().cloned()
}
