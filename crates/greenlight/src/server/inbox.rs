//! Looks at what was stored: every delivery becomes facts for its repository, or is put aside with a sentence.

use std::sync::Arc;
use std::time::Duration;

use greenlight_core::port::{Disposition, Store as _, StoreError, Waiting};
use greenlight_core::time::Timestamp;
use greenlight_github::payload::{self, Reading};

use super::{Shared, clock};

/// Deliveries that are read from the store at once.
const BATCH_MAX: usize = 64;
/// How often the store is looked at though nobody said that something came.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A delivery that waits longer than this is an alarm (R14).
const WAIT_MAX: Duration = Duration::from_secs(60);
/// What is waited for while deliveries are not looked at.
const DELIVERIES: &str = "deliveries";

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let mut after = 0;
    loop {
        if let Err(error) = look(&shared, &mut after).await {
            shared.standing.wait("store", error.to_string());
        }
        watch(&shared).await;
        tokio::select! {
            () = shared.door.arrived.notified() => {}
            () = shared.rescan.notified() => after = 0,
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Hands over everything that waits after this place.
async fn look(shared: &Arc<Shared>, after: &mut u64) -> Result<(), StoreError> {
    while !shared.stop.is_cancelled() {
        let waiting = shared.store.waiting(*after, BATCH_MAX).await?;
        if waiting.is_empty() {
            break;
        }
        for one in waiting {
            shared.door.pressure.give_way().await;
            let place = one.place;
            hand_over(shared, one).await?;
            *after = place;
        }
    }
    Ok(())
}

async fn hand_over(shared: &Arc<Shared>, waiting: Waiting) -> Result<(), StoreError> {
    let (place, delivery) = (waiting.place, &waiting.delivery);
    let disposition = match payload::read(delivery) {
        Reading::Facts { repository, facts } => match shared.directory.of_delivery(shared, &repository) {
            Some(handle) => {
                tracing::debug!(delivery.id = %delivery.id, "{} for {}: {} facts", delivery.event, repository.full_name, facts.len());
                handle.deliver(facts, place, Disposition::Applied).await;
                return Ok(());
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
    };
    shared.store.dispose(place, disposition).await
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
