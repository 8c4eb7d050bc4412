//! The rows that pages read, made from the entities that a step changed and written in the step's own commit.

use std::sync::Arc;

use greenlight_core::deployment::{Carrying, DeployWish, Deployment, Environment, WishState};
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::event::DeploymentState;
use greenlight_core::id::RepoId;
use greenlight_core::run::{Job, JobState, Run, RunState, Subject};
use greenlight_core::time::Timestamp;
use sqlx::SqliteConnection;

use crate::dialect::{ROWS_MAX, RowsStatement};

/// A row for pages, to be written or to be taken away.
pub enum Projected {
    /// A run's attempt with its jobs.
    Run(Box<RunProjection>),
    /// An environment.
    Environment(Environment),
    /// An environment that is gone.
    EnvironmentGone(Arc<str>),
    /// A wish.
    Wish(DeployWish),
    /// A wish that is gone.
    WishGone(Arc<str>, String),
    /// A deployment.
    Deployment(Box<DeploymentProjection>),
}

impl Projected {
    /// Returns what pages are to show of a changed entity. What is over stays to be seen when its entity goes.
    pub fn of(key: &EntityKey, entity: Option<&Entity>) -> Option<Self> {
        match (key, entity) {
            (_, Some(Entity::Run(run))) => Some(Self::Run(Box::new(RunProjection::of(run)))),
            (_, Some(Entity::Environment(environment))) => Some(Self::Environment((**environment).clone())),
            (_, Some(Entity::Wish(wish))) => Some(Self::Wish((**wish).clone())),
            (_, Some(Entity::Deployment(deployment))) => {
                Some(Self::Deployment(Box::new(DeploymentProjection::of(deployment))))
            }
            (EntityKey::Environment(name), None) => Some(Self::EnvironmentGone(name.as_str().into())),
            (EntityKey::Wish(environment, sha), None) => {
                Some(Self::WishGone(environment.as_str().into(), sha.to_string()))
            }
            _ => None,
        }
    }
}

/// A run's attempt, as pages show it.
pub struct RunProjection {
    number: i64,
    attempt: u32,
    event: Arc<str>,
    subject: String,
    pull: Option<i64>,
    git_ref: Option<String>,
    head_sha: String,
    sha: String,
    workflow: Arc<str>,
    name: Arc<str>,
    run_number: i64,
    state: &'static str,
    conclusion: Option<&'static str>,
    reason: Arc<str>,
    created_at: i64,
    completed_at: Option<i64>,
    deployment: Option<i64>,
    problem: Option<Arc<str>>,
    jobs: Vec<JobProjection>,
}

struct JobProjection {
    key: Arc<str>,
    attempt: u32,
    tried: u32,
    place: i64,
    name: Arc<str>,
    state: &'static str,
    conclusion: Option<&'static str>,
    reason: Option<Arc<str>>,
    runner: Option<Arc<str>>,
    queued_at: Option<i64>,
    started_at: Option<i64>,
    completed_at: Option<i64>,
}

fn deployment_state_word(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Pending => "pending",
        DeploymentState::Queued => "queued",
        DeploymentState::InProgress => "in_progress",
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        DeploymentState::Error => "error",
        DeploymentState::Inactive => "inactive",
    }
}

impl RunProjection {
    fn of(run: &Run) -> Self {
        let (subject, pull, git_ref) = subject_of(&run.suite.subject);
        let (state, conclusion, completed_at) = match run.state {
            RunState::Active => ("active", None, None),
            RunState::Completed { conclusion, at } => ("completed", Some(conclusion.as_str()), Some(at.as_millis())),
        };
        Self {
            number: run.number.0.cast_signed(),
            attempt: run.attempt,
            event: run.suite.event.clone(),
            subject,
            pull,
            git_ref,
            head_sha: run.suite.head_sha.to_string(),
            sha: run.sha.to_string(),
            workflow: run.workflow.clone(),
            name: run.name.clone(),
            run_number: run.run_number.cast_signed(),
            state,
            conclusion,
            reason: run.reason.clone(),
            created_at: run.created_at.as_millis(),
            completed_at,
            deployment: run.deployment.map(|id| id.0.cast_signed()),
            problem: run.problem.clone(),
            jobs: (0..).zip(&run.jobs).map(|(place, job)| JobProjection::of(place, job)).collect(),
        }
    }
}

