//! Starts servers for tests, and waits for conditions.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use greenlight::config::{Config, Environment};
use greenlight::server::{self, Running};

/// The secret that the tests' deliveries are signed with.
pub const SECRET: &str = "It's a Secret to Everybody";
/// How long a condition may take to come true.
const WITHIN: Duration = Duration::from_secs(60);

/// A server that runs in this process, and what speaks with it.
pub struct Server {
    pub running: Running,
    pub http: reqwest::Client,
}

/// Returns settings in `dir` with what `more` says besides; nothing answers at their GitHub unless `more` says otherwise.
pub fn settings(dir: &Path, more: &str) -> Config {
    let data = dir.join("data");
    let listen = if more.starts_with("listen") { "" } else { "listen = \"127.0.0.1:0\"\n" };
    let mut text = format!("data = {:?}\n{listen}{more}\n", data.display().to_string());
    if !more.contains("[pages]") {
        text.push_str("[pages]\nlisten = \"127.0.0.1:0\"\n");
    }
    if !more.contains("[github]") {
        text.push_str(
            "[github]\napi_url = \"http://127.0.0.1:9\"\ntoken = \"t\"\nrepositories = [\"octocat/Hello-World\"]\n",
        );
        text.push_str(&format!("webhook_secret = {SECRET:?}\n"));
    }
    let file = dir.join("greenlight.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(Some(&file), &Environment::new()).unwrap()
}

impl Server {
    pub async fn start(dir: &Path, more: &str) -> Self {
        // Shown for a test that fails; a second test in the same process finds it set already.
        let filter = tracing_subscriber::EnvFilter::new("info,greenlight=debug");
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        let running = server::start(settings(dir, more)).await.unwrap();
        Self { running, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    pub fn public(&self, path: &str) -> String {
        address(self.running.public, path)
    }

    pub fn pages(&self, path: &str) -> String {
        address(self.running.pages, path)
    }

    /// Reads a page: its status and its text.
    pub async fn read(&self, path: &str) -> (u16, String) {
        let response = self.http.get(self.pages(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Waits until it says that something is in the way whose reason has these words, in `/readyz` and on the page.
    pub async fn waits_for(&self, words: &str) {
        until(&format!("it waits for: {words}"), async || {
            let (status, text) = self.read("/readyz").await;
            (status == 503 && text.contains(words)).then_some(())
        })
        .await;
        let (status, page) = self.read("/").await;
        assert!(status == 200 && page.contains("waits:"), "{page}");
    }

    /// Waits until it says, or says no more, that a room does not hear, though that is in nobody's way.
    pub async fn tells_of_room(&self, words: &str, is_told: bool) {
        until(&format!("told of the room ({is_told}): {words}"), async || {
            let (status, text) = self.read("/readyz").await;
            (status == 200 && text.contains(words) == is_told).then_some(())
        })
        .await;
    }

    /// Waits until nothing is in the way.
    pub async fn is_ready(&self) {
        until("nothing is in the way", async || (self.read("/readyz").await.0 == 200).then_some(())).await;
    }

    /// Submits a wish, and returns its answer.
    pub async fn wish(&self, path: &str) -> (u16, String) {
        let response = self.http.post(self.pages(path)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Reads an answer of the API.
    pub async fn json(&self, path: &str) -> serde_json::Value {
        let (_, text) = self.read(path).await;
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
    }

    pub async fn stop(self) {
        self.running.stop().await;
    }
}

fn address(at: SocketAddr, path: &str) -> String {
    format!("http://{at}{path}")
}

/// Returns a port that nobody listens at.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asks until there is an answer.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(began.elapsed() < WITHIN, "this did not come: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
