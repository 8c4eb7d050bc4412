//! A job's log as text, from any line, and live where that is asked for.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use crate::history::{self, Refusal};
use crate::pages;
use crate::server::Shared;

/// Which part of a log.
#[derive(Debug, Default, Deserialize)]
pub struct Part {
    /// The first line, from 1.
    from: Option<u64>,
    /// Stay until the job is over.
    #[serde(default)]
    follow: bool,
}

/// Returns the log.
pub async fn logs(
    Path((owner, repo, number, key)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
    Query(part): Query<Part>,
) -> Result<Response, Refusal> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let attempt = history::attempt_of(&shared, &handle, number, &key).await?;
    Ok(pages::raw_log(shared, attempt, part.from.unwrap_or(1).saturating_sub(1), part.follow))
}
