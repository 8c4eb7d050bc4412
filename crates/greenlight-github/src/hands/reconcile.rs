//! Everything that webhooks would have told, read from GitHub itself (R5, R24).

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use greenlight_core::command;
use greenlight_core::effect::{Answer, Outcome, Reconciled};
use greenlight_core::event::{Comment, DeploymentSnapshot};
use greenlight_core::fact::{PullFact, PushFact};
use greenlight_core::id::{PullNumber, Sha};
use greenlight_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Try;
use super::ending::not_read;
use super::made_up::{Known, ReadRepository};
use crate::client::{CallError, Request};
use crate::shape::{self, CommentShape, DeploymentShape, Malformed, PullShape};

/// How many changed pull requests are looked at in one comparison: five pages.
const CHANGED_MAX: usize = 500;

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "ref")]
    name: Arc<str>,
    object: Object,
}

#[derive(Deserialize)]
struct Object {
    sha: Arc<str>,
}

impl Try<'_> {
    pub(super) async fn reconcile(
        &self,
        known_open: &[PullNumber],
        since: Timestamp,
        pulls_since: Option<Timestamp>,
    ) -> Outcome {
        match self.read_all(known_open, since, pulls_since).await {
            Ok(reconciled) => Outcome::Done(Answer::Reconciled(Box::new(reconciled))),
            Err(error) => not_read(error),
        }
    }

    async fn read_all(
        &self,
        known_open: &[PullNumber],
        since: Timestamp,
        pulls_since: Option<Timestamp>,
    ) -> Result<Reconciled, CallError> {
        let repository = self.repository_read().await?;
        let reference = repository.shape.reference().map_err(|malformed| bad("the repository", &malformed))?;
        // What is merged while we read is read the next time: the end of this look is taken first.
        let changed = self.pulls_changed(pulls_since).await?;
        let pulls_until = changed.first().map_or(Some(Timestamp::EPOCH), |(shape, _)| shape.updated_at());
        let (pulls, refs, deployments) = tokio::try_join!(
            self.pulls_read(&repository, known_open, merged_since(changed, pulls_since)),
            self.refs_read(&repository),
            self.deployments_since(since),
        )?;
        let open = pulls.iter().filter(|fact| fact.pull.standing == greenlight_core::event::PullStanding::Open);
        let (mut reviews, mut comments) = (Vec::new(), Vec::new());
        for number in open.map(|fact| fact.pull.number) {
            let (said, commands) = tokio::try_join!(self.reviews_of(number), self.commands_on(number))?;
            reviews.extend(said.into_iter().map(|review| (number, review)));
            comments.extend(commands);
        }
        Ok(Reconciled { repository: reference, pulls, pulls_until, reviews, comments, refs, deployments })
    }

    /// Those that were changed since then, the newest first, and one more: it tells up to where they were seen.
    async fn pulls_changed(&self, since: Option<Timestamp>) -> Result<Vec<(PullShape, Value)>, CallError> {
        let path = self.path("/pulls?state=all&sort=updated&direction=desc&per_page=100")?;
        let taken = Cell::new(0_usize);
        let is_wanted = move |raw: &Value| {
            let before = taken.replace(taken.get() + 1);
            let updated_at = raw.get("updated_at").and_then(Value::as_str).and_then(shape::timestamp);
            before == 0 || (before < CHANGED_MAX && since.is_some() && updated_at >= since)
        };
        let raws: Vec<Value> = self.client.list_while(self.on(), &path, None, is_wanted).await?;
        let shaped = raws.into_iter().map(|raw| match PullShape::deserialize(&raw) {
            Ok(shape) => Ok((shape, raw)),
            Err(_) => Err(bad(&path, &Malformed::unfit("pull_request", "is not what GitHub describes"))),
        });
        shaped.collect()
    }

    /// The open ones, each one that was believed to be open and is not in the list, and those that were merged meanwhile.
    async fn pulls_read(
        &self,
        repository: &ReadRepository,
        known_open: &[PullNumber],
        merged: Vec<Value>,
    ) -> Result<Vec<PullFact>, CallError> {
        let known: BTreeSet<PullNumber> = known_open.iter().copied().collect();
        let open: Vec<Value> = self.client.list(self.on(), &self.path("/pulls?state=open&per_page=100")?, None).await?;
        let mut facts = Vec::with_capacity(open.len());
        let mut seen = BTreeSet::new();
        for raw in open {
            let number = PullNumber(raw.get("number").and_then(Value::as_u64).unwrap_or(0));
            let is_known = if known.contains(&number) { Known::Yes } else { Known::No };
            facts.push(repository.pull(raw, is_known).map_err(|malformed| bad("the open pull requests", &malformed))?);
            seen.insert(number);
        }
        for number in known.difference(&seen) {
            facts.extend(self.one_pull(repository, *number).await?);
        }
        let is_new = |raw: &Value| {
            let number = PullNumber(raw.get("number").and_then(Value::as_u64).unwrap_or(0));
            !known.contains(&number) && !seen.contains(&number)
        };
        for raw in merged.into_iter().filter(is_new) {
            facts.push(
                repository.pull(raw, Known::No).map_err(|malformed| bad("the merged pull requests", &malformed))?,
            );
        }
        Ok(facts)
    }

    /// One that cannot be found is left as it is: nothing is known of it.
    async fn one_pull(&self, repository: &ReadRepository, number: PullNumber) -> Result<Option<PullFact>, CallError> {
        let path = self.path(&format!("/pulls/{number}"))?;
        let raw = match self.client.get(self.on(), &path).await {
            Err(CallError::NotFound { .. }) => return Ok(None),
            read => read?,
        };
        repository.pull(raw, Known::Yes).map(Some).map_err(|malformed| bad(&path, &malformed))
    }

    /// Only what may be a command is of interest.
    async fn commands_on(&self, pull: PullNumber) -> Result<Vec<Comment>, CallError> {
        let path = self.path(&format!("/issues/{pull}/comments?per_page=100"))?;
        let comments: Vec<CommentShape> = self.client.list(self.on(), &path, None).await?;
        let may_command = |comment: &&CommentShape| comment.body.as_deref().and_then(command::parse).is_some();
        comments
            .iter()
            .filter(may_command)
            .map(|comment| comment.comment(pull).map_err(|malformed| bad(&path, &malformed)))
            .collect()
    }

    /// An annotated tag's tip is the tag itself, as in the webhook of its push.
    async fn refs_read(&self, repository: &ReadRepository) -> Result<Vec<PushFact>, CallError> {
        let mut facts = Vec::new();
        for (family, prefix) in [("heads", "refs/heads/"), ("tags", "refs/tags/")] {
            let path = self.path(&format!("/git/matching-refs/{family}"))?;
            let references: Vec<Reference> = match self.client.list(self.on(), &path, None).await {
                // GitHub's answer for a repository without a commit.
                Err(CallError::Rejected { status: 409, .. }) => Vec::new(),
                read => read?,
            };
            for reference in references.iter().filter(|reference| reference.name.starts_with(prefix)) {
                let tip = Sha::parse(&reference.object.sha)
                    .map_err(|_| bad(&path, &Malformed::unfit("object.sha", "is no SHA")))?;
                facts.push(repository.push(&reference.name, tip));
            }
        }
        Ok(facts)
    }

    /// GitHub lists the newest first.
    async fn deployments_since(&self, since: Timestamp) -> Result<Vec<DeploymentSnapshot>, CallError> {
        let is_young = |shape: &DeploymentShape| {
            shape.created_at.as_deref().and_then(shape::timestamp).is_none_or(|created_at| created_at >= since)
        };
        let path = self.path("/deployments?per_page=100")?;
        let shapes: Vec<DeploymentShape> = self.client.list_while(self.on(), &path, None, is_young).await?;
        let mut snapshots = Vec::with_capacity(shapes.len());
        for shape in &shapes {
            let mut snapshot = shape.snapshot(None).map_err(|malformed| bad(&path, &malformed))?;
            snapshot.state = self.deployment_status_now(snapshot.id).await?.and_then(|status| status.state());
            snapshots.push(snapshot);
        }
        Ok(snapshots)
    }
}

/// Those that were merged since then. One that was merged before and is talked about now is old.
fn merged_since(changed: Vec<(PullShape, Value)>, since: Option<Timestamp>) -> Vec<Value> {
    let Some(since) = since else { return Vec::new() };
    let is_merged = |(shape, _): &(PullShape, Value)| shape.merged_at().is_some_and(|at| at >= since);
    changed.into_iter().filter(is_merged).map(|(_, raw)| raw).collect()
}

fn bad(what: &str, malformed: &Malformed) -> CallError {
    CallError::BadAnswer { what: Request::get(what).what(), problem: malformed.to_string() }
}
