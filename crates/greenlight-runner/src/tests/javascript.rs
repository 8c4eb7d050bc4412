//! Actions that are JavaScript. Node runs them where there is one.

use greenlight_core::run::Conclusion::{Failure, Success};

use super::{Bench, has_node, succeeded};
use crate::host::StepState;

const MANIFEST: &str = r#"
name: Parts
inputs:
  who: {default: "${{ github.actor }}"}
  fetch-depth: {default: "1"}
outputs: {said: {description: what it said}}
runs: {using: node24, pre: pre.js, main: lib/main.js, post: post.js}
"#;

const PRE: &str = r#"
const fs = require('fs');
console.log(`pre of ${process.env.INPUT_WHO}, state ${process.env.STATE_seen}`);
fs.appendFileSync(process.env.GITHUB_STATE, 'seen=in pre\n');
"#;

const MAIN: &str = r#"
const fs = require('fs');
const env = process.env;
console.log(`main of ${env.INPUT_WHO}, depth ${env['INPUT_FETCH-DEPTH']}, state ${env.STATE_seen}, ${env.GITHUB_ACTION_REPOSITORY} ${env.GITHUB_ACTION_REF}`);
console.log(`token ${env.ACTIONS_RUNTIME_TOKEN ? 'there' : 'missing'}, cwd is workspace: ${process.cwd() === env.GITHUB_WORKSPACE}`);
fs.appendFileSync(env.GITHUB_OUTPUT, `said<<END\nhello ${env.INPUT_WHO}\nEND\n`);
console.log('::save-state name=seen::in main');
fs.appendFileSync(env.GITHUB_ENV, 'FROM_JS=yes\n');
if (env.INPUT_WHO === 'nobody') process.exit(7);
"#;

const POST: &str = r#"
console.log(`post of ${process.env.INPUT_WHO}, state ${process.env.STATE_seen}, job env ${process.env.FROM_JS}`);
"#;

fn bench() -> Bench {
    Bench::new().with_repositories(&[
        ("octo/parts/action.yml", MANIFEST),
        ("octo/parts/pre.js", PRE),
        ("octo/parts/lib/main.js", MAIN),
        ("octo/parts/post.js", POST),
    ])
}

/// Returns the names of the steps that ended, in their order.
fn names(bench: &Bench) -> Vec<String> {
    let updates = bench.place.updates.lock().unwrap();
    let ended = updates.iter().filter(|update| matches!(update.state, StepState::Completed { .. }));
    ended.map(|update| update.name.to_string()).collect()
}

#[tokio::test]
async fn pre_main_and_post_run_with_their_state() {
    if !has_node("pre_main_and_post_run_with_their_state") {
        return;
    }
    let bench = bench();
    bench.place.given.lock().unwrap().action_env = vec![("ACTIONS_RUNTIME_TOKEN".into(), "runtime-token".into())];
    let done = bench
        .steps(
            "- run: echo \"first ${ACTIONS_RUNTIME_TOKEN:-no token}\"
- id: one
  uses: octo/parts@v1
  with: {who: one}
- id: two
  uses: octo/parts@v1
- run: echo \"${{ steps.one.outputs.said }}, ${{ steps.two.outputs.said }}, $FROM_JS, ${INPUT_WHO:-none}\"",
        )
        .await;
    succeeded(&done);
    assert_eq!(
        names(&bench),
        [
            "Set up job",
            "Pre Run octo/parts@v1",
            "Pre Run octo/parts@v1",
            "Run echo \"first ${ACTIONS_RUNTIME_TOKEN:-no token}\"",
            "Run octo/parts@v1",
            "Run octo/parts@v1",
            "Run echo \"hello one, hello mona, $FROM_JS, ${INPUT_WHO:-none}\"",
            "Post Run octo/parts@v1",
            "Post Run octo/parts@v1",
            "Complete job"
        ]
    );
    assert_eq!(done.place.said(1), "pre of one, state undefined\n");
    assert_eq!(done.place.said(2), "pre of mona, state undefined\n");
    assert_eq!(done.place.said(3), "first no token\n");
    assert_eq!(
        done.place.said(4),
        "main of one, depth 1, state in pre, octo/parts v1\ntoken there, cwd is workspace: true\n"
    );
    assert_eq!(done.place.said(6), "hello one, hello mona, yes, none\n");
    assert_eq!(done.place.said(7), "post of mona, state in main, job env yes\n", "the last one first");
    assert_eq!(done.place.said(8), "post of one, state in main, job env yes\n");
}

