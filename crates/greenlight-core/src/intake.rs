//! What becomes of a delivery: stored first, answered second, looked at third (R7).
//!
//! The HTTP handler and the simulation call the same function, so that the promise in a 2xx is tested where it is kept.

use crate::port::{NewDelivery, Store, StoreError, Stored};

/// What GitHub is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reception {
    /// 202: written and synced.
    Accepted,
    /// 202: it was here before; no effect (R8).
    Repeat,
    /// 202: its id was here before with another body; kept and shown, no effect (R9).
    Quarantined,
    /// 503: it could not be written. GitHub does not send it again by itself; the delivery log or a comparison finds it.
    Unavailable(String),
}

/// Writes a verified delivery. Never says that it is kept when it is not.
pub async fn receive(store: &dyn Store, delivery: &NewDelivery) -> Reception {
    match store.receive(delivery).await {
        Ok(Stored::New) => Reception::Accepted,
        Ok(Stored::Repeat) => Reception::Repeat,
        Ok(Stored::Quarantined) => Reception::Quarantined,
        Err(error @ (StoreError::Unavailable(_) | StoreError::Conflict | StoreError::Corrupt(_))) => {
            Reception::Unavailable(error.to_string())
        }
    }
}
