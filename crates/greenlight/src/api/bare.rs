//! A request whose address says everything: its body is empty, or it is refused. What somebody wrote there would not be heeded,
//! and they had better know.

use std::fmt::Display;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use crate::history::Refusal;

/// There is nothing in the body.
pub struct Bare;

impl<S: Send + Sync> FromRequest<S> for Bare {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let wrong = |why: &dyn Display| {
            Refusal::Wrong(format!("the body cannot be used ({why}): this address takes none, or {{}}").into())
        };
        let body = Bytes::from_request(request, state).await.map_err(|error| wrong(&error))?;
        if body.trim_ascii().is_empty() {
            return Ok(Self);
        }
        let fields: Map<String, Value> = serde_json::from_slice(&body).map_err(|error| wrong(&error))?;
        match fields.keys().next() {
            None => Ok(Self),
            Some(name) => Err(wrong(&format!("it says `{}`", name.escape_debug()))),
        }
    }
}
