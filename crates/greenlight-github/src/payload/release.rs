//! Code on its way out: deployments, releases, groups of a merge queue, and workflows that somebody starts by name.

use std::sync::Arc;

use greenlight_core::event::DeploymentState;
use greenlight_core::fact::Fact;
use greenlight_core::id::{RefName, Sha};
use serde::Deserialize;

use super::{Payload, Reading, Unreadable, ignored, subject};
use crate::shape::{DeploymentShape, DeploymentStatusShape, Malformed};

/// Since 2014 the deployment is nested; what old samples read at the top level is not there.
#[derive(Deserialize)]
struct Deployed {
    deployment: DeploymentShape,
    #[serde(default)]
    deployment_status: Option<DeploymentStatusShape>,
}

pub(super) fn deployment(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    if !matches!(payload.action(), "created" | "") {
        return Ok(ignored("only a new deployment asks for something"));
    }
    let Deployed { deployment, .. } = payload.body()?;
    payload.facts(vec![Fact::Deployment { deployment: deployment.snapshot(None)?, event: Some(payload.event()) }])
}

pub(super) fn deployment_status(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let Deployed { deployment, deployment_status } = payload.body()?;
    let status = deployment_status.ok_or(Malformed::missing("deployment_status"))?;
    let state = status.state();
    let snapshot = deployment.snapshot(state)?;
    let event = Fact::Event {
        subject: status.id.to_string().into(),
        git_ref: (snapshot.git_ref != snapshot.sha.to_string().into()).then(|| full_ref(&snapshot.git_ref)),
        sha: Some(snapshot.sha),
        event: payload.event(),
    };
    let mut facts = vec![Fact::Deployment { deployment: snapshot, event: None }];
    // As on GitHub, a deployment that becomes inactive starts nothing.
    if state != Some(DeploymentState::Inactive) {
        facts.push(event);
    }
    payload.facts(facts)
}

#[derive(Deserialize)]
struct Released {
    release: Release,
}

#[derive(Deserialize)]
struct Release {
    tag_name: Arc<str>,
    #[serde(default)]
    draft: bool,
}

pub(super) fn release(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let Released { release } = payload.body()?;
    if release.draft {
        return Ok(ignored("a draft of a release starts nothing"));
    }
    let tag = RefName::from(format!("refs/tags/{}", release.tag_name));
    payload.facts(vec![subject::event(payload, Some(tag))?])
}

#[derive(Deserialize)]
struct Grouped {
    merge_group: Group,
}

#[derive(Deserialize)]
struct Group {
    head_sha: Arc<str>,
    head_ref: Arc<str>,
}

pub(super) fn merge_group(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    if payload.action() != "checks_requested" {
        return Ok(ignored("a merge group that is gone asks for nothing"));
    }
    let Grouped { merge_group } = payload.body()?;
    let sha = Sha::parse(&merge_group.head_sha)
        .map_err(|_| Malformed::unfit("merge_group.head_sha", "is not a commit's full SHA"))?;
    payload.facts(vec![Fact::Event {
        subject: merge_group.head_ref.clone(),
        git_ref: Some(full_ref(&merge_group.head_ref)),
        sha: Some(sha),
        event: payload.event(),
    }])
}

#[derive(Deserialize)]
struct Dispatched {
    #[serde(rename = "ref", default)]
    git_ref: Option<Arc<str>>,
}

/// Each dispatch is one of its own, even if it says the same as another: its delivery tells them apart.
pub(super) fn dispatch(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let Dispatched { git_ref } = payload.body()?;
    let git_ref = git_ref.filter(|_| payload.name() == "workflow_dispatch");
    payload.facts(vec![Fact::Event {
        subject: payload.delivery().id.as_str().into(),
        git_ref: git_ref.map(|name| full_ref(&name)),
        sha: None,
        event: payload.event(),
    }])
}

fn full_ref(name: &str) -> RefName {
    if name.starts_with("refs/") { RefName::from(name) } else { RefName::branch(name) }
}
