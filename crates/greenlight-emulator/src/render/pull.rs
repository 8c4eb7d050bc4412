//! Pull requests, reviews, comments, reactions.

use serde_json::{Value, json};

use super::{Render, extend, node_id};
use crate::model::{
    At, Repository,
    pull::{Comment, Mergeability, Pull, PullEnd, PullState, Reaction, Review},
};

impl Render<'_> {
    /// Writes a pull request as lists have it.
    pub fn simple_pull(&self, repository: &Repository, pull: &Pull) -> Value {
        let number = pull.number;
        let url = self.api_of(repository, &format!("/pulls/{number}"));
        let issue = self.api_of(repository, &format!("/issues/{number}"));
        let html = self.web_of(repository, &format!("/pull/{number}"));
        let statuses = self.api_of(repository, &format!("/statuses/{}", pull.head.sha));
        let (closed_at, merged_at) = match &pull.state {
            PullState::Open => (None, None),
            PullState::Closed { at } => (Some(at.iso()), None),
            PullState::Merged { at, .. } => (Some(at.iso()), Some(at.iso())),
        };
        json!({
            "url": url,
            "id": pull.id,
            "node_id": node_id("PullRequest", pull.id),
            "html_url": html,
            "diff_url": format!("{html}.diff"),
            "patch_url": format!("{html}.patch"),
            "issue_url": issue,
            "number": number,
            "state": if pull.is_open() { "open" } else { "closed" },
            "locked": false,
            "title": pull.title,
            "user": self.user(pull.author),
            "body": pull.body,
            "created_at": pull.created_at.iso(),
            "updated_at": pull.updated_at.iso(),
            "closed_at": closed_at,
            "merged_at": merged_at,
            "merge_commit_sha": merge_commit(pull),
            "assignee": pull.assignees.first().map(|user| self.user(*user)),
            "assignees": pull.assignees.iter().map(|user| self.user(*user)).collect::<Vec<_>>(),
            "requested_reviewers": pull.requested_reviewers.iter().map(|user| self.user(*user)).collect::<Vec<_>>(),
            "requested_teams": [],
            "labels": pull.labels.iter().map(|label| self.label(repository, label)).collect::<Vec<_>>(),
            "milestone": null,
            "draft": pull.draft,
            "commits_url": format!("{url}/commits"),
            "review_comments_url": format!("{url}/comments"),
            "review_comment_url": self.api_of(repository, "/pulls/comments{/number}"),
            "comments_url": format!("{issue}/comments"),
            "statuses_url": statuses,
            "head": self.pull_end(&pull.head),
            "base": self.pull_end(&pull.base),
            "_links": {
                "self": {"href": url},
                "html": {"href": html},
                "issue": {"href": issue},
                "comments": {"href": format!("{issue}/comments")},
                "review_comments": {"href": format!("{url}/comments")},
                "review_comment": {"href": self.api_of(repository, "/pulls/comments{/number}")},
                "commits": {"href": format!("{url}/commits")},
                "statuses": {"href": statuses},
            },
            "author_association": self.association(repository, pull.author),
            "auto_merge": null,
            "active_lock_reason": null,
        })
    }

    /// Writes a pull request whole.
    pub fn pull(&self, repository: &Repository, pull: &Pull) -> Value {
        let mut object = self.simple_pull(repository, pull);
        let mergeable = match (&pull.mergeability, pull.is_open()) {
            (Mergeability::Clean { .. }, true) => Some(true),
            (Mergeability::Conflict { .. }, true) => Some(false),
            _ => None,
        };
        let merged_by = match &pull.state {
            PullState::Merged { by, .. } => self.user(*by),
            _ => Value::Null,
        };
        let more = json!({
            "merged": matches!(pull.state, PullState::Merged { .. }),
            "mergeable": mergeable,
            "rebaseable": mergeable,
            "mergeable_state": self.mergeable_state(repository, pull),
            "merged_by": merged_by,
            "comments": repository.comments.values().filter(|comment| comment.number == pull.number).count(),
            "review_comments": 0,
            "maintainer_can_modify": pull.maintainer_can_modify,
            "commits": pull.size.commits,
            "additions": pull.size.additions,
            "deletions": pull.size.deletions,
            "changed_files": pull.size.changed_files,
        });
        extend(&mut object, more);
        object
    }

    /// Writes a pull request as check runs and suites have it.
    pub fn minimal_pull(&self, repository: &Repository, pull: &Pull) -> Value {
        let end = |end: &PullEnd| {
            let known = end.repository.and_then(|id| self.model.repositories.get(&id));
            let repo = known.map(|known| json!({"id": known.id, "url": self.api_of(known, ""), "name": known.name}));
            json!({"ref": end.branch, "sha": end.sha, "repo": repo})
        };
        json!({
            "url": self.api_of(repository, &format!("/pulls/{}", pull.number)),
            "id": pull.id,
            "number": pull.number,
            "head": end(&pull.head),
            "base": end(&pull.base),
        })
    }

    /// Writes a pull request as the issue that it also is.
    pub fn issue(&self, repository: &Repository, pull: &Pull) -> Value {
        let url = self.api_of(repository, &format!("/issues/{}", pull.number));
        let api = self.api_of(repository, &format!("/pulls/{}", pull.number));
        let html = self.web_of(repository, &format!("/pull/{}", pull.number));
        let simple = self.simple_pull(repository, pull);
        json!({
            "url": url,
            "repository_url": self.api_of(repository, ""),
            "labels_url": format!("{url}/labels{{/name}}"),
            "comments_url": format!("{url}/comments"),
            "events_url": format!("{url}/events"),
            "html_url": html,
            "id": pull.id,
            "node_id": node_id("PullRequest", pull.id),
            "number": pull.number,
            "title": pull.title,
            "user": simple["user"],
            "labels": simple["labels"],
            "state": simple["state"],
            "locked": false,
            "assignee": simple["assignee"],
            "assignees": simple["assignees"],
            "milestone": null,
            "comments": repository.comments.values().filter(|comment| comment.number == pull.number).count(),
            "created_at": simple["created_at"],
            "updated_at": simple["updated_at"],
            "closed_at": simple["closed_at"],
            "author_association": simple["author_association"],
            "active_lock_reason": null,
            "draft": pull.draft,
            "pull_request": {
                "url": api,
                "html_url": html,
                "diff_url": format!("{html}.diff"),
                "patch_url": format!("{html}.patch"),
                "merged_at": simple["merged_at"],
            },
            "body": pull.body,
            "reactions": self.reactions(&[], &url),
            "timeline_url": format!("{url}/timeline"),
            "performed_via_github_app": null,
            "state_reason": null,
        })
    }

    /// Writes a comment.
    pub fn comment(&self, repository: &Repository, comment: &Comment) -> Value {
        let url = self.api_of(repository, &format!("/issues/comments/{}", comment.id));
        json!({
            "url": url,
            "html_url": self.web_of(repository, &format!("/pull/{}#issuecomment-{}", comment.number, comment.id)),
            "issue_url": self.api_of(repository, &format!("/issues/{}", comment.number)),
            "id": comment.id,
            "node_id": node_id("IssueComment", comment.id),
            "user": self.user(comment.author),
            "created_at": comment.created_at.iso(),
            "updated_at": comment.updated_at.iso(),
            "author_association": self.association(repository, comment.author),
            "body": comment.body,
            "reactions": self.reactions(&comment.reactions, &url),
            "performed_via_github_app": comment.app.map(|app| self.app(app)),
        })
    }

    /// Writes a review.
    pub fn review(&self, repository: &Repository, pull: &Pull, review: &Review) -> Value {
        let html = self.web_of(repository, &format!("/pull/{}#pullrequestreview-{}", pull.number, review.id));
        let url = self.api_of(repository, &format!("/pulls/{}", pull.number));
        json!({
            "id": review.id,
            "node_id": node_id("PullRequestReview", review.id),
            "user": self.user(review.author),
            "body": review.body,
            "state": review.state.name(),
            "html_url": html,
            "pull_request_url": url,
            "author_association": self.association(repository, review.author),
            "_links": {"html": {"href": html}, "pull_request": {"href": url}},
            "submitted_at": review.submitted_at.iso(),
            "commit_id": review.commit,
        })
    }

    /// Writes a reaction.
    pub fn reaction(&self, reaction: &Reaction) -> Value {
        json!({
            "id": reaction.id,
            "node_id": node_id("Reaction", reaction.id),
            "user": self.user(reaction.user),
            "content": reaction.content,
            "created_at": reaction.created_at.iso(),
        })
    }

    /// Returns GitHub's word for what stands between a pull request and its merge.
    pub fn mergeable_state(&self, repository: &Repository, pull: &Pull) -> &'static str {
        let now = At::now();
        let (unmet, _) = repository.unmet_contexts(&pull.base.branch, &pull.head.sha, now);
        let blocked = !unmet.is_empty() || self.model.missing_review(repository, pull).is_some();
        match &pull.mergeability {
            _ if !pull.is_open() => "unknown",
            Mergeability::Unknown => "unknown",
            Mergeability::Conflict { .. } => "dirty",
            _ if pull.draft => "draft",
            _ if blocked => "blocked",
            Mergeability::Clean { base, head, .. }
                if repository.is_strict(&pull.base.branch)
                    && !self.site.git.is_ancestor(repository.id, base, head).unwrap_or(true) =>
            {
                "behind"
            }
            _ if repository.is_unstable(&pull.head.sha, now) => "unstable",
            _ => "clean",
        }
    }

    fn pull_end(&self, end: &PullEnd) -> Value {
        let known = end.repository.and_then(|id| self.model.repositories.get(&id));
        let owner = known.map(|known| known.owner);
        let login = owner.map_or("unknown", |owner| self.model.login(owner));
        json!({
            "label": format!("{login}:{}", end.branch),
            "ref": end.branch,
            "sha": end.sha,
            "user": owner.map(|owner| self.user(owner)),
            "repo": known.map(|known| self.repository(known)),
        })
    }

    fn reactions(&self, reactions: &[Reaction], url: &str) -> Value {
        let count = |content: &str| reactions.iter().filter(|reaction| reaction.content == content).count();
        json!({
            "url": format!("{url}/reactions"),
            "total_count": reactions.len(),
            "+1": count("+1"),
            "-1": count("-1"),
            "laugh": count("laugh"),
            "hooray": count("hooray"),
            "confused": count("confused"),
            "heart": count("heart"),
            "rocket": count("rocket"),
            "eyes": count("eyes"),
        })
    }
}

/// Returns the test merge of an open pull request, the landed commit of a merged one.
fn merge_commit(pull: &Pull) -> Option<&str> {
    match (&pull.state, &pull.mergeability) {
        (PullState::Merged { sha, .. }, _) => Some(sha),
        (_, Mergeability::Clean { merge, .. }) => Some(merge),
        _ => None,
    }
}
