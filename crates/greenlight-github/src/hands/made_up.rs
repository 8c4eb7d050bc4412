//! Events for what was read rather than heard of, in the shape of the webhook that would have told of it: a workflow that
//! such an event starts finds in `github.event` what it always finds there.

use std::sync::Arc;

use greenlight_core::event::{Event, PullSnapshot, PullStanding, User};
use greenlight_core::fact::{PullFact, PushFact, Source};
use greenlight_core::id::{RefName, Sha};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::shape::{Malformed, PullShape, RepositoryShape};

/// A repository as it was read.
pub(super) struct ReadRepository {
    pub raw: Value,
    pub shape: RepositoryShape,
}

/// Was the pull request known before it was read?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Yes,
    No,
}

impl ReadRepository {
    pub(super) fn new(raw: Value) -> Result<Self, Malformed> {
        let shape = RepositoryShape::deserialize(&raw)
            .map_err(|_| Malformed::unfit("repository", "is not what GitHub describes"))?;
        Ok(Self { raw, shape })
    }

    pub(super) fn pull(&self, raw: Value, known: Known) -> Result<PullFact, Malformed> {
        let shape = PullShape::deserialize(&raw)
            .map_err(|_| Malformed::unfit("pull_request", "is not what GitHub describes"))?;
        let pull = shape.snapshot()?;
        let action = match (pull.standing, known) {
            (PullStanding::Open, Known::No) => "opened",
            (PullStanding::Open, Known::Yes) => "synchronize",
            (PullStanding::Closed | PullStanding::Merged { .. }, _) => "closed",
        };
        let event = self.pull_event(action, raw, &pull);
        Ok(PullFact { pull, event, source: Source::Read })
    }

    fn pull_event(&self, action: &str, raw: Value, pull: &PullSnapshot) -> Arc<Event> {
        let sender = raw.get("user").cloned().unwrap_or(Value::Null);
        let mut payload = json!({ "action": action, "number": pull.number.0 });
        payload["pull_request"] = raw;
        payload["repository"] = self.raw.clone();
        payload["sender"] = sender;
        made_up("pull_request", Some(action), &payload, pull.author.clone())
    }

    /// Where the ref was before is not known here, nor who moved it: the core knows the one, and the owner answers for the other.
    pub(super) fn push(&self, git_ref: &str, tip: Sha) -> PushFact {
        let pushed_at = self.shape.pushed_at().unwrap_or_default();
        let payload = json!({
            "ref": git_ref,
            "before": Sha::ZERO.to_string(),
            "after": tip.to_string(),
            "created": false,
            "deleted": false,
            "forced": false,
            "base_ref": null,
            "compare": "",
            "commits": [],
            "head_commit": null,
            "repository": self.raw,
            "sender": self.raw.get("owner"),
        });
        PushFact {
            git_ref: RefName::from(git_ref),
            before: Sha::ZERO,
            after: tip,
            pushed_at,
            event: made_up("push", None, &payload, self.shape.owner()),
            source: Source::Read,
        }
    }
}

fn made_up(name: &str, action: Option<&str>, payload: &Value, sender: User) -> Arc<Event> {
    Arc::new(Event { name: name.into(), action: action.map(Arc::from), payload: payload.to_string().into(), sender })
}
