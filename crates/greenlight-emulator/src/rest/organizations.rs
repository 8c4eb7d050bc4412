//! Organizations, their members, teams and hooks.

use serde_json::json;

use super::{Answer, ApiError, Call, DELETE, GET, Outcome, PUT, hooks};
use crate::model::{Account, AccountKind, HookTarget, Model, account::Team};

/// Answers what starts with `/orgs`.
pub fn route(call: &Call, method: &str, parts: &[&str]) -> Outcome {
    let ["orgs", login, rest @ ..] = parts else { return Err(ApiError::not_found()) };
    let (id, owns) = {
        let look = call.site.look();
        let organization = find(&look, login)?;
        (organization.id, call.caller.account().is_some_and(|user| organization.members.get(&user) == Some(&true)))
    };
    match (method, rest) {
        (GET, []) => get(call, id),
        (GET, ["members"]) => members(call, id),
        (GET, ["members" | "public_members", user]) => is_member(call, id, user),
        (GET, ["memberships", user]) => membership(call, id, user),
        (PUT | DELETE, ["memberships", user]) if owns => set_membership(call, method, id, user),
        (GET, ["installation"]) => super::apps::installation_of_account(call, login),
        (GET, ["teams"]) => teams(call, id),
        (GET, ["teams", slug]) => team(call, id, slug),
        (GET, ["teams", slug, "members"]) => team_members(call, id, slug),
        (GET, ["teams", slug, "memberships", user]) => team_membership(call, id, slug, user),
        (_, ["hooks", rest @ ..]) if owns => hooks::of_target(call, method, HookTarget::Organization(id), rest),
        _ => Err(ApiError::not_found()),
    }
}

/// Answers `GET /user/memberships/orgs/{org}`.
pub fn my_membership(call: &Call, login: &str) -> Outcome {
    let user = call.actor()?;
    let (id, name) = {
        let look = call.site.look();
        (find(&look, login)?.id, look.login(user).to_owned())
    };
    membership(call, id, &name)
}

fn find<'m>(model: &'m Model, login: &str) -> Result<&'m Account, ApiError> {
    model.account(login).filter(|account| account.kind == AccountKind::Organization).ok_or_else(ApiError::not_found)
}

fn get(call: &Call, id: u64) -> Outcome {
    let look = call.site.look();
    let organization = look.accounts.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().full_organization(organization)))
}

fn members(call: &Call, id: u64) -> Outcome {
    let look = call.site.look();
    let organization = look.accounts.get(&id).ok_or_else(ApiError::not_found)?;
    let render = look.render();
    Ok(call.list(organization.members.keys().copied().collect(), |user| render.user(user)))
}

fn is_member(call: &Call, id: u64, user: &str) -> Outcome {
    let look = call.site.look();
    let member = look
        .account(user)
        .zip(look.accounts.get(&id))
        .is_some_and(|(user, organization)| organization.members.contains_key(&user.id));
    if member { Ok(Answer::no_content()) } else { Err(ApiError::not_found()) }
}

fn membership(call: &Call, id: u64, user: &str) -> Outcome {
    let look = call.site.look();
    let organization = look.accounts.get(&id).ok_or_else(ApiError::not_found)?;
    let user = look.account(user).ok_or_else(ApiError::not_found)?;
    let owner = *organization.members.get(&user.id).ok_or_else(ApiError::not_found)?;
    let render = look.render();
    Ok(Answer::ok(json!({
        "url": render.api(&format!("/orgs/{}/memberships/{}", organization.login, user.login)),
        "state": "active",
        "role": if owner { "admin" } else { "member" },
        "organization_url": render.api(&format!("/orgs/{}", organization.login)),
        "organization": render.simple_organization(organization),
        "user": render.simple_user(user),
    })))
}

fn set_membership(call: &Call, method: &str, id: u64, user: &str) -> Outcome {
    {
        let mut change = call.site.change();
        let user = change.account(user).ok_or_else(ApiError::not_found)?.id;
        let organization = change.accounts.get_mut(&id).ok_or_else(ApiError::not_found)?;
        if method == DELETE {
            organization.members.remove(&user);
            return Ok(Answer::no_content());
        }
        organization.members.insert(user, call.text("role") == Some("admin"));
    }
    membership(call, id, user)
}

fn find_team<'m>(model: &'m Model, id: u64, slug: &str) -> Result<(&'m Account, &'m Team), ApiError> {
    let organization = model.accounts.get(&id).ok_or_else(ApiError::not_found)?;
    let team = organization.teams.iter().find(|team| team.slug == slug).ok_or_else(ApiError::not_found)?;
    Ok((organization, team))
}

fn show_team(call: &Call, organization: &Account, team: &Team) -> serde_json::Value {
    let url = format!("{}/organizations/{}/team/{}", call.site.urls.api, organization.id, team.id);
    json!({
        "id": team.id,
        "node_id": crate::render::node_id("Team", team.id),
        "url": url,
        "html_url": format!("{}/orgs/{}/teams/{}", call.site.urls.web, organization.login, team.slug),
        "name": team.name,
        "slug": team.slug,
        "description": null,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "permission": "pull",
        "members_url": format!("{url}/members{{/member}}"),
        "repositories_url": format!("{url}/repos"),
        "type": "organization",
        "parent": null,
    })
}

fn teams(call: &Call, id: u64) -> Outcome {
    let look = call.site.look();
    let organization = look.accounts.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(call.list(organization.teams.iter().collect(), |team| show_team(call, organization, team)))
}

fn team(call: &Call, id: u64, slug: &str) -> Outcome {
    let look = call.site.look();
    let (organization, team) = find_team(&look, id, slug)?;
    let mut shown = show_team(call, organization, team);
    let more = json!({
        "created_at": organization.created_at.iso(),
        "updated_at": organization.created_at.iso(),
        "members_count": team.members.len(),
        "repos_count": team.repositories.len(),
        "organization": look.render().full_organization(organization),
    });
    crate::render::extend(&mut shown, more);
    Ok(Answer::ok(shown))
}

fn team_members(call: &Call, id: u64, slug: &str) -> Outcome {
    let look = call.site.look();
    let (_, team) = find_team(&look, id, slug)?;
    let render = look.render();
    Ok(call.list(team.members.clone(), |user| render.user(user)))
}

fn team_membership(call: &Call, id: u64, slug: &str, user: &str) -> Outcome {
    let look = call.site.look();
    let (organization, team) = find_team(&look, id, slug)?;
    let user = look.account(user).filter(|user| team.members.contains(&user.id)).ok_or_else(ApiError::not_found)?;
    let url =
        format!("{}/organizations/{}/team/{}/memberships/{}", call.site.urls.api, organization.id, team.id, user.login);
    Ok(Answer::ok(json!({"url": url, "role": "member", "state": "active"})))
}
