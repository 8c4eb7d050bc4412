//! Environments as they stand: what is live, who holds them, what waits and why.

use greenlight_core::config::{self, ConfigStanding};
use greenlight_core::deployment::{Carrying, DeployWish, Deployment, Environment, WishState};
use greenlight_core::event::DeploymentState;
use greenlight_core::fact::Wish;
use greenlight_core::id::{EnvironmentName, RunNumber};
use greenlight_core::repository::Repository;
use greenlight_core::shown::Link;

use super::Refusal;
use crate::api::shape;
use crate::server::clock::written;
use crate::server::repository::Handle;

/// Deployments that are shown for one environment.
const DEPLOYMENTS_MAX: usize = 20;

/// Returns the environments of a repository.
pub async fn environments(handle: &Handle) -> Result<shape::Environments, Refusal> {
    Ok(handle.look(|cell| all(cell.repository())).await?)
}

/// Submits the wish to free an environment; one that nobody knows is told apart from one that is free.
pub async fn unlock(handle: &Handle, by: &str, name: &str) -> Result<shape::Answer, Refusal> {
    let asked = EnvironmentName::from(name);
    let is_known = handle.look(move |cell| is_known(cell.repository(), &asked)).await?;
    if !is_known {
        let repository = handle.reference().full_name;
        return Err(Refusal::Missing(format!("{repository} has no environment {name}").into()));
    }
    super::submit(handle, by, Wish::Unlock(name.into())).await
}

fn is_known(state: &Repository, name: &EnvironmentName) -> bool {
    state.environments.contains(name)
        || named(state).contains(name)
        || state.deployments.values().any(|deployment| deployment.snapshot.environment == *name)
}

/// Returns the names that `.greenlight.yml` has an entry for, or had while it was right.
fn named(state: &Repository) -> Vec<EnvironmentName> {
    state
        .known_config()
        .map(|config| config.environments.iter().map(|rule| rule.name.clone()).collect())
        .unwrap_or_default()
}

/// Returns the names in the order in which a commit passes them: each behind those that it comes `after`, else as the file has them.
fn in_order(state: &Repository) -> Vec<EnvironmentName> {
    let Some(config) = state.known_config() else { return Vec::new() };
    let mut order: Vec<EnvironmentName> = Vec::new();
    let mut rest: Vec<_> = config.environments.iter().collect();
    while let Some(at) = rest.iter().position(|rule| rule.after.iter().all(|name| order.contains(name))) {
        order.push(rest.remove(at).name.clone());
    }
    order
}

fn all(state: &Repository) -> shape::Environments {
    // What was never deployed to is an environment all the same.
    let untouched = named(state).into_iter().filter(|name| !state.environments.contains(name));
    let untouched = untouched.map(|name| Environment { name, lock: None, live: None });
    let mut environments: Vec<Environment> = state.environments.values().cloned().chain(untouched).collect();
    let order = in_order(state);
    let place = |name: &EnvironmentName| order.iter().position(|known| known == name).unwrap_or(order.len());
    environments.sort_by(|one, other| (place(&one.name), &one.name).cmp(&(place(&other.name), &other.name)));
    let (config_problem, config_findings) = match &state.meta().config {
        ConfigStanding::Read { config: Err(problem), file, .. } => {
            let all = file.as_ref().and_then(|(path, text)| config::explain(path, text));
            (Some(problem.to_string()), all.map(|all| all.to_string()))
        }
        ConfigStanding::Read { config: Ok(_), .. } | ConfigStanding::Unknown => (None, None),
    };
    shape::Environments {
        repository: state.meta().repository.full_name.to_string(),
        config_problem,
        config_findings,
        environments: environments.iter().map(|environment| shown(state, environment)).collect(),
        wishes: state.wishes.values().filter(|wish| !matches!(wish.state, WishState::Created(_))).map(wish).collect(),
    }
}

fn shown(state: &Repository, environment: &Environment) -> shape::Environment {
    let here =
        state.deployments.values().rev().filter(|deployment| deployment.snapshot.environment == environment.name);
    shape::Environment {
        name: environment.name.to_string(),
        sentence: standing(environment),
        live_sha: environment.live.as_ref().map(|(_, sha)| sha.to_string()),
        locked_by: environment.lock.as_ref().map(|lock| lock.deployment.0),
        lock_kept: environment.lock.as_ref().and_then(|lock| lock.kept.as_ref()).map(ToString::to_string),
        deployments: here.take(DEPLOYMENTS_MAX).map(|deployment| of(state, deployment)).collect(),
    }
}

