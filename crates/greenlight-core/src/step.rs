//! One step: takes facts in, decides, and writes what changed in one transaction. Server and simulation call this and nothing else.
//!
//! No call to the outside happens inside. After the commit the answers go out and the outbox is looked at; where the commit
//! fails nothing happened, and the cell is opened again.

use crate::effect::{Dispatch, Reply};
use crate::engine;
use crate::fact::{Fact, RepositoryRef};
use crate::outbox::{self, Budget};
use crate::port::{Commit, Disposition, Store, StoreError};
use crate::repository::{Repository, Settings};
use crate::schedule::{self, QueuedJob};
use crate::time::Timestamp;

/// One repository's live state in memory, with the version that it was stored at.
#[derive(Clone, Debug)]
pub struct Cell {
    repository: Repository,
    version: u64,
    again_at: Option<Timestamp>,
}

/// What goes into one step.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// What happened, in order.
    pub facts: Vec<Fact>,
    /// The deliveries that it came from, and what became of them.
    pub deliveries: Vec<(u64, Disposition)>,
}

/// What came of one step.
#[derive(Clone, Debug, Default)]
pub struct Stepped {
    /// One answer for each fact, where it asked for one.
    pub replies: Vec<Option<Reply>>,
}

impl Cell {
    /// Returns the state, to be read.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the version that the state was last stored at.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Returns the jobs that may be handed out now, the oldest first.
    pub fn queued(&self) -> Vec<QueuedJob> {
        schedule::queued(&self.repository)
    }

    /// Is there a job that may be handed out now?
    pub fn is_any_queued(&self) -> bool {
        schedule::is_any_queued(&self.repository)
    }

    /// Returns when to step or dispatch next, though nothing happens until then.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match (self.repository.next_alarm(), self.again_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }
}

/// Loads a repository, or begins one.
pub async fn open(
    store: &dyn Store,
    repository: RepositoryRef,
    settings: Settings,
    now: Timestamp,
) -> Result<Cell, StoreError> {
    let (repository, version) = match store.load(repository.id).await? {
        Some(loaded) => (Repository::load(repository, settings, loaded.entities), loaded.version),
        None => (Repository::new(repository, settings), 0),
    };
    Ok(Cell { repository, version, again_at: Some(now) })
}

/// Takes one step. After an error the cell's state is not what is stored: open it again.
pub async fn step(store: &dyn Store, cell: &mut Cell, input: Input, now: Timestamp) -> Result<Stepped, StoreError> {
    let state = &mut cell.repository;
    let replies = input.facts.iter().map(|fact| take_in(state, fact, now)).collect();
    engine::decide(state, now);
    let (changes, audit) = state.take_changes();
    if !changes.is_empty() || !input.deliveries.is_empty() || !audit.is_empty() {
        let commit = Commit {
            repo: state.meta().repository.id,
            version: cell.version,
            changes,
            deliveries: input.deliveries,
            audit,
            at: now,
        };
        store.commit(&commit).await?;
        cell.version += 1;
    }
    Ok(Stepped { replies })
}

fn take_in(state: &mut Repository, fact: &Fact, now: Timestamp) -> Option<Reply> {
    if matches!(fact, Fact::LeaseAsked(_)) {
        // Who asks for a job may get one that the facts before made.
        engine::decide(state, now);
    }
    engine::apply(state, fact, now)
}

/// Returns the effects that are to be carried out now, and marks them as under way. Each outcome comes back as a fact.
pub fn dispatch(cell: &mut Cell, budget: &mut Budget, now: Timestamp) -> Vec<Dispatch> {
    let (dispatches, again_at) = outbox::dispatch(&mut cell.repository, budget, now);
    cell.again_at = again_at;
    dispatches
}
