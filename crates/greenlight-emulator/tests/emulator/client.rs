//! octocrab, a client that is not ours, with its strict types.

use std::time::Duration;

use greenlight_emulator::Profile;
use octocrab::{
    Octocrab,
    models::{InstallationId, InstallationToken, StatusState},
    params,
};
use serde_json::json;

use crate::{
    apps,
    world::{World, seed},
};

const NAME: (&str, &str) = ("octocat", "Spoon-Knife");

fn client(world: &World, token: &str) -> Octocrab {
    Octocrab::builder().base_uri(world.running.api_url()).unwrap().personal_token(token.to_owned()).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn octocrab_takes_a_pull_request_to_its_merge() {
    takes_a_pull_request_to_its_merge(&World::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn octocrab_does_the_same_at_an_enterprise_server() {
    let world = World::start_with(|options| {
        (options.profile, options.lag) = (Profile::Ghes, Duration::ZERO);
    })
    .await;
    assert!(world.running.api_url().ends_with("/api/v3"), "{}", world.running.api_url());
    takes_a_pull_request_to_its_merge(&world).await;
    deploys(&world).await;
}

async fn takes_a_pull_request_to_its_merge(world: &World) {
    let github = client(world, "t-octocat");
    let (owner, name) = NAME;
    assert_eq!(github.current().user().await.unwrap().login, "octocat");
    let repository = github.repos(owner, name).get().await.unwrap();
    assert_eq!(repository.default_branch.as_deref(), Some("main"));
    let main = github.repos(owner, name).get_ref(&params::repos::Reference::Branch("main".to_owned())).await.unwrap();
    let octocrab::models::repos::Object::Commit { sha, .. } = main.object else { panic!("{main:?}") };
    github.repos(owner, name).create_ref(&params::repos::Reference::Branch("topic".to_owned()), sha).await.unwrap();
    let update = github
        .repos(owner, name)
        .create_file("by/octocrab.txt", "add a file", "hello")
        .branch("topic")
        .send()
        .await
        .unwrap();
    let head = update.commit.sha.clone().unwrap();
    let pull = github.pulls(owner, name).create("by octocrab", "topic", "main").body("please").send().await.unwrap();
    assert_eq!(pull.head.sha, head);
    let status = github
        .repos(owner, name)
        .create_status(head.clone(), StatusState::Success)
        .context("ci".to_owned())
        .send()
        .await
        .unwrap();
    assert_eq!(status.context.as_deref(), Some("ci"));
    let combined = github
        .repos(owner, name)
        .combined_status_for_ref(&params::repos::Reference::Branch("topic".to_owned()))
        .await
        .unwrap();
    assert_eq!(combined.state, StatusState::Success);
    github.issues(owner, name).create_comment(pull.number, "from octocrab").await.unwrap();
    assert_eq!(github.issues(owner, name).list_comments(pull.number).send().await.unwrap().items.len(), 1);
    let listed = github.pulls(owner, name).list().state(params::State::Open).send().await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(github.pulls(owner, name).list_files(pull.number).await.unwrap().items[0].filename, "by/octocrab.txt");
    let merged = github.pulls(owner, name).merge(pull.number).sha(head).send().await.unwrap();
    assert!(merged.merged);
    assert!(github.pulls(owner, name).is_merged(pull.number).await.unwrap());
    let commits = github.repos(owner, name).list_commits().send().await.unwrap();
    assert_eq!(Some(&commits.items[0].sha), merged.sha.as_ref());
    assert!(github.repos(owner, name).list_branches().send().await.unwrap().items.len() == 2);
    let refused = github.pulls(owner, name).merge(pull.number).send().await.unwrap_err();
    assert!(format!("{refused:?}").contains("Pull Request is not mergeable"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn octocrab_as_an_app_writes_a_check() {
    let world = World::start_with(|options| {
        options.seed = Some(apps::with_app(seed(), ""));
        options.lag = Duration::ZERO;
    })
    .await;
    let (owner, name) = NAME;
    let sha = world.commit("topic", "a.txt", "a\n").await;
    let app = client(&world, &apps::sign(&apps::key(&world).await, 300));
    let installation = app.apps().get_repository_installation(owner, name).await.unwrap();
    assert_eq!(installation.id, InstallationId(99));
    let token: InstallationToken = app.post(installation.access_tokens_url.unwrap(), None::<&()>).await.unwrap();
    let github = client(&world, &token.token);
    let run = github
        .checks(owner, name)
        .create_check_run("greenlight / test", &sha)
        .status(octocrab::params::checks::CheckRunStatus::InProgress)
        .send()
        .await
        .unwrap();
    let done = github
        .checks(owner, name)
        .update_check_run(run.id)
        .conclusion(octocrab::params::checks::CheckRunConclusion::Success)
        .send()
        .await
        .unwrap();
    assert_eq!(done.conclusion.as_deref(), Some("success"));
    let listed =
        github.checks(owner, name).list_check_runs_for_git_ref(params::repos::Commitish(sha)).send().await.unwrap();
    assert_eq!(listed.check_runs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn octocrab_deploys() {
    deploys(&World::start().await).await;
}

async fn deploys(world: &World) {
    let github = client(world, "t-octocat");
    let (owner, name) = NAME;
    let wanted = json!({"ref": "main", "auto_merge": false, "required_contexts": [], "environment": "staging"});
    let made: octocrab::models::repos::Deployment =
        github.post(format!("/repos/{owner}/{name}/deployments"), Some(&wanted)).await.unwrap();
    assert_eq!(made.environment, "staging");
    let path = format!("/repos/{owner}/{name}/deployments/{}/statuses", made.id);
    let status: octocrab::models::repos::DeploymentStatus =
        github.post(path, Some(&json!({"state": "success"}))).await.unwrap();
    assert_eq!(status.environment.as_deref(), Some("staging"));
}
