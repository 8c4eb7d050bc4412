//! Test merges, and the real ones.

use std::sync::Arc;

use crate::{
    git::{GitError, Merged, RefUpdate, Signature},
    model::{At, Oid, Permission, pull::Mergeability, requirement::refusal_of_checks},
    push::{self, Landing},
    site::Site,
};

/// Who signs what GitHub commits itself.
pub fn web_flow() -> Signature {
    Signature::new("GitHub", "noreply@github.com", At::now().seconds())
}

/// How a pull request is to land.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Merge,
    Squash,
    Rebase,
}

impl Method {
    /// Reads GitHub's word.
    pub fn parse(text: &str) -> Option<Method> {
        match text {
            "merge" => Some(Method::Merge),
            "squash" => Some(Method::Squash),
            "rebase" => Some(Method::Rebase),
            _ => None,
        }
    }
}

/// A wish to merge.
#[derive(Clone, Debug)]
pub struct Wish {
    pub method: Method,
    /// What the head must be.
    pub sha: Option<Oid>,
    pub title: Option<String>,
    pub message: Option<String>,
    pub by: u64,
}

/// Why a merge did not happen.
#[derive(Debug)]
pub enum Refusal {
    /// Answered 404.
    NoPull,
    /// Answered 405 with this text.
    NotAllowed(String),
    /// Answered 409 with this text.
    Conflict(String),
    /// Git itself failed.
    Broken(GitError),
}

impl From<GitError> for Refusal {
    fn from(error: GitError) -> Refusal {
        match error {
            GitError::RefMoved(_) => {
                Refusal::NotAllowed("Base branch was modified. Review and try the merge again.".to_owned())
            }
            error => Refusal::Broken(error),
        }
    }
}

/// What a merge needs to know of its pull request, read at one instant.
struct Plan {
    head: Oid,
    base_branch: String,
    base_tip: Oid,
    head_label: String,
    head_branch: String,
    head_is_own: bool,
    title: String,
    author: Signature,
    committer: Signature,
    delete_branch: bool,
}

/// Builds the test merge after a while, as GitHub does.
pub fn schedule_test_merge(site: &Arc<Site>, repository: u64, number: u64) {
    let site = Arc::clone(site);
    let lag = site.draw_lag();
    tokio::spawn(async move {
        if !lag.is_zero() {
            tokio::time::sleep(lag).await;
        }
        if let Err(error) = test_merge(&site, repository, number).await {
            tracing::warn!(%error, "could not build the test merge of pull request {number}");
        }
    });
}

/// Builds the test merge where head or base have moved since the last one.
pub async fn test_merge(site: &Arc<Site>, repository: u64, number: u64) -> Result<(), GitError> {
    let (head, base_tip, known) = {
        let look = site.look();
        let Some(known) = look.repositories.get(&repository) else { return Ok(()) };
        let Some(pull) = known.pulls.get(&number).filter(|pull| pull.is_open()) else { return Ok(()) };
        let Some(tip) = known.branch(&pull.base.branch) else { return Ok(()) };
        (pull.head.sha.clone(), tip.clone(), pull.mergeability.clone())
    };
    let current = match &known {
        Mergeability::Unknown => false,
        Mergeability::Clean { base, head: tested, .. } | Mergeability::Conflict { base, head: tested } => {
            *base == base_tip && *tested == head
        }
    };
    if current {
        return Ok(());
    }
    let mergeability = match site.git.merge_trees(repository, &base_tip, &head).await? {
        Merged::Conflict => Mergeability::Conflict { base: base_tip.clone(), head: head.clone() },
        Merged::Clean(tree) => {
            let signature = web_flow();
            let message = format!("Merge {head} into {base_tip}");
            let merge =
                site.git.write_commit(repository, &tree, &[&base_tip, &head], &signature, &signature, &message)?;
            Mergeability::Clean { merge, base: base_tip.clone(), head: head.clone() }
        }
    };
    let mut change = site.change();
    let Some(known) = change.repositories.get_mut(&repository) else { return Ok(()) };
    let tip_now = known.pulls.get(&number).and_then(|pull| known.branch(&pull.base.branch).cloned());
    let Some(pull) = known.pulls.get_mut(&number) else { return Ok(()) };
    // Where something moved meanwhile this merge is of the past; who moved it asked for the next one.
    if pull.is_open() && pull.head.sha == head && tip_now.as_ref() == Some(&base_tip) {
        if let Mergeability::Clean { merge, .. } = &mergeability {
            site.git.force_ref(repository, &format!("refs/pull/{number}/merge"), merge)?;
        }
        pull.mergeability = mergeability;
    }
    Ok(())
}

