//! Real git over HTTP.

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_and_a_push_go_through_and_the_model_follows() {
    let world = World::start().await;
    let clone = world.clone("t-octocat", "octocat/Spoon-Knife", "clone").await.unwrap();
    assert_eq!(std::fs::read_to_string(clone.join("README.md")).unwrap(), "hello\n");
    world.git_async(&clone, &["checkout", "--quiet", "-b", "topic/one"]).await.unwrap();
    std::fs::write(clone.join("new.txt"), "new\n").unwrap();
    world.git_async(&clone, &["add", "."]).await.unwrap();
    world.git_async(&clone, &["commit", "--quiet", "-m", "a new file"]).await.unwrap();
    world.git_async(&clone, &["push", "--quiet", "origin", "topic/one"]).await.unwrap();
    let local = world.git_async(&clone, &["rev-parse", "HEAD"]).await.unwrap();
    let branch = world.octocat("GET", "/repos/octocat/Spoon-Knife/branches/topic/one", Value::Null, 200).await;
    assert_eq!(branch["commit"]["sha"], local.trim());
    assert_eq!(branch["commit"]["commit"]["message"], "a new file");
    let pull = world
        .octocat(
            "POST",
            "/repos/octocat/Spoon-Knife/pulls",
            json!({"title": "one", "head": "topic/one", "base": "main"}),
            201,
        )
        .await;
    assert_eq!((&pull["commits"], &pull["additions"], &pull["changed_files"]), (&json!(1), &json!(1), &json!(1)));
    let pull = world.octocat("GET", "/repos/octocat/Spoon-Knife/pulls/1", Value::Null, 200).await;
    assert_eq!((&pull["mergeable"], &pull["mergeable_state"]), (&json!(true), &json!("clean")));
    world.git_async(&clone, &["fetch", "--quiet", "origin", "refs/pull/1/merge", "refs/pull/1/head"]).await.unwrap();
    let merge = world.git_async(&clone, &["ls-remote", "origin", "refs/pull/1/merge"]).await.unwrap();
    assert!(merge.starts_with(pull["merge_commit_sha"].as_str().unwrap()), "{merge}");
    let pushes =
        world.ask("", "GET", &format!("{}/_emulator/pushes", world.running.base_url()), Value::Null).await.body;
    let newest = pushes.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&newest["ref"], &newest["login"], &newest["by"]),
        (&json!("refs/heads/topic/one"), &json!("octocat"), &json!("git"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_a_head_is_a_synchronize_and_one_to_main_may_merge() {
    let world = World::start().await;
    let (number, first) = world.open("topic", "a.txt", "a\n").await;
    let clone = world.clone("t-hubot", "octocat/Spoon-Knife", "clone").await.unwrap();
    world.git_async(&clone, &["checkout", "--quiet", "topic"]).await.unwrap();
    std::fs::write(clone.join("b.txt"), "b\n").unwrap();
    world.git_async(&clone, &["add", "."]).await.unwrap();
    world.git_async(&clone, &["commit", "--quiet", "-m", "b"]).await.unwrap();
    world.git_async(&clone, &["push", "--quiet"]).await.unwrap();
    let pull = world.octocat("GET", &format!("/repos/octocat/Spoon-Knife/pulls/{number}"), Value::Null, 200).await;
    assert_ne!(pull["head"]["sha"], json!(first));
    assert_eq!(pull["commits"], 2);
    world.git_async(&clone, &["push", "--quiet", "origin", "topic:main"]).await.unwrap();
    let pull = world.octocat("GET", &format!("/repos/octocat/Spoon-Knife/pulls/{number}"), Value::Null, 200).await;
    assert_eq!(
        (&pull["merged"], &pull["state"], &pull["merged_by"]["login"]),
        (&json!(true), &json!("closed"), &json!("hubot"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused() {
    let world = World::start().await;
    world.octocat("PATCH", "/repos/octocat/Spoon-Knife", json!({"private": true}), 200).await;
    let refusal = world.clone("", "octocat/Spoon-Knife", "anonymous").await.unwrap_err();
    assert!(refusal.contains("could not read Username") || refusal.contains("Authentication failed"), "{refusal}");
    let refusal = world.clone("t-stranger", "octocat/Spoon-Knife", "stranger").await.unwrap_err();
    assert!(refusal.contains("not found"), "{refusal}");
    world.octocat("PATCH", "/repos/octocat/Spoon-Knife", json!({"private": false}), 200).await;
    let clone = world.clone("t-stranger", "octocat/Spoon-Knife", "reader").await.unwrap();
    let refusal = world.git_async(&clone, &["push", "origin", "HEAD:refs/heads/mine"]).await.unwrap_err();
    assert!(refusal.contains("403"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_branch_and_hidden_refs_take_no_push() {
    let world = World::start().await;
    let protection = json!({
        "required_status_checks": {"strict": false, "contexts": ["ci"]},
        "enforce_admins": true, "required_pull_request_reviews": null, "restrictions": null
    });
    world.octocat("PUT", "/repos/octocat/Spoon-Knife/branches/main/protection", protection, 200).await;
    let clone = world.clone("t-octocat", "octocat/Spoon-Knife", "clone").await.unwrap();
    std::fs::write(clone.join("b.txt"), "b\n").unwrap();
    world.git_async(&clone, &["add", "."]).await.unwrap();
    world.git_async(&clone, &["commit", "--quiet", "-m", "b"]).await.unwrap();
    let refusal = world.git_async(&clone, &["push", "origin", "HEAD:main"]).await.unwrap_err();
    assert!(
        refusal.contains("GH006: Protected branch update failed for refs/heads/main")
            && refusal.contains("\"ci\" is expected"),
        "{refusal}"
    );
    let refusal = world.git_async(&clone, &["push", "origin", "HEAD:refs/pull/1/head"]).await.unwrap_err();
    assert!(refusal.contains("hidden ref"), "{refusal}");
    world.git_async(&clone, &["push", "--quiet", "origin", "HEAD:refs/heads/topic"]).await.unwrap();
    let sha = world.git_async(&clone, &["rev-parse", "HEAD"]).await.unwrap();
    world.status(sha.trim(), "ci", "success").await;
    world.git_async(&clone, &["push", "--quiet", "origin", "HEAD:main"]).await.unwrap();
    let refusal = world.git_async(&clone, &["push", "--force", "origin", "HEAD~1:main"]).await.unwrap_err();
    assert!(refusal.contains("Cannot force-push") || refusal.contains("is expected"), "{refusal}");
}
