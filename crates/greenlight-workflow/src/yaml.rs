//! YAML as GitHub reads it: a tree with exact spans. Scalars keep their text and style and are resolved by the rules of the
//! YAML 1.2 core schema; aliases are replaced by what they stand for; merge keys, several documents, duplicate keys and keys
//! that are no scalars are refused. saphyr scans and parses; what a node means, and every bound, is decided here.
//!
//! A file is hostile input: its size, depth, number of nodes and of alias expansions are bounded, and an alias inside the
//! node that it names is an error. Nothing recurses deeper than [`DEPTH_MAX`].

mod scalar;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::finding::{Finding, Span};
use crate::value::{Value, fold_case};

/// How many bytes a file may have.
pub const SIZE_MAX: usize = 512 << 10;
/// How deep nodes may nest, as on GitHub.
pub const DEPTH_MAX: usize = 50;
/// How many nodes a file may have once its aliases are replaced.
pub const NODES_MAX: usize = 100_000;
/// How many aliases a file may have.
pub const ALIASES_MAX: usize = 1_000;

/// How many comments may stand right behind a bracket; each costs a new start.
const CLOSE_COMMENTS_MAX: usize = 16;

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
        /// The text, without quotes and with its escapes undone.
        text: Arc<str>,
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
    /// Returns the text of a scalar.
    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar { text, .. } => Some(text),
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
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { size: SIZE_MAX, depth: DEPTH_MAX, nodes: NODES_MAX, aliases: ALIASES_MAX }
    }
}

/// Returns the tree of a file's only document, or everything that is wrong with it.
pub fn parse(text: &str) -> Result<Node, Vec<Finding>> {
    let (node, findings) = read(text, &Limits::default());
    match node {
        Some(node) if findings.is_empty() => Ok(node),
        _ => Err(findings),
    }
}

/// Returns the tree as far as there is one: with findings it lacks what they are about (a second key of the same name).
pub(crate) fn read(text: &str, limits: &Limits) -> (Option<Node>, Vec<Finding>) {
    if text.len() > limits.size {
        let message = format!("The maximum file size of {} characters has been exceeded", limits.size);
        return (None, vec![Finding::error("file-too-large", start(), message)]);
    }
    let mut text = Cow::Borrowed(text.trim_start_matches('\u{feff}'));
    for _ in 0..CLOSE_COMMENTS_MAX {
        let (root, findings) = Builder::new(&text, limits).run();
        match findings.last().and_then(|finding| comment_behind_bracket(&text, finding)) {
            Some(at) => text.to_mut().insert(at, ' '),
            None => return (root, findings),
        }
    }
    Builder::new(&text, limits).run()
}

/// Returns where a comment starts right behind a bracket. YAML asks for a blank between the two, GitHub does not; putting one
/// there moves nothing but the comment.
fn comment_behind_bracket(text: &str, finding: &Finding) -> Option<usize> {
    if !finding.message.contains("comments must be separated") {
        return None;
    }
    let line_start: usize = text.split_inclusive('\n').take(finding.span.line as usize - 1).map(str::len).sum();
    let line = &text[line_start..];
    let (at, letter) = line.char_indices().nth(finding.span.column as usize - 1)?;
    (letter == '#' && line[..at].ends_with([']', '}'])).then_some(line_start + at)
}

fn start() -> Span {
    Span { line: 1, column: 1, end_line: 1, end_column: 1 }
}

/// Puts a tree together from the parser's events.
struct Builder<'a> {
    text: &'a str,
    limits: &'a Limits,
    /// Where lines start, once a block scalar asks for it.
    lines: Vec<&'a str>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
    anchored: usize,
    aliases: usize,
    findings: Vec<Finding>,
}

/// What an anchor names: nothing yet while its node is open.
enum Anchored {
    Open,
    Done { node: Node, nodes: usize },
}

/// A collection whose end has not come.
struct Open {
    span: Span,
    anchor: usize,
    nodes_before: usize,
    items: Items,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<(Node, Node)>, key: Option<Node>, seen: BTreeSet<Box<str>> },
}

