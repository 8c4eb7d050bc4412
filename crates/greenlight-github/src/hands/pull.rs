//! A pull request with what its merge depends on, read afresh.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_core::effect::{Answer, Outcome, PullRead};
use greenlight_core::event::{BranchRules, PullSnapshot, PullStanding, Review, Verdicts};
use greenlight_core::id::{Context, PullNumber, Sha};
use greenlight_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::Try;
use super::ending::not_read;
use super::made_up::{Known, ReadRepository};
use crate::client::{CallError, Request, repository_path, segment};
use crate::shape::{CheckRunShape, ReviewShape, StatusShape, timestamp};

/// A branch, as everybody who may read it sees it.
#[derive(Deserialize)]
struct Branch {
    commit: Commit,
    #[serde(default)]
    protected: bool,
    #[serde(default)]
    protection: Option<BranchProtection>,
}

#[derive(Deserialize)]
struct Commit {
    sha: Arc<str>,
}

#[derive(Deserialize)]
struct BranchProtection {
    #[serde(default)]
    required_status_checks: Option<RequiredChecks>,
}

#[derive(Default, Deserialize)]
struct RequiredChecks {
    #[serde(default)]
    contexts: Vec<Arc<str>>,
}

/// Branch protection, as admins see it.
#[derive(Deserialize)]
struct Protection {
    #[serde(default)]
    required_status_checks: Option<RequiredChecks>,
    #[serde(default)]
    required_pull_request_reviews: Option<RequiredReviews>,
}

#[derive(Deserialize)]
struct RequiredReviews {
    #[serde(default)]
    required_approving_review_count: Option<u32>,
}

/// One rule of a ruleset.
#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: Arc<str>,
    #[serde(default)]
    parameters: Value,
}

/// One move of a branch.
#[derive(Deserialize)]
struct Activity {
    after: Arc<str>,
    timestamp: Arc<str>,
}