/// Merges a pull request, or says why not in GitHub's words.
pub async fn land(site: &Arc<Site>, repository: u64, number: u64, wish: &Wish) -> Result<Oid, Refusal> {
    let _held = site.hold_refs(repository).await;
    let plan = plan(site, repository, number, wish)?;
    let Merged::Clean(tree) = site.git.merge_trees(repository, &plan.base_tip, &plan.head).await? else {
        return Err(Refusal::NotAllowed("Pull Request is not mergeable".to_owned()));
    };
    let landed = match wish.method {
        Method::Merge => {
            let title =
                wish.title.clone().unwrap_or_else(|| format!("Merge pull request #{number} from {}", plan.head_label));
            let message = join_message(&title, wish.message.as_deref().unwrap_or(&plan.title));
            site.git.write_commit(
                repository,
                &tree,
                &[&plan.base_tip, &plan.head],
                &plan.committer,
                &web_flow(),
                &message,
            )?
        }
        Method::Squash => {
            let commits = site.git.commits_ahead(repository, &plan.base_tip, &plan.head)?;
            let title = wish.title.clone().unwrap_or_else(|| format!("{} (#{number})", plan.title));
            let list: Vec<String> = commits.iter().map(|commit| format!("* {}", commit.message.trim_end())).collect();
            let usual = if commits.len() > 1 { list.join("\n\n") } else { String::new() };
            let message = join_message(&title, wish.message.as_deref().unwrap_or(&usual));
            site.git.write_commit(repository, &tree, &[&plan.base_tip], &plan.author, &web_flow(), &message)?
        }
        Method::Rebase => {
            let commits: Vec<Oid> = site
                .git
                .commits_ahead(repository, &plan.base_tip, &plan.head)?
                .iter()
                .map(|commit| commit.oid.clone())
                .collect();
            let tip = site.git.rebase(repository, &plan.base_tip, &commits, &web_flow()).await?;
            tip.ok_or_else(|| Refusal::NotAllowed("This branch can't be rebased".to_owned()))?
        }
    };
    let base = format!("refs/heads/{}", plan.base_branch);
    let updates = vec![RefUpdate { name: base, old: plan.base_tip.clone(), new: landed.clone() }];
    push::move_refs(site, repository, wish.by, updates, Some(Landing { number, sha: landed.clone() })).await?;
    if plan.delete_branch && plan.head_is_own {
        let name = format!("refs/heads/{}", plan.head_branch);
        let gone = RefUpdate { name, old: plan.head.clone(), new: crate::model::ZERO_OID.to_owned() };
        push::move_refs(site, repository, wish.by, vec![gone], None).await?;
    }
    Ok(landed)
}

fn plan(site: &Site, repository: u64, number: u64, wish: &Wish) -> Result<Plan, Refusal> {
    let not_allowed = |text: &str| Err(Refusal::NotAllowed(text.to_owned()));
    let look = site.look();
    let known = look.repositories.get(&repository).ok_or(Refusal::NoPull)?;
    let pull = known.pulls.get(&number).ok_or(Refusal::NoPull)?;
    if !pull.is_open() {
        return not_allowed("Pull Request is not mergeable");
    }
    if pull.draft {
        return not_allowed("Pull Request is still a draft");
    }
    if wish.sha.as_ref().is_some_and(|sha| *sha != pull.head.sha) {
        return Err(Refusal::Conflict("Head branch was modified. Review and try the merge again.".to_owned()));
    }
    match wish.method {
        Method::Merge if !known.merge_methods.merge => {
            return not_allowed("Merge commits are not allowed on this repository.");
        }
        Method::Squash if !known.merge_methods.squash => {
            return not_allowed("Squash merges are not allowed on this repository.");
        }
        Method::Rebase if !known.merge_methods.rebase => {
            return not_allowed("Rebase merges are not allowed on this repository.");
        }
        _ => {}
    }
    let Some(base_tip) = known.branch(&pull.base.branch).cloned() else {
        return not_allowed("Pull Request is not mergeable");
    };
    let linear = known.protections(&pull.base.branch).iter().any(|protection| protection.linear_history);
    if linear && wish.method == Method::Merge {
        return not_allowed("Merge commits are not allowed on this branch.");
    }
    // A conflict is told before what is required, as on GitHub.
    if matches!(&pull.mergeability, Mergeability::Conflict { base, head } if *base == base_tip && *head == pull.head.sha)
    {
        return not_allowed("Pull Request is not mergeable");
    }
    if !passes_as_admin(&look, known, pull, wish.by) {
        if let Some(refusal) = look.missing_review(known, pull) {
            return Err(Refusal::NotAllowed(refusal));
        }
        let (unmet, required) = known.unmet_contexts(&pull.base.branch, &pull.head.sha, At::now());
        if let Some(refusal) = refusal_of_checks(&unmet, required) {
            return Err(Refusal::NotAllowed(refusal));
        }
        if known.is_strict(&pull.base.branch) && !site.git.is_ancestor(repository, &base_tip, &pull.head.sha)? {
            return not_allowed("Head branch is out of date. Review and try the merge again.");
        }
    }
    let head_repository = pull.head.repository.and_then(|id| look.repositories.get(&id));
    let owner = head_repository.map_or("unknown", |head| look.login(head.owner));
    let sign = |user: u64| {
        let account = look.accounts.get(&user);
        let (name, email) = account.map_or(("ghost", "ghost@users.noreply.localhost"), |account| {
            (account.name.as_str(), account.email.as_str())
        });
        Signature::new(name, email, At::now().seconds())
    };
    Ok(Plan {
        head: pull.head.sha.clone(),
        base_branch: pull.base.branch.clone(),
        base_tip,
        head_label: format!("{owner}/{}", pull.head.branch),
        head_branch: pull.head.branch.clone(),
        head_is_own: pull.head.repository == Some(repository),
        title: pull.title.clone(),
        author: sign(pull.author),
        committer: sign(wish.by),
        delete_branch: known.delete_branch_on_merge,
    })
}

/// Answers whether somebody may merge against the branch's rules. Through the API an admin may, unless the rules include admins.
fn passes_as_admin(
    model: &crate::model::Model,
    repository: &crate::model::Repository,
    pull: &crate::model::pull::Pull,
    by: u64,
) -> bool {
    let admin = model.permission(repository, Some(by)) >= Permission::Admin;
    admin && repository.protections(&pull.base.branch).iter().all(|protection| !protection.enforce_admins)
}

fn join_message(title: &str, body: &str) -> String {
    if body.is_empty() { title.to_owned() } else { format!("{title}\n\n{body}") }
}
