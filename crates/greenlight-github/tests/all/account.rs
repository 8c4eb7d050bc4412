//! A GitHub App: its JWT, its installations, their tokens; and who we are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use greenlight_core::effect::Outcome;
use greenlight_core::shown::{ReportForm, ReportState};
use greenlight_github::account::Sharing;
use greenlight_github::client::{AppKey, CallError, Client, Credentials, Settings};
use greenlight_github::hands::GitHubHands;
use greenlight_github::secret::Secret;
use serde_json::{Value, json};

use super::samples::{perform_with, report, repository_json, user_json};
use super::stub::{Answer, Stub};

const NAME: &str = "octocat/Spoon-Knife";

struct Key {
    pem: Secret,
    public: Vec<u8>,
}

fn key() -> Key {
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
    Key { pem: Secret::new(pem).unwrap(), public: pair.public_key().as_ref().to_vec() }
}

fn app_client(stub: &Stub, key: &Key) -> Client {
    let credentials = Credentials::App { id: "12345".into(), key: AppKey::from_pem(&key.pem).unwrap() };
    Client::new(Settings { api_url: stub.address.clone(), credentials }).unwrap()
}

/// Answers as GitHub does to an App. Each token that is made carries its number; those below `valid_from` are not taken.
async fn app_stub(valid_from: Arc<AtomicUsize>, expires_at: &'static str) -> Stub {
    let made = AtomicUsize::new(0);
    Stub::start(move |seen| {
        let token = seen.header("authorization").unwrap_or("").trim_start_matches("Bearer ").to_owned();
        let is_jwt = token.split('.').count() == 3;
        match &*seen.line() {
            "GET /repos/octocat/Spoon-Knife/installation" if is_jwt => Answer::ok(json!({ "id": 99 })),
            "POST /app/installations/99/access_tokens" if is_jwt => {
                let number = made.fetch_add(1, Ordering::SeqCst);
                Answer::new(201, json!({ "token": format!("ghs_{number}"), "expires_at": expires_at }))
            }
            "GET /app" if is_jwt => Answer::ok(json!({ "slug": "greenlight-ci" })),
            "GET /app/installations" if is_jwt => Answer::ok(json!([{ "id": 99 }])),
            line if !is_jwt => {
                let number: usize = token.trim_start_matches("ghs_").parse().unwrap();
                match line {
                    _ if number < valid_from.load(Ordering::SeqCst) => Answer::no(401, "Bad credentials"),
                    "GET /installation/repositories" => {
                        Answer::ok(json!({ "total_count": 1, "repositories": [repository_json()] }))
                    }
                    "GET /users/greenlight-ci%5Bbot%5D" => Answer::ok(user_json(41, "greenlight-ci[bot]")),
                    "GET /repos/octocat/Spoon-Knife" => Answer::ok(repository_json()),
                    _ => Answer::new(201, json!({})),
                }
            }
            line => Answer::no(404, line),
        }
    })
    .await
}

fn count(stub: &Stub, line: &str) -> usize {
    stub.lines().iter().filter(|known| *known == line).count()
}

const MINT: &str = "POST /app/installations/99/access_tokens";

#[tokio::test]
async fn a_token_is_made_once_however_many_want_it() {
    let (stub, key) = (app_stub(Arc::default(), "2099-01-01T00:00:00Z").await, key());
    let client = app_client(&stub, &key);
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.repository(NAME).await })
        })
        .collect();
    for asked in asked {
        assert_eq!(asked.await.unwrap().unwrap().id.0, 7);
    }
    assert_eq!(count(&stub, MINT), 1);
    assert_eq!(client.token_for(NAME).await.unwrap().expose(), "ghs_0");
    assert!(!format!("{client:?}").contains("PRIVATE KEY-----"), "{client:?}");
}

#[tokio::test]
async fn the_jwt_is_signed_and_short_lived() {
    let (stub, key) = (app_stub(Arc::default(), "2099-01-01T00:00:00Z").await, key());
    app_client(&stub, &key).repository(NAME).await.unwrap();
    let jwt = stub.seen().remove(0).header("authorization").unwrap().trim_start_matches("Bearer ").to_owned();
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    validation.set_issuer(&["12345"]);
    let decoded =
        jsonwebtoken::decode::<Value>(&jwt, &jsonwebtoken::DecodingKey::from_rsa_der(&key.public), &validation)
            .unwrap();
    let (iat, exp) = (decoded.claims["iat"].as_i64().unwrap(), decoded.claims["exp"].as_i64().unwrap());
    assert!(exp - iat <= 600, "{iat} {exp}");
}

#[tokio::test]
async fn a_token_that_is_about_to_run_out_is_replaced() {
    let (stub, key) = (app_stub(Arc::default(), "2020-01-01T00:00:00Z").await, key());
    let client = app_client(&stub, &key);
    client.repository(NAME).await.unwrap();
    client.repository(NAME).await.unwrap();
    assert_eq!(count(&stub, MINT), 2);
}

