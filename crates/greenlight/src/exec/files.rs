//! The workflow files: which there are, what is wrong with them, which the event starts, and what those call.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use greenlight_core::event::CommitFiles;
use greenlight_core::id::Sha;
use greenlight_core::plan;
use greenlight_workflow::{
    CallRef, EventFacts, EventTrigger, Finding, JobKind, Step, StepKind, Trigger, UsesRef, Workflow, parse_workflow,
};

use super::WrongUsage;
use super::event::{DISPATCH, Happened};
use super::values::Values;

/// Where workflow files are; the first folder that is there counts.
const FOLDERS: [&str; 2] = [".greenlight/workflows", ".github/workflows"];
/// How many workflow files there may be.
const FILES_MAX: usize = 1000;
/// How long a workflow file may be.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A workflow file as it was read.
pub struct File {
    /// Its path, from the folder that is run.
    pub path: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
    /// The workflow, or what is wrong, rendered with its carets.
    pub workflow: Result<Workflow, String>,
    /// What is doubtful, a line each.
    pub warnings: Vec<String>,
}

/// Where workflows and actions of other repositories lie: `OWNER/REPO[@REF]` and a folder.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<(String, Option<String>, PathBuf)>);

impl Sources {
    /// Reads `OWNER/REPO[@REF]=DIR`.
    pub fn parse(given: &[String]) -> anyhow::Result<Self> {
        let one = |text: &String| {
            let (name, folder) =
                text.split_once('=').filter(|(name, _)| name.matches('/').count() == 1).with_context(|| {
                    let form = "it should be OWNER/REPO=DIR or OWNER/REPO@REF=DIR";
                    WrongUsage(format!("--action-source {text}: {form}"))
                })?;
            let (name, git_ref) = match name.split_once('@') {
                Some((name, git_ref)) => (name, Some(git_ref.to_owned())),
                None => (name, None),
            };
            let folder = Path::new(folder);
            let missing = || WrongUsage(format!("--action-source {text}: there is no folder {}", folder.display()));
            let folder = folder.canonicalize().with_context(missing)?;
            Ok((name.to_lowercase(), git_ref, folder))
        };
        Ok(Self(given.iter().map(one).collect::<anyhow::Result<_>>()?))
    }

    /// Returns the folder of a repository at a ref; one that was named with its ref goes before one that stands for all.
    pub fn folder(&self, owner: &str, repo: &str, git_ref: &str) -> Option<&Path> {
        let name = format!("{owner}/{repo}").to_lowercase();
        let of = |wanted: Option<&str>| {
            self.0.iter().rev().find(|(known, at, _)| *known == name && at.as_deref() == wanted).map(|found| &*found.2)
        };
        of(Some(git_ref)).or_else(|| of(None))
    }

    /// Returns all of them: name, ref, folder.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>, &Path)> {
        self.0.iter().map(|(name, git_ref, folder)| (name.as_str(), git_ref.as_deref(), &**folder))
    }
}

/// Reads the workflow files: those of the usual folder, or of the file or folder that was named.
pub fn read(root: &Path, named: Option<&Path>) -> anyhow::Result<Vec<File>> {
    let place = match named {
        Some(named) if root.join(named).exists() => root.join(named),
        Some(named) => return Err(WrongUsage(format!("-W {0}: there is no {0}", named.display())).into()),
        None => usual_folder(root).ok_or_else(|| missing(root))?,
    };
    let mut paths = Vec::new();
    if place.is_dir() {
        for entry in std::fs::read_dir(&place).with_context(|| format!("cannot read {}", place.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml") && path.is_file() {
                paths.push(path);
            }
        }
        paths.sort();
        anyhow::ensure!(!paths.is_empty(), "there is no workflow file in {}", place.display());
        anyhow::ensure!(paths.len() <= FILES_MAX, "{} has more than {FILES_MAX} workflow files", place.display());
    } else {
        paths.push(place);
    }
    paths.iter().map(|path| read_one(root, path)).collect()
}

