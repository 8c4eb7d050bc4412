//! Whether every job can start one day: what it needs exists, and nothing needs itself in the end.

use std::collections::BTreeMap;

use crate::finding::{Finding, Span};
use crate::value::fold_case;

/// A job with the places where it names what it needs. Case does not matter in names.
pub(super) struct Node<'a> {
    pub id: &'a str,
    pub needs: Vec<(&'a str, Span)>,
}

/// Adds a finding for each need that can never be met.
pub(super) fn check(nodes: &[Node<'_>], jobs: Span, findings: &mut Vec<Finding>) {
    if !nodes.iter().any(|node| node.needs.is_empty()) {
        let message = "The workflow must contain at least one job with no dependencies.";
        findings.push(Finding::error("no-first-job", jobs, message));
        return;
    }
    let index: Index = nodes.iter().enumerate().map(|(at, node)| (fold_case(node.id).into(), at)).collect();
    let done = reachable(nodes, &index);
    let known: Vec<&str> = nodes.iter().map(|node| node.id).collect();
    for (node, _) in nodes.iter().zip(&done).filter(|(_, done)| !**done) {
        for (need, span) in &node.needs {
            match index.get(&*fold_case(need)) {
                None => findings.push(unknown(node.id, need, *span, &known)),
                Some(at) if !done[*at] => {
                    let message = format!(
                        "Job '{}' depends on job '{need}' which creates a cycle in the dependency graph.",
                        node.id
                    );
                    findings.push(Finding::error("needs-cycle", *span, message));
                }
                Some(_) => {}
            }
        }
    }
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
    match crate::finding::nearest(need, known) {
        Some(meant) => finding.with_help(format!("did you mean '{meant}'?")),
        None => finding,
    }
}
