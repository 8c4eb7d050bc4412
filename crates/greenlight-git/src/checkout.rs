//! A job's own clone, made from the mirror.
//!
//! The objects are copied: a job may do to its `.git` what it likes, and nothing of it reaches the mirror or the next job. For the
//! same reason no git of ours ever runs in a `.git` that a job could have written to, where a configuration might name programs to run: what
//! is there already is removed first, and the clone made anew.
//!
//! The usual clone, one commit deep, is a copy of a pack that was made once for that commit, and a few small files that `git init` and
//! `git fetch` would have written: one process, the checkout itself, is left for every job after the first. Anything else is
//! fetched from the mirror. The files of a large tree mostly lie ready ([`crate::ready`]).

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{RefName, Sha};

use crate::commit::bring;
use crate::error::GitError;
use crate::mirror::{Mirror, Shared, is_ref_name, refspec, remove_tree, seen};
use crate::mirrors::Mirrors;
use crate::{pack, ready};

/// What is to be checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This commit, as this ref.
    Commit {
        /// The commit.
        sha: Sha,
        /// The ref that it is checked out as; a detached head where there is none.
        git_ref: Option<RefName>,
    },
    /// A branch, a tag, a full ref or a commit's full SHA, as a person wrote it.
    Name(Arc<str>),
}

/// How much of the history comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// So many commits.
    Commits(NonZeroU32),
    /// All of it, with all branches and tags.
    Whole,
}

/// What happens to files that lie where the clone is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// They are removed.
    Remove,
    /// They stay, where the commit has no file of that name.
    Keep,
}

/// What a job asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckoutRequest {
    /// What.
    pub wanted: Wanted,
    /// How much history.
    pub depth: Depth,
    /// What happens to files that are there.
    pub leftovers: Leftovers,
    /// Which files are wanted; all of them where nothing.
    pub sparse: Option<Sparse>,
}

/// A choice of files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sparse {
    /// Folders (`is_cone`), else patterns as `.gitignore` has them.
    pub patterns: Vec<Arc<str>>,
    /// Are they folders?
    pub is_cone: bool,
}

impl CheckoutRequest {
    /// Returns the request for one commit, one deep, into a folder that is emptied.
    pub fn commit(sha: Sha, git_ref: Option<RefName>) -> Self {
        Self {
            wanted: Wanted::Commit { sha, git_ref },
            depth: Depth::Commits(NonZeroU32::MIN),
            leftovers: Leftovers::Remove,
            sparse: None,
        }
    }
}

/// What was checked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedOut {
    /// The commit.
    pub sha: Sha,
    /// The ref, where it was one.
    pub git_ref: Option<RefName>,
}

impl Mirrors {
    /// Makes a clone in `dest`, a folder that the job may write to. `dest` itself must not be a symbolic link; that the folders
    /// above it are not is the caller's part.
    pub async fn checkout(
        &self,
        repository: &RepositoryRef,
        request: &CheckoutRequest,
        dest: &Path,
    ) -> Result<CheckedOut, Arc<GitError>> {
        let mirror = self.mirror(repository.id);
        let checked_out = resolve(&mirror, repository, &request.wanted).await?;
        if request.depth == Depth::Whole {
            let all = ["heads", "tags"].map(|kind| format!("+refs/{kind}/*:refs/greenlight/all/{kind}/*"));
            mirror.fetch(repository, all.to_vec()).await?;
        }
        let url = (self.shared.clone_url)(repository);
        let is_usual = request.depth == Depth::Commits(NonZeroU32::MIN)
            && request.leftovers == Leftovers::Remove
            && request.sparse.is_none();
        if is_usual {
            self.fill_usual(&mirror, &checked_out, request, &url, dest).await.map_err(Arc::new)?;
            if ready::is_worth_it(dest) {
                tokio::spawn(lay_ready(self.shared.clone(), mirror, checked_out.sha));
            }
        } else {
            make_room(dest, request.leftovers).await.map_err(Arc::new)?;
            self.fill(&mirror, &checked_out, request, &url, dest).await.map_err(Arc::new)?;
        }
        Ok(checked_out)
    }

