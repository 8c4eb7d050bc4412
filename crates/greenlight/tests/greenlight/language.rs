//! The verbs that explain the language, as a person and a script use them.

mod check;
mod plan;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

/// What a verb said.
struct Told {
    code: i32,
    out: String,
    err: String,
}

impl Told {
    fn json(&self) -> Json {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }
}

fn run(dir: &Path, arguments: &[&str], input: &str) -> Told {
    run_with_path(dir, arguments, input, "/nowhere")
}

fn run_with_path(dir: &Path, arguments: &[&str], input: &str, path: &str) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
    command.args(arguments).current_dir(dir).env("NO_COLOR", "1").env("PATH", path);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A verb that does not read its input ends without it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Told {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Returns a repository with these files.
fn repository(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(".git")).unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    dir
}

const RIGHT: &str = "name: CI\non: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: make\n";
const WRONG: &str = "on: push\njobs:\n  a:\n    runs_on: x\n    steps: [{ run: make }]\n";

#[test]
fn an_expression_is_evaluated() {
    let dir = repository(&[("c.json", r#"{"github":{"ref":"refs/tags/v1","n":[1,{"a":2}]}}"#)]);
    let expr = |arguments: &[&str]| run(dir.path(), &[&["expr"], arguments].concat(), "");
    let told = expr(&["--contexts", "c.json", "startsWith(github.ref, 'refs/tags/') && github.n[1].a"]);
    assert_eq!((told.code, told.out.as_str()), (0, "2\n"));
    assert_eq!(expr(&["${{ 'a' }}"]).out, "a\n");
    assert_eq!(expr(&["always() && !failure()"]).out, "true\n");
    assert_eq!(expr(&["--json", "-1"]).json(), json!({"kind": "Number", "value": -1}));
    let told = expr(&["--json", "github.ref"]);
    assert_eq!(told.code, 1);
    assert_eq!(told.json()["err"]["kind"], "parsing");
    let told = expr(&["1 +"]);
    assert!(told.code == 1 && told.err.contains("lexing error: Unexpected symbol: '+'"), "{}", told.err);
    assert!(expr(&["sucess()"]).err.contains("= help: did you mean 'success'?"));
    assert_eq!(run(dir.path(), &["expr", "-"], "1 == 1").out, "true\n");
    assert_eq!(expr(&[]).code, 2);
    assert_eq!(expr(&["--contexts", "none.json", "1"]).code, 4);
    assert!(expr(&["--help"]).out.contains("Example:"));
}

#[test]
fn expressions_in_a_batch_are_answered_line_by_line() {
    let dir = repository(&[]);
    let asked = concat!(
        r#"{"expr": "github.x", "contexts": {"github": {"x": {"a": null}}}}"#,
        "\n",
        r#"{"expr": "fromJSON('')"}"#,
        "\n\n",
        r#"{"expr": "a.b", "contexts": {"b": 1}}"#,
        "\n",
        r#"{"expr": "'open"}"#,
        "\n",
        r#"{"expr": "format('{0} {1}', 1.5, true)"}"#,
    );
    let told = run(dir.path(), &["expr", "--batch"], asked);
    assert_eq!(told.code, 0);
    let lines: Vec<Json> = told.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], json!({"kind": "Object", "value": {"a": null}}));
    assert_eq!(lines[1]["err"], json!({"kind": "evaluation", "value": "empty input"}));
    assert_eq!(
        lines[2]["err"],
        json!({"kind": "parsing", "value": "Unrecognized named-value: 'a'. Located at position 1 within expression: a.b"})
    );
    assert_eq!(lines[3]["err"]["kind"], "lexing");
    assert_eq!(lines[4], json!({"kind": "String", "value": "1.5 true"}));
    assert_eq!(lines.len(), 5);
    let told = run(dir.path(), &["expr", "--batch"], "{\"expr\": 1}\n{\"expr\": \"1\"}\n");
    assert_eq!(told.code, 1);
    assert!(
        told.out.starts_with(r#"{"err":{"kind":"input""#) && told.out.ends_with("{\"kind\":\"Number\",\"value\":1}\n")
    );
    let told = run(dir.path(), &["expr", "--batch"], "[1]\n");
    assert!(told.code == 1 && told.out.contains("line 1: no JSON object"), "{}", told.out);
    let long = format!("{{\"expr\": \"'{}'\"}}\n", "x".repeat(2 << 20));
    assert_eq!(run(dir.path(), &["expr", "--batch"], &long).code, 1);
}

#[test]
fn workflows_of_the_repository_are_listed() {
    let dir = repository(&[
        (".github/workflows/ci.yml", RIGHT),
        (".github/workflows/wrong.yaml", WRONG),
        (".github/workflows/readme.md", "x"),
        ("src/x", ""),
    ]);
    let told = run(&dir.path().join("src"), &["workflow", "list", "--json"], "");
    let listed = told.json();
    let workflows = listed["workflows"].as_array().unwrap();
    assert_eq!((workflows.len(), told.code), (2, 0));
    assert_eq!((&workflows[0]["name"], &workflows[0]["events"]), (&json!("CI"), &json!(["push"])));
    assert_eq!(workflows[1]["errors"], 2);
    let own = repository(&[(".greenlight/workflows/own.yml", RIGHT), (".github/workflows/ci.yml", RIGHT)]);
    assert_eq!(run(own.path(), &["workflow", "list"], "").out, ".greenlight/workflows/own.yml  CI  push\n");
}

#[test]
fn patterns_can_be_tried() {
    let dir = repository(&[]);
    let glob = |arguments: &[&str], input: &str| run(dir.path(), &[&["glob"], arguments].concat(), input);
    let told = glob(
        &[
            "--kind",
            "branch",
            "--pattern",
            "releases/**",
            "--pattern",
            "!releases/**-alpha",
            "refs/heads/releases/1",
            "releases/1-alpha",
            "main",
        ],
        "",
    );
    assert_eq!(
        (told.code, told.out.as_str()),
        (
            1,
            "refs/heads/releases/1: matches (releases/**)\nreleases/1-alpha: does not match (!releases/**-alpha takes it back)\nmain: does not match\n"
        )
    );
    let told = glob(&["--json", "--kind", "path", "--pattern", "**.js", "-"], "a/b.js\nc.js\n");
    assert_eq!(told.code, 0);
    assert_eq!(told.json()["results"][1], json!({"input": "c.js", "matches": true, "pattern": "**.js"}));
    assert_eq!(glob(&["x"], "").code, 2);
    let told = glob(&["--kind", "branch", "--pattern", "a[", "!b", "ab"], "");
    assert!(told.err.contains("the pattern 'a[' is none: a '[' is not closed"), "{}", told.err);
    assert!(told.err.contains("'!b' is taken as a name; write --pattern before each pattern"), "{}", told.err);
}

#[test]
fn every_verb_of_the_language_has_help_with_an_example() {
    let dir = repository(&[]);
    for verb in [
        &["expr"][..],
        &["glob"],
        &["workflow"],
        &["workflow", "check"],
        &["workflow", "dump"],
        &["workflow", "plan"],
        &["workflow", "list"],
    ] {
        let told = run(dir.path(), &[verb, &["--help"]].concat(), "");
        assert!(
            told.code == 0 && told.out.contains("Example:") && told.out.contains("Exit codes:"),
            "{verb:?}: {}",
            told.out
        );
    }
}
