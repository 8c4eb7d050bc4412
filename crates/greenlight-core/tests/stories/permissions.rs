//! Whose word counts, and until when: an approval holds while whoever gave it may push, a command for the head and base it was about.

use greenlight_core::event::Comment;
use greenlight_core::id::CommentId;
use greenlight_core::run::Conclusion;

use super::BOTH;
use super::world::{self, World};

fn world(when: &str) -> World {
    World::new(&[(".github/workflows/ci.yml", BOTH)], &format!("merge: {{ when: {when} }}\n"))
}

/// Somebody gives their word for a pull request that is being tested, and may push to the end, or not any more.
fn merged_on_the_word_of(when: &str, stays: bool, give: impl FnOnce(&mut World)) -> (Vec<u64>, Vec<String>) {
    let mut world = world(when);
    world.open_pull(1, 'a');
    world.work();
    give(&mut world);
    world.work();
    if !stays {
        world.may_not_push_any_more(world::BOT);
    }
    world.wait(3600);
    world.finish();
    (world.merged(), world.comments(1))
}

#[test]
fn an_approval_counts_only_while_whoever_gave_it_may_push() {
    let approve = |world: &mut World| world.approve(1, world::BOT, 'a');
    assert_eq!(merged_on_the_word_of("approved", true, approve).0, [1]);
    let (merged, told) = merged_on_the_word_of("approved", false, approve);
    assert_eq!(merged, [0; 0]);
    assert!(told.iter().any(|text| text.contains("waits for an approving review")), "{told:?}");
}

#[test]
fn a_merge_is_made_only_while_whoever_asked_for_it_may_push() {
    let ask = |world: &mut World| world.comment(1, world::BOT, "/merge");
    assert_eq!(merged_on_the_word_of("command", true, ask).0, [1]);
    let (merged, told) = merged_on_the_word_of("command", false, ask);
    assert_eq!(merged, [0; 0]);
    assert!(told.iter().any(|text| text.contains("may not push any more")), "{told:?}");
}

#[test]
fn a_review_by_somebody_who_went_does_not_count_until_it_is_known_what_they_may_do() {
    let mut world = world("approved");
    world.open_pull(1, 'a');
    world.finish();
    world.comment(1, world::BOT, "/retest");
    world.finish();
    world.may_not_push_any_more(world::BOT);
    world.approve(1, world::BOT, 'a');
    world.finish();
    assert_eq!(world.merged(), [0; 0]);
}

#[test]
fn what_was_said_before_anybody_listened_counts_for_the_head_of_then() {
    // By the head's own push, so many seconds after the word.
    for (pushed_after, counts) in
        [(Some(-90), true), (Some(-1), true), (Some(0), false), (Some(1), false), (None, false)]
    {
        let mut world = world("command");
        world.finish();
        world.open_and_say_unheard(1, 'a', "/merge", pushed_after);
        world.wait(3600);
        world.finish();
        assert_eq!(world.merged().len(), usize::from(counts), "{pushed_after:?}: {:?}", world.comments(1));
        let told = world.comments(1).iter().any(|text| text.contains("say /merge again"));
        assert_eq!(told, !counts, "{pushed_after:?}: {:?}", world.comments(1));
    }
}

#[test]
fn a_push_elsewhere_makes_no_head_younger() {
    let mut world = world("command");
    world.finish();
    world.open_and_say_unheard(1, 'a', "Well.", Some(-90));
    world.wait(3600);
    world.finish();
    let before = world.said_last();
    world.push_elsewhere();
    world.wait(3600);
    world.finish();
    // A word that is heard of only now.
    world.hear(Comment { id: CommentId(before.id.0 + 1), body: "/merge".into(), ..before });
    world.wait(3600);
    world.finish();
    assert_eq!(world.merged(), [1], "{:?}", world.comments(1));
}

#[test]
fn what_was_said_before_the_head_was_shown_is_about_another_head() {
    let mut world = world("command");
    world.open_pull(1, 'a');
    world.finish();
    world.say_before_the_head_is_shown(1, 'b', "/merge");
    world.finish();
    assert!(world.merged().is_empty(), "{:?}", world.comments(1));
    assert!(world.comments(1).iter().any(|text| text.contains("say /merge again")), "{:?}", world.comments(1));
}

#[test]
fn a_merge_that_was_asked_for_is_of_the_base_that_it_was_asked_for() {
    let mut world = world("command");
    world.open_pull(1, 'a');
    world.retarget(1, "topic");
    world.comment(1, world::WRITER, "/merge");
    world.work();
    world.retarget(1, "main");
    world.finish();
    assert_eq!(world.merged(), [0; 0], "nobody said that it may land on main");
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    assert_eq!(world.merged(), [1]);
}

#[test]
fn a_head_that_begins_like_the_one_that_was_looked_at_is_not_let_start() {
    let mut world = world("green");
    world.open_fork(1, 'a');
    world.work();
    // Whoever makes two commits can have them begin alike.
    let looked_at = world::sha('a').to_string();
    world.comment(1, world::WRITER, &format!("/ok-to-test {}", &looked_at[..12]));
    world.work();
    assert!(world.take().is_none(), "twelve digits name many commits");
    let answered = |world: &World, text: &str| world.comments(1).iter().any(|comment| comment.contains(text));
    assert!(answered(&world, &format!("/ok-to-test {looked_at}")), "{:?}", world.comments(1));
    world.comment(1, world::WRITER, &format!("/ok-to-test {looked_at}"));
    world.work();
    let order = world.take().expect("this very head was named");
    world.end(&order, Conclusion::Success, &[]);
}

#[test]
fn a_command_is_carried_out_once_however_much_is_said_after_it() {
    let mut world = world("command");
    world.open_pull(1, 'a');
    world.finish();
    world.comment(1, world::WRITER, "/retest");
    let retest = world.said_last();
    world.finish();
    let attempts = world.attempts();
    for _ in 0..1100 {
        world.comment(1, world::STRANGER, "me too");
    }
    // A comparison reads all that was ever said.
    world.hear(retest);
    world.finish();
    assert_eq!(world.attempts(), attempts);
}

#[test]
fn somebody_who_may_push_by_now_needs_no_approval() {
    let mut world = world("green");
    world.open_fork(1, 'a');
    world.comment(1, world::STRANGER, "/retest");
    world.work();
    world.may_push_now(world::STRANGER);
    world.wait(3600);
    world.open_pull_of(2, 'b', world::STRANGER);
    world.finish();
    assert!(world.status('b').starts_with("success"), "{}", world.status('b'));
}

#[test]
fn what_was_said_long_ago_is_not_carried_out() {
    for (days, merged) in [(2, 1), (5, 0)] {
        let mut world = world("command");
        world.open_pull(1, 'a');
        world.finish();
        let said = world.say_unheard(1, world::WRITER, "/merge");
        world.pass(days);
        // A comparison finds it.
        world.hear(said);
        world.finish();
        assert_eq!(world.merged().len(), merged, "{days} days ago");
    }
}

#[test]
fn a_pull_request_that_was_closed_is_merged_only_when_that_is_said_again() {
    let mut world = world("command");
    world.open_pull(1, 'a');
    world.comment(1, world::WRITER, "/merge");
    world.work();
    world.close_pull(1);
    world.work();
    world.reopen(1);
    world.finish();
    assert_eq!(world.merged(), [0; 0]);
    world.comment(1, world::WRITER, "/merge");
    world.finish();
    assert_eq!(world.merged(), [1]);
}
