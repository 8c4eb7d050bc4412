//! The hands on an emulated GitHub, which was written without knowing them: from a pull request to a deployment.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use greenlight_core::effect::{Answer as Told, Dispatch, Effect, MergeMethod, Outcome, PullRead, Refusal};
use greenlight_core::event::{DeploymentState, Permission, PullStanding, User, Verdicts};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{Context, DeploymentId, EffectKey, PullNumber, RefName, Sha, UserId};
use greenlight_core::port::Hands;
use greenlight_core::shown::{ReportForm, ReportState, ShownDeployment, ShownReport};
use greenlight_core::time::{Duration, Timestamp};
use greenlight_emulator::{Emulator, Options, Running, Seed};
use greenlight_github::client::{AppKey, Client, Credentials, Settings};
use greenlight_github::deliveries::{MissedDeliveries, Recovery};
use greenlight_github::hands::GitHubHands;
use greenlight_github::secret::Secret;
use serde_json::{Value, json};

const NAME: &str = "octocat/Spoon-Knife";

struct World {
    emulator: Running,
    repository: RepositoryRef,
    hands: GitHubHands,
    client: Client,
    browser: reqwest::Client,
    _data: tempfile::TempDir,
}

fn pem() -> String {
    let der: Pkcs8V1Der<'_> = KeyPair::generate(KeySize::Rsa2048).unwrap().as_der().unwrap();
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
}

impl World {
    async fn start(as_app: bool) -> Self {
        let data = tempfile::tempdir().unwrap();
        let key = pem();
        let seed: Seed = serde_json::from_value(json!({
            "users": [{ "login": "octocat", "id": 583_231 }, { "login": "hubot", "id": 480_938 }],
            "tokens": [{ "token": "ghp_octocat", "user": "octocat" }],
            "apps": [{
                "id": 7, "slug": "greenlight", "owner": "octocat", "private_key": key,
                "permissions": { "checks": "write", "statuses": "write", "pull_requests": "write", "contents": "write",
                                 "deployments": "write", "metadata": "read", "issues": "write" },
                "installations": [{ "id": 9, "account": "octocat" }],
            }],
            "repositories": [{
                "owner": "octocat", "name": "Spoon-Knife", "files": { "README.md": "hello\n" }, "collaborators": { "hubot": "push" },
                "hooks": [{ "config": { "url": "http://127.0.0.1:1/webhooks/github", "content_type": "json", "secret": "s" }, "events": ["push"] }],
            }],
        }))
        .unwrap();
        let emulator = Emulator::start(Options { seed: Some(seed), lag: Duration::ZERO, ..Options::new(data.path()) })
            .await
            .unwrap();
        let credentials = if as_app {
            Credentials::App { id: "7".into(), key: AppKey::from_pem(&Secret::new(key).unwrap()).unwrap() }
        } else {
            Credentials::Token(Secret::new("ghp_octocat").unwrap())
        };
        let client = Client::new(Settings { api_url: emulator.api_url().to_owned(), credentials }).unwrap();
        let repository = client.repository(NAME).await.unwrap();
        let hands = GitHubHands::new(client.clone(), Some("http://127.0.0.1:4568"));
        let browser = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
        Self { emulator, repository, hands, client, browser, _data: data }
    }

