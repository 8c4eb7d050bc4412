//! Commits, trees, blobs, files, comparisons, statuses.

use serde_json::{Value, json};

use super::{Render, escape_path, node_id};
use crate::{
    git::{Commit, FileChange, Signature, TreeEntry},
    model::{At, Repository, commit_status::CommitStatus},
};

/// Writes who signed a commit.
fn signature(signature: &Signature) -> Value {
    json!({"name": signature.name, "email": signature.email, "date": At(signature.seconds.saturating_mul(1000)).iso()})
}

/// Writes that a commit carries no signature.
fn unsigned() -> Value {
    json!({"verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null})
}

impl Render<'_> {
    /// Writes a commit by its name; of one that cannot be read, what the name alone tells.
    pub fn commit(&self, repository: &Repository, sha: &str) -> Value {
        match self.site.git.commit(repository.id, sha) {
            Ok(commit) => self.known_commit(repository, &commit),
            Err(_) => json!({"sha": sha, "url": self.api_of(repository, &format!("/commits/{sha}"))}),
        }
    }

    /// Writes a commit.
    pub fn known_commit(&self, repository: &Repository, commit: &Commit) -> Value {
        let sha = &commit.oid;
        let url = self.api_of(repository, &format!("/commits/{sha}"));
        json!({
            "sha": sha,
            "node_id": node_id("Commit", sha),
            "commit": {
                "author": signature(&commit.author),
                "committer": signature(&commit.committer),
                "message": commit.message.trim_end(),
                "tree": {"sha": commit.tree, "url": self.api_of(repository, &format!("/git/trees/{}", commit.tree))},
                "url": self.api_of(repository, &format!("/git/commits/{sha}")),
                "comment_count": 0,
                "verification": unsigned(),
            },
            "url": url,
            "html_url": self.web_of(repository, &format!("/commit/{sha}")),
            "comments_url": format!("{url}/comments"),
            "author": self.user_by_email(&commit.author.email),
            "committer": self.user_by_email(&commit.committer.email),
            "parents": self.parents(repository, commit),
        })
    }

    /// Writes a commit as `GET /git/commits/{sha}` does.
    pub fn git_commit(&self, repository: &Repository, commit: &Commit) -> Value {
        let sha = &commit.oid;
        json!({
            "sha": sha,
            "node_id": node_id("Commit", sha),
            "url": self.api_of(repository, &format!("/git/commits/{sha}")),
            "html_url": self.web_of(repository, &format!("/commit/{sha}")),
            "author": signature(&commit.author),
            "committer": signature(&commit.committer),
            "tree": {"sha": commit.tree, "url": self.api_of(repository, &format!("/git/trees/{}", commit.tree))},
            "message": commit.message.trim_end(),
            "parents": self.parents(repository, commit),
            "verification": unsigned(),
        })
    }

    /// Writes a commit as check suites have it.
    pub fn simple_commit(&self, repository: &Repository, sha: &str) -> Value {
        let Ok(commit) = self.site.git.commit(repository.id, sha) else { return Value::Null };
        json!({
            "id": commit.oid,
            "tree_id": commit.tree,
            "message": commit.message.trim_end(),
            "timestamp": At(commit.committer.seconds.saturating_mul(1000)).iso(),
            "author": {"name": commit.author.name, "email": commit.author.email},
            "committer": {"name": commit.committer.name, "email": commit.committer.email},
        })
    }

    /// Writes a commit as push events have it.
    pub fn push_commit(&self, repository: &Repository, commit: &Commit, distinct: bool) -> Value {
        let changed = self.site.git.changed_by(repository.id, commit).unwrap_or_default();
        let person = |signature: &Signature| {
            let mut person = json!({"name": signature.name, "email": signature.email, "date": At(signature.seconds.saturating_mul(1000)).iso()});
            if let Some(account) = self.account_by_email(&signature.email) {
                person["username"] = json!(account);
            }
            person
        };
        json!({
            "id": commit.oid,
            "tree_id": commit.tree,
            "distinct": distinct,
            "message": commit.message.trim_end(),
            "timestamp": At(commit.committer.seconds.saturating_mul(1000)).iso(),
            "url": self.web_of(repository, &format!("/commit/{}", commit.oid)),
            "author": person(&commit.author),
            "committer": person(&commit.committer),
            "added": changed.added,
            "removed": changed.removed,
            "modified": changed.modified,
        })
    }

    /// Writes an entry of a tree.
    pub fn tree_entry(&self, repository: &Repository, entry: &TreeEntry, path: &str, size: Option<usize>) -> Value {
        let mode = format!("{:0>6}", entry.mode);
        let mut object = json!({"path": path, "mode": mode, "type": entry.kind(), "sha": entry.oid});
        if let Some(size) = size {
            object["size"] = json!(size);
        }
        if entry.kind() != "commit" {
            object["url"] = json!(self.api_of(repository, &format!("/git/{}s/{}", entry.kind(), entry.oid)));
        }
        object
    }

    /// Writes a file or folder as the contents API does, without its content.
    pub fn content_entry(
        &self,
        repository: &Repository,
        entry: &TreeEntry,
        path: &str,
        reference: &str,
        size: usize,
    ) -> Value {
        let kind = match entry.mode.as_str() {
            "40000" => "dir",
            "120000" => "symlink",
            "160000" => "submodule",
            _ => "file",
        };
        let encoded = escape_path(path);
        let url = self.api_of(repository, &format!("/contents/{encoded}?ref={}", escape_path(reference)));
        let html = self.web_of(
            repository,
            &format!("/{}/{}/{encoded}", if kind == "dir" { "tree" } else { "blob" }, escape_path(reference)),
        );
        let git =
            self.api_of(repository, &format!("/git/{}/{}", if kind == "dir" { "trees" } else { "blobs" }, entry.oid));
        let download =
            (kind == "file").then(|| self.web_of(repository, &format!("/raw/{}/{encoded}", escape_path(reference))));
        json!({
            "name": path.rsplit('/').next().unwrap_or(path),
            "path": path,
            "sha": entry.oid,
            "size": size,
            "url": url,
            "html_url": html,
            "git_url": git,
            "download_url": download,
            "type": kind,
            "_links": {"self": url, "git": git, "html": html},
        })
    }

    /// Writes a changed file.
    pub fn file_change(&self, repository: &Repository, change: &FileChange, sha: &str) -> Value {
        let path = escape_path(&change.path);
        let mut object = json!({
            "sha": change.blob,
            "filename": change.path,
            "status": change.status,
            "additions": change.additions,
            "deletions": change.deletions,
            "changes": change.additions + change.deletions,
            "blob_url": self.web_of(repository, &format!("/blob/{sha}/{path}")),
            "raw_url": self.web_of(repository, &format!("/raw/{sha}/{path}")),
            "contents_url": self.api_of(repository, &format!("/contents/{path}?ref={sha}")),
        });
        if let Some(patch) = &change.patch {
            object["patch"] = json!(patch);
        }
        if let Some(previous) = &change.previous {
            object["previous_filename"] = json!(previous);
        }
        object
    }

    /// Writes a commit status.
    pub fn status(&self, repository: &Repository, sha: &str, status: &CommitStatus) -> Value {
        let mut object = self.simple_status(repository, sha, status);
        object["creator"] = self.user(status.creator);
        object
    }

    /// Writes a commit status as the combined status has it.
    pub fn simple_status(&self, repository: &Repository, sha: &str, status: &CommitStatus) -> Value {
        json!({
            "url": self.api_of(repository, &format!("/statuses/{sha}")),
            "avatar_url": self.web(&format!("/avatars/u/{}?v=4", status.creator)),
            "id": status.id,
            "node_id": node_id("StatusContext", status.id),
            "state": status.state,
            "description": status.description,
            "target_url": status.target_url,
            "context": status.context,
            "created_at": status.created_at.iso(),
            "updated_at": status.created_at.iso(),
        })
    }

    fn parents(&self, repository: &Repository, commit: &Commit) -> Vec<Value> {
        let parent = |sha: &String| {
            json!({
                "sha": sha,
                "url": self.api_of(repository, &format!("/commits/{sha}")),
                "html_url": self.web_of(repository, &format!("/commit/{sha}")),
            })
        };
        commit.parents.iter().map(parent).collect()
    }

    fn account_by_email(&self, email: &str) -> Option<&str> {
        self.model.accounts.values().find(|account| account.email == email).map(|account| account.login.as_str())
    }

    fn user_by_email(&self, email: &str) -> Value {
        self.model
            .accounts
            .values()
            .find(|account| account.email == email)
            .map_or(Value::Null, |account| self.simple_user(account))
    }
}
