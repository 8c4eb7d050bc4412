//! Commits and trees of the fake git: small enough to merge in a few operations, true enough that what lands is what the
//! content says.
//!
//! A tree is a version for each of a few paths. A path's version that is odd is broken: the tests of every tree that holds
//! it fail. Two commits with the same versions have the same tree, whoever made them.

use std::collections::BTreeMap;

use greenlight_core::id::Sha;

use crate::rng::mix;

/// How many paths there are.
pub const PATHS: usize = 12;
/// The path of the workflow that tests.
pub const CI: usize = 0;
/// The path of the workflow that deploys.
pub const DEPLOY: usize = 1;
/// The path of `.greenlight.yml`.
pub const CONFIG: usize = 2;
/// The first path of the source.
pub const SOURCE: usize = 3;

/// A version for each path.
pub type Files = [u16; PATHS];

/// A commit, by its place in the order in which commits were made.
pub type Index = u32;

/// A commit.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// Its parents, the first one first.
    pub parents: [Option<Index>; 2],
    /// What is in it.
    pub files: Files,
    /// Does its message say that nothing is to run?
    pub skips: bool,
}

/// All commits that were ever made.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    commits: Vec<Commit>,
    merges: BTreeMap<(Index, Index), Index>,
}

impl Objects {
    /// Makes a commit.
    pub fn commit(&mut self, parents: [Option<Index>; 2], files: Files, skips: bool) -> Index {
        self.commits.push(Commit { parents, files, skips });
        Index::try_from(self.commits.len() - 1).expect("a life makes few commits")
    }

    /// Returns a commit.
    pub fn get(&self, index: Index) -> &Commit {
        &self.commits[usize::try_from(index).expect("a u32 fits")]
    }

    /// Returns the commit of this name.
    pub fn find(&self, sha: Sha) -> Option<Index> {
        let bytes = sha.as_bytes();
        let index = Index::from_be_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
        (usize::try_from(index).is_ok_and(|at| at < self.commits.len()) && name(index) == sha).then_some(index)
    }

    /// Returns the name of a commit's tree.
    pub fn tree(&self, index: Index) -> Sha {
        tree_of(&self.get(index).files)
    }

    /// Returns the youngest commit that both come from.
    pub fn merge_base(&self, one: Index, other: Index) -> Index {
        // A parent is always older than its child, so the youngest is always looked at first.
        let (mut left, mut right) = (vec![one], vec![other]);
        loop {
            let (a, b) = (left.iter().max().copied(), right.iter().max().copied());
            match (a, b) {
                (Some(a), Some(b)) if a == b => return a,
                (Some(a), Some(b)) if a > b => self.climb(&mut left, a),
                (Some(_), Some(b)) => self.climb(&mut right, b),
                _ => return 0,
            }
        }
    }

    fn climb(&self, front: &mut Vec<Index>, at: Index) {
        front.retain(|index| *index != at);
        front.extend(self.get(at).parents.iter().flatten());
    }

    /// Returns what a merge of `theirs` into `ours` holds; nothing where they conflict.
    pub fn merged(&self, ours: Index, theirs: Index) -> Option<Files> {
        let base = self.get(self.merge_base(ours, theirs)).files;
        let (left, right) = (self.get(ours).files, self.get(theirs).files);
        let mut files = left;
        for (at, file) in files.iter_mut().enumerate() {
            if left[at] == right[at] || right[at] == base[at] {
                continue;
            }
            if left[at] != base[at] {
                return None;
            }
            *file = right[at];
        }
        Some(files)
    }

    /// Returns the test merge of a head into a base, made once; nothing where they conflict.
    pub fn test_merge(&mut self, base: Index, head: Index) -> Option<Index> {
        if let Some(known) = self.merges.get(&(base, head)) {
            return Some(*known);
        }
        let files = self.merged(base, head)?;
        let index = self.commit([Some(base), Some(head)], files, false);
        self.merges.insert((base, head), index);
        Some(index)
    }

    /// Returns the test merge of a head into a base, where one was made.
    pub fn known_merge(&self, base: Index, head: Index) -> Option<Index> {
        self.merges.get(&(base, head)).copied()
    }
}

/// Returns a commit's name.
pub fn name(index: Index) -> Sha {
    hash(0x00c0_ffee ^ u64::from(index) << 8, index)
}

/// Returns a tree's name.
pub fn tree_of(files: &Files) -> Sha {
    let digest = files.iter().fold(0x7ee, |known, file| mix(known ^ u64::from(*file)));
    hash(digest, u32::MAX)
}

fn hash(seed: u64, tail: u32) -> Sha {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&mix(seed).to_be_bytes());
    bytes[8..16].copy_from_slice(&mix(seed ^ u64::MAX).to_be_bytes());
    bytes[16..].copy_from_slice(&tail.to_be_bytes());
    Sha::from_bytes(bytes)
}

/// Do the tests of this tree fail?
pub fn is_broken(files: &Files) -> bool {
    files[SOURCE..].iter().any(|version| version % 2 == 1)
}

/// Returns a path's name.
pub fn path(at: usize) -> String {
    match at {
        CI => ".github/workflows/ci.yml".to_owned(),
        DEPLOY => ".github/workflows/deploy.yml".to_owned(),
        CONFIG => ".greenlight.yml".to_owned(),
        _ => format!("src/{at}.rs"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(mut files: Files, at: usize, version: u16) -> Files {
        files[at] = version;
        files
    }

    #[test]
    fn merges_take_both_sides_and_see_conflicts() {
        let mut objects = Objects::default();
        let root = objects.commit([None, None], [0; PATHS], false);
        let main = objects.commit([Some(root), None], with([0; PATHS], 4, 2), false);
        let topic = objects.commit([Some(root), None], with([0; PATHS], 5, 4), false);
        let rival = objects.commit([Some(root), None], with([0; PATHS], 4, 6), false);
        assert_eq!(objects.merge_base(main, topic), root);
        let files = objects.merged(main, topic).unwrap();
        assert_eq!((files[4], files[5]), (2, 4));
        assert_eq!(objects.merged(main, rival), None);
        let merge = objects.test_merge(main, topic).unwrap();
        assert_eq!(objects.test_merge(main, topic), Some(merge));
        assert_eq!(objects.merge_base(merge, topic), topic);
        assert_eq!(objects.find(name(merge)), Some(merge));
        assert_eq!(objects.find(Sha::ZERO), None);
    }

    #[test]
    fn the_same_content_is_the_same_tree() {
        let mut objects = Objects::default();
        let root = objects.commit([None, None], [0; PATHS], false);
        let one = objects.commit([Some(root), None], with([0; PATHS], 4, 2), false);
        let other = objects.commit([Some(one), None], with([0; PATHS], 4, 2), false);
        assert_eq!(objects.tree(one), objects.tree(other));
        assert_ne!(objects.tree(one), objects.tree(root));
        assert!(!is_broken(&objects.get(one).files) && is_broken(&with([0; PATHS], 4, 3)));
    }
}
