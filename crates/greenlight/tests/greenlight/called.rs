//! Workflows of other repositories, called by a run of the server.

use serde_json::{Value, json};

use super::github::{GitHub, NAME};
use super::server::{Server, free_port, until};

const CI: &str = "name: CI
on: pull_request
jobs:
  other:
    uses: hubot/shared/.github/workflows/shared.yml@main
    with: { what: moon }
  own:
    uses: octocat/Spoon-Knife/.github/workflows/own.yml@main
  check:
    needs: [other, own]
    runs-on: ubuntu-latest
    steps: [{ run: 'test ${{ needs.other.outputs.said }} = moon-from-shared' }]
  missing:
    uses: hubot/shared/.github/workflows/nothing.yml@main
";
const OWN: &str = "on: workflow_call\njobs:\n  own:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";

#[tokio::test]
async fn a_workflow_of_another_repository_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": CI, ".github/workflows/own.yml": OWN });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &format!("{}[runner]\nisolation = \"none\"\n", github.settings())).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    github.status(&head, "greenlight", "failure").await;
    let context = |job: &str| format!("greenlight / CI / {job} (pull_request)");
    for job in ["other / say", "own / own", "check"] {
        github.status(&head, &context(job), "success").await;
    }
    let why = github.status(&head, &context("missing"), "failure").await;
    assert!(why.contains("is not here: it has no file .github/workflows/nothing.yml at this ref"), "{why}");
    let run = server.json(&format!("/api/v1/repos/{NAME}/runs/1")).await;
    let of =
        |job: &str| run["jobs"].as_array().unwrap().iter().find(|one| one["key"] == job).unwrap()["reason"].clone();
    let shared = github.call_as("hubot", "GET", "/repos/hubot/shared/git/ref/heads/main", json!(null)).await;
    let commit = &shared["object"]["sha"].as_str().unwrap()[..7];
    let told = format!("; hubot/shared/.github/workflows/shared.yml@main is commit {commit}");
    assert!(of("other").as_str().unwrap().ends_with(&told), "{run}");
    // What a run has read once it keeps, whatever becomes of the other repository.
    let (_, log) = server.read(&format!("/{NAME}/runs/1/jobs/other%20%2F%20say.txt")).await;
    assert!(log.contains("hubot/shared/.github/workflows/shared.yml@main"), "{log}");
    server.stop().await;
    github.stop().await;
}

const SHARED: &str = "on: workflow_call\njobs:\n  hidden:\n    runs-on: ubuntu-latest\n    steps: [{ run: 'true' }]\n";

/// Makes another repository of the owner, with a workflow to be called.
async fn share(github: &GitHub, repository: Value, workflow: &str) {
    let path = format!("/repos/octocat/{}/contents/.github/workflows/{workflow}", repository["name"].as_str().unwrap());
    github.call_as("octocat", "POST", "/user/repos", repository).await;
    let file = json!({ "message": "x", "content": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, SHARED) });
    github.call_as("octocat", "PUT", &path, file).await;
}

/// A private repository of the same owner: its workflows are for others when its setting says so, and not before.
#[tokio::test]
async fn a_workflow_of_a_private_repository_is_called_where_its_owner_opened_it() {
    const CALLS: &str =
        "name: CI\non: pull_request\njobs:\n  call:\n    uses: octocat/secret/.github/workflows/hidden.yml@main\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": CALLS })).await;
    share(&github, json!({ "name": "secret", "private": true, "auto_init": true }), "hidden.yml").await;
    let server = Server::start(dir.path(), &format!("{}[runner]\nisolation = \"none\"\n", github.settings())).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("one", "one.txt", "1").await;
    let called = "greenlight / CI / call (pull_request)";
    let why = github.status(&head, called, "failure").await;
    assert!(why.ends_with("is not here: octocat/secret is not there, or not open to octocat/Spoon-Knife"), "{why}");

    github.call("PATCH", "", json!({ "private": true })).await;
    let (_, head) = github.open_pull("two", "two.txt", "2").await;
    github.status(&head, called, "failure").await;

    let access = "/repos/octocat/secret/actions/permissions/access";
    github.call_as("octocat", "PUT", access, json!({ "access_level": "user" })).await;
    let (_, head) = github.open_pull("three", "three.txt", "3").await;
    github.status(&head, "greenlight / CI / call / hidden (pull_request)", "success").await;
    github.status(&head, "greenlight", "success").await;
    server.stop().await;
    github.stop().await;
}

/// Nobody can be asked for the called file: the commit waits and says for what, and goes on when somebody can.
#[tokio::test]
async fn a_call_of_a_repository_that_cannot_be_reached_waits() {
    const CALLS: &str = "name: CI\non: pull_request\njobs:\n  call:\n    uses: hubot/shared/.github/workflows/shared.yml@main\n    with: { what: moon }\n";
    let dir = tempfile::tempdir().unwrap();
    const CONFIG: &str = "environments:\n  staging: { on: merge, run: { shell: script/deploy } }\n";
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": CALLS, ".greenlight.yml": CONFIG });
    let github = GitHub::start(dir.path(), files).await;
    let port = free_port();
    let more = format!("[runner]\nisolation = \"none\"\n[actions]\nurl = \"http://127.0.0.1:{port}\"\n");
    let server = Server::start(dir.path(), &(github.settings() + &more)).await;
    github.hook(&server).await;
    let (number, head) = github.open_pull("change", "change.txt", "changed").await;
    until("the pull request says for what it waits", async || {
        let (_, page) = server.read(&format!("/{NAME}/pulls/{number}")).await;
        let is_told = page.contains("The commit cannot be read yet: .github/workflows/ci.yml calls hubot/shared/");
        (is_told && page.contains(&port.to_string())).then_some(())
    })
    .await;
    server.waits_for("calls hubot/shared/.github/workflows/shared.yml@main").await;
    github.status(&head, "greenlight", "pending").await;
    let environments = server.json(&format!("/api/v1/repos/{NAME}/environments")).await;
    assert_eq!(environments["environments"][0]["name"], "staging", "what is no run's does not wait: {environments}");

    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let there = github.running.address();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(there).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    github.status(&head, "greenlight", "success").await;
    server.is_ready().await;
    server.stop().await;
    github.stop().await;
}

/// Whether a public repository is one cannot be asked for the moment: what is everybody's is had all the same.
#[tokio::test]
async fn a_public_repository_of_the_owner_needs_no_leave() {
    const CALLS: &str =
        "name: CI\non: pull_request\njobs:\n  call:\n    uses: octocat/open/.github/workflows/open.yml@main\n";
    let dir = tempfile::tempdir().unwrap();
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": CALLS })).await;
    share(&github, json!({ "name": "open", "auto_init": true }), "open.yml").await;
    let fault = json!({ "fault": "answer", "status": 502, "method": "GET", "path": "/repos/octocat/open" });
    github.admin("POST", "/faults", fault).await;
    let server = Server::start(dir.path(), &format!("{}[runner]\nisolation = \"none\"\n", github.settings())).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("one", "one.txt", "1").await;
    github.status(&head, "greenlight / CI / call / hidden (pull_request)", "success").await;
    github.status(&head, "greenlight", "success").await;
    server.stop().await;
    github.stop().await;
}
