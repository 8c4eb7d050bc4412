//! What is said of a merge on its pull request: one comment, which says what is so now.

use std::sync::Arc;

use super::{Readiness, is_wanted_in_any_case, suite_key};
use crate::config::MergeWhen;
use crate::event::PullStanding;
use crate::pull::{MergePhase, Pull};
use crate::report::is_tested_green;
use crate::repository::Repository;
use crate::schedule::is_suite_over;
use crate::shown::sentence;

/// Returns what the pull request's note should say.
pub(crate) fn note(state: &Repository, pull: &Pull, readiness: Readiness) -> Option<Arc<str>> {
    if pull.snapshot.standing != PullStanding::Open {
        return settled_note(pull);
    }
    if let Some(void) = void(state, pull) {
        return Some(void);
    }
    let branch = state.branches.get(&pull.snapshot.base_ref);
    let merging = branch.and_then(|branch| branch.merging.as_ref());
    let base = pull.snapshot.base_ref.short();
    let reason: Arc<str> = match (readiness, merging) {
        (Readiness::Blocked(reason), _) => sentence(&format!("Not merged yet: {reason}")).into(),
        (_, Some(merging))
            if merging.pull == pull.snapshot.number && matches!(merging.phase, MergePhase::Retesting { .. }) =>
        {
            format!("Not merged yet: {base} moved, so it is tested again on the new {base} first.").into()
        }
        (Readiness::Ready, Some(merging)) if merging.pull != pull.snapshot.number => {
            format!("Not merged yet: it waits for #{}, which is being merged into {base} first.", merging.pull).into()
        }
        _ if is_red(state, pull) && has_note(pull) => format!(
            "Not merged yet: the tests of {} are no success on {base} as it is now; the status on the commit says more.",
            pull.snapshot.head_sha.short()
        )
        .into(),
        _ => return settled_note(pull),
    };
    Some(reason)
}

/// Says that `/merge` was said and does not count any more, where it is what merging waits for.
fn void(state: &Repository, pull: &Pull) -> Option<Arc<str>> {
    let when = state.config()?.merge.as_ref()?.when;
    if when != MergeWhen::Command || pull.merge_asked.is_none() || is_wanted_in_any_case(pull) {
        return None;
    }
    let head = pull.snapshot.head_sha.short();
    Some(
        format!(
            "Not merged yet: /merge was said of another head or another base branch, and it is {head} on {} now. Look at it, and say /merge again.",
            pull.snapshot.base_ref.short()
        )
        .into(),
    )
}

/// Are the tests of its head over, on its base as it is now, and no success?
fn is_red(state: &Repository, pull: &Pull) -> bool {
    let suite = state.suites.get(&suite_key(pull));
    suite.is_some_and(|suite| is_suite_over(state, suite) && !is_tested_green(state, suite))
}

fn has_note(pull: &Pull) -> bool {
    pull.note.wanted.is_some() || pull.note.accepted.is_some()
}

/// A note that was written and does not hold any more says so, rather than stay as it was.
fn settled_note(pull: &Pull) -> Option<Arc<str>> {
    let told = pull.note.wanted.as_ref().or(pull.note.accepted.as_ref())?;
    match pull.snapshot.standing {
        PullStanding::Merged { .. } => Some("Merged.".into()),
        PullStanding::Closed => Some("Closed without a merge.".into()),
        PullStanding::Open if &**told == RESOLVED => Some(told.clone()),
        PullStanding::Open => Some(RESOLVED.into()),
    }
}

const RESOLVED: &str = "What kept this from being merged, and was said here before, is over; the status on the commit tells how its tests stand.";
