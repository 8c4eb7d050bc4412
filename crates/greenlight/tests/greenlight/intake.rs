//! The door, over real sockets.

use greenlight_github::secret::Secret;
use greenlight_github::signature::sign;
use reqwest::RequestBuilder;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::server::{SECRET, Server, until};

const PING: &str = r#"{"zen":"Keep it logically awesome.","hook_id":1}"#;

/// A delivery that GitHub could have sent: headers, signature, body.
fn delivery(server: &Server, id: &str, event: &str, body: &str) -> RequestBuilder {
    let signature = sign(&Secret::new(SECRET).unwrap(), body.as_bytes());
    let request = server.http.post(server.public("/webhooks/github")).header("Content-Type", "application/json");
    request
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", id)
        .header("X-Hub-Signature-256", signature)
        .body(body.to_owned())
}

/// The same as a form.
fn form_delivery(server: &Server, id: &str, event: &str, body: &str) -> RequestBuilder {
    let signature = sign(&Secret::new(SECRET).unwrap(), body.as_bytes());
    let request = server.http.post(server.public("/webhooks/github"));
    request
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-GitHub-Event", event)
        .header("X-GitHub-Delivery", id)
        .header("X-Hub-Signature-256", signature)
        .body(body.to_owned())
}

async fn answer(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn deliveries(server: &Server) -> Vec<(String, String)> {
    let found = server.json("/api/v1/deliveries").await;
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    found["deliveries"].as_array().unwrap().iter().map(|one| (text(&one["id"]), text(&one["state"]))).collect()
}

#[tokio::test]
async fn what_is_not_signed_leaves_only_a_counter() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let unsigned =
        server.http.post(server.public("/webhooks/github")).header("Content-Type", "application/json").body(PING);
    assert_eq!(answer(unsigned).await.0, 401);
    let forged = delivery(&server, "a", "ping", PING).body(PING.replace("awesome", "awful"));
    let (status, told) = answer(forged).await;
    assert_eq!(status, 401);
    assert!(told.contains("the signature does not fit") && !told.contains("sha256="), "{told}");
    assert_eq!(deliveries(&server).await, []);
    assert!(server.read("/deliveries").await.1.contains("2 deliveries came with a wrong or missing signature"));
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_is_no_delivery_is_told_why() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let signature = sign(&Secret::new(SECRET).unwrap(), PING.as_bytes());
    let signed =
        || server.http.post(server.public("/webhooks/github")).header("X-Hub-Signature-256", &signature).body(PING);
    let json = ("Content-Type", "application/json");
    let (event, id) = (("X-GitHub-Event", "ping"), ("X-GitHub-Delivery", "a"));
    for (headers, part) in [
        (vec![json, id], "X-GitHub-Event is missing"),
        (vec![json, event], "X-GitHub-Delivery is missing"),
        (vec![event, id, ("Content-Type", "text/plain")], "`text/plain` is not supported"),
        (vec![event, id, ("Content-Type", "application/x-www-form-urlencoded")], "no field `payload`"),
    ] {
        let request = headers.iter().fold(signed(), |request, (name, value)| request.header(*name, *value));
        let (status, told) = answer(request).await;
        assert_eq!(status, 400, "{told}");
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(deliveries(&server).await, []);
    server.stop().await;
}

#[tokio::test]
async fn a_body_has_a_bound() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let large = "x".repeat(25 * 1024 * 1024 + 1);
    let (status, told) = answer(delivery(&server, "a", "ping", &large)).await;
    assert_eq!(status, 413, "{told}");
    let largest = &large[1..];
    assert_eq!(answer(delivery(&server, "b", "ping", largest)).await.0, 202);
    // As a form the same payload may take three times as many bytes.
    let form = format!("payload={}", percent_encoded(&"{".repeat(25 * 1024 * 1024 - 8)));
    assert_eq!(answer(form_delivery(&server, "c", "ping", &form)).await.0, 202);
    let too_large = form + &"x".repeat(25);
    assert_eq!(answer(form_delivery(&server, "d", "ping", &too_large)).await.0, 413);
    server.stop().await;
}

