//! Faults on demand, the record, and the room.

use serde_json::{Value, json};

use crate::{
    webhooks::Receiver,
    world::{World, until},
};

const REPO: &str = "/repos/octocat/Spoon-Knife";

async fn fault(world: &World, rule: Value) {
    let said = world.ask("", "POST", &format!("{}/_emulator/faults", world.running.base_url()), rule).await;
    assert_eq!(said.status, 201, "{}", said.body);
}

async fn feed(world: &World, kind: &str) -> Vec<Value> {
    world
        .ask("", "GET", &format!("{}/_emulator/{kind}", world.running.base_url()), Value::Null)
        .await
        .body
        .as_array()
        .unwrap()
        .clone()
}

async fn raw(world: &World, token: &str, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
    let mut request =
        reqwest::Client::new().request(method, world.api(path)).header("authorization", format!("Bearer {token}"));
    if !body.is_null() {
        request = request.body(body.to_string());
    }
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused() {
    let world = World::start().await;
    let own = |path: &str| format!("{}/_emulator/{path}", world.running.base_url());
    for (rule, word) in [
        (json!({"fault": "answer", "status": 999}), "status"),
        (json!({"fault": "answer", "status": 200}), "status"),
        (json!({"fault": "answer", "probability": 2}), "probability"),
    ] {
        let said = world.ask("", "POST", &own("faults"), rule).await;
        assert!(said.status == 422 && said.body.to_string().contains(word), "{}: {}", said.status, said.body);
    }
    for query in ["events?after=x", "events?after=-1", "pushes?wait=soon", "room?wait=-1"] {
        let said = world.ask("", "GET", &own(query), Value::Null).await;
        assert_eq!(said.status, 400, "{query}: {}", said.body);
    }
    let said = world.ask("", "GET", &own("events?after=0&wait=0.1"), Value::Null).await;
    assert_eq!(said.status, 200, "{}", said.body);
    world.running.shutdown().await;
}

/// Two on one folder would spoil it for each other.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_has_one_emulator() {
    let data = tempfile::tempdir().unwrap();
    let first = greenlight_emulator::Emulator::start(greenlight_emulator::Options::new(data.path())).await.unwrap();
    let second = greenlight_emulator::Emulator::start(greenlight_emulator::Options::new(data.path())).await;
    let why = second.err().expect("the folder is taken").to_string();
    assert!(why.contains("another emulator uses") && why.contains("--data"), "{why}");
    first.shutdown().await;
    greenlight_emulator::Emulator::start(greenlight_emulator::Options::new(data.path()))
        .await
        .unwrap()
        .shutdown()
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_gets_lost_before_or_after_the_write() {
    let world = World::start().await;
    let sha = world.commit("topic", "a.txt", "a\n").await;
    let path = format!("{REPO}/statuses/{sha}");
    let seen = || async {
        world.octocat("GET", &format!("{REPO}/commits/{sha}/status"), Value::Null, 200).await["total_count"]
            .as_u64()
            .unwrap()
    };
    fault(
        &world,
        json!({"fault": "answer", "status": 502, "method": "POST", "path": "/repos/*/*/statuses/*", "times": 1}),
    )
    .await;
    assert_eq!(
        raw(&world, "t-octocat", reqwest::Method::POST, &path, json!({"state": "success", "context": "a"})).await.0,
        502
    );
    assert_eq!(seen().await, 0);
    fault(&world, json!({"fault": "answer_after", "status": 500, "path": "/repos/**/statuses/*", "times": 1})).await;
    assert_eq!(
        raw(&world, "t-octocat", reqwest::Method::POST, &path, json!({"state": "success", "context": "a"})).await.0,
        500
    );
    assert_eq!(seen().await, 1);
    fault(&world, json!({"fault": "timeout_after", "milliseconds": 50, "path": "/repos/**/statuses/*", "times": 1}))
        .await;
    assert_eq!(
        raw(&world, "t-octocat", reqwest::Method::POST, &path, json!({"state": "success", "context": "b"})).await.0,
        502
    );
    assert_eq!(seen().await, 2);
    fault(&world, json!({"fault": "answer", "status": 403, "path": "/user", "times": 1})).await;
    let limited = world.ask("t-octocat", "GET", "/user", Value::Null).await;
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (403, "60"));
    fault(&world, json!({"fault": "token_revoked", "token": "t-octocat", "times": 1})).await;
    assert_eq!(world.ask("t-hubot", "GET", "/user", Value::Null).await.status, 200);
    assert_eq!(world.ask("t-octocat", "GET", "/user", Value::Null).await.status, 401);
    let named: Vec<Value> = feed(&world, "requests")
        .await
        .into_iter()
        .map(|entry| entry["fault"].clone())
        .filter(|fault| !fault.is_null())
        .collect();
    assert_eq!(
        named,
        [json!("answer"), json!("answer_after"), json!("timeout_after"), json!("answer"), json!("token_revoked")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_read_is_the_read_before() {
    let world = World::start().await;
    let sha = world.commit("topic", "a.txt", "a\n").await;
    let path = format!("{REPO}/commits/{sha}/status");
    world.octocat("GET", &path, Value::Null, 200).await;
    world.status(&sha, "ci", "success").await;
    fault(&world, json!({"fault": "stale_read", "path": "/repos/**/status", "times": 1})).await;
    assert_eq!(world.octocat("GET", &path, Value::Null, 200).await["total_count"], 0);
    assert_eq!(world.octocat("GET", &path, Value::Null, 200).await["total_count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_go_astray() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start().await;
    let hook = json!({"name": "web", "config": {"url": url, "content_type": "json"}, "events": ["status"]});
    let id = world.octocat("POST", &format!("{REPO}/hooks"), hook, 201).await["id"].clone();
    receiver.wait("ping").await;
    let sha = world.commit("topic", "a.txt", "a\n").await;
    for (fault_kind, context) in [
        ("webhook_lost", "lost"),
        ("webhook_never_made", "never"),
        ("webhook_doubled", "twice"),
        ("webhook_reordered", "late"),
    ] {
        fault(&world, json!({"fault": fault_kind, "event": "status", "times": 1})).await;
        world.status(&sha, context, "pending").await;
    }
    world.status(&sha, "last", "pending").await;
    until("all are there", || async { (receiver.all().len() == 5).then_some(()) }).await;
    let contexts: Vec<String> =
        receiver.all().iter().skip(1).map(|arrived| arrived.payload["context"].as_str().unwrap().to_owned()).collect();
    assert_eq!(contexts, ["twice", "twice", "last", "late"]);
    assert_eq!(receiver.all()[1].header("x-github-delivery"), receiver.all()[2].header("x-github-delivery"));
    let log = until("the log has them", || async {
        let log = world.octocat("GET", &format!("{REPO}/hooks/{id}/deliveries"), Value::Null, 200).await;
        (log.as_array().unwrap().len() == 6).then_some(log)
    })
    .await;
    let lost = log.as_array().unwrap().iter().find(|entry| entry["status_code"] == 502).unwrap().clone();
    world.octocat("POST", &format!("{REPO}/hooks/{id}/deliveries/{}/attempts", lost["id"]), Value::Null, 202).await;
    until("the lost one comes after all", || async {
        receiver.all().into_iter().find(|arrived| arrived.payload["context"] == "lost")
    })
    .await;
    let faults: Vec<Value> = feed(&world, "deliveries")
        .await
        .into_iter()
        .map(|entry| entry["fault"].clone())
        .filter(|fault| !fault.is_null())
        .collect();
    assert!(faults.contains(&json!("webhook_never_made")) && faults.contains(&json!("webhook_lost")), "{faults:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_waits_for_news_and_the_room_hears() {
    let world = World::start().await;
    let base = world.running.base_url().to_owned();
    let last = feed(&world, "events").await.last().map_or(0, |entry| entry["seq"].as_u64().unwrap());
    let waiting = tokio::spawn(reqwest::get(format!("{base}/_emulator/room?after={last}&wait=20")));
    let told =
        world.ask("", "POST", &format!("{base}/_emulator/room/slack/deploys"), json!({"text": "deployed"})).await;
    assert_eq!(told.status, 200);
    let heard: Value = serde_json::from_slice(&waiting.await.unwrap().unwrap().bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&heard[0]["text"], &heard[0]["room"], &heard[0]["by"]),
        (&json!("deployed"), &json!("deploys"), &json!("slack"))
    );
    let client = reqwest::Client::new();
    let form = client
        .post(format!("{base}/_emulator/room/hubot/janky"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("message=green&room=builds");
    assert_eq!(form.send().await.unwrap().status(), 200);
    let signed = client
        .post(format!("{base}/_emulator/room/webhook/ops"))
        .header("x-greenlight-signature-256", "sha256=ab")
        .body(json!({"text": "signed"}).to_string());
    assert_eq!(signed.send().await.unwrap().status(), 200);
    let room = feed(&world, "room").await;
    assert_eq!(
        (&room[1]["text"], &room[1]["room"], &room[2]["signature"]),
        (&json!("green"), &json!("builds"), &json!("sha256=ab"))
    );
    world.octocat("GET", REPO, Value::Null, 200).await;
    let requests = feed(&world, "requests").await;
    let newest = requests.last().unwrap();
    assert_eq!((&newest["path"], &newest["status"], &newest["login"]), (&json!(REPO), &json!(200), &json!("octocat")));
    let made = world.ask("", "POST", &format!("{base}/_emulator/users"), json!({"login": "late"})).await;
    assert_eq!(made.status, 201);
    let token = world.ask("", "POST", &format!("{base}/_emulator/tokens"), json!({"user": "late"})).await.body["token"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.ask(&token, "GET", "/user", Value::Null).await.body["login"], "late");
    assert_eq!(world.ask("", "DELETE", &format!("{base}/_emulator/tokens/{token}"), Value::Null).await.status, 200);
    assert_eq!(world.ask(&token, "GET", "/user", Value::Null).await.status, 401);
    assert!(!feed(&world, "events").await.is_empty());
}
