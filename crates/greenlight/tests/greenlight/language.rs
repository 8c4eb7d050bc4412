//! The verbs that explain the language, as a person and a script use them.

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
fn a_wrong_workflow_is_shown_with_a_caret() {
    let dir = repository(&[(".github/workflows/ci.yml", WRONG), (".github/workflows/ok.yaml", RIGHT)]);
    let told = run(dir.path(), &["workflow", "check"], "");
    assert_eq!(told.code, 1);
    for part in [
        "error[unknown-key]: Unexpected value 'runs_on'",
        "--> .github/workflows/ci.yml:4:5",
        "4 |     runs_on: x",
        "  |     ^^^^^^^",
        "= help: did you mean 'runs-on'?",
        "2 errors, 0 warnings in 2 files",
    ] {
        assert!(told.out.contains(part), "{part} is missing in\n{}", told.out);
    }
    let inside = dir.path().join(".github/workflows");
    assert_eq!(run(&inside, &["workflow", "check", "ok.yaml"], "").code, 0);
    assert_eq!(run(&inside, &["workflow", "check", "none.yml"], "").code, 4);
    assert_eq!(run(dir.path(), &["workflow", "check", "-"], RIGHT).code, 0);
    assert_eq!(
        run(
            dir.path(),
            &["workflow", "check", "-", "--stdin-name", "action.yml"],
            "runs: { using: composite, steps: [] }"
        )
        .code,
        0
    );
    let empty = repository(&[]);
    assert_eq!(run(empty.path(), &["workflow", "check"], "").code, 4);
}

#[test]
fn findings_come_as_json_and_as_annotations() {
    let dir = repository(&[("a,b.yml", WRONG)]);
    let told = run(dir.path(), &["workflow", "check", "--format", "json", "a,b.yml"], "");
    let finding = &told.json()["files"][0]["errors"][0];
    assert_eq!(told.json()["files"][0]["path"], "a,b.yml");
    assert_eq!(
        (&finding["code"], &finding["line"], &finding["column"], &finding["severity"]),
        (&json!("unknown-key"), &json!(4), &json!(5), &json!("error"))
    );
    assert_eq!(run(dir.path(), &["workflow", "check", "--json", "a,b.yml"], "").out, told.out);
    let told = run(dir.path(), &["workflow", "check", "--format", "github", "a,b.yml"], "");
    assert_eq!(
        told.out.lines().next().unwrap(),
        "::error file=a%2Cb.yml,line=4,endLine=4,col=5,endColumn=12,title=unknown-key::Unexpected value 'runs_on'%0Adid you mean 'runs-on'?"
    );
    assert_eq!(told.code, 1);
}

#[test]
fn findings_come_as_sarif_that_its_schema_accepts() {
    let schema =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/sarif/sarif-2.1.0.json"));
    let mut schema: Json = serde_json::from_str(&schema.unwrap()).unwrap();
    // The pattern of a language that we do not write has a bracket too many, which no reader of schemas takes.
    for definition in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][definition]["properties"]["language"];
        assert!(language.as_object_mut().unwrap().remove("pattern").is_some());
    }
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let dir =
        repository(&[("a b.yml", WRONG), ("pin.yml", &RIGHT.replace("run: make", "uses: a/b@v1")), ("empty.yml", "")]);
    let told = run(dir.path(), &["workflow", "check", "--format", "sarif", "a b.yml", "pin.yml", "empty.yml"], "");
    let sarif = told.json();
    let wrong: Vec<String> =
        validator.iter_errors(&sarif).map(|error| format!("{} at {}", error, error.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let shown: Vec<String> = results
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            let rule = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(sarif["runs"][0]["tool"]["driver"]["rules"][rule]["id"], result["ruleId"]);
            format!("{} {} {}", result["level"], place["artifactLocation"]["uri"], place["region"]["startLine"])
        })
        .collect();
    assert_eq!(
        shown,
        [
            "\"error\" \"a%20b.yml\" 4",
            "\"error\" \"a%20b.yml\" 4",
            "\"warning\" \"pin.yml\" 7",
            "\"error\" \"empty.yml\" 1"
        ]
    );
}

const CALLED: &str = "on: { workflow_call: { inputs: { n: { type: number, required: true } } } }
permissions: { issues: write }
jobs: { far: { runs-on: x, steps: [{ run: x }] } }
";

