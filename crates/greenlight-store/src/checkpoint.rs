//! Moving the write-ahead log into the database file, off the commit's path.
//!
//! A checkpoint inside a commit costs somebody ten milliseconds. Here another connection does it while commits go on. What
//! was written meanwhile is little, and is moved with the writer held for that moment: only a log that is moved to its end
//! begins at its start again, and one that never does grows without a bound.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::dialect::{Tuning, Use, connect, connect_options};

/// How much is written between two checkpoints, about.
const WAL_BYTES_BETWEEN: usize = 8 << 20;

/// What is written into the log, and who may write.
pub struct WalMeter {
    bytes: AtomicUsize,
    enough: Notify,
    gate: Mutex<()>,
}

impl WalMeter {
    /// Begins at nothing.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), enough: Notify::new(), gate: Mutex::new(()) })
    }

    /// Waits until one may write.
    pub async fn enter(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    /// So many bytes were written, about.
    pub fn wrote(&self, bytes: usize) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before < WAL_BYTES_BETWEEN && before + bytes >= WAL_BYTES_BETWEEN {
            self.enough.notify_one();
        }
    }
}

/// Checkpoints whenever enough was written, until the task is ended.
pub async fn run(file: PathBuf, tuning: Tuning, meter: Arc<WalMeter>) {
    let mut connection = None;
    loop {
        meter.enough.notified().await;
        meter.bytes.store(0, Ordering::Relaxed);
        if let Err(error) = checkpoint(&mut connection, &file, tuning, &meter).await {
            // The log stays as it is and the next one moves it: nothing is lost but room.
            tracing::warn!(error = %error, "the write-ahead log could not be moved into the database");
            connection = None;
        }
    }
}

async fn checkpoint(
    slot: &mut Option<SqliteConnection>,
    file: &std::path::Path,
    tuning: Tuning,
    meter: &WalMeter,
) -> sqlx::Result<()> {
    if slot.is_none() {
        *slot = Some(connect(connect_options(file, tuning, Use::Checkpoint)).await?);
    }
    let connection = slot.as_mut().expect("it was filled just now");
    move_log(connection).await?;
    let _gate = meter.enter().await;
    move_log(connection).await
}

async fn move_log(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(connection).await?;
    let (log, moved): (i64, i64) = (row.get(1), row.get(2));
    tracing::trace!(log, moved, "moved the write-ahead log");
    Ok(())
}
