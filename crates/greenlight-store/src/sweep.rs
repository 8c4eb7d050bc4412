//! Retention: what is over and old goes, in bounded batches, so that nobody waits for it. Never what is unfinished: a
//! delivery that nobody has looked at, a run that is not completed, a text that state refers to.

use greenlight_core::id::{AttemptId, RepoId, RunNumber};
use greenlight_core::port::StoreError;
use greenlight_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection};

use crate::database::Database;
use crate::dialect::store_error;
use crate::log::Logs;
use crate::writer::{Write, Written};

/// How many rows of each kind one sweep takes away at most.
pub const SWEEP_BATCH: u32 = 500;

/// How many texts one sweep looks at for references.
const TEXTS_LOOKED_AT: i64 = 20_000;

/// What is kept: everything from these points on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Deliveries that came before this may go.
    pub deliveries_from: Timestamp,
    /// Runs that ended before this may go, with their jobs, steps and logs.
    pub runs_from: Timestamp,
    /// Audit lines written before this may go.
    pub audit_from: Timestamp,
}

/// What one sweep took away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Swept {
    /// Deliveries, quarantined ones included.
    pub deliveries: u64,
    /// Runs.
    pub runs: u64,
    /// Audit lines.
    pub audit: u64,
    /// Texts that nothing refers to any more.
    pub texts: u64,
    /// Is there more to take away? Then sweep again, after a breath.
    pub more: bool,
}

/// Rows to be taken away.
pub enum SweepRows {
    /// Deliveries before this that were looked at, so many.
    Deliveries { before: i64, batch: u32 },
    /// Quarantined deliveries before this, so many.
    Quarantine { before: i64, batch: u32 },
    /// Audit lines before this, so many.
    Audit { before: i64, batch: u32 },
    /// These runs' attempts, by `seq`.
    Runs(Vec<i64>),
    /// These texts, where nothing refers to them by then.
    Texts(Vec<i64>),
}

impl Database {
    /// Takes away up to [`SWEEP_BATCH`] rows of each kind that are older than `retention` keeps.
    pub async fn sweep(&self, logs: &Logs, retention: Retention) -> Result<Swept, StoreError> {
        self.sweep_batch(logs, retention, SWEEP_BATCH).await
    }

    /// Takes away up to `batch` rows of each kind.
    pub async fn sweep_batch(&self, logs: &Logs, retention: Retention, batch: u32) -> Result<Swept, StoreError> {
        let before = retention.deliveries_from.as_millis();
        let deliveries = self.sweep_rows(SweepRows::Deliveries { before, batch }).await?;
        let quarantined = self.sweep_rows(SweepRows::Quarantine { before, batch }).await?;
        let audit = self.sweep_rows(SweepRows::Audit { before: retention.audit_from.as_millis(), batch }).await?;
        let runs = self.sweep_runs(logs, retention.runs_from, batch).await?;
        let texts = self.sweep_texts(batch).await?;
        let full = u64::from(batch);
        let more = [deliveries, quarantined, audit, runs, texts].contains(&full);
        Ok(Swept { deliveries: deliveries + quarantined, runs, audit, texts, more })
    }

    async fn sweep_rows(&self, rows: SweepRows) -> Result<u64, StoreError> {
        match self.write(Write::Sweep(rows)).await? {
            Written::Swept(count) => Ok(count),
            Written::Yes | Written::Conflict | Written::Number(_) => Ok(0),
        }
    }

    /// The logs go first: a run whose log is gone is swept again, a log whose run is gone would stay for ever.
    async fn sweep_runs(&self, logs: &Logs, from: Timestamp, batch: u32) -> Result<u64, StoreError> {
        let mut connection = self.reader().await?;
        let old = old_runs(&mut connection, from, batch)
            .await
            .map_err(|error| store_error("looking for old runs", &error))?;
        drop(connection);
        if old.is_empty() {
            return Ok(0);
        }
        for attempt in old.iter().flat_map(|run| &run.attempts) {
            logs.remove(attempt).await.map_err(|error| StoreError::Unavailable(format!("removing a log: {error}")))?;
        }
        self.sweep_rows(SweepRows::Runs(old.iter().map(|run| run.seq).collect())).await
    }

