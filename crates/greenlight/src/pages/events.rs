//! `/events`: tells open pages that something changed, by server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::{self, StreamExt as _};
use tokio::sync::broadcast::error::RecvError;

use crate::server::Shared;
use crate::server::feed::{Change, Missed};

/// How often a quiet connection is told that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Follows all changes; `Last-Event-ID` says what was seen before.
pub async fn events(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(|id| id.parse().unwrap_or(0));
    let (missed, receiver) = shared.feed.follow(seen);
    let missed = match missed {
        Missed::Changes(changes) => changes.iter().map(change).collect(),
        Missed::Unknown => vec![reload()],
    };
    let stop = shared.stop.clone();
    let coming = stream::unfold(receiver, async |mut receiver| match receiver.recv().await {
        Ok(next) => Some((change(&next), receiver)),
        Err(RecvError::Lagged(_)) => Some((reload(), receiver)),
        Err(RecvError::Closed) => None,
    });
    let events = stream::iter(missed).chain(coming).map(Ok).take_until(stop.cancelled_owned());
    Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE_EVERY))
}

fn change(change: &Change) -> Event {
    let data = serde_json::json!({ "repository": &*change.repository }).to_string();
    Event::default().id(change.id.to_string()).event("change").data(data)
}

fn reload() -> Event {
    Event::default().event("reload").data("{}")
}
