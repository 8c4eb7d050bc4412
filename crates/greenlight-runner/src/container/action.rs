//! Docker actions: from an image or a Dockerfile, each part in a container of its own.

use std::path::PathBuf;
use std::sync::Arc;

use greenlight_workflow::{ActionRuns, Template, evaluate_entries};
use tokio::sync::mpsc;

use super::options::words;
use crate::contexts::Frame;
use crate::hook::{ActionCall, Part};
use crate::job::JobRun;
use crate::manifest::Inputs;
use crate::process::{Place, Program};
use crate::shelf::Action;
use crate::step::{StepEnd, StepScope};

/// What stands before the name of an image.
const IMAGE_PREFIX: &str = "docker://";

/// How many lines of a build may wait to be logged.
const LINES_MAX: usize = 64;

/// Variables of the machine that mean nothing in a container.
const OUTSIDE: [&str; 4] = ["PATH", "USER", "LOGNAME", "TMPDIR"];

/// What is to run in a container of its own.
struct Asked {
    image: String,
    entrypoint: Option<Vec<String>>,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
}

impl JobRun {
    /// Runs one part of a Docker action.
    pub(crate) async fn run_docker(&self, call: ActionCall<'_>) -> StepEnd {
        let asked = match self.asked_of_docker(call).await {
            Ok(Some(asked)) => asked,
            Ok(None) => return StepEnd::success(Vec::new()),
            Err(why) => return StepEnd::failure(why),
        };
        let ActionCall { frame, scope, action, inputs, .. } = call;
        let mut kept = action.kept();
        let end = self.run_fresh(frame, scope, asked, Some((action, inputs)), &mut kept).await;
        action.keep(kept);
        end
    }

    /// Runs `uses: docker://image`.
    pub(crate) async fn run_image(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        image: &str,
        with: &[(String, Template)],
    ) -> StepEnd {
        let asked = async {
            let given = evaluate_entries(with, &scope.seen)
                .map_err(|error| format!("has inputs that cannot be computed: {}", error.message))?;
            let named = |name: &str| given.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let list = |name: &str| named(name).map(|(_, text)| words(text)).transpose();
            let image = image.strip_prefix(IMAGE_PREFIX).unwrap_or(image).to_owned();
            self.containers().await?.pull(&image, None).await?;
            let env = given.iter().map(|(name, value)| (format!("INPUT_{}", name.to_uppercase()), value.clone()));
            let (entrypoint, arguments) = (list("entrypoint")?, list("args")?.unwrap_or_default());
            Ok::<_, String>(Asked { image, entrypoint, arguments, env: env.collect() })
        };
        match asked.await {
            Ok(asked) => self.run_fresh(frame, scope, asked, None, &mut Vec::new()).await,
            Err(why) => StepEnd::failure(why),
        }
    }

    /// Finds out what a part of an action is to run, and makes its image. Nothing where the action has no such part.
    async fn asked_of_docker(&self, call: ActionCall<'_>) -> Result<Option<Asked>, String> {
        let ActionCall { frame, scope, action, part, inputs } = call;
        let ActionRuns::Docker { image, entrypoint, args, env, pre_entrypoint, post_entrypoint, .. } =
            &action.manifest.runs
        else {
            return Err(format!("uses {}, which is no Docker action", action.name));
        };
        let given = |name: &str| inputs.values.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let given = |name: &str| given(name).map(|(_, value)| value.clone()).filter(|value| !value.is_empty());
        let begins = match part {
            Part::Pre if pre_entrypoint.is_none() => return Ok(None),
            Part::Post if post_entrypoint.is_none() => return Ok(None),
            Part::Pre => pre_entrypoint.clone(),
            Part::Post => post_entrypoint.clone(),
            Part::Main => entrypoint.clone().or_else(|| given("entrypoint")),
        };
        let inner = Frame::new(
            scope.at.key.clone(),
            inputs.context(&action.manifest),
            Some(action.place.clone()),
            Vec::new(),
            frame.depth + 1,
        );
        let seen = self.contexts.of_step(&inner, &scope.step.id, &scope.env, self.status());
        let bad = |error: greenlight_workflow::ExpressionError| {
            format!("uses {}, whose arguments cannot be computed: {}", action.name, error.message)
        };
        let mut arguments = Vec::new();
        for argument in args {
            arguments.push(argument.evaluate_string(&seen).map_err(bad)?);
        }
        if args.is_empty()
            && let Some(text) = given("args")
        {
            arguments = words(&text)?;
        }
        let env = evaluate_entries(env, &seen).map_err(bad)?;
        let image = self.image_of(action, image, scope).await?;
        // GitHub takes it as one program's name; what has blanks in it is meant as a program with arguments.
        let entrypoint = begins.map(|begins| words(&begins)).transpose()?;
        Ok(Some(Asked { image, entrypoint, arguments, env }))
    }

