//! What must hold for every input of the language's readers. Each function takes an input, asks everything of it that can be
//! asked, panics where something does not hold, and returns a number that tells one kind of outcome from another.
//!
//! The targets of cargo-fuzz and the seeded mutations of `mutate` both call these.

use std::hash::{DefaultHasher, Hash, Hasher};

use greenlight_workflow::glob::{Pattern, Patterns};
use greenlight_workflow::yaml::{self, Node, NodeKind};
use greenlight_workflow::{
    ActionRuns, Context, Contexts, EventFacts, Finding, Scope, Span, StatusCheck, Value, expand_job, lint_action,
    lint_workflow, parse_action, parse_expression, parse_workflow,
};

/// One of the readers.
pub struct Target {
    /// Its name, also that of its folder in the corpus.
    pub name: &'static str,
    /// What must hold for an input.
    pub run: fn(&[u8]) -> u64,
    /// Pieces that inputs of this kind are made of.
    words: &'static [&'static [&'static str]],
}

impl Target {
    /// Returns how many pieces there are.
    pub fn word_count(&self) -> usize {
        self.words.iter().map(|words| words.len()).sum()
    }

    /// Returns one of the pieces.
    pub fn word(&self, at: usize) -> &'static str {
        self.words.iter().copied().flatten().nth(at).expect("there are as many pieces as are counted")
    }
}

/// All the readers.
pub const TARGETS: [Target; 5] = [
    Target { name: "yaml", run: yaml, words: &[YAML_WORDS] },
    Target { name: "workflow", run: workflow, words: &[WORKFLOW_WORDS, FILE_WORDS] },
    Target { name: "manifest", run: manifest, words: &[MANIFEST_WORDS, FILE_WORDS] },
    Target { name: "expression", run: expression, words: &[EXPRESSION_WORDS] },
    Target { name: "glob", run: glob, words: &[GLOB_WORDS] },
];

/// Reads YAML: a tree whose parts lie inside the text and within the bounds, or findings; what is written plainly is read as
/// the scanner of all of YAML reads it.
pub fn yaml(data: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let lines = line_count(text);
    let read = yaml::parse(text);
    assert_eq!(format!("{read:?}"), format!("{:?}", yaml::parse_by_tokens(text)), "both ways lead to the same");
    match read {
        Ok(node) => {
            let mut shape = DefaultHasher::new();
            check_node(&node, lines, 0, &mut shape);
            shape.finish() % 4096
        }
        Err(findings) => {
            assert!(!findings.is_empty(), "what is refused is refused for something");
            check_findings(&findings, text);
            signature(&findings)
        }
    }
}

/// Reads a workflow: one that is right, or errors; what is right can be planned.
pub fn workflow(data: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let parsed = parse_workflow(".github/workflows/x.yml", text);
    check_findings(&parsed.findings, text);
    let has_error = parsed.findings.iter().any(Finding::is_error);
    assert_eq!(parsed.workflow.is_some(), !has_error, "there is a workflow if and only if there is no error");
    let Some(workflow) = parsed.workflow else { return signature(&parsed.findings) };
    check_findings(&lint_workflow(&workflow), text);
    let changed = ["src/main.rs".to_owned()];
    let facts =
        EventFacts { name: "push", git_ref: "refs/heads/main", changed_paths: Some(&changed), ..EventFacts::default() };
    let _ = workflow.triggered_by(&facts);
    let context = contexts();
    for job in &workflow.jobs {
        assert!(job.needs.iter().all(|need| workflow.job(need).is_some()), "what is needed exists");
        let _ = job.condition.evaluate(&context);
        let _ = job.runs_on.evaluate(&context);
        let _ = job.defaults.evaluate(&context);
        let _ = job.container.as_ref().map(|container| container.evaluate(&context));
        let _ = job.services.as_ref().map(|services| services.evaluate(&context));
        let _ = job.concurrency.as_ref().map(|concurrency| concurrency.evaluate(&context));
        let _ = job.environment.as_ref().map(|environment| environment.evaluate_url(&context));
        let _ = expand_job(job, &context);
        let mut ids: Vec<&str> = job.steps().iter().map(|step| &*step.id).collect();
        ids.sort_unstable();
        assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "every step has an id of its own");
        for step in job.steps() {
            let _ = step.condition.evaluate(&context);
            step.display_name(&context);
        }
    }
    1 + workflow.jobs.len() as u64 * 100 + signature(&parsed.findings) % 97
}

