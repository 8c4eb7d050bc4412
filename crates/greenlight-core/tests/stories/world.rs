//! A small, kind world for the stories: it answers every effect at once, and says what happened in short words.
//!
//! Commits are letters. A test merge of head `a` on base `x` has a tree of its own; what lands has the tree that was tested.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use greenlight_core::deployment::{DeployWish, WishState};
use greenlight_core::effect::{
    Answer, Dispatch, Effect, JobEnd, JobOrder, JobReport, Outcome, PullRead, Reconciled, Refusal, Reply,
};
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::event::{
    Comment, CommitFiles, DeploymentMaker, DeploymentSnapshot, DeploymentState, Event, Permission, PullSnapshot,
    PullStanding, Review, TestMerge, User, Verdict,
};
use greenlight_core::fact::{Click, Fact, LeaseAsked, PullFact, PushFact, RepositoryRef, Source, Wish};
use greenlight_core::id::{
    CommentId, DeploymentId, PullNumber, RefName, RepoId, ReviewId, RunNumber, RunnerId, Sha, UserId,
};
use greenlight_core::outbox::Budget;
use greenlight_core::port::{self, Commit, Disposition, Loaded, NewDelivery, Store, StoreError, Stored, Waiting};
use greenlight_core::report::job_sentence;
use greenlight_core::repository::Settings;
use greenlight_core::run::{Conclusion, JobState};
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

    // What people do.

    pub fn open_pull(&mut self, number: u64, head: char) {
        self.show_pull(number, head, RepoId(1), "opened");
    }

    pub fn open_fork(&mut self, number: u64, head: char) {
        self.show_pull(number, head, RepoId(2), "opened");
    }

    pub fn push_pull(&mut self, number: u64, head: char) {
        self.now = self.now + Duration::from_secs(2);
        self.show_pull(number, head, RepoId(1), "synchronize");
    }

    fn snapshot(&self, number: u64, head: char, from: RepoId) -> PullSnapshot {
        PullSnapshot {
            number: PullNumber(number),
            title: format!("pull {number}").into(),
            standing: PullStanding::Open,
            draft: false,
            head_sha: sha(head),
            head_ref: format!("topic-{number}").into(),
            head_repo: Some(from),
            base_ref: RefName::branch("main"),
            base_sha: self.main,
            author: user(if from == RepoId(1) { WRITER } else { STRANGER }),
            updated_at: self.now,
            head_pushed_at: Some(self.now),
        }
    }

    fn show_pull(&mut self, number: u64, head: char, from: RepoId, action: &str) {
        let snapshot = self.snapshot(number, head, from);
        if self.merged.contains(&number) {
            return;
        }
        self.pulls.insert(number, snapshot.clone());
        let fact = PullFact { pull: snapshot, event: event("pull_request", Some(action)), source: Source::Webhook };
        self.step(Fact::Pull(fact));
    }

    pub fn move_main(&mut self, to: char) {
        self.now = self.now + Duration::from_secs(2);
        let push = push(self.main, sha(to), self.now);
        self.trees.insert(sha(to), tree(sha(to), self.main));
        self.main = sha(to);
        self.step(Fact::Push(push));
    }

    pub fn comment(&mut self, number: u64, by: u64, body: &str) {
        self.now = self.now + Duration::from_secs(2);
        let id = CommentId(u64::try_from(self.now.as_millis()).unwrap());
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.updated_at = self.now;
        }
        let comment =
            Comment { id, pull: PullNumber(number), author: user(by), body: body.into(), created_at: self.now };
        self.last_comment = Some(comment.clone());
        self.step(Fact::Comment(comment));
    }

    /// The last comment is told of once more, as a comparison does.
    pub fn comment_again(&mut self) {
        let comment = self.last_comment.clone().expect("somebody said something");
        self.step(Fact::Comment(comment));
    }

    /// A comment is found that was written long before.
    pub fn comment_days_ago(&mut self, number: u64, by: u64, body: &str, days: u64) {
        self.now = self.now + Duration::from_secs(days * 24 * 3600);
        let id = CommentId(u64::try_from(self.now.as_millis()).unwrap());
        let created_at = self.now - Duration::from_secs(days * 24 * 3600);
        if let Some(pull) = self.pulls.get_mut(&number) {
            pull.updated_at = created_at;
        }
        self.step(Fact::Comment(Comment {
            id,
            pull: PullNumber(number),
            author: user(by),
            body: body.into(),
            created_at,
        }));
    }

    pub fn close_pull(&mut self, number: u64) {
        self.now = self.now + Duration::from_secs(2);
        let pull = self.pulls.get_mut(&number).unwrap();
        pull.standing = PullStanding::Closed;
        pull.updated_at = self.now;
        let fact =
            PullFact { pull: pull.clone(), event: event("pull_request", Some("closed")), source: Source::Webhook };
        self.step(Fact::Pull(fact));
    }

    /// Somebody opens a pull request and merges it, and every webhook of it is lost.
    pub fn merge_unheard(&mut self, number: u64, head: char, landed: char) {
        let pull = PullSnapshot {
            standing: PullStanding::Merged { commit: Some(sha(landed)) },
            ..self.snapshot(number, head, RepoId(1))
        };
        self.unheard.push(PullFact { pull, event: event("pull_request", Some("closed")), source: Source::Read });
        self.trees.insert(sha(landed), tree(sha(head), self.main));
        self.main = sha(landed);
    }

    /// Days go by.
    pub fn pass(&mut self, days: u64) {
        self.now = self.now + Duration::from_secs(days * 24 * 3600);
    }

    /// Runs everything; what tests a pull request fails.
    pub fn finish_with_failing_pulls(&mut self) {
        loop {
            self.work();
            let Some(order) = self.take() else { return };
            let fails = order.checkout.git_ref.as_str().starts_with("refs/pull/");
            self.end(&order, if fails { Conclusion::Failure } else { Conclusion::Success }, &[]);
        }
    }

    /// Every commit from now on has this `.greenlight.yml`.
    pub fn configure(&mut self, config: &str) {
        self.config = config.into();
    }

    /// Every commit has a `script/cibuild`.
    pub fn has_cibuild(&mut self) {
        self.cibuild = true;
    }

    pub fn push_branch(&mut self, branch: &str, to: char) {
        self.trees.insert(sha(to), tree(sha(to), self.main));
        let push = PushFact { git_ref: RefName::branch(branch), ..push(Sha::ZERO, sha(to), self.now) };
        self.step(Fact::Push(push));
    }

    /// GitHub tells of something else, on a commit.
    pub fn tell(&mut self, name: &str, action: Option<&str>, payload: &str, git_ref: &str, at: char) {
        self.trees.insert(sha(at), tree(sha(at), self.main));
        let event = Event { payload: payload.into(), ..(*event(name, action)).clone() };
        let git_ref = Some(RefName::new(git_ref));
        self.step(Fact::Event { subject: "it".into(), git_ref, sha: Some(sha(at)), event: Arc::new(event) });
    }

    /// Somebody makes a deployment by hand.
    pub fn deploy(&mut self, environment: &str, at: char) {
        let snapshot = DeploymentSnapshot {
            id: DeploymentId(self.deployed.len() as u64 + 1),
            sha: sha(at),
            git_ref: "main".into(),
            task: "deploy".into(),
            environment: environment.into(),
            payload: "{}".into(),
            key: None,
            creator: user(WRITER),
            maker: DeploymentMaker::Anyone,
            state: None,
        };
        self.deployed.push((snapshot.clone(), String::new()));
        self.step(Fact::Deployment { deployment: snapshot, event: Some(event("deployment", Some("created"))) });
    }

    pub fn approve(&mut self, number: u64, by: u64, head: char) {
        let id = ReviewId(self.reviews.len() as u64 + 1);
        let review = Review { id, user: user(by), verdict: Verdict::Approved, commit: Some(sha(head)) };
        self.reviews.push(review.clone());
        self.step(Fact::Review { pull: PullNumber(number), review });
    }

    pub fn click(&mut self, wish: Wish) -> String {
        match self.step(Fact::Click(Click { by: "octocat".into(), wish })) {
            Some(Reply::Granted(text)) => text.to_string(),
            other => format!("{other:?}"),
        }
    }

    /// Runners came or went.
    pub fn labels(&mut self, labels: &[&str]) {
        self.step(Fact::Labels(labels.iter().map(|label| Arc::from(*label)).collect()));
    }

    // What runners do.

    fn ask(&mut self) -> Option<JobOrder> {
        let boot = self.boot_id();
        self.ask_as("runner-1", Some(boot))
    }

    fn ask_as(&mut self, runner: &str, boot: Option<Arc<str>>) -> Option<JobOrder> {
        match self.step(Self::question(runner, boot)) {
            Some(Reply::Leased(order)) => Some(*order),
            _ => None,
        }
    }

    fn question(runner: &str, boot: Option<Arc<str>>) -> Fact {
        let labels: Arc<[Arc<str>]> = [Arc::from("ubuntu-latest"), Arc::from("self-hosted")].into();
        Fact::LeaseAsked(LeaseAsked { runner: RunnerId::from(runner), boot, labels, length: Duration::from_secs(60) })
    }

    fn report(&mut self, order: &JobOrder, report: JobReport) {
        let reply = self.step(Fact::Reported { attempt: order.attempt.clone(), token: order.token, report });
        assert!(matches!(reply, Some(Reply::Heard { .. })), "{reply:?}");
    }

    /// Runs the oldest job that waits, successfully. Returns its id.
    pub fn run_job(&mut self) -> Option<String> {
        self.end_job(Conclusion::Success, "succeeded")
    }

    pub fn fail_job(&mut self, reason: &str) {
        self.end_job(Conclusion::Failure, reason).expect("a job waits");
    }

    fn end_job(&mut self, conclusion: Conclusion, reason: &str) -> Option<String> {
        let order = self.ask()?;
        self.report(&order, JobReport::Started);
        self.work();
        let end = JobEnd { conclusion, reason: reason.into(), outputs: Vec::new(), environment_url: None };
        self.report(&order, JobReport::Ended(end));
        self.work();
        Some(order.job_id.to_string())
    }

    /// A runner tells that it was started again without its job. Returns whether it was heard.
    pub fn gives_up(&mut self, order: &JobOrder) -> bool {
        let reply =
            self.step(Fact::Reported { attempt: order.attempt.clone(), token: order.token, report: JobReport::Lost });
        self.work();
        matches!(reply, Some(Reply::Heard { .. }))
    }

    pub fn lose_job(&mut self) {
        let order = self.ask().expect("a job waits");
        self.report(&order, JobReport::Started);
        self.now = self.now + Duration::from_secs(61);
        self.step_clock();
        let reply =
            self.step(Fact::Reported { attempt: order.attempt.clone(), token: order.token, report: JobReport::Alive });
        assert_eq!(reply, Some(Reply::NotYours));
    }

    /// Takes jobs and ends them until the one of this id is held.
    pub fn lease_is_not(&mut self, id: &str) -> bool {
        let order = self.ask().expect("a job waits");
        self.report(&order, JobReport::Started);
        self.work();
        if &*order.job_id == id {
            self.holding = Some(order);
            return false;
        }
        let end = JobEnd {
            conclusion: Conclusion::Success,
            reason: "succeeded".into(),
            outputs: Vec::new(),
            environment_url: None,
        };
        self.report(&order, JobReport::Ended(end));
        true
    }

    /// Takes the oldest job that waits, and begins it.
    pub fn take(&mut self) -> Option<JobOrder> {
        let order = self.ask()?;
        self.report(&order, JobReport::Started);
        self.work();
        Some(order)
    }

    /// Answers effects, and has each step take along the question of a runner, until that has a job.
    pub fn take_along(&mut self) -> Option<JobOrder> {
        for _ in 0..1000 {
            self.show_pending();
            let dispatch = self.waiting.pop()?;
            let outcome = Fact::Outcome { effect: dispatch.key.clone(), outcome: self.perform(&dispatch) };
            let facts = vec![outcome, Self::question("runner-1", Some(self.boot_id()))];
            let input = Input { facts, deliveries: Vec::new() };
            let stepped = now_or_never(step::step(&self.store, &mut self.cell, input, self.now)).unwrap();
            if let Some(Some(Reply::Leased(order))) = stepped.replies.into_iter().nth(1) {
                return Some(*order);
            }
        }
        panic!("the world does not come to rest");
    }

    /// A runner on another machine takes the oldest job that waits, and begins it.
    pub fn take_elsewhere(&mut self) -> Option<JobOrder> {
        let order = self.ask_as("elsewhere-1", None)?;
        self.report(&order, JobReport::Started);
        self.work();
        Some(order)
    }

    /// Time goes by, and the server looks what that means.
    pub fn wait(&mut self, seconds: u64) {
        self.is_away(seconds);
        self.step_clock();
        self.work();
    }

    /// Time goes by, and no server is there to see it.
    pub fn is_away(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Tells that a job is alive. Returns whether it is still its runner's.
    pub fn is_alive(&mut self, order: &JobOrder) -> bool {
        let report = Fact::Reported { attempt: order.attempt.clone(), token: order.token, report: JobReport::Alive };
        matches!(self.step(report), Some(Reply::Heard { .. }))
    }

    /// Ends a job that was taken.
    pub fn end(&mut self, order: &JobOrder, conclusion: Conclusion, outputs: &[(&str, &str)]) {
        let outputs = outputs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let end = JobEnd { conclusion, reason: "it ended".into(), outputs, environment_url: None };
        self.report(order, JobReport::Ended(end));
        self.work();
    }

    pub fn restart_with_new_boot(&mut self) {
        self.boot += 1;
        self.waiting.clear();
        self.cell = now_or_never(step::open(&self.store, repository(), Settings::default(), self.now)).unwrap();
        self.boot();
    }

    // What can be seen.

    pub fn status(&self, head: char) -> String {
        self.statuses.get(&(sha(head), "greenlight".into())).cloned().unwrap_or_default()
    }

    pub fn context(&self, head: char, context: &str) -> String {
        self.statuses.get(&(sha(head), context.into())).cloned().unwrap_or_default()
    }

    pub fn deployment_text(&self) -> String {
        self.deployment_text.clone()
    }

    pub fn comments_by_mark(&self, number: u64) -> Vec<(String, String)> {
        let comments = self.comments.get(&number).into_iter().flatten();
        comments.map(|(mark, text)| (mark.clone(), text.clone())).collect()
    }

    pub fn last_run_of(&self, name: &str) -> RunNumber {
        let runs = &self.cell.repository().runs;
        runs.values().rfind(|run| &*run.suite.event == name).expect("it ran").number
    }

    pub fn failed_run(&self) -> RunNumber {
        let runs = &self.cell.repository().runs;
        runs.values().find(|run| run.conclusion() == Some(Conclusion::Failure)).expect("it failed").number
    }

    pub fn merged(&self) -> Vec<u64> {
        self.merged.clone()
    }

    pub fn deployments(&self) -> Vec<String> {
        self.deployed.iter().map(|(deployment, states)| format!("{}{states}", deployment.environment)).collect()
    }

    /// What the deployments that are not made yet wait for.
    pub fn wishes(&self) -> Vec<String> {
        let waiting = |wish: &DeployWish| match &wish.state {
            WishState::Waiting { reason } => Some(reason.to_string()),
            _ => None,
        };
        self.cell.repository().wishes.values().filter_map(waiting).collect()
    }

    pub fn room(&self) -> Vec<String> {
        let landed = self.main.short();
        self.room.iter().map(|line| line.replace(&landed, "M")).collect()
    }

    pub fn comments(&self, number: u64) -> Vec<String> {
        self.comments.get(&number).map(|comments| comments.values().cloned().collect()).unwrap_or_default()
    }

    pub fn audit(&self) -> Vec<String> {
        self.store.audit.lock().unwrap().clone()
    }

    /// Returns how a run and each of its jobs stands, a line each.
    pub fn standing(&self, number: RunNumber) -> Vec<String> {
        let repository = self.cell.repository();
        let run = repository.runs.get(&number).expect("there is such a run");
        let jobs = run.jobs.iter().map(|job| {
            let state = match &job.state {
                JobState::Completed { conclusion, .. } => conclusion.as_result(),
                JobState::Leased(_) => "runs",
                JobState::Queued { .. } => "queued",
                JobState::Waiting => "waits",
            };
            format!("{}: {state}: {}", job.key, job_sentence(repository, run, job))
        });
        let itself = format!("{}: {}", run.conclusion().map_or("active", Conclusion::as_result), run.reason);
        jobs.chain([itself]).collect()
    }

    pub fn runs_of(&self, name: &str) -> usize {
        self.cell.repository().runs.values().filter(|run| &*run.suite.event == name).count()
    }

    // What GitHub, git and the rooms answer.

    fn perform(&mut self, dispatch: &Dispatch) -> Outcome {
        let answer = match &dispatch.effect {
            Effect::PrepareMerge { head_sha, .. } => {
                let files = self.files(sha('m'), tree(*head_sha, self.main));
                Answer::TestMerge(Box::new(TestMerge { base_sha: self.main, files }))
            }
            Effect::ReadCommit { sha, .. } => match self.trees.get(sha) {
                Some(tree) => Answer::Commit(Box::new(self.files(*sha, *tree))),
                None => return Outcome::Refused(Refusal::Gone("there is no such commit".into())),
            },
            Effect::ReadPermission(user) => Answer::Permission(match user.id.0 {
                WRITER | BOT => Permission::Write,
                _ => Permission::Read,
            }),
            Effect::ReadPull(number) => Answer::Pull(Box::new(self.read_pull(number.0))),
            Effect::Reconcile { pulls_since, .. } => Answer::Reconciled(Box::new(Reconciled {
                repository: repository(),
                pulls: self.unheard.iter().filter(|_| pulls_since.is_some()).cloned().collect(),
                pulls_until: Some(self.now),
                reviews: Vec::new(),
                comments: Vec::new(),
                refs: vec![PushFact { source: Source::Read, ..push(Sha::ZERO, self.main, self.now) }],
                deployments: Vec::new(),
            })),
            Effect::Show { sha, context, report, .. } => {
                let text = format!("{:?}: {}", report.state, report.description);
                self.statuses
                    .insert((*sha, context.to_string()), format!("{}{}", text[..1].to_lowercase(), &text[1..]));
                Answer::Nothing
            }
            Effect::Comment { pull, mark, body, .. } => {
                self.comments.entry(pull.0).or_default().insert(mark.to_string(), body.to_string());
                Answer::Comment(CommentId(1))
            }
            Effect::Merge { pull, head_sha, .. } => return self.merge(pull.0, *head_sha),
            Effect::CreateDeployment { sha, environment, .. } => {
                assert!(self.statuses[&(*sha, "greenlight".into())].starts_with("success"));
                let snapshot = DeploymentSnapshot {
                    id: DeploymentId(self.deployed.len() as u64 + 1),
                    sha: *sha,
                    git_ref: sha.to_string().into(),
                    task: "deploy".into(),
                    environment: environment.clone(),
                    payload: "{}".into(),
                    key: Some(dispatch.key.clone()),
                    creator: user(OURS),
                    maker: DeploymentMaker::Anyone,
                    state: None,
                };
                self.deployed.push((snapshot.clone(), String::new()));
                Answer::Deployment(Box::new(snapshot))
            }
            Effect::ShowDeployment { id, shown } => {
                let word = match shown.state {
                    DeploymentState::Queued => "queued",
                    DeploymentState::InProgress => "in_progress",
                    DeploymentState::Success => "success",
                    DeploymentState::Failure => "failure",
                    _ => "error",
                };
                let (_, states) = &mut self.deployed[usize::try_from(id.0).unwrap() - 1];
                *states = format!("{states} {word}");
                self.deployment_text = shown.description.to_string();
                Answer::Nothing
            }
            Effect::Tell { message, .. } => {
                self.room.push(message.to_string());
                Answer::Nothing
            }
        };
        Outcome::Done(answer)
    }

    fn merge(&mut self, number: u64, head: Sha) -> Outcome {
        let pull = self.pulls.get_mut(&number).unwrap();
        if pull.head_sha != head {
            return Outcome::Refused(Refusal::HeadMoved);
        }
        let mut bytes = *head.as_bytes();
        bytes[18] = b'L';
        let landed = Sha::from_bytes(bytes);
        let tree = tree(head, self.main);
        self.now = self.now + Duration::from_secs(2);
        pull.standing = PullStanding::Merged { commit: Some(landed) };
        pull.updated_at = self.now;
        self.trees.insert(landed, tree);
        let moved = push(self.main, landed, self.now);
        self.main = landed;
        self.merged.push(number);
        let input = Input { facts: vec![Fact::Push(moved)], deliveries: Vec::new() };
        now_or_never(step::step(&self.store, &mut self.cell, input, self.now)).unwrap();
        Outcome::Done(Answer::Merged { sha: landed, tree })
    }

    fn read_pull(&self, number: u64) -> PullRead {
        PullRead {
            fact: PullFact {
                pull: self.pulls[&number].clone(),
                event: event("pull_request", Some("synchronize")),
                source: Source::Read,
            },
            base_tip: self.main,
            reviews: self.reviews.clone(),
            rules: None,
            verdicts: Vec::new(),
        }
    }

    fn files(&self, sha: Sha, tree: Sha) -> CommitFiles {
        CommitFiles {
            sha,
            tree,
            message: "a change".into(),
            workflows: self.workflows.clone(),
            called: Vec::new(),
            config: Some((".greenlight.yml".into(), self.config.clone())),
            cibuild: self.cibuild,
            changed_paths: None,
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
