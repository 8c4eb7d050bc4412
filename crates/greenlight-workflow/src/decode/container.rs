//! `container:`, `services:` and `snapshot:`.

use super::{condition_error, is_refused_already, scope_of, template};
use crate::expression::Scope;
use crate::finding::{FINDINGS_MAX, Finding};
use crate::template::{Condition, Template, Tree, TreeKind};
use crate::workflow::{Container, DOCKER_PREFIX, Services, Snapshot};

pub(super) fn container(tree: &Tree, findings: &mut Vec<Finding>) -> Container {
    check_image(tree, findings);
    Container { tree: tree.clone() }
}

pub(super) fn services(tree: &Tree, findings: &mut Vec<Finding>) -> Services {
    for (_, service) in tree.entries() {
        check_image(service, findings);
    }
    Services { tree: tree.clone() }
}

/// A container without an image cannot be meant, unless an expression in it may bring one.
fn check_image(tree: &Tree, findings: &mut Vec<Finding>) {
    let mut has_expression = false;
    tree.visit_templates(&mut |template: &Template| has_expression |= template.is_expression());
    let image = if matches!(tree.kind, TreeKind::Mapping(_)) { tree.get("image") } else { Some(tree) };
    let lacks_image = image.is_none_or(|image| image.as_str() == Some(DOCKER_PREFIX));
    let lines = tree.span.line..=tree.span.end_line;
    let is_refused_already = findings.len() > FINDINGS_MAX
        || findings.iter().any(|finding| finding.is_error() && lines.contains(&finding.span.line));
    if lacks_image && !has_expression && !is_refused_already {
        findings.push(
            Finding::error("container-image", tree.span, "Container image cannot be empty").with_help("add 'image:'"),
        );
    }
}

/// The version of an image where none is asked for: the newest of the first line.
const VERSION_DEFAULT: &str = "1.*";

pub(super) fn snapshot(tree: &Tree, findings: &mut Vec<Finding>) -> Snapshot {
    let version = template(tree, "version").unwrap_or_else(|| Template::literal(VERSION_DEFAULT));
    if let Some(written) = version.as_literal().map(|version| version.coerce_string())
        && !is_version_line(&written)
    {
        let message = format!("Expected format '{{major-version}}.*' Actual '{written}'");
        findings.push(Finding::error("snapshot-version", tree.span, message).with_help("write '1.*', for instance"));
    }
    Snapshot {
        image_name: tree.as_template().cloned().or_else(|| template(tree, "image-name")).unwrap_or_else(|| "".into()),
        version,
        condition: snapshot_condition(tree.get("if"), findings),
    }
}

fn is_version_line(version: &str) -> bool {
    version.strip_suffix(".*").is_some_and(|major| {
        !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit()) && major.parse::<u32>().is_ok()
    })
}

/// What is written may not ask for the status; that the job went well is asked for it.
fn snapshot_condition(tree: Option<&Tree>, findings: &mut Vec<Finding>) -> Condition {
    let Some(template) = tree.and_then(Tree::as_template) else { return Condition::default() };
    let condition = Condition::exactly(template, &scope_of("snapshot-if"))
        .map_err(|error| vec![error])
        .and_then(|_| Condition::of(template, &Scope::everything()));
    condition.unwrap_or_else(|errors| {
        if !is_refused_already(template) {
            let scope = scope_of("snapshot-if");
            findings.extend(errors.into_iter().map(|error| condition_error(template, error, &scope)));
        }
        Condition::default()
    })
}
