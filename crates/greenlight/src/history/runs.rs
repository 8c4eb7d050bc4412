//! Runs, jobs, steps and deliveries, from the rows that were written beside the state.

use std::collections::BTreeMap;

use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{AttemptId, JobKey, PullNumber, RepoId, RunNumber};
use greenlight_core::repository::Repository;
use greenlight_core::run::{Conclusion, Run};
use greenlight_core::step::Cell;
use greenlight_store::{DeliveryRow, DeliveryState, JobRow, RunQuery, RunRow, StepRow};

use super::sentences::{standing_of_run, waits_for_approval};
use super::{Page, Refusal, name_of};
use crate::api::shape;
use crate::server::Shared;
use crate::server::clock::written;
use crate::server::repository::Handle;

/// Runs that a pull request's page lists.
const PULL_RUNS_MAX: usize = 50;
/// Deliveries in quarantine that the first page begins with.
const QUARANTINED_MAX: usize = 20;

/// Returns a page of runs, the newest first.
pub async fn runs(shared: &Shared, repository: Option<&RepositoryRef>, page: &Page) -> Result<shape::Runs, Refusal> {
    let before = page
        .before
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|_| Refusal::Wrong("`before` is what `next` said".into()))?;
    let limit = page.limit()? as usize;
    let query = RunQuery { repo: repository.map(|repository| repository.id), head_sha: None, before, limit };
    let rows = shared.store.history().runs(&query).await?;
    let next = (rows.len() == limit).then(|| rows.last().map(|row| row.seq.to_string())).flatten();
    Ok(shape::Runs { runs: lines(shared, rows).await, next })
}

/// Returns the runs of a pull request, the newest first.
pub async fn runs_of_pull(
    shared: &Shared,
    repository: &RepositoryRef,
    pull: u64,
) -> Result<Vec<shape::RunLine>, Refusal> {
    let rows = shared.store.history().pull_runs(repository.id, PullNumber(pull), PULL_RUNS_MAX).await?;
    Ok(lines(shared, rows).await)
}

/// Returns one run in its latest attempt, with the latest try of each job.
pub async fn run(shared: &Shared, handle: &Handle, number: u64) -> Result<shape::Run, Refusal> {
    let reference = handle.reference();
    let found = shared.store.history().run(reference.id, RunNumber(number)).await?;
    let missing = || Refusal::Missing(format!("{} has no run {number}", reference.full_name).into());
    let (row, jobs) = found.and_then(|detail| detail.attempts.into_iter().next()).ok_or_else(missing)?;
    let mut latest: Vec<JobRow> = Vec::new();
    for job in jobs {
        match latest.iter_mut().find(|known| known.attempt.job == job.attempt.job) {
            Some(known) if known.attempt.tried < job.attempt.tried => *known = job,
            Some(_) => {}
            None => latest.push(job),
        }
    }
    let mut shown = Vec::with_capacity(latest.len());
    for row in latest {
        let first_lines =
            shared.logs.shape(&row.attempt).await.ok().flatten().map_or_else(Vec::new, |shape| shape.steps);
        shown.push(job(row, &first_lines));
    }
    let (sha, problem) = (row.sha.to_string(), row.problem.clone());
    let mut run = shape::Run {
        line: line(shared, row),
        sha,
        needs_approval: false,
        problem,
        config_problem: None,
        config_findings: None,
        concurrency: None,
        jobs: shown,
    };
    // What only the live state knows: labels, contexts, and why something waits. Without it the rows must do.
    if let Ok(Some(live)) = handle.look(move |cell| Live::of(cell, RunNumber(number))).await {
        live.add_to(&mut run);
    }
    Ok(run)
}

/// Returns the names of a job attempt, its newest try: what its log lies under.
pub async fn attempt_of(shared: &Shared, handle: &Handle, number: u64, key: &str) -> Result<AttemptId, Refusal> {
    let reference = handle.reference();
    let asked = JobKey::from(key);
    let latest = shared.store.history().latest_attempt(reference.id, RunNumber(number), &asked).await?;
    latest.ok_or_else(|| Refusal::Missing(format!("run {number} of {} has no job `{key}`", reference.full_name).into()))
}

/// Returns the summaries of a job's steps, as they wrote them.
pub async fn summaries(shared: &Shared, handle: &Handle, number: u64, key: &str) -> Result<Vec<String>, Refusal> {
    let attempt = attempt_of(shared, handle, number, key).await?;
    let summaries = shared.store.history().summaries(&attempt).await?;
    Ok(summaries.into_iter().map(|(_, text)| text).collect())
}

