//! The YAML that workflows are written in, read straight into the tree without tokens in between: mappings and lists by
//! indentation, scalars of one line, blocks, brackets. It is a way around the scanner, several times as quick, and no second
//! opinion: at whatever it is not sure of (anchors, tags, texts over several lines, tabs, anything wrong) it gives up, and the
//! scanner reads the file from its start. What it does read it reads exactly as the scanner would, place for place; the tests
//! hold one against the other.

mod flow;
mod scalar;

use saphyr_parser::ScalarStyle;

use super::builder::{Builder, Collection};
use super::{Limits, Node, Reading};
use crate::finding::Span;
use scalar::Scalar;

/// How many bytes of a key are read here; the scanner knows keys of at most 1,024 characters.
const KEY_BYTES_MAX: usize = 1_000;

/// Returns what the scanner would make of a text, or None where that is not known.
pub(super) fn read(text: &str, limits: &Limits) -> Option<Reading> {
    if !text.ends_with('\n') || has_control(text.as_bytes()) || text.contains('\u{feff}') {
        return None;
    }
    let mut direct = Direct {
        text,
        bytes: text.as_bytes(),
        builder: Builder::new(text, limits),
        at: 0,
        line: 1,
        line_start: 0,
        is_ascii: text.is_ascii(),
        counted: (0, 0),
        has_plain_in_brackets: false,
    };
    let node = direct.document()?;
    direct.builder.into_reading(node)
}

/// Says whether there is a tab, a carriage return or another control character. All bytes are looked at: that is quicker than
/// to ask after each whether to go on.
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, byte| found | ((*byte < b' ') & (*byte != b'\n')) | (*byte == 0x7f))
}

/// A way through a text. Every step returns None where it is not sure.
struct Direct<'a> {
    text: &'a str,
    bytes: &'a [u8],
    builder: Builder<'a>,
    at: usize,
    line: u32,
    line_start: usize,
    is_ascii: bool,
    /// The last place of this line whose column was asked for, and how many characters are before it.
    counted: (usize, u32),
    /// Whether a plain scalar came since the outermost bracket; the scanner lets brackets end further left then.
    has_plain_in_brackets: bool,
}

impl<'a> Direct<'a> {
    fn document(&mut self) -> Option<Node> {
        self.skip_start()?;
        self.next_content()?;
        if self.is_at_end() {
            return None;
        }
        let root = self.collection()?;
        root.filter(|_| self.is_at_end())
    }

    /// Goes over a first line `---`.
    fn skip_start(&mut self) -> Option<()> {
        if self.text.starts_with("---") {
            self.at = 3;
            self.skip_blanks_and_comment()?;
            if self.bytes[self.at] != b'\n' {
                return None;
            }
            self.new_line(self.at + 1);
        }
        Some(())
    }

    /// Reads the list or mapping that begins here; returns it where it is the root.
    fn collection(&mut self) -> Option<Option<Node>> {
        if self.is_entry() {
            return self.sequence(self.indent(), false);
        }
        let column = self.indent();
        let key = self.key()?;
        self.mapping(column, key)
    }

    /// Reads a mapping whose first key has been read, up to its colon.
    fn mapping(&mut self, column: usize, first: Scalar<'a>) -> Option<Option<Node>> {
        let start = Span { end_line: first.span.line, end_column: first.span.column, ..first.span };
        self.builder.open(start, 0, None, Collection::Mapping).ok()?;
        let mut key = first;
        loop {
            self.take(&key)?;
            self.value(column)?;
            match self.indent() {
                _ if self.is_at_end() => break,
                indent if indent < column => break,
                indent if indent == column && !self.is_entry() => key = self.key()?,
                _ => return None,
            }
        }
        self.close()
    }

    /// Reads what is behind the colon that stands here, which belongs to a key of this column.
    fn value(&mut self, column: usize) -> Option<()> {
        let colon = self.place();
        self.at += 1;
        self.skip_blanks();
        if !matches!(self.bytes[self.at], b'\n' | b'#') {
            return self.inline(column);
        }
        self.finish_line()?;
        let indent = self.indent();
        if self.is_at_end() || indent < column || (indent == column && !self.is_entry()) {
            self.take_nothing(colon)
        } else if indent == column {
            self.sequence(column, true).map(drop)
        } else {
            self.collection().map(drop)
        }
    }

    /// Reads a list whose dashes stand in this column: that of the key it belongs to, or one of its own.
    fn sequence(&mut self, column: usize, is_indentless: bool) -> Option<Option<Node>> {
        let mut is_open = false;
        loop {
            let dash = self.place();
            self.at += 1;
            let blanks = self.at;
            self.skip_blanks_and_comment()?;
            let behind = self.place();
            if !is_open {
                let start = if is_indentless { behind } else { dash };
                self.builder.open(start, 0, None, Collection::Sequence).ok()?;
                is_open = true;
            }
            if self.bytes[self.at] == b'\n' {
                self.finish_line()?;
                if self.is_at_end() || self.indent() <= column {
                    self.take_nothing(behind)?;
                } else {
                    self.collection()?;
                }
            } else {
                debug_assert!(self.at > blanks, "a dash has a blank behind it");
                self.item(column)?;
            }
            match self.indent() {
                _ if self.is_at_end() => break,
                indent if indent < column => break,
                indent if indent == column && self.is_entry() => {}
                indent if indent == column && is_indentless => break,
                _ => return None,
            }
        }
        self.close()
    }

