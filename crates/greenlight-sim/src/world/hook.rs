//! Webhooks on their way: lost, repeated, late, out of order, forged; and what the server's door makes of them.

use std::sync::Arc;

use greenlight_core::fact::Fact;
use greenlight_core::id::DeliveryId;
use greenlight_core::intake::{Reception, receive};
use greenlight_core::port::NewDelivery;

use super::door::Seal;
use super::{Event, World};
use crate::block::block_on;
use crate::coverage::Moment;
use crate::invariant::{Checked, storage};

/// A hook that was sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The delivery, as it arrives; its digest is known once its signature was checked.
    pub delivery: NewDelivery,
    /// Its signature.
    pub seal: Option<Seal>,
    /// What our reader makes of it, kept beside it.
    pub facts: Vec<Fact>,
    /// Did a stranger make it?
    pub forged: bool,
    /// Did the server promise to keep it?
    pub accepted: bool,
}

impl World {
    /// Sends what GitHub's state changes left to be sent.
    pub fn send_hooks(&mut self) {
        if self.github.outgoing.is_empty() {
            return;
        }
        for hook in std::mem::take(&mut self.github.outgoing) {
            let number = self.pack(hook.event, hook.facts);
            if self.rng.chance(self.odds.hook_lost) {
                self.coverage.saw(Moment::WebhookLost);
                self.trace.line(|| format!("  hook {number} ({}) is lost", hook.event));
                continue;
            }
            let wait = self.delay();
            self.at(wait, Event::Hook(number));
            if self.rng.chance(self.odds.hook_repeated) {
                self.coverage.saw(Moment::WebhookRepeated);
                for _ in 0..1 + self.rng.below(4) {
                    let wait = self.delay();
                    self.at(wait, Event::Hook(number));
                }
            }
            if self.rng.chance(self.odds.hook_forged) {
                self.forge(number);
            }
        }
    }

    fn delay(&mut self) -> i64 {
        if self.rng.chance(self.odds.hook_late) {
            self.coverage.saw(Moment::WebhookLate);
            return self.rng.between(60_000, 6 * 3_600_000);
        }
        if self.rng.chance(100) { self.rng.between(500, 30_000) } else { self.rng.between(20, 900) }
    }

    fn pack(&mut self, event: &'static str, facts: Vec<Fact>) -> u32 {
        let number = u32::try_from(self.hooks.len()).expect("a life sends few hooks");
        let body: Arc<[u8]> = Arc::from(number.to_be_bytes().as_slice());
        let seal = Some(self.door.sign(&body));
        let delivery = NewDelivery {
            id: DeliveryId::from(format!("hook-{number}")),
            event: event.into(),
            hook: None,
            form: number % 2 == 0,
            received_at: self.clock(),
            body,
            digest: [0; 32],
        };
        self.hooks.push(Sent { delivery, seal, facts, forged: false, accepted: false });
        number
    }

    /// Sends another body under the same id.
    fn forge(&mut self, number: u32) {
        let at = usize::try_from(number).expect("a u32 fits");
        let other = u32::try_from(self.hooks.len()).expect("a life sends few hooks");
        let mut forged = self.hooks[at].clone();
        forged.delivery.body = Arc::from(b"another".as_slice());
        forged.seal = Some(self.door.sign(&forged.delivery.body));
        self.hooks.push(forged);
        self.coverage.saw(Moment::WebhookForged);
        let wait = self.rng.between(20, 60_000);
        self.at(wait, Event::Hook(other));
    }

    /// A hook arrives at the server's door, which is open while the program runs.
    pub fn hook_arrives(&mut self, number: u32) -> Checked {
        let at = usize::try_from(number).expect("a u32 fits");
        if self.boot == 0 || (self.cell.is_none() && !self.stuck) {
            self.trace.line(|| format!("hook {number} finds nobody"));
            return Ok(());
        }
        let sent = &self.hooks[at];
        let Some(digest) = self.door.verify(&sent.delivery.event, &sent.delivery.body, sent.seal) else {
            self.coverage.saw(Moment::DeliveryUnsigned);
            self.trace.line(|| format!("hook {number} is not signed with a secret of ours"));
            return storage::i4_only_what_was_signed_is_kept(self);
        };
        self.hooks[at].delivery.digest = digest;
        self.hooks[at].delivery.received_at = self.clock();
        let reception = block_on(receive(&self.store, &self.hooks[at].delivery));
        self.trace.mix(u64::from(number));
        let event = self.hooks[at].delivery.event.clone();
        self.trace.line(|| format!("hook {number} ({event}): {reception:?}"));
        match reception {
            Reception::Unavailable(_) => {
                self.coverage.saw(Moment::DeliveryRefused);
                return Ok(());
            }
            Reception::Accepted => {
                self.stored.push(number);
                let place = u64::try_from(self.stored.len()).expect("a usize fits");
                self.inbox.push(place);
            }
            Reception::Quarantined => self.quarantined += 1,
            Reception::Repeat => {}
        }
        storage::i24_nothing_is_promised(self)?;
        self.hooks[at].accepted = true;
        storage::i1_accepted_is_present(&self.store, &self.hooks[at].delivery)?;
        // The server looks at once, or has something else to do first.
        if reception == Reception::Accepted && self.rng.chance(800) { self.step(None).map(|_| ()) } else { Ok(()) }
    }
}
