//! A kept delivery becomes facts.
//!
//! Every event of GitHub's goes through: into facts, or aside with a sentence that says why there is no use for it. Only what
//! is not JSON, or lacks what its event is about, is unreadable. The payload is kept whole for the workflows it starts.

mod change;
mod conversation;
mod release;
mod subject;

use std::borrow::Cow;
use std::sync::Arc;

use greenlight_core::event::{Event, User};
use greenlight_core::fact::{Fact, RepositoryRef};
use greenlight_core::port::NewDelivery;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::delivery::JSON_SIZE_MAX;
use crate::shape::{Malformed, RepositoryShape, UserShape};

/// Longest part of a parser's words that a reason repeats, in characters.
const REASON_LENGTH_MAX: usize = 200;
/// How deep a payload may be nested; GitHub's own are not deeper than a dozen.
const DEPTH_MAX: usize = 100;

/// What a delivery says.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Something happened to a repository.
    Facts {
        /// Which.
        repository: RepositoryRef,
        /// What happened, in order.
        facts: Vec<Fact>,
    },
    /// Nothing that we have a use for.
    Ignored {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
    /// It cannot be read.
    Unreadable {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
}

/// Reads a delivery. Whatever is in it, this ends with one of the three.
pub fn read(delivery: &NewDelivery) -> Reading {
    let reading =
        text_of(delivery).and_then(|text| Payload::open(delivery, text)).and_then(|payload| read_event(&payload));
    reading.unwrap_or_else(|unreadable| Reading::Unreadable { reason: unreadable.0.into() })
}

fn read_event(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    match payload.name() {
        "ping" => Ok(ignored("a ping: the hook is set up")),
        "push" => change::push(payload),
        "pull_request" => change::pull(payload),
        "create" | "delete" => change::reference(payload),
        "repository" => change::repository(payload),
        "pull_request_review" => conversation::review(payload),
        "issue_comment" => conversation::comment(payload),
        "status" => conversation::status(payload),
        "check_run" => conversation::check_run(payload),
        "deployment" => release::deployment(payload),
        "deployment_status" => release::deployment_status(payload),
        "release" => release::release(payload),
        "merge_group" => release::merge_group(payload),
        "workflow_dispatch" | "repository_dispatch" => release::dispatch(payload),
        name if subject::TRIGGERS.contains(&name) => subject::other(payload),
        "check_suite" | "workflow_run" | "workflow_job" => Ok(ignored(
            "it tells how checks or hosted Actions go on as a whole; their single results are read on their own",
        )),
        "pull_request_review_comment" | "pull_request_review_thread" => {
            Ok(ignored("remarks on lines of a review decide nothing; the review itself does"))
        }
        name if name.starts_with("installation") => {
            Ok(ignored("which repositories the App is installed on is asked of GitHub"))
        }
        name => Ok(ignored(&format!("nothing here uses `{name}` events"))),
    }
}

/// Why a delivery cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable(String);

impl From<Malformed> for Unreadable {
    fn from(malformed: Malformed) -> Self {
        Self(malformed.to_string())
    }
}

/// A payload, opened as far as all events have it in common.
pub(crate) struct Payload<'a> {
    delivery: &'a NewDelivery,
    text: Cow<'a, str>,
    head: Head,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    action: Option<Arc<str>>,
    #[serde(default)]
    repository: Option<RepositoryShape>,
    #[serde(default)]
    sender: Option<UserShape>,
}

impl<'a> Payload<'a> {
    fn open(delivery: &'a NewDelivery, text: Cow<'a, str>) -> Result<Self, Unreadable> {
        if !text.trim_start().starts_with('{') {
            return Err(Unreadable("the payload is not a JSON object".into()));
        }
        if is_too_deep(&text) {
            return Err(Unreadable(format!("the payload is nested deeper than {DEPTH_MAX}")));
        }
        let head = parse(&text)?;
        Ok(Self { delivery, text, head })
    }

    /// Returns the event's name.
    pub(crate) fn name(&self) -> &str {
        &self.delivery.event
    }

    /// Returns the activity, or nothing where the event has none.
    pub(crate) fn action(&self) -> &str {
        self.head.action.as_deref().unwrap_or("")
    }

    pub(crate) fn delivery(&self) -> &NewDelivery {
        self.delivery
    }

    /// Reads what an event has of its own.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Unreadable> {
        parse(&self.text)
    }

    pub(crate) fn repository(&self) -> Result<RepositoryRef, Unreadable> {
        let repository = self.head.repository.as_ref().ok_or(Malformed::missing("repository"))?;
        Ok(repository.reference()?)
    }

    /// Returns the repository's `pushed_at`, where it can be read.
    pub(crate) fn pushed_at(&self) -> Option<greenlight_core::time::Timestamp> {
        self.head.repository.as_ref().and_then(RepositoryShape::pushed_at)
    }

    pub(crate) fn has_repository(&self) -> bool {
        self.head.repository.is_some()
    }

    pub(crate) fn sender(&self) -> User {
        UserShape::user_or_ghost(self.head.sender.as_ref())
    }

    /// Returns the event with its whole payload, for the workflows that it may start.
    pub(crate) fn event(&self) -> Arc<Event> {
        Arc::new(Event {
            name: self.delivery.event.clone(),
            action: self.head.action.clone(),
            payload: (*self.text).into(),
            sender: self.sender(),
        })
    }

    /// Returns the facts as this payload's reading.
    pub(crate) fn facts(&self, facts: Vec<Fact>) -> Result<Reading, Unreadable> {
        Ok(Reading::Facts { repository: self.repository()?, facts })
    }
}

pub(crate) fn ignored(reason: &str) -> Reading {
    Reading::Ignored { reason: reason.into() }
}

/// The JSON of a delivery. A form is undone; what it holds has the bound of a JSON body.
fn text_of(delivery: &NewDelivery) -> Result<Cow<'_, str>, Unreadable> {
    if !delivery.form {
        let text = std::str::from_utf8(&delivery.body).map_err(|_| Unreadable("the body is not UTF-8".into()))?;
        return Ok(Cow::Borrowed(text));
    }
    let field = form_urlencoded::parse(&delivery.body).find(|(name, _)| name == "payload");
    let (_, text) = field.ok_or_else(|| Unreadable("the form has no field `payload`".into()))?;
    if text.len() > JSON_SIZE_MAX {
        return Err(Unreadable(format!("the form's payload is larger than {JSON_SIZE_MAX} bytes")));
    }
    Ok(text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Unreadable> {
    serde_json::from_str(text).map_err(|error| {
        // The error repeats what it found, which may be long.
        let error: String = error.to_string().chars().take(REASON_LENGTH_MAX).collect();
        Unreadable(format!("the payload is not what GitHub describes: {error}"))
    })
}

/// What is skipped in parsing here is kept, and read whole by a job: so its depth is bounded at this door.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}
