//! Commit statuses.

use serde_json::json;

use super::{Answer, ApiError, Call, GET, Level, Outcome, POST, Reach, repository_mut, repository_of};
use crate::model::{
    At,
    commit_status::{CommitStatus, STATUSES_MAX, combined, latest},
};

/// How long a description may be.
const DESCRIPTION_LENGTH_MAX: usize = 140;

/// Answers about statuses.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (POST, ["statuses", sha]) => create(call, reach, sha),
        (GET, ["statuses", name @ ..]) | (GET, ["commits", name @ .., "statuses"]) => {
            list(call, reach, &name.join("/"))
        }
        (GET, ["commits", name @ .., "status"]) => combined_status(call, reach, &name.join("/")),
        _ => Err(ApiError::not_found()),
    }
}

fn create(call: &Call, reach: &Reach, sha: &str) -> Outcome {
    call.allow(reach, Level::Write, "statuses", "repo:status")?;
    let creator = call.actor()?;
    let state = call.required("Status", "state")?;
    if !matches!(state, "error" | "failure" | "pending" | "success") {
        return Err(ApiError::custom("Status", "State is not included in the list"));
    }
    if call.text("description").is_some_and(|text| text.chars().count() > DESCRIPTION_LENGTH_MAX) {
        return Err(ApiError::custom("Status", "description is too long (maximum is 140 characters)"));
    }
    if call
        .text("target_url")
        .is_some_and(|url| !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://"))
    {
        return Err(ApiError::custom("Status", "Target URL must use http(s) scheme"));
    }
    let commit = call
        .site
        .git
        .commit(reach.id, sha)
        .map_err(|_| ApiError::new(422, format!("No commit found for SHA: {sha}")))?;
    let sha = commit.oid.clone();
    let context = call.text("context").filter(|context| !context.is_empty()).unwrap_or("default").to_owned();
    let now = At::now();
    let lag = u64::try_from(call.site.draw_lag().as_millis()).unwrap_or(0);
    let mut change = call.site.change();
    let id = change.next_id();
    let status = CommitStatus {
        id,
        state: state.to_owned(),
        context: context.clone(),
        description: call.text("description").map(str::to_owned),
        target_url: call.text("target_url").map(str::to_owned),
        creator,
        created_at: now,
        visible_at: now.plus(lag),
    };
    let statuses = repository_mut(&mut change, reach.id)?.statuses.entry(sha.clone()).or_default();
    if statuses.iter().filter(|known| known.context.eq_ignore_ascii_case(&context)).count() >= STATUSES_MAX {
        return Err(ApiError::custom("Status", "This SHA and context has reached the maximum number of statuses."));
    }
    statuses.push(status.clone());
    change.announce(reach.id, "status", None, creator, |render| match render.model.repositories.get(&reach.id) {
        Some(repository) => render.status_event(repository, &sha, &status),
        None => serde_json::Map::new(),
    });
    let body = change.render().status(repository_of(&change, reach.id)?, &sha, &status);
    Ok(Answer::created(body))
}

fn list(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Read, "statuses", "repo:status")?;
    let sha = call.resolve(reach.id, name)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let now = At::now();
    let visible = repository.statuses.get(&sha).into_iter().flatten().filter(|status| status.visible_at <= now);
    let mut newest_first: Vec<&CommitStatus> = visible.collect();
    newest_first.reverse();
    Ok(call.list(newest_first, |status| render.status(repository, &sha, status)))
}

fn combined_status(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Read, "statuses", "repo:status")?;
    let sha = call.resolve(reach.id, name)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let statuses = repository.statuses.get(&sha).map(Vec::as_slice).unwrap_or_default();
    let newest = latest(statuses, At::now());
    let state = combined(&newest);
    let mut answer = call.counted_list("statuses", newest, |status| render.simple_status(repository, &sha, status));
    if let super::Body::Json(body) = &mut answer.body {
        crate::render::extend(
            body,
            json!({
                "state": state,
                "sha": sha,
                "repository": render.minimal_repository(repository),
                "commit_url": render.api_of(repository, &format!("/commits/{sha}")),
                "url": render.api_of(repository, &format!("/commits/{sha}/status")),
            }),
        );
    }
    Ok(answer)
}
