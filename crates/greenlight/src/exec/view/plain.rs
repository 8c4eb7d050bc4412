//! Plain lines, each with its job in front: for pipes, files and other programs' logs.

use std::io::Write;
use std::sync::Mutex;

use greenlight_core::run::Conclusion;
use greenlight_core::time::spoken;
use greenlight_runner::StepState;

use super::{View, Word, end_of, headline};

/// The runner's own step at the end of each job, which has nothing to say.
const LAST_STEP: &str = "Complete job";

/// Plain lines.
pub struct Plain {
    out: Mutex<Box<dyn Write + Send>>,
    /// Are the logs left out?
    is_quiet: bool,
}

impl Plain {
    /// Returns a view that writes to standard output.
    pub fn new(is_quiet: bool) -> Self {
        Self { out: Mutex::new(Box::new(std::io::stdout())), is_quiet }
    }
}

impl View for Plain {
    fn tell(&self, word: &Word<'_>) {
        let mut text = String::new();
        lines(word, self.is_quiet, &mut text);
        if text.is_empty() {
            return;
        }
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Whoever reads us may have read enough; the jobs go on.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// Writes what a word comes to, as whole lines.
pub(super) fn lines(word: &Word<'_>, is_quiet: bool, out: &mut String) {
    match word {
        Word::Begin(header) => out.push_str(&format!("{}\n", headline(header))),
        Word::Notice(text) => out.push_str(&format!("{}\n", text.trim_end())),
        Word::JobStart { job, .. } => out.push_str(&format!("{}: started\n", job.name)),
        Word::Step { job, update, .. } => {
            if let StepState::Completed { conclusion, started_at, completed_at } = update.state
                && update.index > 0
                && &*update.name != LAST_STEP
                && let Some(started_at) = started_at
            {
                let length = spoken(completed_at.since(started_at));
                out.push_str(&format!("{}: {}: {} in {length}\n", job.name, update.name, conclusion.as_str()));
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
