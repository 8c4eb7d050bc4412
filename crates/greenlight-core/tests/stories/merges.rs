//! What is said of a merge that waits, or that nothing comes of: the one note says what is so now, not what was so.

use super::BOTH;
use super::world::{self, World};

const COMMAND: &str = "merge: { when: command }\n";

fn world() -> World {
    World::new(&[(".github/workflows/ci.yml", BOTH)], COMMAND)
}

fn note(world: &World, number: u64) -> Option<String> {
    let notes = world.comments_by_mark(number).into_iter().filter(|(mark, _)| mark == "note");
    notes.map(|(_, text)| text).next_back()
}

#[test]
fn a_merge_that_was_asked_for_before_a_push_says_that_it_is_void() {
    let mut world = world();
    world.open_pull(1, 'a');
    world.work();
    world.comment(1, world::WRITER, "/merge");
    world.work();
    world.push_pull(1, 'b');
    world.finish();
    assert_eq!(world.merged(), [0; 0]);
    let void = "Not merged yet: /merge was said of another head or another base branch, and it is 6200000 on main now. Look at it, and say /merge again.";
    assert_eq!(note(&world, 1).as_deref(), Some(void));
    // That the earlier head comes back does not bring back what was said of it.
    world.push_pull(1, 'a');
    world.finish();
    assert_eq!(world.merged(), [0; 0]);
    world.wait(2);
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    assert_eq!((world.merged(), note(&world, 1).as_deref()), (vec![1], Some("Merged.")));
}

#[test]
fn a_merge_that_was_asked_for_while_the_configuration_was_wrong_is_made_when_it_is_mended() {
    let mut world = world();
    world.open_pull(1, 'a');
    world.finish();
    world.configure("merge: { whn: command }\n");
    world.move_main('y');
    world.finish();
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    let wrong = "Not merged yet: .greenlight.yml:1: unknown key whn in merge; did you mean when?";
    assert_eq!((world.merged(), note(&world, 1).as_deref()), (vec![], Some(wrong)));
    world.configure(COMMAND);
    world.move_main('z');
    world.finish();
    assert_eq!((world.merged(), note(&world, 1).as_deref()), (vec![1], Some("Merged.")));
}

#[test]
fn one_whose_tests_fail_on_the_new_base_is_not_said_to_have_nothing_in_its_way() {
    let mut world = world();
    world.open_pull(1, 'a');
    world.open_pull(2, 'b');
    world.finish();
    world.comment(1, world::WRITER, "/merge");
    world.comment(2, world::WRITER, "/merge");
    world.finish_merge_only();
    world.finish_with_failing_pulls();
    assert_eq!(world.merged().len(), 1);
    let other = if world.merged() == [1] { 2 } else { 1 };
    let told = note(&world, other).unwrap();
    assert!(told.starts_with("Not merged yet: the tests of 6") && told.contains("are no success on main"), "{told}");
}

#[test]
fn a_merge_of_a_pull_request_that_was_never_heard_of_is_made() {
    let mut world = world();
    world.finish();
    world.open_unheard(1, 'a');
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    assert_eq!(world.merged(), [1], "{:?}", world.comments(1));
}

#[test]
fn two_commands_in_one_comment_are_two() {
    let mut world = world();
    world.open_pull(1, 'a');
    world.finish();
    let attempts = world.attempts();
    world.comment(1, world::WRITER, "Once more, and then in with it.\n/retest\n/merge");
    world.finish();
    // One more of the pull request's, and the first of what landed.
    assert_eq!((world.merged(), world.attempts()), (vec![1], attempts + 2));
}

#[test]
fn a_merge_of_what_cannot_be_tested_says_why() {
    let mut world = world();
    world.conflicts('a');
    world.open_pull(1, 'a');
    world.work();
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    let told = world.comments(1);
    assert!(told.iter().any(|text| text.contains("conflicts") && text.ends_with("say /merge again.")), "{told:?}");
}