    /// Finds the commit that a name has on the other side now.
    pub async fn resolve(&self, repository: &RepositoryRef, name: &str) -> Result<Sha, Arc<GitError>> {
        let mirror = self.mirror(repository.id);
        Ok(resolve(&mirror, repository, &Wanted::Name(name.into())).await?.sha)
    }

    /// Writes the files of a commit into `dest`, an empty folder, without their history.
    pub async fn export(&self, repository: &RepositoryRef, sha: Sha, dest: &Path) -> Result<(), Arc<GitError>> {
        let request = CheckoutRequest::commit(sha, None);
        let mirror = self.mirror(repository.id);
        let checked_out = resolve(&mirror, repository, &request.wanted).await?;
        make_room(dest, request.leftovers).await.map_err(Arc::new)?;
        let url = (self.shared.clone_url)(repository);
        self.fill(&mirror, &checked_out, &request, &url, dest).await.map_err(Arc::new)?;
        let folder = dest.join(".git");
        let removed = remove_tree(&folder).await;
        removed.map_err(|source| Arc::new(GitError::Folder { path: folder, source }))
    }

    /// Fills a folder with the tree that lies ready, brought to what is wanted; without one, or where it will not do, from the start.
    async fn fill_usual(
        &self,
        mirror: &Mirror,
        wanted: &CheckedOut,
        request: &CheckoutRequest,
        url: &str,
        dest: &Path,
    ) -> Result<(), GitError> {
        make_room(dest, Leftovers::Remove).await?;
        match mirror.ready.take(dest).await {
            Ok(None) => return self.fill(mirror, wanted, request, url, dest).await,
            Ok(Some(attributes)) => {
                let filled = self.fill(mirror, wanted, request, url, dest).await;
                if filled.is_ok() && ready::attributes_in(dest).is_some_and(|now| now == attributes) {
                    return Ok(());
                }
            }
            Err(error) => {
                tracing::debug!("the tree that lay ready for {} cannot be moved there: {error}", dest.display());
            }
        }
        make_room(dest, Leftovers::Remove).await?;
        self.fill(mirror, wanted, request, url, dest).await
    }

    /// Makes a clone of what is in `dest`, which has no `.git` but perhaps an index.
    async fn fill(
        &self,
        mirror: &Mirror,
        wanted: &CheckedOut,
        request: &CheckoutRequest,
        url: &str,
        dest: &Path,
    ) -> Result<(), GitError> {
        let place = Place::of(wanted.git_ref.as_ref());
        lay_out(dest, url, place.branch.as_deref())
            .await
            .map_err(|source| GitError::Folder { path: dest.to_owned(), source })?;
        if request.depth == Depth::Commits(NonZeroU32::MIN) {
            pack::copy_one_deep(mirror, wanted.sha, place.stored.as_deref(), &dest.join(".git")).await?;
        } else {
            self.fetch_from(mirror, wanted.sha, &place, request.depth, dest).await?;
        }
        if let Some(sparse) = &request.sparse {
            self.choose(sparse, dest).await?;
        }
        check_out(&self.shared, wanted.sha, &place, dest).await
    }

    /// Says to a clone which files it is to have.
    async fn choose(&self, sparse: &Sparse, dest: &Path) -> Result<(), GitError> {
        let kind = if sparse.is_cone { "--cone" } else { "--no-cone" };
        let mut lines = sparse.patterns.join("\n");
        lines.push('\n');
        let call = self.shared.git.call("sparse-checkout").work_tree(dest).timeout(self.shared.fetch_timeout);
        call.args(["sparse-checkout", "set", kind, "--stdin"]).input(lines).run().await.map(|_| ())
    }

