//! Files that other projects wrote, to be accepted or refused as GitHub does. What GitHub's own parser says of each is kept
//! beside them (`verdicts.json`, made by `testdata/generate/verdicts.mjs`): where it finds errors, ours must be on the same
//! lines; where it finds none, there may be none.
//!
//! Where that parser does what GitHub's server does not, `verdicts/corrections.txt` says so with the reason. Cases that are
//! not met are listed in `verdicts/unmet.txt`: at most one in fifty of a suite, and one of them that passes fails this test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use greenlight_workflow::{
    CallRef, CallRules, CallSource, CalledFile, Finding, Parsed, parse_action, parse_workflow, resolve_calls, yaml,
};
use serde_json::Value as Json;

/// One case in so many may be listed as unmet.
const UNMET_SHARE: usize = 50;

#[test]
fn actionlint_cases_are_judged_as_github_does() {
    check_suite("actionlint", 333);
}

#[test]
fn schemastore_cases_are_judged_as_github_does() {
    check_suite("schemastore", 59);
}

/// A file that is right but for one error of syntax has no other.
#[test]
fn an_error_of_syntax_brings_no_other() {
    let mut checked = 0;
    for suite in ["actionlint", "schemastore"] {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance").join(suite);
        let verdicts: BTreeMap<String, Vec<Json>> =
            serde_json::from_str(&std::fs::read_to_string(root.join("verdicts.json")).unwrap()).unwrap();
        for name in verdicts.keys().filter(|name| !is_action(name)) {
            let text = std::fs::read_to_string(root.join(name)).unwrap();
            let is_read = yaml::parse(&text).is_ok() && !text.starts_with("---") && !text.starts_with('%');
            if !is_read {
                continue;
            }
            let found = parse_workflow(name, &format!("broken: a: b\n{text}")).findings;
            let lines: Vec<u32> =
                found.iter().filter(|found| found.code == "yaml-syntax").map(|found| found.span.line).collect();
            assert_eq!(lines, [1], "{name}");
            checked += 1;
        }
    }
    assert!(checked > 200, "only {checked} files were checked");
}

fn check_suite(suite: &str, cases: usize) {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance").join(suite);
    let verdicts: BTreeMap<String, Vec<Json>> =
        serde_json::from_str(&std::fs::read_to_string(root.join("verdicts.json")).unwrap()).unwrap();
    assert_eq!(verdicts.len(), cases, "cases are missing");
    let corrections = listed(include_str!("verdicts/corrections.txt"), suite);
    let unmet = listed(include_str!("verdicts/unmet.txt"), suite);
    let mut report = String::new();
    for (name, errors) in &verdicts {
        let of_parser = Verdict::of_parser(errors);
        let expected = match corrections.get(name) {
            Some(correction) => Verdict::corrected(correction),
            None => of_parser.clone(),
        };
        if corrections.contains_key(name) && expected == of_parser {
            writeln!(report, "{name}: the correction says what the parser says").unwrap();
        }
        let found = judge(&root, name);
        match (expected.is_met_by(&found), unmet.contains_key(name)) {
            (true, true) => writeln!(report, "{name}: passes, but is listed as unmet").unwrap(),
            (false, false) => writeln!(report, "{name}: expected {expected:?}, found {found:?}\n  {errors:?}").unwrap(),
            _ => {}
        }
    }
    for name in corrections.keys().chain(unmet.keys()).filter(|name| !verdicts.contains_key(*name)) {
        writeln!(report, "{name}: is listed, but there is no such case").unwrap();
    }
    assert!(unmet.len() * UNMET_SHARE <= cases, "too many cases of {suite} are listed as unmet");
    assert!(report.is_empty(), "{report}");
}

/// What is said of a file: the lines with errors, 0 for an error without a line of its own; none where it is accepted.
#[derive(Clone, Debug, PartialEq)]
struct Verdict {
    lines: BTreeSet<u64>,
}

impl Verdict {
    fn of_parser(errors: &[Json]) -> Verdict {
        Verdict { lines: errors.iter().map(|error| error["line"].as_u64().unwrap()).collect() }
    }

    /// Reads `accept` or `reject 3 7`.
    fn corrected(text: &str) -> Verdict {
        let mut words = text.split_whitespace();
        let accepted = match words.next() {
            Some("accept") => true,
            Some("reject") => false,
            other => panic!("a correction starts with accept or reject, not {other:?}"),
        };
        let lines: BTreeSet<u64> = words.map(|word| word.parse().expect("a line")).collect();
        assert_eq!(accepted, lines.is_empty(), "what is rejected is so on some line: {text}");
        Verdict { lines }
    }

    fn is_met_by(&self, found: &Verdict) -> bool {
        self.lines.is_empty() == found.lines.is_empty()
            && self.lines.iter().all(|line| *line == 0 || found.lines.contains(line))
    }
}

/// Returns what we say of a file.
fn judge(root: &Path, name: &str) -> Verdict {
    let text = std::fs::read_to_string(root.join(name)).unwrap();
    if is_action(name) {
        return verdict(&parse_action(name, &text).findings);
    }
    let Parsed { workflow, findings, .. } = parse_workflow(name, &text);
    let mut verdict = verdict(&findings);
    let project = name.starts_with("projects/").then(|| name.splitn(3, '/').take(2).collect::<PathBuf>());
    if let (Some(workflow), Some(project)) = (workflow, project) {
        let calls = resolve_calls(&workflow, &CallRules::default(), &|_, reference| {
            let CallRef::Local(path) = reference else { return CallSource::Missing };
            let file = project.join(path);
            let text = std::fs::read_to_string(root.join(&file)).ok();
            text.map(|text| CalledFile { path: file.to_string_lossy().into_owned(), text }).into()
        });
        for found in calls.findings.iter().filter(|found| found.finding.is_error()) {
            verdict.lines.insert(if found.path == name { found.finding.value_span().line.into() } else { 0 });
        }
    }
    verdict
}

fn is_action(name: &str) -> bool {
    name.ends_with("/action.yml") || name.ends_with("/action.yaml") || name.contains("github-action/")
}

fn verdict(findings: &[Finding]) -> Verdict {
    Verdict {
        lines: findings.iter().filter(|found| found.is_error()).map(|found| found.value_span().line.into()).collect(),
    }
}

/// Returns the lines of a list that are about a suite, `suite/name: text`, by name.
fn listed(list: &str, suite: &str) -> BTreeMap<String, String> {
    let lines = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .filter_map(|line| line.strip_prefix(suite)?.strip_prefix('/'))
        .map(|line| {
            let (name, text) = line.split_once(": ").expect("a listed case has a text");
            // What follows a dash is the reason.
            let text = text.split_once(" - ").expect("a listed case has a reason").0;
            (name.to_owned(), text.to_owned())
        })
        .collect()
}
