//! One step: whether it runs, with which variables, and what its end means for the job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::run::Conclusion;
use greenlight_workflow::{Step, StepKind, Template, evaluate_entries};

use crate::contexts::{Frame, Seen, Status, StepResult};
use crate::file_command::{FileError, StepFiles, may_be_set};
use crate::host::{Annotation, AnnotationLevel, StepState};
use crate::job::JobRun;
use crate::output::{Output, Said, discard};
use crate::process::{Exit, Limits, Program, run};
use crate::shell::Shell;
use crate::stop::Stop;
use crate::variables;

/// The output that says where a deployment is.
const ENVIRONMENT_URL: &str = "environment_url";

/// How long a step without a limit of its own may take: as long as its job.
const TIMEOUT_MINUTES_MAX: f64 = 60.0 * 24.0 * 365.0;

/// How a step came out.
#[derive(Debug)]
pub(crate) struct StepEnd {
    pub(crate) outcome: Conclusion,
    pub(crate) outputs: Vec<(String, String)>,
    /// Why it failed, as the end of "step 'X' …".
    pub(crate) reason: Option<String>,
}

impl StepEnd {
    pub(crate) fn success(outputs: Vec<(String, String)>) -> Self {
        Self { outcome: Conclusion::Success, outputs, reason: None }
    }

    pub(crate) fn failure(reason: impl Into<String>) -> Self {
        Self { outcome: Conclusion::Failure, outputs: Vec::new(), reason: Some(reason.into()) }
    }

    pub(crate) fn cancelled() -> Self {
        Self { outcome: Conclusion::Cancelled, outputs: Vec::new(), reason: None }
    }
}

/// What a step runs with.
pub(crate) struct StepScope<'a> {
    pub(crate) step: &'a Step,
    pub(crate) seen: Seen,
    /// What `env` is for it: workflow, job, what steps before it set, its own.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) timeout: Option<Duration>,
}

impl JobRun {
    /// Runs a step, if it is to run.
    pub(crate) async fn run_step(&mut self, frame: &mut Frame, step: &Step) {
        let told = self.told();
        let mut env = self.env.clone();
        env.extend(frame.env.iter().cloned());
        let seen = self.contexts.of_step(frame, &step.id, &env, self.status);
        let name = step.display_name(&seen);
        let own_env = evaluate_entries(&step.env, &seen)
            .map_err(|error| format!("its env cannot be computed: {}", error.message));
        let runs = match own_env {
            Ok(own) => {
                env.extend(own);
                let seen = seen.with_env(&env);
                let condition = if matches!(told, Stop::Lost(_)) { Ok(false) } else { step.condition.evaluate(&seen) };
                condition
                    .map(|holds| (holds, seen))
                    .map_err(|error| format!("its if cannot be computed: {}", error.message))
            }
            Err(why) => Err(why),
        };
        let started_at = self.now();
        let (end, may_fail, started_at) = match runs {
            Ok((false, _)) => {
                let skipped = StepEnd { outcome: Conclusion::Skipped, outputs: Vec::new(), reason: None };
                (skipped, false, None)
            }
            Ok((true, seen)) => {
                self.tell(frame, &name, StepState::Running { started_at }).await;
                let scope = StepScope { step, seen, env, timeout: None };
                let (end, may_fail) = self.run_scope(frame, scope).await;
                (end, may_fail, Some(started_at))
            }
            Err(why) => {
                self.tell(frame, &name, StepState::Running { started_at }).await;
                self.log.line(frame.index, &format!("##[error]{why}")).await;
                (StepEnd::failure(why), false, Some(started_at))
            }
        };
        let conclusion = if may_fail && end.outcome == Conclusion::Failure { Conclusion::Success } else { end.outcome };
        self.note(frame, &name, &end, conclusion);
        self.tell(frame, &name, StepState::Completed { conclusion, started_at, completed_at: self.now() }).await;
        if let Some((_, url)) = end.outputs.iter().rev().find(|(name, url)| name == ENVIRONMENT_URL && !url.is_empty())
        {
            self.environment_url = Some(url.clone());
        }
        if step.explicit_id {
            let result = StepResult { outcome: end.outcome, conclusion, outputs: end.outputs };
            frame.steps.retain(|(id, _)| *id != step.id);
            frame.steps.push((step.id.clone(), result));
        }
    }

    /// Notes what a step's end means for the job, or for the action that it belongs to.
    fn note(&mut self, frame: &mut Frame, name: &str, end: &StepEnd, conclusion: Conclusion) {
        if conclusion == Conclusion::Failure {
            if frame.status == Status::Success {
                frame.status = Status::Failure;
            }
            if frame.depth == 0 {
                if self.status == Status::Success {
                    self.status = Status::Failure;
                }
                let why = end.reason.as_deref().unwrap_or("failed");
                self.reason.get_or_insert_with(|| format!("step '{name}' {why}"));
            }
        }
        if conclusion == Conclusion::Cancelled {
            self.status = Status::Cancelled;
        }
    }

