//! Concurrency groups of jobs, alone and together with those of runs.

use greenlight_core::effect::JobOrder;
use greenlight_core::fact::{Again, Wish};
use greenlight_core::run::Conclusion;

use crate::world::World;

fn world(workflow: &str) -> World {
    World::new(&[(".github/workflows/ci.yml", workflow), (".github/workflows/called.yml", CALLED)], "")
}

const CALLED: &str = "on: workflow_call
jobs:
  one: { runs-on: ubuntu-latest, steps: [{ run: x }] }
";

fn with_group(concurrency: &str) -> String {
    format!(
        "name: CI
on: push
jobs:
  test: {{ runs-on: ubuntu-latest, steps: [{{ run: x }}] }}
  deploy:
    needs: test
    concurrency: {concurrency}
    runs-on: ubuntu-latest
    steps: [{{ run: x }}]
"
    )
}

/// Pushes so often, and runs the first job of each.
fn pushed(world: &mut World, count: usize) -> Vec<greenlight_core::id::RunNumber> {
    let mut runs = Vec::new();
    for (letter, number) in ('a'..='z').zip(0..count) {
        world.push_branch(&format!("topic-{number}"), letter);
        world.work();
        runs.push(world.last_run_of("push"));
        // The first jobs are older than any deployment.
    }
    runs
}

fn test_all(world: &mut World, count: usize) {
    let orders: Vec<JobOrder> = (0..count).map(|_| world.take().expect("a test waits")).collect();
    for order in orders {
        assert_eq!(&*order.job_id, "test");
        world.end(&order, Conclusion::Success, &[]);
    }
}

fn deploys(world: &World, runs: &[greenlight_core::id::RunNumber]) -> Vec<String> {
    runs.iter().map(|run| world.standing(*run)[1].trim_start_matches("deploy: ").to_owned()).collect()
}

#[test]
fn one_job_of_a_group_runs_and_the_newest_waits() {
    let mut world = world(&with_group("Production"));
    let runs = pushed(&mut world, 3);
    test_all(&mut world, 3);
    let standing = deploys(&world, &runs);
    assert_eq!(standing[0], "queued: waits for a runner");
    assert_eq!(standing[1], "cancelled: cancelled: deploy of run 3 took its place in production");
    assert_eq!(standing[2], "waits: waits for its turn in the concurrency group production, which deploy of run 1 has");
    let first = world.take().expect("the first deploys");
    assert!(world.take().is_none(), "one at a time");
    world.end(&first, Conclusion::Success, &[]);
    assert_eq!(deploys(&world, &runs)[2], "queued: waits for a runner");
    world.finish();
    assert_eq!(deploys(&world, &runs)[2], "success: succeeded");
}

#[test]
fn a_queue_lets_all_wait_in_order() {
    let mut world = world(&with_group("{ group: production, queue: max }"));
    let runs = pushed(&mut world, 3);
    test_all(&mut world, 3);
    for run in &runs {
        let order = world.take().expect("the next deploys");
        assert_eq!(order.attempt.run, *run);
        assert!(world.take().is_none(), "one at a time");
        world.end(&order, Conclusion::Success, &[]);
    }
    assert_eq!(deploys(&world, &runs), ["success: it ended"; 3]);
}

#[test]
fn a_newcomer_may_stop_the_job_that_runs() {
    let mut world = world(&with_group("{ group: production, cancel-in-progress: true }"));
    let runs = pushed(&mut world, 1);
    test_all(&mut world, 1);
    let first = world.take().expect("the first deploys");
    let more = pushed(&mut world, 2);
    test_all(&mut world, 1);
    let standing = deploys(&world, &[runs[0], more[1]]);
    assert!(standing[0].starts_with("runs: is being stopped: deploy of run"), "{standing:?}");
    assert!(standing[1].starts_with("waits: "), "{standing:?}");
    world.end(&first, Conclusion::Cancelled, &[]);
    assert_eq!(deploys(&world, &[more[1]]), ["queued: waits for a runner"]);
}

#[test]
fn runs_and_jobs_share_their_groups() {
    let mut world = World::new(
        &[
            (
                ".github/workflows/a.yml",
                "name: A\non: push\nconcurrency: shared\njobs:\n  a: { runs-on: ubuntu-latest, steps: [{ run: x }] }\n",
            ),
            (
                ".github/workflows/b.yml",
                "name: B\non: push\njobs:\n  b: { concurrency: shared, runs-on: ubuntu-latest, steps: [{ run: x }] }\n",
            ),
        ],
        "",
    );
    world.push_branch("topic", 'a');
    world.work();
    let first = world.take().expect("one begins");
    assert!(world.take().is_none(), "and the other waits");
    world.end(&first, Conclusion::Success, &[]);
    let second = world.take().expect("then the other");
    assert_ne!(first.job_id, second.job_id);
}

