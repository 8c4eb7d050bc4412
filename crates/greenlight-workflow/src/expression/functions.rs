//! The functions: their names, how many arguments each takes, what each does.

use super::evaluator::{Evaluation, Found, evaluation_error};
use super::{ExpressionError, Node, Scope};
use crate::value::{Value, fold_case};

/// How many arguments a function takes that has no limit of its own.
const ARGUMENTS_MAX: usize = 255;

/// A function of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    Contains,
    StartsWith,
    EndsWith,
    Format,
    Join,
    ToJson,
    FromJson,
    Case,
    Always,
    Success,
    Failure,
    Cancelled,
    HashFiles,
}

const NAMES: [(&str, Function); 13] = [
    ("contains", Function::Contains),
    ("startsWith", Function::StartsWith),
    ("endsWith", Function::EndsWith),
    ("format", Function::Format),
    ("join", Function::Join),
    ("toJson", Function::ToJson),
    ("fromJson", Function::FromJson),
    ("case", Function::Case),
    ("always", Function::Always),
    ("success", Function::Success),
    ("failure", Function::Failure),
    ("cancelled", Function::Cancelled),
    ("hashFiles", Function::HashFiles),
];

impl Function {
    /// Returns the function of this name and its argument counts, if it exists and the scope has it or everyone does.
    pub(super) fn find(name: &str, scope: &Scope) -> Option<(Function, usize, usize)> {
        let function = Function::named(name)?;
        let (min, max) = match function {
            Function::Contains | Function::StartsWith | Function::EndsWith => (2, 2),
            Function::Format => (1, ARGUMENTS_MAX),
            Function::Join => (1, 2),
            Function::ToJson | Function::FromJson => (1, 1),
            Function::Case => (3, usize::MAX),
            _ => scope.arity(function)?,
        };
        Some((function, min, max))
    }

    /// Returns what `name(min,max)` says, where the name is a function's.
    pub(crate) fn with_arity(word: &str) -> Option<(Function, usize, usize)> {
        let (name, counts) = word.strip_suffix(')')?.split_once('(')?;
        let (min, max) = counts.split_once(',')?;
        let count = |text: &str| text.trim().parse().unwrap_or(usize::MAX);
        Some((Function::named(name)?, count(min), count(max)))
    }

    /// Returns what it is called.
    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, function)| *function == self).map_or("", |(name, _)| name)
    }

    fn named(name: &str) -> Option<Function> {
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, function)| *function)
    }
}

pub(super) fn call(evaluation: &mut Evaluation, function: Function, nodes: &[Node]) -> Result<Value, ExpressionError> {
    let arguments = nodes.iter().map(|node| evaluation.value(node)).collect::<Result<Vec<_>, _>>()?;
    if !matches!(function, Function::Format | Function::Join) {
        // Every other function goes through its texts once; those two count what they put together.
        evaluation.charge(arguments.iter().filter_map(Value::as_str).map(str::len).sum())?;
    }
    let value = match function {
        Function::Contains => Value::Bool(contains(&arguments[0], &arguments[1])),
        Function::StartsWith => Value::Bool(texts(&arguments).is_some_and(|(text, start)| text.starts_with(&start))),
        Function::EndsWith => Value::Bool(texts(&arguments).is_some_and(|(text, end)| text.ends_with(&end))),
        Function::Format => format(evaluation, &arguments)?,
        Function::Join => join(evaluation, &arguments)?,
        Function::ToJson => Value::string(arguments[0].to_json_pretty()),
        Function::FromJson => from_json(&arguments[0])?,
        Function::Always => Value::Bool(true),
        Function::Success | Function::Failure | Function::Cancelled => status(evaluation, function, &arguments),
        Function::HashFiles => hash_files(evaluation, &arguments)?,
        Function::Case => unreachable!("case is evaluated by itself, argument by argument"),
    };
    evaluation.charge(weight(&value))?;
    Ok(value)
}

/// Evaluates predicates in order, and only the value that is taken.
pub(super) fn case(evaluation: &mut Evaluation, nodes: &[Node]) -> Result<Found, ExpressionError> {
    let (default, pairs) = nodes.split_last().expect("the parser asks for at least three arguments");
    for pair in pairs.chunks_exact(2) {
        match evaluation.value(&pair[0])? {
            Value::Bool(true) => return evaluation.find(&pair[1]),
            Value::Bool(false) => {}
            _ => return Err(evaluation_error("case predicate must evaluate to a boolean value")),
        }
    }
    evaluation.find(default)
}

fn contains(search: &Value, item: &Value) -> bool {
    match search {
        Value::Array(items) => items.iter().any(|candidate| item.loosely_equals(candidate)),
        Value::Object(_) => false,
        search if item.is_scalar() => fold_case(&search.coerce_string()).contains(&*fold_case(&item.coerce_string())),
        _ => false,
    }
}

/// Returns both arguments as texts in the case of comparison, if both are scalars.
fn texts(arguments: &[Value]) -> Option<(String, String)> {
    let text = |value: &Value| value.is_scalar().then(|| fold_case(&value.coerce_string()).into_owned());
    Some((text(&arguments[0])?, text(&arguments[1])?))
}