fn standing(environment: &Environment) -> String {
    let live = match &environment.live {
        Some((id, sha)) => format!("{} is live, by deployment {id}", sha.short()),
        None => "nothing was deployed here yet".to_owned(),
    };
    match &environment.lock {
        None => format!("{live}; it is free"),
        Some(lock) => match &lock.kept {
            None => format!("{live}; deployment {} holds it since {}", lock.deployment, written(lock.since)),
            Some(why) => format!("{live}; it stays locked: {why}"),
        },
    }
}

fn of(state: &Repository, deployment: &Deployment) -> shape::Deployment {
    let snapshot = &deployment.snapshot;
    shape::Deployment {
        id: snapshot.id.0,
        environment: snapshot.environment.to_string(),
        sha: snapshot.sha.to_string(),
        state: state_of(deployment).to_owned(),
        sentence: sentence_of(state, deployment),
        creator: snapshot.creator.login.to_string(),
        run: run_of(deployment).map(|run| run.0),
        url: deployment.wanted.as_ref().and_then(|wanted| wanted.environment_url.as_ref()).map(ToString::to_string),
        seen_at: written(deployment.seen_at),
    }
}

/// Returns the run that carries a deployment out, or did: then its log is what is shown.
fn run_of(deployment: &Deployment) -> Option<RunNumber> {
    match (&deployment.state, deployment.wanted.as_ref().and_then(|wanted| wanted.log.as_ref())) {
        (Carrying::Started { run: Some(run), .. }, _) => Some(*run),
        (_, Some(Link::Run(run) | Link::Job(run, _))) => Some(*run),
        _ => None,
    }
}

fn state_of(deployment: &Deployment) -> &'static str {
    let wanted = deployment.wanted.as_ref().map(|wanted| wanted.state);
    match wanted.or(deployment.snapshot.state).unwrap_or(DeploymentState::Pending) {
        DeploymentState::Pending => "pending",
        DeploymentState::Queued => "queued",
        DeploymentState::InProgress => "in_progress",
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        DeploymentState::Error => "error",
        DeploymentState::Inactive => "inactive",
    }
}

/// Returns why a deployment stands as it does.
pub(super) fn sentence_of(state: &Repository, deployment: &Deployment) -> String {
    if let Some(given_up) = &deployment.given_up {
        return format!("GitHub does not take its state: {given_up}");
    }
    let described =
        deployment.wanted.as_ref().map(|wanted| wanted.description.to_string()).filter(|text| !text.is_empty());
    match &deployment.state {
        Carrying::Watched { reason } => reason.to_string(),
        Carrying::Waiting => described.unwrap_or_else(|| {
            if let ConfigStanding::Read { config: Err(problem), .. } = &state.meta().config {
                return format!("nothing is deployed: {problem}");
            }
            let lock = state
                .environments
                .get(&deployment.snapshot.environment)
                .and_then(|environment| environment.lock.as_ref());
            lock.map_or_else(
                || "waits for its turn".to_owned(),
                |lock| format!("waits for deployment {}, which holds the environment", lock.deployment),
            )
        }),
        Carrying::Started { .. } => described.unwrap_or_else(|| "is being carried out".to_owned()),
        Carrying::Done => described.unwrap_or_else(|| "is over".to_owned()),
    }
}

fn wish(wish: &DeployWish) -> shape::Wish {
    let (state, sentence) = match &wish.state {
        WishState::Waiting { reason } => ("waiting", reason.to_string()),
        WishState::Creating { .. } => ("creating", "the deployment is being made".to_owned()),
        WishState::Created(id) => ("created", format!("deployment {id} was made")),
        WishState::Refused { reason } => ("refused", reason.to_string()),
    };
    shape::Wish {
        environment: wish.environment.to_string(),
        sha: wish.sha.to_string(),
        pull: wish.pull.0,
        state: state.to_owned(),
        sentence,
    }
}
