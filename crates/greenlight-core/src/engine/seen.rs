//! Pull requests as they were seen: which of two snapshots is newer, and what changed.

use std::borrow::Cow;

use super::target;
use crate::event::{PullSnapshot, PullStanding};
use crate::fact::{PullFact, Source};
use crate::id::{PullNumber, RefName};
use crate::pull::{MergeStanding, Pull};
use crate::repository::{Repository, Topic};
use crate::run::{Subject, Suite, SuiteKey};
use crate::time::Timestamp;
use crate::{merge, trust};

pub(super) fn pull_seen(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let number = fact.pull.number;
    let fact = &*pushed_when_first_told(state.pulls.get(&number), fact);
    let before = state.pulls.get(&number).map(|pull| pull.snapshot.clone());
    other_activity(state, fact, now);
    match state.pulls.get(&number) {
        None if is_history(fact) => {}
        None => first_seen(state, fact, now),
        Some(known) => match compare(known, fact) {
            // What landed with a known commit is never news again: there is nothing left to be read about it.
            Newness::Stale if !is_landed(known) => {}
            Newness::Stale | Newness::Same => {
                if known.reread && fact.source == Source::Read {
                    let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
                    pull.reread = false;
                }
            }
            Newness::Unclear => {
                let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
                pull.reread = true;
            }
            Newness::Newer => changed(state, fact, now),
        },
    }
    target::begins(state, fact, before.as_ref(), now);
    state.touch(Topic::Pull(number));
}

/// Is a pull request told of that was merged before, perhaps long ago? What followed from that was done; and where nobody told of it,
/// the next comparison does.
fn is_history(fact: &PullFact) -> bool {
    let is_merged = matches!(fact.pull.standing, PullStanding::Merged { .. });
    is_merged && fact.source == Source::Webhook && fact.event.action.as_deref() != Some("closed")
}

fn first_seen(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let mut pull = Pull::new(fact.pull.clone(), fact.event.clone(), head_since(fact, now));
    // A webhook may come long after what followed from it, and what is closed is not among what a comparison reads.
    pull.reread = fact.source == Source::Webhook && fact.pull.standing == PullStanding::Closed;
    state.pulls.insert(fact.pull.number, pull);
}

/// A head was pushed no later than any word of it says: a list tells its repository's last push, which any branch moves.
fn pushed_when_first_told<'a>(known: Option<&Pull>, fact: &'a PullFact) -> Cow<'a, PullFact> {
    let same_head = known.filter(|pull| pull.snapshot.head_sha == fact.pull.head_sha);
    let earlier = same_head
        .and_then(|pull| pull.snapshot.head_pushed_at)
        .filter(|known| fact.pull.head_pushed_at.is_none_or(|told| *known < told));
    match earlier {
        None => Cow::Borrowed(fact),
        Some(_) => {
            let pull = PullSnapshot { head_pushed_at: earlier, ..fact.pull.clone() };
            Cow::Owned(PullFact { pull, ..fact.clone() })
        }
    }
}

/// Since when the head is what it is: a webhook tells the moment, a list no more than the head repository's last push, and a
/// read the branch's own where it can.
fn head_since(fact: &PullFact, now: Timestamp) -> Timestamp {
    match fact.source {
        Source::Webhook if matches!(fact.event.action.as_deref(), Some("opened" | "synchronize")) => {
            fact.pull.updated_at
        }
        _ => fact.pull.head_pushed_at.unwrap_or(now),
    }
}

/// A head that was first seen by a list is older than that told, where a read knows better. What a webhook told stays: it is
/// when the pull request showed the head, and whoever said something before that looked at another one.
fn head_is_older(pull: &mut Pull, fact: &PullFact) {
    let is_guessed = pull.snapshot.head_pushed_at.is_none_or(|pushed_at| pushed_at == pull.head_since);
    if let Some(pushed_at) = fact.pull.head_pushed_at.filter(|_| is_guessed && fact.source == Source::Read) {
        pull.head_since = pull.head_since.min(pushed_at);
    }
}

enum Newness {
    Stale,
    Same,
    Unclear,
    Newer,
}

