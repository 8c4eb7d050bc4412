//! Runners on other machines (`greenlight runner`): they dial in on the public listener, ask for jobs and tell how these go.
//!
//! Who speaks follows from the key alone, never from what a message says; and of every message it is asked whether this runner holds
//! this attempt under this lease (S10). What a job says comes in batches that may come twice: lines are counted, so that each is kept
//! once and in order (I30). The logs of jobs that are over are packed by a loop of its own ([`logs`]), whichever way they ended.

mod checkout;
mod door;
pub mod logs;
mod registry;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use greenlight_core::id::{AttemptId, RepoId, Token};

use super::host::Host;
use super::pool::Work;
use super::{Shared, holders};

pub use door::{Place, routes};
pub use registry::{NewToken, TOKEN_LENGTH, remove};

/// How long after its start a server may not know all its repositories.
const KNOWS_ALL_AFTER: Duration = Duration::from_secs(600);

/// What is known of runners on other machines.
#[derive(Default)]
pub struct Fleet {
    labels: Mutex<BTreeSet<Arc<str>>>,
    held: Mutex<HashMap<AttemptId, Held>>,
}

/// A job that runs elsewhere.
#[derive(Clone)]
struct Held {
    runner: Arc<str>,
    host: Arc<Host>,
}

impl Fleet {
    /// Notes that there are runners with these labels.
    pub fn add_labels(&self, labels: &[Arc<str>]) {
        self.labels.lock().expect("nobody panics while holding the labels").extend(labels.iter().cloned());
    }

    /// Notes that there are no other labels than these.
    pub fn set_labels(&self, labels: impl Iterator<Item = Arc<str>>) {
        *self.labels.lock().expect("nobody panics while holding the labels") = labels.collect();
    }

    /// Returns these labels and those of all runners on other machines.
    pub fn with_labels(&self, own: &[Arc<str>]) -> Arc<[Arc<str>]> {
        let known = self.labels.lock().expect("nobody panics while holding the labels");
        own.iter().chain(known.iter().filter(|label| !own.contains(label))).cloned().collect()
    }

    /// Returns the repositories in which a runner has jobs, as far as they are known since this server's start.
    fn held_by(&self, runner: &str) -> Vec<(AttemptId, RepoId)> {
        let held = self.held();
        let own = held.iter().filter(|(_, job)| &*job.runner == runner);
        own.map(|(attempt, _)| (attempt.clone(), attempt.repo)).collect()
    }

    /// Returns the host of a job that a runner holds, and remembers it.
    fn host(&self, runner: &str, attempt: &AttemptId, make: impl FnOnce() -> Host) -> Arc<Host> {
        let mut held = self.held();
        let new = || Held { runner: runner.into(), host: Arc::new(make()) };
        held.entry(attempt.clone()).or_insert_with(new).host.clone()
    }

    /// Forgets a job. Behind its last word its log is packed.
    fn forget(&self, attempt: &AttemptId) {
        let gone = self.held().remove(attempt);
        drop(gone);
    }

    fn held(&self) -> MutexGuard<'_, HashMap<AttemptId, Held>> {
        self.held.lock().expect("nobody panics while holding the jobs")
    }
}

/// Whose a job attempt is, for a runner that speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// It holds it, under this lease.
    Yours,
    /// It does not (any more).
    NotYours,
    /// Nobody knows yet: the server has just started. It is to ask again.
    Unknown,
}

/// What the routes need beside the server itself.
pub struct Desk {
    shared: Arc<Shared>,
    work: Work,
    began_at: Instant,
}

impl Desk {
    /// Returns the desk of a server.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { work: Work::new(shared.clone()), shared, began_at: Instant::now() }
    }

    /// Returns whether a runner holds an attempt under this lease. A server that has just started does not know its repositories.
    async fn hold(&self, runner: &str, attempt: &AttemptId, token: Token) -> Hold {
        let Some(handle) = self.shared.directory.by_id(attempt.repo) else {
            return if self.began_at.elapsed() < KNOWS_ALL_AFTER { Hold::Unknown } else { Hold::NotYours };
        };
        let (attempt, runner) = (attempt.clone(), runner.to_owned());
        let look = move |cell: &greenlight_core::step::Cell| {
            holders::runner_of(cell, &attempt)
                .is_some_and(|lease| lease.token == token && lease.boot.is_none() && lease.runner.as_str() == runner)
        };
        match handle.look(look).await {
            Ok(true) => Hold::Yours,
            Ok(false) => Hold::NotYours,
            Err(_) => Hold::Unknown,
        }
    }
}
