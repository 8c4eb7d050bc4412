//! How many requests stand at the door, so that those who think can give way to those who save.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Requests at the door up to which nobody gives way: a trickle costs less than waiting for it.
const CROWD_MIN: usize = 4;
/// Longest that anybody gives way: thinking goes on under any load, slower.
const GIVE_WAY_MAX: Duration = Duration::from_millis(20);

/// Counts the requests at the door.
#[derive(Default)]
pub struct Pressure {
    standing: AtomicUsize,
    eased: Notify,
}

impl Pressure {
    /// Counts one request until the guard is dropped.
    pub fn enter(&self) -> Standing<'_> {
        self.standing.fetch_add(1, Ordering::Relaxed);
        Standing(self)
    }

    /// Waits while there is a crowd, but not for long.
    pub async fn give_way(&self) {
        if !self.is_crowded() {
            return;
        }
        // Whether it eased or time ran out, the turn has come.
        let _ = tokio::time::timeout(GIVE_WAY_MAX, async {
            loop {
                // Waiting begins before the look, so that what eases in between is not missed.
                let eased = self.eased.notified();
                if !self.is_crowded() {
                    return;
                }
                eased.await;
            }
        })
        .await;
    }

    fn is_crowded(&self) -> bool {
        self.standing.load(Ordering::Relaxed) >= CROWD_MIN
    }
}

/// One request at the door.
pub struct Standing<'a>(&'a Pressure);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if self.0.standing.fetch_sub(1, Ordering::Relaxed) == CROWD_MIN {
            self.0.eased.notify_waiters();
        }
    }
}
