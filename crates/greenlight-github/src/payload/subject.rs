//! Events that matter only to workflows which wait for them, and what tells two of them apart (design.md 3).

use std::sync::Arc;

use aws_lc_rs::digest;
use greenlight_core::fact::Fact;
use greenlight_core::id::RefName;
use greenlight_core::port::NewDelivery;
use serde::Deserialize;
use serde_json::Value;

use super::{Payload, Reading, Unreadable, ignored};

/// The events that a workflow may wait for and that nothing else here reads.
pub(super) const TRIGGERS: &[&str] = &[
    "branch_protection_rule",
    "discussion",
    "discussion_comment",
    "fork",
    "gollum",
    "issues",
    "label",
    "milestone",
    "page_build",
    "public",
    "registry_package",
    "watch",
];

/// What such events are about, in the order in which it is looked for: a comment's issue is there as well.
#[derive(Deserialize)]
struct About {
    #[serde(default)]
    comment: Option<Thing>,
    #[serde(default)]
    release: Option<Thing>,
    #[serde(default)]
    label: Option<Thing>,
    #[serde(default)]
    issue: Option<Thing>,
    #[serde(default)]
    milestone: Option<Thing>,
    #[serde(default)]
    discussion: Option<Thing>,
    #[serde(default)]
    forkee: Option<Thing>,
    #[serde(default)]
    rule: Option<Thing>,
    #[serde(default)]
    registry_package: Option<Thing>,
    #[serde(default)]
    build: Option<Thing>,
}

#[derive(Deserialize)]
struct Thing {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    updated_at: Value,
}

pub(super) fn other(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    if !payload.has_repository() {
        return Ok(ignored("it names no repository"));
    }
    payload.facts(vec![event(payload, None)?])
}

/// Returns the event as a fact, on this ref or on the default branch.
pub(super) fn event(payload: &Payload<'_>, git_ref: Option<RefName>) -> Result<Fact, Unreadable> {
    let about: About = payload.body()?;
    Ok(Fact::Event { subject: subject(payload, about), git_ref, sha: None, event: payload.event() })
}

/// The same thing may be acted upon in the same way again, so the time of its last change belongs to it. What is about
/// nothing with an id of its own is told apart by its content, which is the same on every hook that sends it.
fn subject(payload: &Payload<'_>, about: About) -> Arc<str> {
    let About { comment, release, label, issue, milestone, discussion, forkee, rule, registry_package, build } = about;
    // An issue that is labeled has a label, too, but the issue is what it is about.
    let issue_first = payload.name() == "issues";
    let things = if issue_first { [comment, issue, release, label] } else { [comment, release, label, issue] };
    let mut things = things.into_iter().chain([milestone, discussion, forkee, rule, registry_package, build]);
    let action = payload.action();
    match things.find_map(|thing| thing.filter(|thing| !thing.id.is_null())) {
        Some(Thing { id, updated_at: Value::String(at) }) => format!("{id} {action} {at}").into(),
        Some(Thing { id, .. }) => format!("{id} {action}").into(),
        None => format!("{} {action}", hex::encode(&content_of(payload.delivery())[..8])).into(),
    }
}

/// Returns SHA-256 of event and body. The delivery's own digest will not do: it differs from one hook's secret to another's.
fn content_of(delivery: &NewDelivery) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(delivery.event.as_bytes());
    context.update(&[0]);
    context.update(&delivery.body);
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}
