//! The words of `/api/v1`, and what the pages show: plain data, all times as RFC 3339 text, every state with its sentence.

use serde::{Deserialize, Serialize};

/// The repositories that the server looks after.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repositories {
    /// By name.
    pub repositories: Vec<Repository>,
}

/// One repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Repository {
    /// GitHub's id.
    pub id: u64,
    /// "owner/name".
    pub full_name: String,
    /// The default branch's name.
    pub default_branch: String,
    /// Why its work stands still, where it does.
    pub trouble: Option<String>,
    /// What is wrong with the `.greenlight.yml` of the default branch: as long as something is, nothing is merged or deployed.
    pub config_problem: Option<String>,
    /// What somebody should see to, where something is: hosted Actions would run the same workflows.
    pub warning: Option<String>,
}

/// A page of runs, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Runs {
    /// The runs.
    pub runs: Vec<RunLine>,
    /// Give this as `before` for the next page; nothing at the end.
    pub next: Option<String>,
}

/// A run in one line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunLine {
    /// "owner/name".
    pub repository: String,
    /// Its number within the repository.
    pub number: u64,
    /// Its attempt, from 1.
    pub attempt: u32,
    /// The workflow's name.
    pub name: String,
    /// The workflow file.
    pub workflow: String,
    /// The event that started it.
    pub event: String,
    /// What it is about ("#3 into main", "main", "deployment 7").
    pub subject: String,
    /// The pull request, where it is about one.
    pub pull: Option<u64>,
    /// The commit that the result is shown on.
    pub head_sha: String,
    /// `waiting`, `queued`, `running`, or how it ended.
    pub state: String,
    /// How it ended: success, skipped, failure, cancelled, timed_out or lost.
    pub conclusion: Option<String>,
    /// Why it stands so.
    pub reason: String,
    /// When it was made.
    pub created_at: String,
    /// When it ended.
    pub ended_at: Option<String>,
}

impl RunLine {
    /// Says what it is about: the event, and the branch, pull request or deployment, which may name the event as well.
    pub fn about(&self) -> String {
        match self.subject.starts_with(&self.event) {
            true => self.subject.clone(),
            false => format!("{} · {}", self.event, self.subject),
        }
    }
}

/// One run with everything about it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// What its line says.
    #[serde(flatten)]
    pub line: RunLine,
    /// The commit that is checked out: the test merge of a pull request.
    pub sha: String,
    /// Does it wait until somebody with write permission lets it start?
    pub needs_approval: bool,
    /// What is wrong with the workflow file, with its carets.
    pub problem: Option<String>,
    /// What is wrong with the `.greenlight.yml` of the commit, in one sentence. It is why a green run may not be enough.
    pub config_problem: Option<String>,
    /// All of it, with its carets.
    pub config_findings: Option<String>,
    /// The concurrency group, where it has one.
    pub concurrency: Option<String>,
    /// Its jobs, in the file's order.
    pub jobs: Vec<Job>,
}

impl std::ops::Deref for Run {
    type Target = RunLine;

    fn deref(&self) -> &RunLine {
        &self.line
    }
}

impl Run {
    /// May it run again? A deployment is never repeated, and of a file that cannot be read nothing else can come.
    pub fn may_run_again(&self) -> bool {
        self.line.conclusion.is_some() && self.problem.is_none() && self.line.event != "deployment"
    }

    /// Is there a job that did not succeed, so that running the failed ones again means something?
    pub fn has_failed(&self) -> bool {
        self.may_run_again() && self.jobs.iter().any(|job| !matches!(&*job.state, "success" | "skipped"))
    }
}

/// A job of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// Its key within the run.
    pub key: String,
    /// Its name.
    pub name: String,
    /// The context under which GitHub shows it.
    pub context: String,
    /// `waiting`, `queued`, `running`, or how it ended.
    pub state: String,
    /// Why it stands so.
    pub reason: String,
    /// What it asks of a runner.
    pub labels: Vec<String>,
    /// Who runs it.
    pub runner: Option<String>,
    /// The attempt of the run in which it ran: an older one where it was kept when the run ran again.
    pub attempt: u32,
    /// Which try this is, from 1.
    pub tried: u32,
    /// When its first step began.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// The address of what it deployed.
    pub environment_url: Option<String>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// Its errors, warnings and notices, in the order in which they came.
    pub annotations: Vec<Annotation>,
    /// The summaries of its steps; what they say is at `…/jobs/{key}/summary`.
    pub summaries: Vec<Summary>,
}

/// An error, a warning or a notice of a job, perhaps about a place in a file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Annotation {
    /// The step that said it, from 1.
    pub step: u32,
    /// `error`, `warning` or `notice`.
    pub level: String,
    /// What.
    pub message: String,
    /// A title.
    pub title: Option<String>,
    /// The file, from the root of the repository where it is in it.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<u32>,
    /// The last line.
    pub end_line: Option<u32>,
    /// The column, from 1.
    pub column: Option<u32>,
    /// The last column.
    pub end_column: Option<u32>,
}

impl From<&greenlight_core::shown::Annotation> for Annotation {
    fn from(annotation: &greenlight_core::shown::Annotation) -> Self {
        Self {
            step: annotation.step + 1,
            level: annotation.level.as_str().to_owned(),
            message: annotation.message.to_string(),
            title: annotation.title.as_deref().map(str::to_owned),
            file: annotation.file.as_deref().map(str::to_owned),
            line: annotation.line,
            end_line: annotation.end_line,
            column: annotation.column,
            end_column: annotation.end_column,
        }
    }
}

