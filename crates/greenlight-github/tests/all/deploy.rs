//! Deployments: made once, found again, refused by name; and their states.

use greenlight_core::effect::{Answer as Told, Effect, Outcome, Refusal};
use greenlight_core::event::DeploymentState;
use greenlight_core::id::DeploymentId;
use greenlight_core::shown::{Link, ShownDeployment};
use serde_json::{Value, json};

use super::samples::{LANDED, deployment_json, perform, reason, sha};
use super::stub::{Answer, Stub};

const CREATE: &str = "POST /repos/octocat/Spoon-Knife/deployments";
const STATUSES: &str = "POST /repos/octocat/Spoon-Knife/deployments/12/statuses";

fn create() -> Effect {
    Effect::CreateDeployment {
        sha: sha(LANDED),
        environment: "staging".into(),
        description: "#3: A change".into(),
        production: false,
    }
}

fn made(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Done(Told::Deployment(snapshot)) => Some(snapshot.id.0),
        _ => None,
    }
}

#[tokio::test]
async fn a_deployment_is_asked_for_with_our_key() {
    let stub = Stub::start(|_| Answer::new(201, deployment_json(12, "key-1"))).await;
    let outcome = perform(&stub, create(), 1, false).await;
    assert_eq!(made(&outcome), Some(12));
    assert_eq!(
        stub.body_of(CREATE),
        json!({
            "ref": LANDED, "task": "deploy", "auto_merge": false, "required_contexts": ["greenlight"],
            "payload": { "greenlight": { "key": "key-1" } }, "environment": "staging", "description": "#3: A change",
            "production_environment": false,
        })
    );
}

#[tokio::test]
async fn a_deployment_that_an_earlier_try_made_is_found_by_its_key() {
    let as_text = |id: u64, key: &str| {
        let mut deployment = deployment_json(id, key);
        deployment["payload"] = deployment["payload"].to_string().into();
        deployment
    };
    let stub = Stub::start(move |seen| match &*seen.method {
        "GET" => Answer::ok(json!([deployment_json(13, "another"), as_text(12, "key-1"), { "id": 1 }])),
        _ => Answer::new(201, deployment_json(14, "key-1")),
    })
    .await;
    // One that GitHub would never list makes the list unreadable, and nothing is made blindly.
    assert!(matches!(perform(&stub, create(), 2, true).await, Outcome::Unknown { .. }));
    let stub = Stub::start(move |seen| match &*seen.method {
        "GET" => Answer::ok(json!([deployment_json(13, "another"), as_text(12, "key-1")])),
        _ => Answer::new(201, deployment_json(14, "key-1")),
    })
    .await;
    assert_eq!(made(&perform(&stub, create(), 2, true).await), Some(12));
    assert_eq!(stub.seen().len(), 1);
    assert_eq!(stub.seen()[0].query, format!("sha={LANDED}&environment=staging&per_page=100"));
    let none = Stub::start(|seen| match &*seen.method {
        "GET" => Answer::ok(json!([])),
        _ => Answer::new(201, deployment_json(14, "key-1")),
    })
    .await;
    assert_eq!(made(&perform(&none, create(), 2, true).await), Some(14));
}

#[tokio::test]
async fn the_dialogue_about_a_deployment() {
    async fn ask(status: u16, body: Value, tried: u32) -> Outcome {
        let stub = Stub::start(move |_| Answer::new(status, body.clone())).await;
        perform(&stub, create(), tried, false).await
    }
    let auto_merged = ask(202, json!({ "message": "Auto-merged main into x on deployment." }), 1).await;
    assert_eq!(auto_merged, Outcome::Done(Told::AutoMerged));
    let unproven = json!({
        "message": "Conflict: Commit status checks failed for x.",
        "errors": [{ "contexts": [{ "context": "lint", "state": "failure" }], "resource": "Deployment", "code": "invalid" }],
    });
    let outcome = ask(409, unproven, 1).await;
    assert!(matches!(outcome, Outcome::Later { .. }), "{outcome:?}");
    assert_eq!(
        &*reason(&outcome),
        "the commit is not green for GitHub: lint is failure, greenlight was never reported"
    );
    let conflict = ask(409, json!({ "message": "Conflict merging main into x." }), 1).await;
    assert_eq!(conflict, Outcome::Refused(Refusal::Other("Conflict merging main into x.".into())));
    let unseen = json!({ "message": "No ref found for: x" });
    assert!(matches!(ask(422, unseen.clone(), 1).await, Outcome::Later { .. }));
    assert!(matches!(ask(422, unseen, 4).await, Outcome::Refused(Refusal::Gone(_))));
    assert!(matches!(
        ask(422, json!({ "message": "Validation Failed" }), 1).await,
        Outcome::Refused(Refusal::Other(_))
    ));
    assert!(matches!(ask(500, json!({}), 1).await, Outcome::Unknown { .. }));
}

fn show(state: DeploymentState, environment_url: &str) -> Effect {
    let shown = ShownDeployment {
        state,
        description: "deployed in 3 s".into(),
        log: Some(Link::Environments),
        environment_url: Some(environment_url.into()),
    };
    Effect::ShowDeployment { id: DeploymentId(12), shown }
}

#[tokio::test]
async fn a_state_is_shown_with_its_addresses() {
    for (state, word) in [
        (DeploymentState::Pending, "pending"),
        (DeploymentState::Queued, "queued"),
        (DeploymentState::InProgress, "in_progress"),
        (DeploymentState::Success, "success"),
        (DeploymentState::Failure, "failure"),
        (DeploymentState::Error, "error"),
        (DeploymentState::Inactive, "inactive"),
    ] {
        let stub = Stub::start(|_| Answer::new(201, json!({}))).await;
        assert_eq!(
            perform(&stub, show(state, "https://staging.example"), 1, false).await,
            Outcome::Done(Told::Nothing)
        );
        assert_eq!(
            stub.body_of(STATUSES),
            json!({
                "state": word, "description": "deployed in 3 s", "environment_url": "https://staging.example",
                "log_url": "https://ci.example.org/octocat/Spoon-Knife/environments",
            })
        );
    }
    let odd = Stub::start(|_| Answer::new(201, json!({}))).await;
    perform(&odd, show(DeploymentState::Success, "javascript:alert(1)"), 1, false).await;
    assert_eq!(odd.body_of(STATUSES).get("environment_url"), None);
}

#[tokio::test]
async fn a_state_that_is_shown_already_is_not_shown_again() {
    let stub = Stub::start(|seen| match &*seen.method {
        "GET" => Answer::ok(json!([
            { "id": 1, "state": "in_progress" },
            { "id": 2, "state": "success", "description": "deployed in 3 s", "environment_url": "https://staging.example",
              "log_url": "https://ci.example.org/octocat/Spoon-Knife/environments" },
        ])),
        _ => Answer::new(201, json!({})),
    })
    .await;
    let success = show(DeploymentState::Success, "https://staging.example");
    assert_eq!(perform(&stub, success, 2, true).await, Outcome::Done(Told::Nothing));
    assert_eq!(stub.seen().len(), 1);
    let failure = show(DeploymentState::Failure, "https://staging.example");
    assert_eq!(perform(&stub, failure, 2, true).await, Outcome::Done(Told::Nothing));
    assert_eq!(stub.lines().last().unwrap(), STATUSES);
}
