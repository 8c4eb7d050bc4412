//! Deliveries: what follows from a change, signed, in order, and once more.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};

use crate::world::{World, until};

const REPO: &str = "/repos/octocat/Spoon-Knife";

/// One delivery as it arrived.
#[derive(Clone, Debug)]
pub struct Arrived {
    pub headers: HeaderMap,
    pub raw: Bytes,
    pub payload: Value,
}

impl Arrived {
    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub fn event(&self) -> String {
        let action = self.payload["action"].as_str().map(|action| format!(".{action}")).unwrap_or_default();
        format!("{}{action}", self.header("x-github-event"))
    }
}

/// A receiver of webhooks.
#[derive(Clone, Default)]
pub struct Receiver {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    broken: Arc<Mutex<bool>>,
}

impl Receiver {
    /// Listens, and returns the address.
    pub async fn start() -> (Receiver, String) {
        let receiver = Receiver::default();
        let router = Router::new().route("/hook", post(take)).with_state(receiver.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (receiver, url)
    }

    pub fn all(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    pub fn break_down(&self, broken: bool) {
        *self.broken.lock().unwrap() = broken;
    }

    /// Waits for an event.
    pub async fn wait(&self, event: &str) -> Arrived {
        until(event, || async { self.all().into_iter().find(|arrived| arrived.event() == event) }).await
    }
}

async fn take(State(receiver): State<Receiver>, headers: HeaderMap, raw: Bytes) -> (StatusCode, &'static str) {
    if *receiver.broken.lock().unwrap() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "broken");
    }
    let json = if headers["content-type"] == "application/x-www-form-urlencoded" {
        form_urlencoded::parse(&raw).find(|(name, _)| name == "payload").unwrap().1.into_owned()
    } else {
        String::from_utf8(raw.to_vec()).unwrap()
    };
    let payload = serde_json::from_str(&json).unwrap();
    receiver.arrived.lock().unwrap().push(Arrived { headers, raw, payload });
    (StatusCode::ACCEPTED, "thanks")
}

