//! Where logs are kept, and which of them are open.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use greenlight_core::id::AttemptId;
use greenlight_core::time::Timestamp;
use tokio::sync::watch;

use super::ahead::path_beside;
use super::finished::{self, FOOT, Index, Packer};
use super::follow::Follower;
use super::frame::LogBlock;
use super::live::{Appended, FrameReader, LOG_BYTES_MAX, LiveLog, Packing, read_head, remove_if_there};
use super::page::{LogPage, LogShape, Pager, read_file};
use crate::blob::{BlobError, Blobs};
use crate::packed::digest_of;

/// How much of a blob's end is read at first: mostly the whole index.
const INDEX_GUESS: u64 = 16 << 10;

/// How many indexes of finished logs stay in memory.
const INDEXES_MAX: usize = 32;

/// How many blocks are read and packed at a time.
const PACK_AT_ONCE: usize = 4096;

/// How much of what is packed already is read at a time.
const READ_AT_ONCE: usize = 256 << 10;

/// A log could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The directory cannot be used.
    #[error("the log directory {path} cannot be used")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file of a running attempt failed.
    #[error("the log of {attempt} cannot be {doing}")]
    File {
        /// Whose.
        attempt: AttemptId,
        /// "written", "read", "finished".
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The blob of a finished one failed.
    #[error("the log of {attempt} cannot be {doing}")]
    Blob {
        /// Whose.
        attempt: AttemptId,
        /// "read", "finished", "removed".
        doing: &'static str,
        /// Why.
        #[source]
        source: BlobError,
    },
    /// Nothing is added to a log that is finished.
    #[error("the log of {0} is finished")]
    Finished(AttemptId),
    /// The sender left lines out: it is to send again from line `expected`.
    #[error("the log of {attempt} goes on with line {expected}: send again from there")]
    Gap {
        /// Whose.
        attempt: AttemptId,
        /// Which line comes next.
        expected: u64,
    },
}

/// The logs of all job attempts.
pub struct Logs {
    directory: PathBuf,
    blobs: Blobs,
    quota: u64,
    open: Mutex<HashMap<AttemptId, Arc<Log>>>,
    indexes: Mutex<VecDeque<(AttemptId, Arc<Index>)>>,
}

/// How far a log is, for those who wait for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Progress {
    lines: u64,
    finished: bool,
}

/// One log, as long as somebody writes or reads it.
pub(super) struct Log {
    state: Mutex<State>,
    /// Held by whoever opens or finishes it.
    turning: tokio::sync::Mutex<()>,
    progress: watch::Sender<Progress>,
}

enum State {
    /// Nobody has looked yet.
    Unknown,
    /// Nothing was printed so far.
    Empty,
    /// It grows.
    Live(LiveLog),
    /// It is being packed; it can be read, and nothing is added.
    Sealed(LiveLog),
    /// It is a blob.
    Finished,
}

impl Log {
    fn new() -> Arc<Self> {
        let progress = watch::Sender::new(Progress::default());
        Arc::new(Self { state: Mutex::new(State::Unknown), turning: tokio::sync::Mutex::new(()), progress })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding this lock")
    }

    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }
}

/// What a page is read from.
enum Source {
    Blocks(Vec<LogBlock>),
    File(FrameReader),
    Blob,
}

impl Logs {
    /// Keeps the logs of running attempts in this directory, which is created where it is not there, and finished ones in `blobs`.
    pub fn open(directory: &Path, blobs: Blobs) -> Result<Arc<Self>, LogError> {
        Self::open_with_quota(directory, blobs, LOG_BYTES_MAX)
    }

    /// The same, with another bound than [`LOG_BYTES_MAX`] for each attempt.
    pub fn open_with_quota(directory: &Path, blobs: Blobs, quota: u64) -> Result<Arc<Self>, LogError> {
        std::fs::create_dir_all(directory)
            .map_err(|source| LogError::Directory { path: directory.to_owned(), source })?;
        let (open, indexes) = (Mutex::default(), Mutex::default());
        Ok(Arc::new(Self { directory: directory.to_owned(), blobs, quota, open, indexes }))
    }

