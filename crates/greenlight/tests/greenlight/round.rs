//! The loop as a whole, against the emulated GitHub: real webhooks, real git, real processes.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};

use super::github::{GitHub, NAME};
use super::server::{Server, until};

pub const TRIVIAL: &str = "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo 'it works'\n";

#[tokio::test]
async fn a_pull_request_becomes_green() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    until("GitHub was reached", async || (server.read("/readyz").await.0 == 200).then_some(())).await;
    github.hook(&server).await;
    let (number, head) = github.open_pull("change", "change.txt", "changed").await;
    let said = github.status(&head, "greenlight", "success").await;
    assert!(!said.is_empty());
    github.status(&head, "greenlight / CI / test (pull_request)", "success").await;

    let runs = server.json("/api/v1/runs").await;
    assert_eq!(runs["runs"][0]["conclusion"], "success", "{runs}");
    let (_, log) = server.read(&format!("/{NAME}/runs/1/jobs/test.txt")).await;
    assert!(log.contains("it works"), "{log}");
    let (_, page) = server.read(&format!("/{NAME}/runs/1/jobs/test")).await;
    assert!(page.contains("it works") && page.ends_with("</html>\n") | page.ends_with("</html>"), "{page}");
    let (_, page) = server.read(&format!("/{NAME}/pulls/{number}")).await;
    assert!(page.contains("It is open."), "{page}");
    server.stop().await;
    github.stop().await;
}

const TESTED: &str = "name: CI
on: pull_request
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: cat README.md
  test:
    needs: build
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: Run the tests
        run: |
          echo '<b>colours</b>' $'\\e[31mred\\e[0m'
          test ! -e broken.txt
";

pub const DEPLOY: &str = "name: Deploy
on: deployment
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment:
      name: ${{ github.event.deployment.environment }}
      url: https://${{ github.event.deployment.environment }}.example.org
    steps:
      - uses: actions/checkout@v4
      - run: echo deploying to ${{ github.event.deployment.environment }}
";

const CONFIG: &str = "merge:
  when: green
environments:
  staging:
    on: merge
    run: { workflow: deploy }
  production:
    after: [staging]
    run: { workflow: deploy }
notify:
  - { room: deploys, on: [deployment, failure, merge] }
";

fn files() -> serde_json::Value {
    json!({
        "README.md": "hello",
        ".github/workflows/ci.yml": TESTED,
        ".github/workflows/deploy.yml": DEPLOY,
        ".greenlight.yml": CONFIG,
    })
}

/// A room that remembers what it was told.
async fn room() -> (String, Arc<Mutex<Vec<Value>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let ear = heard.clone();
    let hear = post(async move |headers: HeaderMap, body: String| {
        assert!(headers.contains_key("x-greenlight-signature-256"));
        ear.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    });
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", hear)).await });
    (url, heard)
}

