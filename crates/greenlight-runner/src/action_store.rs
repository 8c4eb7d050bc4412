//! The actions that were fetched once, by commit: the same commit is never fetched again, and served without a network.
//!
//! What is fetched is written beside its place and moved there when it is whole: whoever is killed in the middle leaves nothing that
//! looks like an action. What a ref meant last is kept beside the commits, for days on which nobody can be asked.
//!
//! ```text
//! FOLDER/OWNER/REPO/COMMIT/…      the files
//! FOLDER/OWNER/REPO/refs/REF      the commit that a ref was last seen at, its slashes escaped
//! FOLDER/new-…                    what is being fetched
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use greenlight_core::id::Sha;
use greenlight_core::port::Reply;

use crate::source::{ActionFiles, ActionName, ActionSource, Origin};

/// What a folder begins with that is not whole yet.
const UNFINISHED: &str = "new-";

/// Where actions are fetched from.
pub trait ActionRemote: Send + Sync {
    /// Finds the commit of a ref.
    fn resolve<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<Sha, RemoteError>>;

    /// Writes the files of a commit into `dest`, an empty folder.
    fn fetch<'a>(&'a self, name: &'a ActionName, commit: Sha, dest: &'a Path) -> Reply<'a, Result<(), RemoteError>>;
}

/// Why an action cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// The other side answered: there is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The other side cannot be asked now.
    #[error("{0}")]
    Unreachable(String),
}

impl RemoteError {
    /// Says what could not be done, before why.
    fn about(self, what: &str) -> Self {
        match self {
            Self::NotFound(why) => Self::NotFound(format!("{what}: {why}")),
            Self::Unreachable(why) => Self::Unreachable(format!("{what}: {why}")),
        }
    }
}

/// A folder that stands in for a repository of actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionOverride {
    /// "owner/repo".
    pub repository: Arc<str>,
    /// At this ref; at any where nothing.
    pub git_ref: Option<Arc<str>>,
    /// The folder.
    pub folder: PathBuf,
}

impl ActionOverride {
    /// Reads `OWNER/REPO[@REF]=DIR`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("'{text}' is not OWNER/REPO[@REF]=DIR");
        let (name, folder) = text.split_once('=').ok_or_else(bad)?;
        let (repository, git_ref) = match name.split_once('@') {
            Some((repository, git_ref)) => (repository, Some(git_ref)),
            None => (name, None),
        };
        let (owner, repo) = repository.split_once('/').ok_or_else(bad)?;
        if folder.is_empty() || ActionName::new(owner, repo, git_ref.unwrap_or("any")).is_none() {
            return Err(bad());
        }
        Ok(Self { repository: repository.into(), git_ref: git_ref.map(Arc::from), folder: folder.into() })
    }

    fn is_for(&self, name: &ActionName) -> bool {
        let is_ref = self.git_ref.as_deref().is_none_or(|git_ref| git_ref == &*name.git_ref);
        is_ref && self.repository.eq_ignore_ascii_case(&name.repository())
    }
}

/// The commit of an action, whatever its ref says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionPin {
    /// The action.
    pub name: ActionName,
    /// The commit.
    pub commit: Sha,
}

impl ActionPin {
    /// Reads `OWNER/REPO@REF=COMMIT`, with the whole SHA of a commit.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, commit) = text.split_once('=')?;
        let (repository, git_ref) = name.split_once('@')?;
        let (owner, repo) = repository.split_once('/')?;
        Some(Self { name: ActionName::new(owner, repo, git_ref)?, commit: Sha::parse(commit).ok()? })
    }

    fn is_for(&self, name: &ActionName) -> bool {
        self.name.git_ref == name.git_ref && self.name.repository().eq_ignore_ascii_case(&name.repository())
    }
}

impl std::fmt::Display for ActionPin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}={}", self.name.repository(), self.name.git_ref, self.commit)
    }
}

/// Files of actions, some of them at a commit that somebody else decided on.
pub struct Pinned {
    /// Where the files come from.
    pub source: Arc<dyn ActionSource>,
    /// The commits.
    pub pins: Arc<[ActionPin]>,
}

impl ActionSource for Pinned {
    fn find<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, String>> {
        Box::pin(async move {
            let Some(pin) = self.pins.iter().find(|pin| pin.is_for(name)) else { return self.source.find(name).await };
            let at_commit = ActionName { git_ref: pin.commit.to_string().into(), ..name.clone() };
            self.source.find(&at_commit).await
        })
    }

    fn replaces(&self, name: &ActionName) -> bool {
        self.source.replaces(name)
    }
}

