//! Filters that can match nothing.

use crate::finding::{Finding, Span};
use crate::glob::Patterns;
use crate::template::Tree;
use crate::trigger::{EventTrigger, Filter, Triggers};

pub(super) fn check(on: &Triggers, tree: Option<&Tree>, findings: &mut Vec<Finding>) {
    for event in &on.events {
        let tree = tree.and_then(|tree| tree.get(&event.name));
        for (key, filter) in filters(event) {
            let patterns = match filter {
                Filter::Any => continue,
                Filter::Only(patterns) => patterns,
                Filter::Ignore(patterns) => patterns,
            };
            check_filter(key, filter, patterns, tree, event.span, findings);
        }
    }
}

fn filters(event: &EventTrigger) -> [(&'static str, &Filter); 3] {
    [("branches", &event.branches), ("tags", &event.tags), ("paths", &event.paths)]
}

fn check_filter(
    key: &str,
    filter: &Filter,
    patterns: &Patterns,
    tree: Option<&Tree>,
    event: Span,
    findings: &mut Vec<Finding>,
) {
    let key = if matches!(filter, Filter::Ignore(_)) { format!("{key}-ignore") } else { key.to_owned() };
    let filter_tree = tree.and_then(|tree| tree.get(&key));
    let span_of = |at: usize| match filter_tree {
        Some(tree) => tree.items().get(at).map_or(tree.span, |item| item.span),
        None => event,
    };
    for (at, pattern) in patterns.iter().enumerate() {
        if let Some(problem) = pattern.problem() {
            let message = format!("The pattern '{}' is none: {problem}", pattern.text());
            let help = "write '\\' before a sign that is meant as it stands";
            findings.push(Finding::warning("pattern-wrong", span_of(at), message).with_help(help));
            continue;
        }
        let body = pattern.text().strip_prefix('!').unwrap_or(pattern.text());
        if let Some(help) = never_matches(&key, body) {
            let message = format!("The pattern '{}' can match nothing", pattern.text());
            findings.push(Finding::warning("pattern-matches-nothing", span_of(at), message).with_help(help));
        }
    }
    let only_negative = patterns.iter().next().is_some() && patterns.iter().all(crate::glob::Pattern::is_negative);
    if only_negative && matches!(filter, Filter::Only(_)) {
        let message = format!("'{key}' has only patterns that take back, so it lets nothing in");
        let help = "put '**' before them";
        findings.push(Finding::warning("pattern-matches-nothing", span_of(0), message).with_help(help));
    }
}

/// Returns what is meant instead of a pattern that no name can match.
fn never_matches(key: &str, body: &str) -> Option<&'static str> {
    if key.starts_with("paths") {
        return match body {
            body if body.starts_with("./") || body.starts_with("../") || body.starts_with('/') => {
                Some("paths are relative to the repository's root, without './' or '/'")
            }
            body if body.ends_with('/') => Some("a folder is meant by 'FOLDER/**'"),
            _ => None,
        };
    }
    match body {
        body if body.starts_with("refs/heads/") || body.starts_with("refs/tags/") => {
            Some("names are compared without 'refs/heads/' or 'refs/tags/'")
        }
        body if body.starts_with("./") => Some("names are compared as they are, without './'"),
        body if body.starts_with('/') || body.ends_with('/') => {
            Some("no name of a branch or tag starts or ends with '/'")
        }
        body if body.contains(' ') => Some("no name of a branch or tag has a blank in it"),
        body if body.contains(['~', '^', ':']) => Some("no name of a branch or tag has '~', '^' or ':' in it"),
        body if body.contains("..") || body.contains("@{") => Some("no name of a branch or tag has '..' or '@{' in it"),
        _ => None,
    }
}
