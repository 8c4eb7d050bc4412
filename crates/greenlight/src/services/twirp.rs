//! Calls of the artifact service and the cache service: JSON or protocol buffers over POST, errors as a status with a code.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::message::{self, Method};
use super::protobuf::{self, number_of};
use super::{Grant, Place, Services, artifact, cache, token};

/// The services' names.
const ARTIFACTS: &str = "github.actions.results.api.v1.ArtifactService";
const CACHES: &str = "github.actions.results.api.v1.CacheService";
/// How large a call may be.
const CALL_SIZE_MAX: usize = 1 << 20;

/// A call that failed, in Twirp's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Failed {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The call itself is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", message)
    }

    /// There is no such thing.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// There is one already.
    pub fn exists(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "already_exists", message)
    }

    /// The token does not allow it.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "permission_denied", message)
    }

    /// There is no room.
    pub fn full(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, "failed_precondition", message)
    }

    /// The memory failed: the same call may succeed later.
    pub fn unavailable(error: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string())
    }
}

impl From<greenlight_core::port::StoreError> for Failed {
    fn from(error: greenlight_core::port::StoreError) -> Self {
        Self::unavailable(error)
    }
}

impl From<greenlight_store::BlobError> for Failed {
    fn from(error: greenlight_store::BlobError) -> Self {
        Self::unavailable(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (self.status, axum::Json(json!({ "code": self.code, "msg": self.message }))).into_response()
    }
}

/// What was asked.
pub struct Asked {
    fields: Map<String, Value>,
}

impl Asked {
    /// Returns a text; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns a text that may be missing.
    pub fn maybe_text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    /// Returns a whole number that may be missing.
    pub fn maybe_number(&self, name: &str) -> Option<i64> {
        number_of(self.fields.get(name)?)
    }

    /// Returns a length; an error names it.
    pub fn length(&self, name: &str) -> Result<u64, Failed> {
        let number = self.maybe_number(name).unwrap_or(0);
        u64::try_from(number).map_err(|_| Failed::invalid(format!("{name} is less than nothing")))
    }

    /// Returns a list of texts.
    pub fn texts(&self, name: &str) -> Vec<&str> {
        let list = self.fields.get(name).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }
}

/// `POST /twirp/SERVICE/METHOD`.
pub async fn call(
    State(place): State<Arc<Place>>,
    Path((service, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    let services = super::at(State(place)).await;
    let is_protobuf = is_protobuf(&request);
    match perform(&services, &service, &name, request, is_protobuf).await {
        Ok((method, reply)) if is_protobuf => {
            let fields = reply.as_object().cloned().unwrap_or_default();
            let body = protobuf::encode(&fields, method.reply);
            ([(header::CONTENT_TYPE, "application/protobuf")], body).into_response()
        }
        Ok((_, reply)) => axum::Json(reply).into_response(),
        Err(failed) => {
            tracing::debug!("{service}/{name} failed: {}", failed.message);
            failed.into_response()
        }
    }
}

fn is_protobuf(request: &Request) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/protobuf") || kind.starts_with("application/x-protobuf")
}

async fn perform(
    services: &Services,
    service: &str,
    name: &str,
    request: Request,
    is_protobuf: bool,
) -> Result<(&'static Method, Value), Failed> {
    let bad_route = || Failed::new(StatusCode::NOT_FOUND, "bad_route", format!("there is no {service}/{name}"));
    let method = message::of(name).ok_or_else(bad_route)?;
    let (parts, body) = request.into_parts();
    let grant = services.grant(&parts.headers, token::Purpose::Runtime).await.ok_or_else(|| {
        let why = "the token is not valid: it ends with its job, and is passed to actions as ACTIONS_RUNTIME_TOKEN";
        Failed::new(StatusCode::UNAUTHORIZED, "unauthenticated", why)
    })?;
    let body = axum::body::to_bytes(body, CALL_SIZE_MAX)
        .await
        .map_err(|_| Failed::invalid(format!("the call broke off, or is larger than {CALL_SIZE_MAX} bytes")))?;
    let fields = match is_protobuf {
        true => protobuf::decode(&body, method.request).map_err(|error| Failed::invalid(error.to_string()))?,
        false => read_json(&body)?,
    };
    let asked = Asked { fields };
    let reply = match (service, name) {
        (ARTIFACTS, "CreateArtifact") => artifact::create(services, &grant, &asked).await,
        (ARTIFACTS, "FinalizeArtifact") => artifact::finalize(services, &grant, &asked).await,
        (ARTIFACTS, "ListArtifacts") => artifact::list(services, &grant, &asked).await,
        (ARTIFACTS, "GetSignedArtifactURL") => artifact::address(services, &grant, &asked).await,
        (ARTIFACTS, "DeleteArtifact") => artifact::delete(services, &grant, &asked).await,
        (CACHES, "CreateCacheEntry") => cache::create(services, &grant, &asked).await,
        (CACHES, "FinalizeCacheEntryUpload") => cache::finalize(services, &grant, &asked).await,
        (CACHES, "GetCacheEntryDownloadURL") => cache::address(services, &grant, &asked).await,
        _ => Err(bad_route()),
    };
    Ok((method, reply?))
}

/// Reads JSON; names may be written as `like_this` or as `likeThis`.
fn read_json(body: &[u8]) -> Result<Map<String, Value>, Failed> {
    let malformed = |error| Failed::new(StatusCode::BAD_REQUEST, "malformed", format!("the body is no JSON: {error}"));
    let fields: Map<String, Value> = serde_json::from_slice(body).map_err(malformed)?;
    Ok(fields.into_iter().map(|(name, value)| (snake(&name), value)).collect())
}

fn snake(name: &str) -> String {
    let mut text = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

/// Refuses a call whose names of run and job are not those of its token.
pub fn check_names(services: &Services, grant: &Grant, asked: &Asked) -> Result<String, Failed> {
    let (run, job) = grant.backend_ids(&services.keys);
    if asked.text("workflow_run_backend_id") != run || asked.text("workflow_job_run_backend_id") != job {
        return Err(Failed::forbidden("the token is of another run or job"));
    }
    Ok(job)
}
