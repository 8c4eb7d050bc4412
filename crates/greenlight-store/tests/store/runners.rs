//! Runners on other machines: tokens that work once and for a while, keys that open one name.

use std::sync::Arc;

use greenlight_core::time::Timestamp;
use greenlight_store::NewRunner;

use crate::database;

fn new(name: &str, token: u8, at: i64) -> NewRunner {
    let name = name.to_owned();
    NewRunner { digest: [name.len() as u8; 32], name, token: [token; 32], at: Timestamp::from_millis(at), protocol: 1 }
}

#[tokio::test]
async fn a_token_makes_one_runner_in_time() {
    let (_directory, database) = database().await;
    let labels: [Arc<str>; 2] = ["linux".into(), "gpu".into()];
    let (now, until) = (Timestamp::from_millis(0), Timestamp::from_millis(100));
    database.add_runner_token([1; 32], &labels, now, until).await.unwrap();
    database.add_runner_token([2; 32], &labels, now, until).await.unwrap();
    assert_eq!(database.register_runner(new("a", 9, 5)).await.unwrap(), None, "nobody handed it out");
    assert_eq!(database.register_runner(new("a", 2, 100)).await.unwrap(), None, "too late");
    let made = database.register_runner(new("a", 1, 99)).await.unwrap().unwrap();
    assert_eq!((&*made.name, made.labels.as_slice()), ("a", &labels[..]));
    assert_eq!(database.register_runner(new("bb", 1, 99)).await.unwrap(), None, "it is used up");
    assert_eq!(database.runner_of_key([1; 32]).await.unwrap().unwrap().name, "a");
    assert_eq!(database.runner_of_key([7; 32]).await.unwrap(), None);
    database.runner_seen("a", Timestamp::from_millis(500), 2).await.unwrap();
    let known = database.runners().await.unwrap();
    assert_eq!((known.len(), known[0].seen_at.as_millis(), known[0].protocol), (1, 500, 2));
    assert!(database.remove_runner("a").await.unwrap() && !database.remove_runner("a").await.unwrap());
    assert_eq!(database.runner_of_key([1; 32]).await.unwrap(), None);
}
