//! Scalars: plain and quoted ones of one line, and blocks.

use std::borrow::Cow;

use saphyr_parser::ScalarStyle;

use super::Direct;
use crate::finding::Span;

/// The letters at which a plain scalar of a block may end.
const MAY_END_PLAIN: [bool; 256] = {
    let mut may = [false; 256];
    may[b'\n' as usize] = true;
    may[b':' as usize] = true;
    may[b'#' as usize] = true;
    may
};

/// The letters that a plain scalar cannot begin with.
const STARTS_NO_PLAIN: [bool; 256] = {
    let mut starts_none = [false; 256];
    let letters = b",[]{}#&*!|>'\"%@`\n";
    let mut at = 0;
    while at < letters.len() {
        starts_none[letters[at] as usize] = true;
        at += 1;
    }
    starts_none
};

/// A scalar that has been read and not yet been taken in.
pub(super) struct Scalar<'a> {
    pub text: Cow<'a, str>,
    pub style: ScalarStyle,
    pub span: Span,
}

impl<'a> Direct<'a> {
    /// Reads a plain or quoted scalar of a block; what stands behind it is a line end or a colon.
    pub(super) fn scalar(&mut self) -> Option<Scalar<'a>> {
        match self.bytes[self.at] {
            b'\'' | b'"' => self.quoted(),
            _ => self.plain(),
        }
    }

    fn plain(&mut self) -> Option<Scalar<'a>> {
        self.check_plain_start(|byte| matches!(byte, b' ' | b'\n'))?;
        let start = self.at;
        let mut at = start;
        loop {
            // Few letters can end it, and most lines have none of them.
            at += self.bytes[at..].iter().take_while(|byte| !MAY_END_PLAIN[usize::from(**byte)]).count();
            match self.bytes[at] {
                b'\n' => break,
                b':' if matches!(self.bytes[at + 1], b' ' | b'\n') => break,
                b'#' if self.bytes[at - 1] == b' ' => break,
                _ => at += 1,
            }
        }
        let blanks = self.bytes[start..at].iter().rev().take_while(|byte| **byte == b' ').count();
        let end = at - blanks;
        let scalar = self.scalar_of(start, end);
        self.at = if self.bytes[at] == b':' { at } else { end };
        Some(scalar)
    }

    /// A plain scalar begins with no indicator, but for dashes, question marks and colons with a letter behind them.
    pub(super) fn check_plain_start(&self, ends: fn(u8) -> bool) -> Option<()> {
        let may_start = match self.bytes[self.at] {
            b'-' | b'?' | b':' => !ends(self.bytes[self.at + 1]),
            first => !STARTS_NO_PLAIN[usize::from(first)],
        };
        may_start.then_some(())
    }

    /// Returns the plain scalar between two places of this line.
    pub(super) fn scalar_of(&mut self, start: usize, end: usize) -> Scalar<'a> {
        let (column, end_column) = (self.column(start), self.column(end));
        let span = Span { line: self.line, column, end_line: self.line, end_column };
        Scalar { text: Cow::Borrowed(&self.text[start..end]), style: ScalarStyle::Plain, span }
    }

    /// Reads a scalar in quotes, with the blanks and the comment behind it, which the scanner counts as part of it.
    pub(super) fn quoted(&mut self) -> Option<Scalar<'a>> {
        let start = self.place();
        let (text, style) = match self.bytes[self.at] {
            b'\'' => (self.single_quoted()?, ScalarStyle::SingleQuoted),
            _ => (self.double_quoted()?, ScalarStyle::DoubleQuoted),
        };
        self.skip_blanks_and_comment()?;
        let span = Span { end_column: self.column(self.at), ..start };
        Some(Scalar { text, style, span })
    }

    fn single_quoted(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at + 1;
        let mut at = start;
        let mut has_quotes = false;
        loop {
            match self.bytes[at] {
                b'\n' => return None,
                b'\'' if self.bytes[at + 1] == b'\'' => {
                    has_quotes = true;
                    at += 2;
                }
                b'\'' => break,
                _ => at += 1,
            }
        }
        self.at = at + 1;
        let text = &self.text[start..at];
        Some(if has_quotes { Cow::Owned(text.replace("''", "'")) } else { Cow::Borrowed(text) })
    }

    fn double_quoted(&mut self) -> Option<Cow<'a, str>> {
        let mut start = self.at + 1;
        let mut at = start;
        let mut unescaped = String::new();
        loop {
            match self.bytes[at] {
                b'\n' => return None,
                b'\\' => {
                    let letter = match self.bytes[at + 1] {
                        b'n' => '\n',
                        b't' => '\t',
                        letter @ (b'"' | b'\\' | b'/') => char::from(letter),
                        _ => return None,
                    };
                    unescaped.push_str(&self.text[start..at]);
                    unescaped.push(letter);
                    at += 2;
                    start = at;
                }
                b'"' => break,
                _ => at += 1,
            }
        }
        let rest = &self.text[start..at];
        self.at = at + 1;
        if unescaped.is_empty() {
            return Some(Cow::Borrowed(rest));
        }
        unescaped.push_str(rest);
        Some(Cow::Owned(unescaped))
    }

    /// Reads a block that belongs to a key or dash of this column, and goes to what comes behind it.
    pub(super) fn block(&mut self, column: usize) -> Option<()> {
        let header = self.place();
        let style = if self.bytes[self.at] == b'|' { ScalarStyle::Literal } else { ScalarStyle::Folded };
        self.at += 1;
        let chomping = match self.bytes[self.at] {
            chomping @ (b'-' | b'+') => {
                self.at += 1;
                chomping
            }
            _ => b' ',
        };
        self.skip_blanks();
        if self.bytes[self.at] != b'\n' {
            return None;
        }
        self.new_line(self.at + 1);
        let text = self.block_text(column, style, chomping)?;
        let end = self.place();
        let span = Span { end_line: end.line, end_column: end.column, ..header };
        self.take(&Scalar { text: Cow::Owned(text), style, span })?;
        self.next_content()?;
        (self.is_at_end() || self.indent() <= column).then_some(())
    }

    /// Reads a block's lines and goes to the first letter behind them.
    fn block_text(&mut self, column: usize, style: ScalarStyle, chomping: u8) -> Option<String> {
        // How many line ends came since the last line that has something.
        let mut breaks = self.leading_breaks(column)?;
        let indent = self.indent();
        let mut text = String::new();
        loop {
            let end = self.line_end();
            if text.is_empty() || style == ScalarStyle::Literal || breaks > 1 {
                let joint = usize::from(style == ScalarStyle::Folded && !text.is_empty());
                text.extend(std::iter::repeat_n('\n', breaks - joint));
            } else {
                text.push(' ');
            }
            if style == ScalarStyle::Folded && self.bytes[self.at] == b' ' {
                return None;
            }
            text.push_str(&self.text[self.at..end]);
            self.new_line(end + 1);
            breaks = 1;
            while self.skip_indent(indent) && self.bytes[self.at] == b'\n' {
                self.new_line(self.at + 1);
                breaks += 1;
            }
            if self.is_at_end() || self.indent() < indent {
                break;
            }
        }
        match chomping {
            b'-' => {}
            b'+' => text.extend(std::iter::repeat_n('\n', breaks)),
            _ => text.push('\n'),
        }
        Some(text)
    }

    /// Goes to the first line that has something, which says how far a block is indented; returns how many have nothing.
    fn leading_breaks(&mut self, column: usize) -> Option<usize> {
        let (mut breaks, mut blanks_max) = (0, 0);
        loop {
            self.skip_blanks();
            if self.is_at_end() {
                return None;
            }
            if self.bytes[self.at] != b'\n' {
                return (self.indent() > column && blanks_max <= self.indent()).then_some(breaks);
            }
            blanks_max = blanks_max.max(self.indent());
            self.new_line(self.at + 1);
            breaks += 1;
        }
    }

    /// Goes over at most so many blanks; says whether there is anything behind them.
    fn skip_indent(&mut self, indent: usize) -> bool {
        while self.indent() < indent && self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        !self.is_at_end()
    }
}
