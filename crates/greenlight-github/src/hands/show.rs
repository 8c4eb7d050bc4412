//! A report on a commit, as a status or as a check run.

use std::sync::Arc;

use greenlight_core::effect::{Answer, Outcome, Refusal};
use greenlight_core::id::{Context, Sha};
use greenlight_core::shown::{
    Annotation, AnnotationLevel, Link, Remarks, ReportForm, ReportState, ShownReport, description,
};
use serde_json::{Value, json};

use super::Try;
use super::ending::{Writing, not_read_back};
use crate::client::{Answer as Answered, CallError, Request, segment};
use crate::shape::{CheckRunShape, StatusShape};

/// Longest summary of a check run.
const SUMMARY_SIZE_MAX: usize = 65_535;
/// How many annotations GitHub takes with one request: no fewer than a job has.
const ANNOTATIONS_MAX: usize = 50;
/// What an annotation that is about no file stands under, as on GitHub.
const NO_FILE: &str = ".github";
/// What GitHub says when a commit has a thousand statuses of one context.
const STATUS_LIMIT: &str = "reached the maximum number of statuses";
/// What GitHub says of a commit that it does not know, or not yet.
const NO_COMMIT: &str = "No commit found";

impl Try<'_> {
    pub(super) async fn show(
        &self,
        sha: Sha,
        context: &Context,
        report: &ShownReport,
        check_run: Option<u64>,
    ) -> Outcome {
        let shown = match report.form {
            ReportForm::Status => self.show_status(sha, context, report).await,
            ReportForm::CheckRun => self.show_check_run(sha, context, report, check_run).await,
        };
        shown.unwrap_or_else(|error| self.not_shown(error))
    }

    fn not_shown(&self, error: CallError) -> Outcome {
        let writing = Writing { tried: self.tried };
        match &error {
            CallError::Rejected { status: 422, message, .. } if message.contains(STATUS_LIMIT) => {
                Outcome::Refused(Refusal::StatusLimit)
            }
            CallError::Rejected { status: 422, message, .. } if message.contains(NO_COMMIT) => {
                writing.unseen(message.clone())
            }
            _ => writing.failed(error),
        }
    }

    async fn show_status(&self, sha: Sha, context: &Context, report: &ShownReport) -> Result<Outcome, CallError> {
        let mut body = json!({
            "state": status_state(report.state),
            "context": context.as_str(),
            "description": &*description(&report.description),
        });
        if let Some(address) = self.address(report.link.as_ref()) {
            body["target_url"] = address.into();
        }
        if self.confirm {
            match self.status_now(sha, context).await {
                Ok(Some(status)) if is_same_status(&status, &body) => return Ok(Outcome::Done(Answer::Nothing)),
                Ok(_) => {}
                Err(error) => return Ok(not_read_back(&error)),
            }
        }
        self.client.call(self.on(), &Request::post(self.path(&format!("/statuses/{sha}"))?, body)).await?;
        Ok(Outcome::Done(Answer::Nothing))
    }

    /// Contexts do not differ by case.
    async fn status_now(&self, sha: Sha, context: &Context) -> Result<Option<StatusShape>, CallError> {
        let path = self.path(&format!("/commits/{sha}/status?per_page=100"))?;
        let statuses: Vec<StatusShape> = self.client.list(self.on(), &path, Some("statuses")).await?;
        Ok(statuses.into_iter().find(|status| status.context.eq_ignore_ascii_case(context.as_str())))
    }

    async fn show_check_run(
        &self,
        sha: Sha,
        context: &Context,
        report: &ShownReport,
        known: Option<u64>,
    ) -> Result<Outcome, CallError> {
        let mut shown = self.check_run_body(context, report, &self.remarks(report).await);
        let known = match self.check_run_now(sha, context, known, report.state).await {
            Ok(Some(run)) if is_same_check_run(&run, &shown) => return Ok(Outcome::Done(Answer::CheckRun(run.id))),
            Ok(Some(run)) => {
                // GitHub adds annotations to those that are there.
                let there = run.output.as_ref().map_or(0, |output| output.annotations_count);
                if annotations_in(&shown) <= there {
                    leave_out_annotations(&mut shown);
                }
                Some(run.id)
            }
            Ok(None) if self.confirm => None,
            Ok(None) => known,
            Err(error) => return Ok(not_read_back(&error)),
        };
        if let Some(id) = known {
            let path = self.path(&format!("/check-runs/{id}"))?;
            match self.write_check_run(Request::patch, path, shown.clone()).await {
                Ok(_) => return Ok(Outcome::Done(Answer::CheckRun(id))),
                // GitHub deletes the oldest of too many; then there is a new one to be made.
                Err(CallError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let mut body = shown;
        body["head_sha"] = sha.to_string().into();
        body["external_id"] = self.key.as_str().into();
        let answer = self.write_check_run(Request::post, self.path("/check-runs")?, body).await?;
        let made: CheckRunShape = answer.json()?;
        Ok(Outcome::Done(Answer::CheckRun(made.id)))
    }

    /// Writes a check run. Should GitHub refuse one of its annotations, the state is worth more than they are.
    async fn write_check_run(
        &self,
        request: fn(String, Value) -> Request,
        path: String,
        mut body: Value,
    ) -> Result<Answered, CallError> {
        match self.client.call(self.on(), &request(path.clone(), body.clone())).await {
            Err(CallError::Rejected { status: 422, message, .. }) if annotations_in(&body) > 0 => {
                tracing::warn!(effect.key = %self.key, "GitHub refuses annotations, which are left out: {message}");
                leave_out_annotations(&mut body);
                self.client.call(self.on(), &request(path, body)).await
            }
            answer => answer,
        }
    }

    /// Returns what the job of a report said beside its log, once it is over.
    async fn remarks(&self, report: &ShownReport) -> Remarks {
        match (&report.link, self.said) {
            (Some(Link::Job(run, job)), Some(said)) if report.state.is_final() => {
                said.of_job(self.repository.id, *run, job).await
            }
            _ => Remarks::default(),
        }
    }

    /// Reads the check run as it is, where that has to be known: the known one, or the one that an earlier try made.
    async fn check_run_now(
        &self,
        sha: Sha,
        context: &Context,
        known: Option<u64>,
        wanted: ReportState,
    ) -> Result<Option<CheckRunShape>, CallError> {
        match known {
            _ if !self.confirm => Ok(None),
            Some(id) => self.client.get_if_readable(self.on(), &self.path(&format!("/check-runs/{id}"))?).await,
            None => {
                let made = self.check_run_made_before(sha, context).await?;
                // One that has ended is an earlier attempt's.
                Ok(made.filter(|run| wanted.is_final() || &*run.status != "completed"))
            }
        }
    }

    /// Finds the check run that an earlier try of this effect made, or one of ours by this name.
    async fn check_run_made_before(&self, sha: Sha, context: &Context) -> Result<Option<CheckRunShape>, CallError> {
        let name = segment(context.as_str());
        let path = self.path(&format!("/commits/{sha}/check-runs?check_name={name}&filter=all&per_page=100"))?;
        let runs: Vec<CheckRunShape> = self.client.list(self.on(), &path, Some("check_runs")).await?;
        let by_key = runs.iter().filter(|run| run.external_id.as_deref() == Some(self.key.as_str()));
        let by_key = by_key.max_by_key(|run| run.id);
        let own_app = self.client.app_id();
        let by_name = || {
            let named = runs.iter().filter(|run| *run.name == *context.as_str());
            let ours = named.filter(|run| {
                let app = run.app.as_ref().and_then(|app| app.id).map(|id| id.to_string());
                app.is_some() && app.as_deref() == own_app
            });
            ours.max_by_key(|run| run.id)
        };
        Ok(by_key.or_else(by_name).cloned())
    }

    fn check_run_body(&self, context: &Context, report: &ShownReport, remarks: &Remarks) -> Value {
        let own = report.summary.as_ref().unwrap_or(&report.description);
        let summary: Vec<&str> = std::iter::once(own).chain(&remarks.summaries).map(|text| &**text).collect();
        let mut body = json!({
            "name": context.as_str(),
            "output": { "title": &*description(&report.description), "summary": clipped(&summary.join("\n\n")) },
        });
        if !remarks.annotations.is_empty() {
            let annotations = remarks.annotations.iter().take(ANNOTATIONS_MAX).map(annotation_body);
            body["output"]["annotations"] = annotations.collect();
        }
        match check_state(report.state) {
            CheckState::Going(status) => body["status"] = status.into(),
            CheckState::Over(conclusion) => {
                body["status"] = "completed".into();
                body["conclusion"] = conclusion.into();
            }
        }
        if let Some(address) = self.address(report.link.as_ref()) {
            body["details_url"] = address.into();
        }
        body
    }
}

fn annotations_in(body: &Value) -> usize {
    body["output"]["annotations"].as_array().map_or(0, Vec::len)
}

fn leave_out_annotations(body: &mut Value) {
    if let Some(output) = body["output"].as_object_mut() {
        output.remove("annotations");
    }
}

/// Writes an annotation. GitHub takes none without a place, without words, or with columns that span lines.
fn annotation_body(annotation: &Annotation) -> Value {
    let (level, word) = match annotation.level {
        AnnotationLevel::Error => ("failure", "Error"),
        AnnotationLevel::Warning => ("warning", "Warning"),
        AnnotationLevel::Notice => ("notice", "Notice"),
    };
    let path = annotation.file.as_deref().map(|file| file.trim_start_matches("./")).filter(|file| !file.is_empty());
    let start_line = annotation.line.unwrap_or(1).max(1);
    let end_line = annotation.end_line.map_or(start_line, |line| line.max(start_line));
    let message = Some(&*annotation.message).filter(|message| !message.trim().is_empty()).unwrap_or(word);
    let mut body = json!({
        "path": path.unwrap_or(NO_FILE),
        "start_line": start_line,
        "end_line": end_line,
        "annotation_level": level,
        "message": message,
    });
    if let Some(title) = annotation.title.as_deref().filter(|title| !title.trim().is_empty()) {
        body["title"] = title.into();
    }
    if let Some(column) = annotation.column.filter(|column| *column > 0 && start_line == end_line) {
        body["start_column"] = column.into();
        body["end_column"] = annotation.end_column.map_or(column, |end| end.max(column)).into();
    }
    body
}

/// GitHub has no word for "stopped" among its statuses; "error" says that the code is not to blame.
fn status_state(state: ReportState) -> &'static str {
    match state {
        ReportState::Pending | ReportState::Running => "pending",
        ReportState::Success | ReportState::Skipped => "success",
        ReportState::Failure => "failure",
        ReportState::Cancelled | ReportState::Error => "error",
    }
}

enum CheckState {
    Going(&'static str),
    Over(&'static str),
}

fn check_state(state: ReportState) -> CheckState {
    match state {
        ReportState::Pending => CheckState::Going("queued"),
        ReportState::Running => CheckState::Going("in_progress"),
        ReportState::Success => CheckState::Over("success"),
        ReportState::Skipped => CheckState::Over("skipped"),
        ReportState::Cancelled => CheckState::Over("cancelled"),
        ReportState::Failure | ReportState::Error => CheckState::Over("failure"),
    }
}

fn is_same_status(status: &StatusShape, body: &Value) -> bool {
    let same = |field: &str, value: Option<&Arc<str>>| {
        body.get(field).and_then(Value::as_str).unwrap_or("") == value.map_or("", |value| value)
    };
    same("state", Some(&status.state))
        && same("description", status.description.as_ref())
        && same("target_url", status.target_url.as_ref())
}

/// The summary is not compared: GitHub may write it a little differently, and it follows from the rest.
fn is_same_check_run(run: &CheckRunShape, body: &Value) -> bool {
    let same =
        |field: &Value, value: Option<&Arc<str>>| field.as_str().unwrap_or("") == value.map_or("", |value| value);
    same(&body["status"], Some(&run.status))
        && same(&body["conclusion"], run.conclusion.as_ref())
        && same(&body["details_url"], run.details_url.as_ref())
        && same(&body["output"]["title"], run.output.as_ref().and_then(|output| output.title.as_ref()))
}

fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(SUMMARY_SIZE_MAX)]
}
