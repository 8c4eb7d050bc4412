//! The working tree: what it is a checkout of, which files belong to it, and how they get into a job's workspace.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::Context as _;
use greenlight_core::id::{RefName, Sha};
use greenlight_runner::{CheckoutRequest, Sparse};

use super::WrongUsage;
use super::clone::{Found, Upstream};
use super::copy::{Copier, remove};

/// How many files a working tree may have.
const FILES_MAX: usize = 500_000;

/// A folder whose workflows are run, with the changes that are not committed.
#[derive(Debug)]
pub struct WorkingTree {
    /// The folder.
    pub root: PathBuf,
    /// The file of secrets, which belongs to whoever runs this and to no job.
    secrets: PathBuf,
    /// What git says of it; nothing where it is no repository, or has no commit.
    pub git: Option<GitFacts>,
    /// The branch that the first commit will be on, where the folder is in a repository without one.
    pub unborn: Option<RefName>,
}

/// What git says of a working tree.
#[derive(Clone, Debug)]
pub struct GitFacts {
    /// Is the folder the repository's uppermost one?
    pub is_top: bool,
    /// The commit.
    pub head: Sha,
    /// The branch, or the tag where the commit has one and no branch is checked out.
    pub git_ref: Option<RefName>,
    /// Are there changes that are not committed?
    pub is_dirty: bool,
    /// "owner/name", from the remote's address.
    pub remote: Option<String>,
    /// The remote's default branch, where it is known.
    pub default_branch: Option<String>,
    /// Who commits here.
    pub user: Option<String>,
    /// The message of the commit.
    pub message: String,
}

impl WorkingTree {
    /// Looks at a folder. The secrets are in a file of it that is named from there, or in one that lies anywhere.
    pub fn open(root: &Path, secrets: &Path) -> anyhow::Result<Self> {
        let missing = || WrongUsage(format!("there is no folder {}", root.display()));
        let root = root.canonicalize().with_context(missing)?;
        let git = facts(&root);
        let unborn = match git {
            Some(_) => None,
            None => self::git(&root, &["symbolic-ref", "--quiet", "HEAD"]).ok().map(RefName::from),
        };
        let secrets = secrets.canonicalize().unwrap_or_else(|_| root.join(secrets));
        Ok(Self { root, secrets, git, unborn })
    }

    /// Is the folder in a repository, with or without a commit?
    pub fn is_repository(&self) -> bool {
        self.git.is_some() || self.unborn.is_some()
    }

    /// Returns the file of secrets, whether it is there or not.
    pub fn secrets(&self) -> &Path {
        &self.secrets
    }

    /// Returns the commit that jobs are told: the one that is checked out, or one made up for a folder without any.
    pub fn sha(&self) -> Sha {
        match &self.git {
            Some(git) => git.head,
            None => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.root.as_os_str().as_bytes());
                let mut bytes = [0; 20];
                bytes.copy_from_slice(&digest.as_ref()[..20]);
                Sha::from_bytes(bytes)
            }
        }
    }

    /// Copies the files into `dest`, with a repository beside them where the folder is one, checked out as a ref. `origin` is its address.
    pub fn copy_to(&self, wanted: &CheckoutRequest, origin: &str, dest: &Path) -> anyhow::Result<()> {
        let has_clone = self.git.as_ref().filter(|git| git.is_top).is_some_and(|git| {
            let found = Found::at(&self.root, git.head, wanted.name.as_deref());
            let made = self.upstream(wanted, origin).clone_into(&found, dest);
            made.inspect_err(|error| tracing::warn!("jobs have the files without a repository: {error:#}")).is_ok()
        });
        if has_clone {
            // Before there are files: it would read them all, to see which of them changed.
            git_in(dest, &["reset", "--quiet"])?;
        }
        let mut copier = Copier::new(&self.root, dest);
        for path in self.files()? {
            // Secrets reach a job by name, never as a file.
            if self.root.join(&path) == self.secrets {
                continue;
            }
            copier.copy(&path).with_context(|| format!("cannot copy {}", path.display()))?;
        }
        if self.git.is_some() {
            // What is tracked and was deleted here is no file of the working tree.
            let deleted = git_bytes(&self.root, &["ls-files", "-z", "--deleted"])?;
            names(&deleted).try_for_each(|path| copier.remove(path))?;
        }
        match &wanted.sparse {
            Some(sparse) if has_clone => choose(sparse, dest),
            _ => Ok(()),
        }
    }

    /// Checks another ref of the repository out. Returns which it was.
    pub fn check_out(&self, name: &str, wanted: &CheckoutRequest, origin: &str, dest: &Path) -> anyhow::Result<Found> {
        if self.git.is_none() {
            let why = if self.is_repository() { "has no commit yet" } else { "is no git repository" };
            anyhow::bail!("{} {why}, so it has no '{name}'", self.root.display());
        }
        let found = Found::by_name(&self.root, name)?;
        let made = self.upstream(wanted, origin).clone_into(&found, dest);
        made.with_context(|| format!("{} cannot be cloned", self.root.display()))?;
        git_in(dest, &["reset", "--quiet", "--hard"])?;
        if let Some(sparse) = &wanted.sparse {
            choose(sparse, dest)?;
        }
        Ok(found)
    }

    fn upstream<'a>(&'a self, wanted: &CheckoutRequest, origin: &'a str) -> Upstream<'a> {
        Upstream { from: &self.root, origin, depth: wanted.depth }
    }

    /// Returns the paths of all files that are not ignored.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let paths = if self.is_repository() {
            let listed = git_bytes(&self.root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
            names(&listed).map(PathBuf::from).collect()
        } else {
            let mut paths = Vec::new();
            walk(&self.root, Path::new(""), &mut paths)?;
            paths
        };
        anyhow::ensure!(
            paths.len() <= FILES_MAX,
            "{} has more than {FILES_MAX} files: name what does not belong to it in .gitignore",
            self.root.display()
        );
        Ok(paths)
    }
}

