//! Check suites and check runs. Only Apps write them.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, Caller, GET, Level, Outcome, PATCH, POST, Reach, number, repository_mut, repository_of,
};
use crate::{
    model::{
        At, Repository,
        check::{ACTIONS_MAX, ANNOTATIONS_PER_REQUEST_MAX, CheckRun, OUTPUT_TEXT_MAX, suite_state},
    },
    push::{suite_event, suite_for},
    render::event::fields,
    site::Change,
};

const CONCLUSIONS: [&str; 8] =
    ["success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required", "stale"];

/// Answers about checks.
pub fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (POST, ["check-runs"]) => create(call, reach),
        (GET, ["check-runs", id]) => get(call, reach, number(id)?),
        (PATCH, ["check-runs", id]) => update(call, reach, number(id)?),
        (GET, ["check-runs", id, "annotations"]) => annotations(call, reach, number(id)?),
        (POST, ["check-runs", id, "rerequest"]) => rerequest_run(call, reach, number(id)?),
        (POST, ["check-runs", id, "request-action"]) => request_action(call, reach, number(id)?),
        (POST, ["check-suites"]) => create_suite(call, reach),
        (PATCH, ["check-suites", "preferences"]) => Err(ApiError::not_found()),
        (GET, ["check-suites", id]) => get_suite(call, reach, number(id)?),
        (GET, ["check-suites", id, "check-runs"]) => runs_of_suite(call, reach, number(id)?),
        (POST, ["check-suites", id, "rerequest"]) => rerequest_suite(call, reach, number(id)?),
        (GET, ["commits", name @ .., "check-runs"]) => runs_of_commit(call, reach, &name.join("/")),
        (GET, ["commits", name @ .., "check-suites"]) => suites_of_commit(call, reach, &name.join("/")),
        _ => Err(ApiError::not_found()),
    }
}

/// Returns the App that writes, or refuses whoever is not one.
fn writer(call: &Call, reach: &Reach) -> Result<u64, ApiError> {
    match &call.caller {
        Caller::Installation { app, .. } => {
            call.allow(reach, Level::Write, "checks", "repo")?;
            Ok(*app)
        }
        Caller::Anonymous => Err(ApiError::new(401, "Requires authentication".to_owned())),
        _ => Err(ApiError::forbidden("You must authenticate via a GitHub App.")),
    }
}

fn create(call: &Call, reach: &Reach) -> Outcome {
    let app = writer(call, reach)?;
    let sender = call.actor()?;
    let name = call.required("CheckRun", "name")?.to_owned();
    let sha = call.required("CheckRun", "head_sha")?;
    let sha = call
        .site
        .git
        .commit(reach.id, sha)
        .map_err(|_| ApiError::new(422, "No commit found for SHA: ".to_owned() + sha))?
        .oid
        .clone();
    let mut change = call.site.change();
    let branch =
        repository_of(&change, reach.id)?.branches().find(|(_, tip)| **tip == sha).map(|(name, _)| name.to_owned());
    let suite = suite_for(&mut change, reach.id, app, &sha, branch, None);
    let id = change.next_id();
    let mut run = CheckRun {
        id,
        suite,
        app,
        name,
        head_sha: sha,
        details_url: None,
        external_id: String::new(),
        status: "queued".to_owned(),
        conclusion: None,
        started_at: Some(At::now().iso()),
        completed_at: None,
        title: None,
        summary: None,
        text: None,
        annotations: Vec::new(),
        actions: Vec::new(),
    };
    apply(&mut run, &call.body)?;
    let completed = run.conclusion.is_some();
    repository_mut(&mut change, reach.id)?.check_runs.insert(id, run);
    announce_run(&mut change, reach.id, id, "created", sender, json!({}));
    if completed {
        announce_completion(&mut change, reach.id, id, sender);
    }
    let repository = repository_of(&change, reach.id)?;
    Ok(Answer::created(change.render().check_run(repository, run_of(repository, id)?)))
}

fn update(call: &Call, reach: &Reach, id: u64) -> Outcome {
    let app = writer(call, reach)?;
    let sender = call.actor()?;
    let mut change = call.site.change();
    let run = repository_mut(&mut change, reach.id)?.check_runs.get_mut(&id).ok_or_else(ApiError::not_found)?;
    if run.app != app {
        return Err(ApiError::forbidden("Resource not accessible by integration"));
    }
    let was_completed = run.conclusion.is_some();
    let mut changed = run.clone();
    apply(&mut changed, &call.body)?;
    let completes = changed.conclusion.is_some() && !was_completed;
    *run = changed;
    if completes {
        announce_completion(&mut change, reach.id, id, sender);
    }
    let repository = repository_of(&change, reach.id)?;
    Ok(Answer::ok(change.render().check_run(repository, run_of(repository, id)?)))
}

