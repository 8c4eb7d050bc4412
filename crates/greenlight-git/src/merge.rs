//! The test merge: what the base would be if the pull request landed.
//!
//! GitHub makes `refs/pull/N/merge` lazily, and it may be stale: it is used only where its parents are exactly the base's tip, as
//! fetched this very moment, and the head that was asked for. The design gives GitHub ten seconds to make it; we do not wait, since
//! `git merge-tree` takes two milliseconds and gives the same tree. The merge that we make has fixed names and the later of its
//! parents' dates, so that the same two commits always give the same merge; it is kept under a ref of our own, so that git does
//! not sweep it away and jobs can fetch it.

use std::sync::Arc;

use greenlight_core::effect::{Answer, Outcome, Refusal};
use greenlight_core::event::TestMerge;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{PullNumber, RefName, Sha};

use crate::changes::{Compared, asks_for_paths, changed_paths};
use crate::error::GitError;
use crate::files::commit_files;
use crate::mirror::{Mirror, is_ref_name, refspec, seen};
use crate::mirrors::Mirrors;
use crate::objects::Commit;

/// How often a head that the webhook told of may still not be there to be fetched.
const HEAD_TRIES_MAX: u32 = 6;

/// Who makes our merges.
const IDENTITY: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "Greenlight"),
    ("GIT_AUTHOR_EMAIL", "greenlight@localhost"),
    ("GIT_COMMITTER_NAME", "Greenlight"),
    ("GIT_COMMITTER_EMAIL", "greenlight@localhost"),
];

impl Mirrors {
    /// Fetches base and head, finds or builds the merge of the two, and reads its files.
    pub(crate) async fn prepare_merge(
        &self,
        repository: &RepositoryRef,
        pull: PullNumber,
        head_sha: Sha,
        base_ref: &RefName,
        tried: u32,
    ) -> Result<Outcome, GitError> {
        if !is_ref_name(base_ref.as_str()) {
            return Err(GitError::BadName { name: base_ref.to_string() });
        }
        let mirror = self.mirror(repository.id);
        let refspecs = vec![refspec(base_ref.as_str()), format!("+refs/pull/{pull}/*:refs/greenlight/pull/{pull}/*")];
        if let Err(error) = mirror.fetch(repository, refspecs).await {
            return Ok(fetch_failed(error));
        }
        let Some(base) = mirror.commit(&seen(base_ref.as_str())).await? else {
            return Ok(Outcome::Refused(Refusal::Gone(format!("{base_ref} is no commit").into())));
        };
        let head = match find_head(&mirror, pull, head_sha, tried).await? {
            Ok(head) => head,
            Err(outcome) => return Ok(outcome),
        };
        let Some(merge) = find_or_build(&mirror, pull, &base, &head).await? else {
            return Ok(Outcome::Refused(Refusal::Conflict { base_sha: base.id }));
        };
        let mut files = commit_files(&mirror, &merge).await?;
        if asks_for_paths(&files) {
            files.changed_paths = changed_paths(&mirror, &base.id.to_string(), head.id, Compared::SinceFork).await?;
        }
        // "[skip ci]" is looked for in what the author wrote, not in the merge's message.
        files.message = head.message.into();
        Ok(Outcome::Done(Answer::TestMerge(Box::new(TestMerge { base_sha: base.id, files }))))
    }
}

/// Says what a failed fetch means. It may have failed for several who waited together.
pub(crate) fn fetch_failed(error: Arc<GitError>) -> Outcome {
    let reason = error.chain().into();
    match &*error {
        GitError::NoSuchRef { .. } | GitError::NoSuchCommit(_) => Outcome::Refused(Refusal::Gone(reason)),
        _ => Outcome::Later { not_before: None, reason },
    }
}

