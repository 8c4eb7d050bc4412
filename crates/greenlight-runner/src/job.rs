//! One job, from its order to its end.
//!
//! The job's clock and its cancellation are one thing: [`supervise`] turns whatever says "stop" (the server, the job's own timeout, the
//! end of a cancelled job's grace) into one word that the steps listen to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use greenlight_core::effect::{JobEnd, JobOrder};
use greenlight_core::run::Conclusion;
use greenlight_core::time::{Timestamp, spoken};
use greenlight_workflow::{Job, Workflow};
use tokio::sync::{OnceCell, watch};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};

use crate::container::Containers;
use crate::contexts::{Frame, JobContexts, Status};
use crate::hook::Hook;
use crate::host::{Given, JobHost, StepState, StepUpdate};
use crate::isolation::Isolation;
use crate::job_log::JobLog;
use crate::leftovers::Since;
use crate::process::{Patience, Place};
use crate::sandbox::Sandbox;
use crate::shelf::Shelf;
use crate::step::At;
use crate::stop::{Stop, tell, worse_than};
use crate::updates::Updates;
use crate::workspace::{Workspace, clean_up};
use crate::{job_end, setup};

/// How many bytes a job's log has where nothing else is said.
pub const LOG_BYTES_MAX: u64 = 1 << 30;

/// How a job is to be run.
#[derive(Clone, Debug)]
pub struct RunnerOptions {
    /// Where jobs have their folders. It belongs to one runner.
    pub work_dir: PathBuf,
    /// The runner's name, as jobs see it.
    pub name: Arc<str>,
    /// How many bytes a job's log has.
    pub log_bytes_max: u64,
    /// How long what is told to end is waited for.
    pub patience: Patience,
    /// The Node for actions that ask for a version; the `node` on the PATH serves the others.
    pub nodes: BTreeMap<u32, PathBuf>,
    /// Is `actions/checkout` served by the runner itself, from the mirror? Else it is an action like any other.
    pub built_in_checkout: bool,
    /// What jobs are kept apart with.
    pub isolation: Arc<Isolation>,
}

impl RunnerOptions {
    /// Returns the options of a runner that works in this folder.
    pub fn new(work_dir: impl Into<PathBuf>, name: impl Into<Arc<str>>) -> Self {
        Self {
            work_dir: work_dir.into(),
            name: name.into(),
            log_bytes_max: LOG_BYTES_MAX,
            patience: Patience::default(),
            nodes: BTreeMap::new(),
            built_in_checkout: true,
            isolation: Arc::new(Isolation::none()),
        }
    }
}

/// A job that ended. What it left is still there until the clean-up is done.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub end: JobEnd,
    /// What is left to do.
    pub cleanup: Cleanup,
}

/// What is to be done behind a job: its processes killed, its folders removed, its last updates handed over.
#[must_use = "a job's processes and folders stay until this was finished"]
#[derive(Debug)]
pub struct Cleanup {
    root: Option<PathBuf>,
    sandbox: Option<Arc<Sandbox>>,
    containers: Arc<OnceCell<Arc<Containers>>>,
    since: Since,
    /// Was it ended in the middle of something, which may have been the runner's own?
    is_lost: bool,
    updates: Option<JoinHandle<()>>,
}

impl Cleanup {
    /// Does it.
    pub async fn finish(self) {
        let is_empty = match self.sandbox {
            Some(sandbox) => sandbox.end().await,
            None => false,
        };
        if let Some(containers) = self.containers.get() {
            containers.end().await;
        }
        if let Some(root) = self.root {
            let shown = root.display().to_string();
            // What ended with its namespace need not be looked for among all processes of the machine.
            let since = (!is_empty || self.is_lost).then_some(self.since);
            let removed = spawn_blocking(move || clean_up(&root, since)).await.map_err(std::io::Error::other);
            if let Err(error) = removed.and_then(|removed| removed) {
                tracing::warn!("what a job left in {shown} cannot be removed: {error}");
            }
        }
        if let Some(updates) = self.updates
            && updates.await.is_err()
        {
            tracing::warn!("a job's last updates were lost");
        }
    }
}

