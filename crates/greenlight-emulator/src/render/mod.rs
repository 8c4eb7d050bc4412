//! GitHub's JSON, written from the model. Every address in it is one of the emulator's own.

mod activity;
mod app;
mod check;
mod commit;
mod deployment;
pub mod event;
pub mod hook;
mod pull;
pub mod repository;

use base64::{Engine, engine::general_purpose::STANDARD};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

use crate::{
    model::{Account, AccountKind, Model, Repository},
    site::Site,
};

/// What is escaped in a path segment of an address.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Writes JSON from the model.
#[derive(Clone, Copy)]
pub struct Render<'a> {
    pub site: &'a Site,
    pub model: &'a Model,
}

/// Returns a node id in the older of GitHub's two forms.
pub fn node_id(kind: &str, id: impl std::fmt::Display) -> String {
    let id = id.to_string();
    STANDARD.encode(format!("{}:{kind}{id}", kind.len()))
}

/// Escapes what must not stand in a path.
pub fn escape_path(path: &str) -> String {
    utf8_percent_encode(path, SEGMENT).to_string()
}

impl Render<'_> {
    /// Returns an address of the API.
    pub fn api(&self, path: &str) -> String {
        format!("{}{path}", self.site.urls.api)
    }

    /// Returns an address of the pages.
    pub fn web(&self, path: &str) -> String {
        format!("{}{path}", self.site.urls.web)
    }

    /// Returns the API's address of something in a repository.
    pub fn api_of(&self, repository: &Repository, path: &str) -> String {
        format!("{}/repos/{}{path}", self.site.urls.api, self.model.full_name(repository))
    }

    /// Returns the page of something in a repository.
    pub fn web_of(&self, repository: &Repository, path: &str) -> String {
        format!("{}/{}{path}", self.site.urls.web, self.model.full_name(repository))
    }

    /// Writes an account, or null for one that is gone.
    pub fn user(&self, id: u64) -> Value {
        self.model.accounts.get(&id).map_or(Value::Null, |account| self.simple_user(account))
    }

    /// Writes an account as it appears inside other objects.
    pub fn simple_user(&self, account: &Account) -> Value {
        let login = escape_path(&account.login);
        let api = self.api(&format!("/users/{login}"));
        let html = match account.login.strip_suffix("[bot]") {
            Some(slug) => self.web(&format!("/apps/{slug}")),
            None => self.web(&format!("/{login}")),
        };
        json!({
            "login": account.login,
            "id": account.id,
            "node_id": node_id(account.kind_name(), account.id),
            "avatar_url": self.web(&format!("/avatars/u/{}?v=4", account.id)),
            "gravatar_id": "",
            "url": api,
            "html_url": html,
            "followers_url": format!("{api}/followers"),
            "following_url": format!("{api}/following{{/other_user}}"),
            "gists_url": format!("{api}/gists{{/gist_id}}"),
            "starred_url": format!("{api}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{api}/subscriptions"),
            "organizations_url": format!("{api}/orgs"),
            "repos_url": format!("{api}/repos"),
            "events_url": format!("{api}/events{{/privacy}}"),
            "received_events_url": format!("{api}/received_events"),
            "type": account.kind_name(),
            "user_view_type": "public",
            "site_admin": false,
        })
    }

    /// Writes an account as `GET /users/{login}` does; with private fields for its owner.
    pub fn full_user(&self, account: &Account, is_self: bool) -> Value {
        let mut user = self.simple_user(account);
        let owned = |private: bool| {
            self.model
                .repositories
                .values()
                .filter(|known| known.owner == account.id && known.private == private)
                .count()
        };
        let more = json!({
            "name": account.name,
            "company": null,
            "blog": "",
            "location": null,
            "email": account.email,
            "hireable": null,
            "bio": null,
            "twitter_username": null,
            "notification_email": account.email,
            "public_repos": owned(false),
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": account.created_at.iso(),
            "updated_at": account.created_at.iso(),
        });
        extend(&mut user, more);
        if is_self {
            let private = json!({
                "private_gists": 0,
                "total_private_repos": owned(true),
                "owned_private_repos": owned(true),
                "disk_usage": 0,
                "collaborators": 0,
                "two_factor_authentication": true,
                "plan": {"name": "free", "space": 976_562_499, "collaborators": 0, "private_repos": 10_000},
            });
            extend(&mut user, private);
        }
        user
    }

    /// Writes an organization as it appears inside other objects.
    pub fn simple_organization(&self, account: &Account) -> Value {
        let api = self.api(&format!("/orgs/{}", escape_path(&account.login)));
        json!({
            "login": account.login,
            "id": account.id,
            "node_id": node_id("Organization", account.id),
            "url": api,
            "repos_url": format!("{api}/repos"),
            "events_url": format!("{api}/events"),
            "hooks_url": format!("{api}/hooks"),
            "issues_url": format!("{api}/issues"),
            "members_url": format!("{api}/members{{/member}}"),
            "public_members_url": format!("{api}/public_members{{/member}}"),
            "avatar_url": self.web(&format!("/avatars/u/{}?v=4", account.id)),
            "description": "",
        })
    }

    /// Writes an organization as `GET /orgs/{org}` does.
    pub fn full_organization(&self, account: &Account) -> Value {
        let mut organization = self.simple_organization(account);
        let more = json!({
            "name": account.name,
            "company": "",
            "blog": "",
            "location": "",
            "email": account.email,
            "twitter_username": null,
            "is_verified": false,
            "has_organization_projects": true,
            "has_repository_projects": true,
            "public_repos": self.model.repositories.values().filter(|known| known.owner == account.id && !known.private).count(),
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "html_url": self.web(&format!("/{}", account.login)),
            "created_at": account.created_at.iso(),
            "updated_at": account.created_at.iso(),
            "archived_at": null,
            "type": "Organization",
        });
        extend(&mut organization, more);
        organization
    }

    /// Adds what every payload ends with.
    pub fn close_payload(&self, payload: &mut Map<String, Value>, repository: &Repository, sender: u64) {
        payload.insert("repository".to_owned(), self.event_repository(repository));
        if let Some(owner) =
            self.model.accounts.get(&repository.owner).filter(|owner| owner.kind == AccountKind::Organization)
        {
            payload.insert("organization".to_owned(), self.simple_organization(owner));
        }
        payload.insert("sender".to_owned(), self.user(sender));
    }

    /// Returns how somebody relates to a repository.
    pub fn association(&self, repository: &Repository, user: u64) -> &'static str {
        let owner = self.model.accounts.get(&repository.owner);
        if repository.owner == user {
            "OWNER"
        } else if owner.is_some_and(|owner| owner.members.contains_key(&user)) {
            "MEMBER"
        } else if repository.collaborators.contains_key(&user) {
            "COLLABORATOR"
        } else if repository
            .pulls
            .values()
            .any(|pull| pull.author == user && matches!(pull.state, crate::model::pull::PullState::Merged { .. }))
        {
            "CONTRIBUTOR"
        } else {
            "NONE"
        }
    }
}

/// Adds the fields of one object to another.
pub fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}
