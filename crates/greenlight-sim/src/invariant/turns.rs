//! Concurrency groups of runs and of jobs: one at a time, nobody waits while the group is free, and who waits says so. Who has a
//! part in which group is kept here, from what was committed, and told apart from what the core keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::id::{JobKey, RunNumber};
use greenlight_core::report::job_sentence;
use greenlight_core::repository::Repository;
use greenlight_core::run::{Conclusion, Job, JobState, Run, Suite};

use super::{Checked, must};
use crate::coverage::{Coverage, Moment};
use crate::store::Inner;

/// Who has a part in a group: a run, or a job of one.
pub type Member = (RunNumber, Option<JobKey>);

/// What is known of all groups.
#[derive(Debug, Default)]
pub struct Groups {
    members: BTreeMap<Arc<str>, BTreeMap<Member, Stand>>,
    of_run: BTreeMap<RunNumber, BTreeSet<Arc<str>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    Begun,
    Waits,
}

impl Groups {
    /// A run was committed, or forgotten. Returns the groups in which something changed.
    pub fn take_in(&mut self, number: RunNumber, run: Option<&Run>) -> BTreeSet<Arc<str>> {
        let parts: Vec<_> = run.into_iter().flat_map(parts).collect();
        let mut changed = self.of_run.remove(&number).unwrap_or_default();
        for group in &changed {
            if let Some(members) = self.members.get_mut(group) {
                members.retain(|(run, _), _| *run != number);
            }
        }
        for (group, job, stand) in parts {
            self.members.entry(group.clone()).or_default().insert((number, job), stand);
            self.of_run.entry(number).or_default().insert(group.clone());
            changed.insert(group);
        }
        changed
    }

    /// I12: at most one member of a group is under way; and where nobody is, nobody waits who could be.
    pub fn i12_one_at_a_time(&self, inner: &Inner, group: &Arc<str>) -> Checked {
        let Some(members) = self.members.get(group) else { return Ok(()) };
        let begun: Vec<_> = members.iter().filter(|(_, stand)| **stand == Stand::Begun).collect();
        must(begun.len() <= 1, "I12", || format!("{begun:?} are under way at once in {group}"))?;
        if !begun.is_empty() {
            return Ok(());
        }
        let could = members.keys().filter(|(number, _)| may_run(inner, *number));
        let who: Vec<_> = could.collect();
        // A run whose turn it is may have no job that can begin but one that waits for its turn elsewhere.
        let elsewhere = who.iter().any(|(number, job)| job.is_none() && asks_elsewhere(inner, *number));
        must(who.is_empty() || elsewhere, "I12", || format!("{group} is free, and {who:?} wait for it"))
    }
}

fn run_of(inner: &Inner, number: RunNumber) -> Option<&Run> {
    match inner.get(&EntityKey::Run(number)) {
        Some(Entity::Run(run)) => Some(run),
        _ => None,
    }
}

fn may_run(inner: &Inner, number: RunNumber) -> bool {
    let suite = run_of(inner, number).and_then(|run| inner.get(&EntityKey::Suite(run.suite.clone())));
    matches!(suite, Some(Entity::Suite(suite)) if suite.may_run())
}

fn asks_elsewhere(inner: &Inner, number: RunNumber) -> bool {
    run_of(inner, number).is_some_and(|run| run.jobs.iter().any(|job| job.turn.is_some() && !job.is_over()))
}

/// Returns the groups that a run has a part in, itself or by its jobs.
fn parts(run: &Run) -> impl Iterator<Item = (Arc<str>, Option<JobKey>, Stand)> {
    let stand = |begun| if begun { Stand::Begun } else { Stand::Waits };
    let was_run =
        |job: &Job| job.attempt == run.attempt && matches!(job.state, JobState::Completed { started_at: Some(_), .. });
    let itself = run.concurrency.iter().filter(|_| !run.is_over()).map(move |concurrency| {
        let begun = run.jobs.iter().any(|job| job.has_begun() || was_run(job));
        (concurrency.group.clone(), None, stand(begun))
    });
    let jobs = run.jobs.iter().filter(|job| !job.is_over()).filter_map(move |job| {
        let turn = job.turn.as_ref()?;
        Some((turn.concurrency.group.clone(), Some(job.key.clone()), stand(job.has_begun())))
    });
    itself.chain(jobs)
}

/// Returns the groups that a job holds while it runs, each with who holds it: its run, itself, or a call that it stands in.
pub fn held(run: &Run, job: &Job) -> Vec<(Arc<str>, Member)> {
    let mut held: Vec<_> =
        run.concurrency.iter().map(|concurrency| (concurrency.group.clone(), (run.number, None))).collect();
    let mut next = Some(job);
    while let Some(job) = next {
        if let Some(turn) = &job.turn {
            held.push((turn.concurrency.group.clone(), (run.number, Some(job.key.clone()))));
        }
        next = job.caller.as_ref().and_then(|caller| run.job(caller));
    }
    held
}

/// I18: who waits for a turn says so, by the group's name.
pub fn i18_who_waits_says_why(state: &Repository, run: &Run) -> Checked {
    let waits = |job: &&Job| job.turn.is_some() && job.state == JobState::Waiting && !job.is_open_call();
    for job in run.jobs.iter().filter(waits) {
        let Some(turn) = &job.turn else { continue };
        let sentence = job_sentence(state, run, job);
        let may_run = state.suites.get(&run.suite).is_some_and(Suite::may_run);
        let says = sentence.contains(&*turn.concurrency.group) || (!may_run && sentence.contains("approval"));
        must(says, "I18", || {
            format!("run {} job {} waits for {} and says: {sentence}", run.number, job.key, turn.concurrency.group)
        })?;
    }
    Ok(())
}

/// Counts what became of the jobs that asked for a turn.
pub fn count(run: &Run, before: Option<&Run>, coverage: &mut Coverage) {
    let Some(before) = before.filter(|before| before.attempt == run.attempt) else { return };
    for job in run.jobs.iter().filter(|job| job.turn.is_some()) {
        let Some(was) = before.job(&job.key).filter(|was| was.turn.is_some()) else { continue };
        let waited = was.state == JobState::Waiting && !was.is_open_call();
        if waited && job.has_begun() {
            coverage.saw(Moment::TurnCame);
        }
        let (waits_no_more, is_told) = (waited && job.is_over(), was.cancelled.is_none() && job.cancelled.is_some());
        if waits_no_more && job.conclusion() == Some(Conclusion::Cancelled) && run.cancelled.is_none() {
            coverage.saw(Moment::TurnTaken);
        }
        if is_told && run.cancelled.is_none() {
            coverage.saw(Moment::TurnStopped);
        }
    }
}
