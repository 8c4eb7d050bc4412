//! The log of a running attempt: a file that grows, an index of it, and its latest blocks in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use greenlight_core::id::{AttemptId, JobKey, RepoId, RunNumber};
use greenlight_core::time::Timestamp;

use super::ahead::{Ahead, path_beside};
use super::finished::Packer;
use super::frame::{Framed, HEAD, LogBlock, TEXT_MAX, blocks_of, head_of, read_frame};

/// How much one attempt may print; what comes after is not kept, and the log says so. A runner ends a log after a gibibyte and says so
/// in it, so this is for one that does not.
pub const LOG_BYTES_MAX: u64 = (1 << 30) + (1 << 20);

/// How far apart the index's entries are, at least.
const INDEX_EVERY: u64 = 64 << 10;

/// How much of the latest text stays in memory for those who follow.
const TAIL_BYTES_MAX: usize = 256 << 10;

/// How much is read from the file at once.
const READ_BYTES: u64 = 1 << 20;

/// How long a text is at most that is copied so that its frame is written in one piece.
const COPIED_MAX: usize = 4 << 10;

/// What every live log begins with.
const MAGIC: &[u8; 8] = b"GLLOG\0\0\x01";

/// The longest name of an attempt in a log's head.
const NAME_MAX: usize = 64 << 10;

/// Where a line stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The line.
    pub line: u64,
    /// The frame that begins with it.
    pub offset: u64,
}

/// A log that grows.
pub struct LiveLog {
    file: Arc<File>,
    end: u64,
    lines: u64,
    /// How many lines were given, those that the quota left out included: where a sender continues.
    given: u64,
    bytes: u64,
    full: bool,
    marks: Vec<Mark>,
    steps: Vec<(u32, u64)>,
    tail: VecDeque<LogBlock>,
    tail_bytes: usize,
    quota: u64,
    /// What is packed already; nothing where everything is packed at the end.
    ahead: Option<Ahead>,
}

/// What was taken in.
pub struct Appended {
    /// How many lines the log has now.
    pub lines: u64,
    /// Where a sender continues.
    pub given: u64,
}

