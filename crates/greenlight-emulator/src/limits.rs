//! Rate limits as github.com has them: a budget an hour for each token, and a secondary one for what creates content.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use crate::model::At;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;
/// How many callers are remembered.
const CALLERS_MAX: usize = 10_000;

/// How much a caller may ask. `None` in [`crate::Options::limits`] means no limits at all, as on GHES.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// Requests an hour with a token.
    pub requests_per_hour: u64,
    /// Requests an hour without one.
    pub anonymous_per_hour: u64,
    /// Writes that create content, a minute.
    pub writes_per_minute: usize,
    /// Writes that create content, an hour.
    pub writes_per_hour: usize,
}

impl Default for RateLimits {
    fn default() -> RateLimits {
        RateLimits { requests_per_hour: 5_000, anonymous_per_hour: 60, writes_per_minute: 80, writes_per_hour: 500 }
    }
}

/// Where a caller stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub limit: u64,
    pub used: u64,
    /// Seconds since 1970.
    pub reset: i64,
}

impl Budget {
    /// Returns what is left.
    pub fn remaining(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// Whether a request may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Go,
    /// The hour's budget is gone.
    Primary,
    /// Too many writes; try again after this many seconds.
    Secondary {
        retry_after: i64,
    },
}

/// The budgets of all callers.
pub struct Limits {
    rates: Option<RateLimits>,
    callers: Mutex<HashMap<String, Caller>>,
}

struct Caller {
    used: u64,
    reset: i64,
    writes: VecDeque<i64>,
}

impl Limits {
    /// Returns full budgets.
    pub fn new(rates: Option<RateLimits>) -> Limits {
        Limits { rates, callers: Mutex::default() }
    }

    /// Counts one request and says whether it may go on. A caller with no name is anonymous.
    pub fn count(&self, caller: &str, creates_content: bool, now: At) -> (Verdict, Option<Budget>) {
        let Some(rates) = self.rates else { return (Verdict::Go, None) };
        let limit = if caller.is_empty() { rates.anonymous_per_hour } else { rates.requests_per_hour };
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= CALLERS_MAX {
            callers.retain(|_, caller| caller.reset > now.0);
        }
        let entry = callers.entry(caller.to_owned()).or_insert_with(|| Caller {
            used: 0,
            reset: now.0 + HOUR,
            writes: VecDeque::new(),
        });
        if entry.reset <= now.0 {
            entry.used = 0;
            entry.reset = now.0 + HOUR;
        }
        let exhausted = entry.used >= limit;
        entry.used = (entry.used + 1).min(limit);
        let budget = Budget { limit, used: entry.used, reset: entry.reset.div_euclid(1000) };
        if exhausted {
            return (Verdict::Primary, Some(budget));
        }
        if creates_content && let Some(retry_after) = entry.write(rates, now.0) {
            return (Verdict::Secondary { retry_after }, Some(budget));
        }
        (Verdict::Go, Some(budget))
    }

    /// Gives back what a conditional request cost that found nothing new.
    pub fn refund(&self, caller: &str) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = callers.get_mut(caller) {
            caller.used = caller.used.saturating_sub(1);
        }
    }

    /// Returns a caller's budget without counting anything.
    pub fn budget(&self, caller: &str, now: At) -> Option<Budget> {
        let rates = self.rates?;
        let limit = if caller.is_empty() { rates.anonymous_per_hour } else { rates.requests_per_hour };
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let live = callers.get(caller).filter(|caller| caller.reset > now.0);
        Some(live.map_or(Budget { limit, used: 0, reset: (now.0 + HOUR).div_euclid(1000) }, |caller| Budget {
            limit,
            used: caller.used,
            reset: caller.reset.div_euclid(1000),
        }))
    }
}

impl Caller {
    /// Counts a write, or returns the seconds to wait where there were too many.
    fn write(&mut self, rates: RateLimits, now: i64) -> Option<i64> {
        while self.writes.front().is_some_and(|at| *at <= now - HOUR) {
            self.writes.pop_front();
        }
        let wait_for = |at: i64, window: i64| ((at + window - now).div_euclid(1000) + 1).max(1);
        if self.writes.len() >= rates.writes_per_hour {
            return self.writes.front().map(|at| wait_for(*at, HOUR));
        }
        let recent = self.writes.iter().filter(|at| **at > now - MINUTE).count();
        if recent >= rates.writes_per_minute {
            return Some(MINUTE / 1000);
        }
        self.writes.push_back(now);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_budget_runs_out_and_comes_back() {
        let limits = Limits::new(Some(RateLimits { requests_per_hour: 2, ..RateLimits::default() }));
        assert_eq!(limits.count("t", false, At(0)).0, Verdict::Go);
        assert_eq!(limits.count("t", false, At(0)).0, Verdict::Go);
        assert_eq!(limits.count("t", false, At(0)).0, Verdict::Primary);
        assert_eq!(limits.count("other", false, At(0)).0, Verdict::Go);
        assert_eq!(limits.count("t", false, At(HOUR)).0, Verdict::Go);
    }

    #[test]
    fn a_refund_costs_nothing() {
        let limits = Limits::new(Some(RateLimits::default()));
        limits.count("t", false, At(0));
        limits.refund("t");
        assert_eq!(limits.budget("t", At(0)).unwrap().used, 0);
    }

    #[test]
    fn writes_have_a_minute_and_an_hour() {
        let limits =
            Limits::new(Some(RateLimits { writes_per_minute: 2, writes_per_hour: 3, ..RateLimits::default() }));
        assert_eq!(limits.count("t", true, At(0)).0, Verdict::Go);
        assert_eq!(limits.count("t", true, At(1)).0, Verdict::Go);
        assert_eq!(limits.count("t", true, At(2)).0, Verdict::Secondary { retry_after: 60 });
        assert_eq!(limits.count("t", true, At(MINUTE + 2)).0, Verdict::Go);
        assert!(matches!(limits.count("t", true, At(2 * MINUTE + 3)).0, Verdict::Secondary { .. }));
    }
}
