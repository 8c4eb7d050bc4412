//! How the server ends while it deploys: nobody would know how far a deployment came whose job was ended, so it is waited for.
//!
//! No new job starts from then on; deliveries are taken and reports written as ever. Other jobs are not waited for: they are
//! tried again after the restart.

use std::sync::atomic::Ordering;
use std::time::Duration;

use greenlight_core::id::RepoId;
use greenlight_core::run::Run;
use greenlight_core::step::Cell;
use tokio::time::Instant;

use super::Shared;

/// How long a deployment that runs may take to end. Whoever ends services (systemd: 90 s) is to wait for longer.
pub const DEPLOYMENTS_WITHIN: Duration = Duration::from_secs(60);
/// How often is looked though nobody said that anything changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Starts no new job, and waits until none of those that run here carries a deployment out, for so long at most.
pub async fn finish_deployments(shared: &Shared, within: Duration) {
    shared.ending.store(true, Ordering::Relaxed);
    let (_, mut changes) = shared.feed.follow(None);
    let deadline = Instant::now() + within;
    let mut is_told = false;
    loop {
        let running = deploying(shared).await;
        if running.is_empty() {
            return;
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::info!(
                "no new job starts, and {} may take {} s to end, for nobody knows how far a deployment came that was cut off; \
                 a second signal does not wait for it",
                running.join(", "),
                within.as_secs()
            );
        }
        let look_at = deadline.min(Instant::now() + LOOK_EVERY);
        // Whatever woke us, what counts is what is seen then.
        let _ = tokio::time::timeout_at(look_at, changes.recv()).await;
        if Instant::now() >= deadline {
            tracing::warn!("{} did not end within {} s, and is cut off", running.join(", "), within.as_secs());
            return;
        }
    }
}

/// Returns which deployments are being carried out by jobs of the built-in runner, as they are called in a sentence.
async fn deploying(shared: &Shared) -> Vec<String> {
    let mut found = Vec::new();
    for handle in shared.directory.all() {
        let (repository, boot) = (handle.reference(), shared.boot.clone());
        let name = repository.full_name.clone();
        let seen = handle.look(move |cell| deployments_of(cell, &boot)).await;
        match seen {
            Ok(ids) => found.extend(ids.into_iter().map(|id| format!("deployment {id} of {name}"))),
            // Its state cannot be had: what runs is taken for the worst.
            Err(_) if runs_any(shared, repository.id) => found.push(format!("a job of {name}")),
            Err(_) => {}
        }
    }
    found
}

fn deployments_of(cell: &Cell, boot: &str) -> Vec<String> {
    let is_here =
        |run: &&Run| run.jobs.iter().any(|job| job.lease().is_some_and(|lease| lease.boot.as_deref() == Some(boot)));
    let deploying = cell.repository().runs.values().filter(|run| !run.is_over()).filter(is_here);
    deploying.filter_map(|run| run.deployment).map(|id| id.to_string()).collect()
}

fn runs_any(shared: &Shared, repository: RepoId) -> bool {
    shared.pool.running().iter().any(|attempt| attempt.repo == repository)
}
