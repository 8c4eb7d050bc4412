//! Pull requests, and merging them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::effect::MergeMethod;
use crate::event::{Event, PullSnapshot, PullStanding, Review};
use crate::id::{CommentId, PullNumber, RefName, ReviewId, Sha, UserId};
use crate::time::Timestamp;

/// A pull request as we know it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pull {
    /// As last seen.
    pub snapshot: PullSnapshot,
    /// The event that last told of its head, for the runs that it starts.
    pub event: Arc<Event>,
    /// Since when the head is what it is, by GitHub's clock: a command given before that was about another head (R3). Of one
    /// that was first seen in a list it is a guess, until it is read by itself.
    pub head_since: Timestamp,
    /// Was something seen that only a read can decide? Two different snapshots of the same second.
    pub reread: bool,
    /// Everybody's reviews.
    pub reviews: BTreeMap<ReviewId, Review>,
    /// The `/merge` that counts for the present head.
    pub merge_asked: Option<MergeAsked>,
    /// The approvals given with `/ok-to-test` for a head that may not be here yet.
    pub approved_heads: BTreeMap<Sha, UserId>,
    /// Commands that wait for their author's permission to be read.
    pub commands: Vec<PendingCommand>,
    /// Comments that were taken in, so that reading them again does nothing.
    pub comments_seen: BTreeSet<CommentId>,
    /// Where its merge stands.
    pub merge: MergeStanding,
    /// The one comment in which we explain waits and refusals.
    pub note: Note,
}

impl Pull {
    /// Returns a pull request of which nothing else is known yet.
    pub fn new(snapshot: PullSnapshot, event: Arc<Event>, head_since: Timestamp) -> Self {
        Self {
            snapshot,
            event,
            head_since,
            reread: false,
            reviews: BTreeMap::new(),
            merge_asked: None,
            approved_heads: BTreeMap::new(),
            commands: Vec::new(),
            comments_seen: BTreeSet::new(),
            merge: MergeStanding::None,
            note: Note::default(),
        }
    }

    /// Is there anything left to do about it?
    pub fn is_unsettled(&self) -> bool {
        let standing = match self.snapshot.standing {
            PullStanding::Open | PullStanding::Merged { commit: None } => true,
            PullStanding::Closed | PullStanding::Merged { .. } => false,
        };
        let landing = matches!(self.merge, MergeStanding::Landed { landed_tree: None, .. });
        standing || landing || self.reread || !self.commands.is_empty() || self.note.wanted != self.note.accepted
    }
}

/// A command whose author's permission, or whose pull request's head, is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingCommand {
    /// The comment.
    pub comment: crate::event::Comment,
    /// Has GitHub been asked for the head since the comment was seen?
    pub head_read: bool,
}

/// Somebody with write permission said `/merge`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeAsked {
    /// The head, as read from GitHub when the command was taken in (R3); zero when it does not count any more.
    pub head_sha: Sha,
    /// Who.
    pub by: UserId,
}

impl MergeAsked {
    /// The head or the base is another now: what was said does not count any more, though both should come back.
    pub(crate) fn make_void(&mut self) {
        self.head_sha = Sha::ZERO;
    }
}

/// Where a pull request's merge stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergeStanding {
    /// Nothing was tried for this head.
    None,
    /// Refused for good, as long as the head is this.
    Refused {
        /// The head.
        head_sha: Sha,
        /// Why.
        reason: Arc<str>,
    },
    /// Landed by us: this is what is compared.
    Landed {
        /// The tree that was tested.
        tested_tree: Sha,
        /// The tree that landed; nothing while it is being read.
        landed_tree: Option<Sha>,
    },
}

/// A comment that is kept up to date.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Note {
    /// What it should say; nothing where no comment is needed.
    pub wanted: Option<Arc<str>>,
    /// What GitHub last accepted.
    pub accepted: Option<Arc<str>>,
    /// The comment's id.
    pub id: Option<CommentId>,
    /// Why it cannot be written, where GitHub refused it for good.
    pub given_up: Option<Arc<str>>,
}

/// A branch: its tip, and the merges into it, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The full ref.
    pub name: RefName,
    /// Where it is; zero where it was deleted.
    pub tip: Sha,
    /// When it was last pushed to, by GitHub's clock.
    pub pushed_at: Timestamp,
    /// The merge under way.
    pub merging: Option<Merging>,
    /// Why nothing is merged here any more, until a person says so.
    pub halted: Option<Arc<str>>,
    /// What its rules and protection ask for, as last read.
    pub rules: Option<crate::event::BranchRules>,
}

/// A merge under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merging {
    /// The pull request.
    pub pull: PullNumber,
    /// Its head: any other head ends this.
    pub head_sha: Sha,
    /// How far it is.
    pub phase: MergePhase,
    /// When GitHub first said "not yet", for the five minutes that it is given.
    pub not_yet_since: Option<Timestamp>,
    /// The tree that was tested, once the call was made: it may have taken effect.
    pub called: Option<Sha>,
}

/// How far a merge is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MergePhase {
    /// GitHub is read before anything that cannot be taken back.
    Reading {
        /// Not before this.
        not_before: Timestamp,
    },
    /// The base moved: the pull request is tested again.
    Retesting {
        /// The suite's attempt that is awaited.
        attempt: u32,
    },
    /// The call is being made; the tested tree, and what it was built on.
    Calling {
        /// The tree that was tested.
        tree: Sha,
        /// The base's tip that it was built on, and that was read just before.
        base_sha: Sha,
        /// How it is merged.
        method: MergeMethod,
    },
}
