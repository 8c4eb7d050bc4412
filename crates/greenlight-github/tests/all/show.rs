//! Reports: statuses and check runs, and the one comment.

use std::sync::Arc;

use greenlight_core::effect::{Answer as Told, Effect, Outcome};
use greenlight_core::id::{CommentId, JobKey, PullNumber, RepoId, RunNumber};
use greenlight_core::port::{self, Reply};
use greenlight_core::shown::{Annotation, AnnotationLevel, Remarks, ReportForm, ReportState};
use greenlight_github::hands::GitHubHands;
use serde_json::{Value, json};

use super::samples::{HEAD, perform, perform_with, report};
use super::stub::{Answer, Stub};

const STATUSES: &str = "POST /repos/octocat/Spoon-Knife/statuses/6113728f27ae82c7b1a177c8d03f9e96e0adf246";
const CHECK_RUNS: &str = "POST /repos/octocat/Spoon-Knife/check-runs";
const CONTEXT: &str = "greenlight / CI / test (push)";

fn with_id(effect: Effect, id: u64) -> Effect {
    match effect {
        Effect::Show { sha, context, report, .. } => Effect::Show { sha, context, report, check_run: Some(id) },
        other => other,
    }
}

#[tokio::test]
async fn a_report_as_a_status() {
    for (state, word) in [
        (ReportState::Pending, "pending"),
        (ReportState::Running, "pending"),
        (ReportState::Success, "success"),
        (ReportState::Skipped, "success"),
        (ReportState::Failure, "failure"),
        (ReportState::Cancelled, "error"),
        (ReportState::Error, "error"),
    ] {
        let stub = Stub::start(|_| Answer::new(201, json!({}))).await;
        let outcome = perform(&stub, report(state, ReportForm::Status), 1, false).await;
        assert_eq!(outcome, Outcome::Done(Told::Nothing));
        assert_eq!(
            stub.body_of(STATUSES),
            json!({
                "state": word, "context": CONTEXT, "description": "2 of 2 jobs succeeded",
                "target_url": "https://ci.example.org/octocat/Spoon-Knife/runs/3/jobs/test%20%281%2C%20a%2Fb%29",
            })
        );
    }
}

#[tokio::test]
async fn without_pages_there_is_no_link() {
    let stub = Stub::start(|_| Answer::new(201, json!({}))).await;
    let hands = GitHubHands::new(stub.client(), None);
    perform_with(&hands, report(ReportState::Success, ReportForm::Status), 1, false).await;
    assert_eq!(stub.body_of(STATUSES).get("target_url"), None);
}

#[tokio::test]
async fn a_status_that_an_earlier_try_wrote_is_not_written_again() {
    let stub = |description: &'static str| {
        Stub::start(move |seen| match &*seen.method {
            "GET" => Answer::ok(json!({ "statuses": [{
                "context": CONTEXT.to_uppercase(), "state": "success", "description": description,
                "target_url": "https://ci.example.org/octocat/Spoon-Knife/runs/3/jobs/test%20%281%2C%20a%2Fb%29",
            }] })),
            _ => Answer::new(201, json!({})),
        })
    };
    let effect = report(ReportState::Success, ReportForm::Status);
    let same = stub("2 of 2 jobs succeeded").await;
    assert_eq!(perform(&same, effect.clone(), 2, true).await, Outcome::Done(Told::Nothing));
    assert_eq!(same.seen().len(), 1);
    let other = stub("1 of 2 jobs succeeded").await;
    assert_eq!(perform(&other, effect.clone(), 2, true).await, Outcome::Done(Told::Nothing));
    assert_eq!(other.lines().last().unwrap(), STATUSES);
    let silent = Stub::start(|_| Answer::no(502, "")).await;
    assert!(matches!(perform(&silent, effect, 2, true).await, Outcome::Unknown { .. }));
    assert_eq!(silent.seen().len(), 1);
}

#[tokio::test]
async fn a_report_as_a_check_run_is_made_and_then_changed() {
    let made = |seen: &super::stub::Seen| match &*seen.method {
        "POST" => Answer::new(201, json!({ "id": 5, "name": CONTEXT, "status": "queued" })),
        _ => Answer::ok(json!({ "id": 5, "name": CONTEXT, "status": "completed" })),
    };
    let stub = Stub::start(made).await;
    let pending = report(ReportState::Pending, ReportForm::CheckRun);
    assert_eq!(perform(&stub, pending, 1, false).await, Outcome::Done(Told::CheckRun(5)));
    let body = stub.body_of(CHECK_RUNS);
    assert_eq!(
        (&body["external_id"], &body["head_sha"], &body["status"]),
        (&json!("key-1"), &json!(HEAD), &json!("queued"))
    );
    assert_eq!(body["output"], json!({ "title": "2 of 2 jobs succeeded", "summary": "# Well\ndone" }));
    for (state, status, conclusion) in [
        (ReportState::Running, "in_progress", Value::Null),
        (ReportState::Success, "completed", json!("success")),
        (ReportState::Skipped, "completed", json!("skipped")),
        (ReportState::Failure, "completed", json!("failure")),
        (ReportState::Cancelled, "completed", json!("cancelled")),
        (ReportState::Error, "completed", json!("failure")),
    ] {
        let stub = Stub::start(made).await;
        let outcome = perform(&stub, with_id(report(state, ReportForm::CheckRun), 5), 1, false).await;
        assert_eq!(outcome, Outcome::Done(Told::CheckRun(5)));
        let body = stub.body_of("PATCH /repos/octocat/Spoon-Knife/check-runs/5");
        assert_eq!((&body["status"], &body["conclusion"]), (&json!(status), &conclusion));
    }
}

