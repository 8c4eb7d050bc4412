//! The actions of a job: found before its first step, copied into the job's own folder, their manifests read.
//!
//! A job works on copies: an action that writes into its own folder, or is written into by a step, changes nothing for the next job.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use greenlight_workflow::{ActionManifest, ActionRuns, Step, StepKind, UsesRef};

use crate::action::DEPTH_MAX;
use crate::contexts::ActionPlace;
use crate::job::JobRun;
use crate::manifest;
use crate::source::{ActionFiles, ActionName, Origin};

/// How many files the copy of a repository of actions has at most.
const FILES_MAX: usize = 100_000;

/// What an action keeps for itself between its pre, main and post part: `STATE_…`.
pub(crate) type Kept = Arc<Mutex<Vec<(String, String)>>>;

/// An action that is ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Action {
    pub(crate) manifest: Arc<ActionManifest>,
    pub(crate) place: ActionPlace,
    /// What a workflow calls it.
    pub(crate) name: String,
    pub(crate) kept: Kept,
}

/// The actions of a job, by the key of their step.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    ready: Mutex<HashMap<String, Action>>,
    copied: Mutex<HashMap<ActionName, PathBuf>>,
}

impl Shelf {
    /// Returns the action of a step, where it was found before the first step.
    pub(crate) fn get(&self, key: &str) -> Option<Action> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: String, action: Action) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).insert(key, action);
    }

    fn copied(&self, name: &ActionName) -> Option<PathBuf> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

