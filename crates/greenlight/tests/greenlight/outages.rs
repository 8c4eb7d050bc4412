//! Outages: the reason is on the page and in `/readyz`, what cannot be stored is answered 503, and work goes on by itself.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use greenlight_github::secret::Secret;
use greenlight_github::signature::sign;
use serde_json::json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::github::{GitHub, NAME};
use super::round::TRIVIAL;
use super::server::{SECRET, Server, until};

/// Returns a workflow whose only step waits for a file.
fn waiting_for(go: &Path) -> String {
    let go = go.display();
    format!(
        "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo begun\n          until test -e {go}; do sleep 0.05; done\n"
    )
}

/// Sends a ping of this length, and returns the status of the answer.
async fn ping(server: &Server, id: &str, length: usize) -> u16 {
    let mut state = id.bytes().fold(0x9e37_79b9_u64, |state, byte| state.wrapping_mul(31) ^ u64::from(byte));
    let noise = (0..length).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + u8::try_from((state >> 33) % 26).unwrap())
    });
    let body = json!({ "zen": noise.collect::<String>(), "hook_id": 1 }).to_string();
    let request = server.http.post(server.public("/webhooks/github")).header("Content-Type", "application/json");
    let signature = sign(&Secret::new(SECRET).unwrap(), body.as_bytes());
    let request = request.header("X-Hub-Signature-256", signature).header("X-GitHub-Event", "ping");
    request.header("X-GitHub-Delivery", id).body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn work_goes_on_when_github_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": waiting_for(&go) });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    github.status(&head, "greenlight / CI / test (pull_request)", "pending").await;
    until("the step runs", async || {
        server.read(&format!("/{NAME}/runs/1/jobs/test.txt")).await.1.contains("begun\n").then_some(())
    })
    .await;
    let away = github.go_away().await;
    std::fs::write(&go, "").unwrap();
    server.waits_for("cannot be reached").await;
    assert_eq!(ping(&server, "meanwhile", 10).await, 202, "deliveries are taken all the same");
    let github = away.come_back().await;
    github.status(&head, "greenlight", "success").await;
    github.status(&head, "greenlight / CI / test (pull_request)", "success").await;
    server.is_ready().await;
    server.stop().await;
    github.stop().await;
}

/// What was to be shown may become what is shown already: then nothing is left that would be asked of GitHub.
#[tokio::test]
async fn a_wait_ends_with_the_outage_though_nothing_is_left_to_be_sent() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    github.green_pull("change").await;
    let away = github.go_away().await;
    assert_eq!(server.wish(&format!("/api/v1/repos/{NAME}/runs/1/rerun")).await.0, 200);
    server.waits_for("cannot be reached").await;
    until("the run is over again", async || {
        let run = server.json(&format!("/api/v1/repos/{NAME}/runs/1")).await;
        (run["attempt"] == 2 && run["conclusion"] == "success").then_some(())
    })
    .await;
    let github = away.come_back().await;
    server.is_ready().await;
    server.stop().await;
    github.stop().await;
}

/// The very first failure counts: a server that starts while GitHub is away says so, though it knows its repository.
#[tokio::test]
async fn a_start_without_github_is_known_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    github.green_pull("change").await;
    let settings = github.settings();
    server.stop().await;
    let away = github.go_away().await;
    let server = Server::start(dir.path(), &settings).await;
    let waits = until("it waits", async || {
        let readiness = server.json("/readyz").await;
        // That its repositories have to be found comes first, and is no trouble.
        let is_beginning = readiness["waits"].to_string().contains("must be found first");
        (readiness["ok"] == false && !is_beginning).then(|| readiness["waits"].clone())
    })
    .await;
    assert!(waits.to_string().contains("cannot be reached"), "{waits}");
    let github = away.come_back().await;
    server.is_ready().await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_revoked_token_is_named_and_one_given_back_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let token = json!({ "user": "octocat", "token": "server-token" });
    github.admin("POST", "/tokens", token.clone()).await;
    let settings = github.settings().replace("octocat-token", "server-token");
    let server = Server::start(dir.path(), &settings).await;
    github.hook(&server).await;
    github.green_pull("one").await;
    github.admin("DELETE", "/tokens/server-token", json!(null)).await;
    let (_, head) = github.open_pull("two", "two.txt", "2").await;
    server.waits_for("does not accept our token").await;
    assert!(!server.read("/").await.1.contains("server-token"), "a token is never shown");
    github.admin("POST", "/tokens", token).await;
    github.status(&head, "greenlight", "success").await;
    server.is_ready().await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_missing_permission_is_named_and_one_given_back_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL, ".greenlight.yml": "merge: { when: green }\n" });
    let github = GitHub::start(dir.path(), files).await;
    let may = async |what: &str| github.call("PUT", "/collaborators/hubot", json!({ "permission": what })).await;
    may("push").await;
    let server = Server::start(dir.path(), &github.settings().replace("octocat-token", "hubot-token")).await;
    github.hook(&server).await;
    let (number, _) = github.open_pull("one", "one.txt", "1").await;
    github.merged(number).await;
    may("pull").await;
    let (number, head) = github.open_pull("two", "two.txt", "2").await;
    server.waits_for("give the token the permission to write commit statuses").await;
    let readiness = server.json("/readyz").await.to_string();
    assert!(readiness.contains(&format!("statuses ({NAME})")) && !readiness.contains("GitHub ("), "{readiness}");
    until("the tests are over", async || {
        (server.json(&format!("/api/v1/repos/{NAME}/runs/2")).await["conclusion"] == "success").then_some(())
    })
    .await;
    may("push").await;
    assert_eq!(server.wish(&format!("/api/v1/repos/{NAME}/runs/2/rerun")).await.0, 200);
    github.status(&head, "greenlight", "success").await;
    github.merged(number).await;
    server.is_ready().await;
    server.stop().await;
    github.stop().await;
}

