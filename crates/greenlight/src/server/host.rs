//! The place that a job of the built-in runner runs in: the mirrors for its checkout, our store for its steps and its log.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::effect::JobOrder;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{AttemptId, RefName};
use greenlight_core::port::{Reply, StoreError};
use greenlight_core::time::Timestamp;
use greenlight_git::checkout::Leftovers;
use greenlight_git::{Depth, Wanted};
use greenlight_runner::{
    ActionSource, Annotation, CheckedOut, CheckoutRequest, Given, JobHost, LogBlock, StepState, StepUpdate,
};
use greenlight_store::{LogError, StepRecord};

use super::mirrors::Actions;
use super::{Shared, clock, holders};
use crate::services::Grant;

/// How long a line that cannot be written waits before it is tried again. The job waits with it (R19).
const WRITE_AGAIN: Duration = Duration::from_millis(500);
/// How often it is tried before the line is given up, so that a job ends one day.
const WRITES_MAX: u32 = 120;

/// One job's host.
pub struct Host {
    shared: Arc<Shared>,
    repository: RepositoryRef,
    attempt: AttemptId,
    given: Given,
}

/// What a job says beside its log.
enum Remark {
    Annotation(Annotation),
    Summary { step: u32, markdown: String },
}

impl Host {
    /// Returns the host of one job that was handed out.
    pub fn new(shared: Arc<Shared>, repository: RepositoryRef, order: &JobOrder) -> Self {
        let given = given(&shared, &repository, order, &holders::address(&shared));
        Self { shared, repository, attempt: order.attempt.clone(), given }
    }

    /// Returns the host of a job whose order was handed out by an earlier life of this server.
    pub fn of_attempt(shared: Arc<Shared>, repository: RepositoryRef, attempt: AttemptId) -> Self {
        Self { shared, repository, attempt, given: Given::default() }
    }

    async fn check_out(&self, request: &CheckoutRequest, dest: &Path) -> Result<CheckedOut, String> {
        let mirrors = self.shared.git.mirrors().await.map_err(|why| why.to_string())?;
        let request = greenlight_git::CheckoutRequest {
            wanted: wanted(request)?,
            depth: request.depth.map_or(Depth::Whole, Depth::Commits),
            leftovers: if request.clean { Leftovers::Remove } else { Leftovers::Keep },
            sparse: request
                .sparse
                .as_ref()
                .map(|sparse| greenlight_git::Sparse { patterns: sparse.patterns.clone(), is_cone: sparse.is_cone }),
        };
        let done =
            mirrors.checkout(&self.repository, &request, dest).await.map_err(|error| error.chain().to_string())?;
        Ok(CheckedOut { sha: done.sha, git_ref: done.git_ref.map(|name| name.as_str().into()) })
    }

    async fn write(&self, block: LogBlock) {
        for tried in 1..=WRITES_MAX {
            match self.shared.logs.append(&self.attempt, block.step, block.at, block.text.clone()).await {
                Ok(_) => return,
                Err(LogError::Finished(_)) => return,
                Err(error) if tried == WRITES_MAX => {
                    tracing::error!(job.attempt = %self.attempt, "lines of a log are lost: {error}");
                }
                Err(error) => {
                    tracing::warn!(job.attempt = %self.attempt, "a log waits: {error}");
                    tokio::time::sleep(WRITE_AGAIN).await;
                }
            }
        }
    }

    /// Writes down what the job said beside its log, as patiently as its log.
    async fn remark(&self, remark: Remark) {
        for tried in 1..=WRITES_MAX {
            match self.keep(&remark).await {
                Ok(()) => break,
                Err(error) if tried == WRITES_MAX => {
                    tracing::error!(job.attempt = %self.attempt, "what a job said beside its log is lost: {error}");
                }
                Err(error) => {
                    tracing::warn!(job.attempt = %self.attempt, "what a job said beside its log waits: {error}");
                    tokio::time::sleep(WRITE_AGAIN).await;
                }
            }
        }
        self.shared.feed.tell(self.repository.full_name.clone());
    }

    async fn keep(&self, remark: &Remark) -> Result<(), StoreError> {
        match remark {
            Remark::Annotation(annotation) => self.shared.store.annotate(&self.attempt, annotation).await,
            Remark::Summary { step, markdown } => self.shared.store.summarize(&self.attempt, *step, markdown).await,
        }
    }

    async fn record(&self, update: StepUpdate) {
        let state = match update.state {
            StepState::Running { started_at } => greenlight_store::StepState::Running { started_at },
            StepState::Completed { outcome, conclusion, started_at, completed_at } => {
                greenlight_store::StepState::Completed { outcome, conclusion, started_at, at: completed_at }
            }
        };
        let record = StepRecord { index: update.index, name: update.name, state };
        if let Err(error) = self.shared.store.record_steps(&self.attempt, &[record]).await {
            tracing::warn!(job.attempt = %self.attempt, "a step is not shown: {error}");
        }
        self.shared.feed.tell(self.repository.full_name.clone());
    }
}

/// Returns what a job is given beside its workflow: the variables of its actions. `url` is where it reaches us.
pub fn given(shared: &Shared, repository: &RepositoryRef, order: &JobOrder, url: &str) -> Given {
    let grant = Grant::of_order(order, &repository.default_branch, url, clock::now());
    let variables = shared.services.variables(&grant, clock::now());
    Given { action_env: variables.actions, step_env: variables.steps, ..Given::default() }
}

/// Behind the job's last word its log is packed.
impl Drop for Host {
    fn drop(&mut self) {
        let (shared, attempt) = (self.shared.clone(), self.attempt.clone());
        // Without a runtime the server ends, and the next start packs it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(error) = shared.logs.finish(&attempt).await {
                    tracing::warn!(job.attempt = %attempt, "a log cannot be packed: {error}");
                }
            });
        }
    }
}

fn wanted(request: &CheckoutRequest) -> Result<Wanted, String> {
    match (request.sha, &request.name) {
        (Some(sha), name) => {
            let git_ref = name.as_ref().filter(|name| name.starts_with("refs/")).map(|name| RefName::new(name.clone()));
            Ok(Wanted::Commit { sha, git_ref })
        }
        (None, Some(name)) => Ok(Wanted::Name(name.clone())),
        (None, None) => Err("nothing was named that could be checked out".to_owned()),
    }
}

impl JobHost for Host {
    fn checkout<'a>(&'a self, request: &'a CheckoutRequest, dest: &'a Path) -> Reply<'a, Result<CheckedOut, String>> {
        Box::pin(self.check_out(request, dest))
    }

    fn step<'a>(&'a self, update: StepUpdate) -> Reply<'a, ()> {
        Box::pin(self.record(update))
    }

    fn log<'a>(&'a self, block: LogBlock) -> Reply<'a, ()> {
        Box::pin(self.write(block))
    }

    fn actions(&self) -> Option<Arc<dyn ActionSource>> {
        Some(Arc::new(Actions::of(self.shared.actions.clone(), self.repository.clone())))
    }

    fn annotate<'a>(&'a self, annotation: Annotation) -> Reply<'a, ()> {
        Box::pin(self.remark(Remark::Annotation(annotation)))
    }

    fn summarize<'a>(&'a self, step: u32, markdown: String) -> Reply<'a, ()> {
        Box::pin(self.remark(Remark::Summary { step, markdown }))
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn given(&self) -> Given {
        self.given.clone()
    }
}
