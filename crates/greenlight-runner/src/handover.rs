//! Secrets on their way into a called workflow: each caller hands over those that it names, or all that it has itself.
//!
//! The order says who called whom, and no secret; what the secrets are is known here only.

use std::sync::Arc;

use greenlight_core::effect::{Caller, JobOrder};
use greenlight_workflow::{Contexts, JobKind, Value, Workflow, call_secrets, parse_workflow};

use crate::host::Given;

/// The secret that every workflow has, whoever calls it.
const TOKEN: &str = "GITHUB_TOKEN";

/// Secrets by name.
type Secrets = Vec<(Arc<str>, Arc<str>)>;

/// Returns the secrets that the job's own workflow has. The error is one sentence.
pub(crate) fn secrets(order: &JobOrder, given: &Given) -> Result<Secrets, String> {
    if order.callers.is_empty() {
        return Ok(given.secrets.clone());
    }
    let inner = order.callers.iter().skip(1).map(|caller| (&caller.workflow_path, &caller.workflow_text));
    let called = inner.chain([(&order.workflow_path, &order.workflow_text)]);
    let all = given.secrets.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
    let mut secrets = Value::object(all);
    for (caller, (path, text)) in order.callers.iter().zip(called) {
        secrets = hand_over(order, given, caller, &read(path, text)?, secrets)?;
    }
    let entries = secrets.as_object().into_iter().flat_map(|secrets| secrets.iter());
    let mut secrets: Secrets = entries.map(|(name, value)| (Arc::from(name), value.coerce_string())).collect();
    let has_token = secrets.iter().any(|(name, _)| name.eq_ignore_ascii_case(TOKEN));
    if !has_token && let Some(token) = given.secrets.iter().find(|(name, _)| name.eq_ignore_ascii_case(TOKEN)) {
        secrets.push(token.clone());
    }
    Ok(secrets)
}

fn hand_over(
    order: &JobOrder,
    given: &Given,
    caller: &Caller,
    called: &Workflow,
    secrets: Value,
) -> Result<Value, String> {
    let calling = read(&caller.workflow_path, &caller.workflow_text)?;
    let job = calling.job(&caller.job_id).map(|job| job.kind.clone());
    let Some(JobKind::Call { secrets: handed, .. }) = job else {
        return Err(format!("{} has no job '{}' that calls a workflow", caller.workflow_path, caller.job_id));
    };
    let Some(declared) = called.on.event("workflow_call") else {
        return Err(format!("{} cannot be called", called.path));
    };
    let seen = Contexts::new()
        .with("github", order.github.clone())
        .with("needs", caller.needs.clone())
        .with("inputs", caller.inputs.clone())
        .with("matrix", caller.matrix.clone())
        .with("strategy", caller.strategy.clone())
        .with("vars", given.vars.clone())
        .with("secrets", secrets);
    call_secrets(declared, &handed, &seen).map_err(|problem| format!("the call of {}: {problem}", called.path))
}

fn read(path: &str, text: &str) -> Result<Workflow, String> {
    parse_workflow(path, text).workflow.clone().ok_or_else(|| format!("{path} is no workflow"))
}
