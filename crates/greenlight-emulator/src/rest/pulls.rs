//! Pull requests: opening, looking, changing, merging.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, GET, Level, Outcome, PATCH, POST, PUT, Reach, history::as_text, number,
    repositories::signature_of, repository_mut, repository_of,
};
use crate::{
    git::{Merged, RefUpdate},
    merging::{self, Method, Refusal, Wish},
    model::{
        At, Model, Oid, Repository,
        pull::{Mergeability, Pull, PullEnd, PullState},
    },
    push::{announce_pull, close, move_refs, pull_size},
};

/// How many files a pull request lists.
const FILES_MAX: usize = 3_000;

/// Answers what is below `/pulls`, apart from reviews.
pub async fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (GET, ["pulls"]) => list(call, reach),
        (POST, ["pulls"]) => create(call, reach).await,
        (GET, ["pulls", "comments"] | ["pulls", _, "comments"]) => Ok(call.list(Vec::<()>::new(), |()| Value::Null)),
        (GET, ["pulls", id]) => get(call, reach, number(id)?).await,
        (PATCH, ["pulls", id]) => update(call, reach, number(id)?).await,
        (GET, ["pulls", id, "commits"]) => commits(call, reach, number(id)?),
        (GET, ["pulls", id, "files"]) => files(call, reach, number(id)?).await,
        (GET, ["pulls", id, "merge"]) => is_merged(call, reach, number(id)?),
        (PUT, ["pulls", id, "merge"]) => merge(call, reach, number(id)?).await,
        (PUT, ["pulls", id, "update-branch"]) => update_branch(call, reach, number(id)?).await,
        // GraphQL's way of leaving and entering draft; a page's buttons need it too.
        (POST, ["pulls", id, "ready_for_review"]) => set_draft(call, reach, number(id)?, false),
        (POST, ["pulls", id, "convert_to_draft"]) => set_draft(call, reach, number(id)?, true),
        _ => Err(ApiError::not_found()),
    }
}

/// Finds a pull request.
pub fn pull_of(repository: &Repository, number: u64) -> Result<&Pull, ApiError> {
    repository.pulls.get(&number).ok_or_else(ApiError::not_found)
}

fn list(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let state = call.parameter("state").unwrap_or("open");
    let head_label = |pull: &Pull| {
        let owner = pull
            .head
            .repository
            .and_then(|id| look.repositories.get(&id))
            .map_or("unknown", |known| look.login(known.owner));
        format!("{owner}:{}", pull.head.branch)
    };
    let wanted = |pull: &&Pull| {
        (state == "all" || (state == "open") == pull.is_open())
            && call.parameter("base").is_none_or(|base| pull.base.branch == base)
            && call.parameter("head").is_none_or(|head| head_label(pull).eq_ignore_ascii_case(head))
    };
    let mut pulls: Vec<&Pull> = repository.pulls.values().filter(wanted).collect();
    let by_update = call.parameter("sort") == Some("updated");
    pulls.sort_by_key(|pull| (if by_update { pull.updated_at } else { pull.created_at }, pull.number));
    let ascending = call
        .parameter("direction")
        .map_or(call.parameter("sort").is_some() && !by_update, |direction| direction == "asc");
    if !ascending {
        pulls.reverse();
    }
    let render = look.render();
    Ok(call.list(pulls, |pull| render.simple_pull(repository, pull)))
}

/// What a new pull request joins.
struct Ends {
    head: PullEnd,
    base: PullEnd,
}

