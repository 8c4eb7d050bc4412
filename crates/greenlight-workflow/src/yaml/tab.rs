//! Tabs where blanks have to stand. YAML indents with blanks only; the scanner lets some tabs pass that GitHub does not.
//!
//! Whatever a file looks like, asking about each of its nodes takes no longer than reading it once more: what a line begins
//! with is counted once, and a letter is looked for from where the last one of its line was.

use std::cell::Cell;

use crate::finding::Span;

/// The lines of a text that has tabs.
pub(super) struct Tabs<'a> {
    lines: Vec<Line<'a>>,
    /// Where the last letter was that was asked for; nodes come in the order of the text.
    last: Cell<Place>,
}

struct Line<'a> {
    text: &'a str,
    /// How many blanks it begins with.
    blanks: usize,
    /// How many blanks and tabs it begins with.
    indent: usize,
    /// How much of it is blanks, tabs and the dashes of lists, and where the first tab in that is.
    lead: usize,
    tab: Option<usize>,
}

#[derive(Clone, Copy, Default)]
struct Place {
    line: u32,
    column: u32,
    byte: usize,
}

impl<'a> Tabs<'a> {
    /// Returns the lines of a text; None where it has no tab.
    pub fn of(text: &'a str) -> Option<Tabs<'a>> {
        text.contains('\t').then(|| Tabs { lines: text.lines().map(Line::new).collect(), last: Cell::default() })
    }

    /// Says whether a tab stands between the start of the line and what begins here, and nothing else but blanks and the
    /// dashes of lists.
    pub fn indent(&self, span: Span) -> bool {
        let before = span.column.saturating_sub(1) as usize;
        self.line(span.line).is_some_and(|line| line.tab.is_some_and(|tab| tab < before) && before <= line.lead)
    }

    /// Returns the first line of a block scalar that a tab begins before the block's own indentation. The block's header
    /// stands here.
    pub fn inside_block(&self, header: Span) -> Option<u32> {
        let written = self.line(header.line)?;
        let behind = &written.text[self.byte(Span { column: header.column + 1, ..header })?..];
        if behind.chars().take(2).any(|letter| letter.is_ascii_digit()) {
            return None;
        }
        let below = || (header.line + 1..).map_while(|number| Some((number, self.line(number)?)));
        let indent = below().find(|(_, line)| !line.is_blank()).map(|(_, line)| line.blanks)?;
        // Only a block that is the whole document may begin where its header does; any other one has no lines then.
        if indent <= written.blanks && !written.text.starts_with(['|', '>']) && !written.text.starts_with("---") {
            return None;
        }
        below()
            .take_while(|(_, line)| line.is_blank() || line.blanks >= indent)
            .find(|(_, line)| line.blanks < indent && line.indent > line.blanks)
            .map(|(number, _)| number)
    }

    /// Returns the letter that stands here.
    pub fn letter(&self, span: Span) -> Option<char> {
        self.line(span.line)?.text[self.byte(span)?..].chars().next()
    }

    /// Returns where in its line something stands.
    fn byte(&self, span: Span) -> Option<usize> {
        let text = self.line(span.line)?.text;
        let last = self.last.get();
        let from = if last.line == span.line && last.column <= span.column {
            last
        } else {
            Place { line: span.line, column: 1, byte: 0 }
        };
        let ahead = (span.column - from.column) as usize;
        let byte = match text[from.byte..].char_indices().nth(ahead) {
            Some((at, _)) => from.byte + at,
            None => text.len(),
        };
        self.last.set(Place { line: span.line, column: span.column, byte });
        Some(byte)
    }

    fn line(&self, number: u32) -> Option<&Line<'a>> {
        self.lines.get(number.checked_sub(1)? as usize)
    }
}

impl<'a> Line<'a> {
    fn new(text: &'a str) -> Line<'a> {
        let blanks = text.len() - text.trim_start_matches(' ').len();
        let indent = text.len() - text.trim_start_matches([' ', '\t']).len();
        let lead = lead(text);
        Line { text, blanks, indent, lead, tab: text[..lead].find('\t') }
    }

    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

/// Returns how much of a line is blanks, tabs, and dashes with either behind them.
fn lead(line: &str) -> usize {
    let bytes = line.as_bytes();
    let is_blank = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\t'));
    let is_lead = |at: &usize| is_blank(*at) || (bytes[*at] == b'-' && is_blank(at + 1));
    (0..bytes.len()).take_while(is_lead).count()
}
