//! runner.server's own cases (testdata/conformance/runner.server): workflows that check themselves.

use std::path::{Path, PathBuf};

use greenlight_workflow::{Job, StepKind, UsesRef, Workflow, parse_workflow};

use super::conformance::{
    Case, End, StandIns, THREADS, check, commit, copy, data, has_images, is_at_hand, is_program, repository,
};

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

/// Where a case can be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// This machine.
    Machine,
    /// This machine, and images for its containers.
    Images,
    /// Another system, a shell that is not here, or a repository that nothing stands in for.
    Elsewhere,
}

fn needs(name: &str, workflow: &Workflow) -> Needs {
    let any = |is_so: fn(&Job) -> bool| workflow.jobs.iter().any(is_so);
    if name.starts_with("windows") || any(is_windows) || any(lacks) {
        return Needs::Elsewhere;
    }
    let has_images = any(|job| job.container.is_some() || job.services.is_some() || has_image(job));
    if has_images { Needs::Images } else { Needs::Machine }
}

fn has_image(job: &Job) -> bool {
    let is_image = |kind: &StepKind| matches!(kind, StepKind::Uses { reference: UsesRef::Docker(_), .. });
    job.steps().iter().any(|step| is_image(&step.kind))
}

fn is_windows(job: &Job) -> bool {
    let shells = job.steps().iter().filter_map(|step| match &step.kind {
        StepKind::Run { shell, .. } => shell.as_ref(),
        _ => None,
    });
    let shells = shells.chain(&job.defaults.shell);
    let is_foreign = |shell: &str| ["cmd", "pwsh", "powershell"].contains(&shell) && !is_program(shell);
    job.runs_on.labels.iter().any(|label| label.source().contains("windows"))
        || shells.into_iter().any(|shell| is_foreign(shell.source()))
}

fn lacks(job: &Job) -> bool {
    job.steps().iter().any(|step| match &step.kind {
        StepKind::Uses { reference: UsesRef::Repository { owner, repo, .. }, .. } => !is_at_hand(owner, repo),
        _ => false,
    })
}

/// Returns the case of a file; nothing where it is none, or none that needs this.
fn case(wanted: Needs, name: &str, folder: &Path, path: &Path) -> Option<Case> {
    let text = std::fs::read_to_string(folder.join(path)).unwrap();
    let told = TOLD.iter().find(|(known, _)| name.starts_with(known)).map_or(&[][..], |(_, told)| told);
    let fails = FAILING.iter().any(|known| name.starts_with(known));
    let event = match parse_workflow(name, &text).workflow {
        Some(workflow) if needs(name, &workflow) != wanted => return None,
        Some(workflow) => event(&workflow)?,
        // A file of values beside a workflow is no workflow.
        None if !text.contains("jobs:") || wanted != Needs::Machine => return None,
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

/// Returns the cases that need this, in repositories below `root`.
fn cases(wanted: Needs, stand_ins: &StandIns, root: &Path) -> Vec<Case> {
    let source = data("runner.server");
    // Files of the upper folder call each other by this name.
    let top = root.join("top");
    copy(&source, &top.join("testworkflows"));
    std::fs::write(top.join("lines.env"), "myfirstmultilinesecret=\"a\nb\nc\"\nmylastmultilinesecret=\"a\nb\nc\"\n")
        .unwrap();
    commit(&top);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&source).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    let in_top = |path: &Path| path.strip_prefix(&source).unwrap().display().to_string();
    let of_top = |file: &PathBuf| {
        let name = in_top(file);
        case(wanted, &name, &top, &Path::new("testworkflows").join(&name))
    };
    let mut cases: Vec<Case> = files(&source).iter().filter_map(of_top).collect();
    for folder in folders {
        if !folder.join(".github/workflows").is_dir() {
            cases.extend(files(&folder).iter().filter_map(of_top));
            continue;
        }
        let name = in_top(&folder);
        let own = root.join(&name);
        repository(&folder, &stand_ins.folder("runner.server").join(&name), &own);
        for file in files(&own.join(".github/workflows")) {
            let path = file.strip_prefix(&own).unwrap();
            cases.extend(case(wanted, &format!("{name}/{}", path.display()), &own, path));
        }
    }
    cases
}

#[test]
fn runner_server_cases_end_as_they_should() {
    let (root, stand_ins) = (tempfile::tempdir().unwrap(), StandIns::new());
    check(&cases(Needs::Machine, &stand_ins, root.path()), &stand_ins, &UNMET, THREADS);
}

/// The cases that want containers, over the images that `peers/containers` makes under the names of the public ones.
#[test]
fn runner_server_cases_in_containers_end_as_they_should() {
    if !has_images() {
        return;
    }
    let (root, stand_ins) = (tempfile::tempdir().unwrap(), StandIns::new());
    check(&cases(Needs::Images, &stand_ins, root.path()), &stand_ins, &[], 1);
}
