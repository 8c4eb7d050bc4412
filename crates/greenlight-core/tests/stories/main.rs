//! Stories: readable facts in, readable state and effects out. The whole core, and nothing that sleeps, forks or listens.

mod words;
mod calls;
mod deployments;
mod events;
mod groups;
mod merges;
mod outages;
mod permissions;
mod pulls;
mod reruns;
mod runners;
mod schedules;
mod targets;
mod world;
mod wrong;

use greenlight_core::fact::Wish;
use greenlight_core::run::Conclusion;
use world::World;

const BOTH: &str = "name: CI
on: [push, pull_request]
jobs:
  build:
    runs-on: ubuntu-latest
    outputs: { version: '${{ steps.v.outputs.version }}' }
    steps: [{ id: v, run: echo version=1 >> $GITHUB_OUTPUT }]
  test:
    needs: build
    runs-on: ubuntu-latest
    steps: [{ run: make test }]
";
const DEPLOY: &str = "name: Deploy
on: deployment
jobs:
  deploy:
    runs-on: ubuntu-latest
    steps: [{ run: make deploy }]
";
const GREEN: &str = "merge: { when: green }
environments:
  staging: { on: merge, run: { workflow: deploy } }
  production: { after: [staging], run: { workflow: deploy } }
notify: [{ room: deploys, on: [deployment, failure, merge] }]
";

fn repository() -> World {
    World::new(&[(".github/workflows/ci.yml", BOTH), (".github/workflows/deploy.yml", DEPLOY)], GREEN)
}

#[test]
fn a_pull_request_goes_all_the_way_to_production() {
    let mut world = repository();
    world.open_pull(1, 'a');
    assert_eq!(world.status('a'), "pending: the tests are under way");
    world.work();
    assert_eq!(world.status('a'), "pending: the tests are under way");
    assert_eq!(world.run_job().as_deref(), Some("build"));
    assert_eq!(world.run_job().as_deref(), Some("test"));
    world.work();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [1]);
    assert_eq!(world.deployments(), ["staging queued"]);
    world.finish();
    assert_eq!(world.deployments(), ["staging queued in_progress success", "production queued in_progress success"]);
    assert_eq!(
        world.room(),
        [
            "acme/app#1 (pull 1) was merged into main as M",
            "greenlight's staging deployment of acme/app (M) is being deployed",
            "greenlight's staging deployment of acme/app (M) is done!",
            "greenlight's production deployment of acme/app (M) is being deployed",
            "greenlight's production deployment of acme/app (M) is done!",
        ]
    );
}

#[test]
fn a_failing_test_is_shown_and_nothing_is_merged() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    world.fail_job("step 'make' failed with exit code 2");
    world.finish();
    assert_eq!(world.status('a'), "failure: CI: build: step 'make' failed with exit code 2");
    assert_eq!(world.merged(), [0; 0]);
    world.push_pull(1, 'b');
    world.finish();
    assert_eq!(world.status('b'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_fork_waits_until_somebody_who_may_push_lets_it_start() {
    let mut world = repository();
    world.open_fork(1, 'a');
    world.finish();
    assert!(world.status('a').starts_with("pending: waits for approval"), "{}", world.status('a'));
    assert_eq!(world.run_job(), None);
    world.comment(1, world::STRANGER, &format!("/ok-to-test {}", world::sha('a')));
    world.finish();
    assert!(
        world.comments(1).iter().any(|text| text.contains("only people with write permission")),
        "{:?}",
        world.comments(1)
    );
    assert_eq!(world.run_job(), None);
    world.comment(1, world::WRITER, &format!("/ok-to-test {}", world::sha('b')));
    world.finish();
    assert_eq!(world.run_job(), None);
    world.comment(1, world::WRITER, &format!("/ok-to-test {}", world::sha('a')));
    world.finish();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert_eq!(world.merged(), [0; 0], "an untrusted run needs a review as well");
    assert!(
        world.comments(1).iter().any(|text| text.contains("waits for an approving review")),
        "{:?}",
        world.comments(1)
    );
    world.approve(1, world::WRITER, 'a');
    world.finish();
    assert_eq!(world.merged(), [1]);
}

#[test]
fn jobs_are_told_whether_rules_protect_their_branch() {
    for protects in [false, true] {
        let mut world = World::new(&[(".github/workflows/ci.yml", BOTH)], "merge: { when: green }\n");
        if protects {
            world.needs_approval();
        }
        world.open_pull(1, 'a');
        world.finish();
        world.move_main('c');
        world.work();
        let order = world.take().expect("the push starts a run");
        assert_eq!(order.github.get("ref_protected").as_bool(), Some(protects));
        assert_eq!(order.github.get("retention_days").as_str(), Some("90"));
    }
}

#[test]
fn a_merge_that_nobody_told_of_is_deployed_once() {
    let mut world = repository();
    world.merge_unheard(7, 'h', 'l');
    world.click(Wish::Sync);
    world.finish();
    let deployed = ["staging queued in_progress success", "production queued in_progress success"];
    assert_eq!(world.deployments(), deployed);
    // It is listed again, and by and by it is forgotten.
    for days in [0, 6, 3, 9] {
        world.pass(days);
        world.restart_with_new_boot();
        world.finish();
        world.click(Wish::Sync);
        world.finish();
        assert_eq!(world.deployments(), deployed, "after {days} days more");
    }
}

#[test]
fn a_commit_that_cannot_become_green_waits_for_a_person() {
    let mut world = repository();
    world.merge_unheard(7, 'h', 'l');
    world.click(Wish::Sync);
    // The very commit is the head of another pull request, whose tests fail.
    world.open_pull(8, 'l');
    world.finish_with_failing_pulls();
    assert!(world.status('l').starts_with("failure"), "{}", world.status('l'));
    assert_eq!(world.deployments(), [""; 0]);
    assert_eq!(world.wishes().len(), 1);
    assert!(world.wishes()[0].ends_with("a person must deploy it"), "{:?}", world.wishes());
    world.comment(8, world::WRITER, "/retest");
    world.finish();
    // #8 is merged and deployed after it.
    assert_eq!(world.deployments().len(), 4, "{:?}", world.wishes());
}

#[test]
fn a_base_that_moved_is_tested_again_first() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    world.move_main('y');
    world.finish();
    assert_eq!(world.merged(), [1]);
    assert!(world.audit().iter().any(|line| line.contains("is tested again first")), "{:#?}", world.audit());
}

#[test]
fn a_lost_runner_costs_one_more_try_and_a_lost_deployment_a_person() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    world.lose_job();
    world.finish_merge_only();
    assert_eq!(world.merged(), [1]);
    world.work();
    while world.lease_is_not("deploy") {
        world.work();
    }
    world.restart_with_new_boot();
    world.finish();
    assert_eq!(world.deployments(), ["staging queued in_progress error"]);
    assert_eq!(world.click(Wish::Unlock("staging".into())), "staging is unlocked");
}

