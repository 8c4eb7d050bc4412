//! `matrix:`. One without expressions is made at once, as GitHub does, to see whether it can be.

use crate::expression::Contexts;
use crate::finding::{Finding, nearest};
use crate::matrix;
use crate::template::{Template, Tree, TreeKind};
use crate::value::fold_equals;

/// Adds a finding for what can never become variants of a job.
pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let is_refused_already = findings.iter().any(|finding| finding.is_error() && tree.span.holds(finding.span));
    let found_before = findings.len();
    let (mut vectors, mut has_expression) = (Vec::new(), false);
    for (key, vector) in tree.entries().iter().filter(|(key, _)| !matches!(key.source(), "include" | "exclude")) {
        vectors.push(key.source());
        if !key.is_expression() && matches!(&vector.kind, TreeKind::Sequence(items) if items.is_empty()) {
            let message = format!("Matrix vector '{}' does not contain any values", key.source());
            findings.push(
                Finding::error("empty-vector", vector.span, message).with_help("add a value, or remove the vector"),
            );
        }
    }
    tree.visit_templates(&mut |template: &Template| has_expression |= template.is_expression());
    if has_expression || !matches!(tree.kind, TreeKind::Mapping(_)) {
        return;
    }
    check_filters(tree, &vectors, findings);
    if is_refused_already || findings.len() > found_before || has_few_combinations(tree) {
        return;
    }
    let value = tree.evaluate(&Contexts::new()).expect("what has no expressions is what it says");
    if let Err(problem) = matrix::combinations(&value) {
        findings.push(Finding::error("matrix", tree.span, problem));
    }
}

/// Says whether a matrix in which everything is in its place cannot come to too much.
fn has_few_combinations(tree: &Tree) -> bool {
    let length = |key: &str| tree.get(key).map_or(0, |items| items.items().len());
    let vectors = || tree.entries().iter().filter(|(key, _)| !matches!(key.source(), "include" | "exclude"));
    let product = vectors().fold(1, |product: usize, (_, vector)| product.saturating_mul(vector.items().len()));
    let is_small = |filter: &Tree| filter.entries().len() <= matrix::COMBINATIONS_MAX;
    vectors().next().is_some()
        && tree.entries().len() <= matrix::COMBINATIONS_MAX
        && product.saturating_add(length("include")) <= matrix::COMBINATIONS_MAX
        && length("exclude") <= matrix::COMBINATIONS_MAX
        && ["include", "exclude"].iter().filter_map(|key| tree.get(key)).flat_map(Tree::items).all(is_small)
}

fn check_filters(tree: &Tree, vectors: &[&str], findings: &mut Vec<Finding>) {
    let items = |key: &str| tree.get(key).map(Tree::items).unwrap_or_default();
    let is_empty = |item: &&Tree| matches!(&item.kind, TreeKind::Mapping(entries) if entries.is_empty());
    for item in items("include").iter().filter(is_empty) {
        let message = "Matrix include mapping does not contain any values";
        findings.push(Finding::error("matrix-filter", item.span, message).with_help("remove it"));
    }
    for item in items("exclude") {
        if is_empty(&item) {
            let message = "Matrix exclude filter must not be empty";
            findings.push(Finding::error("matrix-filter", item.span, message).with_help("remove it"));
        }
        let unknown = |key: &&Template| !vectors.iter().any(|vector| fold_equals(vector, key.source()));
        for key in item.entries().iter().map(|(key, _)| key).filter(unknown) {
            let message = format!("Matrix exclude key '{}' does not match any key within the matrix", key.source());
            let help = match nearest(key.source(), vectors) {
                Some(meant) => format!("did you mean '{meant}'?"),
                None => "only what is a list of its own in the matrix can be excluded".into(),
            };
            findings.push(Finding::error("matrix-filter", key.span(), message).with_help(help));
        }
    }
}
