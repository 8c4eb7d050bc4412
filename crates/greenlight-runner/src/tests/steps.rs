//! Steps: whether they run, with what, and what their end means.

use greenlight_core::run::Conclusion::{Failure, Skipped, Success};
use greenlight_workflow::Value;

use super::{Bench, order, run_steps, succeeded, workflow};

#[tokio::test]
async fn outputs_reach_later_steps_and_the_job() {
    let text = r#"
on: push
jobs:
  test:
    runs-on: x
    outputs:
      version: ${{ steps.one.outputs.version }}
      empty: ${{ steps.one.outputs.nothing }}
    environment: {name: staging, url: "https://${{ steps.one.outputs.version }}.test"}
    steps:
      - id: one
        run: echo "version=v${{ github.run_number }}" >> "$GITHUB_OUTPUT"
      - run: echo "got ${{ steps.one.outputs.version }} ${{ steps.one.outcome }}"
"#;
    let done = Bench::new().run(order(text)).await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "got v5 success\n");
    assert_eq!(done.end.outputs, [("version".into(), "v5".into())]);
    assert_eq!(done.end.environment_url.as_deref(), Some("https://v5.test"));
    assert_eq!(&*done.end.reason, "all steps succeeded");
}

#[tokio::test]
async fn a_failure_skips_what_does_not_ask_for_it() {
    let done = run_steps(
        "- run: exit 3
  name: Make it so
- run: echo skipped
- if: failure()
  run: echo 'after failure'
- if: always()
  run: echo 'always ${{ job.status }}'
- if: success() || steps.x.outcome == 'x'
  run: echo no",
    )
    .await;
    assert_eq!(done.place.conclusions(), [Failure, Skipped, Success, Success, Skipped]);
    assert_eq!(&*done.end.reason, "step 'Make it so' failed with exit code 3");
    assert_eq!(done.end.conclusion, Failure);
    assert_eq!(done.place.said(1), "##[error]Process completed with exit code 3.\n");
    assert_eq!(done.place.said(4), "always failure\n");
}

#[tokio::test]
async fn a_step_may_fail_where_it_says_so() {
    let done = run_steps(
        "- id: a
  continue-on-error: ${{ 1 == 1 }}
  run: exit 1
- run: echo '${{ steps.a.outcome }} ${{ steps.a.conclusion }}'",
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "failure success\n");
}

#[tokio::test]
async fn env_is_taken_from_the_nearest() {
    let text = "
on: push
env: {A: workflow, B: workflow, C: workflow, D: workflow, GITHUB_SHA: mine}
jobs:
  test:
    runs-on: x
    env: {B: job, C: job, D: job}
    steps:
      - run: |
          echo 'C=file' >> $GITHUB_ENV
          echo 'D=file' >> $GITHUB_ENV
      - env: {D: step}
        run: echo \"$A $B $C $D $E ${{ env.C }} ${{ env.D }} $GITHUB_SHA\"
";
    let mut order = order(text);
    order.env = vec![("E".into(), "order".into()), ("A".into(), "order".into())];
    let done = Bench::new().run(order).await;
    succeeded(&done);
    let sha = "ab".repeat(20);
    assert_eq!(done.place.said(2), format!("order job file step order file step {sha}\n"));
}

