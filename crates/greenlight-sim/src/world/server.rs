//! The server's loop around the real core: step, answer, dispatch; crash, open again.

use std::sync::Arc;

use greenlight_core::effect::Reply;
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::fact::Fact;
use greenlight_core::id::RunNumber;
use greenlight_core::port::Disposition;
use greenlight_core::port::Store as _;
use greenlight_core::run::Run;
use greenlight_core::step::{Input, dispatch, open, step};
use greenlight_core::time::Timestamp;

use super::call::wait_for;
use super::{Event, World};
use crate::block::block_on;
use crate::coverage::Moment;
use crate::invariant::{self, Checked, Violation, storage, whole};
use crate::store::Trouble;

/// How often everything is checked, in steps.
pub const FULL_CHECK_EVERY: u64 = 50;
/// How often the server may wake without anything happening in between.
const IDLE_WAKES_MAX: u32 = 1000;
/// How many deliveries one step takes at most.
const DELIVERIES_MAX: usize = 8;

/// Where the server dies within a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    None,
    BeforeCommit,
    AfterCommit,
    BeforeDispatch,
}

impl World {
    /// The server starts, or starts again.
    pub fn starts(&mut self) -> Checked {
        if self.cell.is_some() {
            return Ok(());
        }
        let now = self.clock();
        let opened = block_on(open(&self.store, self.github.repository.clone(), self.settings(), now));
        let cell = opened.map_err(|error| invariant::violation("I1", format!("the store cannot be read: {error}")))?;
        if self.boot == 0 {
            self.boot = 1;
        }
        self.cell = Some(Box::new(cell));
        self.wake_at = i64::MAX;
        let waiting = block_on(self.store.waiting(0, usize::MAX)).unwrap_or_default();
        self.inbox = waiting.iter().map(|waiting| waiting.place).collect();
        let (boot, waits) = (self.boot, self.inbox.len());
        self.trace.line(|| format!("the server is up, boot {boot}; {waits} deliveries wait"));
        storage::i1_accepted_survives(self)?;
        // Telling the boot id changes a row each time: so the first step shows whether storing is possible (I24).
        self.up_since = now;
        self.step(Some(Fact::Booted { boot: format!("boot-{boot}").into() }))?;
        self.leases_count_anew();
        Ok(())
    }

    /// The server is killed while effects are under way.
    pub fn is_killed(&mut self) -> Checked {
        if self.quiet {
            return Ok(());
        }
        let next = self.rng.between(60_000, 6_000_000);
        self.at(next, Event::Kill);
        if self.cell.is_none() {
            return Ok(());
        }
        if !self.flights.is_empty() {
            self.coverage.saw(Moment::CrashInFlight);
        }
        self.coverage.steps += 1;
        self.dies(true)
    }

    /// The server looks again because it wanted to be woken.
    pub fn wakes(&mut self) -> Checked {
        if self.now < self.wake_at {
            // An earlier wish, which another took the place of.
            return Ok(());
        }
        let due = self.cell.as_ref().and_then(|cell| cell.wake_at()).is_some_and(|at| at <= self.clock());
        self.wake_at = i64::MAX;
        if !due {
            return self.set_wake();
        }
        self.idle_wakes += 1;
        invariant::must(self.idle_wakes < IDLE_WAKES_MAX, "quiet", || {
            format!("the server woke {IDLE_WAKES_MAX} times and nothing happened: an alarm never stops ringing")
        })?;
        self.step(None).map(|_| ())
    }

    /// Takes one step with a fact, if there is one, and with the deliveries that wait. Returns the fact's answer.
    pub fn step(&mut self, fact: Option<Fact>) -> Result<Option<Reply>, Violation> {
        let Some(mut cell) = self.cell.take() else { return Ok(None) };
        let asks = fact.is_some();
        let input = self.input(fact);
        self.coverage.steps += u64::try_from(input.facts.len()).expect("a usize fits");
        let had_facts = !input.facts.is_empty();
        if had_facts {
            self.idle_wakes = 0;
        }
        let (death, trouble) = if had_facts { self.prepare_trouble() } else { (Death::None, Trouble::None) };
        let now = self.clock();
        let stepped = block_on(step(&self.store, &mut cell, input, now));
        self.cell = Some(cell);
        self.after_commit()?;
        let Ok(stepped) = stepped else {
            self.coverage.steps += 1;
            self.saw_failure(death, trouble);
            self.dies(matches!(death, Death::BeforeCommit | Death::AfterCommit))?;
            return Ok(None);
        };
        self.store.trouble(Trouble::None);
        self.stuck = false;
        if had_facts && self.checks.is_due(self.coverage.steps, FULL_CHECK_EVERY) {
            whole::everything_holds(self)?;
        }
        let reply = if asks { stepped.replies.into_iter().next_back().flatten() } else { None };
        if death == Death::BeforeDispatch {
            self.coverage.saw(Moment::CrashBeforeDispatch);
            self.coverage.steps += 1;
            self.dies(true)?;
            return Ok(reply);
        }
        self.send_effects()?;
        Ok(reply)
    }

