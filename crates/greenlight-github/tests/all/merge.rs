//! Merging: the guard, what landed, and every way to be refused.

use greenlight_core::effect::{Answer as Told, Effect, MergeMethod, Outcome, Refusal};
use greenlight_core::id::{PullNumber, RefName};
use serde_json::{Value, json};

use super::samples::{BASE, HEAD, LANDED, TREE, perform, pull_json, sha};
use super::stub::{Answer, Stub};

const MERGE: &str = "PUT /repos/octocat/Spoon-Knife/pulls/3/merge";
const PULL: &str = "GET /repos/octocat/Spoon-Knife/pulls/3";

fn effect() -> Effect {
    Effect::Merge {
        pull: PullNumber(3),
        head_sha: sha(HEAD),
        base_ref: RefName::branch("main"),
        method: MergeMethod::Squash,
    }
}

fn landed() -> Outcome {
    Outcome::Done(Told::Merged { sha: sha(LANDED), tree: sha(TREE) })
}

/// Answers the merge with `merge`, and reads with the pull request as it is after these changes.
async fn stub(merge: fn() -> Answer, changes: Value) -> Stub {
    Stub::start(move |seen| match &*seen.line() {
        MERGE => merge(),
        PULL => Answer::ok(pull_json(3, changes.clone())),
        "GET /repos/octocat/Spoon-Knife/git/commits/2ffea6db159f6b6c47a24e778fb9ef40cf6b1c7d" => {
            Answer::ok(json!({ "sha": LANDED, "tree": { "sha": TREE } }))
        }
        "GET /repos/octocat/Spoon-Knife/branches/main" => {
            Answer::ok(json!({ "name": "main", "commit": { "sha": BASE } }))
        }
        line => Answer::no(404, line),
    })
    .await
}

fn merged() -> Value {
    json!({ "state": "closed", "merged": true, "merge_commit_sha": LANDED })
}

#[tokio::test]
async fn what_landed_is_told_with_its_tree() {
    let stub = stub(|| Answer::ok(json!({ "sha": LANDED, "merged": true, "message": "ok" })), json!({})).await;
    assert_eq!(perform(&stub, effect(), 1, false).await, landed());
    assert_eq!(stub.body_of(MERGE), json!({ "sha": HEAD, "merge_method": "squash" }));
}

#[tokio::test]
async fn a_merge_whose_answer_was_lost_is_read_back() {
    let lost = stub(Answer::nothing, merged()).await;
    assert!(matches!(perform(&lost, effect(), 1, false).await, Outcome::Unknown { .. }));
    assert_eq!(perform(&lost, effect(), 2, true).await, landed());
    assert_eq!(lost.lines().iter().filter(|line| *line == MERGE).count(), 1, "it is not merged twice");
    let failed = stub(|| Answer::no(502, ""), json!({})).await;
    assert!(matches!(perform(&failed, effect(), 1, false).await, Outcome::Unknown { .. }));
    let moved = stub(Answer::nothing, json!({ "head": { "ref": "topic", "sha": BASE } })).await;
    assert_eq!(perform(&moved, effect(), 2, true).await, Outcome::Refused(Refusal::HeadMoved));
    let closed = stub(Answer::nothing, json!({ "state": "closed" })).await;
    assert_eq!(perform(&closed, effect(), 2, true).await, Outcome::Refused(Refusal::Other("it was closed".into())));
}

#[tokio::test]
async fn a_tree_that_cannot_be_read_leaves_the_answer_open() {
    let stub = Stub::start(|seen| match &*seen.line() {
        MERGE => Answer::ok(json!({ "sha": LANDED, "merged": true })),
        _ => Answer::no(404, "Not Found"),
    })
    .await;
    assert!(matches!(perform(&stub, effect(), 1, false).await, Outcome::Unknown { .. }));
    let late = json!({ "state": "closed", "merged": true, "merge_commit_sha": null });
    let late = self::stub(Answer::nothing, late).await;
    assert!(matches!(perform(&late, effect(), 2, true).await, Outcome::Unknown { .. }));
}

#[tokio::test]
async fn every_refusal_has_its_name() {
    let not_mergeable = || Answer::no(405, "Pull Request is not mergeable");
    let base_modified = || Answer::no(405, "Base branch was modified. Review and try the merge again.");
    let check_expected = || Answer::no(405, "Required status check \"greenlight\" is expected.");
    let head_modified = || Answer::no(409, "Head branch was modified. Review and try the merge again.");
    let review_wanted = || Answer::no(405, "At least 1 approving review is required by reviewers with write access.");
    let dirty = json!({ "mergeable": false, "mergeable_state": "dirty" });
    let computing = json!({ "mergeable": null, "mergeable_state": "unknown" });
    let blocked = json!({ "mergeable_state": "blocked" });
    type Case = (fn() -> Answer, Value, Outcome);
    let cases: [Case; 4] = [
        (head_modified, json!({}), Outcome::Refused(Refusal::HeadMoved)),
        (not_mergeable, dirty, Outcome::Refused(Refusal::Conflict { base_sha: sha(BASE) })),
        (not_mergeable, merged(), landed()),
        (
            review_wanted,
            blocked,
            Outcome::Refused(Refusal::Other(
                "At least 1 approving review is required by reviewers with write access.".into(),
            )),
        ),
    ];
    for (merge, changes, expected) in cases {
        let stub = stub(merge, changes.clone()).await;
        assert_eq!(perform(&stub, effect(), 1, false).await, expected, "{changes}");
    }
    for (merge, changes) in
        [(base_modified as fn() -> Answer, json!({})), (check_expected, json!({})), (not_mergeable, computing)]
    {
        let stub = stub(merge, changes.clone()).await;
        let outcome = perform(&stub, effect(), 1, false).await;
        assert!(matches!(outcome, Outcome::Refused(Refusal::NotYet(_))), "{changes}: {outcome:?}");
    }
}

#[tokio::test]
async fn other_answers_end_as_everywhere() {
    let gone = stub(|| Answer::no(404, "Not Found"), json!({})).await;
    assert!(matches!(perform(&gone, effect(), 1, false).await, Outcome::Refused(Refusal::Gone(_))));
    let forbidden = stub(|| Answer::no(403, "Resource not accessible"), json!({})).await;
    assert!(matches!(perform(&forbidden, effect(), 1, false).await, Outcome::Refused(Refusal::Forbidden(_))));
    let limited = stub(|| Answer::no(403, "secondary").header("retry-after", "9"), json!({})).await;
    assert!(matches!(perform(&limited, effect(), 1, false).await, Outcome::Later { not_before: Some(_), .. }));
}
