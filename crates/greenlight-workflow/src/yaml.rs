//! YAML as GitHub reads it: a tree with exact spans. Scalars keep their text and style and are resolved by the rules of the
//! YAML 1.2 core schema; aliases are replaced by what they stand for; merge keys, several documents, duplicate keys and keys
//! that are no scalars are refused. saphyr scans and parses; what a node means, and every bound, is decided here.
//!
//! A file is hostile input: its size, depth, number of nodes and of alias expansions are bounded, and an alias inside the
//! node that it names is an error. Nothing recurses deeper than [`DEPTH_MAX`].

mod scalar;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use saphyr_parser::{Event, Parser, Tag};

use crate::finding::{Finding, Span};
use crate::value::{Value, fold_case};

/// How many bytes a file may have.
pub const SIZE_MAX: usize = 512 << 10;
/// How deep nodes may nest.
pub const DEPTH_MAX: usize = 64;
/// How many nodes a file may have once its aliases are replaced.
pub const NODES_MAX: usize = 100_000;
/// How many aliases a file may have.
pub const ALIASES_MAX: usize = 1_000;

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

/// Returns the tree of a file's only document, or everything that is wrong with it.
pub fn parse(text: &str) -> Result<Node, Vec<Finding>> {
    let (node, findings) = read(text);
    match node {
        Some(node) if findings.is_empty() => Ok(node),
        _ => Err(findings),
    }
}

/// Returns the tree as far as there is one: with findings it lacks what they are about (a second key of the same name).
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<Finding>) {
    if text.len() > SIZE_MAX {
        let message = format!("The maximum file size of {SIZE_MAX} characters has been exceeded");
        return (None, vec![Finding::error("file-too-large", start(), message)]);
    }
    let mut builder = Builder::default();
    let root = match builder.run(text.trim_start_matches('\u{feff}')) {
        Ok(root) => root,
        Err(finding) => {
            builder.findings.push(finding);
            None
        }
    };
    (root, builder.findings)
}

fn start() -> Span {
    Span { line: 1, column: 1, end_line: 1, end_column: 1 }
}

/// Puts a tree together from the parser's events.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Anchored>,
    nodes: usize,
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

impl Builder {
    fn run(&mut self, text: &str) -> Result<Option<Node>, Finding> {
        let mut parser = Parser::new_from_str(text);
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
                    return Err(Finding::error("several-documents", span, "Only one YAML document is expected in a file")
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
                let kind = scalar::resolve(&text, style, tag.as_deref(), span)?;
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
        if self.open.len() >= DEPTH_MAX {
            return Err(Finding::error("too-deep", span, "Maximum object depth exceeded")
                .with_help(format!("a file may nest {DEPTH_MAX} levels deep")));
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
            self.anchors.insert(open.anchor, Anchored::Done { node: node.clone(), nodes });
        }
        self.complete(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Option<Node>, Finding> {
        self.aliases += 1;
        if self.aliases > ALIASES_MAX {
            return Err(Finding::error("too-many-aliases", span, format!("More than {ALIASES_MAX} aliases in one file")));
        }
        let (node, nodes) = match self.anchors.get(&anchor) {
            Some(Anchored::Done { node, nodes }) => (node, *nodes),
            _ => return Err(Finding::error("alias-cycle", span, "The alias stands inside the node that it refers to")),
        };
        if self.open.len() + depth(node) > DEPTH_MAX {
            return Err(Finding::error("too-deep", span, "Maximum object depth exceeded"));
        }
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            return Err(too_many_nodes(span));
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
                    if seen.insert(fold_case(text).into()) {
                        entries.push((name, node));
                    } else {
                        let finding = Finding::error("duplicate-key", name.span, format!("'{text}' is already defined"))
                            .with_help("names that differ only in case or quotes are the same name; remove one of them");
                        self.findings.push(finding);
                    }
                }
            },
        }
        Ok(None)
    }

    fn count(&mut self, span: Span) -> Result<(), Finding> {
        self.nodes += 1;
        if self.nodes > NODES_MAX { Err(too_many_nodes(span)) } else { Ok(()) }
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

fn too_many_nodes(span: Span) -> Finding {
    Finding::error("too-many-nodes", span, "Maximum object size exceeded")
        .with_help(format!("a file may have {NODES_MAX} values, those that aliases repeat included"))
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
    Finding::error("yaml-syntax", span, format!("The YAML cannot be read: {}", error.info()))
}
