//! The place that a job runs in: the working tree for its checkout, a view for its steps and its log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greenlight_core::effect::JobOrder;
use greenlight_core::id::{AttemptId, Sha};
use greenlight_core::port::Reply;
use greenlight_core::time::Timestamp;
use greenlight_runner::{
    ActionSource, Annotation, CheckedOut, CheckoutRequest, Given, JobHost, LogBlock, StepState, StepUpdate,
};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::services::Local;
use super::tree::WorkingTree;
use super::view::{JobName, Outputs, View, Word};
use crate::server::clock;

/// What all jobs have in common.
#[derive(Clone)]
pub struct Place {
    tree: Arc<WorkingTree>,
    sha: Sha,
    given: Arc<Given>,
    actions: Arc<dyn ActionSource>,
    services: Option<Arc<Local>>,
    view: Arc<dyn View>,
    images: Images,
    closing: mpsc::UnboundedSender<AttemptId>,
}

/// The images of jobs that were said to run in a container.
pub type Images = Arc<Mutex<BTreeMap<AttemptId, Arc<str>>>>;

impl Place {
    /// Returns the place of all jobs of a run, and where it tells of each job that said its last word: one for each job.
    pub fn new(
        tree: Arc<WorkingTree>,
        sha: Sha,
        given: Given,
        actions: Arc<dyn ActionSource>,
        services: Option<Arc<Local>>,
        view: Arc<dyn View>,
    ) -> (Self, mpsc::UnboundedReceiver<AttemptId>) {
        let (closing, closed) = mpsc::unbounded_channel();
        (
            Self { tree, sha, given: Arc::new(given), actions, services, view, images: Images::default(), closing },
            closed,
        )
    }

    /// Returns where it is said which jobs run in a container.
    pub fn images(&self) -> Images {
        self.images.clone()
    }

    /// Returns one job's host.
    pub fn host(&self, order: &JobOrder) -> Arc<dyn JobHost> {
        let attempt = order.attempt.clone();
        let job = JobName { run: attempt.run, key: attempt.job.clone(), name: order.job_name.clone() };
        let mut given = (*self.given).clone();
        if let Some(services) = &self.services {
            services.add_to(&mut given, order);
        }
        given.image = lock(&self.images).remove(&attempt);
        let server = order.github.get("server_url").coerce_string();
        let origin = format!("{server}/{}", order.repository);
        Arc::new(Host { place: self.clone(), given, attempt, job, origin, outputs: Mutex::default() })
    }
}

struct Host {
    place: Place,
    given: Given,
    attempt: AttemptId,
    job: JobName,
    /// The address of the repository as GitHub has it.
    origin: String,
    /// What steps set whose last update has not come yet.
    outputs: Mutex<BTreeMap<u32, Outputs>>,
}

/// Takes a lock; whoever panicked with it left nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(services) = &self.place.services {
            services.forget(&self.attempt);
        }
        // Where nobody listens any more all is over.
        let _ = self.place.closing.send(self.attempt.clone());
    }
}

impl Host {
    async fn check_out(&self, request: &CheckoutRequest, dest: &Path) -> Result<CheckedOut, String> {
        let (tree, own, request, dest) = (self.place.tree.clone(), self.place.sha, request.clone(), dest.to_owned());
        let origin = self.origin.clone();
        let copied = spawn_blocking(move || -> anyhow::Result<CheckedOut> {
            if request.clean {
                empty(&dest)?;
            }
            let other = match (request.sha, &request.name) {
                (Some(sha), _) if sha == own => None,
                (Some(sha), _) => Some(sha.to_string()),
                (None, name) => name.as_deref().map(str::to_owned),
            };
            match other {
                None => {
                    tree.copy_to(&request, &origin, &dest)?;
                    Ok(CheckedOut { sha: own, git_ref: request.name.filter(|name| name.starts_with("refs/")) })
                }
                Some(name) => {
                    let found = tree.check_out(&name, &request, &origin, &dest)?;
                    Ok(CheckedOut { sha: found.sha, git_ref: found.git_ref.map(|name| name.as_str().into()) })
                }
            }
        });
        match copied.await {
            Ok(copied) => copied.map_err(|error| format!("{error:#}")),
            Err(_) => Err("the copy was broken off".to_owned()),
        }
    }

    fn say(&self, word: Word<'_>) {
        self.place.view.tell(&word);
    }
}

/// Removes what lies in a folder.
fn empty(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => std::fs::remove_dir_all(entry.path())?,
            false => std::fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

impl JobHost for Host {
    fn checkout<'a>(&'a self, request: &'a CheckoutRequest, dest: &'a Path) -> Reply<'a, Result<CheckedOut, String>> {
        Box::pin(self.check_out(request, dest))
    }

    fn checkout_source(&self) -> &'static str {
        "this folder"
    }

    fn is_one_story(&self) -> bool {
        true
    }

    fn step<'a>(&'a self, update: StepUpdate) -> Reply<'a, ()> {
        Box::pin(async move {
            let outputs = match update.state {
                StepState::Running { .. } => None,
                StepState::Completed { .. } => lock(&self.outputs).remove(&update.index),
            };
            self.say(Word::Step { job: &self.job, update: &update, outputs: outputs.as_ref() });
        })
    }

    fn outputs(&self, step: u32, outputs: Outputs) {
        lock(&self.outputs).insert(step, outputs);
    }

    fn log<'a>(&'a self, block: LogBlock) -> Reply<'a, ()> {
        Box::pin(async move { self.say(Word::Log { job: &self.job, block: &block }) })
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn given(&self) -> Given {
        self.given.clone()
    }

    fn actions(&self) -> Option<Arc<dyn ActionSource>> {
        Some(self.place.actions.clone())
    }

    fn annotate<'a>(&'a self, annotation: Annotation) -> Reply<'a, ()> {
        Box::pin(async move { self.say(Word::Annotation { job: &self.job, annotation: &annotation }) })
    }

    fn summarize<'a>(&'a self, step: u32, markdown: String) -> Reply<'a, ()> {
        Box::pin(async move { self.say(Word::Summary { job: &self.job, step, markdown: &markdown }) })
    }
}
