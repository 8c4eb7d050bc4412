//! From what was stored back to a live state.

use std::sync::Arc;

use super::{Repository, Settings, Words};
use crate::effect::{Effect, is_forbidden};
use crate::entity::Entity;
use crate::fact::RepositoryRef;
use crate::item::ItemState;
use crate::run::SuitePhase;

impl Repository {
    /// Returns a repository as it was stored. Everything is touched, so that all alarms are set again.
    pub fn load(repository: RepositoryRef, settings: Settings, entities: Vec<Entity>) -> Self {
        let mut state = Self::new(repository, settings);
        state.meta_changed = false;
        state.indexed = false;
        for entity in entities {
            state.take_in(entity);
        }
        // At start GitHub is compared with, whenever that was done last (R5).
        state.meta.reconciled_at = None;
        state.touch_open();
        state
    }

    /// Touches what is not over, so that alarms and indices are there again. What is over was settled when it was stored.
    fn touch_open(&mut self) {
        let agenda = &mut self.agenda;
        agenda.repository = true;
        let asked = self.people.map.iter().filter(|(_, person)| person.asked_at.is_some());
        agenda.people.extend(asked.map(|(id, _)| *id));
        agenda.pulls.extend(self.pulls.map.iter().filter(|(_, pull)| pull.is_unsettled()).map(|(number, _)| *number));
        for suite in self.suites.map.values() {
            let is_active = |number| self.runs.map.get(number).is_some_and(|run| !run.is_over());
            if matches!(suite.phase, SuitePhase::Reading { .. }) || suite.runs.iter().any(is_active) {
                agenda.suites.insert(suite.key.clone());
                agenda.commits.insert(suite.key.head_sha);
            }
        }
        agenda.runs.extend(self.runs.map.iter().filter(|(_, run)| !run.is_over()).map(|(number, _)| *number));
        let unsettled = self.reports.map.iter().filter(|(_, report)| report.is_unsettled());
        agenda.reports.extend(unsettled.map(|(name, _)| name.clone()));
        agenda.branches.extend(self.branches.map.keys().cloned());
        agenda.wishes.extend(self.wishes.map.iter().filter(|(_, wish)| wish.is_open()).map(|(name, _)| name.clone()));
        agenda.environments.extend(self.environments.map.keys().cloned());
        let open = self.deployments.map.iter().filter(|(_, deployment)| deployment.is_unsettled());
        agenda.deployments.extend(open.map(|(id, _)| *id));
        // What was under way may be older than what is wanted, though GitHub shows that already.
        for item in self.outbox.map.values() {
            match &item.effect {
                Effect::Show { sha, context, .. } => agenda.reports.insert((*sha, context.clone())),
                Effect::ShowDeployment { id, .. } => agenda.deployments.insert(*id),
                Effect::Comment { pull, .. } => agenda.pulls.insert(*pull),
                Effect::CreateDeployment { sha, environment, .. } => agenda.wishes.insert((environment.clone(), *sha)),
                _ => {}
            }
        }
    }

    fn take_in(&mut self, entity: Entity) {
        match entity {
            Entity::Meta(meta) => {
                self.words = Words::of(&meta.repository);
                self.meta = meta;
            }
            Entity::Person(person) => self.people.load(person.user.id, person),
            Entity::Branch(branch) => self.branches.load(branch.name.clone(), branch),
            Entity::Pull(pull) => self.pulls.load(pull.snapshot.number, pull),
            Entity::Suite(suite) => {
                self.index_suite(&suite.key);
                self.suites.load(suite.key.clone(), suite);
            }
            Entity::Run(run) => self.runs.load(run.number, run),
            Entity::Report(report) => {
                let name = (report.sha, report.context.clone());
                if is_forbidden(report.given_up.as_ref()) {
                    self.forbidden.insert(name.clone());
                }
                self.reports.load(name, report);
            }
            Entity::Verdict(sha, context, verdict) => self.verdicts.load((sha, context), Arc::new(verdict)),
            Entity::Proof(proof) => self.proofs.load(proof.tree, Arc::new(proof)),
            Entity::Environment(environment) => self.environments.load(environment.name.clone(), environment),
            Entity::Wish(wish) => self.wishes.load((wish.environment.clone(), wish.sha), wish),
            Entity::Deployment(deployment) => self.deployments.load(deployment.snapshot.id, deployment),
            Entity::Item(mut shared) => {
                let item = Arc::make_mut(&mut shared);
                // Whether it was carried out before the restart nobody knows.
                item.confirm = true;
                item.state = match item.state {
                    ItemState::InFlight { since } => ItemState::Ready { not_before: since },
                    ready => ready,
                };
                self.enter_lane(item);
                match &item.effect {
                    Effect::Show { sha, context, .. } => {
                        self.showing.insert((*sha, context.clone()));
                    }
                    Effect::Comment { pull, .. } => {
                        self.noting.insert(*pull);
                    }
                    _ => {}
                }
                self.outbox.load(item.key.clone(), shared);
            }
        }
    }
}
