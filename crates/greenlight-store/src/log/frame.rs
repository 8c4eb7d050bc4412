//! Blocks of lines, and how they stand in a file.

use bytes::Bytes;
use flate2::Crc;
use greenlight_core::time::Timestamp;

/// How long a frame's head is: length, sum, step, lines, time.
pub const HEAD: usize = 4 + 4 + 4 + 4 + 8;

/// The longest text of one frame; longer blocks become several.
pub const TEXT_MAX: usize = 256 << 10;

/// Whole lines of one step that were printed at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBlock {
    /// The number of the first line within the log, from 0.
    pub first_line: u64,
    /// The step that printed them.
    pub step: u32,
    /// When.
    pub at: Timestamp,
    /// How many.
    pub count: u32,
    /// The lines, each with its line feed.
    pub text: Bytes,
}

/// One line of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// Its number within the log, from 0.
    pub number: u64,
    /// The step that printed it.
    pub step: u32,
    /// When.
    pub at: Timestamp,
    /// The line without its line feed; perhaps not UTF-8.
    pub text: &'a [u8],
}

impl LogBlock {
    /// Returns the lines one by one.
    pub fn lines(&self) -> impl Iterator<Item = LogLine<'_>> {
        let lines = self.text.strip_suffix(b"\n").unwrap_or(&self.text).split(|byte| *byte == b'\n');
        (self.first_line..)
            .zip(lines)
            .take(usize::try_from(self.count).unwrap_or(usize::MAX))
            .map(|(number, text)| LogLine { number, step: self.step, at: self.at, text })
    }

    /// Returns the number of the line after the last.
    pub fn end(&self) -> u64 {
        self.first_line + u64::from(self.count)
    }

    /// Returns the block without the lines before this one; the text is shared, not copied.
    pub fn starting_at(mut self, line: u64) -> Self {
        let skipped = u32::try_from(line.saturating_sub(self.first_line)).unwrap_or(u32::MAX).min(self.count);
        if skipped > 0 {
            let cut = end_of_line(&self.text, skipped);
            self.text = self.text.slice(cut..);
            self.first_line += u64::from(skipped);
            self.count -= skipped;
        }
        self
    }

    /// Returns the block with at most this many lines.
    pub fn up_to(mut self, count: u32) -> Self {
        if count < self.count {
            let cut = end_of_line(&self.text, count);
            self.text = self.text.slice(..cut);
            self.count = count;
        }
        self
    }
}

/// Splits text into blocks that fit into frames, on lines' ends where there are any. A last line without its line feed gets one.
/// The text is shared, not copied.
pub fn blocks_of(first_line: u64, step: u32, at: Timestamp, text: &Bytes) -> Vec<LogBlock> {
    let mut blocks = Vec::new();
    let mut rest = text.clone();
    let mut first_line = first_line;
    while !rest.is_empty() {
        let mut text = rest.split_to(cut_of(&rest));
        if !text.ends_with(b"\n") {
            text = [&text[..], b"\n"].concat().into();
        }
        let count = count_lines(&text);
        blocks.push(LogBlock { first_line, step, at, count, text });
        first_line += u64::from(count);
    }
    blocks
}

fn cut_of(text: &[u8]) -> usize {
    if text.len() <= TEXT_MAX {
        return text.len();
    }
    match memchr::memrchr(b'\n', &text[..TEXT_MAX]) {
        Some(end) => end + 1,
        // One line that is longer than a frame goes on in the next line.
        None => TEXT_MAX,
    }
}

/// Returns where so many lines end.
fn end_of_line(text: &[u8], count: u32) -> usize {
    memchr::memchr_iter(b'\n', text).take(count as usize).last().map_or(0, |end| end + 1)
}

fn count_lines(text: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', text).count()).expect("a frame is shorter than 4 GiB")
}

/// What a frame's head says of its block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How long the text is.
    pub length: usize,
    /// The step that printed it.
    pub step: u32,
    /// How many lines it has.
    pub count: u32,
}

impl Head {
    /// Returns the head of a block.
    pub fn of(block: &LogBlock) -> Self {
        Self { length: block.text.len(), step: block.step, count: block.count }
    }

    /// Reads the head of the frame at the beginning of the bytes, which is one of ours.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().map(Self::in_front)
    }

    fn in_front(head: &[u8; HEAD]) -> Self {
        Self { length: word(head, 0) as usize, step: word(head, 8), count: word(head, 12) }
    }
}

fn word(head: &[u8; HEAD], at: usize) -> u32 {
    u32::from_le_bytes(head[at..at + 4].try_into().expect("four bytes"))
}

