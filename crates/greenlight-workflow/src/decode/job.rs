//! `jobs:`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{
    condition, container, defaults, entries, id, needs, permissions, requirement, scope_of, spanning, step, template,
};
use crate::finding::Finding;
use crate::template::{Template, Tree, TreeKind};
use crate::value::fold_case;
use crate::workflow::{CallRef, CallSecrets, JOBS_MAX, Job, JobKind};

pub(super) fn jobs(tree: &Tree, findings: &mut Vec<Finding>) -> Vec<Job> {
    let entries = tree.entries();
    if entries.len() > JOBS_MAX {
        let message = format!("The workflow may not contain more than {JOBS_MAX} jobs");
        findings.push(Finding::error("too-many-jobs", tree.span, message));
    }
    let mut jobs: Vec<Job> = entries.iter().take(JOBS_MAX).map(|(key, tree)| job(key, tree, findings)).collect();
    name_needs_as_jobs(&mut jobs);
    let is_mapping = matches!(tree.kind, TreeKind::Mapping(_));
    if is_mapping && jobs.len() == entries.len() {
        let nodes: Vec<needs::Node<'_>> =
            entries.iter().map(|(key, tree)| needs::Node { id: key.source(), needs: needed(tree) }).collect();
        needs::check(&nodes, tree.span, findings);
    }
    jobs
}

/// Writes what jobs need as the jobs themselves are written; GitHub does not look at case here.
fn name_needs_as_jobs(jobs: &mut [Job]) {
    let ids: BTreeMap<Box<str>, Arc<str>> =
        jobs.iter().map(|job| (fold_case(&job.id).into(), job.id.clone())).collect();
    for need in jobs.iter_mut().flat_map(|job| &mut job.needs) {
        if let Some(id) = ids.get(&*fold_case(need)) {
            *need = id.clone();
        }
    }
}

fn needed(tree: &Tree) -> Vec<(&str, crate::finding::Span)> {
    let Some(needs) = tree.get("needs") else { return Vec::new() };
    std::iter::once(needs)
        .chain(needs.items())
        .filter_map(Tree::as_template)
        .map(|need| (need.source(), need.span()))
        .collect()
}

fn job(key: &Template, tree: &Tree, findings: &mut Vec<Finding>) -> Job {
    if !key.source().is_empty()
        && let Err(problem) = id::check(key.source())
    {
        findings.push(id::finding(key.source(), key.span(), problem));
    }
    Job {
        id: key.source().into(),
        name: template(tree, "name").filter(|name| name.as_str() != Some("")),
        needs: needed(tree).into_iter().map(|(need, _)| Arc::from(need)).collect(),
        condition: condition(tree.get("if"), &scope_of("job-if"), findings),
        runs_on: tree.get("runs-on").map(|tree| requirement::runs_on(tree, findings)).unwrap_or_default(),
        permissions: tree.get("permissions").map(permissions),
        environment: tree.get("environment").map(requirement::environment),
        concurrency: tree.get("concurrency").map(|tree| requirement::concurrency(tree, findings)),
        outputs: entries(tree.get("outputs")),
        env: entries(tree.get("env")),
        defaults: defaults(tree.get("defaults")),
        timeout_minutes: template(tree, "timeout-minutes"),
        cancel_timeout_minutes: template(tree, "cancel-timeout-minutes"),
        continue_on_error: template(tree, "continue-on-error").unwrap_or_else(|| Template::literal(false)),
        strategy: tree.get("strategy").map(|tree| requirement::strategy(tree, findings)),
        container: tree.get("container").map(|tree| container::container(tree, findings)),
        services: tree.get("services").map(|tree| container::services(tree, findings)),
        snapshot: tree.get("snapshot").map(|tree| container::snapshot(tree, findings)),
        kind: kind(tree, findings),
        span: spanning(key.span(), tree.span),
    }
}

fn kind(tree: &Tree, findings: &mut Vec<Finding>) -> JobKind {
    let Some(uses) = tree.get("uses") else {
        let steps = tree.get("steps").map(|steps| step::steps(steps, &scope_of("step-if"), findings));
        return JobKind::Steps(steps.unwrap_or_default());
    };
    let text = uses.as_str().unwrap_or_default();
    let reference = call_ref(text).unwrap_or_else(|| {
        findings.push(
            Finding::error("call-syntax", uses.span, format!("invalid value workflow reference: '{text}'"))
                .with_help("write './.github/workflows/FILE' or 'OWNER/REPO/.github/workflows/FILE@REF'"),
        );
        CallRef::Local(text.into())
    });
    let secrets = match tree.get("secrets") {
        Some(secrets) if secrets.as_str() == Some("inherit") => CallSecrets::Inherit,
        secrets => CallSecrets::Named(entries(secrets)),
    };
    JobKind::Call { uses: reference, with: entries(tree.get("with")), secrets }
}

fn call_ref(text: &str) -> Option<CallRef> {
    if let Some(path) = text.strip_prefix("./").or_else(|| text.strip_prefix("$/")) {
        return (is_workflow_file(path) && !text.contains('@')).then(|| CallRef::Local(path.into()));
    }
    let (name, git_ref) = text.split_once('@')?;
    let mut parts = name.splitn(3, '/');
    let (owner, repo, path) = (parts.next()?, parts.next()?, parts.next()?);
    let is_right = ![owner, repo, git_ref].contains(&"") && is_workflow_file(path);
    is_right.then(|| CallRef::Repository {
        owner: owner.into(),
        repo: repo.into(),
        path: path.into(),
        git_ref: git_ref.into(),
    })
}

fn is_workflow_file(path: &str) -> bool {
    [".yml", ".yaml"].iter().any(|end| path.len() > end.len() && path.ends_with(end))
}
