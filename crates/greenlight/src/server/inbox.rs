//! Looks at what was stored: every delivery becomes facts for its repository, or is put aside with a sentence.

use std::sync::Arc;
use std::sync::atomic::Ordering;
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
/// More deliveries than this in a [`STREAM_WINDOW`] are a stream. GitHub itself sends the deliveries of one event within
/// that time, and those are looked at as they come.
const STREAM_MIN: f64 = 8.0;
const STREAM_WINDOW: Duration = Duration::from_millis(20);
/// In a stream the pause after a look is as many times as long as the look was as this many deliveries come in a second: the
/// more come, the larger the door's share of the machine. What has gathered is looked at when the stream ends.
const RATE_PER_PAUSE: f64 = 200.0;
const PAUSES_MAX: f64 = 24.0;
/// Shortest and longest pause: what comes in between gathers for one commit, and looking goes on under any stream.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let (mut after, mut pace, mut watched) = (0, Pace::new(Instant::now()), None);
    loop {
        let begun = Instant::now();
        let more = match look(&shared, &mut after).await {
            Ok(more) => more,
            Err(error) => {
                shared.standing.wait("store", error.to_string());
                watched = None;
                false
            }
        };
        let took = begun.elapsed();
        if shared.stop.is_cancelled() {
            return;
        }
        if watched.is_none_or(|at: Instant| at.elapsed() >= LOOK_EVERY) {
            watch(&shared).await;
            watched = Some(Instant::now());
        }
        if !more {
            tokio::select! {
                () = shared.door.arrived.notified() => {}
                () = shared.rescan.notified() => after = 0,
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = shared.stop.cancelled() => return,
            }
        }
        if let Some(pause) = pace.pause(shared.door.stored.load(Ordering::Relaxed), took, Instant::now()) {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shared.stop.cancelled() => return,
            }
        }
    }
}

/// Tells lone deliveries, which are looked at when they come, from a stream, which is looked at in batches.
struct Pace {
    since: Instant,
    stored: u64,
    /// How many looks long a pause is; none while there is no stream.
    pauses: Option<f64>,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { since: now, stored: 0, pauses: None }
    }

    /// Returns how long to wait in a stream before the next look; `stored` were stored since the start, the last look took
    /// `took`.
    fn pause(&mut self, stored: u64, took: Duration, now: Instant) -> Option<Duration> {
        let (count, window) = ((stored - self.stored) as f64, now.duration_since(self.since));
        let windows = window.div_duration_f64(STREAM_WINDOW).max(1.0);
        let pauses = || (count / (windows * STREAM_WINDOW.as_secs_f64()) / RATE_PER_PAUSE).min(PAUSES_MAX);
        if window >= STREAM_WINDOW {
            *self = Self { since: now, stored, pauses: (count > STREAM_MIN * windows).then(pauses) };
        } else if count > STREAM_MIN {
            self.pauses = Some(self.pauses.unwrap_or_default().max(pauses()));
        }
        self.pauses.map(|pauses| took.mul_f64(pauses).clamp(PAUSE_MIN, PAUSE_MAX))
    }
}

/// Hands over the next batch after this place, and says whether there may be more.
async fn look(shared: &Arc<Shared>, after: &mut u64) -> Result<bool, StoreError> {
    let waiting = shared.store.waiting(*after, BATCH_MAX).await?;
    let Some(last) = waiting.last().map(|last| last.place) else { return Ok(false) };
    let settled = hand_over_all(shared, waiting).await;
    // The dispositions gather and become one commit. What is lost with a crash, or fails, is only read again.
    try_join_all(settled.into_iter().map(|(place, disposition)| shared.store.dispose(place, disposition))).await?;
    *after = last;
    Ok(true)
}

/// Hands over these deliveries, and returns what is to be written about those that are no repository's.
async fn hand_over_all(shared: &Arc<Shared>, waiting: Vec<Waiting>) -> Vec<(u64, Disposition)> {
    let mut settled = Vec::new();
    for one in waiting {
        if shared.stop.is_cancelled() {
            break;
        }
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
    match alarm(oldest, clock::now()) {
        Some(why) => shared.standing.wait(DELIVERIES, why),
        None => shared.standing.clear(DELIVERIES),
    }
}

/// Returns what is to be said where the oldest delivery has waited too long.
fn alarm(oldest: Option<Timestamp>, now: Timestamp) -> Option<&'static str> {
    let is_late = oldest.is_some_and(|at| now.since(at) > WAIT_MAX);
    is_late.then_some("the oldest delivery has waited for more than a minute to be looked at")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_that_waits_for_a_minute_is_an_alarm() {
        let came = Timestamp::from_millis(1_000);
        assert_eq!(alarm(None, came), None);
        assert_eq!(alarm(Some(came), came + WAIT_MAX), None);
        let told = alarm(Some(came), came + WAIT_MAX + Duration::from_millis(1));
        assert!(told.is_some_and(|told| told.contains("more than a minute")), "{told:?}");
    }

    #[test]
    fn lone_deliveries_are_looked_at_at_once() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for number in 0..100 {
            assert_eq!(pace.pause(number * 4, Duration::from_millis(2), now), None);
            now += STREAM_WINDOW;
        }
    }

    #[test]
    fn what_waited_is_looked_at_without_a_pause_when_nothing_comes() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            assert_eq!(pace.pause(0, Duration::from_millis(5), now), None);
            now += Duration::from_millis(5);
        }
    }

    #[test]
    fn in_a_stream_looking_gets_its_share_of_the_time_until_it_dries_up() {
        let (look, mut now, mut stored) = (Duration::from_millis(5), Instant::now(), 0);
        let mut pace = Pace::new(now);
        for _ in 0..20 {
            now += look;
            stored += 5;
            let pause = pace.pause(stored, look, now);
            assert!(pause.is_none_or(|pause| pause == look * 5), "a thousand a second: {pause:?}");
            let on = pause.unwrap_or(STREAM_WINDOW);
            now += on;
            stored += u64::try_from(on.as_millis()).unwrap();
        }
        now += STREAM_WINDOW;
        assert_eq!(pace.pause(stored + 20_000, Duration::from_secs(9), now), Some(PAUSE_MAX));
        stored += 20_000;
        now += PAUSE_MAX;
        assert_eq!(pace.pause(stored, look, now), None);
    }
}