impl LiveLog {
    /// Begins a log. The file must not be there.
    pub fn create(path: &Path, attempt: &AttemptId, quota: u64) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let mut file = File::options().read(true).write(true).create_new(true).open(path)?;
        let head = write_head(attempt);
        file.write_all(&head)?;
        let ahead = Some(Ahead::new(path, head.len() as u64));
        Ok(Self { ahead, ..Self::empty(file, head.len() as u64, quota) })
    }

    /// Opens a log that a server left behind, and cuts off what was torn.
    pub fn reopen(path: &Path, quota: u64) -> io::Result<Self> {
        let mut file = File::options().read(true).write(true).open(path)?;
        let (_, head) = read_head(&mut file)?;
        remove_if_there(&path_beside(path))?;
        let mut log = Self::empty(file, head, quota);
        log.scan()?;
        log.file.set_len(log.end)?;
        Ok(log)
    }

    fn empty(file: File, end: u64, quota: u64) -> Self {
        Self {
            file: Arc::new(file),
            end,
            lines: 0,
            given: 0,
            bytes: 0,
            full: false,
            marks: Vec::new(),
            steps: Vec::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            quota,
            ahead: None,
        }
    }

    fn scan(&mut self) -> io::Result<()> {
        let mut reader = FrameReader::new(self.file.clone(), self.end, u64::MAX, 0);
        while let Some(block) = reader.next()? {
            self.note(&block, reader.offset);
        }
        self.given = self.lines;
        self.full = self.bytes >= self.quota;
        Ok(())
    }

    /// Takes a written block into the index; the file ends at `end` now.
    fn note(&mut self, block: &LogBlock, end: u64) {
        if self.marks.last().is_none_or(|mark| self.end - mark.offset >= INDEX_EVERY) {
            self.marks.push(Mark { line: block.first_line, offset: self.end });
        }
        if self.steps.last().is_none_or(|(step, _)| *step != block.step) {
            self.steps.push((block.step, block.first_line));
        }
        self.end = end;
        self.lines = block.end();
        self.bytes += block.text.len() as u64;
        self.tail_bytes += block.text.len();
        self.tail.push_back(block.clone());
        while self.tail_bytes > TAIL_BYTES_MAX && self.tail.len() > 1 {
            self.tail_bytes -= self.tail.pop_front().map_or(0, |oldest| oldest.text.len());
        }
    }

    /// Appends whole lines of one step. `first_line` says which line of the attempt's output it begins with, where the
    /// sender may repeat itself; lines that are there already are left out. `Err(None)` where lines are missing in between.
    pub fn append(
        &mut self,
        step: u32,
        at: Timestamp,
        first_line: Option<u64>,
        text: &Bytes,
    ) -> Result<Appended, Option<io::Error>> {
        let first_line = first_line.unwrap_or(self.given);
        if first_line > self.given {
            return Err(None);
        }
        let mut blocks = blocks_of(first_line, step, at, text);
        let given_end = blocks.last().map_or(self.given, LogBlock::end).max(self.given);
        blocks.retain(|block| block.end() > self.given);
        if let Some(first) = blocks.first_mut() {
            *first = first.clone().starting_at(self.given);
        }
        if !self.full {
            self.write(self.renumber(blocks), step, at).map_err(Some)?;
        }
        self.given = given_end;
        Ok(Appended { lines: self.lines, given: self.given })
    }

    /// Lines are counted as they are kept; that differs from how they were given once the quota left some out.
    fn renumber(&self, blocks: Vec<LogBlock>) -> Vec<LogBlock> {
        let mut line = self.lines;
        let renumbered = blocks.into_iter().map(|block| {
            let first_line = line;
            line += u64::from(block.count);
            LogBlock { first_line, ..block }
        });
        renumbered.collect()
    }

    fn write(&mut self, blocks: Vec<LogBlock>, step: u32, at: Timestamp) -> io::Result<()> {
        let mut kept = Vec::with_capacity(blocks.len());
        let mut bytes = self.bytes;
        let mut full = false;
        for block in blocks {
            bytes += block.text.len() as u64;
            if bytes > self.quota {
                full = true;
                break;
            }
            kept.push(block);
        }
        if full {
            let line = kept.last().map_or(self.lines, LogBlock::end);
            kept.extend(blocks_of(line, step, at, &self.notice().into()));
        }
        // A write that failed half way is overwritten by the next one: nothing beyond `end` is ever read.
        let mut ends = Vec::with_capacity(kept.len());
        let mut end = self.end;
        for block in &kept {
            write_at(&self.file, block, end)?;
            end += (HEAD + block.text.len()) as u64;
            ends.push(end);
        }
        for (block, end) in kept.iter().zip(ends) {
            self.note(block, end);
            self.pack_ahead();
        }
        self.full |= full;
        Ok(())
    }

    /// Packs what there is enough of. Where that fails the whole log is packed at its end, which tells why.
    fn pack_ahead(&mut self) {
        if let Some(ahead) = self.ahead.as_mut().filter(|ahead| ahead.is_due(self.end))
            && ahead.pack(&self.file, self.end).is_err()
        {
            self.ahead = None;
        }
    }

    /// Returns what packs the whole log: what is packed already, once, and a reader of the rest.
    pub fn packing(&mut self) -> Packing {
        match self.ahead.take() {
            Some(ahead) => {
                let rest = FrameReader::new(self.file.clone(), ahead.offset, self.end, ahead.line);
                let (packer, packed) = ahead.into_parts();
                Packing { packer, packed, rest }
            }
            None => Packing { packer: Packer::default(), packed: None, rest: self.reader(0) },
        }
    }

    fn notice(&self) -> String {
        format!("The log is longer than {} MiB; what was printed after this is not kept.\n", self.quota >> 20)
    }

    /// Syncs what was written to disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Returns how many lines it has.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Returns the line that a sender goes on with.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Returns how many bytes of text it has.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns each step with its first line, in the order in which they printed.
    pub fn steps(&self) -> &[(u32, u64)] {
        &self.steps
    }

    /// Returns the blocks from this line on, as far as they are in memory; nothing where older ones are asked for.
    pub fn in_memory(&self, line: u64) -> Option<Vec<LogBlock>> {
        let first = self.tail.front()?.first_line;
        if line < first {
            return None;
        }
        let begin = self.tail.partition_point(|block| block.end() <= line);
        Some(self.tail.range(begin..).cloned().collect())
    }

    /// Returns a reader that begins at or before this line.
    pub fn reader(&self, line: u64) -> FrameReader {
        let after = self.marks.partition_point(|mark| mark.line <= line);
        match after.checked_sub(1).and_then(|at| self.marks.get(at)) {
            Some(mark) => FrameReader::new(self.file.clone(), mark.offset, self.end, mark.line),
            None => FrameReader::new(self.file.clone(), self.end, self.end, self.lines),
        }
    }
}

