//! Pages and API of a server that has nothing to do, and whose GitHub does not answer.

use super::server::{Server, until};

#[tokio::test]
async fn it_answers_and_says_what_it_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let alive = server.http.get(server.public("/livez")).send().await.unwrap();
    assert_eq!(alive.status(), 200);
    let waits = until("it waits for GitHub", async || {
        let readiness = server.json("/readyz").await;
        (readiness["ok"] == false).then(|| readiness["waits"].clone())
    })
    .await;
    assert_eq!(waits[0]["what"], "github");
    assert!(waits[0]["why"].as_str().unwrap().contains("octocat/Hello-World"), "{waits}");
    assert_eq!(server.read("/readyz").await.0, 503);
    let (status, page) = server.read("/").await;
    assert_eq!(status, 200);
    assert!(page.contains("<strong>github</strong> waits:"), "{page}");
    server.stop().await;
}

#[tokio::test]
async fn every_page_has_a_policy_and_no_script_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    for path in ["/", "/deliveries", "/nowhere", "/octocat/Hello-World/runs"] {
        let response = server.http.get(server.pages(path)).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let page = response.text().await.unwrap();
        assert!(!page.contains("<script>") && page.contains("<main>"), "{page}");
    }
    for asset in ["/assets/greenlight.css", "/assets/live.js"] {
        assert_eq!(server.read(asset).await.0, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn another_site_can_do_nothing_here() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let sync = || server.http.post(server.pages("/api/v1/repos/octocat/Hello-World/sync"));
    let foreign = sync().header("Origin", "https://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let rebound = server.http.get(server.pages("/")).header("Host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
    assert_eq!(sync().send().await.unwrap().status(), 404, "the repository is not known as long as GitHub is away");
    server.stop().await;
}

#[tokio::test]
async fn the_api_describes_itself() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let description = server.json("/api/openapi.json").await;
    assert_eq!(description["openapi"], "3.1.0");
    for path in ["/api/v1/repos", "/api/v1/runs", "/api/v1/deliveries"] {
        let answer = server.json(path).await;
        let schema = &description["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let whole = serde_json::json!({ "components": description["components"], "allOf": [schema] });
        let validator = jsonschema::validator_for(&whole).unwrap();
        assert!(validator.is_valid(&answer), "{path} answered {answer}");
    }
    assert_eq!(server.json("/version").await["name"], "greenlight");
    server.stop().await;
}

#[tokio::test]
async fn two_servers_do_not_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let listen = server.running.public;
    let second =
        greenlight::server::start(super::server::settings(dir.path(), &format!("[runner]\nslots = 1\n# {listen}")))
            .await;
    let error = second.err().expect("the folder is in use");
    assert!(matches!(error, greenlight::server::StartError::Store(_)), "{error}");
    server.stop().await;
}
