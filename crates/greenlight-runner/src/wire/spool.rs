//! What a job says, in a file of its own until the server has taken it.
//!
//! A spool begins with the job's name and goes on with frames: a small JSON head, then bytes (the lines of a log). Frames are sent as
//! they stand in the file, so the same reader serves both sides. A frame that a crash tore is cut off; what the job was told is
//! written is whole before it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::{Buf as _, Bytes};
use greenlight_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{About, AnnotationShape, EndShape, StepShape};
use crate::host::LogBlock;

/// How large the head of a frame may be: a step's summary is the largest.
pub const HEAD_SIZE_MAX: usize = 4 << 20;
/// How large the body of a frame may be.
pub const BODY_SIZE_MAX: usize = 4 << 20;
/// How much is sent at once.
pub const BATCH_SIZE: usize = 1 << 20;
/// The most that one batch may have: one frame of the largest kind more than is gathered.
pub const BATCH_SIZE_MAX: usize = BATCH_SIZE + HEAD_SIZE_MAX + BODY_SIZE_MAX + 8;
/// What spools end with.
const EXTENSION: &str = "spool";

/// What a job says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// Which job it is: what every spool begins with.
    Begins {
        /// The repository, the run, the job.
        attempt: super::message::Attempt,
        /// The lease.
        token: u64,
    },
    /// Lines of the log; they are the body.
    Log {
        /// Which line of the whole job's output comes first.
        first_line: u64,
        /// The step.
        step: u32,
        /// When, in milliseconds since 1970.
        at: i64,
    },
    /// How a step goes.
    Step(StepShape),
    /// An error, a warning or a notice.
    Annotation(AnnotationShape),
    /// A step's summary.
    Summary {
        /// The step.
        step: u32,
        /// Its Markdown.
        markdown: String,
    },
    /// The job is over.
    End(EndShape),
}

/// An entry with its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub entry: Entry,
    /// Its bytes.
    pub body: Bytes,
}

/// A spool that grows.
pub struct SpoolWriter {
    file: File,
    lines: u64,
    end: u64,
}

impl SpoolWriter {
    /// Begins a spool.
    pub fn create(path: &Path, about: &About) -> io::Result<Self> {
        let file = File::options().create_new(true).write(true).open(path)?;
        let mut spool = Self { file, lines: 0, end: 0 };
        spool.write(&Entry::Begins { attempt: about.attempt.clone(), token: about.token }, &[])?;
        Ok(spool)
    }

    /// Adds lines of the log.
    pub fn log(&mut self, block: &LogBlock) -> io::Result<u64> {
        // A block that is too large for one frame goes as several, cut behind a line.
        let mut rest = &block.text[..];
        while !rest.is_empty() {
            let cut = if rest.len() <= BODY_SIZE_MAX {
                rest.len()
            } else {
                rest[..BODY_SIZE_MAX].iter().rposition(|byte| *byte == b'\n').map_or(BODY_SIZE_MAX, |at| at + 1)
            };
            let (text, after) = rest.split_at(cut);
            let entry = Entry::Log { first_line: self.lines, step: block.step, at: block.at.as_millis() };
            self.write(&entry, text)?;
            self.lines += memchr::memchr_iter(b'\n', text).count() as u64;
            rest = after;
        }
        Ok(self.end)
    }

    /// Adds something else. Returns how long the spool is now.
    pub fn write(&mut self, entry: &Entry, body: &[u8]) -> io::Result<u64> {
        let frame = framed(entry, body)?;
        if let Err(error) = self.file.write_all(&frame) {
            // Half a frame must not stand before the next one.
            self.file.set_len(self.end)?;
            self.file.seek(SeekFrom::Start(self.end))?;
            return Err(error);
        }
        self.end += frame.len() as u64;
        Ok(self.end)
    }
}

/// Returns an entry as it stands in a spool.
fn framed(entry: &Entry, body: &[u8]) -> io::Result<Vec<u8>> {
    let head = serde_json::to_vec(entry).map_err(io::Error::other)?;
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let mut frame = Vec::with_capacity(8 + head.len() + body.len());
    frame.extend_from_slice(&length(&head)?.to_be_bytes());
    frame.extend_from_slice(&length(body)?.to_be_bytes());
    frame.extend_from_slice(&head);
    frame.extend_from_slice(body);
    Ok(frame)
}

/// Reads whole frames of a spool from this place on, about [`BATCH_SIZE`] of them. Nothing where there is no further one.
pub fn read_batch(path: &Path, from: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut batch = vec![0; BATCH_SIZE];
    let length = read_full(&mut file, &mut batch)?;
    batch.truncate(length);
    let whole = whole_frames(&batch);
    if whole == 0 && length >= 8 {
        // The first frame is larger than a batch.
        let needed = frame_length(&batch).filter(|needed| *needed <= BATCH_SIZE_MAX).ok_or_else(damaged)?;
        batch.resize(needed.max(length), 0);
        let more = read_full(&mut file, &mut batch[length..])?;
        batch.truncate(length + more);
        let whole = whole_frames(&batch);
        batch.truncate(whole);
        return Ok(batch);
    }
    batch.truncate(whole);
    Ok(batch)
}

