//! What is told while it happens, and what is told to those who come back.

use serde_json::json;

use super::github::{GitHub, NAME};
use super::server::{Server, until};

/// Reads server-sent events until one of this name has come.
async fn read_until(server: &Server, path: &str, seen: Option<&str>, is_enough: impl Fn(&str) -> bool) -> String {
    let mut request = server.http.get(server.pages(path)).header("Accept", "text/event-stream");
    if let Some(seen) = seen {
        request = request.header("Last-Event-ID", seen);
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut read = String::new();
    while !is_enough(&read) {
        let part = tokio::time::timeout(std::time::Duration::from_secs(60), response.chunk()).await;
        read.push_str(&String::from_utf8_lossy(&part.expect("it goes on").unwrap().expect("it goes on")));
    }
    read
}

/// Returns the id of the last event.
fn last_id(read: &str) -> String {
    read.lines()
        .filter_map(|line| line.strip_prefix("id: ").or(line.strip_prefix("id:")))
        .next_back()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn whoever_comes_back_to_a_log_misses_no_line_and_reads_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let slow = format!(
        "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n      - run: |\n          echo first line\n          until test -e {}; do sleep 0.05; done\n          echo second line\n  after:\n    needs: test\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo third line\n",
        go.display()
    );
    let github = GitHub::start(dir.path(), json!({ "README.md": "hello", ".github/workflows/ci.yml": slow })).await;
    let server = Server::start(dir.path(), &github.settings()).await;
    github.hook(&server).await;
    github.open_pull("change", "change.txt", "changed").await;
    until("the step prints", async || {
        server.read(&format!("/{NAME}/runs/1/jobs/test.txt")).await.1.contains("first line\n").then_some(())
    })
    .await;
    let log = format!("/api/v1/repos/{NAME}/runs/1/jobs/test/logs");
    let printed = |read: &str, text: &str| read.contains(&format!("\"text\":\"{text}\""));
    let first = read_until(&server, &log, None, |read| printed(read, "first line") && read.ends_with("\n\n")).await;
    assert!(!printed(&first, "second line"), "{first}");

    // A job that waits has nothing to follow: its page says why, and is whole.
    let (_, page) = server.read(&format!("/{NAME}/runs/1/jobs/after")).await;
    assert!(page.contains("Nothing is printed yet: after waits for test.") && page.contains("</html>"), "{page}");

    // The changes of everything, as the pages follow them.
    let changes = read_until(&server, "/events", None, |read| read.contains("\n\n") && read.contains("id:"));
    let (changes, ()) = tokio::join!(changes, async {
        server.wish(&format!("/api/v1/repos/{NAME}/sync")).await;
    });
    std::fs::write(&go, "").unwrap();
    let rest = read_until(&server, &log, Some(&last_id(&first)), |read| read.contains("event: end")).await;
    assert!(printed(&rest, "second line") && !printed(&rest, "first line"), "{rest}");
    let missed = read_until(&server, "/events", Some(&last_id(&changes)), |read| read.contains("\n\n")).await;
    assert!(missed.contains("event: change") && missed.contains(NAME), "{missed}");
    server.stop().await;
    github.stop().await;
}
