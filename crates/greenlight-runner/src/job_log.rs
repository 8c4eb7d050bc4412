//! What all logs of a job share: the secrets that none may show, how much was written, and the problem matchers.
//!
//! Blocks of different steps and of the runner itself come from different tasks. Whoever writes waits for what was written behind
//! its back ([`JobLog::write_behind`]), so that the log keeps the order in which things were said.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::host::{JobHost, LogBlock};
use crate::mask::Masks;
use crate::matcher::{self, Matcher};

/// What is shared by all logs of one job.
pub(crate) struct JobLog {
    pub(crate) host: Arc<dyn JobHost>,
    masks: Mutex<Masks>,
    written: AtomicU64,
    bytes_max: u64,
    /// The problem matchers, the newest first, and how often they changed.
    matchers: Mutex<Vec<Arc<Matcher>>>,
    matcher_changes: AtomicUsize,
    workspace: OnceLock<PathBuf>,
    is_debugged: AtomicBool,
    /// What is being written while the job goes on.
    behind: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl JobLog {
    pub(crate) fn new(host: Arc<dyn JobHost>, bytes_max: u64) -> Self {
        Self {
            host,
            masks: Mutex::default(),
            written: AtomicU64::new(0),
            bytes_max,
            matchers: Mutex::default(),
            matcher_changes: AtomicUsize::new(0),
            workspace: OnceLock::new(),
            is_debugged: AtomicBool::new(false),
            behind: tokio::sync::Mutex::default(),
        }
    }

    /// Learns where the job works, and whether `debug` is shown.
    pub(crate) fn set_up(&self, workspace: &Path, is_debugged: bool) {
        // A job is set up once.
        let _ = self.workspace.set(workspace.to_owned());
        self.is_debugged.store(is_debugged, Ordering::Relaxed);
    }

    /// Is `debug` shown?
    pub(crate) fn is_debugged(&self) -> bool {
        self.is_debugged.load(Ordering::Relaxed)
    }

    /// Returns where the job works.
    pub(crate) fn workspace(&self) -> &Path {
        self.workspace.get().map_or(Path::new(""), PathBuf::as_path)
    }

    /// Returns how often the problem matchers changed.
    pub(crate) fn matcher_changes(&self) -> usize {
        self.matcher_changes.load(Ordering::Relaxed)
    }

    /// Returns the problem matchers, the newest first.
    pub(crate) fn matchers(&self) -> MutexGuard<'_, Vec<Arc<Matcher>>> {
        self.matchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the problem matchers of a file, in the place of those of the same owners.
    pub(crate) fn add_matchers(&self, file: &str) -> Result<(), String> {
        let path = self.workspace().join(file.trim());
        let bad = |why: String| format!("Unable to process command '##[add-matcher]{file}' successfully: {why}");
        let found = path.metadata().map_err(|error| bad(error.to_string()))?;
        if !found.is_file() || found.len() > matcher::FILE_BYTES_MAX {
            return Err(bad(format!("it is no file of at most {} bytes", matcher::FILE_BYTES_MAX)));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| bad(error.to_string()))?;
        let read = matcher::read(text.trim_start_matches('\u{feff}')).map_err(bad)?;
        let mut matchers = self.matchers();
        for added in read {
            matchers.retain(|known| !known.owner.eq_ignore_ascii_case(&added.owner));
            matchers.insert(0, Arc::new(added));
        }
        matchers.truncate(matcher::MATCHERS_MAX);
        self.matcher_changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Forgets the problem matchers of an owner.
    pub(crate) fn remove_matchers(&self, owner: &str) {
        self.matchers().retain(|known| !known.owner.eq_ignore_ascii_case(owner.trim()));
        self.matcher_changes.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the masks.
    pub(crate) fn masks(&self) -> MutexGuard<'_, Masks> {
        self.masks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the text without secrets.
    pub(crate) fn masked(&self, text: &str) -> String {
        self.masks().apply_to(text)
    }

    /// Writes whole lines to a step's log.
    pub(crate) async fn write(&self, step: u32, lines: &[u8]) {
        if let Some(block) = self.block(step, lines) {
            self.hand_on(block).await;
        }
    }

    /// Writes whole lines while the job goes on: whatever is written next waits for them.
    pub(crate) async fn write_behind(&self, step: u32, lines: &[u8]) {
        let Some(block) = self.block(step, lines) else { return };
        let mut behind = self.behind.lock().await;
        let (before, host) = (behind.take(), self.host.clone());
        *behind = Some(tokio::spawn(async move {
            wait_for(before).await;
            host.log(block).await;
        }));
    }

    /// Waits until all that was written is handed on.
    pub(crate) async fn settle(&self) {
        wait_for(self.behind.lock().await.take()).await;
    }

    /// Hands a block on, behind all that was written before.
    pub(crate) async fn hand_on(&self, block: LogBlock) {
        let mut behind = self.behind.lock().await;
        // Held meanwhile: nobody else may pass what this waits for.
        wait_for(behind.take()).await;
        drop(behind);
        self.host.log(block).await;
    }

    /// Returns whole lines as they go into the log: masked, stamped and counted; nothing where the log is full.
    pub(crate) fn block(&self, step: u32, lines: &[u8]) -> Option<LogBlock> {
        let masked = Bytes::copy_from_slice(&self.masks().apply(lines));
        let before = self.written.fetch_add(masked.len() as u64, Ordering::Relaxed);
        let text = if before + masked.len() as u64 <= self.bytes_max {
            masked
        } else if before <= self.bytes_max {
            let notice = format!(
                "##[warning]The log ends here: a job's log has at most {} bytes. The job goes on.\n",
                self.bytes_max
            );
            Bytes::from(notice)
        } else {
            return None;
        };
        Some(LogBlock { step, at: self.host.now(), text })
    }

    /// Writes one line to a step's log.
    pub(crate) async fn line(&self, step: u32, line: &str) {
        self.write(step, format!("{line}\n").as_bytes()).await;
    }
}

/// Waits until a part was written, where one is on its way.
pub(crate) async fn wait_for(written: Option<JoinHandle<()>>) {
    if let Some(written) = written
        && written.await.is_err()
    {
        tracing::warn!("a part of a job's log was lost");
    }
}
