//! Branches, their protection, and rulesets.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, DELETE, GET, Level, Outcome, PATCH, POST, PUT, Reach, number, repository_mut, repository_of,
};
use crate::model::protection::{Protection, RequiredCheck, RequiredChecks, RequiredReviews, Ruleset};

/// Answers what is below `/branches`, `/rules` and `/rulesets`.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (GET, ["branches"]) => list(call, reach),
        (_, ["branches", name @ .., "protection"]) => protection(call, method, reach, &name.join("/")),
        (_, ["branches", name @ .., "protection", "required_status_checks"]) => {
            required_checks(call, method, reach, &name.join("/"))
        }
        (GET, ["branches", name @ .., "protection", "required_status_checks", "contexts"]) => {
            contexts(call, reach, &name.join("/"))
        }
        (GET, ["branches", name @ .., "protection", "required_pull_request_reviews"]) => {
            required_reviews(call, reach, &name.join("/"))
        }
        (GET, ["branches", name @ ..]) => get(call, reach, &name.join("/")),
        (GET, ["rules", "branches", name @ ..]) => rules_of_branch(call, reach, &name.join("/")),
        (GET, ["rulesets"]) => rulesets(call, reach),
        (POST, ["rulesets"]) => create_ruleset(call, reach),
        (GET, ["rulesets", id]) => ruleset(call, reach, number(id)?, 200),
        (PUT, ["rulesets", id]) => update_ruleset(call, reach, number(id)?),
        (DELETE, ["rulesets", id]) => delete_ruleset(call, reach, number(id)?),
        _ => Err(ApiError::not_found()),
    }
}

fn list(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Read, "contents", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let wanted = |name: &str| {
        call.parameter("protected").is_none_or(|wanted| (wanted == "true") != repository.protections(name).is_empty())
    };
    Ok(call.list(repository.branches().filter(|(name, _)| wanted(name)).collect(), |(name, sha)| {
        render.short_branch(repository, name, sha)
    }))
}

fn get(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Read, "contents", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let sha = repository.branch(name).ok_or_else(|| ApiError::new(404, "Branch not found".to_owned()))?;
    Ok(Answer::ok(look.render().branch(repository, name, sha)))
}

fn not_protected() -> ApiError {
    ApiError::new(404, "Branch not protected".to_owned())
}

fn protection(call: &Call, method: &str, reach: &Reach, name: &str) -> Outcome {
    let level = if method == GET { "read" } else { "write" };
    call.allow(reach, Level::Admin, "administration", "repo").map_err(|refusal| match (refusal.status, level) {
        (403, "read") if call.caller.app().is_none() => ApiError::not_found(),
        _ => refusal,
    })?;
    if repository_of(&call.site.look(), reach.id)?.branch(name).is_none() {
        return Err(ApiError::new(404, "Branch not found".to_owned()));
    }
    match method {
        GET => {}
        PUT => {
            let wanted = protection_in(&call.body)?;
            repository_mut(&mut call.site.change(), reach.id)?.protection.insert(name.to_owned(), wanted);
        }
        DELETE => {
            repository_mut(&mut call.site.change(), reach.id)?.protection.remove(name).ok_or_else(not_protected)?;
            return Ok(Answer::no_content());
        }
        _ => return Err(ApiError::not_found()),
    }
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let known = repository.protection.get(name).ok_or_else(not_protected)?;
    Ok(Answer::ok(look.render().protection(repository, name, known)))
}

/// Reads a protection, as `PUT` takes it.
pub fn protection_in(body: &Value) -> Result<Protection, ApiError> {
    let flag = |name: &str| body[name].as_bool().unwrap_or(false);
    let reviews = &body["required_pull_request_reviews"];
    let required_reviews = reviews.is_object().then(|| RequiredReviews {
        count: reviews["required_approving_review_count"].as_u64().unwrap_or(1),
        dismiss_stale: reviews["dismiss_stale_reviews"].as_bool().unwrap_or(false),
        code_owners: reviews["require_code_owner_reviews"].as_bool().unwrap_or(false),
    });
    let checks = &body["required_status_checks"];
    Ok(Protection {
        required_checks: if checks.is_object() { Some(checks_in(checks)) } else { None },
        required_reviews,
        enforce_admins: flag("enforce_admins"),
        linear_history: flag("required_linear_history"),
        allow_force_pushes: flag("allow_force_pushes"),
        allow_deletions: flag("allow_deletions"),
    })
}

