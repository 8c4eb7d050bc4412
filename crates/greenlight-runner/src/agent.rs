//! Asking a server for work, and keeping the lease alive while it is done.
//!
//! A pool has a number of slots. Each asks for a job, does it, tells the end until it was heard, cleans up and asks again. While a
//! job runs its lease is renewed every ten seconds; the answer says whether the job is to stop. Where nobody answers for as long as
//! the lease lasts, somebody else may have the job by now, and it is ended (I10).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenlight_core::effect::{JobOrder, JobReport, Reply as Answer};
use greenlight_core::fact::LeaseAsked;
use greenlight_core::id::{AttemptId, RunnerId, Token};
use greenlight_core::port::Reply;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::container;
use crate::host::JobHost;
use crate::job::{Cleanup, RunnerOptions, run_job};
use crate::stop::{Stop, tell};
use crate::workspace;

/// How long a lease lasts without a heartbeat.
pub const LEASE_LENGTH: Duration = Duration::from_secs(60);

/// How often a lease is renewed.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long a slot waits before it asks again where it was told at once that there is nothing.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How long a slot waits before it repeats what was not answered: twice as long each time, up to the second.
const REPEAT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Who hands out work.
pub trait Server: Send + Sync {
    /// Asks for a job. It should answer when there is one, or after some seconds with nothing; an error is one sentence.
    fn ask(&self, asked: LeaseAsked) -> Reply<'_, Result<Option<JobOrder>, String>>;

    /// Tells how a job goes. An error means that it was not heard, and it is told again.
    fn report<'a>(
        &'a self,
        attempt: &'a AttemptId,
        token: Token,
        report: JobReport,
    ) -> Reply<'a, Result<Answer, String>>;

    /// Returns the place that a job runs in.
    fn host(&self, order: &JobOrder) -> Arc<dyn JobHost>;
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
    running: Mutex<HashMap<AttemptId, watch::Sender<Stop>>>,
    closed: watch::Sender<bool>,
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
    }

    /// Tells a job to stop, before the server's next answer does.
    pub fn cancel(&self, attempt: &AttemptId, reason: impl Into<Arc<str>>) {
        if let Some(sender) = self.lock().get(attempt) {
            tell(sender, Stop::Cancelled(reason.into()));
        }
    }

    /// Stops asking for work, and ends at once what runs.
    pub fn close(&self) {
        self.closed.send_replace(true);
        for sender in self.lock().values() {
            tell(sender, Stop::Lost("the runner goes down".into()));
        }
    }

    /// Returns the attempts that run now.
    pub fn running(&self) -> Vec<AttemptId> {
        self.lock().keys().cloned().collect()
    }

    fn name(&self, number: usize) -> RunnerId {
        RunnerId::from(format!("{}-{number}", self.options.runner.name))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptId, watch::Sender<Stop>>> {
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
        let mut closed = self.pool.closed.subscribe();
        let mut wait = REPEAT.0;
        let mut cleaning = JoinSet::new();
        loop {
            let asked_at = Instant::now();
            let answer = tokio::select! {
                _ = closed.wait_for(|closed| *closed) => break,
                answer = self.server.ask(self.asked()) => answer,
            };
            match answer {
                Ok(Some(order)) => {
                    wait = REPEAT.0;
                    let cleanup = self.work(order).await;
                    // The next job need not wait for it, but the one after that does.
                    while cleaning.join_next().await.is_some() {}
                    cleaning.spawn(cleanup.finish());
                }
                Ok(None) => {
                    wait = REPEAT.0;
                    // A server that answers at once is not asked in a circle.
                    tokio::time::sleep(ASK_AGAIN.saturating_sub(asked_at.elapsed())).await;
                }
                Err(why) => {
                    tracing::warn!(runner = %self.runner, "no work can be had: {why}");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(REPEAT.1);
                }
            }
        }
        while cleaning.join_next().await.is_some() {}
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

    async fn work(&self, order: JobOrder) -> Cleanup {
        let (attempt, token) = (order.attempt.clone(), order.token);
        let (sender, stop) = watch::channel(Stop::No);
        self.pool.lock().insert(attempt.clone(), sender.clone());
        if *self.pool.closed.borrow() {
            tell(&sender, Stop::Lost("the runner goes down".into()));
        }
        let mut options = self.pool.options.runner.clone();
        options.name = self.runner.as_str().into();
        let host = self.server.host(&order);
        let run = run_job(order, host, stop, &options);
        let lease = Lease { server: &*self.server, attempt: &attempt, token, stop: &sender };
        let mut has_started = false;
        let ended = tokio::select! {
            ended = run => ended,
            never = lease.keep(&mut has_started) => match never {},
        };
        // A short job may be over before its start was heard.
        let is_ours = if has_started { true } else { lease.tell(JobReport::Started).await };
        let is_lost = matches!(&*sender.borrow(), Stop::Lost(_));
        if is_ours && !is_lost {
            lease.tell(JobReport::Ended(ended.end)).await;
        }
        self.pool.lock().remove(&attempt);
        ended.cleanup
    }
}

/// A hold on a job.
struct Lease<'a> {
    server: &'a dyn Server,
    attempt: &'a AttemptId,
    token: Token,
    stop: &'a watch::Sender<Stop>,
}

impl Lease<'_> {
    /// Tells that the job started, and then again and again that it is alive.
    async fn keep(&self, has_started: &mut bool) -> std::convert::Infallible {
        let mut heard_at = Instant::now();
        if self.told(JobReport::Started, LEASE_LENGTH).await {
            *has_started = true;
            heard_at = Instant::now();
        }
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let left = LEASE_LENGTH.saturating_sub(heard_at.elapsed());
            let report = if *has_started { JobReport::Alive } else { JobReport::Started };
            if self.told(report, left).await {
                *has_started = true;
                heard_at = Instant::now();
            } else {
                tell(self.stop, Stop::Lost("the server was not heard of for as long as the lease lasts".into()));
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
                    wait = (wait * 2).min(REPEAT.1);
                }
            }
        }
    }
}
