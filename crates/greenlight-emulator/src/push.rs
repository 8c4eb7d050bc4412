//! What follows from refs that moved, whoever moved them: events, check suites, pull requests that grow, close or need a new test merge.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value, json};

use crate::{
    feed,
    git::{Commit, GitError, RefUpdate},
    merging,
    model::{
        At, Oid, Repository, ZERO_OID,
        activity::{self, Activity, ActivityKind},
        check::CheckSuite,
        pull::{Mergeability, PullSize, PullState, ReviewState},
    },
    render::{Render, event::fields},
    site::{Change, Site},
};

/// How many commits a push event lists.
const PUSH_COMMITS_MAX: usize = 2_048;

/// By which door a ref was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    Git,
    Api,
}

/// A pull request that the move itself merges.
#[derive(Clone, Debug)]
pub struct Landing {
    pub number: u64,
    pub sha: Oid,
}

/// One move, with what its event needs from history.
struct Move {
    update: RefUpdate,
    commits: Vec<Arc<Commit>>,
    forced: bool,
}

/// A pull request whose head moved.
struct Growth {
    repository: u64,
    number: u64,
    size: PullSize,
    head: Oid,
    base: Oid,
}

/// Moves refs in git, and lets everything follow. The caller holds the repository's refs.
pub async fn move_refs(
    site: &Arc<Site>,
    repository: u64,
    pusher: u64,
    updates: Vec<RefUpdate>,
    landing: Option<Landing>,
) -> Result<(), GitError> {
    site.git.update_refs(repository, &updates).await?;
    refs_moved(site, repository, pusher, updates, landing, Door::Api).await
}

/// Lets everything follow from refs that git has moved already. The caller holds the repository's refs.
pub async fn refs_moved(
    site: &Arc<Site>,
    repository: u64,
    pusher: u64,
    updates: Vec<RefUpdate>,
    landing: Option<Landing>,
    door: Door,
) -> Result<(), GitError> {
    let moves = prepare(site, repository, updates)?;
    let growths = growths(site, repository, &moves).await?;
    let merged = merged_by(site, repository, &moves, landing.as_ref())?;
    {
        let mut change = site.change();
        for moved in &moves {
            keep_activity(&mut change, repository, pusher, moved, landing.as_ref());
            announce_move(&mut change, site, repository, pusher, moved, door);
        }
        for growth in &growths {
            grow(&mut change, site, growth, pusher);
        }
        for moved in moves.iter().filter(|moved| moved.update.new == ZERO_OID) {
            close_orphans(&mut change, repository, pusher, &moved.update.name);
        }
        for landing in landing.iter().chain(&merged) {
            mark_merged(&mut change, repository, pusher, landing);
        }
        stale_bases(&mut change, repository, &moves);
    }
    for growth in growths {
        merging::schedule_test_merge(site, growth.repository, growth.number);
    }
    Ok(())
}

/// Measures a pull request.
pub async fn pull_size(site: &Site, repository: u64, base: &str, head: &str) -> Result<PullSize, GitError> {
    let merge_base = site.git.merge_base(repository, base, head)?;
    let commits = site.git.commits_ahead(repository, base, head)?.len();
    let files = site.git.diff(repository, merge_base.as_deref(), head).await?;
    Ok(PullSize {
        commits,
        additions: files.iter().map(|file| file.additions).sum(),
        deletions: files.iter().map(|file| file.deletions).sum(),
        changed_files: files.len(),
    })
}

fn prepare(site: &Site, repository: u64, updates: Vec<RefUpdate>) -> Result<Vec<Move>, GitError> {
    let default_tip = {
        let look = site.look();
        look.repositories.get(&repository).and_then(|known| known.branch(&known.default_branch).cloned())
    };
    let mut moves = Vec::new();
    for update in updates {
        let known = if update.old == ZERO_OID { default_tip.clone().unwrap_or_default() } else { update.old.clone() };
        let (mut commits, forced) = if update.new == ZERO_OID || update.name.starts_with("refs/tags/") {
            (Vec::new(), false)
        } else {
            let forced = update.old != ZERO_OID && !site.git.is_ancestor(repository, &update.old, &update.new)?;
            // A new branch has of its own what the default branch lacks.
            let known = if known == update.new {
                HashSet::from([known])
            } else if known.is_empty() {
                HashSet::new()
            } else {
                site.git.ancestors(repository, &known)?
            };
            (site.git.commits_beyond(repository, &known, &update.new)?, forced)
        };
        if commits.len() > PUSH_COMMITS_MAX {
            commits.drain(..commits.len() - PUSH_COMMITS_MAX);
        }
        for commit in &commits {
            // Reads what the event needs now, so that nothing is read while the model is locked.
            site.git.changed_by(repository, commit)?;
        }
        moves.push(Move { update, commits, forced });
    }
    Ok(moves)
}

