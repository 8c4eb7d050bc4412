//! Deployments, their statuses, and environments.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{At, Oid};

/// One deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deployment {
    pub id: u64,
    pub sha: Oid,
    pub reference: String,
    pub task: String,
    pub payload: Value,
    pub environment: String,
    pub original_environment: String,
    pub description: Option<String>,
    pub creator: u64,
    pub app: Option<u64>,
    pub transient: bool,
    pub production: bool,
    pub created_at: At,
    pub updated_at: At,
    pub statuses: Vec<DeploymentStatus>,
}

impl Deployment {
    /// Returns the newest state, or `pending` before the first status.
    pub fn state(&self) -> &str {
        self.statuses.last().map_or("pending", |status| &status.state)
    }
}

/// One status of a deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeploymentStatus {
    pub id: u64,
    pub state: String,
    pub description: String,
    pub environment: String,
    pub environment_url: String,
    pub log_url: String,
    pub creator: u64,
    pub app: Option<u64>,
    pub created_at: At,
}

/// An environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    pub id: u64,
    pub name: String,
    pub created_at: At,
    pub updated_at: At,
    pub wait_timer: u64,
}
