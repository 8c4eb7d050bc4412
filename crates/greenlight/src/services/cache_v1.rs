//! The cache service as it was before: what clients use where they take us for GitHub Enterprise Server, and older actions.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use greenlight_store::{ObjectRow, ObjectState};
use serde::Deserialize;
use serde_json::json;

use super::cache::{self, Reserved};
use super::signed::{self, Permit};
use super::twirp::Failed;
use super::{Grant, Place, Services, bytes, token};
use crate::server::clock;

/// How large a call may be.
const CALL_SIZE_MAX: usize = 64 << 10;
/// The most pieces that a cache is sent in.
const PIECES_MAX: usize = 10_000;

/// Which caches are asked for.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    keys: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reserve {
    key: String,
    version: String,
    #[serde(default)]
    cache_size: Option<u64>,
}

#[derive(Deserialize)]
struct Commit {
    size: u64,
}

/// `GET cache?keys=a,b&version=V`.
pub async fn find(State(place): State<Arc<Place>>, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    let services = super::at(State(place)).await;
    let found = async {
        let grant = granted(&services, &headers).await?;
        let keys: Vec<&str> = wanted.keys.split(',').filter(|key| !key.is_empty()).collect();
        let found = cache::find(&services, &grant, &keys, &wanted.version).await?;
        Ok::<_, Failed>(found.map(|row| shown(&services, &grant, &row)))
    };
    match found.await {
        Ok(Some(found)) => Json(found).into_response(),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(failed) => failed.into_response(),
    }
}

fn shown(services: &Services, grant: &Grant, row: &ObjectRow) -> serde_json::Value {
    json!({
        "result": "hit",
        "cacheKey": row.at.name,
        "scope": row.at.scope,
        "cacheVersion": row.at.version,
        "creationTime": cache::written(row.created_at),
        "archiveLocation": signed::address(&services.keys, &grant.url, Permit::Read, row, clock::now()),
    })
}

/// `GET caches?key=`: what clients print where nothing was found.
pub async fn list(State(place): State<Arc<Place>>, headers: HeaderMap) -> Response {
    let services = super::at(State(place)).await;
    match granted(&services, &headers).await {
        Ok(_) => Json(json!({ "totalCount": 0, "artifactCaches": [] })).into_response(),
        Err(failed) => failed.into_response(),
    }
}

/// `POST caches`.
pub async fn reserve(State(place): State<Arc<Place>>, request: Request) -> Response {
    let services = super::at(State(place)).await;
    let (parts, body) = request.into_parts();
    let reserved = async {
        let grant = granted(&services, &parts.headers).await?;
        let asked: Reserve = read(body).await?;
        if asked.cache_size.is_some_and(|size| size > services.limits.object_bytes_max) {
            return Err(Failed::invalid(format!(
                "a cache has at most {} bytes; this one would have more",
                services.limits.object_bytes_max
            )));
        }
        match cache::reserve(&services, &grant, &asked.key, &asked.version).await? {
            Reserved::Begun(row) => Ok(row.id),
            Reserved::Taken(why) => Err(Failed::exists(why)),
        }
    };
    match reserved.await {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "cacheId": id }))).into_response(),
        Err(failed) => failed.into_response(),
    }
}

/// `PATCH caches/ID` with `Content-Range: bytes 0-199/*`.
pub async fn send(State(place): State<Arc<Place>>, Path(id): Path<i64>, request: Request) -> Response {
    let services = super::at(State(place)).await;
    let (parts, body) = request.into_parts();
    let sent = async {
        let grant = granted(&services, &parts.headers).await?;
        let row = own(&services, &grant, id).await?;
        let range = parts.headers.get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
        let (from, to) = span(range).ok_or_else(|| Failed::invalid("Content-Range is missing, or none of ours"))?;
        let length = bytes::keep(&services, &row, &piece(&row, from), body).await?;
        if length != to - from + 1 {
            return Err(Failed::invalid(format!("{length} bytes came where Content-Range names {}", to - from + 1)));
        }
        Ok(())
    };
    match sent.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(failed) => failed.into_response(),
    }
}

/// `POST caches/ID` with the whole size.
pub async fn commit(State(place): State<Arc<Place>>, Path(id): Path<i64>, request: Request) -> Response {
    let services = super::at(State(place)).await;
    let (parts, body) = request.into_parts();
    let committed = async {
        let grant = granted(&services, &parts.headers).await?;
        let asked: Commit = read(body).await?;
        let row = own(&services, &grant, id).await?;
        if row.state == ObjectState::Open {
            bytes::complete(&services, &row, None, pieces(&services, &row).await?).await?;
        }
        let row = own(&services, &grant, id).await?;
        bytes::check(&row, asked.size, None)?;
        cache::seal(&services, &row).await
    };
    match committed.await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(failed) => failed.into_response(),
    }
}

/// Returns the pieces in order. A hole between them is an error.
async fn pieces(services: &Services, row: &ObjectRow) -> Result<Vec<(String, u64)>, Failed> {
    let mut keys = services.blobs.list(&bytes::folder(row.id)).await?;
    keys.sort();
    if keys.len() > PIECES_MAX {
        return Err(Failed::invalid(format!("a cache comes in at most {PIECES_MAX} pieces")));
    }
    let (mut pieces, mut end) = (Vec::with_capacity(keys.len()), 0);
    for key in keys {
        let length = services.blobs.size(&key).await?.unwrap_or(0);
        if key != piece(row, end) {
            return Err(Failed::invalid(format!("the bytes from {end} on have not come")));
        }
        end += length;
        pieces.push((key, length));
    }
    Ok(pieces)
}

/// Returns the key of the piece that begins here: keys sort as the pieces do.
fn piece(row: &ObjectRow, from: u64) -> String {
    format!("{}/from-{from:020}", bytes::folder(row.id))
}

/// Reads `bytes 0-199/*`.
fn span(range: &str) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes ")?.split_once('/')?.0.split_once('-')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some((from, to))
}

async fn granted(services: &Services, headers: &HeaderMap) -> Result<Grant, Failed> {
    let grant = services.grant(headers, token::Purpose::Runtime).await;
    grant.ok_or_else(|| Failed::forbidden("the token is not valid: it ends with its job"))
}

/// Returns the row that this job has begun.
async fn own(services: &Services, grant: &Grant, id: i64) -> Result<ObjectRow, Failed> {
    let owner = cache::owner(services, grant);
    let row = services.store.object(id).await?;
    let row = row.filter(|row| row.owner == owner && row.at.repo == grant.attempt.repo && !row.at.scope.is_empty());
    row.ok_or_else(|| Failed::missing("this job has begun no such cache"))
}

async fn read<T: serde::de::DeserializeOwned>(body: Body) -> Result<T, Failed> {
    let body = axum::body::to_bytes(body, CALL_SIZE_MAX)
        .await
        .map_err(|_| Failed::invalid(format!("the call broke off, or is larger than {CALL_SIZE_MAX} bytes")))?;
    serde_json::from_slice(&body).map_err(|error| Failed::invalid(format!("the body cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_read() {
        assert_eq!(span("bytes 0-199/*"), Some((0, 199)));
        assert_eq!(span("bytes 5-4/*"), None);
        assert_eq!(span("0-199"), None);
    }
}
