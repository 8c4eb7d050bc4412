//! Repositories, forks, collaborators and the small things around them.

use serde_json::{Value, json};

use super::{
    Answer, ApiError, Call, DELETE, GET, Level, Outcome, PATCH, POST, PUT, Reach, apps, history, pulls, repository_mut,
    repository_of,
};
use crate::{
    git::{RefUpdate, Signature},
    model::{AccountKind, At, Permission, Repository, ZERO_OID},
    push,
    render::event::fields,
};

/// How long the name of a repository may be.
const NAME_LENGTH_MAX: usize = 100;

/// Answers about a repository itself and what has no file of its own.
pub async fn route(call: &Call, method: &str, reach: &Reach, rest: &[&str]) -> Outcome {
    match (method, rest) {
        (GET, []) => get(call, reach),
        (PATCH, []) => update(call, reach),
        (DELETE, []) => delete(call, reach),
        (GET, ["forks"]) => forks(call, reach),
        (POST, ["forks"]) => fork(call, reach).await,
        (GET, ["collaborators"]) => collaborators(call, reach),
        (_, ["collaborators", user]) => collaborator(call, method, reach, user),
        (GET, ["collaborators", user, "permission"]) => collaborator_permission(call, reach, user),
        (GET | PUT, ["topics"]) => topics(call, method, reach),
        (GET, ["languages"]) => Ok(Answer::ok(json!({}))),
        (GET, ["contributors"]) => Ok(call.list(Vec::<()>::new(), |()| Value::Null)),
        (GET, ["releases"]) => Ok(call.list(Vec::<()>::new(), |()| Value::Null)),
        (GET, ["teams"]) => Ok(call.list(Vec::<()>::new(), |()| Value::Null)),
        (GET, ["tags"]) => history::tags(call, reach),
        (POST, ["merges"]) => pulls::merge_branches(call, reach).await,
        (POST, ["dispatches"]) => dispatch(call, reach),
        (GET | PUT, ["actions", "permissions"]) => actions_permissions(call, method, reach),
        (GET | PUT, ["actions", "permissions", "access"]) => actions_access(call, method, reach),
        (GET, ["actions", "runs"]) => Ok(call.counted_list("workflow_runs", Vec::<()>::new(), |()| Value::Null)),
        (GET, ["actions", "workflows"]) => Ok(call.counted_list("workflows", Vec::<()>::new(), |()| Value::Null)),
        (GET, ["installation"]) => apps::installation_of_repository(call, reach),
        _ => Err(ApiError::not_found()),
    }
}

/// Answers `GET /repos/{owner}/{repo}`.
pub fn get(call: &Call, reach: &Reach) -> Outcome {
    let look = call.site.look();
    Ok(Answer::ok(look.render().full_repository(repository_of(&look, reach.id)?, reach.permission)))
}

/// Answers `/orgs/{org}/repos`.
pub async fn of_organization(call: &Call, method: &str, login: &str) -> Outcome {
    let (id, role) = {
        let look = call.site.look();
        let organization = look
            .account(login)
            .filter(|account| account.kind == AccountKind::Organization)
            .ok_or_else(ApiError::not_found)?;
        (organization.id, call.caller.account().and_then(|user| organization.members.get(&user).copied()))
    };
    match method {
        GET => owned_by(call, id),
        POST if role.is_some() => create(call, id).await,
        POST => Err(ApiError::forbidden("You need admin access to the organization before adding a repository to it.")),
        _ => Err(ApiError::not_found()),
    }
}

/// Answers `GET /users/{login}/repos`.
pub fn of_user(call: &Call, login: &str) -> Outcome {
    let id = call.site.look().account(login).ok_or_else(ApiError::not_found)?.id;
    owned_by(call, id)
}

/// Answers `GET /user/repos`.
pub fn mine(call: &Call) -> Outcome {
    let user = call.actor()?;
    let look = call.site.look();
    let render = look.render();
    let explicit = |repository: &Repository| {
        let member = look.accounts.get(&repository.owner).is_some_and(|owner| owner.members.contains_key(&user));
        repository.owner == user || member || repository.collaborators.contains_key(&user)
    };
    let found: Vec<&Repository> = look.repositories.values().filter(|repository| explicit(repository)).collect();
    Ok(call.list(found, |repository| render.repository_for(repository, look.permission(repository, Some(user)))))
}

fn owned_by(call: &Call, owner: u64) -> Outcome {
    let look = call.site.look();
    let render = look.render();
    let found: Vec<&Repository> = look
        .repositories
        .values()
        .filter(|repository| repository.owner == owner && call.sees(&look, repository))
        .collect();
    Ok(call.list(found, |repository| {
        render.repository_for(repository, super::auth::permission_of(&look, &call.caller, repository))
    }))
}

