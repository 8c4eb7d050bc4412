//! What a pull request wants: its suite, what follows its merge, and the one comment that explains.

use super::change::touch_targets;
use crate::effect::{Answer, Effect, Outcome, is_forbidden};
use crate::event::PullStanding;
use crate::id::{EffectKey, PullNumber, RefName, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::pull::{Branch, MergeStanding, Pull};
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Subject, Suite, SuiteKey, SuitePhase, Trust};
use crate::time::{Duration, Timestamp};
use crate::{command, deploy, merge, outbox, plan, schedule, trust};

/// Shortest and longest wait before a pull request is read again of which GitHub does not tell what landed.
const UNTOLD_MIN: Duration = Duration::from_secs(1);
const UNTOLD_MAX: Duration = Duration::from_secs(600);
/// The same of one of which GitHub tells something older than what is known.
const OLD_MAX: Duration = Duration::from_secs(60);

/// Settles a pull request: its suite, its commands, its merge, what follows a merge, and its note.
pub(super) fn settle_pull(state: &mut Repository, number: PullNumber, now: Timestamp) {
    let Some(pull) = state.pulls.get_shared(&number) else { return };
    if pull.reread {
        // A read may be older than what is known; then it is made again, and not at once.
        let wanted = Wanted::now(merge::read_key(number), Class::Read, Effect::ReadPull(number));
        let wait = outbox::patience(pull.snapshot.updated_at, now, UNTOLD_MIN, OLD_MAX);
        want(state, wanted.not_before(now + wait));
    }
    match pull.snapshot.standing {
        PullStanding::Open => want_suite(state, &pull, now),
        PullStanding::Closed => stop_suites(state, number, None, || "the pull request was closed".to_owned(), now),
        PullStanding::Merged { commit } => {
            stop_untrusted(state, number, now);
            after_merge(state, &pull, commit, now);
        }
    }
    command::settle_commands(state, number, now);
    let readiness = state.pulls.get(&number).map_or(merge::Readiness::Quiet, |pull| merge::readiness(state, pull));
    let relevant = state.branches.get(&pull.snapshot.base_ref).is_some_and(|branch| {
        branch.merging.as_ref().is_some_and(|merging| merging.pull == number)
            || (branch.merging.is_none() && readiness == merge::Readiness::Ready)
    });
    if relevant {
        state.touch(Topic::Branch(pull.snapshot.base_ref.clone()));
    }
    settle_note(state, number, readiness);
}

/// An open pull request wants its head tested against its base. What was tested before for it is history.
fn want_suite(state: &mut Repository, pull: &Pull, now: Timestamp) {
    let key = merge::suite_key(pull);
    ensure_branch(state, &pull.snapshot.base_ref, pull.snapshot.base_sha);
    let newer = || format!("{} took its place", pull.snapshot.head_sha.short());
    stop_suites(state, pull.snapshot.number, Some(&key), newer, now);
    match state.suites.get(&key) {
        Some(suite) if matches!(&suite.phase, SuitePhase::Stopped { conclusion: Conclusion::Cancelled, .. }) => {
            schedule::begin_attempt(state, &key, now);
        }
        Some(_) => {}
        None => {
            let (trust, author) = trust::of_pull(state, pull, now);
            let git_ref = RefName::from(format!("refs/pull/{}/merge", pull.snapshot.number));
            let suite = Suite::new(key.clone(), pull.event.clone(), git_ref, trust, author, now);
            state.insert_suite(suite);
            state.note(
                format!("#{}", pull.snapshot.number),
                format!("{} is to be tested", pull.snapshot.head_sha.short()),
            );
            state.touch(Topic::Commit(key.head_sha));
            state.touch(Topic::Suite(key));
        }
    }
}

/// A branch of which only a pull request told is known by its name.
pub(super) fn ensure_branch(state: &mut Repository, name: &RefName, tip: Sha) {
    if state.branches.contains(name) {
        return;
    }
    let branch =
        Branch { name: name.clone(), tip, pushed_at: Timestamp::EPOCH, merging: None, halted: None, rules: None };
    state.branches.insert(name.clone(), branch);
    if *name == state.default_branch() {
        state.touch(Topic::Repository);
        touch_targets(state);
    }
}

/// Stops the suites of a pull request that are not `but`.
fn stop_suites(
    state: &mut Repository,
    number: PullNumber,
    but: Option<&SuiteKey>,
    reason: impl FnOnce() -> String,
    now: Timestamp,
) {
    let others = state.open_suites_of(number).filter(|key| Some(*key) != but);
    let (over, stale): (Vec<SuiteKey>, Vec<SuiteKey>) = others
        .cloned()
        .partition(|key| state.suites.get(key).is_none_or(|suite| schedule::is_suite_over(state, suite)));
    for key in over {
        state.close_suite(number, &key);
    }
    if stale.is_empty() {
        return;
    }
    let reason = reason();
    for key in stale {
        stop_suite(state, &key, &reason, now);
    }
}

/// What else happened to pull requests of strangers, and waits to be let start: nobody can where the head is another by now, or the
/// pull request is over.
pub(super) fn stop_forlorn(state: &mut Repository, now: Timestamp) {
    let is_forlorn = |suite: &&Suite| {
        let Subject::PullAction(number, ..) = suite.key.subject else { return false };
        let is_head = state.pulls.get(&number).is_some_and(|pull| {
            pull.snapshot.standing == PullStanding::Open && pull.snapshot.head_sha == suite.key.head_sha
        });
        suite.trust == Trust::Untrusted && !suite.may_run() && !is_head && !schedule::is_suite_over(state, suite)
    };
    let forlorn: Vec<SuiteKey> = state.suites.values().filter(is_forlorn).map(|suite| suite.key.clone()).collect();
    for key in forlorn {
        stop_suite(state, &key, "nobody let it start while this was the head", now);
    }
}

