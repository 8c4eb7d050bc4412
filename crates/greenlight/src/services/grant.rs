//! What a job may ask of the services, and which caches it sees (S6).
//!
//! A cache belongs to the ref that wrote it. A job reads those of its own ref, of its pull request's base, and of the default branch;
//! it writes those of its own ref only. What is not trusted writes into a place of its own, which nothing trusted ever reads.

use std::sync::Arc;

use greenlight_core::effect::JobOrder;
use greenlight_core::id::AttemptId;
use greenlight_core::time::{Duration, Timestamp};
use greenlight_runner::wire::message::Attempt;
use greenlight_workflow::{Contexts, PermissionLevel, Value, Workflow, parse_workflow};
use serde::{Deserialize, Serialize};

use super::keys::Keys;

/// How much longer than its job a token may live: the last step may be late.
const AFTER_JOB: Duration = Duration::from_secs(5 * 60);
/// How the places of caches are called that nothing trusted reads.
const UNTRUSTED: &str = "untrusted:";
/// Events that anybody can cause, and that run trusted code all the same: what it caches may be a stranger's (S3).
const OF_ANYBODY: [&str; 3] = ["pull_request_target", "issue_comment", "workflow_run"];
/// The permission without which a job has no identity to show.
const ID_TOKEN: &str = "id-token";
/// Repositories that were made from here on have ids in their identity's subject.
const SUBJECTS_WITH_IDS_FROM: &str = "2026-07-15T00:00:00Z";

/// What the bearer of a job's token may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The job.
    pub attempt: AttemptId,
    /// The places of caches that it reads, nearest first. The first one is its own, which it writes.
    pub scopes: Vec<Arc<str>>,
    /// The address under which it reaches us.
    pub url: Arc<str>,
    /// What an identity token says of it, where it may have one.
    pub identity: Option<serde_json::Map<String, serde_json::Value>>,
    /// Until when.
    pub until: Timestamp,
}

/// Who a job is, for those outside who check identity tokens.
pub type JobIdentity = serde_json::Map<String, serde_json::Value>;

impl Grant {
    /// Returns the grant of a job that was handed out. `url` is where it reaches us.
    pub fn of_order(order: &JobOrder, default_branch: &str, url: impl Into<Arc<str>>, now: Timestamp) -> Self {
        let github = |name| order.github.get(name).coerce_string().to_string();
        let git_ref = github("ref");
        let base = Some(github("base_ref")).filter(|base| !base.is_empty());
        let for_all = caches_for_all(&github("event_name"), order.trusted);
        Self {
            attempt: order.attempt.clone(),
            scopes: scopes(&git_ref, base.as_deref(), default_branch, for_all),
            url: url.into(),
            identity: identity(order),
            until: now + order.timeout + AFTER_JOB,
        }
    }

    /// Returns the names that the run and the job have in the services.
    pub fn backend_ids(&self, keys: &Keys) -> (String, String) {
        let attempt = &self.attempt;
        let (repo, run) = (attempt.repo.0.to_be_bytes(), attempt.run.0.to_be_bytes());
        let (run_attempt, tried) = (attempt.run_attempt.to_be_bytes(), attempt.tried.to_be_bytes());
        let run_parts: [&[u8]; 4] = [b"run", &repo, &run, &run_attempt];
        let job_parts: [&[u8]; 6] = [b"job", &repo, &run, &run_attempt, attempt.job.as_str().as_bytes(), &tried];
        (named(keys.code(&run_parts)), named(keys.code(&job_parts)))
    }

    /// Returns the place whose caches the job writes.
    pub fn own_scope(&self) -> &str {
        self.scopes.first().map_or("", |scope| scope)
    }
}

