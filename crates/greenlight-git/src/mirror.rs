//! One repository's mirror: a bare repository that only we write to.
//!
//! **Fetching.** One fetch at a time for each mirror, so that two never fight over a ref. Whoever comes while one runs hands in
//! what it wants and waits; the next one to get the lock fetches for all that waited, in one round trip. Where such a common
//! fetch fails, each wish is fetched by itself, so that one missing branch does not fail the others.
//!
//! **Names.** What was seen of the other side's refs is kept under `refs/greenlight/seen/`, with their slashes escaped: a branch
//! `a` that makes way for a branch `a/b` would otherwise stand in the way of its successor.
//!
//! **Locks left behind.** Git leaves `*.lock` files when it is killed. Only one process of ours fetches into a mirror, and we hold
//! its lock: so what lies there before the first fetch, and after one that failed, is nobody's and is removed. (A fetch that
//! outlived a killed server may still run for a moment; both write what the other side has, so either may win.)

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::Sha;
use tokio::sync::{Mutex, OnceCell, OwnedMutexGuard, RwLock, oneshot};

use crate::credentials::Credentials;
use crate::error::GitError;
use crate::mirrors::Transport;
use crate::objects::{Commit, Found, Kind, Object, Reader};
use crate::program::{Call, Git};
use crate::ready::{Ready, TREES_MAX};
use crate::recent::RecentCommits;

/// The largest commit object that is read.
const COMMIT_BYTES_MAX: u64 = 1 << 20;

/// After how many fetches the mirror is tidied: each leaves a few loose objects.
const FETCHES_BETWEEN_TIDYING: u64 = 200;

/// How long tidying may take: fetches wait for it.
const TIDY_TIMEOUT: Duration = Duration::from_secs(60);

/// What the folder of a mirror that is being made ends with, before a number.
pub(crate) const UNFINISHED: &str = "new-";

/// What all mirrors share.
pub(crate) struct Shared {
    pub(crate) git: Git,
    pub(crate) clone_url: Box<dyn Fn(&RepositoryRef) -> String + Send + Sync>,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) transport: Transport,
    pub(crate) fetch_timeout: Duration,
    /// The folders of trees that lie ready, the one that was used last at the end.
    pub(crate) ready: StdMutex<VecDeque<PathBuf>>,
}

impl Shared {
    /// Notes that a tree lies ready in this folder. Returns the one whose tree is to go for it.
    pub(crate) fn note_ready(&self, folder: PathBuf) -> Option<PathBuf> {
        let mut known = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|other| *other != folder);
        known.push_back(folder);
        if known.len() > TREES_MAX { known.pop_front() } else { None }
    }
}

/// One repository's mirror.
pub(crate) struct Mirror {
    shared: Arc<Shared>,
    folder: PathBuf,
    made: OnceCell<()>,
    /// Held while fetching; counts the fetches.
    fetching: Arc<Mutex<u64>>,
    wishes: StdMutex<Vec<Wish>>,
    reader: Mutex<Option<Reader>>,
    /// Held for reading by who uses a kept pack, for writing by who sweeps them away.
    pub(crate) packs: Arc<RwLock<()>>,
    /// The tree that lies ready for the next job.
    pub(crate) ready: Ready,
    /// When it was last read from, by the count of all reads.
    pub(crate) read_at: AtomicU64,
    pub(crate) recent: RecentCommits,
}

/// What somebody wants to have fetched.
struct Wish {
    refspecs: Vec<String>,
    answer: oneshot::Sender<Result<(), Arc<GitError>>>,
}

