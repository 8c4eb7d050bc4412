//! Names that lead nowhere, and outputs and needs that nobody uses. GitHub takes all of this and gives empty texts.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{GITHUB_OTHERS, GITHUB_VARIABLES};
use crate::expression::Reference;
use crate::finding::{Finding, Part, Span, nearest};
use crate::plan::ancestors;
use crate::template::{INSERT, Tree, TreeKind};
use crate::value::fold_equals;
use crate::workflow::{Job, JobKind, Step, StepKind, Workflow};

/// How many needs a workflow may have for those to be told that others bring anyway.
const NEEDS_LOOKED_AT_MAX: usize = 2_000;

/// A reference with the place where it stands.
struct Use {
    reference: Reference,
    span: Span,
    place: Option<Part>,
}

impl Use {
    fn warning(&self, code: &'static str, message: String) -> Finding {
        Finding::warning(code, self.span, message).about(self.place.clone())
    }
}

pub(super) fn check(workflow: &Workflow, findings: &mut Vec<Finding>) {
    let mut used_outputs: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    let needs: usize = workflow.jobs.iter().map(|job| job.needs.len()).sum();
    for (job, tree) in workflow.jobs.iter().zip(super::job_trees(workflow)) {
        let uses = uses_of(job, tree);
        for one in &uses {
            match one.reference.context().to_ascii_lowercase().as_str() {
                "needs" => {
                    check_need(workflow, job, one, findings);
                    note_outputs(job, &one.reference, &mut used_outputs);
                }
                "steps" if job.steps().len() == tree.get("steps").map_or(0, |steps| steps.items().len()) => {
                    check_step_name(job, one, findings);
                }
                "github" => check_github(one, findings),
                "matrix" => check_matrix(job, one, findings),
                "inputs" => check_input(workflow, one, findings),
                _ => {}
            }
        }
        if needs <= NEEDS_LOOKED_AT_MAX {
            check_redundant_needs(workflow, job, tree, &uses, findings);
        }
    }
    if let Some(called) = workflow.on.event("workflow_call") {
        let values = called.outputs.iter().flat_map(|(_, value)| value.expressions());
        for reference in values.flat_map(|expression| expression.references()) {
            used_outputs.insert((name(&reference, 1), reference.part(3).map(str::to_ascii_lowercase)));
        }
    }
    check_unused_outputs(workflow, &used_outputs, findings);
}

/// Returns the part of a path in the case of comparison; empty where it is left open.
fn name(reference: &Reference, at: usize) -> String {
    reference.part(at).unwrap_or_default().to_ascii_lowercase()
}

/// Returns all references of a job, those in conditions without braces as well.
fn uses_of(job: &Job, tree: &Tree) -> Vec<Use> {
    let mut uses = Vec::new();
    tree.visit_templates(&mut |template| {
        for (at, expression) in template.expressions().into_iter().enumerate() {
            let place = template.place_of(at);
            let used = |reference| Use { reference, span: template.span(), place: place.clone() };
            uses.extend(expression.references().into_iter().map(used));
        }
    });
    let mut add = |condition: &crate::template::Condition, tree: Option<&Tree>, span: Span| {
        let written = tree.and_then(|tree| tree.get("if"));
        let is_bare = written.is_some_and(|written| written.as_template().is_some_and(|text| !text.is_expression()));
        if is_bare {
            let span = written.map_or(span, |written| written.span);
            let used = |reference| Use { reference, span, place: None };
            uses.extend(condition.expression().references().into_iter().map(used));
        }
    };
    add(&job.condition, Some(tree), job.span);
    super::each_step(job.steps(), tree.get("steps"), &mut |step, tree| add(&step.condition, tree, step.span));
    uses
}

