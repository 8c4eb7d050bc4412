//! `read-commit`.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use greenlight_core::effect::{Outcome, Refusal};
use greenlight_core::id::{RepoId, Sha};

use super::{World, files, git, read};

#[tokio::test]
async fn a_commits_files_are_read() {
    let world = World::new();
    let script = world.work().join("script/cibuild");
    std::fs::create_dir_all(script.parent().unwrap()).unwrap();
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let sha = world.commit(
        "a message\n\nwith a body",
        &[
            (".github/workflows/b.yaml", "b\n"),
            (".github/workflows/a.yml", "a\n"),
            (".github/workflows/notes.txt", "no\n"),
            (".github/workflows/deep/c.yml", "no\n"),
            (".greenlight.yml", "merge:\n"),
        ],
    );
    world.push("main", "refs/heads/main");
    let files = files(read(&world.mirrors().await, sha, Some("main"), None).await);
    let names: Vec<&str> = files.workflows.iter().map(|(path, _)| &**path).collect();
    assert_eq!(names, [".github/workflows/a.yml", ".github/workflows/b.yaml"]);
    assert_eq!(files.config, Some((".greenlight.yml".into(), "merge:\n".into())));
    assert!(files.cibuild);
    assert_eq!(&*files.message, "a message\n\nwith a body\n");
    assert_eq!(files.sha, sha);
    assert_eq!(files.tree, world.sha("HEAD^{tree}"));
}

#[tokio::test]
async fn our_own_folder_takes_the_place_of_githubs() {
    let world = World::new();
    let sha = world.commit(
        "x",
        &[(".github/workflows/a.yml", "a"), (".greenlight/workflows/b.yml", "b"), ("script/cibuild", "x")],
    );
    world.push("main", "refs/heads/main");
    let files = files(read(&world.mirrors().await, sha, Some("main"), None).await);
    assert_eq!(files.workflows, [(".greenlight/workflows/b.yml".into(), "b".into())]);
    assert!(!files.cibuild, "it may not be run");
}

#[tokio::test]
async fn a_workflow_that_is_too_large_says_so() {
    let world = World::new();
    let text = "x".repeat(600 << 10);
    let sha = world.commit("x", &[(".github/workflows/a.yml", &text)]);
    world.push("main", "refs/heads/main");
    let files = files(read(&world.mirrors().await, sha, Some("main"), None).await);
    let (path, text) = &files.workflows[0];
    assert_eq!(&**path, ".github/workflows/a.yml");
    assert!(text.contains("614400 bytes") && text.len() < 200, "{text}");
}

/// A workflow with a path filter: only then anybody asks what changed.
const FILTERED: (&str, &str) = (".github/workflows/ci.yml", "on: { push: { paths: [src] } }\n");

#[tokio::test]
async fn nobody_compares_where_no_workflow_asks() {
    let world = World::new();
    let before = world.commit("one", &[("a", "a"), (".github/workflows/ci.yml", "on: push\n")]);
    let after = world.commit("two", &[("a", "changed")]);
    world.push("main", "refs/heads/main");
    assert_eq!(files(read(&world.mirrors().await, after, Some("main"), Some(before)).await).changed_paths, None);
}

#[tokio::test]
async fn a_push_is_compared_with_what_was_before() {
    let world = World::new();
    let before = world.commit("one", &[("a", "a"), ("b", "b"), FILTERED]);
    std::fs::rename(world.work().join("b"), world.work().join("c")).unwrap();
    let after = world.commit("two", &[("a", "changed")]);
    world.push("main", "refs/heads/main");
    let mirrors = world.mirrors().await;
    let changed = files(read(&mirrors, after, Some("main"), Some(before)).await).changed_paths;
    assert_eq!(changed, Some(["a", "b", "c"].map(String::from).to_vec()), "moved: both paths");
    let nothing = files(read(&mirrors, after, Some("main"), Some(after)).await).changed_paths;
    assert_eq!(nothing, Some(Vec::new()));
    let unknown = files(read(&mirrors, after, Some("main"), Some(Sha::from_bytes([9; 20]))).await).changed_paths;
    assert_eq!(unknown, None);
}

#[tokio::test]
async fn a_new_branch_is_compared_with_where_it_left_the_default_branch() {
    let world = World::new();
    world.commit("one", &[("a", "a"), FILTERED]);
    world.switch("feature", "main");
    world.commit("two", &[("b", "b")]);
    let tip = world.commit("three", &[("c", "c")]);
    world.switch("main", "main");
    world.commit("four", &[("d", "d")]);
    world.push("main", "refs/heads/main");
    world.push("feature", "refs/heads/feature");
    let mirrors = world.mirrors().await;
    let changed = files(read(&mirrors, tip, Some("feature"), Some(Sha::ZERO)).await).changed_paths;
    assert_eq!(changed, Some(vec!["b".to_owned(), "c".to_owned()]));
    let first = files(read(&mirrors, world.sha("main"), Some("main"), Some(Sha::ZERO)).await).changed_paths;
    assert_eq!(first, None, "a new default branch has nothing to be compared with");
}

