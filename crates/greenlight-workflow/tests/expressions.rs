//! GitHub's own expression cases: every value, and the text of every error.

use std::fmt::Write as _;
use std::path::PathBuf;

use greenlight_workflow::{Context, Contexts, Scope, Value, parse_expression};

/// The cases that the suite had when it was copied; fewer means that files are missing.
const CASES: usize = 650;

#[test]
fn all_cases_agree() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance/expressions/testdata");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    files.sort();
    let mut cases = 0;
    let mut report = String::new();
    for file in files {
        let groups: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for (group, list) in groups.as_object().unwrap() {
            for case in list.as_array().unwrap() {
                cases += 1;
                if let Err(difference) = check(case) {
                    let name = file.file_name().unwrap().to_string_lossy();
                    writeln!(report, "{name} {group}: {} {difference}", case["expr"]).unwrap();
                }
            }
        }
    }
    assert_eq!(cases, CASES);
    assert!(report.is_empty(), "{report}");
}

fn check(case: &serde_json::Value) -> Result<(), String> {
    let contexts =
        case.get("contexts").map_or(Value::Null, |contexts| Value::from_json(&contexts.to_string()).unwrap());
    let values = Contexts::of(&contexts);
    let outcome = evaluate(case["expr"].as_str().unwrap(), &Scope::of(values.names()), &values);
    match (case.get("err"), outcome) {
        (None, Ok(value)) => same(&case["result"], &value),
        (Some(expected), Err((kind, message))) => {
            let expected_text = expected["value"].as_str().unwrap();
            let agrees = expected["kind"] == kind && message.starts_with(expected_text);
            if agrees { Ok(()) } else { Err(format!("gives {kind} error: {message}")) }
        }
        (_, outcome) => Err(format!("gives {outcome:?}")),
    }
}

fn evaluate(text: &str, scope: &Scope, context: &dyn Context) -> Result<Value, (&'static str, String)> {
    parse_expression(text, scope)
        .and_then(|expression| expression.evaluate(context))
        .map_err(|error| (error.kind.as_str(), error.message))
}

fn same(expected: &serde_json::Value, value: &Value) -> Result<(), String> {
    let kind = value.kind_name();
    let expected_value = Value::from_json(&expected["value"].to_string()).unwrap();
    let is_kind = expected["kind"] == kind || (kind == "Object" && expected["kind"] == "Dictionary");
    if is_kind && expected_value == *value { Ok(()) } else { Err(format!("gives {kind} {}", value.to_json())) }
}
