//! The parser's events to a tree, one node after the other, within the bounds of a file.

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use super::tab::Tabs;
use super::text::Texts;
use super::{DEPTH_MAX, Limits, Node, NodeKind, Reading, Style, VALUE_BYTES, cause, scalar, start, text_bytes};
use crate::finding::{Finding, Span, nearest};
use crate::template::has_expression;
use crate::value::{Value, fold_case, fold_equals};

/// How many entries a mapping has before its names are indexed.
const ENTRIES_SCANNED_MAX: usize = 24;
/// For how many open collections, and items and entries of them, there is room from the start.
const OPEN_EXPECTED: usize = 8;
const ITEMS_EXPECTED: usize = 32;
/// How many anchors are looked at for the one that was meant.
const ANCHORS_LOOKED_AT_MAX: usize = 200;

/// What the scanner says of a quote that is not closed, or whose text goes on where it may not.
const UNCLOSED: [&str; 3] = [
    "while scanning a quoted scalar, found unexpected document indicator",
    "while scanning a quoted scalar, found unexpected end of stream",
    "invalid indentation in quoted scalar",
];

/// Puts a tree together from the parser's events.
pub(super) struct Builder<'a> {
    text: &'a str,
    limits: &'a Limits,
    /// Where lines start, once a block scalar asks for it.
    lines: Vec<&'a str>,
    tabs: Option<Tabs<'a>>,
    open: Vec<Open>,
    /// The items of the lists that are open, the innermost one's last.
    items: Vec<Node>,
    /// The entries of the mappings that are open, the innermost one's last.
    entries: Vec<(Node, Node)>,
    anchors: BTreeMap<usize, Anchored>,
    so_far: Size,
    anchored: usize,
    aliases: usize,
    texts: Texts,
    findings: Vec<Finding>,
}

/// How much there is of something.
#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    bytes: usize,
}

/// What an anchor names: nothing yet while its node is open.
enum Anchored {
    Open,
    Done { node: Node, size: Size },
}

/// A collection whose end has not come.
struct Open {
    span: Span,
    anchor: usize,
    before: Size,
    items: Items,
    /// Whether it stands in brackets; told only where it matters, in a text with tabs.
    is_flow: bool,
}

/// What of a collection is not among the items and entries of all.
enum Items {
    /// A list whose items start here.
    Sequence { start: usize },
    /// A mapping whose entries start here.
    Mapping { start: usize, key: Key, seen: Seen },
}

/// What a collection is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Collection {
    Sequence,
    Mapping,
}

/// The names that a mapping has, in the case in which they are compared; few ones are found without.
#[derive(Default)]
struct Seen(BTreeSet<Box<str>>);

/// What the next node of a mapping is.
#[derive(Clone, Copy)]
enum Key {
    /// A key.
    Awaited,
    /// The value of the last entry, whose key has come.
    Named,
    /// The value of a key that was refused, and goes with it.
    Refused,
}

