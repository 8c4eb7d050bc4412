//! The fake runners: they ask, work, tell; get lost, sleep through their lease, and say things twice.

use std::sync::Arc;

use greenlight_core::effect::{JobEnd, JobOrder, JobReport, Reply};
use greenlight_core::fact::{Fact, LeaseAsked};
use greenlight_core::id::{AttemptId, RunnerId, Sha, Token};
use greenlight_core::run::Conclusion;
use greenlight_core::time::Duration;

use super::{Event, World};
use crate::coverage::Moment;
use crate::invariant::turns::{Member, held};
use crate::invariant::{Checked, jobs};
use crate::objects::is_broken;

/// How long a lease lasts without a heartbeat.
pub const LEASE: Duration = Duration::from_secs(60);
/// How often a runner tells that it is alive.
const BEAT: i64 = 20_000;

/// A runner.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Its name.
    pub id: RunnerId,
    /// Does it live and die with the server?
    pub built_in: bool,
    /// What it does.
    pub work: Option<Work>,
    /// Is it gone for now?
    pub lost: bool,
    /// Grows when what it had in mind does not count any more.
    pub epoch: u32,
    /// Was it called already?
    called: bool,
}

/// A job that a runner believes to hold.
#[derive(Clone, Debug)]
pub struct Work {
    /// The attempt.
    pub attempt: AttemptId,
    /// The lease.
    pub token: Token,
    /// Until when the lease holds, by what the server last answered, on the server's clock.
    pub until: i64,
    /// The commit that it checks out.
    pub sha: Sha,
    /// The deployment that it carries out, and where to.
    pub deployment: Option<(u64, Arc<str>)>,
    /// The concurrency groups that it holds, each with who holds it.
    pub holds: Vec<(Arc<str>, Member)>,
    /// How it will end.
    pub end: JobEnd,
    ends_at: i64,
    started: bool,
    forgotten: bool,
    repeats: bool,
}

impl Runner {
    /// Returns a runner that waits.
    pub fn new(at: usize, built_in: bool) -> Self {
        let id = RunnerId::from(format!("runner-{at}"));
        Self { id, built_in, work: None, lost: false, epoch: 0, called: false }
    }
}

impl Work {
    /// Does its runner believe to hold it? One that was started again without it knows that it does not.
    pub fn is_held(&self, clock: i64) -> bool {
        self.until > clock && !self.forgotten
    }

    /// Returns what there is to tell.
    fn report(&self, now: i64) -> JobReport {
        match (self.forgotten, self.started) {
            (true, _) => JobReport::Lost,
            (false, true) if self.ends_at <= now => JobReport::Ended(self.end.clone()),
            (false, true) => JobReport::Alive,
            (false, false) => JobReport::Started,
        }
    }
}

impl World {
    /// Tells the idle runners that there is work.
    pub fn call_runners(&mut self) {
        for at in 0..self.runners.len() {
            let runner = &mut self.runners[at];
            if runner.work.is_none() && !runner.lost && !runner.called {
                runner.called = true;
                let epoch = runner.epoch;
                let wait = self.rng.between(5, 400);
                self.at(wait, runner_event(at, epoch));
            }
        }
    }

    /// The built-in runners die with the server; the others go on.
    pub fn runners_die(&mut self) {
        for runner in self.runners.iter_mut().filter(|runner| runner.built_in) {
            runner.work = None;
            runner.epoch += 1;
            runner.called = false;
        }
    }

    /// The leases of the runners that outlived the server count from its return.
    pub fn leases_count_anew(&mut self) {
        let until = self.server_millis() + i64::try_from(LEASE.as_millis()).expect("a minute fits");
        for at in 0..self.runners.len() {
            let Some(work) = &self.runners[at].work else { continue };
            let run = self.run(work.attempt.run);
            let lease = run.as_ref().and_then(|run| run.job(&work.attempt.job)?.lease());
            if lease.is_some_and(|lease| lease.token == work.token)
                && let Some(work) = &mut self.runners[at].work
            {
                work.until = work.until.max(until);
            }
        }
    }

