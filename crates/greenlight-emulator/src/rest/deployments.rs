//! Deployments, with GitHub's dialogue before one is made.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, DELETE, GET, Level, Outcome, POST, Reach, number,
    pulls::{MergeOutcome, merge_into},
    repository_mut, repository_of,
};
use crate::model::{
    At, Oid, Repository,
    commit_status::latest,
    deployment::{Deployment, DeploymentStatus, Environment},
    requirement::ContextState,
};

/// How long a description may be.
const DESCRIPTION_LENGTH_MAX: usize = 140;
const STATES: [&str; 7] = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];

/// Answers what is below `/deployments`.
pub async fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    let level = if method == GET { Level::Read } else { Level::Write };
    call.allow(reach, level, "deployments", "repo_deployment")?;
    match (method, rest) {
        (GET, ["deployments"]) => list(call, reach),
        (POST, ["deployments"]) => create(call, reach).await,
        (GET, ["deployments", id]) => get(call, reach, number(id)?),
        (DELETE, ["deployments", id]) => delete(call, reach, number(id)?),
        (GET, ["deployments", id, "statuses"]) => statuses(call, reach, number(id)?),
        (POST, ["deployments", id, "statuses"]) => create_status(call, reach, number(id)?),
        (GET, ["deployments", id, "statuses", status_id]) => status(call, reach, number(id)?, number(status_id)?),
        _ => Err(ApiError::not_found()),
    }
}

fn deployment_of(repository: &Repository, id: u64) -> Result<&Deployment, ApiError> {
    repository.deployments.get(&id).ok_or_else(ApiError::not_found)
}

fn list(call: &Call, reach: &Reach) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let matches = |name: &str, value: &str| call.parameter(name).is_none_or(|wanted| wanted == value);
    let wanted = |deployment: &&Deployment| {
        matches("sha", &deployment.sha)
            && matches("ref", &deployment.reference)
            && matches("task", &deployment.task)
            && matches("environment", &deployment.environment)
    };
    let render = look.render();
    Ok(call.list(repository.deployments.values().rev().filter(wanted).collect(), |deployment| {
        render.deployment(repository, deployment)
    }))
}

fn get(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    Ok(Answer::ok(look.render().deployment(repository, deployment_of(repository, id)?)))
}

async fn create(call: &Call, reach: &Reach) -> Outcome {
    let creator = call.actor()?;
    let reference = call.required("Deployment", "ref")?.to_owned();
    check_description(call)?;
    let sha =
        call.resolve(reach.id, &reference).map_err(|_| ApiError::new(422, format!("No ref found for: {reference}")))?;
    if call.flag("auto_merge").unwrap_or(true)
        && let Some(answer) = auto_merge(call, reach, &reference, &sha, creator).await?
    {
        return Ok(answer);
    }
    let mut change = call.site.change();
    if let Some(refusal) = refusal_of_contexts(call, repository_of(&change, reach.id)?, &reference, &sha) {
        return Err(refusal);
    }
    let environment = call.text("environment").unwrap_or("production").to_owned();
    let (id, environment_id, now) = (change.next_id(), change.next_id(), At::now());
    let deployment = Deployment {
        id,
        sha,
        reference,
        task: call.text("task").unwrap_or("deploy").to_owned(),
        payload: if call.body["payload"].is_null() { json!({}) } else { call.body["payload"].clone() },
        production: call.flag("production_environment").unwrap_or(environment == "production"),
        original_environment: environment.clone(),
        environment: environment.clone(),
        description: call.text("description").map(str::to_owned),
        creator,
        app: call.caller.app(),
        transient: call.flag("transient_environment").unwrap_or(false),
        created_at: now,
        updated_at: now,
        statuses: Vec::new(),
    };
    let repository = repository_mut(&mut change, reach.id)?;
    repository.environments.entry(environment.clone()).or_insert(Environment {
        id: environment_id,
        name: environment,
        created_at: now,
        updated_at: now,
        wait_timer: 0,
    });
    repository.deployments.insert(id, deployment);
    change.announce(reach.id, "deployment", Some("created"), creator, |render| {
        let known = render.model.repositories.get(&reach.id);
        known.and_then(|known| Some(render.deployment_event(known, known.deployments.get(&id)?))).unwrap_or_default()
    });
    let repository = repository_of(&change, reach.id)?;
    Ok(Answer::created(change.render().deployment(repository, deployment_of(repository, id)?)))
}

