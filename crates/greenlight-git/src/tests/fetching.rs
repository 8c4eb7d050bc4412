//! Fetching: locks that were left behind, several at once, the other side down, and the token.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::effect::Outcome;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::port::Reply;

use super::{World, files, merged, mirrors, prepare, read, repository};
use crate::credentials::{AccessToken, Credentials};

#[tokio::test]
async fn locks_of_a_killed_fetch_are_nobodys() {
    let world = World::new();
    let (_, head) = world.pull();
    merged(prepare(&world.mirrors().await, head, 1).await);
    world.switch("main", "main");
    world.commit("third", &[("third", "third")]);
    world.push("main", "refs/heads/main");

    let again = world.mirrors().await;
    let folder = again.folder(repository().id);
    for name in ["refs/greenlight/seen/heads%2Fmain.lock", "packed-refs.lock", "refs/greenlight/merge/1.lock"] {
        std::fs::write(folder.join(name), "").unwrap();
    }
    merged(prepare(&again, head, 1).await);

    // A fetch that fails cleans up behind itself, and the next one goes through.
    world.commit("fourth", &[("fourth", "fourth")]);
    world.push("main", "refs/heads/main");
    std::fs::write(folder.join("refs/greenlight/seen/heads%2Fmain.lock"), "").unwrap();
    assert!(matches!(prepare(&again, head, 1).await, Outcome::Later { .. }));
    merged(prepare(&again, head, 2).await);
}

#[tokio::test]
async fn a_branch_makes_way_for_one_below_its_name() {
    let world = World::new();
    let first = world.commit("one", &[("a", "a")]);
    world.push("main", "refs/heads/topic");
    let mirrors = world.mirrors().await;
    files(read(&mirrors, first, Some("topic"), None).await);
    let second = world.commit("two", &[("b", "b")]);
    super::git(&world.upstream(), &["update-ref", "-d", "refs/heads/topic"]);
    world.push("main", "refs/heads/topic/more");
    assert_eq!(files(read(&mirrors, second, Some("topic/more"), None).await).sha, second);
}

#[tokio::test]
async fn many_at_once_do_not_disturb_each_other() {
    let world = World::new();
    let (_, head) = world.pull();
    let mirrors = Arc::new(world.mirrors().await);
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let mirrors = mirrors.clone();
            // Every second one asks for something that is not there.
            let sha = if number % 2 == 0 { head } else { greenlight_core::id::Sha::from_bytes([number; 20]) };
            tokio::spawn(async move { prepare(&mirrors, sha, 1).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let outcome = task.await.unwrap();
        assert_eq!(matches!(outcome, Outcome::Done(_)), number % 2 == 0, "{outcome:?}");
    }
}

#[tokio::test]
async fn somebody_who_stops_waiting_stops_nobody_else() {
    let world = World::new();
    let (_, head) = world.pull();
    let mirrors = Arc::new(world.mirrors().await);
    let impatient: Vec<_> = (0..16)
        .map(|number| {
            let (mirrors, patience) = (mirrors.clone(), Duration::from_millis(number));
            tokio::spawn(async move { tokio::time::timeout(patience, prepare(&mirrors, head, 1)).await.is_ok() })
        })
        .collect();
    let patient = tokio::spawn(async move { prepare(&mirrors, head, 1).await });
    for task in impatient {
        task.await.unwrap();
    }
    merged(patient.await.unwrap());
}

struct Fixed;

impl Credentials for Fixed {
    fn token<'a>(&'a self, _: &'a RepositoryRef) -> Reply<'a, Result<Option<AccessToken>, String>> {
        Box::pin(async { Ok(Some(AccessToken::new("ghs_verysecret"))) })
    }
}

/// Answers every request with this status, and an error that repeats what it was sent.
fn unkind_server(status: &'static str) -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/octo/demo.git", listener.local_addr().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let request = request_of(&mut stream.unwrap(), status);
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

fn request_of(stream: &mut TcpStream, status: &str) -> String {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut chunk).unwrap();
        if length == 0 {
            break;
        }
        request.extend_from_slice(&chunk[..length]);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let body = format!("you said:\n{request}");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).unwrap();
    request
}

#[tokio::test]
async fn the_token_reaches_the_server_and_nothing_else() {
    for status in ["401 Unauthorized", "500 Internal Server Error", "403 Forbidden"] {
        let folder = tempfile::tempdir().unwrap();
        let (url, requests) = unkind_server(status);
        let mirrors = mirrors(folder.path(), url, Arc::new(Fixed)).await;
        let outcome = prepare(&mirrors, greenlight_core::id::Sha::ZERO, 1).await;
        let Outcome::Later { reason, .. } = outcome else { panic!("{outcome:?}") };

        let encoded = "eC1hY2Nlc3MtdG9rZW46Z2hzX3ZlcnlzZWNyZXQ=";
        assert!(requests.recv().unwrap().contains(&format!("Authorization: Basic {encoded}")));
        assert!(!reason.contains("verysecret") && !reason.contains(encoded), "{reason}");
        for file in walk(folder.path()) {
            let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
            assert!(!text.contains("verysecret") && !text.contains(encoded), "{}", file.display());
        }
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(walk(&path)) } else { files.push(path) }
    }
    files
}

#[tokio::test]
async fn a_server_that_is_down_is_a_matter_of_time() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mirrors = mirrors(folder.path(), format!("http://127.0.0.1:{port}/x.git"), Arc::new(Fixed)).await;
    let outcome = prepare(&mirrors, greenlight_core::id::Sha::ZERO, 99).await;
    assert!(matches!(outcome, Outcome::Later { .. }), "{outcome:?}");
}
