//! Deployments, their statuses, environments.

use serde_json::{Value, json};

use super::{Render, escape_path, node_id};
use crate::model::{
    Repository,
    deployment::{Deployment, DeploymentStatus, Environment},
};

impl Render<'_> {
    /// Writes a deployment.
    pub fn deployment(&self, repository: &Repository, deployment: &Deployment) -> Value {
        let url = self.api_of(repository, &format!("/deployments/{}", deployment.id));
        json!({
            "url": url,
            "id": deployment.id,
            "node_id": node_id("Deployment", deployment.id),
            "task": deployment.task,
            "original_environment": deployment.original_environment,
            "environment": deployment.environment,
            "description": deployment.description,
            "created_at": deployment.created_at.iso(),
            "updated_at": deployment.updated_at.iso(),
            "statuses_url": format!("{url}/statuses"),
            "repository_url": self.api_of(repository, ""),
            "creator": self.user(deployment.creator),
            "sha": deployment.sha,
            "ref": deployment.reference,
            "payload": deployment.payload,
            "transient_environment": deployment.transient,
            "production_environment": deployment.production,
            "performed_via_github_app": deployment.app.map(|app| self.app(app)),
        })
    }

    /// Writes a status of a deployment.
    pub fn deployment_status(
        &self,
        repository: &Repository,
        deployment: &Deployment,
        status: &DeploymentStatus,
    ) -> Value {
        let url = self.api_of(repository, &format!("/deployments/{}", deployment.id));
        json!({
            "url": format!("{url}/statuses/{}", status.id),
            "id": status.id,
            "node_id": node_id("DeploymentStatus", status.id),
            "state": status.state,
            "creator": self.user(status.creator),
            "description": status.description,
            "environment": status.environment,
            "target_url": status.log_url,
            "created_at": status.created_at.iso(),
            "updated_at": status.created_at.iso(),
            "deployment_url": url,
            "repository_url": self.api_of(repository, ""),
            "environment_url": status.environment_url,
            "log_url": status.log_url,
            "performed_via_github_app": status.app.map(|app| self.app(app)),
        })
    }

    /// Writes an environment.
    pub fn environment(&self, repository: &Repository, environment: &Environment) -> Value {
        let rules = if environment.wait_timer > 0 {
            json!([{"id": environment.id, "node_id": node_id("GateRule", environment.id), "type": "wait_timer", "wait_timer": environment.wait_timer}])
        } else {
            json!([])
        };
        json!({
            "id": environment.id,
            "node_id": node_id("Environment", environment.id),
            "name": environment.name,
            "url": self.api_of(repository, &format!("/environments/{}", escape_path(&environment.name))),
            "html_url": self.web_of(repository, &format!("/deployments/activity_log?environments_filter={}", escape_path(&environment.name))),
            "created_at": environment.created_at.iso(),
            "updated_at": environment.updated_at.iso(),
            "can_admins_bypass": true,
            "protection_rules": rules,
            "deployment_branch_policy": null,
        })
    }
}
