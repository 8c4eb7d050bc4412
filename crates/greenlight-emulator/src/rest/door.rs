//! The way in: body, caller, budgets, faults, the answer's headers, and the record of it all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use axum::{
    body::Body as HttpBody,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header},
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{Answer, ApiError, Body, Call, Caller, answer};
use crate::{
    fault::{FaultKind, Strike},
    feed,
    limits::{Budget, Verdict},
    model::At,
    site::{GHES_VERSION, Profile, Site},
};

/// How large a request may be: a blob of GitHub's size in base64.
const BODY_BYTES_MAX: usize = 150 * 1024 * 1024;
/// How large a JSON value may be that the record repeats.
const RECORDED_BYTES_MAX: usize = 64 * 1024;

/// A request as it came, before anybody knows what it means.
struct Incoming {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Value,
    token: String,
}

/// Takes a request to `path` (without the prefix of GHES) through to its answer.
pub async fn serve(site: Arc<Site>, path: String, request: Request<HttpBody>) -> Response<HttpBody> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let token = super::auth::token_of(&parts.headers).unwrap_or_default();
    let incoming = match axum::body::to_bytes(body, BODY_BYTES_MAX).await {
        Ok(bytes) => read_body(&bytes).map(|body| Incoming {
            method: parts.method.clone(),
            path: path.clone(),
            query,
            headers: parts.headers,
            body,
            token,
        }),
        Err(_) => Err(ApiError::new(413, "Payload Too Large".to_owned())),
    };
    let incoming = match incoming {
        Ok(incoming) => incoming,
        Err(error) => return finish(&site, None, &HeaderMap::new(), error.into_answer(), None),
    };
    let strike = site.faults.for_request(incoming.method.as_str(), &incoming.path, &incoming.token);
    let caller = {
        let look = site.look();
        super::auth::identify(&look, &incoming.headers)
    };
    let (answer, budget) = respond(&site, &incoming, &caller, strike.as_ref()).await;
    note(&site, &incoming, &caller, &answer, strike.as_ref(), started);
    let key = caller.as_ref().ok().map(Caller::budget_key);
    let key = key.filter(|_| budget.is_some());
    finish(&site, budget.zip(key), &incoming.headers, answer, caller.ok())
}

/// Parses a body; what is no JSON is refused as GitHub does.
fn read_body(bytes: &Bytes) -> Result<Value, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Null);
    }
    serde_json::from_slice(bytes).map_err(|_| ApiError::new(400, "Problems parsing JSON".to_owned()))
}

/// Answers, with everything that may come between.
async fn respond(
    site: &Arc<Site>,
    incoming: &Incoming,
    caller: &Result<Caller, ApiError>,
    strike: Option<&Strike>,
) -> (Answer, Option<Budget>) {
    let kind = strike.map(|strike| strike.kind);
    if kind == Some(FaultKind::TokenRevoked) {
        return (ApiError::new(401, "Bad credentials".to_owned()).into_answer(), None);
    }
    let caller = match caller {
        Ok(caller) => caller.clone(),
        Err(error) => return (error.clone().into_answer(), None),
    };
    let budget = match admit(site, incoming, &caller) {
        Ok(budget) => budget,
        Err((error, budget)) => return (error.into_answer(), budget),
    };
    match (kind, strike) {
        (Some(FaultKind::Answer), Some(strike)) => return (faulty(strike), budget),
        (Some(FaultKind::Timeout), Some(strike)) => {
            tokio::time::sleep(Duration::from_millis(strike.milliseconds)).await;
            return (faulty(strike), budget);
        }
        _ => {}
    }
    let call = Call {
        site: Arc::clone(site),
        method: incoming.method.clone(),
        path: incoming.path.clone(),
        query: form_urlencoded::parse(incoming.query.as_bytes()).into_owned().collect(),
        body: incoming.body.clone(),
        caller,
        accept: incoming
            .headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
    };
    let answered = answer(&call).await.unwrap_or_else(ApiError::into_answer);
    let answered = remember(site, &call, answered, kind);
    match (kind, strike) {
        (Some(FaultKind::AnswerAfter), Some(strike)) => (faulty(strike), budget),
        (Some(FaultKind::TimeoutAfter), Some(strike)) => {
            tokio::time::sleep(Duration::from_millis(strike.milliseconds)).await;
            (faulty(strike), budget)
        }
        _ => (answered, budget),
    }
}

/// Keeps what a read was answered, and gives back the answer before it where the read is to be stale.
fn remember(site: &Site, call: &Call, answered: Answer, kind: Option<FaultKind>) -> Answer {
    let Body::Json(body) = &answered.body else { return answered };
    if call.method != Method::GET {
        return answered;
    }
    let key = format!("{} {}?{:?}", call.caller.budget_key(), call.path, call.query);
    let earlier = site.faults.exchange_answer(&key, answered.status, &Bytes::from(body.to_string()));
    match (kind, earlier) {
        (Some(FaultKind::StaleRead), Some((status, body))) => {
            Answer::json(status, serde_json::from_slice(&body).unwrap_or(Value::Null))
        }
        _ => answered,
    }
}

/// Counts the request against the caller's budgets.
fn admit(site: &Site, incoming: &Incoming, caller: &Caller) -> Result<Option<Budget>, (ApiError, Option<Budget>)> {
    if incoming.path == "/rate_limit" || matches!(caller, Caller::App { .. }) {
        return Ok(site.limits.budget(&caller.budget_key(), At::now()));
    }
    let creates = matches!(incoming.method, Method::POST | Method::PUT | Method::PATCH);
    let (verdict, budget) = site.limits.count(&caller.budget_key(), creates, At::now());
    match verdict {
        Verdict::Go => Ok(budget),
        Verdict::Primary => {
            let whom = match caller.account() {
                Some(id) => format!("user ID {id}"),
                None => "127.0.0.1".to_owned(),
            };
            let message = format!(
                "API rate limit exceeded for {whom}. If you reach out to GitHub Support for help, please include the request ID and timestamp."
            );
            let documentation = "https://docs.github.com/rest/overview/rate-limits-for-the-rest-api";
            Err((ApiError { documentation, ..ApiError::new(403, message) }, budget))
        }
        Verdict::Secondary { retry_after } => Err((secondary(retry_after), budget)),
    }
}