    /// Runners that were lost are there again, for the quiet phase.
    pub fn revive_runners(&mut self) {
        for runner in self.runners.iter_mut().filter(|runner| runner.lost) {
            runner.lost = false;
            runner.epoch += 1;
            runner.called = false;
        }
        if self.cell.as_ref().is_some_and(|cell| cell.is_any_queued()) {
            self.call_runners();
        }
    }

    /// A runner does its next thing.
    pub fn runner_acts(&mut self, at: usize, epoch: u32) -> Checked {
        if self.runners[at].epoch != epoch {
            return Ok(());
        }
        self.runners[at].called = false;
        if self.runners[at].lost {
            self.runners[at].lost = false;
            self.runners[at].epoch += 1;
            return Ok(());
        }
        match self.runners[at].work {
            None => self.asks(at),
            Some(_) => self.tells(at),
        }
    }

    fn asks(&mut self, at: usize) -> Checked {
        let Some(cell) = &self.cell else { return Ok(()) };
        if !cell.is_any_queued() && !self.rng.chance(100) {
            return Ok(());
        }
        let boot = self.runners[at].built_in.then(|| format!("boot-{}", self.boot).into());
        let labels: Arc<[Arc<str>]> = Arc::from(["self-hosted", "linux", "x64"].map(Arc::from));
        let asked = LeaseAsked { runner: self.runners[at].id.clone(), boot, labels, length: LEASE };
        match self.step(Some(Fact::LeaseAsked(asked)))? {
            Some(Reply::Leased(order)) => self.begins(at, &order),
            _ => Ok(()),
        }
    }

    fn begins(&mut self, at: usize, order: &JobOrder) -> Checked {
        let runner = self.runners[at].id.clone();
        self.trace.mix(order.token.0);
        self.trace.line(|| {
            format!("{runner} leases {} at {} under {}", order.attempt, order.checkout.sha.short(), order.token)
        });
        jobs::leased(self, &runner, order)?;
        if self.runners[at].built_in && self.cell.is_none() {
            // It died with the server before it could begin.
            return Ok(());
        }
        let deployment = order.env.iter().find(|(name, _)| &**name == "DEPLOYMENT_ID");
        let environment = order.env.iter().find(|(name, _)| &**name == "DEPLOY_ENV");
        let deployment = deployment
            .zip(environment)
            .and_then(|((_, id), (_, environment))| Some((id.parse().ok()?, environment.clone())));
        let end = self.end_of(order, deployment.is_some());
        let length =
            if self.rng.chance(50) { self.rng.between(60_000, 300_000) } else { self.rng.between(1000, 40_000) };
        let run = self.run(order.attempt.run);
        let holds = run.and_then(|run| run.job(&order.attempt.job).map(|job| held(&run, job))).unwrap_or_default();
        self.runners[at].work = Some(Work {
            attempt: order.attempt.clone(),
            token: order.token,
            until: self.server_millis() + i64::try_from(LEASE.as_millis()).expect("a minute fits"),
            sha: order.checkout.sha,
            deployment,
            holds,
            end,
            ends_at: self.now + length,
            started: false,
            forgotten: false,
            repeats: self.rng.chance(50),
        });
        let wait = self.rng.between(100, 2000);
        let epoch = self.runners[at].epoch;
        self.at(wait, runner_event(at, epoch));
        Ok(())
    }

    fn end_of(&mut self, order: &JobOrder, deploys: bool) -> JobEnd {
        let broken = self
            .github
            .objects
            .find(order.checkout.sha)
            .is_some_and(|index| is_broken(&self.github.objects.get(index).files));
        let fails = if deploys { self.rng.chance(150) } else { broken || self.rng.chance(20) };
        let outputs = vec![("version".into(), "1".into())];
        let (conclusion, reason) = match fails {
            true => (Conclusion::Failure, "step 'make test' failed with exit code 2"),
            false => (Conclusion::Success, "1 step succeeded"),
        };
        JobEnd { conclusion, reason: reason.into(), outputs, environment_url: None }
    }

