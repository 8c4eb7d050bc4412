//! Pushes, reviews, what others say of a commit, and every other event.

use std::sync::Arc;

use crate::effect::Effect;
use crate::event::{Event, PullStanding};
use crate::fact::{PushFact, Source};
use crate::id::{PullNumber, RefName, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::pull::Branch;
use crate::repository::{Repository, Topic};
use crate::run::{Subject, Suite, SuiteKey, SuitePhase, Trust};
use crate::time::Timestamp;
use crate::{configured, merge, plan, trust};

pub(super) fn reviewed(state: &mut Repository, number: PullNumber, review: &crate::event::Review, now: Timestamp) {
    let Some(pull) = state.pulls.get(&number) else {
        return want(state, Wanted::now(merge::read_key(number), Class::Read, Effect::ReadPull(number)));
    };
    if pull.reviews.get(&review.id) == Some(review) {
        return;
    }
    let dismissed = pull.reviews.get(&review.id).is_some_and(|known| known.verdict == crate::event::Verdict::Dismissed);
    if dismissed {
        return;
    }
    let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
    pull.reviews.insert(review.id, review.clone());
    trust::ask_again(state, &review.user, now);
    state.touch(Topic::Pull(number));
}

pub(super) fn verdict_seen(
    state: &mut Repository,
    sha: Sha,
    context: &crate::id::Context,
    verdict: crate::event::Verdicts,
) {
    let name = (sha, context.clone());
    if state.reports.contains(&name) || state.verdicts.get(&name) == Some(&verdict) {
        return;
    }
    state.verdicts.insert(name, verdict);
    state.touch_followers(sha);
}

pub(super) fn pushed(state: &mut Repository, push: &PushFact, now: Timestamp) {
    let known = state.branches.get(&push.git_ref);
    let first_look = known.is_none() && !state.meta().refs_known && push.source == Source::Read;
    let moved = known.is_none_or(|branch| branch.tip != push.after);
    let newer = known.is_none_or(|branch| push.pushed_at >= branch.pushed_at || push.source == Source::Read);
    let tip = known.map(|branch| branch.tip);
    if moved && newer {
        move_branch(state, push, now);
    }
    let news = match push.source {
        Source::Webhook => true,
        Source::Read => moved && !first_look,
    };
    if !news || push.after.is_zero() || is_our_own(state, push) {
        return;
    }
    let key = SuiteKey { head_sha: push.after, event: "push".into(), subject: Subject::Ref(push.git_ref.clone()) };
    if state.suites.contains(&key) {
        return;
    }
    let mut suite = Suite::new(key.clone(), push.event.clone(), push.git_ref.clone(), Trust::Trusted, None, now);
    suite.before = match push.source {
        Source::Webhook => Some(push.before),
        Source::Read => tip,
    }
    .filter(|before| !before.is_zero());
    state.insert_suite(suite);
    state.touch(Topic::Commit(key.head_sha));
    state.touch(Topic::Suite(key));
}

fn move_branch(state: &mut Repository, push: &PushFact, now: Timestamp) {
    match state.branches.get_mut(&push.git_ref) {
        Some(branch) => {
            branch.tip = push.after;
            branch.pushed_at = branch.pushed_at.max(push.pushed_at);
        }
        None => {
            let branch = Branch {
                name: push.git_ref.clone(),
                tip: push.after,
                pushed_at: push.pushed_at,
                merging: None,
                halted: None,
                rules: None,
            };
            state.branches.insert(push.git_ref.clone(), branch);
        }
    }
    merge::base_moved(state, &push.git_ref, now);
    state.touch(Topic::Branch(push.git_ref.clone()));
    if push.git_ref == state.default_branch() {
        state.touch(Topic::Repository);
        configured::touch_deployments(state);
        touch_targets(state);
    }
}

/// What is to be read at the default branch's tip is read at the new one.
pub(super) fn touch_targets(state: &mut Repository) {
    let is_reading =
        |suite: &&Suite| matches!(suite.phase, SuitePhase::Reading { .. }) && plan::is_of_default_branch(suite);
    let keys: Vec<SuiteKey> = state.suites.values().filter(is_reading).map(|suite| suite.key.clone()).collect();
    for key in keys {
        state.touch(Topic::Suite(key));
    }
}

/// What our own App pushed starts nothing, unless it is a merge of ours: otherwise a job's push would start runs that GitHub's own token would not.
fn is_our_own(state: &Repository, push: &PushFact) -> bool {
    let Some(own) = state.settings.own_user else { return false };
    if push.event.sender.id != own || push.source == Source::Read {
        return false;
    }
    let merging = state
        .branches
        .get(&push.git_ref)
        .is_some_and(|branch| branch.merging.as_ref().is_some_and(|merging| merging.called.is_some()));
    let merged =
        state.pulls.values().any(|pull| pull.snapshot.standing == PullStanding::Merged { commit: Some(push.after) });
    !merging && !merged
}

pub(super) fn other_event(
    state: &mut Repository,
    subject: &Arc<str>,
    git_ref: Option<&RefName>,
    sha: Option<Sha>,
    event: &Arc<Event>,
    now: Timestamp,
) {
    let git_ref = git_ref.cloned().unwrap_or_else(|| state.default_branch());
    let tip = state.branches.get(&git_ref).map(|branch| branch.tip).filter(|tip| !tip.is_zero());
    let Some(head_sha) = sha.or(tip) else { return };
    let key = SuiteKey { head_sha, event: event.name.clone(), subject: Subject::Other(subject.clone()) };
    if state.suites.contains(&key) {
        return;
    }
    let suite = Suite::new(key.clone(), event.clone(), git_ref, Trust::Trusted, None, now);
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}
