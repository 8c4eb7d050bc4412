//! Other people's cases, run as they are: each in a repository of its own kind, several side by side.
//!
//! What a case needs beside the data (an option, a secret) stands in a table beside the test. A case that is not met is listed by
//! name with its reason; one that is listed and met fails the test, and so does a list of more than a tenth.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// How many cases run side by side.
pub const THREADS: usize = 3;
/// How long a case may take, in seconds.
const SECONDS_MAX: &str = "120";

/// How a case is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With success.
    Success,
    /// With a failure of the run, or of reading it.
    Failure,
}

/// Names the engine that is promised to be there: without it, what needs one is a failure.
const PROMISED: &str = "GREENLIGHT_TEST_ENGINE";

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it is called in lists.
    pub name: String,
    /// The repository.
    pub folder: PathBuf,
    /// What `greenlight exec` is told.
    pub arguments: Vec<String>,
    /// How it is to end.
    pub end: End,
}

/// The repositories of actions that the data names and lacks, and our stand-ins for them.
const REPOSITORIES: [(&str, &str); 11] = [
    ("nektos/act-test-actions", "act-test-actions"),
    ("actions/hello-world-javascript-action", "hello-world"),
    ("actions/hello-world-docker-action", "hello-world-docker"),
    ("actions/github-script", "github-script"),
    ("cloudposse/actions", "cloudposse-actions"),
    ("actions/cache", "cache"),
    ("actions/upload-artifact", "upload-artifact"),
    ("actions/download-artifact", "download-artifact"),
    ("actions/setup-node", "setup-node"),
    ("christopherhx/oidc", "oidc"),
    ("actions/checkout", ""),
];

/// Which of the stand-ins are one and the same file, and where it is wanted.
const PLACES: [(&str, &[&str]); 7] = [
    (
        "greet.js",
        &[
            "act/actions/node12/dist/index.js",
            "act/actions/node16/dist/index.js",
            "act/actions/node20/dist/index.js",
            "repositories/hello-world/index.js",
        ],
    ),
    ("greet.sh", &["act/actions/docker-local/entrypoint.sh", "act/actions/docker-local-noargs/entrypoint.sh"]),
    (
        "look.js",
        &["act/actions-environment-and-context-tests/js/index.js", "repositories/act-test-actions/js/index.js"],
    ),
    (
        "look.sh",
        &[
            "act/actions-environment-and-context-tests/docker/entrypoint.sh",
            "repositories/act-test-actions/docker-file/entrypoint.sh",
            "repositories/act-test-actions/docker-relative-context/entrypoint.sh",
        ],
    ),
    (
        "part.js",
        &[
            "act/uses-composite-check-for-input-shadowing/action-with-pre-and-post/pre.js",
            "act/uses-composite-check-for-input-shadowing/action-with-pre-and-post/main.js",
            "act/uses-composite-check-for-input-shadowing/action-with-pre-and-post/post.js",
        ],
    ),
    ("artifact.js", &["repositories/upload-artifact/artifact.js", "repositories/download-artifact/artifact.js"]),
    (
        "Dockerfile",
        &[
            "act/actions/docker-local/Dockerfile",
            "act/actions/docker-local-noargs/Dockerfile",
            "act/actions-environment-and-context-tests/docker/Dockerfile",
            "act/docker-action-host-env/action/Dockerfile",
            "repositories/act-test-actions/docker-file/Dockerfile",
            "repositories/act-test-actions/docker-relative-context/Dockerfile",
        ],
    ),
];

/// Is there something that stands in for this repository?
pub fn is_at_hand(owner: &str, repo: &str) -> bool {
    let name = format!("{owner}/{repo}").to_lowercase();
    REPOSITORIES.iter().any(|(known, _)| *known == name)
}

/// Returns the folder of the data.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/conformance").join(name)
}

/// What the data lacks, with each file in all of its places.
pub struct StandIns(tempfile::TempDir);

