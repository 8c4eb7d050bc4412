//! `workflow check`: everything that is wrong with the files, and what is doubtful.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use greenlight_workflow::{
    CallRules, Finding, Permissions, Span, Workflow, check_action_scripts, check_scripts, lint_action, lint_draft,
    lint_workflow, parse_action, parse_workflow, resolve_calls,
};

use super::report::{self, Checked, Format};
use super::shellcheck::ShellCheck;
use super::source::{self, Called, Given};
use crate::cli::{Exit, input};

#[derive(Debug, Args)]
pub struct Check {
    /// Workflows, or actions by the name action.yml; `-` is standard input. Without any, the workflows of the repository.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The file that a `uses:` of a job means: ./.github/workflows/x.yml=x.yml.
    #[arg(long = "reusable", value_name = "REF=FILE", value_parser = source::given)]
    reusable: Vec<Given>,
    /// What tokens may do where a workflow does not say.
    #[arg(long, value_enum, value_name = "POLICY", default_value_t = Policy::Write)]
    permissions_policy: Policy,
    /// How many calls deep reusable workflows may nest: 9 on github.com, 3 on GitHub Enterprise Server.
    #[arg(long, value_name = "N", default_value_t = CallRules::default().depth_max)]
    max_depth: usize,
    /// How to tell.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// What standard input is called.
    #[arg(long, value_name = "PATH")]
    stdin_name: Option<String>,
    /// Do not ask shellcheck about scripts, where it is installed.
    #[arg(long)]
    no_shellcheck: bool,
    /// End with 1 for warnings as well.
    #[arg(long)]
    deny_warnings: bool,
}

/// GitHub's two settings for tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Policy {
    /// Contents and packages can be read.
    LimitedRead,
    /// Everything can be written.
    Write,
}

pub fn perform(check: &Check) -> anyhow::Result<Exit> {
    let files = match check.files.as_slice() {
        [] => match of_repository() {
            Some(files) => files,
            None => {
                eprintln!("greenlight: there is no workflow here; name a file, or go to a repository that has some");
                return Ok(Exit::Missing);
            }
        },
        files => files.to_vec(),
    };
    let shellcheck = if check.no_shellcheck { None } else { ShellCheck::installed() };
    let mut all: Vec<Checked> = Vec::new();
    let mut is_missing = false;
    for path in &files {
        let checked = check.file(path, shellcheck.as_ref()).unwrap_or_else(|error| {
            is_missing |= error.is_missing();
            vec![unread(path, &error)]
        });
        add(&mut all, checked);
    }
    let format = if check.json { Format::Json } else { check.format };
    report::print(&all, format);
    let mut findings = all.iter().flat_map(|file| &file.findings);
    let is_refused = findings.any(|finding| finding.is_error() || check.deny_warnings);
    Ok(match is_refused {
        _ if is_missing => Exit::Missing,
        true => Exit::Failed,
        false => Exit::Done,
    })
}

/// Returns a file that could not be read; the others are told of all the same.
fn unread(path: &Path, error: &input::InputError) -> Checked {
    let why = std::error::Error::source(error).map_or_else(String::new, |why| format!(": {why}"));
    let help = match error.is_missing() {
        true => "name a file that is there",
        false => "name a file that can be read",
    };
    let finding = Finding::error("unreadable", Span::default(), format!("{error}{why}")).with_help(help);
    Checked { path: source::shown(path), text: String::new(), findings: vec![finding] }
}

fn of_repository() -> Option<Vec<PathBuf>> {
    let here = std::env::current_dir().ok()?;
    let files = source::workflows(&source::repository(&here)?);
    (!files.is_empty()).then_some(files)
}

/// Puts what was found beside what is known; a file that several call is told of once.
fn add(all: &mut Vec<Checked>, more: Vec<Checked>) {
    for file in more {
        match all.iter_mut().find(|known| known.path == file.path) {
            Some(known) => {
                let new: Vec<Finding> =
                    file.findings.into_iter().filter(|finding| !known.findings.contains(finding)).collect();
                known.findings.extend(new);
            }
            None => all.push(file),
        }
    }
}