fn named(code: [u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&code[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// May trusted jobs read what a job of this event caches?
fn caches_for_all(event: &str, trusted: bool) -> bool {
    trusted && !OF_ANYBODY.contains(&event)
}

/// Returns the places of caches that a job on this ref reads; the first is the one that it writes, for all or for its like.
pub fn scopes(git_ref: &str, base: Option<&str>, default_branch: &str, for_all: bool) -> Vec<Arc<str>> {
    let mut scopes: Vec<Arc<str>> = Vec::new();
    if !for_all {
        scopes.push(format!("{UNTRUSTED}{git_ref}").into());
    }
    scopes.push(git_ref.into());
    for branch in base.into_iter().chain([default_branch]) {
        let scope: Arc<str> = match branch.starts_with("refs/") {
            true => branch.into(),
            false => format!("refs/heads/{branch}").into(),
        };
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

/// Returns what an identity token says of a job; nothing where it has no `id-token: write`, or is not trusted (S1).
fn identity(order: &JobOrder) -> Option<JobIdentity> {
    let parsed = parse_workflow(&order.workflow_path, &order.workflow_text);
    let workflow = parsed.workflow.as_ref()?;
    if !order.trusted || !may_show_identity(order) {
        return None;
    }
    let github = |name| order.github.get(name).coerce_string().to_string();
    let repository = order.github.get("event").get("repository").clone();
    let environment = environment(workflow, order);
    let mut claims = JobIdentity::new();
    let mut claim = |name: &str, value: String| {
        if !value.is_empty() {
            claims.insert(name.to_owned(), value.into());
        }
    };
    claim("sub", subject(order, environment.as_deref(), &repository));
    for name in ["actor", "actor_id", "base_ref", "head_ref", "event_name", "ref", "ref_type", "sha", "workflow"] {
        claim(name, github(name));
    }
    for name in ["repository", "repository_id", "repository_owner", "run_id", "run_number", "run_attempt"] {
        claim(name, github(name));
    }
    for name in ["workflow_ref", "workflow_sha"] {
        claim(name, github(name));
        claim(&format!("job_{name}"), github(name));
    }
    claim("repository_owner_id", repository.get("owner").get("id").coerce_string().to_string());
    claim("repository_visibility", visibility(&repository).unwrap_or_default().to_owned());
    claim("runner_environment", "self-hosted".to_owned());
    claim("environment", environment.unwrap_or_default());
    Some(claims)
}

/// Has the job `id-token: write`? In a called workflow it has what its callers have, and no more, where it says nothing else.
fn may_show_identity(order: &JobOrder) -> bool {
    let own = (&order.workflow_path, &order.workflow_text, &order.job_id);
    let callers = order.callers.iter().map(|caller| (&caller.workflow_path, &caller.workflow_text, &caller.job_id));
    let mut may = None;
    for (path, text, job_id) in callers.chain([own]) {
        let parsed = parse_workflow(path, text);
        let Some(workflow) = parsed.workflow.as_ref() else { return false };
        let Some(job) = workflow.job(job_id) else { return false };
        let permissions = job.permissions.as_ref().or(workflow.permissions.as_ref());
        let said = permissions.map(|permissions| permissions.get(ID_TOKEN) == PermissionLevel::Write);
        may = match (may, said) {
            (known, None) => known,
            (None, said) => said,
            (Some(known), Some(said)) => Some(known && said),
        };
    }
    may.unwrap_or(false)
}

fn environment(workflow: &Workflow, order: &JobOrder) -> Option<String> {
    let environment = workflow.job(&order.job_id)?.environment.as_ref()?;
    let contexts = Contexts::new()
        .with("github", order.github.clone())
        .with("needs", order.needs.clone())
        .with("inputs", order.inputs.clone())
        .with("matrix", order.matrix.clone())
        .with("strategy", order.strategy.clone());
    environment.evaluate_name(&contexts).ok().flatten()
}

/// Returns whose a repository is to see; nothing where the event does not tell: nobody is told that what may be private is public.
fn visibility(repository: &Value) -> Option<&'static str> {
    match (&*repository.get("visibility").coerce_string(), repository.get("private")) {
        ("internal", _) => Some("internal"),
        ("private", _) | (_, Value::Bool(true)) => Some("private"),
        ("public", _) | (_, Value::Bool(false)) => Some("public"),
        _ => None,
    }
}

/// Returns the subject, as GitHub forms it: `repo:`, the repository, and what the job is about.
fn subject(order: &JobOrder, environment: Option<&str>, repository: &Value) -> String {
    let quoted = |text: &str| text.replace(':', "%3A");
    let about = match (environment, &*order.github.get("event_name").coerce_string()) {
        (Some(environment), _) => format!("environment:{}", quoted(environment)),
        (None, "pull_request") => "pull_request".to_owned(),
        (None, _) => format!("ref:{}", quoted(&order.github.get("ref").coerce_string())),
    };
    let (owner, name) = order.repository.split_once('/').unwrap_or((&order.repository, ""));
    match ids(repository) {
        Some((owner_id, id)) => format!("repo:{owner}@{owner_id}/{name}@{id}:{about}"),
        None => format!("repo:{owner}/{name}:{about}"),
    }
}

/// Returns the ids of owner and repository, where the repository is so young that its subject has them.
fn ids(repository: &Value) -> Option<(String, String)> {
    let from: jiff::Timestamp = SUBJECTS_WITH_IDS_FROM.parse().expect("this is a time");
    let created = repository.get("created_at");
    let created = match created {
        Value::Number(seconds) => jiff::Timestamp::from_second(*seconds as i64).ok()?,
        _ => created.coerce_string().parse().ok()?,
    };
    let id = |value: &Value| Some(value.coerce_string().to_string()).filter(|text| !text.is_empty());
    (created >= from).then_some(())?;
    Some((id(repository.get("owner").get("id"))?, id(repository.get("id"))?))
}

/// A grant as it stands in a token.
#[derive(Serialize, Deserialize)]
pub(super) struct GrantShape {
    #[serde(flatten)]
    attempt: Attempt,
    scopes: Vec<Arc<str>>,
    url: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<JobIdentity>,
}

impl GrantShape {
    pub(super) fn of(grant: &Grant, identity: bool) -> Self {
        Self {
            attempt: (&grant.attempt).into(),
            scopes: grant.scopes.clone(),
            url: grant.url.clone(),
            identity: grant.identity.clone().filter(|_| identity),
        }
    }

    pub(super) fn into_grant(self, until: Timestamp) -> Grant {
        Grant { attempt: self.attempt.into(), scopes: self.scopes, url: self.url, identity: self.identity, until }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_see_a_repository_is_not_guessed() {
        for (told, expected) in [
            (r#"{"visibility":"internal","private":true}"#, Some("internal")),
            (r#"{"private":true}"#, Some("private")),
            (r#"{"private":false}"#, Some("public")),
            (r#"{"full_name":"acme/app"}"#, None),
            ("null", None),
        ] {
            assert_eq!(visibility(&Value::from_json(told).unwrap()), expected, "{told}");
        }
    }

    #[test]
    fn what_anybody_can_cause_caches_for_nobody_else() {
        for (event, trusted, own) in [
            ("push", true, "refs/heads/main"),
            ("push", false, "untrusted:refs/heads/main"),
            ("pull_request_target", true, "untrusted:refs/heads/main"),
            ("issue_comment", true, "untrusted:refs/heads/main"),
        ] {
            let scopes = scopes("refs/heads/main", None, "main", caches_for_all(event, trusted));
            assert_eq!(&*scopes[0], own, "{event}");
            assert_eq!(scopes.last().map(|scope| &**scope), Some("refs/heads/main"), "{event} reads what all read");
        }
    }
}
