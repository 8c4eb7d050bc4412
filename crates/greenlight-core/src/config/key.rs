//! Keys and scalars: which there are, and what is said of those that are wrong.

use std::sync::Arc;

use greenlight_workflow::yaml::Node;
use greenlight_workflow::{Finding, nearest};

/// A key of the file, and whether this release knows what to do with it.
pub(super) struct Key {
    name: &'static str,
    supported: bool,
}

const fn known(name: &'static str) -> Key {
    Key { name, supported: true }
}

const fn later(name: &'static str) -> Key {
    Key { name, supported: false }
}

pub(super) const TOP: [Key; 3] = [known("merge"), known("environments"), known("notify")];
pub(super) const MERGE: [Key; 4] = [known("when"), known("method"), known("require"), later("queue")];
pub(super) const ENVIRONMENT: [Key; 12] = [
    known("on"),
    known("after"),
    known("branches"),
    known("run"),
    known("url"),
    later("reviewers"),
    later("health"),
    later("rollback"),
    later("wait"),
    later("lock"),
    later("freeze"),
    later("preview"),
];
pub(super) const RUN: [Key; 12] = [
    known("workflow"),
    known("shell"),
    later("ssh"),
    later("heroku"),
    later("codedeploy"),
    later("elastic_beanstalk"),
    later("ecs"),
    later("kubernetes"),
    later("capistrano"),
    later("ansible"),
    later("kamal"),
    later("webhook"),
];
pub(super) const NOTIFY: [Key; 2] = [known("room"), known("on")];

/// Reads a mapping's entries, refusing keys that are unknown or come later.
pub(super) fn entries<'a>(
    node: &'a Node,
    what: &str,
    keys: &[Key],
    findings: &mut Vec<Finding>,
) -> Vec<(&'static str, &'a Node)> {
    let Some(mapping) = node.as_mapping() else {
        if !is_null(node) {
            findings.push(Finding::error("config-type", node.span, format!("{what} is a mapping")));
        }
        return Vec::new();
    };
    let names: Vec<&str> = keys.iter().map(|key| key.name).collect();
    let mut read = Vec::new();
    for (key, value) in mapping {
        let name = key.as_str().unwrap_or_default();
        match keys.iter().find(|known| known.name == name) {
            Some(known) if known.supported => read.push((known.name, value)),
            Some(_) => findings.push(
                Finding::error("config-later", key.span, format!("{name} in {what} is not supported yet"))
                    .with_help("take it out"),
            ),
            None => {
                let finding = Finding::error("config-unknown", key.span, format!("unknown key {name} in {what}"));
                findings.push(match nearest(name, &names) {
                    Some(near) => finding.with_help(format!("did you mean {near}?")),
                    None => finding.with_help(format!("known are {}", names.join(", "))),
                });
            }
        }
    }
    read
}

fn is_null(node: &Node) -> bool {
    node.as_value().is_some_and(greenlight_workflow::Value::is_null)
}

pub(super) fn word<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], findings: &mut Vec<Finding>) -> Option<T> {
    let given = node.as_str().unwrap_or_default();
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == given) {
        return Some(*value);
    }
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let finding = Finding::error("config-value", node.span, format!("{what} is one of {}", names.join(", ")));
    findings.push(match nearest(given, &names) {
        Some(near) => finding.with_help(format!("did you mean {near}?")),
        None => finding,
    });
    None
}

pub(super) fn text(node: &Node, what: &str, findings: &mut Vec<Finding>) -> Option<Arc<str>> {
    match node.as_str() {
        Some(text) if !text.is_empty() => Some(text.into()),
        _ => {
            findings.push(Finding::error("config-type", node.span, format!("{what} is a text")));
            None
        }
    }
}

pub(super) fn texts(node: &Node, what: &str, findings: &mut Vec<Finding>) -> Vec<Arc<str>> {
    match node.as_sequence() {
        Some(items) => items.iter().filter_map(|item| text(item, what, findings)).collect(),
        None => text(node, what, findings).into_iter().collect(),
    }
}
