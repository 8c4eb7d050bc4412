//! From an event and a commit's files to runs and jobs: what the language says is to run.

mod choose;
mod context;
mod job;

use std::fmt::Write as _;
use std::sync::Arc;

use greenlight_workflow::{EventPayload, JobKind, Value, Workflow};

use crate::config::{self, ConfigStanding};
use crate::effect::{Answer, Effect, Outcome, Refusal};
use crate::event::{CommitFiles, Looked};
use crate::id::{EffectKey, RefName, RunNumber, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::repository::{Repository, Topic};
use crate::room::tell_of_run;
use crate::run::{Conclusion, Concurrency, Planned, Run, RunState, Subject, Suite, SuiteKey, SuitePhase};
use crate::time::Timestamp;
use crate::turn;

pub use choose::{CIBUILD, reference};
use choose::{Chosen, choose, find_called};
pub(crate) use choose::{path_of, workflow_in, workflow_of};
pub(crate) use context::contexts;
use context::{own_inputs, remember};
pub use job::JOB_TIMEOUT;
pub(crate) use job::{jobs_of, legs_of, strategy_value};

/// Returns the key of the effect that reads a suite's files.
pub(crate) fn read_key(suite: &Suite) -> EffectKey {
    let SuiteKey { head_sha, event, subject } = &suite.key;
    let mut key = String::with_capacity(KEY_LENGTH);
    let _ = match subject {
        Subject::Pull(number, base) => write!(key, "read:{event}:#{number}:{}", base.short()),
        Subject::PullAction(number, action, at) => write!(key, "read:{event}:#{number}:{action}:{}", at.as_millis()),
        Subject::Ref(name) => write!(key, "read:{event}:{name}"),
        Subject::Deployment(id) => write!(key, "read:{event}:deployment:{id}"),
        Subject::Other(text) => write!(key, "read:{event}:{text}"),
    };
    let _ = write!(key, ":{head_sha}:{}", suite.attempt);
    EffectKey::from(key)
}

/// About how long such a key is: most are written without a second look for room.
const KEY_LENGTH: usize = 120;

/// The event of which the default branch's workflows hear what happens to pull requests.
pub const TARGET: &str = "pull_request_target";

/// The event of what comes due by the clock.
pub const SCHEDULE: &str = "schedule";

/// Is it about a pull request, and of the default branch's workflows?
pub(crate) fn is_of_default_branch(suite: &Suite) -> bool {
    &*suite.key.event == TARGET && matches!(&suite.key.subject, Subject::Other(text) if text.starts_with('#'))
}

/// Has a suite's files read.
pub(crate) fn settle_reading(state: &mut Repository, suite: &Suite) {
    let sha = suite.key.head_sha;
    let effect = match &suite.key.subject {
        _ if is_of_default_branch(suite) => {
            // Never the head, which anybody may have written. Where the tip is not known yet, it will be.
            let tip = state.branches.get(&suite.git_ref).map(|branch| branch.tip).filter(|tip| !tip.is_zero());
            let Some(tip) = tip else { return };
            Effect::ReadCommit { sha: tip, git_ref: Some(suite.git_ref.clone()), before: None }
        }
        Subject::Pull(number, _) | Subject::PullAction(number, _, _) if is_on_merge(suite) => {
            let base_ref = base_ref_of(state, suite).unwrap_or_else(|| state.default_branch());
            Effect::PrepareMerge { pull: *number, head_sha: sha, base_ref }
        }
        _ => Effect::ReadCommit { sha, git_ref: Some(suite.git_ref.clone()), before: suite.before },
    };
    let wanted = Wanted::now(read_key(suite), Class::Read, effect);
    want(state, wanted);
}

/// Does the suite run on the test merge? Told by its ref alone: what is read for it must not change while it is being read.
fn is_on_merge(suite: &Suite) -> bool {
    suite.git_ref.as_str().starts_with("refs/pull/")
}

fn base_ref_of(state: &Repository, suite: &Suite) -> Option<RefName> {
    match &suite.key.subject {
        Subject::Pull(_, base) => Some(base.clone()),
        Subject::Other(_) => payload_of(&suite.event).facts(None).base_branch.map(RefName::branch),
        _ => suite.pull().and_then(|number| state.pulls.get(&number)).map(|pull| pull.snapshot.base_ref.clone()),
    }
}

/// Returns what an event's payload tells of it.
fn payload_of(event: &crate::event::Event) -> EventPayload {
    EventPayload::new(&*event.name, Value::from_json(&event.payload).unwrap_or(Value::Null))
}

/// A suite's files were read, or could not be.
pub(crate) fn files_read(state: &mut Repository, effect_key: &EffectKey, outcome: &Outcome, now: Timestamp) {
    let Some(key) = suite_reading(state, effect_key) else { return };
    match outcome {
        Outcome::Done(Answer::TestMerge(merge)) => planned(state, &key, &merge.files, Some(merge.base_sha), now),
        Outcome::Done(Answer::Commit(files)) => planned(state, &key, files, None, now),
        Outcome::Done(_) => stop(state, &key, Conclusion::Lost, "git answered something else than was asked"),
        Outcome::Refused(Refusal::Conflict { .. }) => {
            let base = state.suites.get(&key).and_then(|suite| base_ref_of(state, suite));
            let base = base.as_ref().map_or("its base", |base| base.short()).to_owned();
            stop(state, &key, Conclusion::Failure, &format!("conflicts with {base}"));
        }
        Outcome::Refused(refusal) => {
            if let (Refusal::HeadMoved, Some(number)) = (refusal, state.suites.get(&key).and_then(Suite::pull)) {
                want(state, Wanted::now(format!("read-pull:{number}"), Class::Read, Effect::ReadPull(number)));
            }
            stop(state, &key, Conclusion::Failure, &format!("the commit cannot be read: {}", refusal.reason()));
        }
        Outcome::Later { reason, .. } | Outcome::Unknown { reason } => {
            if let Some(suite) = state.suites.get_mut(&key) {
                suite.phase = SuitePhase::Reading { trouble: Some(reason.clone()) };
            }
        }
    }
    state.touch(Topic::Suite(key));
}

fn suite_reading(state: &Repository, effect_key: &EffectKey) -> Option<SuiteKey> {
    // The commit stands in the key: so few keys are made for the comparison.
    let sha = effect_key.as_str().split(':').find_map(|part| Sha::parse(part).ok())?;
    let reading = state.suites_at(sha).filter(|suite| matches!(suite.phase, SuitePhase::Reading { .. }));
    reading.map(|suite| (suite, read_key(suite))).find(|(_, key)| key == effect_key).map(|(suite, _)| suite.key.clone())
}

/// Nothing of a suite can run.
pub(crate) fn stop(state: &mut Repository, key: &SuiteKey, conclusion: Conclusion, reason: &str) {
    let Some(suite) = state.suites.get_mut(key) else { return };
    suite.phase = SuitePhase::Stopped { conclusion, reason: reason.into() };
    state.note(format!("{} at {}", key.event, key.head_sha.short()), reason);
    state.touch(Topic::Suite(key.clone()));
}

fn planned(state: &mut Repository, key: &SuiteKey, files: &CommitFiles, base_sha: Option<Sha>, now: Timestamp) {
    let Some(suite) = state.suites.get_shared(key) else { return };
    let base = base_ref_of(state, &suite);
    let (chosen, nothing) = choose(state, &suite, base.as_ref(), files);
    if nothing.is_some() && matches!(key.subject, Subject::PullAction(..) | Subject::Other(_)) {
        // Nobody waits for it, and most events of a repository are of this kind.
        state.remove_suite(key);
        return;
    }
    let mut runs = Vec::with_capacity(chosen.len());
    for one in chosen {
        runs.push(make_run(state, &suite, one, files, now));
    }
    let config = files.config.as_ref().filter(|_| match &key.subject {
        Subject::Pull(..) => true,
        Subject::Ref(name) => *name == state.default_branch(),
        _ => false,
    });
    let config_problem = config.and_then(|file| config_problem(state, file));
    let wrong = config.filter(|_| config_problem.is_some());
    let config_findings = wrong.and_then(|(path, text)| config::explain(path, text));
    let Some(suite) = state.suites.get_mut(key) else { return };
    suite.runs.clone_from(&runs);
    let (sha, tree) = (files.sha, files.tree);
    let planned = Planned { sha, tree, base_sha, nothing, config_problem, config_findings };
    suite.phase = SuitePhase::Planned(planned);
    for number in runs {
        state.touch(Topic::Run(number));
    }
}

/// Returns what is wrong with a `.greenlight.yml`; most commits bring the one that is known.
fn config_problem(state: &Repository, file: &(Arc<str>, Arc<str>)) -> Option<Arc<str>> {
    match &state.meta().config {
        ConfigStanding::Read { file: Some(known), config, .. } if known == file => config.clone().err(),
        _ => config::decode(&file.0, &file.1).err(),
    }
}

fn make_run(state: &mut Repository, suite: &Suite, chosen: Chosen, files: &CommitFiles, now: Timestamp) -> RunNumber {
    let earlier = suite.runs.iter().filter_map(|number| state.runs.get(number)).find(|run| run.workflow == chosen.path);
    let (number, run_number, attempt) = match earlier {
        Some(run) => (run.number, run.run_number, run.attempt + 1),
        None => {
            let (number, run_number) = state.next_run(&chosen.path);
            (number, run_number, 1)
        }
    };
    let mut run = Run {
        number,
        suite: suite.key.clone(),
        attempt,
        workflow: chosen.path.clone(),
        name: chosen.path.clone(),
        run_number,
        source: chosen.source,
        called: Vec::new(),
        elsewhere: Vec::new(),
        sha: files.sha,
        jobs: Vec::new(),
        state: RunState::Active,
        reason: "it was just made".into(),
        cancelled: None,
        concurrency: None,
        created_at: now,
        deployment: None,
        problem: None,
    };
    state.parsed.remove(&number);
    let read = chosen.workflow.and_then(|workflow| {
        run.name = workflow.title().into();
        let called = find_called(state, &workflow, &run.source, files)?;
        Ok((workflow, called))
    });
    match read {
        Err((reason, rendered)) => {
            run.state = RunState::Completed { conclusion: Conclusion::Failure, at: now };
            run.reason = reason;
            run.problem = Some(rendered);
        }
        Ok((workflow, called)) => {
            run.elsewhere = elsewhere(&workflow, &called, files);
            run.called = called;
            fill(state, suite, &mut run, &workflow, now);
            state.parsed.insert(number, workflow);
        }
    }
    if let Subject::Deployment(id) = suite.key.subject
        && decides(suite, &chosen.path)
    {
        run.deployment = Some(id);
    }
    let text = format!(
        "run {number}, attempt {attempt}, of {} for {} at {}",
        run.name,
        suite.key.event,
        suite.key.head_sha.short()
    );
    state.note(format!("run {number}"), text);
    // A new attempt queues up anew: whoever waits in its group may be before it now.
    turn::touch_others(state, number);
    state.runs.insert(number, run);
    tell_of_run(state, suite, number);
    number
}

/// Returns what came of looking for the called files of other repositories that are this run's; of one that is not here nobody
/// knows whose it is.
fn elsewhere(workflow: &Workflow, called: &[(Arc<str>, Arc<str>)], files: &CommitFiles) -> Vec<(Arc<str>, Looked)> {
    if !workflow.jobs.iter().any(|job| matches!(job.kind, JobKind::Call { .. })) {
        return Vec::new();
    }
    let is_its = |(reference, looked): &&(Arc<str>, Looked)| match looked {
        Looked::At(_) => called.iter().any(|(known, _)| known == reference),
        Looked::Missing(_) => true,
    };
    files.elsewhere.iter().filter(is_its).cloned().collect()
}

/// Does this file decide the deployment that the suite carries out?
fn decides(suite: &Suite, path: &str) -> bool {
    if suite.given.is_some() {
        return true;
    }
    let Some(file) = &suite.decides else { return false };
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml")) == Some(file)
}

/// Plans a run's jobs and its concurrency group.
fn fill(state: &mut Repository, suite: &Suite, run: &mut Run, workflow: &Workflow, now: Timestamp) {
    if let Err(reason) = own_inputs(suite, workflow) {
        return fail(run, format!("the inputs: {reason}"), now);
    }
    let contexts = contexts(state, suite, run, workflow, None);
    remember(state, suite, run, &contexts);
    run.jobs = jobs_of(state, run, workflow, None, &contexts, now);
    if let Some(concurrency) = &workflow.concurrency {
        match concurrency.evaluate(&contexts) {
            Ok(group) => {
                let group = group_of(group);
                run.created_at = turn::since(state, &group.group, now);
                run.concurrency = Some(group);
            }
            Err(problem) => {
                // None of them ever starts.
                run.jobs.clear();
                fail(run, format!("concurrency: {problem}"), now);
            }
        }
    }
}

fn fail(run: &mut Run, reason: String, now: Timestamp) {
    run.state = RunState::Completed { conclusion: Conclusion::Failure, at: now };
    run.reason = reason.into();
}

/// Returns a concurrency group as it is compared: case does not matter.
pub(crate) fn group_of(group: greenlight_workflow::ConcurrencyGroup) -> Concurrency {
    Concurrency {
        group: group.group.to_lowercase().into(),
        cancel_in_progress: group.cancel_in_progress,
        queue: group.queue,
    }
}
