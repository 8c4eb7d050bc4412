//! Why something stands as it does, in sentences: gathered from where the core wrote them, not thought up here.

use greenlight_core::event::PullStanding;
use greenlight_core::id::{Context, DeploymentId, PullNumber, RunNumber};
use greenlight_core::pull::{MergePhase, Pull};
use greenlight_core::report::job_sentence;
use greenlight_core::repository::Repository;
use greenlight_core::run::{JobState, Run, SuitePhase, Trust};
use greenlight_core::shown::sentence;

use super::deployments::sentence_of;
use super::{About, Refusal};
use crate::api::shape;
use crate::server::repository::Handle;

/// The one context that sums a commit up.
const AGGREGATE: &str = "greenlight";

/// Returns why a pull request, a run or a deployment stands as it does.
pub async fn why(handle: &Handle, about: About) -> Result<shape::Why, Refusal> {
    let missing = |what: String| Refusal::Missing(format!("{what} is not known here").into());
    match about {
        About::Pull(number) => {
            let told = handle.look(move |cell| of_pull(cell.repository(), PullNumber(number))).await?;
            told.ok_or_else(|| missing(format!("pull request #{number}")))
        }
        About::Run(number) => {
            let told = handle.look(move |cell| of_run(cell.repository(), RunNumber(number))).await?;
            told.ok_or_else(|| missing(format!("run {number}, as something that waits or runs,")))
        }
        About::Deployment(id) => {
            let told = handle.look(move |cell| of_deployment(cell.repository(), DeploymentId(id))).await?;
            told.ok_or_else(|| missing(format!("deployment {id}")))
        }
    }
}

fn of_pull(state: &Repository, number: PullNumber) -> Option<shape::Why> {
    let pull = state.pulls.get(&number)?;
    let snapshot = &pull.snapshot;
    let mut sentences = Vec::new();
    match snapshot.standing {
        PullStanding::Open if snapshot.draft => sentences.push("It is open, as a draft.".to_owned()),
        PullStanding::Open => sentences.push("It is open.".to_owned()),
        PullStanding::Closed => sentences.push("It was closed without a merge.".to_owned()),
        PullStanding::Merged { commit: Some(commit) } => {
            sentences.push(format!("It was merged as {}.", commit.short()))
        }
        PullStanding::Merged { commit: None } => sentences.push("It was merged.".to_owned()),
    }
    if let Some(report) = state.reports.get(&(snapshot.head_sha, Context::from(AGGREGATE))) {
        sentences.push(sentence(&format!(
            "{AGGREGATE} at {}: {}",
            snapshot.head_sha.short(),
            report.wanted.description
        )));
        if let Some(given_up) = &report.given_up {
            sentences.push(sentence(&format!("GitHub does not show it: {given_up}")));
        }
    }
    let suites = || state.suites_at(snapshot.head_sha).filter(|suite| suite.pull() == Some(number));
    sentences.extend(suites().filter_map(|suite| match &suite.phase {
        SuitePhase::Reading { trouble: Some(why) } => Some(sentence(&format!("The commit cannot be read yet: {why}"))),
        _ => None,
    }));
    sentences.extend(pull.note.wanted.iter().map(ToString::to_string));
    sentences.extend(merging(state, pull));
    let about = format!("#{number} {} into {}", snapshot.title, snapshot.base_ref.short());
    let findings = suites().filter_map(|suite| suite.planned()?.config_findings.as_ref()).last();
    Some(shape::Why { about, sentences, config_findings: findings.map(ToString::to_string) })
}

fn merging(state: &Repository, pull: &Pull) -> Vec<String> {
    let Some(branch) = state.branches.get(&pull.snapshot.base_ref) else { return Vec::new() };
    let mut sentences = Vec::new();
    if let Some(halted) = &branch.halted {
        sentences.push(format!("Nothing is merged into {} until a person says so: {halted}.", branch.name.short()));
    }
    if let Some(merging) = &branch.merging {
        let doing = match merging.phase {
            MergePhase::Reading { .. } => "GitHub is read before the merge",
            MergePhase::Retesting { .. } => "the base moved, so it is tested again before the merge",
            MergePhase::Calling { .. } => "the merge is being made",
        };
        match merging.pull == pull.snapshot.number {
            true => sentences.push(format!("It is being merged: {doing}.")),
            false => sentences.push(format!(
                "#{} is being merged into {} at the moment: {doing}.",
                merging.pull,
                branch.name.short()
            )),
        }
    }
    sentences
}

fn of_run(state: &Repository, number: RunNumber) -> Option<shape::Why> {
    let run = state.runs.get(&number)?;
    let reason = if run.is_over() { run.reason.to_string() } else { standing_of_run(state, run).1 };
    let mut sentences = vec![reason];
    sentences.extend(run.cancelled.iter().map(|why| format!("It is to stop: {why}.")));
    sentences.extend(run.jobs.iter().map(|job| format!("{}: {}", job.name, job_sentence(state, run, job))));
    Some(shape::Why { about: format!("run {number} of {}", run.name), sentences, config_findings: None })
}

fn of_deployment(state: &Repository, id: DeploymentId) -> Option<shape::Why> {
    let deployment = state.deployments.get(&id)?;
    let about =
        format!("deployment {id} of {} to {}", deployment.snapshot.sha.short(), deployment.snapshot.environment);
    Some(shape::Why { about, sentences: vec![sentence_of(state, deployment)], config_findings: None })
}

/// Returns the word for a run that is not over, and why it stands so.
pub(super) fn standing_of_run(state: &Repository, run: &Run) -> (&'static str, String) {
    if waits_for_approval(state, run) {
        let head = run.suite.head_sha;
        return ("waiting", format!("waits for approval: somebody with write permission comments /ok-to-test {head}"));
    }
    let with = |is_meant: fn(&JobState) -> bool| run.jobs.iter().find(|job| is_meant(&job.state));
    let leased = with(|state| matches!(state, JobState::Leased(_))).map(|job| ("running", job));
    let queued = || with(|state| matches!(state, JobState::Queued { .. })).map(|job| ("queued", job));
    let waiting = || with(|state| matches!(state, JobState::Waiting)).map(|job| ("waiting", job));
    match leased.or_else(queued).or_else(waiting) {
        Some((word, job)) => (word, format!("{} {}", job.name, job_sentence(state, run, job))),
        None => ("running", run.reason.to_string()),
    }
}

/// Answers whether a run is one that a person has to let run.
pub(super) fn waits_for_approval(state: &Repository, run: &Run) -> bool {
    state.suites.get(&run.suite).is_some_and(|suite| suite.trust == Trust::Untrusted && !suite.may_run())
}
