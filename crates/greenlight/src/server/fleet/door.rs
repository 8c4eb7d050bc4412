//! `/api/runner/v1` on the public listener.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::{Buf as _, Bytes};
use greenlight_core::effect::{JobOrder, JobReport, Reply as Answer};
use greenlight_core::fact::LeaseAsked;
use greenlight_core::id::{AttemptId, RunnerId, Token};
use greenlight_runner::JobHost as _;
use greenlight_runner::wire::message::{About, Checkout, Heard, News, Refused, Register, Report, ToStop};
use greenlight_runner::wire::order::{Asked, OrderShape};
use greenlight_runner::wire::spool::{BATCH_SIZE_MAX, Entry, Frame, read_frames};
use greenlight_runner::wire::{PROTOCOL, PROTOCOL_HEADER, is_understood};
use greenlight_store::{LogError, RunnerRow};
use tokio::sync::{SetOnce, oneshot};

use super::super::host::{self, Host};
use super::{Desk, Hold, checkout, registry};

/// How large a message may be, but for a batch.
const MESSAGE_SIZE_MAX: usize = 8 << 20;
/// How long a runner's question for news is kept.
const NEWS_WITHIN: Duration = Duration::from_secs(25);
/// How long a job may be named in a message.
const ABOUT_SIZE_MAX: usize = 64 << 10;

/// The place of the desk: there from the first moment, though the server behind it is still being opened.
pub type Place = SetOnce<Arc<Desk>>;

/// Returns the routes for runners.
pub fn routes(place: Arc<Place>) -> Router {
    Router::new()
        .route("/api/runner/v1/register", post(register))
        .route("/api/runner/v1/ask", post(ask))
        .route("/api/runner/v1/report", post(report))
        .route("/api/runner/v1/news", post(news))
        .route("/api/runner/v1/tell", post(tell))
        .route("/api/runner/v1/checkout", post(check_out))
        .with_state(place)
}

/// What stands in the way of an answer.
struct No(StatusCode, String);

impl IntoResponse for No {
    fn into_response(self) -> Response {
        (self.0, Json(Refused { message: self.1 })).into_response()
    }
}

