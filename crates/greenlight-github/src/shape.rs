//! GitHub's JSON, in the fields that are used here; webhooks and the API share these shapes.
//!
//! What we can live without is optional, and words that we do not know are "unknown": a new kind of state must not make a
//! delivery unreadable (S25). Each shape has one way into the core's words.

use std::sync::Arc;

use greenlight_core::event::{
    Comment, DeploymentMaker, DeploymentSnapshot, DeploymentState, PullSnapshot, PullStanding, Review, User, Verdict,
    Verdicts,
};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{
    CommentId, Context, DeploymentId, EffectKey, EnvironmentName, PullNumber, RefName, RepoId, ReviewId, Sha, UserId,
};
use greenlight_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// Something in GitHub's JSON is missing or is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub(crate) struct Malformed {
    field: &'static str,
    problem: &'static str,
}

impl Malformed {
    pub(crate) fn missing(field: &'static str) -> Self {
        Self { field, problem: "is missing" }
    }

    pub(crate) fn unfit(field: &'static str, problem: &'static str) -> Self {
        Self { field, problem }
    }
}

/// The name that GitHub gives to people whose account is gone. Nobody has the id 0.
const GHOST: &str = "ghost";

/// Returns who is meant where GitHub names nobody.
pub(crate) fn ghost() -> User {
    User { id: UserId(0), login: GHOST.into() }
}

/// A person, a bot, an organisation.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct UserShape {
    pub id: u64,
    pub login: Arc<str>,
}

impl UserShape {
    pub(crate) fn user(&self) -> User {
        User { id: UserId(self.id), login: self.login.clone() }
    }

    pub(crate) fn user_or_ghost(user: Option<&Self>) -> User {
        user.map_or_else(ghost, Self::user)
    }
}

/// A repository.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RepositoryShape {
    pub id: Option<u64>,
    pub full_name: Option<Arc<str>>,
    pub default_branch: Option<Arc<str>>,
    pub pushed_at: Option<MomentShape>,
    pub owner: Option<OwnerShape>,
}

/// A repository's owner; old payloads give a push's owner without an id.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OwnerShape {
    pub id: Option<u64>,
    pub login: Option<Arc<str>>,
}

impl RepositoryShape {
    pub(crate) fn reference(&self) -> Result<RepositoryRef, Malformed> {
        let full_name = self.full_name.clone().ok_or(Malformed::missing("repository.full_name"))?;
        if !is_full_name(&full_name) {
            return Err(Malformed::unfit("repository.full_name", "is not of the form owner/name"));
        }
        Ok(RepositoryRef {
            id: RepoId(self.id.ok_or(Malformed::missing("repository.id"))?),
            full_name,
            default_branch: self.default_branch.clone().ok_or(Malformed::missing("repository.default_branch"))?,
        })
    }

    pub(crate) fn pushed_at(&self) -> Option<Timestamp> {
        self.pushed_at.as_ref().and_then(MomentShape::timestamp)
    }

    pub(crate) fn owner(&self) -> User {
        let owner = self.owner.as_ref().and_then(|owner| Some((owner.id?, owner.login.clone()?)));
        owner.map_or_else(ghost, |(id, login)| User { id: UserId(id), login })
    }
}

/// Is this "owner/name", of characters that GitHub allows, and nothing that could lead elsewhere in a path?
pub(crate) fn is_full_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && part != "."
            && part != ".."
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    text.split_once('/').is_some_and(|(owner, name)| is_part(owner) && is_part(name))
}

/// A point in time: seconds in some places of a push, RFC 3339 everywhere else.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum MomentShape {
    Seconds(i64),
    Text(Arc<str>),
    Other(serde::de::IgnoredAny),
}

impl MomentShape {
    pub(crate) fn timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Seconds(seconds) => seconds.checked_mul(1000).map(Timestamp::from_millis),
            Self::Text(text) => timestamp(text),
            Self::Other(_) => None,
        }
    }
}

/// Reads RFC 3339.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

fn moment(text: Option<&Arc<str>>, field: &'static str) -> Result<Timestamp, Malformed> {
    let text = text.ok_or(Malformed::missing(field))?;
    timestamp(text).ok_or(Malformed::unfit(field, "is no point in time"))
}

