//! `.greenlight.yml`: what follows a green commit.

mod environment;
mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use greenlight_workflow::Finding;
use greenlight_workflow::yaml::{self, Node};

use crate::effect::MergeMethod;
use crate::id::{Context, EnvironmentName, RoomName, Sha};
use crate::shown::first_of;
use environment::read_environments;
use key::{MERGE, NOTIFY, TOP, entries, text, texts, word};

/// What `.greenlight.yml` says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Config {
    /// When to merge; nothing where nothing is merged.
    pub merge: Option<MergeRule>,
    /// Where to deploy, in the file's order.
    pub environments: Vec<EnvironmentRule>,
    /// Whom to tell.
    pub notify: Vec<NotifyRule>,
}

/// When and how to merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRule {
    /// When.
    pub when: MergeWhen,
    /// How.
    pub method: MergeMethod,
    /// Contexts that must be an explicit success, besides those of the branch's rules.
    pub require: Vec<Context>,
}

/// What makes a green pull request be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergeWhen {
    /// Being green.
    Green,
    /// An approving review of this head by somebody with write permission.
    Approved,
    /// A `/merge` by somebody with write permission.
    Command,
}

/// One environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentRule {
    /// Its name.
    pub name: EnvironmentName,
    /// Is it deployed to when a pull request was merged?
    pub on_merge: bool,
    /// Into which branches; empty means the default branch.
    pub branches: Vec<Arc<str>>,
    /// The environments that must have succeeded with the commit first.
    pub after: Vec<EnvironmentName>,
    /// What carries it out.
    pub provider: Provider,
    /// Where the deployed thing is, where the provider does not say.
    pub url: Option<Arc<str>>,
}

/// What carries a deployment out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `.github/workflows/NAME.yml` (or `.yaml`), on: deployment.
    Workflow(Arc<str>),
    /// An executable script in the repository.
    Shell(Arc<str>),
}

/// Whom to tell what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyRule {
    /// The room, as greenlight.toml names it.
    pub room: RoomName,
    /// What about.
    pub on: Vec<NotifyOn>,
}

/// What a room is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotifyOn {
    /// A deployment began or ended.
    Deployment,
    /// A run failed.
    Failure,
    /// A pull request was merged by us.
    Merge,
}

/// What is known of the default branch's `.greenlight.yml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigStanding {
    /// It is being read.
    Unknown,
    /// It was read at this commit.
    Read {
        /// The default branch's tip.
        sha: Sha,
        /// The file's path and text; nothing where there is none.
        file: Option<(Arc<str>, Arc<str>)>,
        /// What it says, or what is wrong with it, in one sentence. Decoded from `file`, so the store need not keep it.
        config: Result<Arc<Config>, Arc<str>>,
    },
}

/// What the default branch's `.greenlight.yml` said when it was last right, kept while it is wrong. Nothing is merged or deployed
/// by it: it tells which environments there are, and whom to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastRight {
    /// The file's path and text.
    pub file: (Arc<str>, Arc<str>),
    /// What it said. Decoded from `file`, so the store need not keep it.
    pub config: Arc<Config>,
}

/// The most environments that a repository may have.
pub const ENVIRONMENTS_MAX: usize = 50;

/// Decodes the file. The error is one sentence with path, line and what to do; where more is wrong it says how much.
pub fn decode(path: &str, text: &str) -> Result<Config, Arc<str>> {
    check(text).map_err(|findings| match findings.split_first() {
        Some((first, rest)) => {
            let found = format!("{path}:{}: {}", first.span.line, first.message);
            first_of(&found, first.help.as_deref(), rest.len()).into()
        }
        None => format!("{path} cannot be read").into(),
    })
}

/// Returns everything that is wrong with the file, each with its line and a caret; nothing where it is right.
pub fn explain(path: &str, text: &str) -> Option<Arc<str>> {
    let findings = check(text).err()?;
    Some(findings.iter().map(|finding| finding.render(path, text)).collect::<Vec<_>>().join("\n").into())
}

