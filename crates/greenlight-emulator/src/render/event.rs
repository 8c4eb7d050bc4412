//! The bodies of webhook events, apart from what they all end with.

use serde_json::{Map, Value, json};

use super::Render;
use crate::model::{
    Repository,
    commit_status::CommitStatus,
    deployment::{Deployment, DeploymentStatus},
    pull::{Comment, Pull, Review},
};

/// Takes the fields out of an object literal.
pub fn fields(object: Value) -> Map<String, Value> {
    match object {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

impl Render<'_> {
    /// Writes the fields of `pull_request`.
    pub fn pull_event(&self, repository: &Repository, pull: &Pull, more: Value) -> Map<String, Value> {
        let mut event = fields(json!({"number": pull.number, "pull_request": self.pull(repository, pull)}));
        event.extend(fields(more));
        event
    }

    /// Writes the fields of `pull_request_review`.
    pub fn review_event(&self, repository: &Repository, pull: &Pull, review: &Review) -> Map<String, Value> {
        let mut shown = self.review(repository, pull, review);
        shown["state"] = json!(review.state.name().to_lowercase());
        fields(json!({"review": shown, "pull_request": self.simple_pull(repository, pull)}))
    }

    /// Writes the fields of `issue_comment`.
    pub fn comment_event(&self, repository: &Repository, pull: &Pull, comment: &Comment) -> Map<String, Value> {
        fields(json!({"issue": self.issue(repository, pull), "comment": self.comment(repository, comment)}))
    }

    /// Writes the fields of `status`.
    pub fn status_event(&self, repository: &Repository, sha: &str, status: &CommitStatus) -> Map<String, Value> {
        let branches: Vec<Value> = repository
            .branches()
            .filter(|(_, tip)| self.site.git.is_ancestor(repository.id, sha, tip).unwrap_or(false))
            .take(10)
            .map(|(name, tip)| {
                let url = self.api_of(repository, &format!("/commits/{tip}"));
                json!({"name": name, "commit": {"sha": tip, "url": url}, "protected": !repository.protections(name).is_empty()})
            })
            .collect();
        fields(json!({
            "id": status.id,
            "sha": sha,
            "name": self.model.full_name(repository),
            "target_url": status.target_url,
            "avatar_url": self.web(&format!("/avatars/u/{}?v=4", status.creator)),
            "context": status.context,
            "description": status.description,
            "state": status.state,
            "commit": self.commit(repository, sha),
            "branches": branches,
            "created_at": status.created_at.iso(),
            "updated_at": status.created_at.iso(),
        }))
    }

    /// Writes the fields of `deployment`.
    pub fn deployment_event(&self, repository: &Repository, deployment: &Deployment) -> Map<String, Value> {
        fields(json!({"deployment": self.deployment(repository, deployment), "workflow": null, "workflow_run": null}))
    }

    /// Writes the fields of `deployment_status`.
    pub fn deployment_status_event(
        &self,
        repository: &Repository,
        deployment: &Deployment,
        status: &DeploymentStatus,
    ) -> Map<String, Value> {
        fields(json!({
            "deployment_status": self.deployment_status(repository, deployment, status),
            "deployment": self.deployment(repository, deployment),
            "check_run": null,
            "workflow": null,
            "workflow_run": null,
        }))
    }
}
