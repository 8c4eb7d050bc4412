//! `workflow dump` and `workflow plan`.

use serde_json::{Value as Json, json};

use super::{RIGHT, WRONG, repository, run};

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

/// What stands in the place of a file may be standard input, for one of them.
#[test]
fn every_file_of_a_plan_may_be_standard_input() {
    let dir = repository(&[
        (
            "ci.yml",
            "on: { push: { paths: ['src/**'] } }\njobs: { a: { runs-on: '${{ vars.on }}', steps: [{ run: x }] } }\n",
        ),
        ("main.json", r#"{"ref":"refs/heads/main"}"#),
        ("vars.json", r#"{"on":"linux"}"#),
    ]);
    let plan = |arguments: &[&str], input: &str| {
        run(dir.path(), &[&["workflow", "plan", "--json", "--event", "push"], arguments].concat(), input)
    };
    let text = std::fs::read_to_string(dir.path().join("ci.yml")).unwrap();
    for (arguments, input) in [
        (&["-", "--payload", "main.json", "--vars", "vars.json"][..], text.as_str()),
        (&["ci.yml", "--payload", "-", "--vars", "vars.json"], r#"{"ref":"refs/heads/main"}"#),
        (&["ci.yml", "--payload", "main.json", "--vars", "-"], r#"{"on":"linux"}"#),
        (&["ci.yml", "--payload", "main.json", "--vars", "vars.json", "--changed-files", "-"], "src/a\n"),
        (&["ci.yml", "--payload", "main.json", "--vars", "vars.json", "--needs", "-"], "{}"),
    ] {
        let told = plan(arguments, input);
        assert_eq!(told.json()["jobs"][0]["runs_on"]["labels"], json!(["linux"]), "{arguments:?}: {}", told.err);
    }
    let told = plan(&["ci.yml", "--payload", "main.json", "--changed-files", "-"], "docs/a\n").json();
    assert_eq!(told["reason"], "no changed file matches 'paths' ('src/**')");
    let told = plan(&["-", "--payload", "-"], &text);
    assert!(told.code == 2 && told.err.contains("'-' may be given once only"), "{}", told.err);
    assert_eq!(run(dir.path(), &["workflow", "dump", "-", "--json"], &text).json()["jobs"][0]["id"], "a");
}

#[test]
fn a_plan_without_what_it_takes_says_so() {
    let dir = repository(&[("ci.yml", RIGHT)]);
    let plan = |event: &str| run(dir.path(), &["workflow", "plan", "ci.yml", "--event", event], "");
    let told = plan("push");
    assert!(told.code == 0 && told.err.contains("without --payload nothing is known of the 'ref'"), "{}", told.err);
    let told = plan("workflow_dispatch");
    assert_eq!((told.code, told.err.as_str()), (0, ""));
    let told = plan("psh");
    assert_eq!(
        (told.code, told.err.as_str()),
        (2, "greenlight: 'psh' is no event that starts workflows; did you mean 'push'?\n")
    );
}
