//! Commits and comparisons.

use serde_json::{Value, json};

use super::{Answer, ApiError, Body, Call, GET, Level, Outcome, Reach, repository_of};
use crate::{
    git::FileChange,
    model::{At, Oid},
};

/// How many files one commit or comparison lists.
const FILES_MAX: usize = 300;

/// Answers what is below `/commits` and `/compare`.
pub async fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    call.allow(reach, Level::Read, "contents", "repo")?;
    match (method, rest) {
        (GET, ["commits"]) => list(call, reach),
        (GET, ["commits", name @ .., "pulls"]) => pulls_of(call, reach, &name.join("/")),
        (GET, ["commits", name @ .., "branches-where-head"]) => branches_at(call, reach, &name.join("/")),
        (GET, ["commits", _, "comments"]) => Ok(call.list(Vec::<()>::new(), |()| Value::Null)),
        (GET, ["commits", name @ ..]) => get(call, reach, &name.join("/")).await,
        (GET, ["compare", span @ ..]) => compare(call, reach, &span.join("/")).await,
        _ => Err(ApiError::not_found()),
    }
}

/// Answers `GET /tags`.
pub fn tags(call: &Call, reach: &Reach) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.list(repository.tags().collect(), |(name, sha)| {
        let commit = call.site.git.commit(reach.id, sha).map_or_else(|_| sha.clone(), |commit| commit.oid.clone());
        json!({
            "name": name,
            "zipball_url": render.api_of(repository, &format!("/zipball/refs/tags/{name}")),
            "tarball_url": render.api_of(repository, &format!("/tarball/refs/tags/{name}")),
            "commit": {"sha": commit, "url": render.api_of(repository, &format!("/commits/{commit}"))},
            "node_id": crate::render::node_id("Ref", name),
        })
    }))
}

fn list(call: &Call, reach: &Reach) -> Outcome {
    let start = match call.parameter("sha") {
        Some(name) => call.resolve(reach.id, name).map_err(|_| ApiError::not_found())?,
        None => match repository_of(&call.site.look(), reach.id)? {
            repository if repository.refs.is_empty() => {
                return Err(ApiError::new(409, "Git Repository is empty.".to_owned()));
            }
            repository => repository.branch(&repository.default_branch).cloned().ok_or_else(ApiError::not_found)?,
        },
    };
    let mut commits = call.site.git.history(reach.id, &start)?;
    let bound = |name: &str| call.parameter(name).and_then(At::parse).map(At::seconds);
    let (since, until) = (bound("since"), bound("until"));
    commits.retain(|commit| {
        since.is_none_or(|since| commit.committer.seconds >= since)
            && until.is_none_or(|until| commit.committer.seconds <= until)
    });
    if let Some(path) = call.parameter("path") {
        commits.retain(|commit| {
            let changed = call.site.git.changed_by(reach.id, commit).unwrap_or_default();
            let below = |known: &String| known == path || known.starts_with(&format!("{path}/"));
            changed.added.iter().chain(&changed.removed).chain(&changed.modified).any(below)
        });
    }
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.list(commits, |commit| render.known_commit(repository, &commit)))
}

async fn get(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let sha = call.resolve(reach.id, name)?;
    if call.accept.contains("sha") {
        return Ok(Answer::text(&sha));
    }
    let commit = call.site.git.commit(reach.id, &sha)?;
    let files = call.site.git.diff(reach.id, commit.parents.first().map(String::as_str), &sha).await?;
    if let Some(answer) = as_text(call, &files) {
        return Ok(answer);
    }
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let mut shown = render.known_commit(repository, &commit);
    let additions: usize = files.iter().map(|file| file.additions).sum();
    let deletions: usize = files.iter().map(|file| file.deletions).sum();
    shown["stats"] = json!({"total": additions + deletions, "additions": additions, "deletions": deletions});
    shown["files"] = files.iter().take(FILES_MAX).map(|file| render.file_change(repository, file, &sha)).collect();
    Ok(Answer::ok(shown))
}

