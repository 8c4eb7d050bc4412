//! Retention.

use bytes::Bytes;
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::id::{AttemptId, JobKey, PullNumber, RunNumber};
use greenlight_core::port::{Audit, Disposition, Store};
use greenlight_core::run::{Conclusion, JobState, RunState};
use greenlight_core::shown::{Annotation, AnnotationLevel};
use greenlight_store::{Blobs, Logs, Retention, RunQuery, StepRecord, StepState};

use crate::{commit, database, delivery, made};

const NOTHING: Retention = Retention {
    deliveries_from: greenlight_core::time::Timestamp::EPOCH,
    runs_from: greenlight_core::time::Timestamp::EPOCH,
    audit_from: greenlight_core::time::Timestamp::EPOCH,
};

fn attempt(run: u64) -> AttemptId {
    AttemptId { repo: made::repository().id, run: RunNumber(run), run_attempt: 1, job: JobKey::from("test"), tried: 1 }
}

#[tokio::test]
async fn what_is_over_and_old_goes_in_batches_and_the_rest_stays() {
    let (directory, database) = database().await;
    let logs =
        Logs::open(&directory.path().join("logs"), Blobs::open(&directory.path().join("blobs")).unwrap()).unwrap();
    for number in 0..10 {
        database.receive(&delivery(&format!("{number}"), b"{}")).await.unwrap();
    }
    for waiting in database.waiting(0, 7).await.unwrap() {
        database.dispose(waiting.place, Disposition::Applied).await.unwrap();
    }
    let over = |number: i64| {
        let at = made::at(number);
        let (conclusion, reason) = (Conclusion::Success, "it ended".into());
        let job = made::job("test", JobState::Completed { conclusion, at, reason, started_at: None });
        Entity::Run(made::run(number as u64, 1, vec![job], RunState::Completed { conclusion, at }).into())
    };
    let mut runs: Vec<Entity> = (1..=6).map(over).collect();
    runs.push(Entity::Run(made::run(7, 1, vec![made::job("test", JobState::Waiting)], RunState::Active).into()));
    let mut step = commit(0, runs);
    step.audit = (0..8).map(|_| Audit { about: "run 1".into(), text: "something".into() }).collect();
    database.commit(&step).await.unwrap();
    for number in 1..=7 {
        logs.append(&attempt(number), 0, made::at(0), Bytes::from_static(b"hello\n")).await.unwrap();
        let step = StepRecord { index: 0, name: "Run make".into(), state: StepState::Waiting };
        database.record_steps(&attempt(number), &[step]).await.unwrap();
        let annotation = Annotation::new(0, AnnotationLevel::Error, "it broke".into());
        database.annotate(&attempt(number), &annotation).await.unwrap();
        database.summarize(&attempt(number), 0, "# Sum").await.unwrap();
    }
    for number in 1..=3 {
        logs.finish(&attempt(number)).await.unwrap();
    }

    // Nothing is old enough.
    assert_eq!(database.sweep(&logs, NOTHING).await.unwrap(), Default::default());
    let retention = Retention { deliveries_from: made::at(1), runs_from: made::at(5), audit_from: made::at(11) };
    let first = database.sweep_batch(&logs, retention, 3).await.unwrap();
    assert_eq!((first.deliveries, first.runs, first.audit, first.more), (3, 3, 3, true));
    let mut swept = (first.deliveries, first.runs, first.audit);
    let mut more = first.more;
    while more {
        let next = database.sweep_batch(&logs, retention, 3).await.unwrap();
        swept = (swept.0 + next.deliveries, swept.1 + next.runs, swept.2 + next.audit);
        more = next.more;
    }
    assert_eq!(swept, (7, 4, 8));
    assert_eq!(database.waiting(0, 100).await.unwrap().len(), 3);
    let history = database.history();
    let left = history.runs(&RunQuery { limit: 100, ..RunQuery::default() }).await.unwrap();
    assert_eq!(left.iter().map(|run| run.number.0).collect::<Vec<_>>(), [7, 6, 5]);
    for number in 1..=7 {
        assert_eq!(logs.shape(&attempt(number)).await.unwrap().is_some(), number >= 5, "{number}");
    }
    let detail = history.run(made::repository().id, RunNumber(6)).await.unwrap().unwrap();
    assert_eq!(detail.attempts[0].1[0].steps.len(), 1);
    for number in 1..=7 {
        let said = history.annotations(&attempt(number)).await.unwrap().len();
        let summed_up = history.summaries(&attempt(number)).await.unwrap().len();
        assert_eq!((said, summed_up), if number >= 5 { (1, 1) } else { (0, 0) }, "{number}");
    }
}

#[tokio::test]
async fn a_text_goes_when_nothing_refers_to_it_any_more() {
    let (directory, database) = database().await;
    let logs =
        Logs::open(&directory.path().join("logs"), Blobs::open(&directory.path().join("blobs")).unwrap()).unwrap();
    let repo = made::repository().id;
    let pulls = made::pulls();
    let (one, other) = (pulls[0].clone(), pulls[1].clone());
    assert_ne!(one.event.payload, other.event.payload);
    database
        .commit(&commit(0, vec![Entity::Pull(one.clone().into()), Entity::Pull(other.clone().into())]))
        .await
        .unwrap();
    assert_eq!(database.sweep(&logs, NOTHING).await.unwrap().texts, 0);

    // The first pull request takes the other's payload; its own is referred to by nobody.
    let event = other.event.clone();
    let changed = greenlight_core::pull::Pull { event, ..one.clone() };
    database.commit(&commit(1, vec![Entity::Pull(changed.clone().into())])).await.unwrap();
    assert_eq!(database.sweep(&logs, NOTHING).await.unwrap().texts, 1);
    assert_eq!(
        database.load(repo).await.unwrap().unwrap().entities,
        [Entity::Pull(changed.into()), Entity::Pull(other.into())]
    );

    // It comes back, although the store knew it once; and goes with its entity.
    database.commit(&commit(2, vec![Entity::Pull(one.clone().into())])).await.unwrap();
    assert_eq!(database.load(repo).await.unwrap().unwrap().entities[0], Entity::Pull(one.into()));
    let mut step = commit(3, Vec::new());
    step.changes = vec![(EntityKey::Pull(PullNumber(1)), None), (EntityKey::Pull(PullNumber(2)), None)];
    database.commit(&step).await.unwrap();
    assert_eq!(database.sweep(&logs, NOTHING).await.unwrap().texts, 2);
}
