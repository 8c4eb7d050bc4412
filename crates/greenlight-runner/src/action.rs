//! `uses:`: which action a step means, and how each kind of it runs.

use std::sync::Arc;

use greenlight_workflow::{ActionRuns, StepKind, Template, UsesRef, evaluate_entries};

use crate::contexts::{ActionPlace, Frame};
use crate::hook::{ActionCall, Hook, Part};
use crate::host::AnnotationLevel;
use crate::job::JobRun;
use crate::manifest::{self, Inputs};
use crate::shelf::{Action, Kept};
use crate::source::ActionName;
use crate::step::{StepEnd, StepScope};

/// How deep actions may be within actions.
pub(crate) const DEPTH_MAX: usize = 9;

/// The action that is served by the built-in checkout.
const CHECKOUT: (&str, &str) = ("actions", "checkout");

impl JobRun {
    /// Is this action served by the runner itself?
    pub(crate) fn is_built_in(&self, reference: &UsesRef) -> bool {
        let UsesRef::Repository { owner, repo, path, git_ref } = reference else { return false };
        let is_checkout = owner.eq_ignore_ascii_case(CHECKOUT.0) && repo.eq_ignore_ascii_case(CHECKOUT.1);
        if !is_checkout || !path.is_empty() || !self.options.built_in_checkout {
            return false;
        }
        let source = self.log.host.actions();
        let name = ActionName::new(owner, repo, git_ref);
        !source.zip(name).is_some_and(|(source, name)| source.replaces(&name))
    }

    /// Runs an action.
    pub(crate) async fn run_action(
        &self,
        frame: &Arc<Frame>,
        scope: &StepScope<'_>,
        reference: &UsesRef,
        with: &[(String, Template)],
    ) -> StepEnd {
        if self.is_built_in(reference) {
            let asked = evaluate_entries(with, &scope.seen)
                .map_err(|error| format!("has inputs that cannot be computed: {}", error.message))
                .map(|inputs| self.asked(&inputs));
            match asked {
                Ok(asked) => match asked.beyond.clone() {
                    None => return self.run_checkout(frame, scope, asked).await,
                    Some(what) => {
                        if let Err(why) = self.take_the_real_one(frame, scope, reference, &what).await {
                            return StepEnd::failure(why);
                        }
                    }
                },
                Err(why) => return StepEnd::failure(why),
            }
        }
        if let UsesRef::Docker(image) = reference {
            return self.run_image(frame, scope, image, with).await;
        }
        let action = match self.action_of(frame, scope, reference).await {
            Ok(action) => action,
            Err(why) => return StepEnd::failure(why),
        };
        let inputs = match Self::inputs(&action, with, scope) {
            Ok(inputs) => inputs,
            Err(why) => return StepEnd::failure(why),
        };
        for warning in &inputs.warnings {
            self.complain(scope.at.index, AnnotationLevel::Warning, warning).await;
        }
        let call = ActionCall { frame, scope, action: &action, part: Part::Main, inputs: &inputs };
        match &action.manifest.runs {
            ActionRuns::Node { post, .. } => {
                if post.is_some() {
                    self.keep_for_the_end(Hook::new(frame, scope.step, &action, &scope.at));
                }
                self.run_node(call).await
            }
            ActionRuns::Composite { steps } => self.run_composite(frame, scope, &action, steps, &inputs).await,
            ActionRuns::Docker { post_entrypoint, .. } => {
                if post_entrypoint.is_some() {
                    self.keep_for_the_end(Hook::new(frame, scope.step, &action, &scope.at));
                }
                self.run_docker(call).await
            }
            _ => StepEnd::failure(format!(
                "uses {}, which is of a kind that no runner but GitHub's own knows",
                action.name
            )),
        }
    }

    /// Finds the action itself, for what the runner cannot serve in its place.
    async fn take_the_real_one(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        reference: &UsesRef,
        what: &str,
    ) -> Result<(), String> {
        if self.log.host.actions().is_none() {
            return Err(format!("asks for {what}, which the built-in checkout cannot do, and there is no other"));
        }
        let told = format!("The built-in checkout cannot do {what}: {reference} itself is used");
        self.log.line(scope.at.index, &told).await;
        let found = self.shelve(reference, scope.at.key.clone(), frame.depth, None, scope.at.index).await;
        found.map_err(|why| format!("asks for {what}, which the built-in checkout cannot do: {why}"))
    }

    /// Computes the inputs that a step gives to its action.
    pub(crate) fn inputs(
        action: &Action,
        with: &[(String, Template)],
        scope: &StepScope<'_>,
    ) -> Result<Inputs, String> {
        let given = evaluate_entries(with, &scope.seen)
            .map_err(|error| format!("has inputs that cannot be computed: {}", error.message))?;
        Inputs::of(&action.manifest, given, &scope.seen)
    }

    /// Returns the action that a step means. Those of the workspace are read now, for a step may have made them.
    async fn action_of(&self, frame: &Frame, scope: &StepScope<'_>, reference: &UsesRef) -> Result<Action, String> {
        if frame.depth >= DEPTH_MAX {
            return Err(format!("is the {}th action within another, which is too deep", DEPTH_MAX + 1));
        }
        if let Some(action) = self.shelf.get(&scope.at.key) {
            return Ok(action);
        }
        let UsesRef::Local(path) = reference else {
            return Err(format!("uses {reference}, which this version of Greenlight cannot run yet"));
        };
        let folder = self.workspace.inside(path).map_err(|why| format!("uses {path}: {why}"))?;
        let (folder, manifest) = manifest::read(path, &folder, &self.workspace.workspace)
            .map_err(|why| forgotten(why, &self.workspace.workspace))?;
        if let ActionRuns::Composite { steps } = &manifest.runs {
            // What it uses of other repositories is known only now.
            self.find_actions(steps, &scope.at.key, frame.depth + 1, None, scope.at.index)
                .await
                .map_err(|why| format!("uses {path}, which cannot be made ready: {why}"))?;
        }
        if matches!(&manifest.runs, ActionRuns::Node { pre: Some(_), .. }) {
            let why = format!("`pre` execution is not supported for local action from '{path}'");
            self.complain(scope.at.index, AnnotationLevel::Warning, &why).await;
        }
        let place = ActionPlace { path: folder, repository: None, git_ref: None };
        Ok(Action { manifest: Arc::new(manifest), place, name: path.clone(), kept: Kept::default() })
    }
}

/// Says what is mostly the reason for an action that is not there.
fn forgotten(why: String, workspace: &std::path::Path) -> String {
    let is_empty = std::fs::read_dir(workspace).is_ok_and(|mut entries| entries.next().is_none());
    match why.contains("there is no action.yml") {
        true if is_empty => {
            format!("{why}. Did you forget to run actions/checkout before running your local action?")
        }
        _ => why,
    }
}

/// Returns the inputs that a step was written with.
pub(crate) fn written_inputs(kind: &StepKind) -> &[(String, Template)] {
    match kind {
        StepKind::Uses { with, .. } => with,
        _ => &[],
    }
}
