//! Pages to look at what the emulator knows, and forms to play its users. Plain HTML; nothing here needs a script.
//!
//! A form acts as the user that is chosen in it, through the same handlers as the API. It is taken only from the emulator's own pages.

mod form;
mod html;
mod view;

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header},
};

use crate::site::Site;

/// What a page is not found for, or shown with.
pub struct Shown {
    status: StatusCode,
    body: String,
    location: Option<String>,
}

impl Shown {
    fn ok(body: String) -> Shown {
        Shown { status: StatusCode::OK, body, location: None }
    }

    fn problem(status: StatusCode, text: &str) -> Shown {
        Shown {
            status,
            body: html::page(
                "Not so",
                &format!("<p>{}</p><p><a href=\"/\">All repositories</a></p>", html::escape(text)),
            ),
            location: None,
        }
    }

    fn see(location: String) -> Shown {
        Shown { status: StatusCode::SEE_OTHER, body: String::new(), location: Some(location) }
    }
}

/// Serves a page, or takes a form.
pub async fn serve(site: Arc<Site>, parts: &[&str], request: Request<Body>) -> Response<Body> {
    let shown = match *request.method() {
        Method::GET | Method::HEAD => look(&site, parts),
        Method::POST if !is_own(request.headers(), &site) => {
            Shown::problem(StatusCode::FORBIDDEN, "forms are taken only from the emulator's own pages")
        }
        Method::POST => form::take(site, parts, request).await,
        _ => Shown::problem(StatusCode::METHOD_NOT_ALLOWED, "there is nothing here for this method"),
    };
    let mut response = Response::new(Body::from(shown.body));
    *response.status_mut() = shown.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'",
        ),
    );
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(location) = shown.location.and_then(|location| HeaderValue::from_str(&location).ok()) {
        headers.insert(header::LOCATION, location);
    }
    response
}

fn look(site: &Site, parts: &[&str]) -> Shown {
    let look = site.look();
    let found = match parts {
        [] => Some(view::home(&look)),
        ["_room"] => Some(view::room(site)),
        [owner, name, rest @ ..] => look.repository(owner, name).and_then(|repository| {
            let render = look.render();
            match rest {
                [] => Some(view::repository(&render, repository)),
                ["pull", number] => {
                    repository.pulls.get(&number.parse().ok()?).map(|pull| view::pull(&render, repository, pull))
                }
                ["commit", sha] => view::commit(&render, repository, sha),
                _ => None,
            }
        }),
        _ => None,
    };
    found.map_or_else(|| Shown::problem(StatusCode::NOT_FOUND, "there is no such page"), Shown::ok)
}

/// Answers whether a form comes from one of the emulator's own pages. A client that is no browser sends neither header.
fn is_own(headers: &HeaderMap, site: &Site) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let same_site = text("sec-fetch-site").is_none_or(|value| matches!(value, "same-origin" | "none"));
    let own_host = text("host").map(|host| format!("http://{host}"));
    let same_origin =
        text("origin").is_none_or(|origin| origin == site.urls.web || Some(origin) == own_host.as_deref());
    same_site && same_origin
}
