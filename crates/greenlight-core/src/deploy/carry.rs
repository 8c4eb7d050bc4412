//! Carrying a deployment out: an environment's turn, the suite that does it, and how it ends.

use std::sync::Arc;

use super::lock::{free, keep_lock};
use super::show::{announce, show, word};
use super::wish::wish_for_next;
use super::{rule_of, waiting_in};
use crate::config::Provider;
use crate::deployment::{Carrying, Environment, Lock};
use crate::effect::DEPLOYMENT_UNKNOWN;
use crate::event::{DeploymentSnapshot, DeploymentState, Event};
use crate::id::{DeploymentId, EnvironmentName, RefName, Sha, Token};
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Job, JobState, Run, Subject, Suite, SuiteKey, SuitePhase, Trust};
use crate::shown::Link;
use crate::time::Timestamp;
use crate::told;

/// Settles an environment: when nobody holds it, the first that waits does.
pub(crate) fn settle_environment(state: &mut Repository, name: &EnvironmentName, now: Timestamp) {
    if !state.environments.contains(name) {
        if rule_of(state, name).is_none() {
            return;
        }
        state.environments.insert(name.clone(), Environment { name: name.clone(), lock: None, live: None });
    }
    if state.environments.get(name).is_none_or(|environment| environment.lock.is_some()) {
        return;
    }
    let Some(id) = waiting_in(state, name).next() else { return };
    let Some(rule) = rule_of(state, name) else { return };
    let token = state.next_token();
    let environment = state.environments.get_mut(name).expect("it was there a line ago");
    environment.lock = Some(Lock { deployment: id, token, since: now, kept: None });
    let deployment = state.deployments.get_mut(&id).expect("it waits");
    deployment.state = Carrying::Started { token, run: None };
    let snapshot = deployment.snapshot.clone();
    let event = deployment.event.clone().unwrap_or_else(|| made_up_event(state, &snapshot));
    let (decides, given) = match &rule.provider {
        Provider::Workflow(file) => (Some(file.clone()), None),
        Provider::Shell(path) => (None, Some((path.clone(), shell_workflow(path)))),
    };
    begin_suite(state, &snapshot, event, decides, given, now);
    state.note(name.as_str(), format!("deployment {id} of {} begins", snapshot.sha.short()));
    state.touch(Topic::Deployment(id));
    let others: Vec<_> = waiting_in(state, name).collect();
    for other in others {
        state.touch(Topic::Deployment(other));
    }
}

/// Returns the event of a deployment that no webhook told of.
fn made_up_event(state: &Repository, snapshot: &DeploymentSnapshot) -> Arc<Event> {
    let text = |text: &str| greenlight_workflow::Value::string(text);
    let payload = greenlight_workflow::Value::from_json(&snapshot.payload).unwrap_or(greenlight_workflow::Value::Null);
    #[expect(clippy::cast_precision_loss, reason = "GitHub's ids are far below 2^53")]
    let deployment = greenlight_workflow::Value::object([
        ("id", greenlight_workflow::Value::Number(snapshot.id.0 as f64)),
        ("sha", text(&snapshot.sha.to_string())),
        ("ref", text(&snapshot.git_ref)),
        ("task", text(&snapshot.task)),
        ("environment", text(snapshot.environment.as_str())),
        ("payload", payload),
    ]);
    let body = greenlight_workflow::Value::object([
        ("action", text("created")),
        ("deployment", deployment),
        ("repository", told::repository(state, snapshot.sha)),
    ]);
    Arc::new(Event {
        name: "deployment".into(),
        action: Some("created".into()),
        payload: body.to_json().into(),
        sender: snapshot.creator.clone(),
    })
}

/// Returns the workflow that runs a script of the repository, so that a script is carried out as everything else is.
fn shell_workflow(path: &str) -> Arc<str> {
    let quoted = path.replace('\'', "'\\''");
    let script = greenlight_workflow::Value::string(format!("'./{}'", quoted.trim_start_matches("./"))).to_json();
    format!(
        "name: shell\non: deployment\njobs:\n  deploy:\n    runs-on: self-hosted\n    steps:\n      - uses: actions/checkout@v4\n      - id: script\n        run: {script}\n    outputs:\n      environment_url: ${{{{ steps.script.outputs.environment_url }}}}\n"
    )
    .into()
}

/// Returns the name of a deployment's suite.
pub(crate) fn suite_key(snapshot: &DeploymentSnapshot) -> SuiteKey {
    SuiteKey { head_sha: snapshot.sha, event: "deployment".into(), subject: Subject::Deployment(snapshot.id) }
}

pub(super) fn begin_suite(
    state: &mut Repository,
    snapshot: &DeploymentSnapshot,
    event: Arc<Event>,
    decides: Option<Arc<str>>,
    given: Option<(Arc<str>, Arc<str>)>,
    now: Timestamp,
) {
    let key = suite_key(snapshot);
    if state.suites.contains(&key) {
        return;
    }
    let git_ref = match Sha::parse(&snapshot.git_ref) {
        Ok(_) => state.default_branch(),
        Err(_) if snapshot.git_ref.starts_with("refs/") => RefName::from(&*snapshot.git_ref),
        Err(_) => RefName::branch(&snapshot.git_ref),
    };
    let suite = Suite {
        key: key.clone(),
        attempt: 1,
        turns: 1,
        event,
        git_ref,
        before: None,
        // Only somebody with write permission can make a deployment.
        trust: Trust::Trusted,
        author: None,
        approval: None,
        phase: SuitePhase::Reading { trouble: None },
        runs: Vec::new(),
        requested_at: now,
        decides,
        given,
    };
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}

