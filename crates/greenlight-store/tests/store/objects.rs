//! Artifacts and caches: names that exist once, states that only go forward, and what is found.

use greenlight_core::id::RepoId;
use greenlight_core::time::Timestamp;
use greenlight_store::{NewObject, ObjectKind, ObjectName, ObjectState};

use crate::database;

fn cache(scope: &str, key: &str, at: i64) -> NewObject {
    NewObject {
        at: ObjectName {
            kind: ObjectKind::Cache,
            repo: RepoId(7),
            run: 0,
            run_attempt: 0,
            scope: scope.into(),
            name: key.into(),
            version: "v".into(),
        },
        owner: "job".into(),
        media_type: "application/octet-stream".into(),
        created_at: Timestamp::from_millis(at),
        expires_at: Timestamp::from_millis(at + 1000),
    }
}

#[tokio::test]
async fn a_name_exists_once_and_only_goes_forward() {
    let (_directory, database) = database().await;
    let new = cache("refs/heads/main", "deps-1", 5);
    let id = database.begin_object(new.clone()).await.unwrap().unwrap();
    assert_eq!(database.begin_object(new.clone()).await.unwrap(), None, "the name is taken");
    assert!(!database.object_whole(id, Timestamp::from_millis(9)).await.unwrap(), "it is not written yet");
    let parts = [("a".to_owned(), 3), ("b".to_owned(), 4)];
    assert!(database.object_written(id, None, &parts, "d1").await.unwrap());
    assert!(!database.object_written(id, None, &parts, "d2").await.unwrap(), "bytes come once");
    assert!(database.object_whole(id, Timestamp::from_millis(99)).await.unwrap());
    assert!(!database.object_whole(id, Timestamp::from_millis(99)).await.unwrap());
    let row = database.object_named(&new.at).await.unwrap().unwrap();
    assert_eq!((row.id, row.size, row.state, &*row.digest), (id, 7, ObjectState::Whole, "d1"));
    assert_eq!(row.parts, parts);
    assert_eq!(database.object_bytes(ObjectKind::Cache).await.unwrap(), [(RepoId(7), 7)]);
    assert!(database.delete_object(id).await.unwrap());
    assert!(database.object(id).await.unwrap().is_none());
    assert!(database.begin_object(new).await.unwrap().is_some_and(|again| again > id), "numbers are not used again");
}

#[tokio::test]
async fn the_newest_cache_of_a_prefix_is_found_in_its_scope() {
    let (_directory, database) = database().await;
    for (scope, key, at) in [("a", "deps-2", 1), ("a", "deps-1", 2), ("a", "dep", 3), ("b", "deps-9", 9), ("a", "x", 9)]
    {
        let id = database.begin_object(cache(scope, key, at)).await.unwrap().unwrap();
        database.object_written(id, None, &[("p".into(), 10)], "d").await.unwrap();
        database.object_whole(id, Timestamp::from_millis(at + 1000)).await.unwrap();
    }
    database.begin_object(cache("a", "deps-open", 99)).await.unwrap().unwrap();
    let found = async |scope: &str, prefix: &str| {
        database.newest_cache(RepoId(7), scope, "v", prefix).await.unwrap().map(|row| row.at.name)
    };
    assert_eq!(found("a", "deps-").await.as_deref(), Some("deps-1"));
    assert_eq!(found("a", "dep").await.as_deref(), Some("dep"));
    assert_eq!(found("b", "deps-").await.as_deref(), Some("deps-9"));
    assert_eq!(found("a", "DEPS").await, None);
    assert_eq!(database.newest_cache(RepoId(8), "a", "v", "deps-").await.unwrap(), None, "another repository's");
    let expired = database.expired_objects(Timestamp::from_millis(1002)).await.unwrap();
    assert_eq!(expired.iter().map(|row| &*row.at.name).collect::<Vec<_>>(), ["deps-2", "deps-1"]);
    let unfinished = database.unfinished_objects(Timestamp::from_millis(99)).await.unwrap();
    assert_eq!(unfinished.iter().map(|row| &*row.at.name).collect::<Vec<_>>(), ["deps-open"]);
    assert_eq!(database.unfinished_objects(Timestamp::from_millis(98)).await.unwrap(), []);
    let oldest = database.least_used(ObjectKind::Cache, RepoId(7)).await.unwrap();
    assert_eq!(oldest[0].at.name, "deps-2");
}
