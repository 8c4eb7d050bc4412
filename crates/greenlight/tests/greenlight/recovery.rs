//! What a server does about what it missed, and what a person does about what is not known.

use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::port::{Commit, Store as _};
use greenlight_core::time::{Duration, Timestamp};
use greenlight_store::Database;
use serde_json::{Value, json};

use super::github::{GitHub, NAME};
use super::program::Serve;
use super::round::TRIVIAL;
use super::server::{SECRET, Server, free_port, until};

/// Only the event itself can start this: no comparison finds it.
const CREATED: &str =
    "name: Created\non: create\njobs:\n  greet:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo hello\n";

#[tokio::test]
async fn deliveries_that_nobody_took_are_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/created.yml": CREATED });
    let github = GitHub::start(dir.path(), files).await;
    let url = format!("http://127.0.0.1:{}", free_port());
    let config = json!({ "url": format!("{url}/webhooks/github"), "content_type": "json", "secret": SECRET });
    let hook = github
        .call("POST", "/hooks", json!({ "name": "web", "active": true, "events": ["*"], "config": config }))
        .await;
    github.open_pull("change", "change.txt", "changed").await;
    let log = format!("/hooks/{}/deliveries", hook["id"]);
    until("nobody took the delivery", async || {
        let deliveries = github.get(&log).await;
        let mut deliveries = deliveries.as_array().unwrap().iter();
        deliveries.any(|one| one["event"] == "create" && one["status_code"] != 202).then_some(())
    })
    .await;
    let listen = url.strip_prefix("http://").unwrap();
    let settings = format!("listen = \"{listen}\"\nurl = \"{url}\"\n{}", github.settings());
    let server = Server::start(dir.path(), &settings).await;
    let run = until("the event's run succeeded", async || {
        let runs = server.json("/api/v1/runs").await;
        let run = runs["runs"].as_array().unwrap().iter().find(|run| run["event"] == "create")?.clone();
        (run["conclusion"] == "success").then_some(run)
    })
    .await;
    assert_eq!(run["name"], "Created", "{run}");
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_kept_lock_is_freed_by_a_person() {
    const CONFIG: &str = "merge: { when: green }\nenvironments:\n  staging: { on: merge, run: { workflow: deploy } }\n  later: { run: { workflow: deploy } }\n";
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let deploy = format!(
        "name: Deploy\non: deployment\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo begun\n          until test -e {}; do sleep 0.05; done\n",
        go.display()
    );
    let files = json!({
        "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL, ".github/workflows/deploy.yml": deploy, ".greenlight.yml": CONFIG,
    });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (number, _) = github.green_pull("change").await;
    github.merged(number).await;
    let (first, _) = github.deployed("staging", "in_progress").await;
    let run = until("the step runs", async || {
        let runs = server.json("/api/v1/runs").await;
        let run = runs["runs"].as_array().unwrap().iter().find(|run| run["event"] == "deployment")?["number"].clone();
        let (_, log) = server.read(&format!("/{NAME}/runs/{run}/jobs/deploy.txt")).await;
        log.contains("begun\n").then_some(run)
    })
    .await;
    let again = server.wish(&format!("/api/v1/repos/{NAME}/environments/staging/unlock")).await;
    assert!(again.0 == 409 && again.1.contains("under way"), "{again:?}");
    assert_eq!(server.wish(&format!("/api/v1/repos/{NAME}/runs/{run}/cancel")).await.0, 200);
    let (_, why) = github.deployed("staging", "error").await;
    assert!(why.contains("outcome unknown"), "{why}");
    let environments = server.json(&format!("/api/v1/repos/{NAME}/environments")).await;
    let of = |name: &str| {
        let all = environments["environments"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).cloned().unwrap_or(Value::Null)
    };
    assert_eq!(of("staging")["locked_by"], first, "{environments}");
    assert!(of("staging")["lock_kept"].as_str().unwrap().contains("a person must look"), "{environments}");
    assert!(of("later")["sentence"].as_str().unwrap().contains("nothing was deployed here yet"), "{environments}");

    let wanted = json!({ "ref": "main", "environment": "staging", "required_contexts": [], "auto_merge": false });
    github.call("POST", "/deployments", wanted).await;
    let (second, why) = github.deployed("staging", "queued").await;
    assert!(second != first && why.contains("staging is locked"), "{why}");
    let missing = server.wish(&format!("/api/v1/repos/{NAME}/environments/moon/unlock")).await;
    assert!(missing.0 == 404 && missing.1.contains("has no environment moon"), "{missing:?}");
    assert!(server.read(&format!("/{NAME}/environments")).await.1.contains("Unlock staging"));
    std::fs::write(&go, "").unwrap();
    // The button leads back to the page.
    assert_eq!(server.wish(&format!("/{NAME}/environments/staging/unlock")).await.0, 200);
    assert_eq!(github.deployed("staging", "success").await.0, second);
    server.stop().await;
    github.stop().await;
}

