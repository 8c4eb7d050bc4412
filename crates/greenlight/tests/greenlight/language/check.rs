//! `workflow check`.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::{RIGHT, Told, WRONG, repository, run, run_with_path};

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
    let input = errors.as_array().unwrap().iter().find(|found| found["code"] == "input-unknown").unwrap();
    assert_eq!((&input["column"], &input["at"]["column"]), (&json!(64), &json!(60)), "the name, not its value");
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