    async fn fetch_from(
        &self,
        mirror: &Mirror,
        sha: Sha,
        place: &Place,
        depth: Depth,
        dest: &Path,
    ) -> Result<(), GitError> {
        let mut refspecs = Vec::new();
        let mut fetch =
            self.shared.git.call("fetch").work_tree(dest).allow_folders().timeout(self.shared.fetch_timeout);
        fetch = fetch.config("core.fsync", "none").config("fetch.unpackLimit", "1");
        fetch = fetch.args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
        match depth {
            Depth::Commits(count) => fetch = fetch.arg(format!("--depth={count}")),
            Depth::Whole => {
                refspecs.push("+refs/greenlight/all/heads/*:refs/remotes/origin/*".to_owned());
                refspecs.push("+refs/greenlight/all/tags/*:refs/tags/*".to_owned());
            }
        }
        refspecs.push(match &place.stored {
            Some(stored) if depth != Depth::Whole || place.is_elsewhere => format!("+{sha}:{stored}"),
            _ => sha.to_string(),
        });
        fetch.arg("--end-of-options").arg(mirror.folder()).args(refspecs).run().await.map(|_| ())
    }
}

async fn check_out(shared: &Shared, sha: Sha, place: &Place, dest: &Path) -> Result<(), GitError> {
    let sha = sha.to_string();
    let call = shared.git.call("checkout").work_tree(dest).timeout(shared.fetch_timeout);
    let call = call.config("core.fsync", "none").args(["checkout", "--quiet", "--force"]);
    let call = match &place.branch {
        Some(branch) => call.args(["--no-track", "-B", branch, &sha, "--"]),
        None => call.args(["--detach", &sha, "--"]),
    };
    call.run().await.map(|_| ())
}

/// Makes the tree that the next job is to find, and lets go of the one that was used longest ago.
async fn lay_ready(shared: Arc<Shared>, mirror: Arc<Mirror>, sha: Sha) {
    let fill = async |dest: &Path| {
        let laid = lay_out(dest, "", None).await;
        laid.map_err(|source| GitError::Folder { path: dest.to_owned(), source })?;
        pack::copy_one_deep(&mirror, sha, None, &dest.join(".git")).await?;
        check_out(&shared, sha, &Place::of(None), dest).await
    };
    match mirror.ready.make(fill).await {
        Ok(None) => {}
        Ok(Some(folder)) => {
            if let Some(oldest) = shared.note_ready(folder)
                && let Err(error) = remove_tree(&oldest).await
            {
                tracing::warn!("the tree in {} cannot be removed: {error}", oldest.display());
            }
        }
        Err(error) => tracing::debug!("no tree can be laid ready: {error}"),
    }
}

/// Where a ref of the other side stands in the clone, as `actions/checkout` puts it.
struct Place {
    /// The ref that is written.
    stored: Option<String>,
    /// The branch that is checked out; a detached head where there is none.
    branch: Option<String>,
    /// Does a fetch of all branches and tags not write it?
    is_elsewhere: bool,
}

impl Place {
    fn of(git_ref: Option<&RefName>) -> Self {
        let Some(name) = git_ref.map(RefName::as_str) else {
            return Self { stored: None, branch: None, is_elsewhere: true };
        };
        match (name.strip_prefix("refs/heads/"), name.strip_prefix("refs/pull/")) {
            (Some(branch), _) => Self {
                stored: Some(format!("refs/remotes/origin/{branch}")),
                branch: Some(branch.to_owned()),
                is_elsewhere: false,
            },
            (_, Some(pull)) => {
                Self { stored: Some(format!("refs/remotes/pull/{pull}")), branch: None, is_elsewhere: true }
            }
            _ => Self { stored: Some(name.to_owned()), branch: None, is_elsewhere: !name.starts_with("refs/tags/") },
        }
    }
}

async fn resolve(
    mirror: &Arc<Mirror>,
    repository: &RepositoryRef,
    wanted: &Wanted,
) -> Result<CheckedOut, Arc<GitError>> {
    match wanted {
        Wanted::Commit { sha, git_ref } => {
            let git_ref = git_ref.clone().filter(|name| is_ref_name(name.as_str()));
            by_id(mirror, repository, *sha, git_ref).await
        }
        Wanted::Name(name) => match Sha::parse(name) {
            Ok(sha) => by_id(mirror, repository, sha, None).await,
            Err(_) => by_name(mirror, repository, name).await,
        },
    }
}

