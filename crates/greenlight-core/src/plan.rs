//! From an event and a commit's files to runs and jobs: what the language says is to run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_workflow::{
    CallRef, CallRules, CallSource, CalledFile, Context as _, Contexts, EventFacts, EventPayload, Job as JobSpec,
    JobKind, JobPlan, Trigger, Value, Workflow, ancestors, below_caller, dispatch_inputs, expand_job, parse_workflow,
    resolve_calls, short_ref, skip_words, strategy_context,
};

use crate::config::{self, ConfigStanding};
use crate::effect::{Answer, Effect, Outcome, Refusal};
use crate::event::CommitFiles;
use crate::id::{Context, EffectKey, JobKey, RefName, RunNumber, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::repository::{MadeOf, Reading, Remembered, Repository, Topic};
use crate::run::{
    Call, Conclusion, Concurrency, Job, JobState, Planned, Run, RunState, Subject, Suite, SuiteKey, SuitePhase,
};
use crate::shown::first_of;
use crate::time::{Duration, Timestamp};
use crate::turn;

/// How long a job may take where the workflow does not say.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(360 * 60);
/// The path that stands for `script/cibuild` where a workflow's path is asked for.
pub const CIBUILD: &str = "script/cibuild";

const CIBUILD_WORKFLOW: &str = "name: cibuild
on: [push, pull_request]
jobs:
  cibuild:
    runs-on: self-hosted
    steps:
      - uses: actions/checkout@v4
      - run: script/cibuild
";

/// Returns the key of the effect that reads a suite's files.
pub(crate) fn read_key(suite: &Suite) -> EffectKey {
    let subject: String = match &suite.key.subject {
        Subject::Pull(number, base) => format!("#{number}:{}", base.short()),
        Subject::PullAction(number, action, at) => format!("#{number}:{action}:{}", at.as_millis()),
        Subject::Ref(name) => name.to_string(),
        Subject::Deployment(id) => format!("deployment:{id}"),
        Subject::Other(text) => text.to_string(),
    };
    EffectKey::from(format!("read:{}:{subject}:{}:{}", suite.key.event, suite.key.head_sha, suite.attempt))
}

/// Has a suite's files read.
pub(crate) fn settle_reading(state: &mut Repository, suite: &Suite) {
    let sha = suite.key.head_sha;
    let effect = match &suite.key.subject {
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

/// A workflow that is to run, or that cannot be read.
struct Chosen {
    path: Arc<str>,
    source: Arc<str>,
    workflow: Reading,
}

/// How many files are kept as read.
const READ_MAX: usize = 64;

/// Returns which workflows the event starts, or why none.
fn choose(
    state: &mut Repository,
    suite: &Suite,
    base: Option<&RefName>,
    files: &CommitFiles,
) -> (Vec<Chosen>, Option<Arc<str>>) {
    let is_change = matches!(&*suite.key.event, "push" | "pull_request");
    if let Some((path, source)) = &suite.given {
        return (vec![read(state, path, source)], None);
    }
    if let Some(words) = skip_words(&files.message).filter(|_| is_change) {
        return (Vec::new(), Some(format!("nothing runs: the commit message says {words}").into()));
    }
    if files.workflows.is_empty() && files.cibuild && is_change {
        return (vec![read(state, &CIBUILD.into(), &CIBUILD_WORKFLOW.into())], None);
    }
    // Of the others more is known than what their payload tells.
    let told = matches!(suite.key.subject, Subject::Other(_)).then(|| payload_of(&suite.event));
    let mut chosen = Vec::new();
    let mut reasons = Vec::new();
    for (path, source) in &files.workflows {
        let one = read(state, path, source);
        match &one.workflow {
            Err(_) if matches!(suite.key.subject, Subject::Pull(..) | Subject::Ref(_)) => chosen.push(one),
            Err(_) => {}
            Ok(workflow) => match workflow.triggered_by(&facts(suite, told.as_ref(), base, files)) {
                Trigger::Yes => chosen.push(one),
                Trigger::No { reason } => reasons.push(format!("{}: {reason}", workflow.title())),
            },
        }
    }
    let nothing = chosen.is_empty().then(|| match (files.workflows.len(), reasons.first()) {
        (0, _) => "nothing runs: there is no workflow file".into(),
        (1, Some(reason)) => format!("nothing runs: {reason}").into(),
        _ => format!("nothing runs: none of the {} workflows is for this event", files.workflows.len()).into(),
    });
    (chosen, nothing)
}

fn read(state: &mut Repository, path: &Arc<str>, source: &Arc<str>) -> Chosen {
    let name = (path.clone(), source.clone());
    let workflow = match state.read.get(&name) {
        Some(known) => known.clone(),
        None => {
            if state.read.len() >= READ_MAX {
                state.read.clear();
            }
            let reading = parse(path, source);
            state.read.insert(name, reading.clone());
            reading
        }
    };
    Chosen { path: path.clone(), source: source.clone(), workflow }
}

fn parse(path: &str, source: &str) -> Reading {
    let parsed = parse_workflow(path, source);
    if let Some(workflow) = parsed.workflow {
        return Ok(Arc::new(workflow));
    }
    let errors: Vec<_> = parsed.findings.iter().filter(|finding| finding.is_error()).collect();
    let reason = match errors.split_first() {
        Some((first, rest)) => first_of(&first.summary(path), first.help.as_deref(), rest.len()),
        None => format!("{path} cannot be read"),
    };
    let rendered = errors.iter().map(|finding| finding.render(path, source)).collect::<Vec<_>>().join("\n");
    Err((reason.into(), rendered.into()))
}

fn facts<'a>(
    suite: &'a Suite,
    told: Option<&'a EventPayload>,
    base: Option<&'a RefName>,
    files: &'a CommitFiles,
) -> EventFacts<'a> {
    let told = told.map(|told| told.facts(None));
    EventFacts {
        name: &suite.key.event,
        action: match &suite.key.subject {
            // A pull request's suite stands for opened, synchronize and reopened; a new base is as good as a new head.
            Subject::Pull(..) => suite
                .event
                .action
                .as_deref()
                .filter(|action| matches!(*action, "opened" | "reopened"))
                .or(Some("synchronize")),
            _ => suite.event.action.as_deref(),
        },
        git_ref: suite.git_ref.as_str(),
        base_branch: base.and_then(|base| base.as_branch()),
        changed_paths: files.changed_paths.as_deref(),
        workflow: told.as_ref().and_then(|told| told.workflow),
        schedule: told.as_ref().and_then(|told| told.schedule),
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
        let called = find_called(&workflow, files)?;
        Ok((workflow, called))
    });
    match read {
        Err((reason, rendered)) => {
            run.state = RunState::Completed { conclusion: Conclusion::Failure, at: now };
            run.reason = reason;
            run.problem = Some(rendered);
        }
        Ok((workflow, called)) => {
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
    number
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
            Ok(group) => run.concurrency = Some(group_of(group)),
            Err(problem) => fail(run, format!("concurrency: {problem}"), now),
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

/// Returns the jobs of one workflow of a run: its own, or one that a job calls. Nothing of them has begun.
pub(crate) fn jobs_of(
    state: &Repository,
    run: &Run,
    workflow: &Workflow,
    caller: Option<&Job>,
    contexts: &Contexts,
    now: Timestamp,
) -> Vec<Job> {
    let mut jobs = Vec::new();
    for spec in &workflow.jobs {
        if caller.is_none() && !is_selected(state, workflow, &spec.id) {
            continue;
        }
        match expand_job(spec, contexts) {
            Ok(legs) => jobs.extend(legs_of(state, run, caller, workflow, spec, legs)),
            Err(problem) => {
                let mut made = new_job(run, caller, workflow, spec, &spec.id);
                if spec.needs.is_empty() {
                    let reason = problem.to_string().into();
                    made.state =
                        JobState::Completed { conclusion: Conclusion::Failure, at: now, reason, started_at: None };
                } else {
                    made.expanded = false;
                }
                jobs.push(made);
            }
        }
    }
    jobs
}

fn is_selected(state: &Repository, workflow: &Workflow, id: &Arc<str>) -> bool {
    let jobs = &state.settings.selection.jobs;
    jobs.is_empty() || jobs.contains(id) || jobs.iter().any(|job| ancestors(workflow, job).contains(id))
}

/// Returns the legs of a job whose matrix is known.
pub(crate) fn legs_of(
    state: &Repository,
    run: &Run,
    caller: Option<&Job>,
    workflow: &Workflow,
    spec: &JobSpec,
    legs: Vec<JobPlan>,
) -> Vec<Job> {
    let wanted = &state.settings.selection.matrix;
    let is_wanted = |leg: &JobPlan| {
        leg.matrix.as_object().is_none_or(|matrix| {
            matrix.iter().all(|(key, value)| {
                let of_key = || wanted.iter().filter(|(known, _)| known.eq_ignore_ascii_case(key));
                of_key().next().is_none() || of_key().any(|(_, text)| **text == *value.coerce_string())
            })
        })
    };
    let leg = |leg: JobPlan| {
        let mut made = new_job(run, caller, workflow, spec, &leg.name);
        made.key = JobKey::from(below_caller(caller.map(|caller| caller.key.as_str()), &leg.key));
        made.matrix = leg.matrix;
        made.fail_fast = leg.fail_fast;
        made.max_parallel = leg.max_parallel.and_then(|most| u32::try_from(most).ok());
        made.leg = (u32::try_from(leg.index).unwrap_or(u32::MAX), u32::try_from(leg.total).unwrap_or(u32::MAX));
        made
    };
    legs.into_iter().filter(is_wanted).map(leg).collect()
}

fn new_job(run: &Run, caller: Option<&Job>, workflow: &Workflow, spec: &JobSpec, name: &str) -> Job {
    let name: Arc<str> = below_caller(caller.map(|caller| &*caller.name), name).into();
    let context = match &*run.workflow {
        CIBUILD => Context::from("greenlight / cibuild"),
        _ => Context::from(format!("greenlight / {} / {name} ({})", run.name, run.suite.event)),
    };
    let call = match &spec.kind {
        JobKind::Call { uses, .. } => Some(Call { file: reference(&workflow.path, uses).into(), inputs: None }),
        JobKind::Steps(_) => None,
    };
    Job {
        key: JobKey::from(below_caller(caller.map(|caller| caller.key.as_str()), &spec.id)),
        caller: caller.map(|caller| caller.key.clone()),
        job_id: spec.id.clone(),
        call,
        turn: None,
        name,
        context,
        matrix: Value::Null,
        leg: (0, 1),
        expanded: true,
        needs: spec.needs.clone(),
        labels: Arc::from([]),
        timeout: JOB_TIMEOUT,
        continue_on_error: false,
        fail_fast: true,
        max_parallel: None,
        state: JobState::Waiting,
        attempt: run.attempt,
        tried: 1,
        cancelled: None,
        outputs: Vec::new(),
        environment_url: None,
    }
}

/// Returns the name that a called file has in its run. A local one of another repository's workflow is that repository's.
pub fn reference(caller_path: &str, uses: &CallRef) -> String {
    let of_caller = || {
        let (file, git_ref) = caller_path.split_once('@').filter(|_| !caller_path.starts_with('.'))?;
        let mut parts = file.splitn(3, '/');
        Some((parts.next()?, parts.next()?, git_ref))
    };
    match (uses, of_caller()) {
        (CallRef::Local(path), Some((owner, repo, git_ref))) => format!("{owner}/{repo}/{path}@{git_ref}"),
        (uses, _) => uses.to_string(),
    }
}

/// Returns the path under which findings name a called file.
pub(crate) fn path_of(reference: &str) -> &str {
    reference.strip_prefix("./").unwrap_or(reference)
}

/// Files by their references.
type Called = Vec<(Arc<str>, Arc<str>)>;

/// Finds the files that a workflow calls, and those call. The error is what is wrong: in one sentence, and rendered.
fn find_called(workflow: &Workflow, files: &CommitFiles) -> Result<Called, (Arc<str>, Arc<str>)> {
    if !workflow.jobs.iter().any(|job| matches!(job.kind, JobKind::Call { .. })) {
        return Ok(Vec::new());
    }
    let found: RefCell<BTreeMap<Arc<str>, Arc<str>>> = RefCell::default();
    let source = |caller_path: &str, uses: &CallRef| {
        let reference: Arc<str> = reference(caller_path, uses).into();
        let path = path_of(&reference);
        let beside = files.called.iter().find(|(known, _)| *known == reference);
        let Some((_, text)) = beside.or_else(|| files.workflows.iter().find(|(known, _)| **known == *path)) else {
            // Another repository's is missed when the job is to start, which says so.
            return if reference.starts_with("./") { CallSource::Missing } else { CallSource::Elsewhere };
        };
        found.borrow_mut().insert(reference.clone(), text.clone());
        CallSource::File(CalledFile { path: path.to_owned(), text: text.to_string() })
    };
    let calls = resolve_calls(workflow, &CallRules::default(), &source);
    let mut errors = calls.findings.iter().filter(|found| found.finding.is_error()).peekable();
    let Some(first) = errors.peek() else { return Ok(found.into_inner().into_iter().collect()) };
    let others = calls.findings.iter().filter(|found| found.finding.is_error()).count() - 1;
    let reason = first_of(&first.finding.summary(&first.path), first.finding.help.as_deref(), others).into();
    let text_of = |path: &str| {
        let called = found.borrow().iter().find(|(known, _)| path_of(known) == path).map(|(_, text)| text.clone());
        called.or_else(|| files.workflows.iter().find(|(known, _)| **known == *path).map(|(_, text)| text.clone()))
    };
    let rendered: Vec<String> =
        errors.map(|found| found.finding.render(&found.path, &text_of(&found.path).unwrap_or_default())).collect();
    Err((reason, rendered.join("\n").into()))
}

/// Returns the `strategy` context.
pub(crate) fn strategy_value(job: &Job) -> Value {
    let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    strategy_context(job.fail_fast, count(job.leg.0), count(job.leg.1), job.max_parallel.map(count))
}

/// Returns the contexts that a run's expressions see outside a step; `needs` for one job, where it is asked for.
pub(crate) fn contexts(
    state: &Repository,
    suite: &Suite,
    run: &Run,
    workflow: &Workflow,
    needs: Option<Value>,
) -> Contexts {
    let inputs = own_inputs(suite, workflow).unwrap_or_default();
    let remembered = state.github.get(&run.number).filter(|known| known.made_of == made_of(state, suite, run));
    let github = remembered.map_or_else(|| github(state, suite, run, &inputs), |known| known.github.clone());
    let vars = state.settings.vars.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
    Contexts::new()
        .with("github", github)
        .with("needs", needs.unwrap_or_else(|| Value::Object(Arc::default())))
        .with("inputs", inputs)
        .with("vars", Value::object(vars))
}

/// Returns the inputs that a run was started with, each of its type, with the defaults of those that were not given.
fn own_inputs(suite: &Suite, workflow: &Workflow) -> Result<Value, String> {
    let name = &*suite.key.event;
    if !matches!(name, "workflow_dispatch" | "workflow_call") {
        return Ok(Value::Object(Arc::default()));
    }
    let event = Value::from_json(&suite.event.payload).unwrap_or(Value::Null);
    let given = event.get("inputs").as_object().map_or_else(Vec::new, |given| {
        given.iter().map(|(name, value)| (name.to_owned(), value.coerce_string().to_string())).collect()
    });
    dispatch_inputs(workflow.on.event(name), &given, &Contexts::new()).map_err(|problem| problem.message)
}

/// Returns the event with all its inputs as text, defaults included, as GitHub sends it.
fn with_inputs(event: &Value, inputs: &Value) -> Value {
    let entries = event.as_object().into_iter().flat_map(|event| event.iter());
    let entries = entries.filter(|(key, _)| *key != "inputs").map(|(key, value)| (Arc::from(key), value.clone()));
    let texts = inputs.as_object().into_iter().flat_map(|inputs| inputs.iter());
    let texts = texts.map(|(key, value)| (key, Value::String(value.coerce_string())));
    let inputs: (Arc<str>, Value) = ("inputs".into(), Value::object(texts));
    Value::object(entries.chain([inputs]).collect::<Vec<_>>())
}

/// Keeps the `github` context of a run at hand, as long as its jobs ask for it.
fn remember(state: &mut Repository, suite: &Suite, run: &Run, contexts: &Contexts) {
    let remembered = Remembered { made_of: made_of(state, suite, run), github: contexts.named("github") };
    state.github.insert(run.number, remembered);
}

fn made_of(state: &Repository, suite: &Suite, run: &Run) -> MadeOf {
    let pull = suite.pull().and_then(|number| state.pulls.get(&number));
    MadeOf {
        attempt: run.attempt,
        sha: run.sha,
        full_name: state.meta().repository.full_name.clone(),
        refs: pull.map(|pull| (pull.snapshot.head_ref.clone(), pull.snapshot.base_ref.clone())),
    }
}

/// Returns the `github` context, as far as it does not depend on the runner.
fn github(state: &Repository, suite: &Suite, run: &Run, inputs: &Value) -> Value {
    let event = Value::from_json(&suite.event.payload).unwrap_or(Value::Null);
    let event = if &*suite.key.event == "workflow_dispatch" { with_inputs(&event, inputs) } else { event };
    let repository = &state.meta().repository;
    let owner = repository.full_name.split('/').next().unwrap_or_default();
    let pull = suite.pull().and_then(|number| state.pulls.get(&number));
    let text = |text: &str| Value::string(text);
    let (head_ref, base_ref) = match pull {
        Some(pull) => (pull.snapshot.head_ref.to_string(), pull.snapshot.base_ref.short().to_owned()),
        None => {
            let of = |side: &str| event.get("pull_request").get(side).get("ref").coerce_string().to_string();
            (of("head"), of("base"))
        }
    };
    let owner_id = text(&event.get("repository").get("owner").get("id").coerce_string());
    let ref_name = suite.git_ref.as_str();
    let (kind, short) = short_ref(ref_name);
    Value::object([
        ("event_name", text(&suite.key.event)),
        ("event", event),
        ("action", Value::string("")),
        ("ref", text(ref_name)),
        ("ref_name", text(short)),
        ("ref_type", text(kind)),
        ("sha", text(&run.sha.to_string())),
        ("head_ref", text(&head_ref)),
        ("base_ref", text(&base_ref)),
        ("repository", text(&repository.full_name)),
        ("repository_id", text(&repository.id.to_string())),
        ("repository_owner", text(owner)),
        ("repository_owner_id", owner_id),
        ("actor", text(&suite.event.sender.login)),
        ("actor_id", text(&suite.event.sender.id.to_string())),
        ("triggering_actor", text(&suite.event.sender.login)),
        ("run_id", text(&run.number.to_string())),
        ("run_number", text(&run.run_number.to_string())),
        ("run_attempt", text(&run.attempt.to_string())),
        ("workflow", text(&run.name)),
        ("workflow_ref", text(&format!("{}/{}@{ref_name}", repository.full_name, run.workflow))),
        ("workflow_sha", text(&run.sha.to_string())),
    ])
}

/// Returns a run's workflow, read again where it is not at hand.
pub(crate) fn workflow_of(state: &mut Repository, number: RunNumber) -> Option<Arc<Workflow>> {
    if let Some(workflow) = state.parsed.get(&number) {
        return Some(workflow.clone());
    }
    let run = state.runs.get(&number)?;
    let (path, source) = (run.workflow.clone(), run.source.clone());
    let workflow = workflow_in(state, &path, &source)?;
    state.parsed.insert(number, workflow.clone());
    Some(workflow)
}

/// Returns the workflow that a file holds, where it is one.
pub(crate) fn workflow_in(state: &mut Repository, path: &Arc<str>, source: &Arc<str>) -> Option<Arc<Workflow>> {
    read(state, path, source).workflow.ok()
}