fn names(listed: &[u8]) -> impl Iterator<Item = &Path> {
    listed.split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(|name| Path::new(OsStr::from_bytes(name)))
}

fn walk(root: &Path, below: &Path, paths: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if paths.len() > FILES_MAX {
        return Ok(());
    }
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() && entry.file_name() == ".git" => {}
            kind if kind.is_dir() => walk(root, &path, paths)?,
            kind if kind.is_file() || kind.is_symlink() => paths.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// Leaves only the chosen files of a repository in its folder, those included that it does not know yet.
fn choose(sparse: &Sparse, dest: &Path) -> anyhow::Result<()> {
    let kind = if sparse.is_cone { "--cone" } else { "--no-cone" };
    let index = dest.join(".git/greenlight-index");
    let run = |arguments: &[&str]| -> anyhow::Result<()> {
        let mut command = git_command_in(dest);
        command.args(arguments).env("GIT_INDEX_FILE", &index);
        said(command.output().context("git cannot be started")?, arguments).map(|_| ())
    };
    // In an index in which every file is as it should be, nothing keeps git from removing what is not chosen.
    run(&["add", "--all", "--force", "."])?;
    let patterns = sparse.patterns.iter().map(|pattern| &**pattern);
    run(&["sparse-checkout", "set", kind, "--"].into_iter().chain(patterns).collect::<Vec<_>>())?;
    remove(&index)?;
    git_in(dest, &["sparse-checkout", "reapply"]).map(|_| ())
}

fn facts(root: &Path) -> Option<GitFacts> {
    let head = Sha::parse(&git(root, &["rev-parse", "--verify", "--quiet", "HEAD"]).ok()?).ok()?;
    let top = git(root, &["rev-parse", "--show-toplevel"]).ok()?;
    let branch = git(root, &["symbolic-ref", "--quiet", "HEAD"]).ok();
    let tag = || {
        let name = git(root, &["describe", "--exact-match", "--tags", "HEAD"]).ok()?;
        Some(format!("refs/tags/{name}"))
    };
    let origin_head = git(root, &["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]).ok();
    Some(GitFacts {
        is_top: Path::new(&top).canonicalize().is_ok_and(|top| top == root),
        head,
        git_ref: branch.or_else(tag).map(RefName::from),
        is_dirty: git(root, &["status", "--porcelain", "--untracked-files=normal", "."])
            .is_ok_and(|changes| !changes.is_empty()),
        remote: git(root, &["config", "--get", "remote.origin.url"]).ok().and_then(|url| name_of(&url)),
        default_branch: origin_head.and_then(|name| Some(name.strip_prefix("origin/")?.to_owned())),
        user: git(root, &["config", "--get", "user.name"]).ok().filter(|name| !name.is_empty()),
        message: git(root, &["log", "-1", "--format=%B"]).unwrap_or_default(),
    })
}

/// Returns "owner/name" of a remote's address.
fn name_of(url: &str) -> Option<String> {
    let path = url.trim_end_matches('/').trim_end_matches(".git");
    let mut parts = path.rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    let is_plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    (is_plain(owner) && is_plain(name)).then(|| format!("{owner}/{name}"))
}

pub(super) fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let text = git_bytes(folder, arguments)?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

fn git_bytes(folder: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    said(git_command(folder).args(arguments).output().context("git cannot be started")?, arguments)
}

/// Runs git in a folder of a job's, in a repository that was just made.
pub(super) fn git_in(dest: &Path, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    said(git_command_in(dest).args(arguments).output().context("git cannot be started")?, arguments)
}

fn said(output: Output, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or_default().trim();
    let verb = arguments.iter().find(|word| !word.starts_with('-') && !word.contains('=')).unwrap_or(&"");
    anyhow::bail!("git {verb} failed: {last}")
}

fn git_command(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).stdin(Stdio::null());
    // What another git set for its hooks is not meant for this folder.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(name);
    }
    command
}

/// The folder may be that of a user that the job has of its own, and no hook of anybody's belongs to a checkout.
fn git_command_in(dest: &Path) -> Command {
    let mut command = git_command(dest);
    command.args(["-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "advice.updateSparsePath=false"]);
    // Else its arguments, with the user's folder in them, stand in the repository's log.
    command.env("GIT_REFLOG_ACTION", "checkout");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_names_the_repository() {
        for url in ["https://github.com/acme/app.git", "git@github.com:acme/app", "ssh://git@example.com/acme/app/"] {
            assert_eq!(name_of(url).as_deref(), Some("acme/app"), "{url}");
        }
        assert_eq!(name_of("app"), None);
        assert_eq!(name_of("https://example.com/a b/app"), None);
    }
}
