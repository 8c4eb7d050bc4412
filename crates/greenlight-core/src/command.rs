//! The command language: what people say on pull requests.
//!
//! A command is a line that begins with a slash. It is carried out only for somebody whose permission, read from GitHub after
//! the comment was seen, is to write; and where it names a head without spelling it out (`/merge`), only while the head is the
//! one that was there when the comment was written (R3).
//!
//! One that is not understood, not allowed or too late is answered once, in a sentence. Bots are never answered, nor is what
//! we wrote ourselves read, so that no two programs talk with each other for ever; a path is no command, nor are the words that
//! other programs listen for.

use std::sync::Arc;

use greenlight_workflow::nearest;

use crate::effect::Effect;
use crate::event::{Comment, PullStanding};
use crate::id::{PullNumber, Sha};
use crate::item::Class;
use crate::merge::{Readiness, read_key, readiness, suite_key};
use crate::outbox::{Wanted, patience, want};
use crate::pull::{MergeAsked, MergeStanding, PendingCommand, Pull};
use crate::repository::{Repository, Topic};
use crate::run::{Subject, Suite, SuiteKey, SuitePhase, Trust};
use crate::schedule;
use crate::shown::sentence;
use crate::time::{Duration, Timestamp};
use crate::trust;

/// What our own comments carry, where nobody sees it: what has it is never a command.
pub const MARK: &str = "<!-- greenlight:";
/// How many comments of one pull request are remembered; older ones were taken in long ago.
const SEEN_MAX: usize = 1000;
/// Shortest and longest wait before a pull request is read again whose last read was older than a comment on it.
const READ_AGAIN: Duration = Duration::from_secs(2);
const READ_AGAIN_MAX: Duration = Duration::from_secs(60);
/// How old a comment may be that is told why nothing comes of it. Whoever wrote it before does not wait any more, and a
/// repository that is taken in has plenty of old ones.
const ANSWER_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// How old a comment may be that is obeyed: an outage of three days is made up for (P2). What was said before is of another time,
/// when a pull request is opened again, or a repository is taken in.
const OBEY_WITHIN: Duration = Duration::from_secs(3 * 24 * 3600);
/// Longest word that may be meant as a command.
const WORD_LENGTH_MAX: usize = 32;
/// Our commands.
const WORDS: [&str; 4] = ["retest", "cancel", "merge", "ok-to-test"];
/// How many commands of one comment are carried out: each of ours once.
const COMMANDS_MAX: usize = WORDS.len();
/// Words behind a command that change nothing of it.
const POLITE: [&str; 5] = ["please", "pls", "now", "again", "thanks"];
/// What other programs listen for on the same pull requests: whoever says it does not speak with us.
const OTHERS: [&str; 10] = ["lgtm", "approve", "hold", "unhold", "assign", "unassign", "cc", "uncc", "gcbrun", "azp"];

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
    /// One of ours that is not said right, or nearly one of ours, and how it is said.
    Wrong(Arc<str>),
    /// A word that is none of ours, and looks like one.
    Unknown(Arc<str>),
}

impl Command {
    /// Is it understood?
    fn is_understood(&self) -> bool {
        !matches!(self, Self::Wrong(_) | Self::Unknown(_))
    }
}

/// Reads the first command of a comment, if there is one.
pub fn parse(body: &str) -> Option<Command> {
    parse_all(body).into_iter().next()
}

/// Reads the commands of a comment, each once; other people's slashes, and what stands in a block of code, are none of ours. A word
/// that is none of ours counts only where nothing else does.
pub fn parse_all(body: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    if body.contains(MARK) {
        return commands;
    }
    let (mut unknown, mut in_code) = (None, false);
    for line in body.lines() {
        let text = line.trim();
        if text.starts_with("```") || text.starts_with("~~~") {
            in_code = !in_code;
        } else if !in_code && !line.starts_with("    ") {
            match text.strip_prefix('/').and_then(read) {
                Some(Command::Unknown(word)) if unknown.is_none() => unknown = Some(Command::Unknown(word)),
                Some(Command::Unknown(_)) | None => {}
                Some(command) if commands.contains(&command) => {}
                Some(command) => commands.push(command),
            }
        }
        if commands.len() == COMMANDS_MAX {
            break;
        }
    }
    if commands.is_empty() {
        commands.extend(unknown);
    }
    commands
}

