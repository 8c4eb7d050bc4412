//! Runners on other machines: who they are, and the tokens that make them.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use serde::Deserialize;

use super::bare::Bare;
use super::shape;
use crate::history::Refusal;
use crate::server::{Shared, clock, fleet};

/// What a runner can do where nobody says so.
const LABELS: &str = "self-hosted,linux";
/// How many labels a runner has.
const LABELS_MAX: usize = 50;
/// How long a label may be.
const LABEL_LENGTH_MAX: usize = 100;

/// What the address says of a new runner.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    labels: Option<String>,
}

/// What the body says of a new runner.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    labels: Option<String>,
}

impl Wanted {
    /// Reads what stands in a request's body; most have none.
    fn of_body(body: Result<Bytes, BytesRejection>) -> Result<Self, Refusal> {
        let wrong = |why: &dyn std::fmt::Display| {
            let form = r#"{"labels": "linux,gpu"}"#;
            Refusal::Wrong(format!("the body cannot be read ({why}): it is empty, or JSON such as {form}").into())
        };
        let body = body.map_err(|error| wrong(&error))?;
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(&body).map_err(|error| wrong(&error))
    }
}

/// `GET /api/v1/runners`.
pub async fn list(State(shared): State<Arc<Shared>>) -> Result<Json<shape::Runners>, Refusal> {
    let known = shared.store.runners().await.map_err(unavailable)?;
    let runners = known.into_iter().map(|runner| shape::Runner {
        name: runner.name,
        labels: runner.labels.iter().map(ToString::to_string).collect(),
        registered_at: clock::written(runner.created_at),
        seen_at: clock::written(runner.seen_at),
    });
    Ok(Json(shape::Runners { runners: runners.collect() }))
}

/// `POST /api/v1/runners/token`.
pub async fn token(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<shape::RunnerToken>, Refusal> {
    let wanted = Wanted::of_body(body)?;
    if asked.labels.is_some() && wanted.labels.is_some() {
        return Err(Refusal::Wrong("the address and the body both say labels: say them once".into()));
    }
    let text = asked.labels.or(wanted.labels).filter(|labels| !labels.is_empty()).unwrap_or_else(|| LABELS.to_owned());
    let labels: Vec<Arc<str>> = text
        .split(',')
        .map(|label| label.trim().to_lowercase())
        .filter(|label| !label.is_empty())
        .map(Arc::from)
        .collect();
    if labels.is_empty() || labels.len() > LABELS_MAX || labels.iter().any(|label| label.len() > LABEL_LENGTH_MAX) {
        let why = format!("a runner has 1 to {LABELS_MAX} labels of at most {LABEL_LENGTH_MAX} bytes each");
        return Err(Refusal::Wrong(why.into()));
    }
    if let Some(label) =
        labels.iter().find(|label| label.contains(|char: char| char.is_whitespace() || char.is_control()))
    {
        let why = format!("a label has no blank in it, as `{}` has: commas part labels", label.escape_debug());
        return Err(Refusal::Wrong(why.into()));
    }
    let made = shared.make_runner_token(&labels).await.map_err(unavailable)?;
    tracing::info!("a token for a runner was made ({})", labels.join(", "));
    let labels = labels.iter().map(ToString::to_string).collect();
    Ok(Json(shape::RunnerToken { token: made.text, labels, expires_at: clock::written(made.expires_at) }))
}

/// `POST /api/v1/runners/NAME/remove`.
pub async fn remove(
    Path(name): Path<String>,
    State(shared): State<Arc<Shared>>,
    _: Bare,
) -> Result<Json<shape::Answer>, Refusal> {
    match fleet::remove(&shared, &name).await.map_err(unavailable)? {
        true => Ok(Json(shape::Answer {
            message: format!("{name} is no runner any more; what it runs ends within a minute"),
        })),
        false => Err(Refusal::Missing(format!("there is no runner {name}").into())),
    }
}

fn unavailable(error: greenlight_core::port::StoreError) -> Refusal {
    Refusal::Unavailable(error.to_string().into())
}
