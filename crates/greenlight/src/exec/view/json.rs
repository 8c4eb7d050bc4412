//! One JSON object a line: for scripts. Documented in docs/user/exec.md; a field is never taken away, only added.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex};

use greenlight_core::run::Conclusion;
use greenlight_core::time::Timestamp;
use greenlight_runner::{LogBlock, StepState, StepUpdate};
use serde_json::{Value, json};

use super::{JobName, Outputs, View, Word, end_of};
use crate::server::clock;

/// JSON lines.
pub struct Json {
    out: Mutex<Box<dyn Write + Send>>,
}

impl Json {
    /// Returns a view that writes to standard output.
    #[expect(clippy::new_without_default, reason = "nobody wants a default view")]
    pub fn new() -> Self {
        Self { out: Mutex::new(Box::new(std::io::stdout())) }
    }
}

impl View for Json {
    fn tell(&self, word: &Word<'_>) {
        let mut text = String::new();
        for value in values(word) {
            text.push_str(&value.to_string());
            text.push('\n');
        }
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Whoever reads us may have read enough; the jobs go on.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

fn values(word: &Word<'_>) -> Vec<Value> {
    let one = match word {
        Word::Begin(header) => json!({
            "type": "begin", "event": &*header.event, "ref": header.git_ref.as_str(),
            "repository": &*header.repository, "sha": header.sha.map(|sha| sha.to_string()),
            "dirty": header.is_dirty, "workflows": header.workflows,
        }),
        Word::Notice(text) => json!({ "type": "notice", "message": text }),
        Word::JobStart { run, job } => {
            of(job, json!({ "type": "job.start", "workflow": &*run.name, "name": &*job.name, "at": now() }))
        }
        Word::Step { job, update, outputs } => of(job, step(update, *outputs)),
        Word::Log { job, block } => return log(job, block),
        Word::Annotation { job, annotation } => of(
            job,
            json!({
                "type": "annotation", "step": annotation.step, "level": annotation.level.as_str(),
                "message": &*annotation.message, "title": annotation.title.as_deref(),
                "file": annotation.file.as_deref(), "line": annotation.line,
            }),
        ),
        Word::Summary { job, step, markdown } => {
            of(job, json!({ "type": "summary", "step": step, "markdown": markdown }))
        }
        Word::JobEnd { run, job, state, .. } => {
            let (conclusion, reason, length) = end_of(state);
            let outputs = named(&state.outputs);
            of(
                job,
                json!({
                    "type": "job.end", "workflow": &*run.name, "name": &*job.name, "conclusion": conclusion.as_str(),
                    "reason": reason, "outputs": outputs, "ms": length.map(|length| length.as_millis() as u64),
                    "at": now(),
                }),
            )
        }
        Word::RunEnd { run } => json!({
            "type": "run.end", "run": run.number.0, "workflow": &*run.name, "path": &*run.workflow,
            "conclusion": run.conclusion().map(Conclusion::as_str), "reason": &*run.reason, "at": now(),
        }),
        Word::Interrupted { is_second } => json!({ "type": "interrupted", "at_once": is_second }),
        Word::End { conclusion, length } => json!({
            "type": "end", "conclusion": conclusion.map(Conclusion::as_str), "ms": length.as_millis() as u64,
        }),
    };
    vec![one]
}

fn of(job: &JobName, mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.insert("run".into(), job.run.0.into());
        object.insert("job".into(), job.key.as_str().into());
    }
    value
}

fn step(update: &StepUpdate, outputs: Option<&Outputs>) -> Value {
    match update.state {
        StepState::Running { started_at } => json!({
            "type": "step.start", "step": update.index, "name": &*update.name, "at": written(started_at),
        }),
        StepState::Completed { outcome, conclusion, started_at, completed_at } => json!({
            "type": "step.end", "step": update.index, "name": &*update.name, "conclusion": conclusion.as_str(),
            "outcome": outcome.as_str(), "outputs": outputs.map(|outputs| named(outputs)).unwrap_or_default(),
            "ms": started_at.map(|at| completed_at.since(at).as_millis() as u64), "at": written(completed_at),
        }),
    }
}

fn named(outputs: &[(Arc<str>, Arc<str>)]) -> BTreeMap<&str, &str> {
    outputs.iter().map(|(name, value)| (&**name, &**value)).collect()
}

fn log(job: &JobName, block: &LogBlock) -> Vec<Value> {
    let text = String::from_utf8_lossy(&block.text);
    let line =
        |line: &str| of(job, json!({ "type": "log", "step": block.step, "line": line, "at": written(block.at) }));
    text.lines().map(line).collect()
}

fn now() -> String {
    written(clock::now())
}

fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis()).map_or_else(|_| String::new(), |at| format!("{at:.3}"))
}
