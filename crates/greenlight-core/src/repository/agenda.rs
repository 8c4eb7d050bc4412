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

/// Topics that are to be settled: a pile for each kind, and the kinds in the order in which they are settled.
#[derive(Clone, Debug, Default)]
pub(super) struct Agenda {
    pub(super) repository: bool,
    pub(super) people: Pile<UserId>,
    pub(super) pulls: Pile<PullNumber>,
    pub(super) suites: Pile<SuiteKey>,
    pub(super) runs: Pile<RunNumber>,
    pub(super) commits: Pile<Sha>,
    pub(super) reports: Pile<(Sha, Context)>,
    pub(super) branches: Pile<RefName>,
    pub(super) wishes: Pile<(EnvironmentName, Sha)>,
    pub(super) environments: Pile<EnvironmentName>,
    pub(super) deployments: Pile<DeploymentId>,
}

impl Agenda {
    /// Puts a topic in.
    pub(super) fn insert(&mut self, topic: Topic) {
        match topic {
            Topic::Repository => self.repository = true,
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

/// The topics of one kind, the first first. All that there are come in order, at once, and as a list: a tree of them that is built
/// only to be taken apart again costs more than to settle most of them. Those that are touched one by one are a tree beside it.
#[derive(Clone, Debug)]
pub(super) struct Pile<K> {
    /// The last first.
    all: Vec<K>,
    some: BTreeSet<K>,
}

impl<K> Default for Pile<K> {
    fn default() -> Self {
        Self { all: Vec::new(), some: BTreeSet::new() }
    }
}

impl<K: Ord> Pile<K> {
    /// Puts a topic in.
    pub(super) fn insert(&mut self, key: K) {
        if self.all.binary_search_by(|known| key.cmp(known)).is_err() {
            self.some.insert(key);
        }
    }

    /// Puts topics in, one by one.
    pub(super) fn extend(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            self.insert(key);
        }
    }

    /// Puts all that there are in, in any order.
    pub(super) fn put_all(&mut self, keys: impl Iterator<Item = K>) {
        self.some.extend(std::mem::take(&mut self.all));
        // They come from maps: most often sorted already, or two lists that are.
        self.all = keys.collect();
        self.all.sort();
        self.all.dedup();
        self.all.reverse();
    }

    /// Takes the first topic out.
    fn pop_first(&mut self) -> Option<K> {
        match (self.all.last(), self.some.first()) {
            (Some(one), Some(other)) if one > other => self.some.pop_first(),
            (Some(one), Some(other)) if one == other => {
                self.some.pop_first();
                self.all.pop()
            }
            (Some(_), _) => self.all.pop(),
            (None, _) => self.some.pop_first(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_and_some_are_taken_in_one_order_each_once() {
        let mut pile = Pile::default();
        pile.extend([9, 5, 3]);
        pile.put_all([7, 1, 5, 7].into_iter());
        pile.insert(7);
        assert_eq!(pile.pop_first(), Some(1));
        // What was taken out may be put in again, before what is left or behind it.
        pile.extend([1, 8]);
        let rest: Vec<_> = std::iter::from_fn(|| pile.pop_first()).collect();
        assert_eq!(rest, [1, 3, 5, 7, 8, 9]);
    }

    #[test]
    fn all_twice_is_all_once() {
        let mut pile = Pile::default();
        pile.put_all([2, 4].into_iter());
        pile.put_all([4, 6].into_iter());
        assert_eq!(std::iter::from_fn(|| pile.pop_first()).collect::<Vec<_>>(), [2, 4, 6]);
    }
}