    /// Pulls an action's image, or builds it.
    async fn image_of(&self, action: &Action, image: &str, scope: &StepScope<'_>) -> Result<String, String> {
        let containers = self.containers().await?;
        if let Some(image) = image.strip_prefix(IMAGE_PREFIX) {
            containers.pull(image, None).await?;
            return Ok(image.to_owned());
        }
        let file = self.dockerfile(action, image)?;
        if let Some(built) = containers.built(&file) {
            return Ok(built);
        }
        let index = scope.at.index;
        self.log.line(index, &format!("##[group]Build container for action use: '{}'", action.name)).await;
        let (tell, mut lines) = mpsc::channel::<String>(LINES_MAX);
        let listen = async {
            while let Some(line) = lines.recv().await {
                self.log.line(index, &line).await;
            }
        };
        let (built, ()) = tokio::join!(containers.build(&file, tell), listen);
        self.log.line(index, "##[endgroup]").await;
        built
    }

    /// Returns an action's Dockerfile. What is built is the folder that it stands in, as on GitHub: so it must be one of the job's own.
    fn dockerfile(&self, action: &Action, image: &str) -> Result<PathBuf, String> {
        let file = action.place.path.join(image).canonicalize().ok().filter(|file| file.is_file());
        let file = file.ok_or_else(|| format!("uses {}, which has no file '{image}'", action.name))?;
        let roots = [&self.workspace.workspace, &self.workspace.actions];
        match roots.iter().filter_map(|root| root.canonicalize().ok()).any(|root| file.starts_with(root)) {
            true => Ok(file),
            false => Err(format!("uses {}, whose file '{image}' is none of its repository", action.name)),
        }
    }

    async fn run_fresh(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        asked: Asked,
        action: Option<(&Action, &Inputs)>,
        kept: &mut Vec<(String, String)>,
    ) -> StepEnd {
        let containers = match self.containers().await {
            Ok(containers) => containers,
            Err(why) => return StepEnd::failure(why),
        };
        let files = match self.step_files() {
            Ok(files) => files,
            Err(error) => return StepEnd::failure(format!("cannot be given its files: {error}")),
        };
        let mut env = self.variables(frame, scope, &files, action.map(|(action, _)| &action.place));
        env.retain(|name, _| !OUTSIDE.contains(&name.as_str()));
        env.insert("HOME".into(), self.workspace.home.display().to_string());
        for (name, value) in asked.env {
            // What the step says counts more than what the action says for all steps.
            env.entry(name).or_insert(value);
        }
        if let Some((_, inputs)) = action {
            env.extend(inputs.variables());
        }
        self.add_for_actions(&mut env, kept);
        let name = action.map_or_else(|| format!("{IMAGE_PREFIX}{}", asked.image), |(action, _)| action.name.clone());
        self.log.line(scope.at.index, &format!("##[group]Run {name}\nimage: {}\n##[endgroup]", asked.image)).await;
        let fresh = containers.fresh(&asked.image, &self.workspace, asked.entrypoint);
        let arguments = asked.arguments.into_iter().map(Into::into).collect();
        let program = Program { path: "".into(), arguments, env, folder: self.workspace.workspace.clone() };
        let place = Place::Fresh(Arc::new(fresh));
        let end = self.run_program(&place, frame, scope, program, files, kept).await;
        containers.hand_back(&asked.image, &self.workspace).await;
        self.place.freeze().await;
        if let Err(error) = self.place.thaw(&self.workspace.workspace).await {
            return end.failed(format!("left files that cannot be handed to the next step: {error}"));
        }
        end
    }
}