/// Answers `POST /user/repos` and `POST /orgs/{org}/repos`.
pub async fn create(call: &Call, owner: u64) -> Outcome {
    let user = call.actor()?;
    let name = call.required("Repository", "name")?;
    if name.len() > NAME_LENGTH_MAX
        || name.starts_with('.')
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    {
        return Err(ApiError::invalid("Repository", "name", "invalid", Some("name is not valid")));
    }
    let id = {
        let mut change = call.site.change();
        let login = change.login(owner).to_owned();
        if change.repository(&login, name).is_some() {
            let errors = json!([{"resource": "Repository", "code": "custom", "field": "name", "message": "name already exists on this account"}]);
            return Err(ApiError {
                errors: Some(Box::new(errors)),
                ..ApiError::new(422, "Repository creation failed.".to_owned())
            });
        }
        let id = change.next_id();
        let mut repository = Repository::new(id, owner, name, At::now());
        repository.description = call.text("description").map(str::to_owned);
        repository.homepage = call.text("homepage").map(str::to_owned);
        repository.private = call.flag("private").unwrap_or(false) || call.text("visibility") == Some("private");
        apply_merge_settings(&mut repository, &call.body);
        change.repositories.insert(id, repository);
        id
    };
    if let Err(error) = call.site.git.init(id, "main", None).await {
        call.site.change().repositories.remove(&id);
        return Err(error.into());
    }
    if call.flag("auto_init") == Some(true) {
        first_commit(call, id, user, name).await?;
    }
    let mut change = call.site.change();
    change.announce(id, "repository", Some("created"), user, |_| fields(json!({})));
    let body = change.render().full_repository(repository_of(&change, id)?, Permission::Admin);
    Ok(Answer::created(body))
}

async fn first_commit(call: &Call, id: u64, user: u64, name: &str) -> Result<(), ApiError> {
    let git = &call.site.git;
    let blob = git.write(id, crate::git::Kind::Blob, format!("# {name}\n").as_bytes())?;
    let tree = git.with_path(id, None, "README.md", Some(("100644", &blob)))?.ok_or_else(ApiError::not_found)?;
    let signature = signature_of(call, user);
    let commit = git.write_commit(id, &tree, &[], &signature, &signature, "Initial commit")?;
    let _held = call.site.hold_refs(id).await;
    let update = RefUpdate { name: "refs/heads/main".to_owned(), old: ZERO_OID.to_owned(), new: commit };
    push::move_refs(&call.site, id, user, vec![update], None).await?;
    Ok(())
}

/// Returns how an account signs a commit now.
pub fn signature_of(call: &Call, account: u64) -> Signature {
    let look = call.site.look();
    let (name, email) = look
        .accounts
        .get(&account)
        .map_or(("ghost", "ghost@users.noreply.localhost"), |account| (&account.name, &account.email));
    Signature::new(name, email, At::now().seconds())
}

fn apply_merge_settings(repository: &mut Repository, body: &Value) {
    let set = |target: &mut bool, name: &str| *target = body[name].as_bool().unwrap_or(*target);
    set(&mut repository.merge_methods.merge, "allow_merge_commit");
    set(&mut repository.merge_methods.squash, "allow_squash_merge");
    set(&mut repository.merge_methods.rebase, "allow_rebase_merge");
    set(&mut repository.delete_branch_on_merge, "delete_branch_on_merge");
    set(&mut repository.archived, "archived");
}

fn update(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    let user = call.actor()?;
    let mut change = call.site.change();
    let repository = repository_mut(&mut change, reach.id)?;
    apply_merge_settings(repository, &call.body);
    if let Some(description) = call.text("description") {
        repository.description = Some(description.to_owned());
    }
    if let Some(private) = call.flag("private") {
        repository.private = private;
    }
    if let Some(branch) = call.text("default_branch") {
        if repository.branch(branch).is_none() {
            return Err(ApiError::invalid(
                "Repository",
                "default_branch",
                "invalid",
                Some("The branch was not found. Please push that ref first or create it via the Git Data API."),
            ));
        }
        repository.default_branch = branch.to_owned();
        call.site.git.set_head(reach.id, branch)?;
    }
    let renamed = call.text("name").filter(|name| *name != repository.name).map(str::to_owned);
    let before = repository.name.clone();
    if let Some(name) = &renamed {
        repository.name.clone_from(name);
    }
    repository.updated_at = At::now();
    if renamed.is_some() {
        change.announce(reach.id, "repository", Some("renamed"), user, |_| {
            fields(json!({"changes": {"repository": {"name": {"from": before}}}}))
        });
    } else {
        change.announce(reach.id, "repository", Some("edited"), user, |_| fields(json!({"changes": {}})));
    }
    let body = change.render().full_repository(repository_of(&change, reach.id)?, reach.permission);
    Ok(Answer::ok(body))
}

