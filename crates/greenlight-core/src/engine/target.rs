//! `pull_request_target`: what happens to a pull request, told to the workflows of the default branch.
//!
//! They are read at the default branch's tip and check that out, so they are as trusted as a push to it, whoever opened the pull
//! request; their contexts are shown on its head. They count neither as a test of the head nor in its aggregate.

use std::sync::Arc;

use crate::event::{Event, PullSnapshot, PullStanding};
use crate::fact::{PullFact, Source};
use crate::plan::TARGET;
use crate::repository::{Repository, Topic};
use crate::run::{Subject, Suite, SuiteKey, Trust};
use crate::time::Timestamp;

/// A pull request was opened, pushed to or reopened since `before`, by whatever road that became known.
pub(super) fn begins(state: &mut Repository, fact: &PullFact, before: Option<&PullSnapshot>, now: Timestamp) {
    let known = state.pulls.get(&fact.pull.number).map(|pull| &pull.snapshot);
    // What was open before anybody looked for the first time is history.
    let is_first_look = fact.source == Source::Read && state.meta().pulls_seen.is_none();
    if fact.pull.standing != PullStanding::Open || known != Some(&fact.pull) || is_first_look {
        return;
    }
    let action = match before {
        None => "opened",
        Some(before) if before.standing != PullStanding::Open => "reopened",
        Some(before) if before.head_sha != fact.pull.head_sha => "synchronize",
        Some(_) => return,
    };
    tell(state, fact, action, now);
}

/// Something else happened to a pull request: it was labeled, edited, closed.
pub(super) fn told(state: &mut Repository, fact: &PullFact, action: &str, now: Timestamp) {
    tell(state, fact, action, now);
}

fn tell(state: &mut Repository, fact: &PullFact, action: &str, now: Timestamp) {
    let PullSnapshot { number, head_sha, updated_at, .. } = &fact.pull;
    let subject = Subject::Other(format!("#{number}:{action}:{}", updated_at.as_millis()).into());
    let key = SuiteKey { head_sha: *head_sha, event: TARGET.into(), subject };
    if state.suites.contains(&key) {
        return;
    }
    let event = Event { name: TARGET.into(), action: Some(action.into()), ..(*fact.event).clone() };
    let suite = Suite::new(key.clone(), Arc::new(event), state.default_branch(), Trust::Trusted, None, now);
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}
