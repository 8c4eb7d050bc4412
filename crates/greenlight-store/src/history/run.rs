//! Runs, their jobs and steps.

use greenlight_core::id::{AttemptId, DeploymentId, JobKey, PullNumber, RepoId, RunNumber, Sha};
use greenlight_core::run::Conclusion;
use greenlight_core::shown::Annotation;
use greenlight_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::annotation::{SummaryRow, annotation_row, summary_row};

use super::{RunQuery, at, limit_of, maybe_at, maybe_number, sha};

/// The most jobs and steps of one run that a page is given.
const ROWS_OF_A_RUN_MAX: i64 = 20_000;

/// A run's attempt, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its place in the order of all runs: newer ones have larger ones.
    pub seq: i64,
    /// The repository.
    pub repo: RepoId,
    /// "owner/name", where it is known.
    pub repository: Option<String>,
    /// The run's number.
    pub number: RunNumber,
    /// The attempt.
    pub attempt: u32,
    /// The event.
    pub event: String,
    /// What it is about, as people say it ("#3", "main").
    pub subject: String,
    /// The pull request.
    pub pull: Option<PullNumber>,
    /// The ref, for a push.
    pub git_ref: Option<String>,
    /// The commit that its results are shown on.
    pub head_sha: Sha,
    /// What is checked out.
    pub sha: Sha,
    /// The workflow file.
    pub workflow: String,
    /// The workflow's name.
    pub name: String,
    /// `github.run_number`.
    pub run_number: u64,
    /// How it ended; nothing while it is active.
    pub conclusion: Option<Conclusion>,
    /// Why it stands so, in one sentence.
    pub reason: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// The deployment that it decides.
    pub deployment: Option<DeploymentId>,
    /// What is wrong with its file, with carets.
    pub problem: Option<String>,
}

/// A run with everything that its page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDetail {
    /// Its attempts, the newest first, each with its jobs.
    pub attempts: Vec<(RunRow, Vec<JobRow>)>,
}

/// A job attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// Names it, its log too.
    pub attempt: AttemptId,
    /// Its name, as shown.
    pub name: String,
    /// "waiting", "queued", "leased", "running", "completed".
    pub state: String,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// Why, in one sentence.
    pub reason: Option<String>,
    /// Who ran it.
    pub runner: Option<String>,
    /// When it could have been run first.
    pub queued_at: Option<Timestamp>,
    /// When its first step began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Its steps, in order.
    pub steps: Vec<StepRow>,
    /// What it said beside its log, in the order in which it came.
    pub annotations: Vec<Annotation>,
    /// The summaries of its steps, without their texts.
    pub summaries: Vec<SummaryRow>,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// Its place within the job.
    pub index: u32,
    /// Its name, as shown.
    pub name: String,
    /// "waiting", "running", "completed".
    pub state: String,
    /// How it ended before `continue-on-error`.
    pub outcome: Option<Conclusion>,
    /// How it ended.
    pub conclusion: Option<Conclusion>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
}

/// A page of runs. Three statements rather than one with conditions in it, so that each has its index.
pub async fn list(connection: &mut SqliteConnection, query: &RunQuery) -> sqlx::Result<Vec<RunRow>> {
    const ALL: &str = "SELECT run.*, full_name FROM run LEFT JOIN repository USING (repo)
         WHERE seq < ?1 AND NOT EXISTS (SELECT 1 FROM run AS later
             WHERE later.repo = run.repo AND later.number = run.number AND later.attempt > run.attempt)
         ORDER BY seq DESC LIMIT ?2";
    const OF_REPOSITORY: &str = "SELECT run.*, full_name FROM run LEFT JOIN repository USING (repo)
         WHERE seq < ?1 AND run.repo = ?3 AND NOT EXISTS (SELECT 1 FROM run AS later
             WHERE later.repo = run.repo AND later.number = run.number AND later.attempt > run.attempt)
         ORDER BY seq DESC LIMIT ?2";
    const OF_COMMIT: &str = "SELECT run.*, full_name FROM run LEFT JOIN repository USING (repo)
         WHERE seq < ?1 AND head_sha = ?4 AND (?3 IS NULL OR run.repo = ?3) AND NOT EXISTS (SELECT 1 FROM run AS later
             WHERE later.repo = run.repo AND later.number = run.number AND later.attempt > run.attempt)
         ORDER BY seq DESC LIMIT ?2";
    let statement = match (query.repo, query.head_sha) {
        (_, Some(_)) => OF_COMMIT,
        (Some(_), None) => OF_REPOSITORY,
        (None, None) => ALL,
    };
    let mut asked = sqlx::query(statement).bind(query.before.unwrap_or(i64::MAX)).bind(limit_of(query.limit));
    if query.repo.is_some() || query.head_sha.is_some() {
        asked = asked.bind(query.repo.map(|repo| repo.0.cast_signed()));
    }
    if let Some(sha) = query.head_sha {
        asked = asked.bind(sha.to_string());
    }
    asked.fetch_all(connection).await?.iter().map(run_row).collect()
}

