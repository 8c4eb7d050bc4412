//! The full check: everything at once, every fiftieth step.

use std::collections::BTreeMap;

use greenlight_core::deployment::Carrying;
use greenlight_core::engine;
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::id::EnvironmentName;
use greenlight_core::repository::Repository;
use greenlight_core::time::Duration;

use super::{Checked, deploys, must};
use crate::store::Inner;
use crate::world::World;
use crate::world::runner::LEASE;

/// How much longer than its timeout an attempt may stay (I11), with the grace that the runner has to end it itself.
const LATE_MAX: Duration = Duration::from_secs(30 + 60);

/// How many lines of a difference are shown of each side.
const LINES_MAX: usize = 12;

/// Checks everything.
pub fn everything_holds(world: &mut World) -> Checked {
    i11_nothing_stays(world)?;
    if let Some(cell) = &world.cell {
        i19_one_each(cell.repository())?;
    }
    super::storage::i4_nothing_forged_is_believed(world)?;
    decide_over_everything(world)
}

/// I11: No attempt stays non-terminal longer than its timeout + lease + 30 s of fake time; where the server was away, than a lease after
/// its return.
fn i11_nothing_stays(world: &World) -> Checked {
    let (Some(cell), 0) = (&world.cell, world.skew) else { return Ok(()) };
    let now = world.clock();
    if now.since(world.up_since) <= LEASE + LATE_MAX {
        return Ok(());
    }
    for run in cell.repository().runs.values().filter(|run| !run.is_over()) {
        for job in &run.jobs {
            let Some(lease) = job.lease() else { continue };
            must(now.since(lease.since) <= job.timeout + LEASE + LATE_MAX, "I11", || {
                format!("run {} job {} is still leased", run.number, job.key)
            })?;
        }
    }
    Ok(())
}

/// I19: At most one deployment per environment is in state running.
fn i19_one_each(state: &Repository) -> Checked {
    let mut running: BTreeMap<&EnvironmentName, u32> = BTreeMap::new();
    for deployment in state.deployments.values() {
        if let Carrying::Started { .. } = deployment.state {
            *running.entry(&deployment.snapshot.environment).or_default() += 1;
        }
    }
    for (name, count) in running {
        must(count <= 1, "I19", || format!("{count} deployments run in {name}"))?;
    }
    Ok(())
}

/// Deciding over everything gives what deciding over what was touched gave: nothing is forgotten, nothing is remembered in
/// memory only.
fn decide_over_everything(world: &mut World) -> Checked {
    let now = world.clock();
    let Some(cell) = &world.cell else { return Ok(()) };
    let mut state = cell.repository().clone();
    state.touch_all();
    engine::decide(&mut state, now);
    let (changes, _) = state.take_changes();
    let inner = world.store.inner();
    i19_one_each(&state)?;
    for (key, entity) in &changes {
        // Looking at everything is looking at what is over, too: it frees nobody's lock but its own.
        if let (Some(Entity::Environment(environment)), Some(Entity::Environment(before))) = (entity, inner.get(key)) {
            deploys::i20_released_by_its_token(&inner, environment, before.lock.as_ref(), None)?;
        }
    }
    // A new item changes the last place in the row of the repository: the item says more.
    let (meta, others): (Vec<_>, Vec<_>) = changes.iter().partition(|(key, _)| *key == EntityKey::Meta);
    for (key, entity) in others.into_iter().chain(meta) {
        must(is_same(&inner, key, entity.as_ref()), "decide", || {
            let (before, after) = (format!("{:#?}", inner.get(key)), format!("{:#?}", entity.as_ref()));
            format!("deciding over everything changes {key:?}:{}", difference(&before, &after))
        })?;
    }
    Ok(())
}

/// Returns the lines at which the two differ, at most a few.
fn difference(before: &str, after: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let alike = old.iter().zip(&new).take_while(|(one, other)| one == other).count();
    let rest = old.len().min(new.len()) - alike;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(one, other)| one == other).count();
    let part = |lines: &[&str], sign: char| {
        let changed = &lines[alike..lines.len() - tail];
        changed.iter().take(LINES_MAX).map(|line| format!("\n  {sign} {}", line.trim())).collect::<String>()
    };
    let context = old[..alike].iter().rev().take(2).rev().map(|line| format!("\n    {}", line.trim()));
    context.collect::<String>() + &part(&old, '-') + &part(&new, '+')
}

fn is_same(inner: &Inner, key: &EntityKey, entity: Option<&Entity>) -> bool {
    match (inner.get(key), entity) {
        (None, None) => true,
        // What is under way is so in memory only.
        (Some(Entity::Item(stored)), Some(Entity::Item(item))) => {
            stored.effect == item.effect && stored.after_success == item.after_success
        }
        (stored, decided) => stored == decided,
    }
}
