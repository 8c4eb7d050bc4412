//! Workflow files of other repositories that a commit's workflows call: read when the commit is, so that a run has all its files from its
//! first moment, whatever becomes of them later.
//!
//! They come from the store of actions, at the commit that their ref names by then, and obey the same pins. What is not there is left
//! out: the job that calls it fails and says so, and no other does. Where nobody can be asked, the commit is read again a little later.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use greenlight_core::effect::{Answer, Dispatch, Outcome};
use greenlight_core::event::{CommitFiles, Looked};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::Sha;
use greenlight_core::plan;
use greenlight_core::port::Reply;
use greenlight_runner::{ActionFiles, ActionName, RemoteError};
use greenlight_workflow::{CallRef, JobKind, parse_workflow};

/// How many files the workflows of one commit may call, over all levels.
const CALLED_MAX: usize = 100;
/// How long a called file may be.
const FILE_BYTES_MAX: u64 = 512 << 10;
/// How often a commit is read again for a file that nobody can be asked for, about ten minutes long; then it is left out.
const TRIES_MAX: u32 = 15;
/// What the keys of effects begin with that read the files of what is to run; `.greenlight.yml`, say, waits for no workflow.
const FOR_RUNS: &str = "read:";
/// What stands in a text that calls anything at all.
const CALLS: &str = "/workflows/";

/// Where called files come from.
pub trait CalledSource: Send + Sync {
    /// Finds the files of a repository at a ref, and says of a failure whether another try may end better.
    fn look<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, RemoteError>>;
}

/// Adds to what was read of a commit for its runs the files that its workflows call, or says that it is to be read again.
pub async fn complete(
    outcome: &mut Outcome,
    repository: &RepositoryRef,
    source: &dyn CalledSource,
    dispatch: &Dispatch,
) {
    if dispatch.key.as_str().starts_with(FOR_RUNS) {
        add(outcome, repository, source, dispatch.tried < TRIES_MAX).await;
    }
}

async fn add(outcome: &mut Outcome, repository: &RepositoryRef, source: &dyn CalledSource, is_patient: bool) {
    let files = match outcome {
        Outcome::Done(Answer::Commit(files)) => &mut **files,
        Outcome::Done(Answer::TestMerge(merge)) => &mut merge.files,
        _ => return,
    };
    match find(files, repository, source, is_patient).await {
        Ok(found) => {
            files.called.extend(found.texts);
            files.elsewhere.extend(found.looked);
        }
        Err(reason) => *outcome = Outcome::Later { not_before: None, reason },
    }
}

/// Finds what workflows call of other repositories, and what that calls. The error says for what it is to be tried again.
async fn find(
    files: &CommitFiles,
    repository: &RepositoryRef,
    source: &dyn CalledSource,
    is_patient: bool,
) -> Result<Found, Arc<str>> {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    let mut waiting = files.workflows.clone();
    while let Some((path, text)) = waiting.pop() {
        for call in calls_of(&path, &text) {
            if seen.len() >= CALLED_MAX || !seen.insert(call.reference.clone()) {
                continue;
            }
            match read(&call, source).await {
                Ok((text, commit)) => {
                    waiting.push((call.reference.clone(), text.clone()));
                    found.looked.extend(commit.map(|commit| (call.reference.clone(), Looked::At(commit))));
                    found.texts.push((call.reference, text));
                }
                Err(RemoteError::Unreachable(why)) if is_patient => {
                    return Err(format!("{path} calls {}: {why}", call.reference).into());
                }
                Err(why) => {
                    tracing::warn!(
                        "{}: {path} calls {}, which cannot be read: {why}",
                        repository.full_name,
                        call.reference
                    );
                    found.looked.push((call.reference, Looked::Missing(why.to_string().into())));
                }
            }
        }
    }
    Ok(found)
}

