//! What people are told, end to end: no command is answered by silence, and a wrong `.greenlight.yml` by none either.

use serde_json::json;

use super::github::{GitHub, NAME};
use super::round::TRIVIAL;
use super::server::{Server, until};

#[tokio::test]
async fn a_command_of_which_nothing_comes_is_answered_once() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (number, _) = github.green_pull("change").await;
    github.comment(number, "/usr/bin/env is not to be found").await;
    github.comment(number, "/retset").await;
    github.said(number, "did you mean /retest?").await;
    github.comment(number, "/merge squash").await;
    github.said(number, "Say /merge alone").await;
    let stranger = format!("/repos/{NAME}/issues/{number}/comments");
    github.call_as("hubot", "POST", &stranger, json!({ "body": "/retest" })).await;
    github.said(number, "@hubot, only people with write permission can say that here.").await;
    github.call("PATCH", &format!("/pulls/{number}"), json!({ "state": "closed" })).await;
    github.comment(number, "/retest").await;
    github.said(number, "The pull request is closed.").await;
    // The comparison reads them all again, our own answers among them, which the same account wrote.
    assert_eq!(server.wish(&format!("/api/v1/repos/{NAME}/sync")).await.0, 200);
    github.green_pull("another").await;
    let ours = github.comments(number).await.into_iter().filter(|body| body.contains("<!-- greenlight:"));
    let ours: Vec<String> = ours.collect();
    assert_eq!(ours.len(), 4, "{ours:#?}");
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_wrong_configuration_on_the_default_branch_is_shown_everywhere() {
    const WRONG: &str = "merge:\n  whn: green\n  method: squish\n";
    // What is passed first is shown first, whatever the alphabet says and wherever it stands.
    const RIGHT: &str = "environments:\n  live: { after: [staging], run: { workflow: deploy } }\n  staging: { on: merge, run: { workflow: deploy } }\n";
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL, ".greenlight.yml": WRONG });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let told = ".greenlight.yml:2: unknown key whn in merge; did you mean when? (and 1 more)";
    let main = github.get("/git/ref/heads/main").await["object"]["sha"].as_str().unwrap().to_owned();
    assert_eq!(github.status(&main, "greenlight", "failure").await, told);
    let repositories = server.json("/api/v1/repos").await;
    assert_eq!(repositories["repositories"][0]["config_problem"], told, "{repositories}");
    let environments = server.json(&format!("/api/v1/repos/{NAME}/environments")).await;
    assert_eq!(environments["config_problem"], told, "{environments}");
    let (_, page) = server.read(&format!("/{NAME}/environments")).await;
    assert!(page.contains("merges and deploys nothing") && page.contains("unknown key whn"), "{page}");
    assert!(page.contains("--&gt; .greenlight.yml:3:11") || page.contains("--&#62; .greenlight.yml:3:11"), "{page}");
    assert!(environments["config_findings"].as_str().unwrap().contains("merge.method is one of"), "{environments}");
    assert!(server.read("/").await.1.contains("unknown key whn"));
    assert_eq!(server.read("/readyz").await.0, 200, "the server itself is well");

    configure(&github, RIGHT).await;
    until("it is right again", async || {
        let environments = server.json(&format!("/api/v1/repos/{NAME}/environments")).await;
        let is_right = environments["config_problem"].is_null() && environments["environments"][0]["name"] == "staging";
        is_right.then_some(())
    })
    .await;
    assert!(!server.read("/").await.1.contains("unknown key"));
    server.stop().await;
    github.stop().await;
}

/// Writes the `.greenlight.yml` of main anew.
async fn configure(github: &GitHub, text: &str) {
    let file = github.get("/contents/.greenlight.yml").await;
    let content = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, text);
    let written = json!({ "message": "configure", "content": content, "sha": file["sha"], "branch": "main" });
    github.call("PUT", "/contents/.greenlight.yml", written).await;
}

