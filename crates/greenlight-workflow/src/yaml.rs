//! YAML as GitHub reads it: a tree with exact spans. Scalars keep their text and style and are resolved by the rules of the
//! YAML 1.2 core schema; aliases are replaced by what they stand for; merge keys, several documents, duplicate keys and keys
//! that are no scalars are refused. saphyr scans and parses, and `direct` reads without it what is written plainly; what a
//! node means, and every bound, is decided here.
//!
//! A file is hostile input: its size, depth, number of nodes and of alias expansions are bounded, and an alias inside the
//! node that it names is an error. Nothing recurses deeper than [`DEPTH_MAX`].

mod builder;
mod cause;
mod direct;
mod scalar;
mod tab;
mod text;

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::finding::{Finding, Span};
use crate::value::Value;
use builder::Builder;

/// How many bytes a file may have.
pub const SIZE_MAX: usize = 512 << 10;
/// How deep nodes may nest, as on GitHub.
pub const DEPTH_MAX: usize = 50;
/// How many nodes a file may have once its aliases are replaced.
pub const NODES_MAX: usize = 100_000;
/// How many aliases a file may have.
pub const ALIASES_MAX: usize = 1_000;
/// What a file may come to in memory once its aliases are replaced, as GitHub counts it.
pub const BYTES_MAX: usize = 10 << 20;

/// What GitHub counts for a value, whatever it is.
const VALUE_BYTES: usize = 24;
/// What GitHub counts for a text besides its UTF-16 units.
const TEXT_BYTES: usize = 26;

/// How many places of a file are put right for the scanner; each costs a new start.
const RESTARTS_MAX: usize = 16;

/// A node of the tree, with the place where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: NodeKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    /// A single value.
    Scalar {
        /// The text, without quotes and with its escapes undone, where `value` is none; else it is that one's.
        text: Option<Arc<str>>,
        /// How it was written.
        style: Style,
        /// What it means: Null, a boolean, a number or a string.
        value: Value,
    },
    /// Items in order.
    Sequence(Vec<Node>),
    /// Keys and values in order; keys are scalars.
    Mapping(Vec<(Node, Node)>),
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// In single quotes.
    SingleQuoted,
    /// In double quotes.
    DoubleQuoted,
    /// As a block that keeps its lines, `|`.
    Literal,
    /// As a block whose lines are joined, `>`.
    Folded,
}

impl Node {
    /// Returns what stands for a node that has not come yet.
    fn nothing() -> Node {
        Node { span: Span::default(), kind: NodeKind::Sequence(Vec::new()) }
    }

    /// Returns the text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { value: Value::String(text), .. } | NodeKind::Scalar { text: Some(text), .. } => {
                Some(text)
            }
            _ => None,
        }
    }

    /// Returns the value of a scalar.
    pub fn as_value(&self) -> Option<&Value> {
        match &self.kind {
            NodeKind::Scalar { value, .. } => Some(value),
            _ => None,
        }
    }

    /// Returns the items of a sequence.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.kind {
            NodeKind::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// Returns the entries of a mapping.
    pub fn as_mapping(&self) -> Option<&[(Node, Node)]> {
        match &self.kind {
            NodeKind::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// Returns the value of a key, written exactly so.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_mapping()?.iter().find(|(name, _)| name.as_str() == Some(key)).map(|(_, value)| value)
    }
}

/// What a file may come to before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many bytes.
    pub size: usize,
    /// How many levels; the reader itself bears at most [`DEPTH_MAX`].
    pub depth: usize,
    /// How many nodes, those that aliases repeat included.
    pub nodes: usize,
    /// How many aliases.
    pub aliases: usize,
    /// What it may come to in memory, as GitHub counts it.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { size: SIZE_MAX, depth: DEPTH_MAX, nodes: NODES_MAX, aliases: ALIASES_MAX, bytes: BYTES_MAX }
    }
}

/// What became of a file: the tree as far as there is one (with findings it lacks what they are about, as a second key of
/// the same name), what is wrong with it, and what it comes to in memory.
#[derive(Default)]
pub(crate) struct Reading {
    pub node: Option<Node>,
    pub findings: Vec<Finding>,
    pub bytes: usize,
}

impl Reading {
    fn into_result(self) -> Result<Node, Vec<Finding>> {
        match self.node {
            Some(node) if self.findings.is_empty() => Ok(node),
            _ => Err(self.findings),
        }
    }

    fn with(mut self, findings: Vec<Finding>) -> Reading {
        self.findings.extend(findings);
        self
    }

    fn refused(finding: Finding) -> Reading {
        Reading { node: None, findings: vec![finding], bytes: 0 }
    }
}

/// Returns what GitHub counts for a text.
pub(crate) fn text_bytes(text: &str) -> usize {
    let units = if text.is_ascii() { text.len() } else { text.encode_utf16().count() };
    TEXT_BYTES + 2 * units
}

