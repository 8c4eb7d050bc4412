//! Packing a log while it grows, so that little is left to do when it ends.
//!
//! What is packed lies beside the live file, which stays the truth: this is thrown away after a crash, or where it cannot be
//! written, and everything is packed at the end then.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::finished::{BLOCK, Packer};
use super::frame::{Framed, read_frame};

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
        let mut frames = vec![0; usize::try_from(end - self.offset).map_err(io::Error::other)?];
        live.read_exact_at(&mut frames, self.offset)?;
        let mut frames = Bytes::from(frames);
        let mut line = self.line;
        self.packer.begin(line);
        let packed = self.packer.pack(&frames)?;
        while !frames.is_empty() {
            let Framed::Whole(block, length) = read_frame(&frames, line) else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame that was just written cannot be read"));
            };
            self.packer.note(&block);
            line = block.end();
            frames = frames.slice(length..);
        }
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
