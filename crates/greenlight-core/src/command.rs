//! The command language: what people say on pull requests.
//!
//! A command is a line that begins with a slash. It is carried out only for somebody whose permission, read from GitHub after
//! the comment was seen, is to write; and where it names a head without spelling it out (`/merge`), only while the head is the
//! one that was there when the comment was written (R3).

use std::sync::Arc;

use crate::effect::Effect;
use crate::event::{Comment, PullStanding};
use crate::id::{PullNumber, Sha};
use crate::item::Class;
use crate::merge::{Readiness, read_key, readiness, suite_key};
use crate::outbox::{Wanted, want};
use crate::pull::{MergeAsked, MergeStanding, PendingCommand, Pull};
use crate::repository::{Repository, Topic};
use crate::run::{SuitePhase, Trust};
use crate::schedule;
use crate::time::{Duration, Timestamp};
use crate::trust;

/// How many comments of one pull request are remembered; older ones were taken in long ago.
const SEEN_MAX: usize = 1000;

/// How long to wait before a pull request is read again whose last read was older than a comment on it.
const READ_AGAIN: Duration = Duration::from_secs(2);

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `/retest`: test again, on the base as it is now.
    Retest,
    /// `/cancel`: stop what runs.
    Cancel,
    /// `/merge`: merge when green.
    Merge,
    /// `/ok-to-test SHA`: let this head's tests start.
    OkToTest(Arc<str>),
    /// One of ours that is not said right, and how it is.
    Wrong(Arc<str>),
}

/// Reads the first command of a comment; other people's slashes are none of ours.
pub fn parse(body: &str) -> Option<Command> {
    body.lines().find_map(|line| {
        let mut words = line.trim().strip_prefix('/')?.split_whitespace();
        let (word, argument) = (words.next()?, words.next());
        match (word, argument) {
            ("retest", _) => Some(Command::Retest),
            ("cancel", _) => Some(Command::Cancel),
            ("merge", _) => Some(Command::Merge),
            ("ok-to-test", Some(sha))
                if (7..=40).contains(&sha.len()) && sha.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                Some(Command::OkToTest(sha.to_lowercase().into()))
            }
            ("ok-to-test", _) => Some(Command::Wrong(
                "Say which head you looked at: /ok-to-test SHA, with at least seven digits of it.".into(),
            )),
            _ => None,
        }
    })
}

/// A comment was seen. What it asks is carried out once its author's permission and the pull request's head were read.
pub(crate) fn commented(state: &mut Repository, comment: &Comment, now: Timestamp) {
    let Some(pull) = state.pulls.get(&comment.pull) else {
        // Its pull request is not known yet: GitHub is read, and the next comparison finds the comment again.
        return want(state, Wanted::now(read_key(comment.pull), Class::Read, Effect::ReadPull(comment.pull)));
    };
    if pull.comments_seen.contains(&comment.id) {
        return;
    }
    let command = parse(&comment.body);
    let Some(pull) = state.pulls.get_mut(&comment.pull) else { return };
    pull.comments_seen.insert(comment.id);
    while pull.comments_seen.len() > SEEN_MAX {
        pull.comments_seen.pop_first();
    }
    if command.is_none() || pull.snapshot.standing != PullStanding::Open {
        return;
    }
    pull.commands.push(PendingCommand { comment: comment.clone(), head_read: false });
    trust::ask_again(state, &comment.author, now);
    want(state, Wanted::now(read_key(comment.pull), Class::Read, Effect::ReadPull(comment.pull)));
    state.touch(Topic::Pull(comment.pull));
}

/// The pull request was read. A comment moves its `updated_at`, so a read that is older than the comment is stale, and tells
/// nothing of the head that the comment is about.
pub(crate) fn head_read(state: &mut Repository, number: PullNumber, updated_at: Timestamp) {
    let Some(pull) = state.pulls.get(&number) else { return };
    let is_told = |command: &PendingCommand| !command.head_read && updated_at >= command.comment.created_at;
    if !pull.commands.iter().any(is_told) {
        return;
    }
    let Some(pull) = state.pulls.get_mut(&number) else { return };
    for command in &mut pull.commands {
        command.head_read |= updated_at >= command.comment.created_at;
    }
    state.touch(Topic::Pull(number));
}

/// Carries out the commands whose author's permission is known by now.
pub(crate) fn settle_commands(state: &mut Repository, number: PullNumber, now: Timestamp) {
    loop {
        let Some(pull) = state.pulls.get(&number) else { return };
        let ready = pull
            .commands
            .iter()
            .position(|command| command.head_read && trust::is_fresh(state, command.comment.author.id));
        let Some(at) = ready else {
            let waiting = pull.commands.iter().any(|command| !command.head_read);
            if waiting {
                let wanted = Wanted::now(read_key(number), Class::Read, Effect::ReadPull(number));
                want(state, wanted.not_before(now + READ_AGAIN));
            }
            return;
        };
        let Some(pull) = state.pulls.get_mut(&number) else { return };
        let command = pull.commands.remove(at);
        carry_out(state, number, &command.comment, now);
    }
}

