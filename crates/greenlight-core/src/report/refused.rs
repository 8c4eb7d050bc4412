//! What GitHub did not let us write. Whoever gives the permission back tells nobody, so it is tried again: by a later attempt, with
//! the comparisons, and all of it as soon as anything of its kind is written.

use std::collections::BTreeSet;

use crate::effect::is_forbidden;
use crate::event::PullStanding;
use crate::id::{Context, Sha};
use crate::repository::{Repository, Topic};
use crate::shown::ReportForm;

/// Returns what is tried again with a comparison: one report for each commit that somebody waits for, its aggregate before others.
pub(crate) fn refused(state: &Repository) -> Vec<(Sha, Context)> {
    if state.forbidden.is_empty() {
        return Vec::new();
    }
    let open = state.pulls.values().filter(|pull| pull.snapshot.standing == PullStanding::Open);
    let tip = state.branches.get(&state.default_branch()).map(|branch| branch.tip);
    let wished = state.wishes.values().filter(|wish| wish.is_open()).map(|wish| wish.sha);
    let awaited: BTreeSet<Sha> = open.map(|pull| pull.snapshot.head_sha).chain(tip).chain(wished).collect();
    let of_commit = |sha: Sha| {
        let first = (sha, Context::from(""));
        let others = state.forbidden.range(first..).take_while(|(at, _)| *at == sha).cloned();
        std::iter::once((sha, state.aggregate())).chain(others).find(|name| is_given_up(state, name))
    };
    awaited.into_iter().filter_map(of_commit).collect()
}

/// Has a report written once more.
pub(crate) fn try_again(state: &mut Repository, name: (Sha, Context)) {
    if !is_given_up(state, &name) {
        return;
    }
    if let Some(report) = state.reports.get_mut(&name) {
        report.given_up = None;
    }
    state.touch_followers(name.0);
    state.touch(Topic::Report(name.0, name.1));
}

/// GitHub let us write a report: what it did not let us write in this form before is tried again. Statuses and check runs have a
/// permission each.
pub(super) fn permitted(state: &mut Repository, form: ReportForm) {
    let is_alike = |name: &&(Sha, Context)| state.reports.get(name).is_some_and(|report| report.wanted.form == form);
    let names: Vec<_> = state.forbidden.iter().filter(is_alike).cloned().collect();
    for name in names {
        try_again(state, name);
    }
}

fn is_given_up(state: &Repository, name: &(Sha, Context)) -> bool {
    state.reports.get(name).is_some_and(|report| is_forbidden(report.given_up.as_ref()))
}
