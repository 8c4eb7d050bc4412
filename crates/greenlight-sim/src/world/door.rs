//! What stands between strangers and the store: the hook's secret, and its rotation.
//!
//! The door draws from a generator of its own, so that who knocks does not change what else happens in a life.

use greenlight_core::event::User;
use greenlight_core::fact::{Fact, PushFact, Source};
use greenlight_core::id::{RefName, Sha, UserId};
use greenlight_core::time::Timestamp;

use super::hook::Sent;
use super::{Event, World};
use crate::coverage::Moment;
use crate::invariant::Checked;
use crate::rng::{Rng, mix};

/// A signature, as it stands in the header.
pub type Seal = u64;

/// The commit that every stranger would like to be the default branch's.
pub const EVIL: Sha = Sha::from_bytes([0xee; 20]);

/// The secrets.
#[derive(Clone, Debug)]
pub struct Door {
    rng: Rng,
    /// Those that the server knows: one, or two while one takes the other's place.
    live: Vec<u64>,
    /// The one that GitHub signs with.
    github: u64,
}

impl Door {
    /// Returns the door of this seed's life, with one secret that both sides know.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(mix(seed) ^ 0x5ec2e7);
        let secret = rng.draw();
        Self { rng, live: vec![secret], github: secret }
    }

    /// Signs a body as GitHub does.
    pub fn sign(&self, body: &[u8]) -> Seal {
        seal(self.github, body)
    }

    /// Checks a signature over the raw body. Returns what tells this body and event from any other, or nothing where no
    /// secret of ours made it.
    pub fn verify(&self, event: &str, body: &[u8], shown: Option<Seal>) -> Option<[u8; 32]> {
        let tag = self.live.iter().map(|secret| seal(*secret, body)).find(|tag| Some(*tag) == shown)?;
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&tag.to_be_bytes());
        digest[8..16].copy_from_slice(&seal(0, event.as_bytes()).to_be_bytes());
        Some(digest)
    }

    /// Goes on with the rotation: the server learns the new secret, the hook gets it, the server forgets the old one. Returns
    /// whether that was the last.
    fn turn(&mut self) -> bool {
        match self.live[..] {
            [_] => self.live.push(self.rng.draw()),
            [old, new] if self.github == old => self.github = new,
            _ => drop(self.live.remove(0)),
        }
        self.live.len() == 1
    }
}

fn seal(secret: u64, body: &[u8]) -> Seal {
    body.iter().fold(mix(secret), |tag, byte| mix(tag ^ u64::from(*byte)))
}

impl World {
    /// Chooses whether the secret is rotated in this life, and whether strangers knock.
    pub fn open_the_door(&mut self) {
        if self.door.rng.chance(200) {
            let wait = self.door.rng.between(600_000, 20_000_000);
            self.at(wait, Event::Secret);
        }
        if self.door.rng.chance(400) {
            self.stranger_returns();
        }
    }

    fn stranger_returns(&mut self) {
        let wait = self.door.rng.between(60_000, 7_200_000);
        self.at(wait, Event::Stranger);
    }

    /// The secret's rotation goes on.
    pub fn secret_turns(&mut self) {
        let was_last = self.door.turn();
        self.coverage.saw(Moment::SecretRotated);
        self.trace.line(|| "the hook's secret is being changed".to_owned());
        if !was_last {
            let wait = self.door.rng.between(60_000, 1_800_000);
            self.at(wait, Event::Secret);
        }
    }

    /// Somebody who knows no secret sends something.
    pub fn stranger_knocks(&mut self) -> Checked {
        let number = u32::try_from(self.hooks.len()).expect("a life sends few hooks");
        let Some(mut forged) = self.forged(number) else {
            self.stranger_returns();
            return Ok(());
        };
        forged.facts = vec![self.evil()];
        self.hooks.push(forged);
        self.stranger_returns();
        self.hook_arrives(number)
    }

    /// Returns what a stranger makes of what they saw of another's hook, or made up.
    fn forged(&mut self, number: u32) -> Option<Sent> {
        let seen = self.door.rng.below(self.hooks.len());
        let mut forged = self.hooks.get(seen)?.clone();
        let own = self.door.rng.draw();
        (forged.forged, forged.accepted) = (true, false);
        match self.door.rng.below(4) {
            // Signed with a secret of their own.
            0 => {
                forged.delivery.id = format!("stranger-{number}").as_str().into();
                forged.seal = Some(seal(own, &forged.delivery.body));
            }
            // Not signed at all.
            1 => {
                forged.delivery.id = format!("stranger-{number}").as_str().into();
                forged.seal = None;
            }
            // Another body under a signature that GitHub made.
            2 => forged.delivery.body = [&*forged.delivery.body, b"!"].concat().into(),
            // The same again, with a bit of the signature turned.
            _ => forged.seal = forged.seal.map(|seal| seal ^ (1 << (own % 64))),
        }
        Some(forged)
    }

    /// What a stranger would like us to believe.
    fn evil(&self) -> Fact {
        let sender = User { id: UserId(666), login: "mallory".into() };
        Fact::Push(PushFact {
            git_ref: RefName::branch("main"),
            before: EVIL,
            after: EVIL,
            pushed_at: Timestamp::from_millis(self.now),
            event: std::sync::Arc::new(greenlight_core::event::Event {
                name: "push".into(),
                action: None,
                payload: "{}".into(),
                sender,
            }),
            source: Source::Webhook,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn while_a_secret_is_changed_both_count_and_afterwards_one() {
        let mut door = Door::new(7);
        let old = door.sign(b"body");
        assert!(door.verify("push", b"body", Some(old)).is_some());
        assert!(door.verify("push", b"bodY", Some(old)).is_none());
        assert!(door.verify("push", b"body", None).is_none());
        assert!(!door.turn() && door.sign(b"body") == old, "the server knows the new one first");
        assert!(!door.turn());
        let new = door.sign(b"body");
        assert!(new != old && door.verify("push", b"body", Some(old)).is_some());
        assert_ne!(door.verify("push", b"body", Some(old)), door.verify("push", b"body", Some(new)));
        assert!(door.turn());
        assert!(door.verify("push", b"body", Some(old)).is_none() && door.verify("push", b"body", Some(new)).is_some());
    }
}
