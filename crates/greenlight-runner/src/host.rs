//! What a job asks of the place it runs in.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use greenlight_core::id::Sha;
use greenlight_core::port::Reply;
use greenlight_core::run::Conclusion;
pub use greenlight_core::shown::{Annotation, AnnotationLevel};
use greenlight_core::time::Timestamp;
use greenlight_workflow::Value;

use crate::source::ActionSource;

/// The place that a job runs in: it has the repository, keeps the log, and knows the time.
pub trait JobHost: Send + Sync {
    /// Puts a clone into `dest`, a folder of the job's. An error is one sentence and fails the step.
    fn checkout<'a>(&'a self, request: &'a CheckoutRequest, dest: &'a Path) -> Reply<'a, Result<CheckedOut, String>>;

    /// Returns what checkouts are made from, as the log calls it.
    fn checkout_source(&self) -> &'static str {
        "the mirror"
    }

    /// Takes in how a step goes.
    fn step<'a>(&'a self, update: StepUpdate) -> Reply<'a, ()>;

    /// Are how steps go and what they say one story, in which each word waits for the one before it?
    fn is_one_story(&self) -> bool {
        false
    }

    /// Takes in what a step of the workflow set, masked; the update that it is over follows.
    fn outputs(&self, step: u32, outputs: Vec<(Arc<str>, Arc<str>)>) {
        let _ = (step, outputs);
    }

    /// Takes in lines of the log. The step waits until it returns, so that a slow disk slows the job and fills no memory.
    fn log<'a>(&'a self, block: LogBlock) -> Reply<'a, ()>;

    /// Returns the time.
    fn now(&self) -> Timestamp;

    /// Returns what is known about the job that no workflow file may hold: its secrets, the variables of its repository.
    fn given(&self) -> Given {
        Given::default()
    }

    /// Returns where the files of actions come from; nothing where there are only those of the workspace.
    fn actions(&self) -> Option<Arc<dyn ActionSource>> {
        None
    }

    /// Takes in an error, a warning or a notice; the line is in the log as well.
    fn annotate<'a>(&'a self, annotation: Annotation) -> Reply<'a, ()> {
        let _ = annotation;
        Box::pin(async {})
    }

    /// Takes in a step's summary: Markdown, masked.
    fn summarize<'a>(&'a self, step: u32, markdown: String) -> Reply<'a, ()> {
        let _ = (step, markdown);
        Box::pin(async {})
    }
}

/// What a job is given beside its workflow.
#[derive(Clone, Default)]
pub struct Given {
    /// Secrets by name: masked wherever they appear. A run that is not trusted gets none, whatever stands here.
    pub secrets: Vec<(Arc<str>, Arc<str>)>,
    /// The `vars` context; null for none.
    pub vars: Value,
    /// The image of a container that the job is to run in, where its workflow names none.
    pub image: Option<Arc<str>>,
    /// Variables of the environment below those of the workflow.
    pub env: Vec<(Arc<str>, Arc<str>)>,
    /// Variables that actions get above all others, and that no run step sees: the tokens and addresses of our services
    /// (`ACTIONS_RUNTIME_TOKEN`, …). What is named `…_TOKEN` is masked.
    pub action_env: Vec<(Arc<str>, Arc<str>)>,
    /// Variables that every step gets above all others (`ACTIONS_ID_TOKEN_REQUEST_URL`, …). What is named `…_TOKEN` is masked.
    pub step_env: Vec<(Arc<str>, Arc<str>)>,
}

/// Secrets are counted, never shown.
impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Given({} secrets)", self.secrets.len())
    }
}

/// What a checkout step asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutRequest {
    /// The commit, where it is known; nothing where `name` is to be looked up.
    pub sha: Option<Sha>,
    /// A branch, a tag, a full ref, or a commit's SHA, as a person wrote it; with `sha`, the ref that it is checked out as.
    pub name: Option<Arc<str>>,
    /// How many commits; all of them, with all branches and tags, where nothing.
    pub depth: Option<NonZeroU32>,
    /// Are files that lie there removed first?
    pub clean: bool,
    /// Which files are wanted; all of them where nothing.
    pub sparse: Option<Sparse>,
}

/// A choice of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sparse {
    /// Folders (`is_cone`), else patterns as `.gitignore` has them.
    pub patterns: Vec<Arc<str>>,
    /// Are they folders?
    pub is_cone: bool,
}

/// What was checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedOut {
    /// The commit.
    pub sha: Sha,
    /// The full ref, where it was one.
    pub git_ref: Option<Arc<str>>,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It runs.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// It is over.
    Completed {
        /// How, before `continue-on-error`.
        outcome: Conclusion,
        /// How, after `continue-on-error`.
        conclusion: Conclusion,
        /// Since when it ran; nothing where it was skipped.
        started_at: Option<Timestamp>,
        /// When it ended.
        completed_at: Timestamp,
    },
}

/// How a step goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUpdate {
    /// Its place: 0 sets the job up, then come the workflow's steps, and the last one completes the job.
    pub index: u32,
    /// Its name, masked.
    pub name: Arc<str>,
    /// Where it stands.
    pub state: StepState,
}

/// Lines of a step's log: whole, masked, stamped once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogBlock {
    /// The step's place.
    pub step: u32,
    /// When they came.
    pub at: Timestamp,
    /// The lines, each with its newline, as the job wrote them: mostly UTF-8, colours included.
    pub text: Bytes,
}
