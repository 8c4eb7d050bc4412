//! The pieces that state is stored in: a step writes those that it changed, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{ConfigStanding, LastRight};
use crate::deployment::{DeployWish, Deployment, Environment};
use crate::event::{Permission, User, Verdicts};
use crate::fact::RepositoryRef;
use crate::id::{Context, DeploymentId, EffectKey, EnvironmentName, PullNumber, RefName, RunNumber, Sha, UserId};
use crate::item::Item;
use crate::pull::{Branch, Pull};
use crate::run::{Run, Suite, SuiteKey};
use crate::shown::ShownReport;
use crate::time::Timestamp;
use crate::timetable::Timetable;

/// Names one piece of a repository's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityKey {
    /// The repository itself.
    Meta,
    /// A person's permission.
    Person(UserId),
    /// A branch or tag.
    Branch(RefName),
    /// A pull request.
    Pull(PullNumber),
    /// A suite.
    Suite(SuiteKey),
    /// A run with its jobs.
    Run(RunNumber),
    /// A report.
    Report(Sha, Context),
    /// What others say of a commit.
    Verdict(Sha, Context),
    /// A tree that was tested green, and the commit that it was tested at.
    Proof(Sha),
    /// An environment.
    Environment(EnvironmentName),
    /// A wish for a deployment.
    Wish(EnvironmentName, Sha),
    /// A deployment.
    Deployment(DeploymentId),
    /// An effect that has not come to its end.
    Item(EffectKey),
}

/// One piece of a repository's state. It is shared with the state that it is a piece of, not copied out of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Entity {
    /// See [`EntityKey::Meta`].
    Meta(Meta),
    /// See [`EntityKey::Person`].
    Person(Arc<Person>),
    /// See [`EntityKey::Branch`].
    Branch(Arc<Branch>),
    /// See [`EntityKey::Pull`].
    Pull(Arc<Pull>),
    /// See [`EntityKey::Suite`].
    Suite(Arc<Suite>),
    /// See [`EntityKey::Run`].
    Run(Arc<Run>),
    /// See [`EntityKey::Report`].
    Report(Arc<Report>),
    /// See [`EntityKey::Verdict`].
    Verdict(Sha, Context, Verdicts),
    /// See [`EntityKey::Proof`].
    Proof(Proof),
    /// See [`EntityKey::Environment`].
    Environment(Arc<Environment>),
    /// See [`EntityKey::Wish`].
    Wish(Arc<DeployWish>),
    /// See [`EntityKey::Deployment`].
    Deployment(Arc<Deployment>),
    /// See [`EntityKey::Item`].
    Item(Arc<Item>),
}

/// What is known of the repository as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Its name.
    pub repository: RepositoryRef,
    /// The last run's number.
    pub last_run: u64,
    /// The last fencing token.
    pub last_token: u64,
    /// The last place in the outbox's order.
    pub last_place: u64,
    /// `github.run_number` of each workflow.
    pub run_numbers: BTreeMap<Arc<str>, u64>,
    /// What `.greenlight.yml` says.
    pub config: ConfigStanding,
    /// What it said when it was last right, while it is wrong.
    pub last_right: Option<Arc<LastRight>>,
    /// When GitHub was last compared with, by our clock.
    pub reconciled_at: Option<Timestamp>,
    /// Up to where pull requests were seen in a comparison, by GitHub's clock.
    pub pulls_seen: Option<Timestamp>,
    /// The boot id of the server that last started.
    pub boot: Option<Arc<str>>,
    /// Were the refs seen once? Until then a ref is not "new".
    pub refs_known: bool,
    /// What comes due by the clock.
    pub timetable: Arc<Timetable>,
}

/// What somebody may do here, and when that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub user: User,
    /// What they may do, as last read; nothing before the first time.
    pub permission: Option<Permission>,
    /// When it was read, by our clock.
    pub read_at: Timestamp,
    /// Since when it is being read anew: what is decided about somebody's deed waits for that.
    pub asked_at: Option<Timestamp>,
    /// Why it cannot be told, while it cannot.
    pub trouble: Option<Arc<str>>,
}

/// What is shown on a commit under one context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The commit.
    pub sha: Sha,
    /// The context.
    pub context: Context,
    /// What it should be.
    pub wanted: ShownReport,
    /// How late the attempt is that this is about: after an end, only a later attempt is pending again (I6).
    pub rank: u64,
    /// What GitHub last accepted.
    pub accepted: Option<ShownReport>,
    /// The check run's id.
    pub check_run: Option<u64>,
    /// How often it was written.
    pub writes: u32,
    /// When the end is to be compared once more with what GitHub shows (R10).
    pub compare_at: Option<Timestamp>,
    /// Why it is not written any more.
    pub given_up: Option<Arc<str>>,
}

impl Report {
    /// Is there anything left to send or to compare?
    pub fn is_unsettled(&self) -> bool {
        self.accepted.as_ref() != Some(&self.wanted) || self.compare_at.is_some()
    }
}

/// A tree that was tested green.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The tree.
    pub tree: Sha,
    /// The commit whose suite tested it: the test merge or the pushed commit.
    pub tested_at: Sha,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// What it is about ("run 12", "#3", "staging").
    pub about: Arc<str>,
    /// What happened and why, in one sentence.
    pub text: Arc<str>,
}

impl Entity {
    /// Returns the entity's name.
    pub fn key(&self) -> EntityKey {
        match self {
            Self::Meta(_) => EntityKey::Meta,
            Self::Person(person) => EntityKey::Person(person.user.id),
            Self::Branch(branch) => EntityKey::Branch(branch.name.clone()),
            Self::Pull(pull) => EntityKey::Pull(pull.snapshot.number),
            Self::Suite(suite) => EntityKey::Suite(suite.key.clone()),
            Self::Run(run) => EntityKey::Run(run.number),
            Self::Report(report) => EntityKey::Report(report.sha, report.context.clone()),
            Self::Verdict(sha, context, _) => EntityKey::Verdict(*sha, context.clone()),
            Self::Proof(proof) => EntityKey::Proof(proof.tree),
            Self::Environment(environment) => EntityKey::Environment(environment.name.clone()),
            Self::Wish(wish) => EntityKey::Wish(wish.environment.clone(), wish.sha),
            Self::Deployment(deployment) => EntityKey::Deployment(deployment.snapshot.id),
            Self::Item(item) => EntityKey::Item(item.key.clone()),
        }
    }
}
