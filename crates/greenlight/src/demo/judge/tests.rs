//! The judge lets a good ending pass and finds every single thing that can be wrong with it.

use super::state::PullState;
use super::*;
use crate::demo::recorded::DeploymentStatus;

fn status(sha: &str, context: &str, state: &str, description: &str) -> Status {
    Status {
        sha: sha.into(),
        context: context.into(),
        state: state.into(),
        description: description.into(),
        target_url: None,
    }
}

fn shown(sha: &str, aggregate: &str, test: &str, why: &str) -> Vec<Status> {
    let job = |name: &str| format!("greenlight / CI / {name} (pull_request)");
    let mut all = vec![
        status(sha, "greenlight", "pending", "the tests run"),
        status(sha, &job("build"), "pending", ""),
        status(sha, &job("test"), "pending", ""),
    ];
    if aggregate == "pending" {
        all[0].description = why.into();
        return all;
    }
    all.push(status(sha, &job("build"), "success", ""));
    all.push(status(sha, &job("test"), test, ""));
    all.push(status(sha, "greenlight", aggregate, why));
    all
}

fn deployed(states: &[&str]) -> Vec<DeploymentStatus> {
    let one = |state: &&str| DeploymentStatus {
        state: (*state).into(),
        description: if *state == "error" { OUTCOME_UNKNOWN.into() } else { String::new() },
        environment_url: (*state == "success").then(|| "https://staging.example/".into()),
    };
    states.iter().map(one).collect()
}

fn expected() -> Expected {
    let pull = |number, heads: &[(&str, Shows)], ending| ExpectedPull {
        number,
        heads: heads.iter().map(|(sha, shows)| ((*sha).to_owned(), *shows)).collect(),
        ending,
    };
    Expected {
        pulls: vec![
            pull(1, &[("head-1", Shows::Success)], Ending::Delivered),
            pull(2, &[("head-2", Shows::Failure), ("head-3", Shows::Success)], Ending::Delivered),
            pull(3, &[("head-4", Shows::WaitsForApproval)], Ending::Open),
        ],
    }
}

fn good() -> FinalState {
    let mut state = FinalState { main: "merge-2".into(), ..FinalState::default() };
    let merged = |sha: Option<&str>| PullState {
        state: if sha.is_some() { "closed" } else { "open" }.into(),
        merged_as: sha.map(str::to_owned),
        comments: Vec::new(),
    };
    state.pulls = [(1, merged(Some("merge-1"))), (2, merged(Some("merge-2"))), (3, merged(None))].into();
    state.parents.insert("merge-1".into(), vec!["first".into(), "head-1".into()]);
    state.parents.insert("merge-2".into(), vec!["merge-1".into(), "head-3".into()]);
    state.statuses.insert("head-1".into(), shown("head-1", "success", "success", ""));
    state.statuses.insert("head-2".into(), shown("head-2", "failure", "failure", ""));
    state.statuses.insert("head-3".into(), shown("head-3", "success", "success", ""));
    state.statuses.insert("head-4".into(), shown("head-4", "pending", "", "waits for approval: somebody …"));
    state.rooms.push("Build #3 (head-2) failed".into());
    let mut id = 10;
    for (number, merge) in [(1, "merge-1"), (2, "merge-2")] {
        state.statuses.insert(merge.into(), vec![status(merge, "greenlight", "success", "")]);
        state.rooms.push(format!("{}#{number} was merged as {merge}", project::FULL_NAME));
        for environment in project::ENVIRONMENTS {
            id += 1;
            let mut statuses = deployed(&DEPLOYMENT_STATES);
            if number == 1 {
                statuses.extend(deployed(&[INACTIVE]));
            }
            state.deployments.push(DeploymentState {
                id,
                environment: environment.into(),
                sha: merge.into(),
                statuses,
            });
            state.rooms.push(format!("{environment} of {merge} is being deployed"));
            state.rooms.push(format!("{environment} of {merge} is done"));
        }
    }
    state
}

fn wrong(state: &FinalState, manner: Manner) -> Vec<String> {
    judge(&expected(), state, manner).wrong()
}

