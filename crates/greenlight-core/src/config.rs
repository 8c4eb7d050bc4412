//! `.greenlight.yml`: what follows a green commit.

use std::sync::Arc;

use greenlight_workflow::yaml::{self, Node};
use greenlight_workflow::{Finding, nearest};

use crate::effect::MergeMethod;
use crate::id::{Context, EnvironmentName, RoomName, Sha};
use crate::shown::first_of;

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

/// The most environments that a repository may have.
pub const ENVIRONMENTS_MAX: usize = 50;
/// Longest name of an environment, as on GitHub.
const NAME_MAX: usize = 255;

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

/// A key of the file, and whether this release knows what to do with it.
struct Key {
    name: &'static str,
    supported: bool,
}

const fn known(name: &'static str) -> Key {
    Key { name, supported: true }
}

const fn later(name: &'static str) -> Key {
    Key { name, supported: false }
}

const TOP: [Key; 3] = [known("merge"), known("environments"), known("notify")];
const MERGE: [Key; 4] = [known("when"), known("method"), known("require"), later("queue")];
const ENVIRONMENT: [Key; 12] = [
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
const RUN: [Key; 12] = [
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
const NOTIFY: [Key; 2] = [known("room"), known("on")];

/// Reads a mapping's entries, refusing keys that are unknown or come later.
fn entries<'a>(node: &'a Node, what: &str, keys: &[Key], findings: &mut Vec<Finding>) -> Vec<(&'static str, &'a Node)> {
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

fn read_environments(node: &Node, findings: &mut Vec<Finding>) -> Vec<EnvironmentRule> {
    let Some(mapping) = node.as_mapping() else {
        findings.push(Finding::error("config-type", node.span, "environments is a mapping from names to what each is"));
        return Vec::new();
    };
    if mapping.len() > ENVIRONMENTS_MAX {
        findings.push(Finding::error(
            "config-size",
            node.span,
            format!("there are more than {ENVIRONMENTS_MAX} environments"),
        ));
        return Vec::new();
    }
    let names: Vec<&str> = mapping.iter().filter_map(|(key, _)| key.as_str()).collect();
    let rules: Vec<EnvironmentRule> =
        mapping.iter().filter_map(|(key, value)| read_environment(key, value, &names, findings)).collect();
    refuse_circle(&rules, node, findings);
    rules
}

fn read_environment(key: &Node, node: &Node, names: &[&str], findings: &mut Vec<Finding>) -> Option<EnvironmentRule> {
    let Some(name) = key.as_str().filter(|name| !name.is_empty() && name.len() <= NAME_MAX) else {
        findings.push(Finding::error(
            "config-value",
            key.span,
            format!("the name of an environment has 1 to {NAME_MAX} characters"),
        ));
        return None;
    };
    let mut rule = EnvironmentRule {
        name: EnvironmentName::from(name),
        on_merge: false,
        branches: Vec::new(),
        after: Vec::new(),
        provider: Provider::Workflow("deploy".into()),
        url: None,
    };
    let (mut provider, mut has_run) = (None, false);
    for (field, value) in entries(node, &format!("environment {name}"), &ENVIRONMENT, findings) {
        match field {
            "on" => rule.on_merge = word(value, "on", &[("merge", true)], findings).unwrap_or(false),
            "after" => rule.after = read_after(value, names, findings),
            "branches" => rule.branches = texts(value, "branches", findings),
            "run" => {
                has_run = true;
                provider = read_provider(value, name, findings);
            }
            _ => rule.url = text(value, "url", findings),
        }
    }
    match provider {
        Some(provider) => rule.provider = provider,
        // What is wrong with it was told already, unless it is empty.
        None if !has_run => {
            findings.push(
                Finding::error(
                    "config-missing",
                    key.span,
                    format!("environment {name} does not say what carries it out"),
                )
                .with_help("add run: { workflow: deploy } or run: { shell: PATH }"),
            );
        }
        None => {}
    }
    Some(rule)
}

fn read_after(node: &Node, names: &[&str], findings: &mut Vec<Finding>) -> Vec<EnvironmentName> {
    let after = texts(node, "after", findings);
    for name in &after {
        if !names.contains(&&**name) {
            let finding = Finding::error(
                "config-unknown",
                node.span,
                format!("after names {name}, and there is no such environment"),
            );
            findings.push(match nearest(name, names) {
                Some(near) => finding.with_help(format!("did you mean {near}?")),
                None => finding,
            });
        }
    }
    after.into_iter().map(EnvironmentName::new).collect()
}

fn read_provider(node: &Node, name: &str, findings: &mut Vec<Finding>) -> Option<Provider> {
    let (mut providers, told) = (Vec::new(), findings.len());
    for (field, value) in entries(node, &format!("run of {name}"), &RUN, findings) {
        let Some(text) = text(value, field, findings) else { continue };
        match field {
            "workflow" => {
                let file = text.rsplit('/').next().unwrap_or_default();
                let stem = file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml")).unwrap_or(file);
                providers.push(Provider::Workflow(stem.into()));
            }
            _ if is_inside(&text) => providers.push(Provider::Shell(text)),
            _ => findings.push(Finding::error(
                "config-path",
                value.span,
                "shell names a script by its path inside the repository".to_owned(),
            )),
        }
    }
    if providers.is_empty() && findings.len() == told {
        findings.push(
            Finding::error("config-missing", node.span, format!("run of {name} names no provider"))
                .with_help("add run: { workflow: deploy } or run: { shell: PATH }"),
        );
    }
    if providers.len() > 1 {
        findings.push(
            Finding::error("config-twice", node.span, format!("run of {name} names two providers"))
                .with_help("keep one"),
        );
    }
    providers.into_iter().next()
}

/// Is this a path that cannot lead out of the repository?
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && path.split('/').all(|part| part != "..")
        && !path.contains(['\n', '\0'])
}

/// Refuses environments that wait for each other.
fn refuse_circle(rules: &[EnvironmentRule], node: &Node, findings: &mut Vec<Finding>) {
    // One that is not there was told already.
    let is_there = |name: &&EnvironmentName| rules.iter().any(|rule| rule.name == **name);
    let mut reached: Vec<&EnvironmentName> = Vec::new();
    loop {
        let next = rules.iter().find(|rule| {
            !reached.contains(&&rule.name) && rule.after.iter().filter(is_there).all(|name| reached.contains(&name))
        });
        match next {
            Some(rule) => reached.push(&rule.name),
            None => break,
        }
    }
    let waiting =
        |name: &EnvironmentName| rules.iter().find(|rule| rule.name == *name && !reached.contains(&&rule.name));
    let Some(mut rule) = rules.iter().find(|rule| !reached.contains(&&rule.name)) else { return };
    // What waits for a circle need not be in it; who follows what is waited for comes into the circle and stays there.
    for _ in 0..rules.len() {
        rule = rule.after.iter().find_map(waiting).expect("what was not reached waits for what was not reached");
    }
    let environment = node.get(rule.name.as_str());
    let span = environment.and_then(|environment| environment.get("after")).map_or(node.span, |after| after.span);
    findings.push(
        Finding::error("config-circle", span, format!("{} waits for itself through after", rule.name))
            .with_help("take out one of the names that lead in a circle"),
    );
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

fn word<T: Copy>(node: &Node, what: &str, words: &[(&str, T)], findings: &mut Vec<Finding>) -> Option<T> {
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

fn text(node: &Node, what: &str, findings: &mut Vec<Finding>) -> Option<Arc<str>> {
    match node.as_str() {
        Some(text) if !text.is_empty() => Some(text.into()),
        _ => {
            findings.push(Finding::error("config-type", node.span, format!("{what} is a text")));
            None
        }
    }
}

fn texts(node: &Node, what: &str, findings: &mut Vec<Finding>) -> Vec<Arc<str>> {
    match node.as_sequence() {
        Some(items) => items.iter().filter_map(|item| text(item, what, findings)).collect(),
        None => text(node, what, findings).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(text: &str) -> String {
        decode(".greenlight.yml", text).unwrap_err().to_string()
    }

    #[test]
    fn the_example_of_the_documentation_is_read() {
        let config = decode(
            ".greenlight.yml",
            "merge:
  when: green
  method: squash
  require: [greenlight, lint]
environments:
  staging:
    on: merge
    run: { workflow: deploy }
  production:
    after: [staging]
    run: { shell: script/deploy }
    url: https://example.org
notify:
  - { room: deploys, on: [deployment, failure] }
",
        )
        .unwrap();
        let merge = config.merge.unwrap();
        assert_eq!((merge.when, merge.method, merge.require.len()), (MergeWhen::Green, MergeMethod::Squash, 2));
        assert_eq!(config.environments.len(), 2);
        assert!(config.environments[0].on_merge);
        assert_eq!(config.environments[1].provider, Provider::Shell("script/deploy".into()));
        assert_eq!(config.notify[0].on, [NotifyOn::Deployment, NotifyOn::Failure]);
    }

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        assert!(
            fails("merge:\n  wen: green\n").contains(".greenlight.yml:2: unknown key wen in merge; did you mean when?")
        );
    }

    #[test]
    fn several_mistakes_are_told_all_of_them_in_the_order_of_the_file() {
        const TEXT: &str = "notify:
  - { on: failure }
environments:
  staging: { on: merge, run: { } }
  production: { after: [stagin], run: { shel: x } }
  other: { on: merge }
merge:
  wen: green
  method: squish
";
        let findings = check(TEXT).unwrap_err();
        let told: Vec<_> = findings.iter().map(|finding| (finding.span.line, &*finding.message)).collect();
        assert_eq!(
            told,
            [
                (2, "notify names no room"),
                (4, "run of staging names no provider"),
                (5, "after names stagin, and there is no such environment"),
                (5, "unknown key shel in run of production"),
                (6, "environment other does not say what carries it out"),
                (8, "unknown key wen in merge"),
                (9, "merge.method is one of merge, squash, rebase"),
            ]
        );
        assert_eq!(
            fails(TEXT),
            ".greenlight.yml:2: notify names no room; name one of [rooms] in greenlight.toml (and 6 more)"
        );
        let all = explain(".greenlight.yml", TEXT).unwrap();
        assert_eq!(all.matches("--> .greenlight.yml:").count(), 7, "{all}");
        assert!(all.contains("9 |   method: squish\n  |           ^^^^^^\n  = help: did you mean squash?"), "{all}");
        assert_eq!(explain(".greenlight.yml", "merge: { when: green }"), None);
    }

    #[test]
    fn a_circle_is_told_where_it_is_closed() {
        let run = "run: { workflow: deploy }";
        let text = format!(
            "environments:
  first: {{ after: [loop], {run} }}
  staging: {{ {run} }}
  loop:
    {run}
    after: [staging, loop]
"
        );
        let told = |text: &str| {
            let findings = check(text).unwrap_err();
            let told = findings.iter().map(|finding| (finding.span.line, finding.span.column, finding.message.clone()));
            told.collect::<Vec<_>>()
        };
        assert_eq!(told(&text), [(6, 12, "loop waits for itself through after".to_owned())]);
        let text = format!(
            "environments:
  a: {{ {run}, after: b }}
  b: {{ {run}, after: [c] }}
  c: {{ {run}, after: b }}
"
        );
        assert_eq!(told(&text).len(), 1);
        assert!(told(&text)[0].2.starts_with(['b', 'c']), "a is not in the circle: {:?}", told(&text));
    }

    #[test]
    fn what_must_be_green_is_named_not_counted() {
        for text in ["merge: { require: 5 }", "merge: { require: [greenlight, 5] }", "merge: { require: true }"] {
            let said = fails(text);
            assert!(said.contains(".greenlight.yml:1: merge.require is a list of the names of contexts"), "{said}");
        }
        let config = decode(".greenlight.yml", "merge: { require: ['5', lint] }").unwrap();
        assert_eq!(config.merge.unwrap().require, [Context::from("5"), Context::from("lint")]);
    }

    #[test]
    fn a_key_of_a_later_release_is_not_called_unknown() {
        let text = fails("environments:\n  a:\n    run: { workflow: deploy }\n    reviewers: { count: 1 }\n");
        assert!(text.contains("reviewers in environment a is not supported yet"), "{text}");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (text, said) in [
            ("merge: { when: always }", "merge.when is one of green, approved, command"),
            ("environments: { a: { after: [b], run: { shell: x } } }", "there is no such environment"),
            (
                "environments: { a: { after: [b], run: { shell: x } }, b: { after: [a], run: { shell: x } } }",
                "waits for itself",
            ),
            ("environments: { a: { run: { shell: ../x } } }", "inside the repository"),
            ("environments: { '': { run: { shell: x } } }", "1 to 255 characters"),
            ("environments: { a: { on: merge } }", "does not say what carries it out"),
            ("environments: { a: { run: { shell: x, workflow: y } } }", "two providers"),
            ("notify: [{ on: failure }]", "names no room"),
            ("[1, 2]", "the file is a mapping"),
            ("a: &a [*a]", ".greenlight.yml:1"),
        ] {
            let error = fails(text);
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!(decode("x", ""), Ok(Config::default()));
    }
}
