//! For trying the services from outside: a job that is no run's, and its variables.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Json;
use axum::extract::{Query, State};
use greenlight_core::id::{AttemptId, JobKey, RepoId, RunNumber};
use serde::Deserialize;

use super::bare::Bare;
use super::shape;
use crate::history::Refusal;
use crate::server::holders::{self, DEV_JOB_LENGTH};
use crate::server::{Shared, clock};
use crate::services::{Grant, JobIdentity, grant};

/// The repository that such jobs belong to: none of GitHub's.
const REPOSITORY: (RepoId, &str) = (RepoId(0), "greenlight/dev");
/// Its default branch.
const DEFAULT_BRANCH: &str = "main";

/// What the job is to be.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default, rename = "ref")]
    git_ref: Option<String>,
    #[serde(default)]
    base: Option<String>,
    #[serde(default)]
    run: Option<u64>,
    #[serde(default)]
    untrusted: bool,
}

/// `POST /api/v1/dev/job-env`.
pub async fn job_env(
    State(shared): State<Arc<Shared>>,
    Query(wanted): Query<Wanted>,
    _: Bare,
) -> Result<Json<shape::Variables>, Refusal> {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let now = clock::now();
    let made = MADE.fetch_add(1, Ordering::Relaxed);
    let job = format!("dev-{}-{made}", now.as_millis());
    let run = wanted.run.unwrap_or_else(|| now.as_millis().unsigned_abs() << 10 | (made & 0x3ff));
    let attempt = AttemptId {
        repo: REPOSITORY.0,
        run: RunNumber(run),
        run_attempt: 1,
        job: JobKey::from(job.as_str()),
        tried: 1,
    };
    if !shared.dev_jobs.add(attempt.clone()) {
        return Err(Refusal::Denied("too many such jobs were made in the last hours".into()));
    }
    let git_ref = wanted.git_ref.unwrap_or_else(|| format!("refs/heads/{DEFAULT_BRANCH}"));
    let grant = Grant {
        attempt,
        scopes: grant::scopes(&git_ref, wanted.base.as_deref(), DEFAULT_BRANCH, !wanted.untrusted),
        url: holders::address(&shared),
        identity: (!wanted.untrusted).then(|| identity(&git_ref, run)),
        until: now + DEV_JOB_LENGTH,
    };
    let given = shared.services.variables(&grant, now);
    let mut variables: BTreeMap<String, String> = given
        .actions
        .into_iter()
        .chain(given.steps)
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    let run_id = run.to_string();
    let github = [
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", REPOSITORY.1),
        ("GITHUB_RUN_ID", &run_id),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("GITHUB_JOB", &job),
        ("GITHUB_REF", &git_ref),
        ("GITHUB_ACTIONS", "true"),
        ("CI", "true"),
    ];
    variables.extend(github.map(|(name, value)| (name.to_owned(), value.to_owned())));
    Ok(Json(shape::Variables { variables }))
}

fn identity(git_ref: &str, run: u64) -> JobIdentity {
    let (owner, _) = REPOSITORY.1.split_once('/').unwrap_or_default();
    let claims = [
        ("sub", format!("repo:{}:ref:{git_ref}", REPOSITORY.1)),
        ("repository", REPOSITORY.1.to_owned()),
        ("repository_id", REPOSITORY.0.to_string()),
        ("repository_owner", owner.to_owned()),
        ("ref", git_ref.to_owned()),
        ("run_id", run.to_string()),
        ("run_attempt", "1".to_owned()),
        ("runner_environment", "self-hosted".to_owned()),
    ];
    claims.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect()
}
