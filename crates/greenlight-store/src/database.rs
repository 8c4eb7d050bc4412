//! The database: opened once by one server, written by one task, read beside it.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{AttemptId, RepoId};
use greenlight_core::port::{Commit, Disposition, Loaded, NewDelivery, Reply, Store, StoreError, Stored, Waiting};
use greenlight_core::time::Timestamp;
use sqlx::migrate::MigrateError;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqlitePool, SqlitePoolOptions};
use tokio::task::JoinHandle;

use crate::checkpoint::{self, WalMeter};
use crate::commit::CommitRows;
use crate::delivery::{self, PackedDelivery, Settled};
use crate::dialect::{Tuning, Use, connect, connect_options, store_error};
use crate::history::History;
use crate::load;
use crate::step::{StepRecord, StepRows};
use crate::writer::{Desk, Write, Writer, Written};

/// The database's file within the data directory.
const FILE: &str = "greenlight.db";

/// The file whose lock says that a server has this data open.
const LOCK: &str = "lock";

/// How long a starting server waits for the one before it to end, if not told otherwise.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// How often it looks.
const LOCK_POLL: Duration = Duration::from_millis(20);

/// How many connections read.
const READERS_MAX: u32 = 3;

/// After this a connection that nobody reads with is closed: each has a thread and a cache.
const READER_IDLE_MAX: Duration = Duration::from_secs(60);

/// How long a reader waits for a connection.
const READER_WAIT: Duration = Duration::from_secs(10);

/// How the database is opened.
#[derive(Clone, Copy, Debug)]
pub struct OpenOptions {
    /// The page cache of each connection, in KiB.
    pub cache_kib: u32,
    /// How long a write waits for somebody else's lock before it is refused. GitHub waits ten seconds for an answer.
    pub busy_wait: Duration,
    /// The largest size of the database, in pages of 4 KiB; nothing for the disk's own limit.
    pub pages_max: Option<u32>,
    /// How long to wait for a server that has the data open and is about to end.
    pub lock_wait: Duration,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { cache_kib: 1024, busy_wait: Duration::from_secs(8), pages_max: None, lock_wait: LOCK_WAIT }
    }
}

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("the data directory {path} cannot be used")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another server has it open.
    #[error("another server uses the data directory {0}; end it first")]
    InUse(PathBuf),
    /// SQLite refused.
    #[error("the database {path} cannot be opened")]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// Its tables cannot be brought to this version; they are left as they were.
    #[error("the database {path} cannot be brought to this version; was it written by a newer one?")]
    Migration {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: MigrateError,
    },
}

/// The memory of a server.
pub struct Database {
    desk: Desk,
    readers: SqlitePool,
    checkpointer: JoinHandle<()>,
    writer: std::sync::Mutex<Option<JoinHandle<()>>>,
    texts_swept_to: AtomicI64,
}

impl Database {
    /// Opens the database in this directory, which is created where it is not there.
    pub async fn open(data_dir: &Path) -> Result<Arc<Self>, OpenError> {
        Self::open_with(data_dir, OpenOptions::default()).await
    }

    /// Opens the database with other settings than the usual ones.
    pub async fn open_with(data_dir: &Path, options: OpenOptions) -> Result<Arc<Self>, OpenError> {
        let unusable = |source| OpenError::Directory { path: data_dir.to_owned(), source };
        std::fs::create_dir_all(data_dir).map_err(unusable)?;
        let lock = take_lock(data_dir, options.lock_wait).await?;
        let file = data_dir.join(FILE);
        let refused = |source| OpenError::Database { path: file.clone(), source };
        let tuning =
            Tuning { cache_kib: options.cache_kib, busy_wait: options.busy_wait, pages_max: options.pages_max };

        let connection = connect(connect_options(&file, tuning, Use::Write)).await.map_err(refused)?;
        let connection =
            migrate(connection).await.map_err(|source| OpenError::Migration { path: file.clone(), source })?;
        sync_directory(data_dir).map_err(unusable)?;

        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(READER_WAIT)
            .idle_timeout(READER_IDLE_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(connect_options(&file, tuning, Use::Read));
        let meter = WalMeter::new();
        let (writer, desk) = Writer::open(file.clone(), tuning, connection, meter.clone()).await.map_err(refused)?;
        let checkpointer = tokio::spawn(checkpoint::run(file, tuning, meter));
        let writer = tokio::spawn(async move {
            writer.run().await;
            // The data is free for another server once the last group is written, and not before.
            drop(lock);
        });
        Ok(Arc::new(Self {
            desk,
            readers,
            checkpointer,
            writer: std::sync::Mutex::new(Some(writer)),
            texts_swept_to: AtomicI64::new(0),
        }))
    }

    /// Returns what pages read.
    pub fn history(&self) -> History {
        History::new(self.readers.clone())
    }

    /// Writes down how steps of a job attempt stand; a step that is there already is changed.
    pub async fn record_steps(&self, attempt: &AttemptId, steps: &[StepRecord]) -> Result<(), StoreError> {
        if steps.is_empty() {
            return Ok(());
        }
        self.write(Write::Steps(StepRows::of(attempt, steps))).await.map(drop)
    }

    /// Returns how many deliveries wait to be written at this moment. Whoever does other work yields while there are some.
    pub fn intake_waiting(&self) -> usize {
        self.desk.deliveries_waiting()
    }

    /// Is the memory there, and can it be written to? For `/readyz`.
    pub async fn probe(&self) -> Result<(), StoreError> {
        self.write(Write::Probe(now().as_millis())).await?;
        let mut connection = self.reader().await?;
        sqlx::query("SELECT 1").execute(&mut *connection).await.map_err(|error| store_error("reading", &error))?;
        Ok(())
    }

    pub(crate) async fn write(&self, write: Write) -> Result<Written, StoreError> {
        self.desk.write(write).await
    }

    pub(crate) async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(|error| store_error("connecting to the database", &error))
    }

