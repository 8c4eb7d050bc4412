//! The REST API: GitHub's paths, answers and refusals.
//!
//! [`door`] takes a request in (who asks, budgets, faults, record), this module finds who answers it, each family has a file.

pub mod activity;
pub mod answer;
pub mod apps;
pub mod auth;
pub mod checks;
pub mod comments;
pub mod contents;
pub mod deployments;
pub mod door;
pub mod environments;
pub mod git_data;
pub mod history;
pub mod hooks;
pub mod organizations;
pub mod protection;
pub mod pulls;
pub mod repositories;
pub mod reviews;
pub mod statuses;
pub mod users;

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};

pub use answer::{Answer, ApiError, Body};
pub use auth::{Caller, Level, Reach};

use crate::{
    model::{Model, Oid, Repository},
    site::{GHES_VERSION, Profile, Site},
};

/// What a handler gives back.
pub type Outcome = Result<Answer, ApiError>;

/// Methods, short enough for a table.
pub const GET: &str = "GET";
/// See [`GET`].
pub const POST: &str = "POST";
/// See [`GET`].
pub const PUT: &str = "PUT";
/// See [`GET`].
pub const PATCH: &str = "PATCH";
/// See [`GET`].
pub const DELETE: &str = "DELETE";

/// One request to the API.
pub struct Call {
    pub site: Arc<Site>,
    pub method: Method,
    /// Without the prefix of GHES.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Value,
    pub caller: Caller,
    pub accept: String,
}

impl Call {
    /// Returns a parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns a text of the body.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }

    /// Returns a text of the body that must be there.
    pub fn required(&self, resource: &str, name: &str) -> Result<&str, ApiError> {
        match self.text(name) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(ApiError::missing_field(resource, name)),
        }
    }

    /// Returns a yes or no of the body.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.body[name].as_bool()
    }

    /// Finds what a branch, tag, full ref, or (short) object name means.
    pub fn resolve(&self, repository: u64, name: &str) -> Result<Oid, ApiError> {
        let by_ref = {
            let look = self.site.look();
            let known = repository_of(&look, repository)?;
            known
                .resolve_ref(name)
                .cloned()
                .or_else(|| (name == "HEAD").then(|| known.branch(&known.default_branch).cloned()).flatten())
        };
        let oid = by_ref
            .or_else(|| (name.len() == 40).then(|| name.to_owned()))
            .or_else(|| self.site.git.expand(repository, name));
        match oid.and_then(|oid| self.site.git.commit(repository, &oid).ok()) {
            Some(commit) => Ok(commit.oid.clone()),
            None => Err(ApiError::new(422, format!("No commit found for SHA: {name}"))),
        }
    }
}

/// Returns a repository that was found before; it may be gone by now.
pub fn repository_of(model: &Model, id: u64) -> Result<&Repository, ApiError> {
    model.repositories.get(&id).ok_or_else(ApiError::not_found)
}

/// Returns a repository to be changed.
pub fn repository_mut(model: &mut Model, id: u64) -> Result<&mut Repository, ApiError> {
    model.repositories.get_mut(&id).ok_or_else(ApiError::not_found)
}

/// Reads a number out of a path.
pub fn number(text: &str) -> Result<u64, ApiError> {
    text.parse().map_err(|_| ApiError::not_found())
}

/// Answers a request.
pub async fn answer(call: &Call) -> Outcome {
    let path = call.path.clone();
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let method = call.method.as_str();
    match (method, &parts[..]) {
        (GET, []) => Ok(Answer::ok(root(call))),
        (GET, ["meta"]) => Ok(Answer::ok(meta(call))),
        (GET, ["zen"]) => Ok(Answer::text("Keep it logically awesome.")),
        (GET, ["rate_limit"]) if call.site.profile == Profile::Ghes => {
            Err(ApiError::new(404, "Rate limiting is not enabled.".to_owned()))
        }
        (GET, ["rate_limit"]) => Ok(Answer::ok(rate_limit(call))),
        (_, ["graphql"]) => Err(ApiError::new(404, "the emulated GitHub has no GraphQL; use its REST API".to_owned())),
        (POST, ["user", "repos"]) => repositories::create(call, call.actor()?).await,
        (_, ["user" | "users", ..]) => users::route(call, method, &parts),
        (_, ["orgs", organization, "repos"]) => repositories::of_organization(call, method, organization).await,
        (_, ["orgs", ..]) => organizations::route(call, method, &parts),
        (_, ["app" | "apps" | "installation", ..]) => apps::route(call, method, &parts),
        (GET, ["repositories", id]) => repositories::get(call, &call.reach_id(number(id)?)?),
        (_, ["repositories", id, rest @ ..]) => in_repository(call, method, &call.reach_id(number(id)?)?, rest).await,
        (_, ["repos", owner, name, rest @ ..]) => in_repository(call, method, &call.reach(owner, name)?, rest).await,
        _ => Err(ApiError::not_found()),
    }
}

