//! What lets a stranger run code: text that anybody can write inside a script, a stranger's commit checked out where there
//! are secrets, and commands that GitHub has switched off because of it.

use crate::expression::Expression;
use crate::finding::{Finding, Part};
use crate::template::{Template, Tree};
use crate::trigger::Triggers;
use crate::workflow::{Step, StepKind, UsesRef};

/// Texts that whoever opens an issue or a pull request, or pushes to a fork, writes as they like.
const WRITTEN_BY_ANYBODY: [&str; 29] = [
    "github.head_ref",
    "github.event.issue.title",
    "github.event.issue.body",
    "github.event.comment.body",
    "github.event.discussion.title",
    "github.event.discussion.body",
    "github.event.review.body",
    "github.event.review_comment.body",
    "github.event.pages.*.page_name",
    "github.event.pull_request.title",
    "github.event.pull_request.body",
    "github.event.pull_request.head.ref",
    "github.event.pull_request.head.label",
    "github.event.pull_request.head.repo.default_branch",
    "github.event.pull_request.head.repo.description",
    "github.event.pull_request.head.repo.homepage",
    "github.event.commits.*.message",
    "github.event.commits.*.author.email",
    "github.event.commits.*.author.name",
    "github.event.head_commit.message",
    "github.event.head_commit.author.email",
    "github.event.head_commit.author.name",
    "github.event.workflow_run.head_branch",
    "github.event.workflow_run.head_commit.message",
    "github.event.workflow_run.head_commit.author.email",
    "github.event.workflow_run.head_commit.author.name",
    "github.event.workflow_run.display_title",
    "github.event.workflow_run.pull_requests.*.head.ref",
    "github.event.merge_group.head_commit.message",
];

/// Commits that a stranger chooses.
const STRANGERS_COMMITS: [&str; 7] = [
    "github.head_ref",
    "github.event.pull_request.head.sha",
    "github.event.pull_request.head.ref",
    "github.event.pull_request.merge_commit_sha",
    "github.event.workflow_run.head_sha",
    "github.event.workflow_run.head_branch",
    "github.event.workflow_run.head_commit.id",
];

/// Events that run with secrets although a stranger caused them.
const TRUSTED_EVENTS: [&str; 3] = ["pull_request_target", "workflow_run", "issue_comment"];

/// Commands on the output that set something, with the file that took their place.
const OLD_COMMANDS: [(&str, &str); 4] = [
    ("::set-output ", "GITHUB_OUTPUT"),
    ("::save-state ", "GITHUB_STATE"),
    ("::set-env ", "GITHUB_ENV"),
    ("::add-path::", "GITHUB_PATH"),
];

/// Says whether a workflow runs with its own trust for what a stranger does.
pub(super) fn runs_with_trust_for_others(on: &Triggers) -> bool {
    TRUSTED_EVENTS.iter().any(|event| on.event(event).is_some())
}

pub(super) fn check_step(step: &Step, tree: Option<&Tree>, has_foreign_event: bool, findings: &mut Vec<Finding>) {
    match &step.kind {
        StepKind::Run { script, .. } => {
            check_script(script, step, tree, "run", findings);
            check_commands(script, step, tree, findings);
        }
        StepKind::Uses { reference: UsesRef::Repository { owner, repo, .. }, with } => {
            let input =
                |name: &str| with.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            let is = |other: &str| format!("{owner}/{repo}").eq_ignore_ascii_case(other);
            if let Some(script) = input("script").filter(|_| is("actions/github-script")) {
                check_script(script, step, tree, "script", findings);
            }
            if let Some(commit) = input("ref").filter(|_| has_foreign_event && is("actions/checkout")) {
                check_checkout(commit, findings);
            }
        }
        _ => {}
    }
}

fn check_script(script: &Template, step: &Step, tree: Option<&Tree>, key: &str, findings: &mut Vec<Finding>) {
    let span = tree.and_then(|tree| tree.get(key)).map_or(script.span(), |tree| tree.span);
    let span = if span.line == 0 { step.span } else { span };
    for (at, expression) in script.expressions().into_iter().enumerate() {
        let Some(path) = brought(expression, &WRITTEN_BY_ANYBODY) else { continue };
        let message = format!("'{path}' can be written by anybody, and stands in the script as code");
        let help = format!(
            "give it to the script as a variable: under env, NAME: ${{{{ {path} }}}}, and \"$NAME\" in the script"
        );
        let finding = Finding::warning("script-injection", span, message).with_help(help);
        findings.push(finding.about(script.place_of(at)));
    }
}

fn check_commands(script: &Template, step: &Step, tree: Option<&Tree>, findings: &mut Vec<Finding>) {
    for (command, file) in OLD_COMMANDS.iter().filter(|(command, _)| script.source().contains(command)) {
        let name = command.trim_matches([':', ' ']);
        let span = tree.and_then(|tree| tree.get("run")).map_or(step.span, |tree| tree.span);
        let message = format!("The command '{name}' is out of use");
        let help = format!("write to the file that \"${file}\" names");
        let finding = Finding::warning("old-command", span, message).with_help(help);
        findings.push(finding.about(Some(Part::first(command))));
    }
}

fn check_checkout(commit: &Template, findings: &mut Vec<Finding>) {
    let mut expressions = commit.expressions().into_iter().enumerate();
    let stranger = expressions.find_map(|(at, expression)| Some((at, brought(expression, &STRANGERS_COMMITS)?)));
    if let Some((at, path)) = stranger {
        let message = format!(
            "This checks out '{path}', a stranger's code, in a workflow that has secrets and a token that can write"
        );
        let help = "use 'on: pull_request' for what runs a stranger's code";
        let finding = Finding::warning("untrusted-checkout", commit.span(), message).with_help(help);
        findings.push(finding.about(commit.place_of(at)));
    }
}

/// Returns the first of these texts that an expression's value may contain.
fn brought(expression: &Expression, paths: &[&'static str]) -> Option<&'static str> {
    let references = expression.yielded_references();
    paths.iter().copied().find(|path| references.iter().any(|reference| reference.brings(path)))
}
