//! The program as a process of its own: started, asked, killed, started again.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::github::{GitHub, NAME};
use super::server::until;

/// `greenlight serve`.
pub struct Serve {
    child: Killed,
    pub public: String,
    pub pages: String,
    told: Arc<Mutex<Vec<String>>>,
}

/// A process that does not outlive its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Serve {
    pub fn start(dir: &Path, settings: &str) -> Self {
        Self::start_at(dir, &format!("listen = \"127.0.0.1:0\"\n{settings}"))
    }

    /// The same, where the settings begin with where it listens.
    pub fn start_at(dir: &Path, settings: &str) -> Self {
        let text = format!("data = \"data\"\n{settings}[pages]\nlisten = \"127.0.0.1:0\"\n");
        std::fs::write(dir.join("greenlight.toml"), text).unwrap();
        let mut command = program(dir, &["serve"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let told = lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains("webhooks: "))
            .expect("it says where it listens");
        // What it says further is read, so that it never waits for a reader.
        let all = Arc::new(Mutex::new(vec![told.clone()]));
        let ear = all.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                ear.lock().unwrap().push(line);
            }
        });
        let address = |after: &str| {
            let rest = &told[told.find(after).unwrap() + after.len()..];
            rest.split('/').nth(2).unwrap().to_owned()
        };
        Self { child: Killed(child), public: address("webhooks: "), pages: address("pages: "), told: all }
    }

    /// Has it logged something with these words?
    pub fn has_told(&self, words: &str) -> bool {
        self.told.lock().unwrap().iter().any(|line| line.contains(words))
    }

    /// Returns the log of the first run's job of this name.
    pub async fn log_of(&self, job: &str) -> Option<String> {
        let answer = reqwest::get(format!("http://{}/{NAME}/runs/1/jobs/{job}.txt", self.pages)).await.ok()?;
        answer.text().await.ok()
    }

    fn kill(mut self) {
        self.child.0.kill().unwrap();
        self.child.0.wait().unwrap();
    }

    /// Asks it to end.
    pub fn terminate(&self) {
        Command::new("kill").args(["-TERM", &self.child.0.id().to_string()]).status().unwrap();
    }

    /// Has it ended, and well?
    pub fn has_ended(&mut self) -> bool {
        self.child.0.try_wait().unwrap().is_some_and(|status| status.success())
    }

    pub fn end(mut self) {
        self.terminate();
        assert!(self.child.0.wait().unwrap().success());
    }
}

fn program(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
    command.args(arguments).current_dir(dir).env("NO_COLOR", "1");
    command
}

/// Runs a verb to its end, without holding up what runs beside it.
async fn verb(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = program(dir, arguments);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), told)
}

/// Runs a verb to its end as on a terminal.
async fn on_a_terminal(arguments: &str) -> (Option<i32>, String) {
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{}' {arguments}", env!("CARGO_BIN_EXE_greenlight")), "/dev/null"]);
    let output = tokio::task::spawn_blocking(move || script.stdin(Stdio::null()).output()).await.unwrap();
    let output = output.expect("script is a part of every Debian");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

async fn hook(github: &GitHub, public: &str) {
    let config = json!({ "url": format!("http://{public}/webhooks/github"), "content_type": "form", "secret": super::server::SECRET });
    github.call("POST", "/hooks", json!({ "name": "web", "active": true, "events": ["*"], "config": config })).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_verbs_speak_with_a_server() {
    const CI: &str = "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: printf 'it\\033[2J works\\n'\n      - run: exit 3\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": CI })).await;
    let serve = Serve::start(dir.path(), &github.settings());
    hook(&github, &serve.public).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    github.status(&head, "greenlight", "failure").await;
    let server = format!("http://{}", serve.pages);
    let at = ["--server", &server];

    let (code, told) = verb(dir.path(), &[&["run", "list"], &at[..]].concat()).await;
    assert!(code == Some(0) && told.contains(&format!("{NAME} #1  failure  CI")), "{told}");
    let (code, told) = verb(dir.path(), &[&["run", "view", "1"], &at[..]].concat()).await;
    assert!(code == Some(0) && told.contains("failure  test"), "{told}");
    let (code, told) = verb(dir.path(), &[&["run", "logs", "1", "--job", "test"], &at[..]].concat()).await;
    assert!(code == Some(0) && told.contains("it\u{1b}[2J works"), "{told}");
    let (code, told) = on_a_terminal(&format!("run logs 1 --job test --server {server}")).await;
    assert!(
        code == Some(0) && told.contains("it works") && !told.contains("\u{1b}[2J"),
        "no terminal obeys it: {told:?}"
    );
    for missing in [["run", "logs", "1", "--job", "nope"], ["run", "rerun", "1", "--job", "nope"]] {
        let (code, told) = verb(dir.path(), &[&missing[..], &at[..]].concat()).await;
        assert_eq!((code, told.contains("has no job `nope`")), (Some(4), true), "{told}");
    }
    let (code, told) = verb(dir.path(), &[&["run", "rerun", "1"], &at[..]].concat()).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = verb(dir.path(), &[&["run", "watch", "1"], &at[..]].concat()).await;
    assert!(code == Some(1) && told.contains("failure"), "{told}");
    let (code, told) = verb(dir.path(), &[&["run", "view", "99"], &at[..]].concat()).await;
    assert!(code == Some(4) && told.contains("has no run 99"), "{told}");
    let (code, told) = verb(dir.path(), &[&["env", "list"], &at[..]].concat()).await;
    assert!(code == Some(0) && told.contains("has no environment yet"), "{told}");
    let (code, told) = verb(dir.path(), &[&["env", "unlock", "moon"], &at[..]].concat()).await;
    assert!(code == Some(4) && told.contains("has no environment moon"), "{told}");
    let (code, told) = verb(dir.path(), &[&["env", "list", "--json"], &at[..]].concat()).await;
    assert!(code == Some(0) && told.contains("\"environments\":[]"), "{told}");
    // Where the server is may be said by settings as well.
    std::fs::write(dir.path().join("other.toml"), format!("[pages]\nlisten = \"{}\"\n", serve.pages)).unwrap();
    let (code, told) = verb(dir.path(), &["dev", "job-env", "--json", "--config", "other.toml"]).await;
    let made: serde_json::Value = serde_json::from_str(&told).unwrap_or_else(|_| panic!("{told}"));
    let is_given = |name: &str| made[name].as_str().is_some_and(|value| !value.is_empty());
    assert!(code == Some(0) && is_given("ACTIONS_RUNTIME_TOKEN") && is_given("ACTIONS_RESULTS_URL"), "{told}");
    serve.end();
    github.stop().await;
}

