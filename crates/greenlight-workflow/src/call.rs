//! Workflows that jobs call: found, read, and held against their caller. Inputs and secrets must fit what the called one
//! declares, permissions can only shrink on the way down, and there is a bound to depth and number.

mod handover;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::{Finding, Span, nearest};
use crate::permission::{PermissionLevel, Permissions};
use crate::template::{Template, Tree};
use crate::trigger::{EventTrigger, InputKind};
use crate::value::{Value, fold_case};
use crate::workflow::{CallRef, CallSecrets, JOBS_MAX, Job, JobKind, Workflow, parse_workflow};
use crate::yaml::BYTES_MAX;

pub use handover::{
    CalledContext, DISPATCH_INPUTS_MAX, HandoverError, JobEnd, JobResult, call_inputs, call_outputs, call_secrets,
    dispatch_inputs,
};

/// How many called workflows one run may have.
pub const CALLED_WORKFLOWS_MAX: usize = 50;

/// How many workflows deep calls may go on github.com, the first one not counted.
pub const DEPTH_MAX: usize = 9;
/// How deep they may go on GitHub Enterprise Server.
pub const ENTERPRISE_DEPTH_MAX: usize = 3;

/// How deep calls may nest, whatever the rules say.
const DEPTH_LIMIT: usize = 10;

/// How many declared names are looked at for the one that was meant.
const NAMES_COMPARED_MAX: usize = 100;

/// The order in which a refusal names scopes, which is GitHub's; newer scopes come after these.
const SCOPE_ORDER: [&str; 13] = [
    "actions",
    "checks",
    "contents",
    "deployments",
    "discussions",
    "issues",
    "packages",
    "pages",
    "pull-requests",
    "repository-projects",
    "statuses",
    "security-events",
    "id-token",
];

/// What a server allows.
#[derive(Clone, Debug)]
pub struct CallRules {
    /// What a token may do where no file says anything.
    pub default_permissions: Permissions,
    /// How many workflows deep calls may go, the first one not counted.
    pub depth_max: usize,
    /// How many jobs all of them may have together.
    pub jobs_max: usize,
    /// What all of them may come to in memory, as GitHub counts it.
    pub bytes_max: usize,
}

impl Default for CallRules {
    /// Returns the rules of github.com: ten levels with the first one, 256 jobs, and no limit to permissions.
    fn default() -> CallRules {
        CallRules {
            default_permissions: Permissions::write_all(),
            depth_max: DEPTH_MAX,
            jobs_max: JOBS_MAX,
            bytes_max: BYTES_MAX,
        }
    }
}

impl CallRules {
    /// Returns the rules of GitHub Enterprise Server: four levels with the first one, else as on github.com.
    pub fn enterprise_server() -> CallRules {
        CallRules { depth_max: ENTERPRISE_DEPTH_MAX, ..CallRules::default() }
    }
}

/// A file that a job calls.
#[derive(Clone, Debug)]
pub struct CalledFile {
    /// What it is called in findings.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// What is known of a file that a job calls.
#[derive(Clone, Debug)]
pub enum CallSource {
    /// Here it is.
    File(CalledFile),
    /// There is no such file.
    Missing,
    /// It cannot be looked at from here; nothing is said about the call.
    Elsewhere,
}

impl From<Option<CalledFile>> for CallSource {
    fn from(file: Option<CalledFile>) -> CallSource {
        file.map_or(CallSource::Missing, CallSource::File)
    }
}

/// A workflow that a job calls.
#[derive(Clone, Debug)]
pub struct CalledWorkflow {
    /// The calling job.
    pub job_id: Arc<str>,
    /// The workflow.
    pub workflow: Workflow,
    /// The most that its jobs may do.
    pub permissions: Permissions,
    /// The workflows that it calls itself.
    pub calls: Vec<CalledWorkflow>,
}

/// A finding in one of several files.
#[derive(Clone, Debug)]
pub struct FileFinding {
    /// The file.
    pub path: String,
    /// What is wrong in it.
    pub finding: Finding,
}

/// What a workflow calls, and what is wrong with that.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// The called workflows, one for each calling job whose call is right.
    pub called: Vec<CalledWorkflow>,
    /// What is wrong, in whichever file.
    pub findings: Vec<FileFinding>,
}

/// Reads all workflows that a workflow calls, through any number of levels. `source` gives the file for a reference found
/// in the file of the given path.
pub fn resolve_calls(workflow: &Workflow, rules: &CallRules, source: &dyn Fn(&str, &CallRef) -> CallSource) -> Calls {
    let mut resolver = Resolver { rules, source, findings: Vec::new(), jobs: 0, files: 0, bytes: workflow.bytes };
    let called = resolver.calls(workflow, &rules.default_permissions, 0);
    if resolver.jobs > rules.jobs_max {
        let message = format!("The workflow may not contain more than {} jobs", rules.jobs_max);
        resolver.report(&workflow.path, Finding::error("too-many-jobs", Span::default(), message));
    }
    Calls { called, findings: resolver.findings }
}

