//! What `exec` says, to whom, and in which order.

use std::process::{Command, Stdio};

use super::{PIPELINE, Project};

#[test]
fn why_a_step_failed_is_a_sentence() {
    for (step, in_log, reason) in [
        (
            "{ name: s, run: echo, shell: fish }",
            "The step cannot be started: Invalid shell option 'fish'.",
            "cannot be started: Invalid",
        ),
        ("{ name: s, run: echo, working-directory: nowhere }", "The step wants to work in ", "wants to work in "),
        (
            "{ name: s, run: 'echo a >> $GITHUB_OUTPUT' }",
            "Unable to process file command 'output' successfully: Invalid format 'a'",
            "failed: Unable to process file command 'output'",
        ),
    ] {
        let text = format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{step}]\n");
        let ran = Project::of_workflow(&text).run(&[]);
        assert_eq!(ran.code(), 1, "{}", ran.text());
        for line in [format!("a | ##[error]{in_log}"), format!("a | Job failure: step 's' {reason}")] {
            assert!(ran.text().lines().any(|said| said.starts_with(&line)), "{line}: {}", ran.text());
        }
    }
}

#[test]
fn a_run_is_told_in_order_and_what_matters_at_its_end() {
    let project = Project::of_workflow(
        "name: CI\non: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: exit 0\n      - { name: Perhaps, run: exit 1, continue-on-error: true }\n      - run: |\n          echo '::error file=src/a.c,line=7::boom%0Aand more'\n          echo '::warning title=Hm::careful'\n          echo '# Results' >> $GITHUB_STEP_SUMMARY\n          exit 3\n",
    );
    for arguments in [&[][..], &["-q"]] {
        let ran = project.run(arguments);
        assert_eq!(ran.code(), 1);
        let text = ran.text();
        let wanted = [
            "a: started",
            "a | ##[group]Run exit 0",
            "a: Run exit 0: success in",
            "a: Perhaps: success (failed, continue-on-error) in",
            "a | ##[error]boom",
            "a | ##[error]Process completed with exit code 3.",
            "failure in",
            "a | Job failure: step 'Run ",
            "a: failure in",
            "a: summary",
            "    # Results",
            "a: src/a.c:7: error: boom",
            "    and more",
            "a: warning: Hm: careful",
            "CI: failure: ",
        ];
        let mut rest = &*text;
        for line in wanted.iter().filter(|line| arguments.is_empty() || !line.contains(" | ")) {
            let place = rest.find(line).unwrap_or_else(|| panic!("'{line}' is not where it should be: {text}"));
            rest = &rest[place + line.len()..];
        }
    }
}

/// A stream that nobody reads.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[test]
fn who_is_read_no_further_ends_in_silence() {
    let project = Project::new(&[(".github/workflows/ci.yml", PIPELINE), ("made.txt", "it"), ("bad.yml", "x: 1\n")]);
    let greenlight = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
        command.args(arguments).current_dir(project.path()).env("TMPDIR", project.path().parent().unwrap());
        command
    };
    for arguments in [&["exec", "-l"][..], &["exec", "-n"], &["config", "show"], &["workflow", "list"], &["exec"]] {
        let output = greenlight(arguments).stdout(unread()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{arguments:?}");
    }
    for arguments in [&["config", "check"][..], &["workflow", "check", "bad.yml"], &["exec", "-j", "nope"]] {
        let status = greenlight(arguments).stdout(Stdio::null()).stderr(unread()).status().unwrap();
        assert!(status.code().is_some_and(|code| code < 5), "{arguments:?}: {status}");
    }
}