impl<'a> Builder<'a> {
    /// Returns a builder for a text.
    pub fn new(text: &'a str, limits: &'a Limits) -> Builder<'a> {
        Builder {
            text,
            limits,
            lines: Vec::new(),
            tabs: Tabs::of(text),
            open: Vec::with_capacity(OPEN_EXPECTED),
            items: Vec::with_capacity(ITEMS_EXPECTED),
            entries: Vec::with_capacity(ITEMS_EXPECTED),
            anchors: BTreeMap::new(),
            so_far: Size::default(),
            anchored: 0,
            aliases: 0,
            texts: Texts::default(),
            findings: Vec::new(),
        }
    }

    /// Reads the whole text.
    pub fn run(mut self) -> Reading {
        let node = self.root().unwrap_or_else(|finding| {
            self.findings.push(finding);
            None
        });
        Reading { node, findings: self.findings, bytes: self.so_far.bytes }
    }

    /// Returns what was read where nothing was wrong with it.
    pub fn into_reading(self, node: Node) -> Option<Reading> {
        let bytes = self.so_far.bytes;
        self.findings.is_empty().then_some(Reading { node: Some(node), findings: self.findings, bytes })
    }

    fn root(&mut self) -> Result<Option<Node>, Finding> {
        let mut parser = Parser::new_from_str(self.text);
        let mut root = None;
        let mut documents = 0;
        while let Some(next) = parser.next_event() {
            let (event, span) = next.map_err(|error| syntax_error(&error, self.text))?;
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
                match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => self.check_block(span)?,
                    _ if self.awaits_key() => self.check_indent(span)?,
                    _ => {}
                }
                let text = self.without_added_line_end(&text, style);
                self.scalar(text, style, anchor, tag.as_deref(), span)
            }
            Event::SequenceStart(anchor, tag) => self.open(span, anchor, tag.as_deref(), Collection::Sequence),
            Event::MappingStart(anchor, tag) => self.open(span, anchor, tag.as_deref(), Collection::Mapping),
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(None)
            }
        }
    }

    /// Takes in a scalar.
    pub fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<Option<Node>, Finding> {
        let kind = scalar::resolve(text, style, tag, span, &mut self.texts)?;
        let node = Node { span, kind };
        let size = Size { nodes: 1, bytes: bytes(&node) };
        self.count(size, span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored::Done { node: node.clone(), size });
        }
        Ok(self.complete(node))
    }

    /// Takes in a scalar that has neither an anchor nor a tag and is not the root; None where the bounds do not allow it.
    pub fn plain_scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Option<()> {
        let kind = scalar::resolve_untagged(text, style, &mut self.texts);
        self.so_far.nodes += 1;
        self.so_far.bytes += match &kind {
            NodeKind::Scalar { value: Value::String(text), .. } => VALUE_BYTES + text_bytes(text),
            _ => VALUE_BYTES,
        };
        let fits = self.so_far.nodes <= self.limits.nodes && self.so_far.bytes <= self.limits.bytes;
        fits.then(|| drop(self.complete(Node { span, kind })))
    }

    /// Takes in the start of a collection.
    pub fn open(
        &mut self,
        span: Span,
        anchor: usize,
        tag: Option<&Tag>,
        kind: Collection,
    ) -> Result<Option<Node>, Finding> {
        scalar::check_collection_tag(tag, if kind == Collection::Sequence { "seq" } else { "map" }, span)?;
        self.check_indent(span)?;
        if self.open.len() >= self.depth_max() {
            return Err(self.too_deep(span));
        }
        let before = self.so_far;
        self.count(Size { nodes: 1, bytes: VALUE_BYTES }, span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored::Open);
        }
        let is_flow = self.begins_bracket(span);
        let items = match kind {
            Collection::Sequence => Items::Sequence { start: self.items.len() },
            Collection::Mapping => {
                Items::Mapping { start: self.entries.len(), key: Key::Awaited, seen: Seen::default() }
            }
        };
        self.open.push(Open { span, anchor, before, items, is_flow });
        Ok(None)
    }

    /// Takes in the end of the innermost collection; returns it where it is the root.
    pub fn close(&mut self, end: Span) -> Result<Option<Node>, Finding> {
        let open = self.open.pop().expect("the parser ends only what it started");
        let span = Span { end_line: end.end_line, end_column: end.end_column, ..open.span };
        let kind = match open.items {
            Items::Sequence { start } => NodeKind::Sequence(taken_from(&mut self.items, start)),
            Items::Mapping { start, .. } => NodeKind::Mapping(taken_from(&mut self.entries, start)),
        };
        let node = Node { span, kind };
        if open.anchor > 0 {
            let size =
                Size { nodes: self.so_far.nodes - open.before.nodes, bytes: self.so_far.bytes - open.before.bytes };
            // What an anchor names is kept a second time; anchors around anchors must not multiply it.
            self.anchored = self.anchored.saturating_add(size.nodes);
            if self.anchored > self.limits.nodes {
                return Err(self.too_many_nodes(span));
            }
            self.anchors.insert(open.anchor, Anchored::Done { node: node.clone(), size });
        }
        Ok(self.complete(node))
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Option<Node>, Finding> {
        self.aliases += 1;
        if self.aliases > self.limits.aliases {
            let message = format!("More than {} aliases in one file", self.limits.aliases);
            return Err(Finding::error("too-many-aliases", span, message));
        }
        let Some(Anchored::Done { node, size }) = self.anchors.get(&anchor) else {
            let message = "The alias stands inside the node that it refers to";
            self.findings.push(Finding::error("alias-cycle", span, message).with_help("write out what is meant here"));
            self.leave_out();
            return Ok(None);
        };
        if self.open.len() + depth(node) > self.depth_max() {
            return Err(self.too_deep(span));
        }
        let (node, size) = (node.clone(), *size);
        self.count(size, span)?;
        Ok(self.complete(node))
    }

    /// Puts a finished node where it belongs; returns it where it is the root.
    fn complete(&mut self, node: Node) -> Option<Node> {
        let Some(parent) = self.open.last_mut() else { return Some(node) };
        let (start, key, seen) = match &mut parent.items {
            Items::Sequence { .. } => {
                self.items.push(node);
                return None;
            }
            Items::Mapping { start, key, seen } => (*start, key, seen),
        };
        let before = std::mem::replace(key, Key::Awaited);
        match before {
            Key::Awaited => match refused_key(&node) {
                None => {
                    self.entries.push((node, Node::nothing()));
                    *key = Key::Named;
                }
                Some(finding) => {
                    self.findings.push(finding);
                    *key = Key::Refused;
                }
            },
            Key::Named => {
                let ((name, value), others) = self.entries[start..].split_last_mut().expect("its key has come");
                let text = name.as_str().expect("keys are checked when they come");
                if seen.takes(text, others) {
                    *value = node;
                } else {
                    let help = "names that differ only in case or quotes are the same name; remove one of them";
                    let finding = Finding::error("duplicate-key", name.span, format!("'{text}' is already defined"));
                    self.findings.push(finding.with_help(help));
                    self.entries.pop();
                }
            }
            Key::Refused => {}
        }
        None
    }

    /// Goes on as if the node that would come here had come; a key or value goes with it.
    fn leave_out(&mut self) {
        let Some(Open { items: Items::Mapping { key, .. }, .. }) = self.open.last_mut() else { return };
        *key = match key {
            Key::Awaited => Key::Refused,
            Key::Named => {
                self.entries.pop();
                Key::Awaited
            }
            Key::Refused => Key::Awaited,
        };
    }

    fn count(&mut self, size: Size, span: Span) -> Result<(), Finding> {
        self.so_far.nodes = self.so_far.nodes.saturating_add(size.nodes);
        self.so_far.bytes = self.so_far.bytes.saturating_add(size.bytes);
        if self.so_far.nodes > self.limits.nodes {
            return Err(self.too_many_nodes(span));
        }
        if self.so_far.bytes > self.limits.bytes {
            return Err(Finding::error("too-large", span, "Maximum object size exceeded")
                .with_help("make the file smaller; what an alias stands for counts each time"));
        }
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { items: Items::Mapping { key: Key::Awaited, .. }, .. }))
    }

    /// No list, mapping or key begins behind a tab that indents it, unless it stands between brackets.
    fn check_indent(&self, span: Span) -> Result<(), Finding> {
        let Some(tabs) = &self.tabs else { return Ok(()) };
        let is_between_brackets = || self.open.last().is_some_and(|open| open.is_flow);
        if tabs.indent(span) && !self.begins_bracket(span) && !is_between_brackets() {
            return Err(tab_error(Span { column: 1, ..span }));
        }
        Ok(())
    }

    fn check_block(&self, header: Span) -> Result<(), Finding> {
        match self.tabs.as_ref().and_then(|tabs| tabs.inside_block(header)) {
            Some(line) => Err(tab_error(Span { line, column: 1, end_line: line, end_column: 2 })),
            None => Ok(()),
        }
    }

    /// Says whether a list or mapping in brackets begins here.
    fn begins_bracket(&self, span: Span) -> bool {
        self.tabs.as_ref().and_then(|tabs| tabs.letter(span)).is_some_and(|letter| matches!(letter, '[' | '{'))
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

impl Seen {
    /// Says whether a name is none that the entries have. One with an expression in it may come to anything.
    fn takes(&mut self, name: &str, entries: &[(Node, Node)]) -> bool {
        if has_expression(name) {
            return true;
        }
        let names = || entries.iter().filter_map(|(name, _)| name.as_str());
        if entries.len() < ENTRIES_SCANNED_MAX {
            return !names().any(|known| fold_equals(known, name));
        }
        if self.0.is_empty() {
            self.0 = names().map(|known| fold_case(known).into()).collect();
        }
        self.0.insert(fold_case(name).into())
    }
}

/// Returns what stands behind this place, in just the room that it needs.
fn taken_from<T>(all: &mut Vec<T>, start: usize) -> Vec<T> {
    if start > 0 {
        return all.split_off(start);
    }
    // Splitting off everything would give the room away with it.
    let mut taken = Vec::with_capacity(all.len());
    taken.append(all);
    taken
}

/// Says why a node cannot be a key.
fn refused_key(node: &Node) -> Option<Finding> {
    match &node.kind {
        NodeKind::Scalar { value: Value::String(text), style: Style::Plain, .. } if &**text == "<<" => Some(
            Finding::error("merge-key", node.span, "Merge keys ('<<') are not supported")
                .with_help("write the keys out, or give the whole mapping by an alias"),
        ),
        NodeKind::Scalar { .. } => None,
        _ => Some(Finding::error("key-not-scalar", node.span, "A key must be a single value, not a list or a mapping")),
    }
}

/// Says whether a file ends, without a line end, with the last line of a block.
fn ends_file(text: &str, body: &str) -> bool {
    let last = body.rsplit('\n').next().unwrap_or(body);
    !text.ends_with('\n') && !last.is_empty() && text.ends_with(last)
}

/// Says whether this is what may follow the `|` or `>` of a block scalar.
pub(super) fn is_header(rest: &str) -> bool {
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '+' || letter == '-');
    rest.trim().is_empty() || (rest.starts_with([' ', '\t']) && rest.trim_start().starts_with('#'))
}