struct Resolver<'a> {
    rules: &'a CallRules,
    source: &'a dyn Fn(&str, &CallRef) -> CallSource,
    findings: Vec<FileFinding>,
    jobs: usize,
    files: usize,
    bytes: usize,
}

/// One call, as its caller wrote it.
struct Call<'a> {
    job: &'a Job,
    /// The job as it was written.
    written: Option<&'a Tree>,
    reference: String,
    uses: Span,
    with: &'a [(String, Template)],
    secrets: &'a CallSecrets,
    allowed: Permissions,
}

impl Resolver<'_> {
    fn calls(&mut self, workflow: &Workflow, inherited: &Permissions, depth: usize) -> Vec<CalledWorkflow> {
        self.jobs += workflow.jobs.len();
        let mut called = Vec::new();
        for job in &workflow.jobs {
            let JobKind::Call { uses, with, secrets } = &job.kind else { continue };
            let written = workflow.tree.get("jobs").and_then(|jobs| jobs.get(&job.id));
            let span = written.and_then(|job| job.get("uses")).map_or(job.span, |uses| uses.span);
            if depth >= self.rules.depth_max.min(DEPTH_LIMIT) {
                let message = format!("Nested reusable workflow depth exceeded {}.", self.rules.depth_max);
                self.report(&workflow.path, Finding::error("calls-too-deep", span, message));
                return called;
            }
            self.files += 1;
            if self.files > CALLED_WORKFLOWS_MAX {
                let message = format!("A run may not call more than {CALLED_WORKFLOWS_MAX} workflows");
                self.report(&workflow.path, Finding::error("too-many-calls", span, message));
                return called;
            }
            let allowed = job.permissions.as_ref().or(workflow.permissions.as_ref()).unwrap_or(inherited).clone();
            let call = Call { job, written, reference: uses.to_string(), uses: span, with, secrets, allowed };
            called.extend(self.call(workflow, uses, &call, depth));
        }
        called
    }

    fn call(&mut self, caller: &Workflow, uses: &CallRef, call: &Call<'_>, depth: usize) -> Option<CalledWorkflow> {
        let file = match (self.source)(&caller.path, uses) {
            CallSource::File(file) => file,
            CallSource::Elsewhere => return None,
            CallSource::Missing => {
                let message = format!("Unable to find reusable workflow '{}'", call.reference);
                self.report(&caller.path, Finding::error("call-not-found", call.uses, message));
                return None;
            }
        };
        let parsed = parse_workflow(&file.path, &file.text);
        for finding in parsed.findings {
            self.report(&file.path, finding);
        }
        let workflow = parsed.workflow?;
        self.bytes = self.bytes.saturating_add(workflow.bytes);
        if self.bytes > self.rules.bytes_max {
            let message = format!("Error from called workflow {}: Maximum object size exceeded", call.reference);
            self.report(&caller.path, Finding::error("called-too-large", call.uses, message));
            return None;
        }
        let Some(declared) = workflow.on.event("workflow_call") else {
            let message = "workflow_call key is not defined in the referenced workflow.";
            self.report(
                &caller.path,
                Finding::error("not-callable", call.uses, message)
                    .with_help(format!("add 'workflow_call:' under 'on:' in {}", file.path)),
            );
            return None;
        };
        for finding in interface_findings(call, declared).into_iter().chain(permission_findings(call, &workflow)) {
            self.report(&caller.path, finding);
        }
        let permissions = workflow.permissions.as_ref().unwrap_or(&call.allowed).clone();
        let calls = self.calls(&workflow, &call.allowed, depth + 1);
        Some(CalledWorkflow { job_id: call.job.id.clone(), workflow, permissions, calls })
    }

    fn report(&mut self, path: &str, finding: Finding) {
        self.findings.push(FileFinding { path: path.to_owned(), finding });
    }
}

impl Call<'_> {
    /// Returns where the name of something that is handed over stands.
    fn name_span(&self, under: &str, name: &str) -> Option<Span> {
        let entries = self.written?.get(under)?.entries();
        entries.iter().find(|(key, _)| key.source() == name).map(|(key, _)| key.span())
    }
}

