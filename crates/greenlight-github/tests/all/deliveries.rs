//! Missed deliveries are asked for, once.

use greenlight_core::time::Timestamp;
use greenlight_github::deliveries::{MissedDeliveries, Recovery};
use serde_json::{Value, json};

use super::stub::{Answer, Stub};

const NAME: &str = "octocat/Spoon-Knife";
const HOOK: &str = "https://ci.example.org/webhooks/github";

fn attempt(id: u64, guid: &str, at: &str, status_code: u64) -> Value {
    json!({ "id": id, "guid": guid, "delivered_at": at, "status_code": status_code, "status": "x", "redelivery": false })
}

#[tokio::test]
async fn what_never_arrived_is_asked_for_once() {
    let stub = Stub::start(|seen| match &*seen.line() {
        "GET /repos/octocat/Spoon-Knife/hooks" => Answer::ok(json!([
            { "id": 1, "config": { "url": "https://other.example/webhooks/github" } }, { "id": 2, "config": { "url": HOOK } },
        ])),
        "GET /repos/octocat/Spoon-Knife/hooks/2/deliveries" => Answer::ok(json!([
            attempt(35, "gone", "2026-01-02T03:00:04Z", 503),
            attempt(34, "arrived", "2026-01-02T03:00:03Z", 202),
            attempt(33, "lost", "2026-01-02T03:00:02Z", 502),
            attempt(32, "arrived", "2026-01-02T03:00:01Z", 502),
            attempt(31, "old", "2025-01-02T03:00:00Z", 502),
        ])),
        "POST /repos/octocat/Spoon-Knife/hooks/2/deliveries/33/attempts" => Answer::new(202, json!({})),
        _ => Answer::no(422, "the delivery is too old"),
    })
    .await;
    let missed = MissedDeliveries::new(stub.client(), HOOK);
    let since = Timestamp::from_millis(1_767_000_000_000);
    let first = missed.recover_repository(NAME, since).await.unwrap();
    assert_eq!(first, Recovery::Looked { seen: 3, asked: vec!["lost".into()], refused: vec!["gone".into()] });
    let second = missed.recover_repository(NAME, since).await.unwrap();
    assert_eq!(second, Recovery::Looked { seen: 3, asked: vec![], refused: vec![] });
    assert_eq!(stub.lines().iter().filter(|line| line.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn a_log_that_may_not_be_read_is_an_answer() {
    for status in [403, 404] {
        let stub = Stub::start(move |_| Answer::no(status, "no")).await;
        let found =
            MissedDeliveries::new(stub.client(), HOOK).recover_repository(NAME, Timestamp::EPOCH).await.unwrap();
        assert!(matches!(found, Recovery::NotReadable { .. }), "{found:?}");
    }
    let no_hook = Stub::start(|_| Answer::ok(json!([]))).await;
    let found = MissedDeliveries::new(no_hook.client(), HOOK).recover_repository(NAME, Timestamp::EPOCH).await.unwrap();
    assert_eq!(found, Recovery::NotReadable { reason: "no hook of the repository sends to this server".into() });
}

#[tokio::test]
async fn an_app_s_hook_has_a_log_of_its_own() {
    let stub = Stub::start(|seen| match &*seen.method {
        "GET" => Answer::ok(json!([attempt(7, "lost", "2026-01-02T03:00:00Z", 0)])),
        _ => Answer::new(202, json!({})),
    })
    .await;
    let found = MissedDeliveries::new(stub.client(), HOOK).recover_app(Timestamp::EPOCH).await.unwrap();
    assert_eq!(found, Recovery::Looked { seen: 1, asked: vec!["lost".into()], refused: vec![] });
    assert_eq!(stub.lines(), ["GET /app/hook/deliveries", "POST /app/hook/deliveries/7/attempts"]);
}
