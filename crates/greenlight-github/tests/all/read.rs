//! Reading: a pull request with what its merge depends on, and everything at once.

use greenlight_core::effect::{Answer as Told, Effect, Outcome, PullRead, Reconciled, Refusal};
use greenlight_core::event::{BranchRules, DeploymentState, PullStanding, Verdict, Verdicts};
use greenlight_core::fact::Source;
use greenlight_core::id::{Context, PullNumber};
use greenlight_core::time::Timestamp;
use serde_json::{Value, json};

use super::samples::{BASE, HEAD, LANDED, deployment_json, perform, pull_json, repository_json, sha, user_json};
use super::stub::{Answer, Seen, Stub};

/// A GitHub with two open pull requests and a merged one. Admins see more.
fn world(seen: &Seen, is_admin: bool) -> Answer {
    let rest = seen.path.strip_prefix("/repos/octocat/Spoon-Knife").unwrap_or("elsewhere");
    match rest {
        "" => Answer::ok(repository_json()),
        "/pulls" => Answer::ok(json!([pull_json(3, json!({})), pull_json(4, json!({ "draft": true }))])),
        "/pulls/3" => Answer::ok(pull_json(3, json!({}))),
        "/pulls/2" => {
            Answer::ok(pull_json(2, json!({ "state": "closed", "merged": true, "merge_commit_sha": LANDED })))
        }
        "/pulls/3/reviews" => Answer::ok(json!([
            { "id": 1, "state": "CHANGES_REQUESTED", "user": user_json(1, "octocat"), "commit_id": BASE },
            { "id": 2, "state": "APPROVED", "user": user_json(1, "octocat"), "commit_id": HEAD },
        ])),
        "/pulls/4/reviews" => Answer::ok(json!([])),
        "/issues/3/comments" => Answer::ok(json!([
            { "id": 20, "body": "Nice.", "user": user_json(1, "octocat"), "created_at": "2026-01-02T03:04:05Z" },
            { "id": 21, "body": "/merge", "user": user_json(1, "octocat"), "created_at": "2026-01-02T03:04:05Z" },
        ])),
        "/issues/4/comments" => Answer::ok(json!([])),
        "/branches/main" => Answer::ok(json!({
            "name": "main", "commit": { "sha": BASE }, "protected": true,
            "protection": { "enabled": true, "required_status_checks": { "contexts": ["greenlight"] } },
        })),
        "/branches/main/protection" if is_admin => Answer::ok(json!({
            "required_status_checks": { "contexts": ["greenlight", "lint"] },
            "required_pull_request_reviews": { "required_approving_review_count": 1 },
        })),
        "/rules/branches/main" if is_admin => Answer::ok(json!([
            { "type": "pull_request", "parameters": { "required_approving_review_count": 2 } },
            { "type": "required_status_checks", "parameters": { "required_status_checks": [{ "context": "security" }] } },
            { "type": "a_rule_of_next_year" },
        ])),
        "/commits/6113728f27ae82c7b1a177c8d03f9e96e0adf246/status" => {
            Answer::ok(json!({ "state": "pending", "statuses": [
            { "context": "lint", "state": "success" }, { "context": "docs", "state": "pending" },
        ] }))
        }
        "/commits/6113728f27ae82c7b1a177c8d03f9e96e0adf246/check-runs" => {
            Answer::ok(json!({ "total_count": 1, "check_runs": [
            { "id": 9, "name": "lint", "status": "completed", "conclusion": "neutral" },
        ] }))
        }
        "/git/matching-refs/heads" => Answer::ok(json!([
            { "ref": "refs/heads/main", "object": { "sha": BASE, "type": "commit" } },
            { "ref": "refs/headstrong/x", "object": { "sha": BASE, "type": "commit" } },
        ])),
        "/git/matching-refs/tags" => {
            Answer::ok(json!([{ "ref": "refs/tags/v1", "object": { "sha": LANDED, "type": "tag" } }]))
        }
        "/deployments" => {
            let mut old = deployment_json(11, "old");
            old["created_at"] = "2025-01-01T00:00:00Z".into();
            Answer::ok(json!([deployment_json(12, "key-1"), old, { "id": "never looked at" }]))
        }
        "/deployments/12/statuses" => {
            Answer::ok(json!([{ "id": 2, "state": "in_progress" }, { "id": 1, "state": "queued" }]))
        }
        _ => Answer::no(404, "Not Found"),
    }
}

