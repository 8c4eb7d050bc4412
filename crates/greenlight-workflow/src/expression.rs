//! Expressions: what stands between `${{` and `}}`, and after `if:`. Text becomes tokens (`lexer`), tokens a tree
//! (`parser`), a tree and the contexts of a run a value (`evaluator`, `functions`). Nothing here knows what a workflow is:
//! which names and functions a place may use comes as a [`Scope`], what they mean as a [`Context`].
//!
//! An expression is hostile input. Its length and depth are bounded when it is parsed, so that neither evaluating nor
//! dropping its tree can exhaust the stack, and what its functions may produce is bounded when it is evaluated: nested
//! `format` calls could otherwise multiply a text without end.

mod evaluator;
mod functions;
mod lexer;
mod parser;
mod reference;

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::value::{Object, Value, fold_equals};

pub(crate) use functions::Function;
pub use reference::Reference;

/// How many UTF-16 units an expression may have.
pub const EXPRESSION_LENGTH_MAX: usize = 21_000;
/// How deep an expression may nest.
pub const EXPRESSION_DEPTH_MAX: usize = 50;
/// How much deeper than an expression the parser goes for `success() && (…)` around it, at most.
const SUCCESS_DEPTH: usize = 4;
/// How many bytes the functions of one evaluation may produce in all.
pub const EVALUATION_BYTES_MAX: usize = 10 << 20;

/// Names and functions that an expression may use at its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    named: Vec<Arc<str>>,
    functions: Vec<(Function, usize, usize)>,
}

/// A parsed expression. Cloning it costs a counter.
#[derive(Clone, Debug)]
pub struct Expression {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    text: Arc<str>,
    root: Node,
    /// How deep the parser had to go for it.
    depth: usize,
}

/// What can go wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionError {
    /// At which stage.
    pub kind: ExpressionErrorKind,
    /// GitHub's sentence, with the place where it has one.
    pub message: String,
    /// The bytes of the expression that it is about, where it is about some of them.
    pub(crate) at: Option<Range<usize>>,
}

impl ExpressionError {
    /// Returns an error about the whole expression.
    pub(crate) fn new(kind: ExpressionErrorKind, message: impl Into<String>) -> ExpressionError {
        ExpressionError { kind, message: message.into(), at: None }
    }
}

/// The stage at which an expression failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpressionErrorKind {
    /// The text contains what is no token.
    Lexing,
    /// The tokens make no expression, or name what is not there.
    Parsing,
    /// A function refused its arguments.
    Evaluation,
}

impl ExpressionErrorKind {
    /// Returns the kind in lower case, as reports have it.
    pub fn as_str(self) -> &'static str {
        match self {
            ExpressionErrorKind::Lexing => "lexing",
            ExpressionErrorKind::Parsing => "parsing",
            ExpressionErrorKind::Evaluation => "evaluation",
        }
    }
}

/// How things stand so far: what `success()`, `failure()` and `cancelled()` answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusCheck {
    /// What `success()` is.
    pub success: bool,
    /// What `failure()` is.
    pub failure: bool,
    /// What `cancelled()` is.
    pub cancelled: bool,
}

impl StatusCheck {
    /// Everything went well so far.
    pub const SUCCESS: StatusCheck = StatusCheck { success: true, failure: false, cancelled: false };
    /// Something failed.
    pub const FAILURE: StatusCheck = StatusCheck { success: false, failure: true, cancelled: false };
    /// The run was cancelled.
    pub const CANCELLED: StatusCheck = StatusCheck { success: false, failure: false, cancelled: true };
    /// Something that is needed was skipped: neither success nor failure.
    pub const SKIPPED: StatusCheck = StatusCheck { success: false, failure: false, cancelled: false };
}

/// What an expression sees of the world. This is the port through which everything impure comes in.
pub trait Context {
    /// Returns the context of this name (`github`, `env`, …), in whatever case the expression wrote it.
    fn named(&self, name: &str) -> Value;

    /// Returns how things stand for this job or step, with all that it needs directly or through others.
    fn status(&self) -> StatusCheck {
        StatusCheck::SUCCESS
    }

