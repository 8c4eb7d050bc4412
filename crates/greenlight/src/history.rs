//! What pages and API read: rows of the store for what happened, a look at the live state for what waits and why.
//!
//! Every query answers in the plain words of [`crate::api::shape`], or refuses with a sentence and a status.

mod deployments;
mod runs;
mod sentences;

use std::sync::Arc;

use axum::http::StatusCode;
use greenlight_core::fact::{Again, Wish};
use greenlight_core::id::{RepoId, RunNumber};
use greenlight_core::port::StoreError;
use serde::Deserialize;

use crate::api::shape;
use crate::server::Shared;
use crate::server::clock::written;
use crate::server::outbox::is_harmless;
use crate::server::repository::{Handle, Unavailable};

pub use deployments::{environments, unlock};
pub use runs::{attempt_of, deliveries, delivery, run, runs, runs_of_pull, summaries};
pub use sentences::why;

/// Lines of one page where nobody says how many.
const LIMIT: u32 = 50;
/// Most lines of one page.
const LIMIT_MAX: u32 = 100;

/// Why there is no answer: a sentence, and what kind of no it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such thing.
    Missing(Arc<str>),
    /// The question makes no sense.
    Wrong(Arc<str>),
    /// The address takes another method.
    Method(Arc<str>),
    /// The wish was denied.
    Denied(Arc<str>),
    /// Whoever asks is not on our own page.
    Foreign(Arc<str>),
    /// It cannot be told at the moment.
    Unavailable(Arc<str>),
}

impl Refusal {
    /// Returns the sentence.
    pub fn sentence(&self) -> &str {
        match self {
            Self::Missing(text)
            | Self::Wrong(text)
            | Self::Method(text)
            | Self::Denied(text)
            | Self::Foreign(text)
            | Self::Unavailable(text) => text,
        }
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Denied(_) => StatusCode::CONFLICT,
            Self::Foreign(_) => StatusCode::FORBIDDEN,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl From<Unavailable> for Refusal {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string().into())
    }
}

/// Which page of a list is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// Lines older than this one.
    pub before: Option<String>,
    /// How many.
    pub limit: Option<String>,
}

impl Page {
    /// Returns how many lines are wanted.
    pub fn limit(&self) -> Result<u32, Refusal> {
        let Some(text) = &self.limit else { return Ok(LIMIT) };
        let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
        limit.ok_or_else(|| Refusal::Wrong(format!("`limit` is a number from 1 to {LIMIT_MAX}, not `{text}`").into()))
    }
}

/// What somebody wants to know the reason of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A pull request.
    Pull(u64),
    /// A run.
    Run(u64),
    /// A deployment.
    Deployment(u64),
}

/// The same, as it stands behind the `?`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    pull: Option<u64>,
    run: Option<u64>,
    deployment: Option<u64>,
}

impl TryFrom<Asked> for About {
    type Error = Refusal;

    fn try_from(asked: Asked) -> Result<Self, Refusal> {
        match asked {
            Asked { pull: Some(number), run: None, deployment: None } => Ok(Self::Pull(number)),
            Asked { pull: None, run: Some(number), deployment: None } => Ok(Self::Run(number)),
            Asked { pull: None, run: None, deployment: Some(id) } => Ok(Self::Deployment(id)),
            _ => Err(Refusal::Wrong("say one of pull, run and deployment".into())),
        }
    }
}

/// Returns the repositories that are looked after, by name.
pub fn repositories(shared: &Shared) -> shape::Repositories {
    let mut repositories: Vec<shape::Repository> = shared
        .directory
        .all()
        .iter()
        .map(|handle| {
            let reference = handle.reference();
            shape::Repository {
                id: reference.id.0,
                trouble: shared.standing.of(&reference.full_name).map(|trouble| trouble.why.to_string()),
                config_problem: handle.config_problem().map(|problem| problem.to_string()),
                warning: shared.hosted.warning(reference.id).map(|warning| warning.to_string()),
                full_name: reference.full_name.to_string(),
                default_branch: reference.default_branch.to_string(),
            }
        })
        .collect();
    repositories.sort_by(|one, other| one.full_name.cmp(&other.full_name));
    shape::Repositories { repositories }
}

/// Returns the repository of this name.
pub fn handle(shared: &Shared, owner: &str, name: &str) -> Result<Handle, Refusal> {
    let full_name = format!("{owner}/{name}");
    shared.directory.by_name(&full_name).ok_or_else(|| match shared.standing.of("github") {
        Some(trouble) => Refusal::Missing(format!("{full_name} is not known yet: {}", trouble.why).into()),
        None => Refusal::Missing(format!("{full_name} is not looked after here").into()),
    })
}

/// Returns the name of a repository.
fn name_of(shared: &Shared, id: RepoId) -> String {
    shared
        .directory
        .by_id(id)
        .map_or_else(|| format!("repository {id}"), |handle| handle.reference().full_name.to_string())
}

/// Returns the wish that a path's last word means.
pub fn run_wish(word: &str, number: RunNumber) -> Result<Wish, Refusal> {
    match word {
        "rerun" => Ok(Wish::Rerun(number, Again::All)),
        "rerun-failed-jobs" => Ok(Wish::Rerun(number, Again::Failed)),
        "cancel" => Ok(Wish::Cancel(number)),
        "approve" => Ok(Wish::Approve(number)),
        other => Err(Refusal::Missing(
            format!("a run cannot `{other}`: it can rerun, rerun-failed-jobs, cancel or approve").into(),
        )),
    }
}

/// Submits a wish. A click is a fact: what becomes of it the core says.
pub async fn submit(handle: &Handle, by: &str, wish: Wish) -> Result<shape::Answer, Refusal> {
    match handle.wish(by, wish).await? {
        Ok(sentence) => Ok(shape::Answer { message: sentence.to_string() }),
        Err(sentence) => Err(Refusal::Denied(sentence)),
    }
}

/// Returns what the server waits for.
pub fn waits(shared: &Shared) -> Vec<shape::Wait> {
    let all = shared.standing.all();
    all.into_iter()
        .map(|(what, trouble)| shape::Wait {
            what: what.to_string(),
            why: trouble.why.to_string(),
            since: written(trouble.since),
        })
        .collect()
}

/// Returns whether the server can do its work: the memory is asked now, everything else is known.
pub async fn readiness(shared: &Shared) -> shape::Readiness {
    match shared.store.probe().await {
        Ok(()) => shared.standing.clear("store"),
        Err(error) => shared.standing.wait("store", error.to_string()),
    }
    let waits = waits(shared);
    shape::Readiness { ok: waits.iter().all(|wait| is_harmless(&wait.what)), waits }
}