    /// Does something as the octocat.
    async fn octocat(&self, method: &str, path: &str, body: Value) -> Value {
        let url = format!("{}{path}", self.emulator.api_url());
        let request = self.browser.request(method.parse().unwrap(), url);
        let request = request.header("authorization", "Bearer ghp_octocat").header("user-agent", "a test");
        let response = if body.is_null() { request } else { request.body(body.to_string()) }.send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Opens a pull request that adds a file; returns its number and head.
    async fn open_pull(&self, branch: &str) -> (PullNumber, Sha) {
        let tip = self.octocat("GET", &format!("/repos/{NAME}/git/ref/heads/main"), Value::Null).await;
        let new_ref = json!({ "ref": format!("refs/heads/{branch}"), "sha": tip["object"]["sha"] });
        self.octocat("POST", &format!("/repos/{NAME}/git/refs"), new_ref).await;
        let file = json!({ "message": "a change", "content": STANDARD.encode("new\n"), "branch": branch });
        self.octocat("PUT", &format!("/repos/{NAME}/contents/{branch}.txt"), file).await;
        let pull = json!({ "title": "A change", "head": branch, "base": "main" });
        let pull = self.octocat("POST", &format!("/repos/{NAME}/pulls"), pull).await;
        (PullNumber(pull["number"].as_u64().unwrap()), Sha::parse(pull["head"]["sha"].as_str().unwrap()).unwrap())
    }

    async fn perform(&self, key: &str, effect: Effect, confirm: bool) -> Outcome {
        let dispatch = Dispatch { key: EffectKey::from(key), effect, tried: if confirm { 2 } else { 1 }, confirm };
        self.hands.perform(&self.repository, &dispatch).await
    }

    async fn done(&self, key: &str, effect: Effect, confirm: bool) -> Told {
        match self.perform(key, effect, confirm).await {
            Outcome::Done(told) => told,
            other => panic!("{key}: {other:?}"),
        }
    }

    async fn read_pull(&self, pull: PullNumber) -> PullRead {
        match self.done("read", Effect::ReadPull(pull), false).await {
            Told::Pull(read) => *read,
            other => panic!("{other:?}"),
        }
    }
}

fn show(sha: Sha, name: &str, state: ReportState, form: ReportForm, check_run: Option<u64>) -> Effect {
    let report = ShownReport { state, description: "it went as it went".into(), link: None, summary: None, form };
    Effect::Show { sha, context: Context::from(name), report, check_run }
}

#[tokio::test]
async fn from_a_pull_request_to_a_deployment() {
    let world = World::start(false).await;
    let (pull, head) = world.open_pull("topic").await;
    for state in [ReportState::Pending, ReportState::Success] {
        for confirm in [false, true] {
            world.done("show", show(head, "greenlight", state, ReportForm::Status, None), confirm).await;
        }
    }
    let statuses = world.octocat("GET", &format!("/repos/{NAME}/commits/{head}/statuses"), Value::Null).await;
    assert_eq!(statuses.as_array().unwrap().len(), 2, "what was read back is not written again");
    let read = world.read_pull(pull).await;
    assert_eq!(
        (read.fact.pull.head_sha, read.verdicts),
        (head, vec![(Context::from("greenlight"), Verdicts::Success)])
    );

    let comment = |text: &str| Effect::Comment { pull, mark: "m".into(), body: text.into(), id: None };
    let Told::Comment(first) = world.done("comment", comment("one"), false).await else { panic!("no comment") };
    assert_eq!(world.done("comment", comment("two"), true).await, Told::Comment(first));

    let merge = Effect::Merge { pull, head_sha: head, base_ref: RefName::branch("main"), method: MergeMethod::Merge };
    let merged = world.done("merge", merge.clone(), false).await;
    let Told::Merged { sha, .. } = merged else { panic!("{merged:?}") };
    assert_eq!(world.done("merge", merge.clone(), true).await, merged);
    assert_eq!(world.done("merge", merge, false).await, merged, "merging what is merged tells what landed");

    let create =
        Effect::CreateDeployment { sha, environment: "staging".into(), description: "it".into(), production: false };
    let early = world.perform("deploy-1", create.clone(), false).await;
    let Outcome::Later { reason, .. } = early else { panic!("{early:?}") };
    assert_eq!(&*reason, "the commit is not green for GitHub: greenlight was never reported");
    world.done("show-2", show(sha, "greenlight", ReportState::Success, ReportForm::Status, None), false).await;
    let Told::Deployment(made) = world.done("deploy-1", create.clone(), false).await else { panic!("no deployment") };
    assert_eq!(made.key, Some("deploy-1".into()));
    let Told::Deployment(found) = world.done("deploy-1", create.clone(), true).await else { panic!("no deployment") };
    assert_eq!(found.id, made.id);

    for state in [DeploymentState::Queued, DeploymentState::InProgress, DeploymentState::Success] {
        let shown = ShownDeployment {
            state,
            description: "d".into(),
            log: None,
            environment_url: Some("https://staging.example".into()),
        };
        let effect = Effect::ShowDeployment { id: made.id, shown };
        for confirm in [false, true] {
            assert_eq!(world.done("state", effect.clone(), confirm).await, Told::Nothing);
        }
    }
    let statuses = world.octocat("GET", &format!("/repos/{NAME}/deployments/{}/statuses", made.id), Value::Null).await;
    assert_eq!(statuses.as_array().unwrap().len(), 3);
    reconciled(&world, pull, made.id).await;
}

async fn reconciled(world: &World, merged: PullNumber, deployment: DeploymentId) {
    let (open, _) = world.open_pull("second").await;
    world.octocat("POST", &format!("/repos/{NAME}/issues/{open}/comments"), json!({ "body": "/retest" })).await;
    let tag = json!({ "ref": "refs/tags/v1", "sha": world.read_pull(open).await.base_tip.to_string() });
    world.octocat("POST", &format!("/repos/{NAME}/git/refs"), tag).await;
    let effect = Effect::Reconcile { known_open: vec![merged], since: Timestamp::EPOCH, pulls_since: None };
    let Told::Reconciled(all) = world.done("reconcile", effect, false).await else { panic!("not reconciled") };
    assert_eq!(all.repository, world.repository);
    let standing = |number| all.pulls.iter().find(|fact| fact.pull.number == number).map(|fact| fact.pull.standing);
    assert_eq!(standing(open), Some(PullStanding::Open));
    assert!(matches!(standing(merged), Some(PullStanding::Merged { commit: Some(_) })));
    assert_eq!(all.comments.iter().map(|comment| &*comment.body).collect::<Vec<_>>(), ["/retest"]);
    let mut refs: Vec<&str> = all.refs.iter().map(|push| push.git_ref.as_str()).collect();
    refs.sort_unstable();
    assert_eq!(refs, ["refs/heads/main", "refs/heads/second", "refs/heads/topic", "refs/tags/v1"]);
    let states: Vec<_> = all.deployments.iter().map(|one| (one.id, one.state)).collect();
    assert_eq!(states, [(deployment, Some(DeploymentState::Success))]);
}

#[tokio::test]
async fn the_guard_holds_and_conflicts_are_told() {
    let world = World::start(false).await;
    let (pull, _) = world.open_pull("topic").await;
    let merge = |pull, head_sha| Effect::Merge {
        pull,
        head_sha,
        base_ref: RefName::branch("main"),
        method: MergeMethod::Squash,
    };
    let other = Sha::parse("ec26c3e57ca3a959ca5aad62de7213c562f8c821").unwrap();
    assert_eq!(world.perform("merge", merge(pull, other), false).await, Outcome::Refused(Refusal::HeadMoved));
    let file = json!({ "message": "the same file", "content": STANDARD.encode("other\n"), "branch": "main" });
    world.octocat("PUT", &format!("/repos/{NAME}/contents/topic.txt"), file).await;
    let read = world.read_pull(pull).await;
    let outcome = world.perform("merge", merge(pull, read.fact.pull.head_sha), false).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::Conflict { base_sha: read.base_tip }));
}

