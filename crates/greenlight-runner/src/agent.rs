//! Asking a server for work, and keeping the lease alive while it is done.
//!
//! A pool has a number of slots. Each asks for a job, does it, tells the end until it was heard, cleans up and asks again. While a
//! job runs its lease is renewed; the answer says whether the job is to stop. Where nobody answers for longer than the lease lasts,
//! the server is away, or the way to it is: a job goes on, since a server that comes back finds its leases counted anew (P5). It is
//! ended when it may run in vain no longer ([`Terms::silence_max`]): after an hour where another try does no harm, and with its lease where it
//! deploys, for by then somebody else may.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenlight_core::effect::{JobEnd, JobOrder, JobReport, Reply as Answer};
use greenlight_core::fact::LeaseAsked;
use greenlight_core::id::{AttemptId, RunnerId, Token};
use greenlight_core::port::Reply;
use greenlight_core::time::spoken;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::container;
use crate::host::JobHost;
use crate::job::{Cleanup, RunnerOptions, run_job};
use crate::stop::{Stop, tell};
use crate::workspace;

/// How long a lease lasts without a heartbeat, where nobody says otherwise.
pub const LEASE_LENGTH: Duration = Duration::from_secs(60);

/// How long a job goes on that no server hears of.
pub const SILENCE_MAX: Duration = Duration::from_secs(3600);

/// How long the end of a job is still told when its pool closes.
const LAST_WORD_WITHIN: Duration = Duration::from_secs(5);

/// How long the end of a job may take to be heard before the machine is cleaned behind it all the same: where the disk is full of what
/// it left, its end can be stored by nobody.
const CLEAN_WITHIN: Duration = Duration::from_secs(1);

/// How often a lease is renewed while it lasts.
const HEARTBEATS: u32 = 6;

/// How long a slot waits before it asks again where it was told at once that there is nothing.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How long a slot waits before it repeats what was not answered: twice as long each time, up to the second.
const REPEAT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Under which terms a job is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long the lease lasts without a heartbeat.
    pub lease: Duration,
    /// How long the job goes on though nobody hears of it.
    pub silence_max: Duration,
}

impl Terms {
    /// Returns the terms of a job that is ended with its lease.
    pub fn strict(lease: Duration) -> Self {
        Self { lease, silence_max: lease }
    }

    /// Returns the terms of a job whose server may be away for a while: longer than its lease, unless it deploys.
    pub fn patient(lease: Duration, order: &JobOrder) -> Self {
        if order.deploys() { Self::strict(lease) } else { Self { lease, silence_max: SILENCE_MAX.max(lease) } }
    }

    /// Returns how often the lease is renewed.
    pub fn heartbeat(&self) -> Duration {
        self.lease / HEARTBEATS
    }
}

/// What becomes of telling how a job goes: an error is one sentence.
pub type Answered<'a> = Reply<'a, Result<Answer, String>>;

/// Who hands out work.
pub trait Server: Send + Sync {
    /// Asks for a job. It should answer when there is one, or after some seconds with nothing; an error is one sentence.
    fn ask(&self, asked: LeaseAsked) -> Reply<'_, Result<Option<JobOrder>, String>>;

    /// Tells how a job goes. An error means that it was not heard, and it is told again.
    fn report<'a>(&'a self, attempt: &'a AttemptId, token: Token, report: JobReport) -> Answered<'a>;

    /// Returns the place that a job runs in.
    fn host(&self, order: &JobOrder) -> Arc<dyn JobHost>;

    /// Returns the terms under which a job is held.
    fn terms(&self, order: &JobOrder) -> Terms {
        let _ = order;
        Terms::strict(LEASE_LENGTH)
    }
}

/// How a job ended that this pool ran.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// "owner/name".
    pub repository: Arc<str>,
    /// The job's name.
    pub job: Arc<str>,
    /// How, and why.
    pub end: JobEnd,
    /// Has the server heard of it?
    pub is_told: bool,
}

/// How a pool is to be.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// How many jobs run side by side.
    pub slots: usize,
    /// What the runner can do (`runs-on`), lower case.
    pub labels: Arc<[Arc<str>]>,
    /// The boot id of the server that the runner lives and dies with.
    pub boot: Option<Arc<str>>,
    /// How jobs are run. The runner's name stands before each slot's number.
    pub runner: RunnerOptions,
}

/// Some slots, and what they are doing.
#[derive(Debug)]
pub struct Pool {
    options: PoolOptions,
    running: Mutex<HashMap<AttemptId, Held>>,
    closed: watch::Sender<bool>,
}

