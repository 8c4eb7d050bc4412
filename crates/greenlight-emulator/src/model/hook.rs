//! Webhooks of repositories, organizations and Apps.

use serde::{Deserialize, Serialize};

use super::At;

/// Whose hook it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookTarget {
    Repository(u64),
    Organization(u64),
    App(u64),
}

impl HookTarget {
    /// Returns GitHub's word for `X-GitHub-Hook-Installation-Target-Type`.
    pub fn kind(self) -> &'static str {
        match self {
            HookTarget::Repository(_) => "repository",
            HookTarget::Organization(_) => "organization",
            HookTarget::App(_) => "integration",
        }
    }

    /// Returns the id of what the hook belongs to.
    pub fn id(self) -> u64 {
        let (HookTarget::Repository(id) | HookTarget::Organization(id) | HookTarget::App(id)) = self;
        id
    }
}

/// Where a hook delivers and how.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HookConfig {
    pub url: String,
    /// `json` or `form`.
    pub content_type: String,
    pub secret: Option<String>,
    pub insecure_ssl: String,
}

/// A webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hook {
    pub id: u64,
    pub target: HookTarget,
    pub name: String,
    pub active: bool,
    pub events: Vec<String>,
    pub config: HookConfig,
    pub created_at: At,
    pub updated_at: At,
    /// Code, status and message of the newest delivery.
    pub last_response: Option<(u16, String, String)>,
}

impl Hook {
    /// Answers whether the hook subscribes to `event`.
    pub fn wants(&self, event: &str) -> bool {
        event == "ping" || self.events.iter().any(|wanted| wanted == "*" || wanted == event)
    }
}
