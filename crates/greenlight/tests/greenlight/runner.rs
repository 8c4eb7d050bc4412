//! `greenlight runner`: the real program on both ends, killed and started again in the middle of a job (P5, I9, I30), and what a
//! runner may not say (S10).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::github::{GitHub, NAME};
use super::server::{SECRET, Server, until};

/// A process that does not outlive its test.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Starts the program, and waits until it says this.
    fn start(dir: &Path, arguments: &[&str], says: &str) -> Self {
        let mut command = program(dir, arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended before it said {says:?}: {told:#?}")).unwrap();
            if line.contains(says) {
                break;
            }
            told.push(line);
        }
        // What it says further is read, so that it never waits for a reader.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn end(mut self) {
        Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status().unwrap();
        assert!(self.0.wait().unwrap().success());
    }
}

fn program(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
    command.args(arguments).current_dir(dir).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A server that can be started again at the same addresses, and a runner's folder.
pub struct Bench {
    dir: tempfile::TempDir,
    pub github: GitHub,
    public: u16,
    pages: u16,
    http: reqwest::Client,
}

impl Bench {
    /// Makes a bench whose one workflow has these steps, on a label that only the runner elsewhere has.
    async fn new(steps: &str) -> Self {
        Self::with_settings(steps, "").await
    }

    /// Makes one whose server has further settings, which begin in the runner's section.
    async fn with_settings(steps: &str, settings: &str) -> Self {
        let steps: String = steps.lines().map(|line| format!("      {line}\n")).collect();
        let ci = format!("name: CI\non: pull_request\njobs:\n  test:\n    runs-on: elsewhere\n    steps:\n{steps}");
        Self::of_files(json!({ "README.md": "hello", ".github/workflows/ci.yml": ci }), settings).await
    }

    /// Makes one of these files; DIR in them stands for the bench's folder.
    pub async fn of_files(files: Value, settings: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let files = files.to_string().replace("DIR", &dir.path().display().to_string());
        let github = GitHub::start(dir.path(), serde_json::from_str(&files).unwrap()).await;
        let (public, pages) = (free_port(), free_port());
        let text = format!(
            "listen = \"127.0.0.1:{public}\"\ndata = \"data\"\n{}[runner]\nlabels = [\"here\"]\nslots = 1\nisolation = \"none\"\n{settings}\
             [pages]\nlisten = \"127.0.0.1:{pages}\"\n",
            github.settings()
        );
        std::fs::write(dir.path().join("greenlight.toml"), text).unwrap();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { dir, github, public, pages, http }
    }

    fn serve(&self) -> Process {
        Process::start(self.dir.path(), &["serve"], "webhooks: ")
    }

    fn token_file(&self) -> PathBuf {
        let output = program(self.dir.path(), &["runner", "token", "--label", "elsewhere"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let file = self.dir.path().join("token");
        std::fs::write(&file, output.stdout).unwrap();
        file
    }

    fn runner(&self) -> Process {
        let server = format!("http://127.0.0.1:{}", self.public);
        let arguments =
            ["runner", "start", "--server", &server, "--token-file", "token", "--data", "box", "--slots", "1"];
        Process::start(self.dir.path(), &[&arguments[..], &["--isolation", "none"]].concat(), "takes jobs of")
    }

    async fn hook(&self) {
        let url = format!("http://127.0.0.1:{}/webhooks/github", self.public);
        let config = json!({ "url": url, "content_type": "form", "secret": SECRET });
        self.github
            .call("POST", "/hooks", json!({ "name": "web", "active": true, "events": ["*"], "config": config }))
            .await;
    }

    async fn log(&self) -> Option<String> {
        self.log_of("test").await
    }

    /// Returns the log of a job.
    pub async fn log_of(&self, job: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}/{NAME}/runs/1/jobs/{job}.txt", self.pages);
        let response = self.http.get(url).send().await.ok()?;
        if response.status() != 200 {
            return None;
        }
        response.text().await.ok()
    }

    /// Starts a server and a runner, and opens a pull request. Returns both, and its head.
    pub async fn begin(&self) -> (Process, Process, String) {
        let serve = self.serve();
        self.token_file();
        let runner = self.runner();
        self.hook().await;
        let (_, head) = self.github.open_pull("change", "change.txt", "changed").await;
        (serve, runner, head)
    }

    pub async fn end(self, serve: Process, runner: Process) {
        runner.end();
        serve.end();
        self.github.stop().await;
    }

    async fn says(&self, line: &str) {
        until(&format!("the job says {line}"), async || self.log().await?.contains(line).then_some(())).await;
    }

    /// Waits until the run is over.
    pub async fn run(&self) -> Value {
        until("the run is over", async || {
            let url = format!("http://127.0.0.1:{}/api/v1/repos/{NAME}/runs/1", self.pages);
            let text = self.http.get(url).send().await.ok()?.text().await.ok()?;
            let run: Value = serde_json::from_str(&text).ok()?;
            run["conclusion"].is_string().then_some(run)
        })
        .await
    }

    fn spools(&self) -> usize {
        std::fs::read_dir(self.dir.path().join("box/spool")).map_or(0, Iterator::count)
    }
}

/// Looks whether a log has these lines, each once and in order.
fn whole(log: &str, count: usize) {
    let lines: Vec<&str> = log.lines().filter_map(|line| line.rsplit_once("line ").map(|(_, number)| number)).collect();
    let numbers: Vec<usize> = lines.iter().filter_map(|number| number.parse().ok()).collect();
    assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_elsewhere_takes_a_job_with_its_files() {
    let bench = Bench::new("- uses: actions/checkout@v4\n- run: cat change.txt && test ! -e DIR/box/runner.json.gone\n- run: for i in $(seq 300); do echo line $i; done").await;
    let (serve, runner, head) = bench.begin().await;
    bench.github.status(&head, "greenlight", "success").await;
    let run = bench.run().await;
    assert!(run["jobs"][0]["runner"].as_str().is_some_and(|name| !name.starts_with("built-in")), "{run}");
    assert_eq!(run["jobs"][0]["steps"].as_array().unwrap().len(), 5, "{run}");
    let log = bench.log().await.unwrap();
    assert!(log.contains("changed\n"), "{log}");
    whole(&log, 300);
    until("nothing is left unsaid", async || (bench.spools() == 0).then_some(())).await;
    let list = program(bench.dir.path(), &["runner", "list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).contains("elsewhere"), "{list:?}");
    // The token is used up, and the key is the runner's alone.
    let again = [
        "runner",
        "start",
        "--server",
        &format!("http://127.0.0.1:{}", bench.public),
        "--token-file",
        "token",
        "--data",
        "other",
    ];
    let refused = program(bench.dir.path(), &again).output().unwrap();
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("works once"),
        "{refused:?}"
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(bench.dir.path().join("box/runner.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    bench.end(serve, runner).await;
}

/// Kills the server in the middle of a job, and starts it again when the job is done.
async fn outlives_its_server(bench: Bench) {
    let (serve, runner, head) = bench.begin().await;
    bench.says("begun\n").await;
    serve.kill();
    std::fs::write(bench.dir.path().join("go"), "").unwrap();
    until("the job goes on without a server", async || bench.dir.path().join("done").exists().then_some(())).await;
    let serve = bench.serve();
    let run = bench.run().await;
    assert_eq!((&run["conclusion"], &run["jobs"][0]["tried"]), (&json!("success"), &json!(1)), "{run}");
    whole(&bench.log().await.unwrap(), 5000);
    bench.github.status(&head, "greenlight", "success").await;
    until("nothing is left unsaid", async || (bench.spools() == 0).then_some(())).await;
    bench.end(serve, runner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_in_the_middle_loses_no_job() {
    let steps = "- run: |\n    for i in $(seq 200); do echo line $i; done\n    echo begun\n    until test -e DIR/go; do sleep 0.05; done\n    \
         for i in $(seq 201 5000); do echo line $i; done\n    touch DIR/done";
    outlives_its_server(Bench::new(steps).await).await;
}

/// The job itself takes three times its lease while no server is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_for_longer_than_a_lease_loses_no_job() {
    let steps = "- run: |\n    for i in $(seq 200); do echo line $i; done\n    echo begun\n    until test -e DIR/go; do sleep 0.05; done\n    sleep 3\n    \
         for i in $(seq 201 5000); do echo line $i; done\n    touch DIR/done\n- run: echo after";
    outlives_its_server(Bench::with_settings(steps, "lease_seconds = 1\n").await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_for_one_job_says_how_it_ended_and_ends() {
    let bench = Bench::new("- run: echo hello").await;
    let serve = bench.serve();
    bench.hook().await;
    let (_, head) = bench.github.open_pull("change", "change.txt", "changed").await;
    // Nobody has the label, and the commit says so; a runner that registers later is known at once.
    bench.github.status(&head, "greenlight", "pending").await;
    bench.token_file();
    let server = format!("http://127.0.0.1:{}", bench.public);
    let arguments = ["runner", "start", "--once", "--server", &server, "--token-file", "token", "--data", "box"];
    let output = program(bench.dir.path(), &[&arguments[..], &["--isolation", "none"]].concat()).output().unwrap();
    let (said, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{log}");
    assert_eq!(said, format!("test of {NAME}: success: all steps succeeded\n"), "{log}");
    assert_eq!(bench.run().await["conclusion"], "success");
    assert_eq!(bench.spools(), 0);
    serve.end();
    bench.github.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_killed_in_the_middle_says_what_was_left_and_tries_again() {
    let bench = Bench::new(
        "- run: |\n    for i in $(seq 200); do echo line $i; done\n    echo begun\n    test -e DIR/go || sleep 600",
    )
    .await;
    let (serve, runner, head) = bench.begin().await;
    bench.says("begun\n").await;
    runner.kill();
    assert_eq!(bench.spools(), 1);
    std::fs::write(bench.dir.path().join("go"), "").unwrap();
    let runner = bench.runner();
    let run = bench.run().await;
    assert_eq!((&run["conclusion"], &run["jobs"][0]["tried"]), (&json!("success"), &json!(2)), "{run}");
    whole(&bench.log().await.unwrap(), 200);
    bench.github.status(&head, "greenlight", "success").await;
    until("nothing is left unsaid", async || (bench.spools() == 0).then_some(())).await;
    bench.end(serve, runner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_elsewhere_is_cancelled() {
    let bench = Bench::new("- run: |\n    echo begun\n    sleep 600\n- run: echo tidied\n  if: always()").await;
    let (serve, runner, head) = bench.begin().await;
    bench.says("begun\n").await;
    let asked = std::time::Instant::now();
    let url = format!("http://127.0.0.1:{}/api/v1/repos/{NAME}/runs/1/cancel", bench.pages);
    assert_eq!(bench.http.post(url).send().await.unwrap().status(), 200);
    let run = bench.run().await;
    assert_eq!(run["conclusion"], "cancelled", "{run}");
    assert!(asked.elapsed().as_secs() < 9, "it did not wait for the heartbeat");
    assert!(bench.log().await.unwrap().contains("tidied\n"));
    bench.github.status(&head, "greenlight", "error").await;
    bench.end(serve, runner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_was_removed_ends_and_registers_anew() {
    let bench = Bench::new("- run: echo hello").await;
    let serve = bench.serve();
    bench.token_file();
    let mut runner = bench.runner();
    let name = || {
        let key = std::fs::read_to_string(bench.dir.path().join("box/runner.json")).unwrap();
        serde_json::from_str::<Value>(&key).unwrap()["runner"].as_str().unwrap().to_owned()
    };
    let first = name();
    let removed = program(bench.dir.path(), &["runner", "remove", &first]).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    let code = until("the runner ends", async || runner.0.try_wait().unwrap()).await;
    assert_eq!(code.code(), Some(1));
    let start = ["runner", "start", "--data", "box", "--slots", "1", "--isolation", "none"];
    let again = program(bench.dir.path(), &start).output().unwrap();
    let said = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!("does not know the runner {first} any more")) && said.contains("--token-file"),
        "{said}"
    );
    assert!(!said.contains("no work can be had"), "{said}");

    // With a new token the folder has a new key; a token that is used up does not take away one that is known.
    bench.token_file();
    for _ in 0..2 {
        let arguments = [&start[..], &["--token-file", "token"]].concat();
        Process::start(bench.dir.path(), &arguments, "takes jobs of").end();
        assert_ne!(name(), first);
    }
    let runner = bench.runner();
    bench.hook().await;
    bench.github.open_pull("change", "change.txt", "changed").await;
    let run = bench.run().await;
    assert_eq!((&run["conclusion"], &run["jobs"][0]["tried"]), (&json!("success"), &json!(1)), "{run}");
    bench.end(serve, runner).await;
}

#[tokio::test]
async fn a_token_is_made_as_it_was_asked_for_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello" })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    let ask = async |query: &str, body: &'static str| {
        let url = server.pages(&format!("/api/v1/runners/token{query}"));
        let answer = server.http.post(url).header("content-type", "application/json").body(body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<Value>(&answer.text().await.unwrap()).unwrap())
    };
    for (query, body, says) in [
        ("", "{bad", "the body cannot be read"),
        ("", r#"{"label": "gpu"}"#, "unknown field"),
        ("", r#"{"labels": 5}"#, "the body cannot be read"),
        ("?labels=a", r#"{"labels": "b"}"#, "say them once"),
        ("?labels=gpu,b%20ad", "", "`b ad`"),
    ] {
        let (status, answer) = ask(query, body).await;
        assert_eq!(status, 400, "{query} {body}: {answer}");
        assert!(answer["message"].as_str().is_some_and(|message| message.contains(says)), "{answer}");
        assert!(answer.get("token").is_none(), "{answer}");
    }
    for (query, body, labels) in [
        ("", "", json!(["self-hosted", "linux"])),
        ("", "{}", json!(["self-hosted", "linux"])),
        ("", r#"{"labels": "linux, GPU"}"#, json!(["linux", "gpu"])),
        ("?labels=linux,gpu", "", json!(["linux", "gpu"])),
    ] {
        let (status, answer) = ask(query, body).await;
        assert_eq!((status, &answer["labels"]), (200, &labels), "{query} {body}: {answer}");
    }
    server.stop().await;
    github.stop().await;
}

/// Speaks as a runner does.
struct Speaker<'a> {
    server: &'a Server,
    key: String,
}

impl Speaker<'_> {
    async fn say(&self, what: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        self.say_in("1", what, body).await
    }

    async fn say_in(&self, protocol: &str, what: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let request = self.server.http.post(self.server.public(&format!("/api/runner/v1/{what}")));
        let request = request.header("x-greenlight-protocol", protocol).bearer_auth(&self.key).body(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null))
    }
}

async fn register<'a>(server: &'a Server, labels: &str) -> Speaker<'a> {
    let made = server.http.post(server.pages(&format!("/api/v1/runners/token?labels={labels}"))).send().await.unwrap();
    let made: Value = serde_json::from_str(&made.text().await.unwrap()).unwrap();
    let nobody = Speaker { server, key: "none".into() };
    let message = json!({ "token": made["token"], "name": "../Box" }).to_string();
    let (status, registered) = nobody.say("register", message.clone()).await;
    assert_eq!(status, 200, "{registered}");
    assert!(registered["runner"].as_str().unwrap().starts_with("box-"), "{registered}");
    assert_eq!(nobody.say("register", message).await.0, 403, "a token works once");
    Speaker { server, key: registered["key"].as_str().unwrap().to_owned() }
}

#[tokio::test]
async fn a_runner_speaks_for_its_own_jobs_only() {
    const CI: &str =
        "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: elsewhere\n    steps:\n      - run: echo\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": CI })).await;
    let settings = format!("{}[runner]\nlabels = [\"here\"]\nslots = 1\nisolation = \"none\"\n", github.settings());
    let server = Server::start(dir.path(), &settings).await;
    github.hook(&server).await;
    let (owner, thief) = (register(&server, "elsewhere").await, register(&server, "elsewhere").await);
    let other = register(&server, "gpu").await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    let job = until("the job is handed out", async || {
        let (status, answer) = owner.say("ask", "{}").await;
        assert_eq!(status, 200, "{answer}");
        answer["job"].is_object().then(|| answer["job"].clone())
    })
    .await;
    let given = job["action_env"].as_array().unwrap();
    assert!(given.iter().any(|pair| pair[0] == "ACTIONS_RUNTIME_TOKEN"), "{given:?}");

    let about = json!({ "attempt": job["attempt"], "token": job["token"] });
    let report = |report: Value| json!({ "about": about, "report": report }).to_string();
    let batch = {
        let head = about.to_string();
        let entry = json!({ "log": { "first_line": 0, "step": 1, "at": 5 } }).to_string();
        let mut bytes = (head.len() as u32).to_be_bytes().to_vec();
        bytes.extend_from_slice(head.as_bytes());
        for length in [entry.len() as u32, 6] {
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        bytes.extend_from_slice(entry.as_bytes());
        bytes.extend_from_slice(b"hello\n");
        bytes
    };
    // What belongs to another runner is nobody else's, whatever a message says.
    for stranger in [&thief, &other] {
        assert_eq!(
            stranger.say("report", report(json!("started"))).await,
            (200, json!({ "is_yours": false, "cancelled": false }))
        );
        assert_eq!(stranger.say("tell", batch.clone()).await.0, 409);
        let checkout = json!({ "about": about, "sha": head }).to_string();
        assert_eq!(stranger.say("checkout", checkout).await.0, 409);
    }
    let unknown = Speaker { server: &server, key: format!("{}0", owner.key) };
    assert_eq!(unknown.say("report", report(json!("alive"))).await.0, 401);
    assert_eq!(owner.say_in("9", "report", report(json!("alive"))).await.0, 426);
    assert_eq!(owner.say_in("0", "report", report(json!("started"))).await.1["is_yours"], true, "the version before");
    let stale = json!({ "about": { "attempt": job["attempt"], "token": 999 }, "report": "alive" }).to_string();
    assert_eq!(owner.say("report", stale).await.1["is_yours"], false, "another lease");

    // The owner is heard, and what it repeats is there once.
    for _ in 0..2 {
        assert_eq!(owner.say("tell", batch.clone()).await.0, 200);
    }
    let end = json!({ "ended": { "conclusion": "success", "reason": "done" } });
    assert_eq!(owner.say("report", report(end)).await.1["is_yours"], true);
    github.status(&head, "greenlight", "success").await;
    let (_, log) = server.read(&format!("/{NAME}/runs/1/jobs/test.txt")).await;
    assert_eq!(log.matches("hello\n").count(), 1, "{log}");
    assert_eq!(owner.say("tell", batch.clone()).await.0, 409, "it is over");

    // A runner that was removed is nobody.
    let known = server.json("/api/v1/runners").await;
    assert_eq!(known["runners"].as_array().unwrap().len(), 3, "{known}");
    for runner in known["runners"].as_array().unwrap() {
        let name = runner["name"].as_str().unwrap();
        let path = format!("/api/v1/runners/{name}/remove");
        assert_eq!(server.http.post(server.pages(&path)).send().await.unwrap().status(), 200);
    }
    assert_eq!(owner.say("ask", "{}").await.0, 401);
    server.stop().await;
    github.stop().await;
}
