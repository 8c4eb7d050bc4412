//! What GitHub never told of, and a clock that was wrong: a comparison mends it.

use greenlight_core::time::Duration;

use super::world::World;
use super::{BOTH, repository};

const MINUTES: u64 = 60;

#[test]
fn a_context_of_somebody_else_is_read_where_its_webhook_was_lost() {
    let mut world = World::new(&[(".github/workflows/ci.yml", BOTH)], "merge: { when: green }\n");
    world.requires("lint");
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.merged(), [0; 0]);
    assert!(world.comments(1).iter().any(|text| text.contains("required lint")), "{:?}", world.comments(1));
    world.passes_unheard("lint");
    world.wait(11 * MINUTES);
    world.finish();
    assert_eq!(world.merged(), [1]);
}

#[test]
fn what_the_rules_ask_for_no_more_is_not_waited_for() {
    let mut world = World::new(&[(".github/workflows/ci.yml", BOTH)], "merge: { when: green }\n");
    world.requires("lint");
    world.open_pull(1, 'a');
    world.finish();
    world.requires_nothing();
    world.wait(11 * MINUTES);
    world.finish();
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_clock_that_was_far_ahead_keeps_nobody_from_comparing() {
    let mut world = repository();
    let before = world.compared_at();
    world.pass(300);
    world.wait(0);
    assert_ne!(world.compared_at(), before);
    world.clock_is_set_back(300 * 24 * 60 * MINUTES);
    for restarts in [false, true] {
        if restarts {
            world.restart_with_new_boot();
        }
        world.wait(11 * MINUTES);
        assert_eq!(world.compared_at(), Some(world.now()), "restarts: {restarts}");
    }
}

#[test]
fn a_repository_that_is_gone_is_asked_for_now_and_then() {
    let mut world = repository();
    world.is_gone(true);
    for _ in 0..60 {
        world.wait(MINUTES);
    }
    let asked = world.comparisons_refused();
    assert!((30..=120).contains(&asked), "{asked} times in an hour");
    world.is_gone(false);
    world.wait(2 * MINUTES);
    assert!(world.compared_at().is_some_and(|at| at + Duration::from_secs(2 * MINUTES) >= world.now()));
    world.finish();
}

#[test]
fn what_landed_is_asked_for_less_and_less_often_where_github_does_not_tell() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.finish_with_failing_pulls();
    world.merge_untold(1, None);
    let before = world.reads_of_pulls();
    for _ in 0..60 {
        world.wait(MINUTES);
    }
    let asked = world.reads_of_pulls() - before;
    assert!((5..=100).contains(&asked), "{asked} times in an hour");
    world.merge_untold(1, Some('l'));
    world.wait(20 * MINUTES);
    assert!(world.has_landed(1, 'l'));
}

#[test]
fn a_read_that_is_old_is_made_again_but_not_without_a_pause() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.finish_with_failing_pulls();
    world.reads_are_old(1);
    world.push_pull(1, 'b');
    world.push_within_the_second(1, 'c');
    let before = world.reads_of_pulls();
    for _ in 0..60 {
        world.wait(1);
    }
    let asked = world.reads_of_pulls() - before;
    assert!((5..=200).contains(&asked), "{asked} times in about a minute");
}