/// Returns how people call the subject, its pull request and its ref.
fn subject_of(subject: &Subject) -> (String, Option<i64>, Option<String>) {
    match subject {
        Subject::Pull(number, _) => (format!("#{number}"), Some(number.0.cast_signed()), None),
        Subject::PullAction(number, action, _) => (format!("#{number} {action}"), Some(number.0.cast_signed()), None),
        Subject::Ref(git_ref) => (git_ref.short().to_owned(), None, Some(git_ref.to_string())),
        Subject::Deployment(id) => (format!("deployment {id}"), None, None),
        Subject::Other(text) => (text.to_string(), None, None),
    }
}

impl JobProjection {
    fn of(place: i64, job: &Job) -> Self {
        let millis = Timestamp::as_millis;
        let blank = Self {
            key: job.key.as_str().into(),
            attempt: job.attempt,
            tried: job.tried,
            place,
            name: job.name.clone(),
            state: "waiting",
            conclusion: None,
            reason: job.cancelled.clone(),
            runner: None,
            queued_at: None,
            started_at: None,
            completed_at: None,
        };
        match &job.state {
            JobState::Waiting => blank,
            JobState::Queued { since } => Self { state: "queued", queued_at: Some(millis(*since)), ..blank },
            JobState::Leased(lease) => Self {
                state: if lease.started_at.is_some() { "running" } else { "leased" },
                runner: Some(lease.runner.as_str().into()),
                started_at: lease.started_at.map(millis),
                ..blank
            },
            JobState::Completed { conclusion, at, reason, started_at } => Self {
                state: "completed",
                conclusion: Some(conclusion.as_str()),
                reason: Some(reason.clone()),
                started_at: started_at.map(millis),
                completed_at: Some(millis(*at)),
                ..blank
            },
        }
    }
}

/// A deployment, as pages show it.
pub struct DeploymentProjection {
    id: i64,
    environment: Arc<str>,
    sha: String,
    git_ref: Arc<str>,
    task: Arc<str>,
    creator: Arc<str>,
    ours: bool,
    carrying: &'static str,
    state: Option<&'static str>,
    description: Option<Arc<str>>,
    environment_url: Option<Arc<str>>,
    run: Option<i64>,
    seen_at: i64,
}

impl DeploymentProjection {
    fn of(deployment: &Deployment) -> Self {
        let snapshot = &deployment.snapshot;
        let (carrying, run, watched) = match &deployment.state {
            Carrying::Watched { reason } => ("watched", None, Some(reason.clone())),
            Carrying::Waiting => ("waiting", None, None),
            Carrying::Started { run, .. } => ("started", run.map(|run| run.0.cast_signed()), None),
            Carrying::Done => ("done", None, None),
        };
        let wanted = deployment.wanted.as_ref();
        Self {
            id: snapshot.id.0.cast_signed(),
            environment: snapshot.environment.as_str().into(),
            sha: snapshot.sha.to_string(),
            git_ref: snapshot.git_ref.clone(),
            task: snapshot.task.clone(),
            creator: snapshot.creator.login.clone(),
            ours: snapshot.key.is_some(),
            carrying,
            state: wanted.map(|shown| shown.state).or(snapshot.state).map(deployment_state_word),
            description: wanted.map(|shown| shown.description.clone()).or(watched),
            environment_url: wanted.and_then(|shown| shown.environment_url.clone()),
            run,
            seen_at: deployment.seen_at.as_millis(),
        }
    }
}

/// The statements that write rows for pages.
pub struct Projector {
    jobs: RowsStatement,
}