async fn create(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    let author = call.actor()?;
    let title = call.required("PullRequest", "title")?.to_owned();
    let ends = find_ends(call, reach)?;
    if call.site.git.commits_ahead(reach.id, &ends.base.sha, &ends.head.sha)?.is_empty() {
        return Err(ApiError::custom(
            "PullRequest",
            &format!("No commits between {} and {}", ends.base.branch, ends.head.branch),
        ));
    }
    let size = pull_size(&call.site, reach.id, &ends.base.sha, &ends.head.sha).await?;
    let now = At::now();
    let number = {
        let mut change = call.site.change();
        let id = change.next_id();
        let repository = repository_mut(&mut change, reach.id)?;
        repository.last_number += 1;
        let number = repository.last_number;
        call.site.git.force_ref(reach.id, &format!("refs/pull/{number}/head"), &ends.head.sha)?;
        let pull = Pull {
            id,
            number,
            title,
            body: call.text("body").map(str::to_owned),
            author,
            draft: call.flag("draft").unwrap_or(false),
            state: PullState::Open,
            head: ends.head,
            base: ends.base,
            created_at: now,
            updated_at: now,
            mergeability: Mergeability::Unknown,
            size,
            labels: Vec::new(),
            assignees: Vec::new(),
            requested_reviewers: Vec::new(),
            requested_teams: Vec::new(),
            reviews: Vec::new(),
            maintainer_can_modify: call.flag("maintainer_can_modify").unwrap_or(true),
        };
        repository.pulls.insert(number, pull);
        announce_pull(&mut change, reach.id, number, "opened", author, json!({}));
        number
    };
    merging::schedule_test_merge(&call.site, reach.id, number);
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    Ok(Answer::created(look.render().pull(repository, pull_of(repository, number)?)))
}

fn find_ends(call: &Call, reach: &Reach) -> Result<Ends, ApiError> {
    let head_name = call.required("PullRequest", "head")?;
    let base_name = call.required("PullRequest", "base")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let invalid = |field: &str| ApiError::invalid("PullRequest", field, "invalid", None);
    let base_sha = repository.branch(base_name).cloned().ok_or_else(|| invalid("base"))?;
    let (head_repository, branch) = match head_name.split_once(':') {
        Some((owner, branch)) => {
            (head_in_network(&look, repository, owner, call.text("head_repo")).ok_or_else(|| invalid("head"))?, branch)
        }
        None => (repository, head_name),
    };
    let head_sha = head_repository.branch(branch).cloned().ok_or_else(|| invalid("head"))?;
    let is_same = |pull: &&Pull| {
        pull.is_open()
            && pull.head.repository == Some(head_repository.id)
            && pull.head.branch == branch
            && pull.base.branch == base_name
    };
    if repository.pulls.values().any(|pull| is_same(&pull)) {
        let label = format!("{}:{branch}", look.login(head_repository.owner));
        return Err(ApiError::custom("PullRequest", &format!("A pull request already exists for {label}.")));
    }
    Ok(Ends {
        head: PullEnd { repository: Some(head_repository.id), branch: branch.to_owned(), sha: head_sha },
        base: PullEnd { repository: Some(repository.id), branch: base_name.to_owned(), sha: base_sha },
    })
}

/// Finds the repository of `owner` among a repository and its relatives.
fn head_in_network<'m>(
    model: &'m Model,
    repository: &'m Repository,
    owner: &str,
    name: Option<&str>,
) -> Option<&'m Repository> {
    let root = repository.parent.unwrap_or(repository.id);
    let related = |known: &&Repository| {
        known.id == repository.id
            || known.id == root
            || known.parent == Some(root)
            || known.parent == Some(repository.id)
    };
    let owned = |known: &&Repository| {
        model.login(known.owner).eq_ignore_ascii_case(owner) && name.is_none_or(|name| known.name == name)
    };
    model.repositories.values().filter(related).find(owned)
}

async fn get(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    pull_of(repository_of(&call.site.look(), reach.id)?, number)?;
    if !call.site.lags() {
        merging::test_merge(&call.site, reach.id, number).await?;
    } else if is_unknown(call, reach, number) {
        merging::schedule_test_merge(&call.site, reach.id, number);
    }
    if call.accept.contains("diff") || call.accept.contains("patch") {
        let files = changes(call, reach, number).await?.1;
        return as_text(call, &files).ok_or_else(ApiError::not_found);
    }
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    Ok(Answer::ok(look.render().pull(repository, pull_of(repository, number)?)))
}