impl Check {
    /// Returns what is wrong with a file, and with those that it calls.
    fn file(&self, path: &Path, shellcheck: Option<&ShellCheck>) -> Result<Vec<Checked>, input::InputError> {
        let (text, doubt) = source::read_with_doubts(path)?;
        let is_input = path.as_os_str() == input::STANDARD_INPUT;
        let name = match (&self.stdin_name, is_input) {
            (Some(name), true) => name.clone(),
            _ => source::shown(path),
        };
        if Path::new(&name).file_stem().is_some_and(|stem| stem == "action") {
            let mut checked = action(name, text, shellcheck);
            checked.findings.extend(doubt);
            return Ok(vec![checked]);
        }
        let parsed = parse_workflow(&name, &text);
        let mut first = Checked { path: name, text, findings: parsed.findings };
        first.findings.extend(doubt);
        let mut checked = vec![first];
        match (&parsed.workflow, &parsed.draft) {
            (Some(workflow), _) => {
                checked[0].findings.extend(lint_workflow(workflow));
                let told = shellcheck.into_iter().flat_map(|shellcheck| told(check_scripts(workflow, shellcheck)));
                checked[0].findings.extend(told);
                self.calls(path, workflow, &mut checked);
            }
            (None, Some(draft)) => self.draft(path, draft, &mut checked),
            (None, None) => {}
        }
        checked.iter_mut().for_each(|file| file.findings.sort_by_key(|finding| finding.span));
        Ok(checked)
    }

    /// Adds what else is wrong with a workflow that errors refuse, as far as it could be read. What stands where an error does
    /// may only follow from it.
    fn draft(&self, path: &Path, draft: &Workflow, checked: &mut Vec<Checked>) {
        let start = |finding: &Finding| (finding.value_span().line, finding.value_span().column);
        let errors: Vec<(u32, u32)> =
            checked[0].findings.iter().filter(|finding| finding.is_error()).map(start).collect();
        checked[0].findings.extend(lint_draft(draft));
        let known = checked[0].findings.len();
        self.calls(path, draft, checked);
        let mut at = 0;
        checked[0].findings.retain(|finding| {
            at += 1;
            at <= known || !(errors.contains(&start(finding)) || finding.code == "call-permissions")
        });
    }

    /// Adds what is wrong with the calls of a workflow, in whichever file.
    fn calls(&self, path: &Path, workflow: &Workflow, checked: &mut Vec<Checked>) {
        let called = Called::of(path, &self.reusable);
        let rules = CallRules {
            default_permissions: match self.permissions_policy {
                Policy::LimitedRead => Permissions::limited_read(),
                Policy::Write => Permissions::write_all(),
            },
            depth_max: self.max_depth,
            ..CallRules::default()
        };
        let texts = std::cell::RefCell::new(Vec::new());
        let calls = resolve_calls(workflow, &rules, &|caller, reference| {
            let source = called.find(caller, reference);
            if let greenlight_workflow::CallSource::File(file) = &source {
                texts.borrow_mut().push(file.clone());
            }
            source
        });
        let texts = texts.into_inner();
        for found in calls.findings {
            if checked.iter().all(|file| file.path != found.path) {
                let text = texts.iter().find(|file| file.path == found.path).map(|file| file.text.clone());
                checked.push(Checked {
                    path: found.path.clone(),
                    text: text.unwrap_or_default(),
                    findings: Vec::new(),
                });
            }
            let file = checked.iter_mut().find(|file| file.path == found.path).expect("it was added above");
            if !file.findings.contains(&found.finding) {
                file.findings.push(found.finding);
            }
        }
    }
}

fn action(path: String, text: String, shellcheck: Option<&ShellCheck>) -> Checked {
    let parsed = parse_action(&path, &text);
    let mut findings = parsed.findings;
    if let Some(manifest) = &parsed.manifest {
        findings.extend(lint_action(manifest));
        findings.extend(shellcheck.into_iter().flat_map(|shellcheck| told(check_action_scripts(manifest, shellcheck))));
        findings.sort_by_key(|finding| finding.span);
    }
    Checked { path, text, findings }
}

/// Returns what shellcheck said; why it said nothing is told apart.
fn told(said: Result<Vec<Finding>, String>) -> Vec<Finding> {
    said.unwrap_or_else(|problem| {
        eprintln!("greenlight: shellcheck was not asked: {problem}");
        Vec::new()
    })
}
