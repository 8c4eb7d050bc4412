//! A sandbox that is made before its job is there.
//!
//! Namespaces, a user and control groups take tens of milliseconds, more than the rest of a job's beginning. They do not depend on the
//! job, only on its folders, and those only on the repository's name: so the next ones are made while a job runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

use super::Isolation;
use crate::sandbox::Sandbox;
use crate::workspace::Workspace;

/// The one that waits, if any. Whoever makes it holds the lock.
#[derive(Debug, Default)]
pub(super) struct Spares(Mutex<Option<Spare>>);

#[derive(Debug)]
struct Spare {
    work_dir: PathBuf,
    workspace: Workspace,
    sandbox: Arc<Sandbox>,
}

impl Spares {
    /// Takes it, where it fits and stands. One that is still being made is not waited for.
    pub(super) async fn take(&self, work_dir: &Path, repository: &str) -> Option<(Workspace, Arc<Sandbox>)> {
        let mut slot = self.0.try_lock().ok()?;
        let fits = |spare: &Spare| spare.work_dir == work_dir && spare.workspace.is_for(repository);
        if !slot.as_ref().is_some_and(fits) {
            return None;
        }
        let spare = slot.take()?;
        if spare.sandbox.stands().await {
            return Some((spare.workspace, spare.sandbox));
        }
        spare.remove().await;
        None
    }

    /// Makes one where there is none for this repository.
    pub(super) async fn make(&self, isolation: &Isolation, work_dir: &Path, repository: &str) {
        // Somebody else makes one already.
        let Ok(mut slot) = self.0.try_lock() else { return };
        match slot.take() {
            Some(spare) if spare.work_dir == work_dir && spare.workspace.is_for(repository) => {
                *slot = Some(spare);
                return;
            }
            Some(other) => other.remove().await,
            None => {}
        }
        match Self::made(isolation, work_dir, repository).await {
            Ok(spare) => *slot = spare,
            // The next job makes its own, and says what is wrong.
            Err(error) => tracing::debug!("a sandbox for the next job cannot be made: {error}"),
        }
    }

    async fn made(isolation: &Isolation, work_dir: &Path, repository: &str) -> std::io::Result<Option<Spare>> {
        let workspace = Workspace::create(work_dir, repository)?;
        let entered = isolation.enter(&workspace).await;
        match entered {
            Ok(Some(sandbox)) => Ok(Some(Spare { work_dir: work_dir.to_owned(), workspace, sandbox })),
            Ok(None) => std::fs::remove_dir_all(&workspace.root).map(|()| None),
            Err(error) => std::fs::remove_dir_all(&workspace.root).and(Err(error)),
        }
    }
}

impl Spare {
    async fn remove(self) {
        self.sandbox.end().await;
        if let Err(error) = std::fs::remove_dir_all(&self.workspace.root) {
            tracing::debug!("the folder of a sandbox that nobody used cannot be removed: {error}");
        }
    }
}