fn check_need(workflow: &Workflow, job: &Job, one: &Use, findings: &mut Vec<Finding>) {
    let Some(id) = one.reference.part(1) else { return };
    if !job.needs.iter().any(|need| fold_equals(need, id)) {
        let known: Vec<&str> = workflow.jobs.iter().map(|job| &*job.id).collect();
        let message = format!("Job '{}' does not need '{id}', so '{}' is always empty", job.id, one.reference);
        let finding = one.warning("needs-missing", message);
        findings.push(if known.iter().any(|known| fold_equals(known, id)) {
            finding.with_help(format!("add '{id}' to its 'needs'"))
        } else {
            with_nearest(finding, id, &job.needs.iter().map(|need| &**need).collect::<Vec<_>>())
        });
        return;
    }
    match one.reference.part(2) {
        Some(part) if fold_equals(part, "outputs") => check_output(workflow, id, one, findings),
        Some(part) if !fold_equals(part, "result") => {
            let message = format!("A job has 'result' and 'outputs', so '{}' is always empty", one.reference);
            findings.push(with_nearest(one.warning("needs-property", message), part, &["result", "outputs"]));
        }
        _ => {}
    }
}

fn check_output(workflow: &Workflow, id: &str, one: &Use, findings: &mut Vec<Finding>) {
    let Some(output) = one.reference.part(3) else { return };
    let Some(needed) = workflow.jobs.iter().find(|job| fold_equals(&job.id, id)) else { return };
    let is_open =
        matches!(needed.kind, JobKind::Call { .. }) || needed.outputs.iter().any(|(name, _)| name.contains("${{"));
    if is_open || needed.outputs.iter().any(|(name, _)| fold_equals(name, output)) {
        return;
    }
    let known: Vec<&str> = needed.outputs.iter().map(|(name, _)| name.as_str()).collect();
    let message = format!("Job '{id}' has no output '{output}', so '{}' is always empty", one.reference);
    findings.push(with_nearest(one.warning("output-unknown", message), output, &known));
}

fn with_nearest(finding: Finding, name: &str, known: &[&str]) -> Finding {
    match nearest(name, known) {
        Some(meant) => finding.with_help(format!("did you mean '{meant}'?")),
        None => finding,
    }
}

/// Notes which outputs a reference may take; an open part stands for all.
fn note_outputs(job: &Job, reference: &Reference, used: &mut BTreeSet<(String, Option<String>)>) {
    let is_outputs = reference.part(2).is_none_or(|part| fold_equals(part, "outputs"));
    if !is_outputs {
        return;
    }
    let output = reference.part(3).map(str::to_ascii_lowercase);
    match reference.part(1) {
        Some(id) => drop(used.insert((id.to_ascii_lowercase(), output))),
        None => used.extend(job.needs.iter().map(|id| (id.to_ascii_lowercase(), None))),
    }
}

fn check_unused_outputs(workflow: &Workflow, used: &BTreeSet<(String, Option<String>)>, findings: &mut Vec<Finding>) {
    for job in &workflow.jobs {
        let id = job.id.to_ascii_lowercase();
        let is_used = |output: &str| {
            let output = Some(output.to_ascii_lowercase());
            used.contains(&(id.clone(), output)) || used.contains(&(id.clone(), None))
        };
        for (output, value) in job.outputs.iter().filter(|(name, _)| name != INSERT && !is_used(name)) {
            let message = format!("Nobody uses the output '{output}' of job '{}'", job.id);
            findings.push(Finding::warning("output-unused", value.span(), message).with_help("remove it"));
        }
    }
}

/// A need is idle that another need brings anyway, and of which nothing is used.
fn check_redundant_needs(workflow: &Workflow, job: &Job, tree: &Tree, uses: &[Use], findings: &mut Vec<Finding>) {
    let asks_by_name = |id: &str| job.condition.written().is_some_and(|written| written.contains(id));
    let is_used = |id: &str| {
        uses.iter().any(|one| {
            fold_equals(one.reference.context(), "needs")
                && one.reference.part(1).is_none_or(|part| fold_equals(part, id))
        })
    };
    let brought: Vec<(&Arc<str>, Vec<Arc<str>>)> =
        job.needs.iter().map(|other| (other, ancestors(workflow, other))).collect();
    for id in job.needs.iter().filter(|id| !is_used(id) && !asks_by_name(id)) {
        let through = brought.iter().find(|(other, ancestors)| *other != id && ancestors.contains(id));
        if let Some((other, _)) = through {
            let message =
                format!("Job '{}' waits for '{id}' through '{other}' already, and uses nothing of it", job.id);
            let span = need_span(tree, id).unwrap_or(job.span);
            findings.push(
                Finding::warning("needs-unused", span, message).with_help(format!("remove '{id}' from its 'needs'")),
            );
        }
    }
}

