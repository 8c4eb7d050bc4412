//! Killed, full, locked, damaged: nothing that was answered is lost, and work goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use greenlight_core::entity::{Entity, EntityKey, Proof};
use greenlight_core::port::{Disposition, Store, StoreError, Stored};
use greenlight_store::{Database, OpenError, OpenOptions, Retention};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{commit, database, delivery, made, small_database};

/// Another process's way into the file.
async fn intruder(directory: &std::path::Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(directory.join("greenlight.db")).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_there_after_a_kill() {
    let (directory, database) = database().await;
    let mut answered = Vec::new();
    for number in 0..50 {
        let delivery = delivery(&format!("{number}"), &vec![b'x'; number * 100]);
        assert_eq!(database.receive(&delivery).await, Ok(Stored::New));
        answered.push(delivery);
    }
    database.commit(&commit(0, made::entities())).await.unwrap();
    // As it lies on disk at this moment, without anybody having closed anything.
    let killed = tempfile::tempdir().unwrap();
    for file in ["greenlight.db", "greenlight.db-wal"] {
        std::fs::copy(directory.path().join(file), killed.path().join(file)).unwrap();
    }
    let again = Database::open(killed.path()).await.unwrap();
    let there: Vec<_> = again.waiting(0, 100).await.unwrap().into_iter().map(|waiting| waiting.delivery).collect();
    assert_eq!(there, answered);
    assert_eq!(again.load(made::repository().id).await.unwrap(), database.load(made::repository().id).await.unwrap());
    assert_eq!(again.receive(&answered[3]).await, Ok(Stored::Repeat));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_dropped_is_opened_again() {
    let (directory, database) = database().await;
    database.receive(&delivery("a", b"a")).await.unwrap();
    drop(database);
    let again = Database::open(directory.path()).await.unwrap();
    assert_eq!(again.waiting(0, 10).await.unwrap().len(), 1);
    again.close().await;
    assert!(matches!(again.receive(&delivery("b", b"b")).await, Err(StoreError::Unavailable(_))));
    let third = Database::open(directory.path()).await.unwrap();
    assert_eq!(third.waiting(0, 10).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_do_not_open_the_same_data() {
    let (directory, database) = small_database(None).await;
    let path = directory.path().to_owned();
    let second = tokio::spawn(async move { Database::open(&path).await });
    // The second one waits for the first to end, as at a restart.
    database.receive(&delivery("a", b"a")).await.unwrap();
    assert!(!second.is_finished());
    drop(database);
    let second = second.await.unwrap().unwrap();
    assert_eq!(second.waiting(0, 10).await.unwrap().len(), 1);
    drop(second);

    let holder = std::fs::File::options().write(true).open(directory.path().join("lock")).unwrap();
    holder.lock().unwrap();
    let options = OpenOptions { lock_wait: Duration::from_millis(50), ..OpenOptions::default() };
    let refused = Database::open_with(directory.path(), options).await;
    assert!(matches!(refused, Err(OpenError::InUse(_))), "the lock is held");
}

/// Bytes that do not compress.
fn noise(seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let bytes = (0..20_000).map(|_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    });
    bytes.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_ahead_of_the_database_stays_small_however_much_is_written() {
    const CLIENTS: u32 = 8;
    const EACH: u32 = 400;
    let (directory, database) = database().await;
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let database = database.clone();
        clients.push(tokio::spawn(async move {
            for number in 0..EACH {
                let delivery = delivery(&format!("{client}-{number}"), &noise(client * EACH + number));
                assert_eq!(database.receive(&delivery).await, Ok(Stored::New));
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let size = |name: &str| std::fs::metadata(directory.path().join(name)).unwrap().len() >> 20;
    assert!(size("greenlight.db") >= 20, "it was moved into the database: {} MiB", size("greenlight.db"));
    assert!(size("greenlight.db-wal") < 40, "{} MiB of 64", size("greenlight.db-wal"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_work_goes_on_when_there_is_room() {
    let (directory, database) = small_database(Some(300)).await;
    let blobs = greenlight_store::Blobs::open(&directory.path().join("blobs")).unwrap();
    let logs = greenlight_store::Logs::open(&directory.path().join("logs"), blobs).unwrap();
    // So many of them are done with before it is full; that is the room which the sweep makes.
    const DONE: u32 = 5;
    let mut kept = 0;
    let refusal = loop {
        match database.receive(&delivery(&format!("{kept}"), &noise(kept + 1))).await {
            Ok(stored) => assert_eq!(stored, Stored::New),
            Err(refusal) => break refusal,
        }
        if kept < DONE {
            let waiting = database.waiting(0, 1).await.unwrap();
            database.dispose(waiting[0].place, Disposition::Applied).await.unwrap();
        }
        kept += 1;
        assert!(kept < 1000, "the disk never filled");
    };
    assert!(matches!(&refusal, StoreError::Unavailable(why) if why.contains("full")), "{refusal}");
    let large = Entity::Proof(Proof { tree: made::sha(1), tested_at: made::sha(2) });
    let many = (0..=255).map(|digit| Entity::Proof(Proof { tree: made::sha(digit), tested_at: made::sha(2) }));
    let refused = database.commit(&commit(0, many.chain(made::entities()).collect())).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // Nothing was lost, and nothing is there by half.
    assert_eq!(database.waiting(0, 1000).await.unwrap().len(), (kept - DONE) as usize);
    assert_eq!(database.load(made::repository().id).await, Ok(None));

    let retention = Retention { deliveries_from: made::at(99), runs_from: made::at(0), audit_from: made::at(0) };
    assert_eq!(database.sweep(&logs, retention).await.unwrap().deliveries, u64::from(DONE));
    assert_eq!(database.receive(&delivery("after", &noise(7))).await, Ok(Stored::New));
    database.commit(&commit(0, vec![large])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_is_told_and_work_goes_on_when_it_is_free() {
    let (directory, database) = small_database(None).await;
    let mut intruder = intruder(directory.path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut intruder).await.unwrap();
    let refused = database.receive(&delivery("a", b"a")).await;
    assert!(matches!(&refused, Err(StoreError::Unavailable(why)) if why.contains("another process")), "{refused:?}");
    assert!(matches!(database.probe().await, Err(StoreError::Unavailable(_))));
    let refused = database.commit(&commit(0, vec![Entity::Meta(made::meta())])).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    // Reading goes on meanwhile.
    assert_eq!(database.waiting(0, 10).await.unwrap(), []);
    sqlx::query("ROLLBACK").execute(&mut intruder).await.unwrap();
    assert_eq!(database.receive(&delivery("a", b"a")).await, Ok(Stored::New));
    database.commit(&commit(0, vec![Entity::Meta(made::meta())])).await.unwrap();
    database.probe().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_short_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path()).await.unwrap();
    let mut intruder = intruder(directory.path()).await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut intruder).await.unwrap();
    let receiver = database.clone();
    let received = tokio::spawn(async move { receiver.receive(&delivery("a", b"a")).await });
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while database.intake_waiting() > 0 {
        assert!(tokio::time::Instant::now() < deadline, "the writer never took it");
        tokio::task::yield_now().await;
    }
    assert!(!received.is_finished());
    intruder.close().await.unwrap();
    assert_eq!(received.await.unwrap(), Ok(Stored::New));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_member_of_a_group_that_cannot_be_written_spoils_it_for_nobody() {
    let (_directory, database) = database().await;
    // An attempt 0 is refused by the table's own check.
    let impossible = made::run(5, 0, Vec::new(), greenlight_core::run::RunState::Active);
    let mut steps = Vec::new();
    for number in 1..=30 {
        let database: Arc<dyn Store> = database.clone();
        let run = if number == 13 { impossible.clone() } else { made::runs().remove(1) };
        let repo = greenlight_core::id::RepoId(number);
        let step = greenlight_core::port::Commit { repo, ..commit(0, vec![Entity::Run(run.into())]) };
        steps.push(tokio::spawn(async move { (number, database.commit(&step).await) }));
    }
    for step in steps {
        let (number, outcome) = step.await.unwrap();
        assert_eq!(outcome.is_err(), number == 13, "{number}: {outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_is_named() {
    let (directory, database) = database().await;
    database.commit(&commit(0, made::entities())).await.unwrap();
    let mut intruder = intruder(directory.path()).await;
    sqlx::query("UPDATE entity SET body = x'7b7d' WHERE kind = 'proof'").execute(&mut intruder).await.unwrap();
    let refused = database.load(made::repository().id).await;
    let Err(StoreError::Corrupt(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("1296269") && why.contains("proof"), "{why}");
    // A step that replaces it heals it.
    let gone = EntityKey::Proof(made::sha(1));
    let mut step = commit(1, Vec::new());
    step.changes = vec![(gone, None)];
    database.commit(&step).await.unwrap();
    assert!(database.load(made::repository().id).await.unwrap().is_some());
}
