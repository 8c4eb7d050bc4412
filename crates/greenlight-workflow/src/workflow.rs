//! A workflow as a file describes it: jobs and steps with their templates, each with the place where it stands. Nothing here
//! has been evaluated. Everything is immutable and shared, so a workflow is cloned for the price of a counter.

mod container;
mod requirement;
mod step;

use std::ops::Deref;
use std::sync::Arc;

use crate::decode;
use crate::expression::{Context, ExpressionError};
use crate::finding::{Finding, Span};
use crate::permission::Permissions;
use crate::template::{Condition, Template, Tree};
use crate::trigger::Triggers;
use crate::yaml::Limits;

pub(crate) use container::DOCKER_PREFIX;
pub use container::{Container, ContainerSpec, Services, Snapshot};
pub(crate) use requirement::CONCURRENCY_GROUP_LENGTH_MAX;
pub use requirement::{Concurrency, ConcurrencyGroup, ConcurrencyQueue, Environment, RunnerRequest, RunsOn};
pub use step::{Step, StepKind, UsesRef};

/// How many jobs a workflow may have.
pub const JOBS_MAX: usize = 256;

/// What became of a file.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The workflow, if nothing is wrong with it.
    pub workflow: Option<Workflow>,
    /// What could be read of one that errors refuse: enough to look at what else is wrong, not to run it.
    pub draft: Option<Workflow>,
    /// Everything that is wrong or doubtful, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Reads a workflow file: everything that is wrong with it, and the workflow if there is no error.
pub fn parse_workflow(path: &str, text: &str) -> Parsed {
    parse_workflow_within(path, text, &Limits::default())
}

/// Reads a workflow file as [`parse_workflow`] does, with bounds of its own.
pub fn parse_workflow_within(path: &str, text: &str, limits: &Limits) -> Parsed {
    decode::workflow(path, text, limits)
}

/// A workflow. Its parts are those of its [`Document`].
#[derive(Clone, Debug)]
pub struct Workflow {
    document: Arc<Document>,
}

/// What a workflow file says.
#[derive(Debug)]
pub struct Document {
    /// The file's path in the repository.
    pub path: Arc<str>,
    /// Its `name:`.
    pub name: Option<String>,
    /// Its `description:`.
    pub description: Option<String>,
    /// Its `run-name:`.
    pub run_name: Option<Template>,
    /// When it runs.
    pub on: Triggers,
    /// What the tokens of its jobs may do, unless a job says otherwise.
    pub permissions: Option<Permissions>,
    /// Variables for all its jobs.
    pub env: Vec<(String, Template)>,
    /// Defaults for all its `run:` steps.
    pub defaults: Defaults,
    /// The group in which one run at a time may go on.
    pub concurrency: Option<Concurrency>,
    /// The jobs in the order of the file.
    pub jobs: Vec<Job>,
    /// The whole file as the grammar understood it, for those who show it.
    pub tree: Tree,
    /// The file itself, for those who point into it.
    pub text: Arc<str>,
    /// What the file comes to in memory, as GitHub counts it.
    pub bytes: usize,
}

impl Workflow {
    pub(crate) fn new(document: Document) -> Workflow {
        Workflow { document: Arc::new(document) }
    }

    /// Returns what people call the workflow: its name, or else its path.
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.path)
    }

    /// Returns the job of this id.
    pub fn job(&self, id: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| &*job.id == id)
    }
}

impl Deref for Workflow {
    type Target = Document;

    fn deref(&self) -> &Document {
        &self.document
    }
}

/// Defaults for `run:` steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// The shell.
    pub shell: Option<Template>,
    /// The folder, relative to the workspace.
    pub working_directory: Option<Template>,
    /// The expression that both come from, where `run:` is one.
    pub whole: Option<Template>,
}

