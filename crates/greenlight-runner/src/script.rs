//! `run:`: a script, the shell that runs it, and the process that both come to.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use greenlight_core::run::Conclusion;
use greenlight_core::time::spoken;
use greenlight_workflow::{Context, Template};

use crate::contexts::{ActionPlace, Frame, Status};
use crate::file_command::{FIRST_STEP, StepFiles};
use crate::job::JobRun;
use crate::output::{Output, discard};
use crate::process::{Exit, Limits, Place, Program, run};
use crate::shell::{Shell, ShellError};
use crate::step::{StepEnd, StepScope};
use crate::variables;
use crate::workspace::write_new;

/// From here on tenths of a second are of no interest.
const MINUTE: Duration = Duration::from_secs(60);

impl JobRun {
    /// Runs a script.
    pub(crate) async fn run_script(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        script: &Template,
        shell: Option<&Template>,
        folder: Option<&Template>,
    ) -> StepEnd {
        let files = match self.step_files() {
            Ok(files) => files,
            Err(error) => return StepEnd::failure(format!("cannot be given its files: {error}")),
        };
        let (program, shown) = match self.program(frame, scope, (script, shell, folder), &files) {
            Ok(program) => program,
            Err(why) => return StepEnd::failure(why),
        };
        self.log.write_behind(scope.at.index, shown.as_bytes()).await;
        self.run_program(&self.place, frame, scope, program, files, &mut Vec::new()).await
    }

    /// Makes the files that a step speaks through.
    pub(crate) fn step_files(&self) -> std::io::Result<StepFiles> {
        let number = self.file_count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
        match number == FIRST_STEP && self.workspace.has_first_files {
            true => Ok(StepFiles::made_ahead(&self.workspace.commands, number)),
            false => StepFiles::create(&self.workspace.commands, number),
        }
    }

    /// Runs a step's process to its end, and takes in what it wrote and said. What it keeps for itself goes into `kept`.
    pub(crate) async fn run_program(
        &self,
        place: &Place,
        frame: &Frame,
        scope: &StepScope<'_>,
        program: Program,
        files: StepFiles,
        kept: &mut Vec<(String, String)>,
    ) -> StepEnd {
        if matches!(place, Place::Container(_))
            && let Err(error) = open_to_all(&files)
        {
            return StepEnd::failure(format!("cannot be given its files: {error}"));
        }
        let output =
            Output::new(self.log.clone(), scope.at.index, self.may_set_env(frame, scope), place.mounts().cloned());
        let known = scope.at.stop.borrow().clone();
        let goes_on = || {
            // What only this step was told does not concern the job.
            self.told() != crate::stop::Stop::No && {
                let seen = self.contexts.of_step(frame, &scope.step.id, &scope.env, Status::Cancelled);
                scope.step.condition.evaluate(&seen).unwrap_or(false)
            }
        };
        let stop = scope.at.stop.clone();
        let timeout = scope.time_left();
        let limits = Limits { timeout, stop, known, goes_on: &goes_on, patience: self.options.patience };
        let ran = match run(place, program, output, limits).await {
            Ok(ran) => ran,
            Err(error) => {
                files.remove();
                return StepEnd::failure(format!("cannot be started: {error}"));
            }
        };
        if let Some(pipe) = ran.pipe {
            self.background().spawn(discard(pipe));
        }
        let said = ran.output.finish().await;
        let end = self.take_in(scope.at.index, &files, said, kept).await;
        files.remove();
        judged(ran.exit, scope, end)
    }

