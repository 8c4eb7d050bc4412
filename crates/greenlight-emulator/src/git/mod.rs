//! The real bare repositories behind the model.
//!
//! Objects are read and written as loose files, in this process; ref updates with compare-and-swap, merges and diffs are git's own.
//! All forks of a repository share one object folder, as on GitHub, so a pull request from a fork needs no copying. Nothing is ever
//! packed away, since garbage collection is off and pushes are unpacked.

mod diff;
mod graph;
mod merge;
mod object;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{io::AsyncWriteExt, process::Command};

pub use diff::FileChange;
pub use merge::Merged;
pub use object::{Commit, Kind, Signature, TreeEntry};

use crate::model::{Oid, ZERO_OID};

/// How many decoded objects of one kind are kept before the memory is dropped and filled again.
const CACHE_ENTRIES_MAX: usize = 50_000;

/// What can go wrong with a repository on disk.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The git program could not be started or read.
    #[error("could not run git {command}")]
    Run {
        command: String,
        #[source]
        source: io::Error,
    },
    /// The git program refused.
    #[error("git {command} failed: {message}")]
    Refused { command: String, message: String },
    /// A file of the repository could not be read or written.
    #[error("could not access {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// There is no such object.
    #[error("no object {0}")]
    Missing(Oid),
    /// An object is not what was expected.
    #[error("object {0} is not a {1}")]
    Unexpected(Oid, &'static str),
    /// A ref did not point where it was expected to.
    #[error("a ref moved meanwhile: {0}")]
    RefMoved(String),
}

/// One wanted change of a ref. `old` is what it must point at now; the zero id where it must not exist.
#[derive(Clone, Debug)]
pub struct RefUpdate {
    pub name: String,
    pub old: Oid,
    pub new: Oid,
}

/// What differs between two commits, by both.
type Diffs = HashMap<(Oid, Oid), Arc<Vec<FileChange>>>;

/// All repositories of one emulator.
pub struct Git {
    root: PathBuf,
    commits: Mutex<HashMap<Oid, Arc<Commit>>>,
    trees: Mutex<HashMap<Oid, Arc<Vec<TreeEntry>>>>,
    diffs: Mutex<Diffs>,
}

impl Git {
    /// Opens the folder that holds the repositories.
    pub fn open(data: &Path) -> Result<Git, GitError> {
        let root = data.join("git");
        std::fs::create_dir_all(&root).map_err(|source| GitError::File { path: root.clone(), source })?;
        let root = root.canonicalize().map_err(|source| GitError::File { path: root, source })?;
        Ok(Git { root, commits: Mutex::default(), trees: Mutex::default(), diffs: Mutex::default() })
    }

    /// Returns the folder that holds all repositories.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the bare repository's folder.
    pub fn dir(&self, repository: u64) -> PathBuf {
        self.root.join(format!("{repository}.git"))
    }

