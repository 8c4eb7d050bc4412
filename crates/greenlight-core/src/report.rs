//! What is shown on commits: derived from state, compared with what GitHub last accepted.
//!
//! A job has its own context; `greenlight` is the one aggregate that a branch's rules should require. After an end only a later
//! attempt is pending again (I6), and a context is written at most three times in an attempt (I8).

mod refused;

use std::fmt::Write as _;
use std::sync::Arc;

use crate::config::ConfigStanding;
use crate::effect::{Answer, Effect, Outcome, Refusal, is_forbidden};
use crate::entity::Report;
use crate::event::PullStanding;
use crate::id::{Context, EffectKey, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want, withdraw};
pub use crate::repository::AGGREGATE;
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Job, JobState, Run, Subject, Suite, SuitePhase, Trust};
use crate::shown::{Link, ReportForm, ReportState, ShownReport, counted, description};
use crate::time::{Duration, Timestamp};
use crate::turn::{self, Place};

use refused::permitted;
pub(crate) use refused::{refused, try_again};

/// When an end is compared once more with what GitHub shows (R10).
pub const COMPARE_AFTER: Duration = Duration::from_secs(600);
/// How long a job's pending is held back, for what may follow at once (R11).
pub const HOLD: Duration = Duration::from_millis(100);
/// How often one context of one commit is written at most; GitHub takes 1,000 (R11).
pub const WRITES_MAX: u32 = 900;

/// Says what a commit should show under a context. After an end, only a higher rank leads back to pending.
pub(crate) fn set(state: &mut Repository, sha: Sha, context: &Context, wanted: ShownReport, rank: u64) {
    let name = (sha, context.clone());
    if is_told(state, &name, wanted.state, rank) {
        return;
    }
    match state.reports.get(&name) {
        Some(report) if report.rank == rank && report.wanted == wanted => return,
        Some(_) => {
            let report = state.reports.get_mut(&name).expect("it was there a line ago");
            // A later attempt is a check run of its own, as on GitHub: nobody can take back what the earlier one says of files.
            let has_ended = report.accepted.as_ref().is_some_and(|shown| shown.state.is_final());
            if has_ended && report.rank < rank && !wanted.state.is_final() {
                report.check_run = None;
            }
            // A permission may have been given back: a later attempt is worth a try, and so is an end.
            let is_news = report.rank < rank || (wanted.state.is_final() && !report.wanted.state.is_final());
            if is_news && is_forbidden(report.given_up.as_ref()) {
                report.given_up = None;
            }
            report.wanted = wanted;
            report.rank = rank;
        }
        None => {
            let report = Report {
                sha,
                context: context.clone(),
                wanted,
                rank,
                accepted: None,
                check_run: None,
                writes: 0,
                compare_at: None,
                given_up: None,
            };
            state.reports.insert(name, report);
        }
    }
    if context.as_str() == AGGREGATE {
        // What is wanted again may be what GitHub shows already; then nobody would hear of it.
        state.touch_followers(sha);
    }
    state.touch(Topic::Report(sha, context.clone()));
}

/// Is there nothing to say any more, whatever the words are: a later attempt spoke, or this one has ended so?
fn is_told(state: &Repository, name: &(Sha, Context), wanted: ReportState, rank: u64) -> bool {
    state.reports.get(name).is_some_and(|report| {
        let ended = report.wanted.state.is_final();
        // An end is told once in an attempt: another text alone is not worth one of its writes.
        report.rank > rank || (report.rank == rank && ended && (!wanted.is_final() || report.wanted.state == wanted))
    })
}

/// Says what a job's context should show.
pub(crate) fn set_job(state: &mut Repository, run: &Run, job: &Job, rank: u64) {
    let sha = run.suite.head_sha;
    if !is_told(state, &(sha, job.context.clone()), state_of_job(job), rank) {
        let wanted = of_job(state, run, job);
        set(state, sha, &job.context, wanted, rank);
    }
}

