//! Setting a job up: its workflow read, its folders made, its variables known, and whatever this version cannot do said at once.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use greenlight_core::effect::JobOrder;
use greenlight_workflow::{ContainerSpec, Finding, Job, JobKind, Workflow, evaluate_entries, parse_workflow};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::contexts::{JobContexts, is_debugged};
use crate::handover;
use crate::host::Given;
use crate::job::{JobRun, JobState, Made, RunnerOptions};
use crate::job_log::JobLog;
use crate::process::Place;
use crate::shelf::Shelf;
use crate::stop::{Stop, worse_than};
use crate::updates::Updates;
use crate::variables;
use crate::workspace::{Workspace, write_new};

/// The variable by which a workflow demands to be isolated.
const DEMAND: &str = "GREENLIGHT_ISOLATION";

/// Makes a job ready to run its first step. The error is one sentence.
pub(crate) async fn prepare(
    order: JobOrder,
    log: Arc<JobLog>,
    updates: Updates,
    stop: watch::Receiver<Stop>,
    options: &RunnerOptions,
    made: &mut Made,
) -> Result<JobRun, String> {
    let workflow = read(&order)?;
    let job = workflow.job(&order.job_id).cloned();
    let job = job.ok_or_else(|| format!("{} has no job '{}'", order.workflow_path, order.job_id))?;
    if !matches!(job.kind, JobKind::Steps(_)) {
        return Err(format!("job '{}' calls another workflow, which the server carries out and no runner", job.id));
    }
    let mut given = log.host.given();
    let is_contained = job.container.is_some() || given.image.is_some();
    let workspace = make_room(&order, options, is_contained, made).await?;
    keep_secret(&order, &mut given, &log)?;
    let contexts = JobContexts::new(&order, &given, &workspace, &options.name);
    let mut env: BTreeMap<String, String> =
        given.env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let written_env = environment(&order, &workflow, &job, &contexts)?;
    env.extend(written_env.clone());
    demand(&env, &order, options)?;
    let home = home_of(&job, &order, &given, &contexts)?;
    log.write_behind(0, header(&order, options, home.is_some()).as_bytes()).await;
    if home.is_none() && made.sandbox.is_none() {
        let no_sandbox = |error| format!("the job cannot be isolated: {error}");
        made.sandbox = options.isolation.enter(&workspace).await.map_err(no_sandbox)?;
    }
    if home.is_none() {
        options.isolation.make_spare(&options.work_dir, &order.repository);
    }
    let place = made.sandbox.clone().map_or(Place::Bare(options.isolation.priority()), Place::Sandbox);
    let mut run = JobRun {
        inherited: variables::inherited(&workspace),
        options: options.clone(),
        workflow,
        job,
        workspace,
        place,
        containers: made.containers.clone(),
        log,
        updates,
        contexts,
        written_env,
        is_debugged: is_debugged(&given),
        given,
        shelf: Shelf::default(),
        stop,
        file_count: AtomicU32::new(0),
        index_count: AtomicU32::new(0),
        state: Mutex::new(JobState::new(env)),
        background: Mutex::new(JoinSet::new()),
        order,
    };
    write_new(&run.artifacts_file(), b"[]")
        .map_err(|error| format!("a file for the job cannot be written: {error}"))?;
    run.log.set_up(&run.workspace.workspace, run.is_debugged);
    fetch(&mut run, home).await?;
    Ok(run)
}

/// Makes the job's folders, or takes those that were made ahead with their sandbox, and puts the event there.
async fn make_room(
    order: &JobOrder,
    options: &RunnerOptions,
    is_contained: bool,
    made: &mut Made,
) -> Result<Workspace, String> {
    let no_room = |error| format!("a folder for the job in {} cannot be made: {error}", options.work_dir.display());
    let spare =
        if is_contained { None } else { options.isolation.take_spare(&options.work_dir, &order.repository).await };
    let workspace = match spare {
        Some((workspace, sandbox)) => {
            made.sandbox = Some(sandbox);
            workspace
        }
        None => Workspace::create(&options.work_dir, &order.repository).map_err(no_room)?,
    };
    made.root = Some(workspace.root.clone());
    write_new(&workspace.event, order.github.get("event").to_json().as_bytes()).map_err(no_room)?;
    Ok(workspace)
}

