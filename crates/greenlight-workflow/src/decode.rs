//! The tree that the grammar approved, to typed workflows and actions. What the grammar cannot say is checked here: ids,
//! needs, references, group names. Every function takes what it understands and adds a finding for what it does not.

mod container;
mod cron;
mod id;
pub(crate) mod job;
mod matrix;
mod needs;
mod recovery;
mod requirement;
pub(crate) mod step;
mod trigger;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::finding::{Finding, Span, point, put_in_order};
use crate::permission::{PermissionLevel, Permissions};
use crate::template::{Template, Tree};
use crate::workflow::{Defaults, Document, Parsed, Workflow};
use crate::{reader, schema, yaml};

/// Reads a workflow file.
pub(crate) fn workflow(path: &str, text: &str, limits: &yaml::Limits) -> Parsed {
    let path_bytes = yaml::text_bytes(path);
    let limits = yaml::Limits { bytes: limits.bytes.saturating_sub(path_bytes), ..*limits };
    let reading = yaml::read(text, &limits);
    let mut recovered = match reading.node {
        Some(_) => None,
        None => recovery::read(text, &reading, &limits),
    };
    let reading = recovered.as_mut().map_or(reading, |recovered| std::mem::take(&mut recovered.reading));
    let yaml::Reading { node, mut findings, bytes } = reading;
    let workflow = node.map(|node| {
        let tree = reader::read(schema::workflow(), "workflow", node, &mut findings);
        Workflow::new(Document { bytes: path_bytes + bytes, text: text.into(), ..document(path, tree, &mut findings) })
    });
    drop_what_follows_from_lost_aliases(&mut findings);
    if let Some(recovered) = recovered {
        findings.retain(|finding| !recovered.follows(finding));
    }
    put_in_order(&mut findings);
    point(&mut findings, text);
    match findings.iter().any(Finding::is_error) {
        true => Parsed { workflow: None, draft: workflow, findings },
        false => Parsed { workflow, draft: None, findings },
    }
}

/// An alias of nothing is told; that there is nothing in its place is not.
fn drop_what_follows_from_lost_aliases(findings: &mut Vec<Finding>) {
    let start = |finding: &Finding| (finding.span.line, finding.span.column);
    let lost: BTreeSet<(u32, u32)> =
        findings.iter().filter(|finding| finding.code == "unknown-anchor").map(start).collect();
    findings.retain(|finding| finding.code == "unknown-anchor" || !lost.contains(&start(finding)));
}

fn document(path: &str, tree: Tree, findings: &mut Vec<Finding>) -> Document {
    let jobs = tree.get("jobs").map(|jobs| job::jobs(jobs, findings)).unwrap_or_default();
    Document {
        path: path.into(),
        name: text(&tree, "name").filter(|name| !name.is_empty()),
        description: text(&tree, "description"),
        run_name: template(&tree, "run-name"),
        on: tree.get("on").map(|on| trigger::triggers(on, findings)).unwrap_or_default(),
        permissions: tree.get("permissions").map(permissions),
        env: entries(tree.get("env")),
        defaults: defaults(tree.get("defaults")),
        concurrency: tree.get("concurrency").map(|tree| requirement::concurrency(tree, findings)),
        jobs,
        tree,
        text: "".into(),
        bytes: 0,
    }
}

/// Returns the permissions that a checked `permissions:` names.
fn permissions(tree: &Tree) -> Permissions {
    match tree.as_str() {
        Some("read-all") => Permissions::read_all(),
        Some("write-all") => Permissions::write_all(),
        _ => tree.entries().iter().fold(Permissions::none(), |permissions, (scope, level)| {
            let level = level.as_str().and_then(PermissionLevel::named).unwrap_or_default();
            permissions.with(scope.source(), level)
        }),
    }
}

fn defaults(tree: Option<&Tree>) -> Defaults {
    let Some(run) = tree.and_then(|tree| tree.get("run")) else { return Defaults::default() };
    Defaults {
        shell: template(run, "shell"),
        working_directory: template(run, "working-directory"),
        whole: run.as_template().cloned(),
    }
}

