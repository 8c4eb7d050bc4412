//! Suites, runs, jobs and their attempts.
//!
//! A *suite* is what one event on one subject asks to be run on one commit: GitHub's check suite, in our words. It reads the
//! workflow files and becomes *runs*, one for each workflow that the event triggers; a run has *jobs*; a job is tried by
//! leasing it to a runner.

use std::cmp::Ordering;
use std::sync::Arc;

pub use greenlight_workflow::ConcurrencyQueue;
use greenlight_workflow::{JobEnd, JobResult, Value};

use crate::event::{Event, Looked};
use crate::id::{Context, DeploymentId, JobKey, PullNumber, RefName, RunNumber, RunnerId, Sha, Token, UserId, compare};
use crate::time::{Duration, Timestamp};

/// How something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Conclusion {
    /// It succeeded.
    Success,
    /// Its filters or its condition said that it need not run.
    Skipped,
    /// It failed.
    Failure,
    /// It was stopped.
    Cancelled,
    /// It took too long.
    TimedOut,
    /// Its runner was lost; nobody knows how far it came.
    Lost,
}

impl Conclusion {
    /// Returns what it is to the jobs that need this one.
    pub fn result(self) -> JobResult {
        match self {
            Self::Success => JobResult::Success,
            Self::Skipped => JobResult::Skipped,
            Self::Cancelled => JobResult::Cancelled,
            Self::Failure | Self::TimedOut | Self::Lost => JobResult::Failure,
        }
    }

    /// Returns the word that pages, rows and programs read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Skipped => "skipped",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::Lost => "lost",
        }
    }

    /// Returns the conclusion of this word.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [Self::Success, Self::Skipped, Self::Failure, Self::Cancelled, Self::TimedOut, Self::Lost];
        all.into_iter().find(|conclusion| conclusion.as_str() == word)
    }

    /// Returns the word that `needs.X.result` uses.
    pub fn as_result(self) -> &'static str {
        self.result().as_str()
    }

    /// Is it green?
    pub fn is_green(self) -> bool {
        matches!(self, Self::Success | Self::Skipped)
    }
}

/// What tells two suites of one event and commit apart (design.md 3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A pull request against a base: opened, synchronize, reopened.
    Pull(PullNumber, RefName),
    /// Another activity on a pull request: its action and `updated_at`.
    PullAction(PullNumber, Arc<str>, Timestamp),
    /// A ref: push.
    Ref(RefName),
    /// A deployment.
    Deployment(DeploymentId),
    /// Anything else: an id and an action.
    Other(Arc<str>),
}

/// Names a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuiteKey {
    /// The commit that the results are shown on.
    pub head_sha: Sha,
    /// The event's name.
    pub event: Arc<str>,
    /// What it is about.
    pub subject: Subject,
}

impl Ord for SuiteKey {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.head_sha
            .cmp(&other.head_sha)
            .then_with(|| compare(&self.event, &other.event))
            .then_with(|| self.subject.cmp(&other.subject))
    }
}

impl PartialOrd for SuiteKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether a suite's code comes from somebody who may push anyway. Computed once (S1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The author's permission is being asked for.
    Asking,
    /// Head and base are one repository, and the author may push.
    Trusted,
    /// A fork, or an author without write permission.
    Untrusted,
}

/// Somebody with write permission said that this very head may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The suite's attempt.
    pub attempt: u32,
    /// The head.
    pub head_sha: Sha,
    /// Who.
    pub by: UserId,
}

/// One event on one subject at one commit, and what it asks to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// Its name.
    pub key: SuiteKey,
    /// Its attempt, from 1; a re-run or a retest after the base moved is the next.
    pub attempt: u32,
    /// How often it, or one of its runs, began anew: grows only.
    pub turns: u32,
    /// The event.
    pub event: Arc<Event>,
    /// `github.ref`.
    pub git_ref: RefName,
    /// Where the ref was before, for the changed paths of a push.
    pub before: Option<Sha>,
    /// Trust.
    pub trust: Trust,
    /// Whose permission decides about trust, where it does.
    pub author: Option<crate::event::User>,
    /// The approval, where one was given. It counts for its own attempt and head only.
    pub approval: Option<Approval>,
    /// Where it stands.
    pub phase: SuitePhase,
    /// The runs of this attempt.
    pub runs: Vec<RunNumber>,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// The workflow file that decides a deployment, where this suite carries one out: all others decide nothing.
    pub decides: Option<Arc<str>>,
    /// A workflow that stands in no file: the shell provider's.
    pub given: Option<(Arc<str>, Arc<str>)>,
}