/// A job that runs.
#[derive(Debug)]
struct Held {
    stop: watch::Sender<Stop>,
    deploys: bool,
}

impl Pool {
    /// Returns a pool. What jobs of an earlier life left in the work folder is removed.
    pub fn new(options: PoolOptions) -> std::io::Result<Self> {
        workspace::sweep(&options.runner.work_dir)?;
        Ok(Self { options, running: Mutex::default(), closed: watch::channel(false).0 })
    }

    /// Works until [`Pool::close`] is called.
    pub async fn serve(self: &Arc<Self>, server: Arc<dyn Server>) {
        container::sweep(&self.options.runner.work_dir).await;
        let mut slots = JoinSet::new();
        for number in 1..=self.options.slots {
            let slot = Slot { pool: self.clone(), server: server.clone(), runner: self.name(number) };
            slots.spawn(slot.serve());
        }
        while slots.join_next().await.is_some() {}
        self.options.runner.isolation.close().await;
    }

    /// Waits for one job, does it, and tells the end. Returns nothing where the pool was closed before there was one.
    pub async fn serve_one(self: &Arc<Self>, server: Arc<dyn Server>) -> Option<Done> {
        container::sweep(&self.options.runner.work_dir).await;
        let slot = Slot { pool: self.clone(), server, runner: self.name(1) };
        let order = slot.next(&mut REPEAT.0.clone()).await?;
        let (done, cleanup) = slot.work(order).await;
        if let Some(cleanup) = cleanup {
            cleanup.finish().await;
        }
        Some(done)
    }

    /// Tells a job to stop, before the server's next answer does.
    pub fn cancel(&self, attempt: &AttemptId, reason: impl Into<Arc<str>>) {
        if let Some(held) = self.lock().get(attempt) {
            tell(&held.stop, Stop::Cancelled(reason.into()));
        }
    }

    /// Tells every job to stop but those that deploy, of which nobody knows what half of it would leave.
    pub fn cancel_all(&self, reason: &Arc<str>) {
        for held in self.lock().values().filter(|held| !held.deploys) {
            tell(&held.stop, Stop::Cancelled(reason.clone()));
        }
    }

    /// Stops asking for work, and ends at once what runs.
    pub fn close(&self) {
        self.closed.send_replace(true);
        for held in self.lock().values() {
            tell(&held.stop, Stop::Lost("the runner goes down".into()));
        }
    }

    /// Returns the attempts that run now.
    pub fn running(&self) -> Vec<AttemptId> {
        self.lock().keys().cloned().collect()
    }

