//! Manifests of every kind, from GitHub's runner: what each is read as, or what is wrong with it. `action_manifests/expected.txt`
//! has a paragraph for each file.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use greenlight_workflow::{ActionManifest, ActionRuns, Condition, Step, StepKind, Template, parse_action};

/// The files that the suite had when it was copied.
const CASES: usize = 23;

#[test]
fn every_manifest_is_read_as_the_runner_reads_it() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance/action-manifests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    assert_eq!(files.len(), CASES, "files are missing");
    let shown: Vec<String> = files.iter().map(|file| show_file(file)).collect();
    let expected: Vec<&str> = include_str!("action_manifests/expected.txt").split("\n\n").map(str::trim).collect();
    for (shown, expected) in shown.iter().zip(&expected) {
        assert_eq!(shown.trim(), *expected, "\n{shown}");
    }
    assert_eq!(shown.len(), expected.len());
}

fn show_file(file: &Path) -> String {
    let name = file.file_name().unwrap().to_string_lossy();
    let parsed = parse_action("action.yml", &std::fs::read_to_string(file).unwrap());
    let mut out = format!("{name}\n");
    for finding in &parsed.findings {
        let severity = finding.severity.as_str();
        let span = finding.value_span();
        writeln!(out, "  {severity} {}:{} {}", span.line, span.column, finding.message).unwrap();
    }
    if let Some(manifest) = &parsed.manifest {
        show(manifest, &mut out).unwrap();
    }
    out
}

fn show(manifest: &ActionManifest, out: &mut String) -> std::fmt::Result {
    writeln!(out, "  name {:?} author {:?}", text(&manifest.name), text(&manifest.author))?;
    for input in &manifest.inputs {
        let required = if input.required { " required" } else { "" };
        let default = input.default.as_ref().map_or("none", Template::source);
        let deprecated = input.deprecation_message.as_deref().map(|message| format!(" deprecated: {message}"));
        writeln!(out, "  input {}{required} default {default}{}", input.name, deprecated.unwrap_or_default())?;
    }
    for (name, value) in &manifest.outputs {
        writeln!(out, "  output {name} {}", value.as_ref().map_or("by the action itself", Template::source))?;
    }
    match &manifest.runs {
        ActionRuns::Node { version, main, pre, pre_if, post, post_if } => {
            writeln!(out, "  node{version} {main}")?;
            show_hook(out, "pre", pre, pre_if)?;
            show_hook(out, "post", post, post_if)
        }
        ActionRuns::Docker { image, entrypoint, args, env, pre_entrypoint, pre_if, post_entrypoint, post_if } => {
            let args: Vec<&str> = args.iter().map(Template::source).collect();
            let env: Vec<String> = env.iter().map(|(name, value)| format!("{name}={}", value.source())).collect();
            writeln!(out, "  docker {image} entrypoint {} args {args:?} env {env:?}", text(entrypoint))?;
            show_hook(out, "pre", pre_entrypoint, pre_if)?;
            show_hook(out, "post", post_entrypoint, post_if)
        }
        ActionRuns::Composite { steps } => steps.iter().try_for_each(|step| show_step(out, step)),
        ActionRuns::Plugin { name } => writeln!(out, "  plugin {name}"),
    }
}

fn show_hook(out: &mut String, name: &str, what: &Option<String>, condition: &Condition) -> std::fmt::Result {
    match what {
        Some(what) => writeln!(out, "  {name} {what} if {}", condition.expression().text()),
        None => Ok(()),
    }
}

fn show_step(out: &mut String, step: &Step) -> std::fmt::Result {
    let StepKind::Run { script, shell, .. } = &step.kind else { panic!("only scripts are in these manifests") };
    let shell = shell.as_ref().map_or("none", Template::source);
    writeln!(out, "  step {} {shell} {:?} if {}", step.id, script.source(), step.condition.expression().text())
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("none")
}
