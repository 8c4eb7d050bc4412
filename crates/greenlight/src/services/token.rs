//! The tokens that a job's actions carry: JSON web tokens that only we read again. Clients look into them, too, for the names of run and job.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use greenlight_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Services;
use super::grant::{Grant, GrantShape};
use super::keys::Keys;

/// How long a token may be.
const LENGTH_MAX: usize = 16 << 10;
/// The header of our own tokens.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
/// Permissions on caches, as clients know them: 1 to read, 2 to write.
const CACHE_READ: u8 = 1;
const CACHE_READ_WRITE: u8 = 3;

/// What a token is for. One cannot be used in place of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Artifacts and caches.
    Runtime,
    /// Asking for an identity token.
    Identity,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: Arc<str>,
    iat: i64,
    nbf: i64,
    exp: i64,
    purpose: Purpose,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    scp: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    ac: String,
    greenlight: GrantShape,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CacheAccess<'a> {
    scope: &'a str,
    permission: u8,
}

/// The variables of a job, as GitHub hands them out.
#[derive(Clone, Default)]
pub struct Variables {
    /// What its actions get, and its scripts do not: where artifacts and caches are, and the token for them.
    pub actions: Vec<(Arc<str>, Arc<str>)>,
    /// What every step gets: where to ask for an identity token, where the job may have one.
    pub steps: Vec<(Arc<str>, Arc<str>)>,
}

impl Services {
    /// Returns the variables of a job, for what its grant allows.
    pub fn variables(&self, grant: &Grant, now: Timestamp) -> Variables {
        let url = &grant.url;
        let actions = vec![
            ("ACTIONS_RUNTIME_TOKEN", write(&self.keys, Purpose::Runtime, grant, now)),
            ("ACTIONS_RUNTIME_URL", format!("{url}/")),
            ("ACTIONS_RESULTS_URL", format!("{url}/")),
            ("ACTIONS_CACHE_URL", format!("{url}/cache/")),
            ("ACTIONS_CACHE_SERVICE_V2", "True".to_owned()),
        ];
        let mut steps = Vec::new();
        if grant.identity.is_some() {
            let token = write(&self.keys, Purpose::Identity, grant, now);
            // Clients put `&audience=` behind it.
            steps.push(("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{url}/oidc/token?api-version=2.0")));
            steps.push(("ACTIONS_ID_TOKEN_REQUEST_TOKEN", token));
        }
        let named =
            |list: Vec<(&str, String)>| list.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Variables { actions: named(actions), steps: named(steps) }
    }
}

/// Writes a token.
pub(super) fn write(keys: &Keys, purpose: Purpose, grant: &Grant, now: Timestamp) -> String {
    let (run, job) = grant.backend_ids(keys);
    let is_runtime = purpose == Purpose::Runtime;
    let access: Vec<CacheAccess<'_>> = grant
        .scopes
        .iter()
        .enumerate()
        .map(|(at, scope)| CacheAccess { scope, permission: if at == 0 { CACHE_READ_WRITE } else { CACHE_READ } })
        .collect();
    let claims = Claims {
        iss: grant.url.clone(),
        iat: seconds(now),
        nbf: seconds(now),
        exp: seconds(grant.until),
        purpose,
        scp: if is_runtime { format!("Actions.Results:{run}:{job}") } else { String::new() },
        ac: if is_runtime { serde_json::to_string(&access).expect("texts are JSON") } else { String::new() },
        greenlight: GrantShape::of(grant, !is_runtime),
    };
    let claims = serde_json::to_vec(&claims).expect("claims are JSON");
    let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
    let code = keys.code(&[b"token", text.as_bytes()]);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(code))
}

/// Reads a token; nothing where it is not ours, for something else, or too old.
pub(super) fn read(keys: &Keys, purpose: Purpose, token: &str, now: Timestamp) -> Option<Grant> {
    if token.len() > LENGTH_MAX {
        return None;
    }
    let (text, code) = token.rsplit_once('.')?;
    let code = URL_SAFE_NO_PAD.decode(code).ok()?;
    if !keys.is_code(&[b"token", text.as_bytes()], &code) {
        return None;
    }
    let (_, claims) = text.split_once('.')?;
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let is_now = claims.purpose == purpose && seconds(now) < claims.exp;
    is_now.then(|| claims.greenlight.into_grant(Timestamp::from_millis(claims.exp.saturating_mul(1000))))
}

/// Writes a token that others check: signed with the RSA key.
pub(super) fn write_public(keys: &Keys, claims: &serde_json::Value) -> String {
    let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": keys.id() });
    let encoded = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encoded(&header), encoded(claims));
    let signature = keys.sign(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Returns the whole seconds since 1970, as tokens count time.
pub(super) fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}