/// What was found.
#[derive(Default)]
struct Found {
    /// The references and the texts.
    texts: Vec<(Arc<str>, Arc<str>)>,
    /// At which commits, or why not.
    looked: Vec<(Arc<str>, Looked)>,
}

/// A file of another repository that is called.
struct Call {
    /// As it stands in the run: "owner/repo/path@ref".
    reference: Arc<str>,
    name: ActionName,
    path: String,
}

/// Returns the files of other repositories that a workflow calls.
fn calls_of(path: &str, text: &str) -> Vec<Call> {
    if !text.contains(CALLS) {
        return Vec::new();
    }
    let Some(workflow) = parse_workflow(path, text).workflow.clone() else { return Vec::new() };
    let calls = workflow.jobs.iter().filter_map(|job| match &job.kind {
        JobKind::Call { uses, .. } => call(&plan::reference(path, uses), uses),
        _ => None,
    });
    calls.collect()
}

/// Returns what a reference means; nothing where it is a file of the commit itself.
fn call(reference: &str, uses: &CallRef) -> Option<Call> {
    let (file, git_ref) = reference.rsplit_once('@').filter(|_| !reference.starts_with("./"))?;
    let mut parts = file.splitn(3, '/');
    let name = ActionName::new(parts.next()?, parts.next()?, git_ref)?;
    let path = match uses {
        CallRef::Local(path) | CallRef::Repository { path, .. } => path.trim_start_matches("./").to_owned(),
    };
    Some(Call { reference: reference.into(), name, path })
}

async fn read(call: &Call, source: &dyn CalledSource) -> Result<(Arc<str>, Option<Sha>), RemoteError> {
    let files = source.look(&call.name).await?;
    let text = text_in(&files.folder, &call.path).map_err(RemoteError::NotFound)?;
    let commit = files.commit.map_or_else(|| "a folder".to_owned(), |commit| commit.to_string());
    tracing::info!("{} is taken from {commit}", call.reference);
    Ok((text, files.commit))
}

