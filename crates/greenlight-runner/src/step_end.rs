//! What a step leaves behind: what it wrote into its files and said with commands, taken in after its end.

use std::path::PathBuf;
use std::sync::Arc;

use greenlight_workflow::Value;

use crate::file_command::{FileError, StepFiles, may_be_set};
use crate::host::{Annotation, AnnotationLevel};
use crate::job::JobRun;
use crate::output::Said;
use crate::step::StepEnd;
use crate::workspace::write_new;

/// How many artifacts a job may list.
const ARTIFACTS_MAX: usize = 500;

impl JobRun {
    /// Takes in what a step wrote into its files and said with commands. What it keeps for itself goes into `kept`.
    pub(crate) async fn take_in(
        &self,
        index: u32,
        files: &StepFiles,
        said: Said,
        kept: &mut Vec<(String, String)>,
    ) -> StepEnd {
        let mut end = StepEnd::success(said.outputs);
        let mut problems: Vec<String> = said.refused.into_iter().collect();
        let failed =
            |name: &str, error: FileError| format!("Unable to process file command '{name}' successfully: {error}");
        end.env = self.allowed(index, said.env).await;
        end.paths = said.paths;
        match files.pairs("env") {
            Ok(pairs) => end.env.extend(self.allowed(index, pairs).await),
            Err(error) => problems.push(failed("env", error)),
        }
        match files.lines("path") {
            Ok(lines) => end.paths.extend(lines),
            Err(error) => problems.push(failed("path", error)),
        }
        match files.pairs("output") {
            Ok(pairs) => end.outputs.extend(pairs),
            Err(error) => problems.push(failed("output", error)),
        }
        kept.extend(said.state);
        match files.pairs("state") {
            Ok(pairs) => kept.extend(pairs),
            Err(error) => problems.push(failed("state", error)),
        }
        *kept = last_of_each(std::mem::take(kept));
        match files.lines("artifacts") {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => self.add_artifacts(index, lines).await,
            Err(error) => problems.push(failed("artifacts", error)),
        }
        self.summarize(index, files.text("step_summary")).await;
        end.outputs = last_of_each(end.outputs);
        match problems.into_iter().next() {
            Some(problem) => end.failed(format!("failed: {problem}")),
            None => end,
        }
    }

    /// Leaves out the variables that nobody may set.
    async fn allowed(&self, index: u32, pairs: Vec<(String, String)>) -> Vec<(String, String)> {
        let mut allowed = Vec::with_capacity(pairs.len());
        for (name, value) in pairs {
            if may_be_set(&name) {
                allowed.push((name, value));
            } else {
                let why = format!("Can't store {name} output parameter using '$GITHUB_ENV' command.");
                self.complain(index, AnnotationLevel::Error, &why).await;
            }
        }
        allowed
    }

    /// Returns the file that lists what the job's steps said they made: read-only for them, by its meaning.
    pub(crate) fn artifacts_file(&self) -> PathBuf {
        self.workspace.temp.join("_artifacts.json")
    }

    /// Takes in what a step says it made: files, or images with their digest.
    async fn add_artifacts(&self, index: u32, lines: Vec<String>) {
        let all: Vec<Value> = {
            let mut state = self.state();
            for line in lines {
                if !state.artifacts.contains(&line) {
                    state.artifacts.push(line);
                }
            }
            state.artifacts.truncate(ARTIFACTS_MAX);
            state.artifacts.iter().map(|line| Value::string(line.as_str())).collect()
        };
        if all.len() == ARTIFACTS_MAX {
            let why = format!("a job lists at most {ARTIFACTS_MAX} artifacts; what comes after them is left out");
            self.complain(index, AnnotationLevel::Warning, &why).await;
        }
        // A list that cannot be written is read as it was before.
        let _ = write_new(&self.artifacts_file(), Value::array(all).to_json().as_bytes());
    }

    async fn summarize(&self, index: u32, summary: Result<String, FileError>) {
        match summary {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => self.log.host.summarize(index, self.log.masked(&text)).await,
            Err(error) => {
                let why = format!("the summary of this step is not shown: {error}");
                self.complain(index, AnnotationLevel::Error, &why).await;
            }
        }
    }

    /// Says something in the log and beside it.
    pub(crate) async fn complain(&self, index: u32, level: AnnotationLevel, message: &str) {
        self.log.line(index, &format!("##[{}]{message}", level.as_str())).await;
        let message = Arc::from(self.log.masked(message));
        self.log.host.annotate(Annotation::new(index, level, message)).await;
    }
}

/// Keeps the last value of each name, in the order in which the names came.
fn last_of_each(pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut kept: Vec<(String, String)> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        match kept.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => kept.push((name, value)),
        }
    }
    kept
}
