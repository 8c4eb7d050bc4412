//! One case: options, workflow, called workflows, expectation.

use greenlight_workflow::{
    CallRef, CallRules, CalledFile, Calls, Finding, Parsed, Permissions, parse_workflow_within, resolve_calls,
    yaml::Limits,
};
use serde_json::{Value as Json, json};

use crate::dump::Dump;

/// How long GitHub lets a message be.
const MESSAGE_LENGTH_MAX: usize = 500;

/// Scopes that are newer than the suite.
const NEWER_SCOPES: [&str; 7] = [
    "artifact-metadata",
    "attestations",
    "code-quality",
    "copilot-requests",
    "drives",
    "models",
    "vulnerability-alerts",
];

pub struct Case {
    path: String,
    options: Vec<(String, String)>,
    workflow: String,
    called: Vec<CalledFile>,
    expected: Json,
}

impl Case {
    pub fn read(name: &str, text: &str) -> Case {
        let mut documents: Vec<String> = text
            .split_inclusive('\n')
            .collect::<Vec<_>>()
            .split(|line| line.trim_end() == "---")
            .map(|lines| {
                let document = lines.concat();
                document.strip_suffix('\n').unwrap_or(&document).to_owned()
            })
            .collect();
        let expected = documents.pop().unwrap();
        let options = documents[0]
            .lines()
            .filter_map(|line| line.split('#').next().unwrap().split_once(':'))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let called = documents[2..]
            .chunks(2)
            .map(|pair| CalledFile { path: pair[0].trim().to_owned(), text: pair[1].clone() })
            .collect();
        Case {
            path: format!(".github/workflows/{name}"),
            options,
            workflow: documents[1].clone(),
            called,
            expected: serde_json::from_str(&expected).unwrap(),
        }
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn check(&self) -> Result<(), String> {
        let Parsed { workflow, findings, .. } = parse_workflow_within(&self.path, &self.workflow, &self.limits());
        let mut messages: Vec<String> = findings
            .iter()
            .filter(|finding| finding.is_error())
            .map(|finding| self.located(&self.path, finding))
            .collect();
        let mut calls = Calls::default();
        if let Some(workflow) = &workflow
            && self.option("skip-reusable-workflows") != Some("true")
        {
            calls = resolve_calls(workflow, &self.rules(), &|_, reference| self.source(reference).into());
            let errors = calls.findings.iter().filter(|found| found.finding.is_error());
            messages.extend(errors.map(|found| self.located(&found.path, &found.finding)));
        }
        if let Some(errors) = self.expected.get("errors") {
            return same_messages(errors, &messages);
        }
        let Some(workflow) = workflow.filter(|_| messages.is_empty()) else {
            return Err(format!("refused: {}", messages.join(" | ")));
        };
        let dump = Dump { with_source: self.option("include-source") == Some("true"), file: 1 };
        let mut dumped = dump.document(&workflow, &calls.called, &self.expected);
        if self.option("is-partial-rerun") == Some("true") {
            // GitHub writes the table in the order of the names then.
            dumped["file-table"].as_array_mut().unwrap().sort_by_key(Json::to_string);
        }
        if let Some(difference) = difference(&self.expected, &dumped, String::new()) {
            return Err(difference);
        }
        Ok(())
    }

    fn limits(&self) -> Limits {
        let default = Limits::default();
        let number = |name: &str| self.option(name).and_then(|value| value.parse().ok());
        Limits {
            size: number("max-file-size").unwrap_or(default.size),
            depth: number("max-depth").unwrap_or(default.depth),
            bytes: number("max-result-size").unwrap_or(default.bytes),
            ..default
        }
    }

    fn rules(&self) -> CallRules {
        let default = CallRules::default();
        let number = |name: &str| self.option(name).and_then(|value| value.parse().ok());
        CallRules {
            default_permissions: match self.option("permissions-policy") {
                Some("LimitedRead") => Permissions::limited_read(),
                _ => default.default_permissions,
            },
            depth_max: number("max-nested-reusable-workflows-depth").unwrap_or(default.depth_max),
            jobs_max: number("max-job-limit").unwrap_or(default.jobs_max),
            bytes_max: number("max-result-size").unwrap_or(default.bytes_max),
        }
    }

    fn source(&self, reference: &CallRef) -> Option<CalledFile> {
        self.called.iter().find(|file| file.path == reference.to_string()).cloned()
    }

    /// Returns a message with its place, as GitHub writes it; what concerns the whole run has no place.
    fn located(&self, path: &str, finding: &Finding) -> String {
        let message = without_newer_scopes(&finding.message);
        let span = finding.value_span();
        let text = match finding.code {
            "too-many-jobs" | "calls-too-deep" => return message,
            "called-too-large" => format!("In {path} (Line: {}, Col: {}): {message}", span.line, span.column),
            "yaml-tag" | "file-too-large" | "too-deep" | "too-large" => format!("{path}: {message}"),
            _ => format!("{path} (Line: {}, Col: {}): {message}", span.line, span.column),
        };
        if text.chars().count() <= MESSAGE_LENGTH_MAX {
            return text;
        }
        text.chars().take(MESSAGE_LENGTH_MAX).chain("[...]".chars()).collect()
    }
}

fn without_newer_scopes(message: &str) -> String {
    let mut message = message.to_owned();
    for scope in NEWER_SCOPES {
        for level in ["none", "read", "write"] {
            message = message.replace(&format!(", {scope}: {level}"), "");
        }
    }
    message
}

fn same_messages(expected: &Json, messages: &[String]) -> Result<(), String> {
    let mut expected: Vec<&str> =
        expected.as_array().unwrap().iter().map(|error| error["Message"].as_str().unwrap()).collect();
    let mut found: Vec<&str> = messages.iter().map(String::as_str).collect();
    expected.sort_unstable();
    found.sort_unstable();
    if expected == found { Ok(()) } else { Err(format!("\n  expected {expected:#?}\n  found {found:#?}")) }
}

/// Returns where two values differ. Numbers are compared as numbers.
fn difference(expected: &Json, found: &Json, path: String) -> Option<String> {
    match (expected, found) {
        (Json::Object(left), Json::Object(right)) => {
            let keys: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            keys.into_iter().find_map(|key| {
                let (left, right) = (left.get(key), right.get(key));
                let path = format!("{path}.{key}");
                match (left, right) {
                    (Some(left), Some(right)) => difference(left, right, path),
                    (left, right) => Some(format!("{path}: expected {left:?}, found {right:?}")),
                }
            })
        }
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => left
            .iter()
            .zip(right)
            .enumerate()
            .find_map(|(at, (left, right))| difference(left, right, format!("{path}[{at}]"))),
        (Json::Number(left), Json::Number(right)) if left.as_f64() == right.as_f64() => None,
        (left, right) if left == right => None,
        (left, right) => Some(format!("{path}: expected {}, found {}", shown(left), shown(right))),
    }
}

fn shown(value: &Json) -> String {
    value.to_string().chars().take(300).collect()
}

/// Returns a number as the suite writes it.
pub fn number(number: f64) -> Json {
    match number {
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        number if number.is_nan() => json!("NaN"),
        number => json!(number),
    }
}

pub fn newer_scope(scope: &str) -> bool {
    NEWER_SCOPES.contains(&scope)
}
