//! `on:`.

use super::{template, text, texts};
use crate::finding::{Finding, Span, nearest};
use crate::glob::Patterns;
use crate::schema::EVENTS;
use crate::template::{Template, Tree, TreeKind};
use crate::trigger::{EventTrigger, Filter, Input, InputKind, Schedule, SecretInput, Triggers};
use crate::value::Value;

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
        let Some(cron) = item.get("cron").and_then(Tree::as_template) else { continue };
        if !is_cron(cron.source()) {
            let message = "Invalid cron expression. Expected format: '* * * * *' (minute hour day month weekday)";
            findings.push(Finding::error("cron", cron.span(), message));
        }
        schedules.push(Schedule { cron: cron.source().into(), timezone: text(item, "timezone") });
    }
    schedules
}

/// Says whether the text is a cron line of five fields.
fn is_cron(text: &str) -> bool {
    const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
    let ranges: [(u32, u32, &[&str]); 5] = [(0, 59, &[]), (0, 23, &[]), (1, 31, &[]), (1, 12, &MONTHS), (0, 6, &DAYS)];
    fields.len() == ranges.len()
        && fields.iter().zip(ranges).all(|(field, range)| field.split(',').all(|part| is_cron_part(part, range)))
}

fn is_cron_part(part: &str, (min, max, names): (u32, u32, &[&str])) -> bool {
    let number = |text: &str| {
        let name = names.iter().position(|name| name.eq_ignore_ascii_case(text)).map(|at| at as u32 + min);
        name.or_else(|| text.parse().ok()).filter(|number| (min..=max).contains(number))
    };
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let step_is_right = step.is_none_or(|step| step.parse::<u32>().is_ok_and(|step| step > 0 && step <= max.max(1)));
    let range_is_right = match range.split_once('-') {
        Some((from, to)) => number(from).zip(number(to)).is_some_and(|(from, to)| from <= to),
        None => range == "*" || number(range).is_some(),
    };
    step_is_right && range_is_right
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
