//! One HTTP exchange, with bounds.
//!
//! The TLS client is built when it is first needed, and without root certificates where the API is at an `http://` address:
//! a slim machine without any can play with the emulator.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use greenlight_core::time::{Duration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use reqwest::{Response, Url};

use super::credentials::Bearer;
use super::{CallError, Request};

/// How long a connection may take.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a whole call may take.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);
/// How long an idle connection is kept.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);
/// Largest body of an answer.
const BODY_SIZE_MAX: usize = 32 * 1024 * 1024;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/vnd.github+json");
const API_VERSION: HeaderValue = HeaderValue::from_static("2022-11-28");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("greenlight/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer as it came.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub status: u16,
    pub body: Bytes,
    pub etag: Option<String>,
    pub link: Option<String>,
    pub location: Option<String>,
    pub retry_after: Option<u64>,
    pub remaining: Option<u64>,
    pub reset: Option<u64>,
}

impl Raw {
    /// Is the primary limit used up? Then until when.
    pub(super) fn limit_reached_until(&self, now: Timestamp) -> Option<Timestamp> {
        let reset = self.reset.filter(|_| self.remaining == Some(0))?;
        let reset = Timestamp::EPOCH + Duration::from_secs(reset);
        (reset > now).then_some(reset)
    }
}

/// Sends requests.
pub(super) struct Transport {
    encrypted: bool,
    client: OnceLock<reqwest::Client>,
}

impl Transport {
    pub(super) fn new(encrypted: bool) -> Self {
        Self { encrypted, client: OnceLock::new() }
    }

    pub(super) async fn send(
        &self,
        url: &Url,
        bearer: &Bearer,
        request: &Request,
        etag: Option<&String>,
    ) -> Result<Raw, CallError> {
        let mut builder =
            self.client(request)?.request(request.method.clone(), url.clone()).headers(headers(bearer, etag));
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, JSON).body(body.to_string());
        }
        let response = builder.send().await.map_err(|error| failed(request, error))?;
        receive(response, request).await
    }

    fn client(&self, request: &Request) -> Result<&reqwest::Client, CallError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(CALL_TIME_MAX)
            .pool_idle_timeout(IDLE_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true);
        if !self.encrypted {
            builder = builder.tls_certs_only([]);
        }
        let client =
            builder.build().map_err(|error| CallError::NotSent { what: request.what(), problem: chain(&error) })?;
        Ok(self.client.get_or_init(|| client))
    }
}

fn headers(bearer: &Bearer, etag: Option<&String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, MEDIA_TYPE);
    headers.insert("x-github-api-version", API_VERSION);
    headers.insert(USER_AGENT, AGENT);
    headers.insert(AUTHORIZATION, bearer.header.clone());
    if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        headers.insert(IF_NONE_MATCH, etag);
    }
    headers
}

async fn receive(mut response: Response, request: &Request) -> Result<Raw, CallError> {
    let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let number = |name: &str| text(name).and_then(|value| value.trim().parse().ok());
    let mut raw = Raw {
        status: response.status().as_u16(),
        body: Bytes::new(),
        etag: text("etag"),
        link: text("link"),
        location: text("location"),
        retry_after: number("retry-after"),
        remaining: number("x-ratelimit-remaining"),
        reset: number("x-ratelimit-reset"),
    };
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(request, error))? {
        if body.len() + chunk.len() > BODY_SIZE_MAX {
            let problem = format!("it is larger than {BODY_SIZE_MAX} bytes");
            return Err(CallError::BadAnswer { what: request.what(), problem });
        }
        body.extend_from_slice(&chunk);
    }
    raw.body = body.freeze();
    Ok(raw)
}

fn failed(request: &Request, error: reqwest::Error) -> CallError {
    let never_left = error.is_connect() || error.is_builder();
    let (what, problem) = (request.what(), chain(&error.without_url()));
    if never_left { CallError::NotSent { what, problem } } else { CallError::Lost { what, problem } }
}

/// reqwest's own text does not say what happened; its causes do.
fn chain(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}