    /// Makes an empty bare repository, sharing the objects of `network` where it is a fork.
    pub async fn init(&self, repository: u64, default_branch: &str, network: Option<u64>) -> Result<(), GitError> {
        let dir = self.dir(repository);
        let branch = format!("--initial-branch={default_branch}");
        self.run(&self.root, &["init", "--quiet", "--bare", "--template=", &branch, &dir.to_string_lossy()], None)
            .await?;
        let config = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n[http]\n\treceivepack = true\n\
                      [uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = true\n[receive]\n\thideRefs = refs/pull\n\tautogc = false\n\
                      [transfer]\n\tunpackLimit = 1000000\n[gc]\n\tauto = 0\n[core]\n\tlogAllRefUpdates = false\n";
        write_file(&dir.join("config"), config.as_bytes())?;
        if let Some(network) = network {
            let objects = dir.join("objects");
            let file_error = |source| GitError::File { path: objects.clone(), source };
            std::fs::remove_dir_all(&objects).map_err(file_error)?;
            let shared = self.dir(network).join("objects").canonicalize().map_err(file_error)?;
            std::os::unix::fs::symlink(shared, &objects).map_err(file_error)?;
        }
        Ok(())
    }

    /// Points HEAD of the bare repository at another branch.
    pub fn set_head(&self, repository: u64, branch: &str) -> Result<(), GitError> {
        write_file(&self.dir(repository).join("HEAD"), format!("ref: refs/heads/{branch}\n").as_bytes())
    }

    /// Removes a repository's folder, unless forks still share its objects.
    pub fn remove(&self, repository: u64, has_forks: bool) -> Result<(), GitError> {
        if has_forks {
            return Ok(());
        }
        let dir = self.dir(repository);
        std::fs::remove_dir_all(&dir).map_err(|source| GitError::File { path: dir, source })
    }

    /// Returns branches and tags as they are on disk.
    pub async fn refs(&self, repository: u64) -> Result<BTreeMap<String, Oid>, GitError> {
        let output = self
            .run(
                &self.dir(repository),
                &["for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags"],
                None,
            )
            .await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(oid, name)| (name.to_owned(), oid.to_owned()))
            .collect())
    }

    /// Changes refs, all or none, each only if it still points where it is expected to.
    pub async fn update_refs(&self, repository: u64, updates: &[RefUpdate]) -> Result<(), GitError> {
        let mut input = String::from("start\n");
        for RefUpdate { name, old, new } in updates {
            match (old.as_str(), new.as_str()) {
                (_, ZERO_OID) => input.push_str(&format!("delete {name} {old}\n")),
                (ZERO_OID, _) => input.push_str(&format!("create {name} {new}\n")),
                _ => input.push_str(&format!("update {name} {new} {old}\n")),
            }
        }
        input.push_str("prepare\ncommit\n");
        match self.run(&self.dir(repository), &["update-ref", "--stdin"], Some(input.as_bytes())).await {
            Ok(_) => Ok(()),
            Err(GitError::Refused { message, .. }) => Err(GitError::RefMoved(message)),
            Err(error) => Err(error),
        }
    }

    /// Points a ref of the emulator's own (below `refs/pull`) somewhere, wherever it pointed before.
    pub fn force_ref(&self, repository: u64, name: &str, oid: &str) -> Result<(), GitError> {
        write_file(&self.dir(repository).join(name), format!("{oid}\n").as_bytes())
    }

    /// Runs git in `dir` and returns its output, or what it complained about.
    async fn run(&self, dir: &Path, arguments: &[&str], input: Option<&[u8]>) -> Result<Output, GitError> {
        let output = self.run_any(dir, arguments, input).await?;
        if output.status.success() {
            return Ok(output);
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(GitError::Refused { command: arguments.first().copied().unwrap_or_default().to_owned(), message })
    }

    /// Runs git in `dir` and returns its output, whatever its exit code.
    async fn run_any(&self, dir: &Path, arguments: &[&str], input: Option<&[u8]>) -> Result<Output, GitError> {
        let failed =
            |source| GitError::Run { command: arguments.first().copied().unwrap_or_default().to_owned(), source };
        let mut command = Command::new("git");
        command.args(arguments).current_dir(dir).stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        isolate(&mut command);
        let mut child = command.spawn().map_err(failed)?;
        if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
            stdin.write_all(input).await.map_err(failed)?;
        }
        child.wait_with_output().await.map_err(failed)
    }

    fn cached<K: std::hash::Hash + Eq, V: Clone>(cache: &Mutex<HashMap<K, V>>, key: &K) -> Option<V> {
        cache.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn remember<K: std::hash::Hash + Eq, V>(cache: &Mutex<HashMap<K, V>>, key: K, value: V) {
        let mut cache = cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHE_ENTRIES_MAX {
            cache.clear();
        }
        cache.insert(key, value);
    }
}

/// Keeps the settings of whoever runs the emulator out of its git.
pub fn isolate(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("GIT_") {
            command.env_remove(name);
        }
    }
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory").env("GIT_CONFIG_VALUE_0", "*");
    command.env("LC_ALL", "C");
}

/// Writes a file whole or not at all.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    write_with_mode(path, bytes, 0o644)
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_secret_file(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    write_with_mode(path, bytes, 0o600)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), GitError> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let failed = |source| GitError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let temporary = path.with_extension(format!("tmp-{}", uuid::Uuid::new_v4().simple()));
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    drop(file);
    std::fs::rename(&temporary, path).map_err(failed)
}
