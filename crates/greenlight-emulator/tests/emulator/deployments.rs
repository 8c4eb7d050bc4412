//! Deployments, and the dialogue before one is made.

use serde_json::{Value, json};

use crate::{webhooks::Receiver, world::World};

const REPO: &str = "/repos/octocat/Spoon-Knife";

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_waits_for_its_contexts() {
    let world = World::start().await;
    let sha = world.commit("main", "a.txt", "a\n").await;
    let wanted = json!({"ref": sha, "auto_merge": false, "required_contexts": ["greenlight"], "environment": "staging", "payload": {"key": "k"}});
    let path = format!("{REPO}/deployments");
    let absent = world.octocat("POST", &path, wanted.clone(), 409).await;
    assert_eq!(absent["message"], format!("Conflict: Commit status checks failed for {sha}."));
    assert_eq!(absent["errors"][0]["contexts"], json!([]));
    world.status(&sha, "greenlight", "pending").await;
    let pending = world.octocat("POST", &path, wanted.clone(), 409).await;
    assert_eq!(pending["errors"][0]["contexts"], json!([{"context": "greenlight", "state": "pending"}]));
    world.status(&sha, "greenlight", "success").await;
    world.status(&sha, "other", "failure").await;
    let made = world.octocat("POST", &path, wanted, 201).await;
    assert_eq!(
        (&made["sha"], &made["payload"], &made["production_environment"]),
        (&json!(sha), &json!({"key": "k"}), &json!(false))
    );
    world.octocat("POST", &path, json!({"ref": sha, "auto_merge": false}), 409).await;
    let forced = world
        .octocat(
            "POST",
            &path,
            json!({"ref": "main", "auto_merge": false, "required_contexts": [], "payload": "{\"a\":1}"}),
            201,
        )
        .await;
    assert_eq!(
        (&forced["environment"], &forced["production_environment"], &forced["payload"]),
        (&json!("production"), &json!(true), &json!("{\"a\":1}"))
    );
    assert_eq!(
        world.octocat("POST", &path, json!({"ref": "nowhere"}), 422).await["message"],
        "No ref found for: nowhere"
    );
    assert_eq!(
        world.octocat("GET", &format!("{path}?environment=staging"), Value::Null, 200).await.as_array().unwrap().len(),
        1
    );
    assert_eq!(world.octocat("GET", &format!("{REPO}/environments"), Value::Null, 200).await["total_count"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_is_behind_is_merged_first_and_one_in_conflict_is_not() {
    let world = World::start().await;
    world.commit("topic", "a.txt", "a\n").await;
    world.commit("main", "b.txt", "b\n").await;
    let wanted = json!({"ref": "topic", "required_contexts": []});
    let merged = world.octocat("POST", &format!("{REPO}/deployments"), wanted.clone(), 202).await;
    assert_eq!(merged["message"], "Auto-merged main into topic on deployment.");
    world.octocat("GET", &format!("{REPO}/contents/b.txt?ref=topic"), Value::Null, 200).await;
    world.octocat("POST", &format!("{REPO}/deployments"), wanted, 201).await;
    world.commit("clash", "README.md", "clash\n").await;
    world.commit("main", "README.md", "main\n").await;
    let conflict = world
        .octocat("POST", &format!("{REPO}/deployments"), json!({"ref": "clash", "required_contexts": []}), 409)
        .await;
    assert_eq!(conflict["message"], "Conflict merging main into clash");
}

#[tokio::test(flavor = "multi_thread")]
async fn success_retires_the_earlier_one_without_a_webhook() {
    let world = World::start().await;
    let (receiver, url) = Receiver::start().await;
    let hook = json!({"name": "web", "config": {"url": url, "content_type": "json"}, "events": ["deployment", "deployment_status"]});
    world.octocat("POST", &format!("{REPO}/hooks"), hook, 201).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let made = world
            .octocat(
                "POST",
                &format!("{REPO}/deployments"),
                json!({"ref": "main", "auto_merge": false, "required_contexts": []}),
                201,
            )
            .await;
        let path = format!("{REPO}/deployments/{}/statuses", made["id"]);
        for state in ["queued", "in_progress", "success"] {
            let status = json!({"state": state, "log_url": "http://127.0.0.1/log", "environment_url": "http://127.0.0.1/app", "description": state});
            let posted = world.octocat("POST", &path, status, 201).await;
            assert_eq!(
                (&posted["log_url"], &posted["environment_url"]),
                (&json!("http://127.0.0.1/log"), &json!("http://127.0.0.1/app"))
            );
        }
        ids.push(made["id"].clone());
    }
    let states = world.octocat("GET", &format!("{REPO}/deployments/{}/statuses", ids[0]), Value::Null, 200).await;
    assert_eq!(states[0]["state"], "inactive");
    world
        .octocat("GET", &format!("{REPO}/deployments/{}/statuses/{}", ids[0], states[0]["id"]), Value::Null, 200)
        .await;
    world.octocat("DELETE", &format!("{REPO}/deployments/{}", ids[1]), Value::Null, 422).await;
    world.octocat("DELETE", &format!("{REPO}/deployments/{}", ids[0]), Value::Null, 204).await;
    world.octocat("POST", &format!("{REPO}/deployments/{}/statuses", ids[1]), json!({"state": "inactive"}), 201).await;
    world.octocat("POST", &format!("{REPO}/deployments/{}/statuses", ids[1]), json!({"state": "failure"}), 201).await;
    crate::world::until("the failure arrives", || async {
        receiver.all().into_iter().find(|arrived| arrived.payload["deployment_status"]["state"] == "failure")
    })
    .await;
    let told: Vec<String> = receiver
        .all()
        .iter()
        .filter_map(|arrived| arrived.payload["deployment_status"]["state"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(told, ["queued", "in_progress", "success", "queued", "in_progress", "success", "failure"]);
    world.octocat("PUT", &format!("{REPO}/environments/review%2F1"), json!({}), 200).await;
    world.octocat("GET", &format!("{REPO}/environments/review%2F1"), Value::Null, 200).await;
    world.octocat("DELETE", &format!("{REPO}/environments/review%2F1"), Value::Null, 204).await;
}