fn pull_read(outcome: Outcome) -> PullRead {
    match outcome {
        Outcome::Done(Told::Pull(read)) => *read,
        other => panic!("{other:?}"),
    }
}

fn contexts(names: &[&str]) -> Vec<Context> {
    names.iter().copied().map(Context::from).collect()
}

#[tokio::test]
async fn a_pull_request_is_read_with_what_its_merge_depends_on() {
    let stub = Stub::start(|seen| world(seen, true)).await;
    let read = pull_read(perform(&stub, Effect::ReadPull(PullNumber(3)), 1, false).await);
    assert_eq!((read.fact.pull.head_sha, read.base_tip, read.fact.source), (sha(HEAD), sha(BASE), Source::Read));
    let verdicts: Vec<Verdict> = read.reviews.iter().map(|review| review.verdict).collect();
    assert_eq!(verdicts, [Verdict::ChangesRequested, Verdict::Approved]);
    assert_eq!(read.rules, Some(BranchRules { required: contexts(&["greenlight", "lint", "security"]), approvals: 2 }));
    // A status and a check run of one name are both required: the worse counts.
    let expected = [(Context::from("docs"), Verdicts::Pending), (Context::from("lint"), Verdicts::NotSuccess)];
    assert_eq!(read.verdicts, expected);
    assert!((2..=6).contains(&stub.open_most()), "{} at a time", stub.open_most());
}

const ACTIVITY: &str = "/repos/octocat/Spoon-Knife/activity";

/// Returns what a read of the third pull request says of when its head was pushed, where this is told of its branch.
async fn head_pushed_at(told: impl Fn(&Seen) -> Option<Answer> + Send + Sync + 'static) -> Option<Timestamp> {
    let stub = Stub::start(move |seen| told(seen).unwrap_or_else(|| world(seen, true))).await;
    pull_read(perform(&stub, Effect::ReadPull(PullNumber(3)), 1, false).await).fact.pull.head_pushed_at
}

fn activity(after: &str) -> Value {
    json!([{
        "id": 5, "node_id": "x", "before": BASE, "after": after, "ref": "refs/heads/topic",
        "timestamp": "2026-01-01T00:00:07Z", "activity_type": "push", "actor": user_json(2, "hubot"),
    }])
}

fn moment(text: &str) -> Option<Timestamp> {
    Some(Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond()))
}

#[tokio::test]
async fn since_when_a_head_is_what_it_is_tells_its_branch() {
    let told = head_pushed_at(|seen| {
        (seen.path == ACTIVITY).then(|| {
            assert_eq!(seen.query, "ref=refs%2Fheads%2Ftopic&per_page=1");
            Answer::ok(activity(HEAD))
        })
    });
    assert_eq!(told.await, moment("2026-01-01T00:00:07Z"));
    let of_fork = head_pushed_at(|seen| match &*seen.path {
        "/repos/octocat/Spoon-Knife/pulls/3" => {
            let mut pull = pull_json(3, json!({}));
            pull["head"]["ref"] = "a/b&c".into();
            pull["head"]["repo"]["full_name"] = "hubot/Spoon-Fork".into();
            Some(Answer::ok(pull))
        }
        "/repos/hubot/Spoon-Fork/activity" => {
            assert_eq!(seen.query, "ref=refs%2Fheads%2Fa%2Fb%26c&per_page=1");
            Some(Answer::ok(activity(HEAD)))
        }
        _ => None,
    });
    assert_eq!(of_fork.await, moment("2026-01-01T00:00:07Z"));
}

#[tokio::test]
async fn what_does_not_tell_of_this_head_changes_nothing() {
    let pushed_at = moment("2026-01-02T03:04:05Z");
    let answer_with = |status: u16, body: Value| {
        head_pushed_at(move |seen| (seen.path == ACTIVITY).then(|| Answer::new(status, body.clone())))
    };
    assert_eq!(answer_with(200, activity(LANDED)).await, pushed_at, "it was pushed to again");
    assert_eq!(answer_with(200, activity("no SHA")).await, pushed_at);
    assert_eq!(answer_with(200, json!([])).await, pushed_at);
    for status in [403, 404, 422] {
        assert_eq!(answer_with(status, json!({ "message": "no" })).await, pushed_at, "{status}");
    }
    for gone in [json!({ "state": "closed" }), json!({ "head": { "ref": "topic", "sha": HEAD, "repo": null } })] {
        let is_closed = gone["state"] == "closed";
        let told = head_pushed_at(move |seen| {
            assert_ne!(seen.path, ACTIVITY, "nobody can command it");
            (seen.path == "/repos/octocat/Spoon-Knife/pulls/3").then(|| Answer::ok(pull_json(3, gone.clone())))
        });
        assert_eq!(told.await, pushed_at.filter(|_| is_closed));
    }
}

