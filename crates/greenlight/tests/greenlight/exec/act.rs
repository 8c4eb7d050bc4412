//! act's own cases (testdata/conformance/act).

use std::path::{Path, PathBuf};

use greenlight_workflow::parse_workflow;
use serde_json::Value;

use super::conformance::{Case, End, StandIns, THREADS, check, data, has_images, is_at_hand, is_program, repository};

/// What is not met, and why.
const UNMET: [(&str, &str); 1] = [(
    "workflow_call_inputs",
    "an input of workflow_call without a type: GitHub's own reader refuses the file, and so do we",
)];

/// The rows that want containers and are not met over the images of `peers/containers`, and why.
const UNMET_IN_CONTAINERS: [(&str, &str); 2] = [
    ("container-volumes", "it mounts a file of the machine, which no job's container may: see docs/user/containers.md"),
    (
        "services-host-network",
        "an image that stands for the machine has a network of its own: its services are reached by their names, not at localhost",
    ),
];

/// Rows whose containers must hold what only a public image has.
const PUBLIC: [(&str, &str); 3] = [
    ("mysql-service-container-with-health-check", "MySQL"),
    ("shells/pwsh", "PowerShell"),
    ("shells/python", "Python, in Node's image"),
];

/// What a row is told beside the image of its jobs.
const TOLD: [(&str, &str); 1] = [
    // act's own test names a registry that nobody runs.
    ("checkout", "ubuntu-latest=127.0.0.1:1/nothing:latest"),
];

/// The image that act runs jobs in where nothing else is said; these are to be held against its expectations.
const IMAGE: &str = "ubuntu-latest=node:16-buster-slim";

/// A row of the table.
struct Row {
    folder: &'static str,
    workflow: String,
    event: String,
    fails: bool,
    class: String,
    note: String,
    remote: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(data("act/cases.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter()
        .map(|row| Row {
            folder: if text(row, "workdir").contains("model") { "model-testdata" } else { "runner-testdata" },
            workflow: text(row, "workflow"),
            event: text(row, "event"),
            fails: !text(row, "expect_error").is_empty(),
            class: text(row, "class"),
            note: text(row, "note"),
            remote: row["remote"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
        })
        .collect()
}

/// Returns what a row adds to the arguments; nothing where this machine cannot run it.
fn extra(row: &Row, folder: &Path, stand_ins: &StandIns) -> Option<Vec<String>> {
    let is_root = rustix::process::getuid().is_root();
    match row.class.as_str() {
        "windows" => None,
        // The first job is for the machine itself, the second for a public image.
        "docker" if row.note.starts_with("first job host") => {
            let file = std::fs::read_dir(folder.join(&row.workflow)).unwrap().find_map(|entry| {
                let path = entry.unwrap().path();
                path.extension().is_some_and(|ending| ending == "yml").then_some(path)
            })?;
            let text = std::fs::read_to_string(file).unwrap();
            let workflow = parse_workflow("x.yml", &text).workflow?;
            let job = workflow.jobs.first()?.id.to_string();
            let shell = row.workflow.rsplit('/').next()?;
            let has_shell = shell == "defaults" || is_program(shell);
            has_shell.then(|| vec!["-j".to_owned(), job])
        }
        "docker" => None,
        // This one is about folders that stand in for repositories.
        "other-remote" if row.workflow == "local-remote-action-overrides" => {
            let source = |git_ref: &str| {
                let folder = stand_ins.folder("repositories").join(format!("override-{git_ref}"));
                format!("--action-source=nektos/test-override@{git_ref}={}", folder.display())
            };
            Some(vec![source("a"), source("b")])
        }
        // It wants a Node of its own choice, and there is only the one of this machine.
        "other-remote" if row.remote.iter().any(|name| name.starts_with("actions/setup-node@")) => None,
        // A repository is not here; a row that wants just that to be a failure is run.
        "other-remote" if !row.fails && !row.remote.iter().all(|name| is_here(name)) => None,
        // It works in /root and in /tmp.
        _ if row.note.contains("needs root") && !is_root => None,
        _ => Some(Vec::new()),
    }
}

fn is_here(name: &str) -> bool {
    let mut parts = name.split(['/', '@']);
    parts.next().zip(parts.next()).is_some_and(|(owner, repo)| is_at_hand(owner, repo))
}

/// Makes the repositories of the cases.
fn repositories(stand_ins: &StandIns) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for name in ["runner-testdata", "model-testdata"] {
        let lacking = stand_ins.folder(if name == "runner-testdata" { "act" } else { "nothing" });
        repository(&data("act").join(name), &lacking, &root.path().join(name));
    }
    root
}

/// Returns the case of a row.
fn case(row: Row, folder: PathBuf, extra: Vec<String>) -> Case {
    // act's own tests run as this person, in this repository, and say so.
    let usual = ["--actor", "nektos/act", "--repository", "nektos/act", "--env", "ACT=true"];
    let mut arguments = vec![row.event, "-W".to_owned(), row.workflow.clone()];
    arguments.extend(usual.map(str::to_owned));
    arguments.extend(extra);
    let event = folder.join(&row.workflow).join("event.json");
    if event.is_file() {
        arguments.extend(["-e".to_owned(), event.display().to_string()]);
    }
    let end = if row.fails { End::Failure } else { End::Success };
    Case { name: row.workflow, folder, arguments, end }
}

#[test]
fn act_cases_end_as_they_should() {
    let stand_ins = StandIns::new();
    let root = repositories(&stand_ins);
    let mut cases = Vec::new();
    for row in rows() {
        let folder = root.path().join(row.folder);
        if let Some(extra) = extra(&row, &folder, &stand_ins) {
            cases.push(case(row, folder, extra));
        }
    }
    check(&cases, &stand_ins, &UNMET, THREADS);
}

/// The rows that want containers, over the images that `peers/containers` makes under the names of the public ones.
#[test]
fn act_cases_in_containers_end_as_they_should() {
    if !has_images() {
        return;
    }
    let stand_ins = StandIns::new();
    let root = repositories(&stand_ins);
    let is_public = |row: &Row| PUBLIC.iter().any(|(name, _)| *name == row.workflow);
    let mut cases = Vec::new();
    for row in rows().into_iter().filter(|row| row.class == "docker" && !is_public(row)) {
        let folder = root.path().join(row.folder);
        let image = TOLD.iter().find(|(name, _)| *name == row.workflow).map_or(IMAGE, |(_, image)| image);
        cases.push(case(row, folder, vec!["-P".to_owned(), image.to_owned()]));
    }
    // Some of them want the same port of this machine.
    check(&cases, &stand_ins, &UNMET_IN_CONTAINERS, 1);
}
