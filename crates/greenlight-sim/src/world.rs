//! One life: a GitHub, a server, runners and people, and a queue of what happens next.
//!
//! The server's part is the real one: [`greenlight_core::step`] and its outbox driver, [`greenlight_core::intake`]. Everything
//! around it is fake and driven by one seed.

pub mod call;
pub mod door;
pub mod hook;
pub mod people;
pub mod runner;
pub mod server;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use greenlight_core::outbox::Budget;
use greenlight_core::repository::Settings;
use greenlight_core::step::Cell;
use greenlight_core::time::Timestamp;

use crate::coverage::{Coverage, Moment};
use crate::github::{GitHub, US};
use crate::invariant::{Checked, Checks};
use crate::odds::Odds;
use crate::rng::Rng;
use crate::store::FakeStore;
use crate::trace::{Lines, Trace};
use call::Flight;
use door::Door;
use hook::Sent;
use runner::Runner;

/// When every life begins.
const BEGIN: i64 = 1_760_000_000_000;
/// How long the quiet phase is.
pub const QUIET: i64 = 2 * 3600 * 1000;
/// How many events a quiet phase may have before it is called restless.
const QUIET_EVENTS_MAX: u64 = 60_000;

/// Something that will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A person does something.
    Person,
    /// A hook arrives.
    Hook(u32),
    /// An effect takes effect.
    Effect(u32),
    /// An effect's answer arrives.
    Answer(u32),
    /// A runner does its next thing.
    Runner(u8, u32),
    /// The server looks again.
    Wake,
    /// The server starts.
    Start,
    /// The server is killed.
    Kill,
    /// The disk is full, or not any more.
    Disk(bool),
    /// The token is revoked, or good again.
    Token(bool),
    /// The server's clock jumps.
    Jump,
    /// The hook's secret is rotated, a step further.
    Secret,
    /// Somebody who knows no secret sends a hook.
    Stranger,
}

/// A life.
pub struct World {
    /// Chance.
    pub rng: Rng,
    /// The weather.
    pub odds: Odds,
    /// The time.
    pub now: i64,
    /// How far the server's clock is off.
    pub skew: i64,
    /// GitHub.
    pub github: GitHub,
    /// The server's memory.
    pub store: FakeStore,
    /// The server's live state, while it is up.
    pub cell: Option<Box<Cell>>,
    /// What the token may still write.
    pub budget: Budget,
    /// How often the server was started.
    pub boot: u32,
    /// Since when the server is up, on its own clock.
    pub up_since: Timestamp,
    /// Deliveries that wait to be looked at: their places.
    pub inbox: Vec<u64>,
    /// Did the last write fail, and none succeed since?
    pub stuck: bool,
    /// When the server is woken next.
    pub wake_at: i64,
    /// How often the server woke since something last happened.
    pub idle_wakes: u32,
    /// The environment that a person frees in this step.
    pub unlocking: Option<&'static str>,
    /// The effects under way.
    pub flights: BTreeMap<u32, Flight>,
    /// The door, and who may pass.
    pub door: Door,
    /// The hooks on their way, by number.
    pub hooks: Vec<Sent>,
    /// The hooks that were stored, by place.
    pub stored: Vec<u32>,
    /// How many deliveries were kept aside.
    pub quarantined: usize,
    /// The runners.
    pub runners: Vec<Runner>,
    /// Is the token good?
    pub token_good: bool,
    /// Is this the quiet phase?
    pub quiet: bool,
    /// What happened.
    pub trace: Trace,
    /// Up to where pull requests were seen when they were looked at for the first time.
    pub first_look: Option<Timestamp>,
    /// What was seen.
    pub coverage: Coverage,
    /// What must hold.
    pub checks: Checks,
    queue: BinaryHeap<Reverse<(i64, u32, Event)>>,
    order: u32,
    next_flight: u32,
}