/// Takes what a request says about a run over into it.
fn apply(run: &mut CheckRun, body: &Value) -> Result<(), ApiError> {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let invalid = |message: &str| ApiError::new(422, format!("Invalid request.\n\n{message}"));
    run.name = text("name").unwrap_or_else(|| run.name.clone());
    run.details_url = text("details_url").or(run.details_url.take());
    run.external_id = text("external_id").unwrap_or_else(|| run.external_id.clone());
    run.started_at = text("started_at").or(run.started_at.take());
    if let Some(status) = text("status") {
        if !matches!(status.as_str(), "queued" | "in_progress" | "completed") {
            return Err(invalid(&format!(
                "\"{status}\" is not a member of [\"queued\", \"in_progress\", \"completed\"]."
            )));
        }
        if status == "completed" && body["conclusion"].as_str().is_none() && run.conclusion.is_none() {
            return Err(invalid("\"conclusion\" wasn't supplied."));
        }
        if status != "completed" {
            run.conclusion = None;
            run.completed_at = None;
        }
        run.status = status;
    }
    if let Some(conclusion) = text("conclusion") {
        if !CONCLUSIONS.contains(&conclusion.as_str()) {
            return Err(invalid(&format!("\"{conclusion}\" is not a known conclusion.")));
        }
        run.status = "completed".to_owned();
        run.conclusion = Some(conclusion);
        run.completed_at = text("completed_at").or_else(|| Some(At::now().iso()));
    }
    if let Some(actions) = body["actions"].as_array() {
        if actions.len() > ACTIONS_MAX {
            return Err(invalid("No more than 3 items are allowed in `actions`."));
        }
        let fits = |action: &Value, field: &str, length: usize| {
            action[field].as_str().is_some_and(|text| text.chars().count() <= length)
        };
        if !actions.iter().all(|action| {
            fits(action, "label", 20) && fits(action, "description", 40) && fits(action, "identifier", 20)
        }) {
            return Err(invalid("An action's label, description or identifier is missing or too long."));
        }
        run.actions.clone_from(actions);
    }
    apply_output(run, &body["output"])
}

fn apply_output(run: &mut CheckRun, output: &Value) -> Result<(), ApiError> {
    if output.is_null() {
        return Ok(());
    }
    let invalid = |message: String| ApiError::new(422, format!("Invalid request.\n\n{message}"));
    for field in ["summary", "text"] {
        if output[field].as_str().is_some_and(|text| text.chars().count() > OUTPUT_TEXT_MAX) {
            return Err(invalid(format!(
                "Only 65535 characters are allowed; {} were supplied for {field}.",
                output[field].as_str().map_or(0, |text| text.chars().count())
            )));
        }
    }
    let text = |name: &str| output[name].as_str().map(str::to_owned);
    run.title = text("title").or(run.title.take());
    run.summary = text("summary").or(run.summary.take());
    run.text = text("text").or(run.text.take());
    let Some(annotations) = output["annotations"].as_array() else { return Ok(()) };
    if annotations.len() > ANNOTATIONS_PER_REQUEST_MAX {
        return Err(invalid(format!("No more than 50 items are allowed; {} were supplied.", annotations.len())));
    }
    for annotation in annotations {
        let placed =
            annotation["path"].is_string() && annotation["start_line"].is_u64() && annotation["end_line"].is_u64();
        let level = matches!(annotation["annotation_level"].as_str(), Some("notice" | "warning" | "failure"));
        if !placed || !level || !annotation["message"].is_string() {
            return Err(invalid(
                "An annotation needs path, start_line, end_line, annotation_level and message.".to_owned(),
            ));
        }
        run.annotations.push(annotation.clone());
    }
    Ok(())
}

fn run_of(repository: &Repository, id: u64) -> Result<&CheckRun, ApiError> {
    repository.check_runs.get(&id).ok_or_else(ApiError::not_found)
}

fn announce_run(change: &mut Change<'_>, repository: u64, id: u64, action: &str, sender: u64, more: Value) {
    let build = |render: &crate::render::Render<'_>| run_event(render, repository, id, more);
    change.announce(repository, "check_run", Some(action), sender, build);
}

fn run_event(
    render: &crate::render::Render<'_>,
    repository: u64,
    id: u64,
    more: Value,
) -> serde_json::Map<String, Value> {
    let shown = render
        .model
        .repositories
        .get(&repository)
        .and_then(|known| Some(render.event_check_run(known, known.check_runs.get(&id)?)));
    let mut event = fields(json!({"check_run": shown}));
    event.extend(fields(more));
    event
}

