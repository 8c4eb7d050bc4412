//! What is still known and done while the default branch's `.greenlight.yml` is wrong.

use super::world::World;
use super::{BOTH, DEPLOY, GREEN, repository};

const WRONG: &str = "merge: { whn: green }\n";
const PROBLEM: &str = ".greenlight.yml:1: unknown key whn in merge; did you mean when?";

#[test]
fn a_deployment_to_an_environment_that_the_last_right_file_named_waits_and_says_why() {
    let mut world = repository();
    world.finish();
    world.configure(WRONG);
    world.move_main('y');
    world.finish();
    world.deploy("staging", 'y');
    world.deploy("moon", 'y');
    world.finish();
    assert_eq!(
        world.deployments(),
        ["staging queued", "moon"],
        "nothing was ever deployed there, and nobody named the moon"
    );
    assert_eq!(world.deployment_text(), format!("nothing is deployed: {PROBLEM}"));
    world.configure(&format!("{WRONG}# still wrong\n"));
    world.move_main('z');
    world.restart_with_new_boot();
    world.finish();
    world.deploy("production", 'z');
    world.finish();
    assert_eq!(world.deployments(), ["staging queued", "moon", "production queued"]);
    world.configure(GREEN);
    world.move_main('v');
    world.finish();
    let done = "queued in_progress success";
    assert_eq!(world.deployments(), [format!("staging {done}"), "moon".to_owned(), format!("production {done}")]);
}

/// The room's lines since it was last looked at.
fn news(world: &World, seen: &mut usize) -> Vec<String> {
    let lines = world.room().split_off(*seen);
    *seen += lines.len();
    lines
}

#[test]
fn the_room_hears_once_of_a_wrong_configuration_and_of_what_fails_meanwhile() {
    let (mut world, mut seen) = (repository(), 0);
    world.finish();
    world.configure(WRONG);
    world.move_main('y');
    world.finish();
    let wrong = |short: &str| format!("acme/app main ({short}): nothing is merged or deployed: {PROBLEM}");
    assert_eq!(news(&world, &mut seen), [wrong("M")]);
    world.move_main('z');
    world.restart_with_new_boot();
    world.finish();
    assert_eq!(news(&world, &mut seen), [""; 0], "another commit brought the same file");
    world.open_pull(1, 'a');
    world.work();
    world.fail_job("no");
    world.finish();
    let told = news(&world, &mut seen);
    assert!(told.len() == 1 && told[0].contains("acme/app #1, CI, failed: build: no"), "{told:?}");
    world.close_pull(1);
    world.configure(GREEN);
    world.move_main('v');
    world.finish();
    assert_eq!(news(&world, &mut seen), [""; 0]);
    world.configure(WRONG);
    world.move_main('w');
    world.finish();
    assert_eq!(news(&world, &mut seen), [wrong("M")], "another commit made it wrong again");
}

#[test]
fn the_room_hears_once_of_each_attempt_whose_workflow_cannot_be_read() {
    const FILE: &str = ".github/workflows/ci.yml";
    const BROKEN: &str = "on: [push, pull_request]\njobs: { a: { runs-on: x, stesp: [] } }\n";
    let (mut world, mut seen) = (World::new(&[(FILE, BOTH), (".github/workflows/deploy.yml", DEPLOY)], GREEN), 0);
    world.finish();
    world.write(FILE, BROKEN);
    world.open_pull(1, 'a');
    world.finish();
    let told = news(&world, &mut seen);
    let reason = world.status('a').strip_prefix("failure: ").map(str::to_owned).expect("it failed");
    assert!(reason.starts_with(&format!("{FILE}:2:")), "{reason}");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("of acme/app #1 failed: ") && told[0].ends_with(&reason), "{told:?} {reason}");
    world.restart_with_new_boot();
    world.finish();
    assert_eq!(news(&world, &mut seen), [""; 0]);
    world.comment(1, super::world::WRITER, "/retest");
    world.finish();
    assert_eq!(news(&world, &mut seen).len(), 1, "a second attempt, a second line");
    world.open_fork(2, 'b');
    world.finish();
    assert!(world.status('b').contains(FILE), "{}", world.status('b'));
    assert_eq!(news(&world, &mut seen), [""; 0], "a stranger wrote it, and nobody let it run");
}

#[test]
fn the_room_hears_nothing_of_a_pull_request_that_brings_a_wrong_configuration() {
    let (mut world, mut seen) = (repository(), 0);
    world.finish();
    world.configure(WRONG);
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.status('a'), format!("failure: {PROBLEM}"));
    assert_eq!(news(&world, &mut seen), [""; 0]);
}
