//! Limits that limit nothing.

use crate::finding::Finding;
use crate::template::Template;
use crate::workflow::{Job, Step};

pub(super) fn check_job(job: &Job, findings: &mut Vec<Finding>) {
    for (key, minutes) in
        [("timeout-minutes", &job.timeout_minutes), ("cancel-timeout-minutes", &job.cancel_timeout_minutes)]
    {
        // No time at all is what the second one may well be meant to be.
        let least = if key == "timeout-minutes" { f64::MIN_POSITIVE } else { 0.0 };
        check_minutes(key, minutes.as_ref(), least, findings);
    }
    let most = job.strategy.as_ref().and_then(|strategy| strategy.max_parallel.as_ref());
    if let Some((most, number)) = most.and_then(number).filter(|(_, number)| *number < 1.0) {
        let message = format!("'max-parallel: {number}' limits nothing: all jobs of the matrix may run at once");
        let help = "write 1 or more, or leave it out";
        findings.push(Finding::warning("limit-wrong", most.span(), message).with_help(help));
    }
}

/// Checks the time that a step may take; on GitHub 0 means that there is no limit.
pub(super) fn check_step(step: &Step, findings: &mut Vec<Finding>) {
    check_minutes("timeout-minutes", step.timeout_minutes.as_ref(), 0.0, findings);
}

fn check_minutes(key: &str, minutes: Option<&Template>, least: f64, findings: &mut Vec<Finding>) {
    if let Some((minutes, number)) = minutes.and_then(number).filter(|(_, number)| *number < least) {
        let message = format!("'{key}: {number}' is no length of time");
        let help = "write a number of minutes above 0, or leave it out";
        findings.push(Finding::warning("limit-wrong", minutes.span(), message).with_help(help));
    }
}

/// Returns the number that a template is without being computed.
fn number(template: &Template) -> Option<(&Template, f64)> {
    Some((template, template.as_literal()?.as_number()?))
}