/// Returns what does not fit between what is handed over and what is declared.
fn interface_findings(call: &Call<'_>, declared: &EventTrigger) -> Vec<Finding> {
    let mut findings = Vec::new();
    let given = folded(call.with.iter().map(|(name, _)| (name.as_str(), ())));
    for input in declared.inputs.iter().filter(|input| input.required && !given.contains_key(&*fold_case(&input.name)))
    {
        let message = format!("Input {} is required, but not provided while calling.", input.name);
        findings.push(Finding::error("input-missing", call.uses, message));
    }
    let inputs = folded(declared.inputs.iter().map(|input| (input.name.as_str(), input)));
    for (name, value) in call.with {
        match inputs.get(&*fold_case(name)) {
            None => {
                let message = format!("Invalid input, {name} is not defined in the referenced workflow.");
                let known: Vec<&str> = declared.inputs.iter().map(|input| input.name.as_str()).collect();
                let finding = Finding::error("input-unknown", value.span(), message);
                findings.push(or_nearest(finding, name, &known).pointing_at(call.name_span("with", name)));
            }
            Some(input) => findings.extend(mismatch(name, value, input.kind)),
        }
    }
    let CallSecrets::Named(secrets) = call.secrets else { return findings };
    let given = folded(secrets.iter().map(|(name, _)| (name.as_str(), ())));
    for secret in
        declared.secrets.iter().filter(|secret| secret.required && !given.contains_key(&*fold_case(&secret.name)))
    {
        let message = format!("Secret {} is required, but not provided while calling.", secret.name);
        findings.push(Finding::error("secret-missing", call.uses, message));
    }
    let known = folded(declared.secrets.iter().map(|secret| (secret.name.as_str(), ())));
    for (name, value) in secrets.iter().filter(|(name, _)| name != crate::template::INSERT) {
        if !known.contains_key(&*fold_case(name)) {
            let message = format!("Invalid secret, {name} is not defined in the referenced workflow.");
            let known: Vec<&str> = declared.secrets.iter().map(|secret| secret.name.as_str()).collect();
            let finding = Finding::error("secret-unknown", value.span(), message);
            findings.push(or_nearest(finding, name, &known).pointing_at(call.name_span("secrets", name)));
        }
    }
    findings
}

/// Names what was meant, where that can be told.
fn or_nearest(finding: Finding, name: &str, known: &[&str]) -> Finding {
    let known = &known[..known.len().min(NAMES_COMPARED_MAX)];
    finding.with_help_of(nearest(name, known).map(|meant| format!("did you mean '{meant}'?")))
}

/// Returns entries by their names in the case of comparison.
fn folded<'a, T>(entries: impl Iterator<Item = (&'a str, T)>) -> BTreeMap<Cow<'a, str>, T> {
    entries.map(|(name, entry)| (fold_case(name), entry)).collect()
}

/// Returns what is wrong with a literal that is given for an input of this type.
fn mismatch(name: &str, value: &Template, kind: InputKind) -> Option<Finding> {
    let literal = value.as_literal()?;
    let (fits, expected) = match kind {
        InputKind::Boolean => (matches!(literal, Value::Bool(_)), "a boolean"),
        InputKind::Number => (matches!(literal, Value::Number(_)), "a number"),
        InputKind::String | InputKind::Choice | InputKind::Environment => (true, "a text"),
    };
    (!fits).then(|| {
        let message = format!("Input {name} must be {expected}, not '{}'", literal.coerce_string());
        Finding::error("input-type", value.span(), message)
    })
}

/// Returns where the called workflow or one of its jobs asks for more than its caller has.
fn permission_findings(call: &Call<'_>, workflow: &Workflow) -> Vec<Finding> {
    let refused = |who: String, asked: &Permissions| {
        let beyond = asked.beyond(&call.allowed);
        (!beyond.is_empty()).then(|| {
            let (requested, allowed) = lists(beyond);
            let message = format!(
                "Error calling workflow '{}'. The {who} is requesting '{requested}', but is only allowed '{allowed}'.",
                call.reference
            );
            Finding::error("call-permissions", call.job.span, message)
                .with_help("grant these permissions to the calling job, or ask for less in the called workflow")
        })
    };
    let own = workflow.permissions.as_ref().and_then(|asked| refused(format!("workflow '{}'", call.reference), asked));
    let jobs = workflow.jobs.iter().filter_map(|job| {
        let name = job.name.as_ref().map_or(&*job.id, Template::source);
        refused(format!("nested job '{name}'"), job.permissions.as_ref()?)
    });
    own.into_iter().chain(jobs).collect()
}

/// Returns what is asked for and what is allowed, in GitHub's order.
fn lists(mut beyond: Vec<(&'static str, PermissionLevel, PermissionLevel)>) -> (String, String) {
    beyond.sort_by_key(|(scope, ..)| SCOPE_ORDER.iter().position(|known| known == scope).unwrap_or(SCOPE_ORDER.len()));
    let list = |level: fn(&(&'static str, PermissionLevel, PermissionLevel)) -> PermissionLevel| {
        beyond.iter().map(|entry| format!("{}: {}", entry.0, level(entry).as_str())).collect::<Vec<_>>().join(", ")
    };
    (list(|(_, asked, _)| *asked), list(|(_, _, allowed)| *allowed))
}