/// Follows a tag to its commit.
async fn by_id(
    mirror: &Arc<Mirror>,
    repository: &RepositoryRef,
    sha: Sha,
    git_ref: Option<RefName>,
) -> Result<CheckedOut, Arc<GitError>> {
    bring(mirror, repository, sha, git_ref.as_ref()).await?;
    let commit = mirror.commit(&sha.to_string()).await.map_err(Arc::new)?;
    let commit = commit.ok_or_else(|| Arc::new(GitError::NoSuchCommit(sha)))?;
    Ok(CheckedOut { sha: commit.id, git_ref })
}

/// Fetches a name: a full ref, else a branch, else a tag.
async fn by_name(mirror: &Arc<Mirror>, repository: &RepositoryRef, name: &str) -> Result<CheckedOut, Arc<GitError>> {
    let candidates = match name.strip_prefix("refs/") {
        Some(_) => vec![name.to_owned()],
        None => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
    };
    let bad = || Arc::new(GitError::BadName { name: name.to_owned() });
    if !candidates.iter().all(|candidate| is_ref_name(candidate)) {
        return Err(bad());
    }
    for candidate in candidates {
        match mirror.fetch(repository, vec![refspec(&candidate)]).await {
            Ok(()) => {
                let commit = mirror.commit(&seen(&candidate)).await.map_err(Arc::new)?.ok_or_else(bad)?;
                return Ok(CheckedOut { sha: commit.id, git_ref: Some(candidate.into()) });
            }
            Err(error) if matches!(*error, GitError::NoSuchRef { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Arc::new(GitError::NoSuchRef { name: format!("branch or tag '{name}'") }))
}

/// Sees to it that `dest` is a folder without a `.git`.
async fn make_room(dest: &Path, leftovers: Leftovers) -> Result<(), GitError> {
    let failed = |source| GitError::Folder { path: dest.to_owned(), source };
    match tokio::fs::symlink_metadata(dest).await {
        Ok(found) if !found.is_dir() => return Err(GitError::BadDestination { path: dest.to_owned() }),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return tokio::fs::create_dir_all(dest).await.map_err(failed);
        }
        Err(source) => return Err(failed(source)),
    }
    let mut entries = tokio::fs::read_dir(dest).await.map_err(failed)?;
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        if leftovers == Leftovers::Keep && entry.file_name() != ".git" {
            continue;
        }
        let is_folder = entry.file_type().await.map_err(failed)?.is_dir();
        let path = entry.path();
        if is_folder { remove_tree(&path).await } else { tokio::fs::remove_file(&path).await }.map_err(failed)?;
    }
    Ok(())
}

/// Writes an empty repository, as `git init` would, without a process.
async fn lay_out(dest: &Path, url: &str, branch: Option<&str>) -> std::io::Result<()> {
    let folder = dest.join(".git");
    let mut config = format!(
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
         [gc]\n\tauto = 0\n[remote \"origin\"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n",
        quoted(url)
    );
    if let Some(branch) = branch {
        let tracking = format!(
            "[branch {0}]\n\tremote = origin\n\tmerge = {1}\n",
            quoted(branch),
            quoted(&format!("refs/heads/{branch}"))
        );
        config.push_str(&tracking);
    }
    tokio::task::spawn_blocking(move || {
        for name in ["objects/pack", "objects/info", "refs/heads", "refs/tags", "info"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        std::fs::write(folder.join("config"), config)?;
        std::fs::write(folder.join("HEAD"), "ref: refs/heads/main\n")
    })
    .await
    .map_err(std::io::Error::other)?
}

/// Writes a value as git's configuration wants it.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for letter in value.chars().filter(|letter| !letter.is_control()) {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
    text
}
