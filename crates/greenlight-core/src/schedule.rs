//! Runs and jobs: which may start, which is handed out, how it ends, and what follows for the run.

use std::sync::Arc;

use greenlight_workflow::workflow::JOBS_MAX;
use greenlight_workflow::{
    Context as _, Contexts, Job as JobSpec, JobPlan, JobResult, StatusCheck, Value, Workflow, ancestors, expand_job,
};

use crate::call;
use crate::config::NotifyOn;
use crate::effect::{Checkout, DEPLOYMENT_ID, JobEnd, JobOrder, JobReport, Reply};
use crate::entity::Proof;
use crate::fact::LeaseAsked;
use crate::id::{AttemptId, JobKey, RunNumber, Token};
use crate::plan::{self, CIBUILD, contexts, strategy_value};
use crate::report;
use crate::repository::{Repository, Topic};
use crate::room::tell;
use crate::run::{Conclusion, Job, JobState, Lease, Run, RunState, Subject, Suite, SuiteKey, SuitePhase, Turn};
use crate::time::{Duration, Timestamp, spoken};
use crate::trust;
use crate::turn::{self, Place};

/// How often a job is tried when its runner is lost; a deployment's only once.
pub const TRIES_MAX: u32 = 2;
/// How much longer than its timeout a job may hold its lease, for the runner to end it itself.
pub const TIMEOUT_GRACE: Duration = Duration::from_secs(60);

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
    state.proofs.insert(proof.tree, proof);
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
    report::touch_followers(state, key.head_sha);
}

/// Asks a run to stop: what has not begun never does, what runs is told to.
pub(crate) fn cancel_run(state: &mut Repository, number: RunNumber, reason: &str, now: Timestamp) {
    if state.runs.get(&number).is_none_or(Run::is_over) {
        return;
    }
    let Some(run) = state.runs.get_mut(&number) else { return };
    if run.cancelled.is_none() {
        run.cancelled = Some(reason.into());
    }
    for job in &mut run.jobs {
        cancel_job(job, reason, now);
    }
    state.note(format!("run {number}"), format!("cancelled: {reason}"));
    state.touch(Topic::Run(number));
}

/// Stops a job. A call is over when the jobs that it made are: they are to be stopped themselves.
fn cancel_job(job: &mut Job, reason: &str, now: Timestamp) {
    if job.is_open_call() {
        return;
    }
    match job.state {
        JobState::Waiting | JobState::Queued { .. } => {
            let reason = format!("cancelled: {reason}").into();
            job.state = JobState::Completed { conclusion: Conclusion::Cancelled, at: now, reason, started_at: None };
        }
        JobState::Leased(_) if job.cancelled.is_none() => job.cancelled = Some(reason.into()),
        JobState::Leased(_) | JobState::Completed { .. } => {}
    }
}

/// Stops a job with the jobs that it made, where it called a workflow.
fn cancel_with_called(run: &mut Run, key: &JobKey, reason: &str, now: Timestamp) {
    let called: Vec<JobKey> = run.level(Some(key)).map(|job| job.key.clone()).collect();
    for job in called {
        cancel_with_called(run, &job, reason, now);
    }
    if let Some(job) = run.job_mut(key) {
        cancel_job(job, reason, now);
    }
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
        let others: Vec<_> = members.keys().copied().filter(|other| *other != number).collect();
        if members.is_empty() {
            state.groups.remove(&group);
        }
        if before.unwrap_or(0) != count {
            for other in others {
                state.touch(Topic::Run(other));
            }
        }
    }
    match oldest {
        Some(since) => state.queued.insert(number, since),
        None => state.queued.remove(&number),
    };
}

fn queued_since(job: &Job) -> Option<Timestamp> {
    match job.state {
        JobState::Queued { since } => Some(since),
        _ => None,
    }
}

