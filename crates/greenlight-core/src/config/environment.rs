//! `environments:`, and which of them wait for which.

use greenlight_workflow::yaml::Node;
use greenlight_workflow::{Finding, nearest};

use super::key::{ENVIRONMENT, RUN, entries, text, texts, word};
use super::{ENVIRONMENTS_MAX, EnvironmentRule, Provider};
use crate::id::EnvironmentName;

/// Longest name of an environment, as on GitHub.
const NAME_MAX: usize = 255;

pub(super) fn read_environments(node: &Node, findings: &mut Vec<Finding>) -> Vec<EnvironmentRule> {
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