/// Reads a file of a repository. A link there may lead anywhere, but not out.
fn text_in(folder: &Path, path: &str) -> Result<Arc<str>, String> {
    let missing = |_: std::io::Error| format!("it has no file {path} at this ref");
    let folder = folder.canonicalize().map_err(missing)?;
    let file = folder.join(path).canonicalize().map_err(missing)?;
    let length = file.metadata().map_err(missing)?.len();
    match (file.starts_with(&folder) && file.is_file(), length) {
        (false, _) => Err(format!("{path} is no file of it")),
        (true, FILE_BYTES_MAX..) => Err(format!("{path} has {FILE_BYTES_MAX} bytes or more")),
        (true, _) => std::fs::read_to_string(&file).map(Arc::from).map_err(missing),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use greenlight_core::effect::Effect;
    use greenlight_core::id::{EffectKey, RepoId};
    use greenlight_runner::Origin;

    use super::*;

    /// Repositories that lie below a folder.
    struct Below(PathBuf);

    impl CalledSource for Below {
        fn look<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, RemoteError>> {
            Box::pin(async move {
                let folder = self.0.join(name.repository()).join(&*name.git_ref);
                let files = ActionFiles { folder, commit: Some(Sha::ZERO), origin: Origin::Fetched };
                match files.folder.is_dir() {
                    true => Ok(files),
                    false if &*name.owner == "away" => Err(RemoteError::Unreachable("no network".to_owned())),
                    false => Err(RemoteError::NotFound(format!("{name} cannot be found"))),
                }
            })
        }
    }

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// A commit with these workflows and nothing else.
    fn commit_of(workflows: Vec<(Arc<str>, Arc<str>)>) -> CommitFiles {
        CommitFiles {
            sha: Sha::ZERO,
            tree: Sha::ZERO,
            message: "".into(),
            workflows,
            called: Vec::new(),
            elsewhere: Vec::new(),
            config: None,
            cibuild: false,
            changed_paths: None,
        }
    }

    fn repository() -> RepositoryRef {
        RepositoryRef { id: RepoId(7), full_name: "acme/app".into(), default_branch: "main".into() }
    }

    #[tokio::test]
    async fn where_nobody_can_be_asked_the_commit_is_read_again_but_not_for_ever() {
        let workflow = "on: push\njobs:\n  a:\n    uses: away/shared/.github/workflows/one.yml@v1\n";
        let files = commit_of(vec![(".github/workflows/ci.yml".into(), workflow.into())]);
        for (key, tried, is_again) in [
            ("read:push", 1, true),
            ("read:push", TRIES_MAX - 1, true),
            ("read:push", TRIES_MAX, false),
            ("config:1", 1, false),
        ] {
            let mut outcome = Outcome::Done(Answer::Commit(Box::new(files.clone())));
            let effect = Effect::ReadCommit { sha: Sha::ZERO, git_ref: None, before: None };
            let dispatch = Dispatch { key: EffectKey::from(key), effect, tried, confirm: false };
            complete(&mut outcome, &repository(), &Below(PathBuf::new()), &dispatch).await;
            let told = ".github/workflows/ci.yml calls away/shared/.github/workflows/one.yml@v1: no network";
            match &outcome {
                Outcome::Later { reason, .. } => assert!(is_again && &**reason == told, "{tried}: {reason}"),
                Outcome::Done(_) => assert!(!is_again, "{tried}"),
                other => panic!("{tried}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn what_is_called_elsewhere_is_read_with_all_that_it_calls() {
        let root = tempfile::tempdir().unwrap();
        let shared = root.path().join("acme/shared/v1");
        let calls = |what: &str| format!("on: workflow_call\njobs:\n  a:\n    uses: {what}\n");
        write(&shared.join(".github/workflows/one.yml"), &calls("./.github/workflows/two.yml"));
        write(&shared.join(".github/workflows/two.yml"), &calls("acme/other/.github/workflows/three.yml@main"));
        write(&root.path().join("acme/other/main/.github/workflows/three.yml"), "on: workflow_call\njobs: {}\n");
        write(&root.path().join("secret.yml"), "on: workflow_call\n");
        std::os::unix::fs::symlink(root.path().join("secret.yml"), shared.join(".github/workflows/link.yml")).unwrap();
        write(&shared.join(".github/workflows/long.yml"), &"#".repeat(FILE_BYTES_MAX as usize));
        let own: Vec<(Arc<str>, Arc<str>)> = ["one", "link", "missing", "long", "one"]
            .iter()
            .enumerate()
            .map(|(number, name)| {
                let path = format!(".github/workflows/{number}.yml");
                (path.into(), calls(&format!("acme/shared/.github/workflows/{name}.yml@v1")).into())
            })
            .chain([(".github/workflows/near.yml".into(), calls("./.github/workflows/0.yml").into())])
            .collect();
        let files = commit_of(own);
        let mut outcome = Outcome::Done(Answer::Commit(Box::new(files)));
        add(&mut outcome, &repository(), &Below(root.path().to_owned()), true).await;
        let Outcome::Done(Answer::Commit(files)) = outcome else { panic!("{outcome:?}") };
        let mut called: Vec<&str> = files.called.iter().map(|(reference, _)| &**reference).collect();
        called.sort_unstable();
        assert_eq!(
            called,
            [
                "acme/other/.github/workflows/three.yml@main",
                "acme/shared/.github/workflows/one.yml@v1",
                "acme/shared/.github/workflows/two.yml@v1",
            ],
            "each once, and none that leads out or is too long"
        );
        let looked = |name: &str| files.elsewhere.iter().find(|(reference, _)| reference.contains(name)).unwrap();
        assert_eq!(looked("two.yml").1, Looked::At(Sha::ZERO));
        let Looked::Missing(why) = &looked("missing.yml").1 else { panic!("{:?}", files.elsewhere) };
        assert_eq!(&**why, "it has no file .github/workflows/missing.yml at this ref");
    }
}
