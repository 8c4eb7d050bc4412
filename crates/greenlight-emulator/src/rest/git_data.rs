//! Git's own objects: refs, commits, trees, blobs, tags.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, DELETE, GET, Level, Outcome, PATCH, POST, Reach, repositories::signature_of, repository_of,
};
use crate::{
    git::{Kind, RefUpdate, Signature},
    model::{At, Permission, ZERO_OID},
    push,
};

/// How many entries one answer with a whole tree has before it is cut short.
const TREE_ENTRIES_MAX: usize = 100_000;
/// How deep a tree is followed.
const TREE_DEPTH_MAX: usize = 64;

/// Answers what is below `/git`.
pub async fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    let level = if method == GET { Level::Read } else { Level::Write };
    call.allow(reach, level, "contents", "repo")?;
    match (method, rest) {
        (GET, ["git", "ref", name @ ..]) => get_ref(call, reach, &name.join("/")),
        (GET, ["git", "matching-refs", name @ ..]) => matching_refs(call, reach, &name.join("/")),
        (GET, ["git", "refs", name @ ..]) => refs_or_one(call, reach, &name.join("/")),
        (POST, ["git", "refs"]) => create_ref(call, reach).await,
        (PATCH, ["git", "refs", name @ ..]) => update_ref(call, reach, &name.join("/")).await,
        (DELETE, ["git", "refs", name @ ..]) => delete_ref(call, reach, &name.join("/")).await,
        (GET, ["git", "commits", sha]) => get_commit(call, reach, sha),
        (POST, ["git", "commits"]) => create_commit(call, reach),
        (GET, ["git", "trees", name @ ..]) => get_tree(call, reach, &name.join("/")),
        (POST, ["git", "trees"]) => create_tree(call, reach),
        (GET, ["git", "blobs", sha]) => get_blob(call, reach, sha),
        (POST, ["git", "blobs"]) => create_blob(call, reach),
        _ => Err(ApiError::not_found()),
    }
}

fn get_ref(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let full = format!("refs/{name}");
    if let Some(sha) = repository.refs.get(&full) {
        return Ok(Answer::ok(look.render().git_ref(repository, &full, sha)));
    }
    let pull = pull_ref(&look, reach.id, name).ok_or_else(ApiError::not_found)?;
    Ok(Answer::ok(look.render().git_ref(repository, &full, &pull)))
}

/// Returns what `pull/N/head` or `pull/N/merge` points at.
fn pull_ref(model: &crate::model::Model, repository: u64, name: &str) -> Option<String> {
    let (number, side) = name.strip_prefix("pull/")?.split_once('/')?;
    let pull = model.repositories.get(&repository)?.pulls.get(&number.parse().ok()?)?;
    match (side, &pull.mergeability) {
        ("head", _) => Some(pull.head.sha.clone()),
        ("merge", crate::model::pull::Mergeability::Clean { merge, .. }) => Some(merge.clone()),
        _ => None,
    }
}

fn matching_refs(call: &Call, reach: &Reach, prefix: &str) -> Outcome {
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let wanted = format!("refs/{prefix}");
    let found: Vec<_> = repository.refs.iter().filter(|(name, _)| name.starts_with(&wanted)).collect();
    Ok(call.list(found, |(name, sha)| render.git_ref(repository, name, sha)))
}

fn refs_or_one(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let exact = call
        .site
        .look()
        .repositories
        .get(&reach.id)
        .is_some_and(|repository| repository.refs.contains_key(&format!("refs/{name}")));
    if exact { get_ref(call, reach, name) } else { matching_refs(call, reach, name) }
}

