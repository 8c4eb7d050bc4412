//! What is shown and told of deployments.

use std::sync::Arc;

use crate::config::NotifyOn;
use crate::deployment::Deployment;
use crate::effect::{Effect, Outcome, is_forbidden};
use crate::event::DeploymentState;
use crate::id::{DeploymentId, EffectKey};
use crate::item::Class;
use crate::outbox::{Wanted, want, withdraw};
use crate::repository::{Repository, Topic};
use crate::room::tell;
use crate::shown::{Link, ShownDeployment, description};

pub(super) fn word(result: DeploymentState) -> &'static str {
    match result {
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        _ => "error",
    }
}

pub(super) fn announce(state: &mut Repository, id: DeploymentId, moment: &str, text: &str) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    let snapshot = &deployment.snapshot;
    let message = format!(
        "{}'s {} deployment of {} ({}) {text}",
        snapshot.creator.login,
        snapshot.environment,
        state.meta().repository.full_name,
        snapshot.sha.short()
    );
    tell(state, NotifyOn::Deployment, &format!("deployment:{id}:{moment}"), &message);
}

/// Says what GitHub should show of a deployment. Returns whether the state is a new one.
pub(super) fn show(
    state: &mut Repository,
    id: DeploymentId,
    result: DeploymentState,
    text: &str,
    log: Option<Link>,
    environment_url: Option<Arc<str>>,
) -> bool {
    let Some(deployment) = state.deployments.get(&id) else { return false };
    let before = deployment.wanted.as_ref().map(|shown| shown.state);
    if before.is_some_and(|known| known.is_final() || known > result) {
        return false;
    }
    let shown = ShownDeployment { state: result, description: description(text), log, environment_url };
    if deployment.wanted.as_ref() == Some(&shown) {
        return false;
    }
    let deployment = state.deployments.get_mut(&id).expect("it was there a line ago");
    deployment.wanted = Some(shown);
    // A permission may have been given back, and another state is worth a try.
    if is_forbidden(deployment.given_up.as_ref()) {
        deployment.given_up = None;
    }
    state.touch(Topic::Deployment(id));
    before != Some(result)
}

pub(super) fn settle_shown(state: &mut Repository, id: DeploymentId) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    let key = EffectKey::from(format!("show-deployment:{id}"));
    let Some(wanted) = deployment.wanted.clone() else { return };
    // A text alone is not worth a write.
    let settled = deployment
        .accepted
        .as_ref()
        .is_some_and(|accepted| *accepted == wanted || (accepted.state == wanted.state && !wanted.state.is_final()));
    if settled || deployment.given_up.is_some() {
        withdraw(state, &key);
        return;
    }
    want(state, Wanted::now(key, Class::Deployment, Effect::ShowDeployment { id, shown: wanted }));
}

/// Takes in what became of showing a deployment's state.
pub(crate) fn shown(state: &mut Repository, effect: &Effect, outcome: &Outcome) {
    let Effect::ShowDeployment { id, shown } = effect else { return };
    let Some(deployment) = state.deployments.get_mut(id) else { return };
    match outcome {
        Outcome::Done(_) => deployment.accepted = Some(shown.clone()),
        Outcome::Refused(refusal) => deployment.given_up = Some(refusal.reason()),
        // What is tried again is what is wanted by then.
        Outcome::Later { .. } | Outcome::Unknown { .. } => {}
    }
    state.touch(Topic::Deployment(*id));
}

/// Returns the deployments whose state GitHub did not let us write.
pub(crate) fn refused(state: &Repository) -> Vec<DeploymentId> {
    let is_refused = |deployment: &&Deployment| is_forbidden(deployment.given_up.as_ref());
    state.deployments.values().filter(is_refused).map(|deployment| deployment.snapshot.id).collect()
}

/// Has a deployment's state written once more.
pub(crate) fn show_again(state: &mut Repository, id: DeploymentId) {
    if let Some(deployment) = state.deployments.get_mut(&id) {
        deployment.given_up = None;
        state.touch(Topic::Deployment(id));
    }
}
