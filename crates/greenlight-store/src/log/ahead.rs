//! Packing a log while it grows, so that little is left to do when it ends.
//!
//! What is packed lies beside the live file, which stays the truth: this is thrown away after a crash, or where it cannot be
//! written, and everything is packed at the end then.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::finished::{BLOCK, Packer};
use super::frame::{HEAD, Head};

/// What is packed so far of a log that grows.
pub struct Ahead {
    path: PathBuf,
    file: Option<File>,
    packer: Packer,
    /// How far the live file is packed, and which line comes there.
    pub offset: u64,
    pub line: u64,
}

/// Returns where the packed part of a live log lies.
pub fn path_beside(live: &Path) -> PathBuf {
    live.with_extension("packed")
}

/// What frames are read into to be packed. One is kept for all logs: it is large, and every thread's own would stay in the allocator.
fn buffer() -> MutexGuard<'static, Vec<u8>> {
    static BUFFER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    BUFFER.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ahead {
    /// Begins with the first frame of a live log, which stands at `offset`.
    pub fn new(live: &Path, offset: u64) -> Self {
        Self { path: path_beside(live), file: None, packer: Packer::default(), offset, line: 0 }
    }

    /// Is there enough for a compressed block, up to this end of a frame?
    pub fn is_due(&self, end: u64) -> bool {
        end - self.offset >= BLOCK as u64
    }

    /// Packs the frames up to `end` as one block.
    pub fn pack(&mut self, live: &File, end: u64) -> io::Result<()> {
        let length = usize::try_from(end - self.offset).map_err(io::Error::other)?;
        let mut frames = std::mem::take(&mut *buffer());
        frames.resize(length, 0);
        live.read_exact_at(&mut frames, self.offset)?;
        self.packer.begin(self.line);
        let packed = self.packer.pack(&frames)?;
        let (mut at, mut line) = (0, self.line);
        while let Some(head) = frames.get(at..).and_then(Head::read) {
            self.packer.note(line, &head);
            line += u64::from(head.count);
            at += HEAD + head.length;
        }
        *buffer() = frames;
        self.file()?.write_all(&packed)?;
        (self.offset, self.line) = (end, line);
        Ok(())
    }

    fn file(&mut self) -> io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::options().read(true).write(true).create(true).truncate(true).open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }

    /// Returns what packs the rest, and the file of what is packed already.
    pub fn into_parts(self) -> (Packer, Option<File>) {
        (self.packer, self.file)
    }
}
