//! A job on its way to its runner: the order, and what the job is given beside its workflow. Secrets are in it.

use std::sync::Arc;
use std::time::Duration;

use greenlight_core::effect::{Caller, Checkout, JobOrder};
use greenlight_core::id::{RefName, Sha, Token};
use greenlight_workflow::Value;
use serde::{Deserialize, Serialize};

use super::message::Attempt;
use crate::host::Given;

type Pairs = Vec<(Arc<str>, Arc<str>)>;

/// What `POST /api/runner/v1/ask` is answered with.
#[derive(Default, Serialize, Deserialize)]
pub struct Asked {
    /// The job; nothing where none waits.
    #[serde(default)]
    pub job: Option<OrderShape>,
    /// How long its lease lasts without a heartbeat, in milliseconds; an older server does not say.
    #[serde(default)]
    pub lease_ms: Option<u64>,
    /// The commits of some actions, whatever their refs say (`OWNER/REPO@REF=COMMIT`).
    #[serde(default)]
    pub pins: Vec<String>,
}

/// A job, as it travels. Contexts travel as JSON texts.
#[derive(Serialize, Deserialize)]
pub struct OrderShape {
    attempt: Attempt,
    token: u64,
    repository: Arc<str>,
    workflow_path: Arc<str>,
    workflow_text: Arc<str>,
    #[serde(default)]
    callers: Vec<CallerShape>,
    job_id: Arc<str>,
    job_name: Arc<str>,
    matrix: String,
    strategy: String,
    github: String,
    needs: String,
    inputs: String,
    env: Pairs,
    checkout_sha: String,
    checkout_ref: Arc<str>,
    timeout_ms: u64,
    trusted: bool,
    secrets: Pairs,
    vars: String,
    given_env: Pairs,
    action_env: Pairs,
    #[serde(default)]
    step_env: Pairs,
}

impl OrderShape {
    /// Packs a job.
    pub fn of(order: &JobOrder, given: &Given) -> Self {
        Self {
            attempt: (&order.attempt).into(),
            token: order.token.0,
            repository: order.repository.clone(),
            workflow_path: order.workflow_path.clone(),
            workflow_text: order.workflow_text.clone(),
            callers: order.callers.iter().map(CallerShape::of).collect(),
            job_id: order.job_id.clone(),
            job_name: order.job_name.clone(),
            matrix: order.matrix.to_json(),
            strategy: order.strategy.to_json(),
            github: order.github.to_json(),
            needs: order.needs.to_json(),
            inputs: order.inputs.to_json(),
            env: order.env.clone(),
            checkout_sha: order.checkout.sha.to_string(),
            checkout_ref: order.checkout.git_ref.as_str().into(),
            timeout_ms: u64::try_from(order.timeout.as_millis()).unwrap_or(u64::MAX),
            trusted: order.trusted,
            secrets: given.secrets.clone(),
            vars: given.vars.to_json(),
            given_env: given.env.clone(),
            action_env: given.action_env.clone(),
            step_env: given.step_env.clone(),
        }
    }

    /// Unpacks it. The error is one sentence.
    pub fn into_order(self) -> Result<(JobOrder, Given), String> {
        let value = |name: &str, text: &str| {
            Value::from_json(text).map_err(|error| format!("the order's {name} cannot be read: {error}"))
        };
        let order = JobOrder {
            attempt: self.attempt.into(),
            token: Token(self.token),
            repository: self.repository,
            workflow_path: self.workflow_path,
            workflow_text: self.workflow_text,
            callers: self.callers.into_iter().map(CallerShape::into_caller).collect::<Result<_, _>>()?,
            job_id: self.job_id,
            job_name: self.job_name,
            matrix: value("matrix", &self.matrix)?,
            strategy: value("strategy", &self.strategy)?,
            github: value("github", &self.github)?,
            needs: value("needs", &self.needs)?,
            inputs: value("inputs", &self.inputs)?,
            env: self.env,
            checkout: Checkout {
                sha: Sha::parse(&self.checkout_sha).map_err(|error| error.to_string())?,
                git_ref: RefName::new(self.checkout_ref),
            },
            timeout: Duration::from_millis(self.timeout_ms),
            trusted: self.trusted,
        };
        let given = Given {
            secrets: self.secrets,
            vars: value("vars", &self.vars)?,
            // Only a person who runs workflows by hand names one.
            image: None,
            env: self.given_env,
            action_env: self.action_env,
            step_env: self.step_env,
        };
        Ok((order, given))
    }
}

/// A job that calls a workflow, as it travels.
#[derive(Serialize, Deserialize)]
struct CallerShape {
    workflow_path: Arc<str>,
    workflow_text: Arc<str>,
    job_id: Arc<str>,
    matrix: String,
    strategy: String,
    needs: String,
    inputs: String,
}

impl CallerShape {
    fn of(caller: &Caller) -> Self {
        Self {
            workflow_path: caller.workflow_path.clone(),
            workflow_text: caller.workflow_text.clone(),
            job_id: caller.job_id.clone(),
            matrix: caller.matrix.to_json(),
            strategy: caller.strategy.to_json(),
            needs: caller.needs.to_json(),
            inputs: caller.inputs.to_json(),
        }
    }

    fn into_caller(self) -> Result<Caller, String> {
        Ok(Caller {
            workflow_path: self.workflow_path,
            workflow_text: self.workflow_text,
            job_id: self.job_id,
            matrix: value("matrix", &self.matrix)?,
            strategy: value("strategy", &self.strategy)?,
            needs: value("needs", &self.needs)?,
            inputs: value("inputs", &self.inputs)?,
        })
    }
}

fn value(name: &str, text: &str) -> Result<Value, String> {
    Value::from_json(text).map_err(|error| format!("the order's {name} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_arrives_as_it_was() {
        let order = crate::tests::order("on: push\n");
        let given = Given { action_env: vec![("A".into(), "b".into())], ..Given::default() };
        let text = serde_json::to_string(&OrderShape::of(&order, &given)).unwrap();
        let (read, with) = serde_json::from_str::<OrderShape>(&text).unwrap().into_order().unwrap();
        assert_eq!(read, order);
        assert_eq!(with.action_env, given.action_env);
    }
}