impl JobRun {
    /// Finds all actions that can be known before the first step runs: those of repositories, and what they use in turn.
    pub(crate) async fn find_actions(
        &self,
        steps: &[Step],
        key: &str,
        depth: usize,
        within: Option<&ActionName>,
        index: u32,
    ) -> Result<(), String> {
        for (position, step) in steps.iter().enumerate() {
            let key = format!("{key}/{position}");
            match &step.kind {
                StepKind::Uses { reference, .. } => self.find_action(reference, key, depth, within, index).await?,
                StepKind::Parallel { steps } => {
                    Box::pin(self.find_actions(steps, &key, depth, within, index)).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn find_action(
        &self,
        reference: &UsesRef,
        key: String,
        depth: usize,
        within: Option<&ActionName>,
        index: u32,
    ) -> Result<(), String> {
        if self.is_built_in(reference) { Ok(()) } else { self.shelve(reference, key, depth, within, index).await }
    }

    /// Finds one action, and what it uses in turn.
    pub(crate) async fn shelve(
        &self,
        reference: &UsesRef,
        key: String,
        depth: usize,
        within: Option<&ActionName>,
        index: u32,
    ) -> Result<(), String> {
        let Some((name, path)) = self.named(reference, within)? else { return Ok(()) };
        if depth > DEPTH_MAX {
            return Err(format!("{name} is the {depth}th action within another, which is too deep"));
        }
        let root = self.copy_of(&name, index).await?;
        let folder = if path.is_empty() { root.clone() } else { root.join(&path) };
        let shown = reference.to_string();
        let (folder, manifest) = manifest::read(&shown, &folder, &root).map_err(|why| format!("a step {why}"))?;
        let place =
            ActionPlace { path: folder, repository: Some(name.repository()), git_ref: Some(name.git_ref.to_string()) };
        if let ActionRuns::Composite { steps } = &manifest.runs {
            Box::pin(self.find_actions(steps, &key, depth + 1, Some(&name), index)).await?;
        }
        self.shelf.put(key, Action { manifest: Arc::new(manifest), place, name: shown, kept: Kept::default() });
        Ok(())
    }

    /// Returns the repository that a step's words name, and the folder in it; nothing for what is no repository's.
    fn named(&self, reference: &UsesRef, within: Option<&ActionName>) -> Result<Option<(ActionName, String)>, String> {
        let (name, path) = match reference {
            UsesRef::Repository { owner, repo, path, git_ref } => (ActionName::new(owner, repo, git_ref), path),
            UsesRef::SameRepository(path) => match within {
                Some(name) => (Some(name.clone()), path),
                None => (self.own_repository(), path),
            },
            _ => return Ok(None),
        };
        let leads_out = path.split('/').any(|part| part == ".." || part == ".git");
        let name = name.filter(|_| !leads_out).ok_or_else(|| format!("{reference} names no action"))?;
        Ok(Some((name, path.clone())))
    }

    /// Returns the repository that the workflow itself comes from, at its commit.
    fn own_repository(&self) -> Option<ActionName> {
        let (owner, repo) = self.order.repository.split_once('/')?;
        let written = self.contexts.github("workflow_sha");
        let commit = written.as_str().filter(|sha| !sha.is_empty()).map(str::to_owned);
        ActionName::new(owner, repo, &commit.unwrap_or_else(|| self.order.checkout.sha.to_string()))
    }

    /// Returns the job's own copy of a repository of actions.
    async fn copy_of(&self, name: &ActionName, index: u32) -> Result<PathBuf, String> {
        if let Some(copy) = self.shelf.copied(name) {
            return Ok(copy);
        }
        let source = self.log.host.actions().ok_or_else(|| {
            format!("the action {name} comes from a repository, and this runner has nowhere to get it from")
        })?;
        let found = source.find(name).await?;
        self.log.line(index, &told(name, &found)).await;
        let copy = self.workspace.actions.join(&*name.owner).join(&*name.repo).join(&*name.git_ref);
        let (from, to) = (found.folder.clone(), copy.clone());
        let actions = self.workspace.actions.clone();
        // The folder is the job's, and its processes may run already: they stand still, and a link of theirs is not followed.
        self.place.freeze().await;
        let copied = tokio::task::spawn_blocking(move || copy_within(&actions, &from, &to)).await;
        let given = self.place.thaw(&self.workspace.actions).await;
        let copied = copied.map_err(std::io::Error::other).and_then(|copied| copied).and(given);
        copied.map_err(|error| format!("{name} cannot be copied for the job: {error}"))?;
        self.shelf.copied.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), copy.clone());
        Ok(copy)
    }
}

fn told(name: &ActionName, found: &ActionFiles) -> String {
    let commit = found.commit.map(|commit| format!(" is commit {commit}")).unwrap_or_default();
    match found.origin {
        Origin::Fetched => format!("Action {name}{commit}, fetched now"),
        Origin::Kept => format!("Action {name}{commit}"),
        Origin::KeptUnasked => format!("Action {name}{commit}, as it was last seen: nobody was asked"),
        Origin::Given => format!("Action {name} comes from {}", found.folder.display()),
    }
}

/// Copies a folder to a place that is really below `top`.
fn copy_within(top: &Path, from: &Path, to: &Path) -> std::io::Result<()> {
    let parent = to.parent().unwrap_or(to);
    std::fs::create_dir_all(parent)?;
    if !parent.canonicalize()?.starts_with(top.canonicalize()?) || to.symlink_metadata().is_ok() {
        return Err(std::io::Error::other("something of the job's stands in its place"));
    }
    copy_folder(from, to)
}

/// Copies a folder without its `.git`. Links are copied as links, and what is no file, folder or link is left out.
fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut waiting = vec![(from.to_owned(), to.to_owned())];
    let mut count = 0;
    while let Some((from, to)) = waiting.pop() {
        for entry in std::fs::read_dir(&from)? {
            let entry = entry?;
            let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
            count += 1;
            if count > FILES_MAX {
                return Err(std::io::Error::other(format!("it has more than {FILES_MAX} files")));
            }
            if kind.is_dir() && entry.file_name() != ".git" {
                std::fs::create_dir(&target)?;
                waiting.push((entry.path(), target));
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, &target)?;
            } else if kind.is_file() {
                std::fs::copy(entry.path(), &target)?;
            }
        }
    }
    Ok(())
}
