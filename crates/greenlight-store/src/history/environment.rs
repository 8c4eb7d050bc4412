//! Environments, what waits for them, and their deployments.

use greenlight_core::id::{DeploymentId, EnvironmentName, PullNumber, RepoId, RunNumber, Sha};
use greenlight_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{at, limit_of, maybe_at, maybe_number, sha};

/// The most environments of a repository that a page shows.
const ENVIRONMENTS_MAX: i64 = 200;

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentRow {
    /// Its name.
    pub name: EnvironmentName,
    /// What is live.
    pub live: Option<(DeploymentId, Sha)>,
    /// Who holds it, and since when.
    pub lock: Option<(DeploymentId, Timestamp)>,
    /// Why the lock outlives its deployment.
    pub lock_kept: Option<String>,
    /// What is to be deployed, the oldest first.
    pub wishes: Vec<WishRow>,
    /// Its deployments, the newest first.
    pub deployments: Vec<DeploymentRow>,
}

/// A commit that is to be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WishRow {
    /// The commit.
    pub sha: Sha,
    /// The pull request that it comes from.
    pub pull: PullNumber,
    /// Since when.
    pub since: Timestamp,
    /// "waiting", "creating", "created", "refused".
    pub state: String,
    /// Why, in one sentence.
    pub reason: Option<String>,
    /// The deployment that was made.
    pub deployment: Option<DeploymentId>,
}

/// A deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentRow {
    /// GitHub's id.
    pub id: DeploymentId,
    /// The commit.
    pub sha: Sha,
    /// The ref that it was asked for with.
    pub git_ref: String,
    /// "deploy", mostly.
    pub task: String,
    /// Who made it.
    pub creator: String,
    /// Did we make it?
    pub ours: bool,
    /// "watched", "waiting", "started", "done".
    pub carrying: String,
    /// GitHub's word for its state, where it has one.
    pub state: Option<String>,
    /// Why, in one sentence.
    pub description: Option<String>,
    /// Where the deployed thing is.
    pub environment_url: Option<String>,
    /// The run that decides it.
    pub run: Option<RunNumber>,
    /// When it was seen first.
    pub seen_at: Timestamp,
}

pub async fn list(
    connection: &mut SqliteConnection,
    repo: RepoId,
    deployments: usize,
) -> sqlx::Result<Vec<EnvironmentRow>> {
    // One that nothing is configured for, and that was deployed to by others, is shown too.
    let rows = sqlx::query(
        "SELECT name, live_deployment, live_sha, lock_deployment, lock_since, lock_kept FROM environment WHERE repo = ?1
         UNION ALL
         SELECT DISTINCT environment, NULL, NULL, NULL, NULL, NULL FROM deployment
         WHERE repo = ?1 AND environment NOT IN (SELECT name FROM environment WHERE repo = ?1)
         LIMIT ?2",
    )
    .bind(repo.0.cast_signed())
    .bind(ENVIRONMENTS_MAX)
    .fetch_all(&mut *connection)
    .await?;
    let mut environments = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut environment = environment_row(row)?;
        environment.wishes = wishes(connection, repo, &environment.name).await?;
        environment.deployments = latest(connection, repo, &environment.name, deployments).await?;
        environments.push(environment);
    }
    Ok(environments)
}

async fn wishes(
    connection: &mut SqliteConnection,
    repo: RepoId,
    environment: &EnvironmentName,
) -> sqlx::Result<Vec<WishRow>> {
    let rows = sqlx::query("SELECT * FROM wish WHERE repo = ? AND environment = ? ORDER BY since LIMIT ?")
        .bind(repo.0.cast_signed())
        .bind(environment.as_str().to_owned())
        .bind(ENVIRONMENTS_MAX)
        .fetch_all(connection)
        .await?;
    rows.iter().map(wish_row).collect()
}

async fn latest(
    connection: &mut SqliteConnection,
    repo: RepoId,
    environment: &EnvironmentName,
    limit: usize,
) -> sqlx::Result<Vec<DeploymentRow>> {
    let rows = sqlx::query("SELECT * FROM deployment WHERE repo = ? AND environment = ? ORDER BY id DESC LIMIT ?")
        .bind(repo.0.cast_signed())
        .bind(environment.as_str().to_owned())
        .bind(limit_of(limit))
        .fetch_all(connection)
        .await?;
    rows.iter().map(deployment_row).collect()
}

fn environment_row(row: &SqliteRow) -> sqlx::Result<EnvironmentRow> {
    let live = match maybe_number(row, "live_deployment") {
        Some(id) => Some((DeploymentId(id), sha(row, "live_sha")?)),
        None => None,
    };
    Ok(EnvironmentRow {
        name: EnvironmentName::from(row.get::<&str, _>("name")),
        live,
        lock: maybe_number(row, "lock_deployment").map(DeploymentId).zip(maybe_at(row, "lock_since")),
        lock_kept: row.get("lock_kept"),
        wishes: Vec::new(),
        deployments: Vec::new(),
    })
}

fn wish_row(row: &SqliteRow) -> sqlx::Result<WishRow> {
    Ok(WishRow {
        sha: sha(row, "sha")?,
        pull: PullNumber(row.get::<i64, _>("pull").cast_unsigned()),
        since: at(row, "since"),
        state: row.get("state"),
        reason: row.get("reason"),
        deployment: maybe_number(row, "deployment").map(DeploymentId),
    })
}

fn deployment_row(row: &SqliteRow) -> sqlx::Result<DeploymentRow> {
    Ok(DeploymentRow {
        id: DeploymentId(row.get::<i64, _>("id").cast_unsigned()),
        sha: sha(row, "sha")?,
        git_ref: row.get("git_ref"),
        task: row.get("task"),
        creator: row.get("creator"),
        ours: row.get("ours"),
        carrying: row.get("carrying"),
        state: row.get("state"),
        description: row.get("description"),
        environment_url: row.get("environment_url"),
        run: maybe_number(row, "run").map(RunNumber),
        seen_at: at(row, "seen_at"),
    })
}
