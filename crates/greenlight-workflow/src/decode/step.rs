//! `steps:`, of jobs and of composite actions.

use std::borrow::Cow;

use super::id::{self, Ids};
use super::{condition, entries, template, text};
use crate::expression::Scope;
use crate::finding::Finding;
use crate::template::{Template, Tree};
use crate::value::{Value, fold_equals};
use crate::workflow::{Step, StepKind, UsesRef};

/// Returns the steps of a list; `if_scope` is what their conditions may use.
pub(crate) fn steps(tree: &Tree, if_scope: &Scope, findings: &mut Vec<Finding>) -> Vec<Step> {
    let mut ids = Ids::default();
    let mut steps: Vec<Step> =
        tree.items().iter().filter_map(|tree| step(tree, if_scope, &mut ids, findings)).collect();
    for step in steps.iter_mut().filter(|step| step.id.is_empty()) {
        step.id = ids.make(&id_base(&step.kind));
    }
    steps
}

fn step(tree: &Tree, if_scope: &Scope, ids: &mut Ids, findings: &mut Vec<Finding>) -> Option<Step> {
    let own_id = text(tree, "id");
    if let Some(id) = own_id.as_deref().filter(|id| !id.is_empty())
        && let Err(problem) = ids.take(id)
    {
        let span = tree.get("id").map_or(tree.span, |id| id.span);
        findings.push(id::finding(id, span, problem));
    }
    let kind = kind(tree, if_scope, ids, own_id.as_deref(), findings)?;
    Some(Step {
        explicit_id: own_id.is_some(),
        id: own_id.unwrap_or_default().into(),
        name: template(tree, "name"),
        condition: condition(tree.get("if"), if_scope, findings),
        env: entries(tree.get("env")),
        continue_on_error: template(tree, "continue-on-error").unwrap_or_else(|| Template::literal(false)),
        timeout_minutes: template(tree, "timeout-minutes"),
        background: template(tree, "background").and_then(|value| value.as_literal()?.as_bool()).unwrap_or_default(),
        kind,
        span: tree.span,
    })
}

fn kind(
    tree: &Tree,
    if_scope: &Scope,
    ids: &Ids,
    own_id: Option<&str>,
    findings: &mut Vec<Finding>,
) -> Option<StepKind> {
    if let Some(script) = template(tree, "run") {
        let shell = template(tree, "shell");
        return Some(StepKind::Run { script, shell, working_directory: template(tree, "working-directory") });
    }
    if let Some(uses) = tree.get("uses") {
        let reference = reference(uses, findings);
        return Some(StepKind::Uses { reference, with: entries(tree.get("with")) });
    }
    if let Some(wait) = tree.get("wait") {
        let targets: Vec<&Tree> =
            std::iter::once(wait).chain(wait.items()).filter(|tree| tree.as_str().is_some()).collect();
        targets.iter().for_each(|target| check_target(target, ids, own_id, findings));
        return Some(StepKind::Wait {
            targets: targets.iter().filter_map(|tree| tree.as_str().map(Into::into)).collect(),
        });
    }
    if let Some(wait) = tree.get("wait-all") {
        if wait.as_template().and_then(Template::as_literal) == Some(&Value::Bool(false)) {
            let message = "The value of 'wait-all' must be true or omitted";
            findings.push(Finding::error("wait-all", wait.span, message));
        }
        return Some(StepKind::WaitAll);
    }
    if let Some(cancel) = tree.get("cancel") {
        check_target(cancel, ids, own_id, findings);
        return Some(StepKind::Cancel { target: cancel.as_str().unwrap_or_default().into() });
    }
    let parallel = tree.get("parallel")?;
    check_parallel(parallel, findings);
    Some(StepKind::Parallel { steps: steps(parallel, if_scope, findings) })
}

fn reference(tree: &Tree, findings: &mut Vec<Finding>) -> UsesRef {
    let text = tree.as_str().unwrap_or_default();
    UsesRef::parse(text).unwrap_or_else(|| {
        if !text.is_empty() {
            let message = format!("Expected format {{owner}}/{{repo}}[/path]@{{ref}}. Actual '{text}'");
            findings.push(
                Finding::error("uses-syntax", tree.span, message)
                    .with_help("write OWNER/REPO@REF, OWNER/REPO/PATH@REF, ./PATH or docker://IMAGE"),
            );
        }
        UsesRef::Local(text.into())
    })
}

fn check_target(tree: &Tree, ids: &Ids, own_id: Option<&str>, findings: &mut Vec<Finding>) {
    let target = tree.as_str().unwrap_or_default();
    let problem = if target.starts_with("__") {
        format!("The identifier '{target}' is invalid. IDs starting with '__' are reserved.")
    } else if own_id.is_some_and(|own| fold_equals(own, target)) {
        format!("Step '{target}' cannot reference itself")
    } else if !ids.contains(target) {
        format!("Step references unknown step ID '{target}'")
    } else {
        return;
    };
    findings.push(Finding::error("step-reference", tree.span, problem));
}

fn check_parallel(parallel: &Tree, findings: &mut Vec<Finding>) {
    for step in parallel.items() {
        for key in ["background", "wait", "wait-all", "cancel", "parallel"] {
            if step.get(key).is_none() {
                continue;
            }
            let message = match key {
                "background" => {
                    "'background' is not allowed inside a parallel block. Steps in a parallel block are automatically run as \
                     background steps."
                        .to_owned()
                }
                "parallel" => "Nested 'parallel' blocks are not allowed.".to_owned(),
                key => format!("'{key}' is not allowed inside a parallel block."),
            };
            findings.push(Finding::error("parallel", step.span, message));
        }
    }
}

fn id_base(kind: &StepKind) -> Cow<'_, str> {
    match kind {
        StepKind::Run { .. } => "run".into(),
        StepKind::Uses { reference, .. } => reference.id_base(),
        StepKind::Wait { .. } => "wait".into(),
        StepKind::WaitAll => "wait-all".into(),
        StepKind::Cancel { .. } => "cancel".into(),
        StepKind::Parallel { .. } => "parallel".into(),
    }
}