/// Returns the head of the block's frame; the text follows it.
pub fn head_of(block: &LogBlock) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let length = u32::try_from(block.text.len()).expect("a frame is shorter than 4 GiB");
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[8..12].copy_from_slice(&block.step.to_le_bytes());
    head[12..16].copy_from_slice(&block.count.to_le_bytes());
    head[16..].copy_from_slice(&block.at.as_millis().to_le_bytes());
    let sum = sum_of(&head[8..], &block.text);
    head[4..8].copy_from_slice(&sum.to_le_bytes());
    head
}

/// Appends the block's frame.
pub fn write_frame(out: &mut Vec<u8>, block: &LogBlock) {
    out.extend_from_slice(&head_of(block));
    out.extend_from_slice(&block.text);
}

/// What stands at the beginning of some bytes.
pub enum Framed {
    /// A whole frame, and how long it is. Its `first_line` is the caller's to know.
    Whole(LogBlock, usize),
    /// The beginning of one: more bytes are needed, this many in all.
    Part(usize),
    /// Nothing that was written here: a torn end.
    Torn,
}

/// Reads one frame off the beginning of the bytes.
pub fn read_frame(bytes: &Bytes, first_line: u64) -> Framed {
    let Some(head) = bytes.first_chunk::<HEAD>() else { return Framed::Part(HEAD) };
    let Head { length, step, count } = Head::in_front(head);
    if length == 0 || length > TEXT_MAX + 1 {
        return Framed::Torn;
    }
    let end = HEAD + length;
    if bytes.len() < end {
        return Framed::Part(end);
    }
    if sum_of(&head[8..], &bytes[HEAD..end]) != word(head, 4) {
        return Framed::Torn;
    }
    let at = Timestamp::from_millis(i64::from_le_bytes(head[16..24].try_into().expect("eight bytes")));
    let block = LogBlock { first_line, step, at, count, text: bytes.slice(HEAD..end) };
    Framed::Whole(block, end)
}

fn sum_of(head: &[u8], text: &[u8]) -> u32 {
    let mut sum = Crc::new();
    sum.update(head);
    sum.update(text);
    sum.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    #[test]
    fn a_frame_comes_back_and_a_torn_one_is_known() {
        let [block] = &blocks_of(7, 2, at(), &Bytes::from_static(b"one\ntwo")).try_into().unwrap() as &[LogBlock; 1];
        assert_eq!((block.count, &block.text[..]), (2, &b"one\ntwo\n"[..]));
        let mut written = Vec::new();
        write_frame(&mut written, block);
        let bytes = Bytes::from(written.clone());
        assert!(matches!(read_frame(&bytes, 7), Framed::Whole(read, end) if read == *block && end == bytes.len()));
        for cut in 0..written.len() {
            assert!(matches!(read_frame(&bytes.slice(..cut), 7), Framed::Part(_)), "{cut}");
        }
        for at in 0..written.len() {
            let mut torn = written.clone();
            torn[at] ^= 0x55;
            assert!(!matches!(read_frame(&torn.into(), 7), Framed::Whole(..)), "{at}");
        }
    }

    #[test]
    fn long_text_becomes_several_blocks_and_loses_nothing() {
        let text: String = (0..60_000).map(|number| format!("line {number}\n")).collect();
        let blocks = blocks_of(0, 0, at(), &text.into());
        assert!(blocks.len() > 1);
        let lines: Vec<_> = blocks.iter().flat_map(LogBlock::lines).collect();
        assert_eq!(lines.len(), 60_000);
        assert!(
            lines
                .iter()
                .zip(0..)
                .all(|(line, number)| line.number == number && line.text == format!("line {number}").as_bytes())
        );
        let endless = Bytes::from(vec![b'x'; TEXT_MAX * 2 + 10]);
        assert_eq!(blocks_of(0, 0, at(), &endless).iter().map(|block| block.count).sum::<u32>(), 3);
    }

    #[test]
    fn a_block_is_cut_at_lines() {
        let block = blocks_of(10, 0, at(), &Bytes::from_static(b"a\n\nb\nc\n")).remove(0);
        let middle = block.clone().starting_at(11).up_to(2);
        assert_eq!(
            middle.lines().map(|line| (line.number, line.text)).collect::<Vec<_>>(),
            [(11, &b""[..]), (12, b"b")]
        );
        assert_eq!(block.clone().starting_at(14).count, 0);
        assert_eq!(block.clone().starting_at(3), block);
    }
}
