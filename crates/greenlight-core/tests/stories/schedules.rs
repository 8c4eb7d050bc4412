//! `on: schedule`: what comes due by the clock.

use greenlight_core::fact::{Again, Wish};
use greenlight_core::run::Conclusion;

use super::world::{self, World};

const NIGHTLY: &str = "name: Nightly
on:
  schedule:
    - cron: '*/5 * * * *'
jobs:
  build: { runs-on: ubuntu-latest, steps: [{ run: 'echo ${{ github.event.schedule }}' }] }
";
const PATH: &str = ".github/workflows/nightly.yml";
const EVENT: &str = "schedule";
const HOUR: u64 = 3600;

/// A repository at 00:16:40, and so 200 seconds before the first line comes due.
fn repository(text: &str) -> World {
    World::new(&[(PATH, text)], "")
}

#[test]
fn a_line_that_comes_due_starts_its_workflow_on_the_last_commit_of_the_default_branch() {
    let mut world = repository(NIGHTLY);
    world.move_main('a');
    world.work();
    world.wait(150);
    assert!(world.take().is_none(), "it is not time yet");
    world.wait(50);
    let order = world.take().expect("it is 00:20");
    assert_eq!((order.checkout.sha, order.checkout.git_ref.as_str()), (world::sha('a'), "refs/heads/main"));
    assert!(order.trusted);
    for (name, expected) in [("event_name", EVENT), ("ref", "refs/heads/main"), ("actor", "acme")] {
        assert_eq!(order.github.get(name).as_str(), Some(expected), "{name}");
    }
    let event = order.github.get("event");
    assert_eq!(event.get("schedule").as_str(), Some("*/5 * * * *"));
    assert_eq!(event.get("repository").get("full_name").as_str(), Some("acme/app"));
    world.end(&order, Conclusion::Failure, &[]);
    assert_eq!(world.context('a', "greenlight / Nightly / build (schedule)"), "failure: it ended");
    assert!(world.status('a').starts_with("success: nothing runs"), "what the clock starts is no test of a commit");
    let subject = format!("{:?}", world.subject(world.last_run_of(EVENT)));
    assert!(subject.contains("*/5 * * * *, due 1970-01-01 00:20 UTC"), "{subject}");
    world.wait(300);
    world.finish();
    assert_eq!(world.runs_of(EVENT), 2);
}

#[test]
fn the_next_look_is_when_the_next_line_comes_due() {
    let mut world = repository(NIGHTLY);
    assert_eq!(world.seconds_to_next_look(), Some(200));
    world.wait(200);
    world.finish();
    assert_eq!(world.seconds_to_next_look(), Some(299));
}

#[test]
fn a_server_that_starts_again_starts_no_line_twice_and_forgets_none() {
    let mut world = repository(NIGHTLY);
    world.is_away(200);
    for _ in 0..3 {
        world.restart_with_new_boot();
        world.finish();
        assert_eq!(world.runs_of(EVENT), 1);
    }
    world.clock_is_set_back(100);
    world.restart_with_new_boot();
    world.wait(150);
    world.finish();
    assert_eq!(world.runs_of(EVENT), 1, "the clock shows 00:20 once more");
}

#[test]
fn of_what_came_due_while_the_server_was_away_the_last_starts_and_only_within_an_hour() {
    let hourly = NIGHTLY.replace("*/5 *", "0 *");
    let mut world = repository(&hourly);
    world.is_away(5 * HOUR);
    world.restart_with_new_boot();
    world.finish();
    assert_eq!(world.runs_of(EVENT), 1);
    let subject = format!("{:?}", world.subject(world.last_run_of(EVENT)));
    assert!(subject.contains("due 1970-01-01 05:00 UTC"), "{subject}");
    assert!(world.audit().iter().any(|line| line.contains("'0 * * * *' came due at 1970-01-01 01:00 UTC and was not")));
    let nightly = NIGHTLY.replace("*/5 *", "0 2");
    let mut world = repository(&nightly);
    world.is_away(3 * HOUR);
    world.restart_with_new_boot();
    world.finish();
    assert_eq!(world.runs_of(EVENT), 0, "it is 03:16 by now");
}