/// Is this snapshot newer than what is known? GitHub's clock ticks in seconds: two that differ within one can only be told apart by a read.
fn compare(known: &Pull, fact: &PullFact) -> Newness {
    let (old, new) = (&known.snapshot, &fact.pull);
    if is_landed(known) || new.updated_at < old.updated_at {
        return Newness::Stale;
    }
    if old == new {
        return Newness::Same;
    }
    let merged = matches!(new.standing, PullStanding::Merged { .. });
    if new.updated_at > old.updated_at || fact.source == Source::Read || merged || is_alike(old, new) {
        return Newness::Newer;
    }
    Newness::Unclear
}

fn is_landed(pull: &Pull) -> bool {
    matches!(pull.snapshot.standing, PullStanding::Merged { commit: Some(_) })
}

/// Do two snapshots agree in everything that a rule looks at?
fn is_alike(old: &PullSnapshot, new: &PullSnapshot) -> bool {
    old.standing == new.standing
        && old.head_sha == new.head_sha
        && old.base_ref == new.base_ref
        && old.draft == new.draft
}

fn changed(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let Some(pull) = state.pulls.get_mut(&fact.pull.number) else { return };
    let head_changed = pull.snapshot.head_sha != fact.pull.head_sha;
    let base_changed = pull.snapshot.base_ref != fact.pull.base_ref;
    let old_base = pull.snapshot.base_ref.clone();
    if fact.source == Source::Read {
        pull.reread = false;
    }
    if head_changed {
        pull.head_since = head_since(fact, now);
    } else {
        head_is_older(pull, fact);
    }
    if (head_changed || base_changed)
        && let Some(asked) = &mut pull.merge_asked
    {
        asked.make_void();
    }
    if head_changed || base_changed || is_start(fact) {
        pull.event = fact.event.clone();
    }
    let landed = matches!(fact.pull.standing, PullStanding::Merged { .. })
        && !matches!(pull.snapshot.standing, PullStanding::Merged { .. });
    pull.snapshot = fact.pull.clone();
    if fact.pull.standing == PullStanding::Closed {
        pull.merge_asked = None;
    }
    if landed {
        merged_elsewhere(state, fact.pull.number);
    }
    state.touch(Topic::Branch(old_base));
    if base_changed {
        state.touch(Topic::Branch(fact.pull.base_ref.clone()));
    }
    // What was tested of the earlier head, base or standing is history, at every commit.
    state.touch_suites_of(fact.pull.number);
}

fn is_start(fact: &PullFact) -> bool {
    matches!(fact.event.action.as_deref(), Some("opened" | "reopened" | "synchronize"))
}

/// A pull request was merged. Where our own call may have done it, what landed is to be compared with what was tested.
fn merged_elsewhere(state: &mut Repository, number: PullNumber) {
    let Some(pull) = state.pulls.get(&number) else { return };
    let merging = state.branches.get(&pull.snapshot.base_ref).and_then(|branch| branch.merging.clone());
    let called = merging.filter(|merging| merging.pull == number).and_then(|merging| merging.called);
    let commit = match pull.snapshot.standing {
        PullStanding::Merged { commit } => commit,
        _ => None,
    };
    let Some(tested_tree) = called else { return };
    if pull.merge == MergeStanding::None {
        let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
        pull.merge = MergeStanding::Landed { tested_tree, landed_tree: None };
    }
    if let Some(sha) = commit {
        merge::tell_merged(state, number, sha);
    }
}

/// Other activity types start suites of their own: labeled, closed, edited, …
fn other_activity(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let Some(action) = fact.event.action.clone() else { return };
    if fact.source == Source::Read || is_start(fact) || &*fact.event.name != "pull_request" {
        return;
    }
    let subject = Subject::PullAction(fact.pull.number, action.clone(), fact.pull.updated_at);
    let key = SuiteKey { head_sha: fact.pull.head_sha, event: fact.event.name.clone(), subject };
    if state.suites.contains(&key) {
        return;
    }
    let number = fact.pull.number;
    let known = Pull::new(fact.pull.clone(), fact.event.clone(), now);
    let (trusted, author) = trust::of_pull(state, &known, now);
    target::told(state, fact, &action, now);
    let git_ref = match fact.pull.standing {
        PullStanding::Merged { .. } => fact.pull.base_ref.clone(),
        _ => RefName::from(format!("refs/pull/{number}/merge")),
    };
    let suite = Suite::new(key.clone(), fact.event.clone(), git_ref, trusted, author, now);
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}
