//! Local actions that are made of steps.

use std::path::PathBuf;

use greenlight_core::run::Conclusion;
use greenlight_workflow::{ActionManifest, ActionRuns, Context, Finding, Value, parse_action};

use crate::contexts::{Frame, Status};
use crate::job::JobRun;
use crate::setup::check_step;
use crate::step::{StepEnd, StepScope};

/// How deep actions may be within actions.
const DEPTH_MAX: usize = 9;

/// How large a manifest may be.
const MANIFEST_BYTES_MAX: u64 = 512 << 10;

impl JobRun {
    /// Runs the action in a folder of the workspace.
    pub(crate) async fn run_composite(
        &mut self,
        frame: &mut Frame,
        scope: &StepScope<'_>,
        path: &str,
        given: Vec<(String, String)>,
    ) -> StepEnd {
        if frame.depth >= DEPTH_MAX {
            return StepEnd::failure(format!("is the {}th action within another, which is too deep", DEPTH_MAX + 1));
        }
        let (folder, manifest) = match self.manifest(path) {
            Ok(found) => found,
            Err(why) => return StepEnd::failure(why),
        };
        let ActionRuns::Composite { steps } = &manifest.runs else {
            return StepEnd::failure(format!(
                "uses {path}, which is not made of steps: this version of Greenlight cannot run it yet"
            ));
        };
        if let Some(why) = steps.iter().find_map(|step| check_step(step).err()) {
            return StepEnd::failure(why);
        }
        let inputs = match inputs(&manifest, given, &scope.seen) {
            Ok(inputs) => inputs,
            Err(why) => return StepEnd::failure(why),
        };
        let mut inner = Frame {
            inputs,
            steps: Vec::new(),
            status: Status::Success,
            action_path: Some(folder),
            env: scope
                .env
                .iter()
                .filter(|(name, value)| self.env.get(*name) != Some(value))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            depth: frame.depth + 1,
            index: frame.index,
        };
        for step in steps {
            self.run_step(&mut inner, step).await;
        }
        self.composite_end(&manifest, inner)
    }

    fn composite_end(&mut self, manifest: &ActionManifest, inner: Frame) -> StepEnd {
        let seen = self.contexts.of_step(&inner, "", &self.env, self.status);
        let mut outputs = Vec::new();
        for (name, value) in &manifest.outputs {
            match value.as_ref().map(|value| value.evaluate_string(&seen)).transpose() {
                Ok(value) => outputs.push((name.clone(), value.unwrap_or_default())),
                Err(error) => {
                    return StepEnd::failure(format!(
                        "has an output '{name}' that cannot be computed: {}",
                        error.message
                    ));
                }
            }
        }
        let (outcome, reason) = match inner.status {
            _ if self.status == Status::Cancelled => (Conclusion::Cancelled, None),
            Status::Failure => (Conclusion::Failure, Some("failed in one of its own steps".to_owned())),
            _ => (Conclusion::Success, None),
        };
        StepEnd { outcome, outputs, reason }
    }

    fn manifest(&self, path: &str) -> Result<(PathBuf, ActionManifest), String> {
        let folder = self.workspace.inside(path).map_err(|why| format!("uses {path}: {why}"))?;
        let file = ["action.yml", "action.yaml"].map(|name| folder.join(name)).into_iter().find(|file| file.is_file());
        let Some(file) = file else {
            return Err(format!(
                "uses {path}, where there is no action.yml or action.yaml. Did you forget to run actions/checkout before running your \
                 local action?"
            ));
        };
        let unreadable = |error: std::io::Error| format!("uses {path}, whose manifest cannot be read: {error}");
        if file.metadata().map_err(unreadable)?.len() > MANIFEST_BYTES_MAX {
            return Err(format!("uses {path}, whose manifest has more than {MANIFEST_BYTES_MAX} bytes"));
        }
        let text = std::fs::read_to_string(&file).map_err(unreadable)?;
        let parsed = parse_action(path, &text);
        let why = || {
            parsed.findings.iter().find(|finding| finding.is_error()).map_or_else(
                || format!("uses {path}, which is no action"),
                |finding| format!("uses an action that cannot be read: {}", Finding::summary(finding, path)),
            )
        };
        let manifest = parsed.manifest.clone().ok_or_else(why)?;
        Ok((folder, manifest))
    }
}

/// Returns the `inputs` context of an action: what it was given, else its defaults.
fn inputs(manifest: &ActionManifest, given: Vec<(String, String)>, seen: &dyn Context) -> Result<Value, String> {
    let mut values: Vec<(String, Value)> = Vec::new();
    for input in &manifest.inputs {
        let value = match given.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.name)) {
            Some((_, value)) => value.clone(),
            None => match input.default.as_ref().map(|default| default.evaluate_string(seen)).transpose() {
                Ok(value) => value.unwrap_or_default(),
                Err(error) => {
                    return Err(format!(
                        "has an input '{}' whose default cannot be computed: {}",
                        input.name, error.message
                    ));
                }
            },
        };
        values.push((input.name.clone(), Value::string(value)));
    }
    Ok(Value::object(values))
}
