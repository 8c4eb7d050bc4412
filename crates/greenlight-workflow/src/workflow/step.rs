//! A step of a job, or of a composite action.

use std::borrow::Cow;
use std::sync::Arc;

use crate::expression::Context;
use crate::finding::Span;
use crate::template::{Condition, Template};

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its id, written or made (`__run`, `__run_2`, `__actions_checkout`).
    pub id: Arc<str>,
    /// Whether the id was written; only such a step can be referred to.
    pub explicit_id: bool,
    /// Its `name:`.
    pub name: Option<Template>,
    /// Whether it runs.
    pub condition: Condition,
    /// Variables for it.
    pub env: Vec<(String, Template)>,
    /// Whether the job goes on as if it had succeeded when it fails.
    pub continue_on_error: Template,
    /// How long it may take.
    pub timeout_minutes: Option<Template>,
    /// Whether the next step starts without waiting for it.
    pub background: bool,
    /// What it does.
    pub kind: StepKind,
    /// Where it stands.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum StepKind {
    /// It runs a script.
    Run {
        /// The script.
        script: Template,
        /// The shell.
        shell: Option<Template>,
        /// The folder, relative to the workspace.
        working_directory: Option<Template>,
    },
    /// It uses an action.
    Uses {
        /// Which one.
        reference: UsesRef,
        /// The inputs it is given.
        with: Vec<(String, Template)>,
    },
    /// It waits for steps in the background.
    Wait {
        /// Their ids.
        targets: Vec<String>,
    },
    /// It waits for all steps in the background.
    WaitAll,
    /// It cancels a step in the background.
    Cancel {
        /// Its id.
        target: String,
    },
    /// It runs steps side by side and waits for all.
    Parallel {
        /// The steps.
        steps: Vec<Step>,
    },
}

/// The action that a step uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UsesRef {
    /// A folder of the workspace, `./path`.
    Local(String),
    /// A folder of the repository that the workflow or action itself comes from, `$/path`.
    SameRepository(String),
    /// An action in a repository.
    Repository {
        /// Whose repository.
        owner: String,
        /// Which one.
        repo: String,
        /// The folder in it, empty for its root.
        path: String,
        /// The branch, tag or commit.
        git_ref: String,
    },
    /// A container image.
    Docker(String),
}

impl UsesRef {
    /// Returns what a `uses:` names, None where it names nothing.
    pub fn parse(text: &str) -> Option<UsesRef> {
        if let Some(image) = text.strip_prefix("docker://") {
            return (!image.is_empty()).then(|| UsesRef::Docker(image.into()));
        }
        if text.starts_with("./") || text.starts_with(".\\") || text == "." {
            return Some(UsesRef::Local(text.into()));
        }
        if let Some(path) = text.strip_prefix("$/") {
            return Some(UsesRef::SameRepository(path.into()));
        }
        let (name, git_ref) = text.split_once('@')?;
        let mut segments = name.split(['/', '\\']).filter(|segment| !segment.is_empty());
        let (owner, repo) = (segments.next()?, segments.next()?);
        let path = segments.collect::<Vec<_>>().join("/");
        let is_right = !git_ref.is_empty() && !git_ref.contains('@');
        is_right.then(|| UsesRef::Repository { owner: owner.into(), repo: repo.into(), path, git_ref: git_ref.into() })
    }

    /// Returns what the generated id of a step that uses it is made of.
    pub(crate) fn id_base(&self) -> Cow<'_, str> {
        match self {
            UsesRef::Local(_) | UsesRef::SameRepository(_) => "self".into(),
            UsesRef::Repository { owner, repo, .. } => [owner, "/", repo].concat().into(),
            UsesRef::Docker(image) => image.into(),
        }
    }
}

impl std::fmt::Display for UsesRef {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UsesRef::Local(path) => formatter.write_str(path),
            UsesRef::SameRepository(path) => write!(formatter, "$/{path}"),
            UsesRef::Docker(image) => write!(formatter, "docker://{image}"),
            UsesRef::Repository { owner, repo, path, git_ref } => {
                let slash = if path.is_empty() { "" } else { "/" };
                write!(formatter, "{owner}/{repo}{slash}{path}@{git_ref}")
            }
        }
    }
}

impl Step {
    /// Returns what the step is called where it is shown: its name, or `Run` and the first line of what it runs. What
    /// cannot be evaluated yet is shown as it was written.
    pub fn display_name(&self, context: &dyn Context) -> String {
        let shown =
            |template: &Template| template.evaluate_string(context).unwrap_or_else(|_| template.source().to_owned());
        if let Some(name) = self.name.as_ref().map(shown).filter(|name| !name.trim().is_empty()) {
            return name;
        }
        match &self.kind {
            StepKind::Run { script, .. } => {
                let script = shown(script);
                format!("Run {}", script.trim_start().lines().next().unwrap_or_default())
            }
            StepKind::Uses { reference, .. } => format!("Run {reference}"),
            StepKind::Wait { .. } => "Wait".into(),
            StepKind::WaitAll => "Wait for all".into(),
            StepKind::Cancel { .. } => "Cancel".into(),
            StepKind::Parallel { .. } => "Parallel group".into(),
        }
    }
}
