//! What a run's expressions see outside a step.

use std::sync::Arc;

use greenlight_workflow::{Context as _, Contexts, Value, Workflow, dispatch_inputs, short_ref};

use crate::repository::{MadeOf, Remembered, Repository};
use crate::run::{Run, Suite, Trust};

/// Returns the contexts that a run's expressions see outside a step; `needs` for one job, where it is asked for.
pub(crate) fn contexts(
    state: &Repository,
    suite: &Suite,
    run: &Run,
    workflow: &Workflow,
    needs: Option<Value>,
) -> Contexts {
    let inputs = own_inputs(suite, workflow).unwrap_or_default();
    let remembered = state.github.get(&run.number).filter(|known| known.made_of == made_of(state, suite, run));
    let github = remembered.map_or_else(|| github(state, suite, run, &inputs), |known| known.github.clone());
    let vars = state.settings.vars.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
    Contexts::new()
        .with("github", github)
        .with("needs", needs.unwrap_or_else(|| Value::Object(Arc::default())))
        .with("inputs", inputs)
        .with("vars", Value::object(vars))
}

/// Returns the inputs that a run was started with, each of its type, with the defaults of those that were not given.
pub(super) fn own_inputs(suite: &Suite, workflow: &Workflow) -> Result<Value, String> {
    let name = &*suite.key.event;
    if !matches!(name, "workflow_dispatch" | "workflow_call") {
        return Ok(Value::Object(Arc::default()));
    }
    let event = Value::from_json(&suite.event.payload).unwrap_or(Value::Null);
    let given = event.get("inputs").as_object().map_or_else(Vec::new, |given| {
        given.iter().map(|(name, value)| (name.to_owned(), value.coerce_string().to_string())).collect()
    });
    dispatch_inputs(workflow.on.event(name), &given, &Contexts::new()).map_err(|problem| problem.message)
}

/// Returns the event with all its inputs as text, defaults included, as GitHub sends it.
fn with_inputs(event: &Value, inputs: &Value) -> Value {
    let entries = event.as_object().into_iter().flat_map(|event| event.iter());
    let entries = entries.filter(|(key, _)| *key != "inputs").map(|(key, value)| (Arc::from(key), value.clone()));
    let texts = inputs.as_object().into_iter().flat_map(|inputs| inputs.iter());
    let texts = texts.map(|(key, value)| (key, Value::String(value.coerce_string())));
    let inputs: (Arc<str>, Value) = ("inputs".into(), Value::object(texts));
    Value::object(entries.chain([inputs]).collect::<Vec<_>>())
}

/// Keeps the `github` context of a run at hand, as long as its jobs ask for it.
pub(super) fn remember(state: &mut Repository, suite: &Suite, run: &Run, contexts: &Contexts) {
    let remembered = Remembered { made_of: made_of(state, suite, run), github: contexts.named("github") };
    state.github.insert(run.number, remembered);
}

fn made_of(state: &Repository, suite: &Suite, run: &Run) -> MadeOf {
    let pull = suite.pull().and_then(|number| state.pulls.get(&number));
    MadeOf {
        attempt: run.attempt,
        sha: run.sha,
        full_name: state.meta().repository.full_name.clone(),
        protected: is_protected(state, suite),
        refs: pull.map(|pull| (pull.snapshot.head_ref.clone(), pull.snapshot.base_ref.clone())),
    }
}

/// Do rules ask for anything where the run's branch is pushed to, as far as they were read?
fn is_protected(state: &Repository, suite: &Suite) -> bool {
    let rules = state.branches.get(&suite.git_ref).and_then(|branch| branch.rules.as_ref());
    rules.is_some_and(|rules| !rules.required.is_empty() || rules.approvals > 0)
}

/// Returns the `github` context, as far as it does not depend on the runner.
fn github(state: &Repository, suite: &Suite, run: &Run, inputs: &Value) -> Value {
    let event = Value::from_json(&suite.event.payload).unwrap_or(Value::Null);
    let event = if &*suite.key.event == "workflow_dispatch" { with_inputs(&event, inputs) } else { event };
    let repository = &state.meta().repository;
    let owner = repository.full_name.split('/').next().unwrap_or_default();
    let pull = suite.pull().and_then(|number| state.pulls.get(&number));
    let text = |text: &str| Value::string(text);
    // Most of it is at hand, and shared.
    let shared = |text: &Arc<str>| Value::String(text.clone());
    let nothing: Arc<str> = Arc::default();
    let sha = text(&run.sha.to_string());
    let (head_ref, base_ref) = match pull {
        Some(pull) => (pull.snapshot.head_ref.to_string(), pull.snapshot.base_ref.short().to_owned()),
        None => {
            let of = |side: &str| event.get("pull_request").get(side).get("ref").coerce_string().to_string();
            (of("head"), of("base"))
        }
    };
    let owner_id = text(&event.get("repository").get("owner").get("id").coerce_string());
    let ref_name = suite.git_ref.as_str();
    let (kind, short) = short_ref(ref_name);
    let addresses = &state.settings.addresses;
    let host = addresses.server.split_once("://").map_or(&*addresses.server, |(_, host)| host);
    Value::record([
        ("event_name", shared(&suite.key.event)),
        ("event", event),
        ("action", shared(&nothing)),
        ("action_ref", shared(&nothing)),
        ("action_repository", shared(&nothing)),
        ("ref", text(ref_name)),
        ("ref_name", text(short)),
        ("ref_type", text(kind)),
        ("ref_protected", Value::Bool(is_protected(state, suite))),
        ("retention_days", text(&state.settings.retention.0.to_string())),
        ("sha", sha.clone()),
        ("head_ref", text(&head_ref)),
        ("base_ref", text(&base_ref)),
        ("repository", shared(&repository.full_name)),
        ("repository_id", text(&repository.id.to_string())),
        ("repository_owner", text(owner)),
        ("repository_owner_id", owner_id),
        ("actor", shared(&suite.event.sender.login)),
        ("actor_id", text(&suite.event.sender.id.to_string())),
        ("triggering_actor", shared(&suite.event.sender.login)),
        ("run_id", text(&run.number.to_string())),
        ("run_number", text(&run.run_number.to_string())),
        ("run_attempt", text(&run.attempt.to_string())),
        ("workflow", shared(&run.name)),
        ("workflow_ref", text(&format!("{}/{}@{ref_name}", repository.full_name, run.workflow))),
        ("workflow_sha", sha),
        ("server_url", shared(&addresses.server)),
        ("api_url", shared(&addresses.api)),
        ("graphql_url", shared(&addresses.graphql)),
        ("repositoryUrl", text(&format!("git://{host}/{}.git", repository.full_name))),
        ("secret_source", text(if suite.trust == Trust::Trusted { "Actions" } else { "None" })),
    ])
}