impl Projector {
    /// Makes them.
    pub fn new() -> Self {
        Self {
            jobs: RowsStatement::new(
                "INSERT INTO job (repo, run, attempt, key, tried, place, name, state, conclusion, reason, runner, queued_at,
                                  started_at, completed_at, ran_in)",
                "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                // What was known stays known: a job that is over does not say any more who ran it. A row that would not
                // change is not written.
                "ON CONFLICT DO UPDATE SET place = excluded.place, name = excluded.name, state = excluded.state,
                     conclusion = excluded.conclusion, reason = excluded.reason, runner = coalesce(excluded.runner, runner),
                     queued_at = coalesce(queued_at, excluded.queued_at), started_at = coalesce(excluded.started_at, started_at),
                     completed_at = excluded.completed_at
                 WHERE state IS NOT excluded.state OR conclusion IS NOT excluded.conclusion OR reason IS NOT excluded.reason
                    OR name IS NOT excluded.name OR place IS NOT excluded.place
                    OR (excluded.runner IS NOT NULL AND runner IS NOT excluded.runner)",
            ),
        }
    }

    /// Writes one row for pages.
    pub async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        repo: RepoId,
        row: &Projected,
    ) -> sqlx::Result<()> {
        let repo = repo.0.cast_signed();
        match row {
            Projected::Run(run) => {
                write_run(connection, repo, run).await?;
                self.write_jobs(connection, repo, run).await
            }
            Projected::Environment(environment) => write_environment(connection, repo, environment).await,
            Projected::EnvironmentGone(name) => environment_gone(connection, repo, name).await,
            Projected::Wish(wish) => write_wish(connection, repo, wish).await,
            Projected::WishGone(environment, sha) => wish_gone(connection, repo, environment, sha).await,
            Projected::Deployment(deployment) => write_deployment(connection, repo, deployment).await,
        }
    }

    async fn write_jobs(
        &mut self,
        connection: &mut SqliteConnection,
        repo: i64,
        run: &RunProjection,
    ) -> sqlx::Result<()> {
        for jobs in run.jobs.chunks(ROWS_MAX) {
            let mut query = sqlx::query(self.jobs.of(jobs.len()));
            for job in jobs {
                query = query
                    .bind(repo)
                    .bind(run.number)
                    .bind(run.attempt)
                    .bind(job.key.clone())
                    .bind(job.tried)
                    .bind(job.place)
                    .bind(job.name.clone())
                    .bind(job.state)
                    .bind(job.conclusion)
                    .bind(job.reason.clone())
                    .bind(job.runner.clone())
                    .bind(job.queued_at)
                    .bind(job.started_at)
                    .bind(job.completed_at)
                    .bind((job.attempt != run.attempt).then_some(job.attempt));
            }
            query.execute(&mut *connection).await?;
        }
        for job in run.jobs.iter().filter(|job| job.tried > 1 && job.attempt == run.attempt) {
            end_earlier_tries(connection, repo, run, job).await?;
        }
        Ok(())
    }
}

/// A job that is tried again was lost with its runner: state knows only the latest try, pages show both.
async fn end_earlier_tries(
    connection: &mut SqliteConnection,
    repo: i64,
    run: &RunProjection,
    job: &JobProjection,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE job SET state = 'completed', conclusion = 'lost', reason = 'the runner was lost; the job is tried again',
             completed_at = coalesce(?1, started_at, queued_at, 0)
         WHERE repo = ?2 AND run = ?3 AND attempt = ?4 AND key = ?5 AND tried < ?6 AND state <> 'completed'",
    )
    .bind(job.queued_at)
    .bind(repo)
    .bind(run.number)
    .bind(run.attempt)
    .bind(job.key.clone())
    .bind(job.tried)
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_run(connection: &mut SqliteConnection, repo: i64, run: &RunProjection) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO run (repo, number, attempt, event, subject, pull, git_ref, head_sha, sha, workflow, name, run_number,
                          state, conclusion, reason, created_at, completed_at, deployment, problem)
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)
         ON CONFLICT (repo, number, attempt) DO UPDATE SET name = excluded.name, sha = excluded.sha, state = excluded.state,
             conclusion = excluded.conclusion, reason = excluded.reason, completed_at = excluded.completed_at,
             deployment = excluded.deployment, problem = excluded.problem",
    )
    .bind(repo)
    .bind(run.number)
    .bind(run.attempt)
    .bind(run.event.clone())
    .bind(run.subject.clone())
    .bind(run.pull)
    .bind(run.git_ref.clone())
    .bind(run.head_sha.clone())
    .bind(run.sha.clone())
    .bind(run.workflow.clone())
    .bind(run.name.clone())
    .bind(run.run_number)
    .bind(run.state)
    .bind(run.conclusion)
    .bind(run.reason.clone())
    .bind(run.created_at)
    .bind(run.completed_at)
    .bind(run.deployment)
    .bind(run.problem.clone())
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_environment(
    connection: &mut SqliteConnection,
    repo: i64,
    environment: &Environment,
) -> sqlx::Result<()> {
    let lock = environment.lock.as_ref();
    sqlx::query(
        "INSERT INTO environment (repo, name, live_deployment, live_sha, lock_deployment, lock_since, lock_kept)
         VALUES (?,?,?,?,?,?,?)
         ON CONFLICT DO UPDATE SET live_deployment = excluded.live_deployment, live_sha = excluded.live_sha,
             lock_deployment = excluded.lock_deployment, lock_since = excluded.lock_since, lock_kept = excluded.lock_kept",
    )
    .bind(repo)
    .bind(environment.name.as_str().to_owned())
    .bind(environment.live.map(|(id, _)| id.0.cast_signed()))
    .bind(environment.live.map(|(_, sha)| sha.to_string()))
    .bind(lock.map(|lock| lock.deployment.0.cast_signed()))
    .bind(lock.map(|lock| lock.since.as_millis()))
    .bind(lock.and_then(|lock| lock.kept.clone()))
    .execute(connection)
    .await?;
    Ok(())
}

