//! Calls to the outside: under way, taking effect or not, answered or not.

use greenlight_core::effect::{Answer, Dispatch, Effect, Outcome, Refusal, Target};
use greenlight_core::fact::Fact;
use greenlight_core::time::{Duration, Timestamp};

use super::{Event, World};
use crate::coverage::Moment;
use crate::github::api::Did;
use crate::github::{LastRead, STALE_MAX};
use crate::invariant::{Checked, deploys, merges, reports};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// 500, and nothing was done.
    Error,
    /// 502, and it was done.
    ErrorAfter,
    /// 403: slow down.
    SlowDown,
    /// 422: never.
    Never,
    /// No answer, and nothing was done.
    TimeoutBefore,
    /// No answer, and it was done.
    TimeoutAfter,
    /// The answer is as old as this.
    Stale(i64),
    /// 401.
    Revoked,
    /// 405: not yet.
    NotYet,
    /// 202: the default branch was merged first.
    AutoMerged,
    /// 409: not now.
    NotNow,
}

/// A call under way.
#[derive(Clone, Debug)]
pub struct Flight {
    /// The effect.
    pub dispatch: Dispatch,
    /// What goes wrong.
    pub fault: Fault,
    /// What will be answered, once it took effect.
    pub outcome: Option<Outcome>,
}

impl World {
    /// Sends an effect on its way.
    pub fn fly(&mut self, dispatch: Dispatch) {
        let fault = self.fault(&dispatch.effect);
        self.trace.line(|| {
            let Dispatch { key, tried, confirm, .. } = &dispatch;
            format!("  -> {key} (try {tried}{}) {fault:?}", if *confirm { ", confirms" } else { "" })
        });
        let number = self.flight_number();
        let wait = match dispatch.effect.target() {
            Target::Git => self.rng.between(20, 400),
            _ => self.rng.between(5, 300),
        };
        self.flights.insert(number, Flight { dispatch, fault, outcome: None });
        self.at(wait, Event::Effect(number));
    }

    fn fault(&mut self, effect: &Effect) -> Fault {
        let target = effect.target();
        if !self.token_good && matches!(target, Target::GitHubRead | Target::GitHubWrite) {
            return Fault::Revoked;
        }
        let stale = matches!(effect, Effect::ReadPull(_) | Effect::Reconcile { .. } | Effect::PrepareMerge { .. });
        if stale && self.rng.chance(self.odds.stale) {
            return Fault::Stale(self.rng.between(0, STALE_MAX));
        }
        if !self.rng.chance(self.odds.call) {
            return Fault::None;
        }
        match self.rng.below(24) {
            0..4 => Fault::Error,
            4..8 => Fault::ErrorAfter,
            8..12 => Fault::TimeoutBefore,
            12..17 => Fault::TimeoutAfter,
            17..20 if target == Target::GitHubWrite => Fault::SlowDown,
            20 if matches!(effect, Effect::Comment { .. } | Effect::Merge { .. } | Effect::CreateDeployment { .. }) => {
                Fault::Never
            }
            21..24 if matches!(effect, Effect::Merge { .. }) => Fault::NotYet,
            21 | 22 if matches!(effect, Effect::CreateDeployment { .. }) => Fault::AutoMerged,
            23 if matches!(effect, Effect::CreateDeployment { .. }) => Fault::NotNow,
            _ => Fault::Error,
        }
    }

    fn saw_fault(&mut self, fault: Fault) {
        let moment = match fault {
            Fault::None | Fault::Revoked => return,
            Fault::Error => Moment::ServerError,
            Fault::ErrorAfter => Moment::ServerErrorAfter,
            Fault::SlowDown => Moment::SecondaryLimit,
            Fault::Never => Moment::Unprocessable,
            Fault::TimeoutBefore => Moment::TimeoutBefore,
            Fault::TimeoutAfter => Moment::TimeoutAfter,
            Fault::Stale(_) => Moment::StaleRead,
            Fault::NotYet => Moment::NotYet,
            Fault::AutoMerged => Moment::AutoMerged,
            Fault::NotNow => Moment::DeploymentConflict,
        };
        self.coverage.saw(moment);
    }

    /// A call reaches the other side.
    pub fn takes_effect(&mut self, number: u32) -> Checked {
        let Some(flight) = self.flights.get(&number).cloned() else { return Ok(()) };
        let outcome = self.carry_out(&flight)?;
        if let Some(flight) = self.flights.get_mut(&number) {
            flight.outcome = Some(outcome);
        }
        let wait = if matches!(flight.fault, Fault::TimeoutBefore | Fault::TimeoutAfter) {
            self.rng.between(5_000, 30_000)
        } else {
            self.rng.between(5, 200)
        };
        self.at(wait, Event::Answer(number));
        Ok(())
    }