    /// Returns how these jobs stand, for `success('a', 'b')`; places that know no jobs answer as [`Context::status`] does.
    fn status_of(&self, job_ids: &[String]) -> StatusCheck {
        let _ = job_ids;
        self.status()
    }

    /// Returns the hash over the files that match, or the reason why it cannot be had.
    fn hash_files(&self, patterns: &[String], follow_symbolic_links: bool) -> Result<String, String> {
        let _ = (patterns, follow_symbolic_links);
        Err("hashFiles is not available here, only in a step on a runner".into())
    }
}

/// A context made of named values and a status: what planning and tests need.
#[derive(Clone, Debug)]
pub struct Contexts {
    values: Vec<(Arc<str>, Value)>,
    status: StatusCheck,
}

impl Default for Contexts {
    fn default() -> Contexts {
        Contexts { values: Vec::new(), status: StatusCheck::SUCCESS }
    }
}

impl Contexts {
    /// Returns contexts without any value, all being well.
    pub fn new() -> Contexts {
        Contexts::default()
    }

    /// Returns the entries of an object as named values; none for anything else.
    pub fn of(object: &Value) -> Contexts {
        let entries = object.as_object().into_iter().flat_map(Object::iter);
        entries.fold(Contexts::new(), |contexts, (name, value)| contexts.with(name, value.clone()))
    }

    /// Adds a named value, or replaces it.
    pub fn with(mut self, name: impl Into<Arc<str>>, value: Value) -> Contexts {
        self.set(name, value);
        self
    }

    /// Says how things stand.
    pub fn with_status(mut self, status: StatusCheck) -> Contexts {
        self.status = status;
        self
    }

    /// Sets a named value.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: Value) {
        let name = name.into();
        match self.values.iter_mut().find(|(known, _)| fold_equals(known, &name)) {
            Some((_, old)) => *old = value,
            None => self.values.push((name, value)),
        }
    }

    /// Returns the names that have a value.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.values.iter().map(|(name, _)| &**name)
    }
}

impl Context for Contexts {
    fn named(&self, name: &str) -> Value {
        self.values
            .iter()
            .find(|(known, _)| fold_equals(known, name))
            .map(|(_, value)| value.clone())
            .unwrap_or_default()
    }

    fn status(&self) -> StatusCheck {
        self.status
    }
}

impl Scope {
    /// Returns a scope of these words: a bare one is a named value, `name(min,max)` a function with its argument count,
    /// as GitHub's schema writes them.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a str>) -> Scope {
        let mut scope = Scope::default();
        for word in words {
            match Function::with_arity(word) {
                Some(function) => scope.functions.push(function),
                None => scope.named.push(word.into()),
            }
        }
        scope
    }

    /// Returns the scope that knows every context and function there is, for texts whose place was checked before.
    pub fn everything() -> Scope {
        Scope::of([
            "github",
            "inputs",
            "vars",
            "needs",
            "strategy",
            "matrix",
            "secrets",
            "steps",
            "job",
            "jobs",
            "runner",
            "env",
            "greenlight",
            "always(0,0)",
            "failure(0,MAX)",
            "cancelled(0,0)",
            "success(0,MAX)",
            "hashFiles(1,255)",
        ])
    }

    /// Returns the named values in the order given.
    pub fn named_values(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|name| &**name)
    }

    /// Returns the names of the functions that this place knows and others do not.
    pub(crate) fn function_names(&self) -> impl Iterator<Item = &'static str> {
        self.functions.iter().map(|(function, ..)| function.name())
    }

    /// Says whether no name and no function is known.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.functions.is_empty()
    }

    /// Returns what either scope knows.
    pub(crate) fn union(&self, other: &Scope) -> Scope {
        let mut scope = self.clone();
        scope.named.extend(other.named.iter().filter(|name| !self.knows(name)).cloned());
        scope
            .functions
            .extend(other.functions.iter().filter(|(function, ..)| self.arity(*function).is_none()).copied());
        scope
    }

    pub(crate) fn knows(&self, name: &str) -> bool {
        // Most names are written as they are known.
        self.named.iter().any(|known| **known == *name) || self.named.iter().any(|known| fold_equals(known, name))
    }

    pub(crate) fn arity(&self, function: Function) -> Option<(usize, usize)> {
        self.functions.iter().find(|(known, ..)| *known == function).map(|(_, min, max)| (*min, *max))
    }
}

