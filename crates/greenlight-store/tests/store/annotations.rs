//! What jobs say beside their logs.

use std::sync::Arc;

use greenlight_core::entity::Entity;
use greenlight_core::id::{AttemptId, JobKey, RunNumber};
use greenlight_core::port::Store as _;
use greenlight_core::run::{JobState, RunState};
use greenlight_core::shown::{Annotation, AnnotationLevel};
use greenlight_store::{ANNOTATIONS_MAX, Database, SUMMARIES_MAX, SUMMARY_SIZE_MAX};
use tempfile::TempDir;

use crate::{commit, database, made};

/// A database with one run of one job.
async fn with_a_job() -> (TempDir, Arc<Database>, AttemptId) {
    let (directory, database) = database().await;
    let job = made::job("test", JobState::Queued { since: made::at(1) });
    let run = Entity::Run(made::run(1, 1, vec![job], RunState::Active).into());
    database.commit(&commit(0, vec![run])).await.unwrap();
    let attempt = AttemptId {
        repo: made::repository().id,
        run: RunNumber(1),
        run_attempt: 1,
        job: JobKey::from("test"),
        tried: 1,
    };
    (directory, database, attempt)
}

fn error(step: u32, message: &str) -> Annotation {
    Annotation::new(step, AnnotationLevel::Error, message.into())
}

#[tokio::test]
async fn what_a_job_said_is_shown_with_it_once_and_in_order() {
    let (_directory, database, attempt) = with_a_job().await;
    let placed = Annotation {
        title: Some("unused".into()),
        file: Some("src/main.rs".into()),
        line: Some(3),
        end_line: Some(4),
        column: Some(5),
        end_column: Some(6),
        ..Annotation::new(2, AnnotationLevel::Warning, "a variable".into())
    };
    for annotation in [&error(1, "first"), &placed, &error(1, "first"), &placed, &error(2, "first")] {
        database.annotate(&attempt, annotation).await.unwrap();
    }
    for (step, text) in [(1, "# One"), (1, "nested"), (1, "# One"), (2, "# One")] {
        database.summarize(&attempt, step, text).await.unwrap();
    }
    let history = database.history();
    let said = [error(1, "first"), placed, error(2, "first")];
    assert_eq!(history.annotations(&attempt).await.unwrap(), said);
    let texts = history.summaries(&attempt).await.unwrap();
    assert_eq!(texts, [(1, "# One".to_owned()), (1, "nested".to_owned()), (2, "# One".to_owned())]);
    let detail = history.run(attempt.repo, attempt.run).await.unwrap().unwrap();
    let job = &detail.attempts[0].1[0];
    assert_eq!(job.annotations, said);
    assert_eq!(job.summaries.iter().map(|row| (row.step, row.size)).collect::<Vec<_>>(), [(1, 5), (1, 6), (2, 5)]);
    let found = history.latest_attempt(attempt.repo, attempt.run, &attempt.job).await.unwrap();
    assert_eq!(found, Some(attempt.clone()));
    // Another try has said nothing.
    let other = AttemptId { tried: 2, ..attempt };
    assert_eq!(history.annotations(&other).await.unwrap(), []);
}

#[tokio::test]
async fn there_is_a_bound_to_what_a_job_says() {
    let (_directory, database, attempt) = with_a_job().await;
    for number in 0..12 {
        database.annotate(&attempt, &error(0, &number.to_string())).await.unwrap();
    }
    let history = database.history();
    assert_eq!(history.annotations(&attempt).await.unwrap().len(), 10, "of one level in one step");
    for step in 1..12 {
        for number in 0..5 {
            database.annotate(&attempt, &error(step, &number.to_string())).await.unwrap();
        }
    }
    database.annotate(&attempt, &error(12, &"ü".repeat(10_000))).await.unwrap();
    assert_eq!(history.annotations(&attempt).await.unwrap().len(), ANNOTATIONS_MAX as usize);
    let other = AttemptId { tried: 2, ..attempt.clone() };
    database.annotate(&other, &error(0, &"ü".repeat(10_000))).await.unwrap();
    assert_eq!(history.annotations(&other).await.unwrap()[0].message.chars().count(), 4096);

    database.summarize(&attempt, 0, &"x".repeat(SUMMARY_SIZE_MAX + 1)).await.unwrap();
    assert_eq!(history.summaries(&attempt).await.unwrap(), []);
    for step in 0..SUMMARIES_MAX + 5 {
        database.summarize(&attempt, step, "# Sum").await.unwrap();
    }
    assert_eq!(history.summaries(&attempt).await.unwrap().len(), SUMMARIES_MAX as usize);
}
