//! What a syntax error comes from, where the scanner only notices it lines later: text of a block that is not indented, a key
//! without its colon.

use super::builder::is_header;
use crate::finding::{Finding, Span};

/// What the scanner says where a line is neither a key nor part of what stands before it.
const NOTICED_LATE: [&str; 3] = ["simple key", "mapping values are not allowed", "expected key"];

/// Returns the error at the line that it comes from.
pub(super) fn of(said: &str, text: &str, line: u32) -> Option<Finding> {
    if !NOTICED_LATE.iter().any(|late| said.contains(late)) {
        return None;
    }
    let lines: Vec<&str> = text.lines().take(line as usize).collect();
    unindented_block(&lines).or_else(|| without_colon(&lines))
}

/// Finds the last block before the end whose text is not indented deeper than its key, so that the block is empty.
fn unindented_block(lines: &[&str]) -> Option<Finding> {
    let before_last = lines.len().checked_sub(1)?;
    let (at, (name, column)) =
        lines[..before_last].iter().enumerate().rev().find_map(|(at, line)| Some((at, block_key(line)?)))?;
    let (below, line) = lines.iter().enumerate().skip(at + 1).find(|(_, line)| has_content(line))?;
    if indent(line) > column || is_entry(line) {
        return None;
    }
    let what = if name == "run" { "script" } else { "text" };
    let message = format!(
        "The YAML cannot be read: this line is not indented deeper than '{name}', so it is no part of its {what}"
    );
    Some(error(below, line, message).with_help(format!("indent the {what} deeper than `{name}`")))
}

/// Finds a key without a colon right before the last line, which stands beside it.
fn without_colon(lines: &[&str]) -> Option<Finding> {
    let (last, before) = lines.split_last()?;
    let (at, line) = before.iter().enumerate().rev().find(|(_, line)| has_content(line))?;
    let content = line[indent(line)..].trim_end();
    let (name, _) = content.split_once(' ')?;
    let is_name = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    if indent(line) != indent(last) || is_entry(line) || !is_entry(last) || !is_name {
        return None;
    }
    let message = format!("The YAML cannot be read: there is no colon behind '{name}'");
    Some(error(at, line, message).with_help(format!("write '{name}:' and then its value")))
}

/// Returns the key of a line that ends with the `|` or `>` of a block, and its column, from 0.
fn block_key(line: &str) -> Option<(&str, usize)> {
    let mut column = indent(line);
    while let Some(behind) = line[column..].strip_prefix("- ") {
        column = line.len() - behind.trim_start_matches(' ').len();
    }
    let (name, value) = line[column..].split_once(": ")?;
    let header = value.trim_start().strip_prefix(['|', '>'])?;
    (!name.starts_with('#') && is_header(header)).then_some((name, column))
}

/// Says whether a line is a list's item, or has a key.
fn is_entry(line: &str) -> bool {
    let content = line.trim();
    content == "-" || content.starts_with("- ") || content.contains(": ") || content.ends_with(':')
}

/// Says whether a line has more than a comment.
fn has_content(line: &&str) -> bool {
    let content = line.trim();
    !content.is_empty() && !content.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn error(at: usize, line: &str, message: String) -> Finding {
    let number = at as u32 + 1;
    let column = indent(line) as u32 + 1;
    let end_column = line.trim_end().chars().count() as u32 + 1;
    Finding::error("yaml-syntax", Span { line: number, column, end_line: number, end_column }, message)
}
