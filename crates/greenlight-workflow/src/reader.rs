//! A YAML tree and a grammar to a tree of templates, with everything that does not fit as findings. It knows the grammar's
//! shape but no single key; meaning is given to the result in `decode`.

use std::borrow::Cow;
use std::sync::Arc;

use crate::expression::{ExpressionError, ExpressionErrorKind, Scope};
use crate::finding::{FINDINGS_MAX, Finding, Span, nearest};
use crate::schema::{Definition, Keys, Mapping, Property, Schema};
use crate::template::{Template, Tree, TreeKind, Wrong};
use crate::value::Value;
use crate::yaml::{Node, NodeKind};

/// Returns the tree as the grammar's definition `root` understands it; what is wrong is added to `findings`.
pub(crate) fn read(schema: &Schema, root: &str, node: Node, findings: &mut Vec<Finding>) -> Tree {
    let joined = vec![None; schema.len()];
    Reader { schema, findings, joined }.value(node, schema.named(root), &Arc::new(Scope::default()))
}

/// Functions that every expression may use.
const FUNCTIONS: [&str; 8] = ["contains", "startsWith", "endsWith", "format", "join", "toJSON", "fromJSON", "case"];

struct Reader<'a> {
    schema: &'a Schema,
    findings: &'a mut Vec<Finding>,
    /// For each definition the scope in which it was met last, and what expressions may use inside it there.
    joined: Vec<Option<(Arc<Scope>, Arc<Scope>)>>,
}

