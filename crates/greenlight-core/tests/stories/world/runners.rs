//! What runners do.

use std::sync::Arc;

use greenlight_core::effect::{JobEnd, JobOrder, JobReport, Reply};
use greenlight_core::fact::{Click, Fact, LeaseAsked, Wish};
use greenlight_core::id::RunnerId;
use greenlight_core::repository::Settings;
use greenlight_core::run::Conclusion;
use greenlight_core::step::{self, Input};
use greenlight_core::time::Duration;

use super::{World, now_or_never, repository};

impl World {
    pub(super) fn ask(&mut self) -> Option<JobOrder> {
        let boot = self.boot_id();
        self.ask_as("runner-1", Some(boot))
    }

    pub(super) fn ask_as(&mut self, runner: &str, boot: Option<Arc<str>>) -> Option<JobOrder> {
        match self.step(Self::question(runner, boot)) {
            Some(Reply::Leased(order)) => Some(*order),
            _ => None,
        }
    }

    pub(super) fn question(runner: &str, boot: Option<Arc<str>>) -> Fact {
        let labels: Arc<[Arc<str>]> = [Arc::from("ubuntu-latest"), Arc::from("self-hosted")].into();
        Fact::LeaseAsked(LeaseAsked { runner: RunnerId::from(runner), boot, labels, length: Duration::from_secs(60) })
    }

    pub(super) fn report(&mut self, order: &JobOrder, report: JobReport) {
        let reply = self.step(Fact::Reported { attempt: order.attempt.clone(), token: order.token, report });
        assert!(matches!(reply, Some(Reply::Heard { .. })), "{reply:?}");
    }

    /// Runs the oldest job that waits, successfully. Returns its id.
    pub fn run_job(&mut self) -> Option<String> {
        self.end_job(Conclusion::Success, "succeeded")
    }

    pub fn fail_job(&mut self, reason: &str) {
        self.end_job(Conclusion::Failure, reason).expect("a job waits");
    }

    pub(super) fn end_job(&mut self, conclusion: Conclusion, reason: &str) -> Option<String> {
        let order = self.ask()?;
        self.report(&order, JobReport::Started);
        self.work();
        let end = JobEnd { conclusion, reason: reason.into(), outputs: Vec::new(), environment_url: None };
        self.report(&order, JobReport::Ended(end));
        self.work();
        Some(order.job_id.to_string())
    }

    /// A runner tells that it was started again without its job. Returns whether it was heard.
    pub fn gives_up(&mut self, order: &JobOrder) -> bool {
        let reply =
            self.step(Fact::Reported { attempt: order.attempt.clone(), token: order.token, report: JobReport::Lost });
        self.work();
        matches!(reply, Some(Reply::Heard { .. }))
    }

    pub fn lose_job(&mut self) {
        let order = self.ask().expect("a job waits");
        self.report(&order, JobReport::Started);
        self.now = self.now + Duration::from_secs(61);
        self.step_clock();
        let reply =
            self.step(Fact::Reported { attempt: order.attempt.clone(), token: order.token, report: JobReport::Alive });
        assert_eq!(reply, Some(Reply::NotYours));
    }

    /// Takes jobs and ends them until the one of this id is held.
    pub fn lease_is_not(&mut self, id: &str) -> bool {
        let order = self.ask().expect("a job waits");
        self.report(&order, JobReport::Started);
        self.work();
        if &*order.job_id == id {
            self.holding = Some(order);
            return false;
        }
        let end = JobEnd {
            conclusion: Conclusion::Success,
            reason: "succeeded".into(),
            outputs: Vec::new(),
            environment_url: None,
        };
        self.report(&order, JobReport::Ended(end));
        true
    }

    /// Takes the oldest job that waits, and begins it.
    pub fn take(&mut self) -> Option<JobOrder> {
        let order = self.ask()?;
        self.report(&order, JobReport::Started);
        self.work();
        Some(order)
    }

    /// Answers effects, and has each step take along the question of a runner, until that has a job.
    pub fn take_along(&mut self) -> Option<JobOrder> {
        for _ in 0..1000 {
            self.show_pending();
            let dispatch = self.waiting.pop()?;
            let outcome = Fact::Outcome { effect: dispatch.key.clone(), outcome: self.perform(&dispatch) };
            let facts = vec![outcome, Self::question("runner-1", Some(self.boot_id()))];
            let input = Input { facts, deliveries: Vec::new() };
            let stepped = now_or_never(step::step(&self.store, &mut self.cell, input, self.now)).unwrap();
            if let Some(Some(Reply::Leased(order))) = stepped.replies.into_iter().nth(1) {
                return Some(*order);
            }
        }
        panic!("the world does not come to rest");
    }

    /// A runner on another machine takes the oldest job that waits, and begins it.
    pub fn take_elsewhere(&mut self) -> Option<JobOrder> {
        let order = self.ask_as("elsewhere-1", None)?;
        self.report(&order, JobReport::Started);
        self.work();
        Some(order)
    }

    /// Time goes by, and the server looks what that means.
    pub fn wait(&mut self, seconds: u64) {
        self.is_away(seconds);
        self.step_clock();
        self.work();
    }

    /// Time goes by, and no server is there to see it.
    pub fn is_away(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
    }

    /// Somebody sets the server's clock back.
    pub fn clock_is_set_back(&mut self, seconds: u64) {
        self.now = self.now - Duration::from_secs(seconds);
    }

    /// Tells that a job is alive. Returns whether it is still its runner's.
    pub fn is_alive(&mut self, order: &JobOrder) -> bool {
        let report = Fact::Reported { attempt: order.attempt.clone(), token: order.token, report: JobReport::Alive };
        matches!(self.step(report), Some(Reply::Heard { .. }))
    }

    /// Ends a job that was taken.
    pub fn end(&mut self, order: &JobOrder, conclusion: Conclusion, outputs: &[(&str, &str)]) {
        let outputs = outputs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let end = JobEnd { conclusion, reason: "it ended".into(), outputs, environment_url: None };
        self.report(order, JobReport::Ended(end));
        self.work();
    }

    /// The server starts again, and finds in its first step that somebody has clicked.
    pub fn restart_and_click(&mut self, wish: Wish) {
        self.boot += 1;
        self.waiting.clear();
        self.cell = now_or_never(step::open(&self.store, repository(), Settings::default(), self.now)).unwrap();
        let click = Fact::Click(Click { by: "octocat".into(), wish });
        let input = Input { facts: vec![Fact::Booted { boot: self.boot_id() }, click], deliveries: Vec::new() };
        now_or_never(step::step(&self.store, &mut self.cell, input, self.now)).unwrap();
        self.show_pending();
    }

    /// It is opened again as `exec` opens it.
    pub fn ignores_the_clock(&mut self) {
        let settings = Settings { ignores_clock: true, ..Settings::default() };
        self.cell = now_or_never(step::open(&self.store, repository(), settings, self.now)).unwrap();
        self.boot();
    }

    pub fn restart_with_new_boot(&mut self) {
        self.boot += 1;
        self.waiting.clear();
        self.cell = now_or_never(step::open(&self.store, repository(), Settings::default(), self.now)).unwrap();
        self.boot();
    }
}
