//! A job's clone.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlight_core::id::{RefName, Sha};

use super::{World, git, merged, prepare, repository};
use crate::checkout::{CheckoutRequest, Depth, Leftovers, Sparse, Wanted};
use crate::error::GitError;

#[tokio::test]
async fn a_test_merge_is_checked_out_detached_and_one_deep() {
    let world = World::new();
    let (_, head) = world.pull();
    let mirrors = world.mirrors().await;
    let merge = merged(prepare(&mirrors, head, 1).await).files.sha;
    let dest = world.path().join("job/workspace");
    let request = CheckoutRequest::commit(merge, Some("refs/pull/1/merge".into()));
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();

    assert_eq!(std::fs::read_to_string(dest.join("src/new.rs")).unwrap(), "new\n");
    assert_eq!(git(&dest, &["rev-parse", "HEAD"]).trim(), merge.to_string());
    assert_eq!(git(&dest, &["rev-parse", "refs/remotes/pull/1/merge"]).trim(), merge.to_string());
    assert_eq!(git(&dest, &["rev-parse", "--abbrev-ref", "HEAD"]).trim(), "HEAD");
    assert_eq!(git(&dest, &["rev-list", "--count", "HEAD"]).trim(), "1");
    assert_eq!(git(&dest, &["status", "--porcelain"]), "");
    assert_eq!(git(&dest, &["remote", "get-url", "origin"]).trim(), world.upstream().to_str().unwrap());
    assert!(!dest.join(".git/objects/info/alternates").exists());
}

#[tokio::test]
async fn a_branch_is_checked_out_as_a_branch() {
    let world = World::new();
    let (base, _) = world.pull();
    let mirrors = world.mirrors().await;
    let dest = world.path().join("job");
    let request = CheckoutRequest::commit(base, Some(RefName::branch("main")));
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert_eq!(git(&dest, &["branch", "--show-current"]).trim(), "main");
    assert_eq!(git(&dest, &["rev-parse", "main@{upstream}"]).trim(), base.to_string());
}

#[tokio::test]
async fn the_whole_history_comes_with_branches_and_tags() {
    let world = World::new();
    let (base, _) = world.pull();
    world.push("feature", "refs/heads/feature/x");
    git(&world.work(), &["tag", "v1", "main~1"]);
    world.push("v1", "refs/tags/v1");
    let mirrors = world.mirrors().await;
    let dest = world.path().join("job");
    let mut request = CheckoutRequest::commit(base, Some(RefName::branch("main")));
    request.depth = Depth::Whole;
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert_eq!(git(&dest, &["rev-list", "--count", "HEAD"]).trim(), "2");
    assert_eq!(git(&dest, &["describe", "--tags"]).trim().split('-').next(), Some("v1"));
    assert_eq!(git(&dest, &["rev-parse", "origin/feature/x"]).trim(), world.sha("feature").to_string());
}

#[tokio::test]
async fn a_name_is_a_branch_or_a_tag_or_a_commit() {
    let world = World::new();
    let (base, head) = world.pull();
    world.push("feature", "refs/heads/feature");
    git(&world.work(), &["tag", "v1", "main"]);
    world.push("v1", "refs/tags/v1");
    let mirrors = world.mirrors().await;
    for (name, sha, git_ref) in [
        ("feature", head, Some("refs/heads/feature")),
        ("v1", base, Some("refs/tags/v1")),
        ("refs/pull/1/head", head, Some("refs/pull/1/head")),
        (&*head.to_string(), head, None),
    ] {
        let request = CheckoutRequest {
            wanted: Wanted::Name(name.into()),
            depth: Depth::Commits(NonZeroU32::new(5).unwrap()),
            leftovers: Leftovers::Remove,
            sparse: None,
        };
        let checked_out = mirrors.checkout(&repository(), &request, &world.path().join("job")).await.unwrap();
        assert_eq!((checked_out.sha, checked_out.git_ref.as_ref().map(RefName::as_str)), (sha, git_ref), "{name}");
    }
    for name in ["nowhere", "*", "../x", "--upload-pack=x"] {
        let wanted = Wanted::Name(name.into());
        let request = CheckoutRequest { wanted, depth: Depth::Whole, leftovers: Leftovers::Remove, sparse: None };
        let error = mirrors.checkout(&repository(), &request, &world.path().join("job")).await.unwrap_err();
        assert!(matches!(*error, GitError::NoSuchRef { .. } | GitError::BadName { .. }), "{error:?}");
    }
}

