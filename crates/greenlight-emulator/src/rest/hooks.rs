//! Webhooks, their deliveries and redelivery.

use serde_json::{Map, Value, json};

use super::{Answer, ApiError, Call, DELETE, GET, Level, Outcome, PATCH, POST, Reach, number, repository_of};
use crate::{
    model::{At, Hook, HookTarget, Model, ZERO_OID, hook::HookConfig},
    render::{event::fields, hook::config},
    site::Change,
    webhook::{Announcement, Delivery},
};

/// How many hooks one event of a repository may have.
const HOOKS_MAX: usize = 20;

/// Answers what is below `/repos/{owner}/{repo}/hooks`.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    let scope = if method == GET { "read:repo_hook" } else { "write:repo_hook" };
    call.allow(reach, Level::Admin, "repository_hooks", scope).map_err(|refusal| match refusal.status {
        // Who may not see hooks is not told that there are any.
        403 if call.caller.app().is_none() => ApiError::not_found(),
        _ => refusal,
    })?;
    of_target(call, method, HookTarget::Repository(reach.id), rest.get(1..).unwrap_or_default())
}

/// Answers about the hooks of a repository or organization.
pub fn of_target(call: &Call, method: &str, target: HookTarget, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (GET, []) => list(call, target),
        (POST, []) => create(call, target),
        (GET, [id]) => show(call, target, number(id)?, 200),
        (PATCH, [id]) => update(call, target, number(id)?),
        (DELETE, [id]) => delete(call, target, number(id)?),
        (POST, [id, "pings"]) => ping(call, target, number(id)?),
        (POST, [id, "tests"]) => test(call, target, number(id)?),
        (GET, [id, "config"]) => get_config(call, target, number(id)?),
        (PATCH, [id, "config"]) => set_config(call, target, number(id)?),
        (GET, [id, "deliveries"]) => deliveries(call, known(call, target, id)?),
        (GET, [id, "deliveries", attempt]) => delivery(call, known(call, target, id)?, number(attempt)?),
        (POST, [id, "deliveries", delivery, "attempts"]) => attempt(call, known(call, target, id)?, number(delivery)?),
        _ => Err(ApiError::not_found()),
    }
}

fn hook_of(model: &Model, target: HookTarget, id: u64) -> Result<&Hook, ApiError> {
    model.hooks.get(&id).filter(|hook| hook.target == target).ok_or_else(ApiError::not_found)
}

fn known(call: &Call, target: HookTarget, id: &str) -> Result<u64, ApiError> {
    let look = call.site.look();
    Ok(hook_of(&look, target, number(id)?)?.id)
}

fn list(call: &Call, target: HookTarget) -> Outcome {
    let look = call.site.look();
    let render = look.render();
    Ok(call.list(look.hooks.values().filter(|hook| hook.target == target).collect(), |hook| render.hook(hook)))
}

fn show(call: &Call, target: HookTarget, id: u64, status: u16) -> Outcome {
    let look = call.site.look();
    let body = look.render().hook(hook_of(&look, target, id)?);
    Ok(if status == 201 { Answer::created(body) } else { Answer::ok(body) })
}

/// Takes what a request says about a hook's destination over into it.
pub fn apply_config(target: &mut HookConfig, given: &Value) -> Result<(), ApiError> {
    let text = |name: &str| {
        given[name].as_str().map(str::to_owned).or_else(|| given[name].as_u64().map(|number| number.to_string()))
    };
    if let Some(url) = text("url") {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(ApiError::invalid(
                "Hook",
                "url",
                "custom",
                Some("config.url must be an http or https address"),
            ));
        }
        target.url = url;
    }
    if let Some(content_type) = text("content_type") {
        if !matches!(content_type.as_str(), "json" | "form") {
            return Err(ApiError::invalid("Hook", "content_type", "custom", Some("content_type must be json or form")));
        }
        target.content_type = content_type;
    }
    target.insecure_ssl = text("insecure_ssl").unwrap_or_else(|| target.insecure_ssl.clone());
    if let Some(secret) = text("secret") {
        target.secret = Some(secret);
    }
    Ok(())
}