/// Cuts what the job is given down to the secrets that it may have, and masks them all.
fn keep_secret(order: &JobOrder, given: &mut Given, log: &JobLog) -> Result<(), String> {
    for (_, secret) in &given.secrets {
        log.masks().add(secret);
    }
    given.secrets = handover::secrets(order, given)?;
    let services = given.action_env.iter().chain(&given.step_env);
    let tokens = services.filter(|(name, _)| name.ends_with("_TOKEN"));
    for (_, secret) in given.secrets.iter().chain(tokens) {
        log.masks().add(secret);
    }
    Ok(())
}

/// Returns the container that the job runs in; nothing where it runs on this machine.
fn home_of(
    job: &Job,
    order: &JobOrder,
    given: &Given,
    contexts: &JobContexts,
) -> Result<Option<ContainerSpec>, String> {
    let seen = contexts.outside(&order.inputs, &BTreeMap::new());
    let home = job.container.as_ref().map(|container| container.evaluate(&seen)).transpose();
    let home = home.map_err(|error| format!("the job's container: {}", error.message))?.flatten();
    Ok(home.or_else(|| given.image.as_deref().map(ContainerSpec::of_image)))
}

/// Fetches the job's actions, and starts its containers, until it is told to stop.
async fn fetch(run: &mut JobRun, home: Option<ContainerSpec>) -> Result<(), String> {
    let mut told = run.stop.clone();
    tokio::select! {
        found = run.find_actions(run.job.steps(), "", 0, None, 0) => found?,
        _ = worse_than(&mut told, &Stop::No) => {}
    }
    tokio::select! {
        started = run.start_containers(home) => started?,
        _ = worse_than(&mut told, &Stop::No) => {}
    }
    Ok(())
}

fn read(order: &JobOrder) -> Result<Workflow, String> {
    let parsed = parse_workflow(&order.workflow_path, &order.workflow_text);
    let why = || match parsed.findings.iter().find(|finding| finding.is_error()) {
        Some(finding) => Finding::summary(finding, &order.workflow_path),
        None => format!("{} is no workflow", order.workflow_path),
    };
    parsed.workflow.clone().ok_or_else(why)
}

fn environment(
    order: &JobOrder,
    workflow: &Workflow,
    job: &Job,
    contexts: &JobContexts,
) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::new();
    for (place, entries) in [("env", &workflow.env), ("env of the job", &job.env)] {
        // Names of one level do not see each other, and those of the job do not see the workflow's.
        let seen = contexts.outside(&order.inputs, &BTreeMap::new());
        let entries = evaluate_entries(entries, &seen).map_err(|error| format!("{place}: {}", error.message))?;
        env.extend(entries);
    }
    Ok(env)
}

fn header(order: &JobOrder, options: &RunnerOptions, is_contained: bool) -> String {
    let github = |name| order.github.get(name).coerce_string();
    let trust = if order.trusted { "" } else { "This run is not trusted: it has no secrets.\n" };
    format!(
        "Greenlight runner {}, {} {}\nRepository {}, {} of {}, by {}\nCommit {} ({})\n{trust}{}\n",
        options.name,
        std::env::consts::OS,
        std::env::consts::ARCH,
        order.repository,
        order.workflow_path,
        github("event_name"),
        github("actor"),
        order.checkout.sha,
        order.checkout.git_ref,
        if is_contained { "Isolation: a container of its own.".to_owned() } else { options.isolation.told() },
    )
}

/// Refuses a job whose workflow demands isolation that this machine lacks.
fn demand(env: &BTreeMap<String, String>, order: &JobOrder, options: &RunnerOptions) -> Result<(), String> {
    match (env.get(DEMAND).map(String::as_str), options.isolation.lack()) {
        (Some("required"), Some(lack)) => {
            Err(format!("job '{}' demands isolation ({DEMAND}: required), and this runner lacks {lack}", order.job_id))
        }
        (Some("required") | None, _) => Ok(()),
        (Some(other), _) => Err(format!("{DEMAND} can only be `required`, not `{other}`")),
    }
}
