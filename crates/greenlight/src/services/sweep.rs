//! Takes away artifacts and caches that are old, and caches that are too many.

use std::sync::Arc;
use std::time::Duration;

use greenlight_store::ObjectKind;
use tokio_util::sync::CancellationToken;

use super::Services;
use super::twirp::Failed;
use crate::server::clock;

/// When what was begun and never ended goes: no upload takes so long.
const LEFT_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How often.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Runs until the server ends.
pub async fn run(services: Arc<Services>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = stop.cancelled() => return,
        }
        if services.sweep().await.is_err() {
            tracing::warn!("old artifacts and caches could not be taken away; it is tried again");
        }
    }
}

impl Services {
    /// Takes away what is old, and what is too much. Returns how many.
    pub async fn sweep(&self) -> Result<u64, SweepError> {
        self.try_sweep().await.map_err(|_| SweepError)
    }

    async fn try_sweep(&self) -> Result<u64, Failed> {
        let mut removed = 0;
        let now = clock::now();
        let expired = self.store.expired_objects(now).await?;
        let left = self.store.unfinished_objects(now - LEFT_AFTER).await?;
        for row in expired.into_iter().chain(left) {
            self.remove(&row).await?;
            removed += 1;
        }
        for (repo, _) in self.store.object_bytes(ObjectKind::Cache).await? {
            removed += self.evict(repo, None).await?;
        }
        Ok(removed)
    }
}

/// The memory failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is old could not be taken away")]
pub struct SweepError;