/// Where a suite stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SuitePhase {
    /// The files are being read.
    Reading {
        /// Why that takes long, where it does.
        trouble: Option<Arc<str>>,
    },
    /// The runs are made.
    Planned(Planned),
    /// Nothing can run.
    Stopped {
        /// What it counts as.
        conclusion: Conclusion,
        /// Why, in one sentence.
        reason: Arc<str>,
    },
}

/// What a suite was planned on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// `github.sha`: the test merge for a pull request.
    pub sha: Sha,
    /// Its tree.
    pub tree: Sha,
    /// The base's tip that the test merge was built on.
    pub base_sha: Option<Sha>,
    /// Why nothing is to run, where nothing is.
    pub nothing: Option<Arc<str>>,
    /// What is wrong with the `.greenlight.yml` that this commit brings, in one sentence.
    pub config_problem: Option<Arc<str>>,
    /// All of it, each with its line and a caret.
    pub config_findings: Option<Arc<str>>,
}

/// One workflow on one suite.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its number.
    pub number: RunNumber,
    /// The suite.
    pub suite: SuiteKey,
    /// Its attempt, from 1: grows with each re-run, and with each new attempt of its suite.
    pub attempt: u32,
    /// The workflow file.
    pub workflow: Arc<str>,
    /// The workflow's name, as shown.
    pub name: Arc<str>,
    /// `github.run_number`: counts per workflow.
    pub run_number: u64,
    /// The file's text.
    pub source: Arc<str>,
    /// The files that its jobs call, and those call: the reference and the text.
    pub called: Vec<(Arc<str>, Arc<str>)>,
    /// At which commits those of other repositories were found, or why not.
    pub elsewhere: Vec<(Arc<str>, Looked)>,
    /// `github.sha`: what is checked out.
    pub sha: Sha,
    /// The jobs, in the file's order, matrix legs one after the other.
    pub jobs: Vec<Job>,
    /// Where it stands.
    pub state: RunState,
    /// Why it stands so, in one sentence.
    pub reason: Arc<str>,
    /// Was it asked to stop? By whom or why.
    pub cancelled: Option<Arc<str>>,
    /// Its concurrency group.
    pub concurrency: Option<Concurrency>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The deployment that this run decides.
    pub deployment: Option<DeploymentId>,
    /// What is wrong with the file, rendered with its carets, where it cannot be read.
    pub problem: Option<Arc<str>>,
}

/// A concurrency group, evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// The group, lower case.
    pub group: Arc<str>,
    /// Does a newer one stop the running one?
    pub cancel_in_progress: bool,
    /// How many may wait.
    pub queue: ConcurrencyQueue,
}

/// A job's place in a concurrency group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The group.
    pub concurrency: Concurrency,
    /// Since when it asks for its turn.
    pub since: Timestamp,
}

/// The workflow that a job calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which of the run's files.
    pub file: Arc<str>,
    /// What it is handed over; nothing until the job may start, which makes the called workflow's jobs.
    pub inputs: Option<Value>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Jobs wait or run.
    Active,
    /// Over. Nothing leads out of here; trying again is a new run attempt.
    Completed {
        /// How.
        conclusion: Conclusion,
        /// When.
        at: Timestamp,
    },
}