#[tokio::test]
async fn who_announces_large_bodies_keeps_nobody_else_out() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let address = server.public("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut announced = Vec::new();
    for _ in 0..8 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let head = "POST /webhooks/github HTTP/1.1\r\nHost: here\r\nContent-Length: 20000000\r\n\r\nx";
        stream.write_all(head.as_bytes()).await.unwrap();
        announced.push(stream);
    }
    // They stand at the door by the time that one is answered which came after them.
    for round in 0..3 {
        assert_eq!(answer(delivery(&server, &format!("small-{round}"), "ping", PING)).await.0, 202);
    }
    let large = format!(r#"{{"zen":"{}","hook_id":1}}"#, "x".repeat(1 << 20));
    assert_eq!(answer(delivery(&server, "large", "ping", &large)).await, (202, "accepted\n".into()));
    drop(announced);
    server.stop().await;
}

#[tokio::test]
async fn a_delivery_is_kept_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    assert_eq!(answer(delivery(&server, "one", "ping", PING)).await, (202, "accepted\n".into()));
    assert_eq!(answer(delivery(&server, "one", "ping", PING)).await, (202, "this delivery was here before\n".into()));
    let other = PING.replace("awesome", "strange");
    let (status, told) = answer(delivery(&server, "one", "ping", &other)).await;
    assert_eq!(status, 202);
    assert!(told.starts_with("kept aside"), "{told}");
    let seen = until("the delivery was looked at", async || {
        let seen = deliveries(&server).await;
        (!seen.iter().any(|(_, state)| state == "waiting")).then_some(seen)
    })
    .await;
    assert_eq!(seen, [("one".into(), "quarantined".into()), ("one".into(), "ignored".into())]);
    server.stop().await;
}

