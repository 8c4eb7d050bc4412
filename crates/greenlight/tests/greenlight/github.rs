//! An emulated GitHub with one repository, and a hand that does there what people do.

use std::path::Path;
use std::time::Duration;

use greenlight_emulator::{Emulator, Options, Running, Seed};
use serde_json::{Value, json};

use super::server::{SECRET, Server, until};

/// The repository.
pub const NAME: &str = "octocat/Spoon-Knife";

/// The emulated GitHub.
pub struct GitHub {
    pub running: Running,
    http: reqwest::Client,
}

impl GitHub {
    /// Starts one whose repository has these files.
    pub async fn start(dir: &Path, files: Value) -> Self {
        Self::start_with(dir, files, json!([])).await
    }

    /// Starts one with Apps.
    pub async fn start_with(dir: &Path, files: Value, apps: Value) -> Self {
        let seed = json!({
            "apps": apps,
            "users": [{ "login": "octocat" }, { "login": "hubot" }],
            "tokens": [{ "token": "octocat-token", "user": "octocat" }, { "token": "hubot-token", "user": "hubot" }],
            "repositories": [{ "owner": "octocat", "name": "Spoon-Knife", "files": files }],
        });
        let seed: Seed = serde_json::from_value(seed).unwrap();
        let options = Options { lag: Duration::ZERO, seed: Some(seed), ..Options::ghes(dir.join("github")) };
        let running = Emulator::start(options).await.unwrap();
        Self { running, http: reqwest::Client::builder().no_proxy().build().unwrap() }
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
