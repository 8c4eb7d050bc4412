//! The services as their clients meet them: over HTTP, with tokens and addresses that are right, wrong, old, or somebody else's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use greenlight_core::id::{AttemptId, JobKey, RepoId, RunNumber};
use greenlight_core::port::Reply;
use greenlight_store::{Blobs, Database};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::protobuf::{decode, encode};
use super::{Grant, Jobs, Limits, Place, Services, grant, message, routes, token};
use crate::server::clock;

const ARTIFACTS: &str = "github.actions.results.api.v1.ArtifactService";
const CACHES: &str = "github.actions.results.api.v1.CacheService";

/// Jobs that run until they are ended.
#[derive(Default)]
struct Held(Mutex<BTreeSet<AttemptId>>);

impl Jobs for Held {
    fn is_held<'a>(&'a self, attempt: &'a AttemptId) -> Reply<'a, bool> {
        Box::pin(async move { self.0.lock().unwrap().contains(attempt) })
    }
}

struct Bench {
    _folder: tempfile::TempDir,
    services: Arc<Services>,
    held: Arc<Held>,
    routes: Router,
}

/// A job, and what its actions know.
#[derive(Clone)]
struct Job {
    grant: Grant,
    token: String,
    run: String,
    job: String,
}

impl Bench {
    async fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Database::open(folder.path()).await.unwrap();
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        let services = Arc::new(Services::open(&folder.path().join("keys"), store, blobs, limits).unwrap());
        let held = Arc::<Held>::default();
        services.begin(held.clone(), "https://ci.example.org");
        let place = Arc::new(Place::new());
        let _ = place.set(services.clone());
        Self { _folder: folder, services, held, routes: routes(place) }
    }

    fn job(&self, repo: u64, run: u64, key: &str, git_ref: &str, trusted: bool) -> Job {
        let attempt =
            AttemptId { repo: RepoId(repo), run: RunNumber(run), run_attempt: 1, job: JobKey::from(key), tried: 1 };
        self.held.0.lock().unwrap().insert(attempt.clone());
        let now = clock::now();
        let base = git_ref.starts_with("refs/pull/").then_some("main");
        let identity = json!({ "sub": "repo:o/r:ref:refs/heads/main", "repository_owner": "o" });
        let grant = Grant {
            attempt,
            scopes: grant::scopes(git_ref, base, "main", trusted),
            url: "http://here".into(),
            identity: trusted.then(|| identity.as_object().unwrap().clone()),
            until: now + std::time::Duration::from_secs(60),
        };
        let (run, job) = grant.backend_ids(&self.services.keys);
        let token = token::write(&self.services.keys, token::Purpose::Runtime, &grant, now);
        Job { grant, token, run, job }
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap().to_vec())
    }

    async fn call(&self, job: &Job, service: &str, method: &str, mut body: Value) -> (StatusCode, Value) {
        if service == ARTIFACTS {
            body["workflow_run_backend_id"] = job.run.clone().into();
            body["workflow_job_run_backend_id"] = job.job.clone().into();
        }
        let request = Request::post(format!("/twirp/{service}/{method}"))
            .header(header::AUTHORIZATION, format!("Bearer {}", job.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let (status, body) = self.send(request).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn put(&self, url: &str, query: &str, body: impl Into<Body>) -> StatusCode {
        let uri = format!("{}{query}", url.strip_prefix("http://here").unwrap());
        self.send(Request::put(uri).body(body.into()).unwrap()).await.0
    }

    async fn get(&self, url: &str) -> (StatusCode, Vec<u8>) {
        let uri = url.strip_prefix("http://here").unwrap();
        self.send(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    /// Makes an artifact in one piece.
    async fn artifact(&self, job: &Job, name: &str, text: &'static str) {
        let (status, begun) = self.call(job, ARTIFACTS, "CreateArtifact", json!({ "name": name, "version": 7 })).await;
        assert_eq!(status, 200, "{begun}");
        assert_eq!(self.put(begun["signed_upload_url"].as_str().unwrap(), "", text).await, 201);
        let size = text.len().to_string();
        let ended = self.call(job, ARTIFACTS, "FinalizeArtifact", json!({ "name": name, "size": size })).await;
        assert_eq!((ended.0, &ended.1["ok"]), (StatusCode::OK, &json!(true)), "{ended:?}");
    }

    /// Writes a cache; false where it was refused.
    async fn cache(&self, job: &Job, key: &str, text: &'static str) -> bool {
        let asked = json!({ "key": key, "version": "v" });
        let (_, begun) = self.call(job, CACHES, "CreateCacheEntry", asked).await;
        if begun["ok"] != true {
            return false;
        }
        assert_eq!(self.put(begun["signed_upload_url"].as_str().unwrap(), "", text).await, 201);
        let asked = json!({ "key": key, "version": "v", "size_bytes": text.len().to_string() });
        let (status, ended) = self.call(job, CACHES, "FinalizeCacheEntryUpload", asked).await;
        assert_eq!((status, &ended["ok"]), (StatusCode::OK, &json!(true)), "{ended}");
        true
    }

    /// Returns the key and the text of the cache that is found.
    async fn cached(&self, job: &Job, keys: &[&str]) -> Option<(String, String)> {
        let asked = json!({ "key": keys[0], "restore_keys": keys[1..], "version": "v" });
        let (status, found) = self.call(job, CACHES, "GetCacheEntryDownloadURL", asked).await;
        assert_eq!(status, 200, "{found}");
        if found["ok"] != true {
            return None;
        }
        let (status, text) = self.get(found["signed_download_url"].as_str().unwrap()).await;
        assert_eq!(status, 200);
        Some((found["matched_key"].as_str().unwrap().to_owned(), String::from_utf8(text).unwrap()))
    }
}

#[tokio::test]
async fn an_artifact_comes_in_blocks_in_any_order() {
    let bench = Bench::new(Limits::default()).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    let (_, begun) = bench.call(&job, ARTIFACTS, "CreateArtifact", json!({ "name": "site", "version": 7 })).await;
    let url = begun["signed_upload_url"].as_str().unwrap();
    assert_eq!(bench.put(url, "&comp=block&blockid=Yg%3D%3D", "world").await, 201);
    assert_eq!(bench.put(url, "&comp=block&blockid=YQ%3D%3D", "hello ").await, 201);
    assert_eq!(bench.put(url, "&comp=block&blockid=Yw%3D%3D", "never listed").await, 201);
    let list = |ids: &[&str]| {
        let ids: String = ids.iter().map(|id| format!("<Latest>{id}</Latest>")).collect();
        format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>{ids}</BlockList>")
    };
    assert_eq!(bench.put(url, "&comp=blocklist", list(&["YQ==", "missing"])).await, 400);
    assert_eq!(bench.put(url, "&comp=blocklist", list(&["YQ==", "Yg=="])).await, 201);
    assert_eq!(
        bench.put(url, "&comp=blocklist", list(&["YQ==", "Yg=="])).await,
        201,
        "a lost answer is asked for again"
    );
    assert_eq!(bench.put(url, "&comp=block&blockid=YQ%3D%3D", "another").await, 409);
    let (_, listed) = bench.call(&job, ARTIFACTS, "ListArtifacts", json!({})).await;
    assert_eq!(listed["artifacts"], json!([]), "what is not whole is hidden");

    let asked = json!({ "name": "site", "size": "11", "hash": "sha256:00" });
    let (status, why) = bench.call(&job, ARTIFACTS, "FinalizeArtifact", asked).await;
    assert!(status == 400 && why["msg"].as_str().unwrap().contains("SHA-256"), "{why}");
    let digest = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    let asked = json!({ "name": "site", "size": "11", "hash": format!("sha256:{digest}") });
    let (status, ended) = bench.call(&job, ARTIFACTS, "FinalizeArtifact", asked).await;
    assert_eq!((status, &ended["ok"]), (StatusCode::OK, &json!(true)));

    let other = bench.job(7, 1, "test", "refs/heads/main", true);
    let (_, listed) = bench.call(&other, ARTIFACTS, "ListArtifacts", json!({ "name_filter": "site" })).await;
    assert_eq!(listed["artifacts"][0]["digest"], format!("sha256:{digest}"));
    assert_eq!(
        (&listed["artifacts"][0]["size"], &listed["artifacts"][0]["database_id"]),
        (&json!("11"), &ended["artifact_id"])
    );
    let (_, found) = bench.call(&other, ARTIFACTS, "GetSignedArtifactURL", json!({ "name": "site" })).await;
    let url = found["signed_url"].as_str().unwrap();
    assert_eq!(bench.get(url).await, (StatusCode::OK, b"hello world".to_vec()));
    let uri = url.strip_prefix("http://here").unwrap();
    let part = Request::get(uri).header(header::RANGE, "bytes=4-7").body(Body::empty()).unwrap();
    assert_eq!(bench.send(part).await, (StatusCode::PARTIAL_CONTENT, b"o wo".to_vec()));
    let folder = bench.services.blobs.list("objects").await.unwrap();
    assert_eq!(folder.len(), 2, "a block that no list names is gone: {folder:?}");
}

#[tokio::test]
async fn a_live_name_is_refused_and_can_be_replaced() {
    let bench = Bench::new(Limits::default()).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    bench.artifact(&job, "site", "one").await;
    let (status, why) = bench.call(&job, ARTIFACTS, "CreateArtifact", json!({ "name": "site" })).await;
    assert_eq!((status, &why["code"]), (StatusCode::CONFLICT, &json!("already_exists")));
    assert_eq!(bench.call(&job, ARTIFACTS, "DeleteArtifact", json!({ "name": "site" })).await.0, 200);
    assert_eq!(bench.call(&job, ARTIFACTS, "DeleteArtifact", json!({ "name": "site" })).await.0, 404);
    assert_eq!(bench.services.blobs.list("objects").await.unwrap(), [""; 0], "its bytes are gone");
    bench.artifact(&job, "site", "two").await;
    for name in ["", "a/b", "a\nb", "a:b"] {
        assert_eq!(bench.call(&job, ARTIFACTS, "CreateArtifact", json!({ "name": name })).await.0, 400, "{name:?}");
    }
    // What was begun and never ended is in nobody's way.
    bench.call(&job, ARTIFACTS, "CreateArtifact", json!({ "name": "log" })).await;
    bench.artifact(&job, "log", "three").await;
}

#[tokio::test]
async fn protocol_buffers_say_the_same() {
    let bench = Bench::new(Limits::default()).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    let method = message::of("CreateCacheEntry").unwrap();
    let asked = json!({ "key": "deps", "version": "v" });
    let request = Request::post(format!("/twirp/{CACHES}/CreateCacheEntry"))
        .header(header::AUTHORIZATION, format!("Bearer {}", job.token))
        .header(header::CONTENT_TYPE, "application/protobuf")
        .body(Body::from(encode(asked.as_object().unwrap(), method.request)))
        .unwrap();
    let (status, body) = bench.send(request).await;
    let reply = decode(&body, method.reply).unwrap();
    assert!(status == 200 && reply["ok"] == true, "{reply:?}");
    assert_eq!(bench.put(reply["signed_upload_url"].as_str().unwrap(), "", "x").await, 201);
}

#[tokio::test]
async fn a_token_is_for_its_own_job_and_ends_with_it() {
    let bench = Bench::new(Limits::default()).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    bench.artifact(&job, "site", "one").await;
    let other_run = bench.job(7, 2, "build", "refs/heads/main", true);
    let (_, listed) = bench.call(&other_run, ARTIFACTS, "ListArtifacts", json!({})).await;
    assert_eq!(listed["artifacts"], json!([]), "another run sees nothing");
    let mixed = Job { token: other_run.token.clone(), ..job.clone() };
    assert_eq!(bench.call(&mixed, ARTIFACTS, "ListArtifacts", json!({})).await.0, 403);
    let forged = Job { token: format!("{}x", job.token), ..job.clone() };
    assert_eq!(bench.call(&forged, ARTIFACTS, "ListArtifacts", json!({})).await.0, 401);
    let for_identity = token::write(&bench.services.keys, token::Purpose::Identity, &job.grant, clock::now());
    let wrong = Job { token: for_identity, ..job.clone() };
    assert_eq!(bench.call(&wrong, ARTIFACTS, "ListArtifacts", json!({})).await.0, 401);
    bench.held.0.lock().unwrap().clear();
    assert_eq!(bench.call(&job, ARTIFACTS, "ListArtifacts", json!({})).await.0, 401);
}

#[tokio::test]
async fn an_address_fits_one_thing_only() {
    let bench = Bench::new(Limits::default()).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    bench.artifact(&job, "one", "first").await;
    bench.artifact(&job, "two", "second").await;
    let (_, found) = bench.call(&job, ARTIFACTS, "GetSignedArtifactURL", json!({ "name": "one" })).await;
    let url = found["signed_url"].as_str().unwrap();
    assert_eq!(bench.get(url).await.0, 200);
    let (_, listed) = bench.call(&job, ARTIFACTS, "ListArtifacts", json!({ "name_filter": "two" })).await;
    let (_, one) = bench.call(&job, ARTIFACTS, "ListArtifacts", json!({ "name_filter": "one" })).await;
    let id = |listed: &Value| listed["artifacts"][0]["database_id"].as_str().unwrap().to_owned();
    let swapped = url.replace(&format!("artifacts/{}/", id(&one)), &format!("artifacts/{}/", id(&listed)));
    assert_eq!(bench.get(&swapped).await.0, 403, "another row");
    let later = url.replace("&se=1", "&se=2");
    assert_ne!(later, url);
    assert_eq!(bench.get(&later).await.0, 403, "another time");
    assert_eq!(bench.put(url, "", "x").await, 403, "to read is not to write");
    assert_eq!(bench.put(&url.replace("sp=r", "sp=w"), "", "x").await, 403);
    assert_eq!(bench.get("http://here/blobs/artifacts/1/x").await.0, 403);
}

#[tokio::test]
async fn caches_are_found_by_place_then_key_then_age() {
    let bench = Bench::new(Limits::default()).await;
    let main = bench.job(7, 1, "build", "refs/heads/main", true);
    let pull = bench.job(7, 2, "build", "refs/pull/3/merge", true);
    assert_eq!(bench.cached(&main, &["deps-1"]).await, None);
    assert!(bench.cache(&main, "deps-1", "one").await);
    assert!(bench.cache(&main, "deps-2", "two").await);
    assert!(!bench.cache(&main, "deps-1", "again").await, "a cache never changes");
    let found = |key: &str, text: &str| Some((key.to_owned(), text.to_owned()));
    assert_eq!(bench.cached(&main, &["deps-1", "deps-"]).await, found("deps-1", "one"));
    assert_eq!(bench.cached(&main, &["none", "deps-"]).await, found("deps-2", "two"), "the newest");
    assert_eq!(bench.cached(&main, &["none"]).await, None);
    // A pull request reads what its base has, and writes only for itself.
    assert_eq!(bench.cached(&pull, &["deps-1"]).await, found("deps-1", "one"));
    assert!(bench.cache(&pull, "deps-1", "of the pull request").await);
    assert_eq!(bench.cached(&pull, &["deps-1"]).await, found("deps-1", "of the pull request"));
    assert_eq!(bench.cached(&main, &["deps-1"]).await, found("deps-1", "one"));
    let elsewhere = bench.job(8, 1, "build", "refs/heads/main", true);
    assert_eq!(bench.cached(&elsewhere, &["deps-1"]).await, None, "another repository");
    let (status, _) = bench.call(&main, CACHES, "CreateCacheEntry", json!({ "key": "a,b", "version": "v" })).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn nothing_trusted_reads_what_an_untrusted_job_cached() {
    let bench = Bench::new(Limits::default()).await;
    let trusted = bench.job(7, 1, "build", "refs/pull/3/merge", true);
    let stranger = bench.job(7, 2, "build", "refs/pull/3/merge", false);
    assert!(bench.cache(&stranger, "deps", "poison").await);
    assert_eq!(bench.cached(&trusted, &["deps"]).await, None);
    assert!(bench.cached(&stranger, &["deps"]).await.is_some());
    let on_main = bench.job(7, 3, "build", "refs/heads/main", false);
    assert!(bench.cache(&on_main, "deps", "poison").await);
    let main = bench.job(7, 4, "build", "refs/heads/main", true);
    assert_eq!(bench.cached(&main, &["deps"]).await, None);
}

#[tokio::test]
async fn caches_that_are_too_many_go_oldest_first() {
    let limits = Limits { cache_bytes_max: 10, ..Limits::default() };
    let bench = Bench::new(limits).await;
    let main = bench.job(7, 1, "build", "refs/heads/main", true);
    for (key, text) in [("a", "1234"), ("b", "5678")] {
        assert!(bench.cache(&main, key, text).await);
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert!(bench.cached(&main, &["a"]).await.is_some(), "now b is the one that nobody asked for");
    assert!(bench.cache(&main, "c", "9abc").await);
    assert_eq!(bench.cached(&main, &["b"]).await, None);
    assert!(bench.cached(&main, &["a"]).await.is_some() && bench.cached(&main, &["c"]).await.is_some());
}

#[tokio::test]
async fn what_is_old_or_too_large_goes() {
    let limits = Limits { artifacts_kept: std::time::Duration::ZERO, object_bytes_max: 5, ..Limits::default() };
    let bench = Bench::new(limits).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    bench.artifact(&job, "old", "12345").await;
    let (_, begun) = bench.call(&job, ARTIFACTS, "CreateArtifact", json!({ "name": "large" })).await;
    assert_eq!(bench.put(begun["signed_upload_url"].as_str().unwrap(), "", "123456").await, 412);
    assert_eq!(bench.services.sweep().await.unwrap(), 2);
    assert_eq!(bench.services.blobs.list("objects").await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn older_clients_cache_too() {
    let bench = Bench::new(Limits::default()).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    let base = "/cache/_apis/artifactcache";
    let with =
        |request: axum::http::request::Builder| request.header(header::AUTHORIZATION, format!("Bearer {}", job.token));
    let json = |value: Value| Body::from(value.to_string());
    let find = || with(Request::get(format!("{base}/cache?keys=deps-9%2Cdeps&version=v"))).body(Body::empty()).unwrap();
    assert_eq!(bench.send(find()).await.0, 204);
    let reserve = || {
        let asked = json(json!({ "key": "deps-1", "version": "v", "cacheSize": 6 }));
        with(Request::post(format!("{base}/caches"))).body(asked).unwrap()
    };
    let (status, body) = bench.send(reserve()).await;
    let id = serde_json::from_slice::<Value>(&body).unwrap()["cacheId"].as_i64().unwrap();
    assert_eq!(status, 201);
    for (range, text) in [("bytes 3-5/*", "def"), ("bytes 0-2/*", "abc")] {
        let piece = with(Request::patch(format!("{base}/caches/{id}"))).header(header::CONTENT_RANGE, range);
        assert_eq!(bench.send(piece.body(Body::from(text)).unwrap()).await.0, 204);
    }
    let commit =
        |size: u64| with(Request::post(format!("{base}/caches/{id}"))).body(json(json!({ "size": size }))).unwrap();
    assert_eq!(bench.send(commit(6)).await.0, 204);
    assert_eq!(bench.send(reserve()).await.0, 409);
    let (status, body) = bench.send(find()).await;
    let found: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &found["cacheKey"]), (StatusCode::OK, &json!("deps-1")));
    assert_eq!(bench.get(found["archiveLocation"].as_str().unwrap()).await.1, b"abcdef");
    let nobody = Request::get(format!("{base}/cache?keys=deps&version=v")).body(Body::empty()).unwrap();
    assert_eq!(bench.send(nobody).await.0, 403);
}

#[tokio::test]
async fn an_identity_token_can_be_checked_by_anybody() {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

    let bench = Bench::new(Limits::default()).await;
    let job = bench.job(7, 1, "build", "refs/heads/main", true);
    let variables = bench.services.variables(&job.grant, clock::now()).steps;
    let variable =
        |name: &str| variables.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.to_string());
    let url = variable("ACTIONS_ID_TOKEN_REQUEST_URL").unwrap();
    let bearer = format!("Bearer {}", variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN").unwrap());
    let ask = |audience: &str, bearer: &str| {
        let uri = format!("{}{audience}", url.strip_prefix("http://here").unwrap());
        Request::get(uri).header(header::AUTHORIZATION, bearer).body(Body::empty()).unwrap()
    };
    let (status, body) = bench.send(ask("&audience=sts.example", &bearer)).await;
    assert_eq!(status, 200);
    let token = serde_json::from_slice::<Value>(&body).unwrap()["value"].as_str().unwrap().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let read = |part: &str| serde_json::from_slice::<Value>(&BASE64.decode(part).unwrap()).unwrap();
    let claims = read(parts[1]);
    assert_eq!((&claims["aud"], &claims["iss"]), (&json!("sts.example"), &json!("https://ci.example.org")));
    assert_eq!(claims["sub"], "repo:o/r:ref:refs/heads/main");
    let (_, body) = bench.send(Request::get("/oidc/jwks").body(Body::empty()).unwrap()).await;
    let key = serde_json::from_slice::<Value>(&body).unwrap()["keys"][0].clone();
    assert_eq!(key["kid"], read(parts[0])["kid"]);
    let number = |name: &str| BASE64.decode(key[name].as_str().unwrap()).unwrap();
    let public = RsaPublicKeyComponents { n: number("n"), e: number("e") };
    let text = format!("{}.{}", parts[0], parts[1]);
    public.verify(&RSA_PKCS1_2048_8192_SHA256, text.as_bytes(), &BASE64.decode(parts[2]).unwrap()).unwrap();
    assert_eq!(bench.send(ask("", &format!("Bearer {}", job.token))).await.0, 401, "a runtime token is none");

    let stranger = bench.job(7, 2, "build", "refs/pull/3/merge", false);
    let variables = bench.services.variables(&stranger.grant, clock::now());
    assert!(variables.steps.is_empty(), "nobody vouches for a stranger (S1)");
    assert!(variables.actions.iter().any(|(name, _)| &**name == "ACTIONS_RUNTIME_TOKEN"));
}
