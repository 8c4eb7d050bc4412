//! `greenlight exec`: a repository's workflows on this machine, as a person runs them.

mod act;
mod checkout;
mod conformance;
mod runner_server;
mod told;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// A folder with workflows, in a repository of its own.
struct Project(tempfile::TempDir);

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = project.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        project.git(&["add", "--all"]);
        project.git(&["-c", "user.name=Mona", "-c", "user.email=mona@example.com", "commit", "--quiet", "-m", "first"]);
        project
    }

    fn of_workflow(text: &str) -> Self {
        Self::new(&[(".github/workflows/ci.yml", text)])
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn git(&self, arguments: &[&str]) {
        let git = Command::new("git").arg("-C").arg(self.path()).args(arguments).status().unwrap();
        assert!(git.success(), "git {arguments:?}");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
        command.arg("exec").args(arguments).current_dir(self.path()).env("TMPDIR", self.path().parent().unwrap());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran(self.command(arguments).output().unwrap())
    }
}

/// What it said, and how it ended.
struct Ran(Output);

impl Ran {
    fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    fn text(&self) -> String {
        format!("{}{}", String::from_utf8_lossy(&self.0.stdout), String::from_utf8_lossy(&self.0.stderr))
    }

    fn has(&self, line: &str) -> bool {
        self.text().lines().any(|known| known == line)
    }

    fn events(&self, kind: &str) -> Vec<Value> {
        let lines = String::from_utf8_lossy(&self.0.stdout).into_owned();
        let events = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        events.filter(|event| event["type"] == kind).collect()
    }
}

const PIPELINE: &str = "name: CI
on: [push, workflow_dispatch]
jobs:
  build:
    runs-on: ubuntu-latest
    outputs: { made: '${{ steps.make.outputs.what }}' }
    steps:
      - uses: actions/checkout@v4
      - id: make
        run: echo what=$(cat made.txt) >> $GITHUB_OUTPUT
  test:
    needs: build
    strategy: { matrix: { part: [one, two] } }
    runs-on: [self-hosted, linux]
    steps:
      - run: echo testing ${{ needs.build.outputs.made }} ${{ matrix.part }}
  after:
    needs: test
    if: failure()
    runs-on: ubuntu-latest
    steps: [{ run: exit 1 }]
";

