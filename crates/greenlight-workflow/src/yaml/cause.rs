//! What a syntax error comes from, where the scanner only notices it later: text of a block that is not indented, a key without
//! its colon, a bracket that is not closed, a tab.

use super::builder::is_header;
use crate::finding::{Finding, Span};

/// What the scanner says where a line is neither a key nor part of what stands before it.
const NOTICED_LATE: [&str; 3] = ["simple key", "mapping values are not allowed", "expected key"];

/// What the scanner says where a bracket that was not closed goes on.
const IN_BRACKET: [&str; 3] = ["illegal placement of ':'", "in flow construct", "parsing a flow"];
/// How many lines with a bracket are looked at for the one that is not closed.
const BRACKETS_LOOKED_AT_MAX: usize = 20;

/// Returns the error at the place that it comes from.
pub(super) fn of(said: &str, text: &str, line: u32) -> Option<Finding> {
    let is_said = |those: &[&str]| those.iter().any(|one| said.contains(one));
    if said.starts_with("tabs disallowed") {
        return tab(text.lines().nth(line.checked_sub(1)? as usize)?, line);
    }
    if is_said(&IN_BRACKET) {
        let lines: Vec<&str> = text.lines().collect();
        return unclosed_bracket(&lines, line as usize);
    }
    if !is_said(&NOTICED_LATE) {
        return None;
    }
    let lines: Vec<&str> = text.lines().take(line as usize).collect();
    unindented_block(&lines).or_else(|| without_colon(&lines))
}

fn tab(line: &str, number: u32) -> Option<Finding> {
    let column = line[..line.len() - line.trim_start().len()].find('\t')? as u32 + 1;
    let span = Span { line: number, column, end_line: number, end_column: column + 1 };
    Some(Finding::error("yaml-syntax", span, "The YAML cannot be read: a tab stands where only blanks can indent"))
}

/// Finds the bracket before a line that no line closes.
fn unclosed_bracket(lines: &[&str], noticed: usize) -> Option<Finding> {
    let before = lines.get(..noticed.checked_sub(1)?)?;
    let begins = before.iter().enumerate().rev().filter(|(_, line)| bracket(line).is_some());
    let (at, column) = begins
        .take(BRACKETS_LOOKED_AT_MAX)
        .find_map(|(at, _)| not_closed(&lines[at..]).map(|found| (at + found.0, found.1)))?;
    let (line, column) = (at as u32 + 1, column as u32 + 1);
    let span = Span { line, column, end_line: line, end_column: column + 1 };
    (at < before.len()).then(|| {
        Finding::error("yaml-syntax", span, "The YAML cannot be read: the bracket that opens here is not closed")
    })
}

/// Returns where in a line the bracket stands that a value begins with.
fn bracket(line: &str) -> Option<usize> {
    let begins = |mark: &str| Some(line.find(mark)? + mark.len());
    let behind = begins(": ").or_else(|| begins("- "))?;
    let value = line[behind..].trim_start();
    value.starts_with(['[', '{']).then_some(line.len() - value.len())
}

/// Returns the line and column, from 0, of the innermost bracket that nothing closes. The lines begin with one that has a bracket.
fn not_closed(lines: &[&str]) -> Option<(usize, usize)> {
    let mut open: Vec<(char, usize, usize)> = Vec::new();
    let mut quote = None;
    for (at, line) in lines.iter().enumerate() {
        let from = if at == 0 { bracket(line)? } else { 0 };
        let mut before = ' ';
        for (column, (_, letter)) in line.char_indices().enumerate().filter(|(_, (byte, _))| *byte >= from) {
            match (quote, letter) {
                (Some(opened), _) if letter == opened => quote = None,
                (Some(_), _) => {}
                (None, '#') if before == ' ' => break,
                (None, '\'' | '"') if !before.is_alphanumeric() => quote = Some(letter),
                (None, '[') => open.push((']', at, column)),
                (None, '{') => open.push(('}', at, column)),
                (None, ']' | '}') => {
                    let (closing, at, column) = open.pop()?;
                    if closing != letter {
                        return Some((at, column));
                    }
                    if open.is_empty() {
                        return None;
                    }
                }
                (None, _) => {}
            }
            before = letter;
        }
    }
    open.last().map(|(_, at, column)| (*at, *column))
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