#[tokio::test]
async fn permissions_belong_to_ids() {
    let world = World::start(false).await;
    let ask = |id: u64, login: &str| Effect::ReadPermission(User { id: UserId(id), login: login.into() });
    for (id, login, permission) in [
        (583_231, "octocat", Permission::Admin),
        (480_938, "hubot", Permission::Write),
        (583_231, "hubot", Permission::None),
        (1, "nobody-at-all", Permission::None),
    ] {
        assert_eq!(world.done("p", ask(id, login), false).await, Told::Permission(permission), "{login} {id}");
    }
    assert_eq!(world.client.own_user().await.unwrap().id, UserId(583_231));
    assert!(world.client.hosted_actions(NAME).await.unwrap().is_some());
}

#[tokio::test]
async fn an_app_writes_check_runs() {
    let world = World::start(true).await;
    assert_eq!(&*world.client.own_user().await.unwrap().login, "greenlight[bot]");
    assert_eq!(world.client.repositories().await.unwrap().as_slice(), std::slice::from_ref(&world.repository));
    let (pull, head) = world.open_pull("topic").await;
    let show = |state, id| show(head, "greenlight / CI / test", state, ReportForm::CheckRun, id);
    let Told::CheckRun(id) = world.done("check", show(ReportState::Pending, None), false).await else {
        panic!("no check run")
    };
    assert_eq!(world.done("check", show(ReportState::Running, None), true).await, Told::CheckRun(id));
    assert_eq!(world.done("check", show(ReportState::Success, Some(id)), false).await, Told::CheckRun(id));
    let verdicts = world.read_pull(pull).await.verdicts;
    assert_eq!(verdicts, [(Context::from("greenlight / CI / test"), Verdicts::Success)]);
}

#[tokio::test]
async fn deliveries_that_never_arrived_are_sent_again() {
    let world = World::start(false).await;
    world.open_pull("topic").await;
    let missed = MissedDeliveries::new(world.client.clone(), "http://127.0.0.1:1/webhooks/github");
    let asked = async {
        loop {
            match missed.recover_repository(NAME, Timestamp::EPOCH).await.unwrap() {
                Recovery::Looked { asked, .. } if !asked.is_empty() => return asked,
                Recovery::Looked { .. } => tokio::task::yield_now().await,
                other => panic!("{other:?}"),
            }
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(20), asked).await.expect("the deliveries fail at once");
    assert!(!asked.is_empty());
}