fn checks_in(value: &Value) -> RequiredChecks {
    let listed = |key: &str| value[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut checks: Vec<RequiredCheck> = Vec::new();
    for check in listed("checks") {
        if let Some(context) = check["context"].as_str() {
            checks.push(RequiredCheck { context: context.to_owned(), app: check["app_id"].as_u64() });
        }
    }
    for context in listed("contexts").iter().filter_map(Value::as_str) {
        if !checks.iter().any(|check| check.context == context) {
            checks.push(RequiredCheck { context: context.to_owned(), app: None });
        }
    }
    RequiredChecks { strict: value["strict"].as_bool().unwrap_or(false), checks }
}

fn required_checks(call: &Call, method: &str, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    if method == PATCH {
        let mut change = call.site.change();
        let known = repository_mut(&mut change, reach.id)?.protection.get_mut(name).ok_or_else(not_protected)?;
        known.required_checks = Some(checks_in(&call.body));
    }
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let known = repository.protection.get(name).ok_or_else(not_protected)?;
    let shown = look.render().required_status_checks(repository, name, known);
    shown.map(Answer::ok).ok_or_else(|| ApiError::new(404, "Required status checks not enabled".to_owned()))
}

fn contexts(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    let look = call.site.look();
    let known = repository_of(&look, reach.id)?.protection.get(name).ok_or_else(not_protected)?;
    let checks = known
        .required_checks
        .as_ref()
        .ok_or_else(|| ApiError::new(404, "Required status checks not enabled".to_owned()))?;
    Ok(Answer::ok(checks.checks.iter().map(|check| json!(check.context)).collect()))
}

fn required_reviews(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let known = repository.protection.get(name).ok_or_else(not_protected)?;
    let shown = look.render().protection(repository, name, known)["required_pull_request_reviews"].take();
    if shown.is_null() {
        Err(ApiError::new(404, "Pull request reviews not enabled".to_owned()))
    } else {
        Ok(Answer::ok(shown))
    }
}

fn rules_of_branch(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Read, "metadata", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let full_name = look.full_name(repository);
    let governing = repository.rulesets.iter().filter(|ruleset| ruleset.governs(name, &repository.default_branch));
    Ok(call.list(governing.flat_map(|ruleset| ruleset.shown_rules(&full_name)).collect(), |rule| rule))
}

fn rulesets(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Read, "metadata", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.list(repository.rulesets.iter().collect(), |ruleset| render.ruleset(repository, ruleset, false)))
}

fn ruleset(call: &Call, reach: &Reach, id: u64, status: u16) -> Outcome {
    call.allow(reach, Level::Read, "metadata", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let known = repository.rulesets.iter().find(|ruleset| ruleset.id == id).ok_or_else(ApiError::not_found)?;
    Ok(Answer::json(status, look.render().ruleset(repository, known, true)))
}

fn ruleset_in(call: &Call, id: u64) -> Result<Ruleset, ApiError> {
    let enforcement = call.required("Ruleset", "enforcement")?;
    if !matches!(enforcement, "active" | "disabled" | "evaluate") {
        return Err(ApiError::invalid("Ruleset", "enforcement", "invalid", None));
    }
    let conditions = if call.body["conditions"].is_null() {
        json!({"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}})
    } else {
        call.body["conditions"].clone()
    };
    Ok(Ruleset {
        id,
        name: call.required("Ruleset", "name")?.to_owned(),
        enforcement: enforcement.to_owned(),
        conditions,
        rules: call.body["rules"].as_array().cloned().unwrap_or_default(),
    })
}

fn create_ruleset(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    let id = {
        let mut change = call.site.change();
        let id = change.next_id();
        let wanted = ruleset_in(call, id)?;
        repository_mut(&mut change, reach.id)?.rulesets.push(wanted);
        id
    };
    ruleset(call, reach, id, 201)
}

fn update_ruleset(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    {
        let mut change = call.site.change();
        let wanted = ruleset_in(call, id)?;
        let known = repository_mut(&mut change, reach.id)?.rulesets.iter_mut().find(|ruleset| ruleset.id == id);
        *known.ok_or_else(ApiError::not_found)? = wanted;
    }
    ruleset(call, reach, id, 200)
}

fn delete_ruleset(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    let mut change = call.site.change();
    let rulesets = &mut repository_mut(&mut change, reach.id)?.rulesets;
    let before = rulesets.len();
    rulesets.retain(|ruleset| ruleset.id != id);
    if rulesets.len() == before { Err(ApiError::not_found()) } else { Ok(Answer::no_content()) }
}
