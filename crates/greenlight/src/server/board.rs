//! The jobs that wait for a runner, of all repositories: where a free slot looks for the oldest that it can do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use greenlight_core::id::RepoId;
use greenlight_core::schedule::QueuedJob;
use tokio::sync::watch;

/// The board.
pub struct Board {
    queued: Mutex<BTreeMap<RepoId, Vec<QueuedJob>>>,
    changed: watch::Sender<u64>,
}

impl Default for Board {
    fn default() -> Self {
        Self { queued: Mutex::default(), changed: watch::channel(0).0 }
    }
}

impl Board {
    /// Puts up the jobs of a repository in place of those that were there.
    pub fn put(&self, repo: RepoId, jobs: Vec<QueuedJob>) {
        let mut queued = self.queued.lock().expect("nobody panics while holding the board");
        let before = if jobs.is_empty() { queued.remove(&repo) } else { queued.insert(repo, jobs) };
        let is_news = queued.contains_key(&repo) || before.is_some();
        drop(queued);
        if is_news {
            self.changed.send_modify(|version| *version += 1);
        }
    }

    /// Returns the repository with the oldest job that a runner with these labels can do.
    pub fn oldest(&self, labels: &[Arc<str>]) -> Option<RepoId> {
        let queued = self.queued.lock().expect("nobody panics while holding the board");
        let fitting = queued.iter().filter_map(|(repo, jobs)| {
            let since = jobs
                .iter()
                .filter(|job| job.labels.iter().all(|label| labels.contains(label)))
                .map(|job| job.since)
                .min()?;
            Some((since, *repo))
        });
        fitting.min().map(|(_, repo)| repo)
    }

    /// Follows the changes of the board.
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