impl Reader<'_> {
    fn value(&mut self, node: Node, index: usize, outer: &Arc<Scope>) -> Tree {
        let schema = self.schema;
        let definition = schema.get(index);
        match &definition.scope {
            None => self.value_within(node, definition, outer),
            Some(own) => {
                let scope = self.joined(index, own, outer);
                self.value_within(node, definition, &scope)
            }
        }
    }

    fn value_within(&mut self, node: Node, definition: &Definition, scope: &Arc<Scope>) -> Tree {
        let span = node.span;
        let kind = match node.kind {
            NodeKind::Scalar { text, value, .. } => TreeKind::Scalar(self.scalar(text, value, span, definition, scope)),
            NodeKind::Sequence(items) => match definition.sequence {
                Some(item) => TreeKind::Sequence(items.into_iter().map(|node| self.value(node, item, scope)).collect()),
                None => {
                    self.unexpected("unexpected-sequence", span, "A sequence was not expected", definition);
                    TreeKind::Sequence(Vec::new())
                }
            },
            NodeKind::Mapping(entries) => match definition.mappings.is_empty() {
                true => {
                    self.unexpected("unexpected-mapping", span, "A mapping was not expected", definition);
                    TreeKind::Mapping(Vec::new())
                }
                false => TreeKind::Mapping(self.mapping(span, entries, definition, scope)),
            },
        };
        Tree { span, kind }
    }

    /// Returns what expressions may use inside a definition that stands in `outer`.
    fn joined(&mut self, index: usize, own: &Arc<Scope>, outer: &Arc<Scope>) -> Arc<Scope> {
        if outer.is_empty() {
            return own.clone();
        }
        match &self.joined[index] {
            Some((met, joined)) if Arc::ptr_eq(met, outer) => joined.clone(),
            _ => {
                let joined = Arc::new(outer.union(own));
                self.joined[index] = Some((outer.clone(), joined.clone()));
                joined
            }
        }
    }

    fn scalar(
        &mut self,
        text: Option<Arc<str>>,
        value: Value,
        span: Span,
        definition: &Definition,
        scope: &Scope,
    ) -> Template {
        let template = self.template(text, value, span, scope);
        if template.is_insert() {
            self.error("unexpected-value", span, format!("Unexpected value '{}'", template.source()));
            return template;
        }
        let Some(value) = template.as_literal() else {
            self.check_expression_allowed(span, scope);
            return template;
        };
        match fitting(value, definition) {
            Some(Cow::Borrowed(_)) => template,
            Some(Cow::Owned(string)) => template.with_literal(string),
            None => {
                let value = value.coerce_string();
                let help = help_for_value(&value, definition);
                let finding = Finding::error("unexpected-value", span, format!("Unexpected value '{value}'"));
                self.findings.push(finding.with_help_of(help));
                template
            }
        }
    }

    /// Returns the scalar as a template; one whose expressions are wrong becomes a literal after the errors are noted.
    fn template(&mut self, text: Option<Arc<str>>, value: Value, span: Span, scope: &Scope) -> Template {
        let verbatim = Template::verbatim(value, text, span);
        if !verbatim.may_be_expression() {
            return verbatim;
        }
        verbatim.read(scope).unwrap_or_else(|(verbatim, errors)| {
            for Wrong { error, place } in errors {
                let help = help_for_expression(&error.message, scope);
                let finding = Finding::error("expression", span, error.message);
                self.findings.push(finding.with_help_of(help).about(place));
            }
            verbatim
        })
    }

    fn check_expression_allowed(&mut self, span: Span, scope: &Scope) {
        if scope.is_empty() {
            let message = "A template expression is not allowed in this context".into();
            self.error("expression-not-allowed", span, message);
        }
    }

    fn mapping(
        &mut self,
        span: Span,
        entries: Vec<(Node, Node)>,
        definition: &Definition,
        scope: &Arc<Scope>,
    ) -> Vec<(Template, Tree)> {
        let mut candidates = Candidates::of(definition);
        let loose = definition.mappings[0].loose;
        let mut tree = Vec::with_capacity(entries.len());
        let (mut has_expression_key, mut has_rival) = (false, false);
        for (key_node, value_node) in entries {
            let key_span = key_node.span;
            let key = self.key(key_node, scope);
            if key.is_expression() {
                has_expression_key = true;
                let before = self.findings.len();
                self.check_expression_allowed(key_span, scope);
                if self.findings.len() == before {
                    let value = loose.map_or_else(|| self.schema.named("any"), |(_, value)| value);
                    tree.push((key, self.value(value_node, value, scope)));
                }
                continue;
            }
            let name = key.as_str().unwrap_or_default();
            if let Some(property) = candidates.narrow(name) {
                tree.push((key, self.value(value_node, property.value, scope)));
            } else if let Some((key_type, value_type)) = loose {
                self.check_loose_key(name, key_span, key_type);
                tree.push((key, self.value(value_node, value_type, scope)));
            } else {
                has_rival |= candidates.rival(name, &tree).is_some();
                self.unknown_key(name, key_span, &candidates, &tree);
            }
        }
        match candidates.only() {
            Some(only) if !has_expression_key => self.check_complete(span, only, &tree),
            // A key that rules another out may be what would have told.
            None if !has_rival => self.check_meant(span, &candidates),
            _ => {}
        }
        tree
    }

    fn key(&mut self, node: Node, scope: &Scope) -> Template {
        let NodeKind::Scalar { text, value, .. } = node.kind else {
            unreachable!("the YAML reader refuses keys that are no scalars")
        };
        // Names are texts, whatever they look like; a key that is Null has the empty name.
        let name = match value {
            Value::String(_) => value,
            value => Value::String(value.coerce_string()),
        };
        self.template(text, name, node.span, scope)
    }

    fn check_loose_key(&mut self, name: &str, span: Span, key_type: usize) {
        if !self.schema.get(key_type).string.allow(name) {
            self.error("unexpected-value", span, format!("Unexpected value '{name}'"));
        }
    }

    fn unknown_key(&mut self, name: &str, span: Span, candidates: &Candidates<'_>, before: &[(Template, Tree)]) {
        if self.findings.len() > FINDINGS_MAX {
            return self.error("unknown-key", span, format!("Unexpected value '{name}'"));
        }
        let known: Vec<&str> =
            candidates.left().flat_map(|mapping| &mapping.properties).map(|property| property.key.as_str()).collect();
        let mut finding = Finding::error("unknown-key", span, format!("Unexpected value '{name}'"));
        finding.help = Some(match (candidates.rival(name, before), nearest(name, &known)) {
            (Some(rival), _) if ["run", "uses"].contains(&name) && ["run", "uses"].contains(&rival) => {
                "a step either runs a script ('run') or uses an action ('uses'); remove one of them".into()
            }
            (Some(rival), _) => format!("'{name}' and '{rival}' do not go together; remove one of them"),
            (None, Some(meant)) => format!("did you mean '{meant}'?"),
            (None, None) => format!("known here: {}", list(known)),
        });
        self.findings.push(finding);
    }

    fn check_complete(&mut self, span: Span, only: &Mapping, tree: &[(Template, Tree)]) {
        for property in only.properties.iter().filter(|property| property.required) {
            if !tree.iter().any(|(key, _)| key.source() == property.key) {
                self.error("missing-key", span, format!("Required property is missing: {}", property.key));
            }
        }
    }

    /// Names what would tell which of several mappings this is.
    fn check_meant(&mut self, span: Span, candidates: &Candidates<'_>) {
        let all: Vec<&Property> = candidates.left().flat_map(|mapping| &mapping.properties).collect();
        let is_telling = |key: &str| all.iter().filter(|other| other.key == key).count() == 1;
        let mut telling: Vec<&str> = all
            .iter()
            .filter(|property| property.suggested && is_telling(&property.key))
            .map(|property| property.key.as_str())
            .collect();
        telling.sort_unstable();
        let message = format!(
            "There's not enough info to determine what you meant. Add one of these properties: {}",
            telling.join(", ")
        );
        self.error("ambiguous-mapping", span, message);
    }

    fn unexpected(&mut self, code: &'static str, span: Span, message: &str, definition: &Definition) {
        let is_list_meant = code == "unexpected-mapping" && definition.sequence.is_some();
        let help = help_for_value("", definition)
            .map(|help| if is_list_meant { format!("{help}; begin each item of it with '- '") } else { help });
        self.findings.push(Finding::error(code, span, message).with_help_of(help));
    }

    fn error(&mut self, code: &'static str, span: Span, message: String) {
        self.findings.push(Finding::error(code, span, message));
    }
}