fn events_in(value: &Value) -> Option<Vec<String>> {
    Some(value.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn create(call: &Call, target: HookTarget) -> Outcome {
    let sender = call.actor()?;
    let mut destination =
        HookConfig { content_type: "form".to_owned(), insecure_ssl: "0".to_owned(), ..HookConfig::default() };
    apply_config(&mut destination, &call.body["config"])?;
    if destination.url.is_empty() && call.text("name") != Some("cli") {
        return Err(ApiError::missing_field("Hook", "config[url]"));
    }
    let events = events_in(&call.body["events"]).unwrap_or_else(|| vec!["push".to_owned()]);
    let id = {
        let mut change = call.site.change();
        let others = change.hooks.values().filter(|hook| hook.target == target);
        if others.clone().count() >= HOOKS_MAX {
            return Err(ApiError::custom("Hook", "The \"push\" event cannot have more than 20 hooks"));
        }
        if others.clone().any(|hook| {
            hook.config.url == destination.url
                && hook.config.content_type == destination.content_type
                && hook.events == events
        }) {
            return Err(ApiError::custom("Hook", "Hook already exists on this repository"));
        }
        let (id, now) = (change.next_id(), At::now());
        let active = call.flag("active").unwrap_or(true);
        let hook = Hook {
            id,
            target,
            name: "web".to_owned(),
            active,
            events,
            config: destination,
            created_at: now,
            updated_at: now,
            last_response: None,
        };
        change.hooks.insert(id, hook);
        if active {
            announce_ping(&mut change, id, sender);
        }
        id
    };
    show(call, target, id, 201)
}

/// Tells a hook that it is there.
pub fn announce_ping(change: &mut Change<'_>, id: u64, sender: u64) {
    let Some(hook) = change.hooks.get(&id) else { return };
    let render = change.render();
    let mut payload = fields(json!({"zen": "Keep it logically awesome.", "hook_id": id, "hook": render.hook(hook)}));
    let repository = match hook.target {
        HookTarget::Repository(repository) => change.repositories.get(&repository),
        _ => None,
    };
    match (repository, hook.target) {
        (Some(repository), _) => render.close_payload(&mut payload, repository, sender),
        (None, HookTarget::Organization(organization)) => {
            let organization = change.accounts.get(&organization).map(|account| render.simple_organization(account));
            payload.extend(fields(json!({"organization": organization, "sender": render.user(sender)})));
        }
        _ => payload.extend(fields(json!({"sender": render.user(sender)}))),
    }
    let repository = repository.map(|repository| repository.id);
    change.announce_to(Announcement { hook: id, event: "ping", action: None, repository, installation: None, payload });
}

fn update(call: &Call, target: HookTarget, id: u64) -> Outcome {
    {
        let mut change = call.site.change();
        hook_of(&change, target, id)?;
        let hook = change.hooks.get_mut(&id).ok_or_else(ApiError::not_found)?;
        if !call.body["config"].is_null() {
            apply_config(&mut hook.config, &call.body["config"])?;
        }
        if let Some(events) = events_in(&call.body["events"]) {
            hook.events = events;
        }
        for event in events_in(&call.body["add_events"]).unwrap_or_default() {
            if !hook.events.contains(&event) {
                hook.events.push(event);
            }
        }
        let removed = events_in(&call.body["remove_events"]).unwrap_or_default();
        hook.events.retain(|event| !removed.contains(event));
        hook.active = call.flag("active").unwrap_or(hook.active);
        hook.updated_at = At::now();
    }
    show(call, target, id, 200)
}

fn delete(call: &Call, target: HookTarget, id: u64) -> Outcome {
    let mut change = call.site.change();
    hook_of(&change, target, id)?;
    change.hooks.remove(&id);
    call.site.webhooks.log.forget(id);
    Ok(Answer::no_content())
}

fn ping(call: &Call, target: HookTarget, id: u64) -> Outcome {
    let sender = call.actor()?;
    let mut change = call.site.change();
    hook_of(&change, target, id)?;
    announce_ping(&mut change, id, sender);
    Ok(Answer::no_content())
}

/// Sends the newest push once more as a test, where the hook hears of pushes.
fn test(call: &Call, target: HookTarget, id: u64) -> Outcome {
    let sender = call.actor()?;
    let mut change = call.site.change();
    let wants_pushes = hook_of(&change, target, id)?.wants("push");
    let HookTarget::Repository(repository) = target else { return Err(ApiError::not_found()) };
    if wants_pushes {
        let known = repository_of(&change, repository)?;
        let tip = known.branch(&known.default_branch).cloned().unwrap_or_else(|| ZERO_OID.to_owned());
        let render = change.render();
        let head = call.site.git.commit(repository, &tip).ok().map(|commit| render.push_commit(known, &commit, true));
        let mut payload: Map<String, Value> = fields(json!({
            "ref": format!("refs/heads/{}", known.default_branch),
            "before": tip,
            "after": tip,
            "base_ref": null,
            "created": false,
            "deleted": false,
            "forced": false,
            "compare": render.web_of(known, &format!("/compare/{tip}...{tip}")),
            "commits": [],
            "head_commit": head,
            "pusher": {"name": change.login(sender)},
        }));
        render.close_payload(&mut payload, known, sender);
        change.announce_to(Announcement {
            hook: id,
            event: "push",
            action: None,
            repository: Some(repository),
            installation: None,
            payload,
        });
    }
    Ok(Answer::no_content())
}

fn get_config(call: &Call, target: HookTarget, id: u64) -> Outcome {
    let look = call.site.look();
    Ok(Answer::ok(config(&hook_of(&look, target, id)?.config)))
}

fn set_config(call: &Call, target: HookTarget, id: u64) -> Outcome {
    {
        let mut change = call.site.change();
        hook_of(&change, target, id)?;
        let hook = change.hooks.get_mut(&id).ok_or_else(ApiError::not_found)?;
        apply_config(&mut hook.config, &call.body)?;
        hook.updated_at = At::now();
    }
    get_config(call, target, id)
}

/// Lists a hook's deliveries, newest first; the cursor names the delivery after which a page begins.
pub fn deliveries(call: &Call, hook: u64) -> Outcome {
    let mut all = call.site.webhooks.log.of_hook(hook);
    if let Some(cursor) = call.parameter("cursor") {
        let before: u64 = cursor
            .trim_start_matches("v1_")
            .parse()
            .map_err(|_| ApiError::invalid("HookDelivery", "cursor", "invalid", None))?;
        all.retain(|delivery| delivery.id < before);
    }
    if let Some(redelivery) = call.parameter("redelivery") {
        all.retain(|delivery| delivery.redelivery == (redelivery == "true"));
    }
    if let Some(status) = call.parameter("status") {
        all.retain(|delivery| (delivery.status == "OK") == (status == "success"));
    }
    let per_page = call.per_page();
    let more = all.len() > per_page;
    all.truncate(per_page);
    let next = all
        .last()
        .filter(|_| more)
        .map(|last| format!("<{}>; rel=\"next\"", call.address_with("cursor", &format!("v1_{}", last.id))));
    let look = call.site.look();
    let render = look.render();
    let mut answer = Answer::ok(all.iter().map(|delivery| render.delivery_item(delivery)).collect());
    answer.headers.extend(next.map(|next| ("link", next)));
    Ok(answer)
}

/// Shows one delivery with request and response.
pub fn delivery(call: &Call, hook: u64, id: u64) -> Outcome {
    let found = find_delivery(call, hook, id)?;
    Ok(Answer::ok(call.site.look().render().delivery(&found)))
}

/// Delivers once more.
pub fn attempt(call: &Call, hook: u64, id: u64) -> Outcome {
    let earlier = find_delivery(call, hook, id)?;
    let look = call.site.look();
    let hook = look.hooks.get(&hook).ok_or_else(ApiError::not_found)?;
    call.site.webhooks.send_again(&call.site, hook, &earlier);
    Ok(Answer::json(202, json!({})))
}

fn find_delivery(call: &Call, hook: u64, id: u64) -> Result<std::sync::Arc<Delivery>, ApiError> {
    call.site.webhooks.log.find(hook, id).ok_or_else(ApiError::not_found)
}