/// What nobody let start before the merge never will.
fn stop_untrusted(state: &mut Repository, number: PullNumber, now: Timestamp) {
    let waiting: Vec<_> = state
        .suites_of(number)
        .filter(|suite| !suite.may_run() && !schedule::is_suite_over(state, suite))
        .map(|suite| suite.key.clone())
        .collect();
    for key in waiting {
        stop_suite(state, &key, "the pull request was merged without it", now);
    }
}

fn stop_suite(state: &mut Repository, key: &SuiteKey, reason: &str, now: Timestamp) {
    let Some(suite) = state.suites.get(key) else { return };
    let runs = suite.runs.clone();
    match suite.phase {
        SuitePhase::Reading { .. } => {
            for number in runs {
                schedule::cancel_run(state, number, reason, now);
            }
            plan::stop(state, key, Conclusion::Cancelled, &format!("cancelled: {reason}"));
        }
        SuitePhase::Planned(_) => {
            let active = runs.iter().any(|number| state.runs.get(number).is_some_and(|run| !run.is_over()));
            for number in runs {
                schedule::cancel_run(state, number, reason, now);
            }
            // What ended before keeps its results; what was cut short begins anew if its head comes back.
            let is_wrong =
                state.suites.get(key).and_then(Suite::planned).is_some_and(|planned| planned.config_problem.is_some());
            if active && !is_wrong {
                plan::stop(state, key, Conclusion::Cancelled, &format!("cancelled: {reason}"));
            }
        }
        SuitePhase::Stopped { .. } => {}
    }
}

fn after_merge(state: &mut Repository, pull: &Pull, commit: Option<Sha>, now: Timestamp) {
    let number = pull.snapshot.number;
    let Some(sha) = commit else {
        // GitHub tells it a moment later, or never: the longer it did not, the less often it is asked.
        let wait = (now.since(pull.snapshot.updated_at) / 2).clamp(UNTOLD_MIN, UNTOLD_MAX);
        let wanted = Wanted::now(merge::read_key(number), Class::Read, Effect::ReadPull(number));
        return want(state, wanted.not_before(now + wait));
    };
    if let MergeStanding::Landed { landed_tree: None, .. } = pull.merge {
        let effect = Effect::ReadCommit { sha, git_ref: Some(pull.snapshot.base_ref.clone()), before: None };
        want(state, Wanted::now(format!("landed:{number}"), Class::Read, effect));
    }
    merge::compare_trees(state, number);
    deploy::wish_for_merge(state, pull, now);
}

pub(super) fn landed_read(state: &mut Repository, key: &EffectKey, outcome: &Outcome) {
    let Some(number) = key.as_str().strip_prefix("landed:").and_then(|number| number.parse().ok()).map(PullNumber)
    else {
        return;
    };
    let Outcome::Done(Answer::Commit(files)) = outcome else { return };
    if let Some(pull) = state.pulls.get_mut(&number)
        && let MergeStanding::Landed { landed_tree, .. } = &mut pull.merge
    {
        *landed_tree = Some(files.tree);
        state.touch(Topic::Pull(number));
        state.touch_followers(files.sha);
    }
}

/// Keeps the one comment that explains waits and refusals.
fn settle_note(state: &mut Repository, number: PullNumber, readiness: merge::Readiness) {
    let Some(pull) = state.pulls.get(&number) else { return };
    let wanted = merge::note(state, pull, readiness);
    let note = &pull.note;
    let (accepted, id) = (note.accepted.clone(), note.id);
    if note.given_up.is_some() {
        return;
    }
    if note.wanted != wanted {
        let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
        pull.note.wanted.clone_from(&wanted);
    }
    let is_due = wanted.is_some() && accepted != wanted;
    if !is_due && !state.noting.contains(&number) {
        return;
    }
    let key = EffectKey::from(format!("note:{number}"));
    match wanted {
        Some(body) if accepted.as_ref() != Some(&body) => {
            let effect = Effect::Comment { pull: number, mark: "note".into(), body, id };
            want(state, Wanted::now(key, Class::Comment, effect));
            state.noting.insert(number);
        }
        _ => {
            if outbox::withdraw(state, &key) {
                state.noting.remove(&number);
            }
        }
    }
}

/// Returns the open pull requests whose note GitHub did not let us write.
pub(super) fn notes_refused(state: &Repository) -> Vec<PullNumber> {
    let is_refused =
        |pull: &&Pull| pull.snapshot.standing == PullStanding::Open && is_forbidden(pull.note.given_up.as_ref());
    state.pulls.values().filter(is_refused).map(|pull| pull.snapshot.number).collect()
}

/// Has a pull request's note written once more.
pub(super) fn note_again(state: &mut Repository, number: PullNumber) {
    if let Some(pull) = state.pulls.get_mut(&number) {
        pull.note.given_up = None;
        state.touch(Topic::Pull(number));
    }
}

pub(super) fn noted(state: &mut Repository, effect: &Effect, outcome: &Outcome) {
    let Effect::Comment { pull: number, mark, body, .. } = effect else { return };
    if &**mark != "note" {
        return;
    }
    let Some(pull) = state.pulls.get_mut(number) else { return };
    match outcome {
        Outcome::Done(answer) => {
            if let Answer::Comment(id) = answer {
                pull.note.id = Some(*id);
            }
            pull.note.accepted = Some(body.clone());
        }
        Outcome::Refused(refusal) => pull.note.given_up = Some(refusal.reason()),
        // What is tried again is what is wanted by then.
        Outcome::Later { .. } | Outcome::Unknown { .. } => {}
    }
    state.touch(Topic::Pull(*number));
}