fn sha(text: &str, field: &'static str) -> Result<Sha, Malformed> {
    Sha::parse(text).map_err(|_| Malformed::unfit(field, "is not a commit's full SHA"))
}

/// A pull request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PullShape {
    pub number: u64,
    pub state: Arc<str>,
    #[serde(default)]
    pub title: Option<Arc<str>>,
    #[serde(default)]
    pub draft: Option<bool>,
    #[serde(default)]
    pub merged: Option<bool>,
    #[serde(default)]
    pub merged_at: Option<Arc<str>>,
    #[serde(default)]
    pub merge_commit_sha: Option<Arc<str>>,
    #[serde(default)]
    pub mergeable: Option<bool>,
    #[serde(default)]
    pub mergeable_state: Option<Arc<str>>,
    #[serde(default)]
    pub user: Option<UserShape>,
    #[serde(default)]
    pub updated_at: Option<Arc<str>>,
    pub head: EndShape,
    pub base: EndShape,
}

/// One of the two ends of a pull request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct EndShape {
    #[serde(rename = "ref")]
    pub name: Arc<str>,
    pub sha: Arc<str>,
    #[serde(default)]
    pub repo: Option<RepositoryShape>,
}

impl PullShape {
    /// Returns when it was last changed.
    pub(crate) fn updated_at(&self) -> Option<Timestamp> {
        self.updated_at.as_deref().and_then(timestamp)
    }

    /// Returns when it was merged, where it was.
    pub(crate) fn merged_at(&self) -> Option<Timestamp> {
        self.merged_at.as_deref().and_then(timestamp)
    }

    pub(crate) fn snapshot(&self) -> Result<PullSnapshot, Malformed> {
        let head_repo = self.head.repo.as_ref();
        Ok(PullSnapshot {
            number: PullNumber(self.number),
            title: self.title.clone().unwrap_or_default(),
            standing: self.standing()?,
            draft: self.draft.unwrap_or(false),
            head_sha: self.head_sha()?,
            head_ref: self.head.name.clone(),
            head_repo: head_repo.and_then(|repository| repository.id).map(RepoId),
            base_ref: RefName::branch(&self.base.name),
            base_sha: sha(&self.base.sha, "pull_request.base.sha")?,
            author: UserShape::user_or_ghost(self.user.as_ref()),
            updated_at: moment(self.updated_at.as_ref(), "pull_request.updated_at")?,
            head_pushed_at: head_repo.and_then(RepositoryShape::pushed_at),
        })
    }

    pub(crate) fn head_sha(&self) -> Result<Sha, Malformed> {
        sha(&self.head.sha, "pull_request.head.sha")
    }

    /// A merged pull request may not tell its commit yet.
    pub(crate) fn standing(&self) -> Result<PullStanding, Malformed> {
        match &*self.state {
            "open" => Ok(PullStanding::Open),
            "closed" if self.merged.unwrap_or(self.merged_at.is_some()) => {
                let commit = self.merge_commit_sha.as_deref().and_then(|text| Sha::parse(text).ok());
                Ok(PullStanding::Merged { commit })
            }
            "closed" => Ok(PullStanding::Closed),
            _ => Err(Malformed::unfit("pull_request.state", "is neither open nor closed")),
        }
    }
}

/// A review.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ReviewShape {
    pub id: u64,
    pub state: Arc<str>,
    #[serde(default)]
    pub user: Option<UserShape>,
    #[serde(default)]
    pub commit_id: Option<Arc<str>>,
}

impl ReviewShape {
    /// Webhooks write the state in lower case, the API in upper case.
    pub(crate) fn review(&self) -> Review {
        let verdict = match self.state.to_ascii_lowercase().as_str() {
            "approved" => Verdict::Approved,
            "changes_requested" => Verdict::ChangesRequested,
            "dismissed" => Verdict::Dismissed,
            _ => Verdict::Commented,
        };
        Review {
            id: ReviewId(self.id),
            user: UserShape::user_or_ghost(self.user.as_ref()),
            verdict,
            commit: self.commit_id.as_deref().and_then(|text| Sha::parse(text).ok()),
        }
    }
}

/// A comment on an issue or a pull request.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CommentShape {
    pub id: u64,
    #[serde(default)]
    pub body: Option<Arc<str>>,
    #[serde(default)]
    pub user: Option<UserShape>,
    #[serde(default)]
    pub created_at: Option<Arc<str>>,
}