    /// Appends what one step printed: whole lines, masked. Returns how many lines the log has now.
    pub async fn append(&self, attempt: &AttemptId, step: u32, at: Timestamp, text: Bytes) -> Result<u64, LogError> {
        self.add(attempt, step, at, None, text).await.map(|appended| appended.lines)
    }

    /// Appends what begins with line `first_line` of the attempt's whole output, from a sender that repeats what it got no answer
    /// for; lines that are there already are left out. Returns the line that the sender goes on with.
    pub async fn append_from(
        &self,
        attempt: &AttemptId,
        first_line: u64,
        step: u32,
        at: Timestamp,
        text: Bytes,
    ) -> Result<u64, LogError> {
        // What is kept of it in memory must not keep the whole message there that it came in.
        let text = Bytes::copy_from_slice(&text);
        self.add(attempt, step, at, Some(first_line), text).await.map(|appended| appended.given)
    }

    async fn add(
        &self,
        attempt: &AttemptId,
        step: u32,
        at: Timestamp,
        first_line: Option<u64>,
        text: Bytes,
    ) -> Result<Appended, LogError> {
        let log = self.known(attempt).await?;
        let (path, quota, name) = (self.path(attempt), self.quota, attempt.clone());
        let added = tokio::task::spawn_blocking(move || {
            let mut state = log.state();
            let failed = |source| LogError::File { attempt: name.clone(), doing: "written", source };
            if let State::Empty = *state {
                *state = State::Live(create(&path, &name, quota).map_err(failed)?);
            }
            let State::Live(live) = &mut *state else { return Err(LogError::Finished(name)) };
            let appended = live.append(step, at, first_line, &text).map_err(|error| match error {
                Some(source) => failed(source),
                None => LogError::Gap { attempt: name.clone(), expected: live.given() },
            })?;
            drop(state);
            log.progress.send_replace(Progress { lines: appended.lines, finished: false });
            Ok(appended)
        });
        added.await.expect("appending does not panic")
    }

    /// Returns the lines from `from_line` on: up to `limit`, and fewer where that would be too much at once.
    pub async fn read(&self, attempt: &AttemptId, from_line: u64, limit: usize) -> Result<LogPage, LogError> {
        let log = self.known(attempt).await?;
        let page = self.page(attempt, &log, from_line, limit).await;
        self.release(attempt, log);
        page
    }

    pub(super) async fn page(
        &self,
        attempt: &AttemptId,
        log: &Log,
        from: u64,
        limit: usize,
    ) -> Result<LogPage, LogError> {
        let source = match &*log.state() {
            State::Unknown | State::Empty => Source::Blocks(Vec::new()),
            State::Live(live) | State::Sealed(live) if from >= live.lines() => Source::Blocks(Vec::new()),
            State::Live(live) | State::Sealed(live) => match live.in_memory(from) {
                Some(blocks) => Source::Blocks(blocks),
                None => Source::File(live.reader(from)),
            },
            State::Finished => Source::Blob,
        };
        match source {
            Source::Blocks(blocks) => Ok(Pager::new(from, limit).fill(blocks)),
            Source::File(reader) => read_file(reader, from, limit).await.map_err(|source| LogError::File {
                attempt: attempt.clone(),
                doing: "read",
                source,
            }),
            Source::Blob => self.read_blob(attempt, from, limit).await,
        }
    }

    async fn read_blob(&self, attempt: &AttemptId, from: u64, limit: usize) -> Result<LogPage, LogError> {
        let failed = |source| LogError::Blob { attempt: attempt.clone(), doing: "read", source };
        let damaged = |source| LogError::File { attempt: attempt.clone(), doing: "read", source };
        let index = self.index(attempt).await?.unwrap_or_default();
        let mut pager = Pager::new(from, limit);
        while let Some(at) = index.stretch_of(pager.next).filter(|_| !pager.full) {
            let stretch = index.stretches[at];
            let range = stretch.offset..stretch.offset + u64::from(stretch.length);
            let packed = self.blobs.range(&key(attempt), range).await.map_err(failed)?;
            let packed = packed.ok_or_else(|| damaged(io::Error::from(io::ErrorKind::NotFound)))?;
            let next = pager.next;
            for block in finished::unpack(stretch, &packed).map_err(damaged)? {
                pager.add(block);
            }
            if pager.next == next {
                break;
            }
        }
        let finished = pager.next >= index.lines;
        Ok(LogPage { finished, ..pager.page() })
    }