/// Measures the pull requests whose heads moved, before anything is locked.
async fn growths(site: &Site, repository: u64, moves: &[Move]) -> Result<Vec<Growth>, GitError> {
    let mut wanted = Vec::new();
    {
        let look = site.look();
        for moved in moves.iter().filter(|moved| moved.update.new != ZERO_OID) {
            let Some(branch) = moved.update.name.strip_prefix("refs/heads/") else { continue };
            for (base_repository, number) in look.pulls_with_head(repository, branch) {
                let Some(base) = look.repositories.get(&base_repository) else { continue };
                let Some(pull) = base.pulls.get(&number) else { continue };
                // A base in the same push has moved as well by the time that this is read.
                let same_push = moves.iter().find(|other| {
                    base_repository == repository && other.update.name == format!("refs/heads/{}", pull.base.branch)
                });
                let tip =
                    same_push.map(|other| other.update.new.clone()).or_else(|| base.branch(&pull.base.branch).cloned());
                wanted.push((
                    base_repository,
                    number,
                    tip.unwrap_or_else(|| pull.base.sha.clone()),
                    moved.update.new.clone(),
                ));
            }
        }
    }
    let mut growths = Vec::new();
    for (repository, number, base, head) in wanted {
        let size = pull_size(site, repository, &base, &head).await?;
        growths.push(Growth { repository, number, size, head, base });
    }
    Ok(growths)
}

/// Finds the pull requests that the new tips contain, and which are merged by that.
fn merged_by(
    site: &Site,
    repository: u64,
    moves: &[Move],
    landing: Option<&Landing>,
) -> Result<Vec<Landing>, GitError> {
    let mut candidates = Vec::new();
    {
        let look = site.look();
        let Some(known) = look.repositories.get(&repository) else { return Ok(Vec::new()) };
        for moved in moves.iter().filter(|moved| moved.update.new != ZERO_OID) {
            let Some(branch) = moved.update.name.strip_prefix("refs/heads/") else { continue };
            let into = known.pulls.values().filter(|pull| pull.is_open() && pull.base.branch == branch);
            let others = into.filter(|pull| landing.is_none_or(|landing| landing.number != pull.number));
            candidates.extend(
                others.map(|pull| {
                    (pull.number, pull.head.sha.clone(), moved.update.old.clone(), moved.update.new.clone())
                }),
            );
        }
    }
    let mut merged = Vec::new();
    for (number, head, old, new) in candidates {
        let was_in = old != ZERO_OID && site.git.is_ancestor(repository, &head, &old)?;
        if !was_in && site.git.is_ancestor(repository, &head, &new)? {
            merged.push(Landing { number, sha: new });
        }
    }
    Ok(merged)
}

/// Writes down how a branch moved.
fn keep_activity(change: &mut Change<'_>, repository: u64, actor: u64, moved: &Move, landing: Option<&Landing>) {
    let RefUpdate { name, old, new } = &moved.update;
    if !name.starts_with("refs/heads/") {
        return;
    }
    let kind = if old == ZERO_OID {
        ActivityKind::BranchCreation
    } else if new == ZERO_OID {
        ActivityKind::BranchDeletion
    } else if landing.is_some_and(|landing| landing.sha == *new) {
        ActivityKind::PrMerge
    } else if moved.forced {
        ActivityKind::ForcePush
    } else {
        ActivityKind::Push
    };
    let id = change.next_id();
    let Some(known) = change.repositories.get_mut(&repository) else { return };
    let (name, before, after) = (name.clone(), old.clone(), new.clone());
    activity::keep(&mut known.activities, Activity { id, name, before, after, at: At::now(), kind, actor });
}

fn announce_move(change: &mut Change<'_>, site: &Site, repository: u64, pusher: u64, moved: &Move, door: Door) {
    let RefUpdate { name, old, new } = &moved.update;
    let Some(known) = change.repositories.get_mut(&repository) else { return };
    if new == ZERO_OID {
        known.refs.remove(name);
    } else {
        known.refs.insert(name.clone(), new.clone());
    }
    known.pushed_at = At::now();
    let full_name = change.repositories.get(&repository).map(|known| change.full_name(known)).unwrap_or_default();
    site.feed.add(
        feed::Kind::Push,
        json!({
            "repository": full_name,
            "ref": name,
            "before": old,
            "after": new,
            "forced": moved.forced,
            "commits": moved.commits.len(),
            "login": change.login(pusher),
            "by": if door == Door::Git { "git" } else { "api" },
        }),
    );
    if old == ZERO_OID {
        change.announce(repository, "create", None, pusher, |render| ref_event(render, repository, name, true));
    }
    if new == ZERO_OID {
        change.announce(repository, "delete", None, pusher, |render| ref_event(render, repository, name, false));
    }
    change.announce(repository, "push", None, pusher, |render| push_event(render, repository, pusher, moved));
    if new != ZERO_OID && name.starts_with("refs/heads/") {
        request_checks(change, repository, pusher, &moved.update);
    }
}