/// How the store is to be.
#[derive(Clone, Debug, Default)]
pub struct ActionStoreOptions {
    /// Where it is.
    pub folder: PathBuf,
    /// Folders that stand in for repositories; those that name a ref come first.
    pub overrides: Vec<ActionOverride>,
    /// The commits of some names, whatever their refs say now.
    pub pins: Vec<ActionPin>,
    /// Is nobody asked?
    pub offline: bool,
}

/// The actions that were fetched once.
pub struct ActionStore {
    options: ActionStoreOptions,
    remote: Option<Arc<dyn ActionRemote>>,
    fetching: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
}

impl ActionStore {
    /// Opens a store, and removes what an earlier life did not finish. Without a remote it serves what it has.
    pub fn open(options: ActionStoreOptions, remote: Option<Arc<dyn ActionRemote>>) -> std::io::Result<Self> {
        std::fs::create_dir_all(&options.folder)?;
        for entry in std::fs::read_dir(&options.folder)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(Self { options, remote, fetching: Mutex::default() })
    }

    /// Finds the files of a repository at a ref, and says of a failure whether another try may end better.
    pub async fn look(&self, name: &ActionName) -> Result<ActionFiles, RemoteError> {
        if let Some(folder) = self.given(name) {
            if !folder.is_dir() {
                let why = format!("{name} is to come from {}, which is no folder", folder.display());
                return Err(RemoteError::NotFound(why));
            }
            return Ok(ActionFiles { folder: folder.to_owned(), commit: None, origin: Origin::Given });
        }
        let (commit, was_asked) = self.commit(name).await?;
        let place = self.place(name).join(commit.to_string());
        let turn = self.turn(&place);
        let _turn = turn.lock().await;
        if place.is_dir() {
            let origin = if was_asked { Origin::Kept } else { Origin::KeptUnasked };
            return Ok(ActionFiles { folder: place, commit: Some(commit), origin });
        }
        self.fetch(name, commit, &place).await?;
        Ok(ActionFiles { folder: place, commit: Some(commit), origin: Origin::Fetched })
    }

    fn given(&self, name: &ActionName) -> Option<&Path> {
        let overrides = &self.options.overrides;
        let named = overrides.iter().filter(|given| given.git_ref.is_some());
        let any = overrides.iter().filter(|given| given.git_ref.is_none());
        named.chain(any).find(|given| given.is_for(name)).map(|given| given.folder.as_path())
    }

    /// Returns the commit of a name, and whether that is certain.
    async fn commit(&self, name: &ActionName) -> Result<(Sha, bool), RemoteError> {
        if let Some(pin) = self.options.pins.iter().find(|pin| pin.is_for(name)) {
            return Ok((pin.commit, true));
        }
        if let Ok(commit) = Sha::parse(&name.git_ref) {
            return Ok((commit, true));
        }
        let remote = self.remote.as_ref().filter(|_| !self.options.offline);
        let Some(remote) = remote else {
            let why =
                if self.options.offline { "and nobody is to be asked (offline)" } else { "and there is nobody to ask" };
            let missing = || RemoteError::NotFound(format!("{name} was never fetched, {why}"));
            let kept = self.remembered(name).ok_or_else(missing)?;
            return Ok((kept, false));
        };
        match remote.resolve(name).await {
            Ok(commit) => {
                self.remember(name, commit).map_err(|error| self.no_room(&error))?;
                Ok((commit, true))
            }
            Err(RemoteError::Unreachable(why)) => match self.remembered(name) {
                Some(commit) => {
                    tracing::warn!(action = %name, "an action is taken as it was last seen: {why}");
                    Ok((commit, false))
                }
                None => Err(RemoteError::Unreachable(format!("{name} cannot be found: {why}"))),
            },
            Err(RemoteError::NotFound(why)) => Err(RemoteError::NotFound(format!("{name} cannot be found: {why}"))),
        }
    }

    async fn fetch(&self, name: &ActionName, commit: Sha, place: &Path) -> Result<(), RemoteError> {
        let Some(remote) = self.remote.as_ref().filter(|_| !self.options.offline) else {
            let why = format!("{name} ({commit}) was never fetched, and there is nobody to ask");
            return Err(RemoteError::NotFound(why));
        };
        let unfinished = Unfinished::create(&self.options.folder).map_err(|error| self.no_room(&error))?;
        let fetched = remote.fetch(name, commit, &unfinished.0).await;
        fetched.map_err(|error| error.about(&format!("{name} ({commit}) cannot be fetched")))?;
        let moved = std::fs::create_dir_all(self.place(name)).and_then(|()| std::fs::rename(&unfinished.0, place));
        moved.map_err(|error| self.no_room(&error))
    }

