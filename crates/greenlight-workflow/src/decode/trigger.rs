//! `on:`.

use super::{cron, template, text, texts};
use crate::cron::{is_zone, zones};
use crate::finding::{Finding, Span, nearest};
use crate::glob::Patterns;
use crate::schema::EVENTS;
use crate::template::{Template, Tree, TreeKind};
use crate::trigger::{EventTrigger, Filter, Input, InputKind, Schedule, SecretInput, Triggers};
use crate::value::Value;

/// For how many schedules the zone that was meant is looked for.
const ZONES_COMPARED_MAX: usize = 20;

pub(super) fn triggers(tree: &Tree, findings: &mut Vec<Finding>) -> Triggers {
    let events = match &tree.kind {
        TreeKind::Mapping(entries) => entries.iter().map(|(key, value)| event(key, value, findings)).collect(),
        _ => std::iter::once(tree)
            .chain(tree.items())
            .filter_map(Tree::as_template)
            .filter(|name| is_known(name, findings))
            .map(|name| EventTrigger { name: name.source().into(), span: name.span(), ..EventTrigger::default() })
            .collect(),
    };
    Triggers { events }
}

fn is_known(name: &Template, findings: &mut Vec<Finding>) -> bool {
    let known: Vec<&str> = EVENTS.iter().map(|event| event.name).collect();
    if name.is_expression() || known.contains(&name.source()) {
        return !name.is_expression();
    }
    let help = nearest(name.source(), &known).map(|meant| format!("did you mean '{meant}'?"));
    let finding = Finding::error("unknown-event", name.span(), format!("Unexpected value '{}'", name.source()));
    findings.push(finding.with_help_of(help));
    false
}

fn event(key: &Template, tree: &Tree, findings: &mut Vec<Finding>) -> EventTrigger {
    let name = key.source();
    if name == "workflow_dispatch" {
        warn_of_ignored_keys(tree, findings);
    }
    let patterns = |key: &str| Patterns::new(texts(tree.get(key)));
    EventTrigger {
        name: name.into(),
        types: tree.get("types").map(|types| texts(Some(types))),
        branches: filter(tree, "branches", findings),
        tags: filter(tree, "tags", findings),
        paths: filter(tree, "paths", findings),
        workflows: patterns("workflows"),
        names: patterns("names"),
        versions: patterns("versions"),
        schedules: if name == "schedule" { schedules(tree, findings) } else { Vec::new() },
        inputs: inputs(tree.get("inputs"), findings),
        secrets: secrets(tree.get("secrets")),
        outputs: outputs(tree.get("outputs")),
        span: key.span(),
    }
}

/// GitHub reads nothing but the inputs here and says nothing about the rest.
fn warn_of_ignored_keys(tree: &Tree, findings: &mut Vec<Finding>) {
    for (key, _) in tree.entries().iter().filter(|(key, _)| key.source() != "inputs") {
        let message = format!("'{}' means nothing under workflow_dispatch and is ignored", key.source());
        findings.push(Finding::warning("ignored-key", key.span(), message).with_help("known here: inputs"));
    }
}

fn filter(tree: &Tree, key: &str, findings: &mut Vec<Finding>) -> Filter {
    let ignore_key = format!("{key}-ignore");
    match (tree.get(key), tree.get(&ignore_key)) {
        (Some(_), Some(ignored)) => {
            let message = format!("you may only define one of `{key}` and `{ignore_key}` for a single event");
            findings.push(
                Finding::error("filter-conflict", ignored.span, message)
                    .with_help(format!("use '{key}' alone, with patterns that start with '!'")),
            );
            Filter::Any
        }
        (Some(only), None) => Filter::Only(Patterns::new(texts(Some(only)))),
        (None, Some(ignored)) => Filter::Ignore(Patterns::new(texts(Some(ignored)))),
        (None, None) => Filter::Any,
    }
}

fn schedules(tree: &Tree, findings: &mut Vec<Finding>) -> Vec<Schedule> {
    let mut schedules = Vec::new();
    for item in tree.items() {
        let Some(line) = item.get("cron").and_then(Tree::as_template) else { continue };
        if let Some(help) = cron::problem(line.source()) {
            let message = "Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)";
            findings.push(Finding::error("cron", line.span(), message).with_help(help));
        } else if cron::never_comes(line.source()) {
            let message = format!("The day of '{}' never comes: its months are shorter", line.source());
            findings.push(Finding::warning("cron-never", line.span(), message).with_help("name a day that they have"));
        }
        if let Some(zone) = item.get("timezone").and_then(Tree::as_template) {
            findings.extend(unknown_zone(zone, schedules.len()));
        }
        schedules.push(Schedule { cron: line.source().into(), timezone: text(item, "timezone") });
    }
    schedules
}