#[tokio::test]
async fn a_deployment_waits_while_the_configuration_is_wrong_over_a_restart_too() {
    const RIGHT: &str = "environments:\n  staging: { run: { shell: deploy } }\n";
    const WRONG: &str = "environmints: {}\n";
    const WHY: &str = "nothing is deployed: .greenlight.yml:1: unknown key environmints";
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL, ".greenlight.yml": RIGHT });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let path = format!("/api/v1/repos/{NAME}/environments");
    until("the file is read", async || server.json(&path).await["environments"][0]["name"].is_string().then_some(()))
        .await;
    configure(&github, WRONG).await;
    until("it is wrong", async || server.json(&path).await["config_problem"].is_string().then_some(())).await;
    assert_eq!(server.json(&path).await["environments"][0]["name"], "staging", "it is still known");
    server.stop().await;
    let server = Server::start(dir.path(), &github.settings()).await;
    server.is_ready().await;
    let wanted = json!({ "ref": "main", "environment": "staging", "required_contexts": [], "auto_merge": false });
    github.call("POST", "/deployments", wanted).await;
    // The server has another port by now: the deployment is found by a comparison.
    assert_eq!(server.wish(&format!("/api/v1/repos/{NAME}/sync")).await.0, 200);
    let (id, why) = github.deployed("staging", "queued").await;
    assert!(why.starts_with(WHY), "{why}");
    let environments = server.json(&path).await;
    let shown = &environments["environments"][0]["deployments"][0];
    assert!(shown["id"] == id && shown["sentence"].as_str().unwrap().starts_with(WHY), "{environments}");
    assert!(server.read(&format!("/{NAME}/environments")).await.1.contains(WHY));
    configure(&github, RIGHT).await;
    assert_eq!(server.wish(&format!("/api/v1/repos/{NAME}/sync")).await.0, 200);
    assert_eq!(github.deployed("staging", "failure").await.0, id, "there is no such script, but it was tried");
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn a_pull_request_that_brings_a_wrong_configuration_tells_all_that_is_wrong_with_it() {
    const WRONG: &str = "environments:\n  staging: { on: merge }\nmerge:\n  whn: green\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL })).await;
    let pages = "[pages]\nlisten = \"127.0.0.1:0\"\nurl = \"https://ci.example.org\"\n";
    let server = Server::start(dir.path(), &(github.settings() + pages)).await;
    github.hook(&server).await;
    let (number, head) = github.open_pull("change", ".greenlight.yml", WRONG).await;
    let told = github.status(&head, "greenlight", "failure").await;
    assert!(told.starts_with(".greenlight.yml:2: environment staging") && told.ends_with(" (and 1 more)"), "{told}");
    let statuses = github.get(&format!("/commits/{head}/status")).await;
    let statuses = statuses["statuses"].as_array().unwrap();
    let aggregate = statuses.iter().find(|status| status["context"] == "greenlight").unwrap();
    assert_eq!(aggregate["target_url"], format!("https://ci.example.org/{NAME}/pulls/{number}"));
    // It is tested once more when the default branch was read for the first time.
    until("all of it is on the page", async || {
        let (_, page) = server.read(&format!("/{NAME}/pulls/{number}")).await;
        (page.contains("What is wrong with .greenlight.yml") && page.contains("4 |   whn: green")).then_some(())
    })
    .await;
    until("all of it is on the page of its run", async || {
        let (_, page) = server.read(&format!("/{NAME}/runs/1")).await;
        let is_shown = page.contains("What is wrong with .greenlight.yml") && page.contains("4 |   whn: green");
        (is_shown && page.contains(".greenlight.yml:2: environment staging")).then_some(())
    })
    .await;
    until("all of it is in the API", async || {
        let why = server.json(&format!("/api/v1/repos/{NAME}/why?pull={number}")).await;
        (why["config_findings"].as_str()?.matches("^\n").count() == 2).then_some(())
    })
    .await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn the_status_says_how_much_is_wrong_with_workflows() {
    const WRONG: &str = "on: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    stesp:\n      - run: echo\n    timeot-minutes: 3\n";
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/a.yml": WRONG, ".github/workflows/b.yml": WRONG });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    let told = github.status(&head, "greenlight", "failure").await;
    assert!(
        told.contains("stesp") && told.contains("steps") && told.ends_with(" more); 1 more file is wrong"),
        "{told}"
    );
    server.stop().await;
    github.stop().await;
}