/// Returns a page of deliveries, the newest first; the first page begins with the quarantine.
pub async fn deliveries(shared: &Shared, page: &Page) -> Result<shape::Deliveries, Refusal> {
    let history = shared.store.history();
    let before = page
        .before
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|_| Refusal::Wrong("`before` is what `next` said".into()))?;
    let limit = page.limit()? as usize;
    let mut rows = match before {
        None => history.quarantined(QUARANTINED_MAX).await?,
        Some(_) => Vec::new(),
    };
    let came = history.deliveries(before, limit).await?;
    let next = (came.len() == limit).then(|| came.last().map(|row| row.place.to_string())).flatten();
    rows.extend(came);
    Ok(shape::Deliveries { deliveries: rows.into_iter().map(delivery_line).collect(), next })
}

/// Returns one delivery with its body.
pub async fn delivery(shared: &Shared, id: &str) -> Result<shape::DeliveryWhole, Refusal> {
    let found = shared.store.history().delivery(id).await?;
    let detail = found.ok_or_else(|| Refusal::Missing("there is no delivery of this id".into()))?;
    let body = String::from_utf8_lossy(&detail.body).into_owned();
    Ok(shape::DeliveryWhole { delivery: delivery_line(detail.row), body })
}

/// Writes lines of runs; how those stand that are not over, only the live state knows. Without it the rows must do.
async fn lines(shared: &Shared, rows: Vec<RunRow>) -> Vec<shape::RunLine> {
    let mut open: BTreeMap<RepoId, Vec<RunNumber>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.conclusion.is_none()) {
        open.entry(row.repo).or_default().push(row.number);
    }
    let mut standings = BTreeMap::new();
    for (repo, numbers) in open {
        let Some(handle) = shared.directory.by_id(repo) else { continue };
        let looked = handle.look(move |cell| {
            let state = cell.repository();
            let runs = numbers.iter().filter_map(|number| state.runs.get(number)).filter(|run| !run.is_over());
            runs.map(|run| ((repo, run.number), standing_of_run(state, run))).collect::<Vec<_>>()
        });
        standings.extend(looked.await.unwrap_or_default());
    }
    let write = |row: RunRow| {
        let standing = standings.remove(&(row.repo, row.number)).filter(|_| row.conclusion.is_none());
        let mut line = line(shared, row);
        if let Some((word, reason)) = standing {
            (line.state, line.reason) = (word.to_owned(), reason);
        }
        line
    };
    rows.into_iter().map(write).collect()
}

fn line(shared: &Shared, row: RunRow) -> shape::RunLine {
    let conclusion = row.conclusion.map(Conclusion::as_str);
    shape::RunLine {
        repository: row.repository.unwrap_or_else(|| name_of(shared, row.repo)),
        number: row.number.0,
        attempt: row.attempt,
        name: row.name,
        workflow: row.workflow,
        event: row.event,
        subject: row.subject,
        pull: row.pull.map(|pull| pull.0),
        head_sha: row.head_sha.to_string(),
        state: conclusion.unwrap_or("running").to_owned(),
        conclusion: conclusion.map(str::to_owned),
        reason: row.reason,
        created_at: written(row.created_at),
        ended_at: row.completed_at.map(written),
    }
}

fn job(row: JobRow, first_lines: &[(u32, u64)]) -> shape::Job {
    let state = match row.conclusion {
        Some(conclusion) => conclusion.as_str(),
        None => match row.state.as_str() {
            "leased" | "running" => "running",
            "queued" => "queued",
            _ => "waiting",
        },
    };
    let row_end = row.conclusion.zip(row.completed_at.map(written));
    shape::Job {
        key: row.attempt.job.to_string(),
        name: row.name,
        context: String::new(),
        state: state.to_owned(),
        reason: row.reason.unwrap_or_default(),
        labels: Vec::new(),
        runner: row.runner,
        attempt: row.attempt.run_attempt,
        tried: row.attempt.tried,
        started_at: row.started_at.map(written),
        ended_at: row.completed_at.map(written),
        environment_url: None,
        steps: row.steps.into_iter().map(|row| cut_off(step(row, first_lines), row_end.as_ref())).collect(),
        annotations: row.annotations.iter().map(shape::Annotation::from).collect(),
        summaries: row.summaries.iter().map(|row| shape::Summary { step: row.step + 1, size: row.size }).collect(),
    }
}