/// Reads what stands behind a slash.
fn read(text: &str) -> Option<Command> {
    let mut words = text.split_whitespace();
    // One that is set off from its slash is no command.
    let given = words.next().filter(|word| text.starts_with(word) && is_word(word))?;
    let word = given.to_ascii_lowercase();
    let rest: Vec<&str> = words.collect();
    match &*word {
        "retest" | "cancel" | "merge" if !rest.iter().all(|word| is_polite(word)) => Some(Command::Wrong(alone(&word))),
        "retest" => Some(Command::Retest),
        "cancel" => Some(Command::Cancel),
        "merge" => Some(Command::Merge),
        "ok-to-test" => Some(read_approval(rest.first())),
        _ => match nearest(&word, &WORDS) {
            Some("ok-to-test") => {
                Some(Command::Wrong(format!("/{given} is none of our commands; did you mean /ok-to-test SHA?").into()))
            }
            Some(near) => {
                Some(Command::Wrong(format!("/{given} is none of our commands; did you mean /{near}?").into()))
            }
            // With more behind it, it is a sentence that begins with a path.
            None if rest.is_empty() && !OTHERS.contains(&&*word) => Some(Command::Unknown(given.into())),
            None => None,
        },
    }
}

fn read_approval(sha: Option<&&str>) -> Command {
    match sha {
        Some(sha) if (7..=40).contains(&sha.len()) && sha.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            Command::OkToTest(sha.to_lowercase().into())
        }
        _ => Command::Wrong("Say which head you looked at: /ok-to-test SHA, with all forty digits of it.".into()),
    }
}

