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