/// Ends leases that ran out. None is renewed beyond its job's deadline; one that a restart renewed may end behind it, so that a
/// runner which the server could not hear has its say first.
fn sweep(state: &mut Repository, number: RunNumber, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    if !run.jobs.iter().any(|job| job.lease().is_some_and(|lease| lease.until <= now)) {
        return;
    }
    let deploys = run.deployment.is_some();
    let Some(run) = state.runs.get_mut(&number) else { return };
    for job in &mut run.jobs {
        let Some(lease) = job.lease().filter(|lease| lease.until <= now).cloned() else { continue };
        if deadline(&lease, job.timeout) <= now {
            let reason = format!("it took longer than {}", spoken(job.timeout)).into();
            job.state =
                JobState::Completed { conclusion: Conclusion::TimedOut, at: now, reason, started_at: lease.started_at };
        } else {
            lose(job, &lease, deploys, "its runner was not heard of any more", now);
        }
    }
}

fn deadline(lease: &Lease, timeout: Duration) -> Timestamp {
    lease.since + timeout + TIMEOUT_GRACE
}

/// A heartbeat renews a lease, but not beyond the deadline of its job.
fn renew(lease: &mut Lease, timeout: Duration, now: Timestamp) {
    let deadline = deadline(lease, timeout);
    if now < deadline {
        lease.until = (now + lease.length).min(deadline);
    }
}

/// A lease is over without a word. A CI job is tried once more; a deployment never is, for nobody knows how far it came.
fn lose(job: &mut Job, lease: &Lease, deploys: bool, why: &str, now: Timestamp) {
    let started_at = lease.started_at;
    job.state = if let Some(reason) = &job.cancelled {
        let reason = format!("cancelled: {reason}").into();
        JobState::Completed { conclusion: Conclusion::Cancelled, at: now, reason, started_at }
    } else if !deploys && job.tried < TRIES_MAX {
        job.tried += 1;
        JobState::Queued { since: now }
    } else {
        let reason = format!("{why} ({}), and nobody knows how far it came", lease.runner).into();
        JobState::Completed { conclusion: Conclusion::Lost, at: now, reason, started_at }
    };
}

/// A server started, or can store again. Its built-in runner's leases of an earlier life are over at once; all others count from now
/// on, not from a heartbeat that nobody was there to hear (P5).
pub(crate) fn booted(state: &mut Repository, boot: &Arc<str>, now: Timestamp) {
    state.meta_mut().boot = Some(boot.clone());
    let stale = |lease: &Lease| lease.boot.as_ref().is_some_and(|known| known != boot);
    let held = |run: &&Run| run.jobs.iter().any(|job| job.lease().is_some());
    let numbers: Vec<_> = state.runs.values().filter(held).map(|run| run.number).collect();
    for number in numbers {
        let Some(run) = state.runs.get_mut(&number) else { continue };
        let (deploys, mut any_stale) = (run.deployment.is_some(), false);
        for job in &mut run.jobs {
            match &mut job.state {
                JobState::Leased(lease) if !stale(lease) => lease.until = lease.until.max(now + lease.length),
                JobState::Leased(lease) => {
                    let lease = lease.clone();
                    lose(job, &lease, deploys, "the server was restarted, and its runner with it", now);
                    any_stale = true;
                }
                _ => {}
            }
        }
        if any_stale {
            state.note(format!("run {number}"), "the server was restarted, and its runner with it");
        }
        state.touch(Topic::Run(number));
    }
}

/// Runners came or went: what is said of the jobs that wait may be another thing now.
pub(crate) fn labels_known(state: &mut Repository, labels: &Arc<[Arc<str>]>) {
    if state.settings.labels.as_ref() != Some(labels) {
        state.settings.labels = Some(labels.clone());
        for number in state.queued.keys().copied().collect::<Vec<_>>() {
            state.touch(Topic::Run(number));
        }
    }
}

/// Stops what must give way in the groups that a run has a part in: a newer one that waits takes the place of an older one.
fn give_way(state: &mut Repository, number: RunNumber, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    for (group, _) in turn::groups_of(run) {
        for (place, newest) in turn::standing(state, &group).stopped {
            let reason = match &newest.job {
                None => format!("run {} took its place in {group}", newest.run),
                Some(job) => format!("{job} of run {} took its place in {group}", newest.run),
            };
            stop_place(state, &place, &reason, now);
        }
    }
}