fn is_unknown(call: &Call, reach: &Reach, number: u64) -> bool {
    let look = call.site.look();
    let pull = look.repositories.get(&reach.id).and_then(|repository| repository.pulls.get(&number));
    pull.is_some_and(|pull| pull.is_open() && pull.mergeability == Mergeability::Unknown)
}

async fn update(call: &Call, reach: &Reach, number: u64) -> Outcome {
    let author = pull_of(repository_of(&call.site.look(), reach.id)?, number)?.author;
    let sender = call.actor()?;
    if sender != author {
        call.allow(reach, Level::Write, "pull_requests", "repo")?;
    }
    let new_base = match call.text("base") {
        Some(base) => {
            let (tip, head) = {
                let look = call.site.look();
                let repository = repository_of(&look, reach.id)?;
                let tip = repository
                    .branch(base)
                    .cloned()
                    .ok_or_else(|| ApiError::invalid("PullRequest", "base", "invalid", None))?;
                (tip, pull_of(repository, number)?.head.sha.clone())
            };
            let size = pull_size(&call.site, reach.id, &tip, &head).await?;
            Some((base.to_owned(), tip, size))
        }
        None => None,
    };
    let reopens = call.text("state") == Some("open");
    {
        let mut change = call.site.change();
        let repository = repository_mut(&mut change, reach.id)?;
        let pull = repository.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
        let mut changes = json!({});
        if let Some(title) = call.text("title").filter(|title| *title != pull.title) {
            changes["title"] = json!({"from": pull.title});
            pull.title = title.to_owned();
        }
        if let Some(body) = call.text("body").filter(|body| Some(*body) != pull.body.as_deref()) {
            changes["body"] = json!({"from": pull.body});
            pull.body = Some(body.to_owned());
        }
        if let Some((branch, tip, size)) = new_base.filter(|(branch, ..)| *branch != pull.base.branch) {
            changes["base"] = json!({"ref": {"from": pull.base.branch}, "sha": {"from": pull.base.sha}});
            pull.base.branch = branch;
            pull.base.sha = tip;
            pull.size = size;
            pull.mergeability = Mergeability::Unknown;
        }
        pull.updated_at = At::now();
        let is_open = pull.is_open();
        let is_merged = matches!(pull.state, PullState::Merged { .. });
        if changes != json!({}) {
            announce_pull(&mut change, reach.id, number, "edited", sender, json!({"changes": changes}));
        }
        match call.text("state") {
            Some("closed") if is_open => close(&mut change, reach.id, number, sender),
            Some("open") if is_merged => {
                return Err(ApiError::invalid(
                    "PullRequest",
                    "state",
                    "invalid",
                    Some("state cannot be changed. The pull request is already merged."),
                ));
            }
            Some("open") if !is_open => reopen(&mut change, call, reach, number, sender)?,
            _ => {}
        }
    }
    if reopens || call.text("base").is_some() {
        merging::schedule_test_merge(&call.site, reach.id, number);
    }
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    Ok(Answer::ok(look.render().pull(repository, pull_of(repository, number)?)))
}

fn reopen(
    change: &mut crate::site::Change<'_>,
    call: &Call,
    reach: &Reach,
    number: u64,
    sender: u64,
) -> Result<(), ApiError> {
    let pull = pull_of(repository_of(change, reach.id)?, number)?;
    let tip = pull
        .head
        .repository
        .and_then(|id| change.repositories.get(&id))
        .and_then(|head| head.branch(&pull.head.branch).cloned());
    let tip = tip.ok_or_else(|| {
        ApiError::invalid(
            "PullRequest",
            "state",
            "invalid",
            Some("state cannot be changed. The head branch has been deleted."),
        )
    })?;
    call.site.git.force_ref(reach.id, &format!("refs/pull/{number}/head"), &tip)?;
    let pull = repository_mut(change, reach.id)?.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
    pull.state = PullState::Open;
    pull.head.sha = tip;
    pull.mergeability = Mergeability::Unknown;
    announce_pull(change, reach.id, number, "reopened", sender, json!({}));
    Ok(())
}

