//! What expressions see: the job's contexts, and those of one step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use greenlight_core::effect::JobOrder;
use greenlight_core::run::Conclusion;
use greenlight_workflow::{Context, Contexts, Object, StatusCheck, Value};

use crate::host::Given;
use crate::variables::architecture;
use crate::workspace::Workspace;

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

/// A list of steps with what belongs to it alone: the job's own, or those of an action that is made of steps.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) inputs: Value,
    pub(crate) steps: Vec<(Arc<str>, StepResult)>,
    pub(crate) status: Status,
    /// Where the action is; nothing for the job itself.
    pub(crate) action_path: Option<PathBuf>,
    /// Variables of the step that called the action.
    pub(crate) env: Vec<(String, String)>,
    /// How deep actions are within actions.
    pub(crate) depth: usize,
    /// The step of the workflow that this belongs to, for the log.
    pub(crate) index: u32,
}

impl Frame {
    /// Returns the job's own list of steps.
    pub(crate) fn of_job(inputs: Value) -> Self {
        Self {
            inputs,
            steps: Vec::new(),
            status: Status::Success,
            action_path: None,
            env: Vec::new(),
            depth: 0,
            index: 0,
        }
    }
}

/// Contexts as an expression sees them on a runner.
pub(crate) struct Seen(Contexts);

impl Seen {
    /// Returns the same with another environment.
    pub(crate) fn with_env(mut self, env: &BTreeMap<String, String>) -> Self {
        self.0.set("env", env_value(env));
        self
    }
}

impl Context for Seen {
    fn named(&self, name: &str) -> Value {
        self.0.named(name)
    }

    fn status(&self) -> StatusCheck {
        self.0.status()
    }

    fn hash_files(&self, _: &[String], _: bool) -> Result<String, String> {
        Err("hashFiles is not supported by this version of Greenlight".into())
    }
}

/// The contexts of a job.
pub(crate) struct JobContexts {
    base: Contexts,
    github: Vec<(Arc<str>, Value)>,
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
        let runner = Value::object([
            ("os", Value::string("Linux")),
            ("arch", Value::string(architecture())),
            ("name", Value::string(runner_name)),
            ("environment", Value::string("self-hosted")),
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
        Self { base, github }
    }

    /// Returns the contexts outside of any step.
    pub(crate) fn outside(&self, inputs: &Value, env: &BTreeMap<String, String>) -> Seen {
        let github = Value::Object(Arc::new(Object::new(self.github.clone())));
        Seen(self.base.clone().with("github", github).with("inputs", inputs.clone()).with("env", env_value(env)))
    }

    /// Returns the contexts of a step.
    pub(crate) fn of_step(&self, frame: &Frame, action: &str, env: &BTreeMap<String, String>, job: Status) -> Seen {
        let mut github = self.github.clone();
        set(&mut github, "action", Value::string(action));
        if let Some(path) = &frame.action_path {
            set(&mut github, "action_path", Value::string(path.display().to_string()));
        }
        let is_cancelled = job == Status::Cancelled;
        let status = StatusCheck {
            success: frame.status == Status::Success && !is_cancelled,
            failure: frame.status == Status::Failure && !is_cancelled,
            cancelled: is_cancelled,
        };
        let contexts = self
            .base
            .clone()
            .with("github", Value::Object(Arc::new(Object::new(github))))
            .with("inputs", frame.inputs.clone())
            .with("job", Value::object([("status", Value::string(job.as_str()))]))
            .with("steps", steps_value(&frame.steps))
            .with("env", env_value(env))
            .with_status(status);
        Seen(contexts)
    }
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