#[tokio::test]
async fn a_check_run_is_found_again_and_a_lost_one_made_anew() {
    let stub = Stub::start(|seen| match &*seen.method {
        "GET" => {
            let run = |id: u64, key: &str| json!({ "id": id, "name": CONTEXT, "status": "queued", "external_id": key });
            Answer::ok(json!({ "total_count": 2, "check_runs": [run(4, "another"), run(5, "key-1")] }))
        }
        _ => Answer::ok(json!({ "id": 5, "name": CONTEXT, "status": "queued" })),
    })
    .await;
    let outcome = perform(&stub, report(ReportState::Pending, ReportForm::CheckRun), 2, true).await;
    assert_eq!(outcome, Outcome::Done(Told::CheckRun(5)));
    assert_eq!(stub.lines().last().unwrap(), "PATCH /repos/octocat/Spoon-Knife/check-runs/5");

    let lost = Stub::start(|seen| match &*seen.method {
        "PATCH" => Answer::no(404, "Not Found"),
        _ => Answer::new(201, json!({ "id": 8, "name": CONTEXT, "status": "queued" })),
    })
    .await;
    let outcome = perform(&lost, with_id(report(ReportState::Success, ReportForm::CheckRun), 5), 1, false).await;
    assert_eq!(outcome, Outcome::Done(Told::CheckRun(8)));
}

#[tokio::test]
async fn a_check_run_that_shows_it_already_is_not_written_again() {
    let stub = |conclusion: &'static str| {
        Stub::start(move |_| {
            Answer::ok(json!({
                "id": 5, "name": CONTEXT, "status": "completed", "conclusion": conclusion, "output": { "title": "2 of 2 jobs succeeded" },
                "details_url": "https://ci.example.org/octocat/Spoon-Knife/runs/3/jobs/test%20%281%2C%20a%2Fb%29",
            }))
        })
    };
    let effect = with_id(report(ReportState::Success, ReportForm::CheckRun), 5);
    let same = stub("success").await;
    assert_eq!(perform(&same, effect.clone(), 2, true).await, Outcome::Done(Told::CheckRun(5)));
    assert_eq!(same.lines(), ["GET /repos/octocat/Spoon-Knife/check-runs/5"]);
    let other = stub("failure").await;
    assert_eq!(perform(&other, effect, 2, true).await, Outcome::Done(Told::CheckRun(5)));
    assert_eq!(other.lines().last().unwrap(), "PATCH /repos/octocat/Spoon-Knife/check-runs/5");
}

fn comment(id: Option<u64>) -> Effect {
    Effect::Comment {
        pull: PullNumber(3),
        mark: "merge".into(),
        body: "It waits for lint.".into(),
        id: id.map(CommentId),
    }
}

#[tokio::test]
async fn a_comment_carries_a_mark_that_nobody_sees() {
    let stub = Stub::start(|_| Answer::new(201, json!({ "id": 11, "body": "" }))).await;
    assert_eq!(perform(&stub, comment(None), 1, false).await, Outcome::Done(Told::Comment(CommentId(11))));
    let body = stub.body_of("POST /repos/octocat/Spoon-Knife/issues/3/comments");
    assert_eq!(body, json!({ "body": "It waits for lint.\n\n<!-- greenlight:merge -->" }));
    assert_eq!(perform(&stub, comment(Some(11)), 1, false).await, Outcome::Done(Told::Comment(CommentId(11))));
    assert_eq!(stub.lines().last().unwrap(), "PATCH /repos/octocat/Spoon-Knife/issues/comments/11");
}

#[tokio::test]
async fn a_comment_is_found_again_by_its_mark() {
    let stub = Stub::start(|seen| match &*seen.method {
        "GET" => Answer::ok(json!([
            { "id": 10, "body": "> <!-- greenlight:merge -->\n\nquoted" },
            { "id": 11, "body": "It waits.\n\n<!-- greenlight:merge -->" },
        ])),
        _ => Answer::ok(json!({ "id": 11, "body": "" })),
    })
    .await;
    assert_eq!(perform(&stub, comment(None), 2, true).await, Outcome::Done(Told::Comment(CommentId(11))));
    assert_eq!(stub.lines()[1..], ["PATCH /repos/octocat/Spoon-Knife/issues/comments/11"]);

    let foreign = Stub::start(|seen| match &*seen.method {
        "PATCH" => Answer::no(403, "Must have admin rights to Repository."),
        _ => Answer::new(201, json!({ "id": 12, "body": "" })),
    })
    .await;
    assert_eq!(perform(&foreign, comment(Some(11)), 1, false).await, Outcome::Done(Told::Comment(CommentId(12))));
}

