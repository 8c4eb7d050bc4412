//! What GitHub told of the repository itself, for events that it does not send: those of the clock, and of deployments that no
//! webhook told of. Identity tokens and workflows look for the owner's id, or whether the repository is private, in any event.

use greenlight_workflow::Value;

use crate::id::Sha;
use crate::repository::Repository;

/// How many events are looked into.
const LOOKED_INTO_MAX: usize = 8;

/// Returns the repository as the event tells of it that is nearest to a commit; where none does, what is known of it.
pub(crate) fn repository(state: &Repository, sha: Sha) -> Value {
    let id = state.meta().repository.id.to_string();
    let of_suites = state.suites_at(sha).chain(state.suites.values().rev()).map(|suite| &suite.event);
    let events = of_suites.chain(state.pulls.values().rev().map(|pull| &pull.event));
    let told = events.take(LOOKED_INTO_MAX).filter_map(|event| Value::from_json(&event.payload).ok());
    let of_event = told.map(|event| event.get("repository").clone());
    of_event.into_iter().find(|told| *told.get("id").coerce_string() == *id).unwrap_or_else(|| known(state))
}

fn known(state: &Repository) -> Value {
    let repository = &state.meta().repository;
    let (owner, name) = repository.full_name.split_once('/').unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "GitHub's ids are far below 2^53")]
    let id = Value::Number(repository.id.0 as f64);
    Value::object([
        ("id", id),
        ("name", Value::string(name)),
        ("full_name", Value::string(&*repository.full_name)),
        ("default_branch", Value::string(&*repository.default_branch)),
        ("owner", Value::object([("login", Value::string(owner))])),
    ])
}
