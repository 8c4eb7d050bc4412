//! Workflows of other repositories, called by a run of the server.

use serde_json::json;

use super::github::{GitHub, NAME};
use super::server::Server;

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
    assert!(why.contains("is not here"), "{why}");
    // What a run has read once it keeps, whatever becomes of the other repository.
    let (_, log) = server.read(&format!("/{NAME}/runs/1/jobs/other%20%2F%20say.txt")).await;
    assert!(log.contains("hubot/shared/.github/workflows/shared.yml@main"), "{log}");
    server.stop().await;
    github.stop().await;
}
