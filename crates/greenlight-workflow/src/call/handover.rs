//! What goes over a call, in both directions: inputs and secrets on the way in, outputs on the way back. Also the inputs that
//! a person gives by hand. Everything here is asked when the calling job may start, with its contexts.

use std::sync::Arc;

use crate::expression::{Context, ExpressionError, StatusCheck};
use crate::finding::Span;
use crate::template::{INSERT, Template, evaluate_entries};
use crate::trigger::{EventTrigger, Input, InputKind};
use crate::value::{Value, fold_equals};
use crate::workflow::{CallSecrets, Workflow};

/// How many inputs a person may give by hand.
pub const DISPATCH_INPUTS_MAX: usize = 25;

/// Why a call or a start by hand cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HandoverError {
    /// What is wrong.
    pub message: String,
    /// Where, if it stands in the caller's file.
    pub span: Span,
}

/// How a job ended, as `needs.X.result` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum JobResult {
    /// It did not run.
    Skipped,
    /// It went well, or its failure is one that may be.
    Success,
    /// It was stopped.
    Cancelled,
    /// It failed.
    Failure,
}

impl JobResult {
    /// Returns the result in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            JobResult::Skipped => "skipped",
            JobResult::Success => "success",
            JobResult::Cancelled => "cancelled",
            JobResult::Failure => "failure",
        }
    }

    /// Returns the result of this name.
    pub fn of_text(text: &str) -> Option<JobResult> {
        [JobResult::Skipped, JobResult::Success, JobResult::Cancelled, JobResult::Failure]
            .into_iter()
            .find(|result| result.as_str() == text)
    }

    /// Returns what several come to: the worst; nothing at all was skipped.
    pub fn worst(results: impl IntoIterator<Item = JobResult>) -> JobResult {
        results.into_iter().max().unwrap_or(JobResult::Skipped)
    }
}

impl StatusCheck {
    /// Returns how things stand after jobs that ended so.
    pub fn of_results(results: impl IntoIterator<Item = JobResult>) -> StatusCheck {
        results.into_iter().fold(StatusCheck::SUCCESS, |so_far, result| StatusCheck {
            success: so_far.success && result == JobResult::Success,
            failure: so_far.failure || result == JobResult::Failure,
            cancelled: so_far.cancelled || result == JobResult::Cancelled,
        })
    }
}

/// How a job, or one variant of it, ended, and what it hands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobEnd {
    /// How.
    pub result: JobResult,
    /// Its outputs, evaluated.
    pub outputs: Vec<(Arc<str>, Arc<str>)>,
}

impl JobEnd {
    /// Returns what the variants of one job come to: the worst result, and of each output the last text that is not empty of
    /// a variant that succeeded, or else of any.
    pub fn of_variants(variants: &[JobEnd]) -> JobEnd {
        let result = JobResult::worst(variants.iter().map(|variant| variant.result));
        let mut outputs: Vec<(Arc<str>, Arc<str>)> = Vec::new();
        let (succeeded, others): (Vec<_>, Vec<_>) =
            variants.iter().partition(|variant| variant.result == JobResult::Success);
        for (name, value) in others.into_iter().chain(succeeded).flat_map(|variant| &variant.outputs) {
            match outputs.iter_mut().find(|(known, _)| fold_equals(known, name)) {
                Some((_, old)) if !value.is_empty() => *old = value.clone(),
                Some(_) => {}
                None => outputs.push((name.clone(), value.clone())),
            }
        }
        JobEnd { result, outputs }
    }

    /// Returns the `needs` context, or the `jobs` context of a called workflow's outputs.
    pub fn context<'a>(ends: impl IntoIterator<Item = (&'a str, &'a JobEnd)>) -> Value {
        Value::object(ends.into_iter().map(|(job_id, end)| {
            let outputs =
                Value::object(end.outputs.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))));
            (job_id, Value::object([("result", Value::string(end.result.as_str())), ("outputs", outputs)]))
        }))
    }
}

/// The contexts inside a called workflow: the caller's `github` and `vars`, its own `inputs` and `secrets`, and nothing of
/// the caller's `needs`, `matrix`, `strategy` and `env`.
pub struct CalledContext<'a> {
    caller: &'a dyn Context,
    inputs: Value,
    secrets: Value,
    needs: Value,
    status: StatusCheck,
}

impl<'a> CalledContext<'a> {
    /// Returns the contexts inside a call.
    pub fn new(caller: &'a dyn Context, inputs: Value, secrets: Value) -> CalledContext<'a> {
        CalledContext { caller, inputs, secrets, needs: Value::object::<&str, Value>([]), status: StatusCheck::SUCCESS }
    }

    /// Adds what is known of the jobs that the called one needs.
    pub fn with_needs(mut self, needs: Value, status: StatusCheck) -> CalledContext<'a> {
        self.needs = needs;
        self.status = status;
        self
    }
}

