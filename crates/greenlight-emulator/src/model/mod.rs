//! What the emulated GitHub knows: accounts, tokens, Apps and repositories, as plain data.
//!
//! The model does no I/O. Whoever changes it holds the one lock of [`crate::site`], and never across a process or an await.

pub mod account;
pub mod activity;
pub mod app;
pub mod check;
pub mod commit_status;
pub mod deployment;
pub mod hook;
pub mod protection;
pub mod pull;
pub mod repository;
pub mod requirement;
pub mod time;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use account::{Account, AccountKind, Token};
pub use app::{App, Installation, InstallationToken};
pub use hook::{Hook, HookTarget};
pub use repository::{Permission, Repository};
pub use time::At;

/// The name of a git object, in hex.
pub type Oid = String;

/// The object name that git writes where there is none.
pub const ZERO_OID: &str = "0000000000000000000000000000000000000000";

/// Everything the emulated GitHub knows, apart from git objects and deliveries.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Model {
    last_id: u64,
    /// Users, organizations and bots by id.
    pub accounts: BTreeMap<u64, Account>,
    /// Personal tokens by their text.
    pub tokens: BTreeMap<String, Token>,
    /// GitHub Apps by id.
    pub apps: BTreeMap<u64, App>,
    /// Installations of Apps by id.
    pub installations: BTreeMap<u64, Installation>,
    /// Live installation tokens by their text.
    pub installation_tokens: BTreeMap<String, InstallationToken>,
    /// Repositories by id.
    pub repositories: BTreeMap<u64, Repository>,
    /// Webhooks of repositories, organizations and Apps by id.
    pub hooks: BTreeMap<u64, Hook>,
}

impl Model {
    /// Returns an id that was never used before.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Makes later ids greater than `id`, which somebody chose.
    pub fn reserve_id(&mut self, id: u64) {
        self.last_id = self.last_id.max(id);
    }

    /// Returns the account with this login, whatever its case.
    pub fn account(&self, login: &str) -> Option<&Account> {
        self.accounts.values().find(|account| account.login.eq_ignore_ascii_case(login))
    }

    /// Returns the login of an account, or GitHub's name for one that is gone.
    pub fn login(&self, id: u64) -> &str {
        self.accounts.get(&id).map_or("ghost", |account| &account.login)
    }

    /// Returns the repository `owner/name`, whatever its case.
    pub fn repository(&self, owner: &str, name: &str) -> Option<&Repository> {
        self.repositories.values().find(|repository| {
            repository.name.eq_ignore_ascii_case(name) && self.login(repository.owner).eq_ignore_ascii_case(owner)
        })
    }

    /// Returns `owner/name` of a repository.
    pub fn full_name(&self, repository: &Repository) -> String {
        format!("{}/{}", self.login(repository.owner), repository.name)
    }

    /// Returns what `user` may do in `repository`, by ownership, organization, invitation or because it is public.
    pub fn permission(&self, repository: &Repository, user: Option<u64>) -> Permission {
        let everyone = if repository.private { Permission::None } else { Permission::Read };
        let Some(user) = user else { return everyone };
        if repository.owner == user {
            return Permission::Admin;
        }
        let invited = repository.collaborators.get(&user).copied().unwrap_or(Permission::None);
        let member =
            self.accounts.get(&repository.owner).map_or(Permission::None, |owner| owner.permission_of_member(user));
        let team = self
            .accounts
            .get(&repository.owner)
            .map_or(Permission::None, |owner| owner.permission_by_team(repository.id, user));
        everyone.max(invited).max(member).max(team)
    }

    /// Returns the hooks that want `event` of `repository`, with the installation for those of Apps.
    pub fn hooks_for(&self, repository: &Repository, event: &str) -> Vec<(u64, Option<u64>)> {
        self.hooks
            .values()
            .filter(|hook| hook.active && !hook.config.url.is_empty())
            .filter_map(|hook| match hook.target {
                HookTarget::Repository(id) => (id == repository.id && hook.wants(event)).then_some((hook.id, None)),
                HookTarget::Organization(id) => {
                    (id == repository.owner && hook.wants(event)).then_some((hook.id, None))
                }
                HookTarget::App(app) => {
                    let installation = self.installation_of(app, repository)?;
                    self.apps.get(&app)?.hears(event).then_some((hook.id, Some(installation.id)))
                }
            })
            .collect()
    }

    /// Returns the installation of `app` that covers `repository`.
    pub fn installation_of(&self, app: u64, repository: &Repository) -> Option<&Installation> {
        self.installations.values().find(|installation| installation.app == app && installation.covers(repository))
    }

    /// Returns the open pull requests whose head is `branch` of the repository `head`, as (base repository, number).
    pub fn pulls_with_head(&self, head: u64, branch: &str) -> Vec<(u64, u64)> {
        let mut found = Vec::new();
        for repository in self.repositories.values() {
            for pull in repository.pulls.values() {
                if pull.is_open() && pull.head.repository == Some(head) && pull.head.branch == branch {
                    found.push((repository.id, pull.number));
                }
            }
        }
        found
    }
}
