//! The buttons: each submits a wish, and shows the sentence that it was answered with where it was denied.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use greenlight_core::fact::{Again, Wish};
use greenlight_core::id::{JobKey, RunNumber};

use super::view::{Frame, Shown, Told, html};
use crate::api::shape;
use crate::history::{self, Refusal};
use crate::server::Shared;
use crate::server::repository::Handle;

/// Who clicked, as it is written down: nobody signs in on this listener.
const BY: &str = "somebody at this machine";

pub async fn run(
    Path((owner, repo, number, wish)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let wish = history::run_wish(&wish, RunNumber(number))?;
    let handle = history::handle(&shared, &owner, &repo)?;
    let answer = history::submit(&handle, BY, wish).await;
    answered(&shared, &handle, answer, &format!("/{owner}/{repo}/runs/{number}"))
}

pub async fn rerun_job(
    Path((owner, repo, number, key)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let wish = Wish::Rerun(RunNumber(number), Again::Job(JobKey::from(key)));
    let answer = history::submit(&handle, BY, wish).await;
    answered(&shared, &handle, answer, &format!("/{owner}/{repo}/runs/{number}"))
}

pub async fn unlock(
    Path((owner, repo, name)): Path<(String, String, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    let answer = history::unlock(&handle, BY, &name).await;
    answered(&shared, &handle, answer, &format!("/{owner}/{repo}/environments"))
}

fn answered(
    shared: &Shared,
    handle: &Handle,
    answer: Result<shape::Answer, Refusal>,
    back: &str,
) -> Result<Response, Shown> {
    match answer {
        Ok(_) => Ok(Redirect::to(back).into_response()),
        Err(Refusal::Denied(sentence)) => {
            let frame = Frame::new(shared, "Not done").of(&handle.reference().full_name);
            let page = html(&Told { frame, sentence: sentence.to_string(), back: back.to_owned() })?;
            Ok((axum::http::StatusCode::CONFLICT, page).into_response())
        }
        Err(other) => Err(other.into()),
    }
}