    /// Reads what stands on the line of a dash.
    fn item(&mut self, column: usize) -> Option<()> {
        if self.is_entry() {
            return self.sequence(self.indent(), false).map(drop);
        }
        if matches!(self.bytes[self.at], b'[' | b'{' | b'|' | b'>') {
            return self.inline(column);
        }
        let indent = self.indent();
        let scalar = self.scalar()?;
        if self.is_colon() {
            return self.mapping(indent, scalar).map(drop);
        }
        self.take(&scalar)?;
        self.finish_within(column)
    }

    /// Reads a value that begins on the line of its key or dash, which stands in this column.
    fn inline(&mut self, column: usize) -> Option<()> {
        match self.bytes[self.at] {
            b'|' | b'>' => return self.block(column),
            b'[' | b'{' => {
                self.has_plain_in_brackets = false;
                self.brackets(column)?;
            }
            _ => {
                let scalar = self.scalar()?;
                if self.is_colon() {
                    return None;
                }
                self.take(&scalar)?;
            }
        }
        self.finish_within(column)
    }

    /// Reads a key, up to its colon.
    fn key(&mut self) -> Option<Scalar<'a>> {
        let start = self.at;
        let scalar = self.scalar()?;
        (self.is_colon() && self.at - start <= KEY_BYTES_MAX).then_some(scalar)
    }

    /// Takes in a scalar.
    fn take(&mut self, scalar: &Scalar<'_>) -> Option<()> {
        self.builder.plain_scalar(&scalar.text, scalar.style, scalar.span)
    }

    /// Takes in the value that is left out behind a colon or dash.
    fn take_nothing(&mut self, before: Span) -> Option<()> {
        let column = before.column + 1;
        let span = Span { column, end_column: column, ..before };
        self.builder.plain_scalar("", ScalarStyle::Plain, span)
    }

    fn close(&mut self) -> Option<Option<Node>> {
        let end = self.place();
        self.builder.close(end).ok()
    }

    /// Goes on behind a value that ends on this line. What comes next is indented no more than what the value belongs to:
    /// the scanner would take it for more of the value.
    fn finish_within(&mut self, column: usize) -> Option<()> {
        self.finish_line()?;
        (self.is_at_end() || self.indent() <= column).then_some(())
    }

    /// Goes to what comes behind this line, of which nothing is left but blanks and a comment.
    fn finish_line(&mut self) -> Option<()> {
        self.skip_blanks_and_comment()?;
        if self.bytes[self.at] != b'\n' {
            return None;
        }
        self.new_line(self.at + 1);
        self.next_content()
    }

    /// Goes from the start of a line to the next letter that is neither blank nor in a comment.
    fn next_content(&mut self) -> Option<()> {
        loop {
            self.skip_blanks();
            match self.bytes.get(self.at) {
                Some(b'\n') => self.new_line(self.at + 1),
                Some(b'#') => self.new_line(self.line_end() + 1),
                Some(_) if self.is_marker() => return None,
                _ => return Some(()),
            }
        }
    }

    fn skip_blanks(&mut self) {
        while self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
    }

    /// A comment has a blank before it.
    fn skip_blanks_and_comment(&mut self) -> Option<()> {
        let start = self.at;
        self.skip_blanks();
        if self.bytes[self.at] == b'#' {
            if self.at == start {
                return None;
            }
            self.at = self.line_end();
        }
        Some(())
    }

    fn new_line(&mut self, at: usize) {
        self.at = at;
        self.line += 1;
        self.line_start = at;
        self.counted = (at, 0);
    }

    /// Returns where the line that goes on here has its line end.
    fn line_end(&self) -> usize {
        self.at + self.text[self.at..].find('\n').expect("the text ends with a line end")
    }

    /// Returns how many characters are before this one in its line, where they are blanks and dashes.
    fn indent(&self) -> usize {
        self.at - self.line_start
    }

    fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// Says whether a dash of a list stands here.
    fn is_entry(&self) -> bool {
        self.bytes[self.at] == b'-' && matches!(self.bytes[self.at + 1], b' ' | b'\n')
    }

    /// Says whether the colon of a key stands here.
    fn is_colon(&self) -> bool {
        self.bytes[self.at] == b':' && matches!(self.bytes[self.at + 1], b' ' | b'\n')
    }

    /// Says whether a directive or the start or end of a document stands here.
    fn is_marker(&self) -> bool {
        let rest = &self.bytes[self.at..];
        self.at == self.line_start && (rest.starts_with(b"---") || rest.starts_with(b"...") || rest.starts_with(b"%"))
    }

    /// Returns the place of what stands here.
    fn place(&mut self) -> Span {
        let column = self.column(self.at);
        Span { line: self.line, column, end_line: self.line, end_column: column }
    }

    /// Returns the column of a place in this line.
    #[inline]
    fn column(&mut self, at: usize) -> u32 {
        if self.is_ascii { (at - self.line_start) as u32 + 1 } else { self.counted_column(at) }
    }

    fn counted_column(&mut self, at: usize) -> u32 {
        let (from, before) = if self.counted.0 <= at { self.counted } else { (self.line_start, 0) };
        let count = before + self.text[from..at].chars().count() as u32;
        self.counted = (at, count);
        count + 1
    }
}

#[cfg(test)]
mod tests;