async fn environment_gone(connection: &mut SqliteConnection, repo: i64, name: &Arc<str>) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM environment WHERE repo = ? AND name = ?")
        .bind(repo)
        .bind(name.clone())
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_wish(connection: &mut SqliteConnection, repo: i64, wish: &DeployWish) -> sqlx::Result<()> {
    let (state, reason, deployment) = match &wish.state {
        WishState::Waiting { reason } => ("waiting", Some(reason.clone()), None),
        WishState::Creating { .. } => ("creating", None, None),
        WishState::Created(id) => ("created", None, Some(id.0.cast_signed())),
        WishState::Refused { reason } => ("refused", Some(reason.clone()), None),
    };
    sqlx::query(
        "INSERT INTO wish (repo, environment, sha, pull, since, state, reason, deployment) VALUES (?,?,?,?,?,?,?,?)
         ON CONFLICT DO UPDATE SET pull = excluded.pull, since = excluded.since, state = excluded.state,
             reason = excluded.reason, deployment = excluded.deployment",
    )
    .bind(repo)
    .bind(wish.environment.as_str().to_owned())
    .bind(wish.sha.to_string())
    .bind(wish.pull.0.cast_signed())
    .bind(wish.since.as_millis())
    .bind(state)
    .bind(reason)
    .bind(deployment)
    .execute(connection)
    .await?;
    Ok(())
}

async fn wish_gone(
    connection: &mut SqliteConnection,
    repo: i64,
    environment: &Arc<str>,
    sha: &str,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM wish WHERE repo = ? AND environment = ? AND sha = ?")
        .bind(repo)
        .bind(environment.clone())
        .bind(sha.to_owned())
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_deployment(
    connection: &mut SqliteConnection,
    repo: i64,
    row: &DeploymentProjection,
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO deployment (repo, id, environment, sha, git_ref, task, creator, ours, carrying, state, description,
                                 environment_url, run, seen_at)
         VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)
         ON CONFLICT DO UPDATE SET carrying = excluded.carrying, state = excluded.state, ours = excluded.ours,
             description = excluded.description, environment_url = excluded.environment_url, run = coalesce(excluded.run, run)",
    )
    .bind(repo)
    .bind(row.id)
    .bind(row.environment.clone())
    .bind(row.sha.clone())
    .bind(row.git_ref.clone())
    .bind(row.task.clone())
    .bind(row.creator.clone())
    .bind(row.ours)
    .bind(row.carrying)
    .bind(row.state)
    .bind(row.description.clone())
    .bind(row.environment_url.clone())
    .bind(row.run)
    .bind(row.seen_at)
    .execute(connection)
    .await?;
    Ok(())
}
