//! What people and programs see of a run: words, and the three ways to show them.

mod json;
mod live;
mod plain;

use std::sync::Arc;

use greenlight_core::id::{JobKey, RefName, RunNumber, Sha};
use greenlight_core::run::{Conclusion, Job, Run};
use greenlight_core::time::Duration;
use greenlight_runner::{Annotation, LogBlock, StepUpdate};

pub use json::Json;
pub use live::Live;
pub use plain::Plain;

/// Names a job.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobName {
    /// Its run.
    pub run: RunNumber,
    /// Its key within the run.
    pub key: JobKey,
    /// Its name.
    pub name: Arc<str>,
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Header {
    /// The event's name.
    pub event: Arc<str>,
    /// The ref.
    pub git_ref: RefName,
    /// The repository.
    pub repository: Arc<str>,
    /// The commit; nothing where the folder is no repository, or has no commit.
    pub sha: Option<Sha>,
    /// Is the folder in a repository?
    pub is_repository: bool,
    /// Are there changes that are not committed?
    pub is_dirty: bool,
    /// The names of the workflows.
    pub workflows: Vec<String>,
}

/// What a step set, masked.
pub type Outputs = Vec<(Arc<str>, Arc<str>)>;

/// Something that is to be shown.
pub enum Word<'a> {
    /// It begins.
    Begin(&'a Header),
    /// Something is wrong or doubtful that belongs to no run.
    Notice(&'a str),
    /// A job starts.
    JobStart {
        /// Its run.
        run: &'a Run,
        /// The job.
        job: &'a JobName,
    },
    /// A step starts or ends.
    Step {
        /// The job.
        job: &'a JobName,
        /// How the step stands.
        update: &'a StepUpdate,
        /// What it set, where it is over and one of the workflow's.
        outputs: Option<&'a Outputs>,
    },
    /// Lines of a log.
    Log {
        /// The job.
        job: &'a JobName,
        /// The lines.
        block: &'a LogBlock,
    },
    /// An error, a warning or a notice.
    Annotation {
        /// The job.
        job: &'a JobName,
        /// What.
        annotation: &'a Annotation,
    },
    /// A step's summary.
    Summary {
        /// The job.
        job: &'a JobName,
        /// The step's place.
        step: u32,
        /// Markdown.
        markdown: &'a str,
    },
    /// A job ended.
    JobEnd {
        /// Its run.
        run: &'a Run,
        /// The job.
        job: &'a JobName,
        /// How it ended.
        state: &'a Job,
        /// Did it begin? A skipped one did not.
        began: bool,
    },
    /// A run ended.
    RunEnd {
        /// The run.
        run: &'a Run,
    },
    /// Somebody wants it to stop.
    Interrupted {
        /// Is everything ended at once now?
        is_second: bool,
    },
    /// All is over.
    End {
        /// How; nothing where nothing ran.
        conclusion: Option<Conclusion>,
        /// How long it took.
        length: Duration,
    },
}

/// A way to show it.
pub trait View: Send + Sync {
    /// Shows a word. Whoever says it waits until it is written.
    fn tell(&self, word: &Word<'_>);
}

/// Returns a job's reason, and how long it ran.
fn end_of(job: &Job) -> (Conclusion, &str, Option<Duration>) {
    match &job.state {
        greenlight_core::run::JobState::Completed { conclusion, at, reason, started_at } => {
            (*conclusion, reason, started_at.map(|started| at.since(started)))
        }
        _ => (Conclusion::Lost, "", None),
    }
}

/// Returns the line that says what is run.
fn headline(header: &Header) -> String {
    let at = match (header.sha, header.is_dirty) {
        (None, _) if header.is_repository => "this folder, whose repository has no commit yet".to_owned(),
        (None, _) => "this folder, which is no git repository".to_owned(),
        (Some(sha), false) => format!("commit {}", sha.short()),
        (Some(sha), true) => format!("commit {} and changes that are not committed", sha.short()),
    };
    format!("{} on {} of {}: {at}", header.event, header.git_ref.short(), header.repository)
}