/// Commits a tree that is large enough to be kept.
fn large(world: &World, more: &[(&str, &str)]) -> Sha {
    let names: Vec<String> = (0..300).map(|number| format!("part-{}/file-{number}", number % 7)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "the same\n")).collect();
    let sha = world.commit("large", &[&files, more].concat());
    world.push("main", "refs/heads/main");
    sha
}

/// Waits until a tree lies ready, and returns where.
async fn laid_ready(world: &World) -> std::path::PathBuf {
    let tree = world.path().join("mirrors/7.ready/tree");
    let deadline = Instant::now() + Duration::from_secs(20);
    while !tree.exists() {
        assert!(Instant::now() < deadline, "no tree was ever laid ready");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tree
}

#[tokio::test]
async fn a_tree_that_lies_ready_is_brought_to_the_commit_that_is_wanted() {
    let world = World::new();
    let first = large(&world, &[("gone", "x"), ("other", "first\n")]);
    let mirrors = world.mirrors().await;
    let dest = world.path().join("job");
    mirrors.checkout(&repository(), &CheckoutRequest::commit(first, None), &dest).await.unwrap();
    let tree = laid_ready(&world).await;
    let git_dir: Vec<_> =
        std::fs::read_dir(tree.join(".git")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(git_dir, ["index"], "nothing of git's own is kept");
    // What is taken is seen by this mark.
    std::fs::write(tree.join("mark"), "").unwrap();

    std::fs::remove_file(world.work().join("gone")).unwrap();
    let second = world.commit("second", &[("other", "second\n"), ("new/file", "new\n")]);
    world.push("main", "refs/heads/main");
    let request = CheckoutRequest::commit(second, Some(RefName::branch("main")));
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert!(dest.join("mark").exists(), "the tree was taken");
    std::fs::remove_file(dest.join("mark")).unwrap();
    assert_eq!(git(&dest, &["rev-parse", "HEAD"]).trim(), second.to_string());
    assert_eq!(git(&dest, &["branch", "--show-current"]).trim(), "main");
    assert_eq!(git(&dest, &["status", "--porcelain", "--ignored"]), "");
    assert_eq!(std::fs::read_to_string(dest.join("other")).unwrap(), "second\n");
    assert!(!dest.join("gone").exists() && dest.join("new/file").exists());
    assert_eq!(git(&dest, &["rev-list", "--count", "HEAD"]).trim(), "1");
    git(&dest, &["fsck", "--strict"]);
    // Another one is made behind it.
    assert_eq!(std::fs::read_to_string(laid_ready(&world).await.join("other")).unwrap(), "second\n");
    // A start throws it away: what lies there is nobody's.
    drop(mirrors);
    world.mirrors().await;
    assert!(!tree.exists());
}

#[tokio::test]
async fn a_tree_written_with_other_attributes_is_not_used() {
    let world = World::new();
    let first = large(&world, &[("text.txt", "one\ntwo\n")]);
    let mirrors = world.mirrors().await;
    let dest = world.path().join("job");
    mirrors.checkout(&repository(), &CheckoutRequest::commit(first, None), &dest).await.unwrap();
    laid_ready(&world).await;
    let second = world.commit("attributes", &[(".gitattributes", "*.txt text eol=crlf\n")]);
    world.push("main", "refs/heads/main");
    mirrors.checkout(&repository(), &CheckoutRequest::commit(second, None), &dest).await.unwrap();
    assert_eq!(std::fs::read_to_string(dest.join("text.txt")).unwrap(), "one\r\ntwo\r\n");
    assert_eq!(git(&dest, &["status", "--porcelain"]), "");
}

#[tokio::test]
async fn some_of_the_files_are_enough() {
    let world = World::new();
    let sha = world
        .commit("many", &[("root", "r"), ("src/a", "a"), ("src/deep/b", "b"), ("docs/c.md", "c"), ("docs/d", "d")]);
    world.push("main", "refs/heads/main");
    let mirrors = world.mirrors().await;
    let dest = world.path().join("job");
    let there = |paths: &[&str]| paths.iter().map(|path| dest.join(path).exists()).collect::<Vec<_>>();
    let paths = ["root", "src/a", "src/deep/b", "docs/c.md", "docs/d"];
    let mut request = CheckoutRequest::commit(sha, None);
    request.sparse = Some(Sparse { patterns: vec!["src".into()], is_cone: true });
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert_eq!(there(&paths), [true, true, true, false, false]);
    request.sparse = Some(Sparse { patterns: vec!["*.md".into(), "/src/a".into()], is_cone: false });
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert_eq!(there(&paths), [false, true, false, true, false]);
    request.sparse = None;
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert_eq!(there(&paths), [true; 5]);
}

#[tokio::test]
async fn what_a_job_left_in_its_repository_is_not_run() {
    let world = World::new();
    let (base, _) = world.pull();
    let mirrors = world.mirrors().await;
    let dest = world.path().join("job");
    let mut request = CheckoutRequest::commit(base, None);
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    let trap = format!("touch {}", world.path().join("trapped").display());
    git(&dest, &["config", "core.fsmonitor", &trap]);
    git(&dest, &["config", "filter.evil.smudge", &trap]);
    std::fs::write(dest.join(".git/info/attributes"), "* filter=evil\n").unwrap();
    std::fs::write(dest.join("left"), "left").unwrap();

    request.leftovers = Leftovers::Keep;
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert!(dest.join("left").exists());
    request.leftovers = Leftovers::Remove;
    mirrors.checkout(&repository(), &request, &dest).await.unwrap();
    assert!(!dest.join("left").exists());
    assert!(!world.path().join("trapped").exists());

    let link = world.path().join("link");
    std::os::unix::fs::symlink(world.path(), &link).unwrap();
    let error = mirrors.checkout(&repository(), &request, &link).await.unwrap_err();
    assert!(matches!(*error, GitError::BadDestination { .. }), "{error:?}");
    assert!(world.upstream().exists());
}

#[tokio::test]
async fn a_job_does_not_write_into_the_mirror() {
    let world = World::new();
    let (base, _) = world.pull();
    let mirrors = Arc::new(world.mirrors().await);
    let dest = world.path().join("job");
    mirrors.checkout(&repository(), &CheckoutRequest::commit(base, None), &dest).await.unwrap();
    std::fs::remove_dir_all(dest.join(".git/objects")).unwrap();
    git(&mirrors.folder(repository().id), &["fsck", "--full", "--strict", "--no-dangling"]);
}

#[tokio::test]
async fn many_jobs_of_many_commits_get_whole_clones() {
    let world = World::new();
    let commits: Vec<_> = (0..12).map(|number| world.commit("x", &[("file", &format!("{number}\n"))])).collect();
    world.push("main", "refs/heads/main");
    let mirrors = Arc::new(world.mirrors().await);
    let jobs = (0..36).map(|number| {
        let (mirrors, sha) = (mirrors.clone(), commits[number % 12]);
        let dest = world.path().join(format!("job{number}"));
        tokio::spawn(async move {
            mirrors.checkout(&repository(), &CheckoutRequest::commit(sha, None), &dest).await.unwrap();
            (number % 12, dest)
        })
    });
    for job in jobs.collect::<Vec<_>>() {
        let (number, dest) = job.await.unwrap();
        assert_eq!(std::fs::read_to_string(dest.join("file")).unwrap(), format!("{number}\n"));
        git(&dest, &["fsck", "--strict"]);
    }
    let kept = mirrors.folder(repository().id).join("greenlight-packs");
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::fs::read_dir(&kept).unwrap().count() > 8 {
        assert!(Instant::now() < deadline, "old packs are swept away");
        tokio::task::yield_now().await;
    }
}