async fn create_ref(call: &Call, reach: &Reach) -> Outcome {
    let user = call.actor()?;
    let name = call.required("Reference", "ref")?;
    let sha = call.required("Reference", "sha")?;
    if !is_valid_ref(name) {
        return Err(ApiError::new(422, "Reference name is not valid".to_owned()));
    }
    if call.site.git.read(reach.id, sha).is_err() {
        return Err(ApiError::new(422, "Object does not exist".to_owned()));
    }
    let _held = call.site.hold_refs(reach.id).await;
    if call.site.look().repositories.get(&reach.id).is_some_and(|repository| repository.refs.contains_key(name)) {
        return Err(ApiError::new(422, "Reference already exists".to_owned()));
    }
    let update = RefUpdate { name: name.to_owned(), old: ZERO_OID.to_owned(), new: sha.to_owned() };
    push::move_refs(&call.site, reach.id, user, vec![update], None).await?;
    let look = call.site.look();
    Ok(Answer::created(look.render().git_ref(repository_of(&look, reach.id)?, name, sha)))
}

async fn update_ref(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let user = call.actor()?;
    let sha = call.required("Reference", "sha")?;
    let force = call.flag("force").unwrap_or(false);
    let full = format!("refs/{name}");
    let _held = call.site.hold_refs(reach.id).await;
    let old = {
        let look = call.site.look();
        repository_of(&look, reach.id)?
            .refs
            .get(&full)
            .cloned()
            .ok_or_else(|| ApiError::new(422, "Reference does not exist".to_owned()))?
    };
    if call.site.git.commit(reach.id, sha).is_err() {
        return Err(ApiError::new(422, "Object does not exist".to_owned()));
    }
    let forward = call.site.git.is_ancestor(reach.id, &old, sha)?;
    if !forward && !force {
        return Err(ApiError::new(422, "Update is not a fast forward".to_owned()));
    }
    if let Some(refusal) = refusal_of_push(call, reach, name, Some(sha), forward) {
        return Err(refusal);
    }
    if old != sha {
        let update = RefUpdate { name: full.clone(), old, new: sha.to_owned() };
        push::move_refs(&call.site, reach.id, user, vec![update], None).await?;
    }
    let look = call.site.look();
    Ok(Answer::ok(look.render().git_ref(repository_of(&look, reach.id)?, &full, sha)))
}

async fn delete_ref(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let user = call.actor()?;
    let full = format!("refs/{name}");
    let _held = call.site.hold_refs(reach.id).await;
    let old = {
        let look = call.site.look();
        let repository = repository_of(&look, reach.id)?;
        if name.strip_prefix("heads/") == Some(&repository.default_branch) {
            return Err(ApiError::new(422, "Cannot delete the default branch".to_owned()));
        }
        repository.refs.get(&full).cloned().ok_or_else(|| ApiError::new(422, "Reference does not exist".to_owned()))?
    };
    if let Some(refusal) = refusal_of_push(call, reach, name, None, true) {
        return Err(refusal);
    }
    let update = RefUpdate { name: full, old, new: ZERO_OID.to_owned() };
    push::move_refs(&call.site, reach.id, user, vec![update], None).await?;
    Ok(Answer::no_content())
}

/// Returns the refusal of a protected branch, if it has one for this.
pub fn refusal_of_push(call: &Call, reach: &Reach, name: &str, sha: Option<&str>, forward: bool) -> Option<ApiError> {
    let branch = name.strip_prefix("heads/")?;
    let look = call.site.look();
    let repository = look.repositories.get(&reach.id)?;
    refusal_by_protection(repository, branch, sha, forward, reach.permission).map(|message| ApiError::new(422, message))
}

/// Returns why a protected branch does not take a direct move, in the words of GitHub's refusal.
pub fn refusal_by_protection(
    repository: &crate::model::Repository,
    branch: &str,
    sha: Option<&str>,
    forward: bool,
    permission: Permission,
) -> Option<String> {
    for protection in repository.protections(branch) {
        if sha.is_none() && !protection.allow_deletions {
            return Some("Cannot delete this branch".to_owned());
        }
        if !forward && !protection.allow_force_pushes {
            return Some("Cannot force-push to this branch".to_owned());
        }
        if permission >= Permission::Admin && !protection.enforce_admins {
            continue;
        }
        if protection.required_reviews.is_some() {
            return Some("Changes must be made through a pull request.".to_owned());
        }
        if let (Some(checks), Some(sha)) = (&protection.required_checks, sha) {
            let now = At::now();
            let passes = |context: &str| {
                repository.context_state(sha, context, now) == crate::model::requirement::ContextState::Passing
            };
            if let Some(check) = checks.checks.iter().find(|check| !passes(&check.context)) {
                return Some(format!("Required status check \"{}\" is expected.", check.context));
            }
        }
    }
    None
}

