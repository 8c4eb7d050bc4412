//! Steps that run beside each other.

use std::time::Duration;

use greenlight_core::run::Conclusion::{Cancelled, Failure, Skipped, Success};

use super::{Bench, order, run_steps, succeeded, workflow};
use crate::background::BACKGROUND_MAX;
use crate::stop::{Stop, tell};

#[tokio::test]
async fn a_step_in_the_background_counts_when_it_was_waited_for() {
    let done = run_steps(
        "- id: server
  background: true
  run: |
    touch started
    while [ ! -e go ]; do sleep 0.01; done
    echo 'port=4567' >> $GITHUB_OUTPUT
    echo 'PORT=4567' >> $GITHUB_ENV
- run: |
    while [ ! -e started ]; do sleep 0.01; done
    touch go
    echo \"before: '${{ steps.server.outputs.port }}' $PORT\"
- wait: server
- run: echo \"after ${{ steps.server.outputs.port }} $PORT ${{ steps.server.outcome }}\"",
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(2), "before: '' \n");
    assert_eq!(done.place.said(4), "after 4567 4567 success\n");
    assert_eq!(done.place.log(3), "Waiting for server\n");
}

#[tokio::test]
async fn parallel_steps_run_at_the_same_time_and_have_logs_of_their_own() {
    let done = run_steps(
        "- parallel:
    - id: a
      run: touch a; while [ ! -e b ]; do sleep 0.01; done; echo 'from a'; echo x=1 >> $GITHUB_OUTPUT
    - id: b
      run: touch b; while [ ! -e a ]; do sleep 0.01; done; echo 'from b'; echo x=2 >> $GITHUB_OUTPUT
- run: echo '${{ steps.a.outputs.x }} ${{ steps.b.outputs.x }}'",
    )
    .await;
    succeeded(&done);
    assert_eq!((done.place.said(1), done.place.said(2)), ("from a\n".into(), "from b\n".into()));
    assert_eq!(done.place.said(4), "1 2\n");
}

#[tokio::test]
async fn a_failure_in_the_background_fails_what_waits_for_it() {
    let done = run_steps(
        "- id: bad
  background: true
  run: exit 4
- id: good
  background: true
  run: exit 0
- wait: [good]
- run: echo 'not yet known ${{ steps.bad.outcome }}'
- wait-all:
- run: echo never
- if: failure()
  run: echo 'bad is ${{ steps.bad.outcome }}'",
    )
    .await;
    assert_eq!(done.end.conclusion, Failure);
    assert_eq!(&*done.end.reason, "step 'Run exit 4' failed with exit code 4");
    assert_eq!(done.place.said(4), "not yet known \n");
    assert_eq!(done.place.said(7), "bad is failure\n");
    assert!(done.place.log(5).contains("waited for what failed: Run exit 4"), "{}", done.place.log(5));
}

#[tokio::test]
async fn what_nobody_waited_for_counts_at_the_end() {
    let done = run_steps("- background: true\n  run: sleep 0.2; exit 5\n- run: echo quick").await;
    assert_eq!(done.end.conclusion, Failure);
    assert_eq!(&*done.end.reason, "step 'Run sleep 0.2; exit 5' failed with exit code 5");
}

#[tokio::test]
async fn a_step_that_another_one_cancels_does_not_fail_the_job() {
    let done = run_steps(
        "- id: server
  background: true
  run: |
    trap 'echo stopped; exit 0' INT
    touch ready
    while true; do sleep 0.01; done
- run: while [ ! -e ready ]; do sleep 0.01; done
- cancel: server
- run: echo 'it is ${{ steps.server.outcome }}'",
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(4), "it is cancelled\n");
    assert!(done.place.log(1).contains("stopped\n"), "{}", done.place.log(1));
}

#[tokio::test]
async fn a_step_that_is_cancelled_before_it_began_is_cancelled_all_the_same() {
    let done = run_steps(
        "- id: server
  background: true
  run: touch began
- cancel: server
- id: never
  if: 'false'
  background: true
  run: echo no
- cancel: never
- run: echo 'they are ${{ steps.server.outcome }} and ${{ steps.never.outcome }}'; ls",
    )
    .await;
    succeeded(&done);
    assert_eq!(done.place.said(5), "they are cancelled and skipped\n");
}

#[tokio::test]
async fn a_step_that_is_cancelled_while_it_waits_for_its_turn_waits_no_longer() {
    let busy = "- background: true\n  run: while [ ! -e go ]; do sleep 0.01; done\n".repeat(BACKGROUND_MAX);
    let steps = format!(
        "{busy}- id: last
  background: true
  run: touch go
- cancel: last
- run: |
    test ! -e go
    touch go
    echo 'it is ${{{{ steps.last.outcome }}}}'"
    );
    let done = tokio::time::timeout(Duration::from_secs(60), run_steps(&steps)).await.expect("nobody waits for ever");
    succeeded(&done);
    assert_eq!(done.place.said(13), "it is cancelled\n");
}

#[tokio::test]
async fn a_cancelled_job_ends_its_steps_in_the_background() {
    let bench = Bench::new();
    let steps = "- background: true
  run: sleep 7781
- run: |
    echo ready
    sleep 7782
- run: echo no
- if: always()
  run: echo always";
    let job = bench.run(order(&workflow(steps)));
    let stop = async {
        bench.heard("ready").await;
        tell(&bench.stop, Stop::Cancelled("by a person".into()));
    };
    let (done, ()) = tokio::join!(job, stop);
    assert_eq!(done.end.conclusion, Cancelled);
    let mut conclusions = done.place.conclusions();
    conclusions.sort_by_key(|conclusion| conclusion.as_result());
    assert_eq!(conclusions, [Cancelled, Cancelled, Skipped, Success]);
}

#[tokio::test]
async fn a_step_in_the_background_that_runs_always_outlives_the_cancelled_job() {
    let bench = Bench::new();
    let steps = "- background: true
  if: always()
  run: |
    while [ ! -e go ]; do sleep 0.01; done
    echo 'went on'
- run: |
    echo ready
    sleep 7792
- if: always()
  run: touch go
- if: always()
  run: echo no wait here";
    let job = bench.run(order(&workflow(steps)));
    let stop = async {
        bench.heard("ready").await;
        tell(&bench.stop, Stop::Cancelled("by a person".into()));
    };
    let (done, ()) = tokio::join!(job, stop);
    assert_eq!(done.end.conclusion, Cancelled);
    assert!(done.place.log(1).contains("went on\n"), "{}", done.place.log(1));
}

#[tokio::test]
async fn what_is_left_out_of_a_failed_job_is_not_started_in_the_background() {
    let done = run_steps(
        "- run: exit 1
- background: true
  run: echo no
- id: yes
  background: true
  if: failure()
  run: echo x=1 >> $GITHUB_OUTPUT
- wait: 'yes'
- if: always()
  run: echo '${{ steps.yes.outputs.x }}'",
    )
    .await;
    assert_eq!(done.end.conclusion, Failure);
    let conclusions = done.place.conclusions();
    assert_eq!(conclusions.iter().filter(|conclusion| **conclusion == Skipped).count(), 2, "{conclusions:?}");
}