fn delete(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "delete_repo")?;
    let user = call.actor()?;
    let has_forks = {
        let mut change = call.site.change();
        change.announce(reach.id, "repository", Some("deleted"), user, |_| fields(json!({})));
        change.repositories.remove(&reach.id);
        for known in change.repositories.values_mut() {
            for pull in known.pulls.values_mut().filter(|pull| pull.head.repository == Some(reach.id)) {
                pull.head.repository = None;
            }
        }
        change.repositories.values().any(|known| known.parent == Some(reach.id))
    };
    call.site.git.remove(reach.id, has_forks)?;
    Ok(Answer::no_content())
}

fn forks(call: &Call, reach: &Reach) -> Outcome {
    let look = call.site.look();
    let render = look.render();
    let found: Vec<&Repository> =
        look.repositories.values().filter(|known| known.parent == Some(reach.id) && call.sees(&look, known)).collect();
    Ok(call.list(found, |known| render.repository_for(known, super::auth::permission_of(&look, &call.caller, known))))
}

async fn fork(call: &Call, reach: &Reach) -> Outcome {
    let user = call.actor()?;
    let (owner, name, default_branch, refs) = {
        let look = call.site.look();
        let parent = repository_of(&look, reach.id)?;
        let owner = match call.text("organization") {
            Some(organization) => look.account(organization).ok_or_else(ApiError::not_found)?.id,
            None => user,
        };
        let name = call.text("name").unwrap_or(&parent.name).to_owned();
        if let Some(known) = look.repository(look.login(owner), &name) {
            // Forking again gives the fork that is there, as on GitHub.
            if known.parent == Some(reach.id) {
                return Ok(Answer::json(202, look.render().full_repository(known, Permission::Admin)));
            }
            return Err(ApiError::custom("Repository", "name already exists on this account"));
        }
        let only_default = call.flag("default_branch_only").unwrap_or(false);
        let wanted = |name: &String| !only_default || *name == format!("refs/heads/{}", parent.default_branch);
        let refs: Vec<RefUpdate> = parent
            .refs
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, oid)| RefUpdate { name: name.clone(), old: ZERO_OID.to_owned(), new: oid.clone() })
            .collect();
        (owner, name, parent.default_branch.clone(), refs)
    };
    let id = call.site.change().next_id();
    call.site.git.init(id, &default_branch, Some(reach.id)).await?;
    call.site.git.update_refs(id, &refs).await?;
    let mut change = call.site.change();
    let parent = repository_of(&change, reach.id)?;
    let mut repository = Repository::new(id, owner, &name, At::now());
    repository.parent = Some(reach.id);
    repository.private = parent.private;
    repository.description.clone_from(&parent.description);
    repository.default_branch = default_branch;
    repository.refs = refs.into_iter().map(|update| (update.name, update.new)).collect();
    change.repositories.insert(id, repository);
    change.announce(reach.id, "fork", None, user, |render| {
        let mut forkee = render.model.repositories.get(&id).map(|known| render.event_repository(known));
        if let Some(forkee) = &mut forkee {
            forkee["public"] = json!(forkee["private"] == json!(false));
        }
        fields(json!({"forkee": forkee}))
    });
    let body = change.render().full_repository(repository_of(&change, id)?, Permission::Admin);
    Ok(Answer::json(202, body))
}

fn collaborators(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Write, "metadata", "repo")?;
    let look = call.site.look();
    let repository = repository_of(&look, reach.id)?;
    let render = look.render();
    let people = look.accounts.values().filter(|account| account.kind == AccountKind::User);
    let affiliated: Vec<_> = people
        .filter_map(|account| {
            let mut closed = repository.clone_shell();
            closed.private = true;
            let permission = look.permission(&closed, Some(account.id));
            (permission > Permission::None).then_some((account, permission))
        })
        .collect();
    Ok(call.list(affiliated, |(account, permission)| {
        let mut user = render.simple_user(account);
        user["permissions"] = crate::render::repository::permissions(permission);
        user["role_name"] = json!(permission.role());
        user
    }))
}

