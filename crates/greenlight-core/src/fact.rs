//! What happened. A fact has already happened: taking it in cannot fail, and taking it in twice changes nothing.

use std::sync::Arc;

use crate::effect::{JobReport, Outcome};
use crate::event::{Comment, DeploymentSnapshot, Event, PullSnapshot, Review, User, Verdicts};
use crate::id::{
    AttemptId, Context, EffectKey, EnvironmentName, JobKey, PullNumber, RefName, RepoId, RunNumber, RunnerId, Sha,
    Token,
};
use crate::time::{Duration, Timestamp};

/// A repository's name and id, as GitHub gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRef {
    /// Who it is.
    pub id: RepoId,
    /// "owner/name".
    pub full_name: Arc<str>,
    /// The default branch's name.
    pub default_branch: Arc<str>,
}

/// Something that happened to one repository.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// The repository was seen, perhaps under a new name or with another default branch.
    Repository(RepositoryRef),
    /// A pull request was seen: opened, pushed to, closed, edited, …
    Pull(PullFact),
    /// A branch or tag was created, moved or deleted.
    Push(PushFact),
    /// Somebody wrote a comment on a pull request.
    Comment(Comment),
    /// Somebody reviewed a pull request.
    Review {
        /// The pull request.
        pull: PullNumber,
        /// What they said.
        review: Review,
    },
    /// A deployment was seen.
    Deployment {
        /// As it stood.
        deployment: DeploymentSnapshot,
        /// The event that told of it; nothing where GitHub was read.
        event: Option<Arc<Event>>,
    },
    /// Somebody's status or check run was seen. Our own are seen too, and do not matter.
    Verdict {
        /// The commit.
        sha: Sha,
        /// The status's context or the check run's name.
        context: Context,
        /// What it says.
        verdict: Verdicts,
    },
    /// Any other event that a workflow may be waiting for (`on: create`, `on: issue_comment`, …).
    Event {
        /// What tells two events of this name apart (design.md 3): an id and an action.
        subject: Arc<str>,
        /// The ref that the workflow runs on; the default branch where GitHub does it so.
        git_ref: Option<RefName>,
        /// The commit, where the event names one.
        sha: Option<Sha>,
        /// The event.
        event: Arc<Event>,
    },
    /// An effect came to an end, or did not.
    Outcome {
        /// Which.
        effect: EffectKey,
        /// What became of it.
        outcome: Outcome,
    },
    /// A runner asks for a job.
    LeaseAsked(LeaseAsked),
    /// A runner tells how its job goes.
    Reported {
        /// The job attempt.
        attempt: AttemptId,
        /// The lease under which it speaks (I10).
        token: Token,
        /// What it tells.
        report: JobReport,
    },
    /// A server started, or its store works again: leases of its built-in runner under an older boot id are over, all others count
    /// from now on.
    Booted {
        /// Its boot id.
        boot: Arc<str>,
    },
    /// Runners came or went: these are the labels that there are.
    Labels(Arc<[Arc<str>]>),
    /// Somebody clicked, or typed a verb.
    Click(Click),
}

/// A pull request was seen.
#[derive(Clone, Debug, PartialEq)]
pub struct PullFact {
    /// As it stood.
    pub pull: PullSnapshot,
    /// The event: a webhook's, or one made up from what was read.
    pub event: Arc<Event>,
    /// Where it comes from.
    pub source: Source,
}

/// Where a snapshot comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A webhook, which tells of a change.
    Webhook,
    /// A read of GitHub, which tells of a state.
    Read,
}

/// A branch or tag moved.
#[derive(Clone, Debug, PartialEq)]
pub struct PushFact {
    /// The full ref.
    pub git_ref: RefName,
    /// Where it was; zero for a new ref.
    pub before: Sha,
    /// Where it is; zero for a deleted ref.
    pub after: Sha,
    /// When, by GitHub's clock (the repository's `pushed_at`, a whole second).
    pub pushed_at: Timestamp,
    /// The event: a webhook's, or one made up from what was read.
    pub event: Arc<Event>,
    /// Where it comes from.
    pub source: Source,
}

/// A runner asks for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseAsked {
    /// Who asks.
    pub runner: RunnerId,
    /// The boot id of the server that the runner lives and dies with; nothing for a runner of its own.
    pub boot: Option<Arc<str>>,
    /// What the runner can do (`runs-on`), lower case.
    pub labels: Arc<[Arc<str>]>,
    /// How long the lease lasts without a heartbeat.
    pub length: Duration,
}

/// Somebody clicked on a page, or typed a verb.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    /// Who, as it is to be written down.
    pub by: Arc<str>,
    /// What for.
    pub wish: Wish,
}

/// What somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Run this again, or a part of it.
    Rerun(RunNumber, Again),
    /// Stop this run.
    Cancel(RunNumber),
    /// Let an untrusted run start: exactly this run at its present attempt and head.
    Approve(RunNumber),
    /// Free the environment's lock.
    Unlock(EnvironmentName),
    /// Merge again after a halt.
    ResumeMerging(RefName),
    /// Compare with GitHub now (R23).
    Sync,
}

/// What of a run is to run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// All its jobs.
    All,
    /// The jobs that did not succeed, and what needs them.
    Failed,
    /// This job, and what needs it.
    Job(JobKey),
}

/// A comment's command, and the person behind it, as the command language reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The comment.
    pub comment: Comment,
    /// Who asks.
    pub by: User,
}
