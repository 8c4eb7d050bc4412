//! `concurrency:`, `environment:`, `runs-on:`, `strategy:`.

use super::{matrix, template};
use crate::finding::Finding;
use crate::template::{Template, Tree, TreeKind};
use crate::workflow::{CONCURRENCY_GROUP_LENGTH_MAX, Concurrency, Environment, RunsOn, Strategy};

pub(super) fn concurrency(tree: &Tree, findings: &mut Vec<Finding>) -> Concurrency {
    let group = tree.as_template().cloned().or_else(|| template(tree, "group"));
    let length = group.as_ref().and_then(Template::as_str).map_or(0, |group| group.encode_utf16().count());
    if length > CONCURRENCY_GROUP_LENGTH_MAX {
        let message = format!("Concurrency group name must be less than {CONCURRENCY_GROUP_LENGTH_MAX} characters");
        findings.push(Finding::error("concurrency-group", tree.span, message));
    }
    Concurrency {
        group: group.unwrap_or_else(|| Template::literal("")),
        cancel_in_progress: template(tree, "cancel-in-progress").unwrap_or_else(|| Template::literal(false)),
        queue: template(tree, "queue"),
    }
}

pub(super) fn environment(tree: &Tree) -> Environment {
    let name = tree.as_template().cloned().or_else(|| template(tree, "name"));
    Environment {
        name: name.unwrap_or_else(|| Template::literal("")),
        url: template(tree, "url"),
        deployment: template(tree, "deployment").unwrap_or_else(|| Template::literal(true)),
    }
}

pub(super) fn runs_on(tree: &Tree, findings: &mut Vec<Finding>) -> RunsOn {
    let labels =
        |tree: &Tree| std::iter::once(tree).chain(tree.items()).filter_map(Tree::as_template).cloned().collect();
    let group = template(tree, "group");
    if let Some(problem) = group.as_ref().and_then(|group| group_problem(group.as_str()?)) {
        let span = group.as_ref().map_or(tree.span, Template::span);
        findings.push(Finding::error("runner-group", span, problem));
    }
    match &tree.kind {
        TreeKind::Mapping(_) => RunsOn { labels: tree.get("labels").map(labels).unwrap_or_default(), group },
        _ => RunsOn { labels: labels(tree), group: None },
    }
}

fn group_problem(group: &str) -> Option<String> {
    let prefixes = ["org", "organization", "ent", "enterprise"];
    let parts: Vec<&str> = group.split('/').collect();
    match parts.as_slice() {
        [_] => None,
        [prefix, ""] if prefixes.contains(prefix) => Some(format!("Invalid runs-on group name '{group}'.")),
        [prefix, _] if prefixes.contains(prefix) => None,
        _ => Some(format!(
            "Invalid runs-on group name '{group}'. Please use 'organization/' or 'enterprise/' prefix to target a single \
             runner group."
        )),
    }
}

pub(super) fn strategy(tree: &Tree, findings: &mut Vec<Finding>) -> Strategy {
    let matrix = tree.get("matrix");
    if let Some(matrix) = matrix {
        matrix::check(matrix, findings);
    }
    Strategy {
        matrix: matrix.cloned(),
        fail_fast: template(tree, "fail-fast"),
        max_parallel: template(tree, "max-parallel"),
        whole: tree.as_template().cloned(),
        span: tree.span,
    }
}
