//! The emulated GitHub as the demo asks it: its feed, its API with a person's token, and the pages that its links lead to.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::recorded::Entry;

/// How long an answer may take, beyond what was asked to wait.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Most that an answer may hold.
const ANSWER_SIZE_MAX: usize = 32 << 20;
/// Most of a log that is read.
const LOG_SIZE_MAX: usize = 1 << 20;

/// A way to the emulated GitHub.
#[derive(Clone)]
pub struct GitHub {
    http: reqwest::Client,
    web_url: String,
    api_url: String,
}

impl GitHub {
    /// Gets ready to ask.
    pub fn new(web_url: &str, api_url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("greenlight-demo")
            .build()
            .context("could not get ready for HTTP")?;
        Ok(Self { http, web_url: web_url.to_owned(), api_url: api_url.to_owned() })
    }

    /// Returns what was recorded after an entry, at once or as soon as there is something, at latest after `wait`.
    pub async fn events(&self, after: u64, wait: Duration) -> anyhow::Result<Vec<Entry>> {
        let url = format!("{}/_emulator/events?after={after}&wait={}", self.web_url, wait.as_secs_f64());
        let response =
            self.http.get(url).timeout(ANSWER_WITHIN + wait).send().await.context("could not read the feed")?;
        let entries = json_of(response).await?;
        let Value::Array(entries) = entries else { bail!("the feed is no list") };
        Ok(entries.iter().map(Entry::read).collect())
    }

    /// Returns what the rooms were told, the oldest first.
    pub async fn rooms(&self) -> anyhow::Result<Vec<String>> {
        let url = format!("{}/_emulator/room?after=0", self.web_url);
        let response = self.http.get(url).timeout(ANSWER_WITHIN).send().await.context("could not read the room")?;
        let lines = json_of(response).await?;
        let texts = lines.as_array().into_iter().flatten().filter_map(|line| line["text"].as_str());
        Ok(texts.map(str::to_owned).collect())
    }

    /// Asks the API.
    pub async fn get(&self, token: &str, path: &str) -> anyhow::Result<Value> {
        self.call(Method::GET, token, path, None).await
    }

    /// Tells the API something.
    pub async fn post(&self, token: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::POST, token, path, Some(body)).await
    }

    /// Sets something through the API.
    pub async fn put(&self, token: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.call(Method::PUT, token, path, Some(body)).await
    }

    async fn call(&self, method: Method, token: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.api_url))
            .timeout(ANSWER_WITHIN)
            .header("Accept", "application/vnd.github+json")
            .header("Authorization", format!("Bearer {token}"));
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let response = request.send().await.with_context(|| format!("could not ask {method} {path}"))?;
        json_of(response).await.with_context(|| format!("{method} {path}"))
    }

    /// Reads a job's log from the link that its status has; nothing where the link leads nowhere (yet).
    pub async fn log(&self, link: &str) -> Option<String> {
        let request = self.http.get(format!("{link}.txt")).timeout(ANSWER_WITHIN);
        let mut response = request.send().await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let mut text = Vec::new();
        while let Some(part) = response.chunk().await.ok()? {
            text.extend_from_slice(&part);
            if text.len() > LOG_SIZE_MAX {
                break;
            }
        }
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// Does anything answer with 2xx here?
    pub async fn answers(&self, url: &str) -> bool {
        let asked = self.http.get(url).timeout(ANSWER_WITHIN).send().await;
        asked.is_ok_and(|response| response.status().is_success())
    }
}

async fn json_of(response: reqwest::Response) -> anyhow::Result<Value> {
    let status = response.status();
    let body = response.bytes().await.context("the answer was cut short")?;
    if body.len() > ANSWER_SIZE_MAX {
        bail!("the answer is larger than {ANSWER_SIZE_MAX} bytes");
    }
    let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    if !status.is_success() {
        bail!("the emulated GitHub answered {status}: {}", value["message"].as_str().unwrap_or("without a reason"));
    }
    Ok(value)
}