fn set_draft(call: &Call, reach: &Reach, number: u64, draft: bool) -> Outcome {
    call.allow(reach, Level::Write, "pull_requests", "repo")?;
    let sender = call.actor()?;
    let mut change = call.site.change();
    let pull = repository_mut(&mut change, reach.id)?.pulls.get_mut(&number).ok_or_else(ApiError::not_found)?;
    if pull.draft != draft {
        pull.draft = draft;
        pull.updated_at = At::now();
        let action = if draft { "converted_to_draft" } else { "ready_for_review" };
        announce_pull(&mut change, reach.id, number, action, sender, json!({}));
    }
    let repository = repository_of(&change, reach.id)?;
    Ok(Answer::ok(change.render().pull(repository, pull_of(repository, number)?)))
}

fn commits(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    let (base, head) = shas(call, reach, number)?;
    let commits = call.site.git.commits_ahead(reach.id, &base, &head)?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.list(commits, |commit| render.known_commit(repository, &commit)))
}

fn shas(call: &Call, reach: &Reach, number: u64) -> Result<(Oid, Oid), ApiError> {
    let look = call.site.look();
    let pull = pull_of(repository_of(&look, reach.id)?, number)?;
    Ok((pull.base.sha.clone(), pull.head.sha.clone()))
}

async fn changes(
    call: &Call,
    reach: &Reach,
    number: u64,
) -> Result<(Oid, std::sync::Arc<Vec<crate::git::FileChange>>), ApiError> {
    let (base, head) = shas(call, reach, number)?;
    let merge_base = call.site.git.merge_base(reach.id, &base, &head)?;
    Ok((head.clone(), call.site.git.diff(reach.id, merge_base.as_deref(), &head).await?))
}

async fn files(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Read, "pull_requests", "repo")?;
    let (head, files) = changes(call, reach, number).await?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    Ok(call.list(files.iter().take(FILES_MAX).collect(), |file| render.file_change(repository, file, &head)))
}

fn is_merged(call: &Call, reach: &Reach, number: u64) -> Outcome {
    let look = call.site.look();
    let pull = pull_of(repository_of(&look, reach.id)?, number)?;
    if matches!(pull.state, PullState::Merged { .. }) { Ok(Answer::no_content()) } else { Err(ApiError::not_found()) }
}

async fn merge(call: &Call, reach: &Reach, number: u64) -> Outcome {
    call.allow(reach, Level::Write, "contents", "repo")?;
    let by = call.actor()?;
    let word = call.text("merge_method").unwrap_or("merge");
    let method =
        Method::parse(word).ok_or_else(|| ApiError::invalid("PullRequest", "merge_method", "invalid", None))?;
    let text = |name: &str| call.text(name).map(str::to_owned);
    let wish = Wish { method, sha: text("sha"), title: text("commit_title"), message: text("commit_message"), by };
    match merging::land(&call.site, reach.id, number, &wish).await {
        Ok(sha) => Ok(Answer::ok(json!({"sha": sha, "merged": true, "message": "Pull Request successfully merged"}))),
        Err(Refusal::NoPull) => Err(ApiError::not_found()),
        Err(Refusal::NotAllowed(message)) => Err(ApiError::new(405, message)),
        Err(Refusal::Conflict(message)) => Err(ApiError::new(409, message)),
        Err(Refusal::Broken(error)) => Err(error.into()),
    }
}

