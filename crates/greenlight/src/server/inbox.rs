//! Looks at what was stored: every delivery becomes facts for its repository, or is put aside with a sentence.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use greenlight_core::port::{Disposition, Store as _, StoreError, Waiting};
use greenlight_core::time::Timestamp;
use greenlight_github::payload::{self, Reading};
use tokio::time::Instant;

use super::{Shared, clock};

/// Deliveries that are read from the store at once, and at most as many dispositions in one commit.
const BATCH_MAX: usize = 64;
/// How often the store is looked at though nobody said that something came.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A delivery that waits longer than this is an alarm (R14).
const WAIT_MAX: Duration = Duration::from_secs(60);
/// What is waited for while deliveries are not looked at.
const DELIVERIES: &str = "deliveries";
/// Deliveries that are looked at as they come, each for itself.
const AT_ONCE_MAX: u32 = 8;
/// In a stream of more than [`AT_ONCE_MAX`] in this time, so much is left to gather before the next look: thinking about one
/// must not cost the next one its place at the writer.
const STREAM_PAUSE: Duration = Duration::from_millis(10);

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let (mut after, mut pace, mut watched) = (0, Pace::new(Instant::now()), None);
    loop {
        match look(&shared, &mut after).await {
            Ok(count) => pace.looked_at(count, Instant::now()),
            Err(error) => {
                shared.standing.wait("store", error.to_string());
                watched = None;
            }
        }
        if watched.is_none_or(|at: Instant| at.elapsed() >= LOOK_EVERY) {
            watch(&shared).await;
            watched = Some(Instant::now());
        }
        tokio::select! {
            () = shared.door.arrived.notified() => {}
            () = shared.rescan.notified() => after = 0,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
        if let Some(pause) = pace.pause(Instant::now()) {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shared.stop.cancelled() => return,
            }
        }
    }
}

/// Tells a lone delivery, which is looked at when it comes, from a stream, which is looked at in batches.
struct Pace {
    since: Instant,
    count: u32,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, count: 0 }
    }

    fn looked_at(&mut self, count: usize, now: Instant) {
        if self.has_dried_up(now) {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Returns how long to wait before the next look, in a stream.
    fn pause(&mut self, now: Instant) -> Option<Duration> {
        if self.count <= AT_ONCE_MAX || self.has_dried_up(now) {
            return None;
        }
        // Whatever comes during the pause is looked at after it; whoever comes after a stream is looked at at once again.
        *self = Self { since: now, count: AT_ONCE_MAX };
        Some(STREAM_PAUSE)
    }

    fn has_dried_up(&self, now: Instant) -> bool {
        now.duration_since(self.since) > STREAM_PAUSE * 2
    }
}

/// Hands over everything that waits after this place, and returns how many deliveries that were.
async fn look(shared: &Arc<Shared>, after: &mut u64) -> Result<usize, StoreError> {
    let mut count = 0;
    while !shared.stop.is_cancelled() {
        let waiting = shared.store.waiting(*after, BATCH_MAX).await?;
        let Some(last) = waiting.last().map(|last| last.place) else { break };
        count += waiting.len();
        let settled = hand_over_all(shared, waiting).await;
        // The dispositions gather and become one commit. What is lost with a crash, or fails, is only read again.
        try_join_all(settled.into_iter().map(|(place, disposition)| shared.store.dispose(place, disposition))).await?;
        *after = last;
    }
    Ok(count)
}

/// Hands over these deliveries, and returns what is to be written about those that are no repository's.
async fn hand_over_all(shared: &Arc<Shared>, waiting: Vec<Waiting>) -> Vec<(u64, Disposition)> {
    let mut settled = Vec::new();
    for one in waiting {
        if shared.stop.is_cancelled() {
            break;
        }
        shared.door.pressure.give_way().await;
        let place = one.place;
        settled.extend(hand_over(shared, one).await.map(|disposition| (place, disposition)));
    }
    settled
}

/// Hands one over to its repository, whose step settles it; returns what became of it where there is none.
async fn hand_over(shared: &Arc<Shared>, waiting: Waiting) -> Option<Disposition> {
    let (place, delivery) = (waiting.place, &waiting.delivery);
    Some(match payload::read(delivery) {
        Reading::Facts { repository, facts } => match shared.directory.of_delivery(shared, &repository) {
            Some(handle) => {
                tracing::debug!(delivery.id = %delivery.id, "{} for {}: {} facts", delivery.event, repository.full_name, facts.len());
                handle.deliver(facts, place, Disposition::Applied).await;
                return None;
            }
            None => {
                let reason = format!("{} is not among github.repositories", repository.full_name);
                Disposition::Ignored { reason: reason.into() }
            }
        },
        Reading::Ignored { reason } => Disposition::Ignored { reason },
        Reading::Unreadable { reason } => {
            tracing::warn!(delivery.id = %delivery.id, "a delivery cannot be read: {reason}");
            Disposition::Unreadable { reason }
        }
    })
}

/// Raises the alarm when the oldest delivery has waited too long (R14).
async fn watch(shared: &Shared) {
    match shared.store.waiting(0, 1).await.map(|oldest| oldest.first().map(|oldest| oldest.delivery.received_at)) {
        Ok(oldest) => {
            shared.standing.clear("store");
            judge(shared, oldest);
        }
        Err(error) => shared.standing.wait("store", error.to_string()),
    }
}

fn judge(shared: &Shared, oldest: Option<Timestamp>) {
    match oldest.map(|at| clock::now().since(at)).filter(|age| *age > WAIT_MAX) {
        Some(_) => {
            shared.standing.wait(DELIVERIES, "the oldest delivery has waited for more than a minute to be looked at")
        }
        None => shared.standing.clear(DELIVERIES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_deliveries_are_looked_at_at_once() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            pace.looked_at(2, now);
            assert_eq!(pace.pause(now), None);
            now += STREAM_PAUSE * 2 + Duration::from_millis(1);
        }
    }

    #[test]
    fn a_stream_is_looked_at_in_batches_until_it_dries_up() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for number in 1..=AT_ONCE_MAX {
            pace.looked_at(1, now);
            assert_eq!(pace.pause(now), None, "{number}");
        }
        for _ in 0..10 {
            pace.looked_at(1, now);
            assert_eq!(pace.pause(now), Some(STREAM_PAUSE));
            now += STREAM_PAUSE;
        }
        now += STREAM_PAUSE * 2;
        pace.looked_at(1, now);
        assert_eq!(pace.pause(now), None);
    }
}
