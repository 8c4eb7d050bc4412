//! The client's manners: headers, conditional requests, pages, redirects, limits, and errors by name.

use std::sync::{Arc, Mutex};

use greenlight_core::effect::{Effect, Outcome, Refusal};
use greenlight_core::event::User;
use greenlight_core::id::UserId;
use greenlight_core::shown::{ReportForm, ReportState};
use greenlight_core::time::Timestamp;
use greenlight_github::client::{CallError, Client, Credentials, Remedy, Settings};
use greenlight_github::hands::GitHubHands;
use greenlight_github::secret::Secret;
use serde_json::json;

use super::samples::{perform, perform_with, reason, report, repository_json};
use super::stub::{Answer, Stub};

const NAME: &str = "octocat/Spoon-Knife";

fn token_client(api_url: &str) -> Client {
    let credentials = Credentials::Token(Secret::new("ghp_secret").unwrap());
    Client::new(Settings { api_url: api_url.to_owned(), credentials }).unwrap()
}

fn status() -> Effect {
    report(ReportState::Success, ReportForm::Status)
}

#[tokio::test]
async fn every_request_says_who_it_is_from() {
    let stub = Stub::start(|_| Answer::ok(repository_json())).await;
    let client = token_client(&format!("{}/api/v3/", stub.address));
    assert_eq!(client.repository(NAME).await.unwrap().id.0, 7);
    let seen = stub.seen().remove(0);
    assert_eq!(seen.line(), "GET /api/v3/repos/octocat/Spoon-Knife");
    assert_eq!(seen.header("accept"), Some("application/vnd.github+json"));
    assert_eq!(seen.header("x-github-api-version"), Some("2022-11-28"));
    assert_eq!(seen.header("authorization"), Some("Bearer ghp_secret"));
    assert!(seen.header("user-agent").unwrap().starts_with("greenlight/"));
    assert!(!format!("{client:?}").contains("ghp_secret"), "{client:?}");
}

#[tokio::test]
async fn what_did_not_change_is_not_read_again() {
    let stub = Stub::start(|seen| match seen.header("if-none-match") {
        Some("\"v1\"") => Answer::raw(304, ""),
        _ => Answer::ok(repository_json()).header("etag", "\"v1\""),
    })
    .await;
    let client = stub.client();
    let first = client.repository(NAME).await.unwrap();
    assert_eq!(client.repository(NAME).await.unwrap(), first);
    assert_eq!(client.clone().repository(NAME).await.unwrap(), first);
    assert_eq!(stub.seen().iter().filter(|seen| seen.header("if-none-match").is_some()).count(), 2);
}

#[tokio::test]
async fn a_renamed_repository_is_followed_on_the_same_host_only() {
    let stub = Stub::start(|seen| match &*seen.line() {
        "GET /repos/octocat/Spoon-Knife" => Answer::raw(301, "{}").header("location", "/repos/octocat/Fork-Knife"),
        "POST /repos/octocat/Spoon-Knife/statuses/6113728f27ae82c7b1a177c8d03f9e96e0adf246" => Answer::raw(307, "{}")
            .header("location", "/repos/octocat/Fork-Knife/statuses/6113728f27ae82c7b1a177c8d03f9e96e0adf246"),
        "POST /repos/octocat/Fork-Knife/statuses/6113728f27ae82c7b1a177c8d03f9e96e0adf246" => {
            Answer::new(201, json!({}))
        }
        "GET /repos/octocat/elsewhere" => Answer::raw(302, "").header("location", "http://elsewhere.example/repos/a/b"),
        "GET /repos/octocat/round" => Answer::raw(301, "").header("location", "/repos/octocat/round"),
        _ => Answer::ok(repository_json()),
    })
    .await;
    assert_eq!(stub.client().repository(NAME).await.unwrap().id.0, 7);
    assert!(matches!(perform(&stub, status(), 1, false).await, Outcome::Done(_)));
    for name in ["octocat/elsewhere", "octocat/round"] {
        let error = stub.client().repository(name).await.unwrap_err();
        assert!(matches!(error, CallError::Redirected { .. }), "{error}");
    }
}

