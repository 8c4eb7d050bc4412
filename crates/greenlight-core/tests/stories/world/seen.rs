//! What can be seen.

use greenlight_core::deployment::{DeployWish, WishState};
use greenlight_core::event::PullStanding;
use greenlight_core::id::{PullNumber, RunNumber};
use greenlight_core::report::job_sentence;
use greenlight_core::run::{Conclusion, JobState, Subject};

use super::{World, sha};

impl World {
    pub fn status(&self, head: char) -> String {
        self.statuses.get(&(sha(head), "greenlight".into())).cloned().unwrap_or_default()
    }

    pub fn context(&self, head: char, context: &str) -> String {
        self.statuses.get(&(sha(head), context.into())).cloned().unwrap_or_default()
    }

    pub fn deployment_text(&self) -> String {
        self.deployment_text.clone()
    }

    pub fn comments_by_mark(&self, number: u64) -> Vec<(String, String)> {
        let comments = self.comments.get(&number).into_iter().flatten();
        comments.map(|(mark, text)| (mark.clone(), text.clone())).collect()
    }

    pub fn last_run_of(&self, name: &str) -> RunNumber {
        let runs = &self.cell.repository().runs;
        runs.values().rfind(|run| &*run.suite.event == name).expect("it ran").number
    }

    pub fn failed_run(&self) -> RunNumber {
        let runs = &self.cell.repository().runs;
        runs.values().find(|run| run.conclusion() == Some(Conclusion::Failure)).expect("it failed").number
    }

    pub fn reads_of_pulls(&self) -> usize {
        self.reads_of_pulls
    }

    /// Is it known that a pull request was merged as this commit?
    pub fn has_landed(&self, number: u64, landed: char) -> bool {
        let pull = self.cell.repository().pulls.get(&PullNumber(number)).expect("it was heard of");
        pull.snapshot.standing == PullStanding::Merged { commit: Some(sha(landed)) }
    }

    pub fn merged(&self) -> Vec<u64> {
        self.merged.clone()
    }

    pub fn deployments(&self) -> Vec<String> {
        self.deployed.iter().map(|(deployment, states)| format!("{}{states}", deployment.environment)).collect()
    }

    /// What the deployments that are not made yet wait for.
    pub fn wishes(&self) -> Vec<String> {
        let waiting = |wish: &DeployWish| match &wish.state {
            WishState::Waiting { reason } => Some(reason.to_string()),
            _ => None,
        };
        self.cell.repository().wishes.values().filter_map(waiting).collect()
    }

    pub fn room(&self) -> Vec<String> {
        let landed = self.main.short();
        self.room.iter().map(|line| line.replace(&landed, "M")).collect()
    }

    pub fn comments(&self, number: u64) -> Vec<String> {
        self.comments.get(&number).map(|comments| comments.values().cloned().collect()).unwrap_or_default()
    }

    pub fn audit(&self) -> Vec<String> {
        self.store.audit.lock().unwrap().clone()
    }

    /// Returns how a run and each of its jobs stands, a line each.
    pub fn standing(&self, number: RunNumber) -> Vec<String> {
        let repository = self.cell.repository();
        let run = repository.runs.get(&number).expect("there is such a run");
        let jobs = run.jobs.iter().map(|job| {
            let state = match &job.state {
                JobState::Completed { conclusion, .. } => conclusion.as_result(),
                JobState::Leased(_) => "runs",
                JobState::Queued { .. } => "queued",
                JobState::Waiting => "waits",
            };
            format!("{}: {state}: {}", job.key, job_sentence(repository, run, job))
        });
        let itself = format!("{}: {}", run.conclusion().map_or("active", Conclusion::as_result), run.reason);
        jobs.chain([itself]).collect()
    }

    /// Returns what a run is about.
    pub fn subject(&self, number: RunNumber) -> Subject {
        self.cell.repository().runs.get(&number).expect("there is such a run").suite.subject.clone()
    }

    /// Returns the names of the runs of an event.
    pub fn names_of(&self, name: &str) -> Vec<String> {
        let runs = self.cell.repository().runs.values();
        runs.filter(|run| &*run.suite.event == name).map(|run| run.name.to_string()).collect()
    }

    /// Returns in how many seconds the server looks again though nothing happens.
    pub fn seconds_to_next_look(&self) -> Option<u64> {
        self.cell.wake_at().map(|at| at.since(self.now).as_secs())
    }

    pub fn runs_of(&self, name: &str) -> usize {
        self.cell.repository().runs.values().filter(|run| &*run.suite.event == name).count()
    }
}