    /// Carries a call out as its fault has it, and returns what is answered.
    pub fn carry_out(&mut self, flight: &Flight) -> Result<Outcome, crate::invariant::Violation> {
        self.saw_fault(flight.fault);
        let later = |text: &str, not_before| Outcome::Later { not_before, reason: text.into() };
        let unknown = |text: &str| Outcome::Unknown { reason: text.into() };
        let refuses = matches!(flight.fault, Fault::Never | Fault::NotYet | Fault::AutoMerged | Fault::NotNow);
        let answer = match flight.fault {
            // A try that confirms reads first, and does not call where it is done.
            _ if refuses && flight.dispatch.confirm && self.github.is_done(&flight.dispatch) => {
                self.do_it(flight, 0)?
            }
            Fault::Error => unknown("GitHub answered 500"),
            Fault::TimeoutBefore => unknown("GitHub did not answer in time"),
            Fault::SlowDown => {
                let at = self.clock() + Duration::from_secs(60);
                later("GitHub asked to slow down", Some(at))
            }
            Fault::Revoked => later("the token is not good any more", None),
            Fault::Never => Outcome::Refused(Refusal::Other("Validation Failed".into())),
            Fault::NotYet => Outcome::Refused(Refusal::NotYet("Base branch was modified".into())),
            Fault::AutoMerged => Outcome::Done(Answer::AutoMerged),
            Fault::NotNow => later("a required status is not a success yet", None),
            Fault::None => self.do_it(flight, 0)?,
            Fault::Stale(age) => self.do_it(flight, age)?,
            Fault::ErrorAfter => {
                self.do_it(flight, 0)?;
                unknown("GitHub answered 502")
            }
            Fault::TimeoutAfter => {
                self.do_it(flight, 0)?;
                unknown("GitHub did not answer in time")
            }
        };
        Ok(answer)
    }

    fn do_it(&mut self, flight: &Flight, age: i64) -> Result<Outcome, crate::invariant::Violation> {
        let (outcome, did) = self.github.perform(&flight.dispatch, self.now - age);
        self.trace.line(|| format!("  {} took effect: {did:?}", flight.dispatch.key));
        match did {
            Did::Nothing => {}
            Did::Wrote(sha, context, shown) => reports::accepted(&mut self.checks.reports, sha, &context, &shown)?,
            Did::Merged(number, tip, landed) => {
                self.coverage.saw(Moment::Merge);
                merges::merged(self, number, tip, landed, &flight.dispatch.effect)?;
            }
            Did::Deployed(sha, key) => {
                self.coverage.saw(Moment::Deployment);
                deploys::made(self, sha, &key)?;
            }
            Did::ShowedDeployment(at) => deploys::showed(self, at)?,
        }
        if matches!(flight.dispatch.effect, Effect::Tell { .. }) {
            self.coverage.saw(Moment::Told);
        }
        Ok(outcome)
    }

    /// An answer reaches the server.
    pub fn answered(&mut self, number: u32) -> Checked {
        let Some(flight) = self.flights.remove(&number) else { return Ok(()) };
        let outcome = flight.outcome.expect("it took effect before it was answered");
        match &outcome {
            Outcome::Done(Answer::Pull(read)) => {
                let base = &read.fact.pull.base_ref;
                let base = self.github.branches.iter().position(|branch| branch.name == *base).unwrap_or_default();
                let last_read = LastRead { base, base_tip: read.base_tip, at: self.now };
                if let Some(pull) = self.github.pull_mut(read.fact.pull.number) {
                    pull.last_read = Some(last_read);
                }
            }
            Outcome::Done(Answer::Reconciled(read)) => {
                if let Effect::Reconcile { pulls_since: None, .. } = &flight.dispatch.effect {
                    self.first_look = read.pulls_until;
                }
            }
            Outcome::Refused(Refusal::Conflict { .. }) => self.coverage.saw(Moment::Conflict),
            Outcome::Refused(_) if matches!(flight.dispatch.effect, Effect::Merge { .. }) => {
                self.coverage.saw(Moment::MergeRefused);
            }
            _ => {}
        }
        self.trace.line(|| format!("answer to {}: {}", flight.dispatch.key, brief(&outcome)));
        let fact = Fact::Outcome { effect: flight.dispatch.key, outcome };
        let done = matches!(&fact, Fact::Outcome { outcome: Outcome::Done(_), .. });
        let commits = self.store.inner().commits();
        self.step(Some(fact))?;
        match &flight.dispatch.effect {
            Effect::Show { sha, context, report, .. } if done && self.store.inner().commits() > commits => {
                reports::heard(&mut self.checks.reports, *sha, context, report)
            }
            _ => Ok(()),
        }
    }

    /// The server is gone or its state is: what is under way takes effect or not, and nobody hears of it.
    pub fn forget_flights(&mut self) -> Checked {
        for (_, flight) in std::mem::take(&mut self.flights) {
            if flight.outcome.is_none() && self.rng.chance(500) {
                self.carry_out(&flight)?;
            }
        }
        Ok(())
    }
}

fn brief(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(answer) => match answer {
            Answer::Pull(read) => format!(
                "read {:?} at {} on {}",
                read.fact.pull.standing,
                read.fact.pull.head_sha.short(),
                read.base_tip.short()
            ),
            Answer::TestMerge(merge) => {
                format!("{} on {}, tree {}", merge.files.sha.short(), merge.base_sha.short(), merge.files.tree.short())
            }
            Answer::Reconciled(read) => format!("{} pulls, {} refs", read.pulls.len(), read.refs.len()),
            Answer::Commit(files) => format!("{}, tree {}", files.sha.short(), files.tree.short()),
            Answer::Deployment(snapshot) => format!("deployment {}", snapshot.id),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    }
}

/// Returns the server's time that a wait ends at.
pub fn wait_for(from: Timestamp, until: Timestamp) -> i64 {
    (until.as_millis() - from.as_millis()).max(0)
}
