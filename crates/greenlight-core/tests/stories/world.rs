//! A small, kind world for the stories: it answers every effect at once, and says what happened in short words.
//!
//! Commits are letters. A test merge of head `a` on base `x` has a tree of its own; what lands has the tree that was tested.

mod answers;
mod people;
mod runners;
mod seen;
mod trouble;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use greenlight_core::effect::{Dispatch, Effect, JobOrder, Reply};
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::event::{Comment, DeploymentSnapshot, Event, PullSnapshot, Review, User, Verdicts};
use greenlight_core::fact::{Fact, PullFact, PushFact, RepositoryRef, Source};
use greenlight_core::id::{Context as StatusContext, RefName, RepoId, Sha, UserId};
use greenlight_core::outbox::Budget;
use greenlight_core::port::{self, Commit, Disposition, Loaded, NewDelivery, Store, StoreError, Stored, Waiting};
use greenlight_core::repository::Settings;
use greenlight_core::step::{self, Cell, Input};
use greenlight_core::time::{Duration, Timestamp};

pub const WRITER: u64 = 1;
pub const STRANGER: u64 = 2;
/// A program that may push.
pub const BOT: u64 = 4;
const OURS: u64 = 3;

/// Returns the commit that a letter stands for.
pub fn sha(letter: char) -> Sha {
    let mut bytes = [0; 20];
    bytes[0] = u8::try_from(letter).expect("letters are ASCII");
    Sha::from_bytes(bytes)
}

/// Returns the tree of a head on a base.
fn tree(head: Sha, base: Sha) -> Sha {
    let mut bytes = *head.as_bytes();
    bytes[1] = base.as_bytes()[0];
    bytes[19] = b't';
    Sha::from_bytes(bytes)
}

fn user(id: u64) -> User {
    let login = match id {
        WRITER => "octocat",
        STRANGER => "stranger",
        BOT => "machine[bot]",
        _ => "greenlight",
    };
    User { id: UserId(id), login: login.into() }
}

#[derive(Default)]
struct Memory {
    entities: Mutex<BTreeMap<EntityKey, Entity>>,
    version: Mutex<u64>,
    audit: Mutex<Vec<String>>,
}

impl Store for Memory {
    fn receive<'a>(&'a self, _: &'a NewDelivery) -> port::Reply<'a, Result<Stored, StoreError>> {
        Box::pin(async { Ok(Stored::New) })
    }

    fn waiting<'a>(&'a self, _: u64, _: usize) -> port::Reply<'a, Result<Vec<Waiting>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn dispose<'a>(&'a self, _: u64, _: Disposition) -> port::Reply<'a, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn load<'a>(&'a self, _: RepoId) -> port::Reply<'a, Result<Option<Loaded>, StoreError>> {
        let version = *self.version.lock().unwrap();
        let entities = self.entities.lock().unwrap().values().cloned().collect();
        Box::pin(async move { Ok((version > 0).then_some(Loaded { version, entities })) })
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> port::Reply<'a, Result<(), StoreError>> {
        let mut entities = self.entities.lock().unwrap();
        for (key, entity) in &commit.changes {
            match entity {
                Some(entity) => entities.insert(key.clone(), entity.clone()),
                None => entities.remove(key),
            };
        }
        *self.version.lock().unwrap() += 1;
        self.audit.lock().unwrap().extend(commit.audit.iter().map(|line| format!("{}: {}", line.about, line.text)));
        Box::pin(async { Ok(()) })
    }

    fn repositories<'a>(&'a self) -> port::Reply<'a, Result<Vec<RepositoryRef>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

fn now_or_never<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the world answers at once"),
    }
}

pub struct World {
    store: Memory,
    cell: Cell,
    now: Timestamp,
    boot: u32,
    workflows: Vec<(Arc<str>, Arc<str>)>,
    config: Arc<str>,
    cibuild: bool,
    main: Sha,
    trees: BTreeMap<Sha, Sha>,
    pulls: BTreeMap<u64, PullSnapshot>,
    reviews: Vec<Review>,
    statuses: BTreeMap<(Sha, String), String>,
    merged: Vec<u64>,
    comments: BTreeMap<u64, BTreeMap<String, String>>,
    deployed: Vec<(DeploymentSnapshot, String)>,
    deployment_text: String,
    last_comment: Option<Comment>,
    unheard: Vec<PullFact>,
    room: Vec<String>,
    holding: Option<JobOrder>,
    waiting: Vec<Dispatch>,
    git_is_away: bool,
    conflicting: Option<Sha>,
    needs_approval: bool,
    required: Option<Vec<StatusContext>>,
    verdicts: Vec<(StatusContext, Verdicts)>,
    writers: BTreeSet<u64>,
    creates_refused: usize,
    is_gone: bool,
    forbids: bool,
    is_locked: bool,
    old_read: Option<PullSnapshot>,
    comparisons: usize,
    reads_of_pulls: usize,
}

