//! The mirrors against real repositories in folders: what GitHub would have, and what we make of it.

mod fetching;
mod merging;
mod reading;
mod working;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::effect::{Answer, Dispatch, Effect, Outcome};
use greenlight_core::event::{CommitFiles, TestMerge};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{EffectKey, PullNumber, RefName, RepoId, Sha};
use greenlight_core::port::Hands;

use crate::credentials::{Anonymous, Credentials};
use crate::mirrors::{Mirrors, MirrorsOptions, Transport};

/// A place with an upstream repository, somebody's clone of it, and mirrors of ours.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { folder: tempfile::tempdir().unwrap() };
        let path = world.folder.path();
        git(path, &["init", "--quiet", "--bare", "--initial-branch=main", "upstream.git"]);
        git(path, &["init", "--quiet", "--initial-branch=main", "work"]);
        git(&world.work(), &["remote", "add", "origin", "../upstream.git"]);
        world
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    fn upstream(&self) -> PathBuf {
        self.folder.path().join("upstream.git")
    }

    /// Commits these files on what is checked out in the clone.
    fn commit(&self, message: &str, files: &[(&str, &str)]) -> Sha {
        for (name, text) in files {
            let path = self.work().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(&self.work(), &["add", "--all"]);
        git(&self.work(), &["commit", "--quiet", "--allow-empty", "-m", message]);
        self.sha("HEAD")
    }

    fn sha(&self, name: &str) -> Sha {
        Sha::parse(git(&self.work(), &["rev-parse", name]).trim()).unwrap()
    }

    fn switch(&self, branch: &str, start: &str) {
        git(&self.work(), &["checkout", "--quiet", "-B", branch, start]);
    }

    fn push(&self, from: &str, to: &str) {
        git(&self.work(), &["push", "--quiet", "--force", "origin", &format!("{from}:{to}")]);
    }

    /// A base commit on main and a head for pull request 1, which change different files.
    fn pull(&self) -> (Sha, Sha) {
        self.commit(
            "first",
            &[("README", "hello\n"), (".github/workflows/ci.yml", "on: { push: { paths: [src] } }\n")],
        );
        self.switch("feature", "HEAD");
        let head = self.commit("work on it [skip ci]", &[("src/new.rs", "new\n")]);
        self.switch("main", "main");
        let base = self.commit("second", &[("other", "other\n")]);
        self.push("main", "refs/heads/main");
        self.push("feature", "refs/pull/1/head");
        (base, head)
    }

    async fn mirrors(&self) -> Mirrors {
        let upstream = self.upstream().to_str().unwrap().to_owned();
        mirrors(self.path(), upstream, Arc::new(Anonymous)).await
    }
}

async fn mirrors(folder: &Path, url: String, credentials: Arc<dyn Credentials>) -> Mirrors {
    let options = MirrorsOptions {
        folder: folder.join("mirrors"),
        clone_url: Box::new(move |_| url.clone()),
        credentials,
        transport: Transport::HttpAndFolders,
        fetch_timeout: Duration::from_secs(20),
    };
    Mirrors::open(options).await.unwrap()
}

fn repository() -> RepositoryRef {
    RepositoryRef { id: RepoId(7), full_name: "octo/demo".into(), default_branch: "main".into() }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for name in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{name}_NAME"), "Mona").env(format!("GIT_{name}_EMAIL"), "mona@localhost");
        command.env(format!("GIT_{name}_DATE"), "2026-01-02T03:04:05Z");
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn perform(mirrors: &Mirrors, effect: Effect, tried: u32) -> Outcome {
    let dispatch = Dispatch { key: EffectKey::from("key"), effect, tried, confirm: false };
    mirrors.perform(&repository(), &dispatch).await
}

async fn prepare(mirrors: &Mirrors, head_sha: Sha, tried: u32) -> Outcome {
    let base_ref = RefName::branch("main");
    perform(mirrors, Effect::PrepareMerge { pull: PullNumber(1), head_sha, base_ref }, tried).await
}

async fn read(mirrors: &Mirrors, sha: Sha, branch: Option<&str>, before: Option<Sha>) -> Outcome {
    perform(mirrors, Effect::ReadCommit { sha, git_ref: branch.map(RefName::branch), before }, 1).await
}

#[track_caller]
fn merged(outcome: Outcome) -> TestMerge {
    match outcome {
        Outcome::Done(Answer::TestMerge(merge)) => *merge,
        other => panic!("no test merge: {other:?}"),
    }
}

#[track_caller]
fn files(outcome: Outcome) -> CommitFiles {
    match outcome {
        Outcome::Done(Answer::Commit(files)) => *files,
        other => panic!("no commit: {other:?}"),
    }
}
