//! What every request to pages and API passes: the right host, and for anything that changes something the right origin (S15).
//!
//! The listener is on loopback, which keeps other machines out but not a browser on this one that another site drives. So the
//! host must be one of ours (a foreign name that was made to point here is not), and a browser that submits something must
//! say that it was on our own page. A program that is no browser says neither, and may.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::view::Shown;
use crate::api;
use crate::history::Refusal;
use crate::server::Shared;

/// How many bytes of the router's words are repeated at most.
const WORDS_SIZE_MAX: usize = 4 << 10;
/// What a page may load and do.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Lets a request through, or not.
pub async fn guard(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let own = shared.config.pages.url.as_deref().and_then(|url| reqwest::Url::parse(url).ok());
    let own = own.as_ref().and_then(|url| url.host_str());
    let (method, is_api) = (request.method().clone(), request.uri().path().starts_with(api::PREFIX));
    let shown = |refusal: Refusal| if is_api { refusal.into_response() } else { Shown(refusal).into_response() };
    let mut response = match check(request.method(), request.headers(), own) {
        Ok(()) => {
            let answer = next.run(request).await;
            reworded(answer, &method).await.unwrap_or_else(shown)
        }
        Err(refusal) => shown(refusal),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Says in our own words what the router refuses: what it answers itself is neither a page nor JSON.
async fn reworded(response: Response, method: &Method) -> Result<Response, Refusal> {
    let content_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_ours = content_type.is_some_and(|known| !known.starts_with("text/plain"));
    if !response.status().is_client_error() || is_ours {
        return Ok(response);
    }
    if response.status() == StatusCode::METHOD_NOT_ALLOWED {
        // The router adds that header behind us.
        return Err(Refusal::Method(
            format!("this address does not take {method}: the header Allow says what it takes").into(),
        ));
    }
    let body = axum::body::to_bytes(response.into_body(), WORDS_SIZE_MAX).await.unwrap_or_default();
    let words = String::from_utf8_lossy(&body);
    let value = words.split_once("with value `").and_then(|(_, rest)| rest.split('`').next());
    Err(match value.filter(|_| words.contains("Cannot parse")) {
        Some(value) => Refusal::Missing(format!("the address has `{value}` where a number belongs").into()),
        // How it was read is of no use to whoever asked.
        None => {
            let words = words.strip_prefix("Failed to deserialize query string: ").unwrap_or(&words);
            Refusal::Wrong(format!("this cannot be understood: {words}").into())
        }
    })
}

fn check(method: &Method, headers: &HeaderMap, own: Option<&str>) -> Result<(), Refusal> {
    let host = text(headers, "host").unwrap_or("");
    if !is_ours(name_of(host), own) {
        return Err(Refusal::Foreign(
            "these pages do not answer to this name: use the address of `pages.listen` or `pages.url`".into(),
        ));
    }
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let is_same_site = text(headers, "sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let is_same_origin = text(headers, "origin").is_none_or(|origin| {
        let from = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        from.is_some_and(|from| {
            from.eq_ignore_ascii_case(host) || own.is_some_and(|own| name_of(from).eq_ignore_ascii_case(own))
        })
    });
    match is_same_site && is_same_origin {
        true => Ok(()),
        false => Err(Refusal::Foreign("this was submitted by another site, so nothing was done".into())),
    }
}

fn is_ours(name: &str, own: Option<&str>) -> bool {
    let is_loopback = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_loopback || name.eq_ignore_ascii_case("localhost") || own.is_some_and(|own| name.eq_ignore_ascii_case(own))
}

/// Returns the host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(method: Method, headers: &[(&'static str, &'static str)]) -> bool {
        let headers =
            headers.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value))).collect();
        check(&method, &headers, Some("ci.example.org")).is_ok()
    }

    #[test]
    fn our_own_names_pass() {
        for host in ["127.0.0.1:4568", "localhost:4568", "[::1]:4568", "ci.example.org", "CI.example.org:443"] {
            assert!(passes(Method::GET, &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:4568", ""] {
            assert!(!passes(Method::GET, &[("host", host)]), "{host}");
        }
    }

    #[test]
    fn only_our_own_pages_submit() {
        let host = ("host", "127.0.0.1:4568");
        assert!(passes(Method::POST, &[host]));
        assert!(passes(Method::POST, &[host, ("origin", "http://127.0.0.1:4568"), ("sec-fetch-site", "same-origin")]));
        assert!(passes(Method::POST, &[("host", "ci.example.org"), ("origin", "https://ci.example.org")]));
        assert!(!passes(Method::POST, &[host, ("origin", "https://evil.example")]));
        assert!(!passes(Method::POST, &[host, ("origin", "http://127.0.0.1:9")]));
        assert!(!passes(Method::POST, &[host, ("origin", "null")]));
        assert!(!passes(Method::POST, &[host, ("sec-fetch-site", "cross-site")]));
        assert!(!passes(Method::POST, &[host, ("sec-fetch-site", "same-site")]));
    }
}
