//! The comparison with GitHub: when it is due, and what it brings.

use std::collections::BTreeSet;

use super::change::{pushed, reviewed};
use super::cron;
use super::pull::{note_again, notes_refused, stop_forlorn};
use super::seen::pull_seen;
use crate::config::ConfigStanding;
use crate::effect::{Effect, Reconciled, Refusal};
use crate::event::{Comment, PullStanding};
use crate::fact::{PullFact, PushFact, RepositoryRef, Source};
use crate::id::{EffectKey, RefName, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::repository::{Repository, Topic};
use crate::time::{Duration, Timestamp};
use crate::{command, deploy, forget, merge, report};

/// How often GitHub is compared with (R5).
pub const RECONCILE_EVERY: Duration = Duration::from_secs(600);

/// How much of one kind that waits for others is looked at with each comparison.
const IN_TURN_MAX: usize = 10;

/// How long to wait after GitHub refused to be compared with.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// How far back deployments are looked at.
const DEPLOYMENTS_BACK: Duration = Duration::from_secs(7 * 24 * 3600);

/// How far back a merge that nobody told of is taken up: a day less than what is over is remembered.
const MERGES_BACK: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn repository_seen(state: &mut Repository, repository: &RepositoryRef) {
    if state.meta().repository == *repository {
        return;
    }
    state.set_reference(repository.clone());
    state.touch_all();
}

/// Compares with GitHub when it is time, begins what came due, and reads `.greenlight.yml` and the timetable when the default branch
/// moved.
pub(super) fn settle_repository(state: &mut Repository, now: Timestamp) {
    // What lies ahead was told by a clock that was wrong.
    let compared_at = state.meta().reconciled_at.filter(|at| *at <= now);
    let due = compared_at.map_or(now, |at| at + RECONCILE_EVERY);
    if due <= now {
        reconcile(state, now);
    }
    let again = if due <= now { now + RECONCILE_EVERY } else { due };
    let next = cron::settle(state, now).map_or(again, |next| next.min(again));
    state.set_alarm(Topic::Repository, Some(next));
    let name = state.default_branch();
    let Some(tip) = state.branches.get(&name).map(|branch| branch.tip).filter(|tip| !tip.is_zero()) else { return };
    let read_at = match &state.meta().config {
        ConfigStanding::Unknown => None,
        ConfigStanding::Read { sha, .. } => Some(*sha),
    };
    if read_at != Some(tip) || state.meta().timetable.read_at != Some(tip) {
        let effect = Effect::ReadCommit { sha: tip, git_ref: Some(name), before: None };
        want(state, Wanted::now(format!("config:{tip}"), Class::Read, effect));
    }
}

pub(super) fn reconcile(state: &mut Repository, now: Timestamp) {
    if state.outbox.contains(&EffectKey::from("reconcile")) {
        return;
    }
    forget::forget(state, now);
    want(state, Wanted::now("reconcile", Class::Read, effect(state, now)));
}

fn effect(state: &Repository, now: Timestamp) -> Effect {
    let open = state.pulls.values().filter(|pull| pull.snapshot.standing == PullStanding::Open);
    let known_open = open.map(|pull| pull.snapshot.number).collect();
    let pulls_since = state.meta().pulls_seen;
    Effect::Reconcile { known_open, since: now - DEPLOYMENTS_BACK, pulls_since }
}

/// A comment came. One on a pull request that was never heard of is found again by comparing, which tells what it is on as well: its
/// webhook was lost, or is late, and whoever said it waits.
pub(super) fn comment_heard(state: &mut Repository, comment: &Comment, now: Timestamp) {
    if !state.pulls.contains(&comment.pull) && command::parse(&comment.body).is_some() {
        reconcile(state, now);
    }
    command::commented(state, comment, now);
}

/// The repository is gone, or nobody lets us see it any more: it may be there again.
pub(super) fn not_reconciled(state: &mut Repository, refusal: &Refusal, now: Timestamp) {
    if state.meta().reconciled_at.is_some_and(|at| at <= now && now < at + RECONCILE_EVERY + ASK_AGAIN) {
        state.note("comparison", format!("GitHub cannot be compared with: {}", refusal.reason()));
    }
    want(state, Wanted::now("reconcile", Class::Read, effect(state, now)).not_before(now + ASK_AGAIN));
}

pub(super) fn reconciled(state: &mut Repository, read: &Reconciled, now: Timestamp) {
    repository_seen(state, &read.repository);
    state.meta_mut().reconciled_at = Some(now);
    let gone = refs_gone(state, &read.refs);
    for push in read.refs.iter().chain(&gone) {
        pushed(state, push, now);
    }
    state.meta_mut().refs_known = true;
    for fact in read.pulls.iter().filter(|fact| !is_forgotten(state, fact, now)).collect::<Vec<_>>() {
        pull_seen(state, fact, now);
    }
    let seen = state.meta().pulls_seen.max(read.pulls_until);
    state.meta_mut().pulls_seen = seen;
    for (number, review) in &read.reviews {
        reviewed(state, *number, review, now);
    }
    for comment in &read.comments {
        command::commented(state, comment, now);
    }
    for snapshot in &read.deployments {
        deploy::seen(state, snapshot, None, now);
    }
    deploy::settle_unproven(state);
    settle_waiting(state, now);
    stop_forlorn(state, now);
    state.touch(Topic::Repository);
}

/// Looks after what waits for something that nobody may ever tell of: what others say, and permissions that are given back.
fn settle_waiting(state: &mut Repository, now: Timestamp) {
    for number in in_turn(merge::blocked(state), now) {
        merge::read(state, number);
    }
    for name in in_turn(report::refused(state), now) {
        report::try_again(state, name);
    }
    for number in in_turn(notes_refused(state), now) {
        note_again(state, number);
    }
    for id in in_turn(deploy::refused(state), now) {
        deploy::show_again(state, id);
    }
}

/// Returns those whose turn it is: so few with each comparison.
fn in_turn<T>(mut all: Vec<T>, now: Timestamp) -> Vec<T> {
    let every = i64::try_from(RECONCILE_EVERY.as_millis()).unwrap_or(i64::MAX);
    let turn = usize::try_from(now.as_millis() / every).unwrap_or_default().wrapping_mul(IN_TURN_MAX);
    let first = turn.checked_rem(all.len()).unwrap_or_default();
    all.rotate_left(first);
    all.truncate(IN_TURN_MAX);
    all
}

/// Was a pull request over so long ago that it may have been known and forgotten? What followed from its merge is not done again.
fn is_forgotten(state: &Repository, fact: &PullFact, now: Timestamp) -> bool {
    fact.pull.standing != PullStanding::Open
        && !state.pulls.contains(&fact.pull.number)
        && fact.pull.updated_at + MERGES_BACK <= now
}

/// Returns the refs that we know and GitHub does not any more.
fn refs_gone(state: &Repository, refs: &[PushFact]) -> Vec<PushFact> {
    let Some(sample) = refs.first() else { return Vec::new() };
    let there: BTreeSet<&RefName> = refs.iter().map(|push| &push.git_ref).collect();
    let known = state.branches.values().filter(|branch| !branch.tip.is_zero() && !there.contains(&branch.name));
    let gone = known.map(|branch| PushFact {
        git_ref: branch.name.clone(),
        before: branch.tip,
        after: Sha::ZERO,
        pushed_at: sample.pushed_at,
        event: sample.event.clone(),
        source: Source::Read,
    });
    gone.collect()
}
