//! The log of an attempt that is over, as one blob: compressed blocks, an index of them, and at the very end where the index is.

use std::io;
use std::sync::{Mutex, PoisonError};

use bytes::{Buf as _, BufMut as _, Bytes};

use zstd::bulk::Compressor;

use super::frame::{Framed, Head, LogBlock, TEXT_MAX, read_frame, write_frame};

/// How much text goes into one compressed block, about.
pub const BLOCK: usize = 256 << 10;

/// The longest that a block may be when unpacked: one that was almost full, and one frame more.
const UNPACKED_MAX: usize = BLOCK + TEXT_MAX + (1 << 10);

/// How well blocks are compressed: they are written once, and read for years.
const LEVEL: i32 = 3;

/// What every blob ends with: the index's length, and this.
const MAGIC: u64 = u64::from_le_bytes(*b"GLBLOCK\x01");

/// How long that end is.
pub const FOOT: u64 = 4 + 8;

/// The largest index that is believed.
const INDEX_MAX: usize = 16 << 20;

/// Where a compressed block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Its first line.
    pub line: u64,
    /// Where it begins in the blob.
    pub offset: u64,
    /// How long it is there.
    pub length: u32,
    /// How long it is when unpacked.
    pub unpacked: u32,
}

/// What stands where in a finished log.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Index {
    /// How many lines there are.
    pub lines: u64,
    /// How many bytes of text.
    pub bytes: u64,
    /// The compressed blocks, in order.
    pub stretches: Vec<Stretch>,
    /// Each step with its first line.
    pub steps: Vec<(u32, u64)>,
}

impl Index {
    /// Returns which compressed block this line is in.
    pub fn stretch_of(&self, line: u64) -> Option<usize> {
        if line >= self.lines {
            return None;
        }
        self.stretches.partition_point(|stretch| stretch.line <= line).checked_sub(1)
    }

    /// Returns the index and the foot, as they end the blob.
    pub fn write(&self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        plain.put_u64_le(self.lines);
        plain.put_u64_le(self.bytes);
        plain.put_u32_le(length_of(&self.stretches));
        for stretch in &self.stretches {
            plain.put_u64_le(stretch.line);
            plain.put_u64_le(stretch.offset);
            plain.put_u32_le(stretch.length);
            plain.put_u32_le(stretch.unpacked);
        }
        plain.put_u32_le(length_of(&self.steps));
        for (step, line) in &self.steps {
            plain.put_u32_le(*step);
            plain.put_u64_le(*line);
        }
        let mut written = zstd::bulk::compress(&plain, LEVEL)?;
        written.put_u32_le(u32::try_from(written.len()).expect("an index is shorter than 4 GiB"));
        written.put_u64_le(MAGIC);
        Ok(written)
    }

    /// Returns how long the index is, by the blob's foot.
    pub fn length(foot: &[u8]) -> Option<u64> {
        let mut foot = foot.get(foot.len().checked_sub(usize::try_from(FOOT).ok()?)?..)?;
        let length = foot.get_u32_le();
        (foot.get_u64_le() == MAGIC).then_some(u64::from(length))
    }

    /// Reads what [`Index::write`] wrote, without the foot.
    pub fn read(packed: &[u8]) -> io::Result<Self> {
        let plain = zstd::bulk::decompress(packed, INDEX_MAX)?;
        Self::parse(&plain).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the index of a log is cut short"))
    }

    fn parse(mut plain: &[u8]) -> Option<Self> {
        let (lines, bytes) = (plain.try_get_u64_le().ok()?, plain.try_get_u64_le().ok()?);
        let mut stretches = Vec::new();
        for _ in 0..plain.try_get_u32_le().ok()? {
            stretches.push(Stretch {
                line: plain.try_get_u64_le().ok()?,
                offset: plain.try_get_u64_le().ok()?,
                length: plain.try_get_u32_le().ok()?,
                unpacked: plain.try_get_u32_le().ok()?,
            });
        }
        let mut steps = Vec::new();
        for _ in 0..plain.try_get_u32_le().ok()? {
            steps.push((plain.try_get_u32_le().ok()?, plain.try_get_u64_le().ok()?));
        }
        Some(Self { lines, bytes, stretches, steps })
    }
}

