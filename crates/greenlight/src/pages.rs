//! The pages: plain HTML that works without JavaScript, on a listener of their own that only this machine reaches.
//!
//! A page shows what the API says ([`crate::api::shape`]), nothing else. A button submits a wish, as a push submits facts.
//! Everything is escaped; a page may load our one style sheet, our one module and our icon, and nothing besides (S16).

mod actions;
mod events;
mod guard;
mod job;
mod markdown;
mod sgr;
mod view;

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};

use crate::api::{self, shape};
use crate::history::{self, Page, Refusal};
use crate::server::Shared;
use crate::server::repository::Handle;
pub(crate) use job::{events as log_events, raw as raw_log};
pub(crate) use view::is_web;
use view::{Frame, Shown, html};

/// How many bytes of summaries a run's page shows; what is more is there as text.
const SUMMARIES_SHOWN_MAX: u64 = 256 << 10;
/// How long a browser may keep what every page needs.
const CACHED: &str = "max-age=3600";

/// Returns the routes of pages and API, behind the checks that both need.
pub fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(all_runs))
        .route("/deliveries", get(deliveries))
        .route("/deliveries/{id}", get(delivery))
        .route("/{owner}/{repo}", get(repository))
        .route("/{owner}/{repo}/runs", get(runs))
        .route("/{owner}/{repo}/runs/{number}", get(run))
        .route("/{owner}/{repo}/runs/{number}/jobs/{key}", get(job::job))
        .route("/{owner}/{repo}/runs/{number}/jobs/{key}/summary", get(summary))
        .route("/{owner}/{repo}/runs/{number}/jobs/{key}/rerun", post(actions::rerun_job))
        .route("/{owner}/{repo}/runs/{number}/{wish}", post(actions::run))
        .route("/{owner}/{repo}/environments", get(environments))
        .route("/{owner}/{repo}/environments/{name}/unlock", post(actions::unlock))
        .route("/{owner}/{repo}/pulls/{number}", get(pull))
        .route("/events", get(events::events))
        .route("/readyz", get(crate::api::readyz))
        .route("/version", get(crate::api::version))
        .route("/assets/greenlight.css", get(css))
        .route("/assets/greenlight.svg", get(icon))
        .route("/assets/live.js", get(live))
        .merge(crate::api::routes())
        // Else it would be taken for a repository of somebody called "api".
        .route("/api/{rest}", axum::routing::any(nowhere))
        .fallback(nowhere)
        .layer(middleware::from_fn_with_state(shared.clone(), guard::guard))
        .with_state(shared)
}

async fn nowhere(uri: Uri) -> Response {
    match uri.path().starts_with(api::PREFIX) {
        true => Refusal::Missing("there is no such address: the API is described at /api/openapi.json".into())
            .into_response(),
        false => Shown(Refusal::Missing("there is no such page".into())).into_response(),
    }
}

async fn all_runs(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Result<Response, Shown> {
    let found = history::runs(&shared, None, &page).await?;
    let frame = Frame::new(&shared, "Runs").live();
    html(&view::Runs {
        frame,
        repositories: history::repositories(&shared).repositories,
        runs: found.runs,
        next: found.next,
    })
}

async fn repository(
    Path((owner, repo)): Path<(String, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    Ok(axum::response::Redirect::to(&format!("/{}/runs", handle.reference().full_name)).into_response())
}

async fn runs(
    Path((owner, repo)): Path<(String, String)>,
    State(shared): State<Arc<Shared>>,
    Query(page): Query<Page>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let reference = handle.reference();
    let found = history::runs(&shared, Some(&reference), &page).await?;
    let frame = Frame::new(&shared, &format!("Runs of {}", reference.full_name)).of(&reference.full_name).live();
    html(&view::Runs { frame, repositories: Vec::new(), runs: found.runs, next: found.next })
}

async fn run(
    Path((owner, repo, number)): Path<(String, String, u64)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let run = history::run(&shared, &handle, number).await?;
    let title = format!("{} #{} {}", run.line.repository, run.line.number, run.line.name);
    let frame = Frame::new(&shared, &title).of(&run.line.repository).live();
    let summaries = job_summaries(&shared, &handle, &run).await?;
    html(&view::RunPage { frame, run, summaries })
}

/// Returns what the jobs of a run sum up; those that have no room on a page without their text.
async fn job_summaries(shared: &Shared, handle: &Handle, run: &shape::Run) -> Result<Vec<view::JobSummary>, Refusal> {
    let mut summaries = Vec::new();
    let mut room = SUMMARIES_SHOWN_MAX;
    for job in run.jobs.iter().filter(|job| !job.summaries.is_empty()) {
        let size: u64 = job.summaries.iter().map(|summary| summary.size).sum();
        let shown = match room.checked_sub(size) {
            Some(left) => {
                room = left;
                let texts = history::summaries(shared, handle, run.line.number, &job.key).await?;
                texts.iter().map(|text| markdown::html(text)).collect()
            }
            None => Vec::new(),
        };
        summaries.push(view::JobSummary { key: job.key.clone(), name: job.name.clone(), size, shown });
    }
    Ok(summaries)
}

async fn summary(
    Path((owner, repo, number, key)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let texts = history::summaries(&shared, &handle, number, &key).await?;
    Ok(asset("text/plain; charset=utf-8", "no-store", texts.join("\n")))
}

async fn deliveries(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Result<Response, Shown> {
    let found = history::deliveries(&shared, &page).await?;
    let refused = match shared.door.refused.load(std::sync::atomic::Ordering::Relaxed) {
        0 => "No delivery came".to_owned(),
        1 => "One delivery came".to_owned(),
        many => format!("{many} deliveries came"),
    };
    let frame = Frame::new(&shared, "Deliveries").live();
    html(&view::Deliveries { frame, refused, deliveries: found.deliveries, next: found.next })
}

async fn delivery(Path(id): Path<String>, State(shared): State<Arc<Shared>>) -> Result<Response, Shown> {
    let whole = history::delivery(&shared, &id).await?;
    let frame = Frame::new(&shared, &format!("Delivery of {}", whole.delivery.event));
    html(&view::Delivery { frame, whole })
}

async fn environments(
    Path((owner, repo)): Path<(String, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let shown = history::environments(&handle).await?;
    let frame = Frame::new(&shared, &format!("Environments of {}", shown.repository)).of(&shown.repository).live();
    html(&view::Environments { frame, shown })
}

async fn pull(
    Path((owner, repo, number)): Path<(String, String, u64)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let name = handle.reference().full_name;
    let why = history::why(&handle, history::About::Pull(number)).await?;
    let runs = history::runs_of_pull(&shared, &handle.reference(), number).await?;
    let frame = Frame::new(&shared, &format!("{name} {}", why.about)).of(&name).live();
    html(&view::Pull { frame, why, runs })
}

async fn css() -> Response {
    asset("text/css; charset=utf-8", CACHED, include_str!("../assets/greenlight.css"))
}

async fn icon() -> Response {
    asset("image/svg+xml", CACHED, include_str!("../assets/greenlight.svg"))
}

async fn live() -> Response {
    asset("text/javascript; charset=utf-8", CACHED, include_str!("../assets/live.js"))
}

fn asset(content_type: &'static str, caching: &'static str, text: impl IntoResponse) -> Response {
    ([(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, caching)], text).into_response()
}
