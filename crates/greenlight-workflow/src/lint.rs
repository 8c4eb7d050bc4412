//! What is legal but surely wrong, or dangerous: warnings, apart from the errors that refuse a file. Each topic has a module;
//! none of them knows another.

mod danger;
mod limit;
mod names;
mod pattern;
mod pin;
mod script;
mod shell;

use crate::action::{ActionManifest, ActionRuns};
use crate::finding::{Finding, point, put_in_order};
use crate::template::Tree;
use crate::workflow::{JobKind, Step, StepKind, Workflow};

pub use script::{Script, ScriptChecker, ScriptProblem, check_action_scripts, check_scripts};

/// Returns the warnings about a workflow, in the order of the file. Scripts are looked at by [`check_scripts`], which needs
/// somebody who can.
pub fn lint_workflow(workflow: &Workflow) -> Vec<Finding> {
    let mut findings = Vec::new();
    pattern::check(&workflow.on, workflow.tree.get("on"), &mut findings);
    names::check(workflow, &mut findings);
    shell::check(workflow.defaults.shell.as_ref(), &mut findings);
    let has_foreign_event = danger::runs_with_trust_for_others(&workflow.on);
    for (job, tree) in workflow.jobs.iter().zip(job_trees(workflow)) {
        if let JobKind::Call { uses, .. } = &job.kind {
            pin::check_call(uses, tree.get("uses").map_or(job.span, |uses| uses.span), &mut findings);
        }
        limit::check_job(job, &mut findings);
        shell::check(job.defaults.shell.as_ref(), &mut findings);
        each_step(job.steps(), tree.get("steps"), &mut |step, tree| {
            pin::check_step(step, tree, &mut findings);
            danger::check_step(step, tree, has_foreign_event, &mut findings);
            limit::check_step(step, &mut findings);
            shell::check_step(step, &mut findings);
        });
    }
    put_in_order(&mut findings);
    point(&mut findings, &workflow.text);
    findings
}

/// What is said because something is nowhere to be found. Where errors keep parts of a file from being read, it may be there.
const ABSENCES: [&str; 5] = ["input-undeclared", "needs-missing", "needs-unused", "output-unknown", "output-unused"];

/// Returns the warnings about a workflow that errors refuse, as far as it could be read.
pub fn lint_draft(draft: &Workflow) -> Vec<Finding> {
    let mut findings = lint_workflow(draft);
    findings.retain(|finding| !ABSENCES.contains(&finding.code));
    findings
}

/// Returns the warnings about an action, in the order of the file.
pub fn lint_action(manifest: &ActionManifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let ActionRuns::Composite { steps } = &manifest.runs {
        let trees = manifest.tree.get("runs").and_then(|runs| runs.get("steps"));
        each_step(steps, trees, &mut |step, tree| {
            pin::check_step(step, tree, &mut findings);
            danger::check_step(step, tree, false, &mut findings);
            shell::check_step(step, &mut findings);
        });
    }
    put_in_order(&mut findings);
    point(&mut findings, &manifest.text);
    findings
}

/// Returns the jobs as they were written, in the order of [`Workflow::jobs`](crate::workflow::Document::jobs).
fn job_trees(workflow: &Workflow) -> impl Iterator<Item = &Tree> {
    workflow.tree.get("jobs").map(Tree::entries).unwrap_or_default().iter().map(|(_, tree)| tree)
}

/// Calls `visit` for each step, those inside `parallel:` as well, with the tree that it was made of where that is known.
fn each_step<'a>(steps: &'a [Step], tree: Option<&'a Tree>, visit: &mut dyn FnMut(&'a Step, Option<&'a Tree>)) {
    let mut trees = tree.map(Tree::items).unwrap_or_default().iter();
    for step in steps {
        // Steps that could not be read have a tree alone.
        let tree = trees.find(|tree| tree.span == step.span);
        visit(step, tree);
        if let StepKind::Parallel { steps } = &step.kind {
            each_step(steps, tree.and_then(|tree| tree.get("parallel")), visit);
        }
    }
}
