//! Takes away what is old, in small batches.

use std::sync::Arc;
use std::time::Duration;

use greenlight_store::Retention;

use super::{Shared, clock};

/// How often.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);
/// The first time: not among everything else that a start has to do.
const SWEEP_FIRST: Duration = Duration::from_secs(300);
/// The breath between two batches.
const BREATH: Duration = Duration::from_millis(200);
/// How long deliveries are kept: GitHub's own log has three days.
const DELIVERIES_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long runs and their logs are kept.
const RUNS_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);
/// How long audit lines are kept.
const AUDIT_KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let mut wait = SWEEP_FIRST;
    loop {
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.stop.cancelled() => return,
        }
        shared.door.pressure.give_way().await;
        let now = clock::now();
        let kept = Retention {
            deliveries_from: now - DELIVERIES_KEPT,
            runs_from: now - RUNS_KEPT,
            audit_from: now - AUDIT_KEPT,
        };
        wait = match shared.store.sweep(&shared.logs, kept).await {
            Ok(swept) if swept.more => BREATH,
            Ok(_) => SWEEP_EVERY,
            Err(error) => {
                tracing::warn!("what is old could not be taken away: {error}");
                SWEEP_EVERY
            }
        };
    }
}