fn need_span(tree: &Tree, id: &str) -> Option<Span> {
    let needs = tree.get("needs")?;
    needs.items().iter().find(|item| item.as_str() == Some(id)).map(|item| item.span)
}

fn check_step_name(job: &Job, one: &Use, findings: &mut Vec<Finding>) {
    let Some(id) = one.reference.part(1) else { return };
    let mut known: Vec<&str> = Vec::new();
    super::each_step(job.steps(), None, &mut |step: &Step, _| {
        if step.explicit_id && !matches!(step.kind, StepKind::WaitAll) {
            known.push(&step.id);
        }
    });
    if !known.iter().any(|known| fold_equals(known, id)) {
        let message = format!("No step of job '{}' has the id '{id}', so '{}' is always empty", job.id, one.reference);
        findings.push(with_nearest(one.warning("step-unknown", message), id, &known));
    }
}

fn check_matrix(job: &Job, one: &Use, findings: &mut Vec<Finding>) {
    let Some(key) = one.reference.part(1) else { return };
    let Some(known) = matrix_keys(job) else { return };
    if !known.iter().any(|known| fold_equals(known, key)) {
        let message = format!("The matrix of job '{}' has no '{key}', so '{}' is always empty", job.id, one.reference);
        findings.push(with_nearest(one.warning("matrix-unknown", message), key, &known));
    }
}

/// Returns the keys that the matrix may have; None where they are known only when it is evaluated.
fn matrix_keys(job: &Job) -> Option<Vec<&str>> {
    let Some(strategy) = &job.strategy else { return Some(Vec::new()) };
    if strategy.whole.is_some() {
        return None;
    }
    let Some(matrix) = &strategy.matrix else { return Some(Vec::new()) };
    if !matches!(matrix.kind, TreeKind::Mapping(_)) {
        return None;
    }
    let mut keys = Vec::new();
    for (key, value) in matrix.entries() {
        match key.as_str()? {
            "exclude" => {}
            "include" if matches!(value.kind, TreeKind::Sequence(_)) => {
                for item in value.items() {
                    if !matches!(item.kind, TreeKind::Mapping(_)) {
                        return None;
                    }
                    for (key, _) in item.entries() {
                        keys.push(key.as_str()?);
                    }
                }
            }
            "include" => return None,
            key => keys.push(key),
        }
    }
    Some(keys)
}

/// Only what looks like a name of GitHub's is told: the context may have more than is known here.
fn check_github(one: &Use, findings: &mut Vec<Finding>) {
    let Some(name) = one.reference.part(1) else { return };
    let known = || GITHUB_VARIABLES.into_iter().chain(GITHUB_OTHERS);
    if known().any(|known| fold_equals(known, name)) {
        return;
    }
    if let Some(meant) = nearest(name, &known().collect::<Vec<_>>()) {
        let message = format!("The github context has no '{name}', so '{}' is always empty", one.reference);
        findings.push(one.warning("github-unknown", message).with_help(format!("did you mean '{meant}'?")));
    }
}

fn check_input(workflow: &Workflow, one: &Use, findings: &mut Vec<Finding>) {
    let Some(name) = one.reference.part(1) else { return };
    let events = ["workflow_dispatch", "workflow_call"];
    let known: Vec<&str> = events
        .iter()
        .filter_map(|event| workflow.on.event(event))
        .flat_map(|event| event.inputs.iter().map(|input| input.name.as_str()))
        .collect();
    if !known.iter().any(|known| fold_equals(known, name)) {
        let message = format!("The workflow declares no input '{name}', so '{}' is always empty", one.reference);
        findings.push(with_nearest(one.warning("input-undeclared", message), name, &known));
    }
}