fn stop_place(state: &mut Repository, place: &Place, reason: &str, now: Timestamp) {
    let Some(run) = state.runs.get(&place.run) else { return };
    match &place.job {
        None if run.cancelled.is_none() => cancel_run(state, place.run, reason, now),
        None => {}
        Some(key) => {
            let is_told = |job: &Job| job.is_over() || job.cancelled.is_some();
            if run.job(key).is_none_or(is_told) || run.jobs.iter().all(|job| !is_below(run, job, key) || is_told(job)) {
                return;
            }
            if let Some(run) = state.runs.get_mut(&place.run) {
                cancel_with_called(run, key, reason, now);
            }
            state.touch(Topic::Run(place.run));
        }
    }
}

/// Is a job this one, or made by it?
fn is_below(run: &Run, job: &Job, key: &JobKey) -> bool {
    let mut next = Some(job);
    while let Some(job) = next {
        if job.key == *key {
            return !job.is_open_call();
        }
        next = job.caller.as_ref().and_then(|caller| run.job(caller));
    }
    false
}

/// Returns who has the turn that a run waits for.
fn holder_before(state: &Repository, number: RunNumber) -> Option<Place> {
    let group = state.runs.get(&number)?.concurrency.as_ref()?.group.clone();
    let holder = turn::standing(state, &group).holder?;
    (holder.run != number || holder.job.is_some()).then_some(holder)
}

/// Is it a job's turn in its group?
fn has_turn(state: &Repository, run: &Run, job: &Job) -> bool {
    let Some(turn) = &job.turn else { return true };
    let holder = turn::standing(state, &turn.concurrency.group).holder;
    holder.is_none_or(|holder| holder.run == run.number && holder.job.as_ref() == Some(&job.key))
}

/// Looks at every job that waits, until none can go on.
fn advance(state: &mut Repository, suite: &Suite, number: RunNumber, now: Timestamp) {
    loop {
        let Some(run) = state.runs.get(&number) else { return };
        let may_go_on = |job: &Job| {
            job.state == JobState::Waiting
                && !job.is_open_call()
                && needs_are_over(run, job)
                && has_room(run, job)
                && has_turn(state, run, job)
        };
        let Some(at) = run.jobs.iter().position(may_go_on) else { return };
        let job = run.jobs[at].clone();
        let Some(workflow) = call::workflow_at(state, number, job.caller.as_ref()) else { return };
        let Some(verdict) = look_at(state, suite, number, &workflow, &job, now) else { return };
        carry_out(state, suite, number, at, verdict, now);
    }
}

/// What becomes of a job that was looked at.
enum Verdict {
    /// It is so now.
    Is(Box<Job>),
    /// Its legs are known.
    Legs(Vec<JobPlan>),
    /// It asks for its turn in a group.
    Asks(Box<Job>),
    /// It calls a workflow with these inputs.
    Opens(Value),
}

fn carry_out(state: &mut Repository, suite: &Suite, number: RunNumber, at: usize, verdict: Verdict, now: Timestamp) {
    match verdict {
        Verdict::Is(job) => {
            let Some(run) = state.runs.get_mut(&number) else { return };
            run.jobs[at] = *job;
        }
        Verdict::Asks(job) => {
            let Some(run) = state.runs.get_mut(&number) else { return };
            run.jobs[at] = *job;
            index(state, number);
            give_way(state, number, now);
        }
        Verdict::Legs(legs) => {
            let Some(run) = state.runs.get(&number) else { return };
            let (job, caller) = (&run.jobs[at], run.jobs[at].caller.clone());
            let job_id = job.job_id.clone();
            let Some(workflow) = call::workflow_at(state, number, caller.as_ref()) else { return };
            let Some(run) = state.runs.get(&number) else { return };
            let Some(spec) = workflow.job(&job_id) else { return };
            let caller = caller.as_ref().and_then(|caller| run.job(caller));
            let legs = plan::legs_of(state, run, caller, &workflow, spec, legs);
            let Some(run) = state.runs.get_mut(&number) else { return };
            run.jobs.splice(at..=at, legs);
        }
        Verdict::Opens(inputs) => open(state, suite, number, at, inputs, now),
    }
}