fn usual_folder(root: &Path) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| root.join(folder)).find(|folder| folder.is_dir())
}

/// Says that there are no workflows in a folder, and where they are if it is within a repository that has some.
fn missing(root: &Path) -> WrongUsage {
    let top = root.ancestors().skip(1).find(|above| above.join(".git").exists());
    let hint = match top.filter(|top| usual_folder(top).is_some()) {
        Some(top) => format!("the repository's are run with -C {}", top.display()),
        None => "-W names a file or folder elsewhere".to_owned(),
    };
    WrongUsage(format!("there is no {} in {}: {hint}", FOLDERS.join(" or "), root.display()))
}

fn read_one(root: &Path, path: &Path) -> anyhow::Result<File> {
    let text = text_of(path)?;
    let shown = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let shown = shown.strip_prefix("./").unwrap_or(&shown);
    let parsed = parse_workflow(shown, &text);
    let (errors, warnings): (Vec<&Finding>, Vec<&Finding>) =
        parsed.findings.iter().partition(|finding| finding.is_error());
    let warnings = warnings.iter().map(|finding| finding.summary(shown)).collect();
    let workflow = parsed
        .workflow
        .clone()
        .ok_or_else(|| errors.iter().map(|finding| finding.render(shown, &text)).collect::<Vec<_>>().join("\n"));
    Ok(File { path: shown.into(), text, workflow, warnings })
}

fn text_of(path: &Path) -> anyhow::Result<Arc<str>> {
    let length = std::fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    anyhow::ensure!(length <= FILE_BYTES_MAX, "{} has more than {FILE_BYTES_MAX} bytes", path.display());
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.into())
}

/// Returns whether the event starts this workflow.
pub fn trigger(workflow: &Workflow, happened: &Happened) -> Trigger {
    let facts = happened.payload.facts(None);
    workflow.triggered_by(&EventFacts {
        git_ref: happened.git_ref.as_str(),
        base_branch: happened.base.as_deref().or(facts.base_branch),
        ..facts
    })
}

/// Returns the cron lines of all files, each once.
pub fn crons(read: &[File]) -> Vec<String> {
    let events = read.iter().filter_map(|file| file.workflow.as_ref().ok()?.on.event("schedule"));
    let mut crons: Vec<String> = Vec::new();
    for schedule in events.flat_map(|event| &event.schedules) {
        if !crons.contains(&schedule.cron) {
            crons.push(schedule.cron.clone());
        }
    }
    crons
}

/// Returns the files as the rules read them from a commit: the chosen ones, and whatever those call.
pub fn as_commit(root: &Path, sources: &Sources, chosen: &[&File], sha: Sha) -> CommitFiles {
    let mut called = BTreeMap::new();
    for file in chosen {
        if let Ok(workflow) = &file.workflow {
            find_called(root, sources, workflow, &mut called);
        }
    }
    CommitFiles {
        sha,
        tree: sha,
        message: "".into(),
        workflows: chosen.iter().map(|file| (file.path.clone(), file.text.clone())).collect(),
        called: called.into_iter().filter_map(|(reference, text)| Some((reference, text?))).collect(),
        elsewhere: Vec::new(),
        config: None,
        cibuild: false,
        changed_paths: None,
    }
}

/// Returns the first option of each input of a workflow that is started by hand and that has no default: what GitHub's form offers.
/// Only one workflow is started so at a time: the one that has the inputs of these names.
pub fn choices<'a>(read: &[File], given: impl Iterator<Item = &'a str> + Clone) -> Values {
    let started = read.iter().filter_map(|file| file.workflow.as_ref().ok()?.on.event(DISPATCH));
    let started: Vec<_> = started.filter(|event| given.clone().all(|name| has_input(event, name))).collect();
    let [event] = started[..] else { return Values::new() };
    let first = event.inputs.iter().filter(|input| input.default.is_none());
    let first = first.filter(|input| !given.clone().any(|name| name.eq_ignore_ascii_case(&input.name)));
    first.filter_map(|input| Some((input.name.clone(), input.options.first()?.clone()))).collect()
}

