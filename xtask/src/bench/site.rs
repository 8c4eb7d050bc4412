//! The two programs that are measured: the emulated GitHub without lag, and the server that listens to it.

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::call;
use super::service::{Service, free_address};

const REPOSITORY: &str = "/repos/acme/app";
const TOKEN: &str = "a-token-for-the-bench";
/// Somebody else's token: the server's budget is the server's.
const PERSON: &str = "a-token-for-octocat";
const SECRET: &str = "a-secret-for-the-bench";
/// How long anything that is waited for may take.
const WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Whose limits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// None.
    Ghes,
    /// A budget of writes a minute and an hour.
    GitHubCom,
}

impl Profile {
    fn word(self) -> &'static str {
        match self {
            Self::Ghes => "ghes",
            Self::GitHubCom => "github.com",
        }
    }

    fn api(self) -> &'static str {
        match self {
            Self::Ghes => "/api/v3",
            Self::GitHubCom => "",
        }
    }
}

/// Both of them, and a repository.
pub struct Site {
    // The server goes first.
    server: Service,
    github: Service,
    pages: SocketAddr,
    profile: Profile,
}

impl Site {
    /// Starts both. The repository has these files; `settings` follow the server's own.
    pub fn start(program: &Path, profile: Profile, files: &Value, settings: &str) -> Result<Self, Box<dyn Error>> {
        let (server, pages, github) = (free_address()?, free_address()?, free_address()?);
        let seed = seed(server, files);
        let github = Service::start(program, github, |folder, command| {
            fs::write(folder.join("seed.json"), seed.to_string())?;
            command.args(["emulate", "--data", "github", "--seed", "seed.json", "--lag", "0"]);
            command.args(["--profile", profile.word(), "--listen", &github.to_string()]);
            Ok(())
        })?;
        let api = format!("http://{}{}", github.address, profile.api());
        let settings = server_settings(server, pages, &api, settings);
        let server = Service::start(program, server, |folder, command| {
            fs::write(folder.join("github.token"), TOKEN)?;
            fs::write(folder.join("webhook.secret"), SECRET)?;
            fs::write(folder.join("greenlight.toml"), settings)?;
            command.args(["serve", "--config", "greenlight.toml"]);
            Ok(())
        })?;
        let site = Self { server, github, pages, profile };
        // Its pages may not listen yet.
        let is_ready = || call(pages, "GET", "/readyz", None, None).is_ok_and(|(status, _)| status == 200);
        until("the server to be ready", || Ok(is_ready().then_some(())))?;
        Ok(site)
    }

    /// Returns where git clones from.
    pub fn clone_url(&self) -> String {
        format!("http://{}/acme/app.git", self.github.address)
    }

    /// Returns the same with the right to push.
    pub fn push_url(&self) -> String {
        format!("http://octocat:{PERSON}@{}/acme/app.git", self.github.address)
    }

    /// Returns the server.
    pub fn server(&self) -> &Service {
        &self.server
    }

    /// Makes a branch that points to a commit that is there.
    pub fn point(&self, branch: &str, sha: &str) -> Result<(), Box<dyn Error>> {
        self.post("/git/refs", &json!({ "ref": format!("refs/heads/{branch}"), "sha": sha })).map(|_| ())
    }

    /// Reads the API, below the repository.
    pub fn get(&self, path: &str) -> Result<Value, Box<dyn Error>> {
        self.call("GET", path, None)
    }

