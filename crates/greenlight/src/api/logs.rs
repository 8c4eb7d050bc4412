//! A job's log as text, from any line, and live where that is asked for; or as server-sent events, for those who come back.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::history::{self, Refusal};
use crate::pages;
use crate::server::Shared;

/// What asks for events in place of text.
const EVENTS: &str = "text/event-stream";

/// Which part of a log.
#[derive(Debug, Default, Deserialize)]
pub struct Part {
    /// The first line, from 1.
    from: Option<u64>,
    /// Stay until the job is over.
    #[serde(default)]
    follow: bool,
}

/// Returns the summaries of a job's steps.
pub async fn summary(
    Path((owner, repo, number, key)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Refusal> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let texts = history::summaries(&shared, &handle, number, &key).await?;
    Ok(([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], texts.join("\n")).into_response())
}

/// Returns the log.
pub async fn logs(
    Path((owner, repo, number, key)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
    Query(part): Query<Part>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let attempt = history::attempt_of(&shared, &handle, number, &key).await?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::ACCEPT.as_str()).is_some_and(|accept| accept.contains(EVENTS)) {
        let seen = text("last-event-id").and_then(|id| id.parse().ok());
        let from = seen.unwrap_or_else(|| part.from.unwrap_or(1).saturating_sub(1));
        return Ok(pages::log_events(shared, attempt, from).await);
    }
    Ok(pages::raw_log(shared, attempt, part.from.unwrap_or(1).saturating_sub(1), part.follow))
}
