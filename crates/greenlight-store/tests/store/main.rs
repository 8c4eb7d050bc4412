//! The store from outside: the port's contract, faults of the disk, what pages read, logs, migrations, retention.

mod contract;
mod faults;
mod history;
mod logs;
mod made;
mod migration;
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
