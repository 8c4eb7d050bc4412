//! Being told to stop, taking too long, and what is left behind.

use std::time::{Duration, Instant};

use greenlight_core::run::Conclusion::{Cancelled, Failure, Lost, Skipped, Success, TimedOut};

use super::{Bench, order, run_steps, succeeded, workflow};
use crate::stop::{Stop, tell};

/// Is a process with this among its arguments alive?
fn is_alive(mark: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let is_dead = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'));
        !is_dead && line.split(|&byte| byte == 0).any(|word| word == mark.as_bytes())
    })
}

#[tokio::test]
async fn a_cancelled_step_ends_with_all_that_it_started() {
    let bench = Bench::new();
    let steps = "- run: |
    trap '' INT TERM
    sleep 7771 &
    setsid sleep 7772 &
    echo ready
    while true; do sleep 7773; done
- run: echo skipped
- if: always()
  run: echo 'cleaning up ${{ job.status }}'
- if: cancelled()
  run: echo told
- if: failure()
  run: echo no";
    let job = bench.run(order(&workflow(steps)));
    let stop = async {
        bench.heard("ready").await;
        tell(&bench.stop, Stop::Cancelled("superseded by b2".into()));
    };
    let (done, ()) = tokio::join!(job, stop);
    assert_eq!(done.end.conclusion, Cancelled);
    assert_eq!(&*done.end.reason, "superseded by b2");
    assert_eq!(done.place.conclusions(), [Cancelled, Skipped, Success, Success, Skipped]);
    assert_eq!(done.place.said(3), "cleaning up cancelled\n");
    for seconds in ["7771", "7772", "7773"] {
        assert!(!is_alive(seconds), "sleep {seconds} is still there");
    }
}

#[tokio::test]
async fn a_step_that_runs_always_goes_on_when_the_job_is_cancelled() {
    let bench = Bench::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let file = elsewhere.path().join("go");
    let steps = format!(
        "- if: always()
  run: |
    echo ready
    while [ ! -e {0} ]; do sleep 0.01; done
    rm {0}
    echo finished",
        file.display()
    );
    let job = bench.run(order(&workflow(&steps)));
    let stop = async {
        bench.heard("ready").await;
        tell(&bench.stop, Stop::Cancelled("by a person".into()));
        std::fs::write(&file, "").unwrap();
    };
    let (done, ()) = tokio::join!(job, stop);
    assert_eq!(done.place.said(1), "ready\nfinished\n");
    assert_eq!(done.end.conclusion, Cancelled);
}

#[tokio::test]
async fn a_lost_lease_ends_everything_at_once() {
    let bench = Bench::new();
    let steps = "- run: |\n    trap '' INT TERM\n    echo ready\n    sleep 7774\n- if: always()\n  run: echo no";
    let job = bench.run(order(&workflow(steps)));
    let stop = async {
        bench.heard("ready").await;
        tell(&bench.stop, Stop::Lost("the lease is over".into()));
    };
    let started = Instant::now();
    let (done, ()) = tokio::join!(job, stop);
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(done.place.conclusions(), [Cancelled, Skipped]);
    assert_eq!(done.end.conclusion, Lost);
    assert!(!is_alive("7774"));
}

#[tokio::test]
async fn a_step_that_takes_too_long_fails() {
    let done = run_steps(
        "- timeout-minutes: ${{ 0.005 }}
  run: sleep 7775
- if: failure()
  run: echo 'and after'
- timeout-minutes: 0.03
  if: always()
  continue-on-error: true
  run: sleep 7775",
    )
    .await;
    assert_eq!(done.place.conclusions(), [Failure, Success, Success]);
    assert!(done.end.reason.contains("took longer than 0.3 s"), "{}", done.end.reason);
    assert!(done.place.log(3).contains("took longer than 1.8 s"), "{}", done.place.log(3));
    assert!(!is_alive("7775"));
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_told_so() {
    let mut order = order(&workflow("- run: sleep 7776\n- if: always()\n  run: echo 'always'"));
    order.timeout = Duration::from_millis(300);
    let done = Bench::new().run(order).await;
    assert_eq!(done.end.conclusion, TimedOut);
    assert_eq!(&*done.end.reason, "it took longer than 0.3 s");
    assert_eq!(done.place.conclusions(), [Cancelled, Success]);
}

#[tokio::test]
async fn what_a_step_leaves_running_ends_with_the_job() {
    let done = run_steps(
        "- run: |
    setsid sleep 7777 > /dev/null 2>&1 & echo $! > pid
    (while true; do echo noise; sleep 0.01; done) &
    echo started
- run: kill -0 $(cat pid) && echo 'still there'",
    )
    .await;
    succeeded(&done);
    assert!(done.place.said(1).contains("started"));
    assert_eq!(done.place.said(2), "still there\n");
    assert!(!is_alive("7777"));
}

#[tokio::test]
async fn a_step_that_is_killed_says_by_what() {
    let done = run_steps("- run: kill -9 $$").await;
    assert!(done.end.reason.ends_with("was ended by signal 9"), "{}", done.end.reason);
}