/// Returns the files whose workflows have all inputs that were given, and why the others are not run. Where none has them all,
/// nobody can tell which was meant: then all are returned.
pub fn with_inputs<'a>(chosen: Vec<&'a File>, happened: &Happened) -> (Vec<&'a File>, Vec<String>) {
    let given = happened.inputs();
    let missing = |file: &File| {
        let event = file.workflow.as_ref().ok()?.on.event(&happened.name)?;
        given.iter().map(|(name, _)| name.clone()).find(|name| !has_input(event, name))
    };
    let (with, without): (Vec<_>, Vec<_>) =
        chosen.iter().map(|file| (*file, missing(file))).partition(|(_, missing)| missing.is_none());
    if with.is_empty() {
        return (chosen, Vec::new());
    }
    let told = |(file, name): (&File, Option<String>)| {
        format!("not run: {}: it has no input {}", file.path, name.unwrap_or_default())
    };
    (with.into_iter().map(|(file, _)| file).collect(), without.into_iter().map(told).collect())
}

fn has_input(event: &EventTrigger, name: &str) -> bool {
    event.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name))
}

/// Do these files use actions that may ask for artifacts, caches or an identity? Checking out is done without.
pub fn has_actions(files: &CommitFiles) -> bool {
    let texts = files.workflows.iter().chain(&files.called);
    texts.filter_map(|(path, text)| parse_workflow(path, text).workflow).any(|workflow| {
        let steps = workflow.jobs.iter().flat_map(|job| job.steps());
        let has_identity =
            workflow.tree.get("permissions").is_some() || workflow.jobs.iter().any(|job| job.permissions.is_some());
        has_identity || steps.into_iter().any(uses_action)
    })
}

fn uses_action(step: &Step) -> bool {
    match &step.kind {
        StepKind::Uses { reference: UsesRef::Repository { owner, repo, .. }, .. } => {
            !(owner.eq_ignore_ascii_case("actions") && repo.eq_ignore_ascii_case("checkout"))
        }
        StepKind::Uses { .. } => true,
        StepKind::Parallel { steps } => steps.iter().any(uses_action),
        _ => false,
    }
}

/// Finds what a workflow calls, and what that calls. What cannot be found is missing, and the calling job says so.
fn find_called(root: &Path, sources: &Sources, workflow: &Workflow, called: &mut BTreeMap<Arc<str>, Option<Arc<str>>>) {
    for job in &workflow.jobs {
        let JobKind::Call { uses, .. } = &job.kind else { continue };
        let reference: Arc<str> = plan::reference(&workflow.path, uses).into();
        if called.contains_key(&reference) || called.len() >= FILES_MAX {
            continue;
        }
        let (base, path) = match uses {
            CallRef::Local(path) => (Some(root), path),
            CallRef::Repository { owner, repo, path, git_ref } => (sources.folder(owner, repo, git_ref), path),
        };
        let text = base.and_then(|base| text_of(&base.join(path)).ok());
        called.insert(reference.clone(), text.clone());
        let parsed = text.and_then(|text| parse_workflow(&reference, &text).workflow.clone());
        if let (Some(inner), Some(base)) = (parsed, base) {
            find_called(base, sources, &inner, called);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_with_its_ref_goes_first() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let given = [format!("Acme/app={}", one.path().display()), format!("acme/app@v2={}", two.path().display())];
        let sources = Sources::parse(&given).unwrap();
        assert_eq!(sources.folder("acme", "App", "v1"), Some(&*one.path().canonicalize().unwrap()));
        assert_eq!(sources.folder("acme", "app", "v2"), Some(&*two.path().canonicalize().unwrap()));
        assert_eq!(sources.folder("acme", "other", "v2"), None);
        assert!(Sources::parse(&["acme=x".into()]).is_err());
    }
}