impl Annotation {
    /// Returns it as compilers write such; what has several lines goes on below, indented by this much.
    pub fn told(&self, indent: &str) -> String {
        let place = self.place().map_or_else(String::new, |place| format!("{place}: "));
        let title = self.title.as_ref().map_or_else(String::new, |title| format!("{title}: "));
        let message = self.message.trim_end().replace('\n', &format!("\n{indent}"));
        format!("{place}{}: {title}{message}", self.level)
    }

    /// Returns the place that it is about, as compilers write it; nothing where it names no file.
    pub fn place(&self) -> Option<String> {
        let mut place = self.file.clone()?;
        for number in [self.line, self.line.and(self.column)].into_iter().flatten() {
            place.push_str(&format!(":{number}"));
        }
        Some(place)
    }
}

/// The summary of a step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// The step, from 1.
    pub step: u32,
    /// How many bytes.
    pub size: u64,
}

/// A step of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// From 1.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// `running`, or how it ended.
    pub state: String,
    /// How it ended before `continue-on-error`.
    #[serde(default)]
    pub outcome: Option<String>,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Its first line in the log.
    pub line: Option<u64>,
}

impl Step {
    /// Returns how it stands, in words: also that it failed where that does not count.
    pub fn told(&self) -> &str {
        ended(&self.state, self.outcome.as_deref().unwrap_or(&self.state))
    }
}

/// Returns how a step ended, in words, from its conclusion and its outcome.
pub fn ended<'a>(conclusion: &'a str, outcome: &str) -> &'a str {
    match (conclusion, outcome) {
        ("success", "failure") => "success (failed, continue-on-error)",
        _ => conclusion,
    }
}

/// A page of deliveries, the newest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deliveries {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// Give this as `before` for the next page; nothing at the end.
    pub next: Option<String>,
}

/// One delivery of a webhook.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// Its place in the order of arrival.
    pub place: u64,
    /// GitHub's id for it.
    pub id: String,
    /// The event.
    pub event: String,
    /// When it came.
    pub received_at: String,
    /// `waiting`, `applied`, `ignored`, `unreadable` or `quarantined`.
    pub state: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// One delivery with its body.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeliveryWhole {
    /// What its line says.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The body as it came; bytes that are no text are replaced.
    pub body: String,
}

/// The environments of a repository.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environments {
    /// "owner/name".
    pub repository: String,
    /// What is wrong with the `.greenlight.yml` of the default branch, where something is.
    pub config_problem: Option<String>,
    /// All of it, each with its line and a caret.
    pub config_findings: Option<String>,
    /// The environments, by name.
    pub environments: Vec<Environment>,
    /// Commits that are to be deployed and for which there is no deployment yet.
    pub wishes: Vec<Wish>,
}

/// One environment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// What is live and who holds it.
    pub sentence: String,
    /// The commit that is live.
    pub live_sha: Option<String>,
    /// The deployment that holds it.
    pub locked_by: Option<u64>,
    /// Why the lock is kept for a person, where it is.
    pub lock_kept: Option<String>,
    /// Its deployments, the newest first.
    pub deployments: Vec<Deployment>,
}

/// One deployment.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Deployment {
    /// GitHub's id.
    pub id: u64,
    /// Where to.
    pub environment: String,
    /// What.
    pub sha: String,
    /// GitHub's word for its state.
    pub state: String,
    /// Why it stands so.
    pub sentence: String,
    /// Who made it.
    pub creator: String,
    /// The run that carries it out.
    pub run: Option<u64>,
    /// Where the deployed thing is.
    pub url: Option<String>,
    /// When it was first seen.
    pub seen_at: String,
}

/// A commit that is to be deployed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wish {
    /// Where to.
    pub environment: String,
    /// What.
    pub sha: String,
    /// The pull request that it comes from.
    pub pull: u64,
    /// `waiting`, `creating`, `created` or `refused`.
    pub state: String,
    /// Why.
    pub sentence: String,
}

/// Why something stands as it does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Why {
    /// What was asked about.
    pub about: String,
    /// The answer.
    pub sentences: Vec<String>,
    /// Everything that is wrong with the `.greenlight.yml` that a pull request brings, each with its line and a caret.
    pub config_findings: Option<String>,
}

/// What a wish was answered with, or why a question cannot be.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// One sentence.
    pub message: String,
}

/// Why a request was refused, in GitHub's form.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// One sentence.
    pub message: String,
    /// Where the API is described.
    pub documentation_url: String,
    /// The HTTP status.
    pub status: String,
}

/// Whether the server can do its work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Readiness {
    /// Is nothing in its way? A room that does not hear is in nobody's way.
    pub ok: bool,
    /// What it waits for, rooms among it.
    pub waits: Vec<Wait>,
}

/// Something that the server waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wait {
    /// What is meant ("store", "github", "acme/app").
    pub what: String,
    /// Why, in one sentence.
    pub why: String,
    /// Since when.
    pub since: String,
}

/// The variables of a job's actions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Variables {
    /// By name. Some of the values are secrets.
    pub variables: std::collections::BTreeMap<String, String>,
}

/// The runners on other machines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Runners {
    /// By name.
    pub runners: Vec<Runner>,
}

/// A runner on another machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Runner {
    /// Its name.
    pub name: String,
    /// What jobs may ask of it.
    pub labels: Vec<String>,
    /// When it registered.
    pub registered_at: String,
    /// When it was last heard of, to about a minute.
    pub seen_at: String,
}

/// A token with which one runner registers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunnerToken {
    /// The token. It is a secret, and shown once.
    pub token: String,
    /// What jobs may ask of the runner.
    pub labels: Vec<String>,
    /// Until when it can be used.
    pub expires_at: String,
}