    /// Goes round through all texts, a stretch at a time, and takes away those that nothing refers to.
    async fn sweep_texts(&self, batch: u32) -> Result<u64, StoreError> {
        let failed = |error: sqlx::Error| store_error("looking for unused texts", &error);
        let mut connection = self.reader().await?;
        let after = self.texts_swept_to();
        let stretch: Vec<(i64, bool)> = sqlx::query_as(
            "SELECT id, EXISTS (SELECT 1 FROM entity_text WHERE entity_text.text = text.id) FROM text
             WHERE id > ? ORDER BY id LIMIT ?",
        )
        .bind(after)
        .bind(TEXTS_LOOKED_AT)
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
        drop(connection);
        let unused: Vec<i64> = stretch
            .iter()
            .filter(|(_, used)| !used)
            .map(|(id, _)| *id)
            .take(usize::try_from(batch).unwrap_or(usize::MAX))
            .collect();
        let cut = unused.len() as u64 == u64::from(batch);
        let reached = if cut { unused.last().copied() } else { stretch.last().map(|(id, _)| *id) };
        let swept = if unused.is_empty() { 0 } else { self.sweep_rows(SweepRows::Texts(unused)).await? };
        let around = !cut && stretch.len() < usize::try_from(TEXTS_LOOKED_AT).unwrap_or(usize::MAX);
        self.set_texts_swept_to(if around { 0 } else { reached.unwrap_or(0) });
        Ok(swept)
    }
}

struct OldRun {
    seq: i64,
    attempts: Vec<AttemptId>,
}

async fn old_runs(connection: &mut SqliteConnection, from: Timestamp, batch: u32) -> sqlx::Result<Vec<OldRun>> {
    let rows = sqlx::query(
        "SELECT seq, repo, number, attempt FROM run WHERE state = 'completed' AND completed_at < ? ORDER BY completed_at LIMIT ?",
    )
    .bind(from.as_millis())
    .bind(batch)
    .fetch_all(&mut *connection)
    .await?;
    let mut old = Vec::with_capacity(rows.len());
    for row in rows {
        let (repo, number, run_attempt): (i64, i64, u32) = (row.get("repo"), row.get("number"), row.get("attempt"));
        let jobs: Vec<(String, u32)> =
            sqlx::query_as("SELECT key, tried FROM job WHERE repo = ? AND run = ? AND attempt = ?")
                .bind(repo)
                .bind(number)
                .bind(run_attempt)
                .fetch_all(&mut *connection)
                .await?;
        let attempts = jobs.into_iter().map(|(job, tried)| AttemptId {
            repo: RepoId(repo.cast_unsigned()),
            run: RunNumber(number.cast_unsigned()),
            run_attempt,
            job: job.into(),
            tried,
        });
        old.push(OldRun { seq: row.get("seq"), attempts: attempts.collect() });
    }
    Ok(old)
}

/// Takes rows away within the open transaction, and returns how many. Only the oldest of a table are looked at, never all of it.
pub async fn sweep_rows(connection: &mut SqliteConnection, rows: &SweepRows) -> sqlx::Result<u64> {
    let oldest = match rows {
        SweepRows::Deliveries { before, batch } => (
            "DELETE FROM delivery WHERE place IN (SELECT place FROM delivery ORDER BY place LIMIT ?2)
             AND state <> 0 AND received_at < ?1",
            *before,
            *batch,
        ),
        SweepRows::Quarantine { before, batch } => (
            "DELETE FROM quarantine WHERE place IN (SELECT place FROM quarantine ORDER BY place LIMIT ?2) AND received_at < ?1",
            *before,
            *batch,
        ),
        SweepRows::Audit { before, batch } => {
            ("DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?2) AND at < ?1", *before, *batch)
        }
        SweepRows::Runs(runs) => return sweep_runs(connection, runs).await,
        SweepRows::Texts(texts) => return sweep_texts(connection, texts).await,
    };
    let (statement, before, batch) = oldest;
    Ok(sqlx::query(statement).bind(before).bind(batch).execute(connection).await?.rows_affected())
}

async fn sweep_runs(connection: &mut SqliteConnection, runs: &[i64]) -> sqlx::Result<u64> {
    let mut swept = 0;
    for seq in runs {
        for statement in [
            "DELETE FROM annotation WHERE (repo, run, attempt) = (SELECT repo, number, attempt FROM run WHERE seq = ? AND state = 'completed')",
            "DELETE FROM summary WHERE (repo, run, attempt) = (SELECT repo, number, attempt FROM run WHERE seq = ? AND state = 'completed')",
            "DELETE FROM step WHERE (repo, run, attempt) = (SELECT repo, number, attempt FROM run WHERE seq = ? AND state = 'completed')",
            "DELETE FROM job WHERE (repo, run, attempt) = (SELECT repo, number, attempt FROM run WHERE seq = ? AND state = 'completed')",
        ] {
            sqlx::query(statement).bind(seq).execute(&mut *connection).await?;
        }
        let gone = sqlx::query("DELETE FROM run WHERE seq = ? AND state = 'completed'")
            .bind(seq)
            .execute(&mut *connection)
            .await?;
        swept += gone.rows_affected();
    }
    Ok(swept)
}

async fn sweep_texts(connection: &mut SqliteConnection, texts: &[i64]) -> sqlx::Result<u64> {
    let mut swept = 0;
    for text in texts {
        let gone = sqlx::query(
            "DELETE FROM text WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM entity_text WHERE entity_text.text = ?1)",
        )
        .bind(text)
        .execute(&mut *connection)
        .await?;
        swept += gone.rows_affected();
    }
    Ok(swept)
}
