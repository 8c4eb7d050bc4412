//! A commit's files, and what a push changed. Nothing is fetched where the commit is there already.

use std::sync::Arc;

use greenlight_core::effect::{Answer, Outcome};
use greenlight_core::event::CommitFiles;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{RefName, Sha};

use crate::changes::{Compared, asks_for_paths, changed_paths};
use crate::error::GitError;
use crate::files::commit_files;
use crate::merge::fetch_failed;
use crate::mirror::{Mirror, is_ref_name, refspec, seen};
use crate::mirrors::Mirrors;

/// How often a commit that the webhook told of may still not be there to be fetched.
const COMMIT_TRIES_MAX: u32 = 6;

impl Mirrors {
    /// Reads the commit and tells what changed since `before`.
    pub(crate) async fn read_commit(
        &self,
        repository: &RepositoryRef,
        sha: Sha,
        git_ref: Option<&RefName>,
        before: Option<Sha>,
        tried: u32,
    ) -> Result<Outcome, GitError> {
        let mirror = self.mirror(repository.id);
        let mut files = match mirror.recent.get(sha) {
            Some(files) => files,
            None => {
                if let Err(error) = bring(&mirror, repository, sha, git_ref).await {
                    return Ok(match &*error {
                        GitError::NoSuchCommit(_) | GitError::NoSuchRef { .. } if tried < COMMIT_TRIES_MAX => {
                            Outcome::Later { not_before: None, reason: error.chain().into() }
                        }
                        _ => fetch_failed(error),
                    });
                }
                read(&mirror, sha).await?
            }
        };
        let before = before.filter(|before| !before.is_zero());
        if asks_for_paths(&files) {
            files.changed_paths = pushed_paths(&mirror, repository, sha, git_ref, before).await?;
        }
        Ok(Outcome::Done(Answer::Commit(Box::new(files))))
    }
}

/// Reads the files of a commit that is in the mirror.
async fn read(mirror: &Mirror, sha: Sha) -> Result<CommitFiles, GitError> {
    let Some(commit) = mirror.commit(&sha.to_string()).await? else { return Err(GitError::NoSuchCommit(sha)) };
    let files = commit_files(mirror, &commit).await?;
    mirror.recent.keep(&files);
    Ok(files)
}

/// Sees to it that the commit is in the mirror: by the ref that it was seen on, else by its id.
pub(crate) async fn bring(
    mirror: &Arc<Mirror>,
    repository: &RepositoryRef,
    sha: Sha,
    git_ref: Option<&RefName>,
) -> Result<(), Arc<GitError>> {
    if mirror.has(sha).await.map_err(Arc::new)? {
        return Ok(());
    }
    let named = git_ref.filter(|name| is_ref_name(name.as_str()) && !name.as_str().starts_with("refs/greenlight/"));
    if let Some(name) = named {
        match mirror.fetch(repository, vec![refspec(name.as_str())]).await {
            Ok(()) if mirror.has(sha).await.map_err(Arc::new)? => return Ok(()),
            // The ref moved on or is gone; the commit may still be there.
            Ok(()) => {}
            Err(error) if matches!(*error, GitError::NoSuchRef { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    mirror.fetch(repository, vec![sha.to_string()]).await?;
    if mirror.has(sha).await.map_err(Arc::new)? { Ok(()) } else { Err(Arc::new(GitError::NoSuchCommit(sha))) }
}

/// Returns what a push changed. Only branches are asked about: path filters do not look at tags.
async fn pushed_paths(
    mirror: &Arc<Mirror>,
    repository: &RepositoryRef,
    sha: Sha,
    git_ref: Option<&RefName>,
    before: Option<Sha>,
) -> Result<Option<Vec<String>>, GitError> {
    let Some(branch) = git_ref.and_then(RefName::as_branch) else { return Ok(None) };
    let failed = |error: Arc<GitError>| {
        tracing::info!(repository = %repository.full_name, "what changed cannot be told: {}", error.chain());
    };
    match before {
        // After a force-push the old commit is on no branch, but mostly still there.
        Some(before) => match bring(mirror, repository, before, None).await {
            Ok(()) => changed_paths(mirror, &before.to_string(), sha, Compared::Each).await,
            Err(error) => {
                failed(error);
                Ok(None)
            }
        },
        None if *branch == *repository.default_branch => Ok(None),
        None => {
            let default = format!("refs/heads/{}", repository.default_branch);
            let known = mirror.find(&[seen(&default)]).await?.first().is_some_and(Option::is_some);
            if !known && let Err(error) = mirror.fetch(repository, vec![refspec(&default)]).await {
                failed(error);
                return Ok(None);
            }
            changed_paths(mirror, &seen(&default), sha, Compared::SinceFork).await
        }
    }
}