fn check_description(call: &Call) -> Result<(), ApiError> {
    let too_long = call.text("description").is_some_and(|text| text.chars().count() > DESCRIPTION_LENGTH_MAX);
    if too_long {
        Err(ApiError::custom("Deployment", "description is too long (maximum is 140 characters)"))
    } else {
        Ok(())
    }
}

/// Merges the default branch into the one that is to be deployed, where it is behind; then nothing is deployed yet.
async fn auto_merge(
    call: &Call,
    reach: &Reach,
    reference: &str,
    sha: &Oid,
    user: u64,
) -> Result<Option<Answer>, ApiError> {
    let branch = reference.strip_prefix("refs/heads/").unwrap_or(reference);
    let (default_branch, tip) = {
        let look = call.site.look();
        let repository = repository_of(&look, reach.id)?;
        if repository.branch(branch).is_none() || branch == repository.default_branch {
            return Ok(None);
        }
        let Some(tip) = repository.branch(&repository.default_branch).cloned() else { return Ok(None) };
        (repository.default_branch.clone(), tip)
    };
    if call.site.git.is_ancestor(reach.id, &tip, sha)? {
        return Ok(None);
    }
    let message = format!("Merge branch '{default_branch}' into {branch}");
    match merge_into(call, reach.id, branch, &tip, &message, user).await? {
        MergeOutcome::Done(_) => Ok(Some(Answer::json(
            202,
            json!({"message": format!("Auto-merged {default_branch} into {branch} on deployment.")}),
        ))),
        MergeOutcome::Conflict => Err(ApiError::new(409, format!("Conflict merging {default_branch} into {branch}"))),
        MergeOutcome::NothingNew | MergeOutcome::NoBase => Ok(None),
    }
}

/// Returns the 409 of contexts that are not green. One that nobody has reported is not in its list, as on GitHub.
fn refusal_of_contexts(call: &Call, repository: &Repository, reference: &str, sha: &str) -> Option<ApiError> {
    let now = At::now();
    let required: Option<Vec<String>> = call.body["required_contexts"]
        .as_array()
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let statuses = repository.statuses.get(sha).map(Vec::as_slice).unwrap_or_default();
    let mut known: Vec<(String, String)> =
        latest(statuses, now).into_iter().map(|status| (status.context.clone(), status.state.clone())).collect();
    for run in repository.latest_check_runs(sha) {
        let state = match run.conclusion.as_deref() {
            None => "pending",
            Some("success" | "neutral" | "skipped") => "success",
            Some(_) => "failure",
        };
        known.push((run.name.clone(), state.to_owned()));
    }
    let is_asked = |context: &str| {
        required.as_ref().is_none_or(|required| required.iter().any(|wanted| wanted.eq_ignore_ascii_case(context)))
    };
    known.retain(|(context, _)| is_asked(context));
    let absent =
        required.iter().flatten().any(|context| repository.context_state(sha, context, now) == ContextState::Expected);
    if !absent && known.iter().all(|(_, state)| state == "success") {
        return None;
    }
    let contexts: Vec<Value> =
        known.into_iter().map(|(context, state)| json!({"context": context, "state": state})).collect();
    let errors =
        json!([{"contexts": contexts, "resource": "Deployment", "field": "required_contexts", "code": "invalid"}]);
    Some(ApiError {
        errors: Some(Box::new(errors)),
        ..ApiError::new(409, format!("Conflict: Commit status checks failed for {reference}."))
    })
}