fn ref_event(render: &Render<'_>, repository: u64, name: &str, created: bool) -> Map<String, Value> {
    let (kind, short) = match name.strip_prefix("refs/tags/") {
        Some(tag) => ("tag", tag),
        None => ("branch", name.strip_prefix("refs/heads/").unwrap_or(name)),
    };
    let known = render.model.repositories.get(&repository);
    if created {
        let default_branch = known.map(|known| known.default_branch.as_str());
        let description = known.and_then(|known| known.description.as_deref());
        fields(
            json!({"ref": short, "ref_type": kind, "full_ref": name, "master_branch": default_branch, "description": description, "pusher_type": "user"}),
        )
    } else {
        fields(json!({"ref": short, "ref_type": kind, "full_ref": name, "pusher_type": "user"}))
    }
}

fn push_event(render: &Render<'_>, repository: u64, pusher: u64, moved: &Move) -> Map<String, Value> {
    let RefUpdate { name, old, new } = &moved.update;
    let Some(known) = render.model.repositories.get(&repository) else { return Map::new() };
    let compare = match (old.as_str(), new.as_str()) {
        (ZERO_OID, new) => format!("/commit/{}", &new[..12.min(new.len())]),
        (old, ZERO_OID) => format!("/compare/{}...000000000000", &old[..12.min(old.len())]),
        (old, new) => format!("/compare/{}...{}", &old[..12.min(old.len())], &new[..12.min(new.len())]),
    };
    let commits: Vec<Value> = moved.commits.iter().map(|commit| render.push_commit(known, commit, true)).collect();
    let head = (new != ZERO_OID)
        .then(|| render.site.git.commit(repository, new).ok().map(|commit| render.push_commit(known, &commit, true)));
    let pusher =
        render.model.accounts.get(&pusher).map(|account| json!({"name": account.login, "email": account.email}));
    fields(json!({
        "ref": name,
        "before": old,
        "after": new,
        "base_ref": null,
        "pusher": pusher,
        "created": old == ZERO_OID,
        "deleted": new == ZERO_OID,
        "forced": moved.forced,
        "compare": render.web_of(known, &compare),
        "commits": commits,
        "head_commit": head.flatten(),
    }))
}

/// Makes a check suite for each App that writes checks, and asks it to begin.
fn request_checks(change: &mut Change<'_>, repository: u64, pusher: u64, update: &RefUpdate) {
    let Some(known) = change.repositories.get(&repository) else { return };
    let writes_checks =
        |app: &&crate::model::App| app.may("checks", "write") && change.installation_of(app.id, known).is_some();
    let apps: Vec<u64> = change.apps.values().filter(writes_checks).map(|app| app.id).collect();
    for app in apps {
        let branch = update.name.strip_prefix("refs/heads/").map(str::to_owned);
        let suite = suite_for(change, repository, app, &update.new, branch, Some(update.old.clone()));
        change.announce_to_app(repository, app, "check_suite", "requested", pusher, |render| {
            suite_event(render, repository, suite)
        });
    }
}

/// Returns the suite of an App on a commit, made where there is none.
pub fn suite_for(
    change: &mut Change<'_>,
    repository: u64,
    app: u64,
    sha: &str,
    branch: Option<String>,
    before: Option<Oid>,
) -> u64 {
    let known = change.repositories.get(&repository);
    if let Some(suite) =
        known.and_then(|known| known.check_suites.values().find(|suite| suite.app == app && suite.head_sha == sha))
    {
        return suite.id;
    }
    let id = change.next_id();
    let now = At::now();
    if let Some(known) = change.repositories.get_mut(&repository) {
        let suite = CheckSuite {
            id,
            app,
            head_sha: sha.to_owned(),
            head_branch: branch,
            before,
            created_at: now,
            updated_at: now,
        };
        known.check_suites.insert(id, suite);
    }
    id
}

/// Writes the fields of `check_suite`.
pub fn suite_event(render: &Render<'_>, repository: u64, suite: u64) -> Map<String, Value> {
    let known: Option<&Repository> = render.model.repositories.get(&repository);
    let shown = known.and_then(|known| known.check_suites.get(&suite).map(|suite| render.check_suite(known, suite)));
    fields(json!({"check_suite": shown}))
}

