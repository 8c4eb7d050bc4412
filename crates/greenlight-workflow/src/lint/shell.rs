//! Shells that no runner knows.

use crate::finding::{Finding, nearest};
use crate::template::Template;
use crate::workflow::{Step, StepKind};

/// What a shell may be called without saying how it is started.
const KNOWN: [&str; 6] = ["bash", "sh", "python", "pwsh", "powershell", "cmd"];

pub(super) fn check_step(step: &Step, findings: &mut Vec<Finding>) {
    if let StepKind::Run { shell, .. } = &step.kind {
        check(shell.as_ref(), findings);
    }
}

/// Checks a shell; any other than the known ones says with `{0}` where its script is named.
pub(super) fn check(shell: Option<&Template>, findings: &mut Vec<Finding>) {
    let Some((template, shell)) = shell.and_then(|template| Some((template, template.as_str()?.trim()))) else {
        return;
    };
    let is_command = || shell.split_once(char::is_whitespace).is_some_and(|(_, arguments)| arguments.contains("{0}"));
    if shell.is_empty() || KNOWN.iter().any(|known| known.eq_ignore_ascii_case(shell)) || is_command() {
        return;
    }
    let help = match nearest(shell, &KNOWN) {
        Some(meant) => format!("did you mean '{meant}'?"),
        None => format!("write one of {}, or a command with {{0}} in the script's place", KNOWN.join(", ")),
    };
    let message = format!("The shell '{shell}' is none that runners know, so the step will fail");
    findings.push(Finding::warning("shell-unknown", template.span(), message).with_help(help));
}
