//! The lock of an environment: freed by its own token, kept for a person, freed by one.

use std::sync::Arc;

use super::waiting_in;
use crate::id::{DeploymentId, EnvironmentName, Token};
use crate::repository::{Repository, Topic};

/// Frees an environment, if this is still its holder and nobody keeps it (R21).
pub(super) fn free(state: &mut Repository, name: &EnvironmentName, id: DeploymentId, token: Token) {
    let Some(environment) = state.environments.get_mut(name) else { return };
    let held = environment
        .lock
        .as_ref()
        .is_some_and(|lock| lock.deployment == id && lock.token == token && lock.kept.is_none());
    if held {
        environment.lock = None;
        state.touch(Topic::Environment(name.clone()));
    }
}

pub(super) fn keep_lock(state: &mut Repository, id: DeploymentId, token: Token, why: &str) {
    let Some(name) = state.deployments.get(&id).map(|deployment| deployment.snapshot.environment.clone()) else {
        return;
    };
    let Some(environment) = state.environments.get_mut(&name) else { return };
    if let Some(lock) = environment.lock.as_mut().filter(|lock| lock.deployment == id && lock.token == token) {
        lock.kept = Some(format!("deployment {id}: {why}; a person must look and unlock {name}").into());
    }
    // Those that wait are told for whom.
    let waiting: Vec<_> = waiting_in(state, &name).collect();
    for other in waiting {
        state.touch(Topic::Deployment(other));
    }
}

/// A person frees an environment. Returns what to say.
pub(crate) fn unlock(state: &mut Repository, name: &EnvironmentName, by: &str) -> Result<Arc<str>, Arc<str>> {
    let Some(lock) = state.environments.get(name).and_then(|environment| environment.lock.clone()) else {
        return Err(format!("{name} is not locked").into());
    };
    if lock.kept.is_none() {
        return Err(
            format!("deployment {} holds {name} and is under way; cancel its run first", lock.deployment).into()
        );
    }
    if let Some(environment) = state.environments.get_mut(name) {
        environment.lock = None;
    }
    state.note(name.as_str(), format!("unlocked by {by}"));
    state.touch(Topic::Environment(name.clone()));
    Ok(format!("{name} is unlocked").into())
}