/// Follows the run that carries a deployment out.
pub(super) fn follow(state: &mut Repository, id: DeploymentId, token: Token, now: Timestamp) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    let Some(suite) = state.suites.get(&suite_key(&deployment.snapshot)) else { return };
    let name = deployment.snapshot.environment.clone();
    let decides = suite.decides.clone();
    match &suite.phase {
        SuitePhase::Reading { trouble } => {
            let text = trouble
                .as_ref()
                .map_or_else(|| "it is about to begin".to_owned(), |trouble| format!("waits: {trouble}"));
            show(state, id, DeploymentState::Queued, &text, None, None);
        }
        SuitePhase::Stopped { reason, .. } => {
            let reason = reason.clone();
            end(state, id, token, End::error(&reason), now);
        }
        SuitePhase::Planned(_) => {
            let run = suite
                .runs
                .iter()
                .filter_map(|number| state.runs.get(number))
                .find(|run| run.deployment == Some(id))
                .cloned();
            match run {
                Some(run) => follow_run(state, id, token, &run, now),
                None => {
                    let file = decides.unwrap_or_else(|| "the script".into());
                    let reason = format!(
                        ".github/workflows/{file}.yml does not run on: deployment at this commit, or is not there, so {name} cannot be deployed"
                    );
                    end(state, id, token, End::error(&reason), now);
                }
            }
        }
    }
}

fn follow_run(state: &mut Repository, id: DeploymentId, token: Token, run: &Run, now: Timestamp) {
    if let Some(deployment) = state.deployments.get_mut(&id) {
        deployment.state = Carrying::Started { token, run: Some(run.number) };
    }
    let link = Some(Link::Run(run.number));
    let url = run.jobs.iter().rev().find_map(|job| job.environment_url.clone());
    let name = state.deployments.get(&id).map(|deployment| deployment.snapshot.environment.clone());
    let url = url.or_else(|| rule_of(state, &name.clone()?).and_then(|rule| rule.url));
    match run.conclusion() {
        None if run.jobs.iter().any(has_begun) => {
            let text = format!("run {} carries it out", run.number);
            if show(state, id, DeploymentState::InProgress, &text, link, None) {
                announce(state, id, "begun", "is being deployed");
            }
        }
        None => {
            show(state, id, DeploymentState::Queued, "waits for a runner", link, None);
        }
        Some(Conclusion::Success) => {
            let ended = End { result: DeploymentState::Success, reason: &run.reason, link, environment_url: url };
            end(state, id, token, ended, now);
        }
        Some(Conclusion::Lost) => {
            let (result, text) = DEPLOYMENT_UNKNOWN;
            keep_lock(state, id, token, text);
            end(state, id, token, End { result, reason: text, link, environment_url: None }, now);
        }
        Some(Conclusion::Cancelled) if run.jobs.iter().any(was_interrupted) => {
            let (result, text) = DEPLOYMENT_UNKNOWN;
            keep_lock(state, id, token, text);
            let reason = format!("{text}: {}", run.reason);
            end(state, id, token, End { result, reason: &reason, link, environment_url: None }, now);
        }
        Some(Conclusion::Skipped) => {
            let reason = "every job was skipped, so nothing was deployed";
            end(state, id, token, End { link, ..End::error(reason) }, now);
        }
        Some(_) => {
            let ended = End { result: DeploymentState::Failure, reason: &run.reason, link, environment_url: url };
            end(state, id, token, ended, now);
        }
    }
}

fn has_begun(job: &Job) -> bool {
    !matches!(job.state, JobState::Waiting | JobState::Queued { .. })
}

fn was_interrupted(job: &Job) -> bool {
    matches!(&job.state, JobState::Completed { conclusion: Conclusion::Cancelled, started_at: Some(_), .. })
}

/// How a deployment ended.
pub(super) struct End<'a> {
    result: DeploymentState,
    reason: &'a str,
    link: Option<Link>,
    environment_url: Option<Arc<str>>,
}

impl<'a> End<'a> {
    pub(super) fn error(reason: &'a str) -> Self {
        Self { result: DeploymentState::Error, reason, link: None, environment_url: None }
    }
}

/// Ends a deployment: its state is shown, its lock freed unless it is kept, the room told, and the next environment wants the commit.
pub(super) fn end(state: &mut Repository, id: DeploymentId, token: Token, end: End<'_>, now: Timestamp) {
    let End { result, reason, link, environment_url } = end;
    show(state, id, result, reason, link, environment_url.clone());
    let Some(deployment) = state.deployments.get_mut(&id) else { return };
    deployment.state = Carrying::Done;
    let (name, sha) = (deployment.snapshot.environment.clone(), deployment.snapshot.sha);
    state.note(name.as_str(), format!("deployment {id} of {} ended as {}: {reason}", sha.short(), word(result)));
    let text = match (result, &environment_url) {
        (DeploymentState::Success, Some(url)) => format!("is done! {url}"),
        (DeploymentState::Success, None) => "is done!".to_owned(),
        (DeploymentState::Failure, _) => format!("failed: {reason}"),
        _ => format!("has errors: {reason}"),
    };
    announce(state, id, "ended", &text);
    if result == DeploymentState::Success {
        if let Some(environment) = state.environments.get_mut(&name) {
            environment.live = Some((id, sha));
        }
        wish_for_next(state, &name, sha, now);
    }
    free(state, &name, id, token);
}
