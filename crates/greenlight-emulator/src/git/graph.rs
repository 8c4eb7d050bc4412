//! Questions about history: ancestors, merge bases, what one side has that the other lacks, and which paths differ.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::{Commit, Git, GitError, TreeEntry};
use crate::model::{Oid, ZERO_OID};

/// How many commits a walk looks at before it ends.
const WALK_MAX: usize = 100_000;

/// Paths that differ between two trees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangedPaths {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub modified: Vec<String>,
}

impl Git {
    /// Returns all ancestors of `tip`, itself included.
    pub fn ancestors(&self, repository: u64, tip: &str) -> Result<HashSet<Oid>, GitError> {
        let mut seen = HashSet::new();
        let mut waiting = VecDeque::from([tip.to_owned()]);
        while let Some(oid) = waiting.pop_front() {
            if seen.len() >= WALK_MAX || !seen.insert(oid.clone()) {
                continue;
            }
            waiting.extend(self.commit(repository, &oid)?.parents.iter().cloned());
        }
        Ok(seen)
    }

    /// Answers whether `old` is reachable from `new`.
    pub fn is_ancestor(&self, repository: u64, old: &str, new: &str) -> Result<bool, GitError> {
        if old == new {
            return Ok(true);
        }
        let mut seen = HashSet::new();
        let mut waiting = VecDeque::from([new.to_owned()]);
        while let Some(oid) = waiting.pop_front() {
            if oid == old {
                return Ok(true);
            }
            if seen.len() < WALK_MAX && seen.insert(oid.clone()) {
                waiting.extend(self.commit(repository, &oid)?.parents.iter().cloned());
            }
        }
        Ok(false)
    }

    /// Returns the commits that `head` has and `base` lacks, oldest first.
    pub fn commits_ahead(&self, repository: u64, base: &str, head: &str) -> Result<Vec<Arc<Commit>>, GitError> {
        if base == head {
            return Ok(Vec::new());
        }
        let known =
            if base == ZERO_OID || base.is_empty() { HashSet::new() } else { self.ancestors(repository, base)? };
        self.commits_beyond(repository, &known, head)
    }

    /// Returns the commits reachable from `head` that are not in `known`, parents first.
    pub fn commits_beyond(
        &self,
        repository: u64,
        known: &HashSet<Oid>,
        head: &str,
    ) -> Result<Vec<Arc<Commit>>, GitError> {
        let mut ordered = Vec::new();
        let mut seen = HashSet::new();
        let mut stack = vec![(head.to_owned(), false)];
        while let Some((oid, parents_done)) = stack.pop() {
            if known.contains(&oid) {
                continue;
            }
            let commit = self.commit(repository, &oid)?;
            if parents_done {
                ordered.push(commit);
            } else if seen.len() < WALK_MAX && seen.insert(oid.clone()) {
                stack.push((oid, true));
                stack.extend(commit.parents.iter().rev().map(|parent| (parent.clone(), false)));
            }
        }
        Ok(ordered)
    }

    /// Returns the best common ancestor: the newest commit that both sides have.
    pub fn merge_base(&self, repository: u64, one: &str, other: &str) -> Result<Option<Oid>, GitError> {
        let theirs = self.ancestors(repository, other)?;
        let mut seen = HashSet::new();
        let mut waiting = VecDeque::from([one.to_owned()]);
        let mut found: Vec<Arc<Commit>> = Vec::new();
        while let Some(oid) = waiting.pop_front() {
            if !seen.insert(oid.clone()) {
                continue;
            }
            let commit = self.commit(repository, &oid)?;
            if theirs.contains(&oid) {
                found.push(commit);
            } else {
                waiting.extend(commit.parents.iter().cloned());
            }
        }
        // Of several candidates, one that another contains is not the best.
        let mut best = found.clone();
        if found.len() > 1 {
            best.retain(|candidate| {
                !found.iter().any(|other| {
                    other.oid != candidate.oid
                        && self.is_ancestor(repository, &candidate.oid, &other.oid).unwrap_or(false)
                })
            });
        }
        Ok(best.iter().max_by_key(|commit| commit.committer.seconds).map(|commit| commit.oid.clone()))
    }

    /// Returns the history of `tip`, newest first, each commit after all that follow it.
    pub fn history(&self, repository: u64, tip: &str) -> Result<Vec<Arc<Commit>>, GitError> {
        let mut commits = self.commits_beyond(repository, &HashSet::new(), tip)?;
        commits.reverse();
        Ok(commits)
    }

    /// Returns the paths that a commit changed, against its first parent.
    pub fn changed_by(&self, repository: u64, commit: &Commit) -> Result<ChangedPaths, GitError> {
        let before = match commit.parents.first() {
            Some(parent) => Some(self.commit(repository, parent)?.tree.clone()),
            None => None,
        };
        let mut changed = ChangedPaths::default();
        self.compare_trees(repository, before.as_deref(), Some(&commit.tree), "", &mut changed)?;
        Ok(changed)
    }

    fn compare_trees(
        &self,
        repository: u64,
        before: Option<&str>,
        after: Option<&str>,
        folder: &str,
        changed: &mut ChangedPaths,
    ) -> Result<(), GitError> {
        if before == after {
            return Ok(());
        }
        let load = |tree: Option<&str>| -> Result<HashMap<String, TreeEntry>, GitError> {
            let Some(tree) = tree else { return Ok(HashMap::new()) };
            Ok(self.tree(repository, tree)?.iter().map(|entry| (entry.name.clone(), entry.clone())).collect())
        };
        let (old, new) = (load(before)?, load(after)?);
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in names {
            let (was, is) = (old.get(name), new.get(name));
            if was == is {
                continue;
            }
            let path = format!("{folder}{name}");
            let tree_of =
                |entry: Option<&TreeEntry>| entry.filter(|entry| entry.is_tree()).map(|entry| entry.oid.clone());
            let (was_tree, is_tree) = (tree_of(was), tree_of(is));
            if was_tree.is_some() || is_tree.is_some() {
                self.compare_trees(repository, was_tree.as_deref(), is_tree.as_deref(), &format!("{path}/"), changed)?;
            }
            match (was.filter(|entry| !entry.is_tree()), is.filter(|entry| !entry.is_tree())) {
                (None, Some(_)) => changed.added.push(path),
                (Some(_), None) => changed.removed.push(path),
                (Some(_), Some(_)) => changed.modified.push(path),
                (None, None) => {}
            }
        }
        Ok(())
    }
}
