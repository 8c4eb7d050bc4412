//! Files and folders.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Body, Call, DELETE, GET, Level, Outcome, PUT, Reach,
    git_data::{decode_base64, lines_of_base64, refusal_of_push, signature_in},
    repositories::signature_of,
    repository_of,
};
use crate::{
    git::{Kind, RefUpdate},
    model::{Oid, ZERO_OID},
    push,
};

/// Answers what is below `/contents`, and `/readme`.
pub async fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    let level = if method == GET { Level::Read } else { Level::Write };
    call.allow(reach, level, "contents", "repo")?;
    match (method, rest) {
        (GET, ["contents", path @ ..]) => get(call, reach, &path.join("/")),
        (GET, ["readme"]) => get(call, reach, "README.md"),
        (PUT, ["contents", path @ ..]) => put(call, reach, &path.join("/")).await,
        (DELETE, ["contents", path @ ..]) => delete(call, reach, &path.join("/")).await,
        _ => Err(ApiError::not_found()),
    }
}

fn get(call: &Call, reach: &Reach, path: &str) -> Outcome {
    let reference = match call.parameter("ref") {
        Some(reference) => reference.to_owned(),
        None => repository_of(&call.site.look(), reach.id)?.default_branch.clone(),
    };
    let git = &call.site.git;
    let oid = call
        .resolve(reach.id, &reference)
        .map_err(|_| ApiError::new(404, format!("No commit found for the ref {reference}")))?;
    let commit = git.commit(reach.id, &oid)?;
    let entry = git.entry_at(reach.id, &commit.tree, path)?.ok_or_else(ApiError::not_found)?;
    if entry.is_tree() {
        let mut sizes = Vec::new();
        for child in git.tree(reach.id, &entry.oid)?.iter() {
            let size = if child.kind() == "blob" { git.read(reach.id, &child.oid)?.1.len() } else { 0 };
            sizes.push((child.clone(), size));
        }
        let look = call.site.look();
        let repository = repository_of(&look, reach.id)?;
        let render = look.render();
        let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
        let shown = sizes.iter().map(|(child, size)| {
            render.content_entry(repository, child, &format!("{folder}{}", child.name), &reference, *size)
        });
        return Ok(Answer::ok(Value::Array(shown.collect())));
    }
    let (_, bytes) = git.read(reach.id, &entry.oid)?;
    if call.accept.contains("raw") {
        return Ok(Answer {
            status: 200,
            body: Body::Raw { content_type: "application/vnd.github.raw+json; charset=utf-8", bytes: bytes.into() },
            headers: Vec::new(),
        });
    }
    let look = call.site.look();
    let mut shown = look.render().content_entry(repository_of(&look, reach.id)?, &entry, path, &reference, bytes.len());
    shown["content"] = json!(lines_of_base64(&bytes));
    shown["encoding"] = json!("base64");
    Ok(Answer::ok(shown))
}

async fn put(call: &Call, reach: &Reach, path: &str) -> Outcome {
    let content = decode_base64(call.text("content").ok_or_else(|| ApiError::missing_field("Commit", "content"))?)?;
    let blob = call.site.git.write(reach.id, Kind::Blob, &content)?;
    let (commit, existed) = commit_path(call, reach, path, Some(&blob)).await?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let branch = call.text("branch").unwrap_or(&repository.default_branch);
    let entry = crate::git::TreeEntry { mode: "100644".to_owned(), name: String::new(), oid: blob };
    let shown = look.render().content_entry(repository, &entry, path, branch, content.len());
    let commit = call.site.git.commit(reach.id, &commit)?;
    let body = json!({"content": shown, "commit": look.render().git_commit(repository, &commit)});
    Ok(Answer::json(if existed { 200 } else { 201 }, body))
}

async fn delete(call: &Call, reach: &Reach, path: &str) -> Outcome {
    call.required("Commit", "sha")?;
    let (commit, _) = commit_path(call, reach, path, None).await?;
    let look = call.site.look();
    let commit = call.site.git.commit(reach.id, &commit)?;
    Ok(Answer::ok(
        json!({"content": null, "commit": look.render().git_commit(repository_of(&look, reach.id)?, &commit)}),
    ))
}

/// Commits one file's change on a branch; returns the commit and whether the file was there.
async fn commit_path(call: &Call, reach: &Reach, path: &str, blob: Option<&str>) -> Result<(Oid, bool), ApiError> {
    let user = call.actor()?;
    let message = call.required("Commit", "message")?;
    if path.split('/').any(|part| matches!(part, "" | "." | ".." | ".git")) {
        return Err(ApiError::new(422, "path contains a malformed path component".to_owned()));
    }
    let git = &call.site.git;
    let _held = call.site.hold_refs(reach.id).await;
    let (branch, tip) = {
        let look = call.site.look();
        let repository = repository_of(&look, reach.id)?;
        let branch = call.text("branch").unwrap_or(&repository.default_branch).to_owned();
        (branch.clone(), repository.branch(&branch).cloned())
    };
    let is_empty = call.site.look().repositories.get(&reach.id).is_some_and(|repository| repository.refs.is_empty());
    if tip.is_none() && !is_empty {
        return Err(ApiError::new(404, format!("Branch {branch} not found")));
    }
    let tree = match &tip {
        Some(tip) => Some(git.commit(reach.id, tip)?.tree.clone()),
        None => None,
    };
    let known = match &tree {
        Some(tree) => git.entry_at(reach.id, tree, path)?,
        None => None,
    };
    match (&known, call.text("sha")) {
        (Some(known), Some(sha)) if known.oid != sha => {
            return Err(ApiError::new(409, format!("{path} does not match {sha}")));
        }
        (Some(_), None) => return Err(ApiError::new(422, "Invalid request.\n\n\"sha\" wasn't supplied.".to_owned())),
        (None, _) if blob.is_none() => return Err(ApiError::not_found()),
        _ => {}
    }
    let mode = known.as_ref().map_or("100644", |entry| entry.mode.as_str());
    let tree = git.with_path(reach.id, tree.as_deref(), path, blob.map(|blob| (mode, blob)))?;
    let tree = match tree {
        Some(tree) => tree,
        None => git.write_tree(reach.id, &[])?,
    };
    let committer = signature_in(call, "committer").unwrap_or_else(|| signature_of(call, user));
    let author = signature_in(call, "author").unwrap_or_else(|| committer.clone());
    let parents: Vec<&str> = tip.iter().map(String::as_str).collect();
    let commit = git.write_commit(reach.id, &tree, &parents, &author, &committer, message)?;
    if let Some(refusal) = refusal_of_push(call, reach, &format!("heads/{branch}"), Some(&commit), true) {
        return Err(ApiError { status: 409, ..refusal });
    }
    let update = RefUpdate {
        name: format!("refs/heads/{branch}"),
        old: tip.unwrap_or_else(|| ZERO_OID.to_owned()),
        new: commit.clone(),
    };
    push::move_refs(&call.site, reach.id, user, vec![update], None).await?;
    Ok((commit, known.is_some()))
}
