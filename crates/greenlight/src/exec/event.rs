//! The event that is played: its payload, made up from the working tree where nothing else was given, and the fact that it is.

use std::sync::Arc;

use anyhow::Context as _;
use greenlight_core::event::{Event, User};
use greenlight_core::fact::{Fact, PushFact, RepositoryRef, Source};
use greenlight_core::id::{RefName, Sha, UserId};
use greenlight_workflow::event::EventPayload;
use serde_json::{Map, Value, json};

use super::WrongUsage;
use super::tree::WorkingTree;
use super::values::Values;
use crate::server::clock;

/// The pull request's number where none was given.
const PULL_NUMBER: u64 = 1;
/// The event of a person who fills in a form.
pub const DISPATCH: &str = "workflow_dispatch";
/// The event of the clock, and what its payload calls the line that came due.
const SCHEDULE: &str = "schedule";
/// Who did it; GitHub's ids begin with 1.
const SENDER: UserId = UserId(1);

/// What is known of the event.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Its name.
    pub name: String,
    /// The payload, or a part of it: what is left out is made up.
    pub payload: Option<Value>,
    /// Who did it.
    pub actor: String,
    /// `workflow_dispatch`'s and `workflow_call`'s inputs.
    pub inputs: Values,
    /// The cron lines of the files: each is played where the payload names none.
    pub crons: Vec<String>,
}

/// Something that happened, as far as the rules are concerned.
#[derive(Clone, Debug)]
pub struct Happened {
    /// The facts: one, or one for each cron line.
    pub facts: Vec<Fact>,
    /// The event's name.
    pub name: Arc<str>,
    /// Its name and payload, without a cron line of the files.
    pub payload: EventPayload,
    /// `github.ref`.
    pub git_ref: RefName,
    /// The base branch of a pull request.
    pub base: Option<String>,
    /// `github.sha`.
    pub sha: Sha,
}

impl Happened {
    /// Returns the inputs that were given, as text.
    pub fn inputs(&self) -> Vec<(String, String)> {
        let given = self.payload.payload().get("inputs");
        let given = given.as_object().into_iter().flat_map(|given| given.iter());
        given.map(|(name, value)| (name.to_owned(), value.coerce_string().to_string())).collect()
    }
}

/// Makes the event up.
pub fn happened(asked: &Asked, tree: &WorkingTree, repository: &RepositoryRef) -> anyhow::Result<Happened> {
    let sha = tree.sha();
    let mut payload = made_up(asked, tree, repository, sha);
    if let Some(given) = &asked.payload {
        if !given.is_object() {
            return Err(WrongUsage("the event's payload is no JSON object".into()).into());
        }
        lay_over(&mut payload, given);
    }
    if !asked.inputs.is_empty() {
        let inputs = asked.inputs.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
        lay_over(&mut payload, &json!({ "inputs": inputs.collect::<Map<_, _>>() }));
    }
    let text = |pointer: &str| payload.pointer(pointer).and_then(Value::as_str);
    let action: Option<Arc<str>> = text("/action").map(Arc::from);
    let base = text("/pull_request/base/ref").map(str::to_owned);
    let git_ref = match (asked.name.as_str(), text("/ref")) {
        ("pull_request", _) => {
            let number = payload.pointer("/pull_request/number").and_then(Value::as_u64).unwrap_or(PULL_NUMBER);
            RefName::from(format!("refs/pull/{number}/merge"))
        }
        ("pull_request_target", _) => RefName::branch(base.as_deref().unwrap_or(&repository.default_branch)),
        (_, Some(name)) if name.starts_with("refs/") => RefName::from(name),
        _ => current_ref(tree, repository),
    };
    let event = |payload: &Value| {
        Arc::new(Event {
            name: asked.name.as_str().into(),
            action: action.clone(),
            payload: payload.to_string().into(),
            sender: User { id: SENDER, login: asked.actor.as_str().into() },
        })
    };
    let fact = |subject: &str, payload: &Value| Fact::Event {
        subject: subject.into(),
        git_ref: Some(git_ref.clone()),
        sha: Some(sha),
        event: event(payload),
    };
    let facts = match asked.name.as_str() {
        "push" => vec![Fact::Push(PushFact {
            git_ref: git_ref.clone(),
            before: Sha::ZERO,
            after: sha,
            pushed_at: clock::now(),
            event: event(&payload),
            source: Source::Webhook,
        })],
        SCHEDULE if payload.get(SCHEDULE).is_none() && !asked.crons.is_empty() => {
            let of_line = |(number, cron): (usize, &String)| {
                let mut payload = payload.clone();
                lay_over(&mut payload, &json!({ "schedule": cron }));
                fact(&format!("exec-{number}"), &payload)
            };
            asked.crons.iter().enumerate().map(of_line).collect()
        }
        _ => vec![fact("exec", &payload)],
    };
    let known = greenlight_workflow::Value::from_json(&payload.to_string()).context("the payload cannot be read")?;
    let payload = EventPayload::new(asked.name.as_str(), known);
    Ok(Happened { facts, name: asked.name.as_str().into(), payload, git_ref, base, sha })
}

