//! Code changed: pushes, pull requests, branches and tags that come and go, the repository itself.

use std::sync::Arc;

use greenlight_core::fact::{Fact, PullFact, PushFact, Source};
use greenlight_core::id::{RefName, Sha};
use serde::Deserialize;

use super::{Payload, Reading, Unreadable, ignored};
use crate::shape::{Malformed, PullShape};

#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    git_ref: Arc<str>,
    before: Arc<str>,
    after: Arc<str>,
    #[serde(default)]
    created: Option<bool>,
    #[serde(default)]
    deleted: Option<bool>,
}

pub(super) fn push(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let push: Push = payload.body()?;
    if !push.git_ref.starts_with("refs/heads/") && !push.git_ref.starts_with("refs/tags/") {
        return Ok(ignored("the ref that was pushed is neither a branch nor a tag"));
    }
    let end = |text: &str, is_none: Option<bool>, field| match is_none {
        Some(true) => Ok(Sha::ZERO),
        _ => Sha::parse(text).map_err(|_| Malformed::unfit(field, "is not a commit's full SHA")),
    };
    payload.facts(vec![Fact::Push(PushFact {
        before: end(&push.before, push.created, "before")?,
        after: end(&push.after, push.deleted, "after")?,
        git_ref: RefName::new(push.git_ref),
        pushed_at: payload.pushed_at().unwrap_or(payload.delivery().received_at),
        event: payload.event(),
        source: Source::Webhook,
    })])
}

#[derive(Deserialize)]
struct Pull {
    pull_request: PullShape,
}

pub(super) fn pull(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let Pull { pull_request } = payload.body()?;
    let pull = pull_request.snapshot()?;
    payload.facts(vec![Fact::Pull(PullFact { pull, event: payload.event(), source: Source::Webhook })])
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref", default)]
    name: Option<Arc<str>>,
    ref_type: Arc<str>,
}

/// `create` and `delete`: the push says the same for every state of ours; this is for workflows that wait for these words.
pub(super) fn reference(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let reference: Reference = payload.body()?;
    let name = reference.name.ok_or(Malformed::missing("ref"))?;
    let git_ref = match &*reference.ref_type {
        "branch" => RefName::branch(&name),
        "tag" => RefName::from(format!("refs/tags/{name}")),
        _ => return Ok(ignored("what was created or deleted is neither a branch nor a tag")),
    };
    payload.facts(vec![Fact::Event {
        subject: git_ref.as_str().into(),
        // A workflow on a deleted ref runs on the default branch.
        git_ref: (payload.name() == "create").then_some(git_ref),
        sha: None,
        event: payload.event(),
    }])
}

pub(super) fn repository(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    match (payload.has_repository(), payload.action()) {
        (false, _) => Ok(ignored("it names no repository")),
        (true, "deleted") => Ok(ignored("the repository was deleted; there is nothing left to do in it")),
        (true, _) => {
            let repository = payload.repository()?;
            payload.facts(vec![Fact::Repository(repository)])
        }
    }
}