impl<'a> Builder<'a> {
    fn new(text: &'a str, limits: &'a Limits) -> Builder<'a> {
        Builder {
            text,
            limits,
            lines: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            nodes: 0,
            anchored: 0,
            aliases: 0,
            findings: Vec::new(),
        }
    }

    fn run(mut self) -> (Option<Node>, Vec<Finding>) {
        let root = self.root().unwrap_or_else(|finding| {
            self.findings.push(finding);
            None
        });
        (root, self.findings)
    }

    fn root(&mut self) -> Result<Option<Node>, Finding> {
        let mut parser = Parser::new_from_str(self.text);
        let mut root = None;
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| syntax_error(&error))?;
            let span = Span {
                line: span.start.line() as u32,
                column: span.start.col() as u32 + 1,
                end_line: span.end.line() as u32,
                end_column: span.end.col() as u32 + 1,
            };
            if matches!(event, Event::DocumentStart(_)) {
                documents += 1;
                if documents > 1 {
                    return Err(Finding::error(
                        "several-documents",
                        span,
                        "Only one YAML document is expected in a file",
                    )
                    .with_help("remove the '---' line, or move what follows to a file of its own"));
                }
            }
            if let Some(node) = self.event(event, span)? {
                root = Some(node);
            }
        }
        match root {
            Some(root) => Ok(Some(root)),
            None => Err(Finding::error("empty-file", start(), "The file is empty")),
        }
    }

    /// Takes in one event; returns the root once it is complete.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, Finding> {
        match event {
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.scalar_span(span, &text, style);
                let text = self.without_added_line_end(&text, style);
                let kind = scalar::resolve(text, style, tag.as_deref(), span)?;
                self.count(span)?;
                let node = Node { span, kind };
                if anchor > 0 {
                    self.anchors.insert(anchor, Anchored::Done { node: node.clone(), nodes: 1 });
                }
                self.complete(node)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(span, anchor, tag.as_deref(), "seq", Items::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let items = Items::Mapping { entries: Vec::new(), key: None, seen: BTreeSet::new() };
                self.open(span, anchor, tag.as_deref(), "map", items)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(None)
            }
        }
    }

    fn open(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        kind: &str,
        items: Items,
    ) -> Result<Option<Node>, Finding> {
        scalar::check_collection_tag(tag, kind, span)?;
        if self.open.len() >= self.depth_max() {
            return Err(self.too_deep(span));
        }
        let nodes_before = self.nodes;
        self.count(span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored::Open);
        }
        self.open.push(Open { span, anchor, nodes_before, items });
        Ok(None)
    }

    fn close(&mut self, end: Span) -> Result<Option<Node>, Finding> {
        let open = self.open.pop().expect("the parser ends only what it started");
        let span = Span { end_line: end.end_line, end_column: end.end_column, ..open.span };
        let kind = match open.items {
            Items::Sequence(items) => NodeKind::Sequence(items),
            Items::Mapping { entries, .. } => NodeKind::Mapping(entries),
        };
        let node = Node { span, kind };
        if open.anchor > 0 {
            let nodes = self.nodes - open.nodes_before;
            // What an anchor names is kept a second time; anchors around anchors must not multiply it.
            self.anchored = self.anchored.saturating_add(nodes);
            if self.anchored > self.limits.nodes {
                return Err(self.too_many_nodes(span));
            }
            self.anchors.insert(open.anchor, Anchored::Done { node: node.clone(), nodes });
        }
        self.complete(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Option<Node>, Finding> {
        self.aliases += 1;
        if self.aliases > self.limits.aliases {
            let message = format!("More than {} aliases in one file", self.limits.aliases);
            return Err(Finding::error("too-many-aliases", span, message));
        }
        let (node, nodes) = match self.anchors.get(&anchor) {
            Some(Anchored::Done { node, nodes }) => (node, *nodes),
            _ => return Err(Finding::error("alias-cycle", span, "The alias stands inside the node that it refers to")),
        };
        if self.open.len() + depth(node) > self.depth_max() {
            return Err(self.too_deep(span));
        }
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            return Err(self.too_many_nodes(span));
        }
        let node = node.clone();
        self.complete(node)
    }

    /// Puts a finished node where it belongs; returns it where it is the root.
    fn complete(&mut self, node: Node) -> Result<Option<Node>, Finding> {
        let Some(parent) = self.open.last_mut() else { return Ok(Some(node)) };
        match &mut parent.items {
            Items::Sequence(items) => items.push(node),
            Items::Mapping { entries, key, seen } => match key.take() {
                None => *key = Some(checked_key(node)?),
                Some(name) => {
                    let text = name.as_str().expect("keys are checked when they come");
                    if text.starts_with("${{") || seen.insert(fold_case(text).into()) {
                        entries.push((name, node));
                    } else {
                        let finding =
                            Finding::error("duplicate-key", name.span, format!("'{text}' is already defined"))
                                .with_help(
                                    "names that differ only in case or quotes are the same name; remove one of them",
                                );
                        self.findings.push(finding);
                    }
                }
            },
        }
        Ok(None)
    }

    fn count(&mut self, span: Span) -> Result<(), Finding> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes { Err(self.too_many_nodes(span)) } else { Ok(()) }
    }

    fn depth_max(&self) -> usize {
        self.limits.depth.min(DEPTH_MAX)
    }

    fn too_deep(&self, span: Span) -> Finding {
        Finding::error("too-deep", span, "Maximum object depth exceeded")
            .with_help(format!("a file may nest {} levels deep", self.depth_max()))
    }

    fn too_many_nodes(&self, span: Span) -> Finding {
        Finding::error("too-many-nodes", span, "Maximum object size exceeded")
            .with_help(format!("a file may have {} values, those that aliases repeat included", self.limits.nodes))
    }

    /// Returns where a scalar starts for people: a block at its `|` or `>`, one that is left out behind the colon.
    fn scalar_span(&mut self, span: Span, text: &str, style: ScalarStyle) -> Span {
        match style {
            ScalarStyle::Literal | ScalarStyle::Folded => self.block_header(span).unwrap_or(span),
            ScalarStyle::Plain if text.is_empty() => {
                Span { column: span.column + 1, end_column: span.column + 1, ..span }
            }
            _ => span,
        }
    }

    /// A block that ends with the file has a line end only if the file has one; the scanner always gives it one.
    fn without_added_line_end<'t>(&self, text: &'t str, style: ScalarStyle) -> &'t str {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        match text.strip_suffix('\n') {
            Some(body) if is_block && ends_file(self.text, body) => body,
            _ => text,
        }
    }

    fn block_header(&mut self, span: Span) -> Option<Span> {
        if self.lines.is_empty() {
            self.lines = self.text.lines().collect();
        }
        let content = (span.line as usize).saturating_sub(1).min(self.lines.len());
        let line = (0..content).rev().find(|at| !self.lines[*at].trim().is_empty())?;
        let header = self.lines[line];
        let at = header.rmatch_indices(['|', '>']).map(|(at, _)| at).find(|at| is_header(&header[at + 1..]))?;
        Some(Span { line: line as u32 + 1, column: header[..at].chars().count() as u32 + 1, ..span })
    }
}

