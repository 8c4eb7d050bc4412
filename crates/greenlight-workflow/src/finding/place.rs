//! Where a part of a value stands in its file. The tree knows where values start; what is inside one, behind escapes and in
//! blocks of many lines, is looked for in the text again, and only for findings that are told.

use super::{FINDINGS_MAX, Finding, Span};

/// How many bytes of a value are searched; a finding behind them is shown at the value's start.
const SEARCHED_BYTES_MAX: usize = 32 << 10;
/// How far into a line a value may start.
const COLUMN_MAX: u32 = 64 << 10;

/// A part of a value's text, told by what can be found in the file again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// The text from which the part is counted; empty where that is the value's start.
    mark: &'static str,
    /// Which one of these texts in the value.
    nth: usize,
    /// What stands between the start of the mark and the part. A blank in it is any number of blanks and line ends.
    before: Box<str>,
    /// The part.
    text: Box<str>,
}

impl Part {
    /// Returns the part that follows this text at the value's start.
    pub fn after(before: &str, text: &str) -> Part {
        Part { mark: "", nth: 0, before: before.into(), text: text.into() }
    }

    /// Returns the first place of a text.
    pub fn first(mark: &'static str) -> Part {
        Part { mark, nth: 0, before: "".into(), text: mark.trim_end().into() }
    }

    /// Returns a part of the expression with this number in the value; `before` starts with its braces.
    pub fn of_expression(nth: usize, before: &str, text: &str) -> Part {
        Part { mark: "${{", nth, before: before.into(), text: text.into() }
    }
}

/// Points each finding at the part of its value that it is about, where that can be found, and puts them in order again.
pub(crate) fn point(findings: &mut [Finding], text: &str) {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = None;
    for finding in findings.iter_mut().take(FINDINGS_MAX) {
        let Some(part) = finding.part.take() else { continue };
        let lines = lines.get_or_insert_with(|| line_starts(text));
        if let Some(span) = place(text, lines, finding.span, &part) {
            finding.value = Some(finding.span);
            finding.span = span;
        }
    }
    findings.sort_by_key(|finding| (finding.span.line, finding.span.column));
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect()
}

fn place(text: &str, lines: &[usize], value: Span, part: &Part) -> Option<Span> {
    let start = *lines.get((value.line as usize).checked_sub(1)?)?;
    let end = lines.get(value.end_line as usize).copied().unwrap_or(text.len());
    if value.column > COLUMN_MAX {
        return None;
    }
    let (at, _) = text.get(start..end)?.char_indices().nth((value.column as usize).checked_sub(1)?)?;
    let mut end = end.min(start + at + SEARCHED_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut walk = Walk { rest: &text[start + at..end], line: value.line, column: value.column, style: Style::Plain };
    walk.enter();
    if !part.mark.is_empty() {
        walk.find(part.mark, part.nth)?;
    }
    walk.over(&part.before)?;
    walk.join_lines();
    let (line, column) = (walk.line, walk.column);
    walk.over(&part.text)?;
    Some(Span { line, column, end_line: walk.line, end_column: walk.column })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
}

/// A way through the text of a value as it was written.
struct Walk<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
    style: Style,
}

impl Walk<'_> {
    fn step(&mut self) -> Option<char> {
        let letter = self.rest.chars().next()?;
        self.rest = &self.rest[letter.len_utf8()..];
        if letter == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(letter)
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            self.step();
        }
    }

    fn skip_while(&mut self, goes_on: fn(char) -> bool) {
        while self.rest.starts_with(goes_on) {
            self.step();
        }
    }

    /// Goes to the first letter of the value: behind its anchor, tag, quote or block header.
    fn enter(&mut self) {
        while self.rest.starts_with(['&', '!']) {
            self.skip_while(|letter| !letter.is_whitespace());
            self.skip_while(char::is_whitespace);
        }
        match self.rest.chars().next() {
            Some('\'') => self.style = Style::Single,
            Some('"') => self.style = Style::Double,
            Some('|' | '>') => {
                self.skip_while(|letter| letter != '\n');
                self.skip_while(char::is_whitespace);
                return;
            }
            _ => return,
        }
        self.step();
    }

    /// Goes to one of the places of a text.
    fn find(&mut self, mark: &str, nth: usize) -> Option<()> {
        let (at, _) = self.rest.match_indices(mark).nth(nth)?;
        let behind = self.rest.len() - at;
        while self.rest.len() > behind {
            self.step()?;
        }
        Some(())
    }

    /// Goes over a line end that means nothing between double quotes.
    fn join_lines(&mut self) {
        let is_joint = self.rest.starts_with("\\\n") || self.rest.starts_with("\\\r\n");
        if self.style == Style::Double && is_joint {
            self.step();
            self.skip_while(char::is_whitespace);
        }
    }

    /// Goes over a text, which is written here as its style asks for.
    fn over(&mut self, text: &str) -> Option<()> {
        for letter in text.chars() {
            self.join_lines();
            if self.style == Style::Double && self.rest.starts_with('\\') {
                self.step();
                let digits = match self.step()? {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                self.steps(digits);
            } else if self.style == Style::Single && letter == '\'' && self.rest.starts_with("''") {
                self.steps(2);
            } else if letter.is_whitespace() {
                self.skip_while(char::is_whitespace);
            } else if self.step()? != letter {
                return None;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, (line, column): (u32, u32), part: &Part, expected: Option<(u32, u32, u32)>) {
        let end_line = text.lines().count() as u32;
        let value = Span { line, column, end_line, end_column: 1 };
        let found = place(text, &line_starts(text), value, part);
        assert_eq!(found.map(|span| (span.line, span.column, span.end_column)), expected, "{text}");
    }

    #[test]
    fn a_part_is_found_however_its_value_is_written() {
        let second = Part::of_expression(1, "${{ ", "b");
        check("run: |\n  x ${{ a }}\n\n  ünd ${{b}}\n", (1, 6), &second, Some((4, 10, 11)));
        check("k: >-\n  x ${{ a }}\n  y ${{ b }}\n", (1, 4), &second, Some((3, 9, 10)));
        check("k: ${{ a }} and\n  ${{ b }}\n", (1, 4), &second, Some((2, 7, 8)));
        check("k: &x '${{ a }} ${{ b }}'\n", (1, 4), &second, Some((1, 21, 22)));
        let quoted = Part::of_expression(0, "${{ a == 'x\"' && ", "b");
        check("k: '${{ a == ''x\"'' && b }}'\n", (1, 4), &quoted, Some((1, 24, 25)));
        check("k: \"${{ a == 'x\\\"' && \\\n  b }}\"\n", (1, 4), &quoted, Some((2, 3, 4)));
        check("if: a == b\n", (1, 5), &Part::after("a == ", "b"), Some((1, 10, 11)));
        check("if: |\n  a ==\n   b\n", (1, 5), &Part::after("a == ", "b"), Some((3, 4, 5)));
        check("k: ${{ a }}\n", (1, 4), &second, None);
    }

    #[test]
    fn what_is_far_away_is_not_looked_for() {
        let text = format!("k: |\n  {} ${{{{ a }}}}\n", "x".repeat(SEARCHED_BYTES_MAX));
        check(&text, (1, 4), &Part::of_expression(0, "${{ ", "a"), None);
    }
}