impl Context for CalledContext<'_> {
    fn named(&self, name: &str) -> Value {
        match name {
            name if fold_equals(name, "inputs") => self.inputs.clone(),
            name if fold_equals(name, "secrets") => self.secrets.clone(),
            name if fold_equals(name, "needs") => self.needs.clone(),
            name if ["matrix", "strategy", "env", "jobs"].iter().any(|own| fold_equals(name, own)) => Value::Null,
            name => self.caller.named(name),
        }
    }

    fn status(&self) -> StatusCheck {
        self.status
    }
}

/// Returns the `inputs` context of a called workflow: what the caller hands over, held against what is declared.
pub fn call_inputs(
    declared: &EventTrigger,
    with: &[(String, Template)],
    caller: &dyn Context,
) -> Result<Value, HandoverError> {
    let given = given(with, caller)?;
    if let Some((name, _, span)) = given.iter().find(|(name, ..)| input_of(declared, name).is_none()) {
        let message = format!("Invalid input, {name} is not defined in the referenced workflow.");
        return Err(HandoverError { message, span: *span });
    }
    let mut inputs: Vec<(Arc<str>, Value)> = Vec::new();
    for input in &declared.inputs {
        let value = match given.iter().find(|(name, ..)| fold_equals(name, &input.name)) {
            Some((_, value, span)) => typed(input, value).map_err(|message| HandoverError { message, span: *span })?,
            None if input.required => {
                let message = format!("Input {} is required, but not provided while calling.", input.name);
                return Err(HandoverError { message, span: Span::default() });
            }
            None => default_of(input, caller)?,
        };
        inputs.push((input.name.as_str().into(), value));
    }
    Ok(Value::object(inputs))
}

/// Returns the `inputs` context of a workflow that a person starts. Booleans are booleans, everything else is text, as on
/// GitHub; `given` are the texts of `github.event.inputs`.
pub fn dispatch_inputs(
    declared: Option<&EventTrigger>,
    given: &[(String, String)],
    context: &dyn Context,
) -> Result<Value, HandoverError> {
    let refused =
        |message: String| HandoverError { message, span: declared.map_or(Span::default(), |event| event.span) };
    let known: &[Input] = declared.map_or(&[], |event| &event.inputs);
    if given.len() > DISPATCH_INPUTS_MAX {
        return Err(refused(format!("a workflow can be given {DISPATCH_INPUTS_MAX} inputs")));
    }
    let unknown: Vec<&str> = given
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| !known.iter().any(|input| fold_equals(&input.name, name)))
        .collect();
    let mut problems = Vec::new();
    if !unknown.is_empty() {
        problems.push(format!("Unexpected inputs provided: {}", unknown.join(", ")));
    }
    let mut inputs: Vec<(Arc<str>, Value)> = Vec::new();
    for input in known {
        let text = given.iter().find(|(name, _)| fold_equals(name, &input.name)).map(|(_, text)| text.as_str());
        let value = match text {
            Some(text) => dispatched(input, text).unwrap_or_else(|problem| {
                problems.push(problem);
                Value::Null
            }),
            None if input.required && input.default.is_none() => {
                problems.push(format!("Required input '{}' not provided", input.name));
                Value::Null
            }
            None if input.kind == InputKind::Boolean => {
                Value::Bool(default_of(input, context)?.coerce_string().eq_ignore_ascii_case("true"))
            }
            None => match &input.default {
                Some(_) => Value::String(default_of(input, context)?.coerce_string()),
                None => Value::string(""),
            },
        };
        inputs.push((input.name.as_str().into(), value));
    }
    if problems.is_empty() { Ok(Value::object(inputs)) } else { Err(refused(problems.join("; "))) }
}

/// Returns the `secrets` context of a called workflow.
pub fn call_secrets(
    declared: &EventTrigger,
    secrets: &CallSecrets,
    caller: &dyn Context,
) -> Result<Value, HandoverError> {
    let CallSecrets::Named(named) = secrets else { return Ok(caller.named("secrets")) };
    let given = given(named, caller)?;
    if let Some((name, _, span)) =
        given.iter().find(|(name, ..)| !declared.secrets.iter().any(|secret| fold_equals(&secret.name, name)))
    {
        let message = format!("Invalid secret, {name} is not defined in the referenced workflow.");
        return Err(HandoverError { message, span: *span });
    }
    let is_given = |wanted: &str| given.iter().any(|(name, ..)| fold_equals(name, wanted));
    if let Some(secret) = declared.secrets.iter().find(|secret| secret.required && !is_given(&secret.name)) {
        let message = format!("Secret {} is required, but not provided while calling.", secret.name);
        return Err(HandoverError { message, span: Span::default() });
    }
    Ok(Value::object(given.into_iter().map(|(name, value, _)| (name, Value::String(value.coerce_string())))))
}