fn checked_key(node: Node) -> Result<Node, Finding> {
    match &node.kind {
        NodeKind::Scalar { text, style: Style::Plain, .. } if &**text == "<<" => {
            Err(Finding::error("merge-key", node.span, "Merge keys ('<<') are not supported")
                .with_help("write the keys out, or give the whole mapping by an alias"))
        }
        NodeKind::Scalar { .. } => Ok(node),
        _ => Err(Finding::error("key-not-scalar", node.span, "A key must be a single value, not a list or a mapping")),
    }
}

/// Says whether a file ends, without a line end, with the last line of a block.
fn ends_file(text: &str, body: &str) -> bool {
    let last = body.rsplit('\n').next().unwrap_or(body);
    !text.ends_with('\n') && !last.is_empty() && text.ends_with(last)
}

/// Says whether this is what may follow the `|` or `>` of a block scalar.
fn is_header(rest: &str) -> bool {
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '+' || letter == '-');
    rest.trim().is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Scalar { .. } => 0,
        NodeKind::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeKind::Mapping(entries) => 1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
    }
}

fn syntax_error(error: &saphyr_parser::ScanError) -> Finding {
    let mark = error.marker();
    let (line, column) = (mark.line() as u32, mark.col() as u32 + 1);
    let span = Span { line, column, end_line: line, end_column: column + 1 };
    if error.info().contains("recursion limit") {
        return Finding::error("too-deep", span, "Maximum object depth exceeded");
    }
    Finding::error("yaml-syntax", span, format!("The YAML cannot be read: {}", error.info()))
}
