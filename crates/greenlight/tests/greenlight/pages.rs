//! Pages and API of a server that has nothing to do, and whose GitHub does not answer.

use super::server::{Server, until};

#[tokio::test]
async fn it_answers_and_says_what_it_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    let alive = server.http.get(server.public("/livez")).send().await.unwrap();
    assert_eq!(alive.status(), 200);
    assert_eq!(server.read("/readyz").await.0, 503, "from the first moment on");
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
async fn what_is_asked_wrongly_is_answered_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "").await;
    for path in ["/octocat/x/runs/abc", "/octocat/x/pulls/1e3"] {
        let (status, page) = server.read(path).await;
        let value = path.rsplit('/').next().unwrap();
        assert_eq!(status, 404, "{page}");
        assert!(page.contains(&format!("the address has `{value}` where a number belongs")), "{page}");
        assert!(page.contains("<main>"), "{page}");
    }
    for (method, path, status, words) in [
        ("GET", "/api/v1/nope", 404, "there is no such address"),
        ("GET", "/api/v1/repos/octocat/x/runs/abc", 404, "the address has `abc`"),
        ("GET", "/api/v1/repos/octocat/x/runs", 404, "octocat/x"),
        ("GET", "/api/v1/runs?limit=many", 400, "`limit` is a number from 1 to 100, not `many`"),
        ("GET", "/api/v1/runs?limit=-1", 400, "`limit` is a number from 1 to 100, not `-1`"),
        ("GET", "/api/v1/runs?limits=5", 400, "unknown field `limits`, expected `before` or `limit`"),
        ("GET", "/api/v1", 404, "there is no such address"),
        ("POST", "/api/v2", 404, "there is no such address"),
        ("DELETE", "/api/v1/runs", 405, "this address does not take DELETE"),
    ] {
        let request = server.http.request(method.parse().unwrap(), server.pages(path));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers().contains_key("allow"), status == 405, "{path}");
        let text = response.text().await.unwrap();
        let refused: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"));
        assert!(refused["message"].as_str().unwrap().contains(words), "{path}: {refused}");
        assert_eq!(refused["status"], status.to_string(), "{path}");
        assert_eq!(refused["documentation_url"], "/api/openapi.json", "{path}");
    }
    for path in ["repos/octocat/x/sync", "repos/octocat/x/environments/e/unlock", "runners/r/remove", "dev/job-env"] {
        let response = server.http.post(server.pages(&format!("/api/v1/{path}"))).body("{bad").send().await.unwrap();
        assert_eq!(response.status(), 400, "{path}");
    }
    let deleted = server.http.delete(server.pages("/deliveries")).send().await.unwrap();
    assert_eq!((deleted.status().as_u16(), deleted.headers()["allow"].to_str().unwrap()), (405, "GET,HEAD"));
    assert!(deleted.text().await.unwrap().contains("this address does not take DELETE"));
    let looked = server.http.get(server.public("/webhooks/github")).send().await.unwrap();
    assert_eq!((looked.status().as_u16(), looked.headers()["allow"].to_str().unwrap()), (405, "POST"));
    assert!(looked.text().await.unwrap().contains("where GitHub sends its webhooks"));
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
