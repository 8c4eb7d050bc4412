//! An emulated GitHub with one repository, and a hand that does there what people do.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use greenlight_emulator::{Emulator, Options, Running, Seed};
use serde_json::{Value, json};

use super::server::{SECRET, Server, until};

/// The repository.
pub const NAME: &str = "octocat/Spoon-Knife";

/// The emulated GitHub.
pub struct GitHub {
    pub running: Running,
    data: PathBuf,
    http: reqwest::Client,
}

/// A workflow of another repository that everybody may call.
const SHARED: &str = "on:
  workflow_call:
    inputs: { what: { type: string } }
    outputs: { said: { value: '${{ jobs.say.outputs.said }}' } }
jobs:
  say:
    runs-on: ubuntu-latest
    outputs: { said: '${{ steps.s.outputs.said }}' }
    steps: [{ id: s, run: 'echo said=${{ inputs.what }}-from-shared >> $GITHUB_OUTPUT' }]
";

impl GitHub {
    /// Starts one whose repository has these files; beside it there is another one with a workflow to call.
    pub async fn start(dir: &Path, files: Value) -> Self {
        Self::start_with(dir, files, json!([])).await
    }

    /// Starts one with an App that may do all that Greenlight does; returns settings for a server that is it, too.
    pub async fn start_for_an_app(dir: &Path, files: Value) -> (Self, String) {
        let write = ["checks", "statuses", "contents", "pull_requests", "deployments", "issues"]
            .map(|name| (name.to_owned(), json!("write")));
        let mut permissions: serde_json::Map<String, Value> = write.into_iter().collect();
        permissions.insert("metadata".into(), json!("read"));
        let app = json!({
            "id": 7, "slug": "greenlight", "owner": "octocat", "permissions": permissions, "events": ["*"],
            "installations": [{ "id": 9, "account": "octocat", "repositories": ["Spoon-Knife"] }],
        });
        let github = Self::start_with(dir, files, json!([app])).await;
        let settings = github.settings_of_app(dir, 7).await;
        (github, settings)
    }

    /// Starts one with Apps.
    pub async fn start_with(dir: &Path, files: Value, apps: Value) -> Self {
        let seed = json!({
            "apps": apps,
            "users": [{ "login": "octocat" }, { "login": "hubot" }],
            "tokens": [{ "token": "octocat-token", "user": "octocat" }, { "token": "hubot-token", "user": "hubot" }],
            "repositories": [
                { "owner": "octocat", "name": "Spoon-Knife", "files": files },
                { "owner": "hubot", "name": "shared", "files": { ".github/workflows/shared.yml": SHARED } },
            ],
        });
        let seed: Seed = serde_json::from_value(seed).unwrap();
        let options = Options { lag: Duration::ZERO, seed: Some(seed), ..Options::ghes(dir.join("github")) };
        let running = Emulator::start(options).await.unwrap();
        Self::of(running, dir.join("github"))
    }

