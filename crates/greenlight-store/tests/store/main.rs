//! The store from outside: the port's contract, faults of the disk, what pages read, logs, migrations, retention.

mod annotations;
mod contract;
mod faults;
mod history;
mod logs;
mod made;
mod migration;
mod objects;
mod runners;
mod sweep;
mod throughput;

use std::sync::Arc;
use std::time::Duration;

use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::id::DeliveryId;
use greenlight_core::port::{Commit, NewDelivery};
use greenlight_store::{Database, OpenOptions};
use tempfile::TempDir;

/// A database in a directory that goes with the test.
pub async fn database() -> (TempDir, Arc<Database>) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path()).await.unwrap();
    (directory, database)
}

/// The same with a short patience and, where asked for, a small disk.
pub async fn small_database(pages_max: Option<u32>) -> (TempDir, Arc<Database>) {
    let directory = tempfile::tempdir().unwrap();
    let options = OpenOptions { busy_wait: Duration::from_millis(50), pages_max, ..OpenOptions::default() };
    let database = Database::open_with(directory.path(), options).await.unwrap();
    (directory, database)
}

/// A delivery with this id and body.
pub fn delivery(id: &str, body: &[u8]) -> NewDelivery {
    let mut digest = [0_u8; 32];
    for (at, byte) in body.iter().enumerate() {
        digest[at % 32] = digest[at % 32].wrapping_mul(31).wrapping_add(*byte);
    }
    NewDelivery {
        id: DeliveryId::from(id),
        event: "pull_request".into(),
        hook: Some("4711".into()),
        form: false,
        received_at: made::at(0),
        body: body.into(),
        digest,
    }
}

/// A step that writes these entities.
pub fn commit(version: u64, entities: Vec<Entity>) -> Commit {
    let changes: Vec<(EntityKey, Option<Entity>)> =
        entities.into_iter().map(|entity| (entity.key(), Some(entity))).collect();
    Commit {
        repo: made::repository().id,
        version,
        changes,
        deliveries: Vec::new(),
        audit: Vec::new(),
        at: made::at(10),
    }
}

/// Everything that is awaited can be awaited in a task of its own: this compiles, or it cannot.
#[expect(dead_code, reason = "it is only compiled")]
fn every_future_is_send(
    database: &'static Database,
    logs: &'static Arc<greenlight_store::Logs>,
    history: &'static greenlight_store::History,
    attempt: &'static greenlight_core::id::AttemptId,
    retention: greenlight_store::Retention,
    query: &'static greenlight_store::RunQuery,
) {
    fn send(_: impl Future<Output: Send> + Send) {}
    let repo = attempt.repo;
    send(Database::open(std::path::Path::new("")));
    send(database.close());
    send(database.probe());
    send(database.record_steps(attempt, &[]));
    send(database.summarize(attempt, 0, ""));
    send(database.sweep(logs, retention));
    send(history.runs(query));
    send(history.run(repo, attempt.run));
    send(history.annotations(attempt));
    send(history.summaries(attempt));
    send(history.latest_attempt(repo, attempt.run, &attempt.job));
    send(history.pull_runs(repo, greenlight_core::id::PullNumber(1), 1));
    send(history.deliveries(None, 1));
    send(history.delivery(""));
    send(history.quarantined(1));
    send(history.environments(repo, 1));
    send(history.audit(repo, None, 1));
    send(history.counters());
    send(logs.append(attempt, 0, made::at(0), bytes::Bytes::new()));
    send(logs.append_from(attempt, 0, 0, made::at(0), bytes::Bytes::new()));
    send(logs.read(attempt, 0, 1));
    send(logs.follow(attempt, 0));
    send(logs.finish(attempt));
    send(logs.shape(attempt));
    send(logs.sync(attempt));
    send(logs.unfinished());
    send(logs.remove(attempt));
}
