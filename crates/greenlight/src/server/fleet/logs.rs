//! Packs the logs of jobs that are over: those that ended with an earlier server, and those whose runner was lost.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::id::AttemptId;
use greenlight_core::run::{Conclusion, JobState};

use super::super::{Shared, clock, holders};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often a repository that nobody looks after (any more) is waited for.
const LOOKS_MAX: u32 = 60;

/// What a log ends with whose runner was lost.
const LAST_LINE: &str = "##[error]The runner was lost here; nobody knows how far this step came.\n";

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let mut looked = HashMap::new();
    loop {
        look(&shared, &mut looked).await;
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

async fn look(shared: &Shared, looked: &mut HashMap<AttemptId, u32>) {
    let attempts = match shared.logs.unfinished().await {
        Ok(attempts) => attempts,
        Err(error) => {
            tracing::warn!("logs of earlier jobs cannot be looked for: {error}");
            return;
        }
    };
    looked.retain(|attempt, _| attempts.contains(attempt));
    let running = shared.pool.running();
    for attempt in attempts.into_iter().filter(|attempt| !running.contains(attempt)) {
        let times = looked.entry(attempt.clone()).or_insert(0);
        *times += 1;
        if is_over(shared, &attempt, *times).await {
            shared.fleet.forget(&attempt);
            if is_lost(shared, &attempt).await {
                end_in_words(shared, &attempt).await;
            }
            if let Err(error) = shared.logs.finish(&attempt).await {
                tracing::warn!(job.attempt = %attempt, "the log of an earlier job cannot be packed: {error}");
            }
        }
    }
}

/// Was it lost: is its job tried once more, or over without a word of its runner?
async fn is_lost(shared: &Shared, attempt: &AttemptId) -> bool {
    let Some(handle) = shared.directory.by_id(attempt.repo) else { return false };
    let asked = attempt.clone();
    let is_lost = handle.look(move |cell| {
        let run = cell.repository().runs.get(&asked.run).filter(|run| run.attempt == asked.run_attempt);
        run.and_then(|run| run.job(&asked.job)).is_some_and(|job| {
            let is_lost = matches!(job.state, JobState::Completed { conclusion: Conclusion::Lost, .. });
            job.tried > asked.tried || job.tried == asked.tried && is_lost
        })
    });
    is_lost.await == Ok(true)
}

/// Writes the last line of a log whose runner cannot write it any more.
async fn end_in_words(shared: &Shared, attempt: &AttemptId) {
    let shape = shared.logs.shape(attempt).await.ok().flatten();
    let step = shape.and_then(|shape| shape.steps.last().map(|(step, _)| *step)).unwrap_or(0);
    if let Err(error) = shared.logs.append(attempt, step, clock::now(), LAST_LINE.into()).await {
        tracing::warn!(job.attempt = %attempt, "the last line of a log is missing: {error}");
    }
}

/// Does no runner hold this attempt any more? The second look decides, since a job may have been handed out between two.
async fn is_over(shared: &Shared, attempt: &AttemptId, times: u32) -> bool {
    let Some(handle) = shared.directory.by_id(attempt.repo) else { return times > LOOKS_MAX };
    let (asked, boot) = (attempt.clone(), shared.boot.clone());
    let is_held = handle.look(move |cell| {
        // What an earlier life of this server held is over, though the repository may not know it yet.
        holders::runner_of(cell, &asked).is_some_and(|lease| lease.boot.is_none_or(|known| known == boot))
    });
    is_held.await == Ok(false)
}
