//! Plain lines, each with its job in front: for pipes, files and other programs' logs.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use greenlight_core::run::{Conclusion, Run};
use greenlight_core::time::spoken;
use greenlight_runner::StepState;

use super::{JobName, View, Word, end_of, headline};
use crate::api::shape;
use crate::terminal;

/// The runner's own step at the end of each job, which has nothing to say.
const LAST_STEP: &str = "Complete job";

/// How many annotations are listed at the end of a run.
const ANNOTATIONS_MAX: usize = 100;

/// How many lines of a job's summary are shown.
const SUMMARY_LINES_MAX: usize = 200;

/// Plain lines.
pub struct Plain(Mutex<(Story, Box<dyn Write + Send>)>);

impl Plain {
    /// Returns a view that writes to standard output.
    pub fn new(is_quiet: bool) -> Self {
        Self(Mutex::new((Story::new(is_quiet), Box::new(std::io::stdout()))))
    }
}

impl View for Plain {
    fn tell(&self, word: &Word<'_>) {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (story, out) = &mut *guard;
        let text = story.lines(word);
        let text = terminal::shown(&text);
        // Whoever reads us may have read enough; the jobs go on.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// What is told in lines, and what is kept for the end of each run: the annotations, and what steps have to say in Markdown.
pub(super) struct Story {
    /// Are the logs left out?
    is_quiet: bool,
    kept: BTreeMap<JobName, Kept>,
}

#[derive(Default)]
struct Kept {
    annotations: Vec<String>,
    summary: String,
}

impl Story {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self { is_quiet, kept: BTreeMap::new() }
    }

    /// Returns what a word comes to, as whole lines.
    pub(super) fn lines(&mut self, word: &Word<'_>) -> String {
        let mut out = String::new();
        match word {
            Word::Annotation { job, annotation } => {
                self.of(job).annotations.push(shape::Annotation::from(*annotation).told("    "))
            }
            Word::Summary { job, markdown, .. } => {
                let summary = &mut self.of(job).summary;
                summary.push_str(markdown.trim_end());
                summary.push('\n');
            }
            Word::RunEnd { run } => self.tell_kept(run, &mut out),
            _ => {}
        }
        lines(word, self.is_quiet, &mut out);
        out
    }

    fn of(&mut self, job: &JobName) -> &mut Kept {
        self.kept.entry(job.clone()).or_default()
    }

    /// Tells what the jobs of a run said beside their logs.
    fn tell_kept(&mut self, run: &Run, out: &mut String) {
        let kept = std::mem::take(&mut self.kept);
        let (own, others) = kept.into_iter().partition(|(job, _)| job.run == run.number);
        self.kept = others;
        for (job, kept) in &own {
            if !kept.summary.is_empty() {
                out.push_str(&format!("{}: summary\n", job.name));
                tell_some(kept.summary.lines().map(|line| format!("    {line}")), SUMMARY_LINES_MAX, "lines", out);
            }
        }
        let annotations = own
            .iter()
            .flat_map(|(job, kept)| kept.annotations.iter().map(|annotation| format!("{}: {annotation}", job.name)));
        tell_some(annotations, ANNOTATIONS_MAX, "annotations", out);
    }
}

/// Writes this many of these, and how many there are more.
fn tell_some(all: impl Iterator<Item = String>, most: usize, what: &str, out: &mut String) {
    let mut more = 0;
    for (place, line) in all.enumerate() {
        match place < most {
            true => out.push_str(&format!("{line}\n")),
            false => more += 1,
        }
    }
    if more > 0 {
        out.push_str(&format!("    … and {more} more {what}: --json has all of them\n"));
    }
}

/// Writes what a word comes to, as whole lines.
fn lines(word: &Word<'_>, is_quiet: bool, out: &mut String) {
    match word {
        Word::Begin(header) => out.push_str(&format!("{}\n", headline(header))),
        Word::Notice(text) => out.push_str(&format!("{}\n", text.trim_end())),
        Word::JobStart { job, .. } => out.push_str(&format!("{}: started\n", job.name)),
        Word::Step { job, update, .. } => {
            if let StepState::Completed { outcome, conclusion, started_at, completed_at } = update.state
                && update.index > 0
                && &*update.name != LAST_STEP
                && let Some(started_at) = started_at
            {
                let length = spoken(completed_at.since(started_at));
                let ended = shape::ended(conclusion.as_str(), outcome.as_str());
                out.push_str(&format!("{}: {}: {ended} in {length}\n", job.name, update.name));
            }
        }
        Word::Log { job, block } if !is_quiet => {
            for line in String::from_utf8_lossy(&block.text).lines() {
                out.push_str(&format!("{} | {line}\n", job.name));
            }
        }
        Word::Log { .. } | Word::Annotation { .. } | Word::Summary { .. } => {}
        Word::JobEnd { job, state, .. } => {
            let (conclusion, reason, length) = end_of(state);
            let length = length.map(|length| format!(" in {}", spoken(length))).unwrap_or_default();
            let reason = beyond(reason, conclusion.as_str());
            out.push_str(&format!("{}: {}{length}: {reason}\n", job.name, conclusion.as_str()));
        }
        Word::RunEnd { run } => {
            let conclusion = run.conclusion().map_or("", Conclusion::as_str);
            out.push_str(&format!("{}: {conclusion}: {}\n", run.name, beyond(&run.reason, conclusion)));
        }
        Word::Interrupted { is_second: false } => {
            out.push_str("stopping; interrupt once more to end everything at once\n");
        }
        Word::Interrupted { is_second: true } => out.push_str("ending everything at once\n"),
        Word::End { conclusion, length } => {
            let conclusion = conclusion.map_or("nothing ran", Conclusion::as_str);
            out.push_str(&format!("{conclusion} after {}\n", spoken(*length)));
        }
    }
}

/// Returns what a reason says beyond the conclusion, which stands before it.
fn beyond<'a>(reason: &'a str, conclusion: &str) -> &'a str {
    reason.strip_prefix(conclusion).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(reason)
}
