//! Environments, the deployments that are wished for, and those that are there.

use std::sync::Arc;

use crate::event::{DeploymentSnapshot, Event};
use crate::id::{DeploymentId, EnvironmentName, PullNumber, RunNumber, Sha, Token};
use crate::shown::ShownDeployment;
use crate::time::Timestamp;

/// An environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: EnvironmentName,
    /// Who holds it. One deployment at a time (I19).
    pub lock: Option<Lock>,
    /// What is live: the last deployment that succeeded, and its commit.
    pub live: Option<(DeploymentId, Sha)>,
}

/// A deployment's hold on an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The owner: a deployment, never a person (R22).
    pub deployment: DeploymentId,
    /// The fencing token: an older holder cannot free it (R21).
    pub token: Token,
    /// Since when.
    pub since: Timestamp,
    /// Why it outlives its deployment, where it does: a person is awaited.
    pub kept: Option<Arc<str>>,
}

/// A commit that is to be deployed somewhere. At most one for each environment and commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployWish {
    /// Where to.
    pub environment: EnvironmentName,
    /// What.
    pub sha: Sha,
    /// The pull request that it comes from.
    pub pull: PullNumber,
    /// The commit's tree, once it is known.
    pub tree: Option<Sha>,
    /// When it was wished for.
    pub since: Timestamp,
    /// Where it stands.
    pub state: WishState,
}

/// Where a wish stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WishState {
    /// The commit is not proven yet; or nothing can prove it, and a person is awaited.
    Waiting {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
    /// The deployment is being made.
    Creating {
        /// Not before this.
        not_before: Timestamp,
    },
    /// It was made.
    Created(DeploymentId),
    /// It will not be made.
    Refused {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
}

/// A deployment that is there.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// As last seen.
    pub snapshot: DeploymentSnapshot,
    /// The event that told of it, or one made up.
    pub event: Option<Arc<Event>>,
    /// When we first saw it; deployments wait in this order, then by id.
    pub seen_at: Timestamp,
    /// Where it stands.
    pub state: Carrying,
    /// What GitHub should show; nothing for one that we only look at.
    pub wanted: Option<ShownDeployment>,
    /// What GitHub last accepted.
    pub accepted: Option<ShownDeployment>,
    /// Why its state cannot be shown, where GitHub refused it for good.
    pub given_up: Option<Arc<str>>,
}

/// How far a deployment is carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carrying {
    /// It is not ours to carry out.
    Watched {
        /// Why not, in one sentence.
        reason: Arc<str>,
    },
    /// It waits for its environment.
    Waiting,
    /// It holds its environment, and its suite is being read or run.
    Started {
        /// The lock's token.
        token: Token,
        /// The run that decides, once it is known.
        run: Option<RunNumber>,
    },
    /// Over.
    Done,
}

impl DeployWish {
    /// Is it neither fulfilled nor refused?
    pub fn is_open(&self) -> bool {
        matches!(self.state, WishState::Waiting { .. } | WishState::Creating { .. })
    }
}

impl Deployment {
    /// Is there anything left to do about it?
    pub fn is_unsettled(&self) -> bool {
        matches!(self.state, Carrying::Waiting | Carrying::Started { .. }) || self.wanted != self.accepted
    }
}
