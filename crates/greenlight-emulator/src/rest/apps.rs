//! GitHub Apps: as themselves, and as installations.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Answer, ApiError, Call, Caller, DELETE, GET, Outcome, PATCH, POST, Reach, hooks, number, repository_of};
use crate::{
    model::{App, At, Installation, InstallationToken, Model, Repository, app::allows},
    render::hook::config,
};

/// How long an installation token lives.
const TOKEN_MILLISECONDS: u64 = 3_600_000;

/// Answers what starts with `/app`, `/apps` or `/installation`.
pub fn route(call: &Call, method: &str, parts: &[&str]) -> Outcome {
    match (method, parts) {
        (GET, ["app"]) => Ok(Answer::ok(call.site.look().render().app(itself(call)?))),
        (GET, ["app", "installations"]) => installations(call),
        (GET, ["app", "installations", id]) => installation(call, number(id)?),
        (POST, ["app", "installations", id, "access_tokens"]) => create_token(call, number(id)?),
        (GET | PATCH, ["app", "hook", "config"]) => hook_config(call, method),
        (GET, ["app", "hook", "deliveries"]) => hooks::deliveries(call, own_hook(call)?),
        (GET, ["app", "hook", "deliveries", id]) => hooks::delivery(call, own_hook(call)?, number(id)?),
        (POST, ["app", "hook", "deliveries", id, "attempts"]) => hooks::attempt(call, own_hook(call)?, number(id)?),
        (GET, ["apps", slug]) => by_slug(call, slug),
        (GET, ["installation", "repositories"]) => repositories(call),
        (DELETE, ["installation", "token"]) => revoke(call),
        _ => Err(ApiError::not_found()),
    }
}

/// Returns the App that asks as itself, or refuses.
fn itself(call: &Call) -> Result<u64, ApiError> {
    match call.caller {
        Caller::App { id } => Ok(id),
        Caller::Anonymous => Err(ApiError::new(401, "A JSON web token could not be decoded".to_owned())),
        _ => Err(ApiError::new(403, "You must authenticate with a JSON web token of a GitHub App.".to_owned())),
    }
}

fn own_hook(call: &Call) -> Result<u64, ApiError> {
    let app = itself(call)?;
    call.site.look().apps.get(&app).map(|app| app.hook).ok_or_else(ApiError::not_found)
}

fn hook_config(call: &Call, method: &str) -> Outcome {
    let id = own_hook(call)?;
    if method == PATCH {
        let mut change = call.site.change();
        let hook = change.hooks.get_mut(&id).ok_or_else(ApiError::not_found)?;
        hooks::apply_config(&mut hook.config, &call.body)?;
    }
    let look = call.site.look();
    Ok(Answer::ok(config(&look.hooks.get(&id).ok_or_else(ApiError::not_found)?.config)))
}

fn by_slug(call: &Call, slug: &str) -> Outcome {
    let look = call.site.look();
    let app: &App = look.apps.values().find(|app| app.slug == slug).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().app(app.id)))
}

fn installations(call: &Call) -> Outcome {
    let app = itself(call)?;
    let look = call.site.look();
    let render = look.render();
    Ok(call.list(look.installations.values().filter(|known| known.app == app).collect(), |known| {
        render.installation(known)
    }))
}

/// Answers `GET /user/installations`.
pub fn of_user(call: &Call) -> Outcome {
    let user = call.actor()?;
    let look = call.site.look();
    let render = look.render();
    Ok(call.counted_list(
        "installations",
        look.installations.values().filter(|known| known.account == user).collect(),
        |known| render.installation(known),
    ))
}

fn installation(call: &Call, id: u64) -> Outcome {
    let app = itself(call)?;
    let look = call.site.look();
    let found = look.installations.get(&id).filter(|known| known.app == app).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().installation(found)))
}

/// Answers `GET /users/{login}/installation` and `GET /orgs/{org}/installation`.
pub fn installation_of_account(call: &Call, login: &str) -> Outcome {
    let app = itself(call)?;
    let look = call.site.look();
    let account = look.account(login).ok_or_else(ApiError::not_found)?.id;
    let found = look
        .installations
        .values()
        .find(|known| known.app == app && known.account == account)
        .ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().installation(found)))
}

/// Answers `GET /repos/{owner}/{repo}/installation`.
pub fn installation_of_repository(call: &Call, reach: &Reach) -> Outcome {
    let app = itself(call)?;
    let look = call.site.look();
    let found = look.installation_of(app, repository_of(&look, reach.id)?).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().installation(found)))
}