/// Returns a diff as text where the caller asked for that.
pub fn as_text(call: &Call, files: &[FileChange]) -> Option<Answer> {
    if !call.accept.contains("diff") && !call.accept.contains("patch") {
        return None;
    }
    let mut text = String::new();
    for file in files {
        let previous = file.previous.as_deref().unwrap_or(&file.path);
        let old = if file.status == "added" { "/dev/null".to_owned() } else { format!("a/{previous}") };
        let new = if file.status == "removed" { "/dev/null".to_owned() } else { format!("b/{}", file.path) };
        text.push_str(&format!(
            "diff --git a/{previous} b/{}\n--- {old}\n+++ {new}\n{}\n",
            file.path,
            file.patch.as_deref().unwrap_or_default()
        ));
    }
    let content_type = "application/vnd.github.v3.diff; charset=utf-8";
    Some(Answer { status: 200, body: Body::Raw { content_type, bytes: text.into() }, headers: Vec::new() })
}

fn pulls_of(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let sha = call.resolve(reach.id, name)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let holds = |pull: &&crate::model::pull::Pull| {
        let landed = matches!(&pull.state, crate::model::pull::PullState::Merged { sha: merged, .. } if *merged == sha);
        landed
            || pull.head.sha == sha
            || (pull.is_open()
                && call.site.git.is_ancestor(reach.id, &sha, &pull.head.sha).unwrap_or(false)
                && !call.site.git.is_ancestor(reach.id, &sha, &pull.base.sha).unwrap_or(true))
    };
    Ok(call.list(repository.pulls.values().filter(holds).collect(), |pull| render.simple_pull(repository, pull)))
}

fn branches_at(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let sha = call.resolve(reach.id, name)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let found: Vec<_> = repository.branches().filter(|(_, tip)| **tip == sha).collect();
    Ok(call.list(found, |(name, tip)| {
        let url = render.api_of(repository, &format!("/commits/{tip}"));
        json!({"name": name, "commit": {"sha": tip, "url": url}, "protected": !repository.protections(name).is_empty()})
    }))
}

/// Finds one side of a comparison; `user:branch` is one of a fork, which shares the objects.
fn side(call: &Call, reach: &Reach, name: &str) -> Result<Oid, ApiError> {
    if let Some((owner, branch)) = name.split_once(':') {
        let look = call.site.look();
        let repository = repository_of(&look, reach.id)?;
        let root = repository.parent.unwrap_or(repository.id);
        let in_network = |known: &&crate::model::Repository| {
            known.id == root || known.parent == Some(root) || known.parent == Some(reach.id)
        };
        let found = look
            .repositories
            .values()
            .filter(in_network)
            .find(|known| look.login(known.owner).eq_ignore_ascii_case(owner));
        return found.and_then(|known| known.branch(branch).cloned()).ok_or_else(ApiError::not_found);
    }
    call.resolve(reach.id, name).map_err(|_| ApiError::not_found())
}

async fn compare(call: &Call, reach: &Reach, span: &str) -> Outcome {
    let (base_name, head_name) =
        span.split_once("...").or_else(|| span.split_once("..")).ok_or_else(ApiError::not_found)?;
    let (base, head) = (side(call, reach, base_name)?, side(call, reach, head_name)?);
    let git = &call.site.git;
    let merge_base = git
        .merge_base(reach.id, &base, &head)?
        .ok_or_else(|| ApiError::new(404, format!("No common ancestor between {base_name} and {head_name}.")))?;
    let ahead = git.commits_ahead(reach.id, &base, &head)?;
    let behind = git.commits_ahead(reach.id, &head, &base)?.len();
    let files = git.diff(reach.id, Some(&merge_base), &head).await?;
    if let Some(answer) = as_text(call, &files) {
        return Ok(answer);
    }
    let status = match (ahead.len(), behind) {
        (0, 0) => "identical",
        (_, 0) => "ahead",
        (0, _) => "behind",
        _ => "diverged",
    };
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let html = render.web_of(repository, &format!("/compare/{span}"));
    let listed = call.list(ahead.clone(), |commit| render.known_commit(repository, &commit));
    let Body::Json(commits) = listed.body else { return Err(ApiError::not_found()) };
    let body = json!({
        "url": render.api_of(repository, &format!("/compare/{span}")),
        "html_url": html,
        "permalink_url": render.web_of(repository, &format!("/compare/{base}...{head}")),
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "base_commit": render.commit(repository, &base),
        "merge_base_commit": render.commit(repository, &merge_base),
        "status": status,
        "ahead_by": ahead.len(),
        "behind_by": behind,
        "total_commits": ahead.len(),
        "commits": commits,
        "files": files.iter().take(FILES_MAX).map(|file| render.file_change(repository, file, &head)).collect::<Vec<_>>(),
    });
    Ok(Answer { headers: listed.headers, ..Answer::ok(body) })
}