/// Returns a warning where nobody knows the time zone; `at` is which schedule has it.
fn unknown_zone(zone: &Template, at: usize) -> Option<Finding> {
    let name = zone.as_str().filter(|name| !is_zone(name))?;
    let help = match at {
        0..ZONES_COMPARED_MAX => {
            let zones = zones();
            nearest(name, &zones.iter().map(String::as_str).collect::<Vec<_>>()).map(str::to_owned)
        }
        _ => None,
    };
    let help = help.map_or_else(
        || "write a name of the IANA time zone database, as 'Europe/Berlin'".to_owned(),
        |meant| format!("did you mean '{meant}'?"),
    );
    let finding = Finding::warning("timezone-unknown", zone.span(), format!("There is no time zone '{name}'"));
    Some(finding.with_help(help))
}

fn inputs(tree: Option<&Tree>, findings: &mut Vec<Finding>) -> Vec<Input> {
    tree.map(Tree::entries).unwrap_or_default().iter().map(|(name, tree)| input(name, tree, findings)).collect()
}

fn input(name: &Template, tree: &Tree, findings: &mut Vec<Finding>) -> Input {
    let kind = match text(tree, "type").as_deref() {
        Some("boolean") => InputKind::Boolean,
        Some("number") => InputKind::Number,
        Some("choice") => InputKind::Choice,
        Some("environment") => InputKind::Environment,
        _ => InputKind::String,
    };
    let input = Input {
        name: name.source().into(),
        description: text(tree, "description"),
        required: template(tree, "required").and_then(|value| value.as_literal()?.as_bool()).unwrap_or_default(),
        default: template(tree, "default").filter(|value| value.as_literal() != Some(&Value::Null)),
        kind,
        options: tree.get("options").map(|options| texts(Some(options))).unwrap_or_default(),
        deprecation_message: text(tree, "deprecationMessage"),
    };
    check_input(&input, tree.span, findings);
    input
}

fn check_input(input: &Input, span: Span, findings: &mut Vec<Finding>) {
    let is_choice = input.kind == InputKind::Choice;
    if is_choice && input.options.is_empty() {
        findings.push(Finding::error("input-options", span, "Missing 'options' for choice input"));
    }
    if !is_choice && !input.options.is_empty() {
        let message = "Input type is not 'choice', but 'options' is defined";
        findings.push(Finding::error("input-options", span, message));
    }
    if let Some(default) = input.default.as_ref().filter(|default| is_choice && !is_option(input, default)) {
        let message = format!("The default '{}' of input '{}' is none of its options", default.source(), input.name);
        findings.push(Finding::warning("input-default", default.span(), message));
    }
    let Some((default, value)) = input.default.as_ref().and_then(|default| Some((default, default.as_literal()?)))
    else {
        return;
    };
    let fits = match input.kind {
        InputKind::Boolean => matches!(value, Value::Bool(_)) || matches!(value.as_str(), Some("true" | "false")),
        InputKind::Number => !value.coerce_number().is_nan() && !matches!(value, Value::Bool(_)),
        InputKind::Choice | InputKind::String | InputKind::Environment => true,
    };
    if !fits {
        let message =
            format!("The default '{}' of input '{}' does not fit its type", value.coerce_string(), input.name);
        // GitHub takes such a default of a number, and compares with it as with any text.
        let is_number = input.kind == InputKind::Number;
        let finding = if is_number { Finding::warning } else { Finding::error };
        findings.push(finding("input-default", default.span(), message));
    }
}

fn is_option(input: &Input, default: &Template) -> bool {
    default.is_expression() || input.options.is_empty() || input.options.iter().any(|option| option == default.source())
}

fn secrets(tree: Option<&Tree>) -> Vec<SecretInput> {
    let required = |tree: &Tree| template(tree, "required").and_then(|value| value.as_literal()?.as_bool());
    let entries = tree.map(Tree::entries).unwrap_or_default();
    entries
        .iter()
        .map(|(name, tree)| SecretInput {
            name: name.source().into(),
            description: text(tree, "description"),
            required: required(tree).unwrap_or_default(),
        })
        .collect()
}

fn outputs(tree: Option<&Tree>) -> Vec<(String, Template)> {
    let entries = tree.map(Tree::entries).unwrap_or_default();
    entries.iter().filter_map(|(name, tree)| Some((name.source().to_owned(), template(tree, "value")?))).collect()
}
