//! A job's own repository, as `actions/checkout` makes it from GitHub's: so deep, at this ref, and with that address as its `origin`.
//!
//! It is fetched from the user's folder, and has nothing in common with it afterwards: no object, no path. So whatever a job does to its
//! repository, and wherever it pushes, the user's own stays as it is.

use std::num::NonZeroU32;
use std::path::Path;

use anyhow::Context as _;
use greenlight_core::id::{RefName, Sha};

use super::copy::remove;
use super::tree::{git, git_in};

/// What is checked out, found in the user's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The commit.
    pub sha: Sha,
    /// The ref as GitHub names it; nothing where a commit was asked for.
    pub git_ref: Option<RefName>,
    /// The ref of the user's repository that is fetched; else the commit itself.
    source: Option<String>,
}

/// What a job's repository is made from.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// The user's folder.
    pub from: &'a Path,
    /// The address of the repository as GitHub has it.
    pub origin: &'a str,
    /// How many commits; all of them, with all branches and tags, where nothing.
    pub depth: Option<NonZeroU32>,
}

impl Found {
    /// Finds a commit that is checked out as a ref, which the user's repository may not have, or have elsewhere.
    pub fn at(root: &Path, sha: Sha, name: Option<&str>) -> Self {
        let source = name.filter(|name| name.starts_with("refs/tags/") && commit_of(root, name) == Some(sha));
        Self { sha, git_ref: name.filter(|name| is_ref(name)).map(RefName::from), source: source.map(str::to_owned) }
    }

    /// Finds what a person wrote: a full ref, else a branch, else a tag, else a commit. Branches may be those that were fetched.
    pub fn by_name(root: &Path, name: &str) -> anyhow::Result<Self> {
        let short = name.strip_prefix("refs/heads/").or((!name.starts_with("refs/")).then_some(name));
        let branches = short.into_iter().flat_map(|short| {
            let shown = format!("refs/heads/{short}");
            [(shown.clone(), shown.clone()), (format!("refs/remotes/origin/{short}"), shown)]
        });
        let own = match name.starts_with("refs/") {
            true => name.to_owned(),
            false => format!("refs/tags/{name}"),
        };
        let candidates = branches.chain([(own.clone(), own)]);
        let found = candidates.filter(|(_, shown)| is_ref(shown)).find_map(|(source, shown)| {
            let sha = commit_of(root, &source)?;
            Some(Self { sha, git_ref: Some(shown.into()), source: Some(source) })
        });
        let commit = || Some(Self { sha: commit_of(root, name)?, git_ref: None, source: None });
        found.or_else(commit).with_context(|| format!("there is no branch, tag or commit '{name}' here"))
    }

    /// Returns the branch, where it is one.
    fn branch(&self) -> Option<&str> {
        self.git_ref.as_ref()?.as_str().strip_prefix("refs/heads/")
    }

    /// Returns where `actions/checkout` keeps the ref.
    fn stored(&self) -> Option<String> {
        let name = self.git_ref.as_ref()?.as_str();
        let elsewhere = |kind: &str, remote: &str| Some(format!("refs/remotes/{remote}/{}", name.strip_prefix(kind)?));
        elsewhere("refs/heads/", "origin").or_else(|| elsewhere("refs/pull/", "pull")).or_else(|| Some(name.to_owned()))
    }
}

impl Upstream<'_> {
    /// Makes `dest` a repository at what was found, without files and with an empty index.
    ///
    /// One that is there already may have been changed by the job, and git obeys what a repository says: it gives way to a new one.
    pub fn clone_into(&self, found: &Found, dest: &Path) -> anyhow::Result<()> {
        let aside = dest.join(".greenlight-clone");
        remove(&aside)?;
        std::fs::create_dir_all(&aside)?;
        let made = self.fill(found, &aside).and_then(|()| {
            remove(&dest.join(".git"))?;
            Ok(std::fs::rename(aside.join(".git"), dest.join(".git"))?)
        });
        // What is left of it is in nobody's way but a listing's.
        let _ = remove(&aside);
        made
    }

    fn fill(&self, found: &Found, aside: &Path) -> anyhow::Result<()> {
        let branch = found.branch().unwrap_or("main");
        git_in(aside, &["init", "--quiet", "--template=", &format!("--initial-branch={branch}")])?;
        for folder in ["hooks", "info"] {
            std::fs::create_dir_all(aside.join(".git").join(folder))?;
        }
        git_in(aside, &["config", "remote.origin.url", self.origin])?;
        git_in(aside, &["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"])?;
        let sha = found.sha.to_string();
        let source = found.source.as_deref().unwrap_or(&sha);
        let wanted = found.stored().map_or_else(|| source.to_owned(), |stored| format!("+{source}:{stored}"));
        match self.depth {
            Some(depth) => self.fetch(aside, Some(depth), &[&wanted])?,
            None => {
                // What was fetched from GitHub first: a branch of the same name is newer here.
                self.fetch(
                    aside,
                    None,
                    &["+refs/remotes/origin/*:refs/remotes/origin/*", "^refs/remotes/origin/HEAD"],
                )?;
                self.fetch(aside, None, &["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"])?;
                self.fetch(aside, None, &[&wanted])?;
            }
        }
        match found.branch() {
            Some(branch) => {
                git_in(aside, &["update-ref", &format!("refs/heads/{branch}"), &sha])?;
                git_in(aside, &["config", &format!("branch.{branch}.remote"), "origin"])?;
                git_in(aside, &["config", &format!("branch.{branch}.merge"), &format!("refs/heads/{branch}")])?;
            }
            None => drop(git_in(aside, &["update-ref", "--no-deref", "HEAD", &sha])?),
        }
        Ok(())
    }

    fn fetch(&self, aside: &Path, depth: Option<NonZeroU32>, refspecs: &[&str]) -> anyhow::Result<()> {
        let depth = depth.map(|depth| format!("--depth={depth}"));
        let from = self.from.to_str().context("the folder's name is no UTF-8")?;
        let mut arguments = vec!["-c", "protocol.version=2", "-c", "protocol.file.allow=always"];
        arguments.extend(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow"]);
        arguments.extend(depth.as_deref());
        arguments.extend(["--", from]);
        arguments.extend(refspecs);
        git_in(aside, &arguments).map(|_| ())
    }
}

/// Is it a ref's full name that git takes and no option?
fn is_ref(name: &str) -> bool {
    name.starts_with("refs/") && git(Path::new("/"), &["check-ref-format", name]).is_ok()
}

fn commit_of(root: &Path, name: &str) -> Option<Sha> {
    let commit = format!("{name}^{{commit}}");
    Sha::parse(&git(root, &["rev-parse", "--verify", "--quiet", "--end-of-options", &commit]).ok()?).ok()
}
