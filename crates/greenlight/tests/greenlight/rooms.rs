//! Rooms over real sockets: each kind hears its own words, and an outage loses none and changes no order.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::Router;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::github::GitHub;
use super::round::{DEPLOY, TRIVIAL};
use super::server::{Server, free_port, until};

/// One message that a room took.
struct Heard {
    path: String,
    headers: HeaderMap,
    raw: String,
    body: Value,
}

type Ear = Arc<Mutex<Vec<Heard>>>;

/// Opens a room that answers 503 so often before it takes anything.
async fn open(port: u16, refusals: usize) -> Ear {
    let heard = Ear::default();
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let (ear, left) = (heard.clone(), Arc::new(Mutex::new(refusals)));
    let hear = async move |uri: Uri, headers: HeaderMap, raw: String| {
        let mut left = left.lock().unwrap();
        if *left > 0 {
            *left -= 1;
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        let body = serde_json::from_str(&raw).unwrap();
        ear.lock().unwrap().push(Heard { path: uri.path().to_owned(), headers, raw, body });
        StatusCode::OK
    };
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(hear)).await });
    heard
}

fn texts(ear: &Ear, field: &str) -> Vec<String> {
    ear.lock().unwrap().iter().map(|heard| heard.body[field].as_str().unwrap().to_owned()).collect()
}

async fn has_heard_all(ear: &Ear, field: &str) {
    until("the room heard of the end", async || {
        let last = texts(ear, field).pop()?;
        (last.contains("production deployment") && last.contains("is done!")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rooms_of_every_kind_hear_all_of_it_in_order() {
    const CONFIG: &str = "merge: { when: green }
environments:
  staging: { on: merge, run: { workflow: deploy } }
  production: { after: [staging], run: { workflow: deploy } }
notify:
  - { room: talk, on: [deployment, failure, merge] }
  - { room: ops, on: [deployment, failure, merge] }
  - { room: audit, on: [deployment, failure, merge] }
";
    let dir = tempfile::tempdir().unwrap();
    let files = json!({
        "README.md": "hello", ".github/workflows/ci.yml": TRIVIAL, ".github/workflows/deploy.yml": DEPLOY, ".greenlight.yml": CONFIG,
    });
    let github = GitHub::start(dir.path(), files).await;
    let ports = [free_port(), free_port(), free_port()];
    // The one is away at first, the second refuses at first, the third is there.
    let (ops, audit) = (open(ports[1], 2).await, open(ports[2], 0).await);
    let rooms = format!(
        "[rooms.talk]\nkind = \"slack\"\nurl = \"http://127.0.0.1:{}/services/T/B\"\n\
         [rooms.ops]\nkind = \"hubot\"\nurl = \"http://127.0.0.1:{}/\"\nroom = \"#ops\"\n\
         [rooms.audit]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{}/in\"\nsecret = \"sesame\"\n",
        ports[0], ports[1], ports[2]
    );
    let server = Server::start(dir.path(), &(github.settings() + &rooms)).await;
    github.hook(&server).await;
    let (number, _) = github.green_pull("change").await;
    github.merged(number).await;
    github.deployed("production", "success").await;
    has_heard_all(&audit, "text").await;
    has_heard_all(&ops, "message").await;
    server.tells_of_room("the room `talk` cannot be reached", true).await;
    let talk = open(ports[0], 0).await;
    has_heard_all(&talk, "text").await;
    server.tells_of_room("the room `talk`", false).await;

    let told = texts(&audit, "text");
    assert!(told[0].contains("was merged into main") && told.len() >= 3, "{told:#?}");
    assert_eq!(texts(&ops, "message"), told, "nothing is lost, nothing comes twice, and the order is kept");
    assert_eq!(texts(&talk, "text"), told);
    for heard in talk.lock().unwrap().iter() {
        assert_eq!((&*heard.path, heard.body.as_object().unwrap().len()), ("/services/T/B", 1));
    }
    for heard in ops.lock().unwrap().iter() {
        assert_eq!((&*heard.path, &heard.body["room"]), ("/janky", &json!("#ops")));
        assert_eq!(heard.body.as_object().unwrap().len(), 2, "as Janky did: {}", heard.body);
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sesame");
    for heard in audit.lock().unwrap().iter() {
        let signature = heard.headers["x-greenlight-signature-256"].to_str().unwrap().strip_prefix("sha256=").unwrap();
        hmac::verify(&key, heard.raw.as_bytes(), &hex::decode(signature).unwrap()).unwrap();
        assert_eq!(heard.headers["x-greenlight-delivery"], heard.body["id"].as_str().unwrap());
        assert_eq!(heard.body["room"], "audit");
    }
    server.stop().await;
    github.stop().await;
}
