//! The messages, but for the order itself.

use std::num::NonZeroU32;
use std::sync::Arc;

use greenlight_core::effect::{JobEnd, JobReport};
use greenlight_core::id::{AttemptId, JobKey, RepoId, RunNumber, Sha, Token};
use greenlight_core::run::Conclusion;
use greenlight_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::host::{Annotation, AnnotationLevel, CheckedOut, CheckoutRequest, Sparse, StepState, StepUpdate};

/// `POST /api/runner/v1/register`: a new runner shows its token.
#[derive(Debug, Serialize, Deserialize)]
pub struct Register {
    /// The token, which works once.
    pub token: String,
    /// How the runner wants to be called.
    pub name: String,
}

/// What a new runner is given.
#[derive(Debug, Serialize, Deserialize)]
pub struct Registered {
    /// Its name from now on.
    pub runner: String,
    /// Its key.
    pub key: String,
    /// What jobs may ask of it.
    pub labels: Vec<String>,
}

/// Why something was refused: one sentence.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refused {
    /// The sentence.
    pub message: String,
}

/// A job attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    repo: u64,
    run: u64,
    run_attempt: u32,
    job: String,
    tried: u32,
}

impl From<&AttemptId> for Attempt {
    fn from(attempt: &AttemptId) -> Self {
        Self {
            repo: attempt.repo.0,
            run: attempt.run.0,
            run_attempt: attempt.run_attempt,
            job: attempt.job.as_str().to_owned(),
            tried: attempt.tried,
        }
    }
}

impl From<Attempt> for AttemptId {
    fn from(attempt: Attempt) -> Self {
        Self {
            repo: RepoId(attempt.repo),
            run: RunNumber(attempt.run),
            run_attempt: attempt.run_attempt,
            job: JobKey::from(attempt.job),
            tried: attempt.tried,
        }
    }
}

/// The job that a message is about, and the lease under which its runner speaks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// The attempt.
    pub attempt: Attempt,
    /// The lease.
    pub token: u64,
}

impl About {
    /// Names a job and its lease.
    pub fn new(attempt: &AttemptId, token: Token) -> Self {
        Self { attempt: attempt.into(), token: token.0 }
    }
}

/// `POST /api/runner/v1/report`: how a job goes.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// Which.
    pub about: About,
    /// What.
    pub report: ReportShape,
}

/// What is told of a job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportShape {
    /// The first step is about to run.
    Started,
    /// It is alive.
    Alive,
    /// Its runner was started again, and it is gone.
    Lost,
    /// It is over.
    Ended(EndShape),
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndShape {
    conclusion: String,
    reason: String,
    #[serde(default)]
    outputs: Vec<(String, String)>,
    #[serde(default)]
    environment_url: Option<String>,
}

impl From<&JobReport> for ReportShape {
    fn from(report: &JobReport) -> Self {
        match report {
            JobReport::Started => Self::Started,
            JobReport::Alive => Self::Alive,
            JobReport::Lost => Self::Lost,
            JobReport::Ended(end) => Self::Ended(end.into()),
        }
    }
}

impl ReportShape {
    /// Returns what it means; nothing where this version does not know the conclusion.
    pub fn into_report(self) -> Option<JobReport> {
        Some(match self {
            Self::Started => JobReport::Started,
            Self::Alive => JobReport::Alive,
            Self::Lost => JobReport::Lost,
            Self::Ended(end) => JobReport::Ended(end.into_end()?),
        })
    }
}

impl From<&JobEnd> for EndShape {
    fn from(end: &JobEnd) -> Self {
        let outputs = end.outputs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Self {
            conclusion: word(end.conclusion).to_owned(),
            reason: end.reason.to_string(),
            outputs: outputs.collect(),
            environment_url: end.environment_url.as_deref().map(str::to_owned),
        }
    }
}

impl EndShape {
    /// Returns what it means; nothing where this version does not know the conclusion.
    pub fn into_end(self) -> Option<JobEnd> {
        Some(JobEnd {
            conclusion: conclusion(&self.conclusion)?,
            reason: self.reason.into(),
            outputs: self.outputs.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
            environment_url: self.environment_url.map(Arc::from),
        })
    }
}

