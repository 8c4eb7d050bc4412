//! Runs and jobs: which may start, which is handed out, how it ends, and what follows for the run.

mod lease;
mod start;
mod stop;

use crate::entity::Proof;
use crate::id::RunNumber;
use crate::plan::{self, CIBUILD};
use crate::repository::{Repository, Topic};
use crate::room::tell_of_run;
use crate::run::{Conclusion, Job, JobState, Run, RunState, Subject, Suite, SuiteKey, SuitePhase};
use crate::time::Timestamp;
use crate::turn::{self};
use crate::{call, report, trust};

pub use lease::{QueuedJob, TIMEOUT_GRACE, TRIES_MAX, queued};
use lease::{alarm, queued_since, sweep};
pub(crate) use lease::{booted, is_any_queued, labels_known, lease, reported};
use start::{advance, holder_before};
pub(crate) use stop::cancel_run;
use stop::{give_way, stop_legs};

/// Begins the next attempt of a suite: the files are read again. Returns the attempt.
pub(crate) fn begin_attempt(state: &mut Repository, key: &SuiteKey, now: Timestamp) -> u32 {
    let Some(suite) = state.suites.get_mut(key) else { return 0 };
    trust::inherit(suite);
    suite.phase = SuitePhase::Reading { trouble: None };
    suite.requested_at = now;
    let (attempt, runs) = (suite.attempt, suite.runs.clone());
    state.reopen_suite(key);
    for number in runs {
        cancel_run(state, number, "a newer attempt began", now);
    }
    state.touch(Topic::Suite(key.clone()));
    attempt
}

/// Settles a suite: its trust, its files, its runs.
pub(crate) fn settle_suite(state: &mut Repository, key: &SuiteKey, now: Timestamp) {
    trust::settle_suite(state, key, now);
    let Some(suite) = state.suites.get_shared(key) else { return };
    if matches!(suite.phase, SuitePhase::Reading { .. }) {
        plan::settle_reading(state, &suite);
    }
    for number in &suite.runs {
        if state.runs.get(number).is_some_and(|run| !run.is_over()) {
            state.touch(Topic::Run(*number));
        }
    }
    prove(state, &suite);
    state.touch(Topic::Commit(key.head_sha));
    touch_subject(state, key);
}

/// Is there nothing of a suite left that could start, end or be stopped?
pub(crate) fn is_suite_over(state: &Repository, suite: &Suite) -> bool {
    match suite.phase {
        SuitePhase::Reading { .. } => false,
        SuitePhase::Planned(_) => suite.runs.iter().all(|number| state.runs.get(number).is_none_or(Run::is_over)),
        SuitePhase::Stopped { .. } => true,
    }
}

/// A suite that ended green proves its tree.
fn prove(state: &mut Repository, suite: &Suite) {
    let counts = match &suite.key.subject {
        Subject::Pull(..) => true,
        Subject::Ref(name) => &*suite.key.event == "push" && name.as_branch().is_some(),
        _ => false,
    };
    let Some(planned) = suite.planned().filter(|_| counts) else { return };
    if state.proofs.contains(&planned.tree) || !report::is_tested_green(state, suite) {
        return;
    }
    let proof = Proof { tree: planned.tree, tested_at: planned.sha };
    // It proves a commit of that tree also where nobody wants it deployed any more.
    let proven = state.wishes.values().filter(|wish| wish.tree == Some(proof.tree) && !wish.is_open());
    let proven: Vec<_> = proven.map(|wish| wish.sha).collect();
    state.proofs.insert(proof.tree, proof);
    for sha in proven {
        state.touch(Topic::Commit(sha));
    }
    let waiting: Vec<_> =
        state.wishes.values().filter(|wish| wish.is_open()).map(|wish| (wish.environment.clone(), wish.sha)).collect();
    for (environment, sha) in waiting {
        state.touch(Topic::Wish(environment, sha));
    }
}

/// Touches what looks at a suite: its pull request, its deployment, the wishes for its commit.
fn touch_subject(state: &mut Repository, key: &SuiteKey) {
    match &key.subject {
        Subject::Pull(number, base) => {
            state.touch(Topic::Pull(*number));
            state.touch(Topic::Branch(base.clone()));
        }
        Subject::Deployment(id) => state.touch(Topic::Deployment(*id)),
        Subject::Ref(_) | Subject::PullAction(..) | Subject::Other(_) => {}
    }
    state.touch_followers(key.head_sha);
}

/// Settles a run: what may start is queued, what was lost is tried again or ended, and a run whose jobs are over is over.
pub(crate) fn settle_run(state: &mut Repository, number: RunNumber, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    if run.is_over() {
        index(state, number);
        return shown(state, number);
    }
    let Some(suite) = state.suites.get_shared(&run.suite) else { return };
    index(state, number);
    sweep(state, number, now);
    give_way(state, number, now);
    let blocked = holder_before(state, number);
    loop {
        if suite.may_run() && blocked.is_none() {
            advance(state, &suite, number, now);
        }
        let stopped = stop_legs(state, number, now);
        if !call::close(state, &suite, number, now) && !stopped {
            break;
        }
    }
    conclude(state, &suite, number, now);
    index(state, number);
    shown(state, number);
    state.set_alarm(Topic::Run(number), alarm(state, number));
}

