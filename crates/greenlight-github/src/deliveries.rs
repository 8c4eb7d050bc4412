//! Missed deliveries: GitHub keeps a log of what it sent, and sends again what it is asked for.
//!
//! A delivery is one GUID, however often it was tried. What never arrived is asked for once by each process; what comes then
//! is a delivery like any other. It is a comfort, not the cure: reconcile finds the same things, only without their events.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use greenlight_core::id::DeliveryId;
use greenlight_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{CallError, Client, On, Request, repository_path};
use crate::shape;

/// GUIDs that were asked for and are remembered.
const ASKED_MAX: usize = 10_000;
/// Deliveries that are asked for at a time; the rest has its turn next time.
const REDELIVERIES_MAX: usize = 50;

/// Asks for missed deliveries.
pub struct MissedDeliveries {
    client: Client,
    hook_url: Arc<str>,
    asked: Mutex<HashSet<Arc<str>>>,
}

/// What became of looking for missed deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The log was read.
    Looked {
        /// Deliveries in it, each counted once.
        seen: usize,
        /// Those that never arrived and were asked for now.
        asked: Vec<DeliveryId>,
        /// Those that never arrived and that GitHub would not send again.
        refused: Vec<DeliveryId>,
    },
    /// We may not read the log, or there is no hook that sends to us.
    NotReadable {
        /// Why, in one sentence.
        reason: Arc<str>,
    },
}

#[derive(Deserialize)]
struct Hook {
    id: u64,
    #[serde(default)]
    config: Value,
}

#[derive(Deserialize)]
struct Attempt {
    id: u64,
    guid: Arc<str>,
    #[serde(default)]
    delivered_at: Option<Arc<str>>,
    #[serde(default)]
    status_code: Option<i64>,
}

impl Attempt {
    fn has_arrived(&self) -> bool {
        self.status_code.is_some_and(|code| (200..300).contains(&code))
    }
}

impl MissedDeliveries {
    /// Returns one that knows our hooks by the address that they send to.
    pub fn new(client: Client, hook_url: &str) -> Self {
        Self { client, hook_url: hook_url.trim_end_matches('/').into(), asked: Mutex::default() }
    }

    /// Asks for what this repository's hook of ours did not deliver since then.
    pub async fn recover_repository(&self, full_name: &str, since: Timestamp) -> Result<Recovery, CallError> {
        let on = On::Repository(full_name);
        let hooks: Vec<Hook> =
            match self.client.list(on, &repository_path(full_name, "/hooks?per_page=100")?, None).await {
                Err(CallError::NotFound { .. } | CallError::Forbidden { .. }) => {
                    return Ok(not_readable("the token may not read the repository's hooks"));
                }
                read => read?,
            };
        let ours = hooks.iter().find(|hook| {
            let url = hook.config.get("url").and_then(Value::as_str).unwrap_or("");
            url.trim_end_matches('/') == &*self.hook_url
        });
        match ours {
            None => Ok(not_readable("no hook of the repository sends to this server")),
            Some(hook) => {
                self.recover(on, &repository_path(full_name, &format!("/hooks/{}/deliveries", hook.id))?, since).await
            }
        }
    }

    /// Asks for what our App's hook did not deliver since then.
    pub async fn recover_app(&self, since: Timestamp) -> Result<Recovery, CallError> {
        self.recover(On::Ourselves, "/app/hook/deliveries", since).await
    }

    async fn recover(&self, on: On<'_>, log: &str, since: Timestamp) -> Result<Recovery, CallError> {
        let is_young =
            |attempt: &Attempt| attempt.delivered_at.as_deref().and_then(shape::timestamp).is_none_or(|at| at >= since);
        let attempts: Vec<Attempt> =
            match self.client.list_while(on, &format!("{log}?per_page=100"), None, is_young).await {
                Err(CallError::NotFound { .. } | CallError::Forbidden { .. }) => {
                    return Ok(not_readable("the token may not read the hook's deliveries"));
                }
                read => read?,
            };
        let (seen, missed) = missed(&attempts);
        let (mut asked, mut refused) = (Vec::new(), Vec::new());
        for attempt in missed.into_iter().filter(|attempt| self.is_new(&attempt.guid)).take(REDELIVERIES_MAX) {
            let request =
                Request { method: reqwest::Method::POST, path: format!("{log}/{}/attempts", attempt.id), body: None };
            match self.client.call(on, &request).await {
                Ok(_) => asked.push(DeliveryId::new(attempt.guid.clone())),
                Err(CallError::NotFound { .. } | CallError::Forbidden { .. } | CallError::Rejected { .. }) => {
                    refused.push(DeliveryId::new(attempt.guid.clone()));
                }
                Err(error) => return Err(error),
            }
            self.remember(attempt.guid.clone());
        }
        Ok(Recovery::Looked { seen, asked, refused })
    }

    fn is_new(&self, guid: &str) -> bool {
        !self.asked.lock().unwrap_or_else(PoisonError::into_inner).contains(guid)
    }

    fn remember(&self, guid: Arc<str>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        // Forgetting costs one delivery twice, which the intake knows by its id.
        if asked.len() >= ASKED_MAX {
            asked.clear();
        }
        asked.insert(guid);
    }
}

/// Returns how many deliveries there are, and one attempt of each that never arrived, oldest first.
fn missed(attempts: &[Attempt]) -> (usize, Vec<&Attempt>) {
    let mut by_guid: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        by_guid.entry(&attempt.guid).or_default().push(attempt);
    }
    let seen = by_guid.len();
    let lost = by_guid.into_values().filter(|attempts| !attempts.iter().any(|attempt| attempt.has_arrived()));
    let mut lost: Vec<&Attempt> =
        lost.filter_map(|attempts| attempts.into_iter().min_by_key(|attempt| attempt.id)).collect();
    lost.sort_by_key(|attempt| attempt.id);
    (seen, lost)
}

fn not_readable(reason: &str) -> Recovery {
    Recovery::NotReadable { reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(id: u64, guid: &str, status_code: i64) -> Attempt {
        Attempt { id, guid: guid.into(), delivered_at: None, status_code: Some(status_code) }
    }

    #[test]
    fn a_delivery_that_arrived_once_is_not_missed() {
        let log = [
            attempt(5, "b", 202),
            attempt(4, "a", 502),
            attempt(3, "c", 0),
            attempt(2, "b", 503),
            attempt(1, "c", 500),
        ];
        let (seen, missed) = missed(&log);
        assert_eq!(seen, 3);
        assert_eq!(missed.iter().map(|attempt| (attempt.id, &*attempt.guid)).collect::<Vec<_>>(), [(1, "c"), (4, "a")]);
    }
}
