//! What is to be done outside, how it came out, and the words that an effect carries.

use std::sync::Arc;

pub use greenlight_workflow::{Object, Value};

use crate::event::{
    BranchRules, Comment, CommitFiles, DeploymentSnapshot, DeploymentState, Permission, Review, TestMerge, User,
    Verdicts,
};
use crate::fact::{PullFact, PushFact, RepositoryRef};
use crate::id::{
    AttemptId, CommentId, Context, DeploymentId, EffectKey, EnvironmentName, JobKey, PullNumber, RefName, RoomName,
    RunNumber, Sha, Token,
};
use crate::run::Conclusion;
use crate::shown::{ShownDeployment, ShownReport};
use crate::time::{Duration, Timestamp};

/// Something that is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    // git
    /// Build or fetch the pull request's test merge on this very base, and read its files.
    PrepareMerge {
        /// The pull request.
        pull: PullNumber,
        /// Its head.
        head_sha: Sha,
        /// The base branch; its tip is read when the effect is carried out.
        base_ref: RefName,
    },
    /// Read a commit's files and what changed since `before`.
    ReadCommit {
        /// The commit.
        sha: Sha,
        /// The ref that it was seen on, where one is known: what to fetch.
        git_ref: Option<RefName>,
        /// Where the ref was; nothing or zero for a new one.
        before: Option<Sha>,
    },

    // GitHub: reading
    /// Read what this person may do here.
    ReadPermission(User),
    /// Read a pull request with its reviews, the base's tip and its rules, and what others say of the head.
    ReadPull(PullNumber),
    /// Read everything that webhooks would have told (R5).
    Reconcile {
        /// Pull requests that we believe open: one that is not any more is read by itself.
        known_open: Vec<PullNumber>,
        /// Deployments that we believe unfinished or that are younger than this.
        since: Timestamp,
        /// Up to where the pull requests were seen, by GitHub's clock: what was merged since then is wanted, too, whether we
        /// ever heard of it or not. Nothing before the first time: then only what is open is of interest.
        pulls_since: Option<Timestamp>,
    },

    // GitHub: writing
    /// Show a report on a commit, as a status or as a check run.
    Show {
        /// The commit.
        sha: Sha,
        /// The context.
        context: Context,
        /// What to show.
        report: ShownReport,
        /// The check run's id, where it is one and was made before.
        check_run: Option<u64>,
    },
    /// Write the one comment of this key on a pull request, or change it.
    Comment {
        /// The pull request.
        pull: PullNumber,
        /// Which comment: the text is found again by this mark.
        mark: Arc<str>,
        /// The text.
        body: Arc<str>,
        /// The comment's id, where it was made before.
        id: Option<CommentId>,
    },
    /// Merge a pull request, if its head is still this.
    Merge {
        /// The pull request.
        pull: PullNumber,
        /// The head that was tested: the guard.
        head_sha: Sha,
        /// The base branch.
        base_ref: RefName,
        /// How.
        method: MergeMethod,
    },
    /// Make a deployment.
    CreateDeployment {
        /// The commit.
        sha: Sha,
        /// Where to.
        environment: EnvironmentName,
        /// One sentence.
        description: Arc<str>,
        /// Is the environment production?
        production: bool,
    },
    /// Show a deployment's state.
    ShowDeployment {
        /// Which.
        id: DeploymentId,
        /// What to show.
        shown: ShownDeployment,
    },

    // rooms
    /// Tell a room.
    Tell {
        /// Which.
        room: RoomName,
        /// What.
        message: Arc<str>,
    },
}

/// Who carries an effect out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The mirrors.
    Git,
    /// GitHub's API, reading.
    GitHubRead,
    /// GitHub's API, writing: passes the token bucket.
    GitHubWrite,
    /// A room.
    Room,
}

impl Effect {
    /// Returns who carries this out.
    pub fn target(&self) -> Target {
        match self {
            Self::PrepareMerge { .. } | Self::ReadCommit { .. } => Target::Git,
            Self::ReadPermission(_) | Self::ReadPull(_) | Self::Reconcile { .. } => Target::GitHubRead,
            Self::Show { .. }
            | Self::Comment { .. }
            | Self::Merge { .. }
            | Self::CreateDeployment { .. }
            | Self::ShowDeployment { .. } => Target::GitHubWrite,
            Self::Tell { .. } => Target::Room,
        }
    }