/// The mappings of a definition that a mapping may still be, by the keys that it has shown so far.
struct Candidates<'a> {
    mappings: &'a [Mapping],
    keys: &'a Keys,
    /// A bit for each.
    left: u32,
}

impl<'a> Candidates<'a> {
    fn of(definition: &'a Definition) -> Candidates<'a> {
        let mappings = definition.mappings.as_slice();
        Candidates { mappings, keys: &definition.keys, left: u32::MAX >> (u32::BITS as usize - mappings.len()) }
    }

    fn left(&self) -> impl DoubleEndedIterator<Item = &'a Mapping> {
        let left = self.left;
        self.mappings.iter().enumerate().filter(move |(at, _)| left & (1 << at) != 0).map(|(_, mapping)| mapping)
    }

    fn only(&self) -> Option<&'a Mapping> {
        if self.left.count_ones() == 1 { self.left().next() } else { None }
    }

    /// Returns the key that says that this is no mapping in which a key could stand that others have.
    fn rival<'t>(&self, name: &str, before: &'t [(Template, Tree)]) -> Option<&'t str> {
        let with_name = self.mappings.iter().find(|mapping| mapping.property(name).is_some())?;
        before.iter().map(|(key, _)| key.source()).find(|key| with_name.property(key).is_none())
    }

    /// Returns the property that some of them have; those that lack it are candidates no longer.
    fn narrow(&mut self, name: &str) -> Option<&'a Property> {
        let (left, property) = self.keys.find(name, self.left, self.mappings)?;
        self.left = left;
        Some(property)
    }
}

/// Returns the value as it may stand here: as it is, or as a text.
fn fitting<'a>(value: &'a Value, definition: &Definition) -> Option<Cow<'a, Value>> {
    let fits = match value {
        Value::Null => definition.null,
        Value::Bool(_) => definition.boolean,
        Value::Number(_) => definition.number,
        Value::String(text) => return definition.string.allow(text).then_some(Cow::Borrowed(value)),
        Value::Array(_) | Value::Object(_) => false,
    };
    if fits {
        return Some(Cow::Borrowed(value));
    }
    let text = value.coerce_string();
    definition.string.allow(&text).then_some(Cow::Owned(Value::String(text)))
}

fn help_for_value(value: &str, definition: &Definition) -> Option<String> {
    let constants: Vec<&str> = definition.string.constants.iter().map(String::as_str).collect();
    if let Some(meant) = nearest(value, &constants) {
        return Some(format!("did you mean '{meant}'?"));
    }
    let mut expected = constants;
    let kinds = [
        (definition.boolean, "true or false"),
        (definition.number, "a number"),
        (definition.sequence.is_some(), "a list"),
        (!definition.mappings.is_empty(), "a mapping"),
        (definition.string.nonempty, "a text that is not empty"),
        (definition.string.any, "a text"),
    ];
    expected.extend(kinds.iter().filter(|(allowed, _)| *allowed).map(|(_, name)| *name));
    (!expected.is_empty()).then(|| format!("expected here: {}", list(expected)))
}

/// Returns what to do about an expression that cannot be read or evaluated.
pub fn expression_help(error: &ExpressionError, scope: &Scope) -> Option<String> {
    match error.kind {
        ExpressionErrorKind::Evaluation => None,
        ExpressionErrorKind::Lexing | ExpressionErrorKind::Parsing => {
            let general = || Finding::error("expression", Span::default(), error.message.as_str()).help;
            help_for_expression(&error.message, scope).or_else(general)
        }
    }
}

/// Returns what to do about an expression that names what its place does not know.
pub(crate) fn help_for_expression(message: &str, scope: &Scope) -> Option<String> {
    if let Some(rest) = message.strip_prefix("Unrecognized function: '") {
        return help_for_function(rest.split('\'').next()?, scope);
    }
    let name = message.strip_prefix("Unrecognized named-value: '")?.split('\'').next()?;
    let known: Vec<&str> = scope.named_values().collect();
    Some(match nearest(name, &known) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None if known.is_empty() => "no contexts are available here".into(),
        None => format!("available here: {}", list(known)),
    })
}

fn help_for_function(name: &str, scope: &Scope) -> Option<String> {
    if Scope::everything().function_names().any(|known| known.eq_ignore_ascii_case(name)) {
        // It is known elsewhere; why not here is said by whoever knows the function.
        return None;
    }
    let known: Vec<&str> = FUNCTIONS.into_iter().chain(scope.function_names()).collect();
    Some(match nearest(name, &known) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None => format!("known here: {}", known.join(", ")),
    })
}

fn list(names: Vec<&str>) -> String {
    let mut names = names;
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