fn collaborator(call: &Call, method: &str, reach: &Reach, login: &str) -> Outcome {
    let (user, permission) = {
        let look = call.site.look();
        let account = look.account(login).ok_or_else(ApiError::not_found)?;
        (account.id, look.permission(repository_of(&look, reach.id)?, Some(account.id)))
    };
    match method {
        GET if permission >= Permission::Triage => Ok(Answer::no_content()),
        GET => Err(ApiError::new(404, format!("{login} is not a user"))),
        PUT => {
            call.allow(reach, Level::Admin, "administration", "repo")?;
            let sender = call.actor()?;
            let wanted = Permission::parse(call.text("permission").unwrap_or("push"));
            let wanted = wanted.ok_or_else(|| ApiError::invalid("Repository", "permission", "invalid", None))?;
            let mut change = call.site.change();
            let known = repository_mut(&mut change, reach.id)?.collaborators.insert(user, wanted).is_some();
            let action = if known { "edited" } else { "added" };
            change.announce(reach.id, "member", Some(action), sender, |render| fields(json!({"member": render.user(user), "changes": {"permission": {"from": null, "to": wanted.legacy()}}})));
            Ok(Answer::no_content())
        }
        DELETE => {
            call.allow(reach, Level::Admin, "administration", "repo")?;
            let sender = call.actor()?;
            let mut change = call.site.change();
            if repository_mut(&mut change, reach.id)?.collaborators.remove(&user).is_some() {
                change.announce(reach.id, "member", Some("removed"), sender, |render| {
                    fields(json!({"member": render.user(user)}))
                });
            }
            Ok(Answer::no_content())
        }
        _ => Err(ApiError::not_found()),
    }
}

fn collaborator_permission(call: &Call, reach: &Reach, login: &str) -> Outcome {
    call.allow(reach, Level::Read, "metadata", "repo")?;
    let look = call.site.look();
    let account = look.account(login).ok_or_else(|| ApiError::new(404, format!("{login} is not a user")))?;
    let permission = look.permission(repository_of(&look, reach.id)?, Some(account.id));
    let mut user = look.render().simple_user(account);
    user["permissions"] = crate::render::repository::permissions(permission);
    user["role_name"] = json!(permission.role());
    Ok(Answer::ok(json!({"permission": permission.legacy(), "role_name": permission.role(), "user": user})))
}

fn topics(call: &Call, method: &str, reach: &Reach) -> Outcome {
    if method == PUT {
        call.allow(reach, Level::Admin, "administration", "repo")?;
        let names = call.body["names"].as_array().ok_or_else(|| ApiError::missing_field("Repository", "names"))?;
        let names = names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        repository_mut(&mut call.site.change(), reach.id)?.topics = names;
    }
    let look = call.site.look();
    Ok(Answer::ok(json!({"names": repository_of(&look, reach.id)?.topics})))
}

fn actions_permissions(call: &Call, method: &str, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    if method == PUT {
        let enabled = call.flag("enabled").ok_or_else(|| ApiError::missing_field("Actions", "enabled"))?;
        repository_mut(&mut call.site.change(), reach.id)?.actions_enabled = enabled;
        return Ok(Answer::no_content());
    }
    let look = call.site.look();
    let mut body = json!({"enabled": repository_of(&look, reach.id)?.actions_enabled});
    if body["enabled"] == json!(true) {
        body["allowed_actions"] = json!("all");
    }
    Ok(Answer::ok(body))
}

/// Who else may use the workflows of a private repository.
fn actions_access(call: &Call, method: &str, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Admin, "administration", "repo")?;
    if !repository_of(&call.site.look(), reach.id)?.private {
        return Err(ApiError::new(422, "Access policy only applies to internal and private repositories.".to_owned()));
    }
    if method == PUT {
        let level = call.required("Actions", "access_level")?.to_owned();
        if !matches!(&*level, "none" | "user" | "organization" | "enterprise") {
            return Err(ApiError::new(422, format!("access_level {level} is none of none, user and organization")));
        }
        repository_mut(&mut call.site.change(), reach.id)?.actions_access = level;
        return Ok(Answer::no_content());
    }
    Ok(Answer::ok(json!({"access_level": repository_of(&call.site.look(), reach.id)?.actions_access})))
}

fn dispatch(call: &Call, reach: &Reach) -> Outcome {
    call.allow(reach, Level::Write, "contents", "repo")?;
    let user = call.actor()?;
    let action = call.required("RepositoryDispatch", "event_type")?.to_owned();
    let payload = call.body["client_payload"].clone();
    let mut change = call.site.change();
    let branch = repository_of(&change, reach.id)?.default_branch.clone();
    change.announce(reach.id, "repository_dispatch", Some(&action), user, |_| {
        fields(json!({"branch": branch, "client_payload": payload}))
    });
    Ok(Answer::no_content())
}

impl Repository {
    /// Returns the repository without what hangs on it: enough to ask who may do what.
    fn clone_shell(&self) -> Repository {
        let mut shell = Repository::new(self.id, self.owner, &self.name, self.created_at);
        shell.collaborators = self.collaborators.clone();
        shell.private = self.private;
        shell
    }
}