fn read_full(file: &mut File, room: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < room.len() {
        match file.read(&mut room[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "this is no spool")
}

/// Returns how long the first frame is, where its lengths are there.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let mut lengths = bytes.get(..8)?;
    let (head, body) = (lengths.get_u32() as usize, lengths.get_u32() as usize);
    (head <= HEAD_SIZE_MAX && body <= BODY_SIZE_MAX).then_some(8 + head + body)
}

/// Returns how much of the bytes are whole frames.
fn whole_frames(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(length) = frame_length(&bytes[end..]).filter(|length| end + length <= bytes.len()) {
        end += length;
    }
    end
}

/// Reads frames that were sent. Frames of a kind that this version does not know are left out; nothing where the bytes are no frames.
pub fn read_frames(mut bytes: Bytes) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let length = frame_length(&bytes).filter(|length| *length <= bytes.len())?;
        let mut frame = bytes.split_to(length);
        let head = frame.get_u32() as usize;
        frame.advance(4);
        let head = frame.split_to(head);
        if let Ok(entry) = serde_json::from_slice(&head) {
            frames.push(Frame { entry, body: frame });
        }
    }
    Some(frames)
}

impl Frame {
    /// Returns the lines of a log, and which of the whole output comes first.
    pub fn log(&self) -> Option<(u64, LogBlock)> {
        let Entry::Log { first_line, step, at } = &self.entry else { return None };
        let block = LogBlock { step: *step, at: Timestamp::from_millis(*at), text: self.body.clone() };
        Some((*first_line, block))
    }
}

/// A spool that an earlier life left.
#[derive(Debug)]
pub struct Left {
    /// Where.
    pub path: PathBuf,
    /// Whose.
    pub about: About,
    /// How the job ended, where it had.
    pub end: Option<EndShape>,
}

/// Returns the spools that an earlier life left in this folder, and cuts off what was torn. What is no spool is removed.
pub fn left_in(folder: &Path) -> io::Result<Vec<Left>> {
    let mut left = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        match look_through(&path)? {
            Some(spool) => left.push(spool),
            None => std::fs::remove_file(&path)?,
        }
    }
    Ok(left)
}

fn look_through(path: &Path) -> io::Result<Option<Left>> {
    let (mut from, mut about, mut end) = (0, None, None);
    loop {
        let batch = read_batch(path, from)?;
        if batch.is_empty() {
            break;
        }
        from += batch.len() as u64;
        for frame in read_frames(batch.into()).unwrap_or_default() {
            match frame.entry {
                Entry::Begins { attempt, token } => about = Some(About { attempt, token }),
                Entry::End(shape) => end = Some(shape),
                _ => {}
            }
        }
    }
    File::options().write(true).open(path)?.set_len(from)?;
    Ok(about.map(|about| Left { path: path.to_owned(), about, end }))
}

/// Returns the name of a new spool in this folder.
pub fn path_in(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{}-{number}.{EXTENSION}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use greenlight_core::id::{AttemptId, JobKey, RepoId, RunNumber, Token};

    use super::*;

    fn about() -> About {
        let attempt =
            AttemptId { repo: RepoId(7), run: RunNumber(1), run_attempt: 1, job: JobKey::from("test"), tried: 1 };
        About::new(&attempt, Token(3))
    }

    fn block(text: impl Into<Bytes>) -> LogBlock {
        LogBlock { step: 2, at: Timestamp::from_millis(5), text: text.into() }
    }

    #[test]
    fn what_was_written_is_read_in_order_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path(), 1);
        let mut spool = SpoolWriter::create(&path, &about()).unwrap();
        spool.log(&block("one\ntwo\n")).unwrap();
        spool.write(&Entry::Summary { step: 2, markdown: "# x".into() }, &[]).unwrap();
        let end = spool.log(&block("three\n")).unwrap();
        let batch = read_batch(&path, 0).unwrap();
        assert_eq!(batch.len() as u64, end);
        let frames = read_frames(batch.into()).unwrap();
        let logs: Vec<_> = frames.iter().filter_map(Frame::log).collect();
        assert_eq!(logs, [(0, block("one\ntwo\n")), (2, block("three\n"))]);
        assert!(read_batch(&path, end).unwrap().is_empty());
        assert!(read_frames(Bytes::from_static(b"nonsense, and more of it")).is_none());
    }

    #[test]
    fn a_torn_end_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path(), 1);
        let mut spool = SpoolWriter::create(&path, &about()).unwrap();
        let end = spool.log(&block("one\n")).unwrap();
        let torn = framed(&Entry::Log { first_line: 1, step: 2, at: 5 }, b"never whole\n").unwrap();
        std::fs::File::options().append(true).open(&path).unwrap().write_all(&torn[..torn.len() - 3]).unwrap();
        std::fs::write(folder.path().join("empty.spool"), "").unwrap();
        let left = left_in(folder.path()).unwrap();
        assert_eq!(left.len(), 1);
        assert!(left[0].end.is_none() && left[0].about.token == 3);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end);
        assert!(!folder.path().join("empty.spool").exists());
    }

    #[test]
    fn a_large_block_goes_in_frames_and_batches() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_in(folder.path(), 1);
        let mut spool = SpoolWriter::create(&path, &about()).unwrap();
        let text = "0123456789abcde\n".repeat((BODY_SIZE_MAX + (3 << 20)) / 16);
        spool.log(&block(text.clone())).unwrap();
        let (mut from, mut read, mut next) = (0, Vec::new(), 0);
        loop {
            let batch = read_batch(&path, from).unwrap();
            if batch.is_empty() {
                break;
            }
            assert!(batch.len() <= BATCH_SIZE_MAX);
            from += batch.len() as u64;
            for (first_line, block) in read_frames(batch.into()).unwrap().iter().filter_map(Frame::log) {
                assert_eq!(first_line, next);
                next += block.text.iter().filter(|byte| **byte == b'\n').count() as u64;
                read.extend_from_slice(&block.text);
            }
        }
        assert_eq!(read, text.as_bytes());
    }
}