/// Returns the outputs of a called workflow whose jobs are over; `context` has its `jobs`, `inputs` and `github`. Empty ones
/// are left out, as those of jobs are.
pub fn call_outputs(called: &Workflow, context: &dyn Context) -> Result<Vec<(String, String)>, ExpressionError> {
    let Some(declared) = called.on.event("workflow_call") else { return Ok(Vec::new()) };
    let outputs = evaluate_entries(&declared.outputs, context)?;
    Ok(outputs.into_iter().filter(|(_, value)| !value.is_empty()).collect())
}

fn input_of<'a>(declared: &'a EventTrigger, name: &str) -> Option<&'a Input> {
    declared.inputs.iter().find(|input| fold_equals(&input.name, name))
}

/// Returns names and values that a caller hands over, those of `${{ insert }}` in its place.
fn given(entries: &[(String, Template)], caller: &dyn Context) -> Result<Vec<(Arc<str>, Value, Span)>, HandoverError> {
    let mut given: Vec<(Arc<str>, Value, Span)> = Vec::new();
    for (name, template) in entries {
        let span = template.span();
        let value = template.evaluate(caller).map_err(|error| HandoverError { message: error.message, span })?;
        match value.as_object() {
            Some(object) if name == INSERT => {
                given.extend(object.iter().map(|(name, value)| (name.into(), value.clone(), span)));
            }
            _ => given.push((name.as_str().into(), value, span)),
        }
    }
    Ok(given)
}

/// Returns a handed-over value as its input's type has it. Texts take any scalar; the others take nothing but their own.
fn typed(input: &Input, value: &Value) -> Result<Value, String> {
    let expected = match (input.kind, value) {
        (InputKind::Boolean, Value::Bool(_)) | (InputKind::Number, Value::Number(_)) => return Ok(value.clone()),
        (InputKind::Boolean, _) => "Boolean",
        (InputKind::Number, _) => "Number",
        (_, value) if value.is_scalar() => return Ok(Value::String(value.coerce_string())),
        _ => "String",
    };
    Err(format!(
        "Unexpected type of value '{}' for input {}, expected type: {expected}.",
        value.coerce_string(),
        input.name
    ))
}

fn default_of(input: &Input, context: &dyn Context) -> Result<Value, HandoverError> {
    let Some(default) = &input.default else {
        return Ok(match input.kind {
            InputKind::Boolean => Value::Bool(false),
            InputKind::Number => Value::Number(0.0),
            InputKind::String | InputKind::Choice | InputKind::Environment => Value::string(""),
        });
    };
    let span = default.span();
    let value = default.evaluate(context).map_err(|error| HandoverError { message: error.message, span })?;
    let value = match (input.kind, &value) {
        (InputKind::Boolean, Value::String(text)) => Value::Bool(text.eq_ignore_ascii_case("true")),
        (InputKind::Number, Value::String(_)) => Value::Number(value.coerce_number()),
        _ => value,
    };
    typed(input, &value).map_err(|message| HandoverError { message, span })
}