/// Says under a context of its own that a run's file cannot be used: beside what else is wrong, the aggregate has no room for it. A
/// later attempt that reads the file says so in its place.
pub(crate) fn set_file(state: &mut Repository, run: &Run, rank: u64) {
    let (sha, context) = (run.suite.head_sha, context_of_file(run));
    let (shown, text, summary) = match &run.problem {
        Some(problem) => (ReportState::Failure, &*run.reason, Some(as_code(problem))),
        None if state.reports.contains(&(sha, context.clone())) => (ReportState::Success, "the file can be used", None),
        None => return,
    };
    let form = if state.settings.app { ReportForm::CheckRun } else { ReportForm::Status };
    let link = Some(Link::Run(run.number));
    let wanted = ShownReport { state: shown, description: description(text), link, summary, form };
    set(state, sha, &context, wanted, rank);
}

/// Writes a text as Markdown's code, whatever stands in it.
fn as_code(text: &str) -> Arc<str> {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n").into()
}

fn context_of_file(run: &Run) -> Context {
    Context::from(format!("greenlight / {} ({})", run.workflow, run.suite.event))
}

/// Settles a report: what differs from what GitHub accepted is sent.
pub(crate) fn settle_report(state: &mut Repository, sha: Sha, context: &Context, now: Timestamp) {
    let Some(report) = state.reports.get(&(sha, context.clone())) else { return };
    let topic = Topic::Report(sha, context.clone());
    let comparing = report.compare_at.is_some_and(|at| at <= now);
    let settled = report.accepted.as_ref() == Some(&report.wanted);
    let alarm = if report.given_up.is_some() { None } else { report.compare_at };
    let is_done = report.given_up.is_some() || (settled && !comparing) || is_enough(report);
    if is_done && take_back(state, sha, context) {
        return state.set_alarm(topic, alarm);
    }
    // What may have taken effect cannot be taken back: what is wanted now goes after it, in its place.
    let Some(report) = state.reports.get(&(sha, context.clone())) else { return };
    let effect =
        Effect::Show { sha, context: context.clone(), report: report.wanted.clone(), check_run: report.check_run };
    let class = class_of(report);
    let key = key_of(sha, context);
    let wanted = Wanted::now(key.clone(), class, effect);
    // A job waits, is taken and is often over within moments: one write in place of three.
    let is_held = class == Class::Pending;
    want(state, if is_held { wanted.not_before(now + HOLD) } else { wanted });
    if state.showing.insert((sha, context.clone())) && context.as_str() == AGGREGATE {
        state.touch_followers(sha);
    }
    if comparing && let Some(item) = state.outbox.get_mut(&key) {
        item.confirm = true;
    }
    state.set_alarm(topic, None);
}

/// Takes back what was to be shown. Returns whether nothing is left that may still change what GitHub shows.
fn take_back(state: &mut Repository, sha: Sha, context: &Context) -> bool {
    let name = (sha, context.clone());
    if !state.showing.contains(&name) {
        return true;
    }
    let gone = withdraw(state, &key_of(sha, context));
    if gone {
        state.showing.remove(&name);
        if context.as_str() == AGGREGATE {
            state.touch_followers(sha);
        }
    }
    gone
}

/// Returns whether a further pending is not worth a write: the end must always have one left (I8).
fn is_enough(report: &Report) -> bool {
    let both_pending =
        !report.wanted.state.is_final() && report.accepted.as_ref().is_some_and(|shown| !shown.state.is_final());
    let left = match report.context.as_str() {
        // The aggregate's rank counts its attempts; each has three writes, and the last is the end's.
        AGGREGATE => (3 * report.rank).saturating_sub(1) > u64::from(report.writes),
        _ => report.writes % 3 != 2,
    };
    both_pending && !left
}

fn class_of(report: &Report) -> Class {
    match (report.wanted.state.is_final(), report.context.as_str() == AGGREGATE) {
        (true, true) => Class::AggregateEnd,
        (true, false) => Class::JobEnd,
        (false, true) => Class::AggregatePending,
        (false, false) => Class::Pending,
    }
}

/// About how long such a key is: most are written without a second look for room.
const KEY_LENGTH: usize = 120;

fn key_of(sha: Sha, context: &Context) -> EffectKey {
    let mut key = String::with_capacity(KEY_LENGTH);
    let _ = write!(key, "show:{sha}:{context}");
    EffectKey::from(key)
}

