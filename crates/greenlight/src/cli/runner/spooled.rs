//! One job's spool as it is written and sent.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use greenlight_runner::wire::message::About;
use greenlight_runner::wire::spool::{Entry, SpoolWriter};
use greenlight_runner::{ActionPin, Given, LogBlock, Terms};
use tokio::sync::watch;

/// How far a spool has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How long it is.
    pub written: u64,
    /// How much of it the server has taken.
    pub sent: u64,
    /// The job says nothing more.
    pub closed: bool,
    /// The server says that the job is not ours any more.
    pub refused: bool,
    /// The agent tells the end by itself.
    pub is_ending: bool,
}

impl Progress {
    /// Has the server taken everything, or does it want none of it?
    pub fn is_settled(&self) -> bool {
        self.refused || (self.closed && self.sent >= self.written)
    }
}

/// A spool that grows.
pub struct Spooled {
    /// The job, and its lease.
    pub about: About,
    /// The file.
    pub path: PathBuf,
    /// What the job is given beside its workflow.
    pub given: Given,
    /// Under which terms it is held.
    pub terms: Terms,
    /// The commits of some actions, as the server wants them.
    pub pins: Arc<[ActionPin]>,
    writer: Mutex<SpoolWriter>,
    progress: watch::Sender<Progress>,
}

impl Spooled {
    /// Begins one.
    pub fn begin(
        path: PathBuf,
        about: About,
        given: Given,
        terms: Terms,
        pins: Arc<[ActionPin]>,
    ) -> std::io::Result<Self> {
        let writer = SpoolWriter::create(&path, &about)?;
        let written = std::fs::metadata(&path)?.len();
        let progress = watch::Sender::new(Progress { written, ..Progress::default() });
        Ok(Self { about, path, given, terms, pins, writer: Mutex::new(writer), progress })
    }

    /// Adds lines of the log.
    pub fn log(&self, block: &LogBlock) -> std::io::Result<()> {
        let written = self.writer.lock().unwrap_or_else(PoisonError::into_inner).log(block)?;
        self.change(|progress| progress.written = written);
        Ok(())
    }

    /// Adds something else.
    pub fn write(&self, entry: &Entry) -> std::io::Result<()> {
        let written = self.writer.lock().unwrap_or_else(PoisonError::into_inner).write(entry, &[])?;
        self.change(|progress| progress.written = written);
        Ok(())
    }

    /// Changes how far it is.
    pub fn change(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }

    /// Returns how far it is.
    pub fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    /// Waits until it has come so far.
    pub async fn until(&self, is_there: impl FnMut(&Progress) -> bool) {
        // It cannot be dropped while it is borrowed.
        let _ = self.progress.subscribe().wait_for(is_there).await;
    }
}