/// Makes the jobs of the workflow that a job calls.
fn open(state: &mut Repository, suite: &Suite, number: RunNumber, at: usize, inputs: Value, now: Timestamp) {
    let Some(run) = state.runs.get(&number) else { return };
    let key = run.jobs[at].key.clone();
    let Some(called) = call::workflow_at(state, number, Some(&key)) else { return };
    let Some(run) = state.runs.get(&number) else { return };
    let seen = contexts(state, suite, run, &called, None).with("inputs", inputs.clone());
    let made = plan::jobs_of(state, run, &called, Some(&run.jobs[at]), &seen, now);
    let Some(run) = state.runs.get_mut(&number) else { return };
    if let Some(call) = &mut run.jobs[at].call {
        call.inputs = Some(inputs);
    }
    if run.jobs.len() + made.len() > JOBS_MAX {
        let reason = format!("a run has at most {JOBS_MAX} jobs").into();
        run.jobs[at].state = JobState::Completed { conclusion: Conclusion::Failure, at: now, reason, started_at: None };
        return;
    }
    run.jobs.splice(at + 1..at + 1, made);
}

fn look_at(
    state: &mut Repository,
    suite: &Suite,
    number: RunNumber,
    workflow: &Workflow,
    job: &Job,
    now: Timestamp,
) -> Option<Verdict> {
    let spec = workflow.job(&job.job_id)?;
    let run = state.runs.get(&number)?;
    let contexts = contexts_at(state, suite, run, workflow, job);
    let needed = ancestors(workflow, &spec.id);
    let standing = Standing { contexts, run, caller: job.caller.as_ref(), needed };
    let ended = |conclusion: Conclusion, reason: String| {
        let state = JobState::Completed { conclusion, at: now, reason: reason.into(), started_at: None };
        Some(Verdict::Is(Box::new(Job { state, ..job.clone() })))
    };
    if job.turn.is_none() {
        match spec.condition.evaluate(&standing) {
            Ok(true) => {}
            Ok(false) => return ended(Conclusion::Skipped, skip_reason(&standing, spec)),
            Err(problem) => return ended(Conclusion::Failure, format!("if: {problem}")),
        }
    }
    if !job.expanded {
        return match expand_job(spec, &standing) {
            Ok(legs) if legs.is_empty() => ended(Conclusion::Skipped, "its matrix has no combination".into()),
            Ok(legs) => Some(Verdict::Legs(legs)),
            Err(problem) => ended(Conclusion::Failure, problem.to_string()),
        };
    }
    let seen = standing.contexts.clone().with("matrix", job.matrix.clone()).with("strategy", strategy_value(job));
    let job = match ready(&seen, spec, job) {
        Ok(job) => job,
        Err(problem) => return ended(Conclusion::Failure, problem),
    };
    if let (Some(concurrency), None) = (&spec.concurrency, &job.turn) {
        let concurrency = match concurrency.evaluate(&seen) {
            Ok(group) => plan::group_of(group),
            Err(problem) => return ended(Conclusion::Failure, format!("concurrency: {problem}")),
        };
        if let Some(holder) = turn::deadlock(run, &job, &concurrency.group) {
            let reason =
                format!("cancelled: {holder}, of which it is a part, has the concurrency group {}", concurrency.group);
            return ended(Conclusion::Cancelled, reason);
        }
        return Some(Verdict::Asks(Box::new(Job { turn: Some(Turn { concurrency, since: now }), ..job })));
    }
    if job.call.is_none() {
        return Some(Verdict::Is(Box::new(Job { state: JobState::Queued { since: now }, ..job })));
    }
    let called = call::workflow_at(state, number, Some(&job.key));
    match called.ok_or_else(|| {
        "the workflow that it calls is not here: one of another repository cannot be read yet".to_owned()
    }) {
        Ok(called) => match call::inputs(&called, spec, &seen) {
            Ok(inputs) => Some(Verdict::Opens(inputs)),
            Err(problem) => ended(Conclusion::Failure, problem),
        },
        Err(problem) => ended(Conclusion::Failure, problem),
    }
}

