//! Workflows that jobs call.

use greenlight_core::fact::{Again, Wish};
use greenlight_core::run::Conclusion;

use crate::world::World;

pub const CALLER: &str = "name: CI
on: push
jobs:
  prepare:
    runs-on: ubuntu-latest
    outputs: { parts: '${{ steps.x.outputs.parts }}' }
    steps: [{ id: x, run: x }]
  build:
    needs: prepare
    uses: ./.github/workflows/build.yml
    with: { parts: '${{ needs.prepare.outputs.parts }}' }
    secrets: { key: '${{ secrets.KEY }}' }
  after:
    needs: build
    runs-on: ubuntu-latest
    steps: [{ run: 'echo ${{ needs.build.outputs.image }}' }]
";
const BUILD: &str = "on:
  workflow_call:
    inputs: { parts: { type: string, required: true } }
    secrets: { key: { required: true } }
    outputs: { image: { value: '${{ jobs.compile.outputs.image }}' } }
jobs:
  compile:
    strategy: { matrix: { part: '${{ fromJSON(inputs.parts) }}' } }
    runs-on: ubuntu-latest
    outputs: { image: '${{ steps.x.outputs.image }}' }
    steps: [{ id: x, run: x }]
  check:
    needs: compile
    uses: ./.github/workflows/check.yml
    secrets: inherit
";
const CHECK: &str = "on: workflow_call
jobs:
  lint: { runs-on: ubuntu-latest, steps: [{ run: x }] }
";

pub fn calling(caller: &str) -> World {
    let mut world = World::new(
        &[
            (".github/workflows/ci.yml", caller),
            (".github/workflows/build.yml", BUILD),
            (".github/workflows/check.yml", CHECK),
        ],
        "",
    );
    world.push_branch("topic", 'a');
    world.work();
    world
}

pub fn end(world: &mut World, key: &str, conclusion: Conclusion, outputs: &[(&str, &str)]) {
    let Some(order) = world.take() else { panic!("{:?}", world.standing(world.last_run_of("push"))) };
    assert_eq!(order.attempt.job.as_str(), key);
    world.end(&order, conclusion, outputs);
}

