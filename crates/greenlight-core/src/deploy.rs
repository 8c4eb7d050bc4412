//! Delivering: from a merged commit to a deployment, from a deployment to what it did.
//!
//! A merge *wishes* for deployments; a wish becomes due when its commit is proven, and is made once. A deployment, whoever
//! made it, is carried out where its environment has an entry in `.greenlight.yml`: one at a time, under a lock that belongs
//! to the deployment. Carrying out is a run, never an effect: it is never repeated by itself, and where nobody knows how it
//! ended the lock is kept for a person.

mod carry;
mod lock;
mod show;
mod wish;

use std::sync::Arc;

use crate::config::{ConfigStanding, EnvironmentRule};
use crate::deployment::{Carrying, Deployment};
use crate::event::{DeploymentMaker, DeploymentSnapshot, DeploymentState, Event};
use crate::id::{DeploymentId, EnvironmentName, Token};
use crate::repository::{Repository, Topic};
use crate::time::{Duration, Timestamp};

use carry::{End, begin_suite, end, follow};
pub(crate) use carry::{settle_environment, suite_key};
pub(crate) use lock::unlock;
pub(crate) use show::{refused, show_again, shown};
use show::{settle_shown, show};
use wish::claim_wish;
pub(crate) use wish::{created, settle_unproven, settle_wish, tree_read, wish_for_merge};

/// How long after it was seen a deployment may still be taken on because `.greenlight.yml` names its environment by then.
const OVERTAKEN_MAX: Duration = Duration::from_secs(600);

/// A deployment was seen: by its event, by the answer to our own create, or by a read.
pub(crate) fn seen(state: &mut Repository, snapshot: &DeploymentSnapshot, event: Option<&Arc<Event>>, now: Timestamp) {
    claim_wish(state, snapshot);
    match state.deployments.get_mut(&snapshot.id) {
        Some(known) => {
            if known.event.is_none() {
                known.event = event.cloned();
            }
            if snapshot.state.is_some() && known.wanted.is_none() {
                known.snapshot.state = snapshot.state;
            }
        }
        None => {
            let deployment = Deployment {
                snapshot: snapshot.clone(),
                event: event.cloned(),
                seen_at: now,
                state: Carrying::Waiting,
                wanted: None,
                accepted: None,
                given_up: None,
            };
            state.deployments.insert(snapshot.id, deployment);
        }
    }
    state.touch(Topic::Deployment(snapshot.id));
    state.touch(Topic::Environment(snapshot.environment.clone()));
}

/// Returns the environment's entry in `.greenlight.yml`.
fn rule_of(state: &Repository, name: &EnvironmentName) -> Option<EnvironmentRule> {
    state.config()?.environments.iter().find(|rule| rule.name == *name).cloned()
}

/// Has `.greenlight.yml` an entry for the environment, or had it one when it was last right?
fn was_named(state: &Repository, name: &EnvironmentName) -> bool {
    state.known_config().is_some_and(|config| config.environments.iter().any(|rule| rule.name == *name))
}

/// Settles a deployment: whose it is to carry out, how far it is, and what is to be shown.
pub(crate) fn settle_deployment(state: &mut Repository, id: DeploymentId, now: Timestamp) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    match deployment.state.clone() {
        Carrying::Waiting => take_on(state, id, now),
        Carrying::Started { token, .. } => follow(state, id, token, now),
        Carrying::Watched { .. } if is_overtaken(state, id, now) => take_on(state, id, now),
        Carrying::Watched { .. } | Carrying::Done => {}
    }
    settle_shown(state, id);
}

/// Was a deployment looked at before the `.greenlight.yml` that it is about was read? The push and the deployment are two
/// webhooks, and nobody says in which order they come.
fn is_overtaken(state: &Repository, id: DeploymentId, now: Timestamp) -> bool {
    state.deployments.get(&id).is_some_and(|deployment| {
        deployment.wanted.is_none()
            && deployment.snapshot.state.is_none()
            && now.since(deployment.seen_at) < OVERTAKEN_MAX
            && rule_of(state, &deployment.snapshot.environment).is_some()
            && !state.suites.contains(&suite_key(&deployment.snapshot))
    })
}

/// Is the `.greenlight.yml` that is known the one of the default branch's tip?
fn is_config_current(state: &Repository) -> bool {
    let tip = state.branches.get(&state.default_branch()).map(|branch| branch.tip);
    match &state.meta().config {
        ConfigStanding::Read { sha, config: Ok(_), .. } => tip.is_none_or(|tip| tip == *sha),
        _ => false,
    }
}

