//! The port's contract: what every store does, real or fake.

use std::sync::Arc;

use greenlight_core::entity::{Entity, Meta};
use greenlight_core::id::{RepoId, RunNumber};
use greenlight_core::port::{Audit, Commit, Disposition, Store, StoreError, Stored};
use greenlight_core::run::RunState;

use crate::{commit, database, delivery, made};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_database_keeps_the_contract() {
    let (_directory, database) = database().await;
    contract(&*database).await;
}

/// Begins with an empty store.
async fn contract(store: &dyn Store) {
    deliveries_are_kept_once(store).await;
    another_body_is_quarantined(store).await;
    a_changed_secret_makes_no_other_delivery(store).await;
    deliveries_wait_in_order_until_they_are_settled(store).await;
    state_is_loaded_as_it_was_committed(store).await;
    every_standing_of_the_configuration_comes_back(store).await;
    a_step_on_another_version_writes_nothing(store).await;
    a_step_settles_its_deliveries(store).await;
    repositories_do_not_mix(store).await;
}

async fn waiting_ids(store: &dyn Store) -> Vec<String> {
    store.waiting(0, 100).await.unwrap().into_iter().map(|waiting| waiting.delivery.id.to_string()).collect()
}

async fn deliveries_are_kept_once(store: &dyn Store) {
    let body: Vec<u8> = (0..=255).cycle().take(24_000).collect();
    let first = delivery("a", &body);
    assert_eq!(store.receive(&first).await, Ok(Stored::New));
    assert_eq!(store.receive(&first).await, Ok(Stored::Repeat));
    let waiting = store.waiting(0, 10).await.unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].delivery, first);
}

async fn another_body_is_quarantined(store: &dyn Store) {
    let other = delivery("a", b"{\"other\":1}");
    assert_eq!(store.receive(&other).await, Ok(Stored::Quarantined));
    assert_eq!(store.receive(&other).await, Ok(Stored::Quarantined));
    assert_eq!(waiting_ids(store).await, ["a"]);
}

async fn a_changed_secret_makes_no_other_delivery(store: &dyn Store) {
    let mut again = store.waiting(0, 1).await.unwrap().remove(0).delivery;
    again.digest[0] ^= 1;
    assert_eq!(store.receive(&again).await, Ok(Stored::Repeat));
    again.event = "push".into();
    assert_eq!(store.receive(&again).await, Ok(Stored::Quarantined));
}

async fn deliveries_wait_in_order_until_they_are_settled(store: &dyn Store) {
    for id in ["b", "c", "d"] {
        assert_eq!(store.receive(&delivery(id, id.as_bytes())).await, Ok(Stored::New));
    }
    assert_eq!(waiting_ids(store).await, ["a", "b", "c", "d"]);
    let places: Vec<u64> = store.waiting(0, 10).await.unwrap().iter().map(|waiting| waiting.place).collect();
    assert!(places.is_sorted_by(|one, next| one < next), "{places:?}");
    let after: Vec<u64> = store.waiting(places[0], 2).await.unwrap().iter().map(|waiting| waiting.place).collect();
    assert_eq!(after, places[1..3]);

    let reason = "not our repository".into();
    store.dispose(places[1], Disposition::Ignored { reason }).await.unwrap();
    store.dispose(places[3], Disposition::Unreadable { reason: "no JSON".into() }).await.unwrap();
    assert_eq!(waiting_ids(store).await, ["a", "c"]);
    // What was settled is known all the same.
    assert_eq!(store.receive(&delivery("b", b"b")).await, Ok(Stored::Repeat));
}

async fn state_is_loaded_as_it_was_committed(store: &dyn Store) {
    let repo = made::repository().id;
    assert_eq!(store.load(repo).await, Ok(None));
    assert_eq!(store.repositories().await, Ok(Vec::new()));

    store.commit(&commit(0, made::entities())).await.unwrap();
    let loaded = store.load(repo).await.unwrap().unwrap();
    assert_same(&loaded.entities, &made::entities());
    assert_eq!(store.repositories().await, Ok(vec![made::repository()]));

    // One entity changes, one goes; the others stay.
    let changed = Entity::Run(made::run(1, 1, Vec::new(), RunState::Active).into());
    let gone = greenlight_core::entity::EntityKey::Run(RunNumber(2));
    let mut step = commit(loaded.version, vec![changed.clone()]);
    step.changes.push((gone.clone(), None));
    store.commit(&step).await.unwrap();
    let mut expected = made::entities();
    expected.retain(|entity| entity.key() != gone);
    *expected.iter_mut().find(|entity| entity.key() == changed.key()).unwrap() = changed.clone();
    let after = store.load(repo).await.unwrap().unwrap();
    assert!(after.version > loaded.version);
    assert_same(&after.entities, &expected);
}

fn assert_same(found: &[Entity], expected: &[Entity]) {
    let sorted = |entities: &[Entity]| {
        let mut sorted: Vec<Entity> = entities.to_vec();
        sorted.sort_by_key(Entity::key);
        sorted
    };
    assert_eq!(sorted(found), sorted(expected));
}

