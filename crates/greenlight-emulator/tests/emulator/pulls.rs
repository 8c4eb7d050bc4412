//! Pull requests, forks, conversations.

use std::time::Duration;

use serde_json::{Value, json};

use crate::world::{World, base64, until};

const REPO: &str = "/repos/octocat/Spoon-Knife";

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_from_a_fork() {
    let world = World::start().await;
    let fork = world.ask("t-stranger", "POST", &format!("{REPO}/forks"), json!({})).await;
    assert_eq!(
        (fork.status, &fork.body["full_name"], &fork.body["parent"]["full_name"]),
        (202, &json!("stranger/Spoon-Knife"), &json!("octocat/Spoon-Knife"))
    );
    let put = json!({"message": "mine", "content": base64("mine\n"), "branch": "main"});
    let put = world.ask("t-stranger", "PUT", "/repos/stranger/Spoon-Knife/contents/mine.txt", put).await;
    assert_eq!(put.status, 201, "{}", put.body);
    let opened = json!({"title": "mine", "head": "stranger:main", "base": "main"});
    let pull = world.ask("t-stranger", "POST", &format!("{REPO}/pulls"), opened.clone()).await;
    assert_eq!(
        (pull.status, &pull.body["head"]["label"], &pull.body["author_association"]),
        (201, &json!("stranger:main"), &json!("NONE"))
    );
    let again = world.ask("t-stranger", "POST", &format!("{REPO}/pulls"), opened).await;
    assert_eq!(again.body["errors"][0]["message"], "A pull request already exists for stranger:main.");
    let pull = world.octocat("GET", &format!("{REPO}/pulls/1"), Value::Null, 200).await;
    assert_eq!((&pull["mergeable"], &pull["head"]["repo"]["fork"]), (&json!(true), &json!(true)));
    let compared = world.octocat("GET", &format!("{REPO}/compare/main...stranger:main"), Value::Null, 200).await;
    assert_eq!(compared["ahead_by"], 1);
    let filtered = world.octocat("GET", &format!("{REPO}/pulls?head=stranger:main&state=all"), Value::Null, 200).await;
    assert_eq!(filtered.as_array().unwrap().len(), 1);
    assert_eq!(world.octocat("GET", &format!("{REPO}/pulls?base=other"), Value::Null, 200).await, json!([]));
    world.octocat("GET", &format!("{REPO}/forks"), Value::Null, 200).await;
    let files = world.octocat("GET", &format!("{REPO}/pulls/1/files"), Value::Null, 200).await;
    assert_eq!((&files[0]["filename"], &files[0]["status"]), (&json!("mine.txt"), &json!("added")));
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/pulls/1/commits"), Value::Null, 200).await[0]["commit"]["message"],
        "mine"
    );
    let clone = world.clone("t-octocat", "octocat/Spoon-Knife", "clone").await.unwrap();
    world.git_async(&clone, &["fetch", "--quiet", "origin", "refs/pull/1/head"]).await.unwrap();
    world.octocat("PUT", &format!("{REPO}/pulls/1/merge"), json!({}), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_reopening_retargeting_and_drafts() {
    let world = World::start().await;
    let (number, _) = world.open("topic", "a.txt", "a\n").await;
    let path = format!("{REPO}/pulls/{number}");
    let closed = world.octocat("PATCH", &path, json!({"state": "closed"}), 200).await;
    assert_eq!((&closed["state"], &closed["merged"]), (&json!("closed"), &json!(false)));
    assert_eq!(world.octocat("GET", &format!("{REPO}/pulls"), Value::Null, 200).await, json!([]));
    world.octocat("PATCH", &path, json!({"state": "open", "title": "renamed"}), 200).await;
    world.commit("other", "o.txt", "o\n").await;
    let moved = world.octocat("PATCH", &path, json!({"base": "other"}), 200).await;
    assert_eq!((&moved["base"]["ref"], &moved["title"]), (&json!("other"), &json!("renamed")));
    assert_eq!(world.octocat("POST", &format!("{path}/convert_to_draft"), Value::Null, 200).await["draft"], true);
    assert_eq!(
        world.octocat("PUT", &format!("{path}/merge"), json!({}), 405).await["message"],
        "Pull Request is still a draft"
    );
    world.octocat("POST", &format!("{path}/ready_for_review"), Value::Null, 200).await;
    let nothing = world
        .octocat("POST", &format!("{REPO}/pulls"), json!({"title": "x", "head": "main", "base": "other"}), 422)
        .await;
    assert_eq!(nothing["errors"][0]["message"], "No commits between other and main");
    world
        .octocat("POST", &format!("{REPO}/pulls"), json!({"title": "x", "head": "nowhere", "base": "main"}), 422)
        .await;
    world.octocat("DELETE", &format!("{REPO}/git/refs/heads/topic"), Value::Null, 204).await;
    assert_eq!(world.octocat("GET", &path, Value::Null, 200).await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn mergeable_comes_late_and_goes_with_the_base() {
    let world = World::start_with(|options| options.lag = Duration::from_millis(400)).await;
    let (number, _) = world.open("topic", "a.txt", "a\n").await;
    let path = format!("{REPO}/pulls/{number}");
    let mergeable = || async { world.octocat("GET", &path, Value::Null, 200).await["mergeable"].as_bool() };
    assert!(until("mergeable is known", mergeable).await);
    world.commit("main", "a.txt", "mine\n").await;
    assert!(!until("the conflict is known", mergeable).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_labels_reviewers_and_reactions() {
    let world = World::start().await;
    let (number, head) = world.open("topic", "a.txt", "a\n").await;
    let comment =
        world.ask("t-stranger", "POST", &format!("{REPO}/issues/{number}/comments"), json!({"body": "hello"})).await;
    assert_eq!((comment.status, &comment.body["user"]["login"]), (201, &json!("stranger")));
    let path = format!("{REPO}/issues/comments/{}", comment.body["id"]);
    world.octocat("GET", &path, Value::Null, 200).await;
    assert_eq!(world.octocat("PATCH", &path, json!({"body": "changed"}), 200).await["body"], "changed");
    assert_eq!(
        world.octocat("POST", &format!("{path}/reactions"), json!({"content": "+1"}), 201).await["content"],
        "+1"
    );
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/issues/{number}/comments"), Value::Null, 200).await[0]["reactions"]["+1"],
        1
    );
    world.octocat("GET", &format!("{REPO}/issues/comments"), Value::Null, 200).await;
    world.octocat("DELETE", &path, Value::Null, 204).await;
    let labels = world
        .octocat("POST", &format!("{REPO}/issues/{number}/labels"), json!({"labels": ["ready", "big"]}), 200)
        .await;
    assert_eq!(labels.as_array().unwrap().len(), 2);
    world.octocat("DELETE", &format!("{REPO}/issues/{number}/labels/big"), Value::Null, 200).await;
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/issues/{number}"), Value::Null, 200).await["labels"][0]["name"],
        "ready"
    );
    world.octocat("GET", &format!("{REPO}/labels"), Value::Null, 200).await;
    let asked = world
        .octocat("POST", &format!("{REPO}/pulls/{number}/requested_reviewers"), json!({"reviewers": ["hubot"]}), 201)
        .await;
    assert_eq!(asked["requested_reviewers"][0]["login"], "hubot");
    world.octocat("GET", &format!("{REPO}/pulls/{number}/requested_reviewers"), Value::Null, 200).await;
    let review = world
        .ask(
            "t-hubot",
            "POST",
            &format!("{REPO}/pulls/{number}/reviews"),
            json!({"event": "REQUEST_CHANGES", "body": "no", "commit_id": head}),
        )
        .await;
    assert_eq!(review.body["state"], "CHANGES_REQUESTED");
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/pulls/{number}/reviews"), Value::Null, 200).await[0]["commit_id"],
        json!(head)
    );
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/commits/{head}/pulls"), Value::Null, 200).await[0]["number"],
        json!(number)
    );
    world.octocat("GET", &format!("{REPO}/pulls/{number}/comments"), Value::Null, 200).await;
}
