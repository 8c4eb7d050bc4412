//! What the server waits for, and why: one sentence each, the same on the pages, in `/readyz` and in the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use greenlight_core::time::Timestamp;

use super::clock;

/// Something that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why, in one sentence.
    pub why: Arc<str>,
    /// Since when.
    pub since: Timestamp,
}

/// Everything that is in the way at the moment.
#[derive(Default)]
pub struct Standing {
    troubles: Mutex<BTreeMap<Arc<str>, Trouble>>,
}

impl Standing {
    /// Says that `what` waits. Saying it again changes nothing but the reason.
    pub fn wait(&self, what: &str, why: impl Into<Arc<str>>) {
        let why = why.into();
        let mut troubles = self.troubles();
        match troubles.get_mut(what) {
            Some(trouble) if trouble.why == why => {}
            Some(trouble) => {
                tracing::warn!(what, "{what} still waits: {why}");
                trouble.why = why;
            }
            None => {
                tracing::warn!(what, "{what} waits: {why}");
                troubles.insert(what.into(), Trouble { why, since: clock::now() });
            }
        }
    }

    /// Says at start what has to come first, which is no trouble yet.
    pub fn begin(&self, what: &str, why: impl Into<Arc<str>>) {
        self.troubles().insert(what.into(), Trouble { why: why.into(), since: clock::now() });
    }

    /// Says that `what` waits no more.
    pub fn clear(&self, what: &str) {
        if self.troubles().remove(what).is_some() {
            tracing::info!(what, "{what} goes on");
        }
    }

    /// Returns why `what` waits.
    pub fn of(&self, what: &str) -> Option<Trouble> {
        self.troubles().get(what).cloned()
    }

    /// Returns everything that waits.
    pub fn all(&self) -> Vec<(Arc<str>, Trouble)> {
        self.troubles().iter().map(|(what, trouble)| (what.clone(), trouble.clone())).collect()
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Trouble>> {
        self.troubles.lock().expect("nobody panics while holding the troubles")
    }
}
