//! The facts of the next step, kept until it is stored.

use greenlight_core::effect::{Outcome, Reply};
use greenlight_core::fact::Fact;
use greenlight_core::id::EffectKey;
use greenlight_core::port::Disposition;
use greenlight_core::step::Input;
use tokio::sync::oneshot;
use tokio::task::JoinError;

/// Facts that go into one step.
const FACTS_MAX: usize = 128;

/// Facts that are not stored yet, and who waits for their answers.
#[derive(Default)]
pub(super) struct Pending {
    facts: Vec<Fact>,
    answers: Vec<Option<oneshot::Sender<Reply>>>,
    deliveries: Vec<(u64, Disposition)>,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.deliveries.is_empty()
    }

    pub(super) fn has_room(&self) -> bool {
        self.facts.len() < FACTS_MAX && self.deliveries.len() < FACTS_MAX
    }

    pub(super) fn fact(&mut self, fact: Fact) {
        self.facts.push(fact);
        self.answers.push(None);
    }

    pub(super) fn ask(&mut self, fact: Fact, answer: oneshot::Sender<Reply>) {
        self.facts.push(fact);
        self.answers.push(Some(answer));
    }

    pub(super) fn delivery(&mut self, facts: Vec<Fact>, place: u64, disposition: Disposition) {
        facts.into_iter().for_each(|fact| self.fact(fact));
        self.deliveries.push((place, disposition));
    }

    pub(super) fn outcome(&mut self, done: Result<(EffectKey, Outcome), JoinError>) {
        match done {
            Ok((effect, outcome)) => self.fact(Fact::Outcome { effect, outcome }),
            // A try cannot panic past its own guard, and only the end of the program cancels one.
            Err(error) => tracing::error!("a try of an effect was lost: {error}"),
        }
    }

    /// Returns the next step's input. What is in it stays here until [`Pending::answer`], in case that it cannot be stored.
    pub(super) fn input(&self) -> Input {
        Input { facts: self.facts.clone(), deliveries: self.deliveries.clone() }
    }

    /// The step was stored: tells those who wait.
    pub(super) fn answer(&mut self, replies: Vec<Option<Reply>>) {
        for (answer, reply) in self.answers.drain(..).zip(replies) {
            if let (Some(answer), Some(reply)) = (answer, reply) {
                // Whoever asked may have gone.
                let _ = answer.send(reply);
            }
        }
        self.facts.clear();
        self.deliveries.clear();
    }
}