/// Could this be a command at all, and not a path?
fn is_word(word: &str) -> bool {
    (2..=WORD_LENGTH_MAX).contains(&word.len())
        && word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_polite(word: &str) -> bool {
    let word = word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_ascii_lowercase();
    word.is_empty() || POLITE.contains(&&*word)
}

/// Says why a command stands alone.
fn alone(word: &str) -> Arc<str> {
    match word {
        "merge" => "Say /merge alone: how it is merged stands in `.greenlight.yml`.".into(),
        "cancel" => "Say /cancel alone: it stops all that runs for this pull request.".into(),
        _ => "Say /retest alone: it tests the whole pull request again.".into(),
    }
}

/// A comment was seen. What it asks is carried out once its author's permission and the pull request's head were read.
pub(crate) fn commented(state: &mut Repository, comment: &Comment, now: Timestamp) {
    let Some(pull) = state.pulls.get(&comment.pull) else {
        // Its pull request is not known yet: GitHub is read, and the next comparison finds the comment again.
        return want(state, Wanted::now(read_key(comment.pull), Class::Read, Effect::ReadPull(comment.pull)));
    };
    if was_seen(pull, comment) {
        return;
    }
    let commands = parse_all(&comment.body);
    let Some(pull) = state.pulls.get_mut(&comment.pull) else { return };
    pull.comments_seen.insert(comment.id);
    while pull.comments_seen.len() > SEEN_MAX {
        pull.comments_seen.pop_first();
    }
    if commands.is_empty() || now.since(comment.created_at) >= OBEY_WITHIN {
        return;
    }
    let is_open = pull.snapshot.standing == PullStanding::Open;
    let is_obeyed = is_open && commands.iter().any(Command::is_understood);
    if !is_obeyed && !is_answered(comment, now) {
        return;
    }
    pull.commands.push(PendingCommand { comment: comment.clone(), head_read: false });
    if is_open {
        trust::ask_again(state, &comment.author, now);
    }
    want(state, Wanted::now(read_key(comment.pull), Class::Read, Effect::ReadPull(comment.pull)));
    state.touch(Topic::Pull(comment.pull));
}

/// Was a comment taken in before? Of those that are not remembered any more, too.
fn was_seen(pull: &Pull, comment: &Comment) -> bool {
    let seen = &pull.comments_seen;
    seen.contains(&comment.id) || (seen.len() >= SEEN_MAX && seen.first().is_some_and(|oldest| comment.id < *oldest))
}

/// The pull request was read. A comment moves its `updated_at`, so a read that is older than the comment is stale, and tells
/// nothing of the head that the comment is about.
pub(crate) fn head_read(state: &mut Repository, number: PullNumber, updated_at: Timestamp) {
    let Some(pull) = state.pulls.get(&number) else { return };
    // One that is over has no head that could move any more.
    let is_over = pull.snapshot.standing != PullStanding::Open;
    let is_told =
        |command: &PendingCommand| !command.head_read && (is_over || updated_at >= command.comment.created_at);
    if !pull.commands.iter().any(is_told) {
        return;
    }
    let Some(pull) = state.pulls.get_mut(&number) else { return };
    for command in &mut pull.commands {
        command.head_read |= is_over || updated_at >= command.comment.created_at;
    }
    state.touch(Topic::Pull(number));
}

/// Carries out the commands whose author's permission is known by now. On one that is over nobody can be obeyed any more.
pub(crate) fn settle_commands(state: &mut Repository, number: PullNumber, now: Timestamp) {
    loop {
        let Some(pull) = state.pulls.get(&number) else { return };
        let is_over = pull.snapshot.standing != PullStanding::Open;
        let ready = pull
            .commands
            .iter()
            .position(|command| command.head_read && (is_over || trust::is_fresh(state, command.comment.author.id)));
        let Some(at) = ready else {
            let waiting = pull.commands.iter().filter(|command| !command.head_read);
            if let Some(since) = waiting.map(|command| command.comment.created_at).max() {
                let wait = patience(since, now, READ_AGAIN, READ_AGAIN_MAX);
                let wanted = Wanted::now(read_key(number), Class::Read, Effect::ReadPull(number));
                want(state, wanted.not_before(now + wait));
            }
            return;
        };
        let Some(pull) = state.pulls.get_mut(&number) else { return };
        let command = pull.commands.remove(at);
        carry_out(state, number, &command.comment, now);
    }
}

fn carry_out(state: &mut Repository, number: PullNumber, comment: &Comment, now: Timestamp) {
    let mut answers: Vec<String> = Vec::new();
    for command in parse_all(&comment.body) {
        if let Some(answer) = carry_out_one(state, number, comment, &command, now)
            && !answers.contains(&answer)
        {
            answers.push(answer);
        }
    }
    if !answers.is_empty() {
        reply(state, comment, &answers.join("\n\n"));
    }
}

/// Carries out one command of a comment. Returns what is answered.
fn carry_out_one(
    state: &mut Repository,
    number: PullNumber,
    comment: &Comment,
    command: &Command,
    now: Timestamp,
) -> Option<String> {
    let pull = state.pulls.get_shared(&number)?;
    let by = &comment.author;
    let refusal = match pull.snapshot.standing {
        PullStanding::Open => refusal(state, command, comment),
        PullStanding::Closed => Some("The pull request is closed. Reopen it, and say that again.".to_owned()),
        PullStanding::Merged { .. } => {
            Some("The pull request was merged, so there is nothing left to do here.".to_owned())
        }
    };
    if refusal.is_some() {
        return refusal.filter(|_| is_answered(comment, now));
    }
    if !command.is_understood() {
        return None;
    }
    state.note(format!("#{number}"), format!("{} said {command:?}", by.login));
    match command {
        Command::Retest => retest(state, &pull, comment, now),
        Command::Cancel => cancel(state, &pull, &by.login, now),
        Command::Merge => merge(state, &pull, comment),
        Command::OkToTest(sha) => ok_to_test(state, &pull, sha, by.id, now),
        Command::Wrong(_) | Command::Unknown(_) => None,
    }
}

/// Says why a command on an open pull request is not carried out, where that is so from the beginning.
fn refusal(state: &Repository, command: &Command, comment: &Comment) -> Option<String> {
    let may_push = trust::may_push(state, comment.author.id);
    match command {
        Command::Wrong(how) => Some(how.to_string()),
        // Passers-by say many things; those who may command are told what there is.
        Command::Unknown(word) if may_push => {
            Some(format!("/{word} is none of our commands: there are /retest, /cancel, /merge and /ok-to-test SHA."))
        }
        Command::Unknown(_) => None,
        _ if may_push => None,
        _ => Some(format!("@{}, only people with write permission can say that here.", comment.author.login)),
    }
}

/// Is a comment of which nothing comes told why? One that is old, or that a bot wrote, is not.
fn is_answered(comment: &Comment, now: Timestamp) -> bool {
    !is_bot(comment) && now.since(comment.created_at) < ANSWER_WITHIN
}

fn is_bot(comment: &Comment) -> bool {
    comment.author.login.ends_with("[bot]")
}

fn retest(state: &mut Repository, pull: &Pull, comment: &Comment, now: Timestamp) -> Option<String> {
    if let Some(pushed) = pushed_since(pull, comment, "/retest") {
        return Some(pushed);
    }
    let key = suite_key(pull);
    let Some(suite) = state.suites.get(&key) else { return Some("There is nothing to test again yet.".into()) };
    let nothing = suite.planned().and_then(|planned| planned.nothing.clone());
    schedule::begin_attempt(state, &key, now);
    // A re-run by somebody with write permission is an approval of exactly this attempt and head.
    trust::approve(state, &key, comment.author.id, now);
    if let Some(known) = state.pulls.get_mut(&pull.snapshot.number)
        && matches!(known.merge, MergeStanding::Refused { .. })
    {
        known.merge = MergeStanding::None;
    }
    nothing.map(|nothing| format!("It is looked at again, but so far {nothing}."))
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
        format!(
            "The head may have been pushed to since that was said: it is {short} now. Look at it, and say {word} again."
        )
    })
}