#[tokio::test]
async fn a_head_whose_branch_cannot_be_asked_now_is_read_later() {
    let stub = Stub::start(|seen| match &*seen.path {
        ACTIVITY => Answer::no(502, "no"),
        _ => world(seen, true),
    })
    .await;
    let outcome = perform(&stub, Effect::ReadPull(PullNumber(3)), 1, false).await;
    assert!(matches!(outcome, Outcome::Later { .. }), "{outcome:?}");
}

#[tokio::test]
async fn without_admin_rights_the_branch_tells_what_it_requires() {
    let stub = Stub::start(|seen| world(seen, false)).await;
    let read = pull_read(perform(&stub, Effect::ReadPull(PullNumber(3)), 1, false).await);
    assert_eq!(read.rules, Some(BranchRules { required: contexts(&["greenlight"]), approvals: 0 }));
    let closed = Stub::start(|seen| match &*seen.path {
        "/repos/octocat/Spoon-Knife/branches/main" => {
            Answer::ok(json!({ "name": "main", "commit": { "sha": BASE }, "protected": true }))
        }
        _ => world(seen, false),
    })
    .await;
    assert_eq!(pull_read(perform(&closed, Effect::ReadPull(PullNumber(3)), 1, false).await).rules, None);
}

#[tokio::test]
async fn the_event_of_a_read_looks_like_a_webhook() {
    let stub = Stub::start(|seen| world(seen, true)).await;
    let event = pull_read(perform(&stub, Effect::ReadPull(PullNumber(3)), 1, false).await).fact.event;
    assert_eq!((&*event.name, event.action.as_deref(), event.sender.id.0), ("pull_request", Some("synchronize"), 2));
    let delivery = super::payloads::json_delivery("pull_request", &*event.payload);
    let greenlight_github::payload::Reading::Facts { repository, facts } = greenlight_github::payload::read(&delivery)
    else {
        panic!("a webhook of this shape is readable")
    };
    assert_eq!((repository, facts.len()), (super::samples::repository(), 1));
}

#[tokio::test]
async fn everything_is_read_at_once() {
    let stub = Stub::start(|seen| world(seen, true)).await;
    let since = Timestamp::from_millis(1_760_000_000_000);
    let effect =
        Effect::Reconcile { known_open: vec![PullNumber(2), PullNumber(3), PullNumber(77)], since, pulls_since: None };
    let Outcome::Done(Told::Reconciled(all)) = perform(&stub, effect, 1, false).await else { panic!("it can be read") };
    let Reconciled { repository, pulls, pulls_until: _, reviews, comments, refs, deployments } = *all;
    assert_eq!(repository, super::samples::repository());
    let seen: Vec<_> = pulls.iter().map(|fact| (fact.pull.number.0, fact.event.action.as_deref().unwrap())).collect();
    assert_eq!(seen, [(3, "synchronize"), (4, "opened"), (2, "closed")]);
    assert_eq!(pulls[2].pull.standing, PullStanding::Merged { commit: Some(sha(LANDED)) });
    assert_eq!(reviews.iter().map(|(pull, review)| (pull.0, review.id.0)).collect::<Vec<_>>(), [(3, 1), (3, 2)]);
    assert_eq!(comments.iter().map(|comment| (comment.pull.0, &*comment.body)).collect::<Vec<_>>(), [(3, "/merge")]);
    let tips: Vec<_> = refs.iter().map(|push| (push.git_ref.as_str(), push.after, push.before.is_zero())).collect();
    assert_eq!(tips, [("refs/heads/main", sha(BASE), true), ("refs/tags/v1", sha(LANDED), true)]);
    let payload: Value = serde_json::from_str(&refs[0].event.payload).unwrap();
    assert_eq!((payload["after"].as_str(), payload["repository"]["id"].as_u64()), (Some(BASE), Some(7)));
    assert_eq!(
        deployments.iter().map(|one| (one.id.0, one.state)).collect::<Vec<_>>(),
        [(12, Some(DeploymentState::InProgress))]
    );
}

