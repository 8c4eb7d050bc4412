//! What is told to people: commands that nothing comes of, a `.greenlight.yml` that is wrong, two runs that share one context.

use greenlight_core::fact::{Again, Wish};

use super::world::{self, World};
use super::{BOTH, DEPLOY, GREEN, repository};

/// Returns the replies to commands: the note is not one.
fn replies(world: &World, number: u64) -> Vec<String> {
    world.comments_by_mark(number).into_iter().filter(|(mark, _)| mark != "note").map(|(_, text)| text).collect()
}

#[test]
fn a_command_of_which_nothing_comes_is_answered_once() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    for (by, said, answer) in [
        (world::WRITER, "/retset", "/retset is none of our commands; did you mean /retest?"),
        (world::WRITER, "/merge squash", "Say /merge alone: how it is merged stands in `.greenlight.yml`."),
        (world::WRITER, "/ok-to-test", "Say which head you looked at: /ok-to-test SHA, with all forty digits of it."),
        (
            world::WRITER,
            "/ok-to-test 0123456",
            "The head is 6100000 now, not 0123456. Look at it, and say /ok-to-test 6100000000000000000000000000000000000000 if it may run.",
        ),
        (world::STRANGER, "/merge", "@stranger, only people with write permission can say that here."),
        (world::STRANGER, "/retset", "/retset is none of our commands; did you mean /retest?"),
        (
            world::WRITER,
            "/frobnicate",
            "/frobnicate is none of our commands: there are /retest, /cancel, /merge and /ok-to-test SHA.",
        ),
        (world::WRITER, "/merge", "It is merged when `greenlight` is a success on 6100000."),
    ] {
        let before = replies(&world, 1).len();
        world.comment(1, by, said);
        world.comment_again();
        world.work();
        let all = replies(&world, 1);
        assert!(all.iter().any(|text| text == answer) && all.len() == before + 1, "{said}: {all:#?}");
    }
}

#[test]
fn what_is_no_command_of_ours_is_not_answered() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.work();
    for (by, said) in [
        (world::WRITER, "/usr/bin/env is missing"),
        (world::WRITER, "/tmp is full"),
        (world::WRITER, "/lgtm"),
        (world::STRANGER, "/frobnicate"),
        (world::BOT, "/retset"),
        (world::BOT, "/merge"),
        (world::WRITER, "/retset\n\n<!-- greenlight:reply-1 -->"),
    ] {
        world.comment(1, by, said);
        world.work();
        assert_eq!(replies(&world, 1), [""; 0], "{said}");
    }
}

#[test]
fn an_old_comment_is_not_told_that_it_was_not_understood() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.comment_days_ago(1, world::WRITER, "/retset", 2);
    world.comment_days_ago(1, world::STRANGER, "/merge", 2);
    world.work();
    assert_eq!(replies(&world, 1), [""; 0]);
}

#[test]
fn a_command_on_what_is_over_says_so() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.close_pull(1);
    world.comment(1, world::WRITER, "/retest");
    world.finish();
    assert_eq!(replies(&world, 1), ["The pull request is closed. Reopen it, and say that again."]);
    world.open_pull(2, 'b');
    world.finish();
    assert_eq!(world.merged(), [2]);
    world.comment(2, world::WRITER, "/merge");
    world.finish();
    assert_eq!(replies(&world, 2), ["The pull request was merged, so there is nothing left to do here."]);
}

#[test]
fn a_merge_of_what_waits_for_an_approval_says_for_what() {
    let mut world = repository();
    world.open_fork(1, 'a');
    world.finish();
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    assert_eq!(
        replies(&world, 1),
        [
            "Its tests wait for an approval first: look at it, and say /ok-to-test 6100000000000000000000000000000000000000 if they may run."
        ]
    );
}

const WRONG: &str = "merge: { whn: green }\nenvironments:\n  staging: { on: merge, run: { workflow: deploy } }\n";
const PROBLEM: &str = ".greenlight.yml:1: unknown key whn in merge; did you mean when?";

#[test]
fn a_wrong_configuration_is_shown_on_the_branch_itself() {
    let mut world = repository();
    world.configure(WRONG);
    world.move_main('y');
    world.finish();
    assert_eq!(world.status('y'), format!("failure: {PROBLEM}"));
    world.configure(GREEN);
    world.move_main('z');
    world.finish();
    assert_eq!(world.status('z'), "success: 2 jobs succeeded");
    assert_eq!(world.status('y'), format!("failure: {PROBLEM}"), "it is what that commit brought");
}

#[test]
fn a_wrong_configuration_is_shown_at_the_first_look() {
    let mut world = World::new(&[(".github/workflows/ci.yml", BOTH)], WRONG);
    world.finish();
    assert_eq!(world.status('x'), format!("failure: {PROBLEM}"));
    assert_eq!(world.runs_of("push"), 0);
    world.open_pull(1, 'a');
    world.finish();
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    assert_eq!(world.comments(1), [format!("Not merged yet: {PROBLEM}")]);
}

