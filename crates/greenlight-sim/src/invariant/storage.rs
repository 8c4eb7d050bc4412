//! What is stored: I1, I2, I23, I24.

use std::collections::BTreeSet;
use std::sync::Arc;

use greenlight_core::deployment::{DeployWish, Deployment, WishState};
use greenlight_core::entity::{EntityKey, Report};
use greenlight_core::id::EffectKey;
use greenlight_core::port::NewDelivery;
use greenlight_core::pull::{Branch, MergePhase};
use greenlight_core::run::{Run, SuiteKey};

use super::{Checked, must};
use crate::store::{FakeStore, Inner};
use crate::world::World;
use crate::world::door::EVIL;

/// The runs that there are, by what they are for.
#[derive(Debug, Default)]
pub struct Runs(BTreeSet<(SuiteKey, Arc<str>)>);

/// I1: Every delivery answered 2xx is present, byte for byte.
pub fn i1_accepted_is_present(store: &FakeStore, delivery: &NewDelivery) -> Checked {
    must(store.inner().holds(delivery), "I1", || format!("{} was accepted and is not there", delivery.id))
}

/// I1: … after any crash and restart.
pub fn i1_accepted_survives(world: &World) -> Checked {
    for sent in world.hooks.iter().filter(|sent| sent.accepted) {
        i1_accepted_is_present(&world.store, &sent.delivery)?;
    }
    Ok(())
}

/// I4: No delivery whose signature does not verify changes any row: what is kept is what was signed, one for one.
pub fn i4_only_what_was_signed_is_kept(world: &World) -> Checked {
    let (kept, signed) = (world.store.inner().kept(), world.stored.len() + world.quarantined);
    must(kept == signed, "I4", || format!("{kept} deliveries are kept, but {signed} were signed with our secret"))?;
    let forged = world.stored.iter().find(|number| world.hooks[**number as usize].forged);
    must(forged.is_none(), "I4", || format!("hook {forged:?} is kept, though a stranger sent it"))
}

/// I4: … and nothing of what a stranger would have told is believed.
pub fn i4_nothing_forged_is_believed(world: &World) -> Checked {
    i4_only_what_was_signed_is_kept(world)?;
    let Some(cell) = &world.cell else { return Ok(()) };
    let evil = cell.repository().branches.values().find(|branch| branch.tip == EVIL);
    must(evil.is_none(), "I4", || "a stranger moved a branch".to_owned())
}

/// I24: While storing is impossible, no 2xx is given.
pub fn i24_nothing_is_promised(world: &World) -> Checked {
    must(!world.store.inner().is_full(), "I24", || "a delivery was accepted while the disk was full".to_owned())
}

/// I2: For every effect key (repo, event, subject, head SHA, workflow, attempt) at most one effect exists, however often and
/// in whatever order its deliveries arrived.
pub fn i2_one_run_for_each_key(runs: &mut Runs, run: &Run, is_new: bool) -> Checked {
    if !is_new {
        return Ok(());
    }
    let place = (run.suite.clone(), run.workflow.clone());
    must(runs.0.insert(place), "I2", || format!("run {} is the second of its kind: {:?}", run.number, run.suite))
}

/// Is there an effect whose key begins so? How keys go on is the core's business.
fn wants(inner: &Inner, key: String) -> bool {
    let first = EntityKey::Item(EffectKey::from(key.as_str()));
    inner.after(&first).is_some_and(|found| matches!(found, EntityKey::Item(found) if found.as_str().starts_with(&key)))
}

/// I23: Each outbox row is written in the same transaction as the state change that caused it: a report's end.
pub fn i23_wanted_report_is_in_the_outbox(inner: &Inner, report: &Report) -> Checked {
    let due =
        report.wanted.state.is_final() && report.accepted.as_ref() != Some(&report.wanted) && report.given_up.is_none();
    must(!due || wants(inner, format!("show:{}:{}", report.sha, report.context)), "I23", || {
        format!("the end of {} on {} is decided and not in the outbox", report.context, report.sha.short())
    })
}

/// I23: … a deployment's end.
pub fn i23_wanted_deployment_state_is_in_the_outbox(inner: &Inner, deployment: &Deployment) -> Checked {
    let wanted = deployment.wanted.as_ref();
    let due = wanted.is_some_and(|shown| shown.state.is_final())
        && deployment.accepted.as_ref() != wanted
        && deployment.given_up.is_none();
    let id = deployment.snapshot.id;
    must(!due || wants(inner, format!("show-deployment:{id}")), "I23", || {
        format!("the end of deployment {id} is decided and not in the outbox")
    })
}

/// I23: … a merge.
pub fn i23_merge_is_in_the_outbox(inner: &Inner, branch: &Branch) -> Checked {
    let Some(merging) = &branch.merging else { return Ok(()) };
    let calls = matches!(merging.phase, MergePhase::Calling { .. });
    must(!calls || wants(inner, format!("merge:{}:{}", merging.pull, merging.head_sha)), "I23", || {
        format!("the merge of #{} is decided and not in the outbox", merging.pull)
    })
}

/// I23: … a deployment that is to be made.
pub fn i23_deployment_is_in_the_outbox(inner: &Inner, wish: &DeployWish) -> Checked {
    let creating = matches!(wish.state, WishState::Creating { .. });
    must(!creating || wants(inner, format!("deploy:{}:{}", wish.environment, wish.sha)), "I23", || {
        format!("the deployment of {} to {} is decided and not in the outbox", wish.sha.short(), wish.environment)
    })
}