    /// A runner with a job tells how it goes; or is lost, or sleeps.
    fn tells(&mut self, at: usize) -> Checked {
        let forgotten = self.runners[at].work.as_ref().is_some_and(|work| work.forgotten);
        if !self.quiet && !forgotten && self.rng.chance(self.odds.runner) {
            return self.is_absent(at);
        }
        let now = self.now;
        let Some(work) = &self.runners[at].work else { return Ok(()) };
        let report = work.report(now);
        let fact = Fact::Reported { attempt: work.attempt.clone(), token: work.token, report: report.clone() };
        let (attempt, token, until) = (work.attempt.clone(), work.token, work.until);
        let clock = self.server_millis();
        let runner = self.runners[at].id.clone();
        if let JobReport::Ended(end) = &report {
            self.checks.jobs.says(&attempt, end.conclusion);
        }
        let reply = self.step(Some(fact.clone()))?;
        self.trace.line(|| format!("{runner} tells {} of {attempt} under {token}: {reply:?}", word(&report)));
        match reply {
            None => self.tells_again(at, 2000),
            Some(Reply::Heard { cancelled }) => {
                jobs::heard(self, &runner, &attempt, token, until, clock)?;
                match report {
                    JobReport::Ended(_) => return self.ends(at, &fact),
                    JobReport::Lost => {
                        jobs::given_up(self, &attempt, token)?;
                        return self.ends(at, &fact);
                    }
                    JobReport::Started | JobReport::Alive => self.goes_on(at, cancelled),
                }
            }
            Some(_) => {
                jobs::refused(self, &attempt, token, until, clock)?;
                self.rests(at);
            }
        }
        Ok(())
    }

    fn ends(&mut self, at: usize, fact: &Fact) -> Checked {
        let repeats = self.runners[at].work.as_ref().is_some_and(|work| work.repeats);
        self.rests(at);
        if repeats {
            self.coverage.saw(Moment::ReportRepeated);
            let reply = self.step(Some(fact.clone()))?;
            jobs::i9_a_repeat_is_refused(reply.as_ref())?;
        }
        Ok(())
    }

    fn rests(&mut self, at: usize) {
        self.runners[at].work = None;
        if self.cell.as_ref().is_some_and(|cell| cell.is_any_queued()) {
            self.call_runners();
        }
    }

    fn goes_on(&mut self, at: usize, cancelled: bool) {
        let (now, clock) = (self.now, self.server_millis());
        let Some(work) = &mut self.runners[at].work else { return };
        work.started = true;
        work.until = clock + i64::try_from(LEASE.as_millis()).expect("a minute fits");
        if cancelled {
            work.ends_at = now;
            work.end.conclusion = Conclusion::Cancelled;
            work.end.reason = "it was stopped".into();
        }
        let wait = BEAT.min(work.ends_at - now).max(200);
        self.tells_again(at, wait);
    }

    fn tells_again(&mut self, at: usize, wait: i64) {
        let epoch = self.runners[at].epoch;
        self.at(wait, runner_event(at, epoch));
    }

    /// A runner is lost with its job; or sleeps through its lease and comes back with its old token; or is started again, and
    /// tells that it has lost its job.
    fn is_absent(&mut self, at: usize) -> Checked {
        let runner = self.runners[at].id.clone();
        let back = match self.rng.below(5) {
            0..2 => {
                self.coverage.saw(Moment::RunnerLost);
                self.trace.line(|| format!("{runner} is lost"));
                self.runners[at].work = None;
                self.runners[at].lost = true;
                self.runners[at].epoch += 1;
                self.rng.between(30_000, 600_000)
            }
            2..4 => {
                self.coverage.saw(Moment::RunnerPaused);
                self.trace.line(|| format!("{runner} sleeps"));
                self.rng.between(60_000, 360_000)
            }
            _ => {
                self.coverage.saw(Moment::RunnerRestarted);
                self.trace.line(|| format!("{runner} is started again without its job"));
                if let Some(work) = &mut self.runners[at].work {
                    work.forgotten = true;
                }
                self.rng.between(1000, 90_000)
            }
        };
        self.tells_again(at, back);
        Ok(())
    }
}

fn runner_event(at: usize, epoch: u32) -> Event {
    Event::Runner(u8::try_from(at).expect("there are few runners"), epoch)
}

fn word(report: &JobReport) -> &'static str {
    match report {
        JobReport::Started => "the start",
        JobReport::Alive => "that it lives",
        JobReport::Lost => "that it is gone",
        JobReport::Ended(_) => "the end",
    }
}
