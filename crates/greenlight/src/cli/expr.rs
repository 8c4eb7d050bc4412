//! `greenlight expr`: what an expression comes to, one or thousands.

use std::borrow::Cow;
use std::io::{BufRead, Read as _, Write};
use std::path::PathBuf;

use clap::Args;
use greenlight_workflow::{Contexts, ExpressionError, Scope, StatusCheck, Value, expression_help, parse_expression};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Exit, input};

/// How many bytes one line of a batch may have.
const LINE_BYTES_MAX: usize = 1 << 20;

/// Functions that ask how things stand; here all is well.
const STATUS_FUNCTIONS: [&str; 4] = ["always(0,0)", "success(0,MAX)", "failure(0,MAX)", "cancelled(0,0)"];

#[derive(Debug, Args)]
pub struct Expr {
    /// The expression, with or without `${{ }}`; `-` reads it from standard input.
    #[arg(value_name = "EXPR", required_unless_present = "batch", allow_hyphen_values = true)]
    expression: Option<String>,
    /// A JSON object whose keys are the contexts: {"github": {"ref": "refs/heads/main"}}.
    #[arg(long, value_name = "FILE")]
    contexts: Option<PathBuf>,
    /// Read JSON lines {"expr": …, "contexts": {…}} from standard input, write a line with the answer for each.
    #[arg(long, conflicts_with_all = ["expression", "contexts"])]
    batch: bool,
    /// Print JSON: {"kind": …, "value": …} or {"err": {"kind": …, "value": …}}.
    #[arg(long)]
    json: bool,
}

pub fn perform(expr: &Expr) -> anyhow::Result<Exit> {
    if expr.batch {
        return batch(&mut std::io::stdin().lock(), &mut std::io::BufWriter::new(std::io::stdout().lock()));
    }
    let contexts = expr.contexts.as_deref().map(input::json).transpose()?.unwrap_or_default();
    let text = match expr.expression.as_deref().unwrap_or_default() {
        input::STANDARD_INPUT => Cow::Owned(input::text(input::STANDARD_INPUT.as_ref(), LINE_BYTES_MAX as u64)?),
        text => Cow::Borrowed(text),
    };
    let contexts = Contexts::of(&contexts);
    let scope = Scope::of(contexts.names().chain(STATUS_FUNCTIONS));
    let outcome = evaluate(without_braces(&text), &scope, &contexts.with_status(StatusCheck::SUCCESS));
    match (&outcome, expr.json) {
        (outcome, true) => println!("{}", answer(outcome)),
        (Ok(value), false) => println!("{}", shown(value)),
        (Err(error), false) => {
            eprintln!("greenlight: {} error: {error}", error.kind.as_str());
            if let Some(help) = expression_help(error, &scope) {
                eprintln!("  = help: {help}");
            }
        }
    }
    Ok(if outcome.is_ok() { Exit::Done } else { Exit::Failed })
}

/// One line of a batch. Its contexts are read only where they are not those of the line before.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    expr: Cow<'a, str>,
    #[serde(borrow)]
    contexts: Option<&'a RawValue>,
}

/// The contexts of a line, with the text that they were read from.
struct Named {
    text: String,
    values: Contexts,
    scope: Scope,
}

/// Answers line after line; what is written leaves when nothing more waits to be read.
fn batch(lines: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<Exit> {
    let mut exit = Exit::Done;
    let mut line = Vec::new();
    let mut named = Named { text: String::new(), values: Contexts::new(), scope: Scope::default() };
    for number in 1_usize.. {
        line.clear();
        let count = (&mut *lines).take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut line)?;
        if count == 0 {
            break;
        }
        if line.len() > LINE_BYTES_MAX {
            writeln!(out, "{}", refused(number, &format!("longer than {LINE_BYTES_MAX} bytes")))?;
            out.flush()?;
            return Ok(Exit::Failed);
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match outcome_of(&line, &mut named) {
            Ok(outcome) => writeln!(out, "{}", answer(&outcome))?,
            Err(problem) => {
                exit = Exit::Failed;
                writeln!(out, "{}", refused(number, &problem))?;
            }
        }
        if lines.fill_buf()?.is_empty() {
            break;
        }
    }
    out.flush()?;
    Ok(exit)
}

fn outcome_of(line: &[u8], named: &mut Named) -> Result<Result<Value, ExpressionError>, String> {
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err("no JSON object; write {\"expr\": …, \"contexts\": {…}}".into());
    }
    let request: Request<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let contexts = request.contexts.map_or("null", RawValue::get);
    if named.text != contexts {
        let object = Value::from_json(contexts).map_err(|error| error.to_string())?;
        let values = Contexts::of(&object);
        *named = Named { text: contexts.to_owned(), scope: Scope::of(values.names()), values };
    }
    Ok(evaluate(&request.expr, &named.scope, &named.values))
}

fn refused(number: usize, problem: &str) -> serde_json::Value {
    json!({"err": {"kind": "input", "value": format!("line {number}: {problem}")}})
}

fn evaluate(text: &str, scope: &Scope, contexts: &Contexts) -> Result<Value, ExpressionError> {
    parse_expression(text, scope)?.evaluate(contexts)
}

fn without_braces(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("${{").and_then(|inside| inside.strip_suffix("}}")).unwrap_or(text)
}

/// Returns the answer as one line of JSON.
fn answer(outcome: &Result<Value, ExpressionError>) -> String {
    match outcome {
        Ok(value) => format!("{{\"kind\":\"{}\",\"value\":{}}}", value.kind_name(), value.to_json()),
        Err(error) => {
            let text = Value::string(error.message.as_str()).to_json();
            format!("{{\"err\":{{\"kind\":\"{}\",\"value\":{text}}}}}", error.kind.as_str())
        }
    }
}

/// Returns a value for people: texts as they are, lists and objects as JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Array(_) | Value::Object(_) => value.to_json_pretty(),
        scalar => scalar.coerce_string().to_string(),
    }
}