#[test]
fn a_call_that_asks_for_the_group_of_its_own_run_would_wait_for_ever() {
    let text = "name: CI\non: push\nconcurrency: one\njobs:\n  inner: { concurrency: one, uses: ./.github/workflows/called.yml }\n";
    let mut world = world(text);
    world.push_branch("topic", 'a');
    world.work();
    let standing = world.standing(world.last_run_of("push"));
    assert_eq!(standing[0], "inner: cancelled: cancelled: CI, of which it is a part, has the concurrency group one");
}

#[test]
fn a_call_holds_its_group_until_its_jobs_are_over() {
    let text = "name: CI\non: push\njobs:\n  inner: { concurrency: one, uses: ./.github/workflows/called.yml }\n";
    let mut world = world(text);
    for (branch, letter) in [("a", 'a'), ("b", 'b')] {
        world.push_branch(branch, letter);
        world.work();
    }
    let first = world.take().expect("the first call has a job");
    assert!(world.take().is_none(), "the second waits");
    world.end(&first, Conclusion::Success, &[]);
    let second = world.take().expect("then the second");
    assert_ne!(first.attempt.run, second.attempt.run);
}

#[test]
fn a_clock_that_is_set_back_changes_no_order() {
    let workflow = "name: CI
on: push
concurrency: ci-${{ github.ref }}
jobs:
  test:
    concurrency: { group: desk, queue: max }
    runs-on: ubuntu-latest
    steps: [{ run: x }]
";
    let mut world = world(workflow);
    world.wait(7200);
    world.push_branch("one", 'a');
    world.work();
    let first = world.take().expect("the desk is free");
    world.push_branch("two", 'b');
    world.work();
    let waiting = world.last_run_of("push");
    world.clock_is_set_back(3600);
    world.push_branch("two", 'c');
    world.work();
    let newest = world.last_run_of("push");
    assert_ne!(waiting, newest);
    world.end(&first, Conclusion::Success, &[]);
    for run in [waiting, newest] {
        let next = world.take().expect("the desk is free again");
        assert_eq!(next.attempt.run, run, "{:?} {:?}", world.standing(waiting), world.standing(newest));
        world.end(&next, Conclusion::Success, &[]);
    }
    world.finish();
}

#[test]
fn a_run_keeps_its_turn_while_its_job_waits_for_another() {
    let guarded = "name: CI
on: pull_request
concurrency: { group: ci, queue: max }
jobs:
  test:
    concurrency: { group: desk, queue: max }
    runs-on: ubuntu-latest
    steps: [{ run: x }]
";
    let other = guarded
        .replace("on: pull_request\nconcurrency: { group: ci, queue: max }", "on: { push: { branches: [hold] } }");
    let mut world = World::new(&[(".github/workflows/ci.yml", guarded), (".github/workflows/other.yml", &other)], "");
    world.push_branch("hold", 'h');
    world.work();
    let held = world.take().expect("the desk is free");
    world.open_fork(1, 'a');
    world.work();
    let from_a_fork = world.last_run_of("pull_request");
    world.open_pull(2, 'b');
    world.work();
    let trusted = world.last_run_of("pull_request");
    assert_ne!(from_a_fork, trusted);
    let answer = world.click(Wish::Approve(from_a_fork));
    assert!(answer.contains("may start"), "{answer}");
    world.work();
    world.end(&held, Conclusion::Success, &[]);
    for run in [trusted, from_a_fork] {
        let next = world.take().expect("nobody waits for each other");
        assert_eq!(next.attempt.run, run, "{:?} {:?}", world.standing(trusted), world.standing(from_a_fork));
        world.end(&next, Conclusion::Success, &[]);
    }
}

const OUTER: &str = "name: Outer
on: push
concurrency: { group: HAS, queue: max }
jobs:
  test: { runs-on: ubuntu-latest, steps: [{ run: x }] }
  deploy:
    needs: test
    concurrency: { group: ASKS, queue: max }
    runs-on: ubuntu-latest
    steps: [{ run: x }]
";