/// Takes in what became of showing a report.
pub(crate) fn shown(state: &mut Repository, effect: &Effect, outcome: &Outcome, now: Timestamp) {
    let Effect::Show { sha, context, report: sent, .. } = effect else { return };
    if matches!(outcome, Outcome::Done(_) | Outcome::Refused(_)) {
        state.showing.remove(&(*sha, context.clone()));
    }
    // What is refused again and again is told once.
    let is_told = match outcome {
        Outcome::Refused(Refusal::Forbidden(_)) => !state.forbidden.insert((*sha, context.clone())),
        Outcome::Done(_) | Outcome::Refused(_) => {
            state.forbidden.remove(&(*sha, context.clone()));
            false
        }
        Outcome::Later { .. } | Outcome::Unknown { .. } => false,
    };
    let Some(report) = state.reports.get_mut(&(*sha, context.clone())) else { return };
    match outcome {
        Outcome::Done(answer) => {
            if let Answer::CheckRun(id) = answer {
                report.check_run = Some(*id);
            }
            let again = report.accepted.as_ref() == Some(sent);
            if !again {
                report.writes += 1;
            }
            report.accepted = Some(sent.clone());
            report.compare_at = (sent.state.is_final() && !again).then(|| now + COMPARE_AFTER);
            if report.writes >= WRITES_MAX {
                report.given_up = Some("it was written as often as GitHub allows".into());
            }
            if !again {
                permitted(state, sent.form);
            }
        }
        Outcome::Refused(refusal) => {
            report.compare_at = None;
            report.given_up = Some(refusal.reason());
            let reason = refusal.reason();
            if !matches!(refusal, Refusal::Gone(_)) && !is_told {
                state.note(sha.short(), format!("GitHub does not show {context}: {reason}"));
            }
        }
        Outcome::Later { .. } | Outcome::Unknown { .. } => {}
    }
    state.touch(Topic::Report(*sha, context.clone()));
    state.touch_followers(*sha);
}

/// Returns what the one context of `script/cibuild` shows, which the runs of a push and of a pull request share: the worst of
/// those that are about what is there now, so that neither hides the other's failure. Its rank counts the attempts of all.
pub(crate) fn of_cibuild(state: &Repository, sha: Sha, workflow: &str) -> Option<(Context, ShownReport, u64)> {
    let runs: Vec<(&Suite, &Run)> = state
        .suites_at(sha)
        .filter(|suite| suite.deployment().is_none())
        .flat_map(|suite| suite.runs.iter().filter_map(move |number| Some((suite, state.runs.get(number)?))))
        .filter(|(_, run)| &*run.workflow == workflow)
        .collect();
    let latest = runs.iter().map(|(_, run)| run.number.0).max()?;
    let attempts: u64 = runs
        .iter()
        .flat_map(|(_, run)| {
            run.jobs.iter().map(move |job| (u64::from(job.attempt) << 8) | u64::from(job.tried.min(255)))
        })
        .sum();
    let any_current = runs.iter().any(|(suite, _)| is_current(state, suite));
    let counted = runs.iter().filter(|(suite, _)| !any_current || is_current(state, suite));
    let shown = counted.flat_map(|(_, run)| run.jobs.iter().map(move |job| (of_job(state, run, job), job)));
    let (shown, job) = shown.max_by_key(|(shown, _)| weight(shown.state))?;
    Some((job.context.clone(), shown, (latest << 24) + attempts))
}

fn state_of_job(job: &Job) -> ReportState {
    match &job.state {
        JobState::Waiting | JobState::Queued { .. } => ReportState::Pending,
        JobState::Leased(_) => ReportState::Running,
        JobState::Completed { conclusion, .. } => state_of(*conclusion),
    }
}

/// Returns what a job's context shows.
fn of_job(state: &Repository, run: &Run, job: &Job) -> ShownReport {
    ShownReport {
        state: state_of_job(job),
        description: description(&job_sentence(state, run, job)),
        link: Some(Link::Job(run.number, job.key.clone())),
        summary: None,
        form: if state.settings.app { ReportForm::CheckRun } else { ReportForm::Status },
    }
}