    /// Tells the API something, below the repository.
    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Box<dyn Error>> {
        self.call("POST", path, Some(body))
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Box<dyn Error>> {
        let path = format!("{}{REPOSITORY}{path}", self.profile.api());
        let (status, text) = call(self.github.address, method, &path, Some(PERSON), body)?;
        if !(200..300).contains(&status) {
            return Err(format!("{method} {path}: {status}: {text}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Returns the head of the default branch.
    pub fn main(&self) -> Result<String, Box<dyn Error>> {
        text_of(&self.get("/git/ref/heads/main")?["object"]["sha"])
    }

    /// Makes branches with a commit of their own each; returns their names and heads.
    pub fn branches(&self, prefix: &str, count: usize) -> Result<Vec<(String, String)>, Box<dyn Error>> {
        let main = self.main()?;
        let tree = text_of(&self.get(&format!("/git/commits/{main}"))?["tree"]["sha"])?;
        let make = |serial: usize| {
            let name = format!("{prefix}-{serial}");
            let commit = json!({ "message": name, "tree": tree, "parents": [main] });
            let sha = text_of(&self.post("/git/commits", &commit)?["sha"])?;
            self.point(&name, &sha)?;
            Ok((name, sha))
        };
        (0..count).map(make).collect()
    }

    /// Returns the place of the newest entry of the feed.
    pub fn mark(&self) -> Result<u64, Box<dyn Error>> {
        Ok(self.entries("events", 0)?.last().map_or(0, |entry| entry["seq"].as_u64().unwrap_or(0)))
    }

    /// Returns what the feed has after a mark: `events`, `requests` or `deliveries`.
    pub fn entries(&self, kind: &str, after: u64) -> Result<Vec<Value>, Box<dyn Error>> {
        let (mut all, mut after) = (Vec::new(), after);
        loop {
            let more = self.feed(kind, after, 0)?;
            match more.last() {
                Some(last) => after = last["seq"].as_u64().ok_or("an entry has no place")?,
                None => return Ok(all),
            }
            all.extend(more);
        }
    }

    fn feed(&self, kind: &str, after: u64, wait: u64) -> Result<Vec<Value>, Box<dyn Error>> {
        let path = format!("/_emulator/{kind}?after={after}&wait={wait}");
        let (status, text) = call(self.github.address, "GET", &path, None, None)?;
        if status != 200 {
            return Err(format!("the feed answered {status}").into());
        }
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until the aggregate was accepted in a state for a commit, and returns the request.
    pub fn status_of(&self, sha: &str, state: &str, after: u64) -> Result<Value, Box<dyn Error>> {
        let (mut after, deadline) = (after, Instant::now() + WITHIN);
        while Instant::now() < deadline {
            let more = self.feed("requests", after, 1)?;
            after = more.last().and_then(|last| last["seq"].as_u64()).unwrap_or(after);
            if let Some(found) = more.into_iter().find(|entry| is_status(entry, sha, state)) {
                return Ok(found);
            }
        }
        Err(format!("{sha} was not shown {state} within {} s", WITHIN.as_secs()).into())
    }

    /// Are there runs, and is every one of the newest hundred completed?
    pub fn all_runs_are_over(&self) -> Result<bool, Box<dyn Error>> {
        let (status, text) = call(self.pages, "GET", "/api/v1/runs", None, None)?;
        let runs: Value = serde_json::from_str(&text)?;
        let runs = runs["runs"].as_array().ok_or_else(|| format!("the runs were answered with {status}"))?;
        Ok(!runs.is_empty() && runs.iter().all(|run| !run["conclusion"].is_null()))
    }
}

fn seed(server: SocketAddr, files: &Value) -> Value {
    let config = json!({ "url": format!("http://{server}/webhooks/github"), "content_type": "json", "secret": SECRET });
    json!({
        "users": [{ "login": "acme" }, { "login": "octocat" }, { "login": "greenlight-bot" }],
        "tokens": [
            { "token": TOKEN, "user": "greenlight-bot" },
            { "token": PERSON, "user": "octocat" },
        ],
        "repositories": [{
            "owner": "acme",
            "name": "app",
            "files": files,
            "collaborators": { "greenlight-bot": "admin", "octocat": "admin" },
            "hooks": [{ "config": config, "events": ["*"] }],
        }],
    })
}

fn server_settings(server: SocketAddr, pages: SocketAddr, api: &str, more: &str) -> String {
    format!(
        "url = \"http://{server}\"\nlisten = \"{server}\"\ndata = \"data\"\nlog = \"warn\"\n[pages]\nlisten = \"{pages}\"\n[github]\n\
         api_url = \"{api}\"\ntoken_file = \"github.token\"\nwebhook_secret_file = \"webhook.secret\"\nrepositories = [\"acme/app\"]\n{more}"
    )
}

/// Waits until there is something, and returns it.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>, Box<dyn Error>>) -> Result<T, Box<dyn Error>> {
    let deadline = Instant::now() + WITHIN;
    while Instant::now() < deadline {
        if let Some(found) = look()? {
            return Ok(found);
        }
        sleep(LOOK_EVERY);
    }
    Err(format!("waited {} s in vain for {what}", WITHIN.as_secs()).into())
}

/// Was the aggregate accepted in this state for this commit?
pub fn is_status(entry: &Value, sha: &str, state: &str) -> bool {
    let is_for = |path: &str| path.strip_suffix(sha).is_some_and(|path| path.ends_with("/statuses/"));
    entry["status"] == 201
        && entry["path"].as_str().is_some_and(is_for)
        && entry["body"]["context"] == "greenlight"
        && entry["body"]["state"] == state
}

/// Returns a number of an entry.
pub fn at(entry: &Value, field: &str) -> f64 {
    entry[field].as_f64().unwrap_or(f64::NAN)
}

fn text_of(value: &Value) -> Result<String, Box<dyn Error>> {
    Ok(value.as_str().ok_or("the emulated GitHub answered without what was asked for")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_aggregate_of_this_commit_counts_and_only_when_it_was_accepted() {
        let entry = json!({ "path": "/repos/acme/app/statuses/abc", "status": 201, "body": { "context": "greenlight", "state": "pending" } });
        assert!(is_status(&entry, "abc", "pending"));
        assert!(!is_status(&entry, "bc", "pending"), "the end of another commit's name");
        assert!(!is_status(&entry, "abc", "success"));
        for (field, value) in
            [("status", json!(422)), ("body", json!({ "context": "greenlight / CI", "state": "pending" }))]
        {
            let mut other = entry.clone();
            other[field] = value;
            assert!(!is_status(&other, "abc", "pending"), "{other}");
        }
    }
}