#[test]
fn a_push_begins_and_ends_a_schedule() {
    let mut world = repository("on: push\njobs: { a: { runs-on: ubuntu-latest, steps: [{ run: x }] } }\n");
    world.finish();
    assert_eq!(world.seconds_to_next_look().filter(|wait| *wait <= 200), None);
    world.write(PATH, NIGHTLY);
    world.move_main('a');
    world.finish();
    world.wait(200);
    let order = world.take().expect("it is 00:20");
    assert_eq!(order.github.get("actor").as_str(), Some("octocat"), "who pushed it");
    world.end(&order, Conclusion::Success, &[]);
    assert_eq!(world.runs_of(EVENT), 1);
    world.write(PATH, &NIGHTLY.replace("*/5", "2,3"));
    world.move_main('b');
    world.finish();
    world.wait(HOUR);
    world.finish();
    assert_eq!(world.runs_of(EVENT), 2, "of 00:02 and 00:03, which nobody looked at, the last");
    // It is taken away at the tip, and nobody has looked at the files yet when the old line comes due.
    world.write(PATH, "on: push\njobs: { a: { runs-on: ubuntu-latest, steps: [{ run: x }] } }\n");
    world.is_away(HOUR);
    world.move_main('c');
    world.finish();
    assert_eq!(world.runs_of(EVENT), 2);
}

#[test]
fn workflows_that_share_a_line_start_together_and_each_line_starts_its_own() {
    let other = NIGHTLY.replace("Nightly", "Other").replace("*/5 * * * *'", "*/5 * * * *'\n    - cron: '*/10 * * * *'");
    let berlin =
        NIGHTLY.replace("Nightly", "Berlin").replace("*/5 * * * *'", "*/5 * * * *'\n      timezone: Europe/Berlin");
    let files = [(PATH, NIGHTLY), (".github/workflows/other.yml", &other), (".github/workflows/berlin.yml", &berlin)];
    let mut world = World::new(&files, "");
    world.wait(200);
    world.finish();
    let mut started = world.names_of(EVENT);
    started.sort();
    assert_eq!(started, ["Berlin", "Nightly", "Other", "Other"]);
}

#[test]
fn what_the_clock_started_can_run_again() {
    let mut world = repository(NIGHTLY);
    world.wait(200);
    let order = world.take().expect("it is 00:20");
    world.end(&order, Conclusion::Failure, &[]);
    let answer = world.click(Wish::Rerun(order.attempt.run, Again::Failed));
    assert!(answer.contains("runs again, as attempt 2"), "{answer}");
    let again = world.take().expect("it runs again");
    assert_eq!(again.github.get("event").get("schedule").as_str(), Some("*/5 * * * *"));
    world.end(&again, Conclusion::Success, &[]);
    assert_eq!(world.runs_of(EVENT), 1);
}

#[test]
fn where_one_event_alone_is_to_be_run_nothing_starts_by_the_clock() {
    let mut world = repository(NIGHTLY);
    world.ignores_the_clock();
    world.wait(HOUR);
    world.finish();
    assert_eq!(world.runs_of(EVENT), 0);
}

#[test]
fn a_line_that_never_comes_due_is_told() {
    let text = NIGHTLY.replace("*/5 * * * *'", "*/5 * * * *'\n      timezone: Mars/Olympus");
    let mut world = repository(&text);
    world.wait(HOUR);
    world.finish();
    assert_eq!(world.runs_of(EVENT), 0);
    assert!(
        world.audit().iter().any(|line| line.contains("there is no time zone 'Mars/Olympus'")),
        "{:?}",
        world.audit()
    );
}

#[test]
fn what_the_clock_started_is_not_remembered_for_ever() {
    let mut world = repository(NIGHTLY);
    for _ in 0..250 {
        world.wait(300);
        world.finish();
    }
    world.click(Wish::Sync);
    world.finish();
    let kept = world.runs_of(EVENT);
    assert!((200..210).contains(&kept), "{kept}");
}

#[test]
fn what_the_clock_starts_knows_the_repository_as_other_events_do() {
    let mut world = repository(NIGHTLY);
    let told = r#"{"repository":{"id":1,"full_name":"acme/app","private":true,"owner":{"login":"acme","id":7}}}"#;
    world.tell("issues", Some("opened"), r#"{"repository":{"id":2,"private":false}}"#, "refs/heads/main", 'x');
    world.write(".github/workflows/nightly.yml", &NIGHTLY.replace("  schedule:", "  create:\n  schedule:"));
    world.tell("create", None, told, "refs/heads/main", 'x');
    world.finish();
    world.wait(200);
    let order = world.take().expect("it is 00:20");
    assert_eq!(order.github.get("event_name").as_str(), Some(EVENT));
    assert_eq!(order.github.get("event").get("repository").get("private").as_bool(), Some(true));
    assert_eq!(&*order.github.get("repository_owner_id").coerce_string(), "7");
}