fn delete(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let mut change = call.site.change();
    let repository = repository_mut(&mut change, reach.id)?;
    let deployment = deployment_of(repository, id)?;
    let alone = repository.deployments.len() == 1;
    if !alone && deployment.state() != "inactive" {
        return Err(ApiError::new(
            422,
            "We cannot delete an active deployment unless it is the only deployment in a given environment.".to_owned(),
        ));
    }
    repository.deployments.remove(&id);
    Ok(Answer::no_content())
}

fn statuses(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let deployment = deployment_of(repository, id)?;
    let render = look.render();
    Ok(call.list(deployment.statuses.iter().rev().collect(), |status| {
        render.deployment_status(repository, deployment, status)
    }))
}

fn status(call: &Call, reach: &Reach, id: u64, status: u64) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let deployment = deployment_of(repository, id)?;
    let status = deployment.statuses.iter().find(|known| known.id == status).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().deployment_status(repository, deployment, status)))
}

fn create_status(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let creator = call.actor()?;
    let state = call.required("DeploymentStatus", "state")?;
    if !STATES.contains(&state) {
        return Err(ApiError::invalid(
            "DeploymentStatus",
            "state",
            "invalid",
            Some("State is not included in the list"),
        ));
    }
    check_description(call)?;
    let mut change = call.site.change();
    let (status_id, now) = (change.next_id(), At::now());
    let deployment = repository_mut(&mut change, reach.id)?.deployments.get_mut(&id).ok_or_else(ApiError::not_found)?;
    if let Some(environment) = call.text("environment").filter(|environment| !environment.is_empty()) {
        deployment.environment = environment.to_owned();
    }
    let text = |name: &str| call.text(name).unwrap_or_default().to_owned();
    let status = DeploymentStatus {
        id: status_id,
        state: state.to_owned(),
        description: text("description"),
        environment: deployment.environment.clone(),
        environment_url: text("environment_url"),
        log_url: call.text("log_url").or_else(|| call.text("target_url")).unwrap_or_default().to_owned(),
        creator,
        app: call.caller.app(),
        created_at: now,
    };
    deployment.statuses.push(status.clone());
    deployment.updated_at = now;
    if state == "success" && call.flag("auto_inactive").unwrap_or(true) {
        retire_others(&mut change, reach.id, id, creator)?;
    }
    if state != "inactive" {
        change.announce(reach.id, "deployment_status", Some("created"), creator, |render| {
            let known = render.model.repositories.get(&reach.id);
            known
                .and_then(|known| Some(render.deployment_status_event(known, known.deployments.get(&id)?, &status)))
                .unwrap_or_default()
        });
    }
    let repository = repository_of(&change, reach.id)?;
    Ok(Answer::created(change.render().deployment_status(repository, deployment_of(repository, id)?, &status)))
}

/// Makes earlier successful, lasting deployments to the same environment inactive. No webhook tells of that.
fn retire_others(change: &mut crate::site::Change<'_>, repository: u64, id: u64, creator: u64) -> Result<(), ApiError> {
    let known = repository_of(change, repository)?;
    let environment = deployment_of(known, id)?.environment.clone();
    let is_earlier = |other: &&Deployment| {
        other.id < id && other.environment == environment && !other.transient && other.state() == "success"
    };
    let earlier: Vec<u64> = known.deployments.values().filter(is_earlier).map(|other| other.id).collect();
    for other in earlier {
        let status_id = change.next_id();
        if let Some(other) = repository_mut(change, repository)?.deployments.get_mut(&other) {
            let mut status = other.statuses.last().cloned().ok_or_else(ApiError::not_found)?;
            status.id = status_id;
            status.state = "inactive".to_owned();
            status.creator = creator;
            status.created_at = At::now();
            other.statuses.push(status);
        }
    }
    Ok(())
}