impl StandIns {
    /// Puts them together.
    pub fn new() -> Self {
        let made = Self(tempfile::tempdir().unwrap());
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/greenlight/exec/stand_ins"), made.0.path());
        for (shared, places) in PLACES {
            for place in places {
                let place = made.folder(place);
                std::fs::create_dir_all(place.parent().unwrap()).unwrap();
                std::fs::copy(made.folder("shared").join(shared), place).unwrap();
            }
        }
        made
    }

    /// Returns one of their folders, which need not be there.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Returns whether the rows that want containers can be run. Where an engine is promised and no image is named, that is a failure.
pub fn has_images() -> bool {
    if std::env::var_os("GREENLIGHT_TEST_IMAGE").is_some() {
        return true;
    }
    assert!(std::env::var_os(PROMISED).is_none(), "an engine is promised, and GREENLIGHT_TEST_IMAGE names no image");
    println!("skipped: GREENLIGHT_TEST_IMAGE names no image (peers/containers/run makes one)");
    false
}

/// Is there such a program on this machine?
pub fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// Copies a folder, and what the data lacks of it, and makes it a repository.
pub fn repository(from: &Path, lacking: &Path, to: &Path) {
    copy(from, to);
    if lacking.is_dir() {
        copy(lacking, to);
    }
    commit(to);
}

/// Makes a folder a repository.
pub fn commit(folder: &Path) {
    let git = |arguments: &[&str]| {
        let done = Command::new("git").arg("-C").arg(folder).args(arguments).status().unwrap();
        assert!(done.success(), "git {arguments:?}");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "--all", "--force"]);
    git(&["-c", "user.name=Mona", "-c", "user.email=mona@example.com", "commit", "--quiet", "-m", "first"]);
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let path = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &path),
            false => {
                std::fs::copy(entry.path(), path).unwrap();
            }
        }
    }
}

/// Runs all cases, and holds them against what is expected of them.
pub fn check(cases: &[Case], stand_ins: &StandIns, unmet: &[(&str, &str)], threads: usize) {
    let cache = tempfile::tempdir().unwrap();
    let next = Mutex::new(cases.iter());
    let ended: Mutex<BTreeMap<&str, (bool, String)>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().unwrap().next() else { return };
                    let result = run(case, stand_ins, cache.path());
                    ended.lock().unwrap().insert(&case.name, result);
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap();
    let mut wrong = Vec::new();
    for (name, (is_met, text)) in &ended {
        match (is_met, unmet.iter().find(|(listed, _)| listed == name)) {
            (true, Some(_)) => wrong.push(format!("{name} is met: take it off the list")),
            (false, None) => wrong.push(format!("{name} is not met:\n{text}")),
            _ => {}
        }
    }
    for (name, _) in unmet {
        if !ended.contains_key(name) {
            wrong.push(format!("{name} is listed and is no case"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(unmet.len() * 10 <= cases.len(), "{} of {} are not met", unmet.len(), cases.len());
    println!("{} cases, {} of them not met", cases.len(), unmet.len());
}

fn run(case: &Case, stand_ins: &StandIns, cache: &Path) -> (bool, String) {
    let mut command = Command::new("timeout");
    command.arg(SECONDS_MAX).arg(env!("CARGO_BIN_EXE_greenlight")).arg("exec").args(&case.arguments);
    for (name, folder) in REPOSITORIES.iter().filter(|(_, folder)| !folder.is_empty()) {
        command
            .arg("--action-source")
            .arg(format!("{name}={}", stand_ins.folder("repositories").join(folder).display()));
    }
    command.arg("--action-offline-mode").arg("-C").arg(&case.folder).env("XDG_CACHE_HOME", cache);
    let output = command.output().unwrap();
    let end = match output.status.code() {
        Some(0) => Some(End::Success),
        Some(1) => Some(End::Failure),
        _ => None,
    };
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last: Vec<&str> = text.lines().rev().take(25).collect();
    let text = last.into_iter().rev().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n");
    let has_run = case.end == End::Failure || !text.contains("nothing ran after");
    (end == Some(case.end) && has_run, text)
}