    /// Follows a log from this line on, also one that has not begun yet.
    pub async fn follow(self: &Arc<Self>, attempt: &AttemptId, from_line: u64) -> Result<Follower, LogError> {
        let log = self.known(attempt).await?;
        Ok(Follower::new(self.clone(), attempt.clone(), log, from_line))
    }

    /// Returns how large a log is and where its steps begin; nothing where nothing was printed.
    pub async fn shape(&self, attempt: &AttemptId) -> Result<Option<LogShape>, LogError> {
        let log = self.known(attempt).await?;
        let shape = match &*log.state() {
            State::Unknown | State::Empty => Some(None),
            State::Live(live) | State::Sealed(live) => {
                let steps = live.steps().to_vec();
                Some(Some(LogShape { lines: live.lines(), bytes: live.bytes(), steps, finished: false }))
            }
            State::Finished => None,
        };
        self.release(attempt, log);
        match shape {
            Some(shape) => Ok(shape),
            None => Ok(self.index(attempt).await?.map(|index| LogShape {
                lines: index.lines,
                bytes: index.bytes,
                steps: index.steps.clone(),
                finished: true,
            })),
        }
    }

    /// Finishes a log: packs it into the blob store and takes its file away. Asking twice, or after a crash, is harmless.
    pub async fn finish(&self, attempt: &AttemptId) -> Result<(), LogError> {
        let log = self.known(attempt).await?;
        let _turn = log.turning.lock().await;
        let Some(packing) = seal(&log) else {
            // The crash came between the blob and the end of the file.
            return self.remove_live(attempt, "finished");
        };
        self.pack(attempt, packing).await?;
        let lines = {
            let mut state = log.state();
            let lines = match &*state {
                State::Live(live) | State::Sealed(live) => live.lines(),
                State::Unknown | State::Empty | State::Finished => 0,
            };
            *state = State::Finished;
            lines
        };
        log.progress.send_replace(Progress { lines, finished: true });
        self.remove_live(attempt, "finished")?;
        drop(_turn);
        self.release(attempt, log);
        Ok(())
    }

    async fn pack(&self, attempt: &AttemptId, packing: Option<Packing>) -> Result<(), LogError> {
        let failed = |source| LogError::Blob { attempt: attempt.clone(), doing: "finished", source };
        let broken = |source| LogError::File { attempt: attempt.clone(), doing: "finished", source };
        let mut upload = self.blobs.upload(&key(attempt)).await.map_err(failed)?;
        let (mut packer, packed, mut rest) = match packing {
            Some(Packing { packer, packed, rest }) => (packer, packed, Some(rest)),
            None => (Packer::default(), None, None),
        };
        if let Some(packed) = packed {
            let packed = Arc::new(packed);
            let mut offset = 0;
            loop {
                let file = packed.clone();
                let read = tokio::task::spawn_blocking(move || read_some(&file, offset));
                let bytes = read.await.expect("reading does not panic").map_err(broken)?;
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                upload.write(&bytes).await.map_err(failed)?;
            }
        }
        while let Some(mut reader) = rest.take() {
            let packed = tokio::task::spawn_blocking(move || {
                let mut out = Vec::new();
                for _ in 0..PACK_AT_ONCE {
                    let Some(block) = reader.next()? else { return Ok((out, packer, None)) };
                    if let Some(bytes) = packer.add(&block)? {
                        return Ok((bytes, packer, Some(reader)));
                    }
                }
                out.clear();
                Ok((out, packer, Some(reader)))
            });
            let (bytes, returned, more) = packed.await.expect("packing does not panic").map_err(broken)?;
            packer = returned;
            rest = more;
            upload.write(&bytes).await.map_err(failed)?;
        }
        upload.write(&packer.finish().map_err(broken)?).await.map_err(failed)?;
        upload.finish().await.map_err(failed)
    }