impl Mirror {
    pub(crate) fn new(shared: Arc<Shared>, folder: PathBuf) -> Self {
        Self {
            shared,
            ready: Ready::beside(&folder),
            folder,
            made: OnceCell::new(),
            fetching: Arc::new(Mutex::new(0)),
            wishes: StdMutex::new(Vec::new()),
            reader: Mutex::new(None),
            packs: Arc::new(RwLock::new(())),
            read_at: AtomicU64::new(0),
            recent: RecentCommits::default(),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Begins a call of git in this mirror.
    pub(crate) fn call(&self, what: &'static str) -> Call<'_> {
        self.shared.git.call(what).repository(&self.folder)
    }

    /// Makes the mirror where it is not there yet.
    pub(crate) async fn ensure(&self) -> Result<(), GitError> {
        self.made.get_or_try_init(|| self.make()).await.map(|_| ())
    }

    async fn make(&self) -> Result<(), GitError> {
        let head = self.folder.join("HEAD");
        if tokio::fs::try_exists(&head).await.unwrap_or(false) {
            return self.remove_locks().await;
        }
        // Whoever makes it may go away in the middle: so nobody works in a folder that another began.
        let unfinished = self.folder.with_extension(format!("{UNFINISHED}{:x}", unique()));
        let failed = |source| GitError::Folder { path: self.folder.clone(), source };
        tokio::fs::create_dir_all(&unfinished).await.map_err(failed)?;
        let init = self
            .shared
            .git
            .call("init")
            .args(["init", "--quiet", "--bare", "--template=", "."])
            .repository(&unfinished);
        init.run().await?;
        // A job fetches the very commit that it is to run.
        let allow = ["config", "uploadpack.allowAnySHA1InWant", "true"];
        self.shared.git.call("config").args(allow).repository(&unfinished).run().await?;
        match tokio::fs::rename(&unfinished, &self.folder).await {
            // Somebody who went away was quicker.
            Err(_) if tokio::fs::try_exists(&head).await.unwrap_or(false) => {
                remove_tree(&unfinished).await.map_err(failed)
            }
            made => made.map_err(failed),
        }
    }

    /// Fetches what these refspecs say. Returns after a fetch that began after this was called.
    pub(crate) async fn fetch(
        self: &Arc<Self>,
        repository: &RepositoryRef,
        refspecs: Vec<String>,
    ) -> Result<(), Arc<GitError>> {
        self.ensure().await.map_err(Arc::new)?;
        loop {
            let (answer, mut answered) = oneshot::channel();
            self.wishes().push(Wish { refspecs: refspecs.clone(), answer });
            let mut count = self.fetching.clone().lock_owned().await;
            match answered.try_recv() {
                Ok(result) => return result,
                // Whoever fetched for us went away in the middle.
                Err(oneshot::error::TryRecvError::Closed) => continue,
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
            let wishes = std::mem::take(&mut *self.wishes());
            self.fetch_for(repository, wishes).await;
            *count += 1;
            if count.is_multiple_of(FETCHES_BETWEEN_TIDYING) {
                let mirror = self.clone();
                tokio::spawn(async move { mirror.tidy(count).await });
            }
            if let Ok(result) = answered.try_recv() {
                return result;
            }
        }
    }

    fn wishes(&self) -> std::sync::MutexGuard<'_, Vec<Wish>> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch_for(&self, repository: &RepositoryRef, wishes: Vec<Wish>) {
        // Somebody who stopped waiting wants nothing any more.
        let wishes: Vec<Wish> = wishes.into_iter().filter(|wish| !wish.answer.is_closed()).collect();
        let mut refspecs: Vec<&str> = wishes.iter().flat_map(|wish| &wish.refspecs).map(String::as_str).collect();
        refspecs.sort_unstable();
        refspecs.dedup();
        let common = self.fetch_now(repository, &refspecs).await.map_err(Arc::new);
        let alone = wishes.len() == 1;
        for wish in wishes {
            let result = match &common {
                Err(_) if !alone => {
                    let refspecs: Vec<&str> = wish.refspecs.iter().map(String::as_str).collect();
                    self.fetch_now(repository, &refspecs).await.map_err(Arc::new)
                }
                common => common.clone(),
            };
            // The receiver may have gone away meanwhile.
            let _ = wish.answer.send(result);
        }
    }

    async fn fetch_now(&self, repository: &RepositoryRef, refspecs: &[&str]) -> Result<(), GitError> {
        let shared = &self.shared;
        let url = (shared.clone_url)(repository);
        let token = shared.credentials.token(repository).await;
        let token =
            token.map_err(|reason| GitError::Credentials { repository: repository.full_name.to_string(), reason })?;
        // A pack is there whole or not at all. Objects by themselves come one by one, the commit before its files may be, and whoever
        // reads meanwhile (after a crash the fetch of an earlier life may still run) would find files missing that are not.
        let mut call = self.call("fetch").config("fetch.unpackLimit", "1");
        call = call.timeout(shared.fetch_timeout).token(&origin(&url), token.as_ref());
        if shared.transport == Transport::HttpAndFolders {
            call = call.allow_folders();
        }
        let fetch =
            ["fetch", "--quiet", "--force", "--prune", "--no-tags", "--no-write-fetch-head", "--end-of-options"];
        let result = call.args(fetch).arg(&url).args(refspecs).run().await;
        match result {
            Ok(_) => Ok(()),
            Err(error) => {
                self.remove_locks().await?;
                Err(named(error, refspecs))
            }
        }
    }

    /// Packs what many fetches left behind, while nobody else fetches. What it cannot do now it does another time.
    async fn tidy(&self, _alone: OwnedMutexGuard<u64>) {
        let call = self.call("maintenance").timeout(TIDY_TIMEOUT);
        let tasks = ["maintenance", "run", "--quiet", "--task=loose-objects", "--task=incremental-repack"];
        if let Err(error) = call.args(tasks).run().await {
            tracing::warn!(mirror = %self.folder.display(), "a mirror could not be tidied: {}", error.chain());
        }
    }

    async fn remove_locks(&self) -> Result<(), GitError> {
        let folder = self.folder.clone();
        let removed = tokio::task::spawn_blocking(move || {
            remove_locks_of(&folder, Depth::Here)?;
            remove_locks_of(&folder.join("refs"), Depth::Below)
        });
        let failed = |source| GitError::Folder { path: self.folder.clone(), source };
        removed.await.map_err(std::io::Error::other).and_then(|result| result).map_err(failed)
    }

    /// Tells which of these names are objects in the mirror.
    pub(crate) async fn find<N: AsRef<str> + Sync>(&self, names: &[N]) -> Result<Vec<Option<Found>>, GitError> {
        self.ensure().await?;
        let mut kept = self.reader.lock().await;
        if let Some(mut reader) = kept.take()
            && let Ok(found) = reader.find(names).await
        {
            *kept = Some(reader);
            return Ok(found);
        }
        let mut reader = Reader::start(self.call("cat-file"))?;
        let found = reader.find(names).await?;
        *kept = Some(reader);
        Ok(found)
    }

    /// Reads the objects of these names that have up to `max` bytes.
    pub(crate) async fn read<N: AsRef<str> + Sync>(&self, names: &[N], max: u64) -> Result<Vec<Object>, GitError> {
        self.ensure().await?;
        let mut kept = self.reader.lock().await;
        if let Some(mut reader) = kept.take()
            && let Ok(objects) = reader.read(names, max).await
        {
            *kept = Some(reader);
            return Ok(objects);
        }
        let mut reader = Reader::start(self.call("cat-file"))?;
        let objects = reader.read(names, max).await?;
        *kept = Some(reader);
        Ok(objects)
    }

    /// Ends the kept process, where nobody is reading.
    pub(crate) fn stop_reading(&self) {
        if let Ok(mut kept) = self.reader.try_lock() {
            kept.take();
        }
    }

    /// Reads a commit by its name (a tag is followed); nothing where there is none.
    pub(crate) async fn commit(&self, name: &str) -> Result<Option<Commit>, GitError> {
        let objects = self.read(&[format!("{name}^{{commit}}")], COMMIT_BYTES_MAX).await?;
        Ok(objects.first().and_then(Commit::parse))
    }

    /// Is there a commit (or a tag) of this id?
    pub(crate) async fn has(&self, sha: Sha) -> Result<bool, GitError> {
        let found = self.find(&[sha.to_string()]).await?;
        Ok(matches!(found.first(), Some(Some(found)) if matches!(found.kind, Kind::Commit | Kind::Tag)))
    }

    /// Notes that it is being read from, at this count.
    pub(crate) fn touch(&self, count: u64) {
        self.read_at.store(count, Ordering::Relaxed);
    }

    /// Is a process kept for reading?
    pub(crate) fn is_read(&self) -> bool {
        self.reader.try_lock().map_or(true, |kept| kept.is_some())
    }
}

/// Returns where we keep what we saw of the other side's ref.
pub(crate) fn seen(full_ref: &str) -> String {
    const NAME_MAX: usize = 200;
    let name = full_ref.strip_prefix("refs/").unwrap_or(full_ref);
    if name.len() > NAME_MAX {
        // Too long for one file name; such a branch may have to wait until the one in its way is gone.
        return format!("refs/greenlight/long/{name}");
    }
    format!("refs/greenlight/seen/{}", name.replace('%', "%25").replace('/', "%2F"))
}

/// Returns the refspec that fetches one ref to where we keep it.
pub(crate) fn refspec(full_ref: &str) -> String {
    format!("+{full_ref}:{}", seen(full_ref))
}

/// May this be the full name of a ref? Git's own rules, so that no name is taken for a pattern or an option.
pub(crate) fn is_ref_name(name: &str) -> bool {
    let bad = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
    name.starts_with("refs/")
        && name.len() <= 1024
        && !name.contains(bad)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.ends_with('.')
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"))
}

/// Returns scheme and host of a URL, to which the token belongs; a folder is its own.
fn origin(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.split('/').next().unwrap_or(rest)),
        None => url.to_owned(),
    }
}

/// Gives the failures that mean something a name of their own.
fn named(error: GitError, refspecs: &[&str]) -> GitError {
    let GitError::Failed { message, .. } = &error else { return error };
    if message.contains("couldn't find remote ref") {
        let name = message.rsplit("remote ref ").next().unwrap_or_default();
        return GitError::NoSuchRef { name: name.split(';').next().unwrap_or_default().to_owned() };
    }
    let unknown = message.contains("not our ref") || message.contains("unadvertised object");
    if unknown && let Some(sha) = refspecs.iter().find_map(|refspec| Sha::parse(refspec).ok()) {
        return GitError::NoSuchCommit(sha);
    }
    error
}

#[derive(Clone, Copy, PartialEq)]
enum Depth {
    Here,
    Below,
}

fn remove_locks_of(folder: &Path, depth: Depth) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && depth == Depth::Below {
            remove_locks_of(&entry.path(), depth)?;
        } else if kind.is_file() && entry.path().extension().is_some_and(|extension| extension == "lock") {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Returns a number that no other call of this process got.
pub(crate) fn unique() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    u64::from(std::process::id()) << 32 | COUNT.fetch_add(1, Ordering::Relaxed)
}

/// Removes a folder with all that is in it, if there is one.
pub(crate) async fn remove_tree(folder: &Path) -> std::io::Result<()> {
    match tokio::fs::remove_dir_all(folder).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_stand_in_each_others_way() {
        assert_eq!(seen("refs/heads/main"), "refs/greenlight/seen/heads%2Fmain");
        assert_eq!(seen("refs/heads/a/b%2Fc"), "refs/greenlight/seen/heads%2Fa%2Fb%252Fc");
    }

    #[test]
    fn a_pattern_is_no_name() {
        assert!(is_ref_name("refs/heads/feature/x-1"));
        for bad in [
            "main",
            "refs/heads/*",
            "refs/heads/a b",
            "refs/heads/a..b",
            "refs/heads/.x",
            "refs/heads/x.lock",
            "refs//x",
        ] {
            assert!(!is_ref_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_token_belongs_to_one_host() {
        assert_eq!(origin("https://github.com/o/r.git"), "https://github.com");
        assert_eq!(origin("http://127.0.0.1:80/o"), "http://127.0.0.1:80");
        assert_eq!(origin("/srv/git/o"), "/srv/git/o");
    }
}
