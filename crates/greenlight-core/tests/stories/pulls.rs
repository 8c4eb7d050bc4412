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
