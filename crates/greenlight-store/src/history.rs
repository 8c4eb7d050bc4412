//! What pages and the API read: rows that were written beside the state, by indexes, a page at a time.

use greenlight_core::id::{AttemptId, JobKey, PullNumber, RepoId, RunNumber, Sha};
use greenlight_core::port::StoreError;
use greenlight_core::shown::Annotation;
use greenlight_core::time::Timestamp;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row as _, SqliteConnection};

use crate::annotation;
use crate::dialect::store_error;

mod delivery;
mod environment;
mod run;

pub use delivery::{DeliveryDetail, DeliveryRow, DeliveryState};
pub use environment::{DeploymentRow, EnvironmentRow, WishRow};
pub use run::{JobRow, RunDetail, RunRow, StepRow};

/// The most rows that one query returns.
pub const PAGE_MAX: usize = 200;

/// Reads for pages.
#[derive(Clone)]
pub struct History {
    readers: SqlitePool,
}

/// Which runs are asked for, newest first.
#[derive(Clone, Debug, Default)]
pub struct RunQuery {
    /// Of this repository only.
    pub repo: Option<RepoId>,
    /// For this head commit only.
    pub head_sha: Option<Sha>,
    /// Older than this: the `seq` of the last row of the page before.
    pub before: Option<i64>,
    /// How many, up to [`PAGE_MAX`].
    pub limit: usize,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Its place: newer lines have larger ones.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What it is about.
    pub about: String,
    /// What happened and why.
    pub text: String,
}

/// Figures for `/readyz` and metrics, none of which counts history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Deliveries that nobody has looked at.
    pub deliveries_waiting: u64,
    /// When the oldest of them came.
    pub oldest_waiting: Option<Timestamp>,
    /// Deliveries in quarantine.
    pub quarantined: u64,
    /// Runs that are not over.
    pub runs_active: u64,
}

impl Counters {
    /// Returns for how long the oldest delivery has waited.
    pub fn oldest_waiting_age(&self, now: Timestamp) -> Option<std::time::Duration> {
        self.oldest_waiting.map(|at| now.since(at))
    }
}

impl History {
    pub(crate) fn new(readers: SqlitePool) -> Self {
        Self { readers }
    }

    async fn reader(&self) -> Result<sqlx::pool::PoolConnection<sqlx::Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(|error| store_error("connecting to the database", &error))
    }

    /// Returns runs, the newest first, each in its latest attempt.
    pub async fn runs(&self, query: &RunQuery) -> Result<Vec<RunRow>, StoreError> {
        run::list(&mut *self.reader().await?, query).await.map_err(|error| store_error("listing runs", &error))
    }

    /// Returns a run with its attempts (the newest first), their jobs and steps; nothing where there is none.
    pub async fn run(&self, repo: RepoId, number: RunNumber) -> Result<Option<RunDetail>, StoreError> {
        run::detail(&mut *self.reader().await?, repo, number)
            .await
            .map_err(|error| store_error("reading a run", &error))
    }

    /// Returns the newest try of a job; nothing where there is none.
    pub async fn latest_attempt(
        &self,
        repo: RepoId,
        run: RunNumber,
        key: &JobKey,
    ) -> Result<Option<AttemptId>, StoreError> {
        let mut reader = self.reader().await?;
        run::latest_attempt(&mut reader, repo, run, key).await.map_err(|error| store_error("looking for a job", &error))
    }

    /// Returns what a job attempt said beside its log, in the order in which it came.
    pub async fn annotations(&self, attempt: &AttemptId) -> Result<Vec<Annotation>, StoreError> {
        let mut reader = self.reader().await?;
        annotation::annotations(&mut reader, attempt).await.map_err(|error| store_error("reading annotations", &error))
    }

    /// Returns the summaries of a job attempt's steps, each with the step's place, in the order in which they came.
    pub async fn summaries(&self, attempt: &AttemptId) -> Result<Vec<(u32, String)>, StoreError> {
        annotation::summaries(&mut *self.reader().await?, attempt).await
    }

    /// Returns the runs of a pull request, the newest first.
    pub async fn pull_runs(&self, repo: RepoId, pull: PullNumber, limit: usize) -> Result<Vec<RunRow>, StoreError> {
        let mut reader = self.reader().await?;
        run::of_pull(&mut reader, repo, pull, limit).await.map_err(|error| store_error("listing runs", &error))
    }

    /// Returns deliveries, the newest first, older than `before` (a place).
    pub async fn deliveries(&self, before: Option<u64>, limit: usize) -> Result<Vec<DeliveryRow>, StoreError> {
        let mut reader = self.reader().await?;
        delivery::list(&mut reader, before, limit).await.map_err(|error| store_error("listing deliveries", &error))
    }

    /// Returns one delivery with its body; nothing where there is none.
    pub async fn delivery(&self, id: &str) -> Result<Option<DeliveryDetail>, StoreError> {
        delivery::detail(&mut *self.reader().await?, id).await
    }

    /// Returns what lies in quarantine under this id: the same id came with another body.
    pub async fn quarantined(&self, limit: usize) -> Result<Vec<DeliveryRow>, StoreError> {
        let mut reader = self.reader().await?;
        delivery::quarantined(&mut reader, limit).await.map_err(|error| store_error("listing the quarantine", &error))
    }

    /// Returns a repository's environments with what is live, who holds them, what waits, and their latest deployments.
    pub async fn environments(&self, repo: RepoId, deployments: usize) -> Result<Vec<EnvironmentRow>, StoreError> {
        let mut reader = self.reader().await?;
        environment::list(&mut reader, repo, deployments)
            .await
            .map_err(|error| store_error("listing environments", &error))
    }

    /// Returns what was written down about a subject ("run 12", "#3"), or about everything, the newest first.
    pub async fn audit(&self, repo: RepoId, about: Option<&str>, limit: usize) -> Result<Vec<AuditLine>, StoreError> {
        let mut reader = self.reader().await?;
        audit(&mut reader, repo, about, limit).await.map_err(|error| store_error("reading the audit log", &error))
    }

    /// Returns figures of the moment.
    pub async fn counters(&self) -> Result<Counters, StoreError> {
        counters(&mut *self.reader().await?).await.map_err(|error| store_error("counting", &error))
    }
}

