//! Repositories, branches, refs, protection, labels and environments.

use serde_json::{Value, json};

use super::{Render, escape_path, extend, node_id};
use crate::model::{
    Permission, Repository,
    protection::{Protection, RequiredCheck, Ruleset},
    pull::Label,
};

/// The addresses of a repository that consist of its own and a suffix.
const ADDRESSES: [(&str, &str); 36] = [
    ("forks_url", "/forks"),
    ("keys_url", "/keys{/key_id}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("teams_url", "/teams"),
    ("hooks_url", "/hooks"),
    ("issue_events_url", "/issues/events{/number}"),
    ("events_url", "/events"),
    ("assignees_url", "/assignees{/user}"),
    ("branches_url", "/branches{/branch}"),
    ("tags_url", "/tags"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("trees_url", "/git/trees{/sha}"),
    ("statuses_url", "/statuses/{sha}"),
    ("languages_url", "/languages"),
    ("stargazers_url", "/stargazers"),
    ("contributors_url", "/contributors"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("commits_url", "/commits{/sha}"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("comments_url", "/comments{/number}"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("contents_url", "/contents/{+path}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("merges_url", "/merges"),
    ("archive_url", "/{archive_format}{/ref}"),
    ("downloads_url", "/downloads"),
    ("issues_url", "/issues{/number}"),
    ("pulls_url", "/pulls{/number}"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("labels_url", "/labels{/name}"),
    ("releases_url", "/releases{/id}"),
    ("deployments_url", "/deployments"),
];

impl Render<'_> {
    /// Writes what every form of a repository has in common.
    pub fn minimal_repository(&self, repository: &Repository) -> Value {
        let api = self.api_of(repository, "");
        let mut object = json!({
            "id": repository.id,
            "node_id": node_id("Repository", repository.id),
            "name": repository.name,
            "full_name": self.model.full_name(repository),
            "private": repository.private,
            "owner": self.user(repository.owner),
            "html_url": self.web_of(repository, ""),
            "description": repository.description,
            "fork": repository.parent.is_some(),
            "url": api,
        });
        if let Value::Object(object) = &mut object {
            for (name, suffix) in ADDRESSES {
                object.insert(name.to_owned(), Value::from(format!("{api}{suffix}")));
            }
        }
        object
    }

    /// Writes a repository as lists, pull requests and most answers have it.
    pub fn repository(&self, repository: &Repository) -> Value {
        let mut object = self.minimal_repository(repository);
        let forks = self.model.repositories.values().filter(|known| known.parent == Some(repository.id)).count();
        let open = repository.pulls.values().filter(|pull| pull.is_open()).count();
        let host = self.site.urls.web.trim_start_matches("http://").to_owned();
        let full_name = self.model.full_name(repository);
        let more = json!({
            "created_at": repository.created_at.iso(),
            "updated_at": repository.updated_at.iso(),
            "pushed_at": repository.pushed_at.iso(),
            "git_url": format!("git://{host}/{full_name}.git"),
            "ssh_url": format!("git@{host}:{full_name}.git"),
            "clone_url": self.web_of(repository, ".git"),
            "svn_url": self.web_of(repository, ""),
            "homepage": repository.homepage,
            "size": repository.refs.len(),
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": null,
            "has_issues": true,
            "has_projects": true,
            "has_downloads": true,
            "has_wiki": true,
            "has_pages": false,
            "has_discussions": false,
            "forks_count": forks,
            "mirror_url": null,
            "archived": repository.archived,
            "disabled": false,
            "open_issues_count": open,
            "license": null,
            "allow_forking": true,
            "is_template": false,
            "web_commit_signoff_required": false,
            "topics": repository.topics,
            "visibility": if repository.private { "private" } else { "public" },
            "forks": forks,
            "open_issues": open,
            "watchers": 0,
            "default_branch": repository.default_branch,
            "custom_properties": {},
        });
        extend(&mut object, more);
        object
    }

    /// Writes a repository with what its reader may do in it.
    pub fn repository_for(&self, repository: &Repository, permission: Permission) -> Value {
        let mut object = self.repository(repository);
        extend(&mut object, json!({"permissions": permissions(permission)}));
        object
    }

    /// Writes a repository as `GET /repos/{owner}/{repo}` does.
    pub fn full_repository(&self, repository: &Repository, permission: Permission) -> Value {
        let mut object = self.repository_for(repository, permission);
        let methods = repository.merge_methods;
        let more = json!({
            "temp_clone_token": null,
            "allow_squash_merge": methods.squash,
            "allow_merge_commit": methods.merge,
            "allow_rebase_merge": methods.rebase,
            "allow_auto_merge": false,
            "delete_branch_on_merge": repository.delete_branch_on_merge,
            "allow_update_branch": true,
            "use_squash_pr_title_as_default": false,
            "squash_merge_commit_message": "COMMIT_MESSAGES",
            "squash_merge_commit_title": "COMMIT_OR_PR_TITLE",
            "merge_commit_message": "PR_TITLE",
            "merge_commit_title": "MERGE_MESSAGE",
            "network_count": object["forks_count"],
            "subscribers_count": 0,
        });
        extend(&mut object, more);
        if let Some(owner) = self
            .model
            .accounts
            .get(&repository.owner)
            .filter(|owner| owner.kind == crate::model::AccountKind::Organization)
        {
            extend(&mut object, json!({"organization": self.simple_user(owner)}));
        }
        if let Some(parent) = repository.parent.and_then(|parent| self.model.repositories.get(&parent)) {
            let source = self.root_of(parent);
            extend(&mut object, json!({"parent": self.repository(parent), "source": self.repository(source)}));
        }
        object
    }

    /// Writes a repository as payloads have it.
    pub fn event_repository(&self, repository: &Repository) -> Value {
        self.repository(repository)
    }

    /// Writes a repository as the payload of a push has it, which is older than the others.
    pub fn pushed_repository(&self, repository: &Repository) -> Value {
        let mut object = self.event_repository(repository);
        let owner = self.model.accounts.get(&repository.owner);
        object["owner"]["name"] = json!(self.model.login(repository.owner));
        object["owner"]["email"] = json!(owner.map(|owner| owner.email.as_str()));
        object["created_at"] = json!(repository.created_at.seconds());
        object["pushed_at"] = json!(repository.pushed_at.seconds());
        object["stargazers"] = json!(0);
        object["master_branch"] = json!(repository.default_branch);
        object
    }

    /// Writes a repository as installations' payloads have it.
    pub fn short_repository(&self, repository: &Repository) -> Value {
        json!({
            "id": repository.id,
            "node_id": node_id("Repository", repository.id),
            "name": repository.name,
            "full_name": self.model.full_name(repository),
            "private": repository.private,
        })
    }

    /// Writes a branch as lists have it.
    pub fn short_branch(&self, repository: &Repository, name: &str, sha: &str) -> Value {
        let mut branch = json!({
            "name": name,
            "commit": {"sha": sha, "url": self.api_of(repository, &format!("/commits/{sha}"))},
        });
        let (protection, protected) = self.branch_protection_summary(repository, name);
        let url = self.api_of(repository, &format!("/branches/{}/protection", escape_path(name)));
        extend(&mut branch, json!({"protected": protected, "protection": protection, "protection_url": url}));
        branch
    }

    /// Writes a branch as `GET /branches/{branch}` does.
    pub fn branch(&self, repository: &Repository, name: &str, sha: &str) -> Value {
        let (protection, protected) = self.branch_protection_summary(repository, name);
        let api = self.api_of(repository, &format!("/branches/{}", escape_path(name)));
        json!({
            "name": name,
            "commit": self.commit(repository, sha),
            "_links": {"self": api, "html": self.web_of(repository, &format!("/tree/{}", escape_path(name)))},
            "protected": protected,
            "protection": protection,
            "protection_url": format!("{api}/protection"),
        })
    }

    fn branch_protection_summary(&self, repository: &Repository, branch: &str) -> (Value, bool) {
        let protections = repository.protections(branch);
        let checks: Vec<RequiredCheck> = protections
            .iter()
            .filter_map(|protection| protection.required_checks.as_ref())
            .flat_map(|checks| checks.checks.clone())
            .collect();
        let contexts: Vec<&str> = checks.iter().map(|check| check.context.as_str()).collect();
        let summary = json!({
            "enabled": !protections.is_empty(),
            "required_status_checks": {
                "enforcement_level": if checks.is_empty() { "off" } else { "non_admins" },
                "contexts": contexts,
                "checks": checks.iter().map(required_check).collect::<Vec<_>>(),
            },
        });
        (summary, !protections.is_empty())
    }

    /// Writes a branch's protection.
    pub fn protection(&self, repository: &Repository, branch: &str, protection: &Protection) -> Value {
        let url = self.api_of(repository, &format!("/branches/{}/protection", escape_path(branch)));
        let mut object = json!({
            "url": url,
            "required_signatures": {"url": format!("{url}/required_signatures"), "enabled": false},
            "enforce_admins": {"url": format!("{url}/enforce_admins"), "enabled": protection.enforce_admins},
            "required_linear_history": {"enabled": protection.linear_history},
            "allow_force_pushes": {"enabled": protection.allow_force_pushes},
            "allow_deletions": {"enabled": protection.allow_deletions},
            "block_creations": {"enabled": false},
            "required_conversation_resolution": {"enabled": false},
            "lock_branch": {"enabled": false},
            "allow_fork_syncing": {"enabled": false},
        });
        if let Some(checks) = self.required_status_checks(repository, branch, protection) {
            extend(&mut object, json!({"required_status_checks": checks}));
        }
        if let Some(reviews) = &protection.required_reviews {
            let reviews = json!({
                "url": format!("{url}/required_pull_request_reviews"),
                "dismiss_stale_reviews": reviews.dismiss_stale,
                "require_code_owner_reviews": reviews.code_owners,
                "require_last_push_approval": false,
                "required_approving_review_count": reviews.count,
            });
            extend(&mut object, json!({"required_pull_request_reviews": reviews}));
        }
        object
    }

    /// Writes the required status checks of a protection, if there are any.
    pub fn required_status_checks(
        &self,
        repository: &Repository,
        branch: &str,
        protection: &Protection,
    ) -> Option<Value> {
        let checks = protection.required_checks.as_ref()?;
        let url =
            self.api_of(repository, &format!("/branches/{}/protection/required_status_checks", escape_path(branch)));
        let contexts: Vec<&str> = checks.checks.iter().map(|check| check.context.as_str()).collect();
        Some(json!({
            "url": url,
            "strict": checks.strict,
            "contexts": contexts,
            "contexts_url": format!("{url}/contexts"),
            "checks": checks.checks.iter().map(required_check).collect::<Vec<_>>(),
        }))
    }

    /// Writes a ruleset.
    pub fn ruleset(&self, repository: &Repository, ruleset: &Ruleset, with_rules: bool) -> Value {
        let mut object = json!({
            "id": ruleset.id,
            "name": ruleset.name,
            "target": "branch",
            "source_type": "Repository",
            "source": self.model.full_name(repository),
            "enforcement": ruleset.enforcement,
            "node_id": node_id("RepositoryRuleset", ruleset.id),
            "_links": {
                "self": {"href": self.api_of(repository, &format!("/rulesets/{}", ruleset.id))},
                "html": {"href": self.web_of(repository, &format!("/rules/{}", ruleset.id))},
            },
            "created_at": repository.created_at.iso(),
            "updated_at": repository.updated_at.iso(),
        });
        if with_rules {
            extend(
                &mut object,
                json!({"conditions": ruleset.conditions, "rules": ruleset.rules, "bypass_actors": [], "current_user_can_bypass": "never"}),
            );
        }
        object
    }

    /// Writes a ref of git.
    pub fn git_ref(&self, repository: &Repository, name: &str, sha: &str) -> Value {
        json!({
            "ref": name,
            "node_id": node_id("Ref", format!("{}:{name}", repository.id)),
            "url": self.api_of(repository, &format!("/git/{}", escape_path(name))),
            "object": {"sha": sha, "type": "commit", "url": self.api_of(repository, &format!("/git/commits/{sha}"))},
        })
    }

    /// Writes a label.
    pub fn label(&self, repository: &Repository, label: &Label) -> Value {
        json!({
            "id": label.id,
            "node_id": node_id("Label", label.id),
            "url": self.api_of(repository, &format!("/labels/{}", escape_path(&label.name))),
            "name": label.name,
            "color": label.color,
            "default": false,
            "description": label.description.as_deref().unwrap_or_default(),
        })
    }

    fn root_of<'r>(&'r self, repository: &'r Repository) -> &'r Repository {
        let mut root = repository;
        while let Some(parent) = root.parent.and_then(|parent| self.model.repositories.get(&parent)) {
            root = parent;
        }
        root
    }
}

/// Writes what somebody may do.
pub fn permissions(permission: Permission) -> Value {
    json!({
        "admin": permission >= Permission::Admin,
        "maintain": permission >= Permission::Maintain,
        "push": permission >= Permission::Write,
        "triage": permission >= Permission::Triage,
        "pull": permission >= Permission::Read,
    })
}

fn required_check(check: &RequiredCheck) -> Value {
    json!({"context": check.context, "app_id": check.app})
}
