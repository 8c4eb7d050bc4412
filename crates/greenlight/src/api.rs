//! `/api/v1`: what the verbs and other programs ask and wish. The same queries and wishes as the pages, as JSON.

mod dev;
mod bare;
mod runners;
mod logs;
mod openapi;
pub mod shape;

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use greenlight_core::fact::{Again, Wish};
use greenlight_core::id::{JobKey, RunNumber};

use bare::Bare;

use crate::history::{self, About, Page, Refusal};
use crate::server::Shared;

/// Who wished, as it is written down: nobody signs in on this listener.
const BY: &str = "somebody at this machine";

/// Where the API is described.
const DESCRIPTION: &str = "/api/openapi.json";
/// What the addresses of the API begin with.
pub const PREFIX: &str = "/api/";

/// Every route with its method, for the router and for its description.
pub const ROUTES: &[(&str, &str)] = &[
    ("get", "/api/v1/repos"),
    ("get", "/api/v1/runs"),
    ("get", "/api/v1/deliveries"),
    ("get", "/api/v1/deliveries/{id}"),
    ("get", "/api/v1/repos/{owner}/{repo}/runs"),
    ("get", "/api/v1/repos/{owner}/{repo}/runs/{number}"),
    ("post", "/api/v1/repos/{owner}/{repo}/runs/{number}/{wish}"),
    ("post", "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{key}/rerun"),
    ("get", "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{key}/logs"),
    ("get", "/api/v1/repos/{owner}/{repo}/runs/{number}/jobs/{key}/summary"),
    ("get", "/api/v1/repos/{owner}/{repo}/environments"),
    ("post", "/api/v1/repos/{owner}/{repo}/environments/{name}/unlock"),
    ("post", "/api/v1/repos/{owner}/{repo}/sync"),
    ("get", "/api/v1/repos/{owner}/{repo}/why"),
    ("post", "/api/v1/dev/job-env"),
    ("get", "/api/v1/runners"),
    ("post", "/api/v1/runners/token"),
    ("post", "/api/v1/runners/{name}/remove"),
];

type Answer<T> = Result<Json<T>, Refusal>;
type Named = Path<(String, String)>;

/// Returns the routes of the API.
pub fn routes() -> Router<Arc<Shared>> {
    let handlers = [
        get(repositories),
        get(all_runs),
        get(deliveries),
        get(delivery),
        get(runs),
        get(run),
        post(wish),
        post(rerun_job),
        get(logs::logs),
        get(logs::summary),
        get(environments),
        post(unlock),
        post(sync),
        get(why),
        post(dev::job_env),
        get(runners::list),
        post(runners::token),
        post(runners::remove),
    ];
    let described = Router::new().route(DESCRIPTION, get(async || Json(openapi::describe())));
    ROUTES.iter().zip(handlers).fold(described, |router, ((_, path), handler)| router.route(path, handler))
}

/// `/readyz`: 200 where nothing is in the way, else 503; with what waits in either case.
pub async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    let readiness = history::readiness(&shared).await;
    let status = if readiness.ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

/// `/version`.
pub async fn version() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "name": "greenlight", "version": env!("CARGO_PKG_VERSION") }))
}

/// Writes a name so that it fits between two slashes of a path.
pub fn segment(name: &str) -> impl Display {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
}

async fn repositories(State(shared): State<Arc<Shared>>) -> Json<shape::Repositories> {
    Json(history::repositories(&shared))
}

async fn all_runs(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Answer<shape::Runs> {
    history::runs(&shared, None, &page).await.map(Json)
}

async fn runs(
    Path((owner, repo)): Named,
    State(shared): State<Arc<Shared>>,
    Query(page): Query<Page>,
) -> Answer<shape::Runs> {
    let handle = history::handle(&shared, &owner, &repo)?;
    history::runs(&shared, Some(&handle.reference()), &page).await.map(Json)
}

async fn run(
    Path((owner, repo, number)): Path<(String, String, u64)>,
    State(shared): State<Arc<Shared>>,
) -> Answer<shape::Run> {
    let handle = history::handle(&shared, &owner, &repo)?;
    history::run(&shared, &handle, number).await.map(Json)
}

async fn wish(
    Path((owner, repo, number, wish)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
    _: Bare,
) -> Answer<shape::Answer> {
    let handle = history::handle(&shared, &owner, &repo)?;
    history::submit(&handle, BY, history::run_wish(&wish, RunNumber(number))?).await.map(Json)
}

async fn rerun_job(
    Path((owner, repo, number, key)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
    _: Bare,
) -> Answer<shape::Answer> {
    let handle = history::handle(&shared, &owner, &repo)?;
    history::attempt_of(&shared, &handle, number, &key).await?;
    history::submit(&handle, BY, Wish::Rerun(RunNumber(number), Again::Job(JobKey::from(key)))).await.map(Json)
}

async fn deliveries(State(shared): State<Arc<Shared>>, Query(page): Query<Page>) -> Answer<shape::Deliveries> {
    history::deliveries(&shared, &page).await.map(Json)
}

async fn delivery(Path(id): Path<String>, State(shared): State<Arc<Shared>>) -> Answer<shape::DeliveryWhole> {
    history::delivery(&shared, &id).await.map(Json)
}

async fn environments(Path((owner, repo)): Named, State(shared): State<Arc<Shared>>) -> Answer<shape::Environments> {
    let handle = history::handle(&shared, &owner, &repo)?;
    history::environments(&handle).await.map(Json)
}

async fn unlock(
    Path((owner, repo, name)): Path<(String, String, String)>,
    State(shared): State<Arc<Shared>>,
    _: Bare,
) -> Answer<shape::Answer> {
    let handle = history::handle(&shared, &owner, &repo)?;
    history::unlock(&handle, BY, &name).await.map(Json)
}

async fn sync(Path((owner, repo)): Named, State(shared): State<Arc<Shared>>, _: Bare) -> Answer<shape::Answer> {
    let handle = history::handle(&shared, &owner, &repo)?;
    history::submit(&handle, BY, Wish::Sync).await.map(Json)
}

async fn why(
    Path((owner, repo)): Named,
    State(shared): State<Arc<Shared>>,
    Query(about): Query<history::Asked>,
) -> Answer<shape::Why> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let about: About = about.try_into()?;
    history::why(&handle, about).await.map(Json)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let refused = shape::Refused {
            message: self.sentence().to_owned(),
            documentation_url: DESCRIPTION.to_owned(),
            status: self.status().as_u16().to_string(),
        };
        (self.status(), Json(refused)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let description = openapi::describe();
        for (method, path) in ROUTES {
            let operation = &description["paths"][*path][*method];
            assert!(operation["summary"].is_string(), "{method} {path} is not described");
            for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let parameters = operation["parameters"].as_array().unwrap();
                assert!(
                    parameters.iter().any(|parameter| parameter["name"] == part),
                    "{method} {path} does not describe {part}"
                );
            }
        }
        let count: usize =
            description["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        assert_eq!(count, ROUTES.len(), "something is described that is not there");
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let description = openapi::describe();
        let text = description.to_string();
        for reference in text.split("#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(description["components"]["schemas"][name].is_object(), "there is no schema {name}");
        }
    }
}
