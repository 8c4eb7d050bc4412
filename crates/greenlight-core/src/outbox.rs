//! The outbox: the lanes that keep the order of effects, and the one retry layer (R15).
//!
//! *Wanting* an effect puts an item into a lane. Wanting the same key again replaces what has not left yet, so that a burst
//! of changes becomes one write (R11). A lane's oldest item goes first, one at a time. An effect leaves the outbox by success
//! or by a named refusal; anything else is tried again, later and later, without end. Where an earlier try may have taken
//! effect, the next one reads the world first.

use std::sync::Arc;

use crate::effect::{Dispatch, Effect, Outcome, Target};
use crate::id::{Context, EffectKey, Sha};
use crate::item::{Class, Item, ItemState};
use crate::repository::Repository;
use crate::shown::ReportState;
use crate::time::{Duration, Timestamp};

/// The first wait after a failed try.
pub const RETRY_MIN: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

/// An effect that is wanted.
pub(crate) struct Wanted {
    pub key: EffectKey,
    pub lane: Arc<str>,
    pub class: Class,
    pub effect: Effect,
    pub not_before: Timestamp,
    pub after_success: Option<(Sha, Context)>,
}

impl Wanted {
    /// Wants an effect in a lane of its own, at once.
    pub(crate) fn now(key: impl Into<EffectKey>, class: Class, effect: Effect) -> Self {
        let key = key.into();
        Self { lane: key.shared(), key, class, effect, not_before: Timestamp::EPOCH, after_success: None }
    }

    /// Wants it in a lane that it shares.
    pub(crate) fn in_lane(self, lane: impl Into<Arc<str>>) -> Self {
        Self { lane: lane.into(), ..self }
    }

    /// Wants it not before this.
    pub(crate) fn not_before(self, not_before: Timestamp) -> Self {
        Self { not_before, ..self }
    }

    /// Wants it once GitHub has accepted this report as a success.
    pub(crate) fn after_success(self, sha: Sha, context: Context) -> Self {
        Self { after_success: Some((sha, context)), ..self }
    }
}

/// Wants an effect. The same key again replaces what has not left yet; what is under way is left alone, and its rule compares again when it is back.
pub(crate) fn want(state: &mut Repository, wanted: Wanted) {
    if let Some(item) = state.outbox.get(&wanted.key) {
        if matches!(item.state, ItemState::InFlight { .. })
            || (item.effect == wanted.effect && item.after_success == wanted.after_success)
        {
            return;
        }
        let item = state.outbox.get_mut(&wanted.key).expect("it was there a line ago");
        item.class = wanted.class;
        item.effect = wanted.effect;
        item.after_success = wanted.after_success;
        if let (0, ItemState::Ready { not_before }) = (item.tried, item.state) {
            // What was held back for company goes at once when something urgent takes its place.
            item.state = ItemState::Ready { not_before: not_before.min(wanted.not_before) };
        }
        return;
    }
    let place = state.next_place();
    let item = Item {
        key: wanted.key.clone(),
        lane: wanted.lane,
        place,
        class: wanted.class,
        effect: wanted.effect,
        tried: 0,
        confirm: false,
        state: ItemState::Ready { not_before: wanted.not_before },
        after_success: wanted.after_success,
        trouble: None,
    };
    state.enter_lane(&item);
    state.outbox.insert(wanted.key, item);
}

/// Takes back an effect that has not left. Returns whether none is left: one under way cannot be taken back, nor one that may have taken effect.
pub(crate) fn withdraw(state: &mut Repository, key: &EffectKey) -> bool {
    match state.outbox.get(key) {
        None => true,
        Some(item) if matches!(item.state, ItemState::InFlight { .. }) || item.confirm => false,
        Some(_) => {
            remove(state, key);
            true
        }
    }
}

/// Removes an effect that came to its end.
pub(crate) fn remove(state: &mut Repository, key: &EffectKey) -> Option<Arc<Item>> {
    let item = state.outbox.remove(key)?;
    state.leave_lane(&item);
    Some(item)
}

/// Takes in what became of a try. An end removes the item; anything else sets it back for another try.
pub(crate) fn settle(state: &mut Repository, key: &EffectKey, outcome: &Outcome, now: Timestamp) -> Option<Arc<Item>> {
    let (not_before, reason, unknown) = match outcome {
        Outcome::Done(_) | Outcome::Refused(_) => return remove(state, key),
        Outcome::Later { not_before, reason } => (*not_before, reason, false),
        Outcome::Unknown { reason } => (None, reason, true),
    };
    let item = state.outbox.get_mut(key)?;
    item.tried += 1;
    item.confirm |= unknown;
    item.trouble = Some(reason.clone());
    let wait = backoff(key, item.tried);
    item.state = ItemState::Ready { not_before: (now + wait).max(not_before.unwrap_or(now)) };
    state.outbox.get_shared(key)
}

/// Returns the wait before the next try: doubling, with a jitter that follows from key and try, so that it needs no chance.
pub fn backoff(key: &EffectKey, tried: u32) -> Duration {
    let base = RETRY_MIN.saturating_mul(1 << tried.saturating_sub(1).min(9)).min(RETRY_MAX);
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325 ^ u64::from(tried);
    for byte in key.as_str().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    // Between three quarters and all of it.
    base * 3 / 4 + base / 4 * u32::try_from(hash >> 32 & 0xff).unwrap_or(0) / 255
}

/// Returns how long to wait before GitHub is asked again for something that it has not told since then: a quarter of that time, within
/// these bounds.
pub(crate) fn patience(since: Timestamp, now: Timestamp, min: Duration, max: Duration) -> Duration {
    (now.since(since) / 4).clamp(min, max)
}