/// Writes a block's frame: in one piece, where that is not worth more than the copy of it.
fn write_at(file: &File, block: &LogBlock, offset: u64) -> io::Result<()> {
    let head = head_of(block);
    if block.text.len() > COPIED_MAX {
        file.write_all_at(&head, offset)?;
        return file.write_all_at(&block.text, offset + HEAD as u64);
    }
    file.write_all_at(&[&head[..], &block.text].concat(), offset)
}

/// What makes a packed log of a live one.
pub struct Packing {
    /// What is to pack the rest.
    pub packer: Packer,
    /// What is packed already, from its beginning.
    pub packed: Option<File>,
    /// The rest.
    pub rest: FrameReader,
}

/// Removes a file; one that is not there is no error.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_head(attempt: &AttemptId) -> Vec<u8> {
    let name =
        format!("{}\n{}\n{}\n{}\n{}", attempt.repo, attempt.run, attempt.run_attempt, attempt.tried, attempt.job);
    let mut head = Vec::with_capacity(MAGIC.len() + 4 + name.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&u32::try_from(name.len()).expect("a name is shorter than 4 GiB").to_le_bytes());
    head.extend_from_slice(name.as_bytes());
    head
}

/// Returns whose log it is, and where its frames begin.
pub fn read_head(file: &mut File) -> io::Result<(AttemptId, u64)> {
    let foreign = || io::Error::new(io::ErrorKind::InvalidData, "this is no log of ours");
    let mut head = [0; 12];
    file.read_exact(&mut head)?;
    let length = u32::from_le_bytes(head[8..].try_into().expect("four bytes")) as usize;
    if head[..8] != MAGIC[..] || length > NAME_MAX {
        return Err(foreign());
    }
    let mut name = vec![0; length];
    file.read_exact(&mut name)?;
    let name = String::from_utf8(name).map_err(|_| foreign())?;
    let attempt = parse_name(&name).ok_or_else(foreign)?;
    Ok((attempt, (head.len() + length) as u64))
}

fn parse_name(name: &str) -> Option<AttemptId> {
    let mut parts = name.splitn(5, '\n');
    Some(AttemptId {
        repo: RepoId(parts.next()?.parse().ok()?),
        run: RunNumber(parts.next()?.parse().ok()?),
        run_attempt: parts.next()?.parse().ok()?,
        tried: parts.next()?.parse().ok()?,
        job: JobKey::from(parts.next()?),
    })
}

/// Reads frames one after the other, a megabyte at a time. Ends at `end`, or where the file is torn.
pub struct FrameReader {
    file: Arc<File>,
    /// Where the next frame begins.
    pub offset: u64,
    end: u64,
    line: u64,
    buffer: Bytes,
}

impl FrameReader {
    fn new(file: Arc<File>, offset: u64, end: u64, line: u64) -> Self {
        Self { file, offset, end, line, buffer: Bytes::new() }
    }

    /// Returns the next block.
    pub fn next(&mut self) -> io::Result<Option<LogBlock>> {
        loop {
            match read_frame(&self.buffer, self.line) {
                Framed::Whole(block, length) => {
                    self.buffer = self.buffer.slice(length..);
                    self.offset += length as u64;
                    self.line = block.end();
                    return Ok(Some(block));
                }
                Framed::Torn => return Ok(None),
                Framed::Part(needed) if !self.fill(needed)? => return Ok(None),
                Framed::Part(_) => {}
            }
        }
    }

    /// Reads on, so that at least `needed` bytes are there; false where the file ends before.
    fn fill(&mut self, needed: usize) -> io::Result<bool> {
        debug_assert!(needed <= HEAD + TEXT_MAX + 1, "frames are bounded");
        let wanted = usize::try_from(READ_BYTES.min(self.end - self.offset)).unwrap_or(usize::MAX);
        if wanted < needed {
            return Ok(false);
        }
        let mut bytes = vec![0; wanted];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.file.read_at(&mut bytes[filled..], self.offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        self.buffer = bytes.into();
        Ok(filled >= needed)
    }
}