#[tokio::test]
async fn more_than_three_hundred_changes_are_not_told() {
    let world = World::new();
    let before = world.commit("one", &[("a", "a"), FILTERED]);
    let names: Vec<String> = (0..301).map(|number| format!("f{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let after = world.commit("two", &many);
    world.push("main", "refs/heads/main");
    assert_eq!(files(read(&world.mirrors().await, after, Some("main"), Some(before)).await).changed_paths, None);
}

#[tokio::test]
async fn a_mirrored_commit_is_read_without_the_other_side() {
    let world = World::new();
    let sha = world.commit("one", &[(".github/workflows/a.yml", "a")]);
    world.push("main", "refs/heads/main");
    let mirrors = world.mirrors().await;
    let first = files(read(&mirrors, sha, Some("main"), None).await);
    std::fs::rename(world.upstream(), world.path().join("away")).unwrap();
    assert_eq!(files(read(&mirrors, sha, Some("main"), None).await), first);
}

#[tokio::test]
async fn a_commit_is_found_after_its_branch_moved_on() {
    let world = World::new();
    let old = world.commit("one", &[("a", "a")]);
    world.push("main", "refs/heads/main");
    git(&world.work(), &["commit", "--quiet", "--amend", "-m", "another"]);
    world.push("main", "refs/heads/main");
    git(&world.upstream(), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let files = files(read(&world.mirrors().await, old, Some("main"), None).await);
    assert_eq!(files.sha, old);
}

#[tokio::test]
async fn a_tag_is_followed_to_its_commit() {
    let world = World::new();
    let sha = world.commit("one", &[("a", "a")]);
    git(&world.work(), &["tag", "-a", "-m", "a tag", "v1"]);
    world.push("main", "refs/heads/main");
    world.push("v1", "refs/tags/v1");
    let effect = greenlight_core::effect::Effect::ReadCommit {
        sha: world.sha("v1"),
        git_ref: Some("refs/tags/v1".into()),
        before: None,
    };
    assert_eq!(files(super::perform(&world.mirrors().await, effect, 1).await).sha, sha);
}

#[tokio::test]
async fn a_commit_that_nobody_has_is_gone_after_a_while() {
    let world = World::new();
    world.commit("one", &[("a", "a")]);
    world.push("main", "refs/heads/main");
    let mirrors = world.mirrors().await;
    let missing = Sha::from_bytes([9; 20]);
    assert!(matches!(read(&mirrors, missing, Some("main"), None).await, Outcome::Later { .. }));
    let effect = greenlight_core::effect::Effect::ReadCommit { sha: missing, git_ref: None, before: None };
    let outcome = super::perform(&mirrors, effect, 6).await;
    assert!(matches!(outcome, Outcome::Refused(Refusal::Gone(_))), "{outcome:?}");
}

/// Takes an object out of the mirror, as if the fetch that brings it were not over.
fn lose(mirror: &Path, object: &str) -> PathBuf {
    let id = git(mirror, &["rev-parse", object]);
    let (folder, file) = id.trim().split_at(2);
    let path = mirror.join("objects").join(folder).join(file);
    std::fs::rename(&path, path.with_extension("lost")).unwrap();
    path
}

/// Writes what a pack holds as files of their own, which can be lost one by one.
fn unpack(mirror: &Path) {
    let files = |extension: &str| {
        let files = std::fs::read_dir(mirror.join("objects/pack")).unwrap().map(|file| file.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|found| found == extension)).collect::<Vec<_>>()
    };
    let packs = files("pack");
    assert!(!packs.is_empty(), "a fetch is one pack");
    for pack in packs {
        let apart = mirror.join("apart");
        std::fs::rename(&pack, &apart).unwrap();
        std::fs::remove_file(pack.with_extension("idx")).unwrap();
        let mut git = Command::new("git");
        git.current_dir(mirror).args(["unpack-objects", "-q"]).stdin(File::open(apart).unwrap());
        assert!(git.status().unwrap().success());
    }
}

#[tokio::test]
async fn what_is_not_there_yet_is_not_taken_for_absent() {
    let world = World::new();
    let named = [(".github/workflows/a.yml", "a"), (".greenlight.yml", "merge:\n"), ("script/cibuild", "x")];
    let sha = world.commit("one", &named);
    world.push("main", "refs/heads/main");
    let mirrors = world.mirrors().await;
    let whole = files(read(&mirrors, sha, Some("main"), None).await);
    let mirror = mirrors.folder(RepoId(7));
    unpack(&mirror);
    for lost in [":.greenlight.yml", ":.github/workflows/a.yml", ":.github/workflows", ":.github", ":script", "^{tree}"]
    {
        let path = lose(&mirror, &format!("{sha}{lost}"));
        // Nobody else has read it before.
        match read(&world.mirrors().await, sha, Some("main"), None).await {
            Outcome::Later { reason, .. } => assert!(reason.contains("the mirror lacks "), "{lost}: {reason}"),
            other => panic!("{lost}: {other:?}"),
        }
        std::fs::rename(path.with_extension("lost"), path).unwrap();
    }
    assert_eq!(files(read(&world.mirrors().await, sha, Some("main"), None).await), whole);
}

#[tokio::test]
async fn what_is_no_file_or_no_folder_is_absent() {
    let world = World::new();
    world.commit("one", &[(".greenlight.yml/inside", "x"), (".github", "a file"), ("a", "a")]);
    let module = world.sha("HEAD").to_string();
    git(&world.work(), &["update-index", "--add", "--cacheinfo", &format!("160000,{module},script")]);
    git(&world.work(), &["commit", "--quiet", "-m", "two"]);
    world.push("main", "refs/heads/main");
    let files = files(read(&world.mirrors().await, world.sha("HEAD"), Some("main"), None).await);
    assert!(files.workflows.is_empty() && files.config.is_none() && !files.cibuild, "{files:?}");
}