/// Returns the contexts that a job's expressions see before it runs.
fn contexts_at(state: &Repository, suite: &Suite, run: &Run, workflow: &Workflow, job: &Job) -> Contexts {
    let caller = job.caller.as_ref();
    let needs = run.results(caller, job.needs.iter());
    let contexts = contexts(state, suite, run, workflow, Some(needs));
    let own = contexts.named("inputs");
    contexts.with("inputs", call::inputs_at(run, caller, own))
}

fn skip_reason(standing: &Standing<'_>, spec: &JobSpec) -> String {
    let blamed = spec.needs.iter().find(|id| standing.run.result_of(standing.caller, id) != JobResult::Success);
    match (spec.condition.written(), blamed) {
        (Some(written), _) => format!("skipped: its condition ({written}) is false"),
        (None, Some(id)) => format!("skipped: {id} was no success"),
        (None, None) => "skipped: something before it was no success".into(),
    }
}

/// Evaluates what is needed to queue a job.
fn ready(seen: &Contexts, spec: &JobSpec, job: &Job) -> Result<Job, String> {
    let mut job = job.clone();
    if job.call.is_some() {
        return Ok(job);
    }
    let request = spec.runs_on.evaluate(seen).map_err(|problem| format!("runs-on: {problem}"))?;
    job.labels = request.labels.iter().map(|label| Arc::from(label.to_lowercase())).collect();
    if let Some(timeout) = &spec.timeout_minutes {
        let minutes = timeout.evaluate_number(seen).map_err(|problem| format!("timeout-minutes: {problem}"))?;
        job.timeout =
            Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| "timeout-minutes: no length of time".to_owned())?;
    }
    job.continue_on_error =
        spec.continue_on_error.evaluate_bool(seen).map_err(|problem| format!("continue-on-error: {problem}"))?;
    Ok(job)
}

fn needs_are_over(run: &Run, job: &Job) -> bool {
    job.needs.iter().all(|id| run.legs(job, id).all(Job::is_over))
}

fn has_room(run: &Run, job: &Job) -> bool {
    job.max_parallel.is_none_or(|most| {
        let begun = run.legs(job, &job.job_id).filter(|other| other.has_begun());
        begun.count() < usize::try_from(most).unwrap_or(usize::MAX)
    })
}

/// How the jobs before one stand: what `success()` and its kin look at.
struct Standing<'a> {
    contexts: Contexts,
    run: &'a Run,
    caller: Option<&'a JobKey>,
    needed: Vec<Arc<str>>,
}

impl Standing<'_> {
    fn of(&self, ids: impl Iterator<Item = String>) -> StatusCheck {
        let stands = StatusCheck::of_results(ids.map(|id| self.run.result_of(self.caller, &id)));
        match self.run.cancelled {
            Some(_) => StatusCheck { success: false, cancelled: true, ..stands },
            None => stands,
        }
    }
}

impl greenlight_workflow::Context for Standing<'_> {
    fn named(&self, name: &str) -> Value {
        self.contexts.named(name)
    }

    fn status(&self) -> StatusCheck {
        self.of(self.needed.iter().map(ToString::to_string))
    }

    fn status_of(&self, job_ids: &[String]) -> StatusCheck {
        self.of(job_ids.iter().cloned())
    }
}

