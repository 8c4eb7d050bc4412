//! A job's page: its log from the first byte, and for as long as the job runs, line by line as they come, without JavaScript.
//!
//! The answer stays open while the job runs. Every reader reads by itself from where it is, so that a slow one costs nobody
//! else anything.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use askama::Template as _;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use greenlight_core::id::AttemptId;
use greenlight_store::{Follower, LogPage};

use super::sgr::Style;
use super::view::{Frame, JobPage, Shown, html};
use crate::api::shape;
use crate::history::{self, Refusal};
use crate::server::Shared;
use crate::server::repository::Handle;

/// Where the template has the log.
const MARKER: &str = "<!-- the log -->";
/// What makes the address of a log as text.
const TEXT_SUFFIX: &str = ".txt";
/// Longest line that a page shows whole, in characters; the text has all of it.
const LINE_LENGTH_MAX: usize = 8 << 10;
/// Lines that are read at once.
const LINES_AT_ONCE: usize = 5_000;
/// How often a job whose log is quiet is looked at: one that never prints ends as well.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How often a quiet connection is told that it is alive.
const ALIVE_EVERY: Duration = Duration::from_secs(15);

/// What a line begins with that the runner marked, the class it is shown with, and the words for it. The text has it as it is.
const MARKS: &[(&str, &str, &str)] = &[
    ("##[group]", " b", ""),
    ("##[command]", " f4", ""),
    ("##[error]", " f1", "Error: "),
    ("##[warning]", " f3", "Warning: "),
    ("##[notice]", " f4", "Notice: "),
    ("##[debug]", " d", "Debug: "),
];
/// The line that ends a group; the page leaves it out.
const GROUP_END: &str = "##[endgroup]";

/// `/{owner}/{repo}/runs/{number}/jobs/{key}`, and with `.txt` behind it the log alone.
pub async fn job(
    Path((owner, repo, number, key)): Path<(String, String, u64, String)>,
    State(shared): State<Arc<Shared>>,
) -> Result<Response, Shown> {
    let handle = history::handle(&shared, &owner, &repo)?;
    match key.strip_suffix(TEXT_SUFFIX) {
        Some(key) => text(shared, &handle, number, key).await,
        None => page(shared, handle, number, &key).await,
    }
}

async fn text(shared: Arc<Shared>, handle: &Handle, number: u64, key: &str) -> Result<Response, Shown> {
    let attempt = history::attempt_of(&shared, handle, number, key).await?;
    Ok(raw(shared, attempt, 0, false))
}

/// Returns a log as text, from a line on; with `follow`, until the job is over.
pub(crate) fn raw(shared: Arc<Shared>, attempt: AttemptId, from: u64, follow: bool) -> Response {
    let reader = Reader { shared, attempt, next: from, follow, follower: None };
    let parts = stream::unfold(reader, async |mut reader| {
        let page = reader.read().await?;
        let mut text = Vec::new();
        page.blocks.iter().for_each(|block| text.extend_from_slice(&block.text));
        Some((Ok::<_, Infallible>(Bytes::from(text)), reader))
    });
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")],
        Body::from_stream(parts),
    )
        .into_response()
}

/// Returns a log as server-sent events, from a line on until the job is over. Each tells some lines; its id is the number of the
/// last one, so that whoever comes back with it misses none and reads none twice.
pub(crate) async fn events(shared: Arc<Shared>, attempt: AttemptId, from: u64) -> Response {
    let mut reader = Reader { shared, attempt, next: from, follow: false, follower: None };
    reader.follow = !reader.is_over().await;
    let parts = stream::unfold(Some(reader), async |reader| {
        let mut reader = reader?;
        let (event, rest) = match reader.read().await {
            Some(page) => (lines_event(&page), Some(reader)),
            None if reader.shared.stop.is_cancelled() => return None,
            None => (Event::default().event("end").data("{}"), None),
        };
        Some((Ok::<_, Infallible>(event), rest))
    });
    Sse::new(parts).keep_alive(KeepAlive::new().interval(ALIVE_EVERY)).into_response()
}