    fn turn(&self, place: &Path) -> Arc<tokio::sync::Mutex<()>> {
        let mut fetching = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        fetching.retain(|_, turn| Arc::strong_count(turn) > 1);
        fetching.entry(place.to_owned()).or_default().clone()
    }

    fn place(&self, name: &ActionName) -> PathBuf {
        self.options.folder.join(name.owner.to_ascii_lowercase()).join(name.repo.to_ascii_lowercase())
    }

    fn ref_file(&self, name: &ActionName) -> PathBuf {
        self.place(name).join("refs").join(name.git_ref.replace('%', "%25").replace('/', "%2F"))
    }

    fn remembered(&self, name: &ActionName) -> Option<Sha> {
        Sha::parse(std::fs::read_to_string(self.ref_file(name)).ok()?.trim()).ok()
    }

    fn remember(&self, name: &ActionName, commit: Sha) -> std::io::Result<()> {
        if self.remembered(name) == Some(commit) {
            return Ok(());
        }
        let file = self.ref_file(name);
        let unfinished = Unfinished::create(&self.options.folder)?;
        let written = unfinished.0.join("ref");
        std::fs::write(&written, commit.to_string())?;
        std::fs::create_dir_all(self.place(name).join("refs"))?;
        std::fs::rename(written, file)
    }

    fn no_room(&self, error: &std::io::Error) -> RemoteError {
        let folder = self.options.folder.display();
        RemoteError::Unreachable(format!("the store of actions in {folder} cannot be written: {error}"))
    }
}

impl ActionSource for ActionStore {
    fn find<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, String>> {
        Box::pin(async move { self.look(name).await.map_err(|error| error.to_string()) })
    }

    fn replaces(&self, name: &ActionName) -> bool {
        self.given(name).is_some()
    }
}

/// A folder that is removed unless it was moved to its place.
struct Unfinished(PathBuf);

