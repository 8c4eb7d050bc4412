//! GitHub Apps, their installations and the tokens of those.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{At, Repository};

/// A GitHub App.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct App {
    pub id: u64,
    pub slug: String,
    pub name: String,
    pub owner: u64,
    /// The bot account that it acts as.
    pub bot: u64,
    pub created_at: At,
    /// Permission name to `read` or `write`.
    pub permissions: BTreeMap<String, String>,
    pub events: Vec<String>,
    pub public_key: String,
    /// Kept only for a key that the emulator made itself, so that the seed's author can fetch it.
    pub private_key: Option<String>,
    pub hook: u64,
}

impl App {
    /// Answers whether the App is told of `event`.
    pub fn hears(&self, event: &str) -> bool {
        const ALWAYS: [&str; 2] = ["installation", "installation_repositories"];
        let by_checks = matches!(event, "check_suite" | "check_run") && self.may("checks", "write");
        ALWAYS.contains(&event) || by_checks || self.events.iter().any(|wanted| wanted == event || wanted == "*")
    }

    /// Answers whether the App has `permission` at this level.
    pub fn may(&self, permission: &str, level: &str) -> bool {
        allows(&self.permissions, permission, level)
    }
}

/// Answers whether a map of permissions holds `permission` at this level.
pub fn allows(permissions: &BTreeMap<String, String>, permission: &str, level: &str) -> bool {
    match permissions.get(permission).map(String::as_str) {
        Some("write" | "admin") => true,
        Some("read") => level == "read",
        _ => permission == "metadata" && level == "read",
    }
}

/// One account's installation of an App.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Installation {
    pub id: u64,
    pub app: u64,
    pub account: u64,
    /// The chosen repositories; all of the account's where there is no choice.
    pub repositories: Option<Vec<u64>>,
    pub created_at: At,
}

impl Installation {
    /// Answers whether the installation reaches `repository`.
    pub fn covers(&self, repository: &Repository) -> bool {
        match &self.repositories {
            None => repository.owner == self.account,
            Some(chosen) => chosen.contains(&repository.id),
        }
    }
}

/// A token of an installation, good for an hour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InstallationToken {
    pub installation: u64,
    pub permissions: BTreeMap<String, String>,
    pub repositories: Option<Vec<u64>>,
    pub expires_at: At,
}