/// Stops the legs beside a failed one. Returns whether one was over by that: what needs it may go on.
fn stop_legs(state: &mut Repository, number: RunNumber, now: Timestamp) -> bool {
    let Some(run) = state.runs.get(&number) else { return false };
    let fails = |job: &&Job| job.fail_fast && job.leg.1 > 1 && job.result() == Some(JobResult::Failure);
    let beside = |failed: &Job, job: &Job| {
        job.caller == failed.caller && job.job_id == failed.job_id && !job.is_over() && job.cancelled.is_none()
    };
    let stopped: Vec<(JobKey, String)> = run
        .jobs
        .iter()
        .filter_map(|job| Some((job, run.jobs.iter().filter(fails).find(|failed| beside(failed, job))?)))
        .map(|(job, failed)| (job.key.clone(), format!("{} failed", failed.name)))
        .collect();
    if stopped.is_empty() {
        return false;
    }
    let over = |run: &Run| run.jobs.iter().filter(|job| job.is_over()).count();
    let Some(run) = state.runs.get_mut(&number) else { return false };
    let before = over(run);
    for (leg, reason) in stopped {
        cancel_with_called(run, &leg, &reason, now);
    }
    over(run) > before
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
    let (name, attempt, text) = (run.name.clone(), run.attempt, run.reason.clone());
    state.note(format!("run {number}"), format!("{}: {text}", conclusion.as_result()));
    state.touch(Topic::Suite(suite.key.clone()));
    if matches!(conclusion, Conclusion::Failure | Conclusion::TimedOut | Conclusion::Lost)
        && suite.deployment().is_none()
    {
        let repository = state.meta().repository.full_name.clone();
        let place = suite.pull().map_or_else(|| suite.git_ref.short().to_owned(), |number| format!("#{number}"));
        let message =
            format!("Build #{number} ({}) of {repository} {place}, {name}, failed: {text}", suite.key.head_sha.short());
        tell(state, NotifyOn::Failure, &format!("run:{number}:{attempt}"), &message);
    }
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

/// Returns when a run is next to be looked at.
fn alarm(state: &Repository, number: RunNumber) -> Option<Timestamp> {
    let run = state.runs.get(&number)?;
    run.jobs.iter().filter_map(|job| job.lease().map(|lease| lease.until)).min()
}

/// A job that may be handed out now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedJob {
    /// Since when it waits.
    pub since: Timestamp,
    /// What it asks of a runner.
    pub labels: Arc<[Arc<str>]>,
}

/// Returns the jobs that may be handed out now, the oldest first.
pub fn queued(state: &Repository) -> Vec<QueuedJob> {
    let mut jobs: Vec<QueuedJob> = state
        .queued
        .keys()
        .filter_map(|number| state.runs.get(number))
        .filter(|run| state.suites.get(&run.suite).is_some_and(Suite::may_run))
        .flat_map(|run| &run.jobs)
        .filter_map(|job| Some(QueuedJob { since: queued_since(job)?, labels: job.labels.clone() }))
        .collect();
    jobs.sort_by_key(|job| job.since);
    jobs
}

/// Hands out the oldest job that the runner can do. The door: an untrusted run that nobody approved is not handed out (S1).
pub(crate) fn lease(state: &mut Repository, asked: &LeaseAsked, now: Timestamp) -> Reply {
    let fits = |job: &Job| job.labels.iter().all(|label| asked.labels.contains(label));
    let oldest = state
        .queued
        .keys()
        .filter_map(|number| state.runs.get(number))
        .filter(|run| state.suites.get(&run.suite).is_some_and(Suite::may_run))
        .flat_map(|run| {
            run.jobs
                .iter()
                .filter(|job| fits(job))
                .filter_map(|job| Some((queued_since(job)?, run.number, job.key.clone())))
        })
        .min();
    let Some((_, number, key)) = oldest else { return Reply::NoJob };
    let token = state.next_token();
    let Some(job) = state.runs.get_mut(&number).and_then(|run| run.job_mut(&key)) else { return Reply::NoJob };
    let mut lease = Lease {
        runner: asked.runner.clone(),
        boot: asked.boot.clone(),
        token,
        length: asked.length,
        until: now,
        since: now,
        started_at: None,
    };
    renew(&mut lease, job.timeout, now);
    job.state = JobState::Leased(lease);
    state.touch(Topic::Run(number));
    index(state, number);
    match order(state, number, &key, token) {
        Some(order) => Reply::Leased(Box::new(order)),
        None => Reply::NoJob,
    }
}