    fn input(&mut self, fact: Option<Fact>) -> Input {
        let mut input = Input::default();
        let take = self.inbox.len().min(DELIVERIES_MAX);
        for place in self.inbox.drain(..take) {
            let at = usize::try_from(place - 1).expect("a place is small");
            let number = usize::try_from(self.stored[at]).expect("a u32 fits");
            input.facts.extend(self.hooks[number].facts.iter().cloned());
            input.deliveries.push((place, Disposition::Applied));
        }
        input.facts.extend(fact);
        input
    }

    fn prepare_trouble(&mut self) -> (Death, Trouble) {
        let (death, trouble) = if self.rng.chance(self.odds.crash) {
            match self.rng.below(3) {
                0 => (Death::BeforeCommit, Trouble::Before),
                1 => (Death::AfterCommit, Trouble::After),
                _ => (Death::BeforeDispatch, Trouble::None),
            }
        } else if self.rng.chance(self.odds.store) {
            (Death::None, if self.rng.chance(500) { Trouble::Before } else { Trouble::After })
        } else {
            (Death::None, Trouble::None)
        };
        self.store.trouble(trouble);
        (death, trouble)
    }

    fn saw_failure(&mut self, death: Death, trouble: Trouble) {
        self.store.trouble(Trouble::None);
        match (death, trouble) {
            (Death::BeforeCommit, _) => self.coverage.saw(Moment::CrashBeforeCommit),
            (Death::AfterCommit, _) => self.coverage.saw(Moment::CrashAfterCommit),
            (_, Trouble::Before) => self.coverage.saw(Moment::StoreFailedBefore),
            (_, Trouble::After) => self.coverage.saw(Moment::StoreFailedAfter),
            (_, Trouble::None) => {}
        }
    }

    /// The server dies, or its state in memory is not what is stored: either way the cell is dropped.
    fn dies(&mut self, process: bool) -> Checked {
        self.cell = None;
        self.inbox.clear();
        self.forget_flights()?;
        if process {
            self.boot += 1;
            self.stuck = false;
            self.runners_die();
        } else {
            self.stuck = true;
        }
        let wait = match self.rng.below(10) {
            _ if !process => self.rng.between(200, 2000),
            0 => self.rng.between(60_000, 3_600_000),
            _ => self.rng.between(500, 20_000),
        };
        self.trace.mix(0xdead);
        self.trace.line(|| format!("{} and comes back in {wait} ms", if process { "*** dies" } else { "--- fails" }));
        self.at(wait, Event::Start);
        Ok(())
    }

    /// Looks at what the last commit changed, whether or not its answer came.
    fn after_commit(&mut self) -> Checked {
        let changed = self.store.inner().take_changed();
        if changed.is_empty() {
            return Ok(());
        }
        let count = u64::try_from(changed.len()).expect("a usize fits");
        self.trace.mix(count);
        invariant::after_commit(self, &changed)
    }

    /// Sends what is to be done, and sets the alarm.
    fn send_effects(&mut self) -> Checked {
        let now = self.clock();
        let Some(mut cell) = self.cell.take() else { return Ok(()) };
        let dispatches = dispatch(&mut cell, &mut self.budget, now);
        let queued = cell.is_any_queued();
        self.cell = Some(cell);
        for dispatch in dispatches {
            self.trace.mix_text(dispatch.key.as_str());
            invariant::sent(self, &dispatch)?;
            self.fly(dispatch);
        }
        if queued {
            self.call_runners();
        }
        self.set_wake()
    }

    /// Has the server woken when it wants to be.
    fn set_wake(&mut self) -> Checked {
        let Some(at) = self.cell.as_ref().and_then(|cell| cell.wake_at()) else { return Ok(()) };
        let wait = wait_for(self.clock(), at).max(1);
        if self.now + wait < self.wake_at {
            self.wake_at = self.now + wait;
            self.at(wait, Event::Wake);
        }
        Ok(())
    }

    /// Returns the run of this number, as it was committed last: the server may be down.
    pub fn run(&self, number: RunNumber) -> Option<Arc<Run>> {
        match self.store.inner().get(&EntityKey::Run(number)) {
            Some(Entity::Run(run)) => Some(run.clone()),
            _ => None,
        }
    }

    /// Returns the server's time in milliseconds.
    pub fn server_millis(&self) -> i64 {
        Timestamp::as_millis(self.clock())
    }
}