const TICK: &str = "name: Tick
on:
  schedule:
    - cron: '*/5 * * * *'
jobs:
  tick:
    runs-on: ubuntu-latest
    steps:
      - run: echo \"due by ${{ github.event.schedule }}\"
";

/// Makes a stored repository one whose server was away for so long: its lines were last looked at then.
async fn was_away_for(data: &std::path::Path, minutes: u64) {
    let store = Database::open(data).await.unwrap();
    let repo = store.repositories().await.unwrap()[0].id;
    let loaded = store.load(repo).await.unwrap().unwrap();
    let meta = loaded.entities.into_iter().find_map(|entity| match entity {
        Entity::Meta(meta) => Some(meta),
        _ => None,
    });
    let mut meta = meta.unwrap();
    let mut timetable = (*meta.timetable).clone();
    assert!(!timetable.lines.is_empty(), "the line was read");
    for line in &mut timetable.lines {
        line.from = line.from - Duration::from_secs(minutes * 60);
    }
    meta.timetable = timetable.into();
    let changes = vec![(EntityKey::Meta, Some(Entity::Meta(meta)))];
    let (deliveries, audit) = (Vec::new(), Vec::new());
    let at = Timestamp::EPOCH;
    store.commit(&Commit { repo, version: loaded.version, changes, deliveries, audit, at }).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn what_came_due_while_no_server_was_there_starts_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = "environments:\n  later: { run: { workflow: deploy } }\n";
    let files = json!({ "README.md": "hello", ".github/workflows/tick.yml": TICK, ".greenlight.yml": config });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    until("the files were read", async || {
        let environments = server.json(&format!("/api/v1/repos/{NAME}/environments")).await;
        environments["environments"].as_array()?.first().map(|_| ())
    })
    .await;
    server.stop().await;
    was_away_for(&dir.path().join("data"), 20).await;
    let (mut subjects, mut count) = (Vec::new(), 0);
    for _ in 0..2 {
        let server = Server::start(dir.path(), &github.settings()).await;
        server.is_ready().await;
        let runs = until("the run that was due succeeded", async || {
            let runs = server.json("/api/v1/runs").await["runs"].as_array().unwrap().clone();
            (!runs.is_empty() && runs.iter().all(|run| run["conclusion"] == "success")).then_some(runs)
        })
        .await;
        assert!(runs.iter().all(|run| run["event"] == "schedule"), "{runs:?}");
        subjects = runs.iter().map(|run| run["subject"].as_str().unwrap().to_owned()).collect();
        count = runs.len();
        let head = runs[0]["head_sha"].as_str().unwrap();
        github.status(head, "greenlight / Tick / tick (schedule)", "success").await;
        let (_, log) = server.read(&format!("/{NAME}/runs/1/jobs/tick.txt")).await;
        assert!(log.contains("due by */5 * * * *"), "{log}");
        server.stop().await;
    }
    assert!(subjects.iter().all(|subject| subject.starts_with("*/5 * * * *, due ")), "{subjects:?}");
    // Of the four that were missed the last one started; another may have come due meanwhile.
    assert!(subjects.len() <= 2, "{subjects:?}");
    subjects.dedup();
    assert_eq!(subjects.len(), count, "none twice: {subjects:?}");
    github.stop().await;
}

/// A workflow whose only step waits until a file is there.
fn waiting(name: &str, on: &str, job: &str, file: &std::path::Path) -> String {
    format!(
        "name: {name}\non: {on}\njobs:\n  {job}:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo begun\n          until test -e {}; do sleep 0.05; done\n",
        file.display()
    )
}

