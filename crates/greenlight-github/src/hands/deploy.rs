//! Deployments: made, found again, and their states shown.

use std::sync::Arc;

use greenlight_core::effect::{Answer, Outcome};
use greenlight_core::event::DeploymentSnapshot;
use greenlight_core::id::{DeploymentId, EnvironmentName, Sha};
use greenlight_core::shown::{ShownDeployment, description};
use serde_json::{Value, json};

use super::Try;
use super::ending::{Writing, not_read_back};
use crate::client::{Answer as CallAnswer, CallError, Request, segment};
use crate::shape::{DeploymentShape, DeploymentStatusShape, deployment_state};

/// What GitHub must have seen green on the commit before it makes a deployment: our aggregate.
const REQUIRED_CONTEXTS: &[&str] = &["greenlight"];
/// What GitHub says of a ref that it does not know, or not yet.
const NO_REF: &str = "No ref found";

impl Try<'_> {
    pub(super) async fn create_deployment(
        &self,
        sha: Sha,
        environment: &EnvironmentName,
        text: &str,
        production: bool,
    ) -> Outcome {
        if self.confirm {
            match self.deployment_made_before(sha, environment).await {
                Ok(Some(found)) => return Outcome::Done(Answer::Deployment(Box::new(found))),
                Ok(None) => {}
                Err(error) => return not_read_back(&error),
            }
        }
        let body = json!({
            "ref": sha.to_string(),
            "task": "deploy",
            "auto_merge": false,
            "required_contexts": REQUIRED_CONTEXTS,
            "payload": { "greenlight": { "key": self.key.as_str() } },
            "environment": environment.as_str(),
            "description": &*description(text),
            "production_environment": production,
        });
        self.ask_for_deployment(body).await.unwrap_or_else(|error| self.not_made(error))
    }

    async fn ask_for_deployment(&self, body: Value) -> Result<Outcome, CallError> {
        let answer = self.client.call(self.on(), &Request::post(self.path("/deployments")?, body)).await?;
        if answer.status == 202 {
            return Ok(Outcome::Done(Answer::AutoMerged));
        }
        let shape: DeploymentShape = answer.json()?;
        Ok(Outcome::Done(Answer::Deployment(Box::new(snapshot(&shape, &answer)?))))
    }

    fn not_made(&self, error: CallError) -> Outcome {
        let writing = Writing { tried: self.tried };
        match &error {
            CallError::Rejected { status: 409, answer, .. } => match unproven(answer) {
                Some(reason) => Outcome::Later { not_before: None, reason },
                None => writing.failed(error),
            },
            CallError::Rejected { status: 422, message, .. } if message.contains(NO_REF) => {
                writing.unseen(message.clone())
            }
            _ => writing.failed(error),
        }
    }

    /// Our key in the payload tells the deployment that an earlier try made.
    async fn deployment_made_before(
        &self,
        sha: Sha,
        environment: &EnvironmentName,
    ) -> Result<Option<DeploymentSnapshot>, CallError> {
        let environment = segment(environment.as_str());
        let path = self.path(&format!("/deployments?sha={sha}&environment={environment}&per_page=100"))?;
        let deployments: Vec<DeploymentShape> = self.client.list(self.on(), &path, None).await?;
        // What cannot be read is not ours: we write readable ones.
        let snapshots = deployments.iter().filter_map(|shape| shape.snapshot(None).ok());
        let mut ours = snapshots.filter(|snapshot| snapshot.key.as_ref() == Some(self.key));
        Ok(ours.next())
    }

    pub(super) async fn show_deployment(&self, id: DeploymentId, shown: &ShownDeployment) -> Outcome {
        let written = self.write_deployment_status(id, shown).await;
        written.unwrap_or_else(|error| Writing { tried: self.tried }.failed(error))
    }

    async fn write_deployment_status(&self, id: DeploymentId, shown: &ShownDeployment) -> Result<Outcome, CallError> {
        let mut body = json!({
            "state": deployment_state(shown.state),
            "description": &*description(&shown.description),
        });
        if let Some(address) = self.address(shown.log.as_ref()) {
            body["log_url"] = address.into();
        }
        // GitHub refuses the whole status for an address of another kind.
        if let Some(address) = shown.environment_url.as_ref().filter(|address| is_web_address(address)) {
            body["environment_url"] = (**address).into();
        }
        if self.confirm {
            match self.deployment_status_now(id).await {
                Ok(Some(status)) if is_same(&status, &body) => return Ok(Outcome::Done(Answer::Nothing)),
                Ok(_) => {}
                Err(error) => return Ok(not_read_back(&error)),
            }
        }
        self.client.call(self.on(), &Request::post(self.path(&format!("/deployments/{id}/statuses"))?, body)).await?;
        Ok(Outcome::Done(Answer::Nothing))
    }

    /// Returns a deployment's latest status: the one with the greatest id.
    pub(super) async fn deployment_status_now(
        &self,
        id: DeploymentId,
    ) -> Result<Option<DeploymentStatusShape>, CallError> {
        let path = self.path(&format!("/deployments/{id}/statuses?per_page=30"))?;
        let newest: Vec<DeploymentStatusShape> = self.client.get(self.on(), &path).await?;
        Ok(newest.into_iter().max_by_key(|status| status.id))
    }
}

