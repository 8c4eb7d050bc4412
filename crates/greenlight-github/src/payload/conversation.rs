//! Somebody said something: a review, a comment, a status, a check run.

use std::sync::Arc;

use greenlight_core::fact::Fact;
use greenlight_core::id::{PullNumber, Sha};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Payload, Reading, Unreadable, ignored, subject};
use crate::shape::{CheckRunShape, CommentShape, Malformed, ReviewShape, StatusShape};

#[derive(Deserialize)]
struct Reviewed {
    review: ReviewShape,
    pull_request: Numbered,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

/// A review counts as it stands: submitted, edited and dismissed tell the same way. It starts no workflow: it would run
/// a fork's code on an event that a passer-by can cause (S1).
pub(super) fn review(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let reviewed: Reviewed = payload.body()?;
    payload
        .facts(vec![Fact::Review { pull: PullNumber(reviewed.pull_request.number), review: reviewed.review.review() }])
}

#[derive(Deserialize)]
struct Commented {
    comment: CommentShape,
    issue: Issue,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    #[serde(default)]
    pull_request: Option<IgnoredAny>,
}

/// Only a new comment is a command: one that is edited later was another text when people read it.
pub(super) fn comment(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let Commented { comment, issue } = payload.body()?;
    let mut facts = Vec::new();
    if issue.pull_request.is_some() && payload.action() == "created" {
        facts.push(Fact::Comment(comment.comment(PullNumber(issue.number))?));
    }
    facts.push(subject::event(payload, None)?);
    payload.facts(facts)
}

#[derive(Deserialize)]
struct Status {
    sha: Arc<str>,
    #[serde(flatten)]
    status: StatusShape,
}

pub(super) fn status(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    let Status { sha, status } = payload.body()?;
    let (context, verdict) = status.verdict();
    let sha = Sha::parse(&sha).map_err(|_| Malformed::unfit("sha", "is not a commit's full SHA"))?;
    payload.facts(vec![Fact::Verdict { sha, context, verdict }])
}

#[derive(Deserialize)]
struct Checked {
    check_run: CheckRunShape,
}

pub(super) fn check_run(payload: &Payload<'_>) -> Result<Reading, Unreadable> {
    if matches!(payload.action(), "rerequested" | "requested_action") {
        return Ok(ignored("buttons of check runs are not answered; comment /retest, or re-run on the page"));
    }
    let Checked { check_run } = payload.body()?;
    let (context, verdict) = check_run.verdict();
    let sha = check_run.head_sha.as_deref().ok_or(Malformed::missing("check_run.head_sha"))?;
    let sha = Sha::parse(sha).map_err(|_| Malformed::unfit("check_run.head_sha", "is not a commit's full SHA"))?;
    payload.facts(vec![Fact::Verdict { sha, context, verdict }])
}
