//! What GitHub told us of things, in our words: people, pull requests, deployments as they stood when they were seen.
//!
//! Snapshots come from webhooks and from reading GitHub's API alike, so that a missed delivery changes nothing but the time.

use std::sync::Arc;

use crate::id::{
    CommentId, DeploymentId, EffectKey, EnvironmentName, PullNumber, RefName, RepoId, ReviewId, Sha, UserId,
};
use crate::time::Timestamp;

/// A person, an App's bot or an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who it is (S2): logins change.
    pub id: UserId,
    /// What they are called at the moment.
    pub login: Arc<str>,
}

/// What a person may do in a repository, as GitHub answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing.
    None,
    /// Read (and triage).
    Read,
    /// Push (and maintain).
    Write,
    /// Everything.
    Admin,
}

impl Permission {
    /// May this person push?
    pub fn can_write(self) -> bool {
        self >= Self::Write
    }
}

/// A webhook's event, kept whole for the workflows that it starts (`github.event`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// GitHub's name ("pull_request").
    pub name: Arc<str>,
    /// The activity type ("opened"), where the event has one.
    pub action: Option<Arc<str>>,
    /// The payload, as JSON. Opaque here; the language reads it when a job wants it.
    pub payload: Arc<str>,
    /// Who did it.
    pub sender: User,
}

/// Whether a pull request is open, and how it ended where it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullStanding {
    /// Open.
    Open,
    /// Closed without a merge.
    Closed,
    /// Merged.
    Merged {
        /// What landed on the base. GitHub may tell it late.
        commit: Option<Sha>,
    },
}

/// A pull request as GitHub showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSnapshot {
    /// Its number.
    pub number: PullNumber,
    /// Its title.
    pub title: Arc<str>,
    /// Open, closed or merged.
    pub standing: PullStanding,
    /// Is it a draft?
    pub draft: bool,
    /// The head commit.
    pub head_sha: Sha,
    /// The head branch's name.
    pub head_ref: Arc<str>,
    /// The head's repository; nothing where it was deleted.
    pub head_repo: Option<RepoId>,
    /// The base branch.
    pub base_ref: RefName,
    /// The base's tip as this snapshot says, which may be old.
    pub base_sha: Sha,
    /// Who opened it.
    pub author: User,
    /// GitHub's `updated_at` (a whole second). Orders snapshots of one pull request.
    pub updated_at: Timestamp,
    /// When the head was pushed, where a read told; otherwise when its repository was last pushed to, where GitHub said so. The
    /// head is not younger than this.
    pub head_pushed_at: Option<Timestamp>,
}

/// A review, as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Its id.
    pub id: ReviewId,
    /// Whose it is.
    pub user: User,
    /// What it says.
    pub verdict: Verdict,
    /// The commit that was looked at.
    pub commit: Option<Sha>,
}

/// What a review says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Approved.
    Approved,
    /// Changes were asked for.
    ChangesRequested,
    /// Only a comment, or one that is still being written.
    Commented,
    /// Taken back.
    Dismissed,
}

/// A comment on a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its id.
    pub id: CommentId,
    /// The pull request.
    pub pull: PullNumber,
    /// Who wrote it.
    pub author: User,
    /// The text.
    pub body: Arc<str>,
    /// When it was written, by GitHub's clock.
    pub created_at: Timestamp,
}

/// The state of a deployment, in GitHub's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeploymentState {
    /// Nothing said yet, or `pending`.
    Pending,
    /// It waits its turn.
    Queued,
    /// It is being carried out.
    InProgress,
    /// It is live.
    Success,
    /// It was tried and did not work.
    Failure,
    /// It could not be tried, or nobody knows how it ended.
    Error,
    /// A later one took its place.
    Inactive,
}

impl DeploymentState {
    /// Is nothing more to come?
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failure | Self::Error | Self::Inactive)
    }
}

/// Who made a deployment, as far as it matters for carrying it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentMaker {
    /// Anybody: a person, a script, a bot, ourselves.
    Anyone,
    /// Hosted Actions (`github-actions[bot]`): shown, never carried out.
    Actions,
}

/// A deployment as GitHub showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentSnapshot {
    /// Its id.
    pub id: DeploymentId,
    /// The commit.
    pub sha: Sha,
    /// The ref that it was asked for with.
    pub git_ref: Arc<str>,
    /// "deploy", mostly.
    pub task: Arc<str>,
    /// Where to.
    pub environment: EnvironmentName,
    /// The payload, as JSON text, whether it came as an object or as text.
    pub payload: Arc<str>,
    /// The key of our own effect that made it, read from the payload.
    pub key: Option<EffectKey>,
    /// Who made it.
    pub creator: User,
    /// Hosted Actions, or anyone.
    pub maker: DeploymentMaker,
    /// Its latest state, where it was read.
    pub state: Option<DeploymentState>,
}

/// What somebody else's status or check run says of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdicts {
    /// Not over.
    Pending,
    /// An explicit success.
    Success,
    /// Over, and anything but a success: failed, skipped, neutral, cancelled (R4).
    NotSuccess,
}

/// What a branch's protection and rules ask for, where they could be read.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BranchRules {
    /// Contexts that must be a success.
    pub required: Vec<crate::id::Context>,
    /// How many approving reviews.
    pub approvals: u32,
}

/// What came of looking for a called file of another repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// Its ref meant this commit.
    At(Sha),
    /// It is not to be had, and why.
    Missing(Arc<str>),
}

/// Returns the text that stands for a file which could not be had, and says why.
pub use greenlight_workflow::yaml::unread;

/// The files of a commit that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitFiles {
    /// The commit that was read.
    pub sha: Sha,
    /// Its tree: two commits with the same tree have the same files.
    pub tree: Sha,
    /// The commit's message.
    pub message: Arc<str>,
    /// The workflow files: path and text, in order of their paths.
    pub workflows: Vec<(Arc<str>, Arc<str>)>,
    /// Files that workflows call and that are not among them: the reference as it is written, and the text.
    pub called: Vec<(Arc<str>, Arc<str>)>,
    /// What came of looking for those of other repositories.
    pub elsewhere: Vec<(Arc<str>, Looked)>,
    /// `.greenlight.yml` or `.greenlight.yaml`: path and text.
    pub config: Option<(Arc<str>, Arc<str>)>,
    /// Is there an executable `script/cibuild`?
    pub cibuild: bool,
    /// The paths that changed; nothing where they could not be told or are too many: then every path filter matches.
    pub changed_paths: Option<Vec<String>>,
}

/// A test merge: what the base would be if the pull request landed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestMerge {
    /// The base's tip that it was built on.
    pub base_sha: Sha,
    /// The merge commit's files; `files.sha` is the merge commit, `files.tree` what would land.
    pub files: CommitFiles,
}