#[test]
fn jobs_run_as_their_needs_allow_and_see_outputs() {
    let project = Project::new(&[(".github/workflows/ci.yml", PIPELINE), ("made.txt", "old")]);
    std::fs::write(project.path().join("made.txt"), "new").unwrap();
    let ran = project.run(&[]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    assert!(ran.text().contains("changes that are not committed"), "{}", ran.text());
    assert!(ran.has("test (one) | testing new one") && ran.has("test (two) | testing new two"), "{}", ran.text());
    assert!(ran.text().contains("after: skipped: its condition"), "{}", ran.text());
    assert!(ran.has("CI: success: 3 jobs succeeded"), "{}", ran.text());
}

#[test]
fn the_conclusion_is_the_exit_code() {
    let failing = Project::of_workflow("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: exit 3 }]\n");
    let ran = failing.run(&["--json"]);
    assert_eq!(ran.code(), 1, "{}", ran.text());
    assert_eq!(ran.events("job.end")[0]["conclusion"], "failure");
    assert_eq!(ran.events("end")[0]["conclusion"], "failure");
    let broken = Project::of_workflow("on: push\njobs:\n  a:\n    runs-on: x\n    step: [{ run: exit 3 }]\n");
    let ran = broken.run(&[]);
    assert_eq!(ran.code(), 1);
    assert!(ran.text().contains("^"), "the place is shown: {}", ran.text());
    let other = failing.run(&["pull_request"]);
    assert_eq!(other.code(), 0);
    assert!(other.text().contains("not run: .github/workflows/ci.yml: it runs on push"), "{}", other.text());
}

#[test]
fn secrets_reach_steps_and_no_log() {
    let project = Project::new(&[
        (
            ".github/workflows/ci.yml",
            "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: |\n          echo \"one ${{ secrets.ONE }} two ${{ secrets.two }} three ${{ secrets.THREE }}\"\n          test \"${{ secrets.ONE }}${{ secrets.TWO }}${{ secrets.THREE }}\" = opensesamehocuspocusabracadabra\n          echo ${{ vars.PLACE }} $COLOUR\n",
        ),
        (".secrets", "ONE=opensesame\n"),
        (".vars", "PLACE=cave\n"),
        (".env", "COLOUR=green\n"),
    ]);
    let output =
        project.command(&["-s", "two=hocuspocus", "-s", "THREE"]).env("THREE", "abracadabra").output().unwrap();
    let ran = Ran(output);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    assert!(ran.has("a | one *** two *** three ***") && ran.has("a | cave green"), "{}", ran.text());
    for secret in ["opensesame", "hocuspocus", "abracadabra"] {
        assert!(!ran.text().contains(secret), "{secret} is in {}", ran.text());
    }
}

#[test]
fn a_secret_that_is_in_every_text_is_warned_of() {
    let project = Project::new(&[
        (
            ".github/workflows/ci.yml",
            "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: 'echo one two three; echo four' }]\n",
        ),
        (".secrets", "BLANK=' '\nEMPTY=\nLONG=for\nTWO=ee\n"),
    ]);
    let ran = project.run(&["-s", "PIN=o", "--json"]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    let notices = ran.events("notice");
    let warned = |name: &str| format!("warning: the secret {name} has fewer than 3 characters: ");
    let told: Vec<&str> = notices.iter().map(|notice| notice["message"].as_str().unwrap()).collect();
    assert!(told[0].starts_with(&warned("TWO")) && told[1].starts_with(&warned("PIN")), "{told:?}");
    assert_eq!(told.len(), 2, "a blank one masks nothing: {told:?}");
    let lines: Vec<Value> = ran.events("log").iter().map(|log| log["line"].clone()).collect();
    assert!(lines.contains(&"***ne tw*** thr***".into()) && lines.contains(&"f***ur".into()), "{lines:?}");
}

#[test]
fn a_job_for_another_machine_is_skipped_and_said_so() {
    let text = "on: push\njobs:\n  a:\n    runs-on: windows-latest\n    steps: [{ run: 'true' }]\n";
    let project = Project::of_workflow(text);
    let ran = project.run(&[]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    assert!(ran.has("a: skipped: it asks for windows-latest, which this machine is not"), "{}", ran.text());
    assert!(!ran.has("a: started"), "it never was: {}", ran.text());
    let ran = project.run(&["-P", "windows-latest=host"]);
    assert!(ran.has("a | Job success: all steps succeeded"), "{}", ran.text());
}

#[test]
fn what_would_run_is_shown_without_running() {
    let project = Project::new(&[(".github/workflows/ci.yml", PIPELINE)]);
    let list = project.run(&["-l"]);
    assert!(
        list.has("1      test    test      CI             .github/workflows/ci.yml  push,workflow_dispatch"),
        "{}",
        list.text()
    );
    let graph = project.run(&["-g"]);
    assert!(graph.has("  [ test ← build ]"), "{}", graph.text());
    let steps = project.run(&["-n"]);
    assert!(steps.has("    Run actions/checkout@v4"), "{}", steps.text());
    assert!(!list.text().contains("started") && !steps.text().contains("started"));
}

#[test]
fn steps_that_run_nothing_have_names_too() {
    let project = Project::of_workflow(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - { id: s, run: sleep 1, background: true }\n      - wait: s\n      - cancel: s\n      - parallel: [{ run: one }, { run: two }]\n      - wait-all: true\n",
    );
    let ran = project.run(&["-n"]);
    let expected = ".github/workflows/ci.yml\n  a\n    Run sleep 1\n    Wait for s\n    Cancel s\n    Parallel group\n      Run one\n      Run two\n    Wait for all\n";
    assert_eq!(ran.text(), expected);
}

#[test]
fn what_a_killed_run_left_is_removed_by_the_next() {
    let temporary = tempfile::tempdir().unwrap();
    let project = Project::of_workflow(STUBBORN);
    let mut command = project.command(&[]);
    let mut child =
        command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "a | up"));
    let count = || std::fs::read_dir(temporary.path()).unwrap().count();
    let other = Project::of_workflow("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: 'true' }]\n");
    let next = || assert!(other.command(&[]).env("TMPDIR", temporary.path()).output().unwrap().status.success());
    next();
    assert_eq!(count(), 1, "it is not dead yet");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(count(), 1, "nobody was there to remove it");
    next();
    assert_eq!(count(), 0);
}

#[test]
fn events_and_inputs_are_as_they_are_given() {
    let project = Project::new(&[
        (
            ".github/workflows/ci.yml",
            "on:\n  issues: { types: [opened] }\n  workflow_dispatch:\n    inputs:\n      level: { default: low }\n      place: {}\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo \"> ${{ github.actor }} ${{ github.event.issue.title }} ${{ inputs.level }} ${{ inputs.place }} $COLOUR $SHAPE\"\n        env: { SHAPE: round }\n",
        ),
        ("event.json", r#"{"action": "opened", "issue": {"title": "from a file"}}"#),
        (".input", "place=cave\n"),
        ("other.input", "place=hill\n"),
    ]);
    let said = |arguments: &[&str], line: &str| {
        let ran = project.run(arguments);
        assert_eq!(ran.code(), 0, "{}", ran.text());
        assert!(ran.text().lines().any(|said| said.trim_end() == format!("a | > {line}")), "{line}: {}", ran.text());
    };
    let payload = r#"{"action": "opened", "issue": {"title": "in words"}}"#;
    said(&["issues", "--payload", payload, "-a", "mona"], "mona in words    round");
    said(&["issues", "-e", "event.json", "--actor", "mona", "--env", "COLOUR=green"], "mona from a file   green round");
    said(&["workflow_dispatch", "-a", "mona"], "mona  low cave  round");
    let given = ["workflow_dispatch", "-a", "mona", "--input", "level=high", "--input-file", "other.input"];
    said(&given, "mona  high hill  round");
    said(&["workflow_dispatch", "-a", "mona", "--env", "SHAPE=flat"], "mona  low cave  round");
}

#[test]
fn a_job_is_told_where_github_is() {
    let project = Project::of_workflow(
        "on: push\nrun-name: at ${{ github.server_url }}\njobs:\n  a:\n    if: github.server_url == 'https://github.com'\n    runs-on: x\n    steps:\n      \
         - run: echo \"> $GITHUB_SERVER_URL $GITHUB_API_URL $GITHUB_GRAPHQL_URL ${{ github.repositoryUrl }} ${{ github.secret_source }}\"\n",
    );
    let ran = project.run(&["--repository", "octo/demo"]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    let told = "a | > https://github.com https://api.github.com https://api.github.com/graphql git://github.com/octo/demo.git Actions";
    assert!(ran.has(told), "{}", ran.text());
}

#[test]
fn nothing_is_left_behind() {
    let project = Project::of_workflow("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: pwd }]\n");
    let temporary = tempfile::tempdir().unwrap();
    let output = project.command(&[]).env("TMPDIR", temporary.path()).output().unwrap();
    assert!(output.status.success());
    assert!(Ran(output).text().contains(&temporary.path().display().to_string()), "jobs work there");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn json_tells_of_steps_with_outcome_and_outputs() {
    let project = Project::of_workflow(
        "on: push\njobs:\n  a:\n    runs-on: x\n    outputs: { y: '${{ steps.s.outputs.x }}' }\n    steps:\n      - id: s\n        run: |\n          echo x=1 >> $GITHUB_OUTPUT\n          echo '::warning file=a.rs,line=3::careful'\n          exit 4\n        continue-on-error: true\n",
    );
    let ran = project.run(&["--json", "--actor", "mona", "--repository", "octo/demo"]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    let begin = &ran.events("begin")[0];
    assert_eq!((&begin["repository"], &begin["dirty"]), (&"octo/demo".into(), &false.into()));
    let step = ran.events("step.end").into_iter().find(|step| step["step"] == 1).unwrap();
    assert_eq!((&step["outcome"], &step["conclusion"]), (&"failure".into(), &"success".into()));
    assert_eq!(step["outputs"]["x"], "1");
    assert_eq!(ran.events("annotation")[0]["message"], "careful");
    let end = &ran.events("job.end")[0];
    assert_eq!((&end["conclusion"], &end["outputs"]["y"]), (&"success".into(), &"1".into()));
    let kinds: Vec<_> = ran.0.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let last: Value = serde_json::from_slice(kinds.last().unwrap()).unwrap();
    assert_eq!(last["type"], "end", "every step's end comes before the job's, and that before the whole");
}

#[test]
fn one_job_and_one_leg_can_be_asked_for() {
    let project = Project::new(&[(".github/workflows/ci.yml", PIPELINE), ("made.txt", "it")]);
    let ran = project.run(&["-j", "test", "--matrix", "part:two"]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    assert!(ran.has("test (two) | testing it two"), "{}", ran.text());
    assert!(!ran.text().contains("test (one)") && !ran.text().contains("after:"), "{}", ran.text());
    let ran = project.run(&["-j", "tset"]);
    assert_eq!(ran.code(), 2);
    assert!(ran.text().contains("there are build, test, after"), "{}", ran.text());
}

#[test]
fn a_leg_that_no_job_has_is_no_green_run() {
    let project = Project::new(&[(".github/workflows/ci.yml", PIPELINE), ("made.txt", "it")]);
    for (asked, there) in [("part:nine", "part: one, two"), ("prat:one", "part: one, two")] {
        let ran = project.run(&["--matrix", asked]);
        assert_eq!(ran.code(), 2, "{}", ran.text());
        let said = format!("greenlight: --matrix {asked}: no job of this event has it; there is {there}");
        assert!(ran.has(&said) && ran.0.stdout.is_empty(), "{}", ran.text());
    }
}

#[test]
fn wrong_usage_has_a_code_of_its_own() {
    let project = Project::of_workflow("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: echo ran }]\n");
    for wrong in [
        ["-P", "foo"],
        ["--matrix", "zz"],
        ["--action-source", "foo"],
        ["--action-source", "acme/app=/nix/nowhere"],
        ["--repository", "foo"],
        ["--payload", "{bad"],
        ["--payload", "5"],
        ["-e", "nowhere.json"],
        ["-j", "nope"],
        ["-C", "/nix/nowhere"],
        ["--var", "NOBODY_SET_THIS"],
        ["--var", "=x"],
        ["--env", "=x"],
        ["-s", "=x"],
        ["-s", "NOBODY_SET_THIS"],
        ["-W", "nofile"],
        ["--input", "level=1"],
        ["--env-file", "nofile"],
        ["--secret-file", "nofile"],
    ] {
        let ran = project.run(&wrong);
        assert_eq!(ran.code(), 2, "{wrong:?}: {}", ran.text());
        assert!(ran.text().starts_with("greenlight: ") && ran.0.stdout.is_empty(), "{wrong:?}: {}", ran.text());
    }
    let ran = project.run(&["psh"]);
    assert_eq!(ran.code(), 2);
    assert_eq!(ran.text(), "greenlight: psh is no event that starts workflows; did you mean push?\n");
    std::fs::write(project.path().join(".env"), "A=1\nno value\n").unwrap();
    let ran = project.run(&[]);
    assert!(ran.code() == 2 && ran.text().ends_with(".env:2: a line should be NAME=VALUE\n"), "{}", ran.text());
}

#[test]
fn inputs_that_are_missing_unknown_or_wrong_end_with_2() {
    let inputs = "{ level: { required: true }, kind: { type: choice, options: [a, b] } }";
    let project = Project::of_workflow(&format!(
        "on: {{ workflow_dispatch: {{ inputs: {inputs} }} }}\njobs:\n  a:\n    runs-on: x\n    steps: [{{ run: 'true' }}]\n"
    ));
    for (inputs, why) in [
        (&[][..], "Required input 'level' not provided"),
        (&["--input", "level=1", "--input", "lvl=2"], "Unexpected inputs provided: lvl"),
        (&["--input", "level=1", "--input", "kind=c"], "Provided value 'c' for input 'kind' not in the list"),
        (&["--input", "=1"], "--input has no name before its value"),
    ] {
        let ran = project.run(&[&["workflow_dispatch"], inputs].concat());
        assert!(ran.code() == 2 && ran.text().contains(why) && ran.0.stdout.is_empty(), "{why}: {}", ran.text());
    }
    assert_eq!(project.run(&["workflow_dispatch", "--input", "level=1"]).code(), 0);
}

#[test]
fn an_input_is_for_the_files_that_have_it() {
    let by_hand = |inputs: &str, said: &str| {
        format!(
            "on: {{ workflow_dispatch: {{ inputs: {inputs} }} }}\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo '> {said}'\n"
        )
    };
    let release = by_hand(
        "{ level: { required: true }, kind: { type: choice, options: [a, b] } }",
        "release ${{ inputs.level }} ${{ inputs.kind }}",
    );
    let project = Project::new(&[
        (".github/workflows/release.yml", &release),
        (".github/workflows/sweep.yml", &by_hand("{ age: { default: '7' } }", "sweep ${{ inputs.age }}")),
    ]);
    let ran = project.run(&["workflow_dispatch", "--input", "LEVEL=3"]);
    let told = "not run: .github/workflows/sweep.yml: it has no input LEVEL";
    assert!(ran.code() == 0 && ran.has("a | > release 3 a") && ran.has(told), "{}", ran.text());
    assert!(!ran.text().contains("> sweep"), "{}", ran.text());
    let ran = project.run(&["workflow_dispatch", "--payload", r#"{"inputs": {"age": 3}}"#]);
    assert!(ran.code() == 0 && ran.has("a | > sweep 3") && !ran.text().contains("> release"), "{}", ran.text());
    let ran = project.run(&["workflow_dispatch", "-n", "--input", "level=3"]);
    assert!(
        ran.code() == 0 && ran.text().contains("release.yml") && ran.has(&told.replace("LEVEL", "level")),
        "{}",
        ran.text()
    );
    // Those that have it may still miss another; and what none has is a mistake.
    for (inputs, why) in [
        (&["--input", "kind=b"][..], "release.yml: Required input 'level' not provided"),
        (&["--input", "level=1", "--input", "age=2"], "Unexpected inputs provided: age"),
        (&["--input", "lvl=1"], "Unexpected inputs provided: lvl"),
        (&[], "Required input 'level' not provided"),
    ] {
        let ran = project.run(&[&["workflow_dispatch"], inputs].concat());
        assert!(ran.code() == 2 && ran.text().contains(why) && ran.0.stdout.is_empty(), "{why}: {}", ran.text());
    }
}

#[test]
fn a_folder_of_a_repository_says_where_the_workflows_are() {
    let project = Project::new(&[(".github/workflows/ci.yml", PIPELINE), ("sub/deep/file", "")]);
    let ran = project.run(&["-C", "sub/deep"]);
    let top = project.path().canonicalize().unwrap();
    let hint = format!("the repository's are run with -C {}\n", top.display());
    assert!(ran.code() == 2 && ran.text().ends_with(&hint), "{}", ran.text());
}

#[test]
fn what_would_run_is_of_the_jobs_that_are_asked_for() {
    let project = Project::new(&[(".github/workflows/ci.yml", PIPELINE)]);
    for (how, count) in [("-l", 3), ("-n", 5 + 1), ("-g", 4)] {
        let ran = project.run(&[how, "-j", "test"]);
        assert_eq!((ran.code(), ran.text().lines().count()), (0, count), "{how}: {}", ran.text());
        assert!(ran.text().contains("build") && !ran.text().contains("after"), "{how}: {}", ran.text());
        assert_eq!(project.run(&[how, "-j", "tset"]).code(), 2, "{how}");
        let lines = project.run(&[how, "-j", "test", "--json"]).text();
        let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((rows.len(), &rows[1]["needs"][0]), (2, &"build".into()), "{how}: {lines}");
        let step = if how == "-n" { "Run actions/checkout@v4".into() } else { Value::Null };
        assert_eq!(rows[0]["steps"][0]["name"], step, "{how}: {lines}");
    }
}

#[test]
fn json_without_logs_has_all_else() {
    let project =
        Project::of_workflow("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: 'echo ::error::ran' }]\n");
    let (loud, quiet) = (project.run(&["--json"]), project.run(&["--json", "-q"]));
    assert!(!loud.events("log").is_empty() && quiet.events("log").is_empty(), "{}", quiet.text());
    for kind in ["begin", "job.start", "step.end", "annotation", "job.end", "run.end", "end"] {
        assert_eq!(quiet.events(kind).len(), loud.events(kind).len(), "{kind}: {}", quiet.text());
        assert!(!quiet.events(kind).is_empty(), "{kind}: {}", quiet.text());
    }
}

#[test]
fn a_repository_without_a_commit_is_told_as_what_it_is() {
    let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ uses: actions/checkout@v4 }, { run: ls }]\n";
    let project = Project(tempfile::tempdir().unwrap());
    std::fs::create_dir_all(project.path().join(".github/workflows")).unwrap();
    for (path, text) in [(".github/workflows/ci.yml", text), (".gitignore", "made\n"), ("made", ""), ("kept", "")] {
        std::fs::write(project.path().join(path), text).unwrap();
    }
    let ran = project.run(&[]);
    assert!(ran.text().contains(": this folder, which is no git repository\n"), "{}", ran.text());
    project.git(&["init", "--quiet", "--initial-branch=trunk"]);
    let ran = project.run(&[]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    assert!(ran.text().starts_with("push on trunk of local/"), "{}", ran.text());
    assert!(ran.text().contains(": this folder, whose repository has no commit yet\n"), "{}", ran.text());
    assert!(ran.has("a | kept") && !ran.has("a | made"), "what is ignored is no file of it: {}", ran.text());
}

const CALLER: &str = "on: push
jobs:
  inner:
    uses: ./.github/workflows/inner.yml
    with: { what: moon }
    secrets: { key: '${{ secrets.MINE }}' }
  other:
    uses: acme/shared/.github/workflows/shared.yml@v1
    secrets: inherit
  after:
    needs: inner
    runs-on: x
    steps: [{ run: 'test ${{ needs.inner.outputs.said }} = moon-half' }]
";
const INNER: &str = "on:
  workflow_call:
    inputs: { what: { type: string } }
    secrets: { key: { required: true } }
    outputs: { said: { value: '${{ jobs.say.outputs.said }}' } }
jobs:
  say:
    runs-on: x
    outputs: { said: '${{ steps.s.outputs.said }}' }
    steps:
      - run: test \"${{ secrets.key }}\" = halfpenny && test \"${{ secrets.MINE }}\" = ''
      - { id: s, run: 'echo said=${{ inputs.what }}-half >> $GITHUB_OUTPUT' }
";
const SHARED: &str = "on: workflow_call
jobs:
  see:
    runs-on: x
    steps: [{ run: 'test ${{ secrets.MINE }} = halfpenny' }]
";

#[test]
fn called_workflows_get_inputs_and_the_secrets_that_are_handed_to_them() {
    let shared = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(shared.path().join(".github/workflows")).unwrap();
    std::fs::write(shared.path().join(".github/workflows/shared.yml"), SHARED).unwrap();
    let project = Project::new(&[(".github/workflows/ci.yml", CALLER), (".github/workflows/inner.yml", INNER)]);
    let source = format!("acme/shared={}", shared.path().display());
    let ran = project.run(&["-s", "MINE=halfpenny", "--action-source", &source]);
    assert_eq!(ran.code(), 0, "{}", ran.text());
    assert!(
        ran.text().contains("inner / say: success") && ran.text().contains("other / see: success"),
        "{}",
        ran.text()
    );
    let missing = project.run(&["-s", "MINE=halfpenny", "-j", "other"]);
    assert_eq!(missing.code(), 1);
    assert!(missing.text().contains("is not here"), "{}", missing.text());
}

/// A job that does not care for signals, and what runs after it.
const STUBBORN: &str = "on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: |
          trap '' INT TERM
          echo up
          sleep 300
      - if: always()
        run: echo afterwards
";

/// Runs the stubborn job, sends these signals once it is up, each behind the answer to the one before, and returns all that was said.
fn interrupted(signals: &[Signal]) -> (String, i32) {
    let project = Project::of_workflow(STUBBORN);
    let mut child = project.command(&[]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let pid = Pid::from_child(&child);
    let mut signals = signals.iter();
    let mut said = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if (line == "a | up" || line.starts_with("stopping;"))
            && let Some(signal) = signals.next()
        {
            kill_process(pid, *signal).unwrap();
        }
        said += &format!("{line}\n");
    }
    (said, child.wait().unwrap().code().unwrap_or(-1))
}

#[test]
fn a_second_interruption_ends_everything_at_once() {
    let began = Instant::now();
    let (said, code) = interrupted(&[Signal::INT, Signal::INT]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}: {said}", began.elapsed());
    assert!(said.contains("ending everything at once") && !said.contains("| afterwards"), "{said}");
    assert!(said.contains("a: cancelled"), "{said}");
    assert_eq!(code, 1, "{said}");
}

#[test]
fn being_told_to_end_is_an_interruption() {
    let (said, code) = interrupted(&[Signal::TERM]);
    assert!(said.contains("a | afterwards") && said.contains("a: cancelled"), "{said}");
    assert!(said.contains("a | Job cancelled: by you\n") && !said.contains("cancelled: cancelled"), "{said}");
    assert_eq!(code, 1, "{said}");
}

#[test]
fn each_line_of_a_schedule_is_played_unless_one_is_named() {
    let text = |lines: &str| {
        format!(
            "on:\n  schedule: [{lines}]\njobs:\n  a:\n    if: github.event.schedule != '7 7 * * *'\n    runs-on: x\n    steps: [{{ run: 'echo \"> ${{{{ github.workflow }}}} ${{{{ github.event.schedule }}}}\"' }}]\n"
        )
    };
    let (one, two) = (text("{ cron: '1 1 * * *' }, { cron: '2 2 * * *' }"), text("{ cron: '2 2 * * *' }"));
    let files = [(".github/workflows/one.yml", &*one), (".github/workflows/two.yml", &*two)];
    let project = Project::new(&files);
    let said = |arguments: &[&str]| {
        let ran = project.run(arguments);
        assert_eq!(ran.code(), 0, "{}", ran.text());
        let mut lines: Vec<String> = ran
            .text()
            .lines()
            .filter_map(|line| Some(line.strip_prefix("a | > .github/workflows/")?.to_owned()))
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(said(&["schedule"]), ["one.yml 1 1 * * *", "one.yml 2 2 * * *", "two.yml 2 2 * * *"]);
    assert_eq!(said(&["schedule", "--payload", r#"{"schedule": "1 1 * * *"}"#]), ["one.yml 1 1 * * *"]);
    let ran = project.run(&["schedule", "--payload", r#"{"schedule": "9 9 * * *"}"#]);
    for file in ["one", "two"] {
        let why = format!("not run: .github/workflows/{file}.yml: none of its schedules is '9 9 * * *'");
        assert!(ran.has(&why), "{}", ran.text());
    }
}

#[test]
fn a_made_up_event_says_what_it_lacks() {
    let project = Project::of_workflow(
        "on: [pull_request, issues]\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo \"> ${{ github.event.action }} ${{ github.event.number }} ${{ github.head_ref }} ${{ github.base_ref }}\"\n",
    );
    project.git(&["checkout", "--quiet", "-b", "topic"]);
    let ran = project.run(&["pull_request"]);
    assert!(ran.has("a | > opened 1 topic main") && !ran.text().contains("made up"), "{}", ran.text());
    let said = "the payload of issues is made up, with a repository and a sender: -e FILE or --payload gives the rest";
    assert!(project.run(&["issues"]).has(said));
    assert!(!project.run(&["issues", "--payload", r#"{"action": "opened"}"#]).text().contains("made up"));
}
