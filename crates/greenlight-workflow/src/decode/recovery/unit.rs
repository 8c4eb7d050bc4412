//! Further errors of syntax in a file that has one. GitHub tells the first and stops. Jobs and steps that begin behind it are
//! read here each for itself: what is wrong with one of them then is wrong wherever it stands, whatever the first error was.
//! Only what looks like a job or a step is taken for one, so that lines which an error has brought out of their place (a
//! script that is not indented) are not read as what they are not.

use std::ops::RangeInclusive;

use super::{end, indent};
use crate::finding::Finding;
use crate::yaml::{self, Limits};

/// How many further errors are told.
const FURTHER_MAX: usize = 20;

/// What a job has that can be known for one.
const JOB_KEYS: [&str; 3] = ["runs-on", "uses", "steps"];
/// What a step may begin with.
const STEP_KEYS: [&str; 10] =
    ["name", "id", "if", "run", "uses", "with", "env", "shell", "working-directory", "timeout-minutes"];

/// A further error, and the lines of the job that has it.
pub(super) struct Further {
    pub finding: Finding,
    pub job: RangeInclusive<usize>,
}

/// Returns the errors of jobs and steps that begin behind the line of the first error, counted from 0.
pub(super) fn further(lines: &[&str], first: usize, limits: &Limits) -> Vec<Further> {
    let mut found = Vec::new();
    for job in jobs(lines) {
        if found.len() >= FURTHER_MAX {
            break;
        }
        if *job.end() > first {
            found.extend(errors_of(lines, &job, first, limits));
        }
    }
    found.truncate(FURTHER_MAX);
    found
}

/// Returns the errors of the job's steps; where they have none, that of the job itself.
fn errors_of(lines: &[&str], job: &RangeInclusive<usize>, first: usize, limits: &Limits) -> Vec<Further> {
    let mut found: Vec<Finding> =
        steps(lines, job).filter(|step| *step.start() > first).filter_map(|step| error(lines, &step, limits)).collect();
    if found.is_empty() && *job.start() > first {
        found.extend(error(lines, job, limits));
    }
    found.into_iter().map(|finding| Further { finding, job: job.clone() }).collect()
}

/// Returns what is wrong with the syntax of these lines alone.
fn error(lines: &[&str], unit: &RangeInclusive<usize>, limits: &Limits) -> Option<Finding> {
    let reading = yaml::read(&lines[unit.clone()].concat(), limits);
    let mut finding = reading.findings.into_iter().find(|finding| finding.code == "yaml-syntax")?;
    let before = *unit.start() as u32;
    finding.span.line += before;
    finding.span.end_line += before;
    Some(finding)
}

fn jobs<'a>(lines: &'a [&str]) -> impl Iterator<Item = RangeInclusive<usize>> + 'a {
    let top = lines.iter().position(|line| line.trim_end() == "jobs:").unwrap_or(lines.len());
    let last = if top < lines.len() { end(lines, top, 0) } else { top };
    let own = lines.iter().take(last + 1).skip(top + 1).find_map(|line| indent(line)).filter(|own| *own > 0);
    let starts = (top + 1..=last).filter(move |at| own.is_some() && indent(lines[*at]) == own);
    starts.map(move |at| at..=end(lines, at, own.unwrap_or_default())).filter(|job| is_job(&lines[job.clone()]))
}

/// A job is a name with nothing behind it, and one of the keys that every job has one of below.
fn is_job(lines: &[&str]) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter))
    };
    let Some((name, rest)) = lines[0].trim().split_once(':') else { return false };
    let has_key = |line: &&str| line.trim().split_once(':').is_some_and(|(key, _)| JOB_KEYS.contains(&key));
    is_name(name) && (rest.trim().is_empty() || rest.trim().starts_with('#')) && lines[1..].iter().any(has_key)
}

fn steps<'a>(lines: &'a [&str], job: &RangeInclusive<usize>) -> impl Iterator<Item = RangeInclusive<usize>> + use<'a> {
    let (start, last) = (*job.start(), *job.end());
    let list = (start..=last).find(|at| lines[*at].trim() == "steps:").unwrap_or(last);
    let own = lines.iter().take(last + 1).skip(list + 1).find_map(|line| indent(line));
    let dashes = (list + 1..=last).filter(move |at| own.is_some() && indent(lines[*at]) == own);
    let behind = dashes.map(move |at| at..=end(lines, at, own.unwrap_or_default()));
    behind.filter(|step| is_step(lines[*step.start()]))
}

fn is_step(line: &str) -> bool {
    let key = line.trim_start().strip_prefix("- ").and_then(|rest| rest.split_once(':')).map(|(key, _)| key.trim());
    key.is_some_and(|key| STEP_KEYS.contains(&key))
}