/// Returns the head, or what to say where it is not (yet, any more) the pull request's.
async fn find_head(
    mirror: &Mirror,
    pull: PullNumber,
    head_sha: Sha,
    tried: u32,
) -> Result<Result<Commit, Outcome>, GitError> {
    let later = |reason: String| Outcome::Later { not_before: None, reason: reason.into() };
    let gone = |reason: String| Outcome::Refused(Refusal::Gone(reason.into()));
    let tip = mirror.commit(&format!("refs/greenlight/pull/{pull}/head")).await?;
    let head = mirror.commit(&head_sha.to_string()).await?;
    let is_patient = tried < HEAD_TRIES_MAX;
    Ok(match (tip, head) {
        (Some(tip), Some(head)) if tip.id == head.id => Ok(head),
        (Some(tip), Some(head)) => {
            if is_ancestor(mirror, head.id, tip.id).await? {
                Ok(head)
            } else if is_patient && is_ancestor(mirror, tip.id, head.id).await? {
                Err(later(format!("refs/pull/{pull}/head is still at {}", tip.id.short())))
            } else {
                Err(Outcome::Refused(Refusal::HeadMoved))
            }
        }
        _ if is_patient => {
            Err(later(format!("head {} of pull request #{pull} cannot be fetched yet", head_sha.short())))
        }
        (None, _) => Err(gone(format!("pull request #{pull} has no refs/pull/{pull}/head"))),
        (Some(_), None) => Err(gone(format!("head {} of pull request #{pull} is not there", head_sha.short()))),
    })
}

async fn is_ancestor(mirror: &Mirror, older: Sha, newer: Sha) -> Result<bool, GitError> {
    let call = mirror.call("merge-base").args(["merge-base", "--is-ancestor"]);
    Ok(call.arg(older.to_string()).arg(newer.to_string()).run_to_end().await?.code == 0)
}

/// Returns the merge of exactly these two, or nothing where they conflict.
async fn find_or_build(
    mirror: &Mirror,
    pull: PullNumber,
    base: &Commit,
    head: &Commit,
) -> Result<Option<Commit>, GitError> {
    let parents = [base.id, head.id];
    for name in [own_merge(pull), format!("refs/greenlight/pull/{pull}/merge")] {
        if let Some(merge) = mirror.commit(&name).await?
            && merge.parents == parents
        {
            return Ok(Some(merge));
        }
    }
    let Some(tree) = merged_tree(mirror, base.id, head.id).await? else { return Ok(None) };
    let sha = commit_tree(mirror, tree, base, head).await?;
    mirror.call("update-ref").args(["update-ref", &own_merge(pull), &sha.to_string()]).run().await?;
    mirror.commit(&sha.to_string()).await
}

fn own_merge(pull: PullNumber) -> String {
    format!("refs/greenlight/merge/{pull}")
}

async fn merged_tree(mirror: &Mirror, base: Sha, head: Sha) -> Result<Option<Sha>, GitError> {
    let call = mirror.call("merge-tree").args(["merge-tree", "--write-tree", "--no-messages", "--name-only"]);
    let output = call.arg(base.to_string()).arg(head.to_string()).run_to_end().await?;
    match output.code {
        0 => first_line(&output.stdout).map(Some),
        1 => Ok(None),
        _ if output.stderr.contains("unrelated histories") => Ok(None),
        _ => Err(GitError::Failed { what: "merge-tree", message: output.stderr }),
    }
}

async fn commit_tree(mirror: &Mirror, tree: Sha, base: &Commit, head: &Commit) -> Result<Sha, GitError> {
    let date = format!("@{} +0000", base.committed_at.max(head.committed_at).max(0));
    let mut call = mirror.call("commit-tree").env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
    for (name, value) in IDENTITY {
        call = call.env(name, value);
    }
    let message = format!("Merge {} into {}", head.id, base.id);
    let parents = [base.id.to_string(), head.id.to_string()];
    let arguments = ["commit-tree", "-p", &parents[0], "-p", &parents[1], "-m", &message, &tree.to_string()];
    first_line(&call.args(arguments).run().await?.stdout)
}

fn first_line(output: &[u8]) -> Result<Sha, GitError> {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().next().unwrap_or_default();
    Sha::parse(line).map_err(|_| GitError::Answer { what: "merge", line: line.to_owned() })
}
