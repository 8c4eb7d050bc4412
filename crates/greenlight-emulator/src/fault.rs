//! Faults on demand: rules that make webhooks and requests go wrong, each so many times or with a probability from a seed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::model::protection::glob_matches;

/// How many rules may be set at a time.
const RULES_MAX: usize = 1_000;
/// How many earlier answers are kept for stale reads.
const EARLIER_ANSWERS_MAX: usize = 500;
/// How long a request hangs that is to time out, unless the rule says otherwise.
const TIMEOUT_MILLISECONDS: u64 = 60_000;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The delivery fails on its way: in the delivery log as a failure, never at the receiver.
    WebhookLost,
    /// The delivery is never made, and no log shows it.
    WebhookNeverMade,
    /// The delivery arrives twice under one id.
    WebhookDoubled,
    /// The delivery arrives `milliseconds` late.
    WebhookDelayed,
    /// The delivery arrives after the one that follows it.
    WebhookReordered,
    /// The request is answered `status` before it does anything.
    Answer,
    /// The request takes effect and is then answered `status`.
    AnswerAfter,
    /// The request hangs and does nothing.
    Timeout,
    /// The request takes effect and hangs.
    TimeoutAfter,
    /// The token counts as revoked.
    TokenRevoked,
    /// A read gets the answer of the read before.
    StaleRead,
}

impl FaultKind {
    /// Returns the name that the feed shows.
    pub fn name(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }

    fn is_webhook(self) -> bool {
        use FaultKind::*;
        matches!(self, WebhookLost | WebhookNeverMade | WebhookDoubled | WebhookDelayed | WebhookReordered)
    }
}

/// One rule, as `POST /_emulator/faults` takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    #[serde(default)]
    pub id: u64,
    pub fault: FaultKind,
    /// What the answer's status is to be: 500, 502, 503, 403 (a secondary limit) or 422.
    #[serde(default = "status_usual")]
    pub status: u16,
    /// For delays and hanging requests.
    pub milliseconds: Option<u64>,
    /// The webhook's event, as a glob.
    #[serde(default = "anything")]
    pub event: String,
    pub hook: Option<u64>,
    /// The request's method; any where there is none.
    pub method: Option<String>,
    /// The request's path without its prefix, as a glob: `*` stops at a slash, `**` does not.
    #[serde(default = "anything")]
    pub path: String,
    /// The token that is revoked; any where there is none.
    pub token: Option<String>,
    /// How often the rule still strikes; without end where it is absent.
    pub times: Option<u64>,
    /// How likely it strikes when it matches.
    #[serde(default = "certain")]
    pub probability: f64,
    #[serde(default)]
    pub seed: u64,
    /// How often it has struck.
    #[serde(default)]
    pub struck: u64,
    #[serde(default)]
    asked: u64,
}

impl FaultRule {
    /// Returns what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        if !(400..600).contains(&self.status) {
            return Err(format!("status is that of a failure, 400 to 599, and not {}", self.status));
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(format!("probability is between 0 and 1, and not {}", self.probability));
        }
        Ok(())
    }
}

fn status_usual() -> u16 {
    502
}

fn anything() -> String {
    "**".to_owned()
}

fn certain() -> f64 {
    1.0
}

/// What a rule does to one request or delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Strike {
    pub kind: FaultKind,
    pub status: u16,
    pub milliseconds: u64,
}

/// All rules, and what stale reads need.
#[derive(Default)]
pub struct Faults {
    rules: Mutex<Vec<FaultRule>>,
    earlier: Mutex<HashMap<String, (u16, Bytes)>>,
}

impl Faults {
    /// Adds a rule and returns it with its id, or nothing where there are too many.
    pub fn add(&self, mut rule: FaultRule) -> Option<FaultRule> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if rules.len() >= RULES_MAX {
            return None;
        }
        rule.id = rules.last().map_or(1, |last| last.id + 1);
        rule.struck = 0;
        rule.asked = 0;
        rules.push(rule.clone());
        Some(rule)
    }

    /// Returns the rules.
    pub fn list(&self) -> Vec<FaultRule> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Returns what happens to a delivery.
    pub fn for_delivery(&self, event: &str, hook: u64) -> Option<Strike> {
        self.strike(|rule| {
            rule.fault.is_webhook() && glob_matches(&rule.event, event) && rule.hook.is_none_or(|wanted| wanted == hook)
        })
    }

    /// Returns what happens to a request.
    pub fn for_request(&self, method: &str, path: &str, token: &str) -> Option<Strike> {
        self.strike(|rule| {
            !rule.fault.is_webhook()
                && (rule.fault != FaultKind::StaleRead || method == "GET")
                && rule.method.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
                && rule.token.as_ref().is_none_or(|wanted| wanted == token)
                && glob_matches(&rule.path, path)
        })
    }

    /// Keeps the answer to a read for later stale ones, and returns the one before.
    pub fn exchange_answer(&self, key: &str, status: u16, body: &Bytes) -> Option<(u16, Bytes)> {
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        if earlier.len() >= EARLIER_ANSWERS_MAX && !earlier.contains_key(key) {
            earlier.clear();
        }
        earlier.insert(key.to_owned(), (status, body.clone()))
    }

    fn strike(&self, matches: impl Fn(&FaultRule) -> bool) -> Option<Strike> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in rules.iter_mut().filter(|rule| rule.times != Some(0)) {
            if !matches(rule) {
                continue;
            }
            rule.asked += 1;
            if fraction(rule.seed, rule.asked) >= rule.probability {
                continue;
            }
            rule.struck += 1;
            rule.times = rule.times.map(|times| times - 1);
            return Some(Strike {
                kind: rule.fault,
                status: rule.status,
                milliseconds: rule.milliseconds.unwrap_or(TIMEOUT_MILLISECONDS),
            });
        }
        None
    }
}

/// Returns the `count`th number in 0..1 of the sequence that `seed` starts.
pub fn fraction(seed: u64, count: u64) -> f64 {
    // SplitMix64: one multiplication chain a number, and no state but the count.
    let mut mixed = seed.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> FaultRule {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_rule_strikes_as_often_as_it_says() {
        let faults = Faults::default();
        faults
            .add(rule(
                r#"{"fault": "answer", "status": 502, "method": "POST", "path": "/repos/*/*/statuses/*", "times": 1}"#,
            ))
            .unwrap();
        assert_eq!(faults.for_request("GET", "/repos/o/r/statuses/abc", ""), None);
        assert_eq!(faults.for_request("POST", "/repos/o/r/statuses/abc", "").unwrap().status, 502);
        assert_eq!(faults.for_request("POST", "/repos/o/r/statuses/abc", ""), None);
    }

    #[test]
    fn probability_follows_the_seed() {
        let strikes = |seed: u64| {
            let faults = Faults::default();
            faults.add(rule(&format!(r#"{{"fault": "webhook_lost", "probability": 0.5, "seed": {seed}}}"#))).unwrap();
            (0..64).map(|_| faults.for_delivery("push", 1).is_some()).collect::<Vec<bool>>()
        };
        assert_eq!(strikes(1), strikes(1));
        assert_ne!(strikes(1), strikes(2));
        let lost = strikes(3).into_iter().filter(|lost| *lost).count();
        assert!((16..=48).contains(&lost), "{lost} of 64");
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(serde_json::from_str::<FaultRule>(r#"{"fault": "answer", "tims": 1}"#).is_err());
    }
}