/// A repository whose deployment to staging waits for the file `seen/go`, and whose pull requests for `seen/tested`.
async fn with_slow_deployment(dir: &std::path::Path) -> (GitHub, String) {
    const CONFIG: &str = "environments:\n  staging: { run: { workflow: deploy } }\n";
    // The one folder of others that the jobs see.
    let seen = dir.join("seen");
    std::fs::create_dir(&seen).unwrap();
    let deploy = waiting("Deploy", "deployment", "deploy", &seen.join("go"));
    let test = waiting("CI", "pull_request", "test", &seen.join("tested"));
    let files = json!({
        "README.md": "hello", ".github/workflows/deploy.yml": deploy, ".github/workflows/ci.yml": test, ".greenlight.yml": CONFIG,
    });
    let github = GitHub::start(dir, files).await;
    // Always the same address, so that the webhook finds the server after a restart as well.
    let url = format!("http://127.0.0.1:{}", free_port());
    let config = json!({ "url": format!("{url}/webhooks/github"), "content_type": "json", "secret": SECRET });
    github.call("POST", "/hooks", json!({ "name": "web", "active": true, "events": ["*"], "config": config })).await;
    let listen = url.strip_prefix("http://").unwrap();
    let settings = format!("{}[runner]\nvisible = [{seen:?}]\n", github.settings());
    (github, format!("listen = \"{listen}\"\n{settings}"))
}

/// Makes a deployment to staging, and waits until its step runs.
async fn deploy_slowly(github: &GitHub, serve: &Serve) {
    let wanted = json!({ "ref": "main", "environment": "staging", "required_contexts": [], "auto_merge": false });
    github.call("POST", "/deployments", wanted).await;
    github.deployed("staging", "in_progress").await;
    until("the step runs", async || serve.log_of("deploy").await?.contains("begun\n").then_some(())).await;
}

const WAITS: &str = "no new job starts, and deployment ";

/// Returns a server that was told to end while it deploys, and has said that it waits for that.
async fn ending_in_a_deployment(dir: &std::path::Path) -> (GitHub, String, Serve) {
    let (github, settings) = with_slow_deployment(dir).await;
    let serve = Serve::start_at(dir, &settings);
    deploy_slowly(&github, &serve).await;
    serve.terminate();
    until("it says what it waits for", async || serve.has_told(WAITS).then_some(())).await;
    (github, settings, serve)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_to_end_lets_a_deployment_end_first() {
    let dir = tempfile::tempdir().unwrap();
    let (github, settings, mut serve) = ending_in_a_deployment(dir.path()).await;
    // Meanwhile it hears and speaks as ever, and starts nothing.
    std::fs::write(dir.path().join("seen/tested"), "").unwrap();
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    github.status(&head, "greenlight / CI / test (pull_request)", "pending").await;
    assert!(!serve.has_ended());
    std::fs::write(dir.path().join("seen/go"), "").unwrap();
    github.deployed("staging", "success").await;
    until("it ends", async || serve.has_ended().then_some(())).await;
    assert!(!serve.has_told("runs test of"), "no new job started");
    let serve = Serve::start_at(dir.path(), &settings);
    github.status(&head, "greenlight", "success").await;
    serve.end();
    github.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_twice_to_end_waits_for_no_deployment() {
    let dir = tempfile::tempdir().unwrap();
    let (github, settings, mut serve) = ending_in_a_deployment(dir.path()).await;
    serve.terminate();
    until("it ends", async || serve.has_ended().then_some(())).await;
    let serve = Serve::start_at(dir.path(), &settings);
    let (_, why) = github.deployed("staging", "error").await;
    assert!(why.contains("outcome unknown"), "{why}");
    serve.end();
    github.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_to_end_waits_for_no_other_job_and_for_no_deployment_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (github, settings) = with_slow_deployment(dir.path()).await;
    let mut serve = Serve::start_at(dir.path(), &settings);
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    until("the step runs", async || serve.log_of("test").await?.contains("begun\n").then_some(())).await;
    serve.terminate();
    until("it ends", async || serve.has_ended().then_some(())).await;
    assert!(!serve.has_told(WAITS));
    std::fs::write(dir.path().join("seen/tested"), "").unwrap();
    let serve = Server::start(dir.path(), &settings).await;
    github.status(&head, "greenlight", "success").await;
    let wanted = json!({ "ref": "main", "environment": "staging", "required_contexts": [], "auto_merge": false });
    github.call("POST", "/deployments", wanted).await;
    github.deployed("staging", "in_progress").await;
    let (began, within) = (std::time::Instant::now(), std::time::Duration::from_millis(300));
    serve.running.finish_deployments(within).await;
    assert!(began.elapsed() >= within, "it waited for as long as it may");
    serve.stop().await;
    github.stop().await;
}
