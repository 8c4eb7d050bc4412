//! Which workflow files an event starts, as they were read, with those that they call.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_workflow::{
    CallRef, CallRules, CallSource, CalledFile, EventFacts, EventPayload, JobKind, Trigger, Workflow, parse_workflow,
    resolve_calls, skip_words,
};

use super::payload_of;
use crate::event::CommitFiles;
use crate::id::{RefName, RunNumber};
use crate::repository::{Called, Edition, Reading, Repository};
use crate::run::{Subject, Suite};
use crate::shown::first_of;

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

/// A workflow that is to run, or that cannot be read.
pub(super) struct Chosen {
    pub(super) path: Arc<str>,
    pub(super) source: Arc<str>,
    pub(super) workflow: Reading,
}

/// How many files are kept as read.
const READ_MAX: usize = 64;

/// Returns which workflows the event starts, or why none.
pub(super) fn choose(
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
    // As workflows without `types`: what else happens to a pull request is no change of it.
    let is_of_head = matches!(suite.key.subject, Subject::Pull(..) | Subject::Ref(_));
    if files.workflows.is_empty() && files.cibuild && is_change && is_of_head {
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
        (0, _) => "nothing runs: there is no workflow file, and no script/cibuild that may be executed".into(),
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
        timezone: told.as_ref().and_then(|told| told.timezone),
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

/// Finds the files that a workflow calls, and those call. The error is what is wrong: in one sentence, and rendered.
pub(super) fn find_called(
    state: &mut Repository,
    workflow: &Workflow,
    source: &Arc<str>,
    files: &CommitFiles,
) -> Result<Called, (Arc<str>, Arc<str>)> {
    if !workflow.jobs.iter().any(|job| matches!(job.kind, JobKind::Call { .. })) {
        return Ok(Vec::new());
    }
    let name = (workflow.path.clone(), source.clone());
    let is_here = |(reference, text): &(Arc<str>, Arc<str>)| called_text(files, reference) == Some(text);
    if let Some(known) = state.called.get(&name).filter(|known| known.iter().all(is_here)) {
        return Ok(known.clone());
    }
    let (called, is_whole) = resolve_called(workflow, files, state.settings.edition)?;
    if is_whole {
        if state.called.len() >= READ_MAX {
            state.called.clear();
        }
        state.called.insert(name, called.clone());
    }
    Ok(called)
}

/// Returns the text of a called file, where the commit's files have it.
fn called_text<'a>(files: &'a CommitFiles, reference: &str) -> Option<&'a Arc<str>> {
    let beside = files.called.iter().find(|(known, _)| **known == *reference);
    let path = path_of(reference);
    let found = beside.or_else(|| files.workflows.iter().find(|(known, _)| **known == *path));
    found.map(|(_, text)| text)
}

/// Returns the files that a workflow calls, and whether they are all here.
fn resolve_called(
    workflow: &Workflow,
    files: &CommitFiles,
    edition: Edition,
) -> Result<(Called, bool), (Arc<str>, Arc<str>)> {
    let found: RefCell<BTreeMap<Arc<str>, Arc<str>>> = RefCell::default();
    let is_whole = Cell::new(true);
    let source = |caller_path: &str, uses: &CallRef| {
        let reference: Arc<str> = reference(caller_path, uses).into();
        let Some(text) = called_text(files, &reference) else {
            is_whole.set(false);
            // Another repository's is missed when the job is to start, which says so.
            return if reference.starts_with("./") { CallSource::Missing } else { CallSource::Elsewhere };
        };
        found.borrow_mut().insert(reference.clone(), text.clone());
        CallSource::File(CalledFile { path: path_of(&reference).to_owned(), text: text.to_string() })
    };
    let rules = match edition {
        Edition::GitHubCom => CallRules::default(),
        Edition::EnterpriseServer => CallRules::enterprise_server(),
    };
    let calls = resolve_calls(workflow, &rules, &source);
    let mut errors = calls.findings.iter().filter(|found| found.finding.is_error()).peekable();
    let Some(first) = errors.peek() else {
        return Ok((found.into_inner().into_iter().collect(), is_whole.get()));
    };
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