    /// Runs a step that is to run. Returns its end, and whether it may fail.
    async fn run_scope(&mut self, frame: &mut Frame, mut scope: StepScope<'_>) -> (StepEnd, bool) {
        let step = scope.step;
        let may_fail = step.continue_on_error.evaluate_bool(&scope.seen);
        let minutes = step.timeout_minutes.as_ref().map(|minutes| minutes.evaluate_number(&scope.seen)).transpose();
        let end = match (&may_fail, minutes) {
            (Err(error), _) => {
                StepEnd::failure(format!("has a continue-on-error that cannot be computed: {}", error.message))
            }
            (_, Err(error)) => {
                StepEnd::failure(format!("has a timeout-minutes that cannot be computed: {}", error.message))
            }
            (_, Ok(minutes)) => {
                scope.timeout = minutes
                    .filter(|minutes| *minutes > 0.0)
                    .map(|minutes| Duration::from_secs_f64(minutes.min(TIMEOUT_MINUTES_MAX) * 60.0));
                match &step.kind {
                    StepKind::Run { script, shell, working_directory } => {
                        let folder = working_directory.as_ref();
                        self.run_script(frame, &scope, script, shell.as_ref(), folder).await
                    }
                    StepKind::Uses { reference, with } => {
                        Box::pin(self.run_action(frame, &scope, reference, with)).await
                    }
                    _ => StepEnd::failure("runs beside others, which this version of Greenlight cannot do yet"),
                }
            }
        };
        if let (Conclusion::Failure, Some(reason)) = (end.outcome, &end.reason) {
            self.log.line(frame.index, &format!("##[error]{}", sentence(reason))).await;
        }
        (end, may_fail.unwrap_or(false))
    }

    async fn run_script(
        &mut self,
        frame: &Frame,
        scope: &StepScope<'_>,
        script: &Template,
        shell: Option<&Template>,
        folder: Option<&Template>,
    ) -> StepEnd {
        self.file_count += 1;
        let files = match StepFiles::create(&self.workspace.commands, self.file_count) {
            Ok(files) => files,
            Err(error) => return StepEnd::failure(format!("cannot be given its files: {error}")),
        };
        let (program, shown) = match self.program(frame, scope, (script, shell, folder), &files) {
            Ok(program) => program,
            Err(why) => return StepEnd::failure(why),
        };
        self.log.write(frame.index, shown.as_bytes()).await;
        let output = Output::new(self.log.clone(), frame.index);
        let known = self.told();
        let goes_on = || {
            let seen = self.contexts.of_step(frame, &scope.step.id, &scope.env, Status::Cancelled);
            scope.step.condition.evaluate(&seen).unwrap_or(false)
        };
        let stop = self.stop.clone();
        let limits = Limits { timeout: scope.timeout, stop, known, goes_on: &goes_on, patience: self.options.patience };
        let ran = match run(&self.place, program, output, limits).await {
            Ok(ran) => ran,
            Err(error) => return StepEnd::failure(format!("cannot be started: {error}")),
        };
        if let Some(pipe) = ran.pipe {
            self.background.spawn(discard(pipe));
        }
        let said = ran.output.finish().await;
        let end = self.take_in(frame, &files, said).await;
        files.remove();
        judged(ran.exit, scope, end)
    }

    /// Returns what is to be started, and what is shown of it.
    fn program(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        (script, shell, folder): (&Template, Option<&Template>, Option<&Template>),
        files: &StepFiles,
    ) -> Result<(Program, String), String> {
        let text = |template: &Template| {
            template.evaluate_string(&scope.seen).map_err(|error| format!("cannot be computed: {}", error.message))
        };
        let is_jobs = frame.depth == 0;
        let defaults = [&self.job.defaults, &self.workflow.defaults];
        let shell = shell.or_else(|| defaults.iter().filter(|_| is_jobs).find_map(|defaults| defaults.shell.as_ref()));
        let folder = folder
            .or_else(|| defaults.iter().filter(|_| is_jobs).find_map(|defaults| defaults.working_directory.as_ref()));
        let shell = shell.map(text).transpose()?;
        let script = text(script)?;
        let env = self.variables(frame, scope, files);
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        let shell =
            Shell::of(shell.as_deref().filter(|shell| !shell.is_empty()), path).map_err(|error| error.to_string())?;
        let file = self.workspace.temp.join(format!("_step_{}{}", self.file_count, shell.ending()));
        crate::workspace::write_new(&file, shell.script(&script).as_bytes())
            .map_err(|error| format!("cannot be written as a script: {error}"))?;
        let (program, arguments) = shell.command(&file, path).map_err(|error| error.to_string())?;
        let folder = folder.map(text).transpose()?.unwrap_or_default();
        let folder = self.workspace.workspace.join(folder);
        if !folder.is_dir() {
            return Err(format!("wants to work in {}, which is not there", folder.display()));
        }
        let shown = shown(&script, &shell.shown(path), &scope.env);
        Ok((Program { path: program, arguments, env, folder }, shown))
    }