/// Returns GitHub's refusal of somebody who writes too much.
fn secondary(retry_after: i64) -> ApiError {
    let message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again. \
                   If you reach out to GitHub Support for help, please include the request ID.";
    ApiError {
        documentation: "https://docs.github.com/free-pro-team@latest/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits",
        headers: vec![("retry-after", retry_after.to_string())],
        ..ApiError::new(403, message.to_owned())
    }
}

/// Returns the answer that a fault rule asks for.
fn faulty(strike: &Strike) -> Answer {
    match strike.status {
        403 | 429 => ApiError { status: strike.status, ..secondary(60) }.into_answer(),
        405 => ApiError::new(405, "Base branch was modified. Review and try the merge again.".to_owned()).into_answer(),
        422 => ApiError::custom("Fault", "the emulator was told to refuse this request").into_answer(),
        500 => ApiError::new(500, "Server Error".to_owned()).into_answer(),
        status => {
            let page = "<html><head><title>Unicorn!</title></head><body>No response could be produced.</body></html>";
            Answer {
                status,
                body: Body::Raw {
                    content_type: "text/html; charset=utf-8",
                    bytes: Bytes::from_static(page.as_bytes()),
                },
                headers: Vec::new(),
            }
        }
    }
}

fn note(
    site: &Site,
    incoming: &Incoming,
    caller: &Result<Caller, ApiError>,
    answer: &Answer,
    strike: Option<&Strike>,
    started: Instant,
) {
    let bounded =
        |value: &Value| if value.to_string().len() <= RECORDED_BYTES_MAX { value.clone() } else { Value::Null };
    let login = caller.as_ref().ok().and_then(|caller| caller.name(&site.look()));
    let shown = match (&answer.body, incoming.method == Method::GET) {
        (Body::Json(body), false) => bounded(body),
        _ => Value::Null,
    };
    let fields = json!({
        "method": incoming.method.as_str(),
        "path": incoming.path,
        "query": incoming.query,
        "body": bounded(&incoming.body),
        "status": answer.status,
        "login": login,
        "app": caller.as_ref().ok().and_then(Caller::app),
        "fault": strike.map(|strike| strike.kind.name()),
        "duration_ms": started.elapsed().as_secs_f64() * 1000.0,
        "answer": redacted(shown),
    });
    site.feed.add(feed::Kind::Request, fields);
}

/// Takes tokens out of what is recorded.
fn redacted(mut value: Value) -> Value {
    if let Some(token) = value.get_mut("token").filter(|token| token.is_string()) {
        *token = json!("********");
    }
    value
}

/// Writes the answer with GitHub's headers, or 304 where the caller has it already.
fn finish(
    site: &Site,
    budget: Option<(Budget, String)>,
    asked: &HeaderMap,
    answer: Answer,
    caller: Option<Caller>,
) -> Response<HttpBody> {
    let (content_type, bytes) = match answer.body {
        Body::None => (None, Bytes::new()),
        Body::Json(body) => (Some("application/json; charset=utf-8"), Bytes::from(body.to_string())),
        Body::Raw { content_type, bytes } => (Some(content_type), bytes),
    };
    let etag = (answer.status == 200)
        .then(|| format!("W/\"{}\"", hex::encode(digest::digest(&digest::SHA256, &bytes).as_ref())));
    let known = asked.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let unchanged = match (known, &etag) {
        (Some(known), Some(etag)) => known.split(',').any(|tag| strong(tag) == strong(etag)),
        _ => false,
    };
    let mut budget = budget;
    if let Some((budget, key)) = budget.as_mut().filter(|_| unchanged) {
        site.limits.refund(key);
        budget.used = budget.used.saturating_sub(1);
    }
    let status = if unchanged {
        StatusCode::NOT_MODIFIED
    } else {
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    };
    let mut response = Response::new(if unchanged { HttpBody::empty() } else { HttpBody::from(bytes) });
    *response.status_mut() = status;
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(content_type) = content_type.filter(|_| !unchanged) {
        set("content-type", content_type.to_owned());
    }
    if let Some(etag) = etag {
        set("etag", etag);
        set("cache-control", "private, max-age=60, s-maxage=60".to_owned());
    }
    set("vary", "Accept, Authorization, Cookie, X-GitHub-OTP".to_owned());
    set("x-github-media-type", "github.v3; format=json".to_owned());
    set("x-github-api-version-selected", "2022-11-28".to_owned());
    set("x-github-request-id", uuid::Uuid::new_v4().simple().to_string().to_uppercase());
    if let Some(Caller::User { token, .. }) = &caller {
        set("x-oauth-scopes", token.scopes.join(", "));
        set("x-accepted-oauth-scopes", String::new());
    }
    if let Some((budget, _)) = budget {
        set("x-ratelimit-limit", budget.limit.to_string());
        set("x-ratelimit-remaining", budget.remaining().to_string());
        set("x-ratelimit-used", budget.used.to_string());
        set("x-ratelimit-reset", budget.reset.to_string());
        set("x-ratelimit-resource", "core".to_owned());
    }
    if site.profile == Profile::Ghes {
        set("x-github-enterprise-version", GHES_VERSION.to_owned());
    }
    for (name, value) in answer.headers {
        set(name, value);
    }
    response
}