/// Returns the scalar under a key.
pub(crate) fn template(tree: &Tree, key: &str) -> Option<Template> {
    tree.get(key)?.as_template().cloned()
}

/// Returns the literal text under a key.
pub(crate) fn text(tree: &Tree, key: &str) -> Option<String> {
    tree.get(key)?.as_template()?.as_literal().map(|value| (*value.coerce_string()).to_owned())
}

/// Returns the literal texts under a key that may be one or a list of them.
fn texts(tree: Option<&Tree>) -> Vec<String> {
    let Some(tree) = tree else { return Vec::new() };
    std::iter::once(tree)
        .chain(tree.items())
        .filter_map(|item| item.as_template()?.as_literal().map(|value| (*value.coerce_string()).to_owned()))
        .collect()
}

/// Returns names and templates of a mapping; a mapping that is one expression is that expression under the key `insert`.
pub(crate) fn entries(tree: Option<&Tree>) -> Vec<(String, Template)> {
    let Some(tree) = tree else { return Vec::new() };
    if let Some(whole) = tree.as_template() {
        return vec![(crate::template::INSERT.to_owned(), whole.clone())];
    }
    let name =
        |key: &Template| if key.is_insert() { crate::template::INSERT.to_owned() } else { key.source().to_owned() };
    tree.entries().iter().filter_map(|(key, value)| Some((name(key), value.as_template()?.clone()))).collect()
}

/// Returns the contexts and functions that a definition of the workflow grammar allows.
fn scope_of(name: &str) -> Arc<crate::expression::Scope> {
    let schema = schema::workflow();
    schema.get(schema.named(name)).scope.clone().unwrap_or_default()
}

/// Returns the condition under `if:`, or the default one.
pub(crate) fn condition(
    tree: Option<&Tree>,
    scope: &crate::expression::Scope,
    findings: &mut Vec<Finding>,
) -> crate::template::Condition {
    let Some(template) = tree.and_then(Tree::as_template) else { return crate::template::Condition::default() };
    warn_of_constant(template, findings);
    crate::template::Condition::of(template, scope).unwrap_or_else(|errors| {
        if !is_refused_already(template) {
            findings.extend(errors.into_iter().map(|error| condition_error(template, error, scope)));
        }
        crate::template::Condition::default()
    })
}

/// Returns what is wrong with a condition.
pub(crate) fn condition_error(
    template: &Template,
    error: crate::expression::ExpressionError,
    scope: &crate::expression::Scope,
) -> Finding {
    let help = reader::help_for_expression(&error.message, scope);
    let place = template.place_in_bare(&error);
    Finding::error("expression", template.span(), error.message).with_help_of(help).about(place)
}

/// The reader keeps a scalar whose expressions are wrong as it stands, and has said what is wrong with it.
fn is_refused_already(template: &Template) -> bool {
    template.as_str().is_some_and(|text| text == template.source() && text.contains("${{"))
}

/// `if: ${{ x }} == 'y'` is a text that is not empty, so it always holds.
fn warn_of_constant(template: &Template, findings: &mut Vec<Finding>) {
    let is_text_around_expression = template.is_expression() && !is_one_expression(template);
    if is_text_around_expression {
        let message = "This condition always holds: text around '${{ }}' makes it a text, and a text is true";
        findings.push(
            Finding::warning("condition-always-true", template.span(), message)
                .with_help("put the whole condition inside one '${{ }}', or leave the braces out"),
        );
    }
}

fn is_one_expression(template: &Template) -> bool {
    matches!(template.expressions().as_slice(), [only] if template.expression_text() == only.text())
}

/// Returns the range from the start of the first to the end of the second.
fn spanning(first: Span, second: Span) -> Span {
    Span { end_line: second.end_line, end_column: second.end_column, ..first }
}
