//! Merging, in each way that `.greenlight.yml` knows, and as an App.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::github::{GitHub, NAME};
use super::round::{DEPLOY, TRIVIAL};
use super::server::{Server, until};

fn files(config: &str) -> Value {
    json!({
        "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL, ".github/workflows/deploy.yml": DEPLOY, ".greenlight.yml": config,
    })
}

/// GitHub's clock ticks in seconds: a word in the second of a push may be about an earlier head, and is refused.
async fn next_second() {
    let second = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let begun = second();
    until("the second is over", async || (second() > begun).then_some(())).await;
}

#[tokio::test]
async fn what_is_green_is_merged_when_it_is_approved() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), files("merge: { when: approved }\n")).await;
    github.call("PUT", "/collaborators/hubot", json!({ "permission": "push" })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (number, _) = github.green_pull("change").await;
    github.said(number, "waits for an approving review").await;
    assert_eq!(github.get(&format!("/pulls/{number}")).await["merged"], false);
    let review = format!("/repos/{NAME}/pulls/{number}/reviews");
    github.call_as("hubot", "POST", &review, json!({ "event": "APPROVE" })).await;
    github.merged(number).await;
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn what_is_green_is_merged_when_somebody_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), files("merge: { when: command, method: squash }\n")).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (number, _) = github.green_pull("change").await;
    // Another one that was green later is merged by the word alone; the first stays as it is.
    let (other, _) = github.green_pull("other").await;
    next_second().await;
    github.comment(other, "/merge").await;
    let commit = github.merged(other).await;
    let parents = github.get(&format!("/git/commits/{commit}")).await["parents"].as_array().unwrap().len();
    assert_eq!(parents, 1, "squashed");
    assert_eq!(github.get(&format!("/pulls/{number}")).await["merged"], false);
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn what_was_said_before_the_server_was_there_is_obeyed_for_the_head_of_then() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), files("merge: { when: command }\n")).await;
    let (meant, _) = github.open_pull("meant", "meant.txt", "1").await;
    let (moved, _) = github.open_pull("moved", "moved.txt", "1").await;
    next_second().await;
    github.comment(meant, "/merge").await;
    github.comment(moved, "/merge").await;
    next_second().await;
    let later = github.write("moved", "more.txt", "2").await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.merged(meant).await;
    github.said(moved, "say /merge again").await;
    github.status(&later, "greenlight", "success").await;
    assert_eq!(github.get(&format!("/pulls/{moved}")).await["merged"], false);
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn where_github_does_not_tell_when_a_branch_moved_it_is_to_be_said_again() {
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), files("merge: { when: command }\n")).await;
    let older = json!({ "fault": "answer", "status": 404, "path": "/repos/*/*/activity" });
    github.admin("POST", "/faults", older).await;
    let (number, head) = github.open_pull("change", "change.txt", "1").await;
    next_second().await;
    github.comment(number, "/merge").await;
    next_second().await;
    github.open_pull("elsewhere", "elsewhere.txt", "1").await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.said(number, "say /merge again").await;
    github.status(&head, "greenlight", "success").await;
    assert_eq!(github.get(&format!("/pulls/{number}")).await["merged"], false);
    server.stop().await;
    github.stop().await;
}

#[tokio::test]
async fn an_app_goes_all_the_way() {
    const CONFIG: &str = "merge: { when: green }\nenvironments:\n  staging: { on: merge, run: { workflow: deploy } }\n";
    let dir = tempfile::tempdir().unwrap();
    let (github, settings) = GitHub::start_for_an_app(dir.path(), files(CONFIG)).await;
    let server = Server::start(dir.path(), &settings).await;
    github.hook(&server).await;
    let (number, head) = github.green_pull("change").await;
    until("the job is a check run", async || {
        let runs = github.get(&format!("/commits/{head}/check-runs")).await;
        let mut runs = runs["check_runs"].as_array().unwrap().iter();
        runs.any(|run| run["name"] == "greenlight / CI / test (pull_request)" && run["conclusion"] == "success")
            .then_some(())
    })
    .await;
    let commit = github.merged(number).await;
    let pull = github.get(&format!("/pulls/{number}")).await;
    assert_eq!(pull["merged_by"]["login"], "greenlight[bot]", "{pull}");
    let (id, _) = github.deployed("staging", "success").await;
    let deployment = github.get(&format!("/deployments/{id}")).await;
    assert_eq!((&deployment["sha"], &deployment["creator"]["login"]), (&json!(commit), &json!("greenlight[bot]")));
    server.stop().await;
    github.stop().await;
}