#[tokio::test]
async fn matrix_needs_and_strategy_are_seen() {
    let mut order = order(&workflow(
        "- run: echo '${{ matrix.os }} ${{ needs.build.outputs.x }} ${{ needs.build.result }} ${{ strategy.job-total }} ${{ runner.os }}'",
    ));
    order.matrix = Value::from_json(r#"{"os": "linux"}"#).unwrap();
    order.needs = Value::from_json(r#"{"build": {"result": "success", "outputs": {"x": "1"}}}"#).unwrap();
    order.strategy = Value::from_json(r#"{"job-total": 4}"#).unwrap();
    let done = Bench::new().run(order).await;
    assert_eq!(done.place.said(1), "linux 1 success 4 Linux\n");
}

#[tokio::test]
async fn the_usual_variables_are_there_and_the_servers_are_not() {
    let done = run_steps(
        r#"- id: me
  run: |
    echo "$CI $GITHUB_ACTIONS $GREENLIGHT $RUNNER_OS $RUNNER_NAME $GITHUB_ACTOR $GITHUB_JOB $GITHUB_RUN_NUMBER $GITHUB_ACTION"
    test "$PWD" = "$GITHUB_WORKSPACE" && test -z "$(ls -A)" && test -d "$RUNNER_TEMP" && test -d "$HOME" && echo folders
    grep -o '"after":"abab"' "$GITHUB_EVENT_PATH"
    env | grep -c -E '^(CARGO|RUST)' || true
- env: {CI: no}
  run: echo "$CI $(nice)""#,
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(1), "true true true Linux bench mona test 5 me\nfolders\n\"after\":\"abab\"\n0\n");
    assert_eq!(done.place.said(2), "no 19\n");
}

#[tokio::test]
async fn shells_and_folders_are_as_they_say() {
    let text = "
on: push
defaults: {run: {shell: sh}}
jobs:
  test:
    runs-on: x
    defaults: {run: {working-directory: sub}}
    steps:
      - working-directory: .
        run: mkdir sub; echo $0 | sed 's|.*/||'
      - run: basename $PWD
      - shell: bash
        run: false | true; echo not reached
        continue-on-error: true
      - shell: bash -e {0}
        run: false | true; echo reached
      - shell: cat {0}
        run: not a script
      - shell: nothing
        continue-on-error: true
        run: x
      - working-directory: nowhere
        run: x
";
    let done = Bench::new().run(order(text)).await;
    assert_eq!(done.place.said(1), "_step_1.sh\n");
    assert_eq!(done.place.said(2), "sub\n");
    assert!(!done.place.said(3).contains("not reached"));
    assert_eq!(done.place.said(4), "reached\n");
    assert_eq!(done.place.said(5).trim(), "not a script");
    assert!(done.place.log(6).contains("Invalid shell option 'nothing'"), "{}", done.place.log(6));
    assert!(done.end.reason.contains("nowhere, which is not there"), "{}", done.end.reason);
}

#[tokio::test]
async fn a_condition_that_cannot_be_computed_fails_the_step() {
    let done = run_steps("- if: fromJSON('{') == 1\n  continue-on-error: true\n  run: echo x").await;
    assert_eq!(done.end.conclusion, Failure);
    assert!(done.end.reason.contains("its if cannot be computed"), "{}", done.end.reason);
}

#[tokio::test]
async fn a_workflow_that_cannot_be_read_names_the_place() {
    let done = Bench::new().run(order("on: push\njobs:\n  test:\n    runs-on: x\n    stepz: []\n")).await;
    assert_eq!(done.end.conclusion, Failure);
    assert!(done.end.reason.contains("stepz"), "{}", done.end.reason);
}

/// Everything that GitHub gives to every step, `GITHUB_` left out, as its runner's own list has it.
const GITHUB: [&str; 39] = [
    "ACTION",
    "ACTION_PATH",
    "ACTION_REF",
    "ACTION_REPOSITORY",
    "ACTOR",
    "ACTOR_ID",
    "API_URL",
    "ARTIFACTS",
    "ARTIFACTS_LIST",
    "BASE_REF",
    "ENV",
    "EVENT_NAME",
    "EVENT_PATH",
    "GRAPHQL_URL",
    "HEAD_REF",
    "JOB",
    "OUTPUT",
    "PATH",
    "REF",
    "REF_NAME",
    "REF_PROTECTED",
    "REF_TYPE",
    "REPOSITORY",
    "REPOSITORY_ID",
    "REPOSITORY_OWNER",
    "REPOSITORY_OWNER_ID",
    "RETENTION_DAYS",
    "RUN_ATTEMPT",
    "RUN_ID",
    "RUN_NUMBER",
    "SERVER_URL",
    "SHA",
    "STATE",
    "STEP_SUMMARY",
    "TRIGGERING_ACTOR",
    "WORKFLOW",
    "WORKFLOW_REF",
    "WORKFLOW_SHA",
    "WORKSPACE",
];

#[tokio::test]
async fn all_variables_of_github_are_there_and_nobody_changes_them() {
    let mut order = order(&workflow(
        "- uses: octo/show@v1
  env: {GITHUB_SHA: mine, RUNNER_OS: mine, GITHUB_OUTPUT: mine}",
    ));
    let context: Vec<String> = GITHUB
        .iter()
        .filter(|name| !["ACTION", "JOB", "WORKSPACE", "EVENT_PATH"].contains(name))
        .map(|name| format!("\"{}\": \"the {name}\"", name.to_lowercase()))
        .collect();
    order.github = Value::from_json(&format!("{{\"event\": {{}}, {}}}", context.join(", "))).unwrap();
    let show = "name: show\nruns: {using: composite, steps: [{shell: bash, run: env | sort}]}";
    let bench = Bench::new().with_repositories(&[("octo/show/action.yml", show)]);
    let done = bench.run(order).await;
    succeeded(&done);
    let log = done.place.log(1);
    let value = |name: &str| log.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
    for name in GITHUB {
        let found = value(&format!("GITHUB_{name}"));
        assert!(found.is_some_and(|found| !found.is_empty() && found != "mine"), "GITHUB_{name} is {found:?}");
    }
    assert_eq!((value("GITHUB_SHA"), value("GITHUB_ACTION_REPOSITORY")), (Some("the SHA"), Some("octo/show")));
    for name in ["OS", "ARCH", "NAME", "TEMP", "TOOL_CACHE", "WORKSPACE", "ENVIRONMENT"] {
        let found = value(&format!("RUNNER_{name}"));
        assert!(found.is_some_and(|found| !found.is_empty() && found != "mine"), "RUNNER_{name} is {found:?}");
    }
}

#[tokio::test]
async fn steps_say_what_they_made() {
    let done = run_steps(
        "- run: |
    cat $GITHUB_ARTIFACTS_LIST; echo
    echo dist/app.tar.gz >> $GITHUB_ARTIFACTS
- run: |
    printf 'oci://registry.example/app@sha256:0123\\ndist/app.tar.gz\\n' >> $GITHUB_ARTIFACTS
- run: cat $GITHUB_ARTIFACTS_LIST",
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(1), "[]\n");
    assert_eq!(done.place.said(3), "[\"dist/app.tar.gz\",\"oci://registry.example/app@sha256:0123\"]\n");
}

#[tokio::test]
async fn files_are_hashed_in_steps() {
    let done = run_steps(
        "- run: mkdir -p .hidden && echo one > .hidden/a.lock && echo two > b.lock
- if: hashFiles('**/*.lock') != ''
  env: {KEY: \"${{ hashFiles('**/*.lock') }}\"}
  run: |
    test \"$KEY\" = \"$( (openssl dgst -sha256 -binary .hidden/a.lock; openssl dgst -sha256 -binary b.lock) | openssl dgst -sha256 | sed 's/.*= //')\" && echo same
- if: hashFiles('*.none') != ''
  run: echo no",
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "same\n");
    assert_eq!(done.place.conclusions(), [Success, Success, Skipped]);
}

#[tokio::test]
async fn an_action_made_of_steps_ends_with_its_time() {
    let slow =
        "name: s\nruns: {using: composite, steps: [{shell: bash, run: sleep 7783}, {shell: bash, run: echo no}]}";
    let bench = Bench::new().with_files(&[("slow/action.yml", slow)]);
    let done = bench
        .steps(
            "- uses: actions/checkout@v4\n- uses: ./slow\n  timeout-minutes: 0.005\n- if: failure()\n  run: echo after",
        )
        .await;
    assert_eq!(done.place.conclusions(), [Success, Failure, Success]);
    assert!(done.place.log(2).contains("took longer than the step that it is part of"), "{}", done.place.log(2));
    assert!(!done.place.log(2).contains("no\n"));
}

#[tokio::test]
async fn outputs_of_an_action_see_the_variables_of_its_step() {
    let action = "
name: o
outputs: {said: {value: '${{ env.OWN }} ${{ env.SET }}'}}
runs: {using: composite, steps: [{shell: bash, run: 'echo SET=inside >> $GITHUB_ENV'}]}
";
    let bench = Bench::new().with_files(&[("o/action.yml", action)]);
    let done = bench
        .steps(
            "- uses: actions/checkout@v4
- id: o
  uses: ./o
  env: {OWN: caller}
- run: echo '${{ steps.o.outputs.said }}'",
        )
        .await;
    succeeded(&done);
    assert_eq!(done.place.said(3), "caller inside\n");
}