/// Decodes the file, or returns everything that is wrong with it, in the order of its lines.
pub fn check(text: &str) -> Result<Config, Vec<Finding>> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Config::default());
    }
    let mut findings = Vec::new();
    let config = match yaml::parse(text) {
        Ok(node) => read_config(&node, &mut findings),
        Err(errors) => {
            findings.extend(errors.into_iter().filter(Finding::is_error));
            Config::default()
        }
    };
    findings.sort_by_key(|finding| (finding.span.line, finding.span.column));
    match findings.is_empty() {
        true => Ok(config),
        false => Err(findings),
    }
}

fn read_config(node: &Node, findings: &mut Vec<Finding>) -> Config {
    let mut config = Config::default();
    for (name, value) in entries(node, "the file", &TOP, findings) {
        match name {
            "merge" => config.merge = Some(read_merge(value, findings)),
            "environments" => config.environments = read_environments(value, findings),
            _ => config.notify = read_notify(value, findings),
        }
    }
    config
}

fn read_merge(node: &Node, findings: &mut Vec<Finding>) -> MergeRule {
    let mut rule = MergeRule { when: MergeWhen::Command, method: MergeMethod::Merge, require: Vec::new() };
    for (name, value) in entries(node, "merge", &MERGE, findings) {
        match name {
            "when" => {
                let words =
                    [("green", MergeWhen::Green), ("approved", MergeWhen::Approved), ("command", MergeWhen::Command)];
                rule.when = word(value, "merge.when", &words, findings).unwrap_or(rule.when);
            }
            "method" => {
                let words =
                    [("merge", MergeMethod::Merge), ("squash", MergeMethod::Squash), ("rebase", MergeMethod::Rebase)];
                rule.method = word(value, "merge.method", &words, findings).unwrap_or(rule.method);
            }
            _ => rule.require = read_require(value, findings),
        }
    }
    rule
}

/// Reads the names of contexts. A number is likelier meant as how many reviews there must be than as a name.
fn read_require(node: &Node, findings: &mut Vec<Finding>) -> Vec<Context> {
    let items = match node.as_sequence() {
        Some(items) => items,
        None => std::slice::from_ref(node),
    };
    let is_bare = |item: &&Node| {
        matches!(item.as_value(), Some(greenlight_workflow::Value::Number(_) | greenlight_workflow::Value::Bool(_)))
    };
    if let Some(bare) = items.iter().find(is_bare) {
        findings.push(
            Finding::error("config-type", bare.span, "merge.require is a list of the names of contexts")
                .with_help("write names, as [greenlight, lint]; put one that looks like a number between quotes"),
        );
        return Vec::new();
    }
    texts(node, "merge.require", findings).into_iter().map(Context::new).collect()
}

fn read_notify(node: &Node, findings: &mut Vec<Finding>) -> Vec<NotifyRule> {
    let Some(items) = node.as_sequence() else {
        findings.push(Finding::error("config-type", node.span, "notify is a list of { room: …, on: […] }"));
        return Vec::new();
    };
    let mut rules = Vec::new();
    for item in items {
        let mut room = None;
        let mut on = vec![NotifyOn::Deployment, NotifyOn::Failure];
        for (field, value) in entries(item, "notify", &NOTIFY, findings) {
            match field {
                "room" => room = text(value, "room", findings),
                _ => on = read_notify_on(value, findings),
            }
        }
        match room {
            Some(room) => rules.push(NotifyRule { room: RoomName::new(room), on }),
            None => findings.push(
                Finding::error("config-missing", item.span, "notify names no room")
                    .with_help("name one of [rooms] in greenlight.toml"),
            ),
        }
    }
    rules
}

fn read_notify_on(node: &Node, findings: &mut Vec<Finding>) -> Vec<NotifyOn> {
    let words = [("deployment", NotifyOn::Deployment), ("failure", NotifyOn::Failure), ("merge", NotifyOn::Merge)];
    let items = match node.as_sequence() {
        Some(items) => items,
        None => std::slice::from_ref(node),
    };
    items.iter().filter_map(|item| word(item, "notify.on", &words, findings)).collect()
}
