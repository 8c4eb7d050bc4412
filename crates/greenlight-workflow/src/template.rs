//! Texts with `${{ }}` in them, and trees of such texts: what a workflow holds until the moment it is run.

mod condition;
mod tree;

use std::sync::Arc;

use crate::expression::{
    Context, EVALUATION_BYTES_MAX, EXPRESSION_LENGTH_MAX, Expression, ExpressionError, ExpressionErrorKind, Scope,
    parse_expression,
};
use crate::finding::{Part as Place, Span};
use crate::value::Value;

pub use condition::Condition;
pub use tree::{INSERT, Tree, TreeKind, evaluate_entries};

const OPEN: &str = "${{";
const CLOSE: &str = "}}";

/// For how many segments of a text there is room from the start.
const SEGMENTS_EXPECTED: usize = 4;

/// A scalar whose value may have to be computed. Cloning it costs a few counters.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// The text that was written, where that is not the literal that it is.
    written: Option<Arc<str>>,
    span: Span,
    kind: Kind,
}

/// What is wrong with an expression of a text, and where in the text it stands.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub error: ExpressionError,
    pub place: Option<Place>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Literal(Value),
    Expression(Expression),
    Text(Arc<[Part]>),
    Insert,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(Arc<str>),
    Expression(Expression),
}

impl Template {
    /// Returns a template without expressions.
    pub fn literal(value: impl Into<Value>) -> Template {
        let value = value.into();
        let written = (!matches!(value, Value::String(_))).then(|| value.coerce_string());
        Template::verbatim(value, written, Span::default())
    }

    /// Returns a scalar of a file as it stands there, whatever is in it; `written` is its text where the value is none.
    pub(crate) fn verbatim(value: Value, written: Option<Arc<str>>, span: Span) -> Template {
        Template { written, span, kind: Kind::Literal(value) }
    }

    /// Says whether there is the start of an expression in what was taken verbatim.
    pub(crate) fn may_be_expression(&self) -> bool {
        self.as_str().is_some_and(has_expression)
    }

    /// Parses a text, or returns everything that is wrong with its expressions.
    pub fn parse(text: &str, scope: &Scope) -> Result<Template, Vec<ExpressionError>> {
        let verbatim = Template::verbatim(Value::string(text), None, Span::default());
        if !verbatim.may_be_expression() {
            return Ok(verbatim);
        }
        verbatim.read(scope).map_err(|(_, errors)| errors.into_iter().map(|wrong| wrong.error).collect())
    }

    /// Parses a scalar of a file that was taken verbatim and may be an expression, and gives it back where something is wrong with its expressions. A
    /// text that is one expression and nothing else keeps that expression's type.
    pub(crate) fn read(self, scope: &Scope) -> Result<Template, (Template, Vec<Wrong>)> {
        let Kind::Literal(Value::String(text)) = &self.kind else { return Ok(self) };
        match read_kind(text, scope) {
            Ok(kind) => {
                let template = Template { written: Some(text.clone()), span: self.span, kind };
                match template.check_length() {
                    Ok(()) => Ok(template),
                    Err(error) => Err((self, vec![Wrong { error, place: None }])),
                }
            }
            Err(errors) => Err((self, errors)),
        }
    }

    /// Returns the same text with another value.
    pub(crate) fn with_literal(self, value: Value) -> Template {
        let written = self.shared_source();
        let is_same = value.as_str() == Some(&*written);
        Template { written: (!is_same).then_some(written), kind: Kind::Literal(value), ..self }
    }

    /// Returns the one expression that this is, where it is nothing else.
    fn only_expression(&self) -> Option<&Expression> {
        match &self.kind {
            Kind::Expression(expression) => Some(expression),
            _ => None,
        }
    }

    /// A text with expressions in it becomes a call of `format` on GitHub, to which the length limit applies as well.
    fn check_length(&self) -> Result<(), ExpressionError> {
        let Kind::Text(_) = &self.kind else { return Ok(()) };
        let has_room = self.source().len() * 2 < EXPRESSION_LENGTH_MAX;
        if has_room || self.expression_text().encode_utf16().count() <= EXPRESSION_LENGTH_MAX {
            return Ok(());
        }
        Err(parse_error(format!("Exceeded max expression length {EXPRESSION_LENGTH_MAX}")))
    }

    /// Returns the value in these contexts.
    pub fn evaluate(&self, context: &dyn Context) -> Result<Value, ExpressionError> {
        match &self.kind {
            Kind::Literal(value) => Ok(value.clone()),
            Kind::Expression(expression) => expression.evaluate(context),
            Kind::Text(parts) => join_parts(parts, context).map(Value::string),
            Kind::Insert => Ok(Value::Null),
        }
    }

    /// Returns the value in these contexts as a text.
    pub fn evaluate_string(&self, context: &dyn Context) -> Result<String, ExpressionError> {
        self.evaluate(context).map(|value| value.coerce_string().to_string())
    }

