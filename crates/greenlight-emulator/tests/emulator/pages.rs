//! The pages and their forms.

use serde_json::{Value, json};

use crate::world::World;

async fn get(world: &World, path: &str) -> (u16, String) {
    let response = reqwest::get(format!("{}{path}", world.running.base_url())).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn post(world: &World, path: &str, form: &[(&str, &str)], headers: &[(&str, &str)]) -> (u16, String) {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let mut request = client
        .post(format!("{}{path}", world.running.base_url()))
        .body(body)
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), location.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_by_form_from_the_first_page_to_the_merge() {
    let world = World::start().await;
    assert!(get(&world, "/").await.1.contains("/octocat/Spoon-Knife"));
    let form = [
        ("as", "stranger"),
        ("path", "a/<b>.txt"),
        ("content", "hi\r\n"),
        ("branch", "form"),
        ("title", "<script>alert(1)</script>"),
    ];
    let (status, location) =
        post(&world, "/octocat/Spoon-Knife/change", &form, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!((status, location.as_str()), (303, "/octocat/Spoon-Knife/pull/1"));
    let pull = world.octocat("GET", "/repos/octocat/Spoon-Knife/pulls/1", Value::Null, 200).await;
    assert_eq!((&pull["head"]["label"], &pull["user"]["login"]), (&json!("stranger:form"), &json!("stranger")));
    assert_eq!(
        post(&world, "/octocat/Spoon-Knife/pull/1/comment", &[("as", "hubot"), ("body", "</pre><b>x")], &[]).await.0,
        303
    );
    world.status(pull["head"]["sha"].as_str().unwrap(), "ci", "failure").await;
    let (status, page) = get(&world, "/octocat/Spoon-Knife/pull/1").await;
    assert_eq!(status, 200);
    assert!(
        page.contains("&lt;script&gt;")
            && !page.contains("<script>")
            && page.contains("&lt;/pre&gt;")
            && page.contains("<span class=\"failure\">"),
        "{page}"
    );
    assert_eq!(
        post(
            &world,
            "/octocat/Spoon-Knife/pull/1/push",
            &[("as", "stranger"), ("path", "more.txt"), ("content", "x")],
            &[]
        )
        .await
        .0,
        303
    );
    assert_eq!(world.octocat("GET", "/repos/octocat/Spoon-Knife/pulls/1", Value::Null, 200).await["commits"], 2);
    assert_eq!(post(&world, "/octocat/Spoon-Knife/pull/1/merge", &[("as", "stranger")], &[]).await.0, 403);
    assert_eq!(
        post(&world, "/octocat/Spoon-Knife/pull/1/review", &[("as", "hubot"), ("event", "APPROVE")], &[]).await.0,
        303
    );
    assert_eq!(
        post(&world, "/octocat/Spoon-Knife/pull/1/merge", &[("as", "octocat"), ("merge_method", "squash")], &[])
            .await
            .0,
        303
    );
    let (_, page) = get(&world, "/octocat/Spoon-Knife").await;
    assert!(page.contains("merged") && page.contains("git clone"), "{page}");
    let tip = world.octocat("GET", "/repos/octocat/Spoon-Knife/git/ref/heads/main", Value::Null, 200).await;
    assert_eq!(
        get(&world, &format!("/octocat/Spoon-Knife/commit/{}", tip["object"]["sha"].as_str().unwrap())).await.0,
        200
    );
    assert_eq!(get(&world, "/_room").await.0, 200);
    assert_eq!(get(&world, "/octocat/none").await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_from_elsewhere_is_refused() {
    let world = World::start().await;
    world.open("topic", "a.txt", "a\n").await;
    let form = [("as", "octocat"), ("body", "x")];
    for headers in [[("sec-fetch-site", "cross-site")], [("origin", "http://evil.example")]] {
        assert_eq!(post(&world, "/octocat/Spoon-Knife/pull/1/comment", &form, &headers).await.0, 403);
    }
    assert_eq!(world.octocat("GET", "/repos/octocat/Spoon-Knife/issues/1/comments", Value::Null, 200).await, json!([]));
}
