//! Pages: what is read of a log at once, bounded by lines and by bytes.

use std::io;

use super::frame::{LogBlock, LogLine};
use super::live::FrameReader;

/// The most lines of one page.
const LINES_MAX: usize = 20_000;

/// The most text of one page, about.
const BYTES_MAX: usize = 2 << 20;

/// A stretch of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// The lines, in blocks whose text is shared with whoever else reads them.
    pub blocks: Vec<LogBlock>,
    /// The line to go on with.
    pub next: u64,
    /// Does nothing come after this page, now or ever?
    pub finished: bool,
}

impl LogPage {
    /// Returns the lines one by one.
    pub fn lines(&self) -> impl Iterator<Item = LogLine<'_>> {
        self.blocks.iter().flat_map(LogBlock::lines)
    }
}

/// How large a log is, and where its steps begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogShape {
    /// How many lines.
    pub lines: u64,
    /// How many bytes of text.
    pub bytes: u64,
    /// Each step with its first line, in the order in which they printed.
    pub steps: Vec<(u32, u64)>,
    /// Does nothing more come?
    pub finished: bool,
}

/// Reads a page from the file of a running attempt.
pub async fn read_file(mut reader: FrameReader, from: u64, limit: usize) -> io::Result<LogPage> {
    let read = tokio::task::spawn_blocking(move || {
        let mut pager = Pager::new(from, limit);
        while !pager.full
            && let Some(block) = reader.next()?
        {
            pager.add(block);
        }
        Ok(pager.page())
    });
    read.await.expect("reading does not panic")
}

/// Gathers blocks until a page is full.
pub struct Pager {
    blocks: Vec<LogBlock>,
    /// The line that comes next.
    pub next: u64,
    left: usize,
    bytes: usize,
    /// Does nothing more fit?
    pub full: bool,
}

impl Pager {
    /// Begins with this line; `limit` is the page's own bound where that is less.
    pub fn new(from: u64, limit: usize) -> Self {
        Self { blocks: Vec::new(), next: from, left: limit.min(LINES_MAX), bytes: 0, full: limit == 0 }
    }

    /// Adds those of a block's lines that belong to the page.
    pub fn add(&mut self, block: LogBlock) {
        if self.full || block.end() <= self.next {
            return;
        }
        let block = block.starting_at(self.next).up_to(u32::try_from(self.left).unwrap_or(u32::MAX));
        self.next = block.end();
        self.left -= usize::try_from(block.count).unwrap_or(usize::MAX).min(self.left);
        self.bytes += block.text.len();
        self.full = self.left == 0 || self.bytes >= BYTES_MAX;
        self.blocks.push(block);
    }

    /// Adds blocks, and returns the page.
    pub fn fill(mut self, blocks: Vec<LogBlock>) -> LogPage {
        for block in blocks {
            self.add(block);
        }
        self.page()
    }

    /// Returns the page.
    pub fn page(self) -> LogPage {
        LogPage { blocks: self.blocks, next: self.next, finished: false }
    }
}