impl Try<'_> {
    pub(super) async fn read_pull(&self, pull: PullNumber) -> Outcome {
        match self.pull_read(pull).await {
            Ok(read) => Outcome::Done(Answer::Pull(Box::new(read))),
            Err(error) => not_read(error),
        }
    }

    async fn pull_read(&self, number: PullNumber) -> Result<PullRead, CallError> {
        let (repository, answer, reviews) = tokio::try_join!(
            self.repository_read(),
            async { self.client.call(self.on(), &Request::get(self.path(&format!("/pulls/{number}"))?)).await },
            self.reviews_of(number),
        )?;
        let raw: Value = answer.json()?;
        let head_repo = raw.pointer("/head/repo/full_name").and_then(Value::as_str).map(str::to_owned);
        let mut fact = repository.pull(raw, Known::Yes).map_err(|malformed| answer.bad(&malformed.to_string()))?;
        let ((base_tip, rules), verdicts, head_moved_at) = tokio::try_join!(
            self.branch_and_rules(fact.pull.base_ref.short()),
            self.verdicts_on(fact.pull.head_sha),
            self.head_moved_at(head_repo.as_deref(), &fact.pull),
        )?;
        // Every push to any branch moves the repository's `pushed_at`.
        fact.pull.head_pushed_at = head_moved_at.or(fact.pull.head_pushed_at);
        Ok(PullRead { fact, base_tip, reviews, rules, verdicts })
    }

    /// When the head branch came to be at this head. Nothing where nobody can command it any more, and where GitHub does not
    /// say: older servers keep no activities, a private fork's are not for us, and what is told may be about an earlier head.
    async fn head_moved_at(
        &self,
        head_repo: Option<&str>,
        pull: &PullSnapshot,
    ) -> Result<Option<Timestamp>, CallError> {
        let Some(head_repo) = head_repo.filter(|_| pull.standing == PullStanding::Open) else { return Ok(None) };
        let newest = format!("/activity?ref={}&per_page=1", segment(&format!("refs/heads/{}", pull.head_ref)));
        let Ok(path) = repository_path(head_repo, &newest) else { return Ok(None) };
        let told: Vec<Activity> = match self.client.get(self.on(), &path).await {
            Err(CallError::NotFound { .. } | CallError::Forbidden { .. } | CallError::Rejected { .. }) => Vec::new(),
            read => read?,
        };
        let newest = told.first().filter(|activity| Sha::parse(&activity.after).ok() == Some(pull.head_sha));
        Ok(newest.and_then(|activity| timestamp(&activity.timestamp)))
    }

    /// Reads the repository. Another one may have taken the name of one that is gone (S2).
    pub(super) async fn repository_read(&self) -> Result<ReadRepository, CallError> {
        let request = Request::get(self.path("")?);
        let answer = self.client.call(self.on(), &request).await?;
        let read = ReadRepository::new(answer.json()?).map_err(|malformed| answer.bad(&malformed.to_string()))?;
        if read.shape.id == Some(self.repository.id.0) {
            Ok(read)
        } else {
            Err(CallError::NotFound { what: request.what() })
        }
    }

    /// Oldest first, as GitHub lists them.
    pub(super) async fn reviews_of(&self, pull: PullNumber) -> Result<Vec<Review>, CallError> {
        let path = self.path(&format!("/pulls/{pull}/reviews?per_page=100"))?;
        let reviews: Vec<ReviewShape> = self.client.list(self.on(), &path, None).await?;
        Ok(reviews.iter().map(ReviewShape::review).collect())
    }

    /// The tip, and what must be fulfilled to merge into the branch: classic protection and rulesets together.
    async fn branch_and_rules(&self, branch: &str) -> Result<(Sha, Option<BranchRules>), CallError> {
        let name = segment(branch);
        let answer = self.client.call(self.on(), &Request::get(self.path(&format!("/branches/{name}"))?)).await?;
        let found: Branch = answer.json()?;
        let tip = Sha::parse(&found.commit.sha).map_err(|_| answer.bad("the commit's SHA is none"))?;
        let (rules, protection) = tokio::try_join!(self.rules_of(&name), self.protection_of(&name, found.protected))?;
        Ok((tip, joined(found, rules, protection)))
    }

    async fn rules_of(&self, branch: &str) -> Result<Option<Vec<Rule>>, CallError> {
        let path = self.path(&format!("/rules/branches/{branch}?per_page=100"))?;
        match self.client.list(self.on(), &path, None).await {
            Ok(rules) => Ok(Some(rules)),
            // Older servers have no rulesets.
            Err(CallError::NotFound { .. } | CallError::Forbidden { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn protection_of(&self, branch: &str, is_protected: bool) -> Result<Option<Protection>, CallError> {
        if !is_protected {
            return Ok(None);
        }
        self.client.get_if_readable(self.on(), &self.path(&format!("/branches/{branch}/protection"))?).await
    }

    /// What statuses and check runs say of a commit; the worse where both have a name, since GitHub requires both then.
    async fn verdicts_on(&self, sha: Sha) -> Result<Vec<(Context, Verdicts)>, CallError> {
        let status_path = self.path(&format!("/commits/{sha}/status?per_page=100"))?;
        let check_path = self.path(&format!("/commits/{sha}/check-runs?filter=latest&per_page=100"))?;
        let (statuses, check_runs) = tokio::try_join!(
            self.client.list::<StatusShape>(self.on(), &status_path, Some("statuses")),
            self.check_runs_if_readable(&check_path),
        )?;
        let mut verdicts = BTreeMap::new();
        let all = statuses.iter().map(StatusShape::verdict).chain(check_runs.iter().map(CheckRunShape::verdict));
        for (context, verdict) in all {
            verdicts.entry(context).and_modify(|known| *known = worse(*known, verdict)).or_insert(verdict);
        }
        Ok(verdicts.into_iter().collect())
    }

    async fn check_runs_if_readable(&self, path: &str) -> Result<Vec<CheckRunShape>, CallError> {
        match self.client.list(self.on(), path, Some("check_runs")).await {
            Err(CallError::Forbidden { .. } | CallError::NotFound { .. }) => Ok(Vec::new()),
            read => read,
        }
    }
}

fn worse(one: Verdicts, other: Verdicts) -> Verdicts {
    match (one, other) {
        (Verdicts::NotSuccess, _) | (_, Verdicts::NotSuccess) => Verdicts::NotSuccess,
        (Verdicts::Pending, _) | (_, Verdicts::Pending) => Verdicts::Pending,
        (Verdicts::Success, Verdicts::Success) => Verdicts::Success,
    }
}

/// Nothing where the branch is protected and we may see neither how nor which rules it has.
fn joined(branch: Branch, rules: Option<Vec<Rule>>, protection: Option<Protection>) -> Option<BranchRules> {
    let seen = branch.protection.and_then(|protection| protection.required_status_checks);
    if rules.is_none() && protection.is_none() && seen.is_none() && branch.protected {
        return None;
    }
    let mut joined = BranchRules::default();
    let mut require = |name: &str| {
        let context = Context::from(name);
        if !joined.required.contains(&context) {
            joined.required.push(context);
        }
    };
    seen.unwrap_or_default().contexts.iter().for_each(|name| require(name));
    if let Some(protection) = protection {
        protection.required_status_checks.unwrap_or_default().contexts.iter().for_each(|name| require(name));
        let reviews = protection.required_pull_request_reviews;
        joined.approvals = reviews.and_then(|reviews| reviews.required_approving_review_count).unwrap_or(0);
    }
    for rule in rules.unwrap_or_default() {
        add(&mut joined, &rule);
    }
    Some(joined)
}

fn add(joined: &mut BranchRules, rule: &Rule) {
    match &*rule.kind {
        "required_status_checks" => {
            let checks = rule.parameters.get("required_status_checks").and_then(Value::as_array);
            for name in checks.into_iter().flatten().filter_map(|check| check.get("context")?.as_str()) {
                let context = Context::from(name);
                if !joined.required.contains(&context) {
                    joined.required.push(context);
                }
            }
        }
        "pull_request" => {
            let count = rule.parameters.get("required_approving_review_count").and_then(Value::as_u64);
            let count = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
            joined.approvals = joined.approvals.max(count);
        }
        _ => {}
    }
}