async fn every_standing_of_the_configuration_comes_back(store: &dyn Store) {
    let repo = made::repository().id;
    for meta in made::metas().into_iter().chain([Entity::Meta(made::meta())]) {
        let version = store.load(repo).await.unwrap().unwrap().version;
        store.commit(&commit(version, vec![meta.clone()])).await.unwrap();
        assert!(store.load(repo).await.unwrap().unwrap().entities.contains(&meta));
    }
}

async fn a_step_on_another_version_writes_nothing(store: &dyn Store) {
    let repo = made::repository().id;
    let before = store.load(repo).await.unwrap().unwrap();
    let meta = Entity::Meta(Meta { last_run: 999, ..made::meta() });
    for version in [0, before.version - 1, before.version + 1] {
        assert_eq!(store.commit(&commit(version, vec![meta.clone()])).await, Err(StoreError::Conflict), "{version}");
    }
    assert_eq!(store.load(repo).await.unwrap().unwrap(), before);
}

async fn a_step_settles_its_deliveries(store: &dyn Store) {
    let version = store.load(made::repository().id).await.unwrap().unwrap().version;
    let waiting = store.waiting(0, 10).await.unwrap();
    let mut step = commit(version, Vec::new());
    step.deliveries = vec![(waiting[0].place, Disposition::Applied)];
    step.audit = vec![Audit { about: "run 1".into(), text: "it began".into() }];
    // Refused, so that nothing of it is seen.
    assert_eq!(store.commit(&Commit { version: 0, ..step.clone() }).await, Err(StoreError::Conflict));
    assert_eq!(store.waiting(0, 10).await.unwrap(), waiting);
    store.commit(&step).await.unwrap();
    assert_eq!(waiting_ids(store).await, ["c"]);
}

async fn repositories_do_not_mix(store: &dyn Store) {
    let other = RepoId(2);
    let repository = greenlight_core::fact::RepositoryRef { id: other, ..made::repository() };
    let meta = Entity::Meta(Meta { repository, ..made::meta() });
    let before = store.load(made::repository().id).await.unwrap();
    store.commit(&Commit { repo: other, ..commit(0, vec![meta.clone()]) }).await.unwrap();
    assert_eq!(store.load(other).await.unwrap().unwrap().entities, [meta]);
    assert_eq!(store.load(made::repository().id).await.unwrap(), before);
    assert_eq!(store.repositories().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_senders_lose_nothing_and_double_nothing() {
    const SENDERS: usize = 64;
    const EACH: usize = 20;
    let (_directory, database) = database().await;
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let database: Arc<dyn Store> = database.clone();
        senders.push(tokio::spawn(async move {
            let mut new = 0;
            for number in 0..EACH {
                // Every delivery is sent by two senders, and every fourth comes with another body as well.
                let id = format!("{}-{number}", sender / 2);
                let stored = database.receive(&delivery(&id, id.as_bytes())).await.unwrap();
                new += usize::from(stored == Stored::New);
                if number % 4 == 0 {
                    let other = delivery(&id, format!("other {id}").as_bytes());
                    assert_eq!(database.receive(&other).await, Ok(Stored::Quarantined));
                }
            }
            new
        }));
    }
    let mut new = 0;
    for sender in senders {
        new += sender.await.unwrap();
    }
    assert_eq!(new, SENDERS / 2 * EACH);
    let waiting = database.waiting(0, usize::MAX).await.unwrap();
    assert_eq!(waiting.len(), SENDERS / 2 * EACH);
    assert!(waiting.iter().all(|waiting| &*waiting.delivery.body == waiting.delivery.id.as_str().as_bytes()));
    assert_eq!(database.history().counters().await.unwrap().quarantined, (SENDERS / 2 * EACH / 4) as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_many_repositories_go_together_and_a_conflict_is_its_own() {
    let (_directory, database) = database().await;
    let mut steps = Vec::new();
    for number in 1..=40 {
        let database = database.clone();
        steps.push(tokio::spawn(async move {
            let repo = RepoId(number);
            let repository = greenlight_core::fact::RepositoryRef { id: repo, ..made::repository() };
            let meta = Entity::Meta(Meta { repository, ..made::meta() });
            for version in 0..5 {
                let step = Commit { repo, ..commit(version, vec![meta.clone()]) };
                let (one, other) = tokio::join!(database.commit(&step), database.commit(&step));
                let mut outcomes = [one, other];
                outcomes.sort_by_key(Result::is_err);
                assert_eq!(outcomes, [Ok(()), Err(StoreError::Conflict)]);
            }
        }));
    }
    for step in steps {
        step.await.unwrap();
    }
    assert_eq!(database.repositories().await.unwrap().len(), 40);
    assert_eq!(database.load(RepoId(7)).await.unwrap().unwrap().version, 5);
}
