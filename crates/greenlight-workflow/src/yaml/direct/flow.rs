//! Lists and mappings in brackets.

use super::Direct;
use super::scalar::Scalar;
use crate::yaml::builder::Collection;

impl<'a> Direct<'a> {
    /// Reads what stands in brackets here, with the blanks and the comment behind it. It belongs to a key or dash of this
    /// column.
    pub(super) fn brackets(&mut self, column: usize) -> Option<()> {
        let is_list = self.bytes[self.at] == b'[';
        let (end, kind) = match is_list {
            true => (b']', Collection::Sequence),
            false => (b'}', Collection::Mapping),
        };
        let start = self.place();
        self.builder.open(start, 0, None, kind).ok()?;
        self.at += 1;
        self.skip_lines(column)?;
        while self.bytes[self.at] != end {
            if is_list { self.flow_node(column) } else { self.pair(column) }?;
            self.skip_lines(column)?;
            if self.bytes[self.at] == b',' {
                self.at += 1;
                self.skip_lines(column)?;
                // The scanner ends a mapping at its last comma then.
                if !is_list && self.bytes[self.at] == end {
                    return None;
                }
            } else if self.bytes[self.at] != end {
                return None;
            }
        }
        let end = self.place();
        self.at += 1;
        self.skip_blanks_and_comment()?;
        let end_column = self.column(self.at);
        self.builder.close(crate::finding::Span { end_column, ..end }).ok().map(drop)
    }

    fn pair(&mut self, column: usize) -> Option<()> {
        let key = self.flow_scalar(column)?;
        self.skip_blanks();
        if !self.is_colon() {
            return None;
        }
        self.take(&key)?;
        self.at += 1;
        self.skip_lines(column)?;
        self.flow_node(column)
    }

    fn flow_node(&mut self, column: usize) -> Option<()> {
        if matches!(self.bytes[self.at], b'[' | b'{') {
            return self.brackets(column);
        }
        let scalar = self.flow_scalar(column)?;
        self.take(&scalar)
    }

    fn flow_scalar(&mut self, column: usize) -> Option<Scalar<'a>> {
        if matches!(self.bytes[self.at], b'\'' | b'"') {
            let scalar = self.quoted()?;
            return matches!(self.bytes[self.at], b',' | b']' | b'}' | b':' | b'\n').then_some(scalar);
        }
        self.check_plain_start(ends_plain)?;
        if self.indent() <= column {
            return None;
        }
        self.has_plain_in_brackets = true;
        let start = self.at;
        let (mut at, mut end) = (start, start);
        loop {
            let (byte, next) = (self.bytes[at], self.bytes.get(at + 1).copied().unwrap_or(b'\n'));
            match byte {
                b'\n' | b',' | b'[' | b']' | b'{' | b'}' => break,
                b':' if ends_plain(next) => break,
                b'#' | b'-' if self.bytes[at - 1] == b' ' && (byte == b'#' || ends_plain(next)) => return None,
                b' ' => {}
                _ => end = at + 1,
            }
            at += 1;
        }
        let scalar = self.scalar_of(start, end);
        self.at = at;
        Some(scalar)
    }

    /// Goes over blanks, comments and line ends between brackets. What stands on a line of its own is indented more than what
    /// the brackets belong to; the bracket that ends may stand in the same column behind a plain scalar.
    fn skip_lines(&mut self, column: usize) -> Option<()> {
        let line = self.line;
        loop {
            match *self.bytes.get(self.at)? {
                b' ' => self.at += 1,
                b'\n' => self.new_line(self.at + 1),
                b'#' if self.at == self.line_start || self.bytes[self.at - 1] == b' ' => self.at = self.line_end(),
                b']' | b'}' if self.has_plain_in_brackets && self.indent() == column => return Some(()),
                _ => return (self.line == line || self.indent() > column).then_some(()),
            }
        }
    }
}

/// Says whether a colon or dash before this ends a plain scalar.
fn ends_plain(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b',' | b'[' | b']' | b'{' | b'}')
}