/// Ten seconds of silence look like a program that hangs.
#[test]
fn a_port_that_is_taken_is_named_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = port.local_addr().unwrap();
    let text = format!(
        "listen = \"{taken}\"\ndata = \"data\"\n[github]\ntoken = \"t\"\nwebhook_secret = \"s\"\nrepositories = [{NAME:?}]\n"
    );
    std::fs::write(dir.path().join("greenlight.toml"), text).unwrap();
    let mut child = Killed(program(dir.path(), &["serve"]).stderr(Stdio::piped()).spawn().unwrap());
    let first = BufReader::new(child.0.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(first.contains(&format!("{taken} is taken")) && first.contains("waited for"), "{first}");
    assert!(child.0.try_wait().unwrap().is_none(), "it still waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosted_actions_that_would_run_as_well_are_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello" })).await;
    let serve = Serve::start(dir.path(), &github.settings());
    until("hosted Actions are warned of", async || serve.has_told("hosted Actions are on").then_some(())).await;
    assert!(serve.has_told(".greenlight/workflows"), "both remedies are named");
    let page = reqwest::get(format!("http://{}/", serve.pages)).await.unwrap().text().await.unwrap();
    assert!(page.contains("hosted Actions are on, so GitHub runs"), "{page}");
    serve.end();
    github.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_lost_twice_says_so_and_no_step_of_it_runs_for_ever() {
    const SLOW: &str = "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo begun\n          sleep 600\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": SLOW })).await;
    let settings = github.settings();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let read = async |serve: &Serve, path: &str| {
        let answer = http.get(format!("http://{}{path}", serve.pages)).send().await.ok()?;
        answer.text().await.ok()
    };
    let run = async |serve: &Serve| {
        let text = read(serve, &format!("/api/v1/repos/{NAME}/runs/1")).await?;
        serde_json::from_str::<serde_json::Value>(&text).ok()
    };
    let log = format!("/{NAME}/runs/1/jobs/test.txt");
    let mut serve = Serve::start(dir.path(), &settings);
    hook(&github, &serve.public).await;
    github.open_pull("change", "change.txt", "changed").await;
    for tried in [1, 2] {
        until("the step runs", async || {
            let found = run(&serve).await?;
            let job = &found["jobs"][0];
            // What was shown of the step a moment before it was written down is not known after the kill.
            let is_this = job["tried"] == tried && job["steps"][1]["state"].is_string();
            (is_this && read(&serve, &log).await?.contains("begun\n")).then_some(())
        })
        .await;
        serve.kill();
        serve = Serve::start(dir.path(), &settings);
    }
    let run = until("the run is over", async || run(&serve).await.filter(|run| run["conclusion"].is_string())).await;
    let job = &run["jobs"][0];
    assert_eq!(
        (&run["conclusion"], &job["state"], &job["steps"][1]["state"]),
        (&json!("lost"), &json!("lost"), &json!("lost")),
        "{run}"
    );
    assert!(job["reason"].as_str().unwrap().ends_with("it was tried 2 times"), "{run}");
    until("the log ends with a word", async || {
        read(&serve, &log).await?.trim_end().ends_with("nobody knows how far this step came.").then_some(())
    })
    .await;
    serve.end();
    github.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_takes_its_work_up_again() {
    let dir = tempfile::tempdir().unwrap();
    // The one folder of others that the job sees.
    let seen = dir.path().join("seen");
    std::fs::create_dir(&seen).unwrap();
    let go = seen.join("go");
    let slow = format!(
        "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo begun\n          test -e {} || sleep 600\n",
        go.display()
    );
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": slow })).await;
    let settings = format!("{}[runner]\nvisible = [{seen:?}]\n", github.settings());
    let serve = Serve::start(dir.path(), &settings);
    hook(&github, &serve.public).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    until("the step runs", async || {
        let log = http.get(format!("http://{}/{NAME}/runs/1/jobs/test.txt", serve.pages)).send().await.ok()?;
        log.text().await.ok()?.contains("begun\n").then_some(())
    })
    .await;
    serve.kill();
    std::fs::write(&go, "").unwrap();
    let serve = Serve::start(dir.path(), &settings);
    let run = until("the run is over", async || {
        let run = http.get(format!("http://{}/api/v1/repos/{NAME}/runs/1", serve.pages)).send().await.ok()?;
        let run: serde_json::Value = serde_json::from_str(&run.text().await.ok()?).ok()?;
        run["conclusion"].is_string().then_some(run)
    })
    .await;
    assert_eq!(run["conclusion"], "success", "{run}");
    assert_eq!(run["jobs"][0]["tried"], 2, "{run}");
    github.status(&head, "greenlight", "success").await;
    serve.end();
    github.stop().await;
}
