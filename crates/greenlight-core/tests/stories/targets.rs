//! `pull_request_target`: the default branch's workflows hear of what happens to pull requests.

use greenlight_core::fact::Wish;
use greenlight_core::run::Conclusion;

use super::BOTH;
use super::world::{self, World};

const TRIAGE: &str = "name: Triage
on:
  pull_request_target:
    types: [opened, synchronize, labeled]
    branches: [main]
jobs:
  greet: { runs-on: ubuntu-latest, steps: [{ run: 'echo ${{ github.head_ref }}' }] }
";
const EVENT: &str = "pull_request_target";

fn repository() -> World {
    World::new(&[(".github/workflows/ci.yml", BOTH), (".github/workflows/triage.yml", TRIAGE)], "")
}

#[test]
fn a_fork_is_greeted_by_the_default_branch_while_its_own_code_waits() {
    let mut world = repository();
    world.open_fork(1, 'a');
    world.work();
    assert!(world.status('a').starts_with("pending: waits for approval"), "{}", world.status('a'));
    let order = world.take().expect("the greeting waits for nobody");
    assert_eq!((&*order.job_id, order.trusted), ("greet", true));
    assert_eq!((order.checkout.sha, order.checkout.git_ref.as_str()), (world::sha('x'), "refs/heads/main"));
    assert_eq!(order.github.get("event_name").as_str(), Some(EVENT));
    assert_eq!(order.github.get("sha").as_str(), Some(&*world::sha('x').to_string()));
    world.end(&order, Conclusion::Success, &[]);
    assert!(world.take().is_none(), "and nothing else starts");
    assert_eq!(world.context('a', "greenlight / Triage / greet (pull_request_target)"), "success: it ended");
    assert!(world.status('a').starts_with("pending: waits for approval"), "it does not stand for a test of the head");
}

#[test]
fn each_push_and_each_label_is_told_once() {
    let mut world = repository();
    world.open_fork(1, 'a');
    world.open_fork(1, 'a');
    world.finish();
    assert_eq!(world.runs_of(EVENT), 1);
    world.act_on_fork(1, 'b', "synchronize");
    world.finish();
    assert_eq!(world.runs_of(EVENT), 2);
    world.act_on_fork(1, 'b', "labeled");
    world.finish();
    world.act_on_fork(1, 'b', "unlabeled");
    world.finish();
    assert_eq!(world.runs_of(EVENT), 3);
    world.restart_with_new_boot();
    world.click(Wish::Sync);
    world.finish();
    assert_eq!(world.runs_of(EVENT), 3);
}

#[test]
fn a_greeting_proves_nothing_and_its_failure_hinders_nothing() {
    let mut world = World::new(
        &[(".github/workflows/ci.yml", BOTH), (".github/workflows/triage.yml", TRIAGE)],
        "merge: { when: green }\n",
    );
    world.open_pull(1, 'a');
    world.work();
    while let Some(order) = world.take() {
        let greets = &*order.job_id == "greet";
        world.end(&order, if greets { Conclusion::Failure } else { Conclusion::Success }, &[]);
    }
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [1]);
}
