//! Test merges, merges, squashes and rebases.

use super::{Git, GitError, Signature};
use crate::model::Oid;

/// What came of merging two commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The tree of the merge.
    Clean(Oid),
    /// Both sides changed the same lines.
    Conflict,
}

impl Git {
    /// Merges two commits and returns the resulting tree, without touching any ref.
    pub async fn merge_trees(&self, repository: u64, ours: &str, theirs: &str) -> Result<Merged, GitError> {
        let base = self.merge_base(repository, ours, theirs)?;
        // Where one side has not moved there is nothing to merge, and no process to start.
        if base.as_deref() == Some(ours) {
            return Ok(Merged::Clean(self.commit(repository, theirs)?.tree.clone()));
        }
        if base.as_deref() == Some(theirs) {
            return Ok(Merged::Clean(self.commit(repository, ours)?.tree.clone()));
        }
        self.merge_tree(repository, &["--allow-unrelated-histories", ours, theirs]).await
    }

    /// Replays `commits` (oldest first) on `onto`; returns the new tip, or nothing where one conflicts.
    pub async fn rebase(
        &self,
        repository: u64,
        onto: &str,
        commits: &[Oid],
        committer: &Signature,
    ) -> Result<Option<Oid>, GitError> {
        let mut tip = onto.to_owned();
        for oid in commits {
            let commit = self.commit(repository, oid)?;
            let [parent] = &commit.parents[..] else { continue };
            let base = format!("--merge-base={parent}");
            let tree = match self.merge_tree(repository, &[&base, &tip, oid]).await? {
                Merged::Clean(tree) => tree,
                Merged::Conflict => return Ok(None),
            };
            tip = self.write_commit(repository, &tree, &[&tip], &commit.author, committer, &commit.message)?;
        }
        Ok(Some(tip))
    }

    async fn merge_tree(&self, repository: u64, arguments: &[&str]) -> Result<Merged, GitError> {
        let command: Vec<&str> =
            ["merge-tree", "--write-tree", "--no-messages", "--name-only"].iter().chain(arguments).copied().collect();
        let output = self.run_any(&self.dir(repository), &command, None).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        match output.status.code() {
            Some(0) => Ok(Merged::Clean(text.lines().next().unwrap_or_default().to_owned())),
            Some(1) => Ok(Merged::Conflict),
            _ => {
                let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(GitError::Refused { command: "merge-tree".to_owned(), message })
            }
        }
    }
}
