//! What GitHub shows: I5, I6, I8.

use std::collections::BTreeMap;

use greenlight_core::entity::Report;
use greenlight_core::id::{Context, Sha};
use greenlight_core::shown::{ReportState, ShownReport};

use super::{Checked, must};

/// What was decided and accepted under one context of one commit.
#[derive(Debug, Default)]
struct Lane {
    decided: Vec<(ReportState, std::sync::Arc<str>, u64)>,
    /// How far in `decided` GitHub is.
    reached: usize,
    accepted: Option<(ReportState, std::sync::Arc<str>)>,
    /// The latest attempt whose end GitHub accepted.
    ended: Option<u64>,
    attempts: u32,
    /// What was last written and known to be.
    known: Option<(ReportState, std::sync::Arc<str>)>,
    writes: u32,
}

/// All contexts of all commits.
#[derive(Debug, Default)]
pub struct Reports {
    lanes: BTreeMap<(Sha, Context), Lane>,
    /// How often a pull request got another base: what was tested counts or does not, without a new attempt.
    pub retargets: u32,
}

/// A report was committed.
pub fn decided(reports: &mut Reports, report: &Report) -> Checked {
    let place = (report.sha, report.context.clone());
    let lane = reports.lanes.entry(place).or_default();
    let (state, text) = (report.wanted.state, &report.wanted.description);
    match lane.decided.last() {
        Some((last, known, rank)) if *last == state && known == text && *rank == report.rank => return Ok(()),
        Some((last, _, rank)) => {
            must(report.rank >= *rank, "I6", || {
                format!("{} went back from attempt {rank} to {}", report.context, report.rank)
            })?;
            must(report.rank > *rank || !last.is_final() || state.is_final(), "I6", || {
                format!(
                    "{} on {} was decided {last:?}, then {state:?} in the same attempt",
                    report.context,
                    report.sha.short()
                )
            })?;
            if report.rank > *rank {
                lane.attempts += 1;
            }
        }
        None => lane.attempts = 1,
    }
    lane.decided.push((state, text.clone(), report.rank));
    Ok(())
}

/// I6: After a terminal state of attempt n was accepted by GitHub, no non-terminal state of any attempt ≤ n is sent.
pub fn i6_no_pending_after_the_end(reports: &mut Reports, sha: Sha, context: &Context, shown: &ShownReport) -> Checked {
    let Some(lane) = reports.lanes.get(&(sha, context.clone())) else {
        return must(false, "I5", || format!("{context} on {} was sent and never decided", sha.short()));
    };
    let (Some(ended), false) = (lane.ended, shown.state.is_final()) else { return Ok(()) };
    let rank = lane.find(shown, 0).map(|at| lane.decided[at].2);
    must(rank.is_some_and(|rank| rank > ended), "I6", || {
        format!(
            "{context} on {} is sent as {:?} after its end (attempt {ended}, now {rank:?})",
            sha.short(),
            shown.state
        )
    })
}

/// A state was accepted by GitHub.
pub fn accepted(reports: &mut Reports, sha: Sha, context: &Context, shown: &ShownReport) -> Checked {
    let Some(lane) = reports.lanes.get_mut(&(sha, context.clone())) else {
        return must(false, "I5", || format!("{context} on {} was written and never decided", sha.short()));
    };
    i5_accepted_is_what_was_decided(lane, sha, context, shown)
}

/// It is known that GitHub accepted a state. Writes whose answer was lost are not decided anew, only repeated.
pub fn heard(reports: &mut Reports, sha: Sha, context: &Context, shown: &ShownReport) -> Checked {
    let retargets = reports.retargets;
    let Some(lane) = reports.lanes.get_mut(&(sha, context.clone())) else { return Ok(()) };
    let news = Some((shown.state, shown.description.clone()));
    if lane.known != news {
        lane.known = news;
        lane.writes += 1;
    }
    i8_writes_are_few(lane, retargets, sha, context)
}

