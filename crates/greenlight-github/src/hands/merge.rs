//! Merging a pull request, guarded by its head.

use std::sync::Arc;

use greenlight_core::effect::{Answer, MergeMethod, Outcome, Refusal};
use greenlight_core::event::PullStanding;
use greenlight_core::id::{PullNumber, RefName, Sha};
use serde::Deserialize;
use serde_json::json;

use super::Try;
use super::ending::{Writing, not_read_back, reason};
use crate::client::{CallError, Request, segment};
use crate::shape::PullShape;

/// GitHub's words for what passes by itself (design.md 4.4).
const PASSING: &[&str] = &["Base branch was modified", "Required status check"];

#[derive(Deserialize)]
struct Landed {
    sha: Arc<str>,
}

#[derive(Deserialize)]
struct Commit {
    tree: Tree,
}

#[derive(Deserialize)]
struct Tree {
    sha: Arc<str>,
}

#[derive(Deserialize)]
struct Branch {
    commit: Landed,
}

/// What GitHub says of the pull request, where that decides already.
enum Found {
    /// It is merged, with the head that is meant.
    Landed { commit: Option<Sha> },
    /// It can never be merged with the head that is meant.
    Over(Refusal),
    /// It is open, with the head that is meant.
    Open(Box<PullShape>),
}

impl Try<'_> {
    pub(super) async fn merge(
        &self,
        pull: PullNumber,
        head_sha: Sha,
        base_ref: &RefName,
        method: MergeMethod,
    ) -> Outcome {
        if self.confirm {
            match self.pull_now(pull, head_sha).await {
                Ok(Found::Landed { commit }) => return self.landed(commit).await,
                Ok(Found::Over(refusal)) => return Outcome::Refused(refusal),
                Ok(Found::Open(_)) => {}
                Err(error) => return not_read_back(&error),
            }
        }
        match self.ask_to_merge(pull, head_sha, method).await {
            Ok(landed) => self.landed(Sha::parse(&landed.sha).ok()).await,
            Err(error) => self.not_merged(error, pull, head_sha, base_ref).await,
        }
    }

    async fn ask_to_merge(&self, pull: PullNumber, head_sha: Sha, method: MergeMethod) -> Result<Landed, CallError> {
        let body = json!({ "sha": head_sha.to_string(), "merge_method": method.as_str() });
        self.client.call(self.on(), &Request::put(self.path(&format!("/pulls/{pull}/merge"))?, body)).await?.json()
    }

    /// It is on the base. As long as we cannot tell with which tree, the answer is not whole, and is asked for again.
    async fn landed(&self, commit: Option<Sha>) -> Outcome {
        let Some(sha) = commit else {
            return Outcome::Unknown { reason: "it is merged, but GitHub does not tell the commit yet".into() };
        };
        match self.tree_of(sha).await {
            Ok(tree) => Outcome::Done(Answer::Merged { sha, tree }),
            Err(error) => {
                Outcome::Unknown { reason: format!("it is merged, but what landed cannot be read: {error}").into() }
            }
        }
    }

    async fn tree_of(&self, sha: Sha) -> Result<Sha, CallError> {
        let answer = self.client.call(self.on(), &Request::get(self.path(&format!("/git/commits/{sha}"))?)).await?;
        let commit: Commit = answer.json()?;
        Sha::parse(&commit.tree.sha).map_err(|_| answer.bad("the tree's SHA is none"))
    }

    async fn pull_now(&self, pull: PullNumber, head_sha: Sha) -> Result<Found, CallError> {
        let answer = self.client.call(self.on(), &Request::get(self.path(&format!("/pulls/{pull}"))?)).await?;
        let shape: PullShape = answer.json()?;
        let bad = |malformed: crate::shape::Malformed| answer.bad(&malformed.to_string());
        let is_head = shape.head_sha().map_err(bad)? == head_sha;
        Ok(match shape.standing().map_err(bad)? {
            PullStanding::Merged { commit } if is_head => Found::Landed { commit },
            _ if !is_head => Found::Over(Refusal::HeadMoved),
            PullStanding::Open => Found::Open(Box::new(shape)),
            PullStanding::Merged { .. } | PullStanding::Closed => Found::Over(Refusal::Other("it was closed".into())),
        })
    }

    async fn not_merged(&self, error: CallError, pull: PullNumber, head_sha: Sha, base_ref: &RefName) -> Outcome {
        match &error {
            CallError::NotFound { .. } => Outcome::Refused(Refusal::Gone(reason(&error))),
            CallError::Rejected { status: 405 | 409, message, .. } if is_passing(message) => {
                Outcome::Refused(Refusal::NotYet(message.clone()))
            }
            CallError::Rejected { status: 409, message, .. } if message.contains("Head branch was modified") => {
                Outcome::Refused(Refusal::HeadMoved)
            }
            CallError::Rejected { status: 405 | 409, message, .. } => {
                self.explained(message.clone(), pull, head_sha, base_ref).await
            }
            _ => Writing { tried: self.tried }.failed(error),
        }
    }

    /// "Not mergeable" means many things; the pull request tells which.
    async fn explained(&self, message: Arc<str>, pull: PullNumber, head_sha: Sha, base_ref: &RefName) -> Outcome {
        let shape = match self.pull_now(pull, head_sha).await {
            Ok(Found::Landed { commit }) => return self.landed(commit).await,
            Ok(Found::Over(refusal)) => return Outcome::Refused(refusal),
            Ok(Found::Open(shape)) => shape,
            Err(_) => return Outcome::Refused(Refusal::NotYet(message)),
        };
        match (shape.mergeable, shape.mergeable_state.as_deref()) {
            (None, _) => {
                Outcome::Refused(Refusal::NotYet("GitHub is still finding out whether it can be merged".into()))
            }
            (Some(false), None | Some("dirty")) => match self.tip_of(base_ref).await {
                Ok(base_sha) => Outcome::Refused(Refusal::Conflict { base_sha }),
                Err(_) => Outcome::Refused(Refusal::NotYet(message)),
            },
            _ => Outcome::Refused(Refusal::Other(message)),
        }
    }

    async fn tip_of(&self, base_ref: &RefName) -> Result<Sha, CallError> {
        let path = self.path(&format!("/branches/{}", segment(base_ref.short())))?;
        let answer = self.client.call(self.on(), &Request::get(path)).await?;
        let branch: Branch = answer.json()?;
        Sha::parse(&branch.commit.sha).map_err(|_| answer.bad("the commit's SHA is none"))
    }
}

fn is_passing(message: &str) -> bool {
    PASSING.iter().any(|words| message.contains(words))
}