fn order(state: &mut Repository, number: RunNumber, key: &JobKey, token: Token) -> Option<JobOrder> {
    let run = state.runs.get(&number)?;
    let (job, suite) = (run.job(key)?.clone(), state.suites.get_shared(&run.suite)?);
    let workflow = call::workflow_at(state, number, job.caller.as_ref())?;
    let callers = call::callers(state, &suite, number, &job);
    let run = state.runs.get(&number)?;
    let (workflow_path, workflow_text) = call::file_at(run, job.caller.as_ref())?;
    let contexts = contexts_at(state, &suite, run, &workflow, &job);
    let attempt = AttemptId {
        repo: state.meta().repository.id,
        run: number,
        run_attempt: run.attempt,
        job: key.clone(),
        tried: job.tried,
    };
    Some(JobOrder {
        attempt,
        token,
        repository: state.meta().repository.full_name.clone(),
        workflow_path,
        workflow_text,
        callers,
        job_id: job.job_id.clone(),
        job_name: job.name.clone(),
        matrix: job.matrix.clone(),
        strategy: strategy_value(&job),
        github: contexts.named("github"),
        needs: contexts.named("needs"),
        inputs: contexts.named("inputs"),
        env: deploy_env(state, &suite),
        checkout: Checkout { sha: run.sha, git_ref: suite.git_ref.clone() },
        timeout: job.timeout,
        trusted: suite.trust == crate::run::Trust::Trusted,
    })
}

/// Returns the variables that a deployment's jobs get, by Heaven's names.
fn deploy_env(state: &Repository, suite: &Suite) -> Vec<(Arc<str>, Arc<str>)> {
    let Some(deployment) = suite.deployment().and_then(|id| state.deployments.get(&id)) else { return Vec::new() };
    let snapshot = &deployment.snapshot;
    vec![
        ("BRANCH".into(), snapshot.git_ref.clone()),
        ("SHA".into(), snapshot.sha.to_string().into()),
        ("DEPLOY_ENV".into(), snapshot.environment.as_str().into()),
        ("DEPLOY_TASK".into(), snapshot.task.clone()),
        (DEPLOYMENT_ID.into(), snapshot.id.to_string().into()),
    ]
}

/// Takes in what a runner tells. It is heard only under the lease that it holds (I10).
pub(crate) fn reported(
    state: &mut Repository,
    attempt: &AttemptId,
    token: Token,
    report: &JobReport,
    now: Timestamp,
) -> Reply {
    let holds = state
        .runs
        .get(&attempt.run)
        .filter(|run| run.attempt == attempt.run_attempt)
        .and_then(|run| run.job(&attempt.job))
        .is_some_and(|job| {
            job.tried == attempt.tried && job.lease().is_some_and(|lease| lease.token == token && lease.until > now)
        });
    if !holds {
        return Reply::NotYours;
    }
    let Some(run) = state.runs.get_mut(&attempt.run) else { return Reply::NotYours };
    let deploys = run.deployment.is_some();
    let Some(job) = run.job_mut(&attempt.job) else { return Reply::NotYours };
    let cancelled = job.cancelled.is_some();
    match report {
        JobReport::Started | JobReport::Alive => {
            if let JobState::Leased(lease) = &mut job.state {
                renew(lease, job.timeout, now);
                if *report == JobReport::Started && lease.started_at.is_none() {
                    lease.started_at = Some(now);
                }
            }
        }
        JobReport::Lost => {
            if let Some(lease) = job.lease().cloned() {
                lose(job, &lease, deploys, "its runner was started again without it", now);
            }
        }
        JobReport::Ended(end) => ended(job, end, now),
    }
    state.touch(Topic::Run(attempt.run));
    Reply::Heard { cancelled }
}

fn ended(job: &mut Job, end: &JobEnd, now: Timestamp) {
    let started_at = job.lease().and_then(|lease| lease.started_at);
    job.state = JobState::Completed { conclusion: end.conclusion, at: now, reason: end.reason.clone(), started_at };
    job.outputs.clone_from(&end.outputs);
    job.environment_url.clone_from(&end.environment_url);
}