#[test]
fn a_call_makes_jobs_and_hands_their_outputs_back() {
    let mut world = calling(CALLER);
    let run = world.last_run_of("push");
    end(&mut world, "prepare", Conclusion::Success, &[("parts", "[\"a\",\"b\"]")]);
    assert_eq!(
        world.standing(run),
        [
            "prepare: success: it ended",
            "build: waits: the jobs of the workflow that it calls are under way",
            "build / compile (a): queued: waits for a runner",
            "build / compile (b): queued: waits for a runner",
            "build / check: waits: waits for compile",
            "after: waits: waits for build",
            "active: it was just made",
        ]
    );
    end(&mut world, "build / compile (a)", Conclusion::Success, &[("image", "one")]);
    end(&mut world, "build / compile (b)", Conclusion::Success, &[("image", "two")]);
    end(&mut world, "build / check / lint", Conclusion::Success, &[]);
    let after = world.take().expect("the last job waits");
    assert_eq!(after.needs.to_json(), r#"{"build":{"result":"success","outputs":{"image":"two"}}}"#);
    world.end(&after, Conclusion::Success, &[]);
    assert_eq!(world.standing(run).last().unwrap(), "success: 5 jobs succeeded");
    assert_eq!(world.context('a', "greenlight / CI / build / check / lint (push)"), "success: it ended");
    assert_eq!(world.context('a', "greenlight / CI / build (push)"), "", "a call itself is not shown");
}

#[test]
fn a_called_job_knows_its_file_its_inputs_and_its_callers() {
    let mut world = calling(CALLER);
    end(&mut world, "prepare", Conclusion::Success, &[("parts", "[\"a\"]")]);
    let compile = world.take().expect("a job waits");
    assert_eq!(&*compile.workflow_path, ".github/workflows/build.yml");
    assert_eq!((&*compile.workflow_text, &*compile.job_id), (BUILD, "compile"));
    assert_eq!(compile.inputs.to_json(), r#"{"parts":"[\"a\"]"}"#);
    world.end(&compile, Conclusion::Success, &[]);
    let lint = world.take().expect("a job waits");
    let callers: Vec<_> = lint.callers.iter().map(|caller| (&*caller.workflow_text, &*caller.job_id)).collect();
    assert_eq!(callers, [(CALLER, "build"), (BUILD, "check")]);
}

#[test]
fn a_failure_inside_a_call_fails_the_call_and_skips_what_needs_it() {
    let mut world = calling(CALLER);
    let run = world.last_run_of("push");
    end(&mut world, "prepare", Conclusion::Success, &[("parts", "[\"a\"]")]);
    end(&mut world, "build / compile (a)", Conclusion::Failure, &[]);
    let standing = world.standing(run);
    assert_eq!(
        standing,
        [
            "prepare: success: it ended",
            "build: failure: build / compile (a): failure",
            "build / compile (a): failure: it ended",
            "build / check: skipped: skipped: compile was no success",
            "after: skipped: skipped: build was no success",
            "failure: build / compile (a): it ended",
        ]
    );
    assert!(world.click(Wish::Rerun(run, Again::All)).contains("runs again"));
    world.work();
    assert_eq!(world.standing(run).len(), 4, "what the call made is made again: {:?}", world.standing(run));
}

#[test]
fn a_restarted_server_goes_on_in_the_middle_of_a_call() {
    let mut world = calling(CALLER);
    let run = world.last_run_of("push");
    end(&mut world, "prepare", Conclusion::Success, &[("parts", "[\"a\"]")]);
    world.restart_with_new_boot();
    world.work();
    end(&mut world, "build / compile (a)", Conclusion::Success, &[]);
    end(&mut world, "build / check / lint", Conclusion::Success, &[]);
    end(&mut world, "after", Conclusion::Success, &[]);
    assert_eq!(world.standing(run).last().unwrap(), "success: 4 jobs succeeded");
}

#[test]
fn a_cancelled_run_ends_its_calls_when_their_jobs_are_over() {
    let mut world = calling(CALLER);
    let run = world.last_run_of("push");
    end(&mut world, "prepare", Conclusion::Success, &[("parts", "[\"a\"]")]);
    let compile = world.take().expect("a job waits");
    world.click(Wish::Cancel(run));
    world.work();
    assert!(world.standing(run)[1].starts_with("build: waits"), "{:?}", world.standing(run));
    world.end(&compile, Conclusion::Cancelled, &[]);
    assert!(world.standing(run)[1].starts_with("build: cancelled"), "{:?}", world.standing(run));
    assert!(world.standing(run).last().unwrap().starts_with("cancelled: "), "{:?}", world.standing(run));
}

#[test]
fn what_does_not_fit_the_called_workflow_is_told_with_its_place() {
    let caller = "on: push\njobs:\n  build:\n    uses: ./.github/workflows/build.yml\n    with: { part: x }\n";
    let world = calling(caller);
    let standing = world.standing(world.last_run_of("push"));
    assert!(standing[0].contains("parts is required"), "{standing:?}");
    let missing = calling("on: push\njobs:\n  build:\n    uses: ./.github/workflows/nowhere.yml\n");
    let standing = missing.standing(missing.last_run_of("push"));
    assert!(standing[0].contains("nowhere.yml"), "{standing:?}");
    let elsewhere = calling("on: push\njobs:\n  build:\n    uses: acme/other/.github/workflows/x.yml@v1\n");
    let standing = elsewhere.standing(elsewhere.last_run_of("push"));
    assert!(standing[0].contains("is not here"), "{standing:?}");
}

#[test]
fn what_waits_for_legs_goes_on_when_a_failed_one_stops_them() {
    let after = "  after:\n    needs: test\n    if: always()\n    runs-on: ubuntu-latest\n    steps: [{ run: x }]\n";
    let test =
        "  test:\n    strategy: { matrix: { os: [a, b] } }\n    runs-on: ubuntu-latest\n    steps: [{ run: x }]\n";
    let mut world = calling(&format!("name: CI\non: push\njobs:\n{test}{after}"));
    end(&mut world, "test (a)", Conclusion::Failure, &[]);
    assert_eq!(
        world.standing(world.last_run_of("push"))[1..3],
        ["test (b): cancelled: cancelled: test (a) failed", "after: queued: waits for a runner"]
    );
    // And so inside a call, which is over by that.
    let caller = "name: CI\non: push\njobs:\n  build: { uses: ./.github/workflows/build.yml, with: { parts: '[\"a\",\"b\"]' }, secrets: { key: x } }\n";
    let mut world = calling(caller);
    end(&mut world, "build / compile (a)", Conclusion::Failure, &[]);
    let standing = world.standing(world.last_run_of("push"));
    assert_eq!(standing[0], "build: failure: build / compile (a): failure", "{standing:?}");
}

#[test]
fn of_the_legs_outputs_the_last_that_says_something_and_succeeded_counts() {
    for (conclusion, outputs) in [(Conclusion::Success, [("image", "")]), (Conclusion::Failure, [("Image", "two")])] {
        let test = "  test:\n    strategy: { fail-fast: false, matrix: { os: [a, b] } }\n    runs-on: ubuntu-latest\n    steps: [{ run: x }]\n";
        let after =
            "  after:\n    needs: test\n    if: always()\n    runs-on: ubuntu-latest\n    steps: [{ run: x }]\n";
        let mut world = calling(&format!("name: CI\non: push\njobs:\n{test}{after}"));
        end(&mut world, "test (a)", Conclusion::Success, &[("image", "one")]);
        end(&mut world, "test (b)", conclusion, &outputs);
        let after = world.take().expect("the last job waits");
        let result = conclusion.as_result();
        let expected = format!(r#"{{"test":{{"result":"{result}","outputs":{{"image":"one"}}}}}}"#);
        assert_eq!(after.needs.to_json().to_lowercase(), expected);
    }
}
