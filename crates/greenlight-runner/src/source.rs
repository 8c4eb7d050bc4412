//! Where the files of actions come from.

use std::path::PathBuf;
use std::sync::Arc;

use greenlight_core::id::Sha;
use greenlight_core::port::Reply;

/// A repository of actions at a ref, as a workflow names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ActionName {
    /// Whose repository.
    pub owner: Arc<str>,
    /// Which one.
    pub repo: Arc<str>,
    /// The branch, tag or commit.
    pub git_ref: Arc<str>,
}

impl ActionName {
    /// Returns the name that a workflow's words make, where they can be one: nothing in it may lead out of a folder.
    pub fn new(owner: &str, repo: &str, git_ref: &str) -> Option<Self> {
        let is_plain = |name: &str| {
            let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            letters && !name.is_empty() && !name.trim_matches('.').is_empty()
        };
        let is_ref = git_ref.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.contains(['\\', '\0', ':', ' ', '~', '^', '*', '?'])
        });
        (is_plain(owner) && is_plain(repo) && is_ref).then(|| Self {
            owner: owner.into(),
            repo: repo.into(),
            git_ref: git_ref.into(),
        })
    }

    /// Returns "owner/repo".
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.repo)
    }
}

impl std::fmt::Display for ActionName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}@{}", self.owner, self.repo, self.git_ref)
    }
}

/// How an action's files came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// They were fetched just now.
    Fetched,
    /// They were here.
    Kept,
    /// They were here, and whether the ref moved on since could not be asked.
    KeptUnasked,
    /// A folder stands in for the repository.
    Given,
}

/// The files of an action's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionFiles {
    /// The folder. A job gets a copy: nothing of one job reaches another through it.
    pub folder: PathBuf,
    /// The commit; nothing where a folder stands in.
    pub commit: Option<Sha>,
    /// How they came.
    pub origin: Origin,
}

/// Where the files of actions come from. An error is one sentence and ends the job before its first step.
pub trait ActionSource: Send + Sync {
    /// Finds the files of a repository at a ref.
    fn find<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, String>>;

    /// Was a folder put in the place of this repository? Then it is taken even where the runner would serve the action itself.
    fn replaces(&self, name: &ActionName) -> bool {
        let _ = name;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(ActionName::new("actions", "setup-node", "v4").unwrap().to_string(), "actions/setup-node@v4");
        assert!(ActionName::new("a", "b", "releases/v1").is_some());
        for (owner, repo, git_ref) in [
            ("..", "b", "v1"),
            ("a", ".", "v1"),
            ("a", "b/c", "v1"),
            ("a", "b", "../../x"),
            ("a", "b", "/etc"),
            ("a", "b", "--upload-pack=x"),
            ("a", "b", "x/.git"),
            ("a", "b", ""),
        ] {
            assert!(ActionName::new(owner, repo, git_ref).is_none(), "{owner}/{repo}@{git_ref}");
        }
    }
}
