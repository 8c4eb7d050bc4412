//! Concurrency groups: one run or job at a time, and one that waits.
//!
//! Runs and jobs share the names of their groups. Who comes first goes first; of those that wait the newest takes the place of
//! the others, unless it asks for a queue. Nothing is changed here: whose turn it is and who must give way is told, and
//! [`crate::schedule`] does it.

use std::collections::BTreeSet;
use std::sync::Arc;

use greenlight_workflow::ConcurrencyQueue;

use crate::id::{JobKey, RunNumber};
use crate::repository::{Repository, Topic};
use crate::run::{Concurrency, Job, JobState, Run, Suite, SuiteKey};
use crate::time::{Duration, Timestamp};

/// Who has a part in a group: a run, or a job of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Since when.
    since: Timestamp,
    /// The run.
    pub run: RunNumber,
    /// The job's place in its run, from 1; 0 for the run itself.
    at: usize,
    /// The job; nothing for the run itself.
    pub job: Option<JobKey>,
}

struct Member<'a> {
    place: Place,
    has_begun: bool,
    concurrency: &'a Concurrency,
}

/// How a group stands.
pub(crate) struct Standing {
    /// Whose turn it is.
    pub holder: Option<Place>,
    /// Who must give way, and to whom.
    pub stopped: Vec<(Place, Place)>,
}

/// Returns how a group stands.
pub(crate) fn standing(state: &Repository, group: &str) -> Standing {
    let members = members(state, group);
    let (Some(first), Some(newest)) = (members.first(), members.last()) else {
        return Standing { holder: None, stopped: Vec::new() };
    };
    let holder = members.iter().find(|member| member.has_begun).unwrap_or(first);
    let gives_way = |member: &&Member| match member.place == holder.place {
        true => newest.concurrency.cancel_in_progress,
        false => newest.concurrency.queue == ConcurrencyQueue::Single,
    };
    let stopped = members
        .iter()
        .filter(|member| member.place != newest.place)
        .filter(gives_way)
        .map(|member| (member.place.clone(), newest.place.clone()))
        .collect();
    Standing { holder: Some(holder.place.clone()), stopped }
}

/// Returns since when somebody who comes now has a part in a group: behind all who are there, though the clock was set back, or a run
/// that comes again has a lower number.
pub(crate) fn since(state: &Repository, group: &str, now: Timestamp) -> Timestamp {
    let runs = state.groups.get(group).into_iter().flat_map(|runs| runs.keys());
    let members = runs.filter_map(|number| state.runs.get(number)).flat_map(|run| of_run(run, group));
    members.map(|member| member.place.since).max().map_or(now, |last| now.max(last + Duration::from_millis(1)))
}

/// A suite may run from now on: only now do its runs come to their groups, behind all who are there.
pub(crate) fn comes(state: &mut Repository, suite: &SuiteKey, now: Timestamp) {
    let Some(runs) = state.suites.get(suite).map(|suite| suite.runs.clone()) else { return };
    for number in runs {
        let Some(run) = state.runs.get(&number) else { continue };
        let Some(concurrency) = &run.concurrency else { continue };
        if run.is_over() || run.jobs.iter().any(Job::has_begun) {
            continue;
        }
        let since = since(state, &concurrency.group, now);
        if let Some(run) = state.runs.get_mut(&number) {
            run.created_at = since;
        }
        touch_others(state, number);
    }
}

/// Returns who has a part in a group, in the order in which they came.
fn members<'a>(state: &'a Repository, group: &'a str) -> Vec<Member<'a>> {
    let runs = state.groups.get(group).into_iter().flat_map(|runs| runs.keys());
    let mut members = Vec::new();
    for run in runs.filter_map(|number| state.runs.get(number)) {
        // What nobody let start has no part in a group: it would hold others up, or stop them. What did start keeps its turn
        // until it is over, though its next attempt needs an approval of its own.
        let may_run = state.suites.get(&run.suite).is_some_and(Suite::may_run);
        if run.is_over() || !(may_run || run.jobs.iter().any(Job::has_begun)) {
            continue;
        }
        members.extend(of_run(run, group));
    }
    members.sort_by(|one, other| one.place.cmp(&other.place));
    members
}

/// Returns what of a run has a part in a group: the run itself, and its jobs.
fn of_run<'a>(run: &'a Run, group: &'a str) -> impl Iterator<Item = Member<'a>> {
    let own = run.concurrency.iter().filter(move |own| *own.group == *group);
    let itself = own.filter(|_| run.jobs.iter().any(|job| !job.is_over())).map(|concurrency| Member {
        place: Place { since: run.created_at, run: run.number, at: 0, job: None },
        // A job asks for a turn of its own only where its run's has come: nobody takes that from it while it waits.
        has_begun: run.jobs.iter().any(|job| job.has_begun() || has_run(run, job) || asks(job)),
        concurrency,
    });
    let jobs = (1..).zip(&run.jobs).filter(|(_, job)| !job.is_over()).filter_map(move |(at, job)| {
        let turn = job.turn.as_ref().filter(|turn| *turn.concurrency.group == *group)?;
        Some(Member {
            place: Place { since: turn.since, run: run.number, at, job: Some(job.key.clone()) },
            has_begun: job.has_begun(),
            concurrency: &turn.concurrency,
        })
    });
    itself.chain(jobs)
}