/// Makes the indices of all runs, where they were just loaded: a group that is half known would have two holders.
pub(crate) fn index_loaded(state: &mut Repository) {
    if std::mem::replace(&mut state.indexed, true) {
        return;
    }
    let open: Vec<RunNumber> = state.runs.values().filter(|run| !run.is_over()).map(|run| run.number).collect();
    for number in open {
        index(state, number);
    }
}

/// Keeps the indices of active runs, groups and queued jobs.
fn index(state: &mut Repository, number: RunNumber) {
    let Some(run) = state.runs.get(&number) else { return };
    let groups = turn::groups_of(run);
    let oldest = run.jobs.iter().filter_map(queued_since).min();
    if run.is_over() {
        state.active.remove(&number);
        state.github.remove(&number);
    } else {
        state.active.insert(number);
    }
    for (group, count) in groups {
        let members = state.groups.entry(group.clone()).or_default();
        let before = match count {
            0 => members.remove(&number),
            count => members.insert(number, count),
        };
        // Somebody came, or left: it may be another's turn.
        let is_news = before.unwrap_or(0) != count;
        let others: Vec<_> = members.keys().copied().filter(|other| is_news && *other != number).collect();
        if members.is_empty() {
            state.groups.remove(&group);
        }
        for other in others {
            state.touch(Topic::Run(other));
        }
    }
    match oldest {
        Some(since) => state.queued.insert(number, since),
        None => state.queued.remove(&number),
    };
}

/// Ends a run whose jobs are over.
fn conclude(state: &mut Repository, suite: &Suite, number: RunNumber, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    if !run.jobs.iter().all(Job::is_over) {
        return;
    }
    let Some(run) = state.runs.get_mut(&number) else { return };
    let (conclusion, reason) = verdict(run);
    run.state = RunState::Completed { conclusion, at: now };
    run.reason = reason.into();
    let text = run.reason.clone();
    state.note(format!("run {number}"), format!("{}: {text}", conclusion.as_result()));
    state.touch(Topic::Suite(suite.key.clone()));
    tell_of_run(state, suite, number);
}

/// Returns how a run whose jobs are over ended, and why.
fn verdict(run: &Run) -> (Conclusion, String) {
    let counted = |job: &&Job| !job.continue_on_error && !job.is_open_call();
    let of = |wanted: &[Conclusion]| {
        run.jobs
            .iter()
            .filter(counted)
            .find(|job| job.conclusion().is_some_and(|conclusion| wanted.contains(&conclusion)))
    };
    let why = |job: &Job| match &job.state {
        JobState::Completed { reason, .. } => format!("{}: {reason}", job.name),
        _ => job.name.to_string(),
    };
    if let Some(job) = of(&[Conclusion::Lost]) {
        return (Conclusion::Lost, why(job));
    }
    if let Some(job) = of(&[Conclusion::Failure, Conclusion::TimedOut]) {
        return (Conclusion::Failure, why(job));
    }
    if let Some(reason) = &run.cancelled {
        return (Conclusion::Cancelled, format!("cancelled: {reason}"));
    }
    if let Some(job) = of(&[Conclusion::Cancelled]) {
        return (Conclusion::Cancelled, why(job));
    }
    let succeeded = |job: &&Job| !job.is_open_call() && job.conclusion() == Some(Conclusion::Success);
    match run.jobs.iter().filter(succeeded).count() {
        0 if run.jobs.iter().all(|job| job.conclusion() == Some(Conclusion::Skipped)) => {
            (Conclusion::Skipped, "every job was skipped".into())
        }
        1 => (Conclusion::Success, "1 job succeeded".into()),
        count => (Conclusion::Success, format!("{count} jobs succeeded")),
    }
}

/// Says what the contexts of a run's jobs should show.
fn shown(state: &mut Repository, number: RunNumber) {
    let Some(run) = state.runs.get_shared(&number) else { return };
    let Some(suite) = state.suites.get(&run.suite) else { return };
    if !suite.runs.contains(&number) {
        return;
    }
    if suite.deployment().is_some() {
        // A deployment shows its own state; a context beside it would keep people from deploying the commit elsewhere.
        if let Some(id) = run.deployment {
            state.touch(Topic::Deployment(id));
        }
        return;
    }
    let rank = |job: &Job| (number.0 << 24) | (u64::from(run.attempt) << 8) | u64::from(job.tried.min(255));
    if &*run.workflow == CIBUILD {
        if let Some((context, shown, rank)) = report::of_cibuild(state, run.suite.head_sha, CIBUILD) {
            report::set(state, run.suite.head_sha, &context, shown, rank);
        }
    } else {
        if run.problem.is_some() || run.attempt > 1 {
            report::set_file(state, &run, (number.0 << 24) | (u64::from(run.attempt) << 8));
        }
        // A call that waits may become jobs of other names: a pending of its own would stay for ever.
        let is_call = |job: &Job| job.call.is_some() && (!job.is_over() || job.is_open_call());
        for job in run.jobs.iter().filter(|job| (job.expanded || job.is_over()) && !is_call(job)) {
            report::set_job(state, &run, job, rank(job));
        }
    }
    let over = run.jobs.is_empty() || run.is_over();
    // Whether a job waits for a runner that is not there is said of the commit as a whole, too.
    let queued = run.jobs.iter().any(|job| matches!(job.state, JobState::Queued { .. }));
    if over || (queued && state.settings.labels.is_some()) {
        state.touch(Topic::Commit(run.suite.head_sha));
    }
}
