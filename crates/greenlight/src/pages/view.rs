//! What each template is given.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::shape;
use crate::history::{self, Refusal};
use crate::server::Shared;

/// What every page has around it.
pub struct Frame {
    /// The title.
    pub title: String,
    /// The repository that the page is about; empty where it is about all.
    pub repository: String,
    /// Is it read again when something changes?
    pub live: bool,
    /// What the server waits for.
    pub waits: Vec<shape::Wait>,
    /// The repositories whose `.greenlight.yml` is wrong, and how.
    pub wrong: Vec<(String, String)>,
    /// The repositories of which somebody should see to something, and to what.
    pub warned: Vec<(Vec<String>, String)>,
}

impl Frame {
    /// Returns the frame of a page about everything.
    pub fn new(shared: &Shared, title: &str) -> Self {
        let repositories = history::repositories(shared).repositories;
        let named = |told: fn(&shape::Repository) -> Option<String>| -> Vec<(String, String)> {
            repositories.iter().filter_map(|known| Some((known.full_name.clone(), told(known)?))).collect()
        };
        let wrong = named(|known| known.config_problem.clone());
        let mut warned: Vec<(Vec<String>, String)> = Vec::new();
        for (name, warning) in named(|known| known.warning.clone()) {
            match warned.iter_mut().find(|(_, told)| *told == warning) {
                Some((names, _)) => names.push(name),
                None => warned.push((vec![name], warning)),
            }
        }
        let waits = history::waits(shared);
        Self { title: title.to_owned(), repository: String::new(), live: false, waits, wrong, warned }
    }

    /// Says which repository the page is about.
    pub fn of(mut self, repository: &str) -> Self {
        repository.clone_into(&mut self.repository);
        self.wrong.retain(|(name, _)| name == repository);
        self.warned.iter_mut().for_each(|(names, _)| names.retain(|name| name == repository));
        self.warned.retain(|(names, _)| !names.is_empty());
        self
    }

    /// Says that the page is read again when something changes.
    pub fn live(mut self) -> Self {
        self.live = true;
        self
    }
}

/// `/` and `/{owner}/{repo}/runs`.
#[derive(Template)]
#[template(path = "runs.html")]
pub struct Runs {
    pub frame: Frame,
    pub repositories: Vec<shape::Repository>,
    pub runs: Vec<shape::RunLine>,
    pub next: Option<String>,
}

/// `/{owner}/{repo}/runs/{number}`.
#[derive(Template)]
#[template(path = "run.html")]
pub struct RunPage {
    pub frame: Frame,
    pub run: shape::Run,
    pub summaries: Vec<JobSummary>,
}

/// The summaries of a job's steps.
pub struct JobSummary {
    /// The job's key.
    pub key: String,
    /// Its name.
    pub name: String,
    /// How many bytes they have.
    pub size: u64,
    /// They as HTML; nothing where they are too large for a page.
    pub shown: Vec<String>,
}

/// `/{owner}/{repo}/runs/{number}/jobs/{key}`, around its log.
#[derive(Template)]
#[template(path = "job.html")]
pub struct JobPage {
    pub frame: Frame,
    pub run: u64,
    pub job: shape::Job,
    /// May the job run again: is the run over, and none that is never repeated?
    pub may_run_again: bool,
    /// Where the log goes; nothing for a job that has not begun, and has none.
    pub marker: Option<&'static str>,
}

/// `/deliveries`.
#[derive(Template)]
#[template(path = "deliveries.html")]
pub struct Deliveries {
    pub frame: Frame,
    pub refused: String,
    pub deliveries: Vec<shape::Delivery>,
    pub next: Option<String>,
}

/// `/deliveries/{place}`.
#[derive(Template)]
#[template(path = "delivery.html")]
pub struct Delivery {
    pub frame: Frame,
    pub whole: shape::DeliveryWhole,
}

/// `/{owner}/{repo}/environments`.
#[derive(Template)]
#[template(path = "environments.html")]
pub struct Environments {
    pub frame: Frame,
    pub shown: shape::Environments,
}

/// `/{owner}/{repo}/pulls/{number}`.
#[derive(Template)]
#[template(path = "pull.html")]
pub struct Pull {
    pub frame: Frame,
    pub why: shape::Why,
    pub runs: Vec<shape::RunLine>,
}

/// One sentence, where there is nothing else to show.
#[derive(Template)]
#[template(path = "told.html")]
pub struct Told {
    pub frame: Frame,
    pub sentence: String,
    pub back: String,
}

/// A refusal as a page.
pub struct Shown(pub Refusal);

impl From<Refusal> for Shown {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let title = status.canonical_reason().unwrap_or("Refused").to_owned();
        let repository = String::new();
        let frame = Frame { title, repository, live: false, waits: Vec::new(), wrong: Vec::new(), warned: Vec::new() };
        let page = Told { frame, sentence: self.0.sentence().to_owned(), back: "/".to_owned() };
        match html(&page) {
            Ok(response) => (status, response).into_response(),
            Err(_) => status.into_response(),
        }
    }
}

/// Writes a page.
pub fn html(page: &impl Template) -> Result<Response, Shown> {
    match page.render() {
        Ok(text) => {
            Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], text)
                .into_response())
        }
        Err(error) => {
            tracing::error!("a page cannot be written: {error}");
            Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

/// Does this address lead to the web? Any other kind is shown, never linked.
pub fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// What the templates use besides askama's own.
pub mod filters {
    use std::fmt::Display;

    /// The first seven digits of a commit.
    #[askama::filter_fn]
    pub fn short(sha: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(sha.to_string().chars().take(7).collect())
    }

    /// Writes a name so that it fits between two slashes of a path.
    #[askama::filter_fn]
    pub fn segment(name: impl Display, _: &dyn askama::Values) -> askama::Result<String> {
        Ok(crate::api::segment(&name.to_string()).to_string())
    }
}