    /// Returns all variables of a step's process.
    pub(crate) fn variables(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        files: &StepFiles,
    ) -> BTreeMap<String, String> {
        let mut variables = self.inherited.clone();
        variables.extend(scope.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        variables.extend(self.order.env.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        if !self.paths.is_empty() {
            let path = variables.get("PATH").map(String::as_str).unwrap_or_default();
            let path = variables::prepend(path, &self.paths);
            variables.insert("PATH".into(), path);
        }
        let github = self.contexts.of_step(frame, &scope.step.id, &BTreeMap::new(), self.status);
        variables::force_github(&mut variables, &greenlight_workflow::Context::named(&github, "github"));
        variables::force(&mut variables, &self.workspace, &self.options.name);
        for name in crate::file_command::FILES {
            variables.insert(format!("GITHUB_{}", name.to_ascii_uppercase()), files.path(name).display().to_string());
        }
        // A name or value with a zero byte cannot be handed to a process.
        variables.retain(|name, value| !name.is_empty() && !name.contains(['\0', '=']) && !value.contains('\0'));
        variables
    }

    /// Takes in what a step wrote into its files and said with commands.
    async fn take_in(&mut self, frame: &Frame, files: &StepFiles, said: Said) -> StepEnd {
        let mut end = StepEnd::success(said.outputs);
        let mut problems: Vec<String> = said.refused.into_iter().collect();
        let failed =
            |name: &str, error: FileError| format!("unable to process file command '{name}' successfully: {error}");
        match files.pairs("env") {
            Ok(pairs) => self.set_variables(frame, pairs).await,
            Err(error) => problems.push(failed("env", error)),
        }
        match files.lines("path") {
            Ok(lines) => self.paths.extend(lines),
            Err(error) => problems.push(failed("path", error)),
        }
        match files.pairs("output") {
            Ok(pairs) => end.outputs.extend(pairs),
            Err(error) => problems.push(failed("output", error)),
        }
        if let Err(error) = files.pairs("state") {
            problems.push(failed("state", error));
        }
        self.summarize(frame, files.text("step_summary")).await;
        end.outputs = last_of_each(end.outputs);
        if let Some(problem) = problems.into_iter().next() {
            end.outcome = Conclusion::Failure;
            end.reason = Some(problem);
        }
        end
    }

    async fn set_variables(&mut self, frame: &Frame, pairs: Vec<(String, String)>) {
        for (name, value) in pairs {
            if may_be_set(&name) {
                self.env.insert(name, value);
            } else {
                let why = format!("Can't store {name} output parameter using '$GITHUB_ENV' command.");
                self.complain(frame, AnnotationLevel::Error, &why).await;
            }
        }
    }

    async fn summarize(&self, frame: &Frame, summary: Result<String, FileError>) {
        match summary {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => self.log.host.summarize(frame.index, self.log.masked(&text)).await,
            Err(error) => {
                let why = format!("the summary of this step is not shown: {error}");
                self.complain(frame, AnnotationLevel::Error, &why).await;
            }
        }
    }

    /// Says something in the log and beside it.
    pub(crate) async fn complain(&self, frame: &Frame, level: AnnotationLevel, message: &str) {
        let word = if level == AnnotationLevel::Error { "error" } else { "warning" };
        self.log.line(frame.index, &format!("##[{word}]{message}")).await;
        let message = Arc::from(self.log.masked(message));
        let annotation = Annotation { step: frame.index, level, message, title: None, file: None, line: None };
        self.log.host.annotate(annotation).await;
    }
}

/// Says how a process's end counts, with what it wrote.
fn judged(exit: Exit, scope: &StepScope<'_>, end: StepEnd) -> StepEnd {
    let failed =
        |reason: String| StepEnd { outcome: Conclusion::Failure, outputs: end.outputs.clone(), reason: Some(reason) };
    match exit {
        Exit::Code(0) => end,
        Exit::Code(code) => failed(format!("failed with exit code {code}")),
        Exit::Signal(signal) => failed(format!("was ended by signal {signal}")),
        Exit::TimedOut => {
            let minutes = scope.timeout.unwrap_or_default().as_secs_f64() / 60.0;
            failed(format!("took longer than its {minutes} minutes"))
        }
        Exit::Stopped => StepEnd { outcome: Conclusion::Cancelled, outputs: end.outputs, reason: None },
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

/// Returns what is shown of a script before it runs.
fn shown(script: &str, shell: &str, env: &BTreeMap<String, String>) -> String {
    let script = script.trim_end();
    let mut text = format!("##[group]Run {}\n", script.trim_start().lines().next().unwrap_or_default());
    for line in script.lines() {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&format!("shell: {}\n", shell.trim_end()));
    if !env.is_empty() {
        text.push_str("env:\n");
        for (name, value) in env {
            text.push_str(&format!("  {name}: {}\n", value.replace('\n', "\n    ")));
        }
    }
    text.push_str("##[endgroup]\n");
    text
}

/// Makes a sentence of the end of one: "The step failed with exit code 2."
fn sentence(reason: &str) -> String {
    match reason.strip_prefix("failed with ") {
        Some(code) => format!("Process completed with {code}."),
        None => format!("The step cannot succeed: {reason}."),
    }
}
