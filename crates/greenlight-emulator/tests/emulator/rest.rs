//! Repositories, contents, refs, statuses, protection, lists, budgets: the plain part of the API.

use std::time::Duration;

use greenlight_emulator::{Options, Profile, RateLimits};
use serde_json::{Value, json};

use crate::{
    openapi,
    world::{World, base64, until},
};

const REPO: &str = "/repos/octocat/Spoon-Knife";

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_from_nothing() {
    let world = World::start().await;
    let made = world
        .octocat("POST", "/user/repos", json!({"name": "fresh", "auto_init": true, "description": "new"}), 201)
        .await;
    assert_eq!((&made["full_name"], &made["permissions"]["admin"]), (&json!("octocat/fresh"), &json!(true)));
    assert!(made["clone_url"].as_str().unwrap().starts_with(world.running.base_url()));
    world.octocat("POST", "/user/repos", json!({"name": "fresh"}), 422).await;
    world.octocat("POST", "/orgs/acme/repos", json!({"name": "app", "private": true}), 201).await;
    assert_eq!(world.ask("t-stranger", "GET", "/repos/acme/app", Value::Null).await.status, 404);
    assert_eq!(world.ask("t-hubot", "GET", "/repos/acme/app", Value::Null).await.status, 200);
    let put = json!({"message": "one", "content": base64("one\n")});
    let file = world.octocat("PUT", "/repos/octocat/fresh/contents/docs/one.txt", put, 201).await;
    assert_eq!(file["content"]["path"], "docs/one.txt");
    let sha = file["content"]["sha"].clone();
    world
        .octocat(
            "PUT",
            "/repos/octocat/fresh/contents/docs/one.txt",
            json!({"message": "x", "content": base64("x"), "sha": "0".repeat(40)}),
            409,
        )
        .await;
    world
        .octocat(
            "PUT",
            "/repos/octocat/fresh/contents/docs/one.txt",
            json!({"message": "two", "content": base64("two\n"), "sha": sha}),
            200,
        )
        .await;
    let listed = world.octocat("GET", "/repos/octocat/fresh/contents/docs", Value::Null, 200).await;
    assert_eq!(listed[0]["size"], 4);
    let read = world.octocat("GET", "/repos/octocat/fresh/contents/docs/one.txt", Value::Null, 200).await;
    assert_eq!(read["content"], "dHdvCg==\n");
    let commits = world.octocat("GET", "/repos/octocat/fresh/commits?path=docs", Value::Null, 200).await;
    assert_eq!(
        commits
            .as_array()
            .unwrap()
            .iter()
            .map(|commit| commit["commit"]["message"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["two", "one"]
    );
    world.octocat("DELETE", "/repos/octocat/fresh", Value::Null, 204).await;
    world.octocat("GET", "/repos/octocat/fresh", Value::Null, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn git_data_makes_a_commit_and_refs_move_only_forward() {
    let world = World::start().await;
    let main = world.octocat("GET", &format!("{REPO}/git/ref/heads/main"), Value::Null, 200).await;
    let tip = main["object"]["sha"].as_str().unwrap().to_owned();
    let commit = world.octocat("GET", &format!("{REPO}/git/commits/{tip}"), Value::Null, 200).await;
    let blob = world
        .octocat("POST", &format!("{REPO}/git/blobs"), json!({"content": "blob\n", "encoding": "utf-8"}), 201)
        .await;
    let entries = json!([{"path": "deep/er/file", "mode": "100644", "type": "blob", "sha": blob["sha"]}]);
    let tree = world
        .octocat(
            "POST",
            &format!("{REPO}/git/trees"),
            json!({"base_tree": commit["tree"]["sha"], "tree": entries}),
            201,
        )
        .await;
    let made = world
        .octocat(
            "POST",
            &format!("{REPO}/git/commits"),
            json!({"message": "by hand", "tree": tree["sha"], "parents": [tip]}),
            201,
        )
        .await;
    let sha = made["sha"].as_str().unwrap();
    world.octocat("PATCH", &format!("{REPO}/git/refs/heads/main"), json!({"sha": sha}), 200).await;
    let refused = world.octocat("PATCH", &format!("{REPO}/git/refs/heads/main"), json!({"sha": tip}), 422).await;
    assert_eq!(refused["message"], "Update is not a fast forward");
    let whole = world.octocat("GET", &format!("{REPO}/git/trees/main?recursive=1"), Value::Null, 200).await;
    assert!(whole["tree"].as_array().unwrap().iter().any(|entry| entry["path"] == "deep/er/file"));
    world.octocat("GET", &format!("{REPO}/git/blobs/{}", blob["sha"].as_str().unwrap()), Value::Null, 200).await;
    world.octocat("POST", &format!("{REPO}/git/refs"), json!({"ref": "refs/tags/v1", "sha": sha}), 201).await;
    world.octocat("POST", &format!("{REPO}/git/refs"), json!({"ref": "refs/tags/v1", "sha": sha}), 422).await;
    world.octocat("POST", &format!("{REPO}/git/refs"), json!({"ref": "refs/heads/a..b", "sha": sha}), 422).await;
    assert_eq!(world.octocat("GET", &format!("{REPO}/tags"), Value::Null, 200).await[0]["name"], "v1");
    assert_eq!(
        world
            .octocat("GET", &format!("{REPO}/git/matching-refs/heads/ma"), Value::Null, 200)
            .await
            .as_array()
            .unwrap()
            .len(),
        1
    );
    world.octocat("DELETE", &format!("{REPO}/git/refs/heads/main"), Value::Null, 422).await;
    world.octocat("DELETE", &format!("{REPO}/git/refs/tags/v1"), Value::Null, 204).await;
    let compared = world.octocat("GET", &format!("{REPO}/compare/{tip}...main"), Value::Null, 200).await;
    assert_eq!(
        (&compared["status"], &compared["ahead_by"], &compared["files"][0]["patch"]),
        (&json!("ahead"), &json!(1), &json!("@@ -0,0 +1 @@\n+blob"))
    );
    let shown = world.octocat("GET", &format!("{REPO}/commits/main"), Value::Null, 200).await;
    assert_eq!((&shown["sha"], &shown["stats"]["additions"]), (&json!(sha), &json!(1)));
    let short = world.octocat("GET", &format!("{REPO}/commits/{}", &sha[..10]), Value::Null, 200).await;
    assert_eq!(short["sha"], sha);
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_combine_and_end_at_a_thousand() {
    let world = World::start().await;
    let sha = world.commit("topic", "a.txt", "a\n").await;
    let nothing = world.octocat("GET", &format!("{REPO}/commits/topic/status"), Value::Null, 200).await;
    assert_eq!((&nothing["state"], &nothing["total_count"]), (&json!("pending"), &json!(0)));
    world.status(&sha, "ci", "pending").await;
    world.status(&sha, "CI", "success").await;
    world.status(&sha, "other", "success").await;
    let combined = world.octocat("GET", &format!("{REPO}/commits/{sha}/status"), Value::Null, 200).await;
    assert_eq!((&combined["state"], &combined["total_count"]), (&json!("success"), &json!(2)));
    assert_eq!(
        world
            .octocat("GET", &format!("{REPO}/commits/{sha}/statuses"), Value::Null, 200)
            .await
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let bad = world.octocat("POST", &format!("{REPO}/statuses/{sha}"), json!({"state": "fine"}), 422).await;
    assert_eq!(bad["message"], "Validation Failed");
    world
        .octocat(
            "POST",
            &format!("{REPO}/statuses/{sha}"),
            json!({"state": "success", "description": "x".repeat(141)}),
            422,
        )
        .await;
    world.octocat("POST", &format!("{REPO}/statuses/{}", "0".repeat(40)), json!({"state": "success"}), 422).await;
    for _ in 0..1000 {
        world.status(&sha, "many", "pending").await;
    }
    let full = world
        .octocat("POST", &format!("{REPO}/statuses/{sha}"), json!({"state": "success", "context": "Many"}), 422)
        .await;
    assert_eq!(full["errors"][0]["message"], "This SHA and context has reached the maximum number of statuses.");
    assert_eq!(
        world
            .ask(
                "t-status",
                "POST",
                &format!("{REPO}/statuses/{sha}"),
                json!({"state": "success", "context": "scoped"})
            )
            .await
            .status,
        201
    );
    assert_eq!(
        world
            .ask("t-status", "PUT", &format!("{REPO}/contents/x"), json!({"message": "x", "content": ""}))
            .await
            .status,
        403
    );
    assert_eq!(
        world.ask("t-stranger", "POST", &format!("{REPO}/statuses/{sha}"), json!({"state": "success"})).await.status,
        403
    );
    assert_eq!(world.ask("t-wrong", "GET", REPO, Value::Null).await.body["message"], "Bad credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn statuses_become_visible_late() {
    let world = World::start_with(|options| options.lag = Duration::from_millis(300)).await;
    let sha = world.commit("topic", "a.txt", "a\n").await;
    let mut late = 0;
    for index in 0..8 {
        world.status(&sha, &format!("ci-{index}"), "success").await;
        let seen = world.octocat("GET", &format!("{REPO}/commits/{sha}/status"), Value::Null, 200).await;
        late += usize::from(seen["total_count"] != json!(index + 1));
    }
    assert!(late > 0, "no status was ever late");
    until("all statuses are visible", || async {
        let seen = world.octocat("GET", &format!("{REPO}/commits/{sha}/status"), Value::Null, 200).await;
        (seen["total_count"] == json!(8)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protection_and_rules_read_back() {
    let world = World::start().await;
    let path = format!("{REPO}/branches/main/protection");
    assert_eq!(world.octocat("GET", &path, Value::Null, 404).await["message"], "Branch not protected");
    let wanted = json!({
        "required_status_checks": {"strict": true, "contexts": ["greenlight"]},
        "enforce_admins": false,
        "required_pull_request_reviews": {"required_approving_review_count": 2},
        "restrictions": null
    });
    world.octocat("PUT", &path, wanted, 200).await;
    let read = world.octocat("GET", &path, Value::Null, 200).await;
    assert_eq!(
        (
            &read["required_status_checks"]["checks"][0]["context"],
            &read["required_pull_request_reviews"]["required_approving_review_count"]
        ),
        (&json!("greenlight"), &json!(2))
    );
    world.octocat("GET", &format!("{path}/required_status_checks"), Value::Null, 200).await;
    assert_eq!(world.octocat("GET", &format!("{REPO}/branches/main"), Value::Null, 200).await["protected"], true);
    assert_eq!(world.ask("t-hubot", "GET", &path, Value::Null).await.status, 404);
    world.octocat("DELETE", &path, Value::Null, 204).await;
    let ruleset = json!({"name": "main", "target": "branch", "enforcement": "active", "conditions": {"ref_name": {"include": ["~DEFAULT_BRANCH"], "exclude": []}},
        "rules": [{"type": "required_status_checks", "parameters": {"strict_required_status_checks_policy": false, "required_status_checks": [{"context": "ci"}]}}]});
    let made = world.octocat("POST", &format!("{REPO}/rulesets"), ruleset, 201).await;
    world.octocat("GET", &format!("{REPO}/rulesets"), Value::Null, 200).await;
    world.octocat("GET", &format!("{REPO}/rulesets/{}", made["id"]), Value::Null, 200).await;
    let rules = world.octocat("GET", &format!("{REPO}/rules/branches/main"), Value::Null, 200).await;
    assert_eq!(
        (&rules[0]["type"], &rules[0]["ruleset_source"]),
        (&json!("required_status_checks"), &json!("octocat/Spoon-Knife"))
    );
    assert_eq!(world.octocat("GET", &format!("{REPO}/rules/branches/other"), Value::Null, 200).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn people_and_permissions() {
    let world = World::start().await;
    assert_eq!(world.octocat("GET", "/user", Value::Null, 200).await["login"], "octocat");
    world.octocat("GET", "/users/hubot", Value::Null, 200).await;
    world.octocat("GET", "/users/nobody", Value::Null, 404).await;
    let permission = world.octocat("GET", &format!("{REPO}/collaborators/hubot/permission"), Value::Null, 200).await;
    assert_eq!((&permission["permission"], &permission["role_name"]), (&json!("write"), &json!("write")));
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/collaborators/stranger/permission"), Value::Null, 200).await["permission"],
        "read"
    );
    world.octocat("GET", &format!("{REPO}/collaborators/stranger"), Value::Null, 404).await;
    let added =
        world.octocat("PUT", &format!("{REPO}/collaborators/stranger"), json!({"permission": "triage"}), 204).await;
    assert_eq!(added, "");
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/collaborators"), Value::Null, 200).await.as_array().unwrap().len(),
        3
    );
    world.octocat("DELETE", &format!("{REPO}/collaborators/stranger"), Value::Null, 204).await;
    assert_eq!(world.octocat("GET", &format!("{REPO}/actions/permissions"), Value::Null, 200).await["enabled"], true);
    world.octocat("PUT", &format!("{REPO}/actions/permissions"), json!({"enabled": false}), 204).await;
    assert_eq!(world.octocat("GET", &format!("{REPO}/actions/permissions"), Value::Null, 200).await["enabled"], false);
    assert_eq!(world.ask("t-hubot", "GET", &format!("{REPO}/actions/permissions"), Value::Null).await.status, 403);
    assert_eq!(world.octocat("GET", &format!("{REPO}/actions/runs"), Value::Null, 200).await["total_count"], 0);
    for path in [
        "/orgs/acme",
        "/orgs/acme/members",
        "/orgs/acme/teams",
        "/orgs/acme/teams/ops",
        "/orgs/acme/teams/ops/members",
        "/orgs/acme/teams/ops/memberships/hubot",
        "/orgs/acme/memberships/hubot",
        "/user/orgs",
        "/user/repos",
        "/users/octocat/repos",
        "/orgs/acme/repos",
        "/meta",
        "/rate_limit",
        &format!("{REPO}/topics"),
        &format!("{REPO}/languages"),
        &format!("{REPO}/releases"),
    ] {
        world.octocat("GET", path, Value::Null, 200).await;
    }
    let unknown = world.octocat("GET", "/repos/octocat/nothing/there", Value::Null, 404).await;
    assert_eq!((&unknown["message"], &unknown["status"]), (&json!("Not Found"), &json!("404")));
    assert_eq!(
        world.octocat("POST", "/graphql", json!({"query": "{viewer{login}}"}), 404).await["message"],
        "the emulated GitHub has no GraphQL; use its REST API"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages() {
    let world = World::start().await;
    for index in 0..5 {
        let made = json!({"ref": format!("refs/heads/b{index}"), "sha": world.octocat("GET", &format!("{REPO}/git/ref/heads/main"), Value::Null, 200).await["object"]["sha"]});
        world.octocat("POST", &format!("{REPO}/git/refs"), made, 201).await;
    }
    let first = world.ask("t-octocat", "GET", &format!("{REPO}/branches?per_page=2"), Value::Null).await;
    let link = first.headers["link"].to_str().unwrap().to_owned();
    assert!(link.contains("rel=\"next\"") && link.contains("page=3>; rel=\"last\""), "{link}");
    let next = link.split(['<', '>']).nth(1).unwrap().to_owned();
    let second = world.ask("t-octocat", "GET", &next, Value::Null).await;
    assert_eq!(second.body[0]["name"], "b2");
    let last = world.ask("t-octocat", "GET", &format!("{REPO}/branches?per_page=2&page=3"), Value::Null).await;
    assert!(!last.headers["link"].to_str().unwrap().contains("rel=\"next\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_says_who_else_may_use_its_workflows() {
    const ACCESS: &str = "/repos/octocat/Spoon-Knife/actions/permissions/access";
    let world = World::start().await;
    let refused = world.ask("t-octocat", "GET", ACCESS, Value::Null).await;
    assert_eq!(refused.status, 422, "it is public: {}", refused.body);
    world.octocat("PATCH", REPO, json!({"private": true}), 200).await;
    assert_eq!(world.octocat("GET", ACCESS, Value::Null, 200).await["access_level"], "none");
    world.octocat("PUT", ACCESS, json!({"access_level": "user"}), 204).await;
    assert_eq!(world.octocat("GET", ACCESS, Value::Null, 200).await["access_level"], "user");
    assert_eq!(world.ask("t-octocat", "PUT", ACCESS, json!({"access_level": "all"})).await.status, 422);
    assert_eq!(world.ask("t-hubot", "GET", ACCESS, Value::Null).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn budgets_bite_and_a_304_is_free() {
    let limits = RateLimits { requests_per_hour: 30, writes_per_minute: 3, ..RateLimits::default() };
    let world = World::start_with(|options| {
        options.limits = Some(limits);
        options.lag = Duration::ZERO;
    })
    .await;
    let first = world.ask("t-octocat", "GET", REPO, Value::Null).await;
    assert_eq!(
        (
            first.headers["x-ratelimit-remaining"].to_str().unwrap(),
            first.headers["x-ratelimit-limit"].to_str().unwrap()
        ),
        ("29", "30")
    );
    let etag = first.headers["etag"].to_str().unwrap().to_owned();
    let again = world.ask_with("t-octocat", "GET", REPO, Value::Null, &[("if-none-match", &etag)]).await;
    assert_eq!((again.status, again.headers["x-ratelimit-remaining"].to_str().unwrap()), (304, "29"));
    let sha =
        world.ask("t-octocat", "GET", &format!("{REPO}/git/ref/heads/main"), Value::Null).await.body["object"]["sha"]
            .as_str()
            .unwrap()
            .to_owned();
    for _ in 0..3 {
        world.status(&sha, "ci", "pending").await;
    }
    let limited = world.ask("t-octocat", "POST", &format!("{REPO}/statuses/{sha}"), json!({"state": "success"})).await;
    assert_eq!((limited.status, limited.headers["retry-after"].to_str().unwrap()), (403, "60"));
    assert!(limited.body["message"].as_str().unwrap().starts_with("You have exceeded a secondary rate limit"));
    let mut last = limited;
    for _ in 0..40 {
        last = world.ask("t-octocat", "GET", REPO, Value::Null).await;
    }
    assert_eq!((last.status, last.headers["x-ratelimit-remaining"].to_str().unwrap()), (403, "0"));
    assert!(last.body["message"].as_str().unwrap().starts_with("API rate limit exceeded"));
    assert_eq!(
        world.ask("t-octocat", "GET", "/rate_limit", Value::Null).await.body["resources"]["core"]["remaining"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ghes_profile_speaks_below_api_v3() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::start_with(|options| {
        let seed = options.seed.take();
        *options = Options { seed, lag: Duration::ZERO, ..Options::ghes(folder.path()) };
        assert_eq!(options.profile, Profile::Ghes);
    })
    .await;
    assert!(world.running.api_url().ends_with("/api/v3"));
    let said = world.ask("t-octocat", "GET", REPO, Value::Null).await;
    assert_eq!(said.body["url"], json!(world.api(REPO)));
    assert!(
        said.headers.contains_key("x-github-enterprise-version") && !said.headers.contains_key("x-ratelimit-limit")
    );
    assert!(world.ask("", "GET", "/meta", Value::Null).await.body["installed_version"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_takes_up_where_the_first_ended() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let world = World::start_with(|options| {
        options.data = data.clone();
        options.lag = Duration::ZERO;
    })
    .await;
    let (number, head) = world.open("topic", "a.txt", "a\n").await;
    world.status(&head, "ci", "success").await;
    world.running.shutdown().await;
    let world = World::start_with(|options| {
        options.data = data.clone();
        options.lag = Duration::ZERO;
    })
    .await;
    let pull = world.octocat("GET", &format!("{REPO}/pulls/{number}"), Value::Null, 200).await;
    assert_eq!((&pull["head"]["sha"], &pull["mergeable"]), (&json!(head), &json!(true)));
    assert_eq!(
        world.octocat("GET", &format!("{REPO}/commits/{head}/status"), Value::Null, 200).await["state"],
        "success"
    );
    assert!(!openapi::covered().is_empty());
}
