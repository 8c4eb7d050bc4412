//! How fast deliveries are taken in. Prints figures; judges only what no machine is too slow for.

use std::sync::Arc;
use std::time::Instant;

use greenlight_core::port::{Store, Stored};

use crate::{database, delivery};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deliveries_are_committed_in_groups() {
    const CLIENTS: usize = 16;
    const EACH: usize = 100;
    let body: Arc<[u8]> = include_bytes!("throughput.rs").repeat(10).into();
    let (_directory, database) = database().await;
    let begin = Instant::now();
    let mut clients = Vec::new();
    for client in 0..CLIENTS {
        let (database, body) = (database.clone(), body.clone());
        clients.push(tokio::spawn(async move {
            for number in 0..EACH {
                let mut delivery = delivery(&format!("{client:032}-{number}"), b"");
                delivery.body = body.clone();
                assert_eq!(database.receive(&delivery).await, Ok(Stored::New));
            }
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    let count = CLIENTS * EACH;
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    println!("{count} deliveries of {} bytes by {CLIENTS} clients: {rate:.0} a second", body.len());
    assert_eq!(database.history().counters().await.unwrap().deliveries_waiting, count as u64);
}