fn get_commit(call: &Call, reach: &Reach, sha: &str) -> Outcome {
    let commit = call.site.git.commit(reach.id, sha)?;
    let look = call.site.look();
    Ok(Answer::ok(look.render().git_commit(repository_of(&look, reach.id)?, &commit)))
}

fn create_commit(call: &Call, reach: &Reach) -> Outcome {
    let user = call.actor()?;
    let message = call.required("Commit", "message")?;
    let tree = call.required("Commit", "tree")?;
    call.site.git.tree(reach.id, tree).map_err(|_| ApiError::new(422, "Tree SHA does not exist".to_owned()))?;
    let parents: Vec<&str> =
        call.body["parents"].as_array().map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default();
    for parent in &parents {
        call.site
            .git
            .commit(reach.id, parent)
            .map_err(|_| ApiError::new(422, "Parent SHA does not exist or is not a commit object".to_owned()))?;
    }
    let author = signature_in(call, "author").unwrap_or_else(|| signature_of(call, user));
    let committer = signature_in(call, "committer").unwrap_or_else(|| author.clone());
    let sha = call.site.git.write_commit(reach.id, tree, &parents, &author, &committer, message)?;
    let commit = call.site.git.commit(reach.id, &sha)?;
    let look = call.site.look();
    Ok(Answer::created(look.render().git_commit(repository_of(&look, reach.id)?, &commit)))
}

/// Reads a signature out of the body.
pub fn signature_in(call: &Call, field: &str) -> Option<Signature> {
    let given = &call.body[field];
    let at = given["date"].as_str().and_then(At::parse).unwrap_or_else(At::now);
    Some(Signature::new(given["name"].as_str()?, given["email"].as_str()?, at.seconds()))
}

fn get_tree(call: &Call, reach: &Reach, name: &str) -> Outcome {
    let tree = match call.site.git.tree(reach.id, name) {
        Ok(_) => name.to_owned(),
        Err(_) => call
            .site
            .git
            .commit(reach.id, &call.resolve(reach.id, name).map_err(|_| ApiError::not_found())?)?
            .tree
            .clone(),
    };
    let recursive = call.parameter("recursive").is_some();
    let mut entries = Vec::new();
    let whole = collect(call, reach.id, &tree, "", recursive, 0, &mut entries)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let shown: Vec<Value> =
        entries.iter().map(|(path, entry, size)| render.tree_entry(repository, entry, path, *size)).collect();
    let url = render.api_of(repository, &format!("/git/trees/{tree}"));
    Ok(Answer::ok(json!({"sha": tree, "url": url, "tree": shown, "truncated": !whole})))
}

type Collected = Vec<(String, crate::git::TreeEntry, Option<usize>)>;

