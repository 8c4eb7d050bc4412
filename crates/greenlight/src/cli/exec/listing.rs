//! What would be run, shown without running it: a list, a graph, or the steps.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_workflow::{Job, JobKind, Step, StepKind, Trigger, Workflow};
use serde_json::{Value, json};

use super::{Exec, Exit};
use crate::exec::event::Happened;
use crate::exec::files::{self, File};

/// How much room a column leaves.
const GAP: usize = 2;

/// Shows what was asked for. Returns a failure where a file cannot be read.
pub fn show(args: &Exec, read: &[File], happened: &Happened) -> anyhow::Result<Exit> {
    let mut is_whole = true;
    let mut chosen: Vec<&File> = Vec::new();
    for file in read {
        match &file.workflow {
            Ok(workflow) if args.list || files::trigger(workflow, happened) == Trigger::Yes => chosen.push(file),
            Ok(_) => {}
            Err(rendered) => {
                eprintln!("{rendered}");
                is_whole = false;
            }
        }
    }
    let mut chosen = super::with_jobs(&args.job, chosen)?;
    if !args.list {
        let (with, others) = files::with_inputs(chosen, happened);
        others.iter().for_each(|told| eprintln!("{told}"));
        chosen = with;
    }
    let workflows = chosen.into_iter().filter_map(|file| Some((file, file.workflow.as_ref().ok()?)));
    let workflows: Vec<(&File, &Workflow)> = workflows.collect();
    match args.json {
        true => as_json(args, &workflows),
        false if args.list => list(args, &workflows),
        false => {
            for (file, workflow) in &workflows {
                match workflow.title() {
                    title if title == file.path.as_ref() => println!("{title}"),
                    title => println!("{title} ({})", file.path),
                }
                match args.graph {
                    true => graph(workflow, &jobs_of(args, workflow)),
                    false => steps(&jobs_of(args, workflow)),
                }
            }
        }
    }
    Ok(if is_whole { Exit::Done } else { Exit::Failed })
}

/// Returns the jobs that are asked for, and those that they need.
fn jobs_of<'a>(args: &Exec, workflow: &'a Workflow) -> Vec<&'a Job> {
    let mut wanted: Vec<&str> = args.job.iter().filter_map(|id| Some(&*workflow.job(id)?.id)).collect();
    let mut next = 0;
    while let Some(id) = wanted.get(next).copied() {
        next += 1;
        let needs = workflow.job(id).into_iter().flat_map(|job| &job.needs);
        let new: Vec<&str> = needs.filter_map(|id| Some(&*workflow.job(id)?.id)).collect();
        wanted.extend(new.into_iter().filter(|id| !wanted.contains(id)).collect::<Vec<_>>());
    }
    workflow.jobs.iter().filter(|job| args.job.is_empty() || wanted.contains(&&*job.id)).collect()
}

fn events_of(workflow: &Workflow) -> Vec<&str> {
    workflow.on.events.iter().map(|event| event.name.as_str()).collect()
}

/// Writes an object for each job, with its steps where they are asked for.
fn as_json(args: &Exec, workflows: &[(&File, &Workflow)]) {
    let mut rows: Vec<(usize, Value)> = Vec::new();
    for (file, workflow) in workflows {
        let stages = stages(workflow);
        for job in jobs_of(args, workflow) {
            let stage = stages.get(&*job.id).copied().unwrap_or(0);
            let needs: Vec<&str> = job.needs.iter().map(|id| &**id).collect();
            let mut row = json!({
                "stage": stage, "job": &*job.id, "name": name(job), "workflow": workflow.title(),
                "path": &*file.path, "events": events_of(workflow), "needs": needs,
            });
            match &job.kind {
                JobKind::Call { uses, .. } => row["calls"] = uses.to_string().into(),
                JobKind::Steps(steps) if args.dryrun => row["steps"] = steps.iter().map(step_as_json).collect(),
                JobKind::Steps(_) => {}
            }
            rows.push((stage, row));
        }
    }
    rows.sort_by_key(|(stage, _)| *stage);
    rows.iter().for_each(|(_, row)| println!("{row}"));
}

