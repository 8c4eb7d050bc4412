//! GitHub's own payloads: all of them go through, and those that matter say what they should.

use greenlight_core::event::{DeploymentMaker, DeploymentState, PullStanding, Verdict, Verdicts};
use greenlight_core::fact::{Fact, Source};
use greenlight_core::id::{DeliveryId, Sha};
use greenlight_core::port::NewDelivery;
use greenlight_core::time::Timestamp;
use greenlight_github::delivery::delivery;
use greenlight_github::payload::{Reading, read};
use greenlight_github::secret::Secret;
use greenlight_github::signature::{Verifier, sign};
use serde_json::{Value, json};

use super::description::testdata;

pub fn json_delivery(event: &str, body: impl AsRef<[u8]>) -> NewDelivery {
    NewDelivery {
        id: DeliveryId::from("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        event: event.into(),
        hook: None,
        form: false,
        received_at: Timestamp::from_millis(1_557_933_657_000),
        body: body.as_ref().into(),
        digest: [7; 32],
    }
}

fn form_delivery(event: &str, payload: &str) -> NewDelivery {
    let body = form_urlencoded::Serializer::new(String::new()).append_pair("payload", payload).finish();
    let headers = [
        ("X-GitHub-Event", event),
        ("X-GitHub-Delivery", "g-1"),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    let find = |name: &str| headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let secret = Secret::new("It's a Secret to Everybody").unwrap();
    let signature = sign(&secret, body.as_bytes());
    let signed = Verifier::new(&[secret]).unwrap().verify(body.as_bytes(), Some(&signature), None).unwrap();
    delivery(find, &signed, body.as_bytes(), Timestamp::EPOCH).unwrap()
}

/// Collected and made ones: event and payload.
pub fn payloads() -> Vec<(String, Value)> {
    let of = |name: &str| match testdata(name) {
        Value::Array(items) => items,
        _ => panic!("{name} is no list"),
    };
    let all = of("webhooks-examples/examples.json.zst").into_iter().chain(of("webhooks-generated/payloads.json.zst"));
    all.map(|item| (item["event"].as_str().unwrap().to_owned(), item["payload"].clone())).collect()
}

fn facts(event: &str, payload: &Value) -> Vec<Fact> {
    match read(&json_delivery(event, payload.to_string())) {
        Reading::Facts { facts, .. } => facts,
        other => panic!("{event}: {other:?}"),
    }
}

fn ignored(event: &str, payload: &Value) -> bool {
    matches!(read(&json_delivery(event, payload.to_string())), Reading::Ignored { .. })
}

/// Collected ones of this event and action.
fn examples(event: &str, action: &str) -> Vec<Value> {
    let found = payloads().into_iter().take(329).filter(|(name, payload)| {
        name == event && payload.get("action").and_then(Value::as_str).unwrap_or("") == action
    });
    let found: Vec<Value> = found.map(|(_, payload)| payload).collect();
    assert!(!found.is_empty(), "no {event} {action}");
    found
}

fn changed(mut payload: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        *payload.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value.clone();
    }
    payload
}

#[test]
fn all_of_github_s_payloads_go_through() {
    let all = payloads();
    assert_eq!(all.len(), 329 + 518);
    let mut with_facts = 0;
    for (event, payload) in &all {
        let text = payload.to_string();
        let as_json = read(&json_delivery(event, &text));
        if let Reading::Unreadable { reason } = &as_json {
            panic!("{event} {}: {reason}", payload["action"]);
        }
        match (as_json, read(&form_delivery(event, &text))) {
            (Reading::Facts { facts, repository }, Reading::Facts { facts: by_form, repository: same }) => {
                with_facts += 1;
                assert_eq!((facts.len(), repository), (by_form.len(), same), "{event}");
            }
            (Reading::Ignored { reason }, Reading::Ignored { reason: same }) => assert_eq!(reason, same),
            (as_json, as_form) => panic!("{event}: {as_json:?} as JSON, {as_form:?} as a form"),
        }
    }
    assert!(with_facts > 250, "{with_facts}");
}

#[test]
fn the_payload_is_kept_whole() {
    let payload = &examples("pull_request", "opened")[0];
    let text = serde_json::to_string_pretty(payload).unwrap();
    for delivery in [json_delivery("pull_request", &text), form_delivery("pull_request", &text)] {
        let Reading::Facts { facts, .. } = read(&delivery) else { panic!("it is readable") };
        let [Fact::Pull(fact)] = facts.as_slice() else { panic!("{facts:?}") };
        assert_eq!(
            (&*fact.event.payload, &*fact.event.name, fact.event.action.as_deref()),
            (&*text, "pull_request", Some("opened"))
        );
        assert_eq!((fact.event.sender.id.0, &*fact.event.sender.login), (21_031_067, "Codertocat"));
    }
}

#[test]
fn a_pull_request_is_seen_as_it_stood() {
    let payload = &examples("pull_request", "opened")[0];
    let facts = facts("pull_request", payload);
    let [Fact::Pull(fact)] = facts.as_slice() else { panic!("{facts:?}") };
    assert_eq!(fact.source, Source::Webhook);
    assert_eq!(fact.pull.standing, PullStanding::Open);
    assert_eq!(fact.pull.number.0, payload["number"].as_u64().unwrap());
    assert_eq!(fact.pull.head_sha.to_string(), payload["pull_request"]["head"]["sha"].as_str().unwrap());
    assert_eq!(fact.pull.head_repo.map(|id| id.0), payload["pull_request"]["head"]["repo"]["id"].as_u64());
    assert_eq!(fact.pull.base_ref.as_str(), "refs/heads/master");
    assert_eq!(fact.pull.author.id.0, 21_031_067);
    assert_eq!(fact.pull.updated_at, Timestamp::from_millis(1_557_933_633_000));
    assert!(fact.pull.head_pushed_at.is_some());
}

#[test]
fn a_merged_pull_request_tells_what_landed() {
    let closed = examples("pull_request", "closed").remove(0);
    let standing = |payload: &Value| match facts("pull_request", payload).remove(0) {
        Fact::Pull(fact) => fact.pull.standing,
        other => panic!("{other:?}"),
    };
    let merge = "ec26c3e57ca3a959ca5aad62de7213c562f8c821";
    let merged = changed(
        closed.clone(),
        &[("/pull_request/merged", true.into()), ("/pull_request/merge_commit_sha", merge.into())],
    );
    assert_eq!(standing(&merged), PullStanding::Merged { commit: Some(Sha::parse(merge).unwrap()) });
    let late = changed(merged, &[("/pull_request/merge_commit_sha", Value::Null)]);
    assert_eq!(standing(&late), PullStanding::Merged { commit: None });
    assert_eq!(standing(&changed(closed, &[("/pull_request/merged", false.into())])), PullStanding::Closed);
}

#[test]
fn what_is_gone_from_a_pull_request_is_no_trouble() {
    let opened = examples("pull_request", "opened").remove(0);
    let gone = changed(opened, &[("/pull_request/head/repo", Value::Null), ("/pull_request/user", Value::Null)]);
    let Fact::Pull(fact) = facts("pull_request", &gone).remove(0) else { panic!("it is a pull request") };
    assert_eq!((fact.pull.head_repo, fact.pull.author.id.0), (None, 0));
}

#[test]
fn pushes_of_branches_and_tags() {
    for payload in examples("push", "") {
        let Fact::Push(push) = facts("push", &payload).remove(0) else { panic!("it is a push") };
        assert_eq!(push.git_ref.as_str(), payload["ref"].as_str().unwrap());
        assert_eq!(push.after.is_zero(), payload["deleted"].as_bool().unwrap());
        assert_eq!(push.before.is_zero(), payload["created"].as_bool().unwrap());
        assert_eq!(push.pushed_at, Timestamp::from_millis(1_557_933_657_000));
    }
    let payload = examples("push", "").remove(0);
    let in_words = changed(payload.clone(), &[("/repository/pushed_at", "2019-05-15T15:20:57Z".into())]);
    let Fact::Push(push) = facts("push", &in_words).remove(0) else { panic!("it is a push") };
    assert_eq!(push.pushed_at, Timestamp::from_millis(1_557_933_657_000));
    assert!(ignored("push", &changed(payload, &[("/ref", "refs/notes/x".into())])));
}

#[test]
fn reviews_count_as_they_stand() {
    let submitted = examples("pull_request_review", "submitted").remove(0);
    let verdict = |state: &str| {
        let payload = changed(submitted.clone(), &[("/review/state", state.into())]);
        match facts("pull_request_review", &payload).remove(0) {
            Fact::Review { review, .. } => review.verdict,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(verdict("approved"), Verdict::Approved);
    assert_eq!(verdict("CHANGES_REQUESTED"), Verdict::ChangesRequested);
    assert_eq!(verdict("dismissed"), Verdict::Dismissed);
    assert_eq!(verdict("something new"), Verdict::Commented);
}

#[test]
fn only_a_new_comment_on_a_pull_request_is_a_command() {
    let mut created = examples("issue_comment", "created").remove(0);
    let kinds = |payload: &Value| {
        let facts = facts("issue_comment", payload);
        facts.iter().map(|fact| if matches!(fact, Fact::Comment(_)) { 'c' } else { 'e' }).collect::<String>()
    };
    created["issue"].as_object_mut().unwrap().remove("pull_request");
    assert_eq!(kinds(&created), "e");
    created["issue"]["pull_request"] = json!({ "url": "https://api.github.com/repos/o/r/pulls/1" });
    assert_eq!(kinds(&created), "ce");
    assert_eq!(kinds(&changed(created.clone(), &[("/action", "edited".into())])), "e");
    let Fact::Comment(comment) = facts("issue_comment", &created).remove(0) else { panic!("it is a comment") };
    assert_eq!(comment.pull.0, created["issue"]["number"].as_u64().unwrap());
}

#[test]
fn verdicts_of_others() {
    let status = examples("status", "").remove(0);
    let says = |event: &str, payload: &Value| match facts(event, payload).remove(0) {
        Fact::Verdict { verdict, context, .. } => (context.to_string(), verdict),
        other => panic!("{other:?}"),
    };
    let context = status["context"].as_str().unwrap();
    for (state, verdict) in
        [("success", Verdicts::Success), ("error", Verdicts::NotSuccess), ("pending", Verdicts::Pending)]
    {
        assert_eq!(
            says("status", &changed(status.clone(), &[("/state", state.into())])),
            (context.to_owned(), verdict)
        );
    }
    let run = changed(examples("check_run", "completed").remove(0), &[("/check_run/conclusion", "skipped".into())]);
    assert_eq!(says("check_run", &run), (run["check_run"]["name"].as_str().unwrap().to_owned(), Verdicts::NotSuccess));
    assert!(ignored("check_run", &examples("check_run", "rerequested")[0]));
}

#[test]
fn deployments_are_read_where_they_stand() {
    let mut created = examples("deployment", "created").remove(0);
    created["deployment"]["payload"] = json!({ "greenlight": { "key": "k" } });
    let snapshot = |payload: &Value| match facts("deployment", payload).remove(0) {
        Fact::Deployment { deployment, event: Some(_) } => deployment,
        other => panic!("{other:?}"),
    };
    assert_eq!(snapshot(&created).key.unwrap().as_str(), "k");
    assert_eq!(snapshot(&created).maker, DeploymentMaker::Anyone);
    let as_text = changed(created.clone(), &[("/deployment/payload", r#"{"greenlight":{"key":"k"}}"#.into())]);
    assert_eq!(snapshot(&as_text).key, snapshot(&created).key);
    let by_bot = changed(created.clone(), &[("/deployment/creator/login", "github-actions[bot]".into())]);
    assert_eq!(snapshot(&by_bot).maker, DeploymentMaker::Actions);
    let mut by_app = created;
    by_app["deployment"]["performed_via_github_app"] = json!({ "id": 15_368, "slug": "github-actions" });
    assert_eq!(snapshot(&by_app).maker, DeploymentMaker::Actions);
}

#[test]
fn an_inactive_deployment_starts_nothing() {
    let status = examples("deployment_status", "created").remove(0);
    let active = changed(status.clone(), &[("/deployment_status/state", "success".into())]);
    let facts_of = |payload: &Value| facts("deployment_status", payload);
    let [Fact::Deployment { deployment, event: None }, Fact::Event { .. }] = &facts_of(&active)[..] else {
        panic!("two facts")
    };
    assert_eq!(deployment.state, Some(DeploymentState::Success));
    let inactive = changed(status, &[("/deployment_status/state", "inactive".into())]);
    assert_eq!(facts_of(&inactive).len(), 1);
}

#[test]
fn other_events_say_what_they_are_about() {
    let about = |event: &str, payload: &Value| match facts(event, payload).pop() {
        Some(Fact::Event { subject, git_ref, .. }) => (subject.to_string(), git_ref.map(|name| name.to_string())),
        other => panic!("{other:?}"),
    };
    let created = examples("create", "").remove(0);
    let tag = created["ref"].as_str().unwrap();
    assert_eq!(about("create", &created), (format!("refs/tags/{tag}"), Some(format!("refs/tags/{tag}"))));
    assert_eq!(about("delete", &examples("delete", "")[0]).1, None);
    assert_eq!(about("workflow_dispatch", &examples("workflow_dispatch", "")[0]).1.as_deref(), Some("refs/heads/main"));
    assert_eq!(about("repository_dispatch", &examples("repository_dispatch", "on-demand-test")[0]).1, None);
    let issue = examples("issues", "labeled").remove(0);
    let (subject, _) = about("issues", &issue);
    assert_eq!(subject, format!("{} labeled {}", issue["issue"]["id"], issue["issue"]["updated_at"].as_str().unwrap()));
    let release = examples("release", "published").remove(0);
    let tag = release["release"]["tag_name"].as_str().unwrap();
    assert_eq!(about("release", &release).1, Some(format!("refs/tags/{tag}")));
}

#[test]
fn a_renamed_repository_is_told() {
    let Fact::Repository(repository) = facts("repository", &examples("repository", "renamed")[0]).remove(0) else {
        panic!("no")
    };
    assert!(repository.full_name.contains('/'));
    assert!(ignored("ping", &examples("ping", "")[0]));
    assert!(ignored("installation", &examples("installation", "created")[0]));
    assert!(ignored("an_event_of_next_year", &json!({ "action": "new" })));
}

#[test]
fn what_cannot_be_read_says_why() {
    let reason = |delivery: &NewDelivery| match read(delivery) {
        Reading::Unreadable { reason } => reason.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(reason(&json_delivery("push", "no JSON")).contains("not a JSON object"));
    assert!(reason(&json_delivery("push", "{\"ref\": ")).contains("EOF"));
    assert!(reason(&json_delivery("push", b"\xff\xfe")).contains("UTF-8"));
    assert!(reason(&json_delivery("push", "{}")).contains("`ref`"));
    let form = NewDelivery { form: true, ..json_delivery("push", "a=1") };
    assert!(reason(&form).contains("`payload`"));
    let mut opened = examples("pull_request", "opened").remove(0);
    opened["pull_request"]["head"]["sha"] = "short".into();
    assert_eq!(
        reason(&json_delivery("pull_request", opened.to_string())),
        "pull_request.head.sha is not a commit's full SHA"
    );
    opened.as_object_mut().unwrap().remove("repository");
    assert!(!reason(&json_delivery("pull_request", opened.to_string())).is_empty());
}
