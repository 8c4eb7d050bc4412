//! What the core asks of the world: a memory, and hands. Narrow, in our own words; one real implementation and one fake each.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::effect::{Dispatch, Outcome};
pub use crate::entity::Audit;
use crate::entity::{Entity, EntityKey};
use crate::fact::RepositoryRef;
use crate::id::{DeliveryId, JobKey, RepoId, RunNumber};
use crate::shown::Remarks;
use crate::time::Timestamp;

/// What a port's function returns: a future, without an async runtime in the core.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A delivery, verified and not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// `X-GitHub-Delivery`.
    pub id: DeliveryId,
    /// `X-GitHub-Event`.
    pub event: Arc<str>,
    /// `X-GitHub-Hook-ID`, where it was sent.
    pub hook: Option<Arc<str>>,
    /// Is the body a form (`payload=…`) or JSON?
    pub form: bool,
    /// When it came.
    pub received_at: Timestamp,
    /// The raw body, as it was signed.
    pub body: Arc<[u8]>,
    /// Tells event and body from any other: the same id with the same digest is the same delivery. With another digest it is
    /// quarantined (R9), unless event and body are the same after all: the hook's secret was changed between the two.
    pub digest: [u8; 32],
}

/// What became of a delivery when it was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// Written and synced.
    New,
    /// The same delivery was here before.
    Repeat,
    /// The same id was here before with another body: kept beside it, not acted upon.
    Quarantined,
}

/// The memory failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It cannot write: the disk is full, the database locked. Passing.
    #[error("the store cannot be written to: {0}")]
    Unavailable(String),
    /// Somebody else changed the repository since it was loaded. Load again.
    #[error("the repository's state was changed by somebody else")]
    Conflict,
    /// What is there cannot be understood.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// A delivery that waits to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its place in the order of arrival.
    pub place: u64,
    /// The delivery.
    pub delivery: NewDelivery,
}

/// What became of a delivery when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// It became facts.
    Applied,
    /// We have no use for it.
    Ignored {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
    /// It cannot be read.
    Unreadable {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
}

/// A repository's state as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Grows with every commit.
    pub version: u64,
    /// Everything.
    pub entities: Vec<Entity>,
}

/// What one step writes: all of it or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The repository.
    pub repo: RepoId,
    /// The version that the step began with; 0 for a repository that was never stored.
    pub version: u64,
    /// What changed; `None` for what is gone.
    pub changes: Vec<(EntityKey, Option<Entity>)>,
    /// The deliveries that were taken in, and what became of them.
    pub deliveries: Vec<(u64, Disposition)>,
    /// What is written down for people, a line each.
    pub audit: Vec<Audit>,
    /// Now.
    pub at: Timestamp,
}

/// The memory.
pub trait Store: Send + Sync {
    /// Writes a delivery and returns after it is synced to disk.
    fn receive<'a>(&'a self, delivery: &'a NewDelivery) -> Reply<'a, Result<Stored, StoreError>>;

    /// Returns up to `limit` deliveries that nobody has looked at yet, in the order of arrival, after this place.
    fn waiting<'a>(&'a self, after: u64, limit: usize) -> Reply<'a, Result<Vec<Waiting>, StoreError>>;

    /// Marks a delivery that belongs to no repository of ours.
    fn dispose<'a>(&'a self, place: u64, disposition: Disposition) -> Reply<'a, Result<(), StoreError>>;

    /// Returns a repository's state, or nothing where it was never stored.
    fn load<'a>(&'a self, repo: RepoId) -> Reply<'a, Result<Option<Loaded>, StoreError>>;

    /// Writes one step: all of it or nothing. Returns after it is synced to disk.
    fn commit<'a>(&'a self, commit: &'a Commit) -> Reply<'a, Result<(), StoreError>>;

    /// Returns the repositories that were ever stored.
    fn repositories<'a>(&'a self) -> Reply<'a, Result<Vec<RepositoryRef>, StoreError>>;
}

/// What jobs said beside their logs. Whoever shows the end of a job on GitHub asks for it; the core itself does not know it.
pub trait Said: Send + Sync {
    /// Returns what the newest try of a job said; nothing where that cannot be read, for the end is shown all the same.
    fn of_job<'a>(&'a self, repo: RepoId, run: RunNumber, job: &'a JobKey) -> Reply<'a, Remarks>;
}

/// The hands: GitHub, the mirrors, the rooms. One for each target of an effect.
pub trait Hands: Send + Sync {
    /// Carries out one try of an effect. It does not retry by itself: the outbox is the one retry layer (R15).
    fn perform<'a>(&'a self, repository: &'a RepositoryRef, dispatch: &'a Dispatch) -> Reply<'a, Outcome>;
}
