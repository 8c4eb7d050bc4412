//! Deployments that come out of order, and those of which nobody knows how they ended.

use greenlight_core::fact::Wish;
use greenlight_core::run::Conclusion;

use super::world::World;
use super::{BOTH, DEPLOY};

const TO_STAGING: &str = "merge: { when: green }\nenvironments:\n  staging: { on: merge, run: { workflow: deploy } }\n";

fn world(deploy: &str) -> World {
    World::new(&[(".github/workflows/ci.yml", BOTH), (".github/workflows/deploy.yml", deploy)], TO_STAGING)
}

#[test]
fn a_merge_whose_deployment_cannot_be_made_at_once_does_not_come_after_a_later_one() {
    let mut world = world(DEPLOY);
    world.creates_fail(6);
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.merged(), [1]);
    assert_eq!(world.deployments(), [""; 0], "GitHub is out of order");
    world.creates_fail(0);
    world.open_pull(2, 'b');
    world.finish();
    world.wait(120);
    world.finish();
    assert_eq!(world.merged(), [1, 2]);
    assert_eq!(world.live("staging").0, Some('b'), "{:?}", world.deployments());
}

#[test]
fn a_commit_that_is_proven_late_does_not_replace_a_later_one() {
    let mut world = world(DEPLOY);
    world.merge_by_hand(1, 'a', 'l');
    world.move_main('l');
    world.work();
    let slow = world.take().expect("its push is tested");
    world.merge_by_hand(2, 'b', 'n');
    world.move_main('n');
    world.finish();
    assert_eq!(world.live("staging").0, Some('n'), "{:?}", world.deployments());
    world.end(&slow, Conclusion::Success, &[]);
    world.finish();
    assert_eq!(world.live("staging").0, Some('n'), "{:?}", world.deployments());
    assert!(world.audit().iter().any(|line| line.contains("is older than")), "{:#?}", world.audit());
}

#[test]
fn a_deployment_that_was_cancelled_and_never_heard_of_keeps_its_lock() {
    let mut world = world(DEPLOY);
    world.deploy("staging", 'x');
    world.work();
    let order = world.take_without_a_word().expect("it deploys");
    world.click(Wish::Cancel(order.attempt.run));
    world.wait(61);
    world.work();
    assert_eq!(world.deployments(), ["staging queued in_progress error"]);
    assert!(world.live("staging").1.is_some(), "nobody knows how far it came");
}

#[test]
fn a_deployment_that_nobody_heard_the_end_of_keeps_its_lock_however_late_it_is() {
    let text = DEPLOY.replace("runs-on: ubuntu-latest", "runs-on: ubuntu-latest\n    timeout-minutes: 5");
    let mut world = world(&text);
    world.deploy("staging", 'x');
    world.work();
    world.take_elsewhere().expect("it deploys");
    world.is_away(400);
    world.restart_with_new_boot();
    world.wait(61);
    assert_eq!(world.deployments(), ["staging queued in_progress error"]);
    assert!(world.live("staging").1.is_some(), "nobody knows how it ended");
}

#[test]
fn what_is_said_of_a_merge_that_is_long_over_deploys_nothing() {
    let mut world = world(DEPLOY);
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.deployments(), ["staging queued in_progress success"]);
    for _ in 0..3 {
        world.pass(9);
        world.wait(3600);
        world.finish();
    }
    world.comment(1, super::world::STRANGER, "thanks");
    world.finish();
    world.wait(3600);
    world.finish();
    assert_eq!(world.deployments(), ["staging queued in_progress success"], "a stranger said thanks");
    world.label_merged(1);
    world.finish();
    world.wait(3600);
    world.finish();
    assert_eq!(world.deployments(), ["staging queued in_progress success"], "somebody set a label");
}