/// Returns the tree of a file's only document, or everything that is wrong with it.
pub fn parse(text: &str) -> Result<Node, Vec<Finding>> {
    read(text, &Limits::default()).into_result()
}

/// Returns what [`parse`] does by way of the scanner, however plainly the file is written: for those who hold the two ways of
/// reading against each other.
pub fn parse_by_tokens(text: &str) -> Result<Node, Vec<Finding>> {
    let limits = Limits::default();
    refuse(text, &limits).unwrap_or_else(|| read_by_tokens(without_mark(text), &limits)).into_result()
}

/// Reads a file's only document.
pub(crate) fn read(text: &str, limits: &Limits) -> Reading {
    if let Some(refused) = refuse(text, limits) {
        return refused;
    }
    let text = without_mark(text);
    direct::read(text, limits).unwrap_or_else(|| read_by_tokens(text, limits))
}

/// What a text begins with that stands for a file which could not be had; the rest of its only line says why.
const UNREAD: &str = "greenlight-cannot-read: ";

/// Returns the text that stands for a file which could not be had: to whoever reads it, that sentence is all that is wrong.
pub fn unread(why: &str) -> String {
    format!("{UNREAD}{why}\n")
}

fn refuse(text: &str, limits: &Limits) -> Option<Reading> {
    refuse_unread(text).or_else(|| refuse_size(text, limits))
}

fn refuse_unread(text: &str) -> Option<Reading> {
    let why = text.strip_prefix(UNREAD)?.trim_end();
    // It is about the file, and not about a place in it.
    (!why.contains('\n')).then(|| Reading::refused(Finding::error("file-unread", Span::default(), why)))
}

fn refuse_size(text: &str, limits: &Limits) -> Option<Reading> {
    (text.len() > limits.size).then(|| {
        let message = format!("The maximum file size of {} characters has been exceeded", limits.size);
        Reading::refused(Finding::error("file-too-large", start(), message))
    })
}

/// Returns a text without the byte order mark that it may begin with.
fn without_mark(text: &str) -> &str {
    text.trim_start_matches('\u{feff}')
}

/// Reads a file's only document with the scanner, which knows all of YAML.
fn read_by_tokens(text: &str, limits: &Limits) -> Reading {
    let mut text = Cow::Borrowed(text);
    let mut lost = Vec::new();
    for _ in 0..RESTARTS_MAX {
        let reading = Builder::new(&text, limits).run();
        let Some(finding) = reading.findings.last() else { return reading.with(lost) };
        if let Some(range) = lost_alias(&text, finding) {
            // Null in its place, as long as it was, so that the next one is found as well.
            let blanks = " ".repeat(text[range.clone()].chars().count() - 1);
            lost.push(finding.clone());
            text.to_mut().replace_range(range, &format!("~{blanks}"));
            continue;
        }
        match (comment_behind_bracket(&text, finding), tab_behind_colon(&text, finding)) {
            (Some(at), _) => text.to_mut().insert(at, ' '),
            (None, Some(at)) => text.to_mut().replace_range(at..=at, " "),
            (None, None) => return reading.with(lost),
        }
    }
    Builder::new(&text, limits).run().with(lost)
}

/// Returns where an alias of nothing stands.
fn lost_alias(text: &str, finding: &Finding) -> Option<Range<usize>> {
    if finding.code != "unknown-anchor" {
        return None;
    }
    let (before, rest) = split(text, finding.span)?;
    let letters = finding.span.end_column.checked_sub(finding.span.column)? as usize;
    let length = rest.char_indices().nth(letters).map_or(rest.len(), |(at, _)| at);
    (length > 0).then(|| before.len()..before.len() + length)
}

/// Returns where a comment starts right behind a bracket. YAML asks for a blank between the two, GitHub does not; putting one
/// there moves nothing but the comment.
fn comment_behind_bracket(text: &str, finding: &Finding) -> Option<usize> {
    if !finding.message.contains("comments must be separated") {
        return None;
    }
    let (before, rest) = split(text, finding.span)?;
    (rest.starts_with('#') && before.ends_with([']', '}'])).then_some(before.len())
}

/// Returns where a tab stands behind a colon. It is as good as a blank there, which the scanner does not know.
fn tab_behind_colon(text: &str, finding: &Finding) -> Option<usize> {
    if !finding.message.contains("must be followed by a valid YAML whitespace") {
        return None;
    }
    let (before, _) = split(text, finding.span)?;
    before.ends_with(":\t").then(|| before.len() - 1)
}

/// Splits a text where a finding stands.
fn split(text: &str, span: Span) -> Option<(&str, &str)> {
    let line_start: usize = text.split_inclusive('\n').take(span.line as usize - 1).map(str::len).sum();
    let (at, _) = text[line_start..].char_indices().nth(span.column as usize - 1)?;
    Some(text.split_at(line_start + at))
}

fn start() -> Span {
    Span { line: 1, column: 1, end_line: 1, end_column: 1 }
}
