//! What the emulated GitHub recorded, read into words: its event feed is the only source of the narration.

use serde_json::Value;

/// One entry of the feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its place.
    pub seq: u64,
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// What.
    pub what: What,
}

/// What an entry tells of.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A ref moved.
    Push {
        repository: String,
        git_ref: String,
        before: String,
        after: String,
        commits: u64,
        login: String,
        by_git: bool,
    },
    /// A webhook was delivered, or was to be.
    Delivery { hook: u64, id: u64, event: String, action: Option<String>, answered: u64, milliseconds: f64 },
    /// A repository was forked.
    Fork { repository: String, login: String },
    /// A pull request was opened through the API.
    PullOpened { number: u64, title: String, head: String, head_sha: String, base: String, login: String },
    /// A commit's status was accepted.
    Status(Status),
    /// A pull request was merged.
    Merged { number: u64, sha: String, login: String },
    /// A deployment was made.
    Deployment { id: u64, environment: String, sha: String, login: String },
    /// A deployment's status was accepted.
    DeploymentStatus { id: u64, status: DeploymentStatus },
    /// Somebody said something on a pull request.
    Comment { number: u64, login: String, body: String },
    /// A write that was refused, or failed.
    Refused { method: String, path: String, status: u64, message: String, login: String },
    /// A room was told.
    Room { room: String, text: String },
    /// Nothing that the story is about.
    Other,
}

/// A commit's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The commit.
    pub sha: String,
    /// What it is about.
    pub context: String,
    /// The state.
    pub state: String,
    /// Why.
    pub description: String,
    /// Where the details are.
    pub target_url: Option<String>,
}

/// A deployment's status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// The state.
    pub state: String,
    /// Why.
    pub description: String,
    /// Where the deployed thing is.
    pub environment_url: Option<String>,
}

impl Entry {
    /// Reads an entry; one of a form that is not known is [`What::Other`].
    pub fn read(value: &Value) -> Self {
        let what = match text(value, "kind").as_str() {
            "push" => push(value),
            "delivery" => delivery(value),
            "room" => What::Room { room: text(value, "room"), text: text(value, "text") },
            "request" => request(value),
            _ => What::Other,
        };
        Self { seq: value["seq"].as_u64().unwrap_or(0), at: value["at"].as_i64().unwrap_or(0), what }
    }
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn some_text(value: &Value, name: &str) -> Option<String> {
    value[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn push(value: &Value) -> What {
    What::Push {
        repository: text(value, "repository"),
        git_ref: text(value, "ref"),
        before: text(value, "before"),
        after: text(value, "after"),
        commits: value["commits"].as_u64().unwrap_or(0),
        login: text(value, "login"),
        by_git: value["by"] == "git",
    }
}

fn delivery(value: &Value) -> What {
    What::Delivery {
        hook: value["hook"].as_u64().unwrap_or(0),
        id: value["id"].as_u64().unwrap_or(0),
        event: text(value, "event"),
        action: some_text(value, "action"),
        answered: value["status"].as_u64().unwrap_or(0),
        milliseconds: value["duration"].as_f64().unwrap_or(0.0) * 1000.0,
    }
}

fn request(value: &Value) -> What {
    let method = text(value, "method");
    if method == "GET" {
        return What::Other;
    }
    let path = text(value, "path");
    let status = value["status"].as_u64().unwrap_or(0);
    let login = text(value, "login");
    let (body, answer) = (&value["body"], &value["answer"]);
    if status >= 400 {
        return What::Refused { method, path, status, message: text(answer, "message"), login };
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let number = |text: &str| text.parse().unwrap_or(0);
    match (method.as_str(), parts.get(3..).unwrap_or_default()) {
        ("POST", ["forks"]) => What::Fork { repository: text(answer, "full_name"), login },
        ("POST", ["pulls"]) => opened(answer, login),
        ("PUT", ["pulls", pull, "merge"]) => What::Merged { number: number(pull), sha: text(answer, "sha"), login },
        ("POST", ["statuses", sha]) => What::Status(status_in(body, sha)),
        ("POST", ["deployments"]) if status == 201 => What::Deployment {
            id: answer["id"].as_u64().unwrap_or(0),
            environment: text(answer, "environment"),
            sha: text(answer, "sha"),
            login,
        },
        ("POST", ["deployments", id, "statuses"]) => {
            What::DeploymentStatus { id: number(id), status: deployment_status_in(body) }
        }
        ("POST", ["issues", pull, "comments"]) => {
            What::Comment { number: number(pull), login, body: text(body, "body") }
        }
        _ => What::Other,
    }
}

fn opened(answer: &Value, login: String) -> What {
    What::PullOpened {
        number: answer["number"].as_u64().unwrap_or(0),
        title: text(answer, "title"),
        head: text(&answer["head"], "label"),
        head_sha: text(&answer["head"], "sha"),
        base: text(&answer["base"], "ref"),
        login,
    }
}

/// Reads a status, as it was sent or as it is answered.
pub fn status_in(value: &Value, sha: &str) -> Status {
    Status {
        sha: sha.to_owned(),
        context: some_text(value, "context").unwrap_or_else(|| "default".to_owned()),
        state: text(value, "state"),
        description: text(value, "description"),
        target_url: some_text(value, "target_url"),
    }
}

/// Reads a deployment's status, as it was sent or as it is answered.
pub fn deployment_status_in(value: &Value) -> DeploymentStatus {
    DeploymentStatus {
        state: text(value, "state"),
        description: text(value, "description"),
        environment_url: some_text(value, "environment_url"),
    }
}

/// Returns the part of a commit's name that people read.
pub fn short(sha: &str) -> &str {
    sha.get(..7).unwrap_or(sha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn what(value: Value) -> What {
        Entry::read(&value).what
    }

    #[test]
    fn an_accepted_status_is_read_and_a_refused_one_is_a_refusal() {
        let mut value = json!({"seq": 4, "at": 17, "kind": "request", "method": "POST", "path": "/repos/o/r/statuses/abc", "status": 201,
            "body": {"state": "pending", "context": "greenlight", "description": "why"}, "answer": {}});
        let status = Status {
            sha: "abc".into(),
            context: "greenlight".into(),
            state: "pending".into(),
            description: "why".into(),
            target_url: None,
        };
        assert_eq!(Entry::read(&value), Entry { seq: 4, at: 17, what: What::Status(status) });
        value["status"] = json!(422);
        assert!(matches!(what(value), What::Refused { status: 422, .. }));
    }

    #[test]
    fn a_deployment_that_was_not_made_is_none() {
        let asked = |status: u64| json!({"kind": "request", "method": "POST", "path": "/repos/o/r/deployments", "status": status, "answer": {"id": 3, "environment": "staging", "sha": "a"}});
        assert!(matches!(what(asked(201)), What::Deployment { id: 3, .. }));
        assert_eq!(what(asked(202)), What::Other);
    }

    #[test]
    fn what_is_not_known_is_nothing() {
        for value in [json!(null), json!({"kind": "dance"}), json!({"kind": "request", "method": "POST", "path": "/"})]
        {
            assert_eq!(what(value), What::Other);
        }
    }
}
