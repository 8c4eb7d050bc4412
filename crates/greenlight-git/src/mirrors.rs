//! All the mirrors, and git's part of the outbox: `prepare-merge` and `read-commit`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use greenlight_core::effect::{Dispatch, Effect, Outcome, Refusal};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::RepoId;
use greenlight_core::port::{Hands, Reply};

use crate::credentials::Credentials;
use crate::error::GitError;
use crate::mirror::{Mirror, Shared, UNFINISHED, remove_tree};
use crate::program::Git;
use crate::ready;

/// How long a fetch may take where nothing else is said: a large repository's first one takes minutes.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(900);

/// How many mirrors keep a process for reading: the ones that were read last.
const READERS_MAX: usize = 8;

/// How mirrors reach the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `https://` and `http://`.
    Http,
    /// Folders of this machine too.
    HttpAndFolders,
}

/// How the mirrors are to be.
pub struct MirrorsOptions {
    /// The folder that they live in. It belongs to one server.
    pub folder: PathBuf,
    /// Returns a repository's clone URL, without credentials in it.
    pub clone_url: Box<dyn Fn(&RepositoryRef) -> String + Send + Sync>,
    /// Where tokens come from.
    pub credentials: Arc<dyn Credentials>,
    /// How the other side is reached.
    pub transport: Transport,
    /// How long a fetch may take.
    pub fetch_timeout: Duration,
}

/// The mirrors of all repositories.
pub struct Mirrors {
    pub(crate) shared: Arc<Shared>,
    folder: PathBuf,
    mirrors: Mutex<HashMap<RepoId, Arc<Mirror>>>,
    reads: AtomicU64,
}

impl Mirrors {
    /// Finds git, looks at its version, and makes the folder. Errors say what to install or where to look.
    pub async fn open(options: MirrorsOptions) -> Result<Self, GitError> {
        let home = options.folder.join("home");
        let made = tokio::fs::create_dir_all(&home).await;
        made.map_err(|source| GitError::Folder { path: options.folder.clone(), source })?;
        let swept = remove_unfinished(&options.folder).await;
        swept.map_err(|source| GitError::Folder { path: options.folder.clone(), source })?;
        let shared = Shared {
            git: Git::find(&home).await?,
            clone_url: options.clone_url,
            credentials: options.credentials,
            transport: options.transport,
            fetch_timeout: options.fetch_timeout,
            ready: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            folder: options.folder,
            mirrors: Mutex::new(HashMap::new()),
            reads: AtomicU64::new(0),
        })
    }

    /// Returns the folder of a repository's mirror. Jobs may read it and must not write to it.
    pub fn folder(&self, repository: RepoId) -> PathBuf {
        mirror_folder(&self.folder, repository)
    }

    /// Returns the mirror of a repository, to be read from.
    pub(crate) fn mirror(&self, repository: RepoId) -> Arc<Mirror> {
        let mut mirrors = self.mirrors.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mirror::new(self.shared.clone(), mirror_folder(&self.folder, repository)));
        let mirror = mirrors.entry(repository).or_insert_with(new).clone();
        mirror.touch(self.reads.fetch_add(1, Ordering::Relaxed) + 1);
        stop_oldest(&mirrors);
        mirror
    }
}

fn mirror_folder(folder: &Path, repository: RepoId) -> PathBuf {
    folder.join(format!("{repository}.git"))
}

/// Removes what an earlier life began and did not finish, and what it laid ready.
async fn remove_unfinished(folder: &Path) -> std::io::Result<()> {
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extension.starts_with(UNFINISHED) || extension == ready::EXTENSION) {
            remove_tree(&path).await?;
        }
    }
    Ok(())
}

/// Lets go of the kept processes beyond those that were read last.
fn stop_oldest(mirrors: &HashMap<RepoId, Arc<Mirror>>) {
    if mirrors.len() <= READERS_MAX {
        return;
    }
    let mut read: Vec<&Arc<Mirror>> = mirrors.values().filter(|mirror| mirror.is_read()).collect();
    read.sort_by_key(|mirror| std::cmp::Reverse(mirror.read_at.load(Ordering::Relaxed)));
    for mirror in read.into_iter().skip(READERS_MAX) {
        mirror.stop_reading();
    }
}

impl Hands for Mirrors {
    fn perform<'a>(&'a self, repository: &'a RepositoryRef, dispatch: &'a Dispatch) -> Reply<'a, Outcome> {
        Box::pin(async move {
            let outcome = match &dispatch.effect {
                Effect::PrepareMerge { pull, head_sha, base_ref } => {
                    self.prepare_merge(repository, *pull, *head_sha, base_ref, dispatch.tried).await
                }
                Effect::ReadCommit { sha, git_ref, before } => {
                    self.read_commit(repository, *sha, git_ref.as_ref(), *before, dispatch.tried).await
                }
                other => {
                    let reason = format!("the mirrors do not carry out '{}'", other.name());
                    return Outcome::Refused(Refusal::Other(reason.into()));
                }
            };
            outcome.unwrap_or_else(|error| {
                tracing::warn!(repository = %repository.full_name, effect = dispatch.effect.name(), "{}", error.chain());
                GitError::into_outcome(error)
            })
        })
    }
}
