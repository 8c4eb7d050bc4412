//! Pull requests as they are seen: in whatever order and by whatever road.

use super::world::World;

const CI: &str = "name: CI
on: pull_request
jobs:
  test: { runs-on: ubuntu-latest, steps: [{ run: x }] }
";

#[test]
fn a_pull_request_that_lands_while_it_is_to_be_read_is_read_once() {
    let mut world = World::new(&[(".github/workflows/ci.yml", CI)], "");
    world.open_pull(1, 'a');
    world.finish();
    let before = world.reads_of_pulls();
    world.push_within_the_second(1, 'b');
    world.merge_by_hand(1, 'b', 'l');
    world.finish();
    assert_eq!(world.reads_of_pulls(), before + 1, "which head it had is asked once");
    world.wait(3600);
    world.finish();
    assert_eq!(world.reads_of_pulls(), before + 1);
}

#[test]
fn a_late_word_that_a_pull_request_was_closed_is_not_taken_for_the_last() {
    let mut world = World::new(&[(".github/workflows/ci.yml", CI)], "");
    // It is told of after a comparison, which lists only what is open or new.
    world.finish();
    world.merge_with_late_word_of_closing(1, 'a', 'l');
    world.finish();
    assert!(world.has_landed(1, 'l'), "it was opened again and merged");
    let reads = world.reads_of_pulls();
    world.wait(3600);
    world.finish();
    assert_eq!(world.reads_of_pulls(), reads, "and asked for once");
}

const LABELED: &str = "name: Labels
on: { pull_request: { types: [labeled] } }
jobs:
  label: { runs-on: ubuntu-latest, steps: [{ run: x }] }
";

#[test]
fn an_approval_lets_all_start_that_waits_at_its_head() {
    let files = [(".github/workflows/ci.yml", super::BOTH), (".github/workflows/labels.yml", LABELED)];
    let mut world = World::new(&files, "");
    world.open_fork(1, 'a');
    world.act_on_fork(1, 'a', "labeled");
    world.work();
    assert!(world.take().is_none(), "nobody let anything start");
    let approval = format!("/ok-to-test {}", super::world::sha('a'));
    world.comment(1, super::world::WRITER, &approval);
    world.finish();
    assert_eq!(world.status('a'), "success: 3 jobs succeeded");
    // What happens to it later waits again, and can be let start again.
    world.act_on_fork(1, 'a', "labeled");
    world.finish();
    assert!(world.status('a').starts_with("pending: waits for approval"), "{}", world.status('a'));
    world.comment(1, super::world::WRITER, &approval);
    world.finish();
    assert!(world.status('a').starts_with("success: "), "{}", world.status('a'));
}

#[test]
fn what_is_to_happen_when_a_pull_request_is_closed_happens() {
    let closed = LABELED.replace("labeled", "closed");
    let mut world = World::new(&[(".github/workflows/labels.yml", &closed)], "");
    world.open_pull(1, 'a');
    world.finish();
    world.close_pull(1);
    world.finish();
    assert_eq!(world.runs_of("pull_request"), 1);
    assert_eq!(world.context('a', "greenlight / Labels / label (pull_request)"), "success: succeeded");
}

#[test]
fn what_nobody_let_start_does_not_wait_for_ever() {
    let mut world = World::new(&[(".github/workflows/labels.yml", LABELED)], "");
    world.open_fork(1, 'a');
    world.act_on_fork(1, 'a', "labeled");
    world.work();
    let old = world.last_run_of("pull_request");
    assert!(world.standing(old)[0].ends_with("waits for approval"), "{:?}", world.standing(old));
    world.act_on_fork(1, 'b', "synchronize");
    world.act_on_fork(1, 'b', "labeled");
    world.wait(3600);
    assert!(world.standing(old)[1].starts_with("cancelled: "), "{:?}", world.standing(old));
    let new = world.last_run_of("pull_request");
    assert!(world.standing(new)[0].ends_with("waits for approval"), "{:?}", world.standing(new));
    world.close_pull(1);
    world.wait(3600);
    assert!(world.standing(new)[1].starts_with("cancelled: "), "{:?}", world.standing(new));
}
