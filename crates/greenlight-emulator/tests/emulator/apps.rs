//! GitHub Apps: keys, installation tokens, checks.

use greenlight_emulator::{Seed, SeedApp, SeedInstallation};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::{
    webhooks::Receiver,
    world::{World, seed},
};

const REPO: &str = "/repos/octocat/Spoon-Knife";
pub const APP: u64 = 4711;

/// Adds an App that writes checks, and hears of them at `url`.
pub fn with_app(seed: Seed, url: &str) -> Seed {
    let permissions = ["checks", "contents", "statuses", "pull_requests", "deployments", "issues"];
    let app = SeedApp {
        id: APP,
        slug: "greenlight".to_owned(),
        owner: "octocat".to_owned(),
        private_key: None,
        public_key: None,
        permissions: permissions.iter().map(|name| ((*name).to_owned(), "write".to_owned())).collect(),
        events: vec!["pull_request".to_owned()],
        webhook: json!({"url": url, "secret": "app-secret", "content_type": "json"}),
        installations: vec![SeedInstallation { id: Some(99), account: "octocat".to_owned(), repositories: None }],
    };
    Seed { apps: vec![app], ..seed }
}

/// Returns the App's key.
pub async fn key(world: &World) -> String {
    let apps = world.ask("", "GET", &format!("{}/_emulator/apps", world.running.base_url()), Value::Null).await.body;
    apps[0]["private_key"].as_str().unwrap().to_owned()
}

/// Signs as the App.
pub fn sign(key: &str, lifetime: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let claims = json!({"iss": APP.to_string(), "iat": now - 30, "exp": now + lifetime});
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &EncodingKey::from_rsa_pem(key.as_bytes()).unwrap())
        .unwrap()
}

