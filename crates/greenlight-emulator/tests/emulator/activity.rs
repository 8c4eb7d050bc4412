//! What happened to branches, and when.

use std::time::Duration;

use greenlight_emulator::Profile;
use serde_json::{Value, json};

use crate::world::World;

const REPO: &str = "/repos/octocat/Spoon-Knife";
const ZERO: &str = "0000000000000000000000000000000000000000";

/// The types of what is listed, in its order.
fn types(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|activity| activity["activity_type"].as_str().unwrap()).collect()
}

async fn listed(world: &World, query: &str) -> Value {
    world.octocat("GET", &format!("{REPO}/activity{query}"), Value::Null, 200).await
}

/// A branch that came, grew, was forced back and went, and another one that was merged.
async fn busy() -> (World, String, String) {
    let world = World::start().await;
    let first = world.commit("topic/one", "a.txt", "a\n").await;
    let second = world.commit("topic/one", "a.txt", "b\n").await;
    let moved = json!({"sha": first, "force": true});
    world.octocat("PATCH", &format!("{REPO}/git/refs/heads/topic/one"), moved, 200).await;
    world.octocat("DELETE", &format!("{REPO}/git/refs/heads/topic/one"), Value::Null, 204).await;
    let (number, _) = world.open("other", "b.txt", "b\n").await;
    world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await;
    world.octocat("PUT", &format!("{REPO}/pulls/{number}/merge"), json!({}), 200).await;
    (world, first, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_tells_when_it_moved_and_by_whom() {
    let (world, first, second) = busy().await;
    let one = listed(&world, "?ref=refs/heads/topic/one").await;
    assert_eq!(types(&one), ["branch_deletion", "force_push", "push", "push", "branch_creation"]);
    let ends: Vec<(&str, &str)> = (one.as_array().unwrap().iter())
        .map(|activity| (activity["before"].as_str().unwrap(), activity["after"].as_str().unwrap()))
        .collect();
    assert_eq!(ends[..3], [(&*first, ZERO), (&*second, &*first), (&*first, &*second)]);
    assert_eq!(ends[4].0, ZERO);
    assert_eq!((&one[0]["actor"]["login"], &one[0]["ref"]), (&json!("octocat"), &json!("refs/heads/topic/one")));
    assert_eq!(listed(&world, "?ref=topic/one").await, one);
    assert_eq!(types(&listed(&world, "?ref=main").await), ["pr_merge", "branch_creation"]);
    assert_eq!(types(&listed(&world, "?activity_type=force_push").await), ["force_push"]);
    assert_eq!(types(&listed(&world, "?ref=main&direction=asc").await), ["branch_creation", "pr_merge"]);
    assert_eq!(listed(&world, "?actor=OctoCat&time_period=day").await, listed(&world, "?per_page=100").await);
    for nobody in ["?actor=hubot", "?ref=never", "?activity_type=merge_queue_merge", "?ref=refs/tags/topic/one"] {
        assert_eq!(listed(&world, nobody).await, json!([]), "{nobody}");
    }
    for wrong in ["?direction=up", "?activity_type=pull", "?time_period=hour", "?after=3", "?before=zzz"] {
        let refused = world.octocat("GET", &format!("{REPO}/activity{wrong}"), Value::Null, 422).await;
        assert!(refused["errors"][0].is_string(), "{wrong}: {refused}");
    }
}

/// Follows links of one kind from an address, and returns the ids of each page.
async fn pages(world: &World, start: &str, rel: &str) -> (Vec<Vec<u64>>, String) {
    let (mut address, mut all) = (start.to_owned(), Vec::new());
    loop {
        let said = world.ask("t-octocat", "GET", &address, Value::Null).await;
        assert_eq!(said.status, 200, "{}", said.body);
        all.push(said.body.as_array().unwrap().iter().map(|activity| activity["id"].as_u64().unwrap()).collect());
        let links = said.headers.get("link").map_or("", |links| links.to_str().unwrap());
        let link = links.split(", ").find(|link| link.ends_with(&format!("rel=\"{rel}\"")));
        let Some(link) = link else { return (all, address) };
        address = link[1..link.find('>').unwrap()].to_owned();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_turned_by_cursors_both_ways() {
    let (world, ..) = busy().await;
    let whole: Vec<u64> =
        listed(&world, "").await.as_array().unwrap().iter().map(|activity| activity["id"].as_u64().unwrap()).collect();
    assert_eq!(whole.len(), 9);
    for (direction, ordered) in [("desc", whole.clone()), ("asc", whole.iter().rev().copied().collect())] {
        let start = world.api(&format!("{REPO}/activity?direction={direction}&per_page=2"));
        let (forth, last) = pages(&world, &start, "next").await;
        let expected: Vec<Vec<u64>> = ordered.chunks(2).map(<[u64]>::to_vec).collect();
        assert_eq!(forth, expected, "{direction}");
        let (back, _) = pages(&world, &last, "prev").await;
        let expected: Vec<Vec<u64>> =
            [ordered[8..].to_vec(), ordered[6..8].to_vec(), ordered[4..6].to_vec(), ordered[2..4].to_vec()].into();
        assert_eq!(back[..4], expected, "{direction}");
        assert_eq!(back.last().unwrap(), &ordered[..2], "{direction}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_tells_of_its_own_branches_and_a_private_one_nobody_else() {
    let world = World::start_with(|options| {
        options.lag = Duration::ZERO;
        options.profile = Profile::Ghes;
    })
    .await;
    let fork = world.ask("t-hubot", "POST", &format!("{REPO}/forks"), json!({})).await;
    assert_eq!(fork.status, 202, "{}", fork.body);
    let content = crate::world::base64("x\n");
    let put = json!({"message": "x", "content": content, "branch": "main"});
    let made = world.ask("t-hubot", "PUT", "/repos/hubot/Spoon-Knife/contents/x.txt", put).await;
    let path = "/repos/hubot/Spoon-Knife/activity?ref=refs/heads/main&per_page=1";
    let newest = world.octocat("GET", path, Value::Null, 200).await;
    assert_eq!((&newest[0]["after"], &newest[0]["actor"]["login"]), (&made.body["commit"]["sha"], &json!("hubot")));
    assert_eq!(world.ask("", "GET", path, Value::Null).await.body, newest);
    world.octocat("PATCH", REPO, json!({"private": true}), 200).await;
    let closed = format!("{REPO}/activity");
    assert_eq!(world.ask("t-stranger", "GET", &closed, Value::Null).await.status, 404);
    assert_eq!(world.ask("t-status", "GET", &closed, Value::Null).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_knows_what_happened_and_an_older_folder_is_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let start = || {
        World::start_with(|options| {
            options.data = data.clone();
            options.lag = Duration::ZERO;
        })
    };
    let world = start().await;
    world.commit("topic", "a.txt", "a\n").await;
    let before = listed(&world, "").await;
    world.running.shutdown().await;
    let world = start().await;
    let after = listed(&world, "").await;
    assert_eq!((types(&after), &after[0]["after"]), (types(&before), &before[0]["after"]));
    assert_eq!(types(&after), ["push", "branch_creation", "branch_creation"]);
    world.running.shutdown().await;
    // As an emulator left it that knew of no activities.
    let state = data.join("state.json");
    let mut model: Value = serde_json::from_slice(&std::fs::read(&state).unwrap()).unwrap();
    for repository in model["repositories"].as_object_mut().unwrap().values_mut() {
        assert!(repository.as_object_mut().unwrap().remove("activities").is_some());
    }
    std::fs::write(&state, model.to_string()).unwrap();
    let world = start().await;
    assert_eq!(listed(&world, "").await, json!([]));
    world.commit("topic", "a.txt", "b\n").await;
    assert_eq!(types(&listed(&world, "").await), ["push"]);
}