/// Returns what is wrong with the `.greenlight.yml` that a deployment waits for, where it is to an environment that we deploy to.
fn stopped_by_config(state: &Repository, id: DeploymentId) -> Option<Arc<str>> {
    let snapshot = &state.deployments.get(&id)?.snapshot;
    let is_ours = snapshot.state.is_none()
        && snapshot.maker == DeploymentMaker::Anyone
        && (state.environments.contains(&snapshot.environment) || was_named(state, &snapshot.environment));
    match &state.meta().config {
        ConfigStanding::Read { config: Err(problem), .. } if is_ours => Some(problem.clone()),
        _ => None,
    }
}

/// Decides whether a deployment is ours to carry out; if so it waits for its environment.
fn take_on(state: &mut Repository, id: DeploymentId, now: Timestamp) {
    if !is_config_current(state) {
        if let Some(problem) = stopped_by_config(state, id) {
            show(state, id, DeploymentState::Queued, &format!("nothing is deployed: {problem}"), None, None);
        }
        return;
    }
    let Some(deployment) = state.deployments.get(&id) else { return };
    let snapshot = deployment.snapshot.clone();
    let reason: Option<Arc<str>> =
        if deployment.wanted.is_none() && snapshot.state.is_some_and(DeploymentState::is_final) {
            Some("it was over when it was first seen".into())
        } else if deployment.wanted.is_none()
            && matches!(snapshot.state, Some(DeploymentState::Queued | DeploymentState::InProgress))
        {
            Some("somebody else is carrying it out".into())
        } else if snapshot.maker == DeploymentMaker::Actions {
            Some("hosted Actions made it, and carries it out".into())
        } else if rule_of(state, &snapshot.environment).is_none() {
            Some(format!("{} has no entry in .greenlight.yml", snapshot.environment).into())
        } else {
            None
        };
    if let Some(reason) = reason {
        let event = deployment.event.clone();
        if deployment.wanted.is_some() {
            // It was queued by us, and `.greenlight.yml` changed meanwhile.
            return end(state, id, Token::default(), End::error(&reason), now);
        }
        let deployment = state.deployments.get_mut(&id).expect("it was there a line ago");
        deployment.state = Carrying::Watched { reason };
        let has_environments = state.config().is_some_and(|config| !config.environments.is_empty());
        // Where `.greenlight.yml` names environments, what it does not name is not deployed; elsewhere workflows run as on GitHub.
        if let Some(event) = event
            && !has_environments
            && !snapshot.state.is_some_and(DeploymentState::is_final)
            && snapshot.maker == DeploymentMaker::Anyone
        {
            begin_suite(state, &snapshot, event, None, None, now);
        }
        return;
    }
    let before = ahead(state, id);
    let kept = state.environments.get(&snapshot.environment).and_then(|environment| environment.lock.as_ref());
    let text = match (before, kept.and_then(|lock| lock.kept.as_ref())) {
        (_, Some(kept)) => format!("waits: {} is locked by {kept}", snapshot.environment),
        (Some(other), None) => format!("waits for deployment {other}, which holds {}", snapshot.environment),
        (None, None) => "it is about to begin".to_owned(),
    };
    if let Some(deployment) = state.deployments.get_mut(&id)
        && matches!(deployment.state, Carrying::Watched { .. })
    {
        deployment.state = Carrying::Waiting;
    }
    show(state, id, DeploymentState::Queued, &text, None, None);
    state.touch(Topic::Environment(snapshot.environment.clone()));
}

/// Returns the deployment that this one waits for.
fn ahead(state: &Repository, id: DeploymentId) -> Option<DeploymentId> {
    let environment = &state.deployments.get(&id)?.snapshot.environment;
    let holder = state
        .environments
        .get(environment)
        .and_then(|environment| environment.lock.as_ref())
        .map(|lock| lock.deployment);
    holder.filter(|holder| *holder != id).or_else(|| waiting_in(state, environment).next().filter(|first| *first != id))
}

fn waiting_in<'a>(state: &'a Repository, environment: &'a EnvironmentName) -> impl Iterator<Item = DeploymentId> + 'a {
    state
        .deployments
        .values()
        .filter(move |deployment| {
            deployment.state == Carrying::Waiting
                && deployment.wanted.is_some()
                && deployment.snapshot.environment == *environment
        })
        .map(|deployment| deployment.snapshot.id)
}
