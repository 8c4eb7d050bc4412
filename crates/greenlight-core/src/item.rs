//! What the outbox holds: effects that have not come to their end.

use std::sync::Arc;

use crate::effect::Effect;
use crate::id::{Context, EffectKey, Sha};
use crate::time::Timestamp;

/// An effect that has not come to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its key.
    pub key: EffectKey,
    /// Order is kept within a lane: its oldest item goes first, and one at a time.
    pub lane: Arc<str>,
    /// Its place: smaller is older.
    pub place: u64,
    /// How much it hurries.
    pub class: Class,
    /// What to do.
    pub effect: Effect,
    /// How often it was tried.
    pub tried: u32,
    /// May an earlier try have taken effect?
    pub confirm: bool,
    /// Where it stands.
    pub state: ItemState,
    /// Wait until this report was accepted with a success: a deployment waits for its commit's aggregate.
    pub after_success: Option<(Sha, Context)>,
    /// Why the last try did not do it.
    pub trouble: Option<Arc<str>>,
}

impl Item {
    /// Is its lane named after it, so that nothing else is in there?
    pub(crate) fn has_own_lane(&self) -> bool {
        *self.lane == *self.key.as_str()
    }
}

/// Where an effect stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemState {
    /// To be carried out, not before this.
    Ready {
        /// When.
        not_before: Timestamp,
    },
    /// Being carried out. After a restart nobody knows how that ended.
    InFlight {
        /// Since when.
        since: Timestamp,
    },
}

/// How much an effect hurries when writes are scarce; the first goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Reads: they do not pass the bucket.
    Read,
    /// The end of an aggregate.
    AggregateEnd,
    /// A deployment, or its state.
    Deployment,
    /// A merge.
    Merge,
    /// An aggregate that is pending: the first that anybody sees.
    AggregatePending,
    /// The end of a job.
    JobEnd,
    /// Anything pending.
    Pending,
    /// A comment.
    Comment,
}
