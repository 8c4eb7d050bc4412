//! The shell scripts of `run:` steps, for somebody who can look at them (shellcheck, where it is installed). Expressions are
//! replaced by words of their length, so that lines and columns stay what they are.

use crate::action::{ActionManifest, ActionRuns};
use crate::finding::{FINDINGS_MAX, Finding, Part, Span, point};
use crate::template::Template;
use crate::workflow::{Step, StepKind, Workflow};

/// How many scripts of one file are looked at.
pub const SCRIPTS_MAX: usize = 200;

/// A script with its expressions replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// `bash` or `sh`.
    pub shell: &'static str,
    /// The text.
    pub text: String,
    /// The text as it was written.
    written: String,
    /// Where it stands.
    pub span: Span,
}

/// Something that a checker says about a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptProblem {
    /// The line of the script, from 1.
    pub line: u32,
    /// The column in it, from 1, in characters.
    pub column: u32,
    /// The line where it ends.
    pub end_line: u32,
    /// Where in that line it ends.
    pub end_column: u32,
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
    told_of(scripts(workflow), &workflow.text, checker)
}

/// Returns what a checker says about the scripts of a composite action.
pub fn check_action_scripts(manifest: &ActionManifest, checker: &dyn ScriptChecker) -> Result<Vec<Finding>, String> {
    let ActionRuns::Composite { steps } = &manifest.runs else { return Ok(Vec::new()) };
    let mut scripts = Vec::new();
    super::each_step(steps, None, &mut |step, _| scripts.extend(script(step, own_shell(step).and_then(posix))));
    scripts.truncate(SCRIPTS_MAX);
    told_of(scripts, &manifest.text, checker)
}

fn told_of(scripts: Vec<Script>, text: &str, checker: &dyn ScriptChecker) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for script in scripts {
        for problem in checker.check(&script)? {
            if findings.len() < FINDINGS_MAX {
                let message = format!("{}: {}", problem.name, problem.message);
                findings.push(Finding::warning("shellcheck", script.span, message).about(part(&script, &problem)));
            }
        }
    }
    point(&mut findings, text);
    Ok(findings)
}

/// Returns the scripts of a workflow that a POSIX shell runs.
fn scripts(workflow: &Workflow) -> Vec<Script> {
    let mut scripts = Vec::new();
    for job in &workflow.jobs {
        let runs_elsewhere =
            job.runs_on.labels.iter().any(|label| label.source().to_ascii_lowercase().contains("windows"));
        super::each_step(job.steps(), None, &mut |step, _| {
            let shell = own_shell(step).or(job.defaults.shell.as_ref()).or(workflow.defaults.shell.as_ref());
            let shell = match shell {
                None if runs_elsewhere => None,
                None => Some("bash"),
                Some(template) => posix(template),
            };
            scripts.extend(script(step, shell));
        });
    }
    scripts.truncate(SCRIPTS_MAX);
    scripts
}

/// Returns the script of a step, for this shell.
fn script(step: &Step, shell: Option<&'static str>) -> Option<Script> {
    let StepKind::Run { script, .. } = &step.kind else { return None };
    let written = script.source().to_owned();
    Some(Script { shell: shell?, text: without_expressions(&written), written, span: script.span() })
}

fn own_shell(step: &Step) -> Option<&Template> {
    match &step.kind {
        StepKind::Run { shell, .. } => shell.as_ref(),
        _ => None,
    }
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

/// Returns the part of the script that a problem is about. What replaced expressions has their length, so that places agree.
fn part(script: &Script, problem: &ScriptProblem) -> Option<Part> {
    let text = &script.written;
    let start = offset(text, problem.line, problem.column)?;
    let end = offset(text, problem.end_line, problem.end_column).filter(|end| *end > start);
    let end = end.unwrap_or_else(|| start + text[start..].chars().next().map_or(0, char::len_utf8));
    let about = text[start..end].lines().next().unwrap_or_default();
    Some(Part::after(&text[..start], about))
}

/// Returns where a place of a text is, counted from its start; its end where the line is shorter.
fn offset(text: &str, line: u32, column: u32) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(line.checked_sub(1)? as usize).map(str::len).sum();
    let line = text[before..].lines().next().unwrap_or_default();
    let in_line = line.char_indices().nth(column.checked_sub(1)? as usize).map_or(line.len(), |(at, _)| at);
    Some(before + in_line)
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
            let column =
                script.text.lines().nth(line.saturating_sub(1) as usize).and_then(|line| line.split("bad").next());
            let column = column.unwrap_or_default().chars().count() as u32 + 1;
            Ok(vec![ScriptProblem {
                line,
                column,
                end_line: line,
                end_column: column + 3,
                name: "SC1".into(),
                message,
            }])
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

    #[test]
    fn problems_are_told_where_they_stand_however_the_script_is_written() {
        let text = "name: x
runs:
  using: composite
  steps:
    - shell: bash
      run: |

        echo ${{ inputs.x }}  \u{e9}; bad
    - shell: sh
      run: >-
        one ${{ inputs.x }}
        two bad

        three
    - shell: bash
      run: \"echo \\t\\u00e9 \\
        bad\"
    - { shell: bash, run: 'it''s bad' }
    - { shell: pwsh, run: bad }
";
        let manifest = crate::action::parse_action("action.yml", text).manifest.unwrap();
        let found = check_action_scripts(&manifest, &Echo).unwrap();
        let places = found.iter().map(|finding| (finding.span.line, finding.span.column, finding.span.end_column));
        assert_eq!(places.collect::<Vec<_>>(), [(8, 34, 37), (12, 13, 16), (17, 9, 12), (18, 34, 37)], "{found:#?}");
    }
}