fn asks(job: &Job) -> bool {
    job.turn.is_some() && !job.is_over()
}

/// Did a runner have it in this attempt? A run whose first job is over and whose next one waits is under way; one of which a
/// part is to run again, and the rest was kept, is not.
fn has_run(run: &Run, job: &Job) -> bool {
    job.attempt == run.attempt && matches!(job.state, JobState::Completed { started_at: Some(_), .. })
}

/// Touches the runs beside this one in its groups: its place in them changed.
pub(crate) fn touch_others(state: &mut Repository, number: RunNumber) {
    let Some(run) = state.runs.get(&number) else { return };
    let groups = groups_of(run);
    let members = groups.iter().filter_map(|(group, _)| state.groups.get(group)).flat_map(|runs| runs.keys().copied());
    let others: Vec<RunNumber> = members.filter(|other| *other != number).collect();
    for other in others {
        state.touch(Topic::Run(other));
    }
}

/// Returns the groups that a run has a part in, itself or by its jobs, each with how often.
pub(crate) fn groups_of(run: &Run) -> Vec<(Arc<str>, usize)> {
    let mut groups: Vec<(Arc<str>, usize)> = Vec::new();
    let itself = run.concurrency.iter().map(|concurrency| (concurrency, !run.is_over()));
    let jobs = run.jobs.iter().filter_map(|job| Some((&job.turn.as_ref()?.concurrency, !job.is_over())));
    for (concurrency, is_active) in itself.chain(jobs) {
        match groups.iter_mut().find(|(group, _)| *group == concurrency.group) {
            Some((_, count)) => *count += usize::from(is_active),
            None => groups.push((concurrency.group.clone(), usize::from(is_active))),
        }
    }
    groups
}

/// What a job waits for that has a concurrency group.
pub(crate) struct Obstacle {
    /// The group.
    pub group: Arc<str>,
    /// Who has it.
    pub holder: Place,
    /// Who waits for whom, from the holder on, where that leads back to the job: nobody of them ever goes on by itself.
    pub circle: Vec<Place>,
}

/// Returns what a job waits for, where that is a turn of its own or of its run.
pub(crate) fn obstacle(state: &Repository, run: &Run, job: &Job) -> Option<Obstacle> {
    let concurrency = job.turn.as_ref().map(|turn| &turn.concurrency).or(run.concurrency.as_ref())?;
    let holder = standing(state, &concurrency.group).holder?;
    let is_own = holder.run == run.number && holder.job == job.turn.as_ref().map(|_| job.key.clone());
    if is_own {
        return None;
    }
    let mut circle = vec![holder.clone()];
    if !leads_to(state, run.number, &job.key, &mut circle, &mut BTreeSet::new()) {
        circle.clear();
    }
    Some(Obstacle { group: concurrency.group.clone(), holder, circle })
}

/// Does whoever stands last in the chain wait for this job, or for what has it as a part? Then the chain is how.
fn leads_to(
    state: &Repository,
    number: RunNumber,
    key: &JobKey,
    chain: &mut Vec<Place>,
    seen: &mut BTreeSet<Place>,
) -> bool {
    let Some(last) = chain.last().cloned() else { return false };
    let Some(run) = state.runs.get(&last.run) else { return false };
    if last.run == number && is_part(run, key, &last) {
        return true;
    }
    if !seen.insert(last.clone()) {
        return false;
    }
    let waiting = run.jobs.iter().filter(|job| job.state == JobState::Waiting && is_part(run, &job.key, &last));
    let groups = waiting.filter_map(|job| Some((&job.key, &job.turn.as_ref()?.concurrency.group)));
    for (job, group) in groups {
        let Some(holder) = standing(state, group).holder else { continue };
        if holder.run == run.number && holder.job.as_ref() == Some(job) {
            continue;
        }
        chain.push(holder);
        if leads_to(state, number, key, chain, seen) {
            return true;
        }
        chain.pop();
    }
    false
}

/// Is a job who has a place, or a part of it?
fn is_part(run: &Run, key: &JobKey, place: &Place) -> bool {
    let Some(whole) = &place.job else { return true };
    let mut next = run.job(key);
    while let Some(job) = next {
        if job.key == *whole {
            return true;
        }
        next = job.caller.as_ref().and_then(|caller| run.job(caller));
    }
    false
}

/// Touches every run of a circle that a job has closed by what it asks for: what is said of them is another thing now.
pub(crate) fn touch_circle(state: &mut Repository, number: RunNumber, key: &JobKey) {
    let Some(run) = state.runs.get(&number) else { return };
    let obstacle = run.job(key).and_then(|job| obstacle(state, run, job));
    for place in obstacle.into_iter().flat_map(|obstacle| obstacle.circle) {
        state.touch(Topic::Run(place.run));
    }
}

/// Returns who around a job has the group that the job asks for: it would wait for what waits for it.
pub(crate) fn deadlock(run: &Run, job: &Job, group: &str) -> Option<Arc<str>> {
    if run.concurrency.as_ref().is_some_and(|concurrency| *concurrency.group == *group) {
        return Some(run.name.clone());
    }
    let mut above = job.caller.as_ref();
    while let Some(caller) = above.and_then(|key| run.job(key)) {
        if caller.turn.as_ref().is_some_and(|turn| *turn.concurrency.group == *group) {
            return Some(caller.name.clone());
        }
        above = caller.caller.as_ref();
    }
    None
}
