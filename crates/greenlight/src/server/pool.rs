//! The built-in runner: a few slots, each of which takes the oldest job of any repository that it can do.
//!
//! It lives and dies with this server: its leases carry the boot id, and the next start ends them at once.

use std::sync::Arc;
use std::time::Duration;

use greenlight_core::effect::{JobOrder, JobReport, Reply as Answer};
use greenlight_core::fact::{Fact, LeaseAsked};
use greenlight_core::id::{AttemptId, Token};
use greenlight_core::port::Reply;
use greenlight_core::step::Cell;
use greenlight_runner::{
    Answered, Isolation, IsolationOptions, JobHost, Pool, PoolOptions, Priority, RunnerOptions, Server,
};
use greenlight_store::{Blobs, Logs};
use tokio::sync::Mutex;

use super::host::Host;
use super::{Shared, StartError};
use crate::config::Config;

/// How long a slot that finds nothing waits before it looks again though nobody called.
const LOOK_EVERY: Duration = Duration::from_secs(15);
/// What the runner is called; each slot has a number behind it.
const NAME: &str = "built-in";

/// Opens the logs: those of running jobs in one folder, the finished ones among the blobs.
pub fn open_logs(config: &Config, blobs: Blobs) -> Result<Arc<Logs>, StartError> {
    Logs::open(&config.data.join("logs"), blobs).map_err(StartError::Logs)
}

/// Makes the pool; what jobs of an earlier life left is removed.
pub async fn open(config: &Config, boot: &Arc<str>) -> Result<Arc<Pool>, StartError> {
    let work_dir = config.data.join("work");
    let mut runner = RunnerOptions::new(&work_dir, NAME);
    let mut hidden = config.runner.hidden.clone();
    hidden.push(config.data.clone());
    let isolation = IsolationOptions {
        wanted: config.runner.isolation,
        program: None,
        work_dir,
        hidden,
        visible: config.runner.visible.clone(),
        priority: Priority::Lowest,
    };
    runner.isolation = Arc::new(Isolation::find(isolation).await.map_err(StartError::Isolation)?.keeping_a_spare());
    tracing::info!("{}", runner.isolation.told());
    runner.nodes = config.runner.nodes.clone();
    runner.built_in_checkout = config.runner.built_in_checkout;
    let options = PoolOptions {
        slots: config.runner.slots,
        labels: config.runner.labels.clone(),
        boot: Some(boot.clone()),
        runner,
    };
    Pool::new(options).map(Arc::new).map_err(StartError::Work)
}

/// Runs the slots until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let (pool, stop) = (shared.pool.clone(), shared.stop.clone());
    let work = Arc::new(Work::new(shared));
    let serve = pool.serve(work);
    let close = async {
        stop.cancelled().await;
        pool.close();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = serve => {}
        () = close => {}
    }
}

/// Tells the jobs of one repository that run here and are to stop, without waiting for their next heartbeat.
pub fn cancel(pool: &Pool, cell: &Cell) {
    let state = cell.repository();
    for attempt in pool.running().into_iter().filter(|attempt| attempt.repo == state.meta().repository.id) {
        let job = state.runs.get(&attempt.run).and_then(|run| run.job(&attempt.job));
        if let Some(reason) = job.and_then(|job| job.cancelled.clone()) {
            pool.cancel(&attempt, format!("cancelled: {reason}"));
        }
    }
}

/// Hands out what waits on the board: to the built-in runner, and to those on other machines.
pub struct Work {
    shared: Arc<Shared>,
    /// One slot asks at a time: several that ask for the same job would only disturb its repository.
    asking: Mutex<()>,
}

impl Work {
    /// Returns what hands out a server's jobs.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared, asking: Mutex::new(()) }
    }

    /// Returns a job when there is one that fits, or nothing after some seconds, or when nobody wants it any more.
    pub async fn find(
        &self,
        asked: LeaseAsked,
        is_wanted: impl Fn() -> bool + Send,
    ) -> Result<Option<JobOrder>, String> {
        let mut board = self.shared.board.follow();
        let deadline = tokio::time::Instant::now() + LOOK_EVERY;
        loop {
            board.borrow_and_update();
            if !is_wanted() {
                return Ok(None);
            }
            if let Some(order) = self.claim(&asked).await? {
                return Ok(Some(order));
            }
            // Who lives elsewhere may be gone when the answer comes.
            let mut left = asked.boot.is_some().then(|| self.shared.board.leave(asked.clone()));
            let answered = async {
                match &mut left {
                    Some(left) => left.answer().await,
                    None => std::future::pending().await,
                }
            };
            let (answer, is_over) = tokio::select! {
                answer = answered => (answer, false),
                waited = tokio::time::timeout_at(deadline, board.changed()) => (None, waited.is_err()),
            };
            let answer = match (answer, left) {
                (None, Some(left)) => left.take_back().await,
                (answer, _) => answer,
            };
            if let Some(Answer::Leased(order)) = answer {
                return Ok(Some(told(&asked, *order)));
            }
            if is_over {
                return Ok(None);
            }
        }
    }

    async fn claim(&self, asked: &LeaseAsked) -> Result<Option<JobOrder>, String> {
        let _turn = self.asking.lock().await;
        if !self.shared.starts_jobs() {
            return Ok(None);
        }
        let Some(handle) = self.shared.board.oldest(&asked.labels).and_then(|repo| self.shared.directory.by_id(repo))
        else {
            return Ok(None);
        };
        match handle.ask(Fact::LeaseAsked(asked.clone())).await {
            Ok(Answer::Leased(order)) => Ok(Some(told(asked, *order))),
            Ok(_) => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Tells how a job goes.
    pub async fn tell(&self, attempt: &AttemptId, token: Token, report: JobReport) -> Result<Answer, String> {
        let Some(handle) = self.shared.directory.by_id(attempt.repo) else { return Ok(Answer::NotYours) };
        let fact = Fact::Reported { attempt: attempt.clone(), token, report };
        handle.ask(fact).await.map_err(|error| error.to_string())
    }
}

fn told(asked: &LeaseAsked, order: JobOrder) -> JobOrder {
    tracing::info!(job.attempt = %order.attempt, "{} runs {} of {}", asked.runner, order.job_name, order.repository);
    order
}

impl Server for Work {
    fn ask(&self, asked: LeaseAsked) -> Reply<'_, Result<Option<JobOrder>, String>> {
        Box::pin(self.find(asked, || true))
    }

    fn report<'a>(&'a self, attempt: &'a AttemptId, token: Token, report: JobReport) -> Answered<'a> {
        Box::pin(self.tell(attempt, token, report))
    }

    fn host(&self, order: &JobOrder) -> Arc<dyn JobHost> {
        let handle =
            self.shared.directory.by_id(order.attempt.repo).expect("the order came from this repository's loop");
        Arc::new(Host::new(self.shared.clone(), handle.reference(), order))
    }
}