async fn audit(
    connection: &mut SqliteConnection,
    repo: RepoId,
    about: Option<&str>,
    limit: usize,
) -> sqlx::Result<Vec<AuditLine>> {
    let query = match about {
        Some(about) => sqlx::query(
            "SELECT id, at, about, text FROM audit WHERE repo = ?1 AND about = ?3 ORDER BY id DESC LIMIT ?2",
        )
        .bind(repo.0.cast_signed())
        .bind(limit_of(limit))
        .bind(about.to_owned()),
        None => sqlx::query("SELECT id, at, about, text FROM audit WHERE repo = ?1 ORDER BY id DESC LIMIT ?2")
            .bind(repo.0.cast_signed())
            .bind(limit_of(limit)),
    };
    let rows = query.fetch_all(connection).await?;
    Ok(rows
        .iter()
        .map(|row| AuditLine { id: row.get("id"), at: at(row, "at"), about: row.get("about"), text: row.get("text") })
        .collect())
}

async fn counters(connection: &mut SqliteConnection) -> sqlx::Result<Counters> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM delivery WHERE state = 0) AS waiting,
                (SELECT received_at FROM delivery WHERE state = 0 ORDER BY place LIMIT 1) AS oldest,
                (SELECT count(*) FROM quarantine) AS quarantined,
                (SELECT count(*) FROM run WHERE state = 'active') AS active",
    )
    .fetch_one(connection)
    .await?;
    Ok(Counters {
        deliveries_waiting: row.get::<i64, _>("waiting").cast_unsigned(),
        oldest_waiting: maybe_at(&row, "oldest"),
        quarantined: row.get::<i64, _>("quarantined").cast_unsigned(),
        runs_active: row.get::<i64, _>("active").cast_unsigned(),
    })
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit.min(PAGE_MAX)).expect("a page is small")
}

fn at(row: &SqliteRow, column: &str) -> Timestamp {
    Timestamp::from_millis(row.get(column))
}

fn maybe_at(row: &SqliteRow, column: &str) -> Option<Timestamp> {
    row.get::<Option<i64>, _>(column).map(Timestamp::from_millis)
}

fn sha(row: &SqliteRow, column: &str) -> sqlx::Result<Sha> {
    Sha::parse(row.get(column)).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn maybe_number(row: &SqliteRow, column: &str) -> Option<u64> {
    row.get::<Option<i64>, _>(column).map(i64::cast_unsigned)
}
