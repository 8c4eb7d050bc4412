//! What is to be looked at again: topics, and the order of their kinds.

use std::collections::BTreeSet;

use crate::id::{Context, DeploymentId, EnvironmentName, PullNumber, RefName, RunNumber, Sha, UserId};
use crate::run::SuiteKey;

/// Something that a rule looks at as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// The comparison with GitHub, and the configuration.
    Repository,
    /// A person's permission.
    Person(UserId),
    /// A pull request.
    Pull(PullNumber),
    /// A suite.
    Suite(SuiteKey),
    /// A run.
    Run(RunNumber),
    /// What is to be shown on a commit as a whole.
    Commit(Sha),
    /// One report.
    Report(Sha, Context),
    /// Merging into a branch.
    Branch(RefName),
    /// A wish for a deployment.
    Wish(EnvironmentName, Sha),
    /// An environment's turn.
    Environment(EnvironmentName),
    /// A deployment.
    Deployment(DeploymentId),
}

/// Topics that are to be settled: a set for each kind, and the kinds in the order in which they are settled.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    pub(super) repository: bool,
    pub(super) people: BTreeSet<UserId>,
    pub(super) pulls: BTreeSet<PullNumber>,
    pub(super) suites: BTreeSet<SuiteKey>,
    pub(super) runs: BTreeSet<RunNumber>,
    pub(super) commits: BTreeSet<Sha>,
    pub(super) reports: BTreeSet<(Sha, Context)>,
    pub(super) branches: BTreeSet<RefName>,
    pub(super) wishes: BTreeSet<(EnvironmentName, Sha)>,
    pub(super) environments: BTreeSet<EnvironmentName>,
    pub(super) deployments: BTreeSet<DeploymentId>,
}

impl Agenda {
    /// Puts a topic in. Returns whether it was not there.
    pub(super) fn insert(&mut self, topic: Topic) -> bool {
        match topic {
            Topic::Repository => !std::mem::replace(&mut self.repository, true),
            Topic::Person(id) => self.people.insert(id),
            Topic::Pull(number) => self.pulls.insert(number),
            Topic::Suite(key) => self.suites.insert(key),
            Topic::Run(number) => self.runs.insert(number),
            Topic::Commit(sha) => self.commits.insert(sha),
            Topic::Report(sha, context) => self.reports.insert((sha, context)),
            Topic::Branch(name) => self.branches.insert(name),
            Topic::Wish(environment, sha) => self.wishes.insert((environment, sha)),
            Topic::Environment(name) => self.environments.insert(name),
            Topic::Deployment(id) => self.deployments.insert(id),
        }
    }

    /// Takes the next topic: the first of the first kind of which there is one.
    pub(super) fn next(&mut self) -> Option<Topic> {
        if std::mem::take(&mut self.repository) {
            return Some(Topic::Repository);
        }
        if let Some(id) = self.people.pop_first() {
            return Some(Topic::Person(id));
        }
        if let Some(number) = self.pulls.pop_first() {
            return Some(Topic::Pull(number));
        }
        if let Some(key) = self.suites.pop_first() {
            return Some(Topic::Suite(key));
        }
        if let Some(number) = self.runs.pop_first() {
            return Some(Topic::Run(number));
        }
        if let Some(sha) = self.commits.pop_first() {
            return Some(Topic::Commit(sha));
        }
        if let Some((sha, context)) = self.reports.pop_first() {
            return Some(Topic::Report(sha, context));
        }
        if let Some(name) = self.branches.pop_first() {
            return Some(Topic::Branch(name));
        }
        if let Some((environment, sha)) = self.wishes.pop_first() {
            return Some(Topic::Wish(environment, sha));
        }
        if let Some(name) = self.environments.pop_first() {
            return Some(Topic::Environment(name));
        }
        self.deployments.pop_first().map(Topic::Deployment)
    }
}

/// Puts keys that come in order into a set, which is most often empty: then it is built at once.
pub(super) fn put_all<'a, K: Ord + Clone + 'a>(set: &mut BTreeSet<K>, keys: impl Iterator<Item = &'a K>) {
    if set.is_empty() {
        *set = keys.cloned().collect();
    } else {
        set.extend(keys.cloned());
    }
}