fn step_as_json(step: &Step) -> Value {
    match &step.kind {
        StepKind::Parallel { steps } => {
            json!({ "name": shown(step), "steps": steps.iter().map(step_as_json).collect::<Vec<_>>() })
        }
        _ => json!({ "name": shown(step) }),
    }
}

fn list(args: &Exec, workflows: &[(&File, &Workflow)]) {
    let mut rows: Vec<[String; 6]> = Vec::new();
    for (file, workflow) in workflows {
        let stages = stages(workflow);
        for job in jobs_of(args, workflow) {
            rows.push([
                stages.get(&*job.id).copied().unwrap_or(0).to_string(),
                job.id.to_string(),
                name(job).to_owned(),
                workflow.title().to_owned(),
                file.path.to_string(),
                events_of(workflow).join(","),
            ]);
        }
    }
    rows.sort_by_key(|row| row[0].parse::<usize>().unwrap_or(0));
    let head = ["Stage", "Job ID", "Job name", "Workflow name", "Workflow file", "Events"].map(str::to_owned);
    rows.insert(0, head);
    let widths: Vec<usize> =
        (0..6).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in &rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<0$}", width + GAP)).collect();
        println!("{}", cells.concat().trim_end());
    }
}

fn graph(workflow: &Workflow, jobs: &[&Job]) {
    let stages = stages(workflow);
    let last = jobs.iter().filter_map(|job| stages.get(&*job.id)).copied().max().unwrap_or(0);
    for stage in 0..=last {
        let names: Vec<String> = jobs
            .iter()
            .filter(|job| stages.get(&*job.id) == Some(&stage))
            .map(|job| match job.needs.is_empty() {
                true => format!("[ {} ]", name(job)),
                false => format!("[ {} ← {} ]", name(job), job.needs.join(", ")),
            })
            .collect();
        if stage > 0 {
            println!("    ⬇");
        }
        println!("  {}", names.join("  "));
    }
}

fn steps(jobs: &[&Job]) {
    for job in jobs {
        println!("  {}", name(job));
        match &job.kind {
            JobKind::Call { uses, .. } => println!("    calls {uses}"),
            JobKind::Steps(steps) => {
                steps_of(steps, 2);
            }
        }
    }
}

/// Writes a list of steps; those beside each other stand below what begins them.
fn steps_of(steps: &[Step], depth: usize) {
    for step in steps {
        println!("{:width$}{}", "", shown(step), width = 2 * depth);
        if let StepKind::Parallel { steps } = &step.kind {
            steps_of(steps, depth + 1);
        }
    }
}

/// Returns what a step is called before it runs.
fn shown(step: &Step) -> String {
    if let Some(name) = &step.name {
        return name.source().to_owned();
    }
    match &step.kind {
        StepKind::Run { script, .. } => format!("Run {}", script.source().lines().next().unwrap_or_default()),
        StepKind::Uses { reference, .. } => format!("Run {reference}"),
        StepKind::Wait { targets } => format!("Wait for {}", targets.join(", ")),
        StepKind::WaitAll => "Wait for all".to_owned(),
        StepKind::Cancel { target } => format!("Cancel {target}"),
        StepKind::Parallel { .. } => "Parallel group".to_owned(),
    }
}

fn name(job: &Job) -> &str {
    job.name.as_ref().map_or(&*job.id, |name| name.source())
}

/// Returns how many jobs must be over one after the other before each job may begin.
fn stages(workflow: &Workflow) -> BTreeMap<Arc<str>, usize> {
    let mut stages: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    // Needs are no circle, so each round settles one job at least.
    for _ in 0..workflow.jobs.len() {
        for job in &workflow.jobs {
            let stage = job.needs.iter().filter_map(|id| stages.get(id)).map(|stage| stage + 1).max().unwrap_or(0);
            stages.insert(job.id.clone(), stage);
        }
    }
    stages
}