/// Runs a workflow of one job as on a terminal. Returns what came to it.
fn on_a_terminal(steps: &str) -> String {
    let project = Project::of_workflow(&format!("on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n{steps}"));
    let program = format!("'{}' exec", env!("CARGO_BIN_EXE_greenlight"));
    let output = Command::new("script")
        .args(["-qec", &program, "/dev/null"])
        .current_dir(project.path())
        .env("TERM", "xterm")
        .env("TMPDIR", project.path().parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .expect("script is a part of every Debian");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn a_terminal_shows_what_runs_now() {
    let text = on_a_terminal("      - { name: Take a while, run: 'sleep 2; echo done' }\n");
    assert!(text.contains("── 1 running, 0 over"), "{text}");
    assert!(text.contains("   a  1 s  Take a while (1 s)"), "jobs and steps with their times: {text}");
    assert!(text.contains("a | done") && text.contains("\u{1b}[32msuccess after"), "{text}");
    assert!(!text.trim_end().ends_with("over"), "nothing is drawn below the end: {text}");
}

#[test]
fn a_terminal_obeys_no_job() {
    let text = on_a_terminal(
        "      - name: \"a \\e[2J name\"\n        run: |\n          printf 'one\\033[2J\\033[5A two\\033]0;title\\007 \\033[31mred\\n'\n          printf '\\033[?1049hthree\\n'\n          printf '::notice::four\\033[H!\\n'\n",
    );
    assert!(text.contains("a | one two \u{1b}[31mred"), "{text:?}");
    assert!(text.contains("a | three\u{1b}[0m\r\n") || text.contains("a | three\r\n"), "{text:?}");
    assert!(text.contains("a: notice: four!") && text.contains("a: a  name: success"), "{text:?}");
    // What it draws itself moves the cursor only above its own lines, and clears below.
    for order in ["[2J", "[5A", "[H", "]0;", "[?"] {
        assert!(!text.contains(&format!("\u{1b}{order}")), "{order}: {text:?}");
    }
    let (_, after) = text.split_once("\u{1b}[31mred").unwrap();
    let (_, next) = after.split_once("\u{1b}[0m").expect("its colour ends");
    assert!(next.contains("running"), "before the lines below: {text:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_no_success_and_is_named_at_the_end() {
    let good = "on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{ run: 'true' }]\n";
    let project =
        Project::new(&[(".github/workflows/bad.yml", "on: push\njobs: 3\n"), (".github/workflows/good.yml", good)]);
    let said = "not run: .github/workflows/bad.yml cannot be read, as said above";
    for arguments in [&[][..], &["-q"]] {
        let ran = project.run(arguments);
        let text = ran.text();
        let last: Vec<&str> = text.lines().rev().take(2).collect();
        assert_eq!((ran.code(), last[1]), (1, said), "{text}");
        assert!(last[0].starts_with("failure after ") && text.contains("a: success"), "{text}");
    }
    for arguments in [&["--json"][..], &["--json", "-q"], &["--json", "-W", ".github/workflows/bad.yml"]] {
        let ran = project.run(arguments);
        assert_eq!((ran.code(), &ran.events("end")[0]["conclusion"]), (1, &"failure".into()), "{}", ran.text());
        assert_eq!(ran.events("notice").last().unwrap()["message"], said);
    }
}

/// What GitHub gives to every step that is no action's part, `GITHUB_` left out.
const GIVEN: &str = "ACTION ACTION_REF ACTION_REPOSITORY ACTIONS ACTOR ACTOR_ID API_URL ARTIFACTS ARTIFACTS_LIST BASE_REF ENV EVENT_NAME EVENT_PATH GRAPHQL_URL HEAD_REF JOB OUTPUT PATH REF REF_NAME REF_PROTECTED REF_TYPE REPOSITORY REPOSITORY_ID REPOSITORY_OWNER REPOSITORY_OWNER_ID RETENTION_DAYS RUN_ATTEMPT RUN_ID RUN_NUMBER SERVER_URL SHA STATE STEP_SUMMARY TRIGGERING_ACTOR WORKFLOW WORKFLOW_REF WORKFLOW_SHA WORKSPACE";

#[test]
fn a_step_has_all_variables_of_github() {
    let project = Project::of_workflow(
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: echo \"> $(env | sed -n 's/^GITHUB_\\([A-Z_]*\\)=.*/\\1/p' | LC_ALL=C sort | tr '\\n' ' ')\"\n      - run: echo \"> $GITHUB_REF_PROTECTED $GITHUB_RETENTION_DAYS ${{ github.ref_protected == false }}\"\n",
    );
    let ran = project.run(&[]);
    let text = ran.text();
    let names = text.lines().find_map(|line| line.strip_prefix("a | > ")).unwrap_or_default();
    let mut known: Vec<&str> = GIVEN.split(' ').collect();
    known.sort_unstable();
    assert_eq!(names.split_whitespace().collect::<Vec<_>>(), known, "{text}");
    assert!(ran.has("a | > false 90 true"), "{text}");
}
