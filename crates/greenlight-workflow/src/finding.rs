//! What is wrong with a file, where, and what to do about it: one type for every check, shown the same way everywhere.

mod advice;
mod place;

use std::fmt::Write as _;

pub(crate) use place::{Part, point};

/// How many letters of a source line are shown.
const LINE_SHOWN_MAX: usize = 160;

/// How many findings of one file are kept.
pub const FINDINGS_MAX: usize = 500;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// Legal, but surely not meant.
    Warning,
}

impl Severity {
    /// Returns the severity in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A range of a file. Lines and columns count from 1, columns in characters; the end is behind the last character.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Where it starts.
    pub line: u32,
    /// Where it starts in the line.
    pub column: u32,
    /// The line where it ends.
    pub end_line: u32,
    /// Where in that line it ends.
    pub end_column: u32,
}

impl Span {
    /// Says whether the other range starts inside this one.
    pub(crate) fn holds(self, other: Span) -> bool {
        let start = (other.line, other.column);
        (self.line, self.column) <= start && start < (self.end_line, self.end_column)
    }
}

/// One thing that is wrong, or probably wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// A stable name for this kind of finding, as `unknown-key`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in GitHub's words where it has them.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where.
    pub span: Span,
    /// The whole value of which `span` is a part.
    value: Option<Span>,
    /// The part that it is about, until its place is known.
    part: Option<Box<Part>>,
}

impl Finding {
    /// Returns an error.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Finding {
        let message = message.into();
        let help = advice::of(code, &message);
        Finding { code, severity: Severity::Error, message, help, span, value: None, part: None }
    }

    /// Returns a warning.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Finding {
        let message = message.into();
        Finding { code, severity: Severity::Warning, message, help: None, span, value: None, part: None }
    }

    /// Adds what to do about it.
    pub fn with_help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    /// Replaces what to do about it by something better, if there is anything.
    pub(crate) fn with_help_of(mut self, help: Option<String>) -> Finding {
        self.help = help.or(self.help);
        self
    }

    /// Says which part of the value at `span` it is about.
    pub(crate) fn about(mut self, part: Option<Part>) -> Finding {
        self.part = part.map(Box::new);
        self
    }

    /// Points at something else than where GitHub says that it is.
    pub(crate) fn pointing_at(self, span: Option<Span>) -> Finding {
        match span {
            Some(span) => Finding { value: Some(self.span), span, ..self },
            None => self,
        }
    }

    /// Returns where GitHub says that it is: at the start of the whole value, where it is about a part of one.
    pub fn value_span(&self) -> Span {
        self.value.unwrap_or(self.span)
    }

    /// Says whether the file is refused for it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Returns the finding in one line: `path:line:column: message`; what has no place is said of the file.
    pub fn summary(&self, path: &str) -> String {
        match self.span {
            Span { line: 0, .. } => format!("{path}: {}", self.message),
            Span { line, column, .. } => format!("{path}:{line}:{column}: {}", self.message),
        }
    }

    /// Returns the finding as a terminal shows it: the sentence, the line, a caret below it, and what to do.
    pub fn render(&self, path: &str, text: &str) -> String {
        let Span { line, column, .. } = self.span;
        let mut out = String::new();
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        line_of(&mut out, format_args!("{}[{}]: {}", self.severity.as_str(), self.code, self.message));
        match line {
            0 => line_of(&mut out, format_args!("{margin}--> {path}")),
            _ => line_of(&mut out, format_args!("{margin}--> {path}:{line}:{column}")),
        }
        if let Some(source) = text.lines().nth((line as usize).wrapping_sub(1)) {
            let (shown, indent) = excerpt(source, column as usize);
            line_of(&mut out, format_args!("{margin} |"));
            line_of(&mut out, format_args!("{number} | {shown}"));
            line_of(&mut out, format_args!("{margin} | {indent}{}", "^".repeat(self.caret_length(source))));
        }
        if let Some(help) = &self.help {
            line_of(&mut out, format_args!("{margin} = help: {help}"));
        }
        out
    }

    fn caret_length(&self, source: &str) -> usize {
        let left = source.chars().count().saturating_sub(self.span.column as usize - usize::from(self.span.column > 0));
        let length = if self.span.end_line == self.span.line {
            self.span.end_column.saturating_sub(self.span.column) as usize
        } else {
            left
        };
        length.min(left).clamp(1, LINE_SHOWN_MAX)
    }
}