    /// Returns the value in these contexts as a boolean; a text must say `true` or `false`.
    pub fn evaluate_bool(&self, context: &dyn Context) -> Result<bool, ExpressionError> {
        match self.evaluate(context)? {
            Value::Bool(truth) => Ok(truth),
            Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
            Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
            value => Err(self.unexpected(&value)),
        }
    }

    /// Returns the value in these contexts as a number.
    pub fn evaluate_number(&self, context: &dyn Context) -> Result<f64, ExpressionError> {
        let value = self.evaluate(context)?;
        let number = match &value {
            Value::Number(number) => *number,
            Value::String(text) if !text.trim().is_empty() => value.coerce_number(),
            _ => f64::NAN,
        };
        if number.is_nan() { Err(self.unexpected(&value)) } else { Ok(number) }
    }

    fn unexpected(&self, value: &Value) -> ExpressionError {
        let message = format!("Unexpected value '{}'", value.coerce_string());
        ExpressionError::new(ExpressionErrorKind::Evaluation, message)
    }

    /// Returns the value where nothing needs to be computed.
    pub fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            Kind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the text where it is a string and nothing needs to be computed.
    pub fn as_str(&self) -> Option<&str> {
        self.as_literal().and_then(Value::as_str)
    }

    /// Says whether there is something to compute.
    pub fn is_expression(&self) -> bool {
        !matches!(self.kind, Kind::Literal(_))
    }

    /// Says whether this is the key `${{ insert }}`.
    pub fn is_insert(&self) -> bool {
        self.kind == Kind::Insert
    }

    /// Returns the text as it was written, without quotes.
    pub fn source(&self) -> &str {
        match (&self.written, &self.kind) {
            (None, Kind::Literal(Value::String(text))) => text,
            (written, _) => written.as_deref().unwrap_or_default(),
        }
    }

    fn shared_source(&self) -> Arc<str> {
        match (&self.written, &self.kind) {
            (None, Kind::Literal(Value::String(text))) => text.clone(),
            (Some(written), _) => written.clone(),
            (None, _) => Arc::default(),
        }
    }

    /// Returns where it stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Returns the expressions in it, in order.
    pub fn expressions(&self) -> Vec<&Expression> {
        match &self.kind {
            Kind::Expression(expression) => vec![expression],
            Kind::Text(parts) => parts
                .iter()
                .filter_map(|part| match part {
                    Part::Expression(expression) => Some(expression),
                    Part::Text(_) => None,
                })
                .collect(),
            Kind::Literal(_) | Kind::Insert => Vec::new(),
        }
    }

    /// Returns where one of [`Template::expressions`] stands in it.
    pub(crate) fn place_of(&self, nth: usize) -> Option<Place> {
        let expressions = self.expressions();
        let expression = expressions.get(nth)?;
        Some(Place::of_expression(nth, "${{ ", expression.text()))
    }

    /// Returns where an error stands in a text that is an expression without braces.
    pub(crate) fn place_in_bare(&self, error: &ExpressionError) -> Option<Place> {
        let text = self.as_str().filter(|text| *text == self.source())?;
        let lead = text.len() - text.trim_start().len();
        let at = error.at.as_ref()?;
        Some(Place::after(text.get(..lead + at.start)?, text.get(lead + at.start..lead + at.end)?))
    }

    /// Returns the one expression that the whole template is on GitHub: texts with expressions in them are calls of
    /// `format`, a literal is its own text.
    pub fn expression_text(&self) -> String {
        match &self.kind {
            Kind::Literal(value) => (*value.coerce_string()).to_owned(),
            Kind::Expression(expression) => expression.text().to_owned(),
            Kind::Insert => "insert".into(),
            Kind::Text(parts) => format_call(parts),
        }
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Template {
        Template::literal(text)
    }
}

fn format_call(parts: &[Part]) -> String {
    let mut format = String::from("format('");
    let mut arguments = String::new();
    let mut count = 0;
    for part in parts {
        match part {
            Part::Text(text) => {
                format.push_str(&text.replace('\'', "''").replace('{', "{{").replace('}', "}}"));
            }
            Part::Expression(expression) => {
                format.push_str(&format!("{{{count}}}"));
                arguments.push_str(", ");
                arguments.push_str(expression.text());
                count += 1;
            }
        }
    }
    format!("{format}'{arguments})")
}

fn join_parts(parts: &[Part], context: &dyn Context) -> Result<String, ExpressionError> {
    let mut out = String::new();
    for part in parts {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Expression(expression) => out.push_str(&expression.evaluate(context)?.coerce_string()),
        }
        if out.len() > EVALUATION_BYTES_MAX {
            let message = "The maximum allowed memory size was exceeded";
            return Err(ExpressionError::new(ExpressionErrorKind::Evaluation, message));
        }
    }
    Ok(out)
}

/// Says whether a text has the start of an expression.
pub(crate) fn has_expression(text: &str) -> bool {
    // Most texts have none; to look at all letters is quicker than to ask after each whether to go on.
    text.bytes().fold(false, |found, byte| found | (byte == b'$')) && find_open(text).is_some()
}