fn create_token(call: &Call, id: u64) -> Outcome {
    let app = itself(call)?;
    let mut change = call.site.change();
    let installation =
        change.installations.get(&id).filter(|known| known.app == app).cloned().ok_or_else(ApiError::not_found)?;
    let granted = change.apps.get(&app).map(|app| app.permissions.clone()).unwrap_or_default();
    let permissions = narrowed(&granted, &call.body["permissions"])?;
    let chosen = chosen_repositories(&change, &installation, &call.body)?;
    let now = At::now();
    change.installation_tokens.retain(|_, token| token.expires_at > now);
    let text = format!("ghs_{}{}", uuid::Uuid::new_v4().simple(), &uuid::Uuid::new_v4().simple().to_string()[..4]);
    let token = InstallationToken {
        installation: id,
        permissions: permissions.clone(),
        repositories: chosen.clone(),
        expires_at: now.plus(TOKEN_MILLISECONDS),
    };
    let expires_at = token.expires_at.iso();
    change.installation_tokens.insert(text.clone(), token);
    let selected = chosen.is_some() || installation.repositories.is_some();
    let mut body = json!({"token": text, "expires_at": expires_at, "permissions": permissions, "repository_selection": if selected { "selected" } else { "all" }});
    if let Some(chosen) = chosen {
        let render = change.render();
        let shown: Vec<Value> =
            chosen.iter().filter_map(|id| change.repositories.get(id)).map(|known| render.repository(known)).collect();
        body["repositories"] = json!(shown);
    }
    Ok(Answer::json(201, body))
}

/// Cuts permissions down to those that were asked for; more than was granted is refused.
fn narrowed(granted: &BTreeMap<String, String>, asked: &Value) -> Result<BTreeMap<String, String>, ApiError> {
    let mut all = granted.clone();
    all.entry("metadata".to_owned()).or_insert_with(|| "read".to_owned());
    // PyGithub sends an empty object where nothing is to be cut down, and GitHub takes it so.
    let Some(asked) = asked.as_object().filter(|asked| !asked.is_empty()) else { return Ok(all) };
    let mut narrowed = BTreeMap::from([("metadata".to_owned(), "read".to_owned())]);
    for (name, level) in asked {
        let level = level.as_str().unwrap_or_default();
        if !allows(&all, name, level) {
            return Err(ApiError::new(
                422,
                "The permissions requested are not granted to this installation.".to_owned(),
            ));
        }
        narrowed.insert(name.clone(), level.to_owned());
    }
    Ok(narrowed)
}

fn chosen_repositories(model: &Model, installation: &Installation, body: &Value) -> Result<Option<Vec<u64>>, ApiError> {
    let covered: Vec<&Repository> = model.repositories.values().filter(|known| installation.covers(known)).collect();
    let by_name = body["repositories"].as_array().map(|list| {
        list.iter()
            .map(|name| covered.iter().find(|known| Some(known.name.as_str()) == name.as_str()).map(|known| known.id))
            .collect::<Vec<_>>()
    });
    let by_id = body["repository_ids"].as_array().map(|list| {
        list.iter()
            .map(|id| covered.iter().find(|known| Some(known.id) == id.as_u64()).map(|known| known.id))
            .collect::<Vec<_>>()
    });
    let Some(chosen) = by_name.or(by_id) else { return Ok(None) };
    let chosen: Option<Vec<u64>> = chosen.into_iter().collect();
    let refusal =
        "There is at least one repository that does not exist or is not accessible to the parent installation.";
    chosen.map(Some).ok_or_else(|| ApiError::new(422, refusal.to_owned()))
}

fn repositories(call: &Call) -> Outcome {
    let Caller::Installation { token, .. } = &call.caller else {
        return Err(ApiError::forbidden(
            "You must authenticate with an installation access token in order to list repositories for an installation.",
        ));
    };
    let look = call.site.look();
    let installation = look.installations.get(&token.installation).ok_or_else(ApiError::not_found)?;
    let reachable = |known: &&Repository| {
        installation.covers(known) && token.repositories.as_ref().is_none_or(|chosen| chosen.contains(&known.id))
    };
    let render = look.render();
    let mut answer =
        call.counted_list("repositories", look.repositories.values().filter(reachable).collect(), |known| {
            render.repository_for(known, crate::model::Permission::Write)
        });
    if let super::Body::Json(body) = &mut answer.body {
        body["repository_selection"] =
            json!(if installation.repositories.is_some() || token.repositories.is_some() { "selected" } else { "all" });
    }
    Ok(answer)
}

fn revoke(call: &Call) -> Outcome {
    let Caller::Installation { key, .. } = &call.caller else {
        return Err(ApiError::forbidden("Resource not accessible by personal access token"));
    };
    let mut change = call.site.change();
    let digest_of =
        |text: &str| hex::encode(&aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref()[..8]);
    change.installation_tokens.retain(|text, _| digest_of(text) != *key);
    Ok(Answer::no_content())
}