fn line_of(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a string does not fail");
}

/// Returns the part of a line around a column, without control characters, and the blanks that lead to the column below it.
fn excerpt(source: &str, column: usize) -> (String, String) {
    let at = column.saturating_sub(1);
    let from = if at > LINE_SHOWN_MAX * 3 / 4 { at - LINE_SHOWN_MAX / 2 } else { 0 };
    let shown: String = source
        .chars()
        .skip(from)
        .take(LINE_SHOWN_MAX)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    (shown, " ".repeat(at - from))
}

/// Puts findings in the order of the file, and keeps the first ones of too many. What stands behind an anchor is told once,
/// however many aliases bring it again. An error stays an error: where the file is refused, the findings that are kept say so.
pub(crate) fn put_in_order(findings: &mut Vec<Finding>) {
    findings.sort_by_key(|finding| (finding.span.line, finding.span.column));
    drop_repeated(findings);
    let left_out = findings.len().saturating_sub(FINDINGS_MAX);
    let refused_later = findings.iter().skip(FINDINGS_MAX).find(|finding| finding.is_error()).cloned();
    findings.truncate(FINDINGS_MAX);
    if let Some(last) = findings.last_mut().filter(|_| left_out > 0) {
        *last = refused_later.unwrap_or_else(|| last.clone()).with_help(format!("and {left_out} more findings"));
    }
}

/// Keeps the first of findings that are the same; those of one place stand beside each other.
fn drop_repeated(findings: &mut Vec<Finding>) {
    let mut kept: Vec<Finding> = Vec::with_capacity(findings.len());
    for finding in findings.drain(..) {
        let at_place = kept.iter().rev().take(SAME_PLACE_MAX).take_while(|known| known.span == finding.span);
        if !at_place.into_iter().any(|known| *known == finding) {
            kept.push(finding);
        }
    }
    *findings = kept;
}

/// How many findings of one place are looked at for one that is the same.
const SAME_PLACE_MAX: usize = 20;
/// How many letters are enough to mean a longer name by its start.
const START_LENGTH_MIN: usize = 3;

/// Returns the known name that comes closest to a mistyped one, if any is close enough to be meant.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = normal(name);
    let allowed = (name.len() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| {
            let letters = normal(candidate);
            // The start of a name may be all that was written of it.
            let is_start = name.len() >= START_LENGTH_MIN && letters.starts_with(&name);
            (if is_start { allowed } else { distance(&name, &letters) }, *candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Returns at most the letters that matter for likeness: neither case nor the kind of dash does.
fn normal(name: &str) -> Vec<char> {
    name.chars().take(64).map(|letter| if letter == '_' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

/// Returns how many letters must be put in, left out, changed or swapped with their neighbour.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let change = above[column] + usize::from(letter != other);
            let mut best = change.min(above[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && *letter == right[column - 1] && left[row - 1] == *other;
            if swapped {
                best = best.min(before[column - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut above, current);
    }
    above[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_that_was_meant() {
        let known = ["runs-on", "run", "uses", "needs", "timeout-minutes"];
        for (typed, meant) in [
            ("runn", Some("run")),
            ("runs_on", Some("runs-on")),
            ("Runs-On", Some("runs-on")),
            ("nedes", Some("needs")),
            ("timeout-minuets", Some("timeout-minutes")),
            ("tim", Some("timeout-minutes")),
            ("ti", None),
            ("container", None),
        ] {
            assert_eq!(nearest(typed, &known), meant, "{typed}");
        }
    }

    #[test]
    fn a_finding_shows_the_line_and_a_caret() {
        let span = Span { line: 2, column: 3, end_line: 2, end_column: 7 };
        let finding = Finding::error("unknown-key", span, "Unexpected value 'runn'").with_help("did you mean 'run'?");
        assert_eq!(
            finding.render("ci.yml", "a:\n  runn: x\n"),
            "error[unknown-key]: Unexpected value 'runn'\n --> ci.yml:2:3\n  |\n2 |   runn: x\n  |   ^^^^\n  = help: did you mean 'run'?\n"
        );
    }
}