const CONCLUSIONS: [(Conclusion, &str); 6] = [
    (Conclusion::Success, "success"),
    (Conclusion::Skipped, "skipped"),
    (Conclusion::Failure, "failure"),
    (Conclusion::Cancelled, "cancelled"),
    (Conclusion::TimedOut, "timed_out"),
    (Conclusion::Lost, "lost"),
];

fn word(conclusion: Conclusion) -> &'static str {
    CONCLUSIONS.iter().find(|(known, _)| *known == conclusion).map_or("failure", |(_, word)| word)
}

fn conclusion(word: &str) -> Option<Conclusion> {
    CONCLUSIONS.iter().find(|(_, known)| *known == word).map(|(conclusion, _)| *conclusion)
}

/// What a report is answered with.
#[derive(Debug, Serialize, Deserialize)]
pub struct Heard {
    /// Is the job (still) this runner's?
    pub is_yours: bool,
    /// Is it to be stopped?
    #[serde(default)]
    pub cancelled: bool,
}

/// `POST /api/runner/v1/news`: which jobs are to be stopped? Answered when there is one, or after some seconds.
#[derive(Debug, Serialize, Deserialize)]
pub struct News {
    /// The jobs that run here, with their leases.
    pub running: Vec<About>,
}

/// The jobs that are to be stopped.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ToStop {
    /// Each with the reason.
    pub cancelled: Vec<(Attempt, String)>,
}

/// What a step's state looks like on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepShape {
    index: u32,
    name: String,
    #[serde(default)]
    conclusion: Option<String>,
    /// Before `continue-on-error`; a runner that does not say it yet means the conclusion.
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    started_at: Option<i64>,
    #[serde(default)]
    completed_at: Option<i64>,
}

impl From<&StepUpdate> for StepShape {
    fn from(update: &StepUpdate) -> Self {
        let (ended, started_at, completed_at) = match update.state {
            StepState::Running { started_at } => (None, Some(started_at), None),
            StepState::Completed { outcome, conclusion, started_at, completed_at } => {
                (Some((word(outcome).to_owned(), word(conclusion).to_owned())), started_at, Some(completed_at))
            }
        };
        let (outcome, conclusion) = ended.unzip();
        Self {
            index: update.index,
            name: update.name.to_string(),
            conclusion,
            outcome,
            started_at: started_at.map(Timestamp::as_millis),
            completed_at: completed_at.map(Timestamp::as_millis),
        }
    }
}

impl StepShape {
    /// Returns what it means.
    pub fn into_update(self) -> StepUpdate {
        let started_at = self.started_at.map(Timestamp::from_millis);
        let state = match (self.conclusion.as_deref().and_then(conclusion), self.completed_at) {
            (Some(ended), Some(at)) => StepState::Completed {
                outcome: self.outcome.as_deref().and_then(conclusion).unwrap_or(ended),
                conclusion: ended,
                started_at,
                completed_at: Timestamp::from_millis(at),
            },
            _ => StepState::Running { started_at: started_at.unwrap_or_default() },
        };
        StepUpdate { index: self.index, name: self.name.into(), state }
    }
}

/// What an annotation looks like on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnotationShape {
    step: u32,
    level: String,
    message: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    file: Option<String>,
    #[serde(default)]
    line: Option<u32>,
    #[serde(default)]
    end_line: Option<u32>,
    #[serde(default)]
    column: Option<u32>,
    #[serde(default)]
    end_column: Option<u32>,
}