    /// Adds what the parts of an action get above all others: what was kept for them, and where our services are.
    pub(crate) fn add_for_actions(&self, env: &mut BTreeMap<String, String>, kept: &[(String, String)]) {
        env.extend(kept.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
        env.extend(self.given.action_env.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        // A name or value with a zero byte cannot be handed to a process.
        env.retain(|name, value| !name.contains(['\0', '=']) && !value.contains('\0'));
    }

    /// May the step set variables with commands? Only where the workflow itself says so in so many words.
    fn may_set_env(&self, frame: &Frame, scope: &StepScope<'_>) -> bool {
        const ALLOWED: &str = "ACTIONS_ALLOW_UNSECURE_COMMANDS";
        let own = scope.step.env.iter().any(|(name, _)| name == ALLOWED);
        let is_written =
            own || self.written_env.contains_key(ALLOWED) || frame.env.iter().any(|(name, _)| name == ALLOWED);
        is_written && scope.env.get(ALLOWED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
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
        let env = self.variables(frame, scope, files, frame.action.as_ref());
        let is_contained = matches!(self.place, Place::Container(_));
        let usual = if let Place::Container(home) = &self.place { home.shell } else { None };
        let path = env.get("PATH").map(String::as_str).unwrap_or_default();
        // What an image has is not known here: its shell is called by its name.
        let path = if is_contained { "" } else { path };
        let shell = Shell::of(shell.as_deref().filter(|shell| !shell.is_empty()).or(usual), path)
            .map_err(|error| cannot_start(&error))?;
        let file = self.workspace.temp.join(format!("_step_{}{}", files.number(), shell.ending()));
        write_new(&file, shell.script(&script).as_bytes())
            .map_err(|error| format!("cannot be written as a script: {error}"))?;
        let command = if is_contained { Ok(shell.command_by_name(&file)) } else { shell.command(&file, path) };
        let (program, arguments) = command.map_err(|error| cannot_start(&error))?;
        let folder = folder.map(text).transpose()?.unwrap_or_default();
        let folder = self.workspace.workspace.join(folder);
        if !is_contained && !folder.is_dir() {
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
        place: Option<&ActionPlace>,
    ) -> BTreeMap<String, String> {
        let mut variables = self.inherited.clone();
        variables.extend(scope.env.iter().map(|(name, value)| (name.clone(), value.clone())));
        variables.extend(self.order.env.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let paths = self.state().paths.clone();
        if !paths.is_empty() {
            let path = variables.get("PATH").map(String::as_str).unwrap_or_default();
            let path = variables::prepend(path, &paths);
            variables.insert("PATH".into(), path);
        }
        let github = self.contexts.of_step(frame, &scope.step.id, &BTreeMap::new(), self.status());
        variables::force_github(&mut variables, &github.named("github"));
        if let Some(place) = place {
            variables::force_action(&mut variables, place);
        }
        variables::force(&mut variables, &self.workspace, &self.options.name, self.is_debugged);
        variables.extend(self.given.step_env.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        for name in crate::file_command::FILES {
            variables.insert(format!("GITHUB_{}", name.to_ascii_uppercase()), files.path(name).display().to_string());
        }
        let list = self.artifacts_file().display().to_string();
        variables.insert("GITHUB_ARTIFACTS_LIST".into(), list);
        // A name or value with a zero byte cannot be handed to a process.
        variables.retain(|name, value| !name.is_empty() && !name.contains(['\0', '=']) && !value.contains('\0'));
        variables
    }
}

fn cannot_start(error: &ShellError) -> String {
    format!("cannot be started: {error}")
}

/// Lets everybody write the files that a step speaks through: the user of its container may be anybody.
fn open_to_all(files: &StepFiles) -> std::io::Result<()> {
    let open = std::fs::Permissions::from_mode(0o666);
    crate::file_command::FILES.iter().try_for_each(|name| std::fs::set_permissions(files.path(name), open.clone()))
}

/// Says how a process's end counts, with what it wrote.
fn judged(exit: Exit, scope: &StepScope<'_>, end: StepEnd) -> StepEnd {
    match exit {
        Exit::Code(0) => end,
        Exit::Code(code) => end.failed(format!("failed with exit code {code}")),
        Exit::Signal(signal) => end.failed(format!("was ended by signal {signal}")),
        Exit::TimedOut => end.failed(match scope.timeout {
            Some(timeout) => format!("took longer than {}", limit(timeout)),
            None => "took longer than the step that it is part of".to_owned(),
        }),
        Exit::Stopped => StepEnd { outcome: Conclusion::Cancelled, reason: None, ..end },
    }
}

/// Writes a limit as other lengths are told; a short one with its tenths.
fn limit(length: Duration) -> String {
    let tenths = (length.as_secs_f64() * 10.0).round();
    if length < MINUTE { format!("{} s", tenths / 10.0) } else { spoken(length).to_string() }
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
    text.push_str(&shown_entries("env", env.iter()));
    text.push_str("##[endgroup]\n");
    text
}

/// Returns names and values as they are shown, below a heading; nothing where there are none.
pub(crate) fn shown_entries<'a>(heading: &str, entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    let mut text = String::new();
    for (name, value) in entries {
        if text.is_empty() {
            text = format!("{heading}:\n");
        }
        text.push_str(&format!("  {name}: {}\n", value.replace('\n', "\n    ")));
    }
    text
}