fn carry_out(state: &mut Repository, number: PullNumber, comment: &Comment, now: Timestamp) {
    let Some(command) = parse(&comment.body) else { return };
    let by = &comment.author;
    if !trust::may_push(state, by.id) {
        return reply(state, comment, &format!("@{}, only people with write permission can say that here.", by.login));
    }
    let Some(pull) = state.pulls.get_shared(&number) else { return };
    if pull.snapshot.standing != PullStanding::Open {
        return reply(state, comment, "The pull request is closed.");
    }
    let answer = match &command {
        Command::Retest => retest(state, &pull, comment, now),
        Command::Cancel => cancel(state, &pull, &by.login, now),
        Command::Merge => merge(state, &pull, comment),
        Command::OkToTest(sha) => ok_to_test(state, &pull, sha, by.id),
        Command::Wrong(how) => Some(how.to_string()),
    };
    state.note(format!("#{number}"), format!("{} said {command:?}", by.login));
    if let Some(answer) = answer {
        reply(state, comment, &answer);
    }
}

fn retest(state: &mut Repository, pull: &Pull, comment: &Comment, now: Timestamp) -> Option<String> {
    if let Some(pushed) = pushed_since(pull, comment, "/retest") {
        return Some(pushed);
    }
    let key = suite_key(pull);
    if !state.suites.contains(&key) {
        return Some("There is nothing to test again yet.".into());
    }
    schedule::begin_attempt(state, &key, now);
    // A re-run by somebody with write permission is an approval of exactly this attempt and head.
    trust::approve(state, &key, comment.author.id);
    if let Some(known) = state.pulls.get_mut(&pull.snapshot.number)
        && matches!(known.merge, MergeStanding::Refused { .. })
    {
        known.merge = MergeStanding::None;
    }
    None
}

fn cancel(state: &mut Repository, pull: &Pull, by: &str, now: Timestamp) -> Option<String> {
    let key = suite_key(pull);
    let Some(suite) = state.suites.get(&key) else { return Some("Nothing runs.".into()) };
    let active: Vec<_> =
        suite.runs.iter().copied().filter(|number| state.runs.get(number).is_some_and(|run| !run.is_over())).collect();
    if active.is_empty() {
        return Some("Nothing runs.".into());
    }
    for number in active {
        schedule::cancel_run(state, number, &format!("by {by}"), now);
    }
    None
}

/// Was the head pushed to after the comment, or in the same second of GitHub's clock? Then it was about another head (R3).
fn pushed_since(pull: &Pull, comment: &Comment, word: &str) -> Option<String> {
    let short = pull.snapshot.head_sha.short();
    (pull.head_since >= comment.created_at).then(|| {
        format!("The head was pushed to when that was said: it is {short} now. Look at it, and say {word} again.")
    })
}

fn merge(state: &mut Repository, pull: &Pull, comment: &Comment) -> Option<String> {
    if let Some(pushed) = pushed_since(pull, comment, "/merge") {
        return Some(pushed);
    }
    match &state.meta().config {
        crate::config::ConfigStanding::Read { config: Ok(config), .. } if config.merge.is_none() => {
            return Some("Nothing is merged here: `.greenlight.yml` on the default branch has no `merge:`.".into());
        }
        crate::config::ConfigStanding::Read { config: Err(problem), .. } => {
            return Some(format!("Nothing is merged: {problem}."));
        }
        _ => {}
    }
    let head_sha = pull.snapshot.head_sha;
    let known = state.pulls.get_mut(&pull.snapshot.number)?;
    known.merge_asked = Some(MergeAsked { head_sha, by: comment.author.id });
    if matches!(known.merge, MergeStanding::Refused { .. }) {
        known.merge = MergeStanding::None;
    }
    state.touch(Topic::Pull(pull.snapshot.number));
    match state.pulls.get(&pull.snapshot.number).map(|pull| readiness(state, pull)) {
        Some(Readiness::Quiet) => {
            Some(format!("It is merged when `greenlight` is a success on {}.", pull.snapshot.head_sha.short()))
        }
        _ => None,
    }
}

fn ok_to_test(state: &mut Repository, pull: &Pull, sha: &str, by: crate::id::UserId) -> Option<String> {
    let head: Sha = pull.snapshot.head_sha;
    if !head.to_string().starts_with(sha) {
        return Some(format!(
            "The head is {} now, not {sha}. Look at it, and say /ok-to-test {} if it may run.",
            head.short(),
            head.short()
        ));
    }
    let key = suite_key(pull);
    match state.suites.get(&key) {
        None => return Some("There is nothing to test yet.".into()),
        Some(suite) if suite.trust == Trust::Trusted => {
            return Some("It needs no approval: its author may push here.".into());
        }
        Some(suite) if matches!(suite.phase, SuitePhase::Stopped { .. }) => {
            return Some("It cannot be tested as it is.".into());
        }
        Some(_) => {}
    }
    trust::approve(state, &key, by);
    None
}

/// Answers a comment, once.
fn reply(state: &mut Repository, comment: &Comment, text: &str) {
    let mark = format!("reply-{}", comment.id);
    let effect = Effect::Comment { pull: comment.pull, mark: mark.as_str().into(), body: text.into(), id: None };
    want(state, Wanted::now(format!("comment:{mark}"), Class::Comment, effect));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines_that_begin_with_a_slash() {
        assert_eq!(parse("Looks good.\n /retest please"), Some(Command::Retest));
        assert_eq!(parse("/ok-to-test 0123ABC"), Some(Command::OkToTest("0123abc".into())));
        assert!(matches!(parse("/ok-to-test"), Some(Command::Wrong(_))));
        assert!(matches!(parse("/ok-to-test zzzzzzz"), Some(Command::Wrong(_))));
        assert_eq!(parse("see /merge"), None);
        assert_eq!(parse("/lgtm"), None);
        assert_eq!(parse(""), None);
    }
}