#[tokio::test]
async fn a_failed_action_has_its_post_part_and_a_failed_post_part_fails_the_job() {
    if !has_node("a_failed_action_has_its_post_part_and_a_failed_post_part_fails_the_job") {
        return;
    }
    let done = bench().steps("- uses: octo/parts@v1\n  with: {who: nobody}\n- run: echo no").await;
    assert_eq!(done.end.conclusion, Failure);
    assert_eq!(&*done.end.reason, "step 'Run octo/parts@v1' failed with exit code 7");
    assert_eq!(done.place.said(4), "post of nobody, state in main, job env yes\n");
    let failing = Bench::new().with_repositories(&[
        ("octo/bad/action.yml", "name: b\nruns: {using: node20, main: m.js, post: p.js}"),
        ("octo/bad/m.js", ""),
        ("octo/bad/p.js", "process.exit(2)"),
    ]);
    let done = failing.steps("- uses: octo/bad@v1\n- run: exit 0").await;
    assert_eq!(&*done.end.reason, "step 'Post Run octo/bad@v1' failed with exit code 2");
    let done = failing.steps("- uses: octo/bad@v1\n  continue-on-error: true\n- run: exit 0").await;
    succeeded(&done);
}

#[tokio::test]
async fn conditions_of_parts_look_at_the_job() {
    if !has_node("conditions_of_parts_look_at_the_job") {
        return;
    }
    let manifest = "
name: c
runs:
  using: node20
  pre: say.js
  pre-if: failure()
  main: say.js
  post: say.js
  post-if: failure() && runner.os == 'Linux'
";
    let bench =
        Bench::new().with_repositories(&[("octo/c/action.yml", manifest), ("octo/c/say.js", "console.log('ran')")]);
    let done = bench.steps("- uses: octo/c@v1\n- run: exit 1").await;
    assert_eq!(done.place.said(1), "", "the pre part was skipped");
    assert_eq!((done.place.said(2), done.place.said(4)), ("ran\n".into(), "ran\n".into()));
    let done = bench_again(&bench).steps("- uses: octo/c@v1").await;
    succeeded(&done);
    assert_eq!(done.place.said(3), "", "nothing failed");
}

/// Returns another bench with the same actions.
fn bench_again(bench: &Bench) -> Bench {
    let again = Bench::new();
    *again.place.actions.lock().unwrap() = bench.place.actions.lock().unwrap().clone();
    again
}

#[tokio::test]
async fn actions_of_the_workspace_have_no_pre_part() {
    if !has_node("actions_of_the_workspace_have_no_pre_part") {
        return;
    }
    let bench = Bench::new().with_files(&[
        (".github/js/action.yml", MANIFEST),
        (".github/js/pre.js", PRE),
        (".github/js/lib/main.js", MAIN),
        (".github/js/post.js", POST),
    ]);
    let done = bench.steps("- uses: actions/checkout@v4\n- uses: ./.github/js\n  with: {who: me}").await;
    succeeded(&done);
    assert!(done.place.log(2).contains("`pre` execution is not supported for local action from './.github/js'"));
    assert!(
        done.place.log(2).contains("main of me, depth 1, state undefined, undefined undefined\n"),
        "{}",
        done.place.log(2)
    );
    assert_eq!(done.place.said(3), "post of me, state in main, job env yes\n");
}

