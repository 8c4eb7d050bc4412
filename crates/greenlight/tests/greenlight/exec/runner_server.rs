//! runner.server's own cases (testdata/conformance/runner.server): workflows that check themselves.

use std::path::{Path, PathBuf};

use greenlight_workflow::{Job, StepKind, UsesRef, Workflow, parse_workflow};

use super::conformance::{Case, End, THREADS, check, commit, copy, data, is_at_hand, repository, stand_ins};

/// What is not met, and why.
const UNMET: [(&str, &str); 3] = [
    (
        "actions_checkout_v1/.github/workflows/test.yml",
        "the first checkout put `path` beside the workspace; ours is inside, as it has been since the second",
    ),
    (
        "db-disposed-issue/.github/workflows/has-recursive-needsctx.yml",
        "it wants the jobs that are needed through others in `needs`; GitHub's documentation says that they are not there",
    ),
    ("environment-test/sample.yml", "secrets of an environment are not given to exec"),
];

/// What a case is told beside its file.
const TOLD: [(&str, &[&str]); 6] = [
    ("inherit_secrets/", &["-s", "misc=topSecretVal"]),
    ("inherit_vars/", &["--var", "ACTIONS_STEP_DEBUG=true"]),
    ("matrix-selector/", &["--matrix", "fail:false"]),
    ("called.yml", &["-e", "testworkflows/called_workflow_dispatch_event.json", "--env", "input_x=Hello World 2"]),
    (
        "workflow_dispatch/",
        &["--input", "misc=myInput", "--input", "si=UdHe", "--input", "bval=true", "--input", "bval2=false"],
    ),
    ("multiline_env.yml", &["--env-file", "lines.env"]),
];

/// What is to fail: files that nobody can read, and jobs whose failure counts.
const FAILING: [&str; 4] = ["workflowerrors/", "issue70/main2.yml", "issue70/main3.yml", "issue70/main4.yml"];

/// Events other than `push`, in the order in which they are looked for.
const EVENTS: [&str; 3] = ["push", "pull_request", "workflow_dispatch"];

/// Returns the event that starts a workflow; nothing for one that is only called.
fn event(workflow: &Workflow) -> Option<&'static str> {
    EVENTS.into_iter().find(|name| workflow.on.event(name).is_some())
}

/// Does a workflow need another system, a public image, or a repository that is not here?
fn is_elsewhere(workflow: &Workflow) -> bool {
    workflow.jobs.iter().any(|job| job.container.is_some() || job.services.is_some() || is_windows(job) || lacks(job))
}

fn is_windows(job: &Job) -> bool {
    let shells = job.steps().iter().filter_map(|step| match &step.kind {
        StepKind::Run { shell, .. } => shell.as_ref(),
        _ => None,
    });
    let shells = shells.chain(&job.defaults.shell);
    let is_foreign = |shell: &str| ["cmd", "pwsh", "powershell"].contains(&shell);
    job.runs_on.labels.iter().any(|label| label.source().contains("windows"))
        || shells.into_iter().any(|shell| is_foreign(shell.source()))
}

fn lacks(job: &Job) -> bool {
    job.steps().iter().any(|step| match &step.kind {
        StepKind::Uses { reference: UsesRef::Repository { owner, repo, .. }, .. } => !is_at_hand(owner, repo),
        StepKind::Uses { reference: UsesRef::Docker(_), .. } => true,
        _ => false,
    })
}

/// Returns the case of a file; nothing where it is none.
fn case(name: &str, folder: &Path, path: &Path) -> Option<Case> {
    let text = std::fs::read_to_string(folder.join(path)).unwrap();
    let told = TOLD.iter().find(|(known, _)| name.starts_with(known)).map_or(&[][..], |(_, told)| told);
    let fails = FAILING.iter().any(|known| name.starts_with(known));
    let event = match parse_workflow(name, &text).workflow {
        Some(workflow) if is_elsewhere(&workflow) => return None,
        Some(workflow) => event(&workflow)?,
        // A file of values beside a workflow is no workflow.
        None if !text.contains("jobs:") => return None,
        None => "push",
    };
    let mut arguments = vec![event.to_owned(), "-W".to_owned(), path.display().to_string()];
    for one in told {
        // A path of the table is one of the case's folder.
        let inside = folder.join(one);
        arguments.push(if inside.is_file() { inside.display().to_string() } else { (*one).to_owned() });
    }
    let end = if fails { End::Failure } else { End::Success };
    Some(Case { name: name.to_owned(), folder: folder.to_owned(), arguments, end })
}

/// Returns all files of a folder that may be workflows.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yml" || ending == "yaml");
    let mut files: Vec<_> = entries.filter(|path| is_yaml(path) && !path.ends_with("action.yml")).collect();
    files.sort();
    files
}

#[test]
fn runner_server_cases_end_as_they_should() {
    let root = tempfile::tempdir().unwrap();
    let source = data("runner.server");
    // Files of the upper folder call each other by this name.
    let top = root.path().join("top");
    copy(&source, &top.join("testworkflows"));
    std::fs::write(top.join("lines.env"), "myfirstmultilinesecret=\"a\nb\nc\"\nmylastmultilinesecret=\"a\nb\nc\"\n")
        .unwrap();
    commit(&top);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let in_top = |path: &Path| path.strip_prefix(&source).unwrap().to_owned();
    let mut cases = Vec::new();
    for file in files(&source) {
        let name = in_top(&file).display().to_string();
        cases.extend(case(&name, &top, &Path::new("testworkflows").join(&name)));
    }
    for folder in folders {
        let name = in_top(&folder).display().to_string();
        if folder.join(".github/workflows").is_dir() {
            let own = root.path().join(&name);
            repository(&folder, &stand_ins("runner.server").join(&name), &own);
            for file in files(&own.join(".github/workflows")) {
                let path = file.strip_prefix(&own).unwrap();
                cases.extend(case(&format!("{name}/{}", path.display()), &own, path));
            }
        } else {
            for file in files(&folder) {
                let name = in_top(&file).display().to_string();
                cases.extend(case(&name, &top, &Path::new("testworkflows").join(&name)));
            }
        }
    }
    check(&cases, &UNMET, THREADS);
}
