//! The facts of the next step, kept until it is stored.

use greenlight_core::effect::{Answer, JobReport, Outcome, Reply};
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

    /// May jobs be waiting after this step that did not before: a commit was read, or one of a run's jobs ended?
    pub(super) fn may_make_jobs(&self) -> bool {
        let is_asked = self.facts.iter().any(|fact| matches!(fact, Fact::LeaseAsked(_)));
        let makes = |fact: &Fact| {
            matches!(
                fact,
                Fact::Outcome { outcome: Outcome::Done(Answer::Commit(_) | Answer::TestMerge(_)), .. }
                    | Fact::Reported { report: JobReport::Ended(_), .. }
            )
        };
        !is_asked && self.facts.iter().any(makes)
    }

    /// Sends those away who ask for a job: they may find one elsewhere while this repository stands still.
    pub(super) fn drop_questions(&mut self) {
        let mut is_kept =
            self.facts.iter().map(|fact| !matches!(fact, Fact::LeaseAsked(_))).collect::<Vec<_>>().into_iter();
        self.answers.retain(|_| is_kept.next().unwrap_or(true));
        self.facts.retain(|fact| !matches!(fact, Fact::LeaseAsked(_)));
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