/// Reads a manifest: one that is right, or errors.
pub fn manifest(data: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let parsed = parse_action("action.yml", text);
    check_findings(&parsed.findings, text);
    let has_error = parsed.findings.iter().any(Finding::is_error);
    assert_eq!(parsed.manifest.is_some(), !has_error, "there is a manifest if and only if there is no error");
    let Some(manifest) = parsed.manifest else { return signature(&parsed.findings) };
    check_findings(&lint_action(&manifest), text);
    let context = contexts();
    for input in &manifest.inputs {
        let _ = input.default.as_ref().map(|default| default.evaluate_string(&context));
    }
    let kind = match &manifest.runs {
        ActionRuns::Node { pre_if, post_if, .. } | ActionRuns::Docker { pre_if, post_if, .. } => {
            let _ = (pre_if.evaluate(&context), post_if.evaluate(&context));
            1
        }
        ActionRuns::Composite { steps } => {
            steps.iter().for_each(|step| drop(step.condition.evaluate(&context)));
            2 + steps.len() as u64
        }
        ActionRuns::Plugin { .. } => 0,
    };
    1 + kind * 100 + manifest.inputs.len() as u64
}

/// Parses and evaluates an expression; a value survives its way through JSON.
pub fn expression(data: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let parsed = match parse_expression(text, &Scope::everything()) {
        Ok(parsed) => parsed,
        Err(error) => {
            return hashed(&error.message.chars().filter(char::is_ascii_alphabetic).take(24).collect::<String>());
        }
    };
    assert_eq!(parsed.text(), text);
    let _ = (parsed.checks_status(), parsed.references());
    match parsed.evaluate(&contexts()) {
        Err(error) => hashed(&error.message.chars().filter(char::is_ascii_alphabetic).take(16).collect::<String>()),
        Ok(value) => {
            let again = parsed.evaluate(&contexts()).expect("what could be evaluated can be evaluated again");
            assert_eq!(value.to_json(), again.to_json(), "the same contexts give the same value");
            let json = Value::from_json(&value.to_json()).expect("what is written as JSON is JSON");
            assert_eq!(json.to_json(), value.to_json());
            hashed(&value.to_json().chars().take(12).collect::<String>())
        }
    }
}

/// Matches patterns, the input's first line, with names, its other lines.
pub fn glob(data: &[u8]) -> u64 {
    let Ok(text) = std::str::from_utf8(data) else { return 0 };
    let mut lines = text.split('\n');
    let patterns: Vec<String> = lines.next().unwrap_or_default().split(' ').map(str::to_owned).collect();
    let names: Vec<&str> = lines.collect();
    let mut outcome = DefaultHasher::new();
    for text in &patterns {
        let pattern = Pattern::new(text);
        assert_eq!(pattern.text(), text);
        let is_literal = !text.contains(['*', '?', '+', '[', ']', '!', '\\', '/']);
        for name in names.iter().chain([&text.as_str()]) {
            let matches = pattern.matches(name);
            assert!(
                !is_literal || matches == (name == text),
                "a pattern without signs matches itself: {text:?} {name:?}"
            );
            matches.hash(&mut outcome);
        }
    }
    let all = Patterns::new(patterns);
    names.iter().for_each(|name| all.matches(name).hash(&mut outcome));
    outcome.finish() % 4096
}

/// Checks that a node lies within the text and the bounds.
fn check_node(node: &Node, lines: u32, depth: usize, shape: &mut DefaultHasher) {
    assert!(depth <= yaml::DEPTH_MAX, "nodes nest within the bound");
    check_span(node.span, lines);
    match &node.kind {
        NodeKind::Scalar { style, value, .. } => {
            (*style as u8).hash(shape);
            std::mem::discriminant(value).hash(shape);
        }
        NodeKind::Sequence(items) => {
            (10 + items.len().min(3)).hash(shape);
            items.iter().for_each(|item| check_node(item, lines, depth + 1, shape));
        }
        NodeKind::Mapping(entries) => {
            (20 + entries.len().min(3)).hash(shape);
            for (key, value) in entries {
                assert!(key.as_str().is_some(), "a key is a scalar");
                check_node(key, lines, depth + 1, shape);
                check_node(value, lines, depth + 1, shape);
            }
        }
    }
}

fn check_span(span: Span, lines: u32) {
    assert!(span.line >= 1 && span.column >= 1, "lines and columns count from 1: {span:?}");
    assert!(span.line <= lines + 1, "a place lies in the text: {span:?} of {lines} lines");
}

/// Checks that findings are in order, lie in the text and can be shown.
fn check_findings(findings: &[Finding], text: &str) {
    let lines = line_count(text);
    for finding in findings {
        check_span(finding.span, lines);
        assert!(!finding.message.is_empty() && !finding.code.is_empty());
        assert!(finding.render("x.yml", text).contains(finding.code));
    }
}