impl From<&Annotation> for AnnotationShape {
    fn from(annotation: &Annotation) -> Self {
        let level = match annotation.level {
            AnnotationLevel::Error => "error",
            AnnotationLevel::Warning => "warning",
            AnnotationLevel::Notice => "notice",
        };
        Self {
            step: annotation.step,
            level: level.to_owned(),
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

impl AnnotationShape {
    /// Returns what it means.
    pub fn into_annotation(self) -> Annotation {
        let level = match &*self.level {
            "error" => AnnotationLevel::Error,
            "warning" => AnnotationLevel::Warning,
            _ => AnnotationLevel::Notice,
        };
        Annotation {
            step: self.step,
            level,
            message: self.message.into(),
            title: self.title.map(Arc::from),
            file: self.file.map(Arc::from),
            line: self.line,
            end_line: self.end_line,
            column: self.column,
            end_column: self.end_column,
        }
    }
}

/// `POST /api/runner/v1/checkout`: the repository's files are asked for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Checkout {
    /// For which job.
    pub about: About,
    /// The commit.
    #[serde(default)]
    sha: Option<String>,
    /// The name.
    #[serde(default)]
    name: Option<String>,
    /// How many commits.
    #[serde(default)]
    depth: Option<NonZeroU32>,
    /// Some of the files: patterns, and whether they are folders.
    #[serde(default)]
    sparse: Option<(Vec<String>, bool)>,
}

impl Checkout {
    /// Asks for what a step asks for.
    pub fn new(about: About, request: &CheckoutRequest) -> Self {
        Self {
            about,
            sha: request.sha.map(|sha| sha.to_string()),
            name: request.name.as_deref().map(str::to_owned),
            depth: request.depth,
            sparse: request
                .sparse
                .as_ref()
                .map(|sparse| (sparse.patterns.iter().map(ToString::to_string).collect(), sparse.is_cone)),
        }
    }

    /// Returns what the step asks for; nothing where the commit is none. What lies there already is the runner's own matter.
    pub fn request(&self) -> Option<CheckoutRequest> {
        let sha = match &self.sha {
            Some(text) => Some(Sha::parse(text).ok()?),
            None => None,
        };
        Some(CheckoutRequest {
            sha,
            name: self.name.as_deref().map(Arc::from),
            depth: self.depth,
            clean: true,
            sparse: self.sparse.as_ref().map(|(patterns, is_cone)| Sparse {
                patterns: patterns.iter().map(|pattern| Arc::from(pattern.as_str())).collect(),
                is_cone: *is_cone,
            }),
        })
    }
}

/// What was checked out, before the files.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckedOutShape {
    sha: String,
    #[serde(default)]
    git_ref: Option<String>,
}

impl From<&CheckedOut> for CheckedOutShape {
    fn from(done: &CheckedOut) -> Self {
        Self { sha: done.sha.to_string(), git_ref: done.git_ref.as_deref().map(str::to_owned) }
    }
}

impl CheckedOutShape {
    /// Returns what it means; nothing where the commit is none.
    pub fn into_done(self) -> Option<CheckedOut> {
        Some(CheckedOut { sha: Sha::parse(&self.sha).ok()?, git_ref: self.git_ref.map(Arc::from) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_arrives_as_it_was() {
        let end = JobEnd {
            conclusion: Conclusion::TimedOut,
            reason: "late".into(),
            outputs: vec![("a".into(), "b".into())],
            environment_url: None,
        };
        for report in [JobReport::Started, JobReport::Alive, JobReport::Lost, JobReport::Ended(end)] {
            let text = serde_json::to_string(&ReportShape::from(&report)).unwrap();
            let read: ReportShape = serde_json::from_str(&text).unwrap();
            assert_eq!(read.into_report(), Some(report), "{text}");
        }
        let update = StepUpdate {
            index: 3,
            name: "x".into(),
            state: StepState::Completed {
                outcome: Conclusion::Failure,
                conclusion: Conclusion::Success,
                started_at: None,
                completed_at: Timestamp::from_millis(5),
            },
        };
        assert_eq!(StepShape::from(&update).into_update(), update);
    }

    #[test]
    fn an_older_runner_may_leave_out_what_is_new() {
        let heard: Heard = serde_json::from_str(r#"{"is_yours":true,"something":"newer"}"#).unwrap();
        assert!(!heard.cancelled);
        let step: StepShape = serde_json::from_str(r#"{"index":1,"name":"x"}"#).unwrap();
        assert!(matches!(step.into_update().state, StepState::Running { .. }));
        let step: StepShape =
            serde_json::from_str(r#"{"index":1,"name":"x","conclusion":"skipped","completed_at":5}"#).unwrap();
        let StepState::Completed { outcome, .. } = step.into_update().state else { panic!("it is over") };
        assert_eq!(outcome, Conclusion::Skipped);
    }
}