fn dispatched(input: &Input, text: &str) -> Result<Value, String> {
    let name = &input.name;
    match input.kind {
        InputKind::Boolean => match text {
            text if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
            text if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
            _ => Err(format!("Provided value '{text}' for input '{name}' is no boolean")),
        },
        InputKind::Number if Value::string(text).coerce_number().is_nan() || text.trim().is_empty() => {
            Err(format!("Provided value '{text}' for input '{name}' is no number"))
        }
        InputKind::Choice if !input.options.iter().any(|option| option == text) => {
            Err(format!("Provided value '{text}' for input '{name}' not in the list of allowed values"))
        }
        _ if input.required && text.is_empty() => Err(format!("Required input '{name}' not provided")),
        _ => Ok(Value::string(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Contexts;
    use crate::workflow::{JobKind, parse_workflow};

    fn workflow(text: &str) -> Workflow {
        let parsed = parse_workflow("ci.yml", text);
        parsed.workflow.unwrap_or_else(|| panic!("{:#?}", parsed.findings))
    }

    const CALLED: &str = "on:
  workflow_call:
    inputs:
      name: { type: string, required: true }
      many: { type: number, default: 3 }
      sure: { type: boolean }
      ref: { type: string, default: '${{ github.ref }}' }
    secrets:
      key: { required: true }
    outputs:
      one: { value: '${{ jobs.a.outputs.x }}' }
      none: { value: '${{ jobs.a.outputs.y }}' }
jobs:
  a: { runs-on: x, steps: [{ run: x }] }
";

    fn called(with: &str) -> Result<Value, HandoverError> {
        let caller =
            workflow(&format!("on: push\njobs:\n  c:\n    uses: ./.github/workflows/x.yml\n    with: {with}\n"));
        let JobKind::Call { with, .. } = &caller.jobs[0].kind else { panic!("it calls") };
        let context = Contexts::new()
            .with("github", Value::object([("ref", "main")]))
            .with("vars", Value::from_json(r#"{"n":"5","b":"true"}"#).unwrap());
        call_inputs(workflow(CALLED).on.event("workflow_call").unwrap(), with, &context)
    }

    #[test]
    fn inputs_have_their_types_and_defaults() {
        let inputs = called("{ name: 7, sure: \"${{ fromJSON(vars.b) }}\" }").unwrap();
        assert_eq!(inputs.to_json(), r#"{"name":"7","many":3,"sure":true,"ref":"main"}"#);
        assert_eq!(called("{ Name: x }").unwrap().get("sure"), &Value::Bool(false));
        assert!(called("{ name: x, many: \"${{ vars.n }}\" }").unwrap_err().message.contains("expected type: Number"));
        assert!(called("{ name: x, more: y }").unwrap_err().message.contains("more is not defined"));
        assert!(called("{ many: 1 }").unwrap_err().message.contains("name is required"));
    }

    #[test]
    fn secrets_are_named_or_inherited() {
        let declared = workflow(CALLED);
        let declared = declared.on.event("workflow_call").unwrap();
        let context = Contexts::new().with("secrets", Value::object([("A", "s3")]));
        assert_eq!(call_secrets(declared, &CallSecrets::Inherit, &context).unwrap().to_json(), r#"{"A":"s3"}"#);
        let named = CallSecrets::Named(vec![(
            "key".into(),
            Template::parse("${{ secrets.a }}", &crate::expression::Scope::everything()).unwrap(),
        )]);
        assert_eq!(call_secrets(declared, &named, &context).unwrap().to_json(), r#"{"key":"s3"}"#);
        let none = CallSecrets::Named(Vec::new());
        assert!(call_secrets(declared, &none, &context).unwrap_err().message.contains("key is required"));
    }

    #[test]
    fn outputs_come_back_from_the_last_variant_that_succeeded() {
        let end = |result, value: &str| JobEnd { result, outputs: vec![("x".into(), value.into())] };
        let merged = JobEnd::of_variants(&[
            end(JobResult::Success, "1"),
            end(JobResult::Success, "2"),
            end(JobResult::Success, ""),
            end(JobResult::Failure, "bad"),
        ]);
        assert_eq!((merged.result, &*merged.outputs[0].1), (JobResult::Failure, "2"));
        let context = Contexts::new().with("jobs", JobEnd::context([("a", &merged)]));
        assert_eq!(call_outputs(&workflow(CALLED), &context).unwrap(), [("one".to_owned(), "2".to_owned())]);
    }

    #[test]
    fn what_a_person_gives_is_checked() {
        let file = workflow(
            "on:
  workflow_dispatch:
    inputs:
      level: { type: choice, options: [low, high], default: low }
      dry: { type: boolean, default: true }
      count: { type: number }
      who: { required: true }
jobs: { a: { runs-on: x, steps: [{ run: x }] } }
",
        );
        let start = |given: &[(&str, &str)]| {
            let given: Vec<(String, String)> =
                given.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
            dispatch_inputs(file.on.event("workflow_dispatch"), &given, &Contexts::new())
                .map(|inputs| inputs.to_json())
                .map_err(|error| error.message)
        };
        assert_eq!(
            start(&[("who", "me"), ("count", "2")]).unwrap(),
            r#"{"level":"low","dry":true,"count":"2","who":"me"}"#
        );
        assert_eq!(
            start(&[("who", "me"), ("dry", "false")]).unwrap(),
            r#"{"level":"low","dry":false,"count":"","who":"me"}"#
        );
        assert!(start(&[]).unwrap_err().contains("'who' not provided"));
        assert!(start(&[("who", "me"), ("level", "mid")]).unwrap_err().contains("allowed values"));
        assert!(start(&[("who", "me"), ("count", "many")]).unwrap_err().contains("no number"));
        assert!(start(&[("who", "me"), ("why", "x")]).unwrap_err().contains("Unexpected inputs provided: why"));
    }
}
