//! Merges, and GitHub's words where there is none.

use serde_json::{Value, json};

use crate::world::World;

const REPO: &str = "/repos/octocat/Spoon-Knife";

#[tokio::test(flavor = "multi_thread")]
async fn the_three_methods() {
    let world = World::start().await;
    for (method, parents) in [("merge", 2), ("squash", 1), ("rebase", 1)] {
        let (number, head) = world.open(method, &format!("{method}.txt"), "x\n").await;
        world.commit("main", "other.txt", &format!("{method}\n")).await;
        let merged = world
            .octocat("PUT", &format!("{REPO}/pulls/{number}/merge"), json!({"merge_method": method, "sha": head}), 200)
            .await;
        let sha = merged["sha"].as_str().unwrap();
        let commit = world.octocat("GET", &format!("{REPO}/commits/main"), Value::Null, 200).await;
        assert_eq!((&commit["sha"], commit["parents"].as_array().unwrap().len()), (&json!(sha), parents), "{method}");
        let pull = world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await;
        assert_eq!(
            (&pull["merged"], &pull["merge_commit_sha"], &pull["state"]),
            (&json!(true), &json!(sha), &json!("closed"))
        );
        world.octocat("GET", &format!("{REPO}/pulls/{number}/merge"), Value::Null, 204).await;
        world.octocat("GET", &format!("{REPO}/contents/{method}.txt"), Value::Null, 200).await;
    }
    let log = world.octocat("GET", &format!("{REPO}/commits"), Value::Null, 200).await;
    let messages: Vec<&str> =
        log.as_array().unwrap().iter().map(|commit| commit["commit"]["message"].as_str().unwrap()).collect();
    assert!(messages.contains(&"Merge pull request #1 from octocat/merge\n\nchange merge.txt"), "{messages:?}");
    assert!(messages.contains(&"change squash.txt (#2)"), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_in_githubs_words() {
    let world = World::start().await;
    let (number, head) = world.open("topic", "README.md", "topic\n").await;
    let merge = format!("{REPO}/pulls/{number}/merge");
    let refused = |token: &'static str, body: Value, status: u16| {
        let (world, merge) = (&world, merge.clone());
        async move {
            let said = world.ask(token, "PUT", &merge, body).await;
            assert_eq!(said.status, status, "{}", said.body);
            said.body["message"].as_str().unwrap_or_default().to_owned()
        }
    };
    assert_eq!(
        refused("t-octocat", json!({"sha": "0".repeat(40)}), 409).await,
        "Head branch was modified. Review and try the merge again."
    );
    assert_eq!(refused("t-stranger", json!({}), 403).await, "Resource not accessible by personal access token");
    let protection = |strict: bool, reviews: u64, contexts: Value| {
        let reviews = if reviews == 0 { Value::Null } else { json!({"required_approving_review_count": reviews}) };
        json!({"required_status_checks": {"strict": strict, "contexts": contexts}, "enforce_admins": true, "required_pull_request_reviews": reviews, "restrictions": null})
    };
    let path = format!("{REPO}/branches/main/protection");
    world.octocat("PUT", &path, protection(false, 0, json!(["greenlight"])), 200).await;
    assert_eq!(refused("t-octocat", json!({}), 405).await, "Required status check \"greenlight\" is expected.");
    world.status(&head, "greenlight", "pending").await;
    assert_eq!(refused("t-octocat", json!({}), 405).await, "Required status check \"greenlight\" is pending.");
    world.status(&head, "greenlight", "failure").await;
    assert_eq!(refused("t-octocat", json!({}), 405).await, "Required status check \"greenlight\" is failing.");
    let shown = world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await;
    assert_eq!(shown["mergeable_state"], "blocked");
    world.octocat("PUT", &path, protection(false, 0, json!(["greenlight", "other"])), 200).await;
    assert_eq!(
        refused("t-octocat", json!({}), 405).await,
        "2 of 2 required status checks have not succeeded: 1 expected and 1 failing."
    );
    world.octocat("PUT", &path, protection(false, 1, json!([])), 200).await;
    assert_eq!(
        refused("t-octocat", json!({}), 405).await,
        "At least 1 approving review is required by reviewers with write access."
    );
    let said =
        world.ask("t-octocat", "POST", &format!("{REPO}/pulls/{number}/reviews"), json!({"event": "APPROVE"})).await;
    assert_eq!((said.status, &said.body["errors"][0]), (422, &json!("Can not approve your own pull request")));
    assert_eq!(
        world
            .ask("t-stranger", "POST", &format!("{REPO}/pulls/{number}/reviews"), json!({"event": "APPROVE"}))
            .await
            .status,
        200
    );
    assert_eq!(
        refused("t-octocat", json!({}), 405).await,
        "At least 1 approving review is required by reviewers with write access."
    );
    let review = world
        .ask("t-hubot", "POST", &format!("{REPO}/pulls/{number}/reviews"), json!({"event": "APPROVE", "body": "fine"}))
        .await;
    assert_eq!(review.body["state"], "APPROVED");
    world
        .octocat(
            "PUT",
            &format!("{REPO}/pulls/{number}/reviews/{}/dismissals", review.body["id"]),
            json!({"message": "stale"}),
            200,
        )
        .await;
    assert_eq!(
        refused("t-octocat", json!({}), 405).await,
        "At least 1 approving review is required by reviewers with write access."
    );
    world.octocat("PUT", &path, protection(true, 0, json!([])), 200).await;
    world.octocat("DELETE", &path, Value::Null, 204).await;
    world.commit("main", "README.md", "main\n").await;
    assert_eq!(world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await["mergeable"], false);
    assert_eq!(refused("t-octocat", json!({}), 405).await, "Pull Request is not mergeable");
    world.octocat("PATCH", REPO, json!({"allow_squash_merge": false}), 200).await;
    assert_eq!(
        refused("t-octocat", json!({"merge_method": "squash"}), 405).await,
        "Squash merges are not allowed on this repository."
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strict_base_wants_its_tip_in_the_head_and_update_branch_puts_it_there() {
    let world = World::start().await;
    let (number, head) = world.open("topic", "a.txt", "a\n").await;
    let protection = json!({"required_status_checks": {"strict": true, "contexts": []}, "enforce_admins": true, "required_pull_request_reviews": null, "restrictions": null});
    world.octocat("PUT", &format!("{REPO}/branches/main/protection"), protection, 200).await;
    let main = world.commit("main", "b.txt", "b\n").await;
    let pull = world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await;
    assert_eq!(pull["mergeable_state"], "behind");
    world.octocat("PUT", &format!("{REPO}/pulls/{number}/merge"), json!({}), 405).await;
    world
        .octocat(
            "PUT",
            &format!("{REPO}/pulls/{number}/update-branch"),
            json!({"expected_head_sha": "0".repeat(40)}),
            422,
        )
        .await;
    world
        .octocat("PUT", &format!("{REPO}/pulls/{number}/update-branch"), json!({"expected_head_sha": head}), 202)
        .await;
    let pull = world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await;
    let tip = world
        .octocat("GET", &format!("{REPO}/commits/{}", pull["head"]["sha"].as_str().unwrap()), Value::Null, 200)
        .await;
    assert_eq!(tip["parents"][1]["sha"], json!(main));
    world.octocat("PUT", &format!("{REPO}/pulls/{number}/merge"), json!({}), 200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fast_forward_of_the_base_lands_the_tested_commit() {
    let world = World::start().await;
    let (number, head) = world.open("topic", "a.txt", "a\n").await;
    world.octocat("PATCH", &format!("{REPO}/git/refs/heads/main"), json!({"sha": head, "force": false}), 200).await;
    let pull = world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await;
    assert_eq!((&pull["merged"], &pull["merge_commit_sha"]), (&json!(true), &json!(head)));
    let clean = world.octocat("POST", &format!("{REPO}/merges"), json!({"base": "main", "head": "topic"}), 204).await;
    assert_eq!(clean, "");
    world.commit("side", "c.txt", "c\n").await;
    world.commit("main", "d.txt", "d\n").await;
    world.octocat("POST", &format!("{REPO}/merges"), json!({"base": "main", "head": "side"}), 201).await;
}