#[test]
fn calls_are_followed_into_the_repository_and_to_files_given_by_hand() {
    let caller = "on: push\njobs:\n  a: { uses: ./.github/workflows/called.yml, with: { n: text } }\n  b: { uses: o/r/.github/workflows/x.yml@v1, with: { n: 1 } }\n";
    let dir = repository(&[
        (".github/workflows/ci.yml", caller),
        (".github/workflows/called.yml", CALLED),
        (".github/workflows/lost.yml", "on: push\njobs: { a: { uses: ./.github/workflows/none.yml } }\n"),
        ("far.yml", CALLED),
    ]);
    let codes = |arguments: &[&str]| {
        let told = run(dir.path(), &[&["workflow", "check", "--json"], arguments].concat(), "");
        let files = told.json()["files"].as_array().unwrap().clone();
        let codes = files.iter().flat_map(|file| file["errors"].as_array().unwrap().clone());
        let errors = codes.filter(|finding| finding["severity"] == "error");
        (told.code, errors.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>())
    };
    let ci = ".github/workflows/ci.yml";
    assert_eq!(codes(&[ci]), (1, vec!["input-type".into()]));
    assert_eq!(codes(&[".github/workflows/lost.yml"]), (1, vec!["call-not-found".into()]));
    let far = "o/r/.github/workflows/x.yml@v1=far.yml";
    let (_, found) = codes(&[ci, "--reusable", far, "--permissions-policy", "LimitedRead"]);
    assert_eq!(found, ["call-permissions", "input-type", "call-permissions"]);
    assert_eq!(codes(&[ci, "--max-depth", "0"]).1, ["calls-too-deep"]);
    assert_eq!(run(dir.path(), &["workflow", "check", "far.yml", "--reusable", "nothing"], "").code, 2);
}

#[test]
fn a_file_that_cannot_be_read_does_not_hide_the_others() {
    let dir = repository(&[(".github/workflows/b.yml", WRONG), (".github/workflows/c.yml", RIGHT)]);
    let latin = [RIGHT.as_bytes(), b"# \xfcber\n"].concat();
    std::fs::write(dir.path().join(".github/workflows/a.yml"), latin).unwrap();
    std::fs::create_dir(dir.path().join("folder.yml")).unwrap();
    let told = run(dir.path(), &["workflow", "check", "--json"], "");
    let shown = |told: &Told| -> Vec<String> {
        let files = told.json()["files"].as_array().unwrap().clone();
        let line = |file: &Json, found: &Json| {
            let path = file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            format!("{path}:{}:{} {}", found["line"], found["column"], found["code"].as_str().unwrap())
        };
        files.iter().flat_map(|file| file["errors"].as_array().unwrap().iter().map(|found| line(file, found))).collect()
    };
    assert_eq!(
        (told.code, shown(&told)),
        (1, vec!["a.yml:8:3 not-utf-8".into(), "b.yml:4:5 unknown-key".into(), "b.yml:4:5 missing-key".into()])
    );
    let a = ".github/workflows/a.yml";
    assert_eq!(run(dir.path(), &["workflow", "check", a], "").code, 0);
    let told = run(dir.path(), &["workflow", "check", "--json", "folder.yml", a, "none.yml"], "");
    assert_eq!(
        (told.code, shown(&told)),
        (4, vec!["folder.yml:0:0 unreadable".into(), "a.yml:8:3 not-utf-8".into(), "none.yml:0:0 unreadable".into()])
    );
    for format in ["sarif", "github", "text"] {
        let told = run(dir.path(), &["workflow", "check", "--format", format, "folder.yml", a], "");
        assert!(told.code == 1 && told.out.contains("not-utf-8") && told.out.contains("unreadable"), "{}", told.out);
    }
    assert_eq!(run(dir.path(), &["workflow", "list", "--json"], "").json()["workflows"].as_array().unwrap().len(), 3);
}