#[test]
fn a_server_that_was_away_counts_the_leases_of_its_runners_from_its_return() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    let job = world.take_elsewhere().expect("a job waits");
    for _ in 0..2 {
        world.is_away(20 * 60);
        world.restart_with_new_boot();
        world.work();
        assert!(world.is_alive(&job), "the lease counts from the restart");
    }
    world.is_away(90);
    world.restart_with_new_boot();
    world.wait(30);
    world.end(&job, Conclusion::Success, &[]);
    world.finish();
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_runner_that_does_not_come_back_with_the_server_is_lost_a_minute_later() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    let job = world.take_elsewhere().expect("a job waits");
    world.is_away(90);
    world.restart_with_new_boot();
    world.wait(61);
    assert!(!world.is_alive(&job));
    let again = world.take_elsewhere().expect("it is tried again");
    assert_eq!((again.attempt.job.clone(), again.attempt.tried), (job.attempt.job.clone(), 2));
}

#[test]
fn a_job_that_ended_in_time_while_the_server_was_away_did_not_take_too_long() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    world.open_pull(2, 'b');
    world.work();
    let (told, silent) = (world.take_elsewhere().expect("a job waits"), world.take_elsewhere().expect("and another"));
    world.is_away(told.timeout.as_secs() + 3600);
    world.restart_with_new_boot();
    world.work();
    assert!(world.is_alive(&silent), "it is heard, but does not live on for ever");
    world.end(&told, Conclusion::Success, &[]);
    world.wait(61);
    assert!(!world.is_alive(&silent));
    world.finish();
    assert_eq!(world.status('a'), "success: 2 jobs succeeded");
    assert!(world.status('b').contains("took longer than"), "{}", world.status('b'));
}

#[test]
fn labels_that_came_later_are_known() {
    const BUILD: &str = "greenlight / CI / build (pull_request)";
    let mut world = repository();
    world.labels(&["gpu"]);
    world.open_pull(1, 'a');
    world.work();
    assert!(
        world.context('a', BUILD).contains("no runner has the label ubuntu-latest"),
        "{}",
        world.context('a', BUILD)
    );
    world.labels(&["gpu", "ubuntu-latest"]);
    world.work();
    assert_eq!(world.context('a', BUILD), "pending: waits for a runner");
    world.finish();
    assert_eq!(world.merged(), [1]);
}

#[test]
fn what_comes_twice_happens_once() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.open_pull(1, 'a');
    world.work();
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.merged(), [1]);
    assert_eq!(world.runs_of("pull_request"), 1);
    assert_eq!(world.deployments().len(), 2);
}
