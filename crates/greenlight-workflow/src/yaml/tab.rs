//! Tabs where blanks have to stand. YAML indents with blanks only; the scanner lets some tabs pass that GitHub does not.

use crate::finding::Span;

/// The lines of a text that has tabs.
pub(super) struct Tabs<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Tabs<'a> {
    /// Returns the lines of a text; None where it has no tab.
    pub fn of(text: &'a str) -> Option<Tabs<'a>> {
        text.contains('\t').then(|| Tabs { lines: text.lines().collect() })
    }

    /// Says whether a tab stands between the start of the line and what begins here, and nothing else but blanks.
    pub fn indent(&self, span: Span) -> bool {
        let Some(line) = self.line(span.line) else { return false };
        let before: Vec<char> = line.chars().take(span.column.saturating_sub(1) as usize).collect();
        before.contains(&'\t') && before.iter().all(|letter| matches!(letter, ' ' | '\t'))
    }

    /// Returns the first line of a block scalar that a tab begins before the block's own indentation. The block's header
    /// stands here.
    pub fn inside_block(&self, header: Span) -> Option<u32> {
        let written = self.line(header.line)?;
        let has_own_indent = written.chars().skip(header.column as usize).take(2).any(|letter| letter.is_ascii_digit());
        if has_own_indent {
            return None;
        }
        let below = || (header.line + 1..).map_while(|number| Some((number, self.line(number)?)));
        let indent = below().map(|(_, line)| line).find(|line| !line.trim().is_empty()).map(blanks)?;
        below()
            .take_while(|(_, line)| line.trim().is_empty() || blanks(line) >= indent)
            .find(|(_, line)| blanks(line) < indent && line[blanks(line)..].starts_with('\t'))
            .map(|(number, _)| number)
    }

    /// Returns the letter that stands here.
    pub fn letter(&self, span: Span) -> Option<char> {
        self.line(span.line)?.chars().nth(span.column.checked_sub(1)? as usize)
    }

    fn line(&self, number: u32) -> Option<&'a str> {
        self.lines.get(number.checked_sub(1)? as usize).copied()
    }
}

fn blanks(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