#[test]
fn a_wrong_configuration_beside_wrong_workflows_says_both() {
    const BROKEN: &str = "on: [push, pull_request]\njobs: { a: { runs-on: x, stesp: [] } }\n";
    let mut world = World::new(&[(".github/workflows/a.yml", BROKEN), (".github/workflows/ci.yml", BOTH)], WRONG);
    world.finish();
    assert_eq!(world.status('x'), format!("failure: {PROBLEM}"));
    world.move_main('y');
    world.finish();
    assert_eq!(world.status('y'), format!("failure: {PROBLEM}; 1 more file is wrong"));
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.status('a'), format!("failure: {PROBLEM}; 1 more file is wrong"));
    let told = world.context('a', "greenlight / .github/workflows/a.yml (pull_request)");
    assert!(told.starts_with("failure: .github/workflows/a.yml:2:26: ") && told.contains("'stesp'"), "{told}");
}

#[test]
fn a_file_that_a_later_attempt_can_use_is_told_to_be_right() {
    const BROKEN: &str = "on: pull_request\njobs: { a: { runs-on: x, stesp: [] } }\n";
    const MENDED: &str = "on: pull_request\njobs: { a: { runs-on: ubuntu-latest, steps: [{ run: true }] } }\n";
    const FILE: &str = ".github/workflows/a.yml";
    let mut world = World::new(&[(FILE, BROKEN), (".github/workflows/ci.yml", BOTH)], "");
    world.open_pull(1, 'a');
    world.finish();
    let context = format!("greenlight / {FILE} (pull_request)");
    assert!(world.context('a', &context).starts_with("failure: "), "{}", world.context('a', &context));
    world.write(FILE, MENDED);
    world.move_main('y');
    world.comment(1, world::WRITER, "/retest");
    world.finish();
    assert_eq!(world.context('a', &context), "success: the file can be used");
    assert!(world.status('a').starts_with("success: "), "{}", world.status('a'));
}

#[test]
fn a_deployment_waits_for_a_right_configuration_and_says_so() {
    let mut world = repository();
    world.open_pull(1, 'a');
    world.finish();
    world.configure(WRONG);
    world.move_main('y');
    world.finish();
    world.deploy("staging", 'y');
    world.finish();
    assert_eq!(world.deployments().last().map(String::as_str), Some("staging queued"));
    assert_eq!(world.deployment_text(), format!("nothing is deployed: {PROBLEM}"));
    world.configure(GREEN);
    world.move_main('z');
    world.finish();
    assert_eq!(world.deployments().last().map(String::as_str), Some("staging queued in_progress success"));
}

#[test]
fn a_run_of_a_deployment_is_not_run_again() {
    let mut world = World::new(&[(".github/workflows/deploy.yml", DEPLOY)], "");
    world.move_main('y');
    world.finish();
    world.deploy("moon", 'y');
    world.finish();
    let run = world.last_run_of("deployment");
    assert!(world.click(Wish::Rerun(run, Again::All)).contains("a deployment is never repeated: make a new one"));
}

#[test]
fn what_else_happens_to_a_pull_request_does_not_run_script_cibuild() {
    let mut world = World::new(&[], GREEN);
    world.has_cibuild();
    world.open_pull(1, 'a');
    world.finish();
    assert_eq!(world.runs_of("pull_request"), 1);
    world.close_pull(1);
    world.finish();
    assert_eq!(world.runs_of("pull_request"), 1, "it was closed, which is no change of it");
}

#[test]
fn a_push_and_a_pull_request_share_the_context_of_script_cibuild() {
    let mut world = World::new(&[], "");
    world.has_cibuild();
    world.push_branch("topic-1", 'a');
    world.open_pull(1, 'a');
    world.work();
    assert_eq!(world.runs_of("push") + world.runs_of("pull_request"), 2);
    let context = "greenlight / cibuild";
    assert_eq!(world.context('a', context), "pending: waits for a runner");
    world.fail_job("step 'script/cibuild' failed with exit code 1");
    world.work();
    assert_eq!(world.context('a', context), "failure: step 'script/cibuild' failed with exit code 1");
    assert_eq!(world.run_job().as_deref(), Some("cibuild"));
    world.finish();
    assert_eq!(
        world.context('a', context),
        "failure: step 'script/cibuild' failed with exit code 1",
        "the worst of both"
    );
    let failed = world.failed_run();
    assert!(world.click(Wish::Rerun(failed, Again::All)).contains("runs again"));
    world.finish();
    assert_eq!(world.context('a', context), "success: succeeded");
}
