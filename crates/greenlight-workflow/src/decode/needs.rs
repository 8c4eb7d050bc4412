//! Whether every job can start one day: what it needs exists, and nothing needs itself in the end.

use std::collections::{BTreeMap, VecDeque};

use crate::finding::{FINDINGS_MAX, Finding, Span};
use crate::value::fold_case;

/// A job with the places where it names what it needs. Case does not matter in names.
pub(super) struct Node<'a> {
    pub id: &'a str,
    pub needs: Vec<(&'a str, Span)>,
}

/// How many jobs of a circle are named.
const CIRCLE_SHOWN_MAX: usize = 10;

/// Adds a finding for each need that can never be met.
pub(super) fn check(nodes: &[Node<'_>], jobs: Span, findings: &mut Vec<Finding>) {
    if !nodes.iter().any(|node| node.needs.is_empty()) {
        let message = "The workflow must contain at least one job with no dependencies.";
        let help = nodes.is_empty().then(|| "add a job".to_owned());
        findings.push(Finding::error("no-first-job", jobs, message).with_help_of(help));
    }
    let index: Index = nodes.iter().enumerate().map(|(at, node)| (fold_case(node.id).into(), at)).collect();
    let done = reachable(nodes, &index);
    let known: Vec<&str> = nodes.iter().map(|node| node.id).collect();
    let dependents = dependents(nodes, &index);
    for (at, node) in nodes.iter().enumerate().filter(|(at, _)| !done[*at]) {
        if findings.len() > FINDINGS_MAX {
            return;
        }
        let next = ways_to(at, &dependents);
        for (need, span) in &node.needs {
            match index.get(&*fold_case(need)) {
                None => findings.push(unknown(node.id, need, *span, &known)),
                Some(needed) if *needed == at || next[*needed].is_some() => {
                    let message = format!(
                        "Job '{}' depends on job '{need}' which creates a cycle in the dependency graph.",
                        node.id
                    );
                    let finding = Finding::error("needs-cycle", *span, message);
                    findings.push(finding.with_help(format!(
                        "remove one of the needs that lead in a circle: {}",
                        circle(at, *needed, &next, nodes)
                    )));
                }
                Some(_) => {}
            }
        }
    }
}

/// Returns for each job which others need it, each once.
fn dependents(nodes: &[Node<'_>], index: &Index) -> Vec<Vec<usize>> {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for needed in node.needs.iter().filter_map(|(need, _)| index.get(&*fold_case(need))) {
            if dependents[*needed].last() != Some(&at) {
                dependents[*needed].push(at);
            }
        }
    }
    dependents
}

/// Returns for each job that needs this one, directly or through others, the job that it needs for it.
fn ways_to(target: usize, dependents: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut next = vec![None; dependents.len()];
    let mut ready = VecDeque::from([target]);
    while let Some(at) = ready.pop_front() {
        for dependent in &dependents[at] {
            if next[*dependent].is_none() {
                next[*dependent] = Some(at);
                ready.push_back(*dependent);
            }
        }
    }
    next
}

/// Returns the circle from a job over the one that it needs back to itself.
fn circle(at: usize, needed: usize, next: &[Option<usize>], nodes: &[Node<'_>]) -> String {
    let mut names = vec![nodes[at].id];
    let mut current = needed;
    while current != at && names.len() < CIRCLE_SHOWN_MAX {
        names.push(nodes[current].id);
        current = next[current].unwrap_or(at);
    }
    names.push(if current == at { nodes[at].id } else { "…" });
    names.join(" → ")
}

/// Where each job stands, by its id without case.
type Index = BTreeMap<Box<str>, usize>;

/// Returns for each job whether all that it needs can be done.
fn reachable(nodes: &[Node<'_>], index: &Index) -> Vec<bool> {
    let mut dependents: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut missing: Vec<usize> = Vec::with_capacity(nodes.len());
    for (at, node) in nodes.iter().enumerate() {
        missing.push(node.needs.len());
        for (need, _) in &node.needs {
            if let Some(needed) = index.get(&*fold_case(need)) {
                dependents[*needed].push(at);
            }
        }
    }
    let mut done = vec![false; nodes.len()];
    let mut ready: Vec<usize> = (0..nodes.len()).filter(|at| missing[*at] == 0).collect();
    while let Some(at) = ready.pop() {
        done[at] = true;
        for dependent in std::mem::take(&mut dependents[at]) {
            missing[dependent] -= 1;
            if missing[dependent] == 0 {
                ready.push(dependent);
            }
        }
    }
    done
}

fn unknown(job: &str, need: &str, span: Span, known: &[&str]) -> Finding {
    let finding = Finding::error("needs-unknown", span, format!("Job '{job}' depends on unknown job '{need}'."));
    let others: Vec<&str> = known.iter().copied().filter(|known| *known != job).collect();
    match crate::finding::nearest(need, &others) {
        Some(meant) => finding.with_help(format!("did you mean '{meant}'?")),
        None => finding,
    }
}