/// The runs of a pull request.
pub async fn of_pull(
    connection: &mut SqliteConnection,
    repo: RepoId,
    pull: PullNumber,
    limit: usize,
) -> sqlx::Result<Vec<RunRow>> {
    let rows = sqlx::query(
        "SELECT run.*, full_name FROM run LEFT JOIN repository USING (repo)
         WHERE run.repo = ? AND pull = ? ORDER BY seq DESC LIMIT ?",
    )
    .bind(repo.0.cast_signed())
    .bind(pull.0.cast_signed())
    .bind(limit_of(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(run_row).collect()
}

/// One run, whole.
pub async fn detail(
    connection: &mut SqliteConnection,
    repo: RepoId,
    number: RunNumber,
) -> sqlx::Result<Option<RunDetail>> {
    let rows = sqlx::query(
        "SELECT run.*, full_name FROM run LEFT JOIN repository USING (repo)
         WHERE run.repo = ? AND number = ? ORDER BY attempt DESC LIMIT 100",
    )
    .bind(repo.0.cast_signed())
    .bind(number.0.cast_signed())
    .fetch_all(&mut *connection)
    .await?;
    let mut attempts = Vec::with_capacity(rows.len());
    for row in &rows {
        let run = run_row(row)?;
        let jobs = jobs_of(connection, &run).await?;
        attempts.push((run, jobs));
    }
    show_kept(&mut attempts);
    Ok((!attempts.is_empty()).then_some(RunDetail { attempts }))
}

/// Puts what a kept job came to in place of the row that says only that it was kept.
fn show_kept(attempts: &mut [(RunRow, Vec<JobRow>)]) {
    for at in 0..attempts.len() {
        let (newer, older) = attempts.split_at_mut(at + 1);
        let Some((run, jobs)) = newer.last_mut() else { return };
        for job in jobs.iter_mut().filter(|job| job.attempt.run_attempt != run.attempt) {
            let mut known = older.iter().flat_map(|(_, jobs)| jobs);
            if let Some(kept) = known.find(|known| known.attempt == job.attempt) {
                *job = kept.clone();
            }
        }
    }
}

const JOBS: &str = "SELECT * FROM job WHERE repo = ? AND run = ? AND attempt = ? ORDER BY place, tried LIMIT ?";
const STEPS: &str = "SELECT * FROM step WHERE repo = ? AND run = ? AND attempt = ? ORDER BY job, tried, place LIMIT ?";
const ANNOTATIONS: &str =
    "SELECT * FROM annotation WHERE repo = ? AND run = ? AND attempt = ? ORDER BY job, tried, place LIMIT ?";
const SUMMARIES: &str = "SELECT job, tried, step, size FROM summary WHERE repo = ? AND run = ? AND attempt = ?
     ORDER BY job, tried, place LIMIT ?";

async fn jobs_of(connection: &mut SqliteConnection, run: &RunRow) -> sqlx::Result<Vec<JobRow>> {
    let rows = rows_of(connection, run, JOBS).await?;
    let mut jobs = rows.iter().map(|row| job_row(row, run)).collect::<sqlx::Result<Vec<_>>>()?;
    for row in rows_of(connection, run, STEPS).await? {
        if let Some(job) = job_of(&mut jobs, &row) {
            job.steps.push(step_row(&row)?);
        }
    }
    for row in rows_of(connection, run, ANNOTATIONS).await? {
        if let Some(job) = job_of(&mut jobs, &row) {
            job.annotations.push(annotation_row(&row)?);
        }
    }
    for row in rows_of(connection, run, SUMMARIES).await? {
        if let Some(job) = job_of(&mut jobs, &row) {
            job.summaries.push(summary_row(&row));
        }
    }
    Ok(jobs)
}

async fn rows_of(connection: &mut SqliteConnection, run: &RunRow, asked: &'static str) -> sqlx::Result<Vec<SqliteRow>> {
    sqlx::query(asked)
        .bind(run.repo.0.cast_signed())
        .bind(run.number.0.cast_signed())
        .bind(run.attempt)
        .bind(ROWS_OF_A_RUN_MAX)
        .fetch_all(connection)
        .await
}

/// Returns the try of a job that a row is about.
fn job_of<'a>(jobs: &'a mut [JobRow], row: &SqliteRow) -> Option<&'a mut JobRow> {
    let (key, tried): (&str, u32) = (row.get("job"), row.get("tried"));
    jobs.iter_mut().find(|job| job.attempt.job.as_str() == key && job.attempt.tried == tried)
}