#[tokio::test]
async fn a_token_that_is_not_taken_any_more_is_replaced_once() {
    let valid_from = Arc::new(AtomicUsize::new(0));
    let (stub, key) = (app_stub(valid_from.clone(), "2099-01-01T00:00:00Z").await, key());
    let client = app_client(&stub, &key);
    client.repository(NAME).await.unwrap();
    valid_from.store(1, Ordering::SeqCst);
    client.repository(NAME).await.unwrap();
    assert_eq!(count(&stub, MINT), 2);
    valid_from.store(usize::MAX, Ordering::SeqCst);
    let error = client.repository(NAME).await.unwrap_err();
    assert!(matches!(error, CallError::Unauthorized { .. }), "{error}");
    assert_eq!(count(&stub, MINT), 3);
}

#[tokio::test]
async fn an_app_knows_itself_and_its_repositories() {
    let (stub, key) = (app_stub(Arc::default(), "2099-01-01T00:00:00Z").await, key());
    let client = app_client(&stub, &key);
    assert!(client.is_app());
    assert_eq!(client.own_user().await.unwrap().id.0, 41);
    let repositories = client.repositories().await.unwrap();
    assert_eq!(repositories.iter().map(|repository| &*repository.full_name).collect::<Vec<_>>(), [NAME]);
    let hands = GitHubHands::new(client, None);
    let outcome = perform_with(&hands, report(ReportState::Pending, ReportForm::Status), 1, false).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    assert_eq!(count(&stub, "GET /repos/octocat/Spoon-Knife/installation"), 0, "the installation is known already");
}

#[tokio::test]
async fn a_person_knows_themselves_and_is_told_the_repositories() {
    let stub = Stub::start(|seen| match &*seen.line() {
        "GET /user" => Answer::ok(user_json(1, "octocat")),
        "GET /repos/octocat/Spoon-Knife/actions/permissions" => Answer::ok(json!({ "enabled": true })),
        _ => Answer::no(403, "Resource not accessible by personal access token"),
    })
    .await;
    let client = stub.client();
    assert_eq!(client.own_user().await.unwrap().id.0, 1);
    assert_eq!(client.repositories().await.unwrap(), []);
    assert_eq!(client.hosted_actions(NAME).await.unwrap(), Some(true));
    assert_eq!(client.hosted_actions("octocat/other").await.unwrap(), None);
    assert_eq!(client.token_for(NAME).await.unwrap().expose(), "ghp_secret");
}

#[tokio::test]
async fn a_private_repository_s_workflows_are_for_whom_its_setting_says() {
    let stub = Stub::start(|seen| {
        let repository = |name: &str, private: bool| {
            let mut shape = repository_json();
            (shape["full_name"], shape["private"]) = (json!(format!("octocat/{name}")), json!(private));
            Answer::ok(shape)
        };
        match &*seen.line() {
            "GET /repos/octocat/public" => repository("public", false),
            "GET /repos/octocat/gone" => Answer::no(404, "Not Found"),
            "GET /repos/octocat/away" => Answer::no(502, "Server Error"),
            "GET /repos/octocat/closed/actions/permissions/access" => Answer::ok(json!({ "access_level": "none" })),
            "GET /repos/octocat/open/actions/permissions/access" => Answer::ok(json!({ "access_level": "user" })),
            line if line.ends_with("/access") => Answer::no(403, "Must have admin rights to Repository."),
            line => repository(line.rsplit('/').next().unwrap(), true),
        }
    })
    .await;
    let client = stub.client();
    let sharing = async |name: &str, user: &str| client.sharing(&format!("octocat/{name}"), user).await;
    assert_eq!(sharing("public", "octocat/mine").await.unwrap(), Sharing::Everybody);
    assert_eq!(sharing("gone", "octocat/mine").await.unwrap(), Sharing::Unseen);
    let open = sharing("open", "octocat/mine").await.unwrap();
    assert!(matches!(&open, Sharing::Shared(reference) if &*reference.full_name == "octocat/open"), "{open:?}");
    for (name, user, words) in [
        ("open", "octocat/public", "octocat/open is private, and octocat/public is not"),
        ("closed", "octocat/mine", "let no other repository use its workflows"),
        ("secret", "octocat/mine", "takes admin rights there"),
    ] {
        let closed = sharing(name, user).await.unwrap();
        assert!(matches!(&closed, Sharing::Closed(why) if why.contains(words)), "{name}: {closed:?}");
    }
    assert!(sharing("away", "octocat/mine").await.is_err(), "nobody knows");
}

#[test]
fn a_key_that_is_none_is_refused() {
    for text in ["x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        let error = AppKey::from_pem(&Secret::new(text).unwrap()).unwrap_err();
        assert!(error.to_string().contains("PEM"), "{error}");
    }
}
