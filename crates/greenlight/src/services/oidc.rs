//! Who a job is, for clouds and registries: a signed token, and where its key is found.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Place, said, token};
use crate::server::clock;

/// How long an identity token lasts.
const LENGTH: Duration = Duration::from_secs(5 * 60);
/// How long an audience may be.
const AUDIENCE_LENGTH_MAX: usize = 1024;
/// How long others may keep our key.
const KEYS_KEPT: &str = "public, max-age=3600";
/// What identity tokens say.
const CLAIMS: &[&str] = &[
    "sub",
    "aud",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "ref",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "repository_visibility",
    "run_id",
    "run_number",
    "run_attempt",
    "runner_environment",
    "actor",
    "actor_id",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "head_ref",
    "base_ref",
    "event_name",
    "ref_type",
    "environment",
    "job_workflow_ref",
    "job_workflow_sha",
    "sha",
];

/// For whom a token is to be.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    audience: Option<String>,
}

/// `GET /oidc/token`: a token for one audience; by default the repository's owner at GitHub.
pub async fn token(State(place): State<Arc<Place>>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let services = super::at(State(place)).await;
    let Some(grant) = services.grant(&headers, token::Purpose::Identity).await else {
        return said(StatusCode::UNAUTHORIZED, "the token is not valid: it ends with its job");
    };
    let Some(mut claims) = grant.identity else {
        return said(StatusCode::FORBIDDEN, "the job has no permission id-token: write");
    };
    let owner = claims.get("repository_owner").and_then(Value::as_str).unwrap_or_default();
    let audience = asked.audience.filter(|audience| !audience.is_empty());
    let audience = audience.unwrap_or_else(|| format!("https://github.com/{owner}"));
    if audience.len() > AUDIENCE_LENGTH_MAX {
        return said(StatusCode::BAD_REQUEST, format!("an audience has at most {AUDIENCE_LENGTH_MAX} bytes"));
    }
    let now = clock::now();
    let own = [
        ("iss", json!(services.issuer())),
        ("aud", json!(audience)),
        ("iat", json!(token::seconds(now))),
        ("nbf", json!(token::seconds(now))),
        ("exp", json!(token::seconds(now + LENGTH))),
        ("jti", json!(uuid::Uuid::new_v4().to_string())),
    ];
    claims.extend(own.map(|(name, value)| (name.to_owned(), value)));
    let value = token::write_public(&services.keys, &Value::Object(claims));
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "value": value }))).into_response()
}

/// `GET /.well-known/openid-configuration`.
pub async fn configuration(State(place): State<Arc<Place>>) -> Response {
    let services = super::at(State(place)).await;
    let issuer = services.issuer();
    Json(json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/oidc/jwks"),
        "subject_types_supported": ["public", "pairwise"],
        "response_types_supported": ["id_token"],
        "claims_supported": CLAIMS,
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid"],
    }))
    .into_response()
}

/// `GET /oidc/jwks`.
pub async fn jwks(State(place): State<Arc<Place>>) -> Response {
    let services = super::at(State(place)).await;
    ([(header::CACHE_CONTROL, KEYS_KEPT)], Json(json!({ "keys": [services.keys.public()] }))).into_response()
}
