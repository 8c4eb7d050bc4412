//! The commits that were read last, so that a commit which several events are about is read once.
//!
//! A commit never changes: what was read of it stays true. What differs from event to event, the changed paths, is not kept.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use greenlight_core::event::CommitFiles;
use greenlight_core::id::Sha;

/// How many commits of one mirror are kept.
const COMMITS_MAX: usize = 8;

/// How many bytes of files one mirror keeps; a commit with more of them is read each time.
const BYTES_MAX: usize = 256 << 10;

/// The commits of one mirror, the one that was read last in front.
#[derive(Debug, Default)]
pub(crate) struct RecentCommits(Mutex<VecDeque<CommitFiles>>);

impl RecentCommits {
    /// Returns what was read of a commit.
    pub(crate) fn get(&self, sha: Sha) -> Option<CommitFiles> {
        let mut kept = self.lock();
        let at = kept.iter().position(|files| files.sha == sha)?;
        let files = kept.remove(at)?;
        kept.push_front(files.clone());
        Some(files)
    }

    /// Keeps what was read of a commit; the ones that were not asked for the longest go.
    pub(crate) fn keep(&self, files: &CommitFiles) {
        if size(files) > BYTES_MAX {
            return;
        }
        let mut kept = self.lock();
        kept.retain(|other| other.sha != files.sha);
        kept.push_front(CommitFiles { changed_paths: None, ..files.clone() });
        kept.truncate(COMMITS_MAX);
        while kept.iter().map(size).sum::<usize>() > BYTES_MAX {
            kept.pop_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<CommitFiles>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn size(files: &CommitFiles) -> usize {
    let texts = files.workflows.iter().chain(&files.called).chain(&files.config);
    files.message.len() + texts.map(|(path, text)| path.len() + text.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(number: u8, bytes: usize) -> CommitFiles {
        CommitFiles {
            sha: Sha::from_bytes([number; 20]),
            tree: Sha::ZERO,
            message: "m".into(),
            workflows: vec![("w".into(), "x".repeat(bytes).into())],
            called: Vec::new(),
            elsewhere: Vec::new(),
            config: None,
            cibuild: false,
            changed_paths: Some(vec!["README".to_owned()]),
        }
    }

    fn kept(recent: &RecentCommits) -> Vec<u8> {
        (0..100).filter(|&number| recent.lock().iter().any(|files| files.sha == commit(number, 0).sha)).collect()
    }

    #[test]
    fn the_ones_that_were_read_last_are_kept_without_what_an_event_changed() {
        let recent = RecentCommits::default();
        for number in 0..20 {
            recent.keep(&commit(number, 10));
            assert!(recent.get(commit(0, 10).sha).is_some(), "asked for again and again");
        }
        assert_eq!(kept(&recent), [0, 13, 14, 15, 16, 17, 18, 19]);
        assert_eq!(recent.get(commit(13, 0).sha).map(|files| files.changed_paths), Some(None));
        assert_eq!(recent.get(commit(5, 0).sha), None);
    }

    #[test]
    fn large_ones_take_the_place_of_many() {
        let recent = RecentCommits::default();
        for number in 0..5 {
            recent.keep(&commit(number, BYTES_MAX / 3));
        }
        assert_eq!(kept(&recent), [3, 4]);
        recent.keep(&commit(9, BYTES_MAX));
        assert_eq!(kept(&recent), [3, 4], "one that is larger than all is not kept");
    }
}