/// Parses an expression, without the `${{ }}` around it.
pub fn parse_expression(text: &str, scope: &Scope) -> Result<Expression, ExpressionError> {
    let text: Arc<str> = text.into();
    let (root, depth) = parser::parse(&text, scope)?;
    Ok(Expression { inner: Arc::new(Inner { text, root, depth }) })
}

impl Expression {
    /// Returns the text as it was written.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Returns the expression's value in these contexts.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, ExpressionError> {
        evaluator::evaluate(&self.inner.root, context)
    }

    /// Returns `success() && (…)` around this expression.
    pub(crate) fn behind_success(self, scope: &Scope) -> Result<Expression, ExpressionError> {
        let text = ["success() && (", self.text(), ")"].concat();
        let has_room = self.inner.depth + SUCCESS_DEPTH <= EXPRESSION_DEPTH_MAX && text.len() <= EXPRESSION_LENGTH_MAX;
        if !has_room || scope.arity(Function::Success).is_none() {
            return parse_expression(&text, scope);
        }
        let depth = self.inner.depth + SUCCESS_DEPTH;
        let root = match Arc::try_unwrap(self.inner) {
            Ok(inner) => inner.root,
            Err(shared) => shared.root.clone(),
        };
        let success = Node::Call { function: Function::Success, arguments: Vec::new() };
        let root = Node::And(vec![success, root]);
        Ok(Expression { inner: Arc::new(Inner { text: text.into(), root, depth }) })
    }

    /// Says whether `success`, `failure`, `cancelled` or `always` is called anywhere in it.
    pub fn checks_status(&self) -> bool {
        let mut found = false;
        self.inner.root.walk(&mut |node| {
            found |= matches!(
                node,
                Node::Call {
                    function: Function::Always | Function::Success | Function::Failure | Function::Cancelled,
                    ..
                }
            );
        });
        found
    }

    /// Returns the value where the expression is a single literal.
    pub fn as_literal(&self) -> Option<&Value> {
        match &self.inner.root {
            Node::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.inner.text == other.inner.text
    }
}

/// Chains of equal rank are one node, so that the tree is no deeper than the parser's own bound.
#[derive(Clone, Debug)]
enum Node {
    Literal(Value),
    Named(Name),
    Path { base: Box<Node>, steps: Vec<Step> },
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Compare { first: Box<Node>, rest: Vec<(Comparison, Node)> },
    Call { function: Function, arguments: Vec<Node> },
}

/// One dereference of a path.
#[derive(Clone, Debug)]
enum Step {
    Property(Name),
    Index(Node),
    Star,
}

/// A name as it stands in the text of its expression.
#[derive(Clone, Debug)]
struct Name {
    text: Arc<str>,
    start: u32,
    end: u32,
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text[self.start as usize..self.end as usize]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Step {
    /// Returns what has to be evaluated for it.
    fn index(&self) -> Option<&Node> {
        match self {
            Step::Index(index) => Some(index),
            Step::Property(_) | Step::Star => None,
        }
    }
}

impl Node {
    fn walk(&self, visit: &mut dyn FnMut(&Node)) {
        visit(self);
        match self {
            Node::Literal(_) | Node::Named(_) => {}
            Node::Path { base, steps } => {
                base.walk(visit);
                steps.iter().filter_map(Step::index).for_each(|index| index.walk(visit));
            }
            Node::Not(base) => base.walk(visit),
            Node::And(items) | Node::Or(items) | Node::Call { arguments: items, .. } => {
                items.iter().for_each(|item| item.walk(visit));
            }
            Node::Compare { first, rest } => {
                first.walk(visit);
                rest.iter().for_each(|(_, item)| item.walk(visit));
            }
        }
    }
}