fn length_of<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a log is bounded, and so is its index")
}

/// Gathers blocks into compressed ones.
#[derive(Default)]
pub struct Packer {
    index: Index,
    frames: Vec<u8>,
    first_line: u64,
    offset: u64,
}

impl Packer {
    /// Adds a block; returns a compressed one where enough has gathered.
    pub fn add(&mut self, block: &LogBlock) -> io::Result<Option<Vec<u8>>> {
        if self.frames.is_empty() {
            self.begin(block.first_line);
        }
        self.note(block.first_line, &Head::of(block));
        write_frame(&mut self.frames, block);
        if self.frames.len() < BLOCK { Ok(None) } else { self.pack_gathered().map(Some) }
    }

    /// Says with which line the next compressed block begins.
    pub fn begin(&mut self, line: u64) {
        self.first_line = line;
    }

    /// Takes a block into the index, by its first line and its head.
    pub fn note(&mut self, first_line: u64, head: &Head) {
        if self.index.steps.last().is_none_or(|(step, _)| *step != head.step) {
            self.index.steps.push((head.step, first_line));
        }
        self.index.lines = first_line + u64::from(head.count);
        self.index.bytes += head.length as u64;
    }

    /// Compresses frames to one block.
    pub fn pack(&mut self, frames: &[u8]) -> io::Result<Vec<u8>> {
        let packed = compress(frames)?;
        let length = u32::try_from(packed.len()).expect("a block is shorter than 4 GiB");
        self.index.stretches.push(Stretch {
            line: self.first_line,
            offset: self.offset,
            length,
            unpacked: u32::try_from(frames.len()).expect("a block is shorter than 4 GiB"),
        });
        self.offset += u64::from(length);
        Ok(packed)
    }

    fn pack_gathered(&mut self) -> io::Result<Vec<u8>> {
        let mut frames = std::mem::take(&mut self.frames);
        let packed = self.pack(&frames)?;
        frames.clear();
        self.frames = frames;
        Ok(packed)
    }

    /// Returns what ends the blob: the last block, the index and the foot.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        let mut last = if self.frames.is_empty() { Vec::new() } else { self.pack_gathered()? };
        last.extend(self.index.write()?);
        Ok(last)
    }
}

/// Compressors that wait for the next block, each with its buffer. They are large: made anew in whichever thread needs one, they would
/// leave their size behind in the allocator for every such thread.
static IDLE: Mutex<Vec<(Compressor<'static>, Vec<u8>)>> = Mutex::new(Vec::new());

/// How many wait at most.
const IDLE_MAX: usize = 4;

fn compress(frames: &[u8]) -> io::Result<Vec<u8>> {
    let idle = || IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let waiting = idle().pop();
    let (mut compressor, mut buffer) = match waiting {
        Some(waiting) => waiting,
        None => (Compressor::new(LEVEL)?, Vec::new()),
    };
    buffer.resize(zstd::zstd_safe::compress_bound(frames.len()), 0);
    let length = compressor.compress_to_buffer(frames, &mut buffer[..])?;
    let packed = buffer[..length].to_vec();
    let mut idle = idle();
    if idle.len() < IDLE_MAX {
        idle.push((compressor, buffer));
    }
    Ok(packed)
}

/// Returns the blocks that a compressed one holds.
pub fn unpack(stretch: Stretch, packed: &[u8]) -> io::Result<Vec<LogBlock>> {
    if stretch.unpacked as usize > UNPACKED_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the index of a log is damaged"));
    }
    let mut frames = Bytes::from(zstd::bulk::decompress(packed, stretch.unpacked as usize)?);
    let mut line = stretch.line;
    let mut blocks = Vec::new();
    while !frames.is_empty() {
        let Framed::Whole(block, length) = read_frame(&frames, line) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("the log is damaged at line {line}")));
        };
        line = block.end();
        blocks.push(block);
        frames = frames.slice(length..);
    }
    Ok(blocks)
}