impl Defaults {
    /// Returns shell and folder in these contexts; what comes to nothing says nothing.
    pub fn evaluate(&self, context: &dyn Context) -> Result<RunDefaults, ExpressionError> {
        let whole = self.whole.as_ref().map(|whole| whole.evaluate(context)).transpose()?.unwrap_or_default();
        let text = |template: &Option<Template>, key: &str| {
            let value = match template {
                Some(template) => template.evaluate(context)?,
                None => whole.get(key).clone(),
            };
            let text = value.coerce_string();
            Ok((!text.is_empty()).then(|| text.to_string()))
        };
        Ok(RunDefaults {
            shell: text(&self.shell, "shell")?,
            working_directory: text(&self.working_directory, "working-directory")?,
        })
    }
}

/// Defaults for `run:` steps, with everything known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunDefaults {
    /// The shell.
    pub shell: Option<String>,
    /// The folder, relative to the workspace.
    pub working_directory: Option<String>,
}

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its key under `jobs:`.
    pub id: Arc<str>,
    /// Its `name:`.
    pub name: Option<Template>,
    /// The jobs that must be done before.
    pub needs: Vec<Arc<str>>,
    /// Whether it runs.
    pub condition: Condition,
    /// Where it runs; empty for a job that calls a workflow.
    pub runs_on: RunsOn,
    /// What its token may do.
    pub permissions: Option<Permissions>,
    /// The environment it deploys to.
    pub environment: Option<Environment>,
    /// The group in which one job at a time may go on.
    pub concurrency: Option<Concurrency>,
    /// What it hands to the jobs that need it.
    pub outputs: Vec<(String, Template)>,
    /// Variables for its steps.
    pub env: Vec<(String, Template)>,
    /// Defaults for its `run:` steps.
    pub defaults: Defaults,
    /// How long it may take.
    pub timeout_minutes: Option<Template>,
    /// How long it may take to end once it is cancelled.
    pub cancel_timeout_minutes: Option<Template>,
    /// Whether the run goes on as if the job had succeeded when it fails.
    pub continue_on_error: Template,
    /// The variants in which it runs.
    pub strategy: Option<Strategy>,
    /// The container its steps run in.
    pub container: Option<Container>,
    /// The containers that run beside it.
    pub services: Option<Services>,
    /// The image that is made of the runner when it ends well.
    pub snapshot: Option<Snapshot>,
    /// What it does.
    pub kind: JobKind,
    /// Where it stands: from its key to its end.
    pub span: Span,
}

impl Job {
    /// Returns the job's steps; none for a job that calls a workflow.
    pub fn steps(&self) -> &[Step] {
        match &self.kind {
            JobKind::Steps(steps) => steps,
            JobKind::Call { .. } => &[],
        }
    }
}

/// What a job does.
#[derive(Clone, Debug)]
pub enum JobKind {
    /// It runs steps.
    Steps(Vec<Step>),
    /// It calls another workflow.
    Call {
        /// Which one.
        uses: CallRef,
        /// The inputs that it hands over.
        with: Vec<(String, Template)>,
        /// The secrets that it hands over.
        secrets: CallSecrets,
    },
}

/// The workflow that a job calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallRef {
    /// A file of the same repository at the same commit.
    Local(String),
    /// A file of a repository.
    Repository {
        /// Whose repository.
        owner: String,
        /// Which one.
        repo: String,
        /// The file.
        path: String,
        /// The branch, tag or commit.
        git_ref: String,
    },
}

impl std::fmt::Display for CallRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CallRef::Local(path) => write!(formatter, "./{path}"),
            CallRef::Repository { owner, repo, path, git_ref } => write!(formatter, "{owner}/{repo}/{path}@{git_ref}"),
        }
    }
}

/// The secrets that a calling job hands over.
#[derive(Clone, Debug, PartialEq)]
pub enum CallSecrets {
    /// These, by name.
    Named(Vec<(String, Template)>),
    /// All that it has itself.
    Inherit,
}

/// The variants in which a job runs.
#[derive(Clone, Debug)]
pub struct Strategy {
    /// The matrix.
    pub matrix: Option<Tree>,
    /// Whether one failure cancels the other variants; true unless said otherwise.
    pub fail_fast: Option<Template>,
    /// How many variants run at once.
    pub max_parallel: Option<Template>,
    /// The expression that all of it comes from, where `strategy:` is one.
    pub whole: Option<Template>,
    /// Where it stands.
    pub span: Span,
}