fn announce_completion(change: &mut Change<'_>, repository: u64, id: u64, sender: u64) {
    announce_run(change, repository, id, "completed", sender, json!({}));
    let Some(known) = change.repositories.get(&repository) else { return };
    let Some(suite) = known.check_runs.get(&id).and_then(|run| known.check_suites.get(&run.suite)) else { return };
    let (status, _) = suite_state(&change.render().runs_of(known, suite));
    let suite = suite.id;
    if status == "completed" {
        change.announce(repository, "check_suite", Some("completed"), sender, |render| {
            suite_event(render, repository, suite)
        });
    }
}

fn get(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Read, "checks", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    Ok(Answer::ok(look.render().check_run(repository, run_of(repository, id)?)))
}

fn annotations(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Read, "checks", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let run = run_of(repository, id)?;
    let render = look.render();
    Ok(call.list(run.annotations.iter().collect(), |annotation| render.annotation(repository, run, annotation)))
}

fn rerequest_run(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Write, "checks", "repo")?;
    ask_app(call, reach, id, "rerequested", json!({}))
}

/// Presses a button of a check run. GitHub has this only on its pages; here it is a request.
fn request_action(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Write, "checks", "repo")?;
    let identifier = call.required("CheckRun", "identifier")?;
    ask_app(call, reach, id, "requested_action", json!({"requested_action": {"identifier": identifier}}))
}

fn ask_app(call: &Call, reach: &Reach, id: u64, action: &str, more: Value) -> Outcome {
    let sender = call.actor()?;
    let mut change = call.site.change();
    let app = run_of(repository_of(&change, reach.id)?, id)?.app;
    change.announce_to_app(reach.id, app, "check_run", action, sender, |render| run_event(render, reach.id, id, more));
    Ok(Answer::json(201, json!({})))
}

fn create_suite(call: &Call, reach: &Reach) -> Outcome {
    let app = writer(call, reach)?;
    let sha = call.resolve(reach.id, call.required("CheckSuite", "head_sha")?)?;
    let mut change = call.site.change();
    let suite = suite_for(&mut change, reach.id, app, &sha, None, None);
    let repository = repository_of(&change, reach.id)?;
    let known = repository.check_suites.get(&suite).ok_or_else(ApiError::not_found)?;
    Ok(Answer::created(change.render().check_suite(repository, known)))
}

fn get_suite(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Read, "checks", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let suite = repository.check_suites.get(&id).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().check_suite(repository, suite)))
}

fn rerequest_suite(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Write, "checks", "repo")?;
    let sender = call.actor()?;
    let mut change = call.site.change();
    let app = repository_of(&change, reach.id)?.check_suites.get(&id).ok_or_else(ApiError::not_found)?.app;
    change.announce_to_app(reach.id, app, "check_suite", "rerequested", sender, |render| {
        suite_event(render, reach.id, id)
    });
    Ok(Answer::json(201, json!({})))
}

fn runs_of_suite(call: &Call, reach: &Reach, id: u64) -> Outcome {
    call.allow(reach, Level::Read, "checks", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let suite = repository.check_suites.get(&id).ok_or_else(ApiError::not_found)?;
    let runs = wanted_runs(call, repository, &suite.head_sha).into_iter().filter(|run| run.suite == id).collect();
    let render = look.render();
    Ok(call.counted_list("check_runs", runs, |run| render.check_run(repository, run)))
}

fn runs_of_commit(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Read, "checks", "repo")?;
    let sha = call.resolve(reach.id, name)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.counted_list("check_runs", wanted_runs(call, repository, &sha), |run| render.check_run(repository, run)))
}

fn wanted_runs<'r>(call: &Call, repository: &'r Repository, sha: &str) -> Vec<&'r CheckRun> {
    let mut runs = if call.parameter("filter") == Some("all") {
        let mut all: Vec<&CheckRun> = repository.check_runs.values().filter(|run| run.head_sha == sha).collect();
        all.reverse();
        all
    } else {
        repository.latest_check_runs(sha)
    };
    runs.retain(|run| {
        call.parameter("check_name").is_none_or(|name| run.name == name)
            && call.parameter("status").is_none_or(|status| run.status == status)
            && call.parameter("app_id").is_none_or(|app| run.app.to_string() == app)
    });
    runs
}

fn suites_of_commit(call: &Call, reach: &Reach, name: &str) -> Outcome {
    call.allow(reach, Level::Read, "checks", "repo")?;
    let sha = call.resolve(reach.id, name)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let of_app = |app: u64| call.parameter("app_id").is_none_or(|wanted| app.to_string() == wanted);
    let suites = repository.check_suites.values().filter(|suite| suite.head_sha == sha && of_app(suite.app)).collect();
    Ok(call.counted_list("check_suites", suites, |suite| render.check_suite(repository, suite)))
}