fn merge(state: &mut Repository, pull: &Pull, comment: &Comment) -> Option<String> {
    if let Some(pushed) = pushed_since(pull, comment, "/merge") {
        return Some(pushed);
    }
    // What is said while it is wrong counts once it is mended; until then the note says what is wrong.
    if state.config().is_some_and(|config| config.merge.is_none()) {
        return Some("Nothing is merged here: `.greenlight.yml` on the default branch has no `merge:`.".into());
    }
    let head_sha = pull.snapshot.head_sha;
    let known = state.pulls.get_mut(&pull.snapshot.number)?;
    known.merge_asked = Some(MergeAsked { head_sha, by: comment.author.id });
    if matches!(known.merge, MergeStanding::Refused { .. }) {
        known.merge = MergeStanding::None;
    }
    state.touch(Topic::Pull(pull.snapshot.number));
    let known = state.pulls.get(&pull.snapshot.number)?;
    match readiness(state, known) {
        Readiness::Quiet => Some(awaited(state, known)),
        // Where the note says so already, nothing would be heard of the command.
        Readiness::Blocked(reason) => {
            known.note.accepted.is_some().then(|| sentence(&format!("Not merged yet: {reason}")))
        }
        Readiness::Ready => None,
    }
}

/// Says what a merge that was asked for waits for.
fn awaited(state: &Repository, pull: &Pull) -> String {
    let short = pull.snapshot.head_sha.short();
    match state.suites.get(&suite_key(pull)) {
        Some(suite) if suite.trust == Trust::Untrusted && !suite.may_run() => {
            let head = pull.snapshot.head_sha;
            format!("Its tests wait for an approval first: look at it, and say /ok-to-test {head} if they may run.")
        }
        Some(Suite { phase: SuitePhase::Stopped { reason, .. }, .. }) => {
            sentence(&format!("Not merged as it is: {reason}. Once another head mends that, say /merge again"))
        }
        _ => format!("It is merged when `greenlight` is a success on {short}."),
    }
}