    /// Returns a short name for logs and counters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PrepareMerge { .. } => "prepare-merge",
            Self::ReadCommit { .. } => "read-commit",
            Self::ReadPermission(_) => "read-permission",
            Self::ReadPull(_) => "read-pull",
            Self::Reconcile { .. } => "reconcile",
            Self::Show { .. } => "show",
            Self::Comment { .. } => "comment",
            Self::Merge { .. } => "merge",
            Self::CreateDeployment { .. } => "create-deployment",
            Self::ShowDeployment { .. } => "show-deployment",
            Self::Tell { .. } => "tell",
        }
    }
}

/// How a pull request is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MergeMethod {
    /// A merge commit.
    #[default]
    Merge,
    /// One commit.
    Squash,
    /// The commits again, on the base.
    Rebase,
}

impl MergeMethod {
    /// Returns GitHub's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Squash => "squash",
            Self::Rebase => "rebase",
        }
    }
}

/// An effect that is to be carried out now.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispatch {
    /// The effect's key. GitHub is shown it where it has room for one (`external_id`, the payload, a mark), so that the effect is found again.
    pub key: EffectKey,
    /// What to do.
    pub effect: Effect,
    /// Which try this is, from 1.
    pub tried: u32,
    /// May an earlier try have taken effect? Then the world is read first (R15), and where it is done already, that is the answer.
    pub confirm: bool,
}

/// What became of one try of an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It took effect, now or at an earlier try.
    Done(Answer),
    /// It did not and never will: by name.
    Refused(Refusal),
    /// It did not take effect, and may later.
    Later {
        /// Not before this, where the other side said so.
        not_before: Option<Timestamp>,
        /// Why, in one sentence.
        reason: Arc<str>,
    },
    /// Nobody knows whether it took effect: a timeout, a lost answer, a 5xx.
    Unknown {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
}

/// Why an effect was refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The commit, pull request or repository is not there (any more).
    Gone(Arc<str>),
    /// We may not do that. What GitHub forbids begins with [`FORBIDDEN`].
    Forbidden(Arc<str>),
    /// The pull request conflicts with its base.
    Conflict {
        /// The base's tip that it conflicts with.
        base_sha: Sha,
    },
    /// The head moved; the guard held.
    HeadMoved,
    /// The base moved, or a required check is awaited: passing, to be read again.
    NotYet(Arc<str>),
    /// GitHub shows no more statuses for this commit and context.
    StatusLimit,
    /// Anything else, in the other side's words.
    Other(Arc<str>),
}

/// How the reason begins where GitHub does not let us do something. Of what was given up no more is stored than the reason, and by this one it is
/// known that it may be tried again: after a restart as well, and where an older version gave it up.
pub const FORBIDDEN: &str = "GitHub forbids";

/// Was something given up because we may not do it? Whoever gives the permission back tells nobody.
pub fn is_forbidden(given_up: Option<&Arc<str>>) -> bool {
    given_up.is_some_and(|reason| reason.starts_with(FORBIDDEN))
}

impl Refusal {
    /// Returns the reason as a clause of a sentence.
    pub fn reason(&self) -> Arc<str> {
        match self {
            Self::Gone(text) | Self::Forbidden(text) | Self::NotYet(text) | Self::Other(text) => text.clone(),
            Self::Conflict { .. } => "it conflicts with its base".into(),
            Self::HeadMoved => "its head was pushed to meanwhile".into(),
            Self::StatusLimit => "GitHub takes no more statuses for this commit and context".into(),
        }
    }
}

/// What an effect brought back.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Nothing but that it is done.
    Nothing,
    /// The test merge.
    TestMerge(Box<TestMerge>),
    /// The commit's files.
    Commit(Box<CommitFiles>),
    /// What the person may do.
    Permission(Permission),
    /// The pull request, freshly read.
    Pull(Box<PullRead>),
    /// Everything that webhooks would have told.
    Reconciled(Box<Reconciled>),
    /// The check run's id.
    CheckRun(u64),
    /// The comment's id.
    Comment(CommentId),
    /// What landed.
    Merged {
        /// The commit on the base branch.
        sha: Sha,
        /// Its tree, for the comparison with the tested one (R1).
        tree: Sha,
    },
    /// The deployment that was made, or found to have been made.
    Deployment(Box<DeploymentSnapshot>),
    /// No deployment was made: GitHub merged the default branch first (202). Ask again.
    AutoMerged,
}

/// A pull request, freshly read with what a merge depends on.
#[derive(Clone, Debug, PartialEq)]
pub struct PullRead {
    /// The pull request.
    pub fact: PullFact,
    /// The base branch's tip.
    pub base_tip: Sha,
    /// All its reviews, oldest first.
    pub reviews: Vec<Review>,
    /// The rules of the base branch; nothing where the token may not read them.
    pub rules: Option<BranchRules>,
    /// What others say of the head.
    pub verdicts: Vec<(Context, Verdicts)>,
}

