//! What GitHub never told of, and a clock that was wrong: a comparison mends it.

use greenlight_core::time::Duration;

use super::world::{WRITER, World};
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

/// Returns a repository where a pull request was tested, and GitHub let us show nothing of it.
fn tested_without_permission() -> World {
    let mut world = repository();
    world.forbids(true);
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.status('a'), "");
    assert_eq!(world.merged(), [0; 0]);
    world
}

#[test]
fn a_permission_that_was_given_back_is_found_by_the_comparison() {
    let mut world = tested_without_permission();
    for _ in 0..5 {
        world.wait(11 * MINUTES);
    }
    let told = world.audit().iter().filter(|line| line.contains("does not show greenlight:")).count();
    assert_eq!(told, 1, "what is refused again and again is told once: {:?}", world.audit());
    world.forbids(false);
    world.work();
    assert_eq!(world.status('a'), "", "nobody tells that it was given back");
    world.wait(11 * MINUTES);
    world.finish();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert!(world.context('a', "greenlight / CI / test (pull_request)").starts_with("success"));
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_permission_that_was_given_back_is_found_by_a_restart() {
    let mut world = tested_without_permission();
    world.forbids(false);
    world.restart_with_new_boot();
    world.finish();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_permission_that_was_given_back_is_found_by_a_retest() {
    let mut world = tested_without_permission();
    world.forbids(false);
    world.comment(1, WRITER, "/retest");
    world.finish();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_permission_that_was_given_back_is_found_by_another_commit() {
    let mut world = tested_without_permission();
    world.forbids(false);
    world.open_pull(2, 'b');
    world.finish();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [1, 2]);
}

#[test]
fn the_end_of_a_job_is_tried_though_its_beginning_was_refused() {
    let mut world = repository();
    world.forbids(true);
    world.open_pull(1, 'a');
    world.work();
    world.forbids(false);
    world.finish();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_note_that_was_refused_is_written_when_it_may_be() {
    let mut world = World::new(&[(".github/workflows/ci.yml", BOTH)], "merge: { when: green }\n");
    world.requires("lint");
    world.is_locked(true);
    world.open_pull(1, 'a');
    world.finish();
    world.wait(11 * MINUTES);
    assert_eq!(world.comments(1), [""; 0]);
    world.is_locked(false);
    world.wait(11 * MINUTES);
    assert!(world.comments(1).iter().any(|text| text.contains("required lint")), "{:?}", world.comments(1));
}

#[test]
fn what_became_of_a_deployment_is_shown_when_it_may_be() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.finish_merge_only();
    world.forbids(true);
    world.finish();
    assert_eq!(world.deployments(), ["staging queued", "production"]);
    world.forbids(false);
    world.wait(11 * MINUTES);
    assert_eq!(world.deployments(), ["staging queued success", "production success"]);
}
