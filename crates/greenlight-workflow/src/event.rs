//! An event with the payload that GitHub sends with it: what triggers and the `github` context take from it. What only the
//! server knows (the test merge, the changed files) is not here.

use crate::plan::skip_words;
use crate::trigger::EventFacts;
use crate::value::Value;

/// Events that the skip words of a commit's message hold back.
const SKIPPED_BY_WORDS: [&str; 2] = ["push", "pull_request"];

/// The parts of the `github` context that are variables of a job too, in upper case behind `GITHUB_`.
pub const GITHUB_VARIABLES: [&str; 32] = [
    "action",
    "action_path",
    "action_ref",
    "action_repository",
    "actor",
    "actor_id",
    "api_url",
    "base_ref",
    "event_name",
    "event_path",
    "graphql_url",
    "head_ref",
    "job",
    "ref",
    "ref_name",
    "ref_protected",
    "ref_type",
    "repository",
    "repository_id",
    "repository_owner",
    "repository_owner_id",
    "retention_days",
    "run_attempt",
    "run_id",
    "run_number",
    "server_url",
    "sha",
    "triggering_actor",
    "workflow",
    "workflow_ref",
    "workflow_sha",
    "workspace",
];

/// The other parts of the `github` context.
pub(crate) const GITHUB_OTHERS: [&str; 14] = [
    "action_status",
    "artifact_cache_size_limit",
    "env",
    "event",
    "host_workflow_ref",
    "job_workflow_sha",
    "output",
    "path",
    "repository_visibility",
    "repositoryUrl",
    "secret_source",
    "state",
    "step_summary",
    "token",
];

/// Returns the names of all events that start workflows.
pub fn event_names() -> impl Iterator<Item = &'static str> {
    crate::schema::EVENTS.iter().map(|event| event.name)
}

/// An event as GitHub tells of it.
#[derive(Clone, Debug)]
pub struct EventPayload {
    name: String,
    payload: Value,
    git_ref: String,
}

impl EventPayload {
    /// Returns the event of this name with this payload.
    pub fn new(name: impl Into<String>, payload: Value) -> EventPayload {
        let name = name.into();
        let git_ref = git_ref(&name, &payload);
        EventPayload { name, payload, git_ref }
    }

    /// Returns the event's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what GitHub sent.
    pub fn payload(&self) -> &Value {
        &self.payload
    }

    /// Returns the full ref that the workflow runs for, `github.ref`; empty where the payload does not tell.
    pub fn git_ref(&self) -> &str {
        &self.git_ref
    }

    /// Returns the commit that the workflow runs for, as far as the payload tells.
    pub fn sha(&self) -> Option<&str> {
        let pull = self.payload.get("pull_request");
        let sha = match self.name.as_str() {
            "push" => self.payload.get("after"),
            "pull_request" => first_of([pull.get("merge_commit_sha"), pull.get("head").get("sha")]),
            "pull_request_target" => pull.get("base").get("sha"),
            "merge_group" => self.payload.get("merge_group").get("head_sha"),
            "deployment" | "deployment_status" => self.payload.get("deployment").get("sha"),
            _ => self.payload.get("sha"),
        };
        sha.as_str()
    }

    /// Returns what the filters under `on:` look at; `changed_paths` as in [`EventFacts`].
    pub fn facts<'a>(&'a self, changed_paths: Option<&'a [String]>) -> EventFacts<'a> {
        EventFacts {
            name: &self.name,
            action: self.payload.get("action").as_str(),
            git_ref: &self.git_ref,
            base_branch: self.base_branch(),
            changed_paths,
            workflow: match self.name.as_str() {
                "workflow_run" => {
                    first_of([self.payload.get("workflow").get("name"), self.payload.get("workflow_run").get("name")])
                        .as_str()
                }
                _ => None,
            },
            schedule: self.payload.get("schedule").as_str().filter(|_| self.name == "schedule"),
            timezone: self.payload.get("timezone").as_str().filter(|_| self.name == "schedule"),
        }
    }

    /// Returns why no workflow runs for this event whatever its filters say, if that is so.
    pub fn holds_back(&self) -> Option<String> {
        if self.name == "push" && self.payload.get("deleted").as_bool() == Some(true) {
            return Some("nothing runs for a ref that was deleted".into());
        }
        let message = self.payload.get("head_commit").get("message").as_str()?;
        let is_held_back = SKIPPED_BY_WORDS.contains(&self.name.as_str());
        skip_words(message).filter(|_| is_held_back).map(|words| format!("the commit message says {words}"))
    }

    /// Returns the `github` context as far as the payload tells, for a workflow of this title.
    pub fn github(&self, workflow: &str) -> Value {
        let text = |value: &Value| value.coerce_string().to_string();
        let repository = self.payload.get("repository");
        let sender = self.payload.get("sender");
        let pull = match self.name.as_str() {
            "pull_request" | "pull_request_target" => self.payload.get("pull_request"),
            _ => &Value::Null,
        };
        let (kind, short) = short_ref(&self.git_ref);
        Value::object([
            ("event_name", Value::string(self.name.as_str())),
            ("event", self.payload.clone()),
            ("workflow", Value::string(workflow)),
            ("ref", Value::string(self.git_ref.as_str())),
            ("ref_name", Value::string(short)),
            ("ref_type", Value::string(kind)),
            ("sha", Value::string(self.sha().unwrap_or_default())),
            ("head_ref", Value::string(text(pull.get("head").get("ref")))),
            ("base_ref", Value::string(text(pull.get("base").get("ref")))),
            ("repository", Value::string(text(repository.get("full_name")))),
            ("repository_id", Value::string(text(repository.get("id")))),
            ("repository_owner", Value::string(text(repository.get("owner").get("login")))),
            ("repository_owner_id", Value::string(text(repository.get("owner").get("id")))),
            ("actor", Value::string(text(sender.get("login")))),
            ("actor_id", Value::string(text(sender.get("id")))),
            ("triggering_actor", Value::string(text(sender.get("login")))),
            ("run_attempt", Value::string("1")),
        ])
    }