fn lines_event(page: &LogPage) -> Event {
    let lines: Vec<_> = page
        .lines()
        .map(|line| {
            let text = String::from_utf8_lossy(line.text);
            serde_json::json!({ "number": line.number + 1, "step": line.step + 1, "text": text.trim_end_matches(['\r', '\n']) })
        })
        .collect();
    Event::default().event("lines").id(page.next.to_string()).data(serde_json::json!({ "lines": lines }).to_string())
}

async fn page(shared: Arc<Shared>, handle: Handle, number: u64, key: &str) -> Result<Response, Shown> {
    let run = history::run(&shared, &handle, number).await?;
    let name = run.line.repository.clone();
    let missing = || Refusal::Missing(format!("run {number} of {name} has no job `{key}`").into());
    let job = run.jobs.iter().find(|job| job.key == *key).cloned().ok_or_else(missing)?;
    let attempt = history::attempt_of(&shared, &handle, number, key).await?;
    let (follow, steps) = (job.ended_at.is_none(), job.steps.clone());
    let frame = Frame::new(&shared, &format!("{name} #{number} {}", job.name)).of(&name);
    if job.ended_at.is_none() && job.runner.is_none() {
        // There is nothing to follow yet: the page says why, and is read again when that changes.
        return html(&JobPage { frame: frame.live(), run: number, job, may_run_again: false, marker: None });
    }
    let page = JobPage { frame, run: number, job, may_run_again: run.may_run_again(), marker: Some(MARKER) };
    let whole =
        page.render().map_err(|error| Refusal::Unavailable(format!("the page cannot be written: {error}").into()))?;
    let (head, foot) = whole.split_once(MARKER).unwrap_or((&whole, ""));
    let reader = Reader { shared: shared.clone(), attempt, next: 0, follow, follower: None };
    let writing = Writing {
        handle,
        reader,
        number,
        steps,
        style: Style::default(),
        step: None,
        foot: foot.to_owned(),
        stage: Stage::Head(head.to_owned()),
    };
    let parts = stream::unfold(writing, async |mut writing| {
        writing.next().await.map(|part| (Ok::<_, Infallible>(Bytes::from(part)), writing))
    });
    Ok((
        [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")],
        Body::from_stream(parts),
    )
        .into_response())
}

/// Reads a log, part by part.
struct Reader {
    shared: Arc<Shared>,
    attempt: AttemptId,
    next: u64,
    follow: bool,
    follower: Option<Follower>,
}

impl Reader {
    /// Returns the next part; nothing at the end, or when the server ends.
    async fn read(&mut self) -> Option<LogPage> {
        let stop = self.shared.stop.clone();
        let page = tokio::select! {
            page = self.part() => page,
            () = stop.cancelled() => None,
        }?;
        self.next = page.next;
        Some(page)
    }

    async fn part(&mut self) -> Option<LogPage> {
        if !self.follow {
            let page = self.shared.logs.read(&self.attempt, self.next, LINES_AT_ONCE).await.ok()?;
            return (!page.blocks.is_empty()).then_some(page);
        }
        if self.follower.is_none() {
            self.follower = Some(self.shared.logs.follow(&self.attempt, self.next).await.ok()?);
        }
        loop {
            let follower = self.follower.as_mut()?;
            match tokio::time::timeout(LOOK_EVERY, follower.next()).await {
                Ok(page) => return page.ok().flatten(),
                Err(_) if self.is_over().await => {
                    // What was printed between the last look and the end is still to be read.
                    self.follow = false;
                    let page = self.shared.logs.read(&self.attempt, self.next, LINES_AT_ONCE).await.ok()?;
                    return (!page.blocks.is_empty()).then_some(page);
                }
                Err(_) => {}
            }
        }
    }

    async fn is_over(&self) -> bool {
        let found = self.shared.store.history().run(self.attempt.repo, self.attempt.run).await;
        let Ok(Some(detail)) = found else { return false };
        let mut jobs = detail.attempts.iter().flat_map(|(_, jobs)| jobs);
        jobs.find(|job| job.attempt == self.attempt).is_none_or(|job| job.conclusion.is_some())
    }
}

enum Stage {
    Head(String),
    Log,
    Done,
}

/// Writes the page, part by part.
struct Writing {
    handle: Handle,
    reader: Reader,
    number: u64,
    steps: Vec<shape::Step>,
    style: Style,
    step: Option<u32>,
    foot: String,
    stage: Stage,
}

impl Writing {
    async fn next(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.stage, Stage::Log) {
            Stage::Head(head) => Some(head),
            Stage::Log => match self.reader.read().await {
                Some(page) => Some(self.lines(&page).await),
                None => {
                    self.stage = Stage::Done;
                    Some(self.end().await)
                }
            },
            Stage::Done => None,
        }
    }

    async fn lines(&mut self, page: &LogPage) -> String {
        let mut html = String::with_capacity(64 << 10);
        for line in page.lines() {
            if self.step != Some(line.step) {
                self.step = Some(line.step);
                self.style = Style::default();
                self.heading(line.step, &mut html).await;
            }
            let number = line.number + 1;
            let text = String::from_utf8_lossy(line.text);
            let Some((class, label, text)) = marked(&text) else { continue };
            let _ =
                write!(html, "<p id=\"L{number}\"><a href=\"#L{number}\">{number}</a><span class=\"t{class}\">{label}");
            match text.char_indices().nth(LINE_LENGTH_MAX) {
                None => self.style.line(text, &mut html),
                Some((end, _)) => {
                    self.style.line(&text[..end], &mut html);
                    html.push_str("<span class=\"gap\"> … (the text has the rest of this line)</span>");
                }
            }
            html.push_str("</span></p>\n");
        }
        html
    }

    async fn heading(&mut self, step: u32, html: &mut String) {
        if !self.steps.iter().any(|known| known.number == step + 1) {
            self.reread().await;
        }
        if let Some(known) = self.steps.iter().find(|known| known.number == step + 1) {
            html.push_str("<p class=\"h\"><a></a><span class=\"t\">");
            Style::default().line(&known.name, html);
            html.push_str("</span></p>\n");
        }
    }

    async fn reread(&mut self) -> Option<shape::Job> {
        let run = history::run(&self.reader.shared, &self.handle, self.number).await.ok()?;
        let job = run.jobs.into_iter().find(|job| job.key == self.reader.attempt.job.as_str())?;
        self.steps.clone_from(&job.steps);
        Some(job)
    }

    /// Ends the page; after a job that was followed, with how it ended.
    async fn end(&mut self) -> String {
        let mut html = String::new();
        if self.reader.next == 0 {
            html.push_str("<p><span class=\"t\">Nothing was printed.</span></p>\n");
        }
        if self.reader.follower.is_some()
            && let Some(job) = self.reread().await
        {
            let _ = write!(html, "<p class=\"h\"><a></a><span class=\"t\">");
            Style::default().line(&format!("{}: {}", job.state, job.reason), &mut html);
            html.push_str("</span></p>\n");
        }
        html + &self.foot
    }
}

/// Returns the class, the words in front and the text of a line; nothing where the page leaves it out.
fn marked(line: &str) -> Option<(&'static str, &'static str, &str)> {
    if line.trim_end() == GROUP_END {
        return None;
    }
    let mut marks = MARKS.iter().filter_map(|(mark, class, label)| Some((*class, *label, line.strip_prefix(mark)?)));
    Some(marks.next().unwrap_or(("", "", line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runner_marked_is_shown_in_words() {
        assert_eq!(marked("##[group]Run script/test"), Some((" b", "", "Run script/test")));
        assert_eq!(marked("##[error]it broke"), Some((" f1", "Error: ", "it broke")));
        assert_eq!(marked("##[endgroup]\n"), None);
        assert_eq!(marked("a line"), Some(("", "", "a line")));
    }
}