#[tokio::test]
async fn actions_within_actions_have_their_parts_too() {
    if !has_node("actions_within_actions_have_their_parts_too") {
        return;
    }
    let outer = "
name: o
inputs: {name: {default: inner}}
runs:
  using: composite
  steps:
    - {uses: octo/parts@v1, with: {who: '${{ inputs.name }} a'}}
    - {uses: octo/parts@v1, if: inputs.name == 'never', with: {who: b}}
    - {uses: octo/parts@v1, with: {who: '${{ inputs.name }} c'}}
";
    let bench = Bench::new().with_repositories(&[
        ("octo/parts/action.yml", MANIFEST),
        ("octo/parts/pre.js", PRE),
        ("octo/parts/lib/main.js", MAIN),
        ("octo/parts/post.js", POST),
        ("octo/outer/action.yml", outer),
    ]);
    let done = bench.steps("- uses: octo/outer@v1\n  with: {name: given}\n- run: echo end").await;
    succeeded(&done);
    let whole = done.place.whole();
    let said: Vec<&str> = whole.lines().filter(|line| line.contains(" of ") && line.contains("state")).collect();
    let begins: Vec<String> = said.iter().map(|line| line.split(", ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(
        begins,
        [
            "pre of given a",
            "pre of b",
            "pre of given c",
            "main of given a",
            "main of given c",
            "post of given c",
            "post of b",
            "post of given a"
        ]
        .map(str::to_owned)
        .to_vec(),
        "{whole}"
    );
}

#[tokio::test]
async fn a_node_that_is_not_there_is_named() {
    let mut options = bench().options();
    options.nodes.insert(24, "/nowhere/node".into());
    let bench = bench();
    let order = super::order(&super::workflow("- uses: octo/parts@v1"));
    let ended = crate::job::run_job(order, bench.place.clone(), bench.stop.subscribe(), &options).await;
    ended.cleanup.finish().await;
    assert_eq!(ended.end.conclusion, Failure);
    assert!(ended.end.reason.contains("cannot be started"), "{}", ended.end.reason);
    assert_ne!(ended.end.conclusion, Success);
}

#[tokio::test]
async fn a_cancelled_job_still_runs_its_post_parts() {
    if !has_node("a_cancelled_job_still_runs_its_post_parts") {
        return;
    }
    let bench = bench();
    let steps = "- uses: octo/parts@v1\n  with: {who: me}\n- run: |\n    echo ready\n    sleep 7791\n- run: echo no";
    let job = bench.steps(steps);
    let stop = async {
        bench.heard("ready").await;
        crate::stop::tell(&bench.stop, crate::stop::Stop::Cancelled("by a person".into()));
    };
    let (done, ()) = tokio::join!(job, stop);
    assert_eq!(done.end.conclusion, greenlight_core::run::Conclusion::Cancelled);
    assert_eq!(done.place.said(5), "post of me, state in main, job env yes\n");
}

#[tokio::test]
async fn what_an_action_keeps_is_its_own() {
    if !has_node("what_an_action_keeps_is_its_own") {
        return;
    }
    let keeper = "name: k\nruns: {using: node20, main: m.js, post: p.js}";
    let bench = Bench::new().with_repositories(&[
        ("octo/keeper/action.yml", keeper),
        ("octo/keeper/m.js", "require('fs').appendFileSync(process.env.GITHUB_STATE, 'a=1\\nb<<E\\n2\\n3\\nE\\n')"),
        ("octo/keeper/p.js", "console.log(process.env.STATE_a, JSON.stringify(process.env.STATE_b))"),
        ("octo/other/action.yml", keeper),
        ("octo/other/m.js", ""),
        ("octo/other/p.js", "console.log(process.env.STATE_a)"),
    ]);
    let done =
        bench.steps("- uses: octo/keeper@v1\n- uses: octo/other@v1\n- run: echo \"state ${STATE_a:-none}\"").await;
    succeeded(&done);
    assert_eq!(done.place.said(3), "state none\n");
    assert_eq!((done.place.said(4), done.place.said(5)), ("undefined\n".into(), "1 \"2\\n3\"\n".into()));
}
