//! The delivery log of each hook, as GitHub keeps it: for looking back, and for delivering once more.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use crate::model::At;

/// How many deliveries of one hook are kept.
const DELIVERIES_PER_HOOK_MAX: usize = 2_000;

/// One attempt at a delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: u64,
    /// The same for all attempts at one announcement.
    pub guid: String,
    pub hook: u64,
    pub event: &'static str,
    pub action: Option<String>,
    pub repository: Option<u64>,
    pub installation: Option<u64>,
    pub redelivery: bool,
    pub delivered_at: At,
    pub url: String,
    pub request_headers: Vec<(String, String)>,
    /// The payload as JSON text, whatever the content type.
    pub payload: Arc<str>,
    /// Seconds.
    pub duration: f64,
    pub status: String,
    pub status_code: u16,
    pub response_headers: Vec<(String, String)>,
    pub response_body: String,
}

/// The logs of all hooks.
#[derive(Default)]
pub struct DeliveryLog {
    hooks: Mutex<HashMap<u64, VecDeque<Arc<Delivery>>>>,
}

impl DeliveryLog {
    /// Notes an attempt.
    pub fn add(&self, delivery: Arc<Delivery>) {
        let mut hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let log = hooks.entry(delivery.hook).or_default();
        log.push_back(delivery);
        if log.len() > DELIVERIES_PER_HOOK_MAX {
            log.pop_front();
        }
    }

    /// Returns a hook's attempts, newest first.
    pub fn of_hook(&self, hook: u64) -> Vec<Arc<Delivery>> {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut deliveries: Vec<Arc<Delivery>> =
            hooks.get(&hook).map(|log| log.iter().cloned().collect()).unwrap_or_default();
        deliveries.sort_by_key(|delivery| std::cmp::Reverse(delivery.id));
        deliveries
    }

    /// Returns one attempt.
    pub fn find(&self, hook: u64, id: u64) -> Option<Arc<Delivery>> {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.get(&hook)?.iter().find(|delivery| delivery.id == id).cloned()
    }

    /// Forgets a hook that was deleted.
    pub fn forget(&self, hook: u64) {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner).remove(&hook);
    }
}
