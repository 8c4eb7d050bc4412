//! `prepare-merge`.

use greenlight_core::effect::{Outcome, Refusal};
use greenlight_core::id::Sha;

use super::{World, git, merged, prepare};

fn parents(world: &World, mirror: &crate::Mirrors, sha: Sha) -> String {
    let _ = world;
    git(&mirror.folder(super::repository().id), &["log", "-1", "--format=%P", &sha.to_string()]).trim().to_owned()
}

#[tokio::test]
async fn a_merge_is_built_where_github_has_none() {
    let world = World::new();
    let (base, head) = world.pull();
    let mirrors = world.mirrors().await;

    let merge = merged(prepare(&mirrors, head, 1).await);

    assert_eq!(merge.base_sha, base);
    assert_eq!(parents(&world, &mirrors, merge.files.sha), format!("{base} {head}"));
    assert_eq!(merge.files.workflows, [(".github/workflows/ci.yml".into(), "on: { push: { paths: [src] } }\n".into())]);
    assert_eq!(merge.files.changed_paths, Some(vec!["src/new.rs".to_owned()]), "three dots: not what the base changed");
    assert_eq!(&*merge.files.message, "work on it [skip ci]\n", "the head's message, not the merge's");

    let kept = git(&mirrors.folder(super::repository().id), &["rev-parse", "refs/greenlight/merge/1"]);
    assert_eq!(kept.trim(), merge.files.sha.to_string());
}

#[tokio::test]
async fn the_same_merge_has_the_same_sha_everywhere() {
    let world = World::new();
    let (_, head) = world.pull();
    let first = merged(prepare(&world.mirrors().await, head, 1).await);
    std::fs::remove_dir_all(world.path().join("mirrors")).unwrap();
    let second = merged(prepare(&world.mirrors().await, head, 1).await);
    assert_eq!(first, second);
}

#[tokio::test]
async fn githubs_merge_is_used_only_for_this_base_and_head() {
    let world = World::new();
    let (_, head) = world.pull();
    git(&world.work(), &["checkout", "--quiet", "--detach", "main"]);
    git(&world.work(), &["merge", "--quiet", "--no-ff", "-m", "GitHub's own words", "feature"]);
    let githubs = world.sha("HEAD");
    world.push("HEAD", "refs/pull/1/merge");
    let mirrors = world.mirrors().await;
    assert_eq!(merged(prepare(&mirrors, head, 1).await).files.sha, githubs);

    world.switch("main", "main");
    let moved = world.commit("third", &[("third", "third\n")]);
    world.push("main", "refs/heads/main");
    let merge = merged(prepare(&mirrors, head, 1).await);
    assert_ne!(merge.files.sha, githubs, "GitHub's merge is stale now");
    assert_eq!(merge.base_sha, moved);
    assert_eq!(parents(&world, &mirrors, merge.files.sha), format!("{moved} {head}"));
}

#[tokio::test]
async fn a_conflict_names_the_base_that_it_is_with() {
    let world = World::new();
    world.commit("first", &[("file", "one\n")]);
    world.switch("feature", "HEAD");
    let head = world.commit("ours", &[("file", "ours\n")]);
    world.switch("main", "main");
    let base = world.commit("theirs", &[("file", "theirs\n")]);
    world.push("main", "refs/heads/main");
    world.push("feature", "refs/pull/1/head");
    let outcome = prepare(&world.mirrors().await, head, 1).await;
    assert_eq!(outcome, Outcome::Refused(Refusal::Conflict { base_sha: base }));
}

#[tokio::test]
async fn a_head_that_moved_is_not_tested() {
    let world = World::new();
    let (_, head) = world.pull();
    let mirrors = world.mirrors().await;
    merged(prepare(&mirrors, head, 1).await);
    world.switch("feature", "main");
    let other = world.commit("something else", &[("else", "else\n")]);
    world.push("feature", "refs/pull/1/head");
    assert_eq!(prepare(&mirrors, head, 1).await, Outcome::Refused(Refusal::HeadMoved));
    merged(prepare(&mirrors, other, 1).await);
}

#[tokio::test]
async fn a_head_that_was_added_to_is_still_this_head() {
    let world = World::new();
    let (_, head) = world.pull();
    world.switch("feature", "feature");
    world.commit("more", &[("more", "more\n")]);
    world.push("feature", "refs/pull/1/head");
    let merge = merged(prepare(&world.mirrors().await, head, 1).await);
    assert_eq!(merge.files.changed_paths, Some(vec!["src/new.rs".to_owned()]));
}

#[tokio::test]
async fn a_head_that_is_not_there_yet_is_asked_for_again() {
    let world = World::new();
    let (_, head) = world.pull();
    world.switch("feature", "feature");
    let newer = world.commit("more", &[("more", "more\n")]);
    let mirrors = world.mirrors().await;
    assert!(matches!(prepare(&mirrors, newer, 1).await, Outcome::Later { .. }));
    assert!(matches!(prepare(&mirrors, newer, 6).await, Outcome::Refused(Refusal::Gone(_))), "not for ever");
    world.push("feature", "refs/pull/1/head");
    assert_ne!(merged(prepare(&mirrors, newer, 2).await).files.sha, head);
}

#[tokio::test]
async fn a_base_branch_that_is_gone_is_named() {
    let world = World::new();
    let (_, head) = world.pull();
    git(&world.upstream(), &["update-ref", "-d", "refs/heads/main"]);
    match prepare(&world.mirrors().await, head, 1).await {
        Outcome::Refused(Refusal::Gone(reason)) => assert!(reason.contains("refs/heads/main"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