impl CommentShape {
    pub(crate) fn comment(&self, pull: PullNumber) -> Result<Comment, Malformed> {
        Ok(Comment {
            id: CommentId(self.id),
            pull,
            author: UserShape::user_or_ghost(self.user.as_ref()),
            body: self.body.clone().unwrap_or_default(),
            created_at: moment(self.created_at.as_ref(), "comment.created_at")?,
        })
    }
}

/// A deployment.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DeploymentShape {
    pub id: u64,
    pub sha: Arc<str>,
    #[serde(rename = "ref")]
    pub git_ref: Arc<str>,
    #[serde(default)]
    pub task: Option<Arc<str>>,
    pub environment: Arc<str>,
    #[serde(default)]
    pub payload: Value,
    #[serde(default)]
    pub creator: Option<UserShape>,
    #[serde(default)]
    pub performed_via_github_app: Option<AppShape>,
    #[serde(default)]
    pub created_at: Option<Arc<str>>,
}

/// An App.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct AppShape {
    #[serde(default)]
    pub id: Option<u64>,
    #[serde(default)]
    pub slug: Option<Arc<str>>,
}

/// Hosted Actions, as a person and as an App.
const ACTIONS_LOGIN: &str = "github-actions[bot]";
const ACTIONS_SLUG: &str = "github-actions";

impl DeploymentShape {
    pub(crate) fn snapshot(&self, state: Option<DeploymentState>) -> Result<DeploymentSnapshot, Malformed> {
        let payload = payload_of(&self.payload);
        Ok(DeploymentSnapshot {
            id: DeploymentId(self.id),
            sha: sha(&self.sha, "deployment.sha")?,
            git_ref: self.git_ref.clone(),
            task: self.task.clone().unwrap_or_else(|| "deploy".into()),
            environment: EnvironmentName::new(self.environment.clone()),
            key: key_of(&payload),
            payload: payload.to_string().into(),
            creator: UserShape::user_or_ghost(self.creator.as_ref()),
            maker: self.maker(),
            state,
        })
    }

    fn maker(&self) -> DeploymentMaker {
        let by_bot = self.creator.as_ref().is_some_and(|creator| &*creator.login == ACTIONS_LOGIN);
        let slug = self.performed_via_github_app.as_ref().and_then(|app| app.slug.as_deref());
        if by_bot || slug == Some(ACTIONS_SLUG) { DeploymentMaker::Actions } else { DeploymentMaker::Anyone }
    }
}

/// A deployment's payload comes as an object, or as text that may hold one.
fn payload_of(payload: &Value) -> Value {
    match payload {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| payload.clone()),
        other => other.clone(),
    }
}

fn key_of(payload: &Value) -> Option<EffectKey> {
    payload.get("greenlight")?.get("key")?.as_str().map(EffectKey::from)
}

/// A deployment's status.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DeploymentStatusShape {
    pub id: u64,
    pub state: Arc<str>,
    #[serde(default)]
    pub description: Option<Arc<str>>,
    #[serde(default)]
    pub log_url: Option<Arc<str>>,
    #[serde(default)]
    pub environment_url: Option<Arc<str>>,
}

impl DeploymentStatusShape {
    /// A state that is unknown here says nothing.
    pub(crate) fn state(&self) -> Option<DeploymentState> {
        match &*self.state {
            "pending" | "waiting" => Some(DeploymentState::Pending),
            "queued" => Some(DeploymentState::Queued),
            "in_progress" => Some(DeploymentState::InProgress),
            "success" => Some(DeploymentState::Success),
            "failure" => Some(DeploymentState::Failure),
            "error" => Some(DeploymentState::Error),
            "inactive" | "destroyed" => Some(DeploymentState::Inactive),
            _ => None,
        }
    }
}

/// Returns GitHub's word for a deployment's state.
pub(crate) fn deployment_state(state: DeploymentState) -> &'static str {
    match state {
        DeploymentState::Pending => "pending",
        DeploymentState::Queued => "queued",
        DeploymentState::InProgress => "in_progress",
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        DeploymentState::Error => "error",
        DeploymentState::Inactive => "inactive",
    }
}