/// A job on its way.
pub(crate) struct JobRun {
    pub(crate) order: JobOrder,
    pub(crate) options: RunnerOptions,
    pub(crate) workflow: Workflow,
    pub(crate) job: Job,
    pub(crate) workspace: Workspace,
    /// Where its steps run.
    pub(crate) place: Place,
    /// What it has in a container engine, once it was asked for.
    pub(crate) containers: Arc<OnceCell<Arc<Containers>>>,
    pub(crate) log: Arc<JobLog>,
    pub(crate) updates: Updates,
    pub(crate) contexts: JobContexts,
    /// What every step inherits of the machine.
    pub(crate) inherited: BTreeMap<String, String>,
    /// What the workflow and the job say of the environment.
    pub(crate) written_env: BTreeMap<String, String>,
    /// What the job was given beside its workflow.
    pub(crate) given: Given,
    /// Is debugging asked for?
    pub(crate) is_debugged: bool,
    pub(crate) shelf: Shelf,
    pub(crate) stop: watch::Receiver<Stop>,
    /// How many steps had files so far, those within actions included.
    pub(crate) file_count: AtomicU32,
    /// How many places in the log are taken.
    pub(crate) index_count: AtomicU32,
    pub(crate) state: Mutex<JobState>,
    /// The pipes of processes that run on in the background.
    pub(crate) background: Mutex<JoinSet<()>>,
}

/// What a job came to so far.
#[derive(Debug)]
pub(crate) struct JobState {
    /// What workflow, job and `GITHUB_ENV` set so far.
    pub(crate) env: BTreeMap<String, String>,
    /// What `GITHUB_PATH` added so far.
    pub(crate) paths: Vec<String>,
    pub(crate) status: Status,
    /// Why it failed first.
    pub(crate) reason: Option<String>,
    /// `environment_url`, where a step set it.
    pub(crate) environment_url: Option<String>,
    /// What steps said they made.
    pub(crate) artifacts: Vec<String>,
    /// What runs after the last step, the last one first.
    pub(crate) posts: Vec<Hook>,
}

impl JobState {
    /// Returns the state of a job that begins with these variables.
    pub(crate) fn new(env: BTreeMap<String, String>) -> Self {
        Self {
            env,
            paths: Vec::new(),
            status: Status::Success,
            reason: None,
            environment_url: None,
            artifacts: Vec::new(),
            posts: Vec::new(),
        }
    }
}

/// Does a job. Nothing of it is alive when this future is dropped before its end, but its folder stays for the next sweep.
pub async fn run_job(
    order: JobOrder,
    host: Arc<dyn JobHost>,
    stop: watch::Receiver<Stop>,
    options: &RunnerOptions,
) -> Ended {
    let since = Since::now();
    let log = Arc::new(JobLog::new(host, options.log_bytes_max));
    let (updates, taken) = Updates::new(log.clone());
    let (own_stop, own_stopped) = watch::channel(stop.borrow().clone());
    let supervisor =
        Supervisor { timeout: order.timeout, grace: options.patience.cancelled, is_late: AtomicBool::new(false) };
    let told = stop.clone();
    let mut made = Made::default();
    let work = work(order, log, updates, own_stopped, options, &mut made, &supervisor.is_late);
    let mut end = tokio::select! {
        end = work => end,
        never = supervisor.watch(stop, &own_stop) => match never {},
    };
    if end.conclusion == Conclusion::Cancelled && matches!(*told.borrow(), Stop::Lost(_)) {
        end.conclusion = Conclusion::Lost;
    }
    let is_lost = end.conclusion == Conclusion::Lost;
    Ended {
        end,
        cleanup: Cleanup {
            root: made.root,
            sandbox: made.sandbox,
            containers: made.containers,
            since,
            is_lost,
            updates: taken,
        },
    }
}

/// What was made for a job and is to be ended and removed behind it.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) root: Option<PathBuf>,
    pub(crate) sandbox: Option<Arc<Sandbox>>,
    pub(crate) containers: Arc<OnceCell<Arc<Containers>>>,
}