fn step(row: StepRow, first_lines: &[(u32, u64)]) -> shape::Step {
    let state = row.conclusion.map_or_else(|| row.state.clone(), |conclusion| conclusion.as_str().to_owned());
    shape::Step {
        number: row.index + 1,
        name: row.name,
        state,
        outcome: row.outcome.map(|outcome| outcome.as_str().to_owned()),
        started_at: row.started_at.map(written),
        ended_at: row.completed_at.map(written),
        line: first_lines.iter().find(|(index, _)| *index == row.index).map(|(_, line)| line + 1),
    }
}

/// Says of a step that its runner did not end, though its job is over, that it was cut off with the job.
fn cut_off(step: shape::Step, end: Option<&(Conclusion, String)>) -> shape::Step {
    match end {
        Some((conclusion, at)) if step.state == "running" => {
            let state = if *conclusion == Conclusion::Cancelled { Conclusion::Cancelled } else { Conclusion::Lost };
            shape::Step { state: state.as_str().to_owned(), ended_at: Some(at.clone()), ..step }
        }
        _ => step,
    }
}

/// What the live state adds to a run.
struct Live {
    /// What is wrong with the `.greenlight.yml` of its commit: the sentence, and all of it.
    config: (Option<String>, Option<String>),
    /// How it stands, where it is not over.
    open: Option<Open>,
}

struct Open {
    standing: (&'static str, String),
    needs_approval: bool,
    concurrency: Option<String>,
    jobs: Vec<LiveJob>,
}

struct LiveJob {
    key: String,
    context: String,
    labels: Vec<String>,
    reason: String,
    environment_url: Option<String>,
}

impl Live {
    fn of(cell: &Cell, number: RunNumber) -> Option<Self> {
        let state = cell.repository();
        let run = state.runs.get(&number)?;
        let suite = state.suites.get(&run.suite).filter(|suite| suite.runs.contains(&number));
        let planned = suite.and_then(|suite| suite.planned());
        let text = |told: Option<&std::sync::Arc<str>>| told.map(ToString::to_string);
        let config = (
            text(planned.and_then(|planned| planned.config_problem.as_ref())),
            text(planned.and_then(|planned| planned.config_findings.as_ref())),
        );
        Some(Self { config, open: (!run.is_over()).then(|| Open::of(state, run)) })
    }

    fn add_to(self, run: &mut shape::Run) {
        (run.config_problem, run.config_findings) = self.config;
        // The rows may be a moment older than the state, or newer.
        if let Some(open) = self.open.filter(|_| run.line.conclusion.is_none()) {
            open.add_to(run);
        }
    }
}

impl Open {
    fn of(state: &Repository, run: &Run) -> Self {
        let jobs = run.jobs.iter().map(|job| LiveJob {
            key: job.key.to_string(),
            context: job.context.to_string(),
            labels: job.labels.iter().map(ToString::to_string).collect(),
            reason: greenlight_core::report::job_sentence(state, run, job).to_string(),
            environment_url: job.environment_url.as_ref().map(ToString::to_string),
        });
        Self {
            standing: standing_of_run(state, run),
            needs_approval: waits_for_approval(state, run),
            concurrency: run.concurrency.as_ref().map(|concurrency| concurrency.group.to_string()),
            jobs: jobs.collect(),
        }
    }

    fn add_to(self, run: &mut shape::Run) {
        (run.line.state, run.line.reason) = (self.standing.0.to_owned(), self.standing.1);
        run.needs_approval = self.needs_approval;
        run.concurrency = self.concurrency;
        for live in self.jobs {
            if let Some(job) = run.jobs.iter_mut().find(|job| job.key == live.key) {
                (job.context, job.labels, job.environment_url) = (live.context, live.labels, live.environment_url);
                job.reason = match self.needs_approval && job.state != "success" {
                    true => "waits for approval".to_owned(),
                    false => live.reason,
                };
            }
        }
    }
}

fn delivery_line(row: DeliveryRow) -> shape::Delivery {
    let (state, default) = match row.state {
        DeliveryState::New => ("waiting", "it is looked at next"),
        DeliveryState::Applied => ("applied", "it was taken in"),
        DeliveryState::Ignored => ("ignored", "nothing here uses it"),
        DeliveryState::Unreadable => ("unreadable", "it cannot be read"),
        DeliveryState::Quarantined => ("quarantined", "the same id came before with another body"),
    };
    shape::Delivery {
        place: row.place,
        id: row.id.to_string(),
        event: row.event,
        received_at: written(row.received_at),
        state: state.to_owned(),
        reason: row.reason.unwrap_or_else(|| default.to_owned()),
    }
}