/// Returns how many lines a text has, whatever ends them.
fn line_count(text: &str) -> u32 {
    text.chars().filter(|letter| matches!(letter, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')).count() as u32 + 1
}

fn signature(findings: &[Finding]) -> u64 {
    let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut hasher = DefaultHasher::new();
    codes.hash(&mut hasher);
    hasher.finish()
}

fn hashed(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// Contexts with something of every kind.
struct Everything(Contexts);

impl Context for Everything {
    fn named(&self, name: &str) -> Value {
        self.0.named(name)
    }

    fn status(&self) -> StatusCheck {
        StatusCheck::FAILURE
    }

    fn hash_files(&self, patterns: &[String], _follow_symbolic_links: bool) -> Result<String, String> {
        Ok(patterns.join("+"))
    }
}

fn contexts() -> Everything {
    let github =
        r#"{"ref": "refs/heads/main", "event": {"a": [1, {"b": null}, ["x", true]], "n": -0.5}, "x": {"y": "z"}}"#;
    let github = Value::from_json(github).expect("it is JSON");
    Everything(Contexts::new().with("github", github.clone()).with("inputs", github))
}

const YAML_WORDS: &[&str] = &[
    "- ",
    ": ",
    "? ",
    "\n",
    "  ",
    "    ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "&b ",
    "*b",
    "!!int ",
    "!!str ",
    "!x ",
    "|\n",
    ">-\n",
    "|2+\n",
    "#",
    " # c\n",
    "%YAML 1.2\n",
    "---\n",
    "...\n",
    "<<: ",
    "'",
    "''",
    "\"",
    "\\\"",
    "\\u00e9",
    "\\x",
    "\t",
    "\r\n",
    "\u{feff}",
    "\u{85}",
    "\u{2028}",
    "é",
    "😀",
    "null",
    "~",
    "true",
    "0x1F",
    "1e3",
    ".inf",
    "a",
    "key",
    "@",
    "`",
    "\0",
];

/// What both kinds of files are made of.
const FILE_WORDS: &[&str] = &[
    "steps:\n",
    "- run: ",
    "- uses: ",
    "with:",
    "env:",
    "if: ",
    "image: ",
    "id: ",
    "name: ",
    "${{ ",
    " }}",
    "default: ",
    "- ",
    ": ",
    "\n",
    "  ",
    "    ",
    "      ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "'",
    "\"",
    "&a ",
    "*a",
    "|\n",
];

const WORKFLOW_WORDS: &[&str] = &[
    "on: ",
    "push",
    "pull_request",
    "jobs:\n",
    "  a:\n",
    "runs-on: ",
    "o/r@v1",
    "./x",
    "needs: ",
    "strategy:",
    "matrix:",
    "include:",
    "exclude:",
    "fail-fast: ",
    "container: ",
    "services:",
    "outputs:",
    "permissions: ",
    "read-all",
    "concurrency: ",
    "group: ",
    "queue: max",
    "environment: ",
    "url: ",
    "defaults:",
    "shell: ",
    "timeout-minutes: ",
    "continue-on-error: ",
    "background: true",
    "wait: ",
    "wait-all:",
    "cancel: ",
    "parallel:",
    "snapshot: ",
    "secrets: inherit",
    "${{ insert }}",
    "github.ref",
    "matrix.os",
    "fromJSON('[1]')",
    "success()",
    "workflow_call:",
    "inputs:",
    "type: choice",
    "options: [a]",
    "cron: '* * * * *'",
];

const MANIFEST_WORDS: &[&str] = &[
    "description: ",
    "inputs:\n",
    "outputs:\n",
    "runs:\n",
    "using: ",
    "node24",
    "node20",
    "docker",
    "composite",
    "plugin: ",
    "main: ",
    "pre: ",
    "pre-if: ",
    "post: ",
    "post-if: ",
    "Dockerfile",
    "entrypoint: ",
    "args:",
    "shell: bash",
    "required: true",
    "value: ",
    "branding:",
    "inputs.x",
    "steps.a.outputs.b",
    "hashFiles('x')",
    "always()",
];

const EXPRESSION_WORDS: &[&str] = &[
    "github",
    "inputs",
    ".",
    ".*",
    "[",
    "]",
    "[*]",
    "(",
    ")",
    "'x'",
    "''",
    "'",
    "1",
    "-1",
    "0x1F",
    "0o7",
    ".5",
    "1e309",
    "NaN",
    "Infinity",
    "==",
    "!=",
    "!",
    "&&",
    "||",
    "<",
    "<=",
    ">",
    ">=",
    ",",
    " ",
    "format(",
    "'{0} {1}'",
    "'{{'",
    "join(",
    "contains(",
    "startsWith(",
    "endsWith(",
    "fromJSON(",
    "toJSON(",
    "hashFiles(",
    "case(",
    "success()",
    "failure()",
    "always()",
    "cancelled()",
    "true",
    "false",
    "null",
    "event",
    "a",
    "x",
    "y",
    "'[1,{\"a\":2}]'",
    "é",
    "ς",
    "İ",
    "\u{0}",
    "\n",
    "\t",
];

const GLOB_WORDS: &[&str] = &[
    "*",
    "**",
    "**/",
    "/**",
    "/",
    "?",
    "+",
    "[",
    "]",
    "[a-z]",
    "[0-9]+",
    "!",
    "\\",
    "\\*",
    "a",
    "b",
    "ab",
    "v1",
    ".",
    "-",
    " ",
    "\n",
    "main",
    "releases/",
    "é",
    "😀",
    ".md",
    "src/",
];