/// What the token of one GitHub may still write, for all its repositories together.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    buckets: Vec<Bucket>,
}

#[derive(Clone, Debug, PartialEq)]
struct Bucket {
    capacity: f64,
    per_milli: f64,
    level: f64,
    at: Timestamp,
}

impl Budget {
    /// No limit: GitHub Enterprise Server as it is set up by default.
    pub fn unlimited() -> Self {
        Self { buckets: Vec::new() }
    }

    /// github.com: never more than 80 writes in any minute and 500 in any hour, whatever the bursts were.
    pub fn github_com(now: Timestamp) -> Self {
        let bucket = |capacity: f64, refill: f64, length: f64| Bucket {
            capacity,
            per_milli: refill / length,
            level: capacity,
            at: now,
        };
        Self { buckets: vec![bucket(20.0, 60.0, 60_000.0), bucket(60.0, 440.0, 3_600_000.0)] }
    }

    /// Takes one write of this class, or says when to ask again.
    fn take(&mut self, class: Class, now: Timestamp) -> Result<(), Timestamp> {
        let mut again_at = now;
        for bucket in &mut self.buckets {
            let passed = now.since(bucket.at).as_secs_f64() * 1000.0;
            bucket.level = (bucket.level + passed * bucket.per_milli).min(bucket.capacity);
            bucket.at = now;
            let needed = 1.0 + bucket.capacity * kept_back(class);
            if bucket.level < needed {
                let millis = ((needed - bucket.level) / bucket.per_milli).ceil();
                again_at = again_at.max(now + Duration::from_secs_f64(millis / 1000.0));
            }
        }
        if again_at > now {
            return Err(again_at);
        }
        for bucket in &mut self.buckets {
            bucket.level -= 1.0;
        }
        Ok(())
    }
}

/// Returns the share of each bucket that this class leaves to those that hurry more.
fn kept_back(class: Class) -> f64 {
    match class {
        Class::Read | Class::AggregateEnd => 0.0,
        Class::Deployment | Class::Merge => 0.1,
        Class::AggregatePending => 0.2,
        Class::JobEnd => 0.4,
        Class::Comment => 0.5,
        Class::Pending => 0.6,
    }
}

/// Returns what is to be carried out now, and marks it as under way; and when to ask again, where something waits for time or budget.
pub fn dispatch(state: &mut Repository, budget: &mut Budget, now: Timestamp) -> (Vec<Dispatch>, Option<Timestamp>) {
    let mut again_at: Option<Timestamp> = None;
    let mut later = |at: Timestamp| again_at = Some(again_at.map_or(at, |known| known.min(at)));
    let mut candidates: Vec<(Class, u64, EffectKey)> = Vec::new();
    for item in state.outbox.values().filter(|item| state.is_first_in_lane(item)) {
        match item.state {
            ItemState::InFlight { .. } => {}
            ItemState::Ready { not_before } if not_before > now => later(not_before),
            ItemState::Ready { .. } if is_awaiting(state, item) => {}
            ItemState::Ready { .. } => candidates.push((item.class, item.place, item.key.clone())),
        }
    }
    candidates.sort();
    let mut dispatches = Vec::with_capacity(candidates.len());
    for (class, _, key) in candidates {
        let Some(item) = state.outbox.get_quiet(&key) else { continue };
        if item.effect.target() == Target::GitHubWrite
            && let Err(at) = budget.take(class, now)
        {
            later(at);
            continue;
        }
        item.state = ItemState::InFlight { since: now };
        dispatches.push(Dispatch { key, effect: item.effect.clone(), tried: item.tried + 1, confirm: item.confirm });
    }
    (dispatches, again_at)
}

fn is_awaiting(state: &Repository, item: &Item) -> bool {
    item.after_success.as_ref().is_some_and(|awaited| {
        if state.showing.contains(awaited) {
            return true;
        }
        let accepted = state.reports.get(awaited).and_then(|report| report.accepted.as_ref());
        accepted.is_none_or(|shown| shown.state != ReportState::Success)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_stay_bounded() {
        let key = EffectKey::from("show:x");
        let waits: Vec<_> = (1..20).map(|tried| backoff(&key, tried)).collect();
        assert!(waits[0] >= RETRY_MIN * 3 / 4 && waits[0] <= RETRY_MIN);
        assert!(waits[18] >= RETRY_MAX * 3 / 4 && waits[18] <= RETRY_MAX);
        assert!(waits.windows(2).take(6).all(|pair| pair[1] > pair[0]));
    }

    #[test]
    fn no_hour_holds_more_writes_than_github_allows() {
        let mut now = Timestamp::EPOCH;
        let mut budget = Budget::github_com(now);
        let mut written = Vec::new();
        while now < Timestamp::EPOCH + Duration::from_secs(7200) {
            match budget.take(Class::AggregateEnd, now) {
                Ok(()) => written.push(now),
                Err(at) => now = at,
            }
        }
        for (first, at) in written.iter().enumerate() {
            let within = |length: u64| {
                written[first..].iter().take_while(|other| other.since(*at) < Duration::from_secs(length)).count()
            };
            assert!(within(60) <= 80 && within(3600) <= 500, "{} {}", within(60), within(3600));
        }
        assert!(written.len() > 800);
    }

    #[test]
    fn the_aggregate_is_written_when_nothing_else_may_be() {
        let mut budget = Budget::github_com(Timestamp::EPOCH);
        while budget.take(Class::JobEnd, Timestamp::EPOCH).is_ok() {}
        assert!(budget.take(Class::Pending, Timestamp::EPOCH).is_err());
        assert!(budget.take(Class::AggregateEnd, Timestamp::EPOCH).is_ok());
    }
}