impl Unfinished {
    fn create(folder: &Path) -> std::io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
            match std::fs::create_dir(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self(path)),
            }
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Moved away is what it should be; what cannot be removed is swept at the next start.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A remote that counts, and fails when it is told to.
    #[derive(Default)]
    struct Counting {
        resolved: AtomicUsize,
        fetched: AtomicUsize,
        unreachable: std::sync::atomic::AtomicBool,
        hangs: std::sync::atomic::AtomicBool,
    }

    impl ActionRemote for Counting {
        fn resolve<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<Sha, RemoteError>> {
            Box::pin(async move {
                self.resolved.fetch_add(1, Ordering::Relaxed);
                match &*name.git_ref {
                    _ if self.unreachable.load(Ordering::Relaxed) => Err(RemoteError::Unreachable("no network".into())),
                    "missing" => Err(RemoteError::NotFound("there is no ref 'missing'".into())),
                    _ => Ok(Sha::from_bytes([0xcd; 20])),
                }
            })
        }

        fn fetch<'a>(&'a self, _: &'a ActionName, commit: Sha, dest: &'a Path) -> Reply<'a, Result<(), RemoteError>> {
            Box::pin(async move {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                std::fs::write(dest.join("action.yml"), commit.to_string()).unwrap();
                if self.hangs.load(Ordering::Relaxed) {
                    std::future::pending::<()>().await;
                }
                tokio::task::yield_now().await;
                Ok(())
            })
        }
    }

    fn name(git_ref: &str) -> ActionName {
        ActionName::new("Octo", "tool", git_ref).unwrap()
    }

    fn store(folder: &Path, remote: Option<Arc<Counting>>, offline: bool) -> ActionStore {
        let options = ActionStoreOptions { folder: folder.to_owned(), offline, ..ActionStoreOptions::default() };
        ActionStore::open(options, remote.map(|remote| remote as Arc<dyn ActionRemote>)).unwrap()
    }

    #[tokio::test]
    async fn a_commit_is_fetched_once_and_served_offline() {
        let folder = tempfile::tempdir().unwrap();
        let remote = Arc::new(Counting::default());
        let open = store(folder.path(), Some(remote.clone()), false);
        let names = [name("v1"), name("v1"), name("main")];
        let found = tokio::join!(open.look(&names[0]), open.look(&names[1]), open.look(&names[2]));
        let found = [found.0.unwrap(), found.1.unwrap(), found.2.unwrap()];
        assert_eq!(remote.fetched.load(Ordering::Relaxed), 1, "three names of one commit");
        assert_eq!(found.iter().filter(|files| files.origin == Origin::Fetched).count(), 1);
        assert_eq!(found[0].commit, Some(Sha::from_bytes([0xcd; 20])));
        let offline = store(folder.path(), Some(remote.clone()), true);
        let kept = offline.look(&name("v1")).await.unwrap();
        assert_eq!((kept.origin, &kept.folder), (Origin::KeptUnasked, &found[0].folder));
        assert!(offline.look(&name("v2")).await.unwrap_err().to_string().contains("was never fetched"));
        assert_eq!(remote.resolved.load(Ordering::Relaxed), 3, "nobody was asked offline");
        remote.unreachable.store(true, Ordering::Relaxed);
        assert_eq!(open.look(&name("v1")).await.unwrap().origin, Origin::KeptUnasked);
        assert!(
            open.look(&name("v2")).await
                == Err(RemoteError::Unreachable("Octo/tool@v2 cannot be found: no network".into()))
        );
    }

    #[tokio::test]
    async fn a_ref_that_is_gone_is_not_taken_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let open = store(folder.path(), Some(Arc::default()), false);
        let refused = open.look(&name("missing")).await.unwrap_err();
        assert!(
            matches!(&refused, RemoteError::NotFound(why) if why.contains("there is no ref 'missing'")),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn a_fetch_that_is_broken_off_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let remote = Arc::new(Counting::default());
        remote.hangs.store(true, Ordering::Relaxed);
        let open = store(folder.path(), Some(remote.clone()), false);
        let wanted = name("v1");
        tokio::select! {
            biased;
            found = open.look(&wanted) => panic!("{found:?}"),
            () = async { while remote.fetched.load(Ordering::Relaxed) == 0 { tokio::task::yield_now().await } } => {}
        }
        let left = |folder: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(folder).unwrap().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        assert!(!left(folder.path()).iter().any(|name| name.starts_with(UNFINISHED)), "{:?}", left(folder.path()));
        assert_eq!(left(&folder.path().join("octo/tool")), ["refs"], "no half-made commit");
        // Killed, nobody tidies: the next start does.
        std::fs::create_dir(folder.path().join("new-1-1")).unwrap();
        remote.hangs.store(false, Ordering::Relaxed);
        let open = store(folder.path(), Some(remote), false);
        assert!(!folder.path().join("new-1-1").exists());
        assert_eq!(open.look(&wanted).await.unwrap().origin, Origin::Fetched);
    }

    #[tokio::test]
    async fn pins_and_folders_come_before_refs() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::create_dir_all(&one).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        let remote = Arc::new(Counting::default());
        let pinned = Sha::from_bytes([1; 20]);
        let options = ActionStoreOptions {
            folder: folder.path().join("store"),
            overrides: vec![
                ActionOverride::parse(&format!("octo/Tool={}", one.display())).unwrap(),
                ActionOverride::parse(&format!("octo/tool@v2={}", other.display())).unwrap(),
            ],
            pins: vec![ActionPin::parse(&format!("octo/pinned@v1={pinned}")).unwrap()],
            offline: false,
        };
        let open = ActionStore::open(options, Some(remote.clone())).unwrap();
        assert_eq!(open.look(&name("v1")).await.unwrap().folder, one);
        assert_eq!(open.look(&name("v2")).await.unwrap().folder, other);
        let wanted = ActionName::new("octo", "pinned", "v1").unwrap();
        assert_eq!(open.look(&wanted).await.unwrap().commit, Some(pinned));
        // A pin that comes with a job counts before the store's own, and for no other ref.
        let at_job = ActionPin::parse(&format!("Octo/pinned@v1={}", Sha::from_bytes([2; 20]))).unwrap();
        assert_eq!(ActionPin::parse(&at_job.to_string()), Some(at_job.clone()));
        let source = Arc::new(open);
        let of_job = Pinned { source: source.clone(), pins: [at_job.clone()].into() };
        assert_eq!(ActionSource::find(&of_job, &wanted).await.unwrap().commit, Some(at_job.commit));
        let other = ActionName::new("octo", "pinned", &pinned.to_string()).unwrap();
        assert_eq!(ActionSource::find(&of_job, &other).await.unwrap().commit, Some(pinned));
        assert_eq!(remote.resolved.load(Ordering::Relaxed), 0);
        for text in ["octo/tool", "octo=x", "octo/tool=", "../x=y", "a/b@../c=d"] {
            assert!(ActionOverride::parse(text).is_err(), "{text}");
        }
    }
}