/// What GitHub's own state is, in the parts that webhooks tell of.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconciled {
    /// The repository.
    pub repository: RepositoryRef,
    /// The open pull requests, those that we believed open and that are not, and those that were merged since the time asked for.
    pub pulls: Vec<PullFact>,
    /// When any pull request was last changed, by GitHub's clock: up to there they were seen.
    pub pulls_until: Option<Timestamp>,
    /// The reviews of the open ones.
    pub reviews: Vec<(PullNumber, Review)>,
    /// The comments of the open ones that begin with a slash.
    pub comments: Vec<Comment>,
    /// Every branch and tag with its tip, as an event made up for each.
    pub refs: Vec<PushFact>,
    /// Deployments since the time asked for, with their latest state.
    pub deployments: Vec<DeploymentSnapshot>,
}

/// All that a runner needs to know to do one job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobOrder {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease. Every report carries it.
    pub token: Token,
    /// "owner/name".
    pub repository: Arc<str>,
    /// The workflow file's path.
    pub workflow_path: Arc<str>,
    /// The workflow file's text at the run's commit.
    pub workflow_text: Arc<str>,
    /// The jobs that call the workflow in which this one stands, the outermost first.
    pub callers: Vec<Caller>,
    /// The job's id within the workflow.
    pub job_id: Arc<str>,
    /// The job's name, as shown.
    pub job_name: Arc<str>,
    /// The matrix values, or null.
    pub matrix: Value,
    /// `strategy`: fail-fast, job-index, job-total, max-parallel.
    pub strategy: Value,
    /// The `github` context.
    pub github: Value,
    /// The `needs` context.
    pub needs: Value,
    /// The `inputs` context.
    pub inputs: Value,
    /// Variables that are set on top of the workflow's own (`DEPLOY_ENV`, …).
    pub env: Vec<(Arc<str>, Arc<str>)>,
    /// What a checkout without inputs gives.
    pub checkout: Checkout,
    /// How long the job may take.
    pub timeout: Duration,
    /// May the job have secrets and a write token? An untrusted run never has (S1).
    pub trusted: bool,
}

impl JobOrder {
    /// Does the job carry out a deployment? Then nobody else's may run beside it.
    pub fn deploys(&self) -> bool {
        self.env.iter().any(|(name, _)| &**name == DEPLOYMENT_ID)
    }
}

/// The variable that names a job its deployment.
pub(crate) const DEPLOYMENT_ID: &str = "DEPLOYMENT_ID";

/// A job that calls a workflow, as far as it decides which secrets the called one has. What they are is not known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// The path of the file in which it stands.
    pub workflow_path: Arc<str>,
    /// The file's text.
    pub workflow_text: Arc<str>,
    /// The job's id within it.
    pub job_id: Arc<str>,
    /// Its `matrix` context.
    pub matrix: Value,
    /// Its `strategy` context.
    pub strategy: Value,
    /// Its `needs` context.
    pub needs: Value,
    /// Its `inputs` context.
    pub inputs: Value,
}

/// What a checkout gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The commit.
    pub sha: Sha,
    /// The ref that it is checked out as.
    pub git_ref: RefName,
}

/// What a runner tells of its job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobReport {
    /// The first step is about to run.
    Started,
    /// It is alive; the lease is renewed.
    Alive,
    /// Its runner was started again without it; nobody knows how far it came.
    Lost,
    /// It is over.
    Ended(JobEnd),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub struct JobEnd {
    /// How.
    pub conclusion: Conclusion,
    /// Why, in one sentence ("step 'Run make test' failed with exit code 2").
    pub reason: Arc<str>,
    /// The job's outputs.
    pub outputs: Vec<(Arc<str>, Arc<str>)>,
    /// `environment.url`, or `environment_url` among a step's outputs.
    pub environment_url: Option<Arc<str>>,
}

/// What a fact that asked for something is answered with, after the commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The job is yours.
    Leased(Box<JobOrder>),
    /// Nothing to do.
    NoJob,
    /// Taken in. The lease lasts until then; stop, if `cancelled`.
    Heard {
        /// Is the job to be stopped?
        cancelled: bool,
    },
    /// This lease is not valid (any more): stop, and say nothing further (I10).
    NotYours,
    /// The wish was taken in.
    Granted(Arc<str>),
    /// The wish was refused, and why.
    Denied(Arc<str>),
}

/// Names a job for messages: run and job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobRef {
    /// The run.
    pub run: RunNumber,
    /// The job.
    pub job: JobKey,
}

/// Shown for a deployment's end.
pub const DEPLOYMENT_UNKNOWN: (DeploymentState, &str) = (DeploymentState::Error, "outcome unknown");
