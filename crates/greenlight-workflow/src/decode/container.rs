//! `container:` and `services:`.

use crate::finding::{FINDINGS_MAX, Finding};
use crate::template::{Template, Tree, TreeKind};
use crate::workflow::{Container, Services};

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
    let lacks_image = matches!(tree.kind, TreeKind::Mapping(_)) && tree.get("image").is_none();
    let lines = tree.span.line..=tree.span.end_line;
    let is_refused_already = findings.len() > FINDINGS_MAX
        || findings.iter().any(|finding| finding.is_error() && lines.contains(&finding.span.line));
    if lacks_image && !has_expression && !is_refused_already {
        findings.push(
            Finding::error("container-image", tree.span, "Container image cannot be empty").with_help("add 'image:'"),
        );
    }
}