/// Says in one sentence why a job stands as it does: the same on GitHub, on a page and in a log.
pub fn job_sentence(state: &Repository, run: &Run, job: &Job) -> Arc<str> {
    match &job.state {
        JobState::Waiting if state.suites.get(&run.suite).is_some_and(|suite| !suite.may_run()) => {
            "waits for approval".into()
        }
        JobState::Waiting => waits_for(state, run, job).into(),
        JobState::Queued { .. } => no_runner(state, job).map_or_else(|| "waits for a runner".into(), Arc::from),
        JobState::Leased(lease) => match &job.cancelled {
            Some(why) => format!("is being stopped: {why}").into(),
            None => format!("runs on {}", lease.runner).into(),
        },
        JobState::Completed { reason, .. } => reason.clone(),
    }
}

/// Names the jobs that a job waits for, without those that are over.
fn waits_for(state: &Repository, run: &Run, job: &Job) -> String {
    let is_open = |id: &&Arc<str>| run.legs(job, id).any(|other| !other.is_over());
    let open: Vec<&str> = job.needs.iter().filter(is_open).map(|id| &**id).collect();
    if !open.is_empty() {
        return format!("waits for {}", open.join(", "));
    }
    if job.is_open_call() {
        return "the jobs of the workflow that it calls are under way".to_owned();
    }
    let Some(obstacle) = turn::obstacle(state, run, job) else { return "waits for its turn".to_owned() };
    let (group, holder) = (&obstacle.group, place(&obstacle.holder));
    if obstacle.circle.is_empty() {
        return format!("waits for its turn in the concurrency group {group}, which {holder} has");
    }
    let mut runs: Vec<String> = obstacle.circle[1..].iter().map(|place| format!("run {}", place.run)).collect();
    if let Some(last) = runs.last_mut() {
        *last = "this run".to_owned();
    }
    format!(
        "waits in a circle: {group} is {holder}'s, which waits for {}; cancel one of them",
        runs.join(", which waits for ")
    )
}

/// Returns how people call who has a part in a group.
fn place(place: &Place) -> String {
    match &place.job {
        None => format!("run {}", place.run),
        Some(job) => format!("{job} of run {}", place.run),
    }
}

/// Returns why no runner will take a job: it asks for a label that none has.
fn no_runner(state: &Repository, job: &Job) -> Option<String> {
    let known = state.settings.labels.as_ref()?;
    let missing = job.labels.iter().find(|label| !known.contains(label))?;
    Some(format!("no runner has the label {missing}; it waits until one comes, or is cancelled"))
}

fn state_of(conclusion: Conclusion) -> ReportState {
    match conclusion {
        Conclusion::Success => ReportState::Success,
        Conclusion::Skipped => ReportState::Skipped,
        Conclusion::Failure | Conclusion::TimedOut => ReportState::Failure,
        Conclusion::Cancelled => ReportState::Cancelled,
        Conclusion::Lost => ReportState::Error,
    }
}

/// Settles what a commit shows as a whole.
pub(crate) fn settle_commit(state: &mut Repository, sha: Sha) {
    if let Some((shown, rank)) = aggregate(state, sha) {
        set(state, sha, &state.aggregate(), shown, rank);
    }
}

/// One suite's part in the aggregate.
struct Part {
    state: ReportState,
    text: String,
    link: Option<Link>,
    jobs: usize,
}

/// Returns what a commit shows as a whole, or nothing where it has no aggregate: the worst of all its subjects.
fn aggregate(state: &Repository, sha: Sha) -> Option<(ShownReport, u64)> {
    let wished = wished_branch(state, sha);
    let mut rank = 0;
    let mut worst: Option<Part> = None;
    let mut jobs = 0;
    let counted: Vec<&Suite> = state.suites_at(sha).filter(|suite| counts(state, suite, wished)).collect();
    // Where all of it is history, history is what there is to show.
    let any_current = counted.iter().any(|suite| is_current(state, suite));
    for suite in counted {
        rank += u64::from(suite.turns);
        if any_current && !is_current(state, suite) {
            continue;
        }
        let part = part_of(state, suite);
        jobs += part.jobs;
        if worst.as_ref().is_none_or(|known| weight(part.state) > weight(known.state)) {
            worst = Some(part);
        }
    }
    if let Some(proven) = same_tree(state, sha, worst.is_none()) {
        rank += 1;
        if worst.as_ref().is_none_or(|part| !part.state.is_final() || part.jobs == 0 && part.state.is_green()) {
            worst = Some(Part { state: ReportState::Success, text: proven, link: None, jobs: 0 });
        }
    }
    let part = worst?;
    let text = match part.state {
        ReportState::Success if jobs == 1 => "1 job succeeded".to_owned(),
        ReportState::Success if jobs > 1 => format!("{jobs} jobs succeeded"),
        _ => part.text,
    };
    let shown = ShownReport {
        state: part.state,
        description: description(&text),
        link: part.link,
        summary: None,
        form: ReportForm::Status,
    };
    Some((shown, rank))
}

