//! Pages to look at what the emulator knows, and to play a user.

use std::sync::Arc;

use axum::{
    body::Body,
    http::{HeaderValue, Request, Response, header},
};

use crate::site::Site;

/// Serves a page.
pub async fn serve(site: Arc<Site>, _parts: &[&str], _request: Request<Body>) -> Response<Body> {
    let look = site.look();
    let mut response = Response::new(Body::from(format!("{} repositories", look.repositories.len())));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}