#[tokio::test]
async fn pages_are_read_to_the_end_and_not_elsewhere() {
    let addresses = Arc::new(Mutex::new(String::new()));
    let known = addresses.clone();
    let stub = Stub::start(move |seen| {
        let here = known.lock().unwrap().clone();
        let link = |rest: &str| format!("<{here}/repos/octocat/Spoon-Knife/{rest}>; rel=\"next\"");
        let attempt = |id: u64| json!({ "id": id, "guid": format!("g{id}"), "status_code": 200 });
        match (&*seen.path, &*seen.query) {
            ("/repos/octocat/Spoon-Knife/hooks", "per_page=100") => {
                Answer::ok(json!([{ "id": 1, "config": { "url": "https://other.example" } }]))
                    .header("link", &link("hooks?page=2"))
            }
            ("/repos/octocat/Spoon-Knife/hooks", _) => {
                Answer::ok(json!([{ "id": 2, "config": { "url": "https://ci.example.org/w" } }]))
            }
            ("/repos/octocat/Spoon-Knife/hooks/2/deliveries", _) => {
                Answer::ok(json!([attempt(1)])).header("link", "<http://elsewhere.example/x?page=2>; rel=\"next\"")
            }
            _ => Answer::no(404, "Not Found"),
        }
    })
    .await;
    *addresses.lock().unwrap() = stub.address.clone();
    let missed = greenlight_github::deliveries::MissedDeliveries::new(stub.client(), "https://ci.example.org/w");
    let error = missed.recover_repository(NAME, Timestamp::EPOCH).await.unwrap_err();
    assert!(error.to_string().contains("elsewhere.example"), "{error}");
    assert_eq!(stub.seen().len(), 3);
}

#[tokio::test]
async fn nothing_is_sent_while_a_limit_is_reached() {
    let stub = Stub::start(|seen| match &*seen.method {
        "POST" => Answer::no(403, "You have exceeded a secondary rate limit.").header("retry-after", "60"),
        _ => Answer::ok(repository_json()),
    })
    .await;
    let hands = GitHubHands::new(stub.client(), None);
    for _ in 0..3 {
        let outcome = perform_with(&hands, status(), 1, false).await;
        assert!(matches!(outcome, Outcome::Later { not_before: Some(_), .. }), "{outcome:?}");
    }
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn the_last_call_of_the_hour_closes_the_lane() {
    let reset = "4102444800";
    let stub = Stub::start(move |_| {
        Answer::ok(repository_json()).header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", reset)
    })
    .await;
    let client = stub.client();
    client.repository(NAME).await.unwrap();
    let error = client.repository(NAME).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::RetryAt(Timestamp::from_millis(4_102_444_800_000)));
    assert_eq!(stub.seen().len(), 1);
}

#[tokio::test]
async fn every_end_of_a_write_has_its_name() {
    let kind = |outcome: Outcome| match outcome {
        Outcome::Done(_) => "done",
        Outcome::Refused(Refusal::Forbidden(_)) => "forbidden",
        Outcome::Refused(Refusal::StatusLimit) => "limit",
        Outcome::Refused(Refusal::Gone(_)) => "gone",
        Outcome::Refused(_) => "refused",
        Outcome::Later { .. } => "later",
        Outcome::Unknown { .. } => "unknown",
    };
    for (status_code, message, tried, expected) in [
        (201, "", 1, "done"),
        (401, "Bad credentials", 1, "later"),
        (403, "Resource not accessible by personal access token", 1, "forbidden"),
        (404, "Not Found", 1, "later"),
        (404, "Not Found", 4, "gone"),
        (422, "No commit found for SHA: 6113728", 1, "later"),
        (422, "No commit found for SHA: 6113728", 4, "gone"),
        (422, "This SHA and context has reached the maximum number of statuses.", 1, "limit"),
        (422, "Validation Failed", 1, "refused"),
        (429, "Too many", 1, "later"),
        (500, "", 1, "unknown"),
        (502, "", 1, "unknown"),
    ] {
        let stub = Stub::start(move |_| Answer::no(status_code, message)).await;
        let outcome = perform(&stub, status(), tried, false).await;
        assert!(matches!(outcome, Outcome::Done(_)) || !reason(&outcome).is_empty());
        assert!(!reason(&outcome).contains("ghp_"), "{outcome:?}");
        assert_eq!(kind(outcome), expected, "{status_code} {message} at try {tried}");
    }
    let stub = Stub::start(|_| Answer::nothing()).await;
    assert_eq!(kind(perform(&stub, status(), 1, false).await), "unknown");
    assert_eq!(stub.seen().len(), 1, "nothing is sent twice");
}

