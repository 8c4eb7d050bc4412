//! What is told about a workflow file, as text to compare.

use greenlight_workflow::parse_workflow;

/// Returns errors and warnings as `line:column code: message | what to do`.
pub fn told(text: &str) -> Vec<String> {
    let findings = parse_workflow("ci.yml", text).findings;
    let help = |help: Option<&str>| help.map(|help| format!(" | {help}")).unwrap_or_default();
    findings
        .iter()
        .map(|found| {
            let span = found.span;
            let help = help(found.help.as_deref());
            format!("{}:{} {}: {}{help}", span.line, span.column, found.code, found.message)
        })
        .collect()
}

/// Fails unless just this is told of the text.
#[track_caller]
pub fn check(text: &str, expected: &[&str]) {
    assert_eq!(told(text), expected, "{text}");
}

/// A workflow with one job that has these lines besides what every job needs.
pub fn job(lines: &str) -> String {
    format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{{run: x}}]\n{lines}")
}
