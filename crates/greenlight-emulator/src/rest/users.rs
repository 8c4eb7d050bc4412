//! People, and what is the caller's own.

use super::{Answer, ApiError, Call, Caller, GET, Outcome, PATCH, repositories};
use crate::model::{AccountKind, Permission};

/// Answers what starts with `/user` or `/users`.
pub fn route(call: &Call, method: &str, parts: &[&str]) -> Outcome {
    match (method, parts) {
        (GET | PATCH, ["user"]) => me(call),
        (GET, ["user", "repos"]) => repositories::mine(call),
        (GET, ["user", "orgs"]) => my_organizations(call),
        (GET, ["user", "emails"]) => my_emails(call),
        (GET, ["user", "teams"]) => Ok(call.list(Vec::<()>::new(), |()| serde_json::Value::Null)),
        (GET, ["user", "installations"]) => super::apps::of_user(call),
        (GET, ["user", "memberships", "orgs", organization]) => super::organizations::my_membership(call, organization),
        (GET, ["users", login]) => user(call, login),
        (GET, ["users", login, "repos"]) => repositories::of_user(call, login),
        (GET, ["users", login, "installation"]) => super::apps::installation_of_account(call, login),
        _ => Err(ApiError::not_found()),
    }
}

fn me(call: &Call) -> Outcome {
    match &call.caller {
        Caller::User { id, .. } => {
            let look = call.site.look();
            let account = look.accounts.get(id).ok_or_else(ApiError::not_found)?;
            Ok(Answer::ok(look.render().full_user(account, true)))
        }
        Caller::Installation { .. } | Caller::App { .. } => {
            Err(ApiError::forbidden("Resource not accessible by integration"))
        }
        Caller::Anonymous => Err(ApiError::new(401, "Requires authentication".to_owned())),
    }
}

fn my_emails(call: &Call) -> Outcome {
    let id = call.actor()?;
    let look = call.site.look();
    let email = look.accounts.get(&id).map(|account| account.email.clone()).unwrap_or_default();
    Ok(Answer::ok(serde_json::json!([{"email": email, "primary": true, "verified": true, "visibility": "public"}])))
}

fn my_organizations(call: &Call) -> Outcome {
    let id = call.actor()?;
    let look = call.site.look();
    let mine = look
        .accounts
        .values()
        .filter(|account| account.kind == AccountKind::Organization && account.members.contains_key(&id))
        .collect();
    let render = look.render();
    Ok(call.list(mine, |account| render.simple_organization(account)))
}

fn user(call: &Call, login: &str) -> Outcome {
    let look = call.site.look();
    let account = look.account(login).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().full_user(account, false)))
}

impl Call {
    /// Answers whether the caller may see a repository at all.
    pub fn sees(&self, model: &crate::model::Model, repository: &crate::model::Repository) -> bool {
        super::auth::permission_of(model, &self.caller, repository) >= Permission::Read
    }
}