/// Answers a request about something in a repository.
async fn in_repository(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match rest {
        []
        | [
            "forks" | "collaborators" | "topics" | "languages" | "releases" | "tags" | "actions" | "teams"
            | "installation" | "merges" | "dispatches" | "contributors",
            ..,
        ] => repositories::route(call, method, reach, rest).await,
        ["activity"] => activity::route(call, method, reach, rest),
        ["branches", ..] | ["rules", ..] | ["rulesets", ..] => protection::route(call, method, reach, rest),
        ["git", ..] => git_data::route(call, method, reach, rest).await,
        ["contents", ..] | ["readme"] => contents::route(call, method, reach, rest).await,
        ["commits", .., "status" | "statuses"] | ["statuses", ..] => statuses::route(call, method, reach, rest),
        ["commits", .., "check-runs" | "check-suites"] | ["check-runs" | "check-suites", ..] => {
            checks::route(call, method, reach, rest)
        }
        ["commits", ..] | ["compare", ..] => history::route(call, method, reach, rest).await,
        ["pulls", _, "reviews" | "requested_reviewers", ..] => reviews::route(call, method, reach, rest),
        ["pulls", ..] => pulls::route(call, method, reach, rest).await,
        ["issues" | "labels", ..] => comments::route(call, method, reach, rest),
        ["deployments", ..] => deployments::route(call, method, reach, rest).await,
        ["environments", ..] => environments::route(call, method, reach, rest),
        ["hooks", ..] => hooks::route(call, method, reach, rest),
        _ => Err(ApiError::not_found()),
    }
}

fn decode(part: &str) -> String {
    percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned()
}

fn root(call: &Call) -> Value {
    let api = &call.site.urls.api;
    json!({
        "current_user_url": format!("{api}/user"),
        "current_user_authorizations_html_url": format!("{}/settings/connections/applications{{/client_id}}", call.site.urls.web),
        "authorizations_url": format!("{api}/authorizations"),
        "code_search_url": format!("{api}/search/code?q={{query}}{{&page,per_page,sort,order}}"),
        "commit_search_url": format!("{api}/search/commits?q={{query}}{{&page,per_page,sort,order}}"),
        "emails_url": format!("{api}/user/emails"),
        "emojis_url": format!("{api}/emojis"),
        "events_url": format!("{api}/events"),
        "feeds_url": format!("{api}/feeds"),
        "followers_url": format!("{api}/user/followers"),
        "following_url": format!("{api}/user/following{{/target}}"),
        "gists_url": format!("{api}/gists{{/gist_id}}"),
        "hub_url": format!("{api}/hub"),
        "issue_search_url": format!("{api}/search/issues?q={{query}}{{&page,per_page,sort,order}}"),
        "issues_url": format!("{api}/issues"),
        "keys_url": format!("{api}/user/keys"),
        "label_search_url": format!("{api}/search/labels?q={{query}}&repository_id={{repository_id}}{{&page,per_page}}"),
        "notifications_url": format!("{api}/notifications"),
        "organization_url": format!("{api}/orgs/{{org}}"),
        "organization_repositories_url": format!("{api}/orgs/{{org}}/repos{{?type,page,per_page,sort}}"),
        "organization_teams_url": format!("{api}/orgs/{{org}}/teams"),
        "public_gists_url": format!("{api}/gists/public"),
        "rate_limit_url": format!("{api}/rate_limit"),
        "repository_url": format!("{api}/repos/{{owner}}/{{repo}}"),
        "repository_search_url": format!("{api}/search/repositories?q={{query}}{{&page,per_page,sort,order}}"),
        "current_user_repositories_url": format!("{api}/user/repos{{?type,page,per_page,sort}}"),
        "starred_url": format!("{api}/user/starred{{/owner}}{{/repo}}"),
        "starred_gists_url": format!("{api}/gists/starred"),
        "user_url": format!("{api}/users/{{user}}"),
        "user_organizations_url": format!("{api}/user/orgs"),
        "user_repositories_url": format!("{api}/users/{{user}}/repos{{?type,page,per_page,sort}}"),
        "user_search_url": format!("{api}/search/users?q={{query}}{{&page,per_page,sort,order}}"),
    })
}

fn meta(call: &Call) -> Value {
    let loopback = ["127.0.0.0/8", "::1/128"];
    let mut meta = json!({"verifiable_password_authentication": false, "hooks": loopback, "web": loopback, "api": loopback, "git": loopback, "actions": []});
    if call.site.profile == Profile::Ghes {
        meta["installed_version"] = json!(GHES_VERSION);
    }
    meta
}

fn rate_limit(call: &Call) -> Value {
    let now = crate::model::At::now();
    let core = match call.site.limits.budget(&call.caller.budget_key(), now) {
        Some(budget) => {
            json!({"limit": budget.limit, "used": budget.used, "remaining": budget.remaining(), "reset": budget.reset})
        }
        None => json!({"limit": 5000, "used": 0, "remaining": 5000, "reset": now.seconds() + 3600}),
    };
    let search = json!({"limit": 30, "used": 0, "remaining": 30, "reset": now.seconds() + 60});
    json!({"resources": {"core": core, "search": search, "graphql": {"limit": 0, "used": 0, "remaining": 0, "reset": now.seconds() + 3600}}, "rate": core})
}
