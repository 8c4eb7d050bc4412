//! What is right about a file whose YAML cannot be read: GitHub tells one error and stops. Here the job (or the part of the
//! file) with the error in it is left out and the rest is read, so that what else is wrong is told as well. Only the name of
//! what is left out stays, for those that need it; nothing is said about it but the errors of syntax that its jobs and steps have
//! each for itself. Where the rest cannot be read either, the error's cause is elsewhere, and nothing is said about the rest.

mod unit;

use std::ops::RangeInclusive;

use crate::finding::Finding;
use crate::yaml::{self, Limits, Reading};

/// What could be read, and the lines that were left out.
pub(super) struct Recovered {
    pub reading: Reading,
    left_out: Vec<RangeInclusive<u32>>,
    /// The aliases of which it is known that nobody named what they mean.
    lost: Vec<Finding>,
}

impl Recovered {
    /// Says whether a finding may only follow from what is left out.
    pub fn follows(&self, finding: &Finding) -> bool {
        match finding.code {
            "yaml-syntax" => false,
            // The anchor may stand in what is left out.
            "unknown-anchor" => !self.lost.contains(finding),
            _ => self.left_out.iter().any(|part| part.contains(&finding.span.line)),
        }
    }
}

/// Reads a file of which `reading` came to an error of syntax, without the parts that have such.
pub(super) fn read(text: &str, reading: &Reading, limits: &Limits) -> Option<Recovered> {
    let error = reading.findings.iter().find(|finding| finding.code == "yaml-syntax")?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let first = (error.span.line as usize).checked_sub(1)?;
    let further = unit::further(&lines, first, limits);
    let mut parts = vec![part(&lines, first)?];
    parts.extend(further.iter().map(|further| further.job.clone()));
    let further = further.into_iter().map(|further| further.finding);
    let lost = reading.findings.iter().filter(|finding| finding.code == "unknown-anchor").cloned().collect();
    let rest: String = lines.iter().enumerate().map(|(at, line)| shown(at, line, &parts)).collect();
    let mut rest = yaml::read(&rest, limits);
    if rest.node.is_none() || rest.findings.iter().any(|finding| finding.code == "yaml-syntax") {
        let findings: Vec<Finding> = reading.findings.iter().cloned().chain(further).collect();
        let reading = Reading { node: None, findings, bytes: reading.bytes };
        return Some(Recovered { reading, left_out: Vec::new(), lost });
    }
    let left_out = parts.iter().map(|part| *part.start() as u32 + 1..=*part.end() as u32 + 1).collect();
    let known: Vec<Finding> =
        reading.findings.iter().filter(|finding| !rest.findings.contains(finding)).cloned().collect();
    rest.findings.extend(known.into_iter().chain(further));
    Some(Recovered { reading: rest, left_out, lost })
}

/// Returns the lines of the job that a line belongs to, or of the top-level key.
fn part(lines: &[&str], at: usize) -> Option<RangeInclusive<usize>> {
    let top = (0..=at.min(lines.len().checked_sub(1)?)).rev().find(|at| indent(lines[*at]) == Some(0))?;
    let top_end = end(lines, top, 0);
    if !lines[top].trim_end().eq("jobs:") {
        return Some(top..=top_end);
    }
    let of_jobs = lines[top + 1..=top_end].iter().find_map(|line| indent(line)).filter(|indent| *indent > 0);
    let job = of_jobs.and_then(|of_jobs| {
        let start = (top + 1..=at.min(top_end)).rev().find(|at| indent(lines[*at]) == Some(of_jobs))?;
        Some(start..=end(lines, start, of_jobs))
    });
    Some(job.unwrap_or(top..=top_end))
}

/// Returns the last line before the next one that is indented no more.
fn end(lines: &[&str], start: usize, own: usize) -> usize {
    let next = (start + 1..lines.len()).find(|at| indent(lines[*at]).is_some_and(|indent| indent <= own));
    next.unwrap_or(lines.len()) - 1
}

/// Returns how far a line is indented that begins something: neither a comment nor what ends a bracket, nor what a tab indents.
fn indent(line: &str) -> Option<usize> {
    let content = line.trim_start_matches(' ');
    let begins = !content.trim().is_empty() && !content.starts_with(['#', ']', '}', '\t']);
    begins.then(|| line.len() - content.len())
}

/// Returns a line of the rest: what is left out keeps its name and its number of lines.
fn shown(at: usize, line: &str, parts: &[RangeInclusive<usize>]) -> String {
    let Some(part) = parts.iter().find(|part| part.contains(&at)) else { return line.to_owned() };
    let name = line.split_once(':').map(|(name, _)| name).filter(|_| at == *part.start());
    let is_name =
        |name: &&str| name.trim_start().chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
    match name.filter(is_name).filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("{name}: {{}}\n"),
        None => "\n".to_owned(),
    }
}
