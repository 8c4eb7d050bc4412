//! Following a log live, from any line.

use std::sync::Arc;

use greenlight_core::id::AttemptId;
use tokio::sync::watch;

use super::page::LogPage;
use super::shelf::{Log, LogError, Logs, Progress};

/// How many lines one page of a follower has at most.
const LINES_AT_ONCE: usize = 5_000;

/// Somebody who follows a log. It may be as slow as it likes: it keeps nothing but its place.
pub struct Follower {
    logs: Arc<Logs>,
    attempt: AttemptId,
    log: Option<Arc<Log>>,
    progress: watch::Receiver<Progress>,
    next: u64,
}

impl Follower {
    pub(super) fn new(logs: Arc<Logs>, attempt: AttemptId, log: Arc<Log>, from_line: u64) -> Self {
        let progress = log.watch();
        Self { logs, attempt, log: Some(log), progress, next: from_line }
    }

    /// Waits for more, and returns it; nothing once the log is finished and read to its end.
    pub async fn next(&mut self) -> Result<Option<LogPage>, LogError> {
        loop {
            // Looked at before reading, so that what comes in between wakes us again.
            self.progress.borrow_and_update();
            let log = self.log.as_ref().expect("it is taken out only when this is dropped");
            let page = self.logs.page(&self.attempt, log, self.next, LINES_AT_ONCE).await?;
            if !page.blocks.is_empty() {
                self.next = page.next;
                return Ok(Some(page));
            }
            if page.finished || self.progress.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Returns the line that comes next.
    pub fn line(&self) -> u64 {
        self.next
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            self.logs.release(&self.attempt, log);
        }
    }
}