pub(super) fn snapshot(shape: &DeploymentShape, answer: &CallAnswer) -> Result<DeploymentSnapshot, CallError> {
    shape.snapshot(None).map_err(|malformed| answer.bad(&malformed.to_string()))
}

/// A 409 that names contexts is not for good: they may become green. GitHub lists only those that were reported, so what is
/// not in its list was never reported. A 409 without contexts is a conflict.
fn unproven(answer: &Value) -> Option<Arc<str>> {
    let errors = answer.get("errors")?.as_array()?;
    let listed: Vec<(&str, &str)> = errors
        .iter()
        .filter_map(|error| error.get("contexts")?.as_array())
        .flatten()
        .filter_map(|context| Some((context.get("context")?.as_str()?, context.get("state")?.as_str()?)))
        .collect();
    if !errors.iter().any(|error| error.get("contexts").is_some()) {
        return None;
    }
    let failing =
        listed.iter().filter(|(_, state)| *state != "success").map(|(name, state)| format!("{name} is {state}"));
    let missing = REQUIRED_CONTEXTS
        .iter()
        .filter(|name| !listed.iter().any(|(listed, _)| listed.eq_ignore_ascii_case(name)))
        .map(|name| format!("{name} was never reported"));
    let what: Vec<_> = failing.chain(missing).take(10).collect();
    Some(format!("the commit is not green for GitHub: {}", what.join(", ")).into())
}

fn is_same(status: &DeploymentStatusShape, body: &Value) -> bool {
    let same = |field: &str, value: Option<&Arc<str>>| {
        body.get(field).and_then(Value::as_str).unwrap_or("") == value.map_or("", |value| value)
    };
    same("state", Some(&status.state))
        && same("description", status.description.as_ref())
        && same("log_url", status.log_url.as_ref())
        && same("environment_url", status.environment_url.as_ref())
}

fn is_web_address(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_what_fails_and_what_is_missing() {
        let failing = json!({"errors": [{"contexts": [{"context": "greenlight", "state": "failure"}, {"context": "x", "state": "success"}]}]});
        assert_eq!(unproven(&failing).as_deref(), Some("the commit is not green for GitHub: greenlight is failure"));
        let missing = json!({"errors": [{"contexts": [{"context": "lint", "state": "pending"}]}]});
        let expected = "the commit is not green for GitHub: lint is pending, greenlight was never reported";
        assert_eq!(unproven(&missing).as_deref(), Some(expected));
        assert_eq!(unproven(&json!({"message": "Conflict merging main into x"})), None);
        assert_eq!(unproven(&json!({"errors": ["text"]})), None);
    }
}