async fn start(url: &str) -> (World, String) {
    let world = World::start_with(|options| {
        options.seed = Some(with_app(seed(), url));
        options.lag = std::time::Duration::ZERO;
    })
    .await;
    let jwt = sign(&key(&world).await, 300);
    (world, jwt)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_writes_checks_and_nobody_else() {
    let (receiver, url) = Receiver::start().await;
    let (world, jwt) = start(&url).await;
    assert_eq!(world.ask(&jwt, "GET", "/app", Value::Null).await.body["slug"], "greenlight");
    assert_eq!(world.ask(&sign(&key(&world).await, 3600), "GET", "/app", Value::Null).await.status, 401);
    let installed = world.ask(&jwt, "GET", "/app/installations", Value::Null).await;
    assert_eq!(installed.body[0]["id"], 99, "{}", installed.body);
    assert_eq!(world.ask(&jwt, "GET", &format!("{REPO}/installation"), Value::Null).await.body["app_id"], json!(APP));
    let made = world.ask(&jwt, "POST", "/app/installations/99/access_tokens", json!({})).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let token = made.body["token"].as_str().unwrap().to_owned();
    assert_eq!(world.ask(&token, "GET", "/installation/repositories", Value::Null).await.body["total_count"], 1);
    let sha = world.commit("topic", "a.txt", "a\n").await;
    let suite = receiver.wait("check_suite.requested").await;
    assert_eq!(
        (&suite.payload["installation"]["id"], suite.header("x-github-hook-installation-target-type")),
        (&json!(99), "integration")
    );
    let run = json!({"name": "greenlight / test", "head_sha": sha, "status": "in_progress", "details_url": "http://127.0.0.1/run"});
    assert_eq!(world.ask("t-octocat", "POST", &format!("{REPO}/check-runs"), run.clone()).await.status, 403);
    let run = world.ask(&token, "POST", &format!("{REPO}/check-runs"), run).await;
    assert_eq!((run.status, &run.body["app"]["slug"]), (201, &json!("greenlight")), "{}", run.body);
    let path = format!("{REPO}/check-runs/{}", run.body["id"]);
    let annotation =
        json!({"path": "a.txt", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "no"});
    let output = |count: usize| json!({"title": "t", "summary": "s", "annotations": vec![annotation.clone(); count]});
    assert_eq!(world.ask(&token, "PATCH", &path, json!({"output": output(51)})).await.status, 422);
    assert_eq!(world.ask(&token, "PATCH", &path, json!({"output": output(50)})).await.status, 200);
    assert_eq!(world.ask(&token, "PATCH", &path, json!({"status": "completed"})).await.status, 422);
    let done = json!({"conclusion": "failure", "output": output(2), "actions": [{"label": "Again", "description": "Run again", "identifier": "again"}]});
    let done = world.ask(&token, "PATCH", &path, done).await;
    assert_eq!((&done.body["status"], &done.body["output"]["annotations_count"]), (&json!("completed"), &json!(52)));
    assert_eq!(
        world
            .octocat("GET", &format!("{path}/annotations?per_page=100"), Value::Null, 200)
            .await
            .as_array()
            .unwrap()
            .len(),
        52
    );
    let listed = world.octocat("GET", &format!("{REPO}/commits/topic/check-runs"), Value::Null, 200).await;
    assert_eq!((&listed["total_count"], &listed["check_runs"][0]["conclusion"]), (&json!(1), &json!("failure")));
    let suites = world.octocat("GET", &format!("{REPO}/commits/topic/check-suites"), Value::Null, 200).await;
    assert_eq!(suites["check_suites"][0]["conclusion"], "failure");
    world.octocat("GET", &format!("{REPO}/check-suites/{}", suites["check_suites"][0]["id"]), Value::Null, 200).await;
    world.octocat("POST", &format!("{path}/rerequest"), Value::Null, 201).await;
    receiver.wait("check_run.rerequested").await;
    world.octocat("POST", &format!("{path}/request-action"), json!({"identifier": "again"}), 201).await;
    assert_eq!(receiver.wait("check_run.requested_action").await.payload["requested_action"]["identifier"], "again");
    receiver.wait("check_suite.completed").await;
    let log = world.ask(&jwt, "GET", "/app/hook/deliveries", Value::Null).await;
    assert!(log.body.as_array().unwrap().iter().all(|entry| entry["installation_id"] == 99), "{}", log.body);
    world.ask(&jwt, "POST", &format!("/app/hook/deliveries/{}/attempts", log.body[0]["id"]), Value::Null).await;
    assert_eq!(world.ask(&jwt, "GET", "/app/hook/config", Value::Null).await.body["secret"], "********");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_can_be_cut_down_and_given_back() {
    let (world, jwt) = start("").await;
    let tokens = "/app/installations/99/access_tokens";
    let narrow = world
        .ask(&jwt, "POST", tokens, json!({"repositories": ["Spoon-Knife"], "permissions": {"contents": "read"}}))
        .await;
    assert_eq!((narrow.status, &narrow.body["repository_selection"]), (201, &json!("selected")), "{}", narrow.body);
    let token = narrow.body["token"].as_str().unwrap().to_owned();
    let sha = world.commit("topic", "a.txt", "a\n").await;
    let refused = world.ask(&token, "POST", &format!("{REPO}/statuses/{sha}"), json!({"state": "success"})).await;
    assert_eq!((refused.status, &refused.body["message"]), (403, &json!("Resource not accessible by integration")));
    assert_eq!(world.ask(&jwt, "POST", tokens, json!({"permissions": {"administration": "write"}})).await.status, 422);
    assert_eq!(world.ask(&jwt, "POST", tokens, json!({"repositories": ["none"]})).await.status, 422);
    let clone = world.clone(&token, "octocat/Spoon-Knife", "clone").await.unwrap();
    assert!(world.git_async(&clone, &["push", "origin", "HEAD:refs/heads/no"]).await.is_err());
    assert_eq!(world.ask(&token, "DELETE", "/installation/token", Value::Null).await.status, 204);
    assert_eq!(world.ask(&token, "GET", REPO, Value::Null).await.status, 401);
}