#[test]
fn errors_of_one_kind_do_not_hide_those_of_another() {
    let caller = "on: push
jobs:
  a:
    needs: nobody
    runs-on: x
    steps:
      - run: |
          one
          echo ${{ nope.x }}
      - run: echo ${{ github.event.issue.title }}
  b: { uses: ./.github/workflows/none.yml }
  c: { uses: ./.github/workflows/called.yml, with: { n: 1, nn: 2 }, secrets: { tok: x } }
";
    let called = "on: { workflow_call: { inputs: { n: { type: number } }, secrets: { token: {} } } }
jobs: { far: { runs-on: x, steps: [{ run: x }] } }
";
    let dir = repository(&[(".github/workflows/ci.yml", caller), (".github/workflows/called.yml", called)]);
    let told = run(dir.path(), &["workflow", "check", ".github/workflows/ci.yml"], "");
    for part in [
        "error[needs-unknown]",
        "--> .github/workflows/ci.yml:9:20\n  |\n9 |           echo ${{ nope.x }}\n  |                    ^^^^\n",
        "warning[script-injection]",
        "--> .github/workflows/ci.yml:10:23",
        "error[call-not-found]",
        "error[input-unknown]: Invalid input, nn is not defined in the referenced workflow.",
        "= help: did you mean 'n'?",
        "error[secret-unknown]",
        "= help: did you mean 'token'?",
    ] {
        assert!(told.out.contains(part), "{part} is missing in\n{}", told.out);
    }
    let told = run(dir.path(), &["workflow", "check", "--json", ".github/workflows/ci.yml"], "");
    let errors = told.json()["files"][0]["errors"].clone();
    let found = errors.as_array().unwrap().iter().find(|found| found["code"] == "expression").unwrap().clone();
    assert_eq!((&found["line"], &found["column"]), (&json!(7), &json!(14)));
    assert_eq!(found["at"], json!({"line": 9, "column": 20, "end_line": 9, "end_column": 24}));
}

