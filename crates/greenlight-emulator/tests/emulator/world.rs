//! An emulator with a small world in it, and a plain HTTP client.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use greenlight_emulator::{Emulator, Options, Running, Seed};
use serde_json::{Value, json};

use crate::openapi;

/// How long anything may take to become true.
const PATIENCE: Duration = Duration::from_secs(20);

/// An emulator, and where it lives.
pub struct World {
    pub running: Running,
    pub folder: tempfile::TempDir,
    client: reqwest::Client,
}

/// An answer.
#[derive(Debug)]
pub struct Said {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

/// Two people, one organization, one repository with a small history.
pub fn seed() -> Seed {
    let seed = json!({
        "users": [{"login": "octocat", "name": "The Octocat"}, {"login": "hubot"}, {"login": "stranger"}],
        "organizations": [{"login": "acme", "members": {"octocat": "admin", "hubot": "member"}, "teams": [{"name": "ops", "members": ["hubot"]}]}],
        "tokens": [
            {"token": "t-octocat", "user": "octocat"},
            {"token": "t-hubot", "user": "hubot"},
            {"token": "t-stranger", "user": "stranger"},
            {"token": "t-status", "user": "octocat", "scopes": ["repo:status"]}
        ],
        "repositories": [{
            "owner": "octocat",
            "name": "Spoon-Knife",
            "description": "made for forking",
            "files": {"README.md": "hello\n", "src/a.txt": "1\n2\n3\n", "script/cibuild": {"text": "#!/bin/sh\ntrue\n", "mode": "100755"}},
            "collaborators": {"hubot": "push"}
        }]
    });
    serde_json::from_value(seed).unwrap()
}

impl World {
    /// Starts github.com's profile without lag.
    pub async fn start() -> World {
        World::start_with(|options| options.lag = Duration::ZERO).await
    }

    /// Starts with options of one's own.
    pub async fn start_with(change: impl FnOnce(&mut Options)) -> World {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path().join("data"));
        options.seed = Some(seed());
        options.limits = None;
        change(&mut options);
        let running = Emulator::start_wrapped(options, openapi::watch).await.unwrap();
        World { running, folder, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Returns an address of the API.
    pub fn api(&self, path: &str) -> String {
        format!("{}{path}", self.running.api_url())
    }

    /// Asks as somebody; an empty token asks as nobody.
    pub async fn ask(&self, token: &str, method: &str, path: &str, body: Value) -> Said {
        self.ask_with(token, method, path, body, &[]).await
    }

    /// Asks with more headers.
    pub async fn ask_with(&self, token: &str, method: &str, path: &str, body: Value, headers: &[(&str, &str)]) -> Said {
        let url = if path.starts_with("http") { path.to_owned() } else { self.api(path) };
        let mut request = self.client.request(method.parse().unwrap(), url);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Said { status, headers, body }
    }

    /// Asks as octocat and expects this status.
    pub async fn octocat(&self, method: &str, path: &str, body: Value, status: u16) -> Value {
        let said = self.ask("t-octocat", method, path, body).await;
        assert_eq!(said.status, status, "{method} {path}: {}", said.body);
        said.body
    }

    /// Puts a file on a branch, made from main where it is new, and returns the branch's tip.
    pub async fn commit(&self, branch: &str, path: &str, text: &str) -> String {
        let tip = self
            .ask("t-octocat", "GET", &format!("/repos/octocat/Spoon-Knife/git/ref/heads/{branch}"), Value::Null)
            .await;
        if tip.status == 404 {
            let main = self.octocat("GET", "/repos/octocat/Spoon-Knife/git/ref/heads/main", Value::Null, 200).await;
            let made = json!({"ref": format!("refs/heads/{branch}"), "sha": main["object"]["sha"]});
            self.octocat("POST", "/repos/octocat/Spoon-Knife/git/refs", made, 201).await;
        }
        let known = self
            .ask("t-octocat", "GET", &format!("/repos/octocat/Spoon-Knife/contents/{path}?ref={branch}"), Value::Null)
            .await;
        let mut wanted = json!({"message": format!("change {path}"), "branch": branch, "content": base64(text)});
        if known.status == 200 {
            wanted["sha"] = known.body["sha"].clone();
        }
        let said = self.ask("t-octocat", "PUT", &format!("/repos/octocat/Spoon-Knife/contents/{path}"), wanted).await;
        assert!(matches!(said.status, 200 | 201), "{}", said.body);
        said.body["commit"]["sha"].as_str().unwrap().to_owned()
    }

    /// Opens a pull request from a branch of the repository itself; returns its number and head.
    pub async fn open(&self, branch: &str, path: &str, text: &str) -> (u64, String) {
        let head = self.commit(branch, path, text).await;
        let wanted = json!({"title": format!("change {path}"), "head": branch, "base": "main", "body": "please"});
        let pull = self.octocat("POST", "/repos/octocat/Spoon-Knife/pulls", wanted, 201).await;
        (pull["number"].as_u64().unwrap(), head)
    }

    /// Posts a status.
    pub async fn status(&self, sha: &str, context: &str, state: &str) -> Value {
        self.octocat(
            "POST",
            &format!("/repos/octocat/Spoon-Knife/statuses/{sha}"),
            json!({"state": state, "context": context}),
            201,
        )
        .await
    }

    /// Runs git in a folder, with a token in the address where `remote` is wanted.
    pub fn git(&self, folder: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        for (name, value) in [("NAME", "Test"), ("EMAIL", "test@localhost")] {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Returns the address of a repository for git, as whoever has this token.
    pub fn remote(&self, token: &str, repository: &str) -> String {
        let host = self.running.base_url().trim_start_matches("http://");
        let user = if token.is_empty() { String::new() } else { format!("x-access-token:{token}@") };
        format!("http://{user}{host}/{repository}.git")
    }

    /// Clones and returns the folder.
    pub async fn clone(&self, token: &str, repository: &str, name: &str) -> Result<PathBuf, String> {
        let folder = self.folder.path().join(name);
        let url = self.remote(token, repository);
        self.git_async(self.folder.path(), &["clone", "--quiet", &url, &folder.to_string_lossy()]).await?;
        Ok(folder)
    }

    /// Runs git without keeping the emulator in this process from answering.
    pub async fn git_async(&self, folder: &Path, arguments: &[&str]) -> Result<String, String> {
        tokio::task::block_in_place(|| self.git(folder, arguments))
    }
}

/// Encodes a text.
pub fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}

/// Waits until something is there.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