#[tokio::test]
async fn a_server_that_is_not_there_was_told_nothing() {
    let hands = GitHubHands::new(token_client("http://127.0.0.1:1"), None);
    let outcome = perform_with(&hands, status(), 1, false).await;
    let Outcome::Later { not_before: None, reason } = &outcome else { panic!("{outcome:?}") };
    assert!(reason.starts_with("GitHub cannot be reached for POST /repos/octocat/Spoon-Knife/statuses/"), "{reason}");
}

#[tokio::test]
async fn answers_are_input() {
    for body in [
        "",
        "[]",
        "{}",
        "null",
        "{\"id\": -1}",
        "<html>",
        "{\"id\": 7, \"full_name\": \"../..\", \"default_branch\": \"x\"}",
    ] {
        let stub = Stub::start(move |_| Answer::raw(200, body)).await;
        let error = stub.client().repository(NAME).await.unwrap_err();
        assert!(matches!(error, CallError::BadAnswer { .. }), "{body}: {error}");
    }
    let large = vec![b' '; 33 * 1024 * 1024];
    let stub = Stub::start(move |_| Answer::raw(200, large.clone())).await;
    let error = stub.client().repository(NAME).await.unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
    let odd = stub.client().repository("octocat/../../user").await.unwrap_err();
    assert!(odd.to_string().contains("owner/name"), "{odd}");
}

#[tokio::test]
async fn writes_go_one_at_a_time() {
    let stub = Stub::start(|_| Answer::new(201, json!({}))).await;
    let hands = GitHubHands::new(stub.client(), None);
    let tries: Vec<_> = (0..20)
        .map(|_| {
            let hands = hands.clone();
            tokio::spawn(async move { perform_with(&hands, status(), 1, false).await })
        })
        .collect();
    for done in tries {
        assert!(matches!(done.await.unwrap(), Outcome::Done(_)));
    }
    assert_eq!((stub.seen().len(), stub.open_most()), (20, 1));
}

#[test]
fn addresses_of_apis() {
    let client = |address: &str| {
        let credentials = Credentials::Token(Secret::new("t").unwrap());
        Client::new(Settings { api_url: address.to_owned(), credentials })
    };
    for good in ["https://api.github.com", "https://ghes.example/api/v3/", "http://127.0.0.1:4569"] {
        assert!(client(good).is_ok(), "{good}");
    }
    for bad in ["", "api.github.com", "ftp://h", "https://h/?a=b", "https://h/#x", "file:///x"] {
        assert!(client(bad).unwrap_err().to_string().contains("https://api.github.com"), "{bad}");
    }
    let with_password = client("https://me:hunter2@h").unwrap_err().to_string();
    assert!(!with_password.contains("hunter2"), "{with_password}");
}

#[tokio::test]
async fn a_login_that_changed_hands_has_no_permission() {
    let stub = Stub::start(|seen| match &*seen.line() {
        "GET /repos/octocat/Spoon-Knife/collaborators/hubot/permission" => {
            Answer::ok(json!({ "permission": "write", "user": { "id": 2, "login": "hubot" } }))
        }
        "GET /repos/octocat/Spoon-Knife/collaborators/dependabot%5Bbot%5D/permission" => {
            Answer::no(404, "dependabot[bot] is not a user")
        }
        _ => Answer::no(403, "Must have push access"),
    })
    .await;
    let ask = |id: u64, login: &str| {
        let user = User { id: UserId(id), login: login.into() };
        perform(&stub, Effect::ReadPermission(user), 1, false)
    };
    use greenlight_core::effect::Answer::Permission as Told;
    use greenlight_core::event::Permission;
    assert_eq!(ask(2, "hubot").await, Outcome::Done(Told(Permission::Write)));
    assert_eq!(ask(3, "hubot").await, Outcome::Done(Told(Permission::None)));
    assert_eq!(ask(4, "dependabot[bot]").await, Outcome::Done(Told(Permission::None)));
    assert!(matches!(ask(5, "other").await, Outcome::Refused(Refusal::Forbidden(_))));
}
