//! The loop as a whole, against the emulated GitHub: real webhooks, real git, real processes.

use serde_json::json;

use super::github::{GitHub, NAME};
use super::server::{Server, until};

const TRIVIAL: &str = "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo 'it works'\n";

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