/// A connection that holds the database's write lock until it is dropped, as another process would.
async fn hold(database: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(database).busy_timeout(Duration::from_secs(20));
    let mut holder = options.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    holder
}

#[tokio::test]
async fn a_database_that_another_process_holds_costs_nothing_that_was_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    assert_eq!(ping(&server, "before", 10).await, 202);
    let holder = hold(&dir.path().join("data/greenlight.db")).await;
    assert_eq!(ping(&server, "while", 10).await, 503);
    server.waits_for("another process holds the database").await;
    drop(holder);
    until("deliveries are taken again", async || (ping(&server, "after", 10).await == 202).then_some(())).await;
    until("the store is no trouble any more", async || {
        (!server.read("/readyz").await.1.contains("\"store\"")).then_some(())
    })
    .await;
    let kept = server.json("/api/v1/deliveries").await.to_string();
    assert!(kept.contains("\"before\"") && kept.contains("\"after\"") && !kept.contains("\"while\""), "{kept}");
    server.stop().await;
}

/// A small file system of its own.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    /// Mounts one, where we may.
    fn mount(at: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=16m", "none"]).arg(at).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test]
async fn a_full_disk_stops_the_intake_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let Some(_small) = Small::mount(&data) else {
        return eprintln!("skipped: a full disk (mounting one takes root)");
    };
    let server = Server::start(dir.path(), "").await;
    let ballast = data.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    let block = vec![7; 4096];
    while file.write_all(&block).is_ok() {}
    drop(file);
    let mut accepted = Vec::new();
    for count in 0.. {
        let id = format!("d{count}");
        match ping(&server, &id, 20_000).await {
            202 => accepted.push(id),
            503 => break,
            other => panic!("{id} was answered {other}"),
        }
        assert!(count < 1000, "a disk that is full takes everything");
    }
    server.waits_for("full").await;
    std::fs::remove_file(&ballast).unwrap();
    until("deliveries are taken again", async || (ping(&server, "after", 20_000).await == 202).then_some(())).await;
    accepted.push("after".to_owned());
    until("the disk is no trouble any more", async || (!server.read("/readyz").await.1.contains("full")).then_some(()))
        .await;
    for id in &accepted {
        let (status, text) = server.read(&format!("/api/v1/deliveries/{id}")).await;
        assert_eq!(status, 200, "{id} was accepted and is not there: {text}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_fills_the_disk_is_ended_and_work_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let Some(_small) = Small::mount(&data) else {
        return eprintln!("skipped: a full disk (mounting one takes root)");
    };
    let ci = "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v4\n      - run: |\n          if test -e greedy.txt; then cat /dev/zero > big || true; sleep 600; fi\n";
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": ci });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("greedy", "greedy.txt", "all of it").await;
    let why = github.status(&head, "greenlight / CI / test (pull_request)", "error").await;
    assert_eq!(why, "cancelled: the disk of the machine is 95 % full");
    server.is_ready().await;
    github.green_pull("modest").await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn what_was_refused_on_a_full_disk_is_found_when_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let Some(_small) = Small::mount(&data) else {
        return eprintln!("skipped: a full disk (mounting one takes root)");
    };
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    github.green_pull("before").await;
    let ballast = data.join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    while file.write_all(&[7; 4096]).is_ok() {}
    drop(file);
    server.waits_for("no delivery is taken until there is room").await;
    let (_, head) = github.open_pull("meanwhile", "meanwhile.txt", "text").await;
    until("its webhook is refused", async || {
        let hooks = github.get("/hooks").await;
        let deliveries = github.get(&format!("/hooks/{}/deliveries", hooks[0]["id"])).await;
        let refused =
            |delivery: &serde_json::Value| delivery["event"] == "pull_request" && delivery["status_code"] == 503;
        deliveries.as_array().unwrap().iter().any(refused).then_some(())
    })
    .await;
    std::fs::remove_file(&ballast).unwrap();
    github.status(&head, "greenlight", "success").await;
    server.stop().await;
    github.stop().await;
}
