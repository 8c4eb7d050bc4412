//! What jobs say beside their logs: on the page, in the API, through the verb, and on GitHub.

use std::process::Command;

use serde_json::{Value, json};

use super::github::{GitHub, NAME};
use super::server::{Server, until};

const TALKING: &str = "name: CI
on: pull_request
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo '::add-mask::sesame'
          echo '::error file=src/a.rs,line=3,col=5,title=unused::a variable'
          echo '::warning::open sesame'
          echo '# Tests of sesame' >> \"$GITHUB_STEP_SUMMARY\"
          echo '<script>alert(1)</script><b>bold</b>' >> \"$GITHUB_STEP_SUMMARY\"
      - { name: Perhaps, run: exit 1, continue-on-error: true }
      - run: |
          echo '::notice::done'
          test \"$GITHUB_RUN_ATTEMPT\" != 1
";

async fn check_run(github: &GitHub, head: &str, conclusion: &str) -> Value {
    until(&format!("the check run ended with {conclusion}"), async || {
        let runs = github.get(&format!("/commits/{head}/check-runs?filter=latest")).await;
        let run = runs["check_runs"].as_array().unwrap().first()?.clone();
        (run["conclusion"] == conclusion).then_some(run)
    })
    .await
}

#[tokio::test]
async fn what_a_job_says_is_shown_wherever_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let files = json!({ "README.md": "hello", ".github/workflows/ci.yml": TALKING });
    let (github, settings) = GitHub::start_for_an_app(dir.path(), files).await;
    let server = Server::start(dir.path(), &settings).await;
    github.hook(&server).await;
    let (_, head) = github.open_pull("change", "change.txt", "changed").await;
    let first = check_run(&github, &head, "failure").await;

    let annotations = github.get(&format!("/check-runs/{}/annotations", first["id"])).await;
    let annotations = annotations.as_array().unwrap();
    assert_eq!(annotations.len(), 3, "{annotations:?}");
    assert_eq!(
        (&annotations[0]["path"], &annotations[0]["start_line"], &annotations[0]["annotation_level"]),
        (&json!("src/a.rs"), &json!(3), &json!("failure"))
    );
    assert_eq!((&annotations[1]["path"], &annotations[1]["message"]), (&json!(".github"), &json!("open ***")));
    assert!(first["output"]["summary"].as_str().unwrap().contains("# Tests of ***"), "{first}");

    let path = format!("/api/v1/repos/{NAME}/runs/1");
    let job = server.json(&path).await["jobs"][0].clone();
    let placed = json!({
        "step": 2, "level": "error", "message": "a variable", "title": "unused", "file": "src/a.rs", "line": 3,
        "end_line": 3, "column": 5, "end_column": null,
    });
    assert_eq!(job["annotations"][0], placed);
    assert_eq!(job["annotations"].as_array().unwrap().len(), 3, "{job}");
    assert_eq!(job["summaries"].as_array().unwrap().len(), 1, "{job}");
    let (_, text) = server.read(&format!("{path}/jobs/test/summary")).await;
    assert!(text.contains("# Tests of ***") && text.contains("<script>"), "{text}");

    let states = |step: usize| (job["steps"][step]["state"].clone(), job["steps"][step]["outcome"].clone());
    assert_eq!(states(1), ("success".into(), "success".into()), "{job}");
    assert_eq!(states(2), ("success".into(), "failure".into()), "{job}");
    let forgiven = "<span class=\"state success\">success (failed, continue-on-error)</span>";
    for page in ["", "/jobs/test"] {
        let (_, page) = server.read(&format!("/{NAME}/runs/1{page}")).await;
        assert_eq!(page.matches(forgiven).count(), 1, "{page}");
    }

    let (_, page) = server.read(&format!("/{NAME}/runs/1")).await;
    for part in
        ["<code>src/a.rs:3:5</code> <strong>unused</strong>", "a variable", "<h3>Tests of ***</h3>", "<b>bold</b>"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(!page.contains("<script>") && !page.contains("sesame"), "{page}");
    assert!(server.read(&format!("/{NAME}/runs/1/jobs/test")).await.1.contains("src/a.rs:3:5"));
    let mut view = Command::new(env!("CARGO_BIN_EXE_greenlight"));
    view.args(["run", "view", "1", "--repo", NAME, "--server", &server.pages("")]);
    let seen = tokio::task::spawn_blocking(move || view.output()).await.unwrap().unwrap();
    let seen = String::from_utf8_lossy(&seen.stdout).into_owned();
    assert!(seen.contains("src/a.rs:3:5: error: unused: a variable") && seen.contains("# Tests of ***"), "{seen}");

    assert!(seen.contains("3. Perhaps  success (failed, continue-on-error) in"), "{seen}");

    // Another attempt is another check run: what the first one says of files stays with it.
    let again = server.http.post(server.pages(&format!("{path}/rerun"))).send().await.unwrap();
    assert_eq!(again.status(), 200);
    let second = check_run(&github, &head, "success").await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(second["output"]["annotations_count"], 3, "{second}");
    let before = github.get(&format!("/check-runs/{}", first["id"])).await;
    assert_eq!((&before["conclusion"], &before["output"]["annotations_count"]), (&json!("failure"), &json!(3)));
    server.stop().await;
    github.stop().await;
}
