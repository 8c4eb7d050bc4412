//! `workflow dump`: a workflow as it was understood. Texts are as they were written; what the reader adds is there: ids of
//! steps, the `success()` of conditions, the permissions of each job.

use std::path::PathBuf;

use clap::Args;
use greenlight_workflow::{
    CallSecrets, Condition, Job, JobKind, Permissions, Step, StepKind, Strategy, Template, Tree, TreeKind, Value,
    Workflow, parse_workflow,
};
use serde_json::{Map, Value as Json, json};

use super::report::{self, Checked};
use super::source;
use crate::cli::Exit;
use crate::cli::input::to_json;

#[derive(Debug, Args)]
pub struct Dump {
    /// The workflow; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print JSON on one line; without it, the same with line breaks.
    #[arg(long)]
    json: bool,
}

pub fn perform(dump: &Dump) -> anyhow::Result<Exit> {
    let path = source::shown(&dump.file);
    let text = source::read(&dump.file)?;
    let parsed = parse_workflow(&path, &text);
    let Some(workflow) = parsed.workflow else {
        eprint!("{}", report::text(&[Checked { path, text, findings: parsed.findings }]));
        return Ok(Exit::Failed);
    };
    let dumped = document(&workflow);
    match dump.json {
        true => println!("{dumped}"),
        false => println!("{dumped:#}"),
    }
    Ok(Exit::Done)
}

fn document(workflow: &Workflow) -> Json {
    json!({
        "path": *workflow.path,
        "name": workflow.name,
        "run-name": optional(workflow.run_name.as_ref()),
        "on": part(workflow, "on"),
        "permissions": workflow.permissions.as_ref().map(permissions),
        "env": entries(&workflow.env),
        "defaults": part(workflow, "defaults"),
        "concurrency": part(workflow, "concurrency"),
        "jobs": workflow.jobs.iter().map(|job| dumped_job(workflow, job)).collect::<Vec<_>>(),
    })
}

fn part(workflow: &Workflow, key: &str) -> Json {
    workflow.tree.get(key).map_or(Json::Null, tree)
}

fn dumped_job(workflow: &Workflow, job: &Job) -> Json {
    let written = workflow.tree.get("jobs").and_then(|jobs| jobs.get(&job.id));
    let part = |key: &str| written.and_then(|job| job.get(key)).map_or(Json::Null, tree);
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| out.insert(key.to_owned(), value);
    put("id", json!(*job.id));
    put("name", optional(job.name.as_ref()));
    put("needs", job.needs.iter().map(|need| json!(**need)).collect());
    put("if", condition(&job.condition));
    put("runs-on", part("runs-on"));
    put("permissions", job.permissions.as_ref().or(workflow.permissions.as_ref()).map_or(Json::Null, permissions));
    put("environment", part("environment"));
    put("concurrency", part("concurrency"));
    put("outputs", entries(&job.outputs));
    put("env", entries(&job.env));
    put("defaults", part("defaults"));
    put("strategy", job.strategy.as_ref().map_or(Json::Null, strategy));
    put("timeout-minutes", optional(job.timeout_minutes.as_ref()));
    put("cancel-timeout-minutes", optional(job.cancel_timeout_minutes.as_ref()));
    put("continue-on-error", template(&job.continue_on_error));
    put("container", part("container"));
    put("services", part("services"));
    match &job.kind {
        JobKind::Steps(steps) => {
            put("steps", steps.iter().map(dumped_step).collect());
        }
        JobKind::Call { uses, with, secrets } => {
            put("uses", json!(uses.to_string()));
            put("with", entries(with));
            let secrets = match secrets {
                CallSecrets::Named(named) => entries(named),
                CallSecrets::Inherit => json!("inherit"),
            };
            put("secrets", secrets);
        }
    }
    Json::Object(out)
}

fn dumped_step(step: &Step) -> Json {
    let mut out = Map::new();
    let mut put = |key: &str, value: Json| out.insert(key.to_owned(), value);
    put("id", json!(*step.id));
    put("name", optional(step.name.as_ref()));
    put("if", condition(&step.condition));
    put("env", entries(&step.env));
    put("continue-on-error", template(&step.continue_on_error));
    put("timeout-minutes", optional(step.timeout_minutes.as_ref()));
    if step.background {
        put("background", json!(true));
    }
    match &step.kind {
        StepKind::Run { script, shell, working_directory } => {
            put("run", template(script));
            put("shell", optional(shell.as_ref()));
            put("working-directory", optional(working_directory.as_ref()));
        }
        StepKind::Uses { reference, with } => {
            put("uses", json!(reference.to_string()));
            put("with", entries(with));
        }
        StepKind::Wait { targets } => {
            put("wait", json!(targets));
        }
        StepKind::WaitAll => {
            put("wait-all", json!(true));
        }
        StepKind::Cancel { target } => {
            put("cancel", json!(target));
        }
        StepKind::Parallel { steps } => {
            put("parallel", steps.iter().map(dumped_step).collect());
        }
    }
    Json::Object(out)
}

fn strategy(strategy: &Strategy) -> Json {
    match &strategy.whole {
        Some(whole) => template(whole),
        None => json!({
            "matrix": strategy.matrix.as_ref().map_or(Json::Null, tree),
            "fail-fast": optional(strategy.fail_fast.as_ref()),
            "max-parallel": optional(strategy.max_parallel.as_ref()),
        }),
    }
}

fn condition(condition: &Condition) -> Json {
    json!(condition.expression().text())
}

/// Returns the levels of all scopes.
pub fn permissions(permissions: &Permissions) -> Json {
    Json::Object(permissions.iter().map(|(scope, level)| (scope.to_owned(), json!(level.as_str()))).collect())
}

fn entries(entries: &[(String, Template)]) -> Json {
    Json::Object(entries.iter().map(|(name, value)| (name.clone(), template(value))).collect())
}

fn optional(value: Option<&Template>) -> Json {
    value.map_or(Json::Null, template)
}

/// Returns a literal as what it is, anything else as it was written.
fn template(template: &Template) -> Json {
    match template.as_literal() {
        Some(Value::String(_)) | None => template.as_str().map_or_else(|| json!(template.source()), |text| json!(text)),
        Some(value) => to_json(value),
    }
}

fn tree(tree: &Tree) -> Json {
    match &tree.kind {
        TreeKind::Scalar(scalar) => template(scalar),
        TreeKind::Sequence(items) => items.iter().map(self::tree).collect(),
        TreeKind::Mapping(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (key.source().to_owned(), self::tree(value))).collect())
        }
    }
}