/// A status of a commit.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StatusShape {
    pub context: Arc<str>,
    pub state: Arc<str>,
    #[serde(default)]
    pub description: Option<Arc<str>>,
    #[serde(default)]
    pub target_url: Option<Arc<str>>,
}

impl StatusShape {
    pub(crate) fn verdict(&self) -> (Context, Verdicts) {
        let verdict = match &*self.state {
            "success" => Verdicts::Success,
            "failure" | "error" => Verdicts::NotSuccess,
            _ => Verdicts::Pending,
        };
        (Context::new(self.context.clone()), verdict)
    }
}

/// A check run.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct CheckRunShape {
    #[serde(default)]
    pub id: u64,
    pub name: Arc<str>,
    pub status: Arc<str>,
    #[serde(default)]
    pub head_sha: Option<Arc<str>>,
    #[serde(default)]
    pub conclusion: Option<Arc<str>>,
    #[serde(default)]
    pub external_id: Option<Arc<str>>,
    #[serde(default)]
    pub details_url: Option<Arc<str>>,
    #[serde(default)]
    pub output: Option<OutputShape>,
    #[serde(default)]
    pub app: Option<AppShape>,
}

/// What a check run says.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OutputShape {
    #[serde(default)]
    pub title: Option<Arc<str>>,
    #[serde(default)]
    pub annotations_count: usize,
}

impl CheckRunShape {
    /// Only an explicit success is one (R4).
    pub(crate) fn verdict(&self) -> (Context, Verdicts) {
        let verdict = match (&*self.status, self.conclusion.as_deref()) {
            ("completed", Some("success")) => Verdicts::Success,
            ("completed", _) => Verdicts::NotSuccess,
            _ => Verdicts::Pending,
        };
        (Context::new(self.name.clone()), verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_both_forms() {
        let read = |text: &str| serde_json::from_str::<MomentShape>(text).unwrap().timestamp();
        assert_eq!(read("1557933657"), Some(Timestamp::from_millis(1_557_933_657_000)));
        assert_eq!(read("\"2019-05-15T15:20:57Z\""), Some(Timestamp::from_millis(1_557_933_657_000)));
        for odd in ["\"yesterday\"", "1e300", "{}", "[1]", "9223372036854775807"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn names_of_repositories_cannot_lead_elsewhere() {
        assert!(is_full_name("octocat/Hello-World.rs"));
        for bad in ["octocat", "a/b/c", "../x", "a/..", "a/b?c", "a/", "/b", "a/b c", ""] {
            assert!(!is_full_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_deployment_s_payload_comes_as_an_object_or_as_text() {
        let read = |payload: Value| {
            let shape = serde_json::json!({
                "id": 1, "sha": "6113728f27ae82c7b1a177c8d03f9e96e0adf246", "ref": "main", "environment": "staging", "payload": payload,
            });
            let snapshot = DeploymentShape::deserialize(&shape).unwrap().snapshot(None).unwrap();
            (snapshot.payload.to_string(), snapshot.key.map(|key| key.to_string()))
        };
        let ours = serde_json::json!({"greenlight": {"key": "k1"}});
        assert_eq!(read(ours.clone()), (ours.to_string(), Some("k1".into())));
        assert_eq!(read(Value::String(ours.to_string())), (ours.to_string(), Some("k1".into())));
        assert_eq!(read("just words".into()), ("\"just words\"".into(), None));
        assert_eq!(read("".into()), ("\"\"".into(), None));
        assert_eq!(read(Value::Null), ("null".into(), None));
        assert_eq!(read(serde_json::json!({"greenlight": "x"})).1, None);
    }

    #[test]
    fn only_an_explicit_success_is_one() {
        let read = |status: &str, conclusion: Option<&str>| {
            let shape = serde_json::json!({"name": "x", "status": status, "conclusion": conclusion});
            CheckRunShape::deserialize(&shape).unwrap().verdict().1
        };
        assert_eq!(read("completed", Some("success")), Verdicts::Success);
        for other in ["neutral", "skipped", "cancelled", "timed_out", "failure", "stale", "something new"] {
            assert_eq!(read("completed", Some(other)), Verdicts::NotSuccess, "{other}");
        }
        assert_eq!(read("completed", None), Verdicts::NotSuccess);
        assert_eq!(read("in_progress", None), Verdicts::Pending);
    }
}