    /// Returns the branch that branch filters look at where it is not the ref's.
    fn base_branch(&self) -> Option<&str> {
        match self.name.as_str() {
            "pull_request" | "pull_request_target" => self.payload.get("pull_request").get("base").get("ref").as_str(),
            "merge_group" => {
                let base = self.payload.get("merge_group").get("base_ref").as_str()?;
                Some(base.strip_prefix("refs/heads/").unwrap_or(base))
            }
            "workflow_run" => self.payload.get("workflow_run").get("head_branch").as_str(),
            _ => None,
        }
    }
}

fn git_ref(name: &str, payload: &Value) -> String {
    let text = |value: &Value| value.coerce_string().to_string();
    let default_branch = || match payload.get("repository").get("default_branch").as_str() {
        Some(branch) => format!("refs/heads/{branch}"),
        None => String::new(),
    };
    let pull = payload.get("pull_request");
    let merged = pull.get("merged").as_bool() == Some(true);
    match name {
        "push" | "workflow_dispatch" => qualified(&text(payload.get("ref")), "heads"),
        "pull_request" | "pull_request_review" | "pull_request_review_comment" if !merged => {
            format!("refs/pull/{}/merge", text(first_of([payload.get("number"), pull.get("number")])))
        }
        "pull_request" | "pull_request_target" | "pull_request_review" | "pull_request_review_comment" => {
            qualified(&text(pull.get("base").get("ref")), "heads")
        }
        "merge_group" => qualified(&text(payload.get("merge_group").get("head_ref")), "heads"),
        "create" if payload.get("ref_type").as_str() == Some("tag") => qualified(&text(payload.get("ref")), "tags"),
        "create" => qualified(&text(payload.get("ref")), "heads"),
        "release" => qualified(&text(payload.get("release").get("tag_name")), "tags"),
        "deployment" | "deployment_status" => qualified(&text(payload.get("deployment").get("ref")), "heads"),
        _ => default_branch(),
    }
}

fn qualified(name: &str, kind: &str) -> String {
    match name {
        "" => String::new(),
        name if name.starts_with("refs/") => name.to_owned(),
        name => format!("refs/{kind}/{name}"),
    }
}

/// Returns the kind of a ref and its short name, as `github.ref_type` and `github.ref_name` have them.
pub fn short_ref(git_ref: &str) -> (&'static str, &str) {
    if let Some(tag) = git_ref.strip_prefix("refs/tags/") {
        return ("tag", tag);
    }
    let short = git_ref.strip_prefix("refs/heads/").or_else(|| git_ref.strip_prefix("refs/pull/"));
    ("branch", short.unwrap_or(git_ref))
}

fn first_of<const N: usize>(values: [&Value; N]) -> &Value {
    const NULL: &Value = &Value::Null;
    values.into_iter().find(|value| !value.is_null()).unwrap_or(NULL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, payload: &str, git_ref: &str, base: Option<&str>, short: &str) {
        let event = EventPayload::new(name, Value::from_json(payload).unwrap());
        assert_eq!(event.git_ref(), git_ref);
        assert_eq!(event.facts(None).base_branch, base);
        assert_eq!(event.github("ci").get("ref_name").as_str(), Some(short));
    }

    #[test]
    fn events_run_for_the_ref_that_the_documentation_names() {
        check("push", r#"{"ref":"refs/tags/v1"}"#, "refs/tags/v1", None, "v1");
        check(
            "pull_request",
            r#"{"number":7,"pull_request":{"base":{"ref":"main"}}}"#,
            "refs/pull/7/merge",
            Some("main"),
            "7/merge",
        );
        check(
            "pull_request",
            r#"{"number":7,"pull_request":{"merged":true,"base":{"ref":"main"}}}"#,
            "refs/heads/main",
            Some("main"),
            "main",
        );
        check(
            "pull_request_target",
            r#"{"number":7,"pull_request":{"base":{"ref":"main"}}}"#,
            "refs/heads/main",
            Some("main"),
            "main",
        );
        check(
            "merge_group",
            r#"{"merge_group":{"head_ref":"refs/heads/q/1","base_ref":"refs/heads/main"}}"#,
            "refs/heads/q/1",
            Some("main"),
            "q/1",
        );
        check(
            "workflow_run",
            r#"{"repository":{"default_branch":"d"},"workflow_run":{"head_branch":"x"}}"#,
            "refs/heads/d",
            Some("x"),
            "d",
        );
        check("release", r#"{"release":{"tag_name":"v2"}}"#, "refs/tags/v2", None, "v2");
        check("create", r#"{"ref":"v3","ref_type":"tag"}"#, "refs/tags/v3", None, "v3");
        check("issues", r#"{}"#, "", None, "");
    }

    #[test]
    fn skip_words_hold_back_pushes_only() {
        let payload = || Value::from_json(r#"{"ref":"refs/heads/x","head_commit":{"message":"x [skip ci]"}}"#).unwrap();
        assert_eq!(
            EventPayload::new("push", payload()).holds_back().as_deref(),
            Some("the commit message says [skip ci]")
        );
        assert_eq!(EventPayload::new("workflow_dispatch", payload()).holds_back(), None);
        let deleted = Value::from_json(r#"{"ref":"refs/heads/x","deleted":true}"#).unwrap();
        assert!(EventPayload::new("push", deleted).holds_back().is_some());
    }
}