#[tokio::test]
async fn a_form_is_read_like_json() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let body = format!("payload={}", percent_encoded(PING));
    assert_eq!(answer(form_delivery(&server, "form", "ping", &body)).await.0, 202);
    until("the form was read", async || {
        deliveries(&server).await.iter().any(|(_, state)| state == "ignored").then_some(())
    })
    .await;
    server.stop().await;
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    assert_eq!(answer(delivery(&server, "odd", "push", "<b>no JSON")).await.0, 202);
    until("it was found unreadable", async || {
        deliveries(&server).await.contains(&("odd".to_owned(), "unreadable".to_owned())).then_some(())
    })
    .await;
    let (status, page) = server.read("/deliveries/odd").await;
    assert_eq!(status, 200);
    assert!(page.contains("&#60;b&#62;no JSON") || page.contains("&lt;b&gt;no JSON"), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn a_foreign_repository_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let body = r#"{"ref":"refs/heads/main","before":"0000000000000000000000000000000000000000",
        "after":"1111111111111111111111111111111111111111","created":true,"deleted":false,"forced":false,"commits":[],"head_commit":null,
        "repository":{"id":7,"name":"x","full_name":"some/one","default_branch":"main","pushed_at":1700000000,"owner":{"id":1,"login":"some"}},
        "sender":{"id":1,"login":"some","type":"User"}}"#;
    assert_eq!(answer(delivery(&server, "foreign", "push", body)).await.0, 202);
    until("it was ignored", async || {
        let found = server.json("/api/v1/deliveries").await;
        let reason = found["deliveries"][0]["reason"].as_str().unwrap().to_owned();
        reason.contains("some/one is not among github.repositories").then_some(())
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_delivery_outlives_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    assert_eq!(answer(delivery(&server, "kept", "ping", PING)).await.0, 202);
    server.stop().await;
    let server = Server::start(dir.path(), "").await;
    assert!(deliveries(&server).await.iter().any(|(id, _)| id == "kept"));
    assert_eq!(answer(delivery(&server, "kept", "ping", PING)).await.1, "this delivery was here before\n");
    server.stop().await;
}

/// GitHub's own examples, and what was made of its description for the newest Enterprise Server, in turn as JSON and as a form: through
/// the door, the store and the core of a server. What there is of use is applied, all else is kept and marked so.
#[tokio::test]
async fn all_of_github_s_payloads_go_through_a_server() {
    let dir = tempfile::tempdir().unwrap();
    let named = "[github]\napi_url = \"http://127.0.0.1:9\"\ntoken = \"t\"\n\
                 repositories = [\"Codertocat/Hello-World\", \"octocat/Hello-World\", \"Octocoders/Hello-World\"]\n";
    let server = Server::start(dir.path(), &format!("{named}webhook_secret = {SECRET:?}\n")).await;
    let all = payloads();
    assert_eq!(all.len(), 329 + 518);
    for (number, (event, body)) in all.iter().enumerate() {
        let id = format!("d{number}");
        let (status, told) = match number % 2 {
            0 => answer(delivery(&server, &id, event, body)).await,
            _ => answer(form_delivery(&server, &id, event, &format!("payload={}", percent_encoded(body)))).await,
        };
        assert_eq!(status, 202, "{event}: {told}");
    }
    until("all were looked at", async || {
        let counters = server.running.shared.store.history().counters().await.unwrap();
        (counters.deliveries_waiting == 0).then_some(())
    })
    .await;
    let (mut applied, mut seen, mut next) = (0, 0, String::new());
    loop {
        let page = server.json(&format!("/api/v1/deliveries?limit=100{next}")).await;
        for one in page["deliveries"].as_array().unwrap() {
            assert!(matches!(one["state"].as_str(), Some("applied" | "ignored")), "{one}");
            assert!(!one["reason"].as_str().unwrap().is_empty(), "{one}");
            applied += usize::from(one["state"] == "applied");
            seen += 1;
        }
        let Some(before) = page["next"].as_str() else { break };
        next = format!("&before={before}");
    }
    assert_eq!(seen, all.len());
    assert!(applied > 150, "{applied}");
    let waits = server.json("/readyz").await["waits"].to_string();
    assert!(!waits.contains("deliveries") && !waits.contains("store"), "{waits}");
    server.stop().await;
}

/// Events with their payloads.
fn payloads() -> Vec<(String, String)> {
    let read = |name: &str| -> Vec<serde_json::Value> {
        let path = format!("{}/../../testdata/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&zstd::decode_all(std::fs::File::open(path).unwrap()).unwrap()).unwrap()
    };
    let examples = read("webhooks-examples/examples.json.zst").into_iter();
    let all = examples.chain(read("webhooks-generated/payloads.json.zst"));
    all.map(|one| (one["event"].as_str().unwrap().to_owned(), one["payload"].to_string())).collect()
}

/// More deliveries for one repository than its loop has room for: each is taken in once, in order, and nothing is left waiting.
#[tokio::test]
async fn a_flood_is_taken_in() {
    const COUNT: usize = 1500;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let body = |sha: &str| {
        format!(
            r#"{{"id":1,"sha":"{sha}","context":"other","state":"success","name":"octocat/Hello-World","branches":[],
            "repository":{{"id":7,"name":"Hello-World","full_name":"octocat/Hello-World","default_branch":"main",
            "pushed_at":"2026-01-01T00:00:00Z","owner":{{"id":1,"login":"octocat"}}}},"sender":{{"id":1,"login":"octocat","type":"User"}}}}"#
        )
    };
    for chunk in (0..COUNT).collect::<Vec<_>>().chunks(50) {
        let sent = chunk
            .iter()
            .map(|number| answer(delivery(&server, &format!("d{number}"), "status", &body(&format!("{number:040x}")))));
        for (status, told) in futures_util::future::join_all(sent).await {
            assert_eq!(status, 202, "{told}");
        }
    }
    until("all were taken in", async || {
        let counters = server.running.shared.store.history().counters().await.unwrap();
        (counters.deliveries_waiting == 0).then_some(())
    })
    .await;
    let seen = deliveries(&server).await;
    assert!(seen.iter().all(|(_, state)| state == "applied"), "{seen:?}");
    server.stop().await;
}
