//! What expressions see: the job's contexts, and those of one step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenlight_core::effect::JobOrder;
use greenlight_core::run::Conclusion;
use greenlight_workflow::{Context, Contexts, Object, StatusCheck, Value};

use crate::hash;
use crate::host::Given;
use crate::variables::architecture;
use crate::workspace::Workspace;

/// The secret or variable that asks for debugging.
const STEP_DEBUG: &str = "ACTIONS_STEP_DEBUG";

/// How a step ended, for the steps after it.
#[derive(Clone, Debug)]
pub(crate) struct StepResult {
    /// Before `continue-on-error`.
    pub(crate) outcome: Conclusion,
    /// After it.
    pub(crate) conclusion: Conclusion,
    /// What it set.
    pub(crate) outputs: Vec<(String, String)>,
}

/// How a job, or an action made of steps, stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Success,
    Failure,
    Cancelled,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An action, as its steps know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ActionPlace {
    /// `github.action_path`
    pub(crate) path: PathBuf,
    /// `github.action_repository`; nothing for a local action.
    pub(crate) repository: Option<String>,
    /// `github.action_ref`; nothing for a local action.
    pub(crate) git_ref: Option<String>,
}

/// A list of steps with what belongs to it alone: the job's own, or those of an action that is made of steps.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Tells it from all others of the job: the places of the steps that lead to it.
    pub(crate) key: String,
    pub(crate) inputs: Value,
    /// The action; nothing for the job itself.
    pub(crate) action: Option<ActionPlace>,
    /// Variables of the step that called the action.
    pub(crate) env: Vec<(String, String)>,
    /// How deep actions are within actions.
    pub(crate) depth: usize,
    state: Mutex<FrameState>,
}

/// What a list of steps came to so far.
#[derive(Debug)]
pub(crate) struct FrameState {
    pub(crate) steps: Vec<(Arc<str>, StepResult)>,
    pub(crate) status: Status,
}

impl Frame {
    /// Returns the job's own list of steps.
    pub(crate) fn of_job(inputs: Value) -> Self {
        Self::new(String::new(), inputs, None, Vec::new(), 0)
    }

    /// Returns the list of steps of an action.
    pub(crate) fn new(
        key: String,
        inputs: Value,
        action: Option<ActionPlace>,
        env: Vec<(String, String)>,
        depth: usize,
    ) -> Self {
        let state = Mutex::new(FrameState { steps: Vec::new(), status: Status::Success });
        Self { key, inputs, action, env, depth, state }
    }

    /// Returns the key of one of its steps.
    pub(crate) fn key_of(&self, position: usize) -> String {
        format!("{}/{position}", self.key)
    }

    /// Returns what it came to so far.
    pub(crate) fn state(&self) -> MutexGuard<'_, FrameState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how it stands.
    pub(crate) fn status(&self) -> Status {
        self.state().status
    }
}

/// Contexts as an expression sees them on a runner.
#[derive(Clone)]
pub(crate) struct Seen {
    contexts: Contexts,
    workspace: Arc<Path>,
}

impl Seen {
    /// Returns the same with another environment.
    pub(crate) fn with_env(mut self, env: &BTreeMap<String, String>) -> Self {
        self.contexts.set("env", env_value(env));
        self
    }
}

impl Context for Seen {
    fn named(&self, name: &str) -> Value {
        self.contexts.named(name)
    }

    fn status(&self) -> StatusCheck {
        self.contexts.status()
    }

    fn hash_files(&self, patterns: &[String], follow_symbolic_links: bool) -> Result<String, String> {
        hash::hash_files(&self.workspace, patterns, follow_symbolic_links)
    }
}

/// The contexts of a job.
pub(crate) struct JobContexts {
    base: Contexts,
    github: Vec<(Arc<str>, Value)>,
    workspace: Arc<Path>,
    /// `job.container` and `job.services`.
    containers: Vec<(String, Value)>,
}

impl JobContexts {
    pub(crate) fn new(order: &JobOrder, given: &Given, workspace: &Workspace, runner_name: &str) -> Self {
        let path = |path: &PathBuf| Value::string(path.display().to_string());
        let mut github: Vec<(Arc<str>, Value)> = Vec::new();
        if let Some(given) = order.github.as_object() {
            github.extend(given.iter().map(|(key, value)| (Arc::from(key), value.clone())));
        }
        set(&mut github, "job", Value::string(&*order.job_id));
        set(&mut github, "workspace", path(&workspace.workspace));
        set(&mut github, "event_path", path(&workspace.event));
        let token = given.secrets.iter().find(|(name, _)| name.eq_ignore_ascii_case("GITHUB_TOKEN"));
        if let Some((_, token)) = token.filter(|_| order.trusted) {
            set(&mut github, "token", Value::String(token.clone()));
        }
        let runner = Value::object([
            ("os", Value::string("Linux")),
            ("arch", Value::string(architecture())),
            ("name", Value::string(runner_name)),
            ("environment", Value::string("self-hosted")),
            ("debug", Value::string(if is_debugged(given) { "1" } else { "" })),
            ("temp", path(&workspace.temp)),
            ("tool_cache", path(&workspace.tools)),
        ]);
        let base = Contexts::new()
            .with("runner", runner)
            .with("matrix", order.matrix.clone())
            .with("strategy", order.strategy.clone())
            .with("needs", order.needs.clone())
            .with("vars", if given.vars.is_null() { no_values() } else { given.vars.clone() })
            .with("secrets", secrets(order, given));
        Self { base, github, workspace: workspace.workspace.as_path().into(), containers: Vec::new() }
    }