/// Returns the newest try of a job.
pub async fn latest_attempt(
    connection: &mut SqliteConnection,
    repo: RepoId,
    run: RunNumber,
    key: &JobKey,
) -> sqlx::Result<Option<AttemptId>> {
    let found: Option<(u32, u32)> = sqlx::query_as(
        "SELECT coalesce(ran_in, attempt), tried FROM job WHERE repo = ? AND run = ? AND key = ?
         ORDER BY attempt DESC, tried DESC LIMIT 1",
    )
    .bind(repo.0.cast_signed())
    .bind(run.0.cast_signed())
    .bind(key.as_str().to_owned())
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|(run_attempt, tried)| AttemptId { repo, run, run_attempt, job: key.clone(), tried }))
}

fn run_row(row: &SqliteRow) -> sqlx::Result<RunRow> {
    Ok(RunRow {
        seq: row.get("seq"),
        repo: RepoId(row.get::<i64, _>("repo").cast_unsigned()),
        repository: row.get("full_name"),
        number: RunNumber(row.get::<i64, _>("number").cast_unsigned()),
        attempt: row.get("attempt"),
        event: row.get("event"),
        subject: row.get("subject"),
        pull: maybe_number(row, "pull").map(PullNumber),
        git_ref: row.get("git_ref"),
        head_sha: sha(row, "head_sha")?,
        sha: sha(row, "sha")?,
        workflow: row.get("workflow"),
        name: row.get("name"),
        run_number: row.get::<i64, _>("run_number").cast_unsigned(),
        conclusion: conclusion(row)?,
        reason: row.get("reason"),
        created_at: at(row, "created_at"),
        completed_at: maybe_at(row, "completed_at"),
        deployment: maybe_number(row, "deployment").map(DeploymentId),
        problem: row.get("problem"),
    })
}

fn job_row(row: &SqliteRow, run: &RunRow) -> sqlx::Result<JobRow> {
    Ok(JobRow {
        attempt: AttemptId {
            repo: run.repo,
            run: run.number,
            run_attempt: row.get::<Option<u32>, _>("ran_in").unwrap_or(run.attempt),
            job: JobKey::from(row.get::<&str, _>("key")),
            tried: row.get("tried"),
        },
        name: row.get("name"),
        state: row.get("state"),
        conclusion: conclusion(row)?,
        reason: row.get("reason"),
        runner: row.get("runner"),
        queued_at: maybe_at(row, "queued_at"),
        started_at: maybe_at(row, "started_at"),
        completed_at: maybe_at(row, "completed_at"),
        steps: Vec::new(),
        annotations: Vec::new(),
        summaries: Vec::new(),
    })
}

fn step_row(row: &SqliteRow) -> sqlx::Result<StepRow> {
    let conclusion = conclusion(row)?;
    Ok(StepRow {
        index: row.get("place"),
        name: row.get("name"),
        state: row.get("state"),
        outcome: conclusion_in(row, "outcome")?.or(conclusion),
        conclusion,
        started_at: maybe_at(row, "started_at"),
        completed_at: maybe_at(row, "completed_at"),
    })
}

fn conclusion(row: &SqliteRow) -> sqlx::Result<Option<Conclusion>> {
    conclusion_in(row, "conclusion")
}

fn conclusion_in(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Conclusion>> {
    let Some(word) = row.get::<Option<&str>, _>(column) else { return Ok(None) };
    let unknown = || sqlx::Error::Decode(format!("{word} is no conclusion").into());
    Conclusion::parse(word).map(Some).ok_or_else(unknown)
}