fn ok_to_test(state: &mut Repository, pull: &Pull, sha: &str, by: crate::id::UserId, now: Timestamp) -> Option<String> {
    let head: Sha = pull.snapshot.head_sha;
    let whole = head.to_string();
    if !whole.starts_with(sha) {
        return Some(format!(
            "The head is {} now, not {sha}. Look at it, and say /ok-to-test {whole} if it may run.",
            head.short()
        ));
    }
    if whole != sha {
        return Some(format!(
            "Whoever makes two commits can have them begin alike. If you looked at {whole}, say all of it: /ok-to-test {whole}"
        ));
    }
    let key = suite_key(pull);
    // What else happened to it at this head (a label was set) is let start with its tests.
    let is_waiting = |suite: &&Suite| {
        (suite.key == key
            || matches!(suite.key.subject, Subject::PullAction(number, ..) if number == pull.snapshot.number))
            && suite.trust != Trust::Trusted
            && !suite.may_run()
            && !schedule::is_suite_over(state, suite)
    };
    let waiting: Vec<SuiteKey> = state.suites_at(head).filter(is_waiting).map(|suite| suite.key.clone()).collect();
    if waiting.is_empty() {
        return Some(match state.suites.get(&key) {
            None => "There is nothing to test yet.".into(),
            Some(suite) if suite.trust == Trust::Trusted => "It needs no approval: its author may push here.".into(),
            Some(Suite { phase: SuitePhase::Stopped { reason, .. }, .. }) => {
                sentence(&format!("It cannot be tested as it is: {reason}"))
            }
            Some(suite) if suite.may_run() => "It may run already.".into(),
            Some(_) => "There is nothing that waits for it.".into(),
        });
    }
    for key in waiting {
        trust::approve(state, &key, by, now);
    }
    None
}

/// Answers a comment, once.
fn reply(state: &mut Repository, comment: &Comment, text: &str) {
    if is_bot(comment) {
        return;
    }
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
        assert_eq!(parse("/Merge"), Some(Command::Merge));
        assert_eq!(parse("/ok-to-test 0123ABC"), Some(Command::OkToTest("0123abc".into())));
        assert_eq!(parse("/frobnicate\n/retest"), Some(Command::Retest), "what is understood goes first");
        let all = parse_all("/retest\n/merge please\n/retest\n/merge squash\n/lgtm");
        assert!(matches!(&*all, [Command::Retest, Command::Merge, Command::Wrong(_)]), "{all:?}");
        for silent in [
            "see /merge",
            "/lgtm",
            "",
            "/",
            "/ merge",
            "/usr/bin/env is not there",
            "/tmp is full",
            "/etc/passwd",
            "```\n/merge\n```",
            "    /merge",
            "/merge\n\n<!-- greenlight:note -->",
        ] {
            assert_eq!(parse(silent), None, "{silent}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_how_it_is_said() {
        for (said, told) in [
            ("/retset", "/retset is none of our commands; did you mean /retest?"),
            ("/ok-to-tset 0123abc", "did you mean /ok-to-test SHA?"),
            ("/merge squash", "Say /merge alone"),
            ("/retest build", "Say /retest alone"),
            ("/ok-to-test", "all forty digits"),
            ("/ok-to-test zzzzzzz", "all forty digits"),
        ] {
            assert!(
                matches!(parse(said), Some(Command::Wrong(text)) if text.contains(told)),
                "{said}: {:?}",
                parse(said)
            );
        }
        assert_eq!(parse("/frobnicate"), Some(Command::Unknown("frobnicate".into())));
    }
}