#[tokio::test]
async fn what_was_merged_since_the_last_look_is_read_though_nobody_told() {
    let merged = |number: u64, merged_at: &str, updated_at: &str| {
        let at = json!({
            "state": "closed", "merged_at": merged_at, "updated_at": updated_at, "merge_commit_sha": LANDED,
        });
        pull_json(number, at)
    };
    let stub = Stub::start(move |seen| match &*seen.path {
        "/repos/octocat/Spoon-Knife/pulls" if seen.query.contains("state=all") => {
            assert!(seen.query.contains("sort=updated") && seen.query.contains("direction=desc"), "{}", seen.query);
            Answer::ok(json!([
                merged(9, "2026-01-03T00:00:00Z", "2026-01-03T00:00:05Z"),
                // Merged long ago, and talked about now.
                merged(5, "2025-06-01T00:00:00Z", "2026-01-03T00:00:04Z"),
                pull_json(8, json!({ "state": "closed", "updated_at": "2026-01-03T00:00:03Z" })),
                merged(7, "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
                merged(6, "2026-01-01T23:59:59Z", "2026-01-01T23:59:59Z"),
            ]))
        }
        _ => world(seen, true),
    })
    .await;
    let since = Timestamp::from_millis(1_760_000_000_000);
    let until = |text| Some(Timestamp::from_millis(text));
    let effect = Effect::Reconcile { known_open: vec![PullNumber(3)], since, pulls_since: until(1_767_312_000_000) };
    let outcome = perform(&stub, effect, 1, false).await;
    let Outcome::Done(Told::Reconciled(all)) = outcome else { panic!("{outcome:?}") };
    let seen: Vec<_> = all.pulls.iter().map(|fact| fact.pull.number.0).collect();
    assert_eq!((seen, all.pulls_until), (vec![3, 4, 9, 7], until(1_767_398_405_000)));
    let first = Effect::Reconcile { known_open: vec![PullNumber(3)], since, pulls_since: None };
    let Outcome::Done(Told::Reconciled(all)) = perform(&stub, first, 1, false).await else { panic!("it can be read") };
    let seen: Vec<_> = all.pulls.iter().map(|fact| fact.pull.number.0).collect();
    assert_eq!((seen, all.pulls_until), (vec![3, 4], until(1_767_398_405_000)), "what was before is history");
}

#[tokio::test]
async fn another_repository_of_the_same_name_is_not_ours() {
    let stub = Stub::start(|seen| match &*seen.path {
        "/repos/octocat/Spoon-Knife" => {
            let mut other = repository_json();
            other["id"] = 8.into();
            Answer::ok(other)
        }
        _ => world(seen, true),
    })
    .await;
    let effect = Effect::Reconcile { known_open: Vec::new(), since: Timestamp::EPOCH, pulls_since: None };
    assert!(matches!(perform(&stub, effect, 1, false).await, Outcome::Refused(Refusal::Gone(_))));
}

#[tokio::test]
async fn an_empty_repository_has_no_refs() {
    let stub = Stub::start(|seen| match seen.path.strip_prefix("/repos/octocat/Spoon-Knife").unwrap() {
        "" => Answer::ok(repository_json()),
        path if path.starts_with("/git/") => Answer::no(409, "Git Repository is empty."),
        _ => Answer::ok(json!([])),
    })
    .await;
    let effect = Effect::Reconcile { known_open: Vec::new(), since: Timestamp::EPOCH, pulls_since: None };
    let Outcome::Done(Told::Reconciled(all)) = perform(&stub, effect, 1, false).await else { panic!("it can be read") };
    assert_eq!((all.refs.len(), all.pulls.len()), (0, 0));
}

#[tokio::test]
async fn reads_that_fail_are_made_again_later() {
    for status in [401, 500, 502, 429] {
        let stub = Stub::start(move |_| Answer::no(status, "no")).await;
        let outcome = perform(&stub, Effect::ReadPull(PullNumber(3)), 1, false).await;
        assert!(matches!(outcome, Outcome::Later { .. }), "{status}: {outcome:?}");
    }
    let gone = Stub::start(|_| Answer::no(404, "Not Found")).await;
    assert!(matches!(
        perform(&gone, Effect::ReadPull(PullNumber(3)), 1, false).await,
        Outcome::Refused(Refusal::Gone(_))
    ));
}