/// Watches over a job's time.
struct Supervisor {
    timeout: Duration,
    grace: Duration,
    is_late: AtomicBool,
}

impl Supervisor {
    async fn watch(&self, mut stop: watch::Receiver<Stop>, own: &watch::Sender<Stop>) -> std::convert::Infallible {
        let mut known = stop.borrow().clone();
        let timeout = tokio::time::sleep(self.timeout);
        tokio::pin!(timeout);
        while known == Stop::No {
            tokio::select! {
                told = worse_than(&mut stop, &known) => known = told,
                () = &mut timeout => {
                    self.is_late.store(true, Ordering::Relaxed);
                    known = Stop::Cancelled(format!("it took longer than {}", spoken(self.timeout)).into());
                }
            }
        }
        tell(own, known.clone());
        tokio::select! {
            told = worse_than(&mut stop, &known) => tell(own, told),
            () = tokio::time::sleep(self.grace), if !matches!(known, Stop::Lost(_)) => {
                let reason = format!("it had not ended {} after it was told to", spoken(self.grace));
                tell(own, Stop::Lost(reason.into()));
            }
        }
        std::future::pending().await
    }
}

async fn work(
    order: JobOrder,
    log: Arc<JobLog>,
    updates: Updates,
    stop: watch::Receiver<Stop>,
    options: &RunnerOptions,
    made: &mut Made,
    is_late: &AtomicBool,
) -> JobEnd {
    let started_at = log.host.now();
    let set_up = |state| StepUpdate { index: 0, name: "Set up job".into(), state };
    let hand_over = async |state| updates.tell(set_up(state)).await;
    hand_over(StepState::Running { started_at }).await;
    let prepared = setup::prepare(order, log.clone(), updates.clone(), stop, options, made).await;
    let completed = |conclusion| StepState::Completed {
        outcome: conclusion,
        conclusion,
        started_at: Some(started_at),
        completed_at: log.host.now(),
    };
    match prepared {
        Ok(run) => {
            hand_over(completed(Conclusion::Success)).await;
            let frame = Arc::new(Frame::of_job(run.order.inputs.clone()));
            run.run_pre_parts(&frame).await;
            run.run_steps(&frame).await;
            run.run_post_parts().await;
            job_end::end(run, &frame, is_late).await
        }
        Err(reason) => {
            let reason = log.masked(&reason);
            log.line(0, &format!("##[error]{reason}")).await;
            hand_over(completed(Conclusion::Failure)).await;
            JobEnd {
                conclusion: Conclusion::Failure,
                reason: reason.into(),
                outputs: Vec::new(),
                environment_url: None,
            }
        }
    }
}

impl JobRun {
    /// Returns what the job came to so far.
    pub(crate) fn state(&self) -> MutexGuard<'_, JobState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how the job stands.
    pub(crate) fn status(&self) -> Status {
        self.state().status
    }

    /// Returns the pipes that are read though nobody wants to know.
    pub(crate) fn background(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.background.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next place in the log.
    pub(crate) fn next_index(&self) -> u32 {
        self.index_count.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells how a step goes. Steps within actions are not told of.
    pub(crate) async fn tell(&self, frame: &Frame, at: &At, name: &str, state: StepState) {
        if frame.depth == 0 {
            self.tell_of(at, name, state).await;
        }
    }

    /// Tells how what has a place of its own in the log goes.
    pub(crate) async fn tell_of(&self, at: &At, name: &str, state: StepState) {
        let name = self.log.masked(name).into();
        self.updates.tell(StepUpdate { index: at.index, name, state }).await;
    }

    /// Returns the time.
    pub(crate) fn now(&self) -> Timestamp {
        self.log.host.now()
    }

    /// Looks at what the job was told, and returns it.
    pub(crate) fn told(&self) -> Stop {
        let told = self.stop.borrow().clone();
        if told != Stop::No {
            self.state().status = Status::Cancelled;
        }
        told
    }
}