/// One job of a run; with a matrix, one leg.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its key within the run.
    pub key: JobKey,
    /// The job that calls the workflow in which this one stands; nothing where it stands in the run's own file.
    pub caller: Option<JobKey>,
    /// The job's id in its workflow.
    pub job_id: Arc<str>,
    /// What it calls, where it does not run steps itself.
    pub call: Option<Call>,
    /// Its place in a concurrency group, once it asked for one.
    pub turn: Option<Turn>,
    /// Its name, as shown.
    pub name: Arc<str>,
    /// The context that it is shown under; nothing where it is not shown (a deployment's).
    pub context: Context,
    /// The matrix values, or null.
    pub matrix: Value,
    /// Which leg of how many.
    pub leg: (u32, u32),
    /// Are the legs known? A matrix made from `needs` is known only when they are done.
    pub expanded: bool,
    /// The ids of the jobs that it waits for.
    pub needs: Vec<Arc<str>>,
    /// What it asks of a runner, lower case.
    pub labels: Arc<[Arc<str>]>,
    /// How long it may take.
    pub timeout: Duration,
    /// Does its failure count?
    pub continue_on_error: bool,
    /// Does the failure of one leg stop the others?
    pub fail_fast: bool,
    /// How many legs may run side by side.
    pub max_parallel: Option<u32>,
    /// Where it stands.
    pub state: JobState,
    /// The attempt of its run in which it ran last: an older one where it was kept.
    pub attempt: u32,
    /// Which try this is, from 1.
    pub tried: u32,
    /// Is it to be stopped, and why?
    pub cancelled: Option<Arc<str>>,
    /// Its outputs.
    pub outputs: Vec<(Arc<str>, Arc<str>)>,
    /// The address of what it deployed.
    pub environment_url: Option<Arc<str>>,
}

/// Where one attempt at a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its `needs` are not over, or its concurrency group is taken.
    Waiting,
    /// Waiting for a runner. The oldest `since` goes first.
    Queued {
        /// Since when.
        since: Timestamp,
    },
    /// Promised to one runner, and to nobody else until the lease runs out.
    Leased(Lease),
    /// Over. Nothing leads out of here; trying again is a new attempt.
    Completed {
        /// How.
        conclusion: Conclusion,
        /// When.
        at: Timestamp,
        /// Why, in one sentence.
        reason: Arc<str>,
        /// When its first step began, where one did.
        started_at: Option<Timestamp>,
    },
}

/// A runner's hold on a job attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub runner: RunnerId,
    /// The server's boot id, for a runner that dies with its server.
    pub boot: Option<Arc<str>>,
    /// The fencing token.
    pub token: Token,
    /// How long a heartbeat renews it.
    pub length: Duration,
    /// Until when.
    pub until: Timestamp,
    /// Since when.
    pub since: Timestamp,
    /// When the first step began.
    pub started_at: Option<Timestamp>,
}

impl Suite {
    /// Returns a suite whose files are to be read.
    pub fn new(
        key: SuiteKey,
        event: Arc<Event>,
        git_ref: RefName,
        trust: Trust,
        author: Option<crate::event::User>,
        now: Timestamp,
    ) -> Self {
        Self {
            key,
            attempt: 1,
            turns: 1,
            event,
            git_ref,
            before: None,
            trust,
            author,
            approval: None,
            phase: SuitePhase::Reading { trouble: None },
            runs: Vec::new(),
            requested_at: now,
            decides: None,
            given: None,
        }
    }

    /// May its jobs be handed out? The one door (S1): trusted, or approved for exactly this attempt and head.
    pub fn may_run(&self) -> bool {
        match self.trust {
            Trust::Trusted => true,
            Trust::Asking => false,
            Trust::Untrusted => self
                .approval
                .as_ref()
                .is_some_and(|approval| approval.attempt == self.attempt && approval.head_sha == self.key.head_sha),
        }
    }

    /// Returns the pull request that it is about.
    pub fn pull(&self) -> Option<PullNumber> {
        match self.key.subject {
            Subject::Pull(number, _) | Subject::PullAction(number, _, _) => Some(number),
            _ => None,
        }
    }

    /// Returns the deployment that it is about.
    pub fn deployment(&self) -> Option<DeploymentId> {
        match self.key.subject {
            Subject::Deployment(id) => Some(id),
            _ => None,
        }
    }

    /// Returns what it was planned on.
    pub fn planned(&self) -> Option<&Planned> {
        match &self.phase {
            SuitePhase::Planned(planned) => Some(planned),
            _ => None,
        }
    }
}