/// Returns what GitHub counts for a scalar.
fn bytes(node: &Node) -> usize {
    match node.as_value() {
        Some(Value::String(text)) => VALUE_BYTES + text_bytes(text),
        _ => VALUE_BYTES,
    }
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Scalar { .. } => 0,
        NodeKind::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeKind::Mapping(entries) => 1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
    }
}

fn tab_error(span: Span) -> Finding {
    Finding::error("yaml-syntax", span, "The YAML cannot be read: a tab stands where only blanks can indent")
        .with_help("put blanks in the place of the tab")
}

fn syntax_error(error: &saphyr_parser::ScanError, text: &str) -> Finding {
    let mark = error.marker();
    let (line, column) = (mark.line() as u32, mark.col() as u32 + 1);
    let span = Span { line, column, end_line: line, end_column: column + 1 };
    if error.info().contains("recursion limit") {
        return Finding::error("too-deep", span, "Maximum object depth exceeded")
            .with_help(format!("a file may nest {DEPTH_MAX} levels deep"));
    }
    if UNCLOSED.contains(&error.info()) {
        // The scanner points at the quote that opens.
        let message = "The YAML cannot be read: the quote that opens here is not closed";
        return Finding::error("yaml-syntax", span, message);
    }
    if error.info().contains("unknown anchor")
        && let Some(name) = alias_at(text, span)
    {
        return unknown_anchor(text, name, span);
    }
    cause::of(error.info(), text, line)
        .unwrap_or_else(|| Finding::error("yaml-syntax", span, format!("The YAML cannot be read: {}", error.info())))
}

/// Returns the name of the alias that stands here.
fn alias_at(text: &str, span: Span) -> Option<&str> {
    let line = text.lines().nth(span.line.checked_sub(1)? as usize)?;
    let (at, _) = line.char_indices().nth(span.column.checked_sub(1)? as usize)?;
    let named = line[at..].strip_prefix('*')?;
    Some(named.split(is_name_end).next().unwrap_or_default())
}

fn unknown_anchor(text: &str, name: &str, span: Span) -> Finding {
    let before = text.lines().take(span.line as usize).collect::<Vec<_>>();
    let anchors: Vec<&str> = before
        .iter()
        .flat_map(|line| line.split(is_name_end))
        .filter_map(|word| word.strip_prefix('&').filter(|name| !name.is_empty()))
        .take(ANCHORS_LOOKED_AT_MAX)
        .collect();
    let help = nearest(name, &anchors).map(|meant| format!("did you mean '*{meant}'?"));
    let span = Span { end_column: span.column + 1 + name.chars().count() as u32, ..span };
    Finding::error("unknown-anchor", span, format!("Unknown anchor '{name}'")).with_help_of(help)
}

/// Says whether the name of an anchor ends before this letter.
fn is_name_end(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, ',' | '[' | ']' | '{' | '}')
}
