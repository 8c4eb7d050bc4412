//! What was changed since the last commit, for the store.

use std::sync::Arc;

use super::Repository;
use super::tracked::Tracked;
use crate::entity::{Audit, Entity, EntityKey};

fn drain<K: Ord + Clone, V>(
    tracked: &mut Tracked<K, V>,
    changes: &mut Vec<(EntityKey, Option<Entity>)>,
    name: impl Fn(&K) -> EntityKey,
    entity: impl Fn(&Arc<V>) -> Entity,
) {
    for key in std::mem::take(&mut tracked.changed) {
        let value = tracked.map.get(&key).map(&entity);
        changes.push((name(&key), value));
    }
}

impl Repository {
    fn count_changed(&self) -> usize {
        let Self { people, branches, pulls, suites, runs, reports, .. } = self;
        let Self { verdicts, proofs, environments, wishes, deployments, outbox, .. } = self;
        let known = people.changed.len() + branches.changed.len() + pulls.changed.len() + suites.changed.len();
        let shown = runs.changed.len() + reports.changed.len() + verdicts.changed.len() + proofs.changed.len();
        let deployed = environments.changed.len() + wishes.changed.len() + deployments.changed.len();
        usize::from(self.meta_changed) + known + shown + deployed + outbox.changed.len()
    }

    /// Takes what was changed since the last time, for the store.
    pub fn take_changes(&mut self) -> (Vec<(EntityKey, Option<Entity>)>, Vec<Audit>) {
        let mut changes = Vec::with_capacity(self.count_changed());
        if std::mem::take(&mut self.meta_changed) {
            changes.push((EntityKey::Meta, Some(Entity::Meta(self.meta.clone()))));
        }
        drain(&mut self.people, &mut changes, |key| EntityKey::Person(*key), |value| Entity::Person(value.clone()));
        drain(
            &mut self.branches,
            &mut changes,
            |key| EntityKey::Branch(key.clone()),
            |value| Entity::Branch(value.clone()),
        );
        drain(&mut self.pulls, &mut changes, |key| EntityKey::Pull(*key), |value| Entity::Pull(value.clone()));
        drain(
            &mut self.suites,
            &mut changes,
            |key| EntityKey::Suite(key.clone()),
            |value| Entity::Suite(value.clone()),
        );
        drain(&mut self.runs, &mut changes, |key| EntityKey::Run(*key), |value| Entity::Run(value.clone()));
        drain(
            &mut self.reports,
            &mut changes,
            |key| EntityKey::Report(key.0, key.1.clone()),
            |value| Entity::Report(value.clone()),
        );
        for key in std::mem::take(&mut self.verdicts.changed) {
            let entity = self.verdicts.map.get(&key).map(|verdict| Entity::Verdict(key.0, key.1.clone(), **verdict));
            changes.push((EntityKey::Verdict(key.0, key.1), entity));
        }
        drain(&mut self.proofs, &mut changes, |key| EntityKey::Proof(*key), |value| Entity::Proof((**value).clone()));
        drain(
            &mut self.environments,
            &mut changes,
            |key| EntityKey::Environment(key.clone()),
            |value| Entity::Environment(value.clone()),
        );
        drain(
            &mut self.wishes,
            &mut changes,
            |key| EntityKey::Wish(key.0.clone(), key.1),
            |value| Entity::Wish(value.clone()),
        );
        drain(
            &mut self.deployments,
            &mut changes,
            |key| EntityKey::Deployment(*key),
            |value| Entity::Deployment(value.clone()),
        );
        drain(&mut self.outbox, &mut changes, |key| EntityKey::Item(key.clone()), |value| Entity::Item(value.clone()));
        (changes, std::mem::take(&mut self.audit))
    }
}
