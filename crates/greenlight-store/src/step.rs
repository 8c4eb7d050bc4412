//! The steps of a job attempt, as its runner tells them: for pages only, the core does not know steps.

use std::sync::Arc;

use greenlight_core::id::AttemptId;
use greenlight_core::run::Conclusion;
use greenlight_core::time::Timestamp;
use sqlx::SqliteConnection;

use crate::dialect::{ROWS_MAX, RowsStatement};

/// One step of a job attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRecord {
    /// Its place within the job, from 0; the log's blocks carry it.
    pub index: u32,
    /// Its name, as shown.
    pub name: Arc<str>,
    /// Where it stands.
    pub state: StepState,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Its turn has not come.
    Waiting,
    /// It runs.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// It is over.
    Completed {
        /// How, before `continue-on-error`.
        outcome: Conclusion,
        /// How, after it.
        conclusion: Conclusion,
        /// When it began; nothing where it was skipped.
        started_at: Option<Timestamp>,
        /// When it ended.
        at: Timestamp,
    },
}

/// Steps of one attempt, to be written.
pub struct StepRows {
    attempt: AttemptId,
    steps: Vec<StepRecord>,
}

impl StepRows {
    /// Takes them.
    pub fn of(attempt: &AttemptId, steps: &[StepRecord]) -> Self {
        Self { attempt: attempt.clone(), steps: steps.to_vec() }
    }
}

/// The statement that writes steps.
pub struct Stepper(RowsStatement);

impl Stepper {
    /// Makes it.
    pub fn new() -> Self {
        Self(RowsStatement::new(
            "INSERT INTO step (repo, run, attempt, job, tried, place, name, state, outcome, conclusion, started_at,
             completed_at)",
            "(?,?,?,?,?,?,?,?,?,?,?,?)",
            "ON CONFLICT DO UPDATE SET name = excluded.name, state = excluded.state, outcome = excluded.outcome,
                 conclusion = excluded.conclusion, started_at = coalesce(excluded.started_at, started_at), completed_at = excluded.completed_at",
        ))
    }

    /// Writes them.
    pub async fn write(&mut self, connection: &mut SqliteConnection, rows: &StepRows) -> sqlx::Result<()> {
        let attempt = &rows.attempt;
        for steps in rows.steps.chunks(ROWS_MAX) {
            let mut query = sqlx::query(self.0.of(steps.len()));
            for step in steps {
                let (state, ended, started_at, completed_at) = columns(step.state);
                let (outcome, conclusion) = ended.unzip();
                query = query
                    .bind(attempt.repo.0.cast_signed())
                    .bind(attempt.run.0.cast_signed())
                    .bind(attempt.run_attempt)
                    .bind(attempt.job.as_str().to_owned())
                    .bind(attempt.tried)
                    .bind(step.index)
                    .bind(step.name.clone())
                    .bind(state)
                    .bind(outcome.map(Conclusion::as_str))
                    .bind(conclusion.map(Conclusion::as_str))
                    .bind(started_at.map(Timestamp::as_millis))
                    .bind(completed_at.map(Timestamp::as_millis));
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

type Ended = Option<(Conclusion, Conclusion)>;

fn columns(state: StepState) -> (&'static str, Ended, Option<Timestamp>, Option<Timestamp>) {
    match state {
        StepState::Waiting => ("waiting", None, None, None),
        StepState::Running { started_at } => ("running", None, Some(started_at), None),
        StepState::Completed { outcome, conclusion, started_at, at } => {
            ("completed", Some((outcome, conclusion)), started_at, Some(at))
        }
    }
}