impl From<greenlight_core::port::StoreError> for No {
    fn from(error: greenlight_core::port::StoreError) -> Self {
        Self(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

fn not_yours() -> No {
    No(StatusCode::CONFLICT, "this job is not (any more) this runner's".to_owned())
}

fn not_yet() -> No {
    No(
        StatusCode::SERVICE_UNAVAILABLE,
        "this server has just started, and does not know the job's repository yet".to_owned(),
    )
}

fn bad(what: impl std::fmt::Display) -> No {
    No(StatusCode::BAD_REQUEST, what.to_string())
}

async fn register(State(place): State<Arc<Place>>, request: Request) -> Result<Json<serde_json::Value>, No> {
    let desk = place.wait().await;
    let (parts, body) = request.into_parts();
    let protocol = protocol(&parts.headers)?;
    let asked: Register = read(body).await?;
    let made = registry::register(&desk.shared, &asked.token, &asked.name, protocol).await?;
    let why = "this token makes no runner: it works once, for 15 minutes; `greenlight runner token` on the server makes another";
    let made = made.ok_or_else(|| No(StatusCode::FORBIDDEN, why.to_owned()))?;
    serde_json::to_value(made).map(Json).map_err(bad)
}

async fn ask(State(place): State<Arc<Place>>, headers: HeaderMap) -> Result<Json<Asked>, No> {
    let desk = place.wait().await.clone();
    let runner = recognized(&desk, &headers).await?;
    let asked = LeaseAsked {
        runner: RunnerId::from(runner.name.as_str()),
        boot: None,
        labels: runner.labels.clone().into(),
        length: desk.shared.config.runner.lease,
    };
    let Some(order) = find(&desk, asked).await? else { return Ok(Json(Asked::default())) };
    let shared = &desk.shared;
    let Some(handle) = shared.directory.by_id(order.attempt.repo) else { return Ok(Json(Asked::default())) };
    let reference = handle.reference();
    let given = host::given(shared, &reference, &order, &reached_at(&desk, &headers));
    shared.fleet.host(&runner.name, &order.attempt, || Host::new(shared.clone(), reference, &order));
    Ok(Json(Asked {
        job: Some(OrderShape::of(&order, &given)),
        lease_ms: u64::try_from(shared.config.runner.lease.as_millis()).ok(),
        pins: shared.config.actions.pins.iter().map(ToString::to_string).collect(),
    }))
}

/// Finds a job. One that is found when its runner has hung up goes back at once.
async fn find(desk: &Arc<Desk>, asked: LeaseAsked) -> Result<Option<JobOrder>, No> {
    let (sender, found) = oneshot::channel();
    let finder = desk.clone();
    tokio::spawn(async move {
        // Nothing breaks it off in the middle of a lease: a job would be held by nobody.
        let order = finder.work.find(asked, || !sender.is_closed()).await;
        if let Err(Ok(Some(order))) = sender.send(order) {
            let gone = finder.work.tell(&order.attempt, order.token, JobReport::Lost).await;
            tracing::info!(job.attempt = %order.attempt, "its runner hung up before it heard of it ({gone:?})");
        }
    });
    let order = found.await.map_err(|_| bad("the search ended"))?;
    order.map_err(|why| No(StatusCode::SERVICE_UNAVAILABLE, why))
}

/// Returns the address under which a runner reaches us: the one that is set, else the one that it used.
fn reached_at(desk: &Desk, headers: &HeaderMap) -> Arc<str> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    match (&desk.shared.config.url, host) {
        (Some(url), _) => url.clone(),
        (None, Some(host)) => format!("http://{host}").into(),
        (None, None) => format!("http://{}", desk.shared.public_at).into(),
    }
}

async fn report(State(place): State<Arc<Place>>, request: Request) -> Result<Json<Heard>, No> {
    let desk = place.wait().await;
    let (parts, body) = request.into_parts();
    let runner = recognized(desk, &parts.headers).await?;
    let message: Report = read(body).await?;
    let (attempt, token) = named(message.about);
    let report = message.report.into_report().ok_or_else(|| bad("this conclusion is not known here"))?;
    let is_last = matches!(report, JobReport::Ended(_) | JobReport::Lost);
    let not_yours = Heard { is_yours: false, cancelled: false };
    match desk.hold(&runner.name, &attempt, token).await {
        Hold::Yours => {}
        Hold::NotYours => return Ok(Json(not_yours)),
        Hold::Unknown => return Err(not_yet()),
    }
    let answer = desk.work.tell(&attempt, token, report).await;
    match answer.map_err(|why| No(StatusCode::SERVICE_UNAVAILABLE, why))? {
        Answer::Heard { cancelled } => {
            if is_last {
                desk.shared.fleet.forget(&attempt);
            }
            Ok(Json(Heard { is_yours: true, cancelled }))
        }
        _ => Ok(Json(not_yours)),
    }
}

/// Waits until a job of this runner is to be stopped, for a while.
async fn news(State(place): State<Arc<Place>>, request: Request) -> Result<Json<ToStop>, No> {
    let desk = place.wait().await;
    let (parts, body) = request.into_parts();
    let runner = recognized(desk, &parts.headers).await?;
    let message: News = read(body).await?;
    let wanted: Vec<AttemptId> = message.running.into_iter().map(|about| named(about).0).collect();
    let shared = &desk.shared;
    let (_, mut changes) = shared.feed.follow(None);
    let deadline = tokio::time::Instant::now() + NEWS_WITHIN;
    loop {
        let mut to_stop = ToStop::default();
        let mine = shared.fleet.held_by(&runner.name);
        let mut names = BTreeSet::new();
        for (attempt, repo) in mine.iter().filter(|(attempt, _)| wanted.contains(attempt)) {
            let Some(handle) = shared.directory.by_id(*repo) else { continue };
            names.insert(handle.reference().full_name);
            let asked = attempt.clone();
            let reason = handle.look(move |cell| {
                let run = cell.repository().runs.get(&asked.run)?;
                run.job(&asked.job)?.cancelled.clone()
            });
            if let Ok(Some(reason)) = reason.await {
                to_stop.cancelled.push((attempt.into(), reason.to_string()));
            }
        }
        if !to_stop.cancelled.is_empty() {
            return Ok(Json(to_stop));
        }
        // What others change is passed over.
        loop {
            match tokio::time::timeout_at(deadline, changes.recv()).await {
                Err(_) => return Ok(Json(to_stop)),
                Ok(Ok(change)) if !names.contains(&change.repository) => {}
                Ok(_) => break,
            }
        }
        if shared.stop.is_cancelled() {
            return Ok(Json(to_stop));
        }
    }
}

/// Takes in a batch of what a job says.
async fn tell(State(place): State<Arc<Place>>, request: Request) -> Result<Json<Heard>, No> {
    let desk = place.wait().await;
    let (parts, body) = request.into_parts();
    let runner = recognized(desk, &parts.headers).await?;
    let limit = BATCH_SIZE_MAX + ABOUT_SIZE_MAX;
    let body = axum::body::to_bytes(body, limit).await.map_err(|_| bad("the batch broke off, or is too large"))?;
    let (about, frames) = split(body).ok_or_else(|| bad("this is no batch"))?;
    let (attempt, token) = named(about);
    match desk.hold(&runner.name, &attempt, token).await {
        Hold::Yours => {}
        Hold::NotYours => return Err(not_yours()),
        Hold::Unknown => return Err(not_yet()),
    }
    let frames = read_frames(frames).ok_or_else(|| bad("this is no batch"))?;
    let host = hosted(desk, &runner, &attempt).ok_or_else(not_yours)?;
    for frame in frames {
        take(desk, &host, &attempt, frame).await?;
    }
    Ok(Json(Heard { is_yours: true, cancelled: false }))
}

/// Takes in one frame. Lines that are here already are passed over; a hole makes the runner begin again.
async fn take(desk: &Desk, host: &Host, attempt: &AttemptId, frame: Frame) -> Result<(), No> {
    if let Some((first_line, block)) = frame.log() {
        let appended = desk.shared.logs.append_from(attempt, first_line, block.step, block.at, block.text).await;
        return match appended {
            Ok(_) | Err(LogError::Finished(_)) => Ok(()),
            Err(LogError::Gap { expected, .. }) => {
                Err(No(StatusCode::RANGE_NOT_SATISFIABLE, format!("the log goes on with line {expected}")))
            }
            Err(error) => Err(No(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
        };
    }
    match frame.entry {
        Entry::Step(step) => host.step(step.into_update()).await,
        Entry::Annotation(annotation) => host.annotate(annotation.into_annotation()).await,
        Entry::Summary { step, markdown } => host.summarize(step, markdown).await,
        Entry::Begins { .. } | Entry::Log { .. } | Entry::End(_) => {}
    }
    Ok(())
}

/// Sends the repository's files.
async fn check_out(State(place): State<Arc<Place>>, request: Request) -> Result<Response, No> {
    let desk = place.wait().await;
    let (parts, body) = request.into_parts();
    let runner = recognized(desk, &parts.headers).await?;
    let message: Checkout = read(body).await?;
    let wanted = message.request().ok_or_else(|| bad("what is asked for is no commit"))?;
    let (attempt, token) = named(message.about);
    match desk.hold(&runner.name, &attempt, token).await {
        Hold::Yours => {}
        Hold::NotYours => return Err(not_yours()),
        Hold::Unknown => return Err(not_yet()),
    }
    let host = hosted(desk, &runner, &attempt).ok_or_else(not_yours)?;
    let body = checkout::serve(&desk.shared, host, &attempt, &wanted).await;
    let body = body.map_err(|why| No(StatusCode::UNPROCESSABLE_ENTITY, why))?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}

/// Returns the host of a job that this runner holds; after a restart it is made anew.
fn hosted(desk: &Desk, runner: &RunnerRow, attempt: &AttemptId) -> Option<Arc<Host>> {
    let shared = &desk.shared;
    let handle = shared.directory.by_id(attempt.repo)?;
    let make = || Host::of_attempt(shared.clone(), handle.reference(), attempt.clone());
    Some(shared.fleet.host(&runner.name, attempt, make))
}

/// Returns the runner that a request's key belongs to.
async fn recognized(desk: &Desk, headers: &HeaderMap) -> Result<RunnerRow, No> {
    let protocol = protocol(headers)?;
    let key = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let runner = match key {
        Some(key) => registry::recognize(&desk.shared, key, protocol).await?,
        None => None,
    };
    let why = "this key is no runner's (any more): register again with a token from `greenlight runner token`";
    runner.ok_or_else(|| No(StatusCode::UNAUTHORIZED, why.to_owned()))
}

fn protocol(headers: &HeaderMap) -> Result<u32, No> {
    let version = headers.get(PROTOCOL_HEADER).and_then(|version| version.to_str().ok()?.parse().ok());
    match version {
        Some(version) if is_understood(version) => Ok(version),
        _ => Err(No(
            StatusCode::UPGRADE_REQUIRED,
            format!(
                "this server speaks version {PROTOCOL} of the runners' protocol and the one before: bring both programs to one version"
            ),
        )),
    }
}

fn named(about: About) -> (AttemptId, Token) {
    (about.attempt.into(), Token(about.token))
}

/// Splits a batch into the job that it is about, and its frames.
fn split(mut body: Bytes) -> Option<(About, Bytes)> {
    let length = (body.len() >= 4).then(|| body.get_u32() as usize)?;
    if length > ABOUT_SIZE_MAX || length > body.len() {
        return None;
    }
    let about = serde_json::from_slice(&body.split_to(length)).ok()?;
    Some((about, body))
}

async fn read<T: serde::de::DeserializeOwned>(body: Body) -> Result<T, No> {
    let body = axum::body::to_bytes(body, MESSAGE_SIZE_MAX)
        .await
        .map_err(|_| bad(format!("the message broke off, or is larger than {MESSAGE_SIZE_MAX} bytes")))?;
    serde_json::from_slice(&body).map_err(|error| bad(format!("the message cannot be read: {error}")))
}