#[track_caller]
fn finds(change: impl Fn(&mut FinalState), words: &str) {
    let mut state = good();
    change(&mut state);
    let wrong = wrong(&state, Manner::Undisturbed);
    assert!(wrong.iter().any(|line| line.contains(words)), "{words}: {wrong:#?}");
}

#[test]
fn a_good_ending_passes() {
    assert_eq!(wrong(&good(), Manner::Undisturbed), [""; 0]);
    assert_eq!(wrong(&good(), Manner::Killed), [""; 0]);
}

#[test]
fn what_did_not_come_is_found() {
    finds(|state| state.pulls.get_mut(&1).unwrap().merged_as = None, "#1 is merged at its last head");
    finds(|state| state.main = "merge-1".into(), "main has each merge once");
    finds(|state| drop(state.deployments.pop()), "#2 is delivered to production");
    finds(|state| drop(state.rooms.pop()), "the room heard of production of merge-2");
    finds(|state| drop(state.statuses.get_mut("head-1").unwrap().pop()), "#1 head-1 shows success");
    finds(|state| state.deployments[0].statuses.truncate(2), "#1 is delivered to staging");
    finds(|state| drop(state.deployments[0].statuses.remove(0)), "#1 is delivered to staging");
    finds(|state| state.deployments[0].statuses[2].environment_url = None, "no environment_url");
}

#[test]
fn what_came_twice_is_found() {
    finds(
        |state| state.statuses.get_mut("head-1").unwrap().push(status("head-1", "greenlight", "success", "")),
        "twice in a row",
    );
    finds(
        |state| state.statuses.get_mut("head-1").unwrap().push(status("head-1", "greenlight", "pending", "again")),
        "was pending after it was success",
    );
    finds(|state| state.rooms.push(state.rooms[1].clone()), "the room heard of the merge of #1");
    finds(
        |state| state.pulls.get_mut(&3).unwrap().comments = vec!["no".into(), "no".into()],
        "#3 was told nothing twice",
    );
    finds(
        |state| {
            let mut more = state.deployments[0].clone();
            more.id = 99;
            state.deployments.push(more);
        },
        "there are 2 deployments",
    );
}

#[test]
fn what_should_not_be_is_found() {
    finds(|state| state.pulls.get_mut(&3).unwrap().merged_as = Some("merge-3".into()), "#3 is open");
    finds(
        |state| state.statuses.get_mut("head-4").unwrap()[1].state = "success".into(),
        "#3 head-4 shows that it waits",
    );
    finds(
        |state| drop(state.parents.insert("merge-2".into(), vec!["merge-1".into(), "head-2".into()])),
        "#2 is merged",
    );
    finds(|state| drop(state.pulls.insert(9, state.pulls[&3].clone())), "no other pull requests");
}

/// The server was killed in the middle of the first deployment to `environment`.
fn killed_in(environment: &str) -> FinalState {
    let mut state = good();
    let place = state.deployments.iter().position(|made| made.is(environment, "merge-1")).unwrap();
    state.deployments[place].statuses = deployed(&["queued", "in_progress", "error"]);
    for made in state.deployments.iter_mut().filter(|made| made.is(environment, "merge-2")) {
        made.statuses = deployed(&["queued"]);
    }
    if environment == "staging" {
        state.deployments.retain(|made| made.environment == "staging");
    }
    state
}

#[test]
fn a_deployment_caught_in_the_middle_passes_only_after_a_kill() {
    for environment in project::ENVIRONMENTS {
        assert_eq!(wrong(&killed_in(environment), Manner::Killed), [""; 0], "{environment}");
        assert!(!wrong(&killed_in(environment), Manner::Undisturbed).is_empty(), "{environment}");
    }
    let mut carried_on = killed_in("staging");
    carried_on.deployments[1].statuses = deployed(&DEPLOYMENT_STATES);
    assert!(!wrong(&carried_on, Manner::Killed).is_empty(), "the environment is held");
    let mut followed = killed_in("staging");
    let mut production = good().deployments[1].clone();
    production.id = 77;
    followed.deployments.push(production);
    assert!(!wrong(&followed, Manner::Killed).is_empty(), "nothing follows what nobody knows");
}
