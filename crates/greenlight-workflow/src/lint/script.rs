//! The shell scripts of `run:` steps, for somebody who can look at them (shellcheck, where it is installed). Expressions are
//! replaced by words of their length, so that lines and columns stay what they are.

use crate::finding::{FINDINGS_MAX, Finding, Span};
use crate::template::Template;
use crate::workflow::{Defaults, Step, StepKind, Workflow};

/// How many scripts of one file are looked at.
pub const SCRIPTS_MAX: usize = 200;

/// A script with its expressions replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// `bash` or `sh`.
    pub shell: &'static str,
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// Something that a checker says about a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptProblem {
    /// The line of the script, from 1.
    pub line: u32,
    /// The column in it, from 1.
    pub column: u32,
    /// The checker's name for it, as `SC2086`.
    pub name: String,
    /// What is wrong.
    pub message: String,
}

/// Somebody who knows what is wrong with a script.
pub trait ScriptChecker {
    /// Returns what is wrong with a script, or why that cannot be said.
    fn check(&self, script: &Script) -> Result<Vec<ScriptProblem>, String>;
}

/// Returns what a checker says about the scripts of a workflow, as warnings at their places in the file.
pub fn check_scripts(workflow: &Workflow, checker: &dyn ScriptChecker) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for script in scripts(workflow) {
        for problem in checker.check(&script)? {
            if findings.len() >= FINDINGS_MAX {
                return Ok(findings);
            }
            let message = format!("{}: {}", problem.name, problem.message);
            findings.push(Finding::warning("shellcheck", place(&script, &problem), message));
        }
    }
    Ok(findings)
}

/// Returns the scripts of a workflow that a POSIX shell runs.
fn scripts(workflow: &Workflow) -> Vec<Script> {
    let mut scripts = Vec::new();
    for job in &workflow.jobs {
        let runs_elsewhere =
            job.runs_on.labels.iter().any(|label| label.source().to_ascii_lowercase().contains("windows"));
        super::each_step(job.steps(), None, &mut |step, _| {
            let shell = shell_of(step, &job.defaults, &workflow.defaults);
            let shell = match shell {
                None if runs_elsewhere => None,
                None => Some("bash"),
                Some(template) => posix(template),
            };
            if let (StepKind::Run { script, .. }, Some(shell)) = (&step.kind, shell) {
                scripts.push(Script { shell, text: without_expressions(script.source()), span: script.span() });
            }
        });
    }
    scripts.truncate(SCRIPTS_MAX);
    scripts
}

fn shell_of<'a>(step: &'a Step, job: &'a Defaults, workflow: &'a Defaults) -> Option<&'a Template> {
    let own = match &step.kind {
        StepKind::Run { shell, .. } => shell.as_ref(),
        _ => None,
    };
    own.or(job.shell.as_ref()).or(workflow.shell.as_ref())
}

fn posix(shell: &Template) -> Option<&'static str> {
    match shell.as_str()?.split_whitespace().next()? {
        "bash" => Some("bash"),
        "sh" => Some("sh"),
        _ => None,
    }
}

/// Replaces each expression by a word of its length; lines inside it stay.
fn without_expressions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${{") {
        let Some(length) = rest[start..].find("}}") else { break };
        let end = start + length + "}}".len();
        out.push_str(&rest[..start]);
        out.extend(rest[start..end].chars().map(|letter| if letter == '\n' { '\n' } else { '_' }));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Returns where in the file a problem stands: in a block of several lines its line, else where the script starts.
fn place(script: &Script, problem: &ScriptProblem) -> Span {
    let Span { line, end_line, .. } = script.span;
    let is_block = end_line > line;
    if !is_block {
        return script.span;
    }
    let line = line + problem.line;
    let column = script.span.column.max(1);
    Span { line, column, end_line: line, end_column: column + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::parse_workflow;

    /// Says one thing about each script: what it was asked about.
    struct Echo;

    impl ScriptChecker for Echo {
        fn check(&self, script: &Script) -> Result<Vec<ScriptProblem>, String> {
            let line = script.text.lines().position(|line| line.contains("bad")).map_or(0, |at| at as u32 + 1);
            let message = format!("{} {:?}", script.shell, script.text);
            Ok(vec![ScriptProblem { line, column: 1, name: "SC1".into(), message }])
        }
    }

    #[test]
    fn scripts_of_posix_shells_are_shown_without_expressions() {
        let text = "on: push
jobs:
  a:
    runs-on: x
    steps:
      - run: |
          echo ${{ github.ref }}
          bad
      - run: one
        shell: sh
      - run: two
        shell: pwsh
      - parallel:
          - run: three
  b:
    runs-on: windows-latest
    steps: [{ run: four }]
  c:
    runs-on: windows-latest
    defaults: { run: { shell: bash } }
    steps: [{ run: five }]
";
        let workflow = parse_workflow("ci.yml", text).workflow.unwrap();
        let found = check_scripts(&workflow, &Echo).unwrap();
        let shown: Vec<String> =
            found.iter().map(|finding| format!("{} {}", finding.span.line, finding.message)).collect();
        assert_eq!(
            shown,
            [
                "8 SC1: bash \"echo _________________\\nbad\\n\"",
                "9 SC1: sh \"one\"",
                "14 SC1: bash \"three\"",
                "21 SC1: bash \"five\"",
            ]
        );
    }
}
