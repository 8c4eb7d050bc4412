//! Runs that run again: whole, what failed of them, one job.

use greenlight_core::fact::{Again, Wish};
use greenlight_core::id::{JobKey, RunNumber};
use greenlight_core::run::Conclusion;

use super::calls::{CALLER, calling, end};
use super::world::{WRITER, World};

const FAN: &str = "name: CI
on: pull_request
jobs:
  build:
    runs-on: ubuntu-latest
    outputs: { version: '${{ steps.v.outputs.version }}' }
    steps: [{ id: v, run: echo }]
  test:
    needs: build
    runs-on: ubuntu-latest
    strategy: { fail-fast: false, matrix: { on: [a, b] } }
    steps: [{ run: make test }]
  lint:
    runs-on: ubuntu-latest
    steps: [{ run: make lint }]
  package:
    needs: [build, test]
    runs-on: ubuntu-latest
    steps: [{ run: make package }]
";

/// A run of which one leg failed.
fn failed() -> (World, RunNumber) {
    let mut world = World::new(&[(".github/workflows/ci.yml", FAN)], "");
    world.open_pull(1, 'a');
    world.work();
    let run = world.last_run_of("pull_request");
    end(&mut world, "build", Conclusion::Success, &[("version", "7")]);
    end(&mut world, "lint", Conclusion::Success, &[]);
    end(&mut world, "test (a)", Conclusion::Success, &[]);
    end(&mut world, "test (b)", Conclusion::Failure, &[]);
    assert_eq!(world.standing(run).last().map(String::as_str), Some("failure: test (b): it ended"));
    (world, run)
}

#[test]
fn only_what_failed_runs_again_and_what_needs_it() {
    let (mut world, run) = failed();
    let granted = world.click(Wish::Rerun(run, Again::Failed));
    assert!(granted.contains(&format!("what failed of run {run} runs again, as attempt 2")), "{granted}");
    world.work();
    assert!(world.status('a').starts_with("pending"), "{}", world.status('a'));
    assert_eq!(world.context('a', "greenlight / CI / lint (pull_request)"), "success: it ended");
    let leg = world.take().expect("the leg that failed");
    assert_eq!((leg.attempt.job.as_str(), leg.attempt.run_attempt), ("test (b)", 2));
    assert_eq!(
        leg.needs.to_json(),
        r#"{"build":{"result":"success","outputs":{"version":"7"}}}"#,
        "kept, with its outputs"
    );
    world.end(&leg, Conclusion::Success, &[]);
    world.work();
    end(&mut world, "package", Conclusion::Success, &[]);
    assert!(world.take().is_none());
    assert_eq!(world.status('a'), "success: 5 jobs succeeded");
    let denied = world.click(Wish::Rerun(run, Again::Failed));
    assert!(denied.contains(&format!("nothing failed in run {run}: run all of it again")), "{denied}");
}

#[test]
fn one_job_runs_again_with_what_needs_it() {
    let (mut world, run) = failed();
    let unknown = world.click(Wish::Rerun(run, Again::Job(JobKey::from("tset"))));
    assert!(unknown.contains(&format!("run {run} has no job 'tset'")), "{unknown}");
    assert!(world.click(Wish::Rerun(run, Again::Job(JobKey::from("lint")))).contains("lint of run"));
    end(&mut world, "lint", Conclusion::Success, &[]);
    assert!(world.take().is_none(), "nothing needs it");
    assert!(world.status('a').starts_with("failure: CI: test (b)"), "{}", world.status('a'));
    assert!(world.click(Wish::Rerun(run, Again::Job(JobKey::from("build")))).contains("as attempt 3"));
    for key in ["build", "test (a)", "test (b)", "package"] {
        end(&mut world, key, Conclusion::Success, &[]);
    }
    assert!(world.take().is_none(), "lint is kept");
    assert_eq!(world.status('a'), "success: 5 jobs succeeded");
}

#[test]
fn a_job_inside_a_call_takes_its_whole_call_along() {
    let mut world = calling(CALLER);
    let run = world.last_run_of("push");
    end(&mut world, "prepare", Conclusion::Success, &[("parts", "[\"a\"]")]);
    end(&mut world, "build / compile (a)", Conclusion::Failure, &[]);
    let key = JobKey::from("build / compile (a)");
    assert!(world.click(Wish::Rerun(run, Again::Job(key))).contains("runs again"));
    world.work();
    assert_eq!(world.standing(run)[0], "prepare: success: it ended", "kept");
    end(&mut world, "build / compile (a)", Conclusion::Success, &[]);
    end(&mut world, "build / check / lint", Conclusion::Success, &[]);
    end(&mut world, "after", Conclusion::Success, &[]);
    assert!(world.standing(run).last().is_some_and(|last| last.starts_with("success")), "{:?}", world.standing(run));
}

#[test]
fn a_run_whose_files_are_being_read_for_a_newer_attempt_is_not_run_again() {
    let (mut world, run) = failed();
    world.git_is_away(true);
    world.comment(1, WRITER, "/retest");
    world.work();
    let answer = world.click(Wish::Rerun(run, Again::All));
    assert!(answer.contains("a newer attempt"), "{answer}");
    world.git_is_away(false);
    world.wait(600);
    world.finish();
    assert_eq!(world.standing(run).last().map(String::as_str), Some("success: 5 jobs succeeded"));
}

#[test]
fn who_comes_to_a_group_in_the_first_step_after_a_start_stands_behind_all_who_are_there() {
    let text = "name: CI
on: push
concurrency: { group: desk, queue: max }
jobs:
  test: { runs-on: ubuntu-latest, steps: [{ run: x }] }
";
    let mut world = World::new(&[(".github/workflows/ci.yml", text)], "");
    world.wait(7200);
    let push = |world: &mut World, letter: char| {
        world.push_branch(&letter.to_string(), letter);
        world.work();
        world.last_run_of("push")
    };
    let over = push(&mut world, 'a');
    world.finish();
    let (_, waiting) = (push(&mut world, 'b'), push(&mut world, 'c'));
    world.clock_is_set_back(3600);
    world.restart_and_click(Wish::Rerun(over, Again::All));
    world.work();
    let first = world.take().expect("the desk is free");
    world.end(&first, Conclusion::Success, &[]);
    assert_eq!(world.take().expect("the next one").attempt.run, waiting);
}