    fn of(running: Running, data: PathBuf) -> Self {
        Self { running, data, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Makes it unreachable.
    pub async fn go_away(self) -> Away {
        let (address, data) = (self.running.address(), self.data.clone());
        self.running.shutdown().await;
        Away { address, data }
    }

    /// Calls one of the emulator's own paths.
    pub async fn admin(&self, method: &str, path: &str, body: Value) {
        let url = format!("{}/_emulator{path}", self.running.base_url());
        let request = self.http.request(method.parse().unwrap(), url).header("Content-Type", "application/json");
        let response = request.body(body.to_string()).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
    }

    /// Opens a pull request whose tests are to succeed, and waits for that.
    pub async fn green_pull(&self, branch: &str) -> (u64, String) {
        let (number, head) = self.open_pull(branch, &format!("{branch}.txt"), "changed").await;
        self.status(&head, "greenlight", "success").await;
        (number, head)
    }

    /// Says something on a pull request.
    pub async fn comment(&self, number: u64, body: &str) {
        self.call("POST", &format!("/issues/{number}/comments"), json!({ "body": body })).await;
    }

    /// Returns what was said on a pull request.
    pub async fn comments(&self, number: u64) -> Vec<String> {
        let comments = self.get(&format!("/issues/{number}/comments")).await;
        comments.as_array().unwrap().iter().map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until a comment on a pull request has these words.
    pub async fn said(&self, number: u64, words: &str) {
        until(&format!("#{number} is told: {words}"), async || {
            self.comments(number).await.iter().any(|body| body.contains(words)).then_some(())
        })
        .await;
    }

    /// Waits until a pull request is merged, and returns the commit.
    pub async fn merged(&self, number: u64) -> String {
        until(&format!("#{number} is merged"), async || {
            let pull = self.get(&format!("/pulls/{number}")).await;
            (pull["merged"] == true).then(|| pull["merge_commit_sha"].as_str().unwrap().to_owned())
        })
        .await
    }

    /// Waits until the latest deployment to an environment is in this state, and returns its id and what is said of it.
    pub async fn deployed(&self, environment: &str, state: &str) -> (u64, String) {
        until(&format!("{environment} is {state}"), async || {
            let deployments = self.get(&format!("/deployments?environment={environment}")).await;
            let id = deployments.as_array().unwrap().first()?["id"].as_u64()?;
            let statuses = self.get(&format!("/deployments/{id}/statuses")).await;
            let latest = statuses.as_array().unwrap().first()?.clone();
            (latest["state"] == state).then(|| (id, latest["description"].as_str().unwrap_or("").to_owned()))
        })
        .await
    }

    /// Returns settings for a server that looks after the repository.
    pub fn settings(&self) -> String {
        format!(
            "[github]\napi_url = {:?}\ntoken = \"octocat-token\"\nwebhook_secret = {SECRET:?}\nrepositories = [{NAME:?}]\n",
            self.running.api_url()
        )
    }

    /// Returns settings for a server that is the App of this id.
    pub async fn settings_of_app(&self, dir: &Path, id: u64) -> String {
        let apps = self
            .http
            .get(format!("{}/_emulator/apps", self.running.base_url()))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let apps: Value = serde_json::from_str(&apps).unwrap();
        let app = apps
            .as_array()
            .unwrap_or_else(|| apps["apps"].as_array().unwrap())
            .iter()
            .find(|app| app["id"] == id)
            .unwrap()
            .clone();
        let key = dir.join("app.pem");
        std::fs::write(&key, app["private_key"].as_str().unwrap()).unwrap();
        format!(
            "[github]\napi_url = {:?}\napp_id = {id}\nprivate_key_file = {key:?}\nwebhook_secret = {SECRET:?}\n",
            self.running.api_url()
        )
    }

    /// Makes the repository's webhook lead to the server.
    pub async fn hook(&self, server: &Server) {
        let config = json!({ "url": server.public("/webhooks/github"), "content_type": "json", "secret": SECRET });
        self.call("POST", "/hooks", json!({ "name": "web", "active": true, "events": ["*"], "config": config })).await;
    }

    /// Calls the API about the repository, as octocat.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        self.call_as("octocat", method, &format!("/repos/{NAME}{path}"), body).await
    }

    /// Calls the API as somebody.
    pub async fn call_as(&self, login: &str, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.running.api_url());
        let mut request =
            self.http.request(method.parse().unwrap(), url).header("Authorization", format!("Bearer {login}-token"));
        if !body.is_null() {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let response = request.header("User-Agent", "tests").send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Returns what a read brings.
    pub async fn get(&self, path: &str) -> Value {
        self.call("GET", path, Value::Null).await
    }

    /// Makes a branch from main with one file, and opens a pull request for it. Returns its number and its head.
    pub async fn open_pull(&self, branch: &str, file: &str, text: &str) -> (u64, String) {
        let main = self.get("/git/ref/heads/main").await["object"]["sha"].clone();
        self.call("POST", "/git/refs", json!({ "ref": format!("refs/heads/{branch}"), "sha": main })).await;
        let head = self.write(branch, file, text).await;
        let pull = self.call("POST", "/pulls", json!({ "title": branch, "head": branch, "base": "main" })).await;
        (pull["number"].as_u64().unwrap(), head)
    }

    /// Writes a file on a branch. Returns the commit.
    pub async fn write(&self, branch: &str, file: &str, text: &str) -> String {
        use base64::Engine as _;
        let content = base64::engine::general_purpose::STANDARD.encode(text);
        let written = self
            .call("PUT", &format!("/contents/{file}"), json!({ "message": file, "content": content, "branch": branch }))
            .await;
        written["commit"]["sha"].as_str().unwrap().to_owned()
    }

    /// Waits until a commit's status under this context is in this state, and returns its description.
    pub async fn status(&self, sha: &str, context: &str, state: &str) -> String {
        until(&format!("{context} is {state} on {sha}"), async || {
            let statuses = self.get(&format!("/commits/{sha}/status")).await;
            let found =
                statuses["statuses"].as_array().unwrap().iter().find(|status| status["context"] == context)?.clone();
            (found["state"] == state).then(|| found["description"].as_str().unwrap_or("").to_owned())
        })
        .await
    }

    pub async fn stop(self) {
        self.running.shutdown().await;
    }
}

/// A GitHub that cannot be reached.
pub struct Away {
    address: SocketAddr,
    data: PathBuf,
}

impl Away {
    /// It can be reached again, as it was.
    pub async fn come_back(self) -> GitHub {
        let options = Options { lag: Duration::ZERO, listen: self.address, ..Options::ghes(&self.data) };
        let running = Emulator::start(options).await.unwrap();
        GitHub::of(running, self.data)
    }
}
