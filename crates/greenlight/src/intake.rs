//! The public listener: GitHub's webhooks, and nothing else that could be asked of us from outside.
//!
//! Save first, answer second, think third: a delivery is verified over its raw bytes, written and synced, then answered with
//! 202. Nobody looks into it here. What was not signed with our secret leaves a counter behind and nothing more. While
//! requests stand at this door, those who think give way ([`Pressure`]).

mod body;
mod pressure;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use greenlight_core::intake::{Reception, receive};
use greenlight_core::port::Store;
use greenlight_github::delivery::{self, delivery};
use greenlight_github::signature::{SIGNATURE_HEADER, SIGNATURE_HEADER_SHA1, Verifier};
use tokio::sync::{Notify, SetOnce};

use crate::server::clock;
pub use pressure::Pressure;

/// How long a sender is asked to wait when a delivery could not be stored.
const RETRY_AFTER_SECONDS: &str = "10";

/// What stands behind the door.
pub struct Door {
    store: Arc<dyn Store>,
    verifier: Verifier,
    bodies: body::Bodies,
    /// Somebody stands at the door.
    pub pressure: Pressure,
    /// A delivery was stored.
    pub arrived: Notify,
    /// How many were stored since the start.
    pub stored: AtomicU64,
    /// Deliveries whose signature did not fit.
    pub refused: AtomicU64,
    full: std::sync::atomic::AtomicBool,
}

impl Door {
    /// Returns a door to `store` that opens to those who know a secret.
    pub fn new(store: Arc<dyn Store>, verifier: Verifier) -> Self {
        Self {
            store,
            verifier,
            bodies: body::Bodies::default(),
            pressure: Pressure::default(),
            arrived: Notify::new(),
            stored: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            full: false.into(),
        }
    }

    /// Says whether the disk is too full to take anything in (R19).
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Relaxed);
    }

    async fn take(&self, request: Request) -> Response {
        let _standing = self.pressure.enter();
        let (parts, body) = request.into_parts();
        let headers = parts.headers;
        let limit = delivery::size_max(text(&headers, header::CONTENT_TYPE.as_str()));
        let body = match self.bodies.read(body, text(&headers, header::CONTENT_LENGTH.as_str()), limit).await {
            Ok(body) => body,
            Err(refusal) => return refusal.into_response(),
        };
        let (sha256, sha1) = (text(&headers, SIGNATURE_HEADER), text(&headers, SIGNATURE_HEADER_SHA1));
        let signed = match self.verifier.verify(&body, sha256, sha1) {
            Ok(signed) => signed,
            Err(error) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                return said(StatusCode::UNAUTHORIZED, error);
            }
        };
        if self.full.load(Ordering::Relaxed) {
            return unavailable("the disk is nearly full");
        }
        match delivery(|name| text(&headers, name), &signed, body, clock::now()) {
            Err(error) => said(StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST), error),
            Ok(delivery) => self.answer(receive(&*self.store, &delivery).await),
        }
    }

    fn answer(&self, reception: Reception) -> Response {
        match reception {
            Reception::Accepted => {
                self.stored.fetch_add(1, Ordering::Relaxed);
                self.arrived.notify_one();
                said(StatusCode::ACCEPTED, "accepted")
            }
            Reception::Repeat => said(StatusCode::ACCEPTED, "this delivery was here before"),
            Reception::Quarantined => {
                said(StatusCode::ACCEPTED, "kept aside: a delivery with this id and another body was here before")
            }
            Reception::Unavailable(reason) => unavailable(&reason),
        }
    }
}

/// The place of the door: there from the first moment, though the store behind it is still being opened.
pub type Entrance = SetOnce<Arc<Door>>;

/// Returns the routes of the public listener.
pub fn routes(entrance: Arc<Entrance>) -> Router {
    Router::new()
        .route("/webhooks/github", post(webhook).fallback(not_a_delivery))
        .route("/livez", get(async || "alive\n"))
        .with_state(entrance)
}

/// Whoever looks at the webhook's address with a browser sees that it is the right one.
async fn not_a_delivery() -> Response {
    let mut response = said(
        StatusCode::METHOD_NOT_ALLOWED,
        "this is where GitHub sends its webhooks, by POST; there is nothing else to see here",
    );
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("POST"));
    response
}

async fn webhook(State(entrance): State<Arc<Entrance>>, request: Request) -> Response {
    match entrance.get() {
        Some(door) => door.take(request).await,
        None => entrance.wait().await.take(request).await,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn said(status: StatusCode, what: impl std::fmt::Display) -> Response {
    (status, format!("{what}\n")).into_response()
}

fn unavailable(reason: &str) -> Response {
    tracing::warn!("a delivery could not be stored: {reason}");
    let mut response =
        said(StatusCode::SERVICE_UNAVAILABLE, format!("the delivery could not be stored: {reason}; send it again"));
    response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER_SECONDS));
    response
}