impl World {
    /// Begins a life.
    pub fn new(seed: u64, lines: Lines) -> Self {
        let mut rng = Rng::new(seed);
        let odds = Odds::new(&mut rng);
        let github = GitHub::new(&mut rng, BEGIN);
        let now = Timestamp::from_millis(BEGIN);
        let budget = if odds.limited { Budget::github_com(now) } else { Budget::unlimited() };
        let runners = (0..2 + rng.below(3)).map(|at| Runner::new(at, rng.chance(500))).collect();
        let mut world = Self {
            rng,
            odds,
            now: BEGIN,
            skew: 0,
            github,
            store: FakeStore::default(),
            cell: None,
            budget,
            boot: 0,
            up_since: Timestamp::default(),
            inbox: Vec::new(),
            stuck: false,
            wake_at: i64::MAX,
            idle_wakes: 0,
            unlocking: None,
            flights: BTreeMap::new(),
            door: Door::new(seed),
            hooks: Vec::new(),
            stored: Vec::new(),
            quarantined: 0,
            runners,
            token_good: true,
            quiet: false,
            trace: Trace::new(lines),
            first_look: None,
            coverage: Coverage::default(),
            checks: Checks::default(),
            queue: BinaryHeap::new(),
            order: 0,
            next_flight: 0,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.open_the_door();
        // Some repositories are full of pull requests before the server ever sees them (P2).
        let first = if self.rng.chance(300) { 3_600_000 } else { 10 };
        self.at(first, Event::Start);
        self.at(1000, Event::Person);
        if self.odds.store > 0 && self.rng.chance(300) {
            let from = self.rng.between(600_000, 20_000_000);
            let length = self.rng.between(1000, 600_000);
            self.at(from, Event::Disk(true));
            self.at(from + length, Event::Disk(false));
        }
        if self.odds.call > 0 && self.rng.chance(300) {
            let from = self.rng.between(600_000, 20_000_000);
            let length = self.rng.between(60_000, 1_800_000);
            self.at(from, Event::Token(false));
            self.at(from + length, Event::Token(true));
        }
        if self.rng.chance(30) {
            let when = self.rng.between(600_000, 10_000_000);
            self.at(when, Event::Jump);
        }
        if self.odds.crash > 0 {
            let when = self.rng.between(60_000, 3_000_000);
            self.at(when, Event::Kill);
        }
    }

    /// Returns what the server's clock says.
    pub fn clock(&self) -> Timestamp {
        Timestamp::from_millis(self.now + self.skew)
    }

    /// Returns what the server is set up to do.
    pub fn settings(&self) -> Settings {
        let own_user = self.odds.app.then(|| self.github.people[US].0.id);
        Settings { app: self.odds.app, own_user, ..Settings::default() }
    }

    /// Lets something happen in `wait` milliseconds.
    pub fn at(&mut self, wait: i64, event: Event) {
        self.order += 1;
        self.queue.push(Reverse((self.now + wait.max(0), self.order, event)));
    }

    /// Returns the next number for an effect under way.
    pub fn flight_number(&mut self) -> u32 {
        self.next_flight += 1;
        self.next_flight
    }

    /// Lives until so many steps reached the core.
    pub fn live(&mut self, steps: u64) -> Checked {
        while self.coverage.steps < steps {
            if !self.happen()? {
                break;
            }
        }
        Ok(())
    }

    /// Lets the next thing happen. Returns whether there was one.
    fn happen(&mut self) -> Result<bool, crate::invariant::Violation> {
        let Some(Reverse((at, _, event))) = self.queue.pop() else { return Ok(false) };
        self.now = at;
        self.github.now = at;
        match event {
            Event::Person => self.person()?,
            Event::Hook(number) => self.hook_arrives(number)?,
            Event::Effect(number) => self.takes_effect(number)?,
            Event::Answer(number) => self.answered(number)?,
            Event::Runner(at, epoch) => self.runner_acts(usize::from(at), epoch)?,
            Event::Wake => self.wakes()?,
            Event::Start => self.starts()?,
            Event::Kill => self.is_killed()?,
            Event::Disk(full) => self.disk(full),
            Event::Token(good) => self.token(good),
            Event::Jump => self.jump(),
            Event::Secret => self.secret_turns(),
            Event::Stranger => self.stranger_knocks()?,
        }
        self.send_hooks();
        Ok(true)
    }

    fn disk(&mut self, full: bool) {
        self.store.fill(full && !self.quiet);
        if full {
            self.coverage.saw(Moment::DiskFull);
        }
        self.trace.line(|| format!("the disk is {}", if full { "full" } else { "free again" }));
    }

    fn token(&mut self, good: bool) {
        self.token_good = good || self.quiet;
        if !good {
            self.coverage.saw(Moment::TokenRevoked);
        }
        self.trace.line(|| format!("the token is {}", if good { "good again" } else { "revoked" }));
    }

    fn jump(&mut self) {
        if self.quiet {
            return;
        }
        self.skew += if self.rng.chance(500) { 3_600_000 } else { -3_600_000 };
        self.coverage.saw(Moment::ClockJumped);
        let skew = self.skew;
        self.trace.line(|| format!("the server's clock is off by {skew} ms"));
        self.wake_at = i64::MAX;
        self.at(0, Event::Wake);
    }

    /// Lives on for two hours without people and without faults; then everything must have settled.
    pub fn rest(&mut self) -> Checked {
        self.quiet = true;
        self.odds.calm();
        self.store.fill(false);
        self.token_good = true;
        self.trace.line(|| "--- the quiet phase".to_owned());
        self.stop_the_clock();
        self.hurry_hooks();
        self.revive_runners();
        if self.cell.is_none() {
            self.at(1000, Event::Start);
        }
        let end = self.now + QUIET;
        let mut events = 0;
        while self.queue.peek().is_some_and(|Reverse((at, _, _))| *at <= end) {
            self.happen()?;
            // What lands now may bring the schedule back.
            self.stop_the_clock();
            events += 1;
            if events > QUIET_EVENTS_MAX {
                return Err(crate::invariant::violation("quiet", "the server does not come to rest".to_owned()));
            }
        }
        crate::invariant::settled::everything_settled(self)
    }

    /// Hooks that would come hours later come now.
    fn hurry_hooks(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        let now = self.now;
        let hurry = |Reverse((at, order, event)): Reverse<(i64, u32, Event)>| match event {
            Event::Hook(_) => Reverse((at.min(now + 60_000), order, event)),
            _ => Reverse((at, order, event)),
        };
        let keep = |Reverse((_, _, event)): &Reverse<(i64, u32, Event)>| {
            !matches!(
                event,
                Event::Person | Event::Kill | Event::Jump | Event::Disk(true) | Event::Token(false) | Event::Secret
            )
        };
        self.queue = queue.into_iter().filter(keep).map(hurry).collect();
    }
}
