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