impl Run {
    /// Returns how it ended.
    pub fn conclusion(&self) -> Option<Conclusion> {
        match self.state {
            RunState::Active => None,
            RunState::Completed { conclusion, .. } => Some(conclusion),
        }
    }

    /// Is it over?
    pub fn is_over(&self) -> bool {
        matches!(self.state, RunState::Completed { .. })
    }

    /// Returns the job of this key.
    pub fn job(&self, key: &JobKey) -> Option<&Job> {
        self.jobs.iter().find(|job| job.key == *key)
    }

    /// Returns the jobs of one level: those of the run's own file, or those of the workflow that a job calls.
    pub fn level<'a>(&'a self, caller: Option<&'a JobKey>) -> impl Iterator<Item = &'a Job> {
        self.jobs.iter().filter(move |job| job.caller.as_ref() == caller)
    }

    /// Returns the jobs of this id beside another: the legs of a matrix.
    pub fn legs<'a>(&'a self, beside: &'a Job, id: &'a str) -> impl Iterator<Item = &'a Job> {
        self.level(beside.caller.as_ref()).filter(move |job| *job.job_id == *id)
    }

    /// Returns `needs.X.result` of a job of one level: the worst of its legs.
    pub fn result_of(&self, caller: Option<&JobKey>, id: &str) -> JobResult {
        JobResult::worst(self.level(caller).filter(|job| &*job.job_id == id).filter_map(Job::result))
    }

    /// Returns the results and the outputs of jobs of one level: the `needs` context of a job, the `jobs` context of a call.
    pub fn results<'a>(&self, caller: Option<&JobKey>, ids: impl Iterator<Item = &'a Arc<str>>) -> Value {
        let end = |id: &'a Arc<str>| {
            let legs = self.level(caller).filter(|job| job.job_id == *id);
            let ends = legs.filter_map(|job| Some(JobEnd { result: job.result()?, outputs: job.outputs.clone() }));
            (&**id, JobEnd::of_variants(&ends.collect::<Vec<_>>()))
        };
        let ends: Vec<(&str, JobEnd)> = ids.map(end).collect();
        JobEnd::context(ends.iter().map(|(id, end)| (*id, end)))
    }

    /// Returns what came of looking for a called file of another repository.
    pub fn looked(&self, file: &str) -> Option<&Looked> {
        self.elsewhere.iter().find(|(known, _)| **known == *file).map(|(_, looked)| looked)
    }

    /// Returns the text of a file that one of its jobs calls.
    pub fn called_text(&self, file: &str) -> Option<&Arc<str>> {
        self.called.iter().find(|(known, _)| **known == *file).map(|(_, text)| text)
    }

    /// Returns the job of this key, to be changed.
    pub fn job_mut(&mut self, key: &JobKey) -> Option<&mut Job> {
        self.jobs.iter_mut().find(|job| job.key == *key)
    }
}

impl Job {
    /// Returns how it ended.
    pub fn conclusion(&self) -> Option<Conclusion> {
        match self.state {
            JobState::Completed { conclusion, .. } => Some(conclusion),
            _ => None,
        }
    }

    /// Returns what it is to those that need it, once it is over: a failure that may be is a success.
    pub fn result(&self) -> Option<JobResult> {
        let result = self.conclusion()?.result();
        Some(if self.continue_on_error && result == JobResult::Failure { JobResult::Success } else { result })
    }

    /// Is it over?
    pub fn is_over(&self) -> bool {
        matches!(self.state, JobState::Completed { .. })
    }

    /// Does it stand for the jobs of a workflow that it called? Then those are what people and GitHub look at.
    pub fn is_open_call(&self) -> bool {
        self.call.as_ref().is_some_and(|call| call.inputs.is_some())
    }

    /// Is it handed out, or about to be?
    pub fn has_begun(&self) -> bool {
        match self.state {
            JobState::Queued { .. } | JobState::Leased(_) => true,
            JobState::Waiting => self.is_open_call(),
            JobState::Completed { .. } => false,
        }
    }

    /// Returns the lease, where a runner has it.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.state {
            JobState::Leased(lease) => Some(lease),
            _ => None,
        }
    }
}
