//! Tells open pages that something changed. They read what it is again: a lost line costs a moment, never the truth.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast;

use super::clock;

/// Changes that are kept for a page that was away for a moment.
const KEPT_MAX: usize = 256;

/// A repository changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Grows, across restarts as well.
    pub id: u64,
    /// "owner/name".
    pub repository: Arc<str>,
}

/// The changes, as they happen.
pub struct Feed {
    kept: Mutex<Kept>,
    sender: broadcast::Sender<Change>,
}

struct Kept {
    last: u64,
    changes: VecDeque<Change>,
}

/// What a page that comes back has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// These changes.
    Changes(Vec<Change>),
    /// Nobody knows any more: everything is to be read again.
    Unknown,
}

impl Default for Feed {
    fn default() -> Self {
        // Beginning with the time makes an id from before a restart smaller than every one after it.
        let last = u64::try_from(clock::now().as_millis()).unwrap_or(0);
        Self { kept: Mutex::new(Kept { last, changes: VecDeque::new() }), sender: broadcast::channel(KEPT_MAX).0 }
    }
}

impl Feed {
    /// Tells everybody that `repository` changed.
    pub fn tell(&self, repository: Arc<str>) {
        let mut kept = self.kept.lock().expect("nobody panics while holding the feed");
        kept.last += 1;
        let change = Change { id: kept.last, repository };
        if kept.changes.len() == KEPT_MAX {
            kept.changes.pop_front();
        }
        kept.changes.push_back(change.clone());
        // That nobody listens is no error.
        let _ = self.sender.send(change);
    }

    /// Follows the changes after `seen`, or from now on.
    pub fn follow(&self, seen: Option<u64>) -> (Missed, broadcast::Receiver<Change>) {
        let kept = self.kept.lock().expect("nobody panics while holding the feed");
        let missed = match seen {
            None => Missed::Changes(Vec::new()),
            Some(seen) if seen == kept.last => Missed::Changes(Vec::new()),
            Some(seen) if kept.changes.front().is_some_and(|oldest| oldest.id <= seen + 1) && seen < kept.last => {
                Missed::Changes(kept.changes.iter().filter(|change| change.id > seen).cloned().collect())
            }
            Some(_) => Missed::Unknown,
        };
        (missed, self.sender.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_comes_back_hears_what_it_missed() {
        let feed = Feed::default();
        feed.tell("a/a".into());
        let seen = feed.kept.lock().unwrap().last;
        feed.tell("b/b".into());
        let (missed, _) = feed.follow(Some(seen));
        assert!(matches!(missed, Missed::Changes(changes) if changes.len() == 1 && &*changes[0].repository == "b/b"));
        assert_eq!(feed.follow(Some(seen + 1)).0, Missed::Changes(Vec::new()));
        assert_eq!(feed.follow(Some(7)).0, Missed::Unknown);
        assert_eq!(feed.follow(Some(seen + 9)).0, Missed::Unknown);
    }
}