/// I5: For one (SHA, context), the sequence of states accepted by GitHub, repeats dropped, is a subsequence of the sequence
/// decided by core.
fn i5_accepted_is_what_was_decided(lane: &mut Lane, sha: Sha, context: &Context, shown: &ShownReport) -> Checked {
    let again = lane.accepted.as_ref().is_some_and(|(state, text)| *state == shown.state && *text == shown.description);
    if !again {
        let found = lane.first(shown, lane.reached);
        must(found.is_some(), "I5", || {
            let decided: Vec<_> = lane.decided.iter().map(|(state, text, _)| format!("{state:?} ({text})")).collect();
            format!(
                "{context} on {}: GitHub accepted {:?} ({}) after {:?}, but decided was {decided:?}",
                sha.short(),
                shown.state,
                shown.description,
                lane.accepted
            )
        })?;
        lane.reached = found.map_or(lane.reached, |at| at + 1);
        lane.accepted = Some((shown.state, shown.description.clone()));
    }
    if shown.state.is_final() {
        let rank = lane.find(shown, 0).map(|at| lane.decided[at].2);
        lane.ended = lane.ended.max(rank);
    }
    Ok(())
}

/// I8: The number of decided writes to one (SHA, context) never exceeds 3 × attempts, nor 900.
fn i8_writes_are_few(lane: &Lane, retargets: u32, sha: Sha, context: &Context) -> Checked {
    must(lane.writes <= 3 * (lane.attempts + retargets) && lane.writes <= 900, "I8", || {
        let decided: Vec<_> =
            lane.decided.iter().map(|(state, text, rank)| format!("{state:?} ({text}) {rank}")).collect();
        format!(
            "{context} on {} was written {} times in {} attempts: {decided:?}",
            sha.short(),
            lane.writes,
            lane.attempts
        )
    })
}

impl Lane {
    fn first(&self, shown: &ShownReport, from: usize) -> Option<usize> {
        let at = self.decided.iter().skip(from).position(|(state, text, _)| is_it(*state, text, shown))?;
        Some(at + from)
    }

    /// Returns the latest place at which this was decided.
    fn find(&self, shown: &ShownReport, from: usize) -> Option<usize> {
        (from..self.decided.len()).rev().find(|at| is_it(self.decided[*at].0, &self.decided[*at].1, shown))
    }
}

fn is_it(state: ReportState, text: &str, shown: &ShownReport) -> bool {
    state == shown.state && *text == *shown.description
}

#[cfg(test)]
mod tests {
    use greenlight_core::shown::ReportForm;

    use super::*;

    fn shown(state: ReportState) -> ShownReport {
        let description = format!("{state:?}").into();
        ShownReport { state, description, link: None, summary: None, form: ReportForm::Status }
    }

    fn report(state: ReportState, rank: u64) -> Report {
        Report {
            sha: Sha::ZERO,
            context: Context::from("x"),
            wanted: shown(state),
            rank,
            accepted: None,
            check_run: None,
            writes: 0,
            compare_at: None,
            given_up: None,
        }
    }

    #[test]
    fn an_end_is_followed_by_pending_only_in_a_later_attempt() {
        let mut reports = Reports::default();
        let context = Context::from("x");
        decided(&mut reports, &report(ReportState::Pending, 1)).unwrap();
        decided(&mut reports, &report(ReportState::Success, 1)).unwrap();
        accepted(&mut reports, Sha::ZERO, &context, &shown(ReportState::Success)).unwrap();
        let pending = shown(ReportState::Pending);
        assert!(i6_no_pending_after_the_end(&mut reports, Sha::ZERO, &context, &pending).is_err());
        assert!(accepted(&mut reports, Sha::ZERO, &context, &pending).is_err());
        assert!(decided(&mut reports, &report(ReportState::Pending, 1)).is_err());
        decided(&mut reports, &report(ReportState::Pending, 2)).unwrap();
        i6_no_pending_after_the_end(&mut reports, Sha::ZERO, &context, &pending).unwrap();
        accepted(&mut reports, Sha::ZERO, &context, &pending).unwrap();
    }
}
