//! Things on GitHub, as small as they may be, and the effects that are about them.

use std::sync::Arc;

use greenlight_core::effect::{Dispatch, Effect, Outcome};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{Context, EffectKey, RepoId, Sha};
use greenlight_core::port::Hands;
use greenlight_core::shown::{Link, ReportForm, ReportState, ShownReport};
use greenlight_github::hands::GitHubHands;
use serde_json::{Value, json};

use super::stub::Stub;

pub const HEAD: &str = "6113728f27ae82c7b1a177c8d03f9e96e0adf246";
pub const BASE: &str = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";
pub const LANDED: &str = "2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d";
pub const TREE: &str = "31b122c26a97cf9af023e9ddab94a82c6e77b0ea";

pub fn sha(text: &str) -> Sha {
    Sha::parse(text).unwrap()
}

pub fn repository() -> RepositoryRef {
    RepositoryRef { id: RepoId(7), full_name: "octocat/Spoon-Knife".into(), default_branch: "main".into() }
}

pub fn repository_json() -> Value {
    json!({
        "id": 7, "full_name": "octocat/Spoon-Knife", "default_branch": "main", "pushed_at": "2026-01-02T03:04:05Z",
        "owner": { "id": 1, "login": "octocat" },
    })
}

pub fn user_json(id: u64, login: &str) -> Value {
    json!({ "id": id, "login": login })
}

/// An open pull request, with these fields changed.
pub fn pull_json(number: u64, changes: Value) -> Value {
    let mut pull = json!({
        "number": number, "state": "open", "title": "A change", "draft": false, "merged": false, "merge_commit_sha": null,
        "user": user_json(2, "hubot"), "updated_at": "2026-01-02T03:04:05Z", "mergeable": true, "mergeable_state": "clean",
        "head": { "ref": "topic", "sha": HEAD, "repo": repository_json() },
        "base": { "ref": "main", "sha": BASE, "repo": repository_json() },
    });
    for (name, value) in changes.as_object().unwrap() {
        pull[name] = value.clone();
    }
    pull
}

pub fn deployment_json(id: u64, key: &str) -> Value {
    json!({
        "id": id, "sha": LANDED, "ref": LANDED, "task": "deploy", "environment": "staging", "creator": user_json(1, "octocat"),
        "payload": { "greenlight": { "key": key } }, "created_at": "2026-01-02T03:04:05Z",
    })
}

pub fn report(state: ReportState, form: ReportForm) -> Effect {
    let report = ShownReport {
        state,
        description: "2 of 2 jobs succeeded".into(),
        link: Some(Link::Job(greenlight_core::id::RunNumber(3), "test (1, a/b)".into())),
        summary: Some("# Well\ndone".into()),
        form,
    };
    Effect::Show { sha: sha(HEAD), context: Context::from("greenlight / CI / test (push)"), report, check_run: None }
}

/// Performs one try of an effect against the stub.
pub async fn perform(stub: &Stub, effect: Effect, tried: u32, confirm: bool) -> Outcome {
    let hands = GitHubHands::new(stub.client(), Some("https://ci.example.org/"));
    perform_with(&hands, effect, tried, confirm).await
}

pub async fn perform_with(hands: &GitHubHands, effect: Effect, tried: u32, confirm: bool) -> Outcome {
    let dispatch = Dispatch { key: EffectKey::from("key-1"), effect, tried, confirm };
    hands.perform(&repository(), &dispatch).await
}

/// Returns the reason of an outcome that is not done.
pub fn reason(outcome: &Outcome) -> Arc<str> {
    match outcome {
        Outcome::Done(_) => "done".into(),
        Outcome::Refused(refusal) => refusal.reason(),
        Outcome::Later { reason, .. } | Outcome::Unknown { reason } => reason.clone(),
    }
}