/// Does the suite have a part in the aggregate: a pull request's, the default branch's, or a commit's that is to be deployed?
fn counts(state: &Repository, suite: &Suite, wished: bool) -> bool {
    match &suite.key.subject {
        Subject::Pull(..) => true,
        Subject::PullAction(..) => {
            suite.planned().is_some_and(|planned| planned.nothing.is_none()) && !suite.runs.is_empty()
        }
        Subject::Ref(name) => &*suite.key.event == "push" && (*name == state.default_branch() || wished),
        Subject::Deployment(_) | Subject::Other(_) => false,
    }
}

/// Is the suite about what its pull request is now? One of an earlier head or base, or of a closed one, is history.
fn is_current(state: &Repository, suite: &Suite) -> bool {
    let Subject::Pull(number, base) = &suite.key.subject else { return true };
    state.pulls.get(number).is_none_or(|pull| {
        pull.snapshot.standing != PullStanding::Closed
            && pull.snapshot.base_ref == *base
            && pull.snapshot.head_sha == suite.key.head_sha
    })
}

fn wished_branch(state: &Repository, sha: Sha) -> bool {
    state.wishes.values().any(|wish| wish.sha == sha)
}

/// Returns the sentence for a commit whose tree was tested green elsewhere, where it is to be deployed.
fn same_tree(state: &Repository, sha: Sha, is_alone: bool) -> Option<String> {
    let tree = state.wishes.values().find(|wish| wish.sha == sha)?.tree?;
    let proof = state.proofs.get(&tree)?;
    match proof.tested_at == sha {
        // What tested it here says so itself, where it is of the suites that count.
        true => is_alone.then(|| "it was tested".to_owned()),
        false => Some(format!("same tree as {}, which was tested", proof.tested_at.short())),
    }
}

fn weight(state: ReportState) -> u8 {
    match state {
        ReportState::Failure => 6,
        ReportState::Error => 5,
        ReportState::Cancelled => 4,
        ReportState::Pending | ReportState::Running => 3,
        ReportState::Success => 2,
        ReportState::Skipped => 1,
    }
}

const UNDER_WAY: &str = "the tests are under way";

fn approval_text(suite: &Suite) -> String {
    // The whole of it: of two commits that one person makes both can begin alike.
    format!("waits for approval: somebody with write permission comments /ok-to-test {}", suite.key.head_sha)
}