fn format(evaluation: &mut Evaluation, arguments: &[Value]) -> Result<Value, ExpressionError> {
    let template = arguments[0].coerce_string();
    let mut out = String::new();
    let mut rest = &*template;
    // The whole text is looked at before any argument is: a wrong brace is told first.
    let mut wrong_specifiers = None;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(after) = after.strip_prefix(brace) {
            out.push_str(brace);
            rest = after;
            continue;
        }
        let Some(place) = Placeholder::read(after).filter(|_| brace == "{") else {
            return Err(evaluation_error(format!("The following format string is invalid: {template}")));
        };
        let Some(argument) = arguments.get(place.index + 1) else {
            return Err(evaluation_error(format!(
                "The following format string references more arguments than were supplied: {template}"
            )));
        };
        if !place.specifiers.is_empty() && wrong_specifiers.is_none() {
            wrong_specifiers = Some(format!(
                "The format specifiers '{}' are not valid for objects of type '{}'",
                place.specifiers,
                argument.kind_name()
            ));
        }
        let text = argument.coerce_string();
        evaluation.charge(text.len())?;
        out.push_str(&text);
        rest = place.rest;
    }
    if let Some(problem) = wrong_specifiers {
        return Err(evaluation_error(problem));
    }
    out.push_str(rest);
    Ok(Value::string(out))
}

/// What stands behind a brace that opens: which argument, how it is to be written, and the text behind the brace that closes.
/// Only dates could be written in several ways, and there are none.
struct Placeholder<'a> {
    index: usize,
    specifiers: String,
    rest: &'a str,
}

impl<'a> Placeholder<'a> {
    fn read(text: &'a str) -> Option<Placeholder<'a>> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let index = text[..digits].parse::<u8>().ok()?.into();
        let behind = &text[digits..];
        if let Some(rest) = behind.strip_prefix('}') {
            return Some(Placeholder { index, specifiers: String::new(), rest });
        }
        let mut specifiers = String::new();
        let mut rest = behind.strip_prefix(':')?;
        loop {
            let (before, after) = rest.split_once('}')?;
            specifiers.push_str(before);
            match after.strip_prefix('}') {
                Some(after) => {
                    specifiers.push('}');
                    rest = after;
                }
                None => return Some(Placeholder { index, specifiers, rest: after }),
            }
        }
    }
}

fn join(evaluation: &mut Evaluation, arguments: &[Value]) -> Result<Value, ExpressionError> {
    let items = match &arguments[0] {
        Value::Array(items) => items,
        Value::Object(_) => return Ok(Value::string("")),
        scalar => return Ok(Value::String(scalar.coerce_string())),
    };
    let separator = arguments.get(1).filter(|separator| separator.is_scalar()).map_or(",".into(), Value::coerce_string);
    let mut out = String::new();
    for (at, item) in items.iter().enumerate() {
        let text = item.coerce_string();
        evaluation.charge(text.len() + separator.len())?;
        if at > 0 {
            out.push_str(&separator);
        }
        out.push_str(&text);
    }
    Ok(Value::string(out))
}

fn from_json(argument: &Value) -> Result<Value, ExpressionError> {
    let text = argument.coerce_string();
    if text.trim().is_empty() {
        return Err(evaluation_error("empty input"));
    }
    Value::from_json(&text)
        .map_err(|error| evaluation_error(format!("Error parsing JSON when evaluating fromJson: {error}")))
}

fn status(evaluation: &Evaluation, function: Function, arguments: &[Value]) -> Value {
    let status = if arguments.is_empty() {
        evaluation.context.status()
    } else {
        let job_ids: Vec<String> = arguments.iter().map(|argument| argument.coerce_string().to_string()).collect();
        evaluation.context.status_of(&job_ids)
    };
    Value::Bool(match function {
        Function::Success => status.success,
        Function::Failure => status.failure,
        _ => status.cancelled,
    })
}

fn hash_files(evaluation: &Evaluation, arguments: &[Value]) -> Result<Value, ExpressionError> {
    let mut patterns: Vec<String> = arguments.iter().map(|argument| argument.coerce_string().to_string()).collect();
    let follows = patterns[0].eq_ignore_ascii_case("--follow-symbolic-links");
    if follows {
        patterns.remove(0);
    } else if patterns[0].starts_with("--") {
        let message = format!("Invalid glob option {}, available option: '--follow-symbolic-links'.", patterns[0]);
        return Err(evaluation_error(message));
    }
    evaluation.context.hash_files(&patterns, follows).map(Value::string).map_err(evaluation_error)
}

/// Returns about how many bytes a function's result takes.
fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.len() * size_of::<Value>(),
        Value::Object(object) => object.len() * size_of::<(std::sync::Arc<str>, Value)>(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Contexts, Scope, parse_expression};

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let value = parse_expression(text, &Scope::default()).unwrap().evaluate(&Contexts::new());
        assert_eq!(value.map_or_else(|error| error.message, |value| value.to_json()), expected, "{text}");
    }

    #[test]
    fn format_takes_specifiers_as_github_s_runner_does() {
        check("format('{0:}{1}', 'a', 'b')", "\"ab\"");
        check("format('{0:x}', 'a')", "The format specifiers 'x' are not valid for objects of type 'String'");
        check("format('{0:x}}y}', true)", "The format specifiers 'x}y' are not valid for objects of type 'Boolean'");
        check("format('{0:x} {', 'a')", "The following format string is invalid: {0:x} {");
        check("format('{0:x}}', 'a')", "The following format string is invalid: {0:x}}");
        check("format('{0\\} {1}', 'a', 'b')", "The following format string is invalid: {0\\} {1}");
        check("format('{256}', 'a')", "The following format string is invalid: {256}");
        let more = "The following format string references more arguments than were supplied: {255}";
        check("format('{255}', 'a')", more);
    }
}
