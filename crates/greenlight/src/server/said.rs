//! What jobs said beside their logs, read for whoever shows their end on GitHub.

use std::sync::Arc;

use greenlight_core::id::{JobKey, RepoId, RunNumber};
use greenlight_core::port::{self, Reply, StoreError};
use greenlight_core::shown::Remarks;
use greenlight_store::Database;

/// Reads it from the store.
pub struct Said(pub Arc<Database>);

impl Said {
    async fn read(&self, repo: RepoId, run: RunNumber, job: &JobKey) -> Result<Remarks, StoreError> {
        let history = self.0.history();
        let Some(attempt) = history.latest_attempt(repo, run, job).await? else { return Ok(Remarks::default()) };
        let annotations = history.annotations(&attempt).await?;
        let summaries = history.summaries(&attempt).await?.into_iter().map(|(_, text)| text.into()).collect();
        Ok(Remarks { annotations, summaries })
    }
}

impl port::Said for Said {
    fn of_job<'a>(&'a self, repo: RepoId, run: RunNumber, job: &'a JobKey) -> Reply<'a, Remarks> {
        Box::pin(async move {
            self.read(repo, run, job).await.unwrap_or_else(|error| {
                tracing::warn!("what {job} of run {run} said is not shown on GitHub: {error}");
                Remarks::default()
            })
        })
    }
}