/// A job that said this beside its log.
struct SaidSo(Remarks);

impl port::Said for SaidSo {
    fn of_job<'a>(&'a self, repo: RepoId, run: RunNumber, job: &'a JobKey) -> Reply<'a, Remarks> {
        assert_eq!((repo, run, job.as_str()), (RepoId(7), RunNumber(3), "test (1, a/b)"));
        let said = self.0.clone();
        Box::pin(async move { said })
    }
}

fn said() -> Arc<dyn port::Said> {
    let placed = Annotation {
        title: Some("unused".into()),
        file: Some("./src/main.rs".into()),
        line: Some(3),
        column: Some(5),
        ..Annotation::new(1, AnnotationLevel::Warning, "a variable".into())
    };
    let spanning = Annotation {
        file: Some("a.rs".into()),
        line: Some(3),
        end_line: Some(9),
        column: Some(2),
        end_column: Some(1),
        ..Annotation::new(1, AnnotationLevel::Notice, "a function".into())
    };
    let bare = Annotation::new(2, AnnotationLevel::Error, " ".into());
    Arc::new(SaidSo(Remarks { annotations: vec![placed, spanning, bare], summaries: vec!["# Sum".into()] }))
}

#[tokio::test]
async fn the_end_of_a_check_run_shows_what_its_job_said() {
    let made = |_: &super::stub::Seen| Answer::new(201, json!({ "id": 5, "name": CONTEXT, "status": "queued" }));
    let stub = Stub::start(made).await;
    let hands = GitHubHands::new(stub.client(), None).with_said(said());
    perform_with(&hands, report(ReportState::Running, ReportForm::CheckRun), 1, false).await;
    assert_eq!(stub.body_of(CHECK_RUNS)["output"].get("annotations"), None, "it is not over");
    let stub = Stub::start(made).await;
    let hands = GitHubHands::new(stub.client(), None).with_said(said());
    perform_with(&hands, report(ReportState::Failure, ReportForm::CheckRun), 1, false).await;
    let output = &stub.body_of(CHECK_RUNS)["output"];
    assert_eq!(output["summary"], "# Well\ndone\n\n# Sum");
    assert_eq!(
        output["annotations"],
        json!([
            { "path": "src/main.rs", "start_line": 3, "end_line": 3, "annotation_level": "warning", "message": "a variable",
              "title": "unused", "start_column": 5, "end_column": 5 },
            { "path": "a.rs", "start_line": 3, "end_line": 9, "annotation_level": "notice", "message": "a function" },
            { "path": ".github", "start_line": 1, "end_line": 1, "annotation_level": "failure", "message": "Error" },
        ])
    );
}

#[tokio::test]
async fn annotations_are_not_added_twice_and_cost_no_end() {
    let there = Stub::start(|_| {
        let output = json!({ "title": "something else", "annotations_count": 3 });
        Answer::ok(
            json!({ "id": 5, "name": CONTEXT, "status": "completed", "conclusion": "failure", "output": output }),
        )
    })
    .await;
    let hands = GitHubHands::new(there.client(), None).with_said(said());
    perform_with(&hands, with_id(report(ReportState::Success, ReportForm::CheckRun), 5), 2, true).await;
    let body = there.body_of("PATCH /repos/octocat/Spoon-Knife/check-runs/5");
    assert_eq!((&body["conclusion"], body["output"].get("annotations")), (&json!("success"), None));

    let picky =
        Stub::start(|seen| match seen.body.as_ref().is_some_and(|body| body["output"].get("annotations").is_some()) {
            true => Answer::no(422, "Invalid request. Annotations are not welcome."),
            false => Answer::ok(json!({ "id": 5, "name": CONTEXT, "status": "completed" })),
        })
        .await;
    let hands = GitHubHands::new(picky.client(), None).with_said(said());
    let outcome = perform_with(&hands, with_id(report(ReportState::Success, ReportForm::CheckRun), 5), 1, false).await;
    assert_eq!((outcome, picky.seen().len()), (Outcome::Done(Told::CheckRun(5)), 2));
}

#[tokio::test]
async fn a_later_attempt_does_not_take_up_a_check_run_that_has_ended() {
    let stub = Stub::start(|seen| match &*seen.method {
        "GET" => {
            let run = json!({ "id": 5, "name": CONTEXT, "status": "completed", "conclusion": "failure", "external_id": "key-1" });
            Answer::ok(json!({ "total_count": 1, "check_runs": [run] }))
        }
        _ => Answer::new(201, json!({ "id": 6, "name": CONTEXT, "status": "queued" })),
    })
    .await;
    let outcome = perform(&stub, report(ReportState::Pending, ReportForm::CheckRun), 2, true).await;
    assert_eq!(outcome, Outcome::Done(Told::CheckRun(6)));
}
