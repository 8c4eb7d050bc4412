//! `workflow plan`: whether an event starts a workflow and which jobs that means, or why not.

use std::path::{Path, PathBuf};

use clap::Args;
use greenlight_workflow::trigger::known_event;
use greenlight_workflow::{
    CallRules, ConcurrencyGroup, ConcurrencyQueue, Contexts, EventPayload, PlanError, PlannedJob, RunPlan, Trigger,
    Value, Workflow, dispatch_inputs, parse_workflow, plan_run, resolve_calls,
};
use serde_json::{Value as Json, json};

use super::dump;
use super::report::{self, Checked};
use super::source::{self, Called, Given};
use crate::cli::Exit;
use crate::cli::input::{self, to_json};
use crate::exec::WrongUsage;

/// How many bytes a list of changed files may have.
const PATHS_BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, Args)]
pub struct Plan {
    /// The workflow; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The event, as push or pull_request.
    #[arg(long, value_name = "NAME")]
    event: String,
    /// What GitHub sends with it, as JSON; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    payload: Option<PathBuf>,
    /// The files that changed, one a line or a JSON list. Without it path filters let everything in.
    #[arg(long, value_name = "FILE")]
    changed_files: Option<PathBuf>,
    /// An input, for a start by hand.
    #[arg(long = "input", value_name = "K=V", value_parser = key_and_value)]
    inputs: Vec<(String, String)>,
    /// How jobs ended that ran already: {"build": {"result": "success", "outputs": {}}}.
    #[arg(long, value_name = "FILE")]
    needs: Option<PathBuf>,
    /// The `vars` context, as a JSON object.
    #[arg(long, value_name = "FILE")]
    vars: Option<PathBuf>,
    /// The file that a `uses:` of a job means: ./.github/workflows/x.yml=x.yml.
    #[arg(long = "reusable", value_name = "REF=FILE", value_parser = source::given)]
    reusable: Vec<Given>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub fn perform(plan: &Plan) -> anyhow::Result<Exit> {
    plan.check().map_err(WrongUsage)?;
    let path = source::shown(&plan.file);
    let text = source::read(&plan.file)?;
    let parsed = parse_workflow(&path, &text);
    let Some(workflow) = parsed.workflow else {
        if plan.json {
            println!(
                "{}",
                json!({"path": path, "event": plan.event, "triggered": false, "reason": "the file has errors", "jobs": [], "errors": report::findings_json(&parsed.findings)})
            );
        }
        eprint!("{}", report::text(&[Checked { path, text, findings: parsed.findings }]));
        return Ok(Exit::Failed);
    };
    let event = plan.event()?;
    plan.warn_of_no_payload();
    let changed = plan.changed_files.as_deref().map(changed_files).transpose()?;
    let refusal = event.holds_back().or_else(|| match workflow.triggered_by(&event.facts(changed.as_deref())) {
        Trigger::Yes => None,
        Trigger::No { reason } => Some(reason),
    });
    if let Some(reason) = refusal {
        match plan.json {
            true => println!("{}", answer(&workflow, &event, Some(&reason), None)),
            false => println!("{} does not run on {}: {reason}", workflow.title(), event.name()),
        }
        return Ok(Exit::Done);
    }
    let run = plan.run(&workflow, &event)?;
    match plan.json {
        true => println!("{}", answer(&workflow, &event, None, Some(&run))),
        false => print!("{}", text_of(&workflow, &event, &run)),
    }
    Ok(if run.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

/// What GitHub sends with every event of a kind.
const ALWAYS_SENT: [(&str, &str); 12] = [
    ("push", "ref"),
    ("create", "ref"),
    ("delete", "ref"),
    ("pull_request", "pull_request"),
    ("pull_request_target", "pull_request"),
    ("pull_request_review", "pull_request"),
    ("issues", "issue"),
    ("issue_comment", "issue"),
    ("release", "release"),
    ("merge_group", "merge_group"),
    ("workflow_run", "workflow_run"),
    ("deployment", "deployment"),
];

/// Refuses what GitHub would never send with this event.
fn check_payload(path: &Path, event: &str, payload: &Value) -> anyhow::Result<()> {
    let path = path.display();
    if payload.as_object().is_none() {
        anyhow::bail!("{path} is no payload: GitHub sends a JSON object with an event");
    }
    let Some((_, key)) = ALWAYS_SENT.iter().find(|(name, _)| *name == event) else { return Ok(()) };
    let value = payload.get(key);
    let is_right = if *key == "ref" { value.as_str().is_some() } else { value.as_object().is_some() };
    if !is_right {
        let kind = if *key == "ref" { "text" } else { "object" };
        anyhow::bail!("{path} is no payload of {event}: it has no '{key}' that is {kind}");
    }
    Ok(())
}

impl Plan {
    /// Refuses an event that there is not, and what would be read twice.
    fn check(&self) -> Result<(), String> {
        let files = [&self.payload, &self.changed_files, &self.needs, &self.vars].into_iter().flatten();
        let all = files.chain(std::iter::once(&self.file)).chain(self.reusable.iter().map(|given| &given.path));
        if all.filter(|path| path.as_os_str() == input::STANDARD_INPUT).count() > 1 {
            return Err("'-' may be given once only: there is one standard input".into());
        }
        known_event(&self.event)
    }

    /// Says what cannot be known without a payload.
    fn warn_of_no_payload(&self) {
        let sent = ALWAYS_SENT.iter().find(|(name, _)| *name == self.event);
        if let (None, Some((event, key))) = (&self.payload, sent) {
            eprintln!("greenlight: without --payload nothing is known of the '{key}' that GitHub sends with {event}");
        }
    }

    /// Returns the event with the inputs that were given.
    fn event(&self) -> anyhow::Result<EventPayload> {
        let payload = self.payload.as_deref().map(input::json).transpose()?.unwrap_or_default();
        if let Some(path) = &self.payload {
            check_payload(path, &self.event, &payload)?;
        }
        if self.inputs.is_empty() {
            return Ok(EventPayload::new(&*self.event, payload));
        }
        let given = self.inputs.iter().map(|(name, value)| (name.clone(), Value::string(value.as_str())));
        let known = payload.get("inputs").as_object().into_iter().flat_map(|inputs| inputs.iter());
        let inputs = Value::object(given.chain(known.map(|(name, value)| (name.to_owned(), value.clone()))));
        let rest = payload.as_object().into_iter().flat_map(|payload| payload.iter());
        let all = std::iter::once(("inputs", inputs)).chain(rest.map(|(name, value)| (name, value.clone())));
        Ok(EventPayload::new(&*self.event, Value::object(all)))
    }

    fn run(&self, workflow: &Workflow, event: &EventPayload) -> anyhow::Result<RunPlan> {
        let file = |path: &Option<PathBuf>| path.as_deref().map(input::json).transpose();
        let object = |value: Option<Value>| value.unwrap_or_else(|| Value::object::<&str, Value>([]));
        let mut contexts = Contexts::new()
            .with("github", event.github(workflow.title()))
            .with("needs", object(file(&self.needs)?))
            .with("vars", object(file(&self.vars)?));
        let given: Vec<(String, String)> = event
            .payload()
            .get("inputs")
            .as_object()
            .into_iter()
            .flat_map(|inputs| inputs.iter())
            .map(|(name, value)| (name.to_owned(), value.coerce_string().to_string()))
            .collect();
        let declared = workflow.on.event(event.name()).filter(|declared| !declared.inputs.is_empty());
        let refused =
            |message: String| PlanError { job_id: "".into(), message, span: greenlight_workflow::Span::default() };
        let mut problems = Vec::new();
        match dispatch_inputs(declared, &given, &contexts) {
            Ok(inputs) => contexts.set("inputs", inputs),
            Err(error) => {
                let problems = vec![refused(error.message)];
                return Ok(RunPlan { name: None, concurrency: None, open: None, jobs: Vec::new(), problems });
            }
        }
        let called = Called::of(&self.file, &self.reusable);
        let rules = CallRules::default();
        let calls = resolve_calls(workflow, &rules, &|caller, reference| called.find(caller, reference));
        problems.extend(calls.findings.iter().filter(|found| found.finding.is_error()).map(|found| PlanError {
            job_id: "".into(),
            message: found.finding.summary(&found.path),
            span: found.finding.span,
        }));
        let mut run = plan_run(workflow, &calls.called, &rules.default_permissions, &contexts);
        problems.append(&mut run.problems);
        Ok(RunPlan { problems, ..run })
    }
}

/// Reads a list of paths: JSON where it looks like it, else one a line.
fn changed_files(path: &Path) -> Result<Vec<String>, input::InputError> {
    let text = input::text(path, PATHS_BYTES_MAX)?;
    if !text.trim_start().starts_with('[') {
        return Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect());
    }
    let list =
        Value::from_json(&text).map_err(|source| input::InputError::NotJson { path: path.to_owned(), source })?;
    Ok(list.as_array().unwrap_or_default().iter().map(|path| path.coerce_string().to_string()).collect())
}

fn answer(workflow: &Workflow, event: &EventPayload, reason: Option<&str>, run: Option<&RunPlan>) -> Json {
    let jobs: Vec<Json> = run.into_iter().flat_map(|run| &run.jobs).map(job).collect();
    let errors: Vec<Json> = run.into_iter().flat_map(|run| &run.problems).map(problem).collect();
    json!({
        "path": *workflow.path,
        "name": workflow.title(),
        "event": event.name(),
        "ref": event.git_ref(),
        "triggered": reason.is_none(),
        "reason": reason,
        "run_name": run.and_then(|run| run.name.as_deref()),
        "concurrency": run.and_then(|run| run.concurrency.as_ref()).map(group),
        "open": run.and_then(|run| run.open.as_deref()),
        "jobs": jobs,
        "errors": errors,
    })
}

fn job(job: &PlannedJob) -> Json {
    let plan = &job.variant;
    json!({
        "id": *plan.job_id,
        "key": plan.key,
        "name": plan.name,
        "caller": job.caller,
        "calls": job.calls,
        "needs": plan.needs.iter().map(|id| &**id).collect::<Vec<_>>(),
        "ancestors": job.ancestors.iter().map(|id| &**id).collect::<Vec<_>>(),
        "if": job.condition.expression().text(),
        "runs": job.runs,
        "matrix": to_json(&plan.matrix),
        "strategy": to_json(&plan.strategy),
        "runs_on": job.runner.as_ref().map(|runner| json!({"labels": runner.labels, "group": runner.group})),
        "environment": job.environment,
        "concurrency": job.concurrency.as_ref().map(group),
        "permissions": dump::permissions(&job.permissions),
        "open": job.open,
    })
}

fn group(group: &ConcurrencyGroup) -> Json {
    let queue = match group.queue {
        ConcurrencyQueue::Single => "single",
        ConcurrencyQueue::Max => "max",
    };
    json!({"group": group.group, "cancel_in_progress": group.cancel_in_progress, "queue": queue})
}

fn problem(problem: &PlanError) -> Json {
    let job = (!problem.job_id.is_empty()).then_some(&*problem.job_id);
    json!({"job": job, "message": problem.message, "line": problem.span.line, "column": problem.span.column})
}

fn text_of(workflow: &Workflow, event: &EventPayload, run: &RunPlan) -> String {
    let mut out = format!("{} runs on {}\n", workflow.title(), event.name());
    if let Some(group) = &run.concurrency {
        out.push_str(&format!("  takes its turn in {}\n", group.group));
    }
    if let Some(open) = &run.open {
        out.push_str(&format!("  {open}\n"));
    }
    for job in &run.jobs {
        out.push_str(&format!("  {}{}\n", job.variant.name, about(job)));
    }
    for problem in &run.problems {
        let whose = if problem.job_id.is_empty() { String::new() } else { format!("job '{}': ", problem.job_id) };
        out.push_str(&format!("  error: {whose}{}\n", problem.message));
    }
    out
}

/// Returns what is to be said of a job behind its name.
fn about(job: &PlannedJob) -> String {
    let mut parts = Vec::new();
    if job.runs == Some(false) {
        parts.push("is skipped".to_owned());
    }
    if let Some(called) = &job.calls {
        parts.push(format!("calls {called}"));
    }
    if let Some(runner) = &job.runner {
        parts.push(format!("on {}", runner.labels.join(", ")));
    }
    if !job.variant.needs.is_empty() {
        parts.push(format!("after {}", job.variant.needs.join(", ")));
    }
    if let Some(environment) = &job.environment {
        parts.push(format!("to {environment}"));
    }
    if let Some(group) = &job.concurrency {
        parts.push(format!("takes its turn in {}", group.group));
    }
    parts.extend(job.open.clone());
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(" · ")) }
}