impl World {
    pub fn new(workflows: &[(&str, &str)], config: &str) -> Self {
        let store = Memory::default();
        let now = Timestamp::from_millis(1_000_000);
        let cell = now_or_never(step::open(&store, repository(), Settings::default(), now)).unwrap();
        let mut world = Self {
            store,
            cell,
            now,
            boot: 1,
            workflows: workflows.iter().map(|(path, text)| ((*path).into(), (*text).into())).collect(),
            config: config.into(),
            cibuild: false,
            main: sha('x'),
            trees: BTreeMap::from([(sha('x'), sha('X'))]),
            pulls: BTreeMap::new(),
            reviews: Vec::new(),
            statuses: BTreeMap::new(),
            merged: Vec::new(),
            comments: BTreeMap::new(),
            deployed: Vec::new(),
            deployment_text: String::new(),
            last_comment: None,
            unheard: Vec::new(),
            room: Vec::new(),
            holding: None,
            waiting: Vec::new(),
            git_is_away: false,
            conflicting: None,
            needs_approval: false,
            required: None,
            verdicts: Vec::new(),
            writers: BTreeSet::from([WRITER, BOT]),
            creates_refused: 0,
            is_gone: false,
            forbids: false,
            is_locked: false,
            old_read: None,
            comparisons: 0,
            reads_of_pulls: 0,
        };
        world.boot();
        world.work();
        world
    }

    fn boot(&mut self) {
        let boot = self.boot_id();
        self.step(Fact::Booted { boot });
    }

    fn boot_id(&self) -> Arc<str> {
        format!("boot-{}", self.boot).into()
    }

    fn step(&mut self, fact: Fact) -> Option<Reply> {
        let input = Input { facts: vec![fact], deliveries: Vec::new() };
        let stepped = now_or_never(step::step(&self.store, &mut self.cell, input, self.now)).unwrap();
        self.show_pending();
        stepped.replies.into_iter().next().flatten()
    }

    /// Statuses are answered at once, so that the stories can look between two steps.
    fn show_pending(&mut self) {
        loop {
            let dispatches = step::dispatch(&mut self.cell, &mut Budget::unlimited(), self.now);
            let (shows, rest): (Vec<_>, Vec<_>) =
                dispatches.into_iter().partition(|dispatch| matches!(dispatch.effect, Effect::Show { .. }));
            self.waiting.extend(rest);
            if shows.is_empty() {
                return;
            }
            for dispatch in shows {
                self.answer(&dispatch);
            }
        }
    }

    fn answer(&mut self, dispatch: &Dispatch) {
        let outcome = self.perform(dispatch);
        let input =
            Input { facts: vec![Fact::Outcome { effect: dispatch.key.clone(), outcome }], deliveries: Vec::new() };
        now_or_never(step::step(&self.store, &mut self.cell, input, self.now)).unwrap();
    }

    /// Answers every effect until none is left; jobs stay where they are.
    pub fn work(&mut self) {
        for _ in 0..1000 {
            self.show_pending();
            let dispatches = std::mem::take(&mut self.waiting);
            if dispatches.is_empty() {
                match self.cell.wake_at() {
                    Some(at) if at <= self.now + Duration::from_secs(10) => {
                        self.now = self.now.max(at);
                        self.step_clock();
                        if self.waiting.is_empty() {
                            continue;
                        }
                    }
                    _ => return,
                }
            }
            for dispatch in dispatches {
                self.answer(&dispatch);
            }
        }
        panic!("the world does not come to rest");
    }

    fn step_clock(&mut self) {
        now_or_never(step::step(&self.store, &mut self.cell, Input::default(), self.now)).unwrap();
        self.show_pending();
    }

    /// Runs everything that can run, successfully, until nothing is left to do.
    pub fn finish(&mut self) {
        loop {
            self.work();
            if self.run_job().is_none() {
                return;
            }
        }
    }

    /// Runs everything until the pull request is merged.
    pub fn finish_merge_only(&mut self) {
        while self.merged.is_empty() {
            self.work();
            if self.merged.is_empty() && self.run_job().is_none() {
                return;
            }
        }
    }
}

fn repository() -> RepositoryRef {
    RepositoryRef { id: RepoId(1), full_name: "acme/app".into(), default_branch: "main".into() }
}

fn event(name: &str, action: Option<&str>) -> Arc<Event> {
    Arc::new(Event { name: name.into(), action: action.map(Into::into), payload: "{}".into(), sender: user(WRITER) })
}

fn push(before: Sha, after: Sha, at: Timestamp) -> PushFact {
    PushFact {
        git_ref: RefName::branch("main"),
        before,
        after,
        pushed_at: at,
        event: event("push", None),
        source: Source::Webhook,
    }
}
