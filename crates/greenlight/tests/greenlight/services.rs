//! What actions ask for, as a job's own steps see it: tokens for actions, and none for scripts.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::github::{GitHub, NAME};
use super::server::Server;

const WORKFLOW: &str = "name: CI
on: [push, pull_request]
permissions:
  contents: read
  id-token: write
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          test -z \"$ACTIONS_RUNTIME_TOKEN$ACTIONS_RESULTS_URL$ACTIONS_CACHE_URL\"
          test -n \"$ACTIONS_ID_TOKEN_REQUEST_URL\" && echo \"bearer $ACTIONS_ID_TOKEN_REQUEST_TOKEN\"
      - uses: ./.github/actions/ask
";

const ACTION: &str = "name: ask\nruns:\n  using: node20\n  main: ask.js\n";

/// Asks as the artifact client does, without being it.
const ASK: &str = r#"
const { ACTIONS_RUNTIME_TOKEN: token, ACTIONS_RESULTS_URL: url } = process.env;
const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
const [, run, job] = claims.scp.split(":");
const ids = { workflow_run_backend_id: run, workflow_job_run_backend_id: job };
async function call(method, body) {
  const service = "github.actions.results.api.v1.ArtifactService";
  const answer = await fetch(`${new URL(url).origin}/twirp/${service}/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ ...ids, ...body }),
  });
  if (!answer.ok) throw new Error(`${method}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}
async function main() {
  const { signed_upload_url: upload } = await call("CreateArtifact", { name: "site", version: 7 });
  const sent = await fetch(upload, { method: "PUT", body: "hello" });
  if (sent.status !== 201) throw new Error(`upload: ${sent.status}`);
  await call("FinalizeArtifact", { name: "site", size: "5" });
  const { artifacts } = await call("ListArtifacts", {});
  console.log(`has ${artifacts.map((artifact) => artifact.name)}, token ${token}`);
  const identity = await fetch(`${process.env.ACTIONS_ID_TOKEN_REQUEST_URL}&audience=x`, {
    headers: { authorization: `Bearer ${process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN}` },
  });
  const { value } = await identity.json();
  const said = JSON.parse(Buffer.from(value.split(".")[1], "base64url"));
  console.log(`it is ${said.aud} ${said.event_name} ${said.runner_environment}`);
}
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
"#;

/// Node has to be there in CI; elsewhere its tests are passed over, aloud.
fn has_node() -> bool {
    let found =
        Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "node is not there");
    if !found {
        eprintln!("skipped: there is no node");
    }
    found
}

fn judge(log: &str) {
    assert!(log.contains("has site, token ***"), "the action sees its token, and nobody reads it: {log}");
    assert!(log.contains("bearer ***"), "{log}");
    assert!(log.contains("self-hosted"), "{log}");
}

fn git(folder: &Path, arguments: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main"]);
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn actions_of_a_local_run_have_services() {
    if !has_node() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join(".github/workflows")).unwrap();
    std::fs::create_dir_all(tree.join(".github/actions/ask")).unwrap();
    std::fs::write(tree.join(".github/workflows/ci.yml"), WORKFLOW).unwrap();
    std::fs::write(tree.join(".github/actions/ask/action.yml"), ACTION).unwrap();
    std::fs::write(tree.join(".github/actions/ask/ask.js"), ASK).unwrap();
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["add", "."]);
    git(&tree, &["commit", "--quiet", "-m", "one"]);
    // Twice: what one run made is in nobody's way.
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_greenlight"));
        command.args(["exec", "push"]).current_dir(&tree).env("NO_COLOR", "1").stdin(Stdio::null());
        command.env("XDG_CACHE_HOME", dir.path().join("cache")).env("TMPDIR", dir.path());
        let output = command.output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        judge(&log);
        assert!(log.contains("it is x push"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_of_a_servers_job_have_services() {
    if !has_node() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let files = json!({
        "README.md": "hello", ".github/workflows/ci.yml": WORKFLOW,
        ".github/actions/ask/action.yml": ACTION, ".github/actions/ask/ask.js": ASK,
    });
    let github = GitHub::start(dir.path(), files).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    let ended = github.status(&head, "greenlight", "success").await;
    let (_, log) = server.read(&format!("/{NAME}/runs/1/jobs/test.txt")).await;
    judge(&log);
    assert!(log.contains("it is x p"), "{ended}: {log}");
    server.stop().await;
    github.stop().await;
}
