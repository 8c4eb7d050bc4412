//! What actions ask for while their job runs: artifacts, caches, and tokens that say who the job is.
//!
//! A job is given a signed token ([`token`]) that says which job it is and which caches it may see ([`grant`]). With it an action
//! asks the artifact service ([`artifact`]) or the cache service ([`cache`], [`cache_v1`]) for an address that is signed as well
//! ([`signed`]), and sends or fetches the bytes there ([`bytes`]). The identity service ([`oidc`]) answers with a token that others
//! can check against our public key ([`keys`]). What is old goes ([`sweep`]).
//!
//! The server has these routes on its public listener; `greenlight exec` has them on a listener of its own. This module refuses to know
//! how a job is run: whether one still runs is asked of [`Jobs`].

pub mod keys;
pub mod token;
pub mod grant;
pub mod signed;

mod protobuf;
mod message;
mod twirp;

mod artifact;
mod cache;
mod cache_v1;
mod bytes;
mod oidc;
pub mod sweep;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use greenlight_core::id::AttemptId;
use greenlight_core::port::Reply;
use greenlight_store::{Blobs, Database};
use tokio::sync::SetOnce;

use crate::server::clock;
pub use grant::{Grant, JobIdentity};
use keys::{Keys, KeysError};
use signed::Uploads;
pub use token::Variables;

/// How long artifacts are kept where nobody says otherwise.
pub const ARTIFACTS_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long a cache is kept that nobody asks for.
pub const CACHES_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// How many bytes of caches a repository has.
pub const CACHE_BYTES_MAX: u64 = 10 << 30;
/// How many bytes of artifacts a repository has.
pub const ARTIFACT_BYTES_MAX: u64 = 50 << 30;
/// How large one artifact or cache may be.
pub const OBJECT_BYTES_MAX: u64 = 10 << 30;

/// Who knows whether a job still runs.
pub trait Jobs: Send + Sync {
    /// Does a runner hold this attempt now?
    fn is_held<'a>(&'a self, attempt: &'a AttemptId) -> Reply<'a, bool>;
}

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long artifacts are kept.
    pub artifacts_kept: Duration,
    /// How long a cache is kept that nobody asks for.
    pub caches_kept: Duration,
    /// How many bytes of artifacts a repository has.
    pub artifact_bytes_max: u64,
    /// How many bytes of caches a repository has.
    pub cache_bytes_max: u64,
    /// How large one artifact or cache may be.
    pub object_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            artifacts_kept: ARTIFACTS_KEPT,
            caches_kept: CACHES_KEPT,
            artifact_bytes_max: ARTIFACT_BYTES_MAX,
            cache_bytes_max: CACHE_BYTES_MAX,
            object_bytes_max: OBJECT_BYTES_MAX,
        }
    }
}

/// The services.
pub struct Services {
    store: Arc<Database>,
    blobs: Blobs,
    keys: Keys,
    limits: Limits,
    uploads: Uploads,
    jobs: OnceLock<Arc<dyn Jobs>>,
    issuer: OnceLock<Arc<str>>,
}

impl Services {
    /// Opens the services; their keys lie in `folder`, and are made where they are not there.
    pub fn open(folder: &Path, store: Arc<Database>, blobs: Blobs, limits: Limits) -> Result<Self, KeysError> {
        Ok(Self {
            store,
            blobs,
            keys: Keys::open(folder)?,
            limits,
            uploads: Uploads::default(),
            jobs: OnceLock::new(),
            issuer: OnceLock::new(),
        })
    }

    /// Says who knows the jobs, and under which address identity tokens are issued. Only the first word counts.
    pub fn begin(&self, jobs: Arc<dyn Jobs>, issuer: impl Into<Arc<str>>) {
        // Told twice is told once.
        let _ = (self.jobs.set(jobs), self.issuer.set(issuer.into()));
    }

    fn issuer(&self) -> &str {
        self.issuer.get().map_or("http://localhost", |issuer| issuer)
    }

    /// Does the job still run? Where nobody knows, it does not.
    async fn is_held(&self, attempt: &AttemptId) -> bool {
        match self.jobs.get() {
            Some(jobs) => jobs.is_held(attempt).await,
            None => false,
        }
    }

    /// Returns what the bearer of a token may do; nothing where the token is not ours, too old, or its job is over.
    async fn grant(&self, headers: &HeaderMap, purpose: token::Purpose) -> Option<Grant> {
        let header = headers.get(axum::http::header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, text) = header.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let grant = token::read(&self.keys, purpose, text.trim(), clock::now())?;
        self.is_held(&grant.attempt).await.then_some(grant)
    }
}

/// The place of the services: there from the first moment, though what stands behind is still being opened.
pub type Place = SetOnce<Arc<Services>>;

/// Returns the routes of the services.
pub fn routes(place: Arc<Place>) -> Router {
    Router::new()
        .route("/twirp/{service}/{method}", post(twirp::call))
        .route("/blobs/{kind}/{id}/{name}", any(bytes::door))
        .route("/cache/_apis/artifactcache/cache", get(cache_v1::find))
        .route("/cache/_apis/artifactcache/caches", get(cache_v1::list).post(cache_v1::reserve))
        .route("/cache/_apis/artifactcache/caches/{id}", axum::routing::patch(cache_v1::send).post(cache_v1::commit))
        .route("/oidc/token", get(oidc::token))
        .route("/oidc/jwks", get(oidc::jwks))
        .route("/.well-known/openid-configuration", get(oidc::configuration))
        .with_state(place)
}

async fn at(State(place): State<Arc<Place>>) -> Arc<Services> {
    match place.get() {
        Some(services) => services.clone(),
        None => place.wait().await.clone(),
    }
}

fn said(status: StatusCode, what: impl std::fmt::Display) -> Response {
    (status, format!("{what}\n")).into_response()
}