fn collect(
    call: &Call,
    repository: u64,
    tree: &str,
    folder: &str,
    recursive: bool,
    depth: usize,
    found: &mut Collected,
) -> Result<bool, ApiError> {
    for entry in call.site.git.tree(repository, tree)?.iter() {
        if found.len() >= TREE_ENTRIES_MAX || depth > TREE_DEPTH_MAX {
            return Ok(false);
        }
        let path = format!("{folder}{}", entry.name);
        let size = if entry.kind() == "blob" {
            call.site.git.read(repository, &entry.oid).ok().map(|(_, bytes)| bytes.len())
        } else {
            None
        };
        found.push((path.clone(), entry.clone(), size));
        if recursive
            && entry.is_tree()
            && !collect(call, repository, &entry.oid, &format!("{path}/"), true, depth + 1, found)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn create_tree(call: &Call, reach: &Reach) -> Outcome {
    let entries = call.body["tree"].as_array().ok_or_else(|| ApiError::missing_field("Tree", "tree"))?;
    let git = &call.site.git;
    let tree_of =
        |base: &str| git.commit(reach.id, base).map_or_else(|_| base.to_owned(), |commit| commit.tree.clone());
    let mut tree = call.text("base_tree").map(tree_of);
    for entry in entries {
        let path = entry["path"].as_str().ok_or_else(|| ApiError::missing_field("Tree", "path"))?;
        let mode = entry["mode"].as_str().unwrap_or("100644").trim_start_matches('0');
        let oid = match (entry["sha"].as_str(), entry["content"].as_str()) {
            (Some(sha), _) => Some(sha.to_owned()),
            (None, Some(content)) => Some(git.write(reach.id, Kind::Blob, content.as_bytes())?),
            (None, None) => None,
        };
        tree = git.with_path(reach.id, tree.as_deref(), path, oid.as_deref().map(|oid| (mode, oid)))?;
    }
    let tree = match tree {
        Some(tree) => tree,
        None => git.write_tree(reach.id, &[])?,
    };
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let shown: Vec<Value> = git
        .tree(reach.id, &tree)?
        .iter()
        .map(|entry| render.tree_entry(repository, entry, &entry.name, None))
        .collect();
    let url = render.api_of(repository, &format!("/git/trees/{tree}"));
    Ok(Answer::created(json!({"sha": tree, "url": url, "tree": shown, "truncated": false})))
}

fn get_blob(call: &Call, reach: &Reach, sha: &str) -> Outcome {
    let (kind, bytes) = call.site.git.read(reach.id, sha)?;
    if kind != Kind::Blob {
        return Err(ApiError::not_found());
    }
    if call.accept.contains("raw") {
        return Ok(Answer {
            status: 200,
            body: super::Body::Raw { content_type: "application/vnd.github.raw", bytes: bytes.into() },
            headers: Vec::new(),
        });
    }
    let look = call.site.look();
    let url = look.render().api_of(repository_of(&look, reach.id)?, &format!("/git/blobs/{sha}"));
    let node_id = crate::render::node_id("Blob", sha);
    Ok(Answer::ok(
        json!({"sha": sha, "node_id": node_id, "size": bytes.len(), "url": url, "content": lines_of_base64(&bytes), "encoding": "base64"}),
    ))
}

fn create_blob(call: &Call, reach: &Reach) -> Outcome {
    let content = call.text("content").ok_or_else(|| ApiError::missing_field("Blob", "content"))?;
    let bytes =
        if call.text("encoding") == Some("base64") { decode_base64(content)? } else { content.as_bytes().to_vec() };
    let sha = call.site.git.write(reach.id, Kind::Blob, &bytes)?;
    let look = call.site.look();
    let url = look.render().api_of(repository_of(&look, reach.id)?, &format!("/git/blobs/{sha}"));
    Ok(Answer::created(json!({"url": url, "sha": sha})))
}

/// Reads base64 that may be broken into lines.
pub fn decode_base64(text: &str) -> Result<Vec<u8>, ApiError> {
    let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    STANDARD.decode(compact).map_err(|_| ApiError::new(422, "content is not valid Base64".to_owned()))
}

/// Writes base64 in lines of 60, as GitHub does.
pub fn lines_of_base64(bytes: &[u8]) -> String {
    let encoded = STANDARD.encode(bytes);
    let mut lines = String::with_capacity(encoded.len() + encoded.len() / 60 + 1);
    for chunk in encoded.as_bytes().chunks(60) {
        lines.push_str(&String::from_utf8_lossy(chunk));
        lines.push('\n');
    }
    lines
}

/// Answers whether git would take this as the full name of a branch or tag.
pub fn is_valid_ref(name: &str) -> bool {
    let Some(short) = name.strip_prefix("refs/").and_then(|rest| rest.split_once('/')).map(|(_, short)| short) else {
        return false;
    };
    let forbidden = |character: char| character.is_control() || " ~^:?*[\\".contains(character);
    let known = name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
    let parts_fine =
        short.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock"));
    known
        && parts_fine
        && !short.contains("..")
        && !short.contains("@{")
        && !short.ends_with('.')
        && !short.contains(forbidden)
        && short != "@"
}