/// Returns where the first expression of a text starts.
fn find_open(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = from + bytes[from..].iter().position(|byte| *byte == b'$')?;
        if bytes[at + 1..].starts_with(b"{{") {
            return Some(at);
        }
        from = at + 1;
    }
}

fn read_kind(source: &str, scope: &Scope) -> Result<Kind, Vec<Wrong>> {
    if let Some(inside) = only_expression(source)
        && let Ok(Some(expression)) = read_expression(inside, scope, source)
    {
        return Ok(Kind::of(expression));
    }
    let mut errors = Vec::new();
    let segments = segments(source)?;
    let mut parts: Vec<Part> = Vec::with_capacity(segments.len());
    let mut count = 0;
    for segment in segments {
        match segment {
            Segment::Text(text) => parts.push(Part::Text(text.into())),
            Segment::Expression(text) => {
                match read_expression(text, scope, source) {
                    Ok(Some(expression)) => parts.push(Part::Expression(expression)),
                    Ok(None) => return Ok(Kind::Insert),
                    Err(error) => errors.push(Wrong { place: Some(place_inside(count, text, &error)), error }),
                }
                count += 1;
            }
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(match parts.as_slice() {
        [Part::Expression(only)] => Kind::of(only.clone()),
        _ => Kind::Text(parts.into()),
    })
}

/// Returns what stands between the braces of a text that is one expression and nothing else.
fn only_expression(text: &str) -> Option<&str> {
    let inside = text.strip_prefix(OPEN)?;
    let length = expression_length(inside)?;
    (length + CLOSE.len() == inside.len()).then(|| &inside[..length])
}

impl Kind {
    /// Returns what a text is that is this expression and nothing else.
    fn of(expression: Expression) -> Kind {
        match expression.as_literal() {
            Some(Value::String(text)) => Kind::Literal(Value::String(text.clone())),
            _ => Kind::Expression(expression),
        }
    }
}

enum Segment<'a> {
    Text(&'a str),
    Expression(&'a str),
}

/// Splits a text at its expressions. A `}}` inside a string of an expression does not close it.
fn segments(text: &str) -> Result<Vec<Segment<'_>>, Vec<Wrong>> {
    let mut segments = Vec::with_capacity(SEGMENTS_EXPECTED);
    let mut count = 0;
    let mut rest = text;
    while let Some(at) = find_open(rest) {
        if at > 0 {
            segments.push(Segment::Text(&rest[..at]));
        }
        let inside = &rest[at + OPEN.len()..];
        let Some(length) = expression_length(inside) else {
            let message = "The expression is not closed. An unescaped ${{ sequence was found, but the closing }} sequence \
                           was not found.";
            let place = Some(Place::of_expression(count, "", OPEN));
            return Err(vec![Wrong { error: parse_error(message.into()), place }]);
        };
        count += 1;
        segments.push(Segment::Expression(&inside[..length]));
        rest = &inside[length + CLOSE.len()..];
    }
    if !rest.is_empty() {
        segments.push(Segment::Text(rest));
    }
    Ok(segments)
}

fn expression_length(inside: &str) -> Option<usize> {
    let mut in_string = false;
    let mut before = 0;
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'\'' => in_string = !in_string,
            b'}' if !in_string && before == b'}' => return Some(at - 1),
            _ => {}
        }
        before = byte;
    }
    None
}

/// Returns where an error stands: at the part of the expression that it is about, or at all of it.
fn place_inside(nth: usize, inside: &str, error: &ExpressionError) -> Place {
    let text = inside.trim_start();
    let lead = format!("{OPEN}{}", &inside[..inside.len() - text.len()]);
    match &error.at {
        Some(at) => Place::of_expression(nth, &(lead + &text[..at.start]), &text[at.clone()]),
        None => Place::of_expression(nth, "", &format!("{OPEN}{inside}{CLOSE}")),
    }
}

/// Parses what stands between the braces; None is the directive `insert`, which must be all there is.
fn read_expression(inside: &str, scope: &Scope, source: &str) -> Result<Option<Expression>, ExpressionError> {
    let text = inside.trim();
    if text.is_empty() {
        return Err(parse_error("An expression was expected".into()));
    }
    let Some(parameters) =
        text.strip_prefix("insert").filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    else {
        return parse_expression(text, scope).map(Some);
    };
    let count = parameters.split_whitespace().count();
    if count > 0 {
        return Err(parse_error(format!(
            "Exactly 0 parameter(s) were expected following the directive 'insert'. Actual parameter count: {count}"
        )));
    }
    if source.len() != inside.len() + OPEN.len() + CLOSE.len() {
        return Err(parse_error(
            "The directive 'insert' is not allowed in this context. Directives are not supported for expressions that are \
             embedded within a string. Directives are only supported when the entire value is an expression."
                .into(),
        ));
    }
    Ok(None)
}

fn parse_error(message: String) -> ExpressionError {
    ExpressionError::new(ExpressionErrorKind::Parsing, message)
}