#[tokio::test]
async fn a_merge_is_deployed_and_the_room_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (url, heard) = room().await;
    let github = GitHub::start(dir.path(), files()).await;
    let room = format!("[rooms.deploys]\nkind = \"webhook\"\nurl = {url:?}\nsecret = \"s\"\n");
    let server = Server::start(dir.path(), &(github.settings() + &room)).await;
    github.hook(&server).await;
    let (number, head) = github.open_pull("change", "change.txt", "changed").await;
    github.status(&head, "greenlight", "success").await;
    let pull = until("the pull request is merged", async || {
        let pull = github.get(&format!("/pulls/{number}")).await;
        (pull["merged"] == true).then_some(pull)
    })
    .await;
    let commit = pull["merge_commit_sha"].as_str().unwrap().to_owned();
    for environment in ["staging", "production"] {
        let states = until(&format!("{environment} succeeded"), async || {
            let deployments = github.get(&format!("/deployments?environment={environment}")).await;
            let deployment = deployments.as_array().unwrap().first()?.clone();
            assert_eq!(deployment["sha"], commit.as_str());
            let statuses = github.get(&format!("/deployments/{}/statuses", deployment["id"])).await;
            let statuses = statuses.as_array().unwrap().clone();
            (statuses.first()?["state"] == "success").then_some(statuses)
        })
        .await;
        let words: Vec<&str> = states.iter().rev().map(|status| status["state"].as_str().unwrap()).collect();
        assert!(words.contains(&"in_progress"), "{words:?}");
        assert_eq!(states[0]["environment_url"], format!("https://{environment}.example.org"), "{states:?}");
    }
    until("the room heard of production", async || {
        let heard = heard.lock().unwrap();
        heard.iter().any(|line| line["text"].as_str().unwrap().contains("production")).then_some(())
    })
    .await;
    let environments = server.json(&format!("/api/v1/repos/{NAME}/environments")).await;
    let live = &environments["environments"][0];
    assert_eq!(live["live_sha"], commit.as_str(), "{environments}");
    assert!(live["locked_by"].is_null(), "{environments}");
    let (status, page) = server.read(&format!("/{NAME}/environments")).await;
    assert!(status == 200 && page.contains("staging") && page.contains("production"), "{page}");
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_failure_says_why_and_a_push_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), files()).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (number, head) = github.open_pull("change", "broken.txt", "broken").await;
    let why = github.status(&head, "greenlight", "failure").await;
    assert!(why.contains("test"), "{why}");
    let run = server.json(&format!("/api/v1/repos/{NAME}/runs/1")).await;
    let jobs = run["jobs"].as_array().unwrap();
    assert_eq!(
        jobs.iter().map(|job| job["state"].as_str().unwrap()).collect::<Vec<_>>(),
        ["success", "failure"],
        "{run}"
    );
    assert!(jobs[1]["reason"].as_str().unwrap().contains("Run the tests"), "{run}");
    let (_, page) = server.read(&format!("/{NAME}/runs/1/jobs/test")).await;
    assert!(page.contains("&lt;b&gt;colours&lt;/b&gt; <span class=\"f1\">red</span>"), "{page}");
    let (_, page) = server.read(&format!("/{NAME}/pulls/{number}")).await;
    assert!(page.contains("greenlight at"), "{page}");

    let main = github.get("/git/ref/heads/change").await["object"]["sha"].clone();
    assert_eq!(main, head.as_str());
    let file = github.get("/contents/broken.txt?ref=change").await;
    let removed = json!({ "message": "mend", "sha": file["sha"], "branch": "change" });
    let mended = github.call("DELETE", "/contents/broken.txt", removed).await;
    let head = mended["commit"]["sha"].as_str().unwrap().to_owned();
    github.status(&head, "greenlight", "success").await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_late_server_does_what_is_due() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let (_, first) = github.open_pull("one", "one.txt", "1").await;
    let (_, second) = github.open_pull("two", "two.txt", "2").await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.status(&first, "greenlight", "success").await;
    github.status(&second, "greenlight", "success").await;
    server.stop().await;
    // What is done is not done again.
    let server = Server::start(dir.path(), &github.settings()).await;
    until("GitHub was compared with", async || (server.read("/readyz").await.0 == 200).then_some(())).await;
    let runs = server.json("/api/v1/runs").await;
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2, "{runs}");
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_run_is_cancelled_and_run_again() {
    const SLOW: &str = "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo begun\n          test \"$GITHUB_RUN_ATTEMPT\" != 1 || sleep 600\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": SLOW })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    until("the step prints", async || {
        let (status, log) = server.read(&format!("/{NAME}/runs/1/jobs/test.txt")).await;
        (status == 200 && log.contains("begun\n")).then_some(())
    })
    .await;

    // The page begins before the job ends, and ends with it, without a script.
    let mut page = server.http.get(server.pages(&format!("/{NAME}/runs/1/jobs/test"))).send().await.unwrap();
    let mut seen = String::new();
    while !seen.contains("begun") {
        seen.push_str(&String::from_utf8_lossy(&page.chunk().await.unwrap().expect("the page goes on")));
    }
    assert!(!seen.contains("</html>"), "{seen}");
    let cancelled = server.http.post(server.pages(&format!("/{NAME}/runs/1/cancel"))).send().await.unwrap();
    assert_eq!(cancelled.status(), 200, "the redirect leads back to the run");
    github.status(&head, "greenlight", "error").await;
    let why = github.status(&head, "greenlight / CI / test (pull_request)", "error").await;
    assert_eq!(why, "cancelled: by somebody at this machine");
    while let Some(part) = page.chunk().await.unwrap() {
        seen.push_str(&String::from_utf8_lossy(&part));
    }
    assert!(seen.contains("cancelled") && seen.contains("</html>"), "{seen}");

    let rerun = server.pages(&format!("/api/v1/repos/{NAME}/runs/1/rerun"));
    for body in ["{bad", "[]", r#"{"job": "test"}"#] {
        let refused = server.http.post(&rerun).body(body).send().await.unwrap();
        let (status, text) = (refused.status().as_u16(), refused.text().await.unwrap());
        assert!(status == 400 && text.contains("the body cannot be used"), "{body}: {status}: {text}");
    }
    let again = server.http.post(&rerun).send().await.unwrap();
    assert_eq!(again.status(), 200, "{}", again.text().await.unwrap());
    github.status(&head, "greenlight", "success").await;
    let twice = server.http.post(server.pages(&format!("/api/v1/repos/{NAME}/runs/99/cancel"))).send().await.unwrap();
    assert_eq!(twice.status(), 409);
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn what_failed_runs_again_and_what_is_kept_keeps_its_log() {
    const FLAKY: &str = "name: CI\non: pull_request\njobs:\n  build:\n    runs-on: ubuntu-latest\n    outputs: { made: '${{ steps.make.outputs.made }}' }\n    steps:\n      - id: make\n        run: echo \"made=in-$GITHUB_RUN_ATTEMPT\" | tee -a \"$GITHUB_OUTPUT\"\n  test:\n    needs: build\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo \"attempt $GITHUB_RUN_ATTEMPT with ${{ needs.build.outputs.made }}\"\n          test \"$GITHUB_RUN_ATTEMPT\" != 1\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": FLAKY })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (number, head) = github.open_pull("change", "change.txt", "changed").await;
    github.status(&head, "greenlight", "failure").await;
    until("the page offers it", async || {
        let (_, page) = server.read(&format!("/{NAME}/runs/1")).await;
        page.contains("Run what failed again").then_some(())
    })
    .await;
    let again = server.http.post(server.pages(&format!("/{NAME}/runs/1/rerun-failed-jobs"))).send().await.unwrap();
    assert_eq!(again.status(), 200, "{}", again.text().await.unwrap());
    github.status(&head, "greenlight", "success").await;
    let run = server.json(&format!("/api/v1/repos/{NAME}/runs/1")).await;
    let jobs: Vec<_> = run["jobs"].as_array().unwrap().iter().map(|job| (&job["key"], &job["attempt"])).collect();
    assert_eq!((&run["attempt"], jobs), (&json!(2), vec![(&json!("build"), &json!(1)), (&json!("test"), &json!(2))]));
    let log = async |job: &str| server.read(&format!("/{NAME}/runs/1/jobs/{job}.txt")).await.1;
    assert!(log("build").await.contains("made=in-1"), "the log of the attempt in which it ran");
    let (_, page) = server.read(&format!("/{NAME}/pulls/{number}")).await;
    assert!(page.contains("#1 CI</a> (attempt 2)") && page.contains("#1 CI</a> "), "{page}");
    assert!(log("test").await.contains("attempt 2 with in-1"), "{}", log("test").await);
    assert!(server.read(&format!("/{NAME}/runs/1")).await.1.contains("kept from attempt 1"));
    assert!(server.read(&format!("/{NAME}/runs/1/jobs/build")).await.1.contains("attempt 1, try 1"));

    let path = |job: &str| server.pages(&format!("/api/v1/repos/{NAME}/runs/1/jobs/{job}/rerun"));
    assert_eq!(server.http.post(path("nothing")).send().await.unwrap().status(), 404);
    assert_eq!(server.http.post(path("build")).send().await.unwrap().status(), 200);
    until("both run again", async || log("test").await.contains("attempt 3 with in-3").then_some(())).await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_fork_waits_for_an_approval() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    github.call_as("hubot", "POST", &format!("/repos/{NAME}/forks"), json!({})).await;
    let fork = "/repos/hubot/Spoon-Knife";
    let main = until("the fork is there", async || {
        let found = github.call_as("hubot", "GET", &format!("{fork}/branches/main"), Value::Null).await;
        found["commit"]["sha"].as_str().map(str::to_owned)
    })
    .await;
    github
        .call_as("hubot", "POST", &format!("{fork}/git/refs"), json!({ "ref": "refs/heads/gift", "sha": main }))
        .await;
    let gift = json!({ "message": "gift", "content": "Z2lmdA==", "branch": "gift" });
    let written = github.call_as("hubot", "PUT", &format!("{fork}/contents/gift.txt"), gift).await;
    let head = written["commit"]["sha"].as_str().unwrap().to_owned();
    let pull = json!({ "title": "A gift", "head": "hubot:gift", "base": "main" });
    github.call_as("hubot", "POST", &format!("/repos/{NAME}/pulls"), pull).await;

    let run = until("the run waits for an approval", async || {
        let (status, text) = server.read(&format!("/api/v1/repos/{NAME}/runs/1")).await;
        let run: Value = serde_json::from_str(&text).ok()?;
        (status == 200 && run["needs_approval"] == true).then_some(run)
    })
    .await;
    assert!(run["jobs"][0]["reason"].as_str().unwrap().contains("approval"), "{run}");
    let why = github.status(&head, "greenlight", "pending").await;
    assert!(why.contains("approval"), "{why}");
    assert!(server.read(&format!("/{NAME}/runs/1")).await.1.contains("Let it run"));
    let again = server.wish(&format!("/api/v1/repos/{NAME}/runs/1/rerun")).await;
    assert!(again.0 == 409 && again.1.contains("run 1 waits for an approval"), "{again:?}");
    let approved = server.http.post(server.pages(&format!("/{NAME}/runs/1/approve"))).send().await.unwrap();
    assert_eq!(approved.status(), 200);
    github.status(&head, "greenlight", "success").await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_workflow_that_cannot_be_read_shows_its_caret() {
    const BAD: &str =
        "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    stesp:\n      - run: echo\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": BAD })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    let why = github.status(&head, "greenlight", "failure").await;
    assert!(why.contains("ci.yml") && why.contains('6'), "{why}");
    let (_, page) = server.read(&format!("/{NAME}/runs/1")).await;
    assert!(page.contains("What is wrong with the workflow") && page.contains("^"), "{page}");
    assert!(!page.contains("Run again"), "the same file can only fail again: {page}");
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_workflow_that_is_too_large_says_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let huge = format!("{TRIVIAL}{}", "# a comment\n".repeat(60_000));
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/huge.yml": huge })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    let why = github.status(&head, "greenlight", "failure").await;
    assert!(why.contains("huge.yml: the file has 7") && why.ends_with("bytes; at most 524288 are read"), "{why}");
    let run = server.json(&format!("/api/v1/repos/{NAME}/runs/1")).await.to_string();
    assert!(run.contains("at most 524288 are read") && !run.contains("greenlight-cannot-read"), "{run}");
    let (_, page) = server.read(&format!("/{NAME}/runs/1")).await;
    assert!(page.contains("at most 524288 are read") && !page.contains("cannot-read"), "{page}");
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn an_app_shows_check_runs() {
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL });
    let (github, settings) = GitHub::start_for_an_app(dir.path(), files).await;
    let server = Server::start(dir.path(), &settings).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    github.status(&head, "greenlight", "success").await;
    until("the job is a check run", async || {
        let runs = github.get(&format!("/commits/{head}/check-runs")).await;
        let run = runs["check_runs"]
            .as_array()
            .unwrap()
            .iter()
            .find(|run| run["name"] == "greenlight / CI / test (pull_request)")?
            .clone();
        (run["conclusion"] == "success").then_some(())
    })
    .await;
    let statuses = github.get(&format!("/commits/{head}/status")).await;
    assert_eq!(statuses["statuses"].as_array().unwrap().len(), 1, "never both: {statuses}");
    server.stop().await;
    github.stop().await;
}
