//! Deployments: I19, I20, I21, I22.

use std::collections::BTreeSet;

use greenlight_core::deployment::{Carrying, Deployment, Environment, Lock};
use greenlight_core::effect::JobOrder;
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::event::{DeploymentState, PullStanding};
use greenlight_core::id::{EffectKey, Sha};

use super::{Checked, must};
use crate::coverage::Moment;
use crate::github::state_of;
use crate::store::Inner;
use crate::world::World;

/// Which deploy jobs were begun.
#[derive(Debug, Default)]
pub struct Deploys(BTreeSet<(u64, String)>);

/// I19: At most one deployment per environment is in state running.
pub fn i19_one_at_a_time(inner: &Inner, deployment: &Deployment) -> Checked {
    let Carrying::Started { token, .. } = &deployment.state else { return Ok(()) };
    let name = &deployment.snapshot.environment;
    let lock = match inner.get(&EntityKey::Environment(name.clone())) {
        Some(Entity::Environment(environment)) => environment.lock.as_ref(),
        _ => None,
    };
    let holds = lock.is_some_and(|lock| lock.deployment == deployment.snapshot.id && lock.token == *token);
    must(holds, "I19", || format!("deployment {} runs in {name}, which {lock:?} holds", deployment.snapshot.id))
}

/// I20: A lock is released only by its own fencing token, by lease expiry after its holder is terminal, or by a logged human
/// act.
pub fn i20_released_by_its_token(
    inner: &Inner,
    environment: &Environment,
    before: Option<&Lock>,
    unlocking: Option<&str>,
) -> Checked {
    let Some(before) = before else { return Ok(()) };
    if environment.lock.as_ref().is_some_and(|lock| lock.token == before.token) {
        return Ok(());
    }
    let over = matches!(
        inner.get(&EntityKey::Deployment(before.deployment)),
        Some(Entity::Deployment(deployment)) if deployment.state == Carrying::Done
    );
    let by_person = unlocking == Some(environment.name.as_str());
    must(by_person || (over && before.kept.is_none()), "I20", || {
        format!("{} was taken from deployment {}, which is not over or keeps it", environment.name, before.deployment)
    })
}

/// I21: No deployment starts from a commit that is not the one approved, landed, or named by the deployment for it.
pub fn made(world: &World, sha: Sha, key: &EffectKey) -> Checked {
    let landed = world.github.pulls.iter().any(|pull| pull.standing == PullStanding::Merged { commit: Some(sha) });
    must(landed, "I21", || format!("{key}: {} never landed", sha.short()))?;
    let twice = world.github.deployments.iter().filter(|known| known.snapshot.key.as_ref() == Some(key)).count() > 1;
    must(!twice, "I2", || format!("{key} was made twice"))?;
    let tree = world.github.objects.find(sha).map(|index| world.github.objects.tree(index));
    let proven = tree.is_some_and(|tree| world.checks.jobs.green_trees.contains(&tree));
    must(proven, "I21", || format!("{key}: the tree of {} was never tested green", sha.short()))
}

/// I22: No deploy job is started twice for one deployment id. I21: and it deploys the commit that the deployment names.
pub fn i22_never_twice(world: &mut World, order: &JobOrder) -> Checked {
    let id = world.run(order.attempt.run).and_then(|run| run.deployment);
    let Some(id) = id else { return Ok(()) };
    let place = (id.0, order.attempt.job.to_string());
    must(world.checks.deploys.0.insert(place), "I22", || {
        format!("{} carries deployment {id} out again", order.attempt)
    })?;
    let named = world.github.deployments.iter().find(|known| known.snapshot.id == id).map(|known| known.snapshot.sha);
    must(named == Some(order.checkout.sha), "I21", || {
        format!("{} deploys {}, but deployment {id} names {named:?}", order.attempt, order.checkout.sha.short())
    })?;
    let environment = order.env.iter().find(|(name, _)| &**name == "DEPLOY_ENV").map(|(_, value)| value.clone());
    let clock = world.server_millis();
    for other in &world.runners {
        let Some(work) = &other.work else { continue };
        let Some((other_id, place)) = &work.deployment else { continue };
        let ours = world.run(work.attempt.run).is_some_and(|run| run.deployment.is_some() && !run.is_over());
        let both = ours && *other_id != id.0 && Some(place) == environment.as_ref() && work.until > clock;
        must(!both, "I19", || format!("deployments {id} and {other_id} run in {place} at once"))?;
    }
    Ok(())
}

/// A deployment's state was shown.
pub fn showed(world: &mut World, at: usize) -> Checked {
    let statuses = &world.github.deployments[at].statuses;
    match state_of(&world.github.deployments[at]) {
        Some(DeploymentState::Success) => world.coverage.saw(Moment::DeploymentSuccess),
        Some(DeploymentState::Error) if statuses.last().is_some_and(|last| last.description.contains("unknown")) => {
            world.coverage.saw(Moment::DeploymentUnknown);
        }
        _ => {}
    }
    let ended = |state: DeploymentState| state.is_final() && state != DeploymentState::Inactive;
    let first = statuses.iter().position(|shown| ended(shown.state));
    let after = first.and_then(|first| statuses.iter().skip(first + 1).find(|shown| !shown.state.is_final()));
    must(after.is_none(), "I6", || format!("deployment {} is {after:?} after its end", at + 1))
}