fn part_of(state: &Repository, suite: &Suite) -> Part {
    let part = |state, text: &str| Part { state, text: text.to_owned(), link: None, jobs: 0 };
    let awaiting = !suite.may_run() && suite.trust == Trust::Untrusted;
    let planned = match &suite.phase {
        SuitePhase::Reading { .. } if awaiting => return part(ReportState::Pending, &approval_text(suite)),
        // Why reading takes long stands on the page: a text alone is not worth one of the few writes.
        SuitePhase::Reading { .. } => return part(ReportState::Pending, UNDER_WAY),
        SuitePhase::Stopped { conclusion, reason } => {
            let is_config =
                matches!(&state.meta().config, ConfigStanding::Read { config: Err(why), .. } if why == reason);
            let link = is_config.then_some(Link::Environments);
            return Part { link, ..part(state_of(*conclusion), reason) };
        }
        SuitePhase::Planned(planned) => planned,
    };
    if let Some(problem) = &planned.config_problem {
        // There the other mistakes are told as well.
        let link = suite.pull().map_or(Link::Environments, Link::Pull);
        let runs: Vec<&Run> = suite.runs.iter().filter_map(|number| state.runs.get(number)).collect();
        return Part { link: Some(link), ..part(ReportState::Failure, &and_files(problem, wrong_files(&runs))) };
    }
    if let Some(nothing) = &planned.nothing {
        return part(ReportState::Success, nothing);
    }
    let runs: Vec<&Run> = suite.runs.iter().filter_map(|number| state.runs.get(number)).collect();
    let active = runs.iter().any(|run| !run.is_over());
    if active && awaiting {
        return part(ReportState::Pending, &approval_text(suite));
    }
    let worst = runs
        .iter()
        .filter_map(|run| Some((run, run.conclusion()?)))
        .max_by_key(|(_, conclusion)| weight(state_of(*conclusion)));
    match worst {
        Some((run, conclusion)) if !conclusion.is_green() => Part {
            state: state_of(conclusion),
            // What is wrong with a file names the file.
            text: match run.problem {
                Some(_) => and_files(&run.reason, wrong_files(&runs) - 1),
                None => format!("{}: {}", run.name, run.reason),
            },
            link: Some(Link::Run(run.number)),
            jobs: 0,
        },
        _ if active => Part {
            state: ReportState::Pending,
            text: stuck(state, &runs).unwrap_or_else(|| UNDER_WAY.into()),
            // A link alone is not worth a write: each job's own context has one.
            link: None,
            jobs: 0,
        },
        _ => {
            let jobs = runs
                .iter()
                .flat_map(|run| &run.jobs)
                .filter(|job| !job.is_open_call() && job.conclusion() == Some(Conclusion::Success))
                .count();
            let text = if jobs == 0 { "every job was skipped" } else { "the tests succeeded" };
            Part {
                state: ReportState::Success,
                text: text.into(),
                link: runs.first().map(|run| Link::Run(run.number)),
                jobs,
            }
        }
    }
}

/// Returns how many workflow files cannot be used.
fn wrong_files(runs: &[&Run]) -> usize {
    runs.iter().filter(|run| run.problem.is_some()).count()
}

/// Returns what is wrong with a file, and of how many others something is.
fn and_files(reason: &str, others: usize) -> String {
    match others {
        0 => reason.to_owned(),
        1 => counted(reason, "; 1 more file is wrong"),
        others => counted(reason, &format!("; {others} more files are wrong")),
    }
}

/// Returns the sentence of a job that waits for a runner that is not there.
fn stuck(state: &Repository, runs: &[&Run]) -> Option<String> {
    let mut jobs = runs.iter().flat_map(|run| run.jobs.iter().map(move |job| (run, job)));
    jobs.find_map(|(run, job)| match job.state {
        JobState::Queued { .. } => no_runner(state, job).map(|text| format!("{} / {}: {text}", run.name, job.name)),
        _ => None,
    })
}

/// Is every run of the suite's present attempt over and green, with at least one job that ran and succeeded?
pub(crate) fn is_tested_green(state: &Repository, suite: &Suite) -> bool {
    let Some(planned) = suite.planned() else { return false };
    planned.config_problem.is_none()
        && suite
            .runs
            .iter()
            .all(|number| state.runs.get(number).and_then(Run::conclusion).is_some_and(Conclusion::is_green))
        && suite
            .runs
            .iter()
            .filter_map(|number| state.runs.get(number))
            .flat_map(|run| &run.jobs)
            .any(|job| job.conclusion() == Some(Conclusion::Success))
}

/// Did any run of the suite's present attempt end as anything but green?
pub(crate) fn has_failed(state: &Repository, suite: &Suite) -> bool {
    let conclusions = suite.runs.iter().filter_map(|number| state.runs.get(number).and_then(Run::conclusion));
    conclusions.into_iter().any(|conclusion| !conclusion.is_green())
}

/// Was the aggregate accepted by GitHub as a success, and is it one still?
pub(crate) fn is_green_on_github(state: &Repository, sha: Sha) -> bool {
    let name = (sha, state.aggregate());
    state.reports.get(&name).is_some_and(|report| {
        // One that is under way may change what GitHub shows.
        !state.showing.contains(&name)
            && report.wanted.state == ReportState::Success
            && report.accepted.as_ref().is_some_and(|shown| shown.state == ReportState::Success)
    })
}