async fn hook(world: &World, url: &str, content_type: &str, events: Value) -> u64 {
    let wanted = json!({"name": "web", "config": {"url": url, "content_type": content_type, "secret": "s3cret"}, "events": events});
    world.octocat("POST", &format!("{REPO}/hooks"), wanted, 201).await["id"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_arrives_signed_and_in_order() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start().await;
    let id = hook(&world, &url, "json", json!(["*"])).await;
    let ping = receiver.wait("ping").await;
    assert_eq!(ping.payload["hook_id"], json!(id));
    let (number, head) = world.open("topic", "a.txt", "a\n").await;
    world.status(&head, "ci", "success").await;
    world.commit("topic", "b.txt", "b\n").await;
    world.octocat("PUT", &format!("{REPO}/pulls/{number}/merge"), json!({}), 200).await;
    receiver.wait("pull_request.closed").await;
    let events: Vec<String> = receiver.all().iter().map(Arrived::event).collect();
    assert_eq!(
        events,
        [
            "ping",
            "create",
            "push",
            "push",
            "pull_request.opened",
            "status",
            "push",
            "pull_request.synchronize",
            "push",
            "pull_request.closed"
        ]
    );
    for arrived in receiver.all() {
        let signed = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"s3cret"), &arrived.raw));
        assert_eq!(arrived.header("x-hub-signature-256"), format!("sha256={signed}"));
        assert!(
            arrived.header("x-hub-signature").starts_with("sha1=")
                && arrived.header("user-agent").starts_with("GitHub-Hookshot/")
        );
        assert_eq!(
            (arrived.header("x-github-hook-id"), arrived.header("x-github-hook-installation-target-type")),
            (id.to_string().as_str(), "repository")
        );
        assert_eq!(
            (&arrived.payload["repository"]["full_name"], &arrived.payload["sender"]["login"]),
            (&json!("octocat/Spoon-Knife"), &json!("octocat"))
        );
    }
    let synchronize = receiver.wait("pull_request.synchronize").await.payload;
    assert_eq!(synchronize["before"], json!(head));
    assert_eq!(synchronize["after"], synchronize["pull_request"]["head"]["sha"]);
    let pushed = receiver.all().into_iter().filter(|arrived| arrived.event() == "push").nth(1).unwrap().payload;
    assert_eq!(
        (&pushed["ref"], &pushed["commits"][0]["added"], &pushed["head_commit"]["id"]),
        (&json!("refs/heads/topic"), &json!(["a.txt"]), &json!(head))
    );
    let closed = receiver.wait("pull_request.closed").await.payload;
    assert_eq!(
        (&closed["pull_request"]["merged"], &closed["pull_request"]["merged_by"]["login"]),
        (&json!(true), &json!("octocat"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_signed_over_its_own_bytes_and_only_what_was_asked_for_comes() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start().await;
    hook(&world, &url, "form", json!(["issue_comment"])).await;
    let (number, _) = world.open("topic", "a.txt", "a\n").await;
    world
        .octocat("POST", &format!("{REPO}/issues/{number}/comments"), json!({"body": "/merge & co = 100%"}), 201)
        .await;
    let arrived = receiver.wait("issue_comment.created").await;
    assert_eq!(arrived.payload["comment"]["body"], "/merge & co = 100%");
    assert_eq!(arrived.payload["issue"]["pull_request"]["url"], json!(world.api(&format!("{REPO}/pulls/{number}"))));
    let signed = hex::encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"s3cret"), &arrived.raw));
    assert_eq!(arrived.header("x-hub-signature-256"), format!("sha256={signed}"));
    assert_eq!(receiver.all().iter().map(Arrived::event).collect::<Vec<_>>(), ["ping", "issue_comment.created"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_in_the_log_and_goes_out_once_more_under_its_id() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start().await;
    let id = hook(&world, &url, "json", json!(["create", "push"])).await;
    receiver.wait("ping").await;
    receiver.break_down(true);
    world.commit("topic", "a.txt", "a\n").await;
    let path = format!("{REPO}/hooks/{id}/deliveries");
    let log = until("three failures are logged", || async {
        let log = world.octocat("GET", &path, Value::Null, 200).await;
        (log.as_array().unwrap().iter().filter(|entry| entry["status_code"] == 500).count() == 3).then_some(log)
    })
    .await;
    receiver.break_down(false);
    let failed = log.as_array().unwrap().iter().find(|entry| entry["event"] == "create").unwrap();
    assert_eq!(failed["redelivery"], false);
    let shown = world.octocat("GET", &format!("{path}/{}", failed["id"]), Value::Null, 200).await;
    assert_eq!(
        (&shown["response"]["payload"], &shown["request"]["payload"]["ref"]),
        (&json!("broken"), &json!("topic"))
    );
    world.octocat("POST", &format!("{path}/{}/attempts", failed["id"]), Value::Null, 202).await;
    let arrived = receiver.wait("create").await;
    assert_eq!(json!(arrived.header("x-github-delivery")), failed["guid"]);
    let redelivered = until("the redelivery is logged", || async {
        let log = world.octocat("GET", &path, Value::Null, 200).await;
        log.as_array().unwrap().iter().find(|entry| entry["redelivery"] == true).cloned()
    })
    .await;
    assert_eq!((&redelivered["status"], &redelivered["guid"]), (&json!("OK"), &failed["guid"]));
    let page = world.ask("t-octocat", "GET", &format!("{path}?per_page=2"), Value::Null).await;
    let next = page.headers["link"].to_str().unwrap().split(['<', '>']).nth(1).unwrap().to_owned();
    let rest = world.ask("t-octocat", "GET", &next, Value::Null).await;
    assert!(rest.body[0]["id"].as_u64() < page.body[1]["id"].as_u64(), "{}", rest.body);
    world.octocat("PATCH", &format!("{REPO}/hooks/{id}"), json!({"active": false}), 200).await;
    world.octocat("GET", &format!("{REPO}/hooks/{id}/config"), Value::Null, 200).await;
    assert_eq!(world.ask("t-hubot", "GET", &format!("{REPO}/hooks"), Value::Null).await.status, 404);
    world.octocat("DELETE", &format!("{REPO}/hooks/{id}"), Value::Null, 204).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organizations_hook_hears_of_its_repositories() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start().await;
    let wanted = json!({"name": "web", "config": {"url": url, "content_type": "json"}, "events": ["repository"]});
    world.octocat("POST", "/orgs/acme/hooks", wanted, 201).await;
    world.octocat("POST", "/orgs/acme/repos", json!({"name": "app"}), 201).await;
    let arrived = receiver.wait("repository.created").await;
    assert_eq!(
        (&arrived.payload["organization"]["login"], &arrived.payload["repository"]["full_name"]),
        (&json!("acme"), &json!("acme/app"))
    );
    assert!(!arrived.headers.contains_key("x-hub-signature-256"));
}
