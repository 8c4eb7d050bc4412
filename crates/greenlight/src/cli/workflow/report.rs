//! Findings as people and programs want them: text with a caret, JSON, SARIF, annotations of GitHub.

use std::collections::BTreeMap;

use clap::ValueEnum;
use greenlight_workflow::{Finding, Severity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

/// Where SARIF's schema is.
const SARIF_SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// What stands in an address as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_').remove(b'~');

/// A file with what is wrong in it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// What it is called.
    pub path: String,
    /// What is in it.
    pub text: String,
    /// What is wrong, in the order of the file.
    pub findings: Vec<Finding>,
}

/// How findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A sentence, the line, a caret.
    Text,
    /// One object: files with their findings.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands that become annotations on GitHub.
    Github,
}

/// Prints findings to standard output.
pub fn print(files: &[Checked], format: Format) {
    match format {
        Format::Text => print!("{}", text(files)),
        Format::Json => println!("{}", json(files)),
        Format::Sarif => println!("{}", sarif(files)),
        Format::Github => print!("{}", github(files)),
    }
}

/// Returns findings for a terminal, with a line that counts them.
pub fn text(files: &[Checked]) -> String {
    let mut out = String::new();
    for (file, finding) in each(files) {
        out.push_str(&finding.render(&file.path, &file.text));
        out.push('\n');
    }
    let count = |severity| each(files).filter(|(_, finding)| finding.severity == severity).count();
    let several = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let (errors, warnings) = (several(count(Severity::Error), "error"), several(count(Severity::Warning), "warning"));
    out.push_str(&format!("{errors}, {warnings} in {}\n", several(files.len(), "file")));
    out
}

fn each(files: &[Checked]) -> impl Iterator<Item = (&Checked, &Finding)> {
    files.iter().flat_map(|file| file.findings.iter().map(move |finding| (file, finding)))
}

fn json(files: &[Checked]) -> Json {
    let files: Vec<Json> =
        files.iter().map(|file| json!({"path": file.path, "errors": findings_json(&file.findings)})).collect();
    json!({ "files": files })
}

/// Returns findings as JSON, errors and warnings. `line` and `column` are where GitHub says they are, at the start of the
/// value; `at` is the part of it that is meant.
pub fn findings_json(findings: &[Finding]) -> Json {
    let one = |finding: &Finding| {
        let (value, at) = (finding.value_span(), finding.span);
        json!({
            "code": finding.code,
            "message": finding.message,
            "line": value.line,
            "column": value.column,
            "end_line": value.end_line,
            "end_column": value.end_column,
            "at": {"line": at.line, "column": at.column, "end_line": at.end_line, "end_column": at.end_column},
            "severity": finding.severity.as_str(),
            "help": finding.help,
        })
    };
    findings.iter().map(one).collect()
}

fn sarif(files: &[Checked]) -> Json {
    let mut rules: BTreeMap<&str, usize> = each(files).map(|(_, finding)| (finding.code, 0)).collect();
    rules.values_mut().enumerate().for_each(|(at, index)| *index = at);
    let described: Vec<Json> =
        rules.keys().map(|code| json!({"id": code, "shortDescription": {"text": code.replace('-', " ")}})).collect();
    let results: Vec<Json> =
        each(files).map(|(file, finding)| sarif_result(file, finding, rules[finding.code])).collect();
    let driver = json!({"name": "Greenlight", "version": env!("CARGO_PKG_VERSION"), "rules": described});
    json!({
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}],
    })
}

fn sarif_result(file: &Checked, finding: &Finding, rule: usize) -> Json {
    let address = utf8_percent_encode(&file.path, KEPT).to_string();
    let mut place = json!({"artifactLocation": {"uri": address}});
    let span = finding.span;
    if span.line > 0 {
        let end_column =
            if (span.end_line, span.end_column) > (span.line, span.column) { span.end_column } else { span.column };
        place["region"] = json!({
            "startLine": span.line,
            "startColumn": span.column.max(1),
            "endLine": span.end_line.max(span.line),
            "endColumn": end_column.max(1),
        });
    }
    let text = match &finding.help {
        Some(help) => format!("{}. {help}", finding.message.trim_end_matches('.')),
        None => finding.message.clone(),
    };
    json!({
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity.as_str(),
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    })
}

/// Returns findings as workflow commands.
fn github(files: &[Checked]) -> String {
    let mut out = String::new();
    for (file, finding) in each(files) {
        let span = finding.span;
        let mut properties = format!("file={}", property(&file.path));
        if span.line > 0 {
            properties.push_str(&format!(",line={},endLine={}", span.line, span.end_line.max(span.line)));
            if span.end_line <= span.line {
                properties.push_str(&format!(",col={},endColumn={}", span.column, span.end_column.max(span.column)));
            }
        }
        let help = finding.help.as_ref().map_or(String::new(), |help| format!("\n{help}"));
        let message = data(&format!("{}{help}", finding.message));
        out.push_str(&format!("::{} {properties},title={}::{message}\n", finding.severity.as_str(), finding.code));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