    fn name(&self, number: usize) -> RunnerId {
        RunnerId::from(format!("{}-{number}", self.options.runner.name))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptId, Held>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One slot.
struct Slot {
    pool: Arc<Pool>,
    server: Arc<dyn Server>,
    runner: RunnerId,
}

impl Slot {
    async fn serve(self) {
        let mut wait = REPEAT.0;
        let mut cleaning = JoinSet::new();
        while let Some(order) = self.next(&mut wait).await {
            let (_, cleanup) = self.work(order).await;
            // The next job need not wait for it, but the one after that does.
            while cleaning.join_next().await.is_some() {}
            if let Some(cleanup) = cleanup {
                cleaning.spawn(cleanup.finish());
            }
        }
        while cleaning.join_next().await.is_some() {}
    }

    /// Asks until there is a job; nothing where the pool is closed.
    async fn next(&self, wait: &mut Duration) -> Option<JobOrder> {
        let mut closed = self.pool.closed.subscribe();
        loop {
            let asked_at = Instant::now();
            let answer = tokio::select! {
                _ = closed.wait_for(|closed| *closed) => return None,
                answer = self.server.ask(self.asked()) => answer,
            };
            let pause = match answer {
                Ok(order) => {
                    *wait = REPEAT.0;
                    if order.is_some() {
                        return order;
                    }
                    // A server that answers at once is not asked in a circle.
                    ASK_AGAIN.saturating_sub(asked_at.elapsed())
                }
                Err(why) => {
                    tracing::warn!(runner = %self.runner, "no work can be had: {why}");
                    let pause = *wait;
                    *wait = (pause * 2).min(REPEAT.1);
                    pause
                }
            };
            tokio::select! {
                _ = closed.wait_for(|closed| *closed) => return None,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn asked(&self) -> LeaseAsked {
        let options = &self.pool.options;
        LeaseAsked {
            runner: self.runner.clone(),
            boot: options.boot.clone(),
            labels: options.labels.clone(),
            length: LEASE_LENGTH,
        }
    }

    /// Does a job, and tells its end. What is to be done behind it is left to the caller, where it is not done yet.
    async fn work(&self, order: JobOrder) -> (Done, Option<Cleanup>) {
        let (attempt, token) = (order.attempt.clone(), order.token);
        let (sender, stop) = watch::channel(Stop::No);
        self.pool.lock().insert(attempt.clone(), Held { stop: sender.clone(), deploys: order.deploys() });
        if *self.pool.closed.borrow() {
            tell(&sender, Stop::Lost("the runner goes down".into()));
        }
        let mut options = self.pool.options.runner.clone();
        options.name = self.runner.as_str().into();
        let (host, terms) = (self.server.host(&order), self.server.terms(&order));
        let (repository, job) = (order.repository.clone(), order.job_name.clone());
        let run = run_job(order, host, stop, &options);
        let lease = Lease { server: &*self.server, attempt: &attempt, token, terms, stop: &sender };
        let mut has_started = false;
        let ended = tokio::select! {
            ended = run => ended,
            never = lease.keep(&mut has_started) => match never {},
        };
        let (is_told, cleanup) = {
            let told = self.last_word(&lease, has_started, ended.end.clone());
            tokio::pin!(told);
            match tokio::time::timeout(CLEAN_WITHIN, &mut told).await {
                Ok(is_told) => (is_told, Some(ended.cleanup)),
                // What it left may be what keeps its end from being stored.
                Err(_) => (tokio::join!(ended.cleanup.finish(), told).1, None),
            }
        };
        self.pool.lock().remove(&attempt);
        (Done { repository, job, end: ended.end, is_told }, cleanup)
    }

    /// Tells the end until it was heard. A pool that closes does not wait for a server that is away.
    async fn last_word(&self, lease: &Lease<'_>, has_started: bool, end: JobEnd) -> bool {
        let tell = async {
            // A short job may be over before its start was heard.
            let is_ours = has_started || lease.tell(JobReport::Started).await;
            let is_lost = matches!(&*lease.stop.borrow(), Stop::Lost(_));
            is_ours && !is_lost && lease.tell(JobReport::Ended(end)).await
        };
        let mut closed = self.pool.closed.subscribe();
        let too_late = async {
            // The pool lives as long as its slots.
            let _ = closed.wait_for(|closed| *closed).await;
            tokio::time::sleep(LAST_WORD_WITHIN).await;
        };
        tokio::select! {
            is_told = tell => is_told,
            () = too_late => false,
        }
    }
}

/// A hold on a job.
struct Lease<'a> {
    server: &'a dyn Server,
    attempt: &'a AttemptId,
    token: Token,
    terms: Terms,
    stop: &'a watch::Sender<Stop>,
}

impl Lease<'_> {
    /// Tells that the job started, and then again and again that it is alive.
    async fn keep(&self, has_started: &mut bool) -> std::convert::Infallible {
        let mut heard_at = Instant::now();
        if self.told(JobReport::Started, self.terms.silence_max).await {
            *has_started = true;
            heard_at = Instant::now();
        }
        loop {
            tokio::time::sleep(self.terms.heartbeat()).await;
            let left = self.terms.silence_max.saturating_sub(heard_at.elapsed());
            let report = if *has_started { JobReport::Alive } else { JobReport::Started };
            if self.told(report, left).await {
                *has_started = true;
                heard_at = Instant::now();
            } else {
                let why = format!("the server was not heard of for {}", spoken(self.terms.silence_max));
                tell(self.stop, Stop::Lost(why.into()));
            }
        }
    }

    /// Tells something until it was heard, for so long. Returns whether it was.
    async fn told(&self, report: JobReport, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.tell(report)).await.is_ok()
    }

    /// Tells something until it was heard. Returns whether the job is still ours.
    async fn tell(&self, report: JobReport) -> bool {
        let mut wait = REPEAT.0;
        loop {
            match self.server.report(self.attempt, self.token, report.clone()).await {
                Ok(Answer::Heard { cancelled }) => {
                    if cancelled {
                        tell(self.stop, Stop::Cancelled("the run was cancelled".into()));
                    }
                    return true;
                }
                Ok(Answer::NotYours) => {
                    tell(self.stop, Stop::Lost("the lease is over".into()));
                    return false;
                }
                Ok(other) => {
                    tracing::error!(job.attempt = %self.attempt, "a report was answered with {other:?}");
                    return true;
                }
                Err(why) => {
                    tracing::warn!(job.attempt = %self.attempt, "a report was not heard: {why}");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(REPEAT.1).min(self.terms.heartbeat());
                }
            }
        }
    }
}