/// Says what is missing in an event that is made up, where that is most of it.
pub fn missing(asked: &Asked) -> Option<String> {
    let is_whole = asked.payload.is_some() || asked.name.starts_with("pull_request");
    if is_whole || ["push", DISPATCH, SCHEDULE].contains(&asked.name.as_str()) {
        return None;
    }
    let name = &asked.name;
    Some(format!(
        "the payload of {name} is made up, with a repository and a sender: -e FILE or --payload gives the rest"
    ))
}

/// Returns the ref that is checked out.
pub fn current_ref(tree: &WorkingTree, repository: &RepositoryRef) -> RefName {
    let checked_out = tree.git.as_ref().map_or_else(|| tree.unborn.clone(), |git| git.git_ref.clone());
    checked_out.unwrap_or_else(|| RefName::branch(&repository.default_branch))
}

fn made_up(asked: &Asked, tree: &WorkingTree, repository: &RepositoryRef, sha: Sha) -> Value {
    let git_ref = current_ref(tree, repository);
    let (owner, name) = repository.full_name.split_once('/').unwrap_or(("", &repository.full_name));
    let sender = json!({ "login": asked.actor, "id": SENDER.0, "type": "User" });
    let mut payload = json!({
        "repository": {
            "id": repository.id.0,
            "name": name,
            "full_name": &*repository.full_name,
            "default_branch": &*repository.default_branch,
            "owner": { "login": owner, "name": owner },
        },
        "sender": sender,
    });
    let message = tree.git.as_ref().map_or("", |git| git.message.trim_end());
    let special = match asked.name.as_str() {
        "push" => json!({
            "ref": git_ref.as_str(),
            "before": Sha::ZERO.to_string(),
            "after": sha.to_string(),
            "created": false,
            "deleted": false,
            "forced": false,
            "commits": [],
            "head_commit": { "id": sha.to_string(), "message": message },
            "pusher": { "name": asked.actor },
        }),
        "pull_request" | "pull_request_target" | "pull_request_review" => json!({
            "action": if asked.name == "pull_request_review" { "submitted" } else { "opened" },
            "number": PULL_NUMBER,
            "pull_request": {
                "number": PULL_NUMBER,
                "state": "open",
                "draft": false,
                "title": message.lines().next().unwrap_or_default(),
                "head": { "ref": git_ref.short(), "sha": sha.to_string(), "repo": { "full_name": &*repository.full_name } },
                "base": { "ref": &*repository.default_branch, "sha": sha.to_string(),
                    "repo": { "full_name": &*repository.full_name } },
                "user": sender,
                "labels": [],
            },
        }),
        DISPATCH => json!({ "ref": git_ref.as_str(), "inputs": {} }),
        _ => json!({}),
    };
    lay_over(&mut payload, &special);
    payload
}

/// Puts one object over another: what both have is the upper one's, key by key.
fn lay_over(lower: &mut Value, upper: &Value) {
    match (lower, upper) {
        (Value::Object(lower), Value::Object(upper)) => {
            for (key, value) in upper {
                match lower.get_mut(key) {
                    Some(known) => lay_over(known, value),
                    None => {
                        lower.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (lower, upper) => *lower = upper.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_lies_over_what_is_made_up() {
        let mut payload = json!({ "a": { "b": 1, "c": 2 }, "d": 3 });
        lay_over(&mut payload, &json!({ "a": { "c": null, "e": 5 }, "d": [1] }));
        assert_eq!(payload, json!({ "a": { "b": 1, "c": null, "e": 5 }, "d": [1] }));
    }
}