    /// Syncs the log of a running attempt to disk: after a power cut it is there up to here.
    pub async fn sync(&self, attempt: &AttemptId) -> Result<(), LogError> {
        let log = self.known(attempt).await?;
        let name = attempt.clone();
        let synced = tokio::task::spawn_blocking(move || match &*log.state() {
            State::Live(live) | State::Sealed(live) => {
                live.sync().map_err(|source| LogError::File { attempt: name, doing: "written", source })
            }
            State::Unknown | State::Empty | State::Finished => Ok(()),
        });
        synced.await.expect("syncing does not panic")
    }

    /// Returns whose logs lie here unfinished, those of a server that was killed included.
    pub async fn unfinished(&self) -> Result<Vec<AttemptId>, LogError> {
        let directory = self.directory.clone();
        let listed = tokio::task::spawn_blocking(move || {
            let mut attempts = Vec::new();
            for entry in std::fs::read_dir(&directory)? {
                let path = entry?.path();
                // A head that was torn by a crash names nobody, and nothing of it was acknowledged.
                if let Ok((attempt, _)) = File::open(&path).and_then(|mut file| read_head(&mut file)) {
                    attempts.push(attempt);
                }
            }
            attempts.sort();
            Ok(attempts)
        });
        let listed = listed.await.expect("listing does not panic");
        listed.map_err(|source| LogError::Directory { path: self.directory.clone(), source })
    }

    /// Removes a log, finished or not; one that is not there is no error.
    pub async fn remove(&self, attempt: &AttemptId) -> Result<(), LogError> {
        let open = self.opened().remove(attempt);
        self.indexes().retain(|(known, _)| known != attempt);
        self.remove_live(attempt, "removed")?;
        let deleted = self.blobs.delete(&key(attempt)).await.map_err(|source| LogError::Blob {
            attempt: attempt.clone(),
            doing: "removed",
            source,
        });
        if let Some(log) = open {
            // Whoever follows it has come to its end.
            *log.state() = State::Finished;
            log.progress.send_replace(Progress { lines: 0, finished: true });
        }
        deleted
    }

    fn remove_live(&self, attempt: &AttemptId, doing: &'static str) -> Result<(), LogError> {
        let path = self.path(attempt);
        let removed = remove_if_there(&path_beside(&path)).and_then(|()| remove_if_there(&path));
        removed.map_err(|source| LogError::File { attempt: attempt.clone(), doing, source })
    }

    /// Returns the log after somebody has looked what there is of it.
    async fn known(&self, attempt: &AttemptId) -> Result<Arc<Log>, LogError> {
        let log = self.opened().entry(attempt.clone()).or_insert_with(Log::new).clone();
        if matches!(*log.state(), State::Unknown) {
            let turn = log.turning.lock().await;
            if matches!(*log.state(), State::Unknown) {
                let found = self.look(attempt).await?;
                let progress = match &found {
                    State::Live(live) => Progress { lines: live.lines(), finished: false },
                    State::Finished => Progress { lines: 0, finished: true },
                    State::Unknown | State::Empty | State::Sealed(_) => Progress::default(),
                };
                *log.state() = found;
                log.progress.send_replace(progress);
            }
            drop(turn);
        }
        Ok(log)
    }

    async fn look(&self, attempt: &AttemptId) -> Result<State, LogError> {
        let path = self.path(attempt);
        if self.index(attempt).await?.is_some() {
            return Ok(State::Finished);
        }
        let quota = self.quota;
        let opened = tokio::task::spawn_blocking(move || match LiveLog::reopen(&path, quota) {
            Ok(live) => Ok(State::Live(live)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::Empty),
            // The server was killed before the head was whole.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => remove_if_there(&path).map(|()| State::Empty),
            Err(error) => Err(error),
        });
        let opened = opened.await.expect("opening does not panic");
        opened.map_err(|source| LogError::File { attempt: attempt.clone(), doing: "read", source })
    }

    /// Lets go of a log that nobody else has in hand and that keeps nothing in memory.
    pub(super) fn release(&self, attempt: &AttemptId, log: Arc<Log>) {
        let mut open = self.opened();
        let idle = !matches!(*log.state(), State::Live(_) | State::Sealed(_));
        // The map's and ours: clones are made only under the map's lock.
        if idle && Arc::strong_count(&log) <= 2 && open.get(attempt).is_some_and(|known| Arc::ptr_eq(known, &log)) {
            open.remove(attempt);
        }
    }

