//! Where actions of other repositories come from: git, through mirrors of their own, into a store that keeps every commit once.
//!
//! The store is for every job that is run here, so what it fetches has to be for everybody, too: who opens it decides with what
//! credentials, and the server takes none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{RepoId, Sha};
use greenlight_core::port::Reply;
use greenlight_git::mirrors::FETCH_TIMEOUT;
use greenlight_git::{Credentials, GitError, Mirrors, MirrorsOptions, Transport};
use greenlight_runner::{ActionName, ActionRemote, ActionStore, ActionStoreOptions, RemoteError};
use tokio::sync::OnceCell;

/// What git says of a repository that is not there, or not for us.
const NO_SUCH: [&str; 4] =
    ["could not read Username", "Authentication failed", "terminal prompts disabled", "' not found"];

/// How actions are fetched.
pub struct ActionsOptions {
    /// Where mirrors and store are.
    pub folder: PathBuf,
    /// The address that repositories stand below ("https://github.com"), without a slash at its end.
    pub url: String,
    /// Who we are there.
    pub credentials: Arc<dyn Credentials>,
    /// How the address is reached.
    pub transport: Transport,
}

/// Opens the store of actions. Its own folder is named by `options`, whatever `store` says.
pub fn open(options: ActionsOptions, store: ActionStoreOptions) -> std::io::Result<ActionStore> {
    let folder = options.folder.join("store");
    let remote = FromGit { options, mirrors: OnceCell::new() };
    ActionStore::open(ActionStoreOptions { folder, ..store }, Some(Arc::new(remote)))
}

/// The repositories of actions, as git has them.
struct FromGit {
    options: ActionsOptions,
    /// Opened when they are first needed: a machine without git runs what needs no actions.
    mirrors: OnceCell<Mirrors>,
}

impl FromGit {
    async fn mirrors(&self) -> Result<&Mirrors, RemoteError> {
        let url = self.options.url.clone();
        let open = || {
            Mirrors::open(MirrorsOptions {
                folder: self.options.folder.join("mirrors"),
                clone_url: Box::new(move |repository| format!("{url}/{}.git", repository.full_name)),
                credentials: self.options.credentials.clone(),
                transport: self.options.transport,
                fetch_timeout: FETCH_TIMEOUT,
            })
        };
        let mirrors = self.mirrors.get_or_try_init(open).await;
        mirrors.map_err(|error| RemoteError::Unreachable(error.chain().to_string()))
    }
}

impl ActionRemote for FromGit {
    fn resolve<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<Sha, RemoteError>> {
        Box::pin(async move {
            let mirrors = self.mirrors().await?;
            mirrors.resolve(&repository(name), &name.git_ref).await.map_err(|error| remote_error(&error))
        })
    }

    fn fetch<'a>(&'a self, name: &'a ActionName, commit: Sha, dest: &'a Path) -> Reply<'a, Result<(), RemoteError>> {
        Box::pin(async move {
            let mirrors = self.mirrors().await?;
            mirrors.export(&repository(name), commit, dest).await.map_err(|error| remote_error(&error))
        })
    }
}

/// Says of an error whether the other side answered.
pub fn remote_error(error: &GitError) -> RemoteError {
    let why = error.chain().to_string();
    match error {
        GitError::NoSuchRef { .. } | GitError::NoSuchCommit(_) | GitError::BadName { .. } => RemoteError::NotFound(why),
        // GitHub asks whoever says no name for one, where there is no such repository or it is private.
        GitError::Failed { message, .. } if NO_SUCH.iter().any(|words| message.contains(words)) => {
            RemoteError::NotFound("there is no such repository, or it is private".to_owned())
        }
        _ => RemoteError::Unreachable(why),
    }
}

/// Returns what stands for a repository of actions among the mirrors. GitHub's number of it is not known; its name, which decides
/// what a workflow means by it, makes one.
fn repository(name: &ActionName) -> RepositoryRef {
    let full_name = name.repository().to_ascii_lowercase();
    let hash = digest(&SHA256, full_name.as_bytes());
    let number = hash.as_ref().iter().take(7).fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
    RepositoryRef { id: RepoId(number), full_name: full_name.into(), default_branch: "".into() }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use greenlight_git::Anonymous;
    use greenlight_runner::{ActionSource, Origin};

    use super::*;

    fn git(folder: &Path, arguments: &[&str]) {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main"]);
        let output = command.args(arguments).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn store(folder: &Path, offline: bool) -> ActionStore {
        let options = ActionsOptions {
            folder: folder.join("actions"),
            url: folder.join("github").display().to_string(),
            credentials: Arc::new(Anonymous),
            transport: Transport::HttpAndFolders,
        };
        open(options, ActionStoreOptions { offline, ..ActionStoreOptions::default() }).unwrap()
    }

    #[tokio::test]
    async fn an_action_is_fetched_by_its_ref_and_served_without_the_other_side() {
        let folder = tempfile::tempdir().unwrap();
        let made = folder.path().join("made");
        let github = folder.path().join("github/octo");
        std::fs::create_dir_all(&made).unwrap();
        std::fs::create_dir_all(&github).unwrap();
        git(&made, &["init", "--quiet"]);
        std::fs::write(made.join("action.yml"), "name: one\n").unwrap();
        git(&made, &["add", "."]);
        git(&made, &["commit", "--quiet", "-m", "one"]);
        git(&made, &["tag", "-a", "v1", "-m", "v1"]);
        std::fs::write(made.join("action.yml"), "name: two\n").unwrap();
        git(&made, &["commit", "--quiet", "-a", "-m", "two"]);
        git(&github, &["clone", "--quiet", "--bare", &made.display().to_string(), "tool.git"]);
        let online = store(folder.path(), false);
        let name = |git_ref: &str| ActionName::new("Octo", "Tool", git_ref).unwrap();
        let tagged = online.find(&name("v1")).await.unwrap();
        let branch = online.find(&name("main")).await.unwrap();
        let text = |files: &greenlight_runner::ActionFiles| {
            assert!(!files.folder.join(".git").exists());
            std::fs::read_to_string(files.folder.join("action.yml")).unwrap()
        };
        assert_eq!((text(&tagged).as_str(), text(&branch).as_str()), ("name: one\n", "name: two\n"));
        assert_eq!(tagged.origin, Origin::Fetched);
        let by_commit = online.find(&name(&tagged.commit.unwrap().to_string())).await.unwrap();
        assert_eq!((by_commit.origin, by_commit.folder), (Origin::Kept, tagged.folder.clone()));
        assert!(online.find(&name("v9")).await.unwrap_err().contains("v9"));
        std::fs::remove_dir_all(folder.path().join("github")).unwrap();
        let offline = store(folder.path(), true);
        assert_eq!(offline.find(&name("v1")).await.unwrap().origin, Origin::KeptUnasked);
        assert_eq!(online.find(&name("v1")).await.unwrap().origin, Origin::KeptUnasked, "nobody answers");
    }
}