#[test]
fn workflows_may_call_each_other_ten_levels_deep() {
    let name = |level: usize| format!(".github/workflows/l{level}.yml");
    let text = |level: usize| {
        let job = match level {
            10 => "{ runs-on: x, steps: [{ run: x }] }".to_owned(),
            level => format!("{{ uses: ./{} }}", name(level + 1)),
        };
        format!("on: workflow_call\njobs:\n  a: {job}\n")
    };
    let files: Vec<(String, String)> = (0..=10).map(|level| (name(level), text(level))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let dir = repository(&files);
    let check = |arguments: &[&str]| run(dir.path(), &[&["workflow", "check"], arguments].concat(), "");
    assert_eq!(check(&[&name(1)]).code, 0);
    let told = check(&[&name(0)]);
    assert!(told.code == 1 && told.out.contains("Nested reusable workflow depth exceeded 9."), "{}", told.out);
    assert_eq!(check(&[&name(7), "--max-depth", "3"]).code, 0);
    assert_eq!(check(&[&name(6), "--max-depth", "3"]).code, 1);
}

#[test]
fn warnings_refuse_only_where_they_are_to() {
    let text = RIGHT.replace("run: make", "run: echo ${{ github.event.issue.title }}");
    let dir = repository(&[("ci.yml", &text)]);
    let told = run(dir.path(), &["workflow", "check", "ci.yml"], "");
    assert!(told.code == 0 && told.out.contains("warning[script-injection]"), "{}", told.out);
    assert_eq!(run(dir.path(), &["workflow", "check", "--deny-warnings", "ci.yml"], "").code, 1);
}

#[test]
fn shellcheck_is_asked_where_it_is_installed() {
    use std::os::unix::fs::PermissionsExt as _;
    let fake = "#!/bin/sh\nread -r line\nprintf '{\"comments\":[{\"line\":2,\"column\":1,\"endLine\":2,\"endColumn\":4,\"code\":2086,\"message\":\"%s\"}]}' \"$line\"\n";
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          one ${{ github.ref }}\n          two\n";
    let dir = repository(&[("bin/shellcheck", fake), ("ci.yml", text)]);
    let program = dir.path().join("bin/shellcheck");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", dir.path().join("bin").display());
    let told = run_with_path(dir.path(), &["workflow", "check", "ci.yml"], "", &path);
    assert!(told.code == 0 && told.out.contains("warning[shellcheck]: SC2086: one _________________"), "{}", told.out);
    assert!(told.out.contains("--> ci.yml:8:11") && told.out.contains("^^^\n"), "{}", told.out);
    let told = run_with_path(dir.path(), &["workflow", "check", "--no-shellcheck", "ci.yml"], "", &path);
    assert!(!told.out.contains("shellcheck"));
}

/// What shellcheck itself says, where it is installed; the machines that judge every change have it.
#[test]
fn shellcheck_s_own_findings_stand_in_their_lines() {
    let path = std::env::var("PATH").unwrap();
    if !std::env::split_paths(&path).any(|folder| folder.join("shellcheck").is_file()) {
        return;
    }
    let workflow = "on: push
jobs:
  a:
    runs-on: x
    steps:
      - run: |
          set -e

          if [ \"${{ github.ref }}\" = x ]; then
            rm $HOME/a
          fi
      - run: >-
          echo ok;
          cd $HOME
      - run: 'echo ''a'' `date`'
";
    let action = "name: x
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        echo ${{ inputs.x }}
        cat $HOME/x
";
    let dir = repository(&[("ci.yml", workflow), ("action.yml", action)]);
    let told = run_with_path(dir.path(), &["workflow", "check", "--json", "ci.yml", "action.yml"], "", &path);
    let said: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    let files = said["files"].as_array().unwrap().iter();
    let found: Vec<String> = files
        .flat_map(|file| file["errors"].as_array().unwrap())
        .filter(|error| error["code"] == "shellcheck")
        .map(|error| {
            let name = error["message"].as_str().unwrap().split(':').next().unwrap();
            format!("{name} {}:{}-{}", error["at"]["line"], error["at"]["column"], error["at"]["end_column"])
        })
        .collect();
    for expected in ["SC2086 10:16-21", "SC2164 14:11-19", "SC2046 15:26-32", "SC2086 8:13-18"] {
        assert!(found.iter().any(|found| found == expected), "{expected} is not among {found:?}");
    }
}

#[test]
fn a_hostile_file_is_refused_at_once() {
    let dir = repository(&[("large.yml", &"a: [".repeat(1 << 18)), ("deep.yml", &"[".repeat(100_000))]);
    let told = run(dir.path(), &["workflow", "check", "--json", "large.yml", "deep.yml"], "");
    assert_eq!(told.code, 1);
    let files = told.json()["files"].clone();
    assert_eq!(files[0]["errors"][0]["code"], "file-too-large");
    assert_eq!(files[1]["errors"][0]["code"], "too-deep");
}

#[test]
fn a_workflow_is_dumped_as_it_was_understood() {
    let text = "name: CI
on: { push: { branches: [main] } }
permissions: { contents: read }
jobs:
  build:
    name: Build ${{ matrix.os }}
    runs-on: [x, '${{ matrix.os }}']
    strategy: { matrix: { os: [a, 1] }, fail-fast: false }
    outputs: { v: '${{ steps.__run.outputs.v }}' }
    concurrency: g
    steps:
      - uses: actions/checkout@v4
        with: { fetch-depth: 0 }
      - run: make
        if: github.ref == 'x'
      - run: make again
  call:
    needs: build
    uses: ./.github/workflows/x.yml
    secrets: inherit
";
    let dir = repository(&[("ci.yml", text)]);
    let dumped = run(dir.path(), &["workflow", "dump", "ci.yml", "--json"], "").json();
    let (build, call) = (&dumped["jobs"][0], &dumped["jobs"][1]);
    assert_eq!((&dumped["name"], &dumped["on"]), (&json!("CI"), &json!({"push": {"branches": ["main"]}})));
    assert_eq!((&build["id"], &build["name"]), (&json!("build"), &json!("Build ${{ matrix.os }}")));
    assert_eq!(build["runs-on"], json!(["x", "${{ matrix.os }}"]));
    assert_eq!(build["strategy"], json!({"matrix": {"os": ["a", 1]}, "fail-fast": false, "max-parallel": null}));
    assert_eq!((&build["permissions"]["contents"], &build["permissions"]["issues"]), (&json!("read"), &json!("none")));
    assert_eq!((&build["outputs"]["v"], &build["concurrency"]), (&json!("${{ steps.__run.outputs.v }}"), &json!("g")));
    let steps: Vec<(&Json, &Json)> =
        build["steps"].as_array().unwrap().iter().map(|step| (&step["id"], &step["if"])).collect();
    assert_eq!(
        steps,
        [
            (&json!("__actions_checkout"), &json!("success()")),
            (&json!("__run"), &json!("success() && (github.ref == 'x')")),
            (&json!("__run_2"), &json!("success()")),
        ]
    );
    assert_eq!(build["steps"][0]["with"], json!({"fetch-depth": "0"}));
    assert_eq!((&call["needs"], &call["secrets"]), (&json!(["build"]), &json!("inherit")));
    assert_eq!(run(dir.path(), &["workflow", "dump", "-"], WRONG).code, 1);
}

#[test]
fn a_plan_says_why_not_and_what_else() {
    let text = "name: CI
on:
  push: { branches: [main], paths: ['src/**'] }
  pull_request:
  workflow_dispatch: { inputs: { n: { type: choice, options: [a, b], default: a } } }
concurrency: ci-${{ github.ref_name }}
jobs:
  build:
    runs-on: x
    strategy: { matrix: { n: [1, 2], exclude: [{ n: 1 }], include: [{ n: 3, extra: true }] } }
    steps: [{ run: make }]
  pick: { runs-on: '${{ inputs.n }}', if: inputs.n, steps: [{ run: make }] }
  after: { needs: build, runs-on: x, steps: [{ run: make }] }
";
    let dir = repository(&[
        ("ci.yml", text),
        ("main.json", r#"{"ref":"refs/heads/main"}"#),
        ("skip.json", r#"{"ref":"refs/heads/main","head_commit":{"message":"x [ci skip]"}}"#),
        ("closed.json", r#"{"action":"closed","number":1,"pull_request":{"base":{"ref":"main"}}}"#),
        ("docs.txt", "docs/a.md\n"),
        ("src.json", r#"["docs/a.md","src/b.rs"]"#),
    ]);
    let plan =
        |arguments: &[&str]| run(dir.path(), &[&["workflow", "plan", "ci.yml", "--json"], arguments].concat(), "");
    let why_not = |arguments: &[&str]| plan(arguments).json()["reason"].as_str().unwrap().to_owned();
    assert_eq!(why_not(&["--event", "issues"]), "it runs on push, pull_request, workflow_dispatch, not on issues");
    assert_eq!(
        why_not(&["--event", "push", "--payload", "main.json", "--changed-files", "docs.txt"]),
        "no changed file matches 'paths' ('src/**')"
    );
    assert_eq!(why_not(&["--event", "push", "--payload", "skip.json"]), "the commit message says [ci skip]");
    assert!(why_not(&["--event", "pull_request", "--payload", "closed.json"]).contains("not closed"));
    let told = plan(&["--event", "push", "--payload", "main.json", "--changed-files", "src.json"]);
    let planned = told.json();
    assert_eq!((told.code, &planned["triggered"], &planned["ref"]), (1, &json!(true), &json!("refs/heads/main")));
    assert_eq!(planned["concurrency"], json!({"group": "ci-main", "cancel_in_progress": false, "queue": "single"}));
    let names: Vec<&str> =
        planned["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["build (2)", "build (3, true)", "pick", "after"]);
    assert_eq!(planned["jobs"][1]["matrix"], json!({"n": 3, "extra": true}));
    assert_eq!((&planned["jobs"][2]["runs"], &planned["jobs"][3]["runs"]), (&json!(false), &Json::Null));
    assert_eq!(planned["errors"][0]["job"], "pick");
    let dispatched = plan(&["--event", "workflow_dispatch", "--input", "n=b"]);
    assert_eq!((dispatched.code, &dispatched.json()["jobs"][2]["runs_on"]["labels"]), (0, &json!(["b"])));
    let refused = plan(&["--event", "workflow_dispatch", "--input", "n=c"]);
    assert!(refused.code == 1 && refused.json()["errors"][0]["message"].as_str().unwrap().contains("allowed values"));
    let refused = plan(&["--event", "workflow_dispatch", "--input", "n=c", "--input", "m=1"]).json();
    let message = refused["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("Unexpected inputs provided: m; ") && message.contains("allowed values"), "{message}");
    assert_eq!(refused["jobs"], json!([]));
    for (event, payload, problem) in [
        ("push", "[]", "is no payload: GitHub sends a JSON object"),
        ("push", r#"{"ref":5}"#, "is no payload of push: it has no 'ref' that is text"),
        ("pull_request", "{}", "is no payload of pull_request: it has no 'pull_request' that is object"),
    ] {
        let told = run(dir.path(), &["workflow", "plan", "ci.yml", "--event", event, "--payload", "-"], payload);
        assert!(told.code == 1 && told.err.contains(problem), "{}", told.err);
    }
    let told = run(
        dir.path(),
        &["workflow", "plan", "ci.yml", "--event", "push", "--payload", "-"],
        r#"{"ref":"refs/tags/v1"}"#,
    );
    assert_eq!(
        (told.code, told.out.as_str()),
        (0, "CI does not run on push: it runs for branches only, and 'v1' is a tag\n")
    );
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
