//! What is over and old leaves the live state: history is rows that pages read, never loaded by a step.
//!
//! Nothing is forgotten while something still looks at it, and not before a late delivery of it has become impossible.

use std::collections::BTreeSet;

use crate::deployment::{Carrying, WishState};
use crate::event::PullStanding;
use crate::id::Sha;
use crate::plan::SCHEDULE;
use crate::repository::Repository;
use crate::run::{Run, Subject, Suite, SuiteKey};
use crate::time::{Duration, Timestamp};

/// How long something that is over stays in the live state: longer than GitHub redelivers.
pub const FORGET_AFTER: Duration = Duration::from_secs(8 * 24 * 3600);

/// How much of what came due by the clock stays: a line of every minute makes 11,500 runs in that time, and no delivery tells of them.
const SCHEDULED_KEPT_MAX: usize = 200;

/// Forgets what is over and old.
pub(crate) fn forget(state: &mut Repository, now: Timestamp) {
    let old = |at: Timestamp| at + FORGET_AFTER <= now;
    forget_deployments(state, old);
    forget_suites(state, old);
    let pulls: Vec<_> = state
        .pulls
        .values()
        .filter(|pull| pull.snapshot.standing != PullStanding::Open && old(pull.snapshot.updated_at))
        .map(|pull| pull.snapshot.number)
        .collect();
    for number in pulls {
        state.pulls.remove(&number);
    }
    forget_commits(state);
}

fn forget_deployments(state: &mut Repository, old: impl Fn(Timestamp) -> bool) {
    let over: Vec<_> = state
        .deployments
        .values()
        .filter(|deployment| {
            matches!(deployment.state, Carrying::Done | Carrying::Watched { .. }) && old(deployment.seen_at)
        })
        .filter(|deployment| deployment.wanted == deployment.accepted || deployment.given_up.is_some())
        .map(|deployment| deployment.snapshot.id)
        .collect();
    for id in over {
        state.deployments.remove(&id);
    }
    let wishes: Vec<_> = state
        .wishes
        .values()
        .filter(|wish| matches!(wish.state, WishState::Created(_) | WishState::Refused { .. }) && old(wish.since))
        .map(|wish| (wish.environment.clone(), wish.sha))
        .collect();
    for name in wishes {
        state.wishes.remove(&name);
    }
}

fn forget_suites(state: &mut Repository, old: impl Fn(Timestamp) -> bool) {
    let over: Vec<_> = state
        .suites
        .values()
        .filter(|suite| old(suite.requested_at) && !is_looked_at(state, suite))
        .map(|suite| suite.key.clone())
        .collect();
    for key in over.into_iter().chain(too_many_scheduled(state)) {
        let Some(suite) = state.remove_suite(&key) else { continue };
        for number in &suite.runs {
            state.runs.remove(number);
            state.parsed.remove(number);
        }
        if let Some(planned) = suite.planned()
            && state.proofs.get(&planned.tree).is_some_and(|proof| proof.tested_at == planned.sha)
        {
            state.proofs.remove(&planned.tree);
        }
    }
}

/// Returns the oldest suites that the clock began and that are over, where there are too many.
fn too_many_scheduled(state: &Repository) -> Vec<SuiteKey> {
    if state.meta().timetable.lines.is_empty() {
        return Vec::new();
    }
    let scheduled = state.suites.values().filter(|suite| &*suite.key.event == SCHEDULE && !is_looked_at(state, suite));
    let mut over: Vec<&Suite> = scheduled.collect();
    over.sort_by_key(|suite| std::cmp::Reverse(suite.requested_at));
    over.into_iter().skip(SCHEDULED_KEPT_MAX).map(|suite| suite.key.clone()).collect()
}

/// Does anything still look at this suite?
fn is_looked_at(state: &Repository, suite: &Suite) -> bool {
    let runs = suite.runs.iter().any(|number| state.runs.get(number).is_some_and(|run| !Run::is_over(run)));
    let reading = matches!(suite.phase, crate::run::SuitePhase::Reading { .. });
    let subject = match &suite.key.subject {
        Subject::Pull(number, _) | Subject::PullAction(number, ..) => {
            state.pulls.get(number).is_some_and(|pull| pull.snapshot.standing == PullStanding::Open)
        }
        Subject::Ref(name) => state.branches.get(name).is_some_and(|branch| branch.tip == suite.key.head_sha),
        Subject::Deployment(id) => state.deployments.contains(id),
        Subject::Other(_) => false,
    };
    runs || reading || subject || state.wishes.values().any(|wish| wish.sha == suite.key.head_sha)
}

/// Forgets what was shown and said of commits that nothing is known of any more.
fn forget_commits(state: &mut Repository) {
    let known: BTreeSet<Sha> = state
        .suites
        .values()
        .map(|suite| suite.key.head_sha)
        .chain(state.wishes.values().map(|wish| wish.sha))
        .chain(state.pulls.values().map(|pull| pull.snapshot.head_sha))
        .collect();
    let settled =
        |report: &crate::entity::Report| report.accepted.as_ref() == Some(&report.wanted) || report.given_up.is_some();
    let reports: Vec<_> = state
        .reports
        .values()
        .filter(|report| !known.contains(&report.sha) && settled(report) && report.compare_at.is_none())
        .map(|report| (report.sha, report.context.clone()))
        .collect();
    for name in reports {
        state.reports.remove(&name);
        state.forbidden.remove(&name);
    }
    let verdicts: Vec<_> =
        state.verdicts.iter().map(|(name, _)| name.clone()).filter(|(sha, _)| !known.contains(sha)).collect();
    for name in verdicts {
        state.verdicts.remove(&name);
    }
}