fn grow(change: &mut Change<'_>, site: &Site, growth: &Growth, pusher: u64) {
    let Some(known) = change.repositories.get_mut(&growth.repository) else { return };
    let Some(pull) = known.pulls.get_mut(&growth.number) else { return };
    let before = std::mem::replace(&mut pull.head.sha, growth.head.clone());
    if before == growth.head {
        return;
    }
    pull.base.sha.clone_from(&growth.base);
    pull.size = growth.size;
    pull.updated_at = At::now();
    pull.mergeability = Mergeability::Unknown;
    let base_branch = pull.base.branch.clone();
    let dismisses = known
        .protections(&base_branch)
        .iter()
        .any(|protection| protection.required_reviews.as_ref().is_some_and(|reviews| reviews.dismiss_stale));
    let mut dismissed = Vec::new();
    if let Some(pull) = known.pulls.get_mut(&growth.number).filter(|_| dismisses) {
        for review in pull.reviews.iter_mut().filter(|review| review.state == ReviewState::Approved) {
            review.state = ReviewState::Dismissed;
            dismissed.push(review.id);
        }
    }
    if let Err(error) =
        site.git.force_ref(growth.repository, &format!("refs/pull/{}/head", growth.number), &growth.head)
    {
        tracing::warn!(%error, "could not move the head ref of pull request {}", growth.number);
    }
    let after = growth.head.clone();
    announce_pull(
        change,
        growth.repository,
        growth.number,
        "synchronize",
        pusher,
        json!({"before": before, "after": after}),
    );
    for review in dismissed {
        announce_review(change, growth.repository, growth.number, review, "dismissed", pusher);
    }
}

/// Tells that something happened to a pull request.
pub fn announce_pull(change: &mut Change<'_>, repository: u64, number: u64, action: &str, sender: u64, more: Value) {
    change.announce(repository, "pull_request", Some(action), sender, |render| {
        let known = render.model.repositories.get(&repository);
        let pull = known.and_then(|known| Some((known, known.pulls.get(&number)?)));
        pull.map(|(known, pull)| render.pull_event(known, pull, more)).unwrap_or_default()
    });
}

/// Tells that something happened to a review.
pub fn announce_review(change: &mut Change<'_>, repository: u64, number: u64, review: u64, action: &str, sender: u64) {
    change.announce(repository, "pull_request_review", Some(action), sender, |render| {
        let Some(known) = render.model.repositories.get(&repository) else { return Map::new() };
        let Some(pull) = known.pulls.get(&number) else { return Map::new() };
        let review = pull.reviews.iter().find(|known| known.id == review);
        review.map(|review| render.review_event(known, pull, review)).unwrap_or_default()
    });
}

/// Closes the pull requests whose branch is gone, on either side.
fn close_orphans(change: &mut Change<'_>, repository: u64, pusher: u64, name: &str) {
    let Some(branch) = name.strip_prefix("refs/heads/") else { return };
    let mut orphans = change.pulls_with_head(repository, branch);
    if let Some(known) = change.repositories.get(&repository) {
        let into = known.pulls.values().filter(|pull| pull.is_open() && pull.base.branch == branch);
        orphans.extend(into.map(|pull| (repository, pull.number)));
    }
    for (repository, number) in orphans {
        close(change, repository, number, pusher);
    }
}

/// Closes a pull request without merging it.
pub fn close(change: &mut Change<'_>, repository: u64, number: u64, by: u64) {
    let now = At::now();
    let Some(pull) = change.repositories.get_mut(&repository).and_then(|known| known.pulls.get_mut(&number)) else {
        return;
    };
    pull.state = PullState::Closed { at: now };
    pull.updated_at = now;
    announce_pull(change, repository, number, "closed", by, json!({}));
}

fn mark_merged(change: &mut Change<'_>, repository: u64, by: u64, landing: &Landing) {
    let now = At::now();
    let Some(pull) = change.repositories.get_mut(&repository).and_then(|known| known.pulls.get_mut(&landing.number))
    else {
        return;
    };
    pull.state = PullState::Merged { at: now, by, sha: landing.sha.clone() };
    pull.updated_at = now;
    announce_pull(change, repository, landing.number, "closed", by, json!({}));
}

fn stale_bases(change: &mut Change<'_>, repository: u64, moves: &[Move]) {
    let Some(known) = change.repositories.get_mut(&repository) else { return };
    for moved in moves {
        let Some(branch) = moved.update.name.strip_prefix("refs/heads/") else { continue };
        for pull in known.pulls.values_mut().filter(|pull| pull.is_open() && pull.base.branch == branch) {
            pull.mergeability = Mergeability::Unknown;
        }
    }
}
