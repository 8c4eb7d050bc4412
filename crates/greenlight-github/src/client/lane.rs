//! Calls with one token take turns: a few reads side by side, writes one at a time, and none at all while GitHub says no.

use std::sync::Mutex;
use std::sync::PoisonError;

use greenlight_core::time::Timestamp;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads that are under way at a time, per token.
const READS_MAX: usize = 6;

/// The turns of one token.
pub(super) struct Lane {
    reads: Semaphore,
    writes: Semaphore,
    closed_until: Mutex<Option<Timestamp>>,
}

impl Default for Lane {
    fn default() -> Self {
        Self { reads: Semaphore::new(READS_MAX), writes: Semaphore::new(1), closed_until: Mutex::default() }
    }
}

impl Lane {
    /// Waits for a turn, which ends when what is returned is dropped.
    pub(super) async fn turn(&self, is_read: bool) -> SemaphorePermit<'_> {
        let semaphore = if is_read { &self.reads } else { &self.writes };
        semaphore.acquire().await.expect("the semaphore is never closed")
    }

    /// May something be sent now? If not, the error says from when on.
    pub(super) fn open_at(&self, now: Timestamp) -> Result<(), Timestamp> {
        let closed_until = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        closed_until.filter(|until| *until > now).map_or(Ok(()), Err)
    }

    /// GitHub wants to hear nothing until then.
    pub(super) fn close_until(&self, until: Timestamp) {
        let mut closed_until = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed_until = (*closed_until).max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_lane_opens_by_itself() {
        let lane = Lane::default();
        let at = Timestamp::from_millis;
        assert_eq!(lane.open_at(at(5)), Ok(()));
        lane.close_until(at(10));
        lane.close_until(at(7));
        assert_eq!(lane.open_at(at(9)), Err(at(10)));
        assert_eq!(lane.open_at(at(10)), Ok(()));
    }
}
