//! Reads bodies, each within its bound and all of them together within one.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use tokio::sync::Semaphore;

/// Bodies up to this size are small: nearly all deliveries.
const SMALL_SIZE_MAX: usize = 256 << 10;
/// Bodies that are read at once.
const COUNT_MAX: usize = 512;
/// Bodies larger than that that are read at once: together they stay below what a small machine has.
const LARGE_COUNT_MAX: usize = 4;
/// How long a body may take to arrive.
const ARRIVE_WITHIN: Duration = Duration::from_secs(30);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is too large.
    TooLarge {
        /// The most that there may be.
        limit: usize,
    },
    /// It did not arrive in time.
    TooSlow,
    /// The connection broke.
    Broken,
    /// Too many others are being read.
    Crowded,
}

impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        match self {
            Self::TooLarge { limit } => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is larger than {limit} bytes, the most that GitHub sends\n"),
            )
                .into_response(),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n").into_response(),
            Self::Broken => (StatusCode::BAD_REQUEST, "the body broke off\n").into_response(),
            Self::Crowded => (
                StatusCode::SERVICE_UNAVAILABLE,
                [(header::RETRY_AFTER, "1")],
                "too many deliveries at once; send it again\n",
            )
                .into_response(),
        }
    }
}

/// The room that there is for bodies.
pub struct Bodies {
    all: Semaphore,
    large: Semaphore,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { all: Semaphore::new(COUNT_MAX), large: Semaphore::new(LARGE_COUNT_MAX) }
    }
}

impl Bodies {
    /// Reads a body of at most `limit` bytes.
    pub async fn read(&self, body: Body, length: Option<&str>, limit: usize) -> Result<Arc<[u8]>, BodyError> {
        let length = length.and_then(|length| length.parse::<usize>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(BodyError::TooLarge { limit });
        }
        let expected = length.unwrap_or(limit);
        let _room = self.all.try_acquire().map_err(|_| BodyError::Crowded)?;
        tokio::time::timeout(ARRIVE_WITHIN, self.collect(body, expected, limit))
            .await
            .map_err(|_| BodyError::TooSlow)?
    }

    /// A body that was only announced takes none of the few places for large ones: anybody may announce.
    async fn collect(&self, body: Body, expected: usize, limit: usize) -> Result<Arc<[u8]>, BodyError> {
        let mut large = None;
        let (mut whole, mut parts) = match first_part(body, expected, limit).await? {
            First::Whole(body) => return Ok(body),
            First::Part(part, parts) => (part, parts),
        };
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| BodyError::Broken)?;
            if whole.len() + part.len() > limit {
                return Err(BodyError::TooLarge { limit });
            }
            if large.is_none() && whole.len() + part.len() > SMALL_SIZE_MAX {
                large = Some(self.large.try_acquire().map_err(|_| BodyError::Crowded)?);
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }
}

/// The beginning of a body.
enum First {
    /// It is all there.
    Whole(Arc<[u8]>),
    /// More follows.
    Part(Vec<u8>, BodyDataStream),
}

async fn first_part(body: Body, expected: usize, limit: usize) -> Result<First, BodyError> {
    let mut parts = body.into_data_stream();
    let Some(first) = parts.next().await else { return Ok(First::Whole(Arc::new([]))) };
    let first = first.map_err(|_| BodyError::Broken)?;
    if first.len() > limit {
        return Err(BodyError::TooLarge { limit });
    }
    if first.len() == expected {
        return Ok(First::Whole(Arc::from(&first[..])));
    }
    let mut whole = Vec::with_capacity(expected.min(SMALL_SIZE_MAX));
    whole.extend_from_slice(&first);
    Ok(First::Part(whole, parts))
}