    /// Returns up to which text the sweep has come in its round.
    pub(crate) fn texts_swept_to(&self) -> i64 {
        self.texts_swept_to.load(Ordering::Relaxed)
    }

    pub(crate) fn set_texts_swept_to(&self, text: i64) {
        self.texts_swept_to.store(text, Ordering::Relaxed);
    }

    /// Takes nothing more, waits until everything is written, and closes. Dropping the database loses nothing that was answered
    /// either; it only does not wait.
    pub async fn close(&self) {
        let writer = self.writer.lock().expect("nobody panics while holding this lock").take();
        self.desk.close();
        self.readers.close().await;
        if let Some(writer) = writer {
            let _ = writer.await;
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.checkpointer.abort();
    }
}

async fn take_lock(data_dir: &Path, wait: Duration) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Directory { path: data_dir.to_owned(), source };
    let file = File::options().create(true).truncate(false).write(true).open(data_dir.join(LOCK)).map_err(unusable)?;
    let deadline = tokio::time::Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() >= deadline => {
                return Err(OpenError::InUse(data_dir.to_owned()));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
        }
    }
}

/// Brings the tables to this version. Boxed, as [`connect`] is.
fn migrate(
    mut connection: SqliteConnection,
) -> Pin<Box<dyn Future<Output = Result<SqliteConnection, MigrateError>> + Send>> {
    Box::pin(async move {
        sqlx::migrate!("./migrations").run_direct(None, &mut connection, false).await?;
        Ok(connection)
    })
}

/// A file's name is on disk only once its directory is synced.
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()?;
    match directory.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

impl Store for Database {
    fn receive<'a>(&'a self, delivery: &'a NewDelivery) -> Reply<'a, Result<Stored, StoreError>> {
        Box::pin(async move { self.desk.receive(PackedDelivery::of(delivery).await?).await })
    }

    fn waiting<'a>(&'a self, after: u64, limit: usize) -> Reply<'a, Result<Vec<Waiting>, StoreError>> {
        Box::pin(async move { delivery::waiting(&mut *self.reader().await?, after, limit).await })
    }

    fn dispose<'a>(&'a self, place: u64, disposition: Disposition) -> Reply<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let settled = Settled::of(place, &disposition, None, now());
            self.write(Write::Settle(settled)).await.map(drop)
        })
    }

    fn load<'a>(&'a self, repo: RepoId) -> Reply<'a, Result<Option<Loaded>, StoreError>> {
        Box::pin(async move { load::load(&mut *self.reader().await?, repo).await })
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Reply<'a, Result<(), StoreError>> {
        Box::pin(async move {
            match self.write(Write::Commit(CommitRows::of(commit))).await? {
                Written::Conflict => Err(StoreError::Conflict),
                Written::Yes | Written::Swept(_) | Written::Number(_) => Ok(()),
            }
        })
    }

    fn repositories<'a>(&'a self) -> Reply<'a, Result<Vec<RepositoryRef>, StoreError>> {
        Box::pin(async move { load::repositories(&mut *self.reader().await?).await })
    }
}

/// The port does not say when a delivery is settled; the row does, for people.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH + since
}