async fn update_branch(call: &Call, reach: &Reach, number: u64) -> Outcome {
    let user = call.actor()?;
    let (base, head, head_repository, base_branch, head_branch) = {
        let look = call.site.look();
        let repository = repository_of(&look, reach.id)?;
        let pull = pull_of(repository, number)?;
        let base = repository.branch(&pull.base.branch).cloned().ok_or_else(ApiError::not_found)?;
        let head_repository = pull.head.repository.ok_or_else(ApiError::not_found)?;
        (base, pull.head.sha.clone(), head_repository, pull.base.branch.clone(), pull.head.branch.clone())
    };
    let writes_head = {
        let look = call.site.look();
        look.repositories.get(&head_repository).map(|known| super::auth::permission_of(&look, &call.caller, known))
    };
    if writes_head.is_none_or(|permission| permission < crate::model::Permission::Write) {
        call.allow(reach, Level::Write, "pull_requests", "repo")?;
    }
    if call.text("expected_head_sha").is_some_and(|expected| expected != head) {
        return Err(ApiError::new(422, "expected_head_sha does not match the pull request's head".to_owned()));
    }
    let _held = call.site.hold_refs(head_repository).await;
    if call.site.git.is_ancestor(reach.id, &base, &head)? {
        return Err(ApiError::new(422, "There are no new commits on the base branch.".to_owned()));
    }
    let Merged::Clean(tree) = call.site.git.merge_trees(reach.id, &head, &base).await? else {
        return Err(ApiError::new(422, "merge conflict between base and head".to_owned()));
    };
    let message = format!("Merge branch '{base_branch}' into {head_branch}");
    let commit = call.site.git.write_commit(
        reach.id,
        &tree,
        &[&head, &base],
        &signature_of(call, user),
        &merging::web_flow(),
        &message,
    )?;
    let update = RefUpdate { name: format!("refs/heads/{head_branch}"), old: head, new: commit };
    move_refs(&call.site, head_repository, user, vec![update], None).await?;
    let look = call.site.look();
    let url = look.render().api_of(repository_of(&look, reach.id)?, &format!("/pulls/{number}"));
    Ok(Answer::json(202, json!({"message": "Updating pull request branch.", "url": url})))
}

/// Answers `POST /merges`: merges one branch into another.
pub async fn merge_branches(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Write, "contents", "repo")?;
    let user = call.actor()?;
    let base_name = call.required("Merge", "base")?;
    let head_name = call.required("Merge", "head")?;
    let head = call.resolve(reach.id, head_name).map_err(|_| ApiError::new(404, "Head does not exist".to_owned()))?;
    let message =
        call.text("commit_message").map_or_else(|| format!("Merge {head_name} into {base_name}"), str::to_owned);
    match merge_into(call, reach.id, base_name, &head, &message, user).await? {
        MergeOutcome::NoBase => Err(ApiError::new(404, "Base does not exist".to_owned())),
        MergeOutcome::NothingNew => Ok(Answer::no_content()),
        MergeOutcome::Conflict => Err(ApiError::new(409, "Merge conflict".to_owned())),
        MergeOutcome::Done(sha) => {
            let look = call.site.look();
            Ok(Answer::created(look.render().commit(repository_of(&look, reach.id)?, &sha)))
        }
    }
}

/// What came of merging into a branch.
pub enum MergeOutcome {
    NoBase,
    NothingNew,
    Conflict,
    Done(Oid),
}

/// Merges a commit into a branch.
pub async fn merge_into(
    call: &Call,
    repository: u64,
    branch: &str,
    head: &str,
    message: &str,
    user: u64,
) -> Result<MergeOutcome, ApiError> {
    let _held = call.site.hold_refs(repository).await;
    let Some(tip) = repository_of(&call.site.look(), repository)?.branch(branch).cloned() else {
        return Ok(MergeOutcome::NoBase);
    };
    if call.site.git.is_ancestor(repository, head, &tip)? {
        return Ok(MergeOutcome::NothingNew);
    }
    let Merged::Clean(tree) = call.site.git.merge_trees(repository, &tip, head).await? else {
        return Ok(MergeOutcome::Conflict);
    };
    let commit = call.site.git.write_commit(
        repository,
        &tree,
        &[&tip, head],
        &signature_of(call, user),
        &merging::web_flow(),
        message,
    )?;
    let update = RefUpdate { name: format!("refs/heads/{branch}"), old: tip, new: commit.clone() };
    move_refs(&call.site, repository, user, vec![update], None).await?;
    Ok(MergeOutcome::Done(commit))
}