    /// Returns the contexts outside of any step.
    pub(crate) fn outside(&self, inputs: &Value, env: &BTreeMap<String, String>) -> Seen {
        let github = Value::Object(Arc::new(Object::new(self.github.clone())));
        let contexts =
            self.base.clone().with("github", github).with("inputs", inputs.clone()).with("env", env_value(env));
        Seen { contexts, workspace: self.workspace.clone() }
    }

    /// Returns the contexts of a step. What `success()` and `failure()` look at is the list that the step stands in.
    pub(crate) fn of_step(&self, frame: &Frame, action: &str, env: &BTreeMap<String, String>, job: Status) -> Seen {
        self.of(frame, action, env, job, frame.status())
    }

    /// Returns the contexts of what runs before or after all steps: it looks at the whole job.
    pub(crate) fn of_hook(&self, frame: &Frame, action: &str, env: &BTreeMap<String, String>, job: Status) -> Seen {
        self.of(frame, action, env, job, job)
    }

    fn of(&self, frame: &Frame, action: &str, env: &BTreeMap<String, String>, job: Status, own: Status) -> Seen {
        let mut github = self.github.clone();
        set(&mut github, "action", Value::string(action));
        if let Some(place) = &frame.action {
            let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::string);
            set(&mut github, "action_path", Value::string(place.path.display().to_string()));
            set(&mut github, "action_repository", text(&place.repository));
            set(&mut github, "action_ref", text(&place.git_ref));
        }
        let is_cancelled = job == Status::Cancelled;
        let status = StatusCheck {
            success: own == Status::Success && !is_cancelled,
            failure: own == Status::Failure && !is_cancelled,
            cancelled: is_cancelled,
        };
        let steps = steps_value(&frame.state().steps);
        let contexts = self
            .base
            .clone()
            .with("github", Value::Object(Arc::new(Object::new(github))))
            .with("inputs", frame.inputs.clone())
            .with("job", self.job_value(job))
            .with("steps", steps)
            .with("env", env_value(env))
            .with_status(status);
        Seen { contexts, workspace: self.workspace.clone() }
    }

    /// Puts what is known of the job's containers into the `job` context.
    pub(crate) fn set_containers(&mut self, containers: Vec<(String, Value)>) {
        self.containers = containers;
    }

    fn job_value(&self, status: Status) -> Value {
        let containers = self.containers.iter().map(|(name, value)| (name.as_str(), value.clone()));
        Value::object(std::iter::once(("status", Value::string(status.as_str()))).chain(containers))
    }

    /// Returns an entry of the `github` context.
    pub(crate) fn github(&self, name: &str) -> Value {
        let mut named = self.github.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map_or(Value::Null, |(_, value)| value.clone())
    }
}

/// Is debugging asked for, by a secret or a variable?
pub(crate) fn is_debugged(given: &Given) -> bool {
    let is_on = |value: &str| value.trim().eq_ignore_ascii_case("true") || value.trim() == "1";
    let mut secrets = given.secrets.iter().filter(|(name, _)| name.eq_ignore_ascii_case(STEP_DEBUG));
    secrets.any(|(_, value)| is_on(value)) || is_on(&given.vars.get(STEP_DEBUG).coerce_string())
}

/// Returns the `secrets` context: nothing for a run that is not trusted (S1).
fn secrets(order: &JobOrder, given: &Given) -> Value {
    if !order.trusted {
        return no_values();
    }
    Value::object(given.secrets.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))))
}

fn set(entries: &mut Vec<(Arc<str>, Value)>, name: &str, value: Value) {
    entries.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    entries.push((name.into(), value));
}

fn no_values() -> Value {
    Value::Object(Arc::new(Object::new::<&str>([])))
}

fn env_value(env: &BTreeMap<String, String>) -> Value {
    Value::object(env.iter().map(|(name, value)| (name.as_str(), Value::string(value.as_str()))))
}

fn steps_value(steps: &[(Arc<str>, StepResult)]) -> Value {
    Value::object(steps.iter().map(|(id, result)| {
        let outputs = result.outputs.iter().map(|(name, value)| (name.as_str(), Value::string(value.as_str())));
        let value = Value::object([
            ("outputs", Value::object(outputs)),
            ("outcome", Value::string(result.outcome.as_result())),
            ("conclusion", Value::string(result.conclusion.as_result())),
        ]);
        (id.clone(), value)
    }))
}
