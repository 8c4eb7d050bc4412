//! Actions that are made of steps.

use std::sync::Arc;

use greenlight_core::run::Conclusion;
use greenlight_workflow::{ActionManifest, Step};

use crate::contexts::{Frame, Status};
use crate::job::JobRun;
use crate::manifest::Inputs;
use crate::script::shown_entries;
use crate::shelf::Action;
use crate::step::{At, StepEnd, StepScope};
use crate::stop::Stop;

impl JobRun {
    /// Runs the steps of an action.
    pub(crate) async fn run_composite(
        &self,
        frame: &Frame,
        scope: &StepScope<'_>,
        action: &Action,
        steps: &[Step],
        inputs: &Inputs,
    ) -> StepEnd {
        let given = inputs.values.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name, value));
        let (with, env) = (shown_entries("with", given), shown_entries("env", scope.env.iter()));
        let shown = format!("##[group]Run {}\n{with}{env}##[endgroup]\n", action.name);
        self.log.write_behind(scope.at.index, shown.as_bytes()).await;
        let job_env = self.state().env.clone();
        let own_env = scope.env.iter().filter(|(name, value)| job_env.get(*name) != Some(value));
        let inner = Arc::new(Frame::new(
            scope.at.key.clone(),
            inputs.context(&action.manifest),
            Some(action.place.clone()),
            own_env.map(|(name, value)| (name.clone(), value.clone())).collect(),
            frame.depth + 1,
        ));
        for (position, step) in steps.iter().enumerate() {
            let at = At { key: inner.key_of(position), ..scope.at.clone() };
            self.run_step(&inner, step, at).await;
        }
        self.composite_end(&action.manifest, &inner, scope)
    }

    fn composite_end(&self, manifest: &ActionManifest, inner: &Frame, scope: &StepScope<'_>) -> StepEnd {
        let mut env = self.state().env.clone();
        env.extend(inner.env.iter().cloned());
        let seen = self.contexts.of_step(inner, &scope.step.id, &env, self.status());
        let mut outputs = Vec::new();
        for (name, value) in &manifest.outputs {
            match value.as_ref().map(|value| value.evaluate_string(&seen)).transpose() {
                Ok(value) => outputs.push((name.clone(), value.unwrap_or_default())),
                Err(error) => {
                    let why = format!("has an output '{name}' that cannot be computed: {}", error.message);
                    return StepEnd::failure(why);
                }
            }
        }
        let was_stopped = *scope.at.stop.borrow() != Stop::No;
        let end = StepEnd::success(outputs);
        match inner.status() {
            _ if was_stopped => StepEnd { outcome: Conclusion::Cancelled, ..end },
            Status::Failure => end.failed("failed in one of its own steps"),
            _ => end,
        }
    }
}