/// Workflows that have one group and ask for the next, in a circle, each with the first job of its run.
fn in_a_circle(groups: &[&str]) -> (World, Vec<JobOrder>) {
    let texts: Vec<(String, String)> = (0..groups.len())
        .map(|at| {
            let next = groups[(at + 1) % groups.len()];
            let text = OUTER.replace("Outer", &format!("W{at}")).replace("HAS", groups[at]);
            (format!(".github/workflows/{at}.yml"), text.replace("ASKS", next))
        })
        .collect();
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (&**path, &**text)).collect();
    let mut world = World::new(&files, "");
    world.push_branch("topic", 'a');
    world.work();
    let orders = groups.iter().map(|_| world.take().expect("each begins")).collect();
    (world, orders)
}

#[test]
fn runs_that_wait_for_each_other_say_so_and_what_to_do() {
    let (mut world, orders) = in_a_circle(&["one", "two"]);
    for order in &orders {
        world.end(order, Conclusion::Success, &[]);
    }
    let [first, second] = [orders[0].attempt.run, orders[1].attempt.run];
    let waits = |world: &World, run| world.standing(run)[1].clone();
    let circle = "deploy: waits: waits in a circle: two is run 2's, which waits for this run; cancel one of them";
    assert_eq!(waits(&world, first), circle);
    let other = "deploy: waits: waits in a circle: one is run 1's, which waits for this run; cancel one of them";
    assert_eq!(waits(&world, second), other);
    world.click(Wish::Cancel(second));
    world.finish();
    assert_eq!(waits(&world, first), "deploy: success: succeeded");
}

#[test]
fn a_circle_of_three_is_told_to_all_of_them() {
    let (mut world, orders) = in_a_circle(&["one", "two", "three"]);
    world.end(&orders[0], Conclusion::Success, &[]);
    let waits = |world: &World, at: usize| world.standing(orders[at].attempt.run)[1].clone();
    assert_eq!(waits(&world, 0), "deploy: waits: waits for its turn in the concurrency group two, which run 2 has");
    world.end(&orders[1], Conclusion::Success, &[]);
    world.end(&orders[2], Conclusion::Success, &[]);
    let circle = "deploy: waits: waits in a circle: two is run 2's, which waits for run 3, which waits for this run; cancel one of them";
    assert_eq!(waits(&world, 0), circle);
    world.click(Wish::Cancel(orders[1].attempt.run));
    world.finish();
    assert_eq!(waits(&world, 0), "deploy: success: succeeded");
    assert_eq!(waits(&world, 2), "deploy: success: succeeded");
}

#[test]
fn what_waits_behind_a_circle_is_no_part_of_it() {
    let (mut world, orders) = in_a_circle(&["one", "two"]);
    for order in &orders {
        world.end(order, Conclusion::Success, &[]);
    }
    world.push_branch("other", 'b');
    world.work();
    let last = world.last_run_of("push");
    let expected = "test: waits: waits for its turn in the concurrency group two, which run 2 has";
    assert_eq!(world.standing(last)[0], expected);
}

#[test]
fn a_run_whose_group_cannot_be_told_is_over_with_all_its_jobs() {
    let text = "name: CI\non: push\nconcurrency: \"${{ fromJSON('nothing') }}\"\njobs:\n  test: { runs-on: ubuntu-latest, steps: [{ run: x }] }\n";
    let mut world = world(text);
    world.push_branch("topic", 'a');
    world.work();
    let run = world.last_run_of("push");
    let standing = world.standing(run);
    assert!(standing.last().is_some_and(|line| line.starts_with("failure: concurrency: ")), "{standing:?}");
    let context = "greenlight / CI / test (push)";
    assert!(!world.context('a', context).starts_with("pending"), "{}", world.context('a', context));
    let answer = world.click(Wish::Rerun(run, Again::All));
    assert!(answer.contains("mend"), "{answer}");
    assert!(world.take().is_none(), "it would run outside its group");
}

#[test]
fn what_is_let_start_comes_to_its_group_when_it_is_let_start() {
    let text = "name: CI\non: pull_request\nconcurrency: one\njobs:\n  test: { runs-on: ubuntu-latest, steps: [{ run: x }] }\n";
    let mut world = world(text);
    world.open_fork(1, 'a');
    world.work();
    let waiting = world.last_run_of("pull_request");
    world.open_pull(2, 'b');
    world.work();
    let order = world.take().expect("the other has the group");
    world.comment(1, crate::world::WRITER, &format!("/ok-to-test {}", crate::world::sha('a')));
    world.work();
    let standing = world.standing(waiting);
    assert!(standing[0].starts_with("test: waits: waits for its turn"), "{standing:?}");
    world.end(&order, Conclusion::Success, &[]);
    world.finish();
    assert_eq!(world.standing(waiting), ["test: success: succeeded", "success: 1 job succeeded"]);
}