    /// Returns the index of a finished log.
    async fn index(&self, attempt: &AttemptId) -> Result<Option<Arc<Index>>, LogError> {
        let known = self.indexes().iter().find(|(known, _)| known == attempt).map(|(_, index)| index.clone());
        if known.is_some() {
            return Ok(known);
        }
        let Some(index) = self.fetch_index(attempt).await?.map(Arc::new) else { return Ok(None) };
        let mut indexes = self.indexes();
        indexes.push_back((attempt.clone(), index.clone()));
        if indexes.len() > INDEXES_MAX {
            indexes.pop_front();
        }
        Ok(Some(index))
    }

    async fn fetch_index(&self, attempt: &AttemptId) -> Result<Option<Index>, LogError> {
        let failed = |source| LogError::Blob { attempt: attempt.clone(), doing: "read", source };
        let damaged = || LogError::File {
            attempt: attempt.clone(),
            doing: "read",
            source: io::Error::new(io::ErrorKind::InvalidData, "its end is damaged"),
        };
        let Some((mut end, size)) = self.blobs.tail(&key(attempt), INDEX_GUESS).await.map_err(failed)? else {
            return Ok(None);
        };
        let needed = Index::length(&end).ok_or_else(damaged)? + FOOT;
        if needed > size {
            return Err(damaged());
        }
        if needed > end.len() as u64 {
            end = self.blobs.tail(&key(attempt), needed).await.map_err(failed)?.ok_or_else(damaged)?.0;
        }
        let begin =
            usize::try_from(needed).ok().and_then(|needed| end.len().checked_sub(needed)).ok_or_else(damaged)?;
        let packed = &end[begin..end.len() - usize::try_from(FOOT).expect("a foot is short")];
        Index::read(packed).map(Some).map_err(|source| LogError::File {
            attempt: attempt.clone(),
            doing: "read",
            source,
        })
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<AttemptId, Arc<Log>>> {
        self.open.lock().expect("nobody panics while holding this lock")
    }

    fn indexes(&self) -> MutexGuard<'_, VecDeque<(AttemptId, Arc<Index>)>> {
        self.indexes.lock().expect("nobody panics while holding this lock")
    }

    fn path(&self, attempt: &AttemptId) -> PathBuf {
        self.directory.join(format!(
            "{}-{}-{}-{}-{}.log",
            attempt.repo,
            attempt.run,
            attempt.run_attempt,
            job_digest(attempt),
            attempt.tried
        ))
    }
}

/// Returns the blob's key. A job's key may hold anything, so that its digest stands for it.
fn key(attempt: &AttemptId) -> String {
    format!("logs/{}/{}/{}/{}.{}", attempt.repo, attempt.run, attempt.run_attempt, job_digest(attempt), attempt.tried)
}

fn job_digest(attempt: &AttemptId) -> String {
    hex::encode(&digest_of(attempt.job.as_str().as_bytes())[..12])
}

fn create(path: &Path, attempt: &AttemptId, quota: u64) -> io::Result<LiveLog> {
    LiveLog::create(path, attempt, quota).inspect_err(|_| {
        // A file without a whole head would be in the way of the next try.
        let _ = remove_if_there(path);
    })
}

/// Reads on from there; nothing at the end.
fn read_some(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; READ_AT_ONCE];
    let length = loop {
        match file.read_at(&mut bytes, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    bytes.truncate(length);
    Ok(bytes)
}

/// Sees to it that nothing is added any more. Returns what to pack: nothing to do, no lines, or a live log.
fn seal(log: &Log) -> Option<Option<Packing>> {
    let mut state = log.state();
    match std::mem::replace(&mut *state, State::Unknown) {
        State::Finished => {
            *state = State::Finished;
            None
        }
        State::Unknown | State::Empty => {
            *state = State::Empty;
            Some(None)
        }
        State::Live(mut live) | State::Sealed(mut live) => {
            let packing = live.packing();
            *state = State::Sealed(live);
            Some(Some(packing))
        }
    }
}
