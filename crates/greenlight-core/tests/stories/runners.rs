//! Runners that tell that they have lost their job: they were started again without it.

use greenlight_core::fact::Wish;
use greenlight_core::run::Conclusion;

use super::repository;

#[test]
fn a_job_that_its_runner_gave_up_is_tried_once_more() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    let first = world.take().expect("a job waits");
    assert!(world.gives_up(&first));
    assert!(!world.gives_up(&first), "it is not its job any more");
    let run = world.last_run_of("pull_request");
    assert_eq!(world.standing(run)[0], "build: queued: waits for a runner");
    let second = world.take().expect("it is tried again");
    assert_eq!((second.attempt.job.clone(), second.attempt.tried), (first.attempt.job.clone(), 2));
    assert!(!world.gives_up(&first), "an older try has no say");
    assert!(world.gives_up(&second));
    assert_eq!(
        world.standing(run)[0],
        "build: failure: its runner was started again without it (runner-1), and nobody knows how far it came; it was tried 2 times"
    );
    world.finish();
    assert!(world.status('a').starts_with("error: CI: build: its runner was started again"), "{}", world.status('a'));
    assert_eq!(world.merged(), [0; 0]);
}

#[test]
fn a_job_is_planned_and_handed_out_in_one_step() {
    let mut world = repository();
    world.open_pull(1, 'a');
    let order = world.take_along().expect("the step that plans the run hands out its first job");
    assert_eq!(&*order.job_id, "build");
    world.work();
    world.end(&order, Conclusion::Success, &[]);
    world.finish();
    assert_eq!(world.merged(), [1]);
    world.open_fork(2, 'b');
    assert!(world.take_along().is_none(), "nobody let it start");
}

#[test]
fn a_job_that_was_to_stop_is_stopped_when_its_runner_gives_it_up() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    let order = world.take().expect("a job waits");
    let run = world.last_run_of("pull_request");
    world.click(Wish::Cancel(run));
    assert!(world.gives_up(&order));
    assert_eq!(world.standing(run)[0], "build: cancelled: cancelled: by octocat");
}

#[test]
fn a_deployment_that_its_runner_gave_up_is_never_tried_again() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.finish_merge_only();
    world.work();
    let mut order = world.take().expect("a job waits");
    while &*order.job_id != "deploy" {
        world.end(&order, Conclusion::Success, &[]);
        order = world.take().expect("the deployment waits");
    }
    assert!(world.gives_up(&order));
    world.finish();
    assert_eq!(world.deployments(), ["staging queued in_progress error"]);
    assert!(world.deployment_text().contains("outcome unknown"), "{}", world.deployment_text());
}
