//! What must hold after every step, as named functions: the I… of the reliability page.
//!
//! They judge by what the fake GitHub and the fake runners saw wherever that can be told, and by what was committed elsewhere;
//! they look at what changed, and every fiftieth step at everything.

pub mod calls;
pub mod clock;
pub mod deploys;
pub mod jobs;
pub mod merges;
pub mod reports;
pub mod settled;
pub mod storage;
pub mod turns;
pub mod whole;

use std::collections::BTreeSet;

use greenlight_core::effect::{Dispatch, Effect};
use greenlight_core::entity::{Entity, EntityKey};

use crate::world::World;

/// A promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub invariant: &'static str,
    /// How.
    pub text: String,
}

/// Whether a promise held.
pub type Checked = Result<(), Violation>;

/// Says that a promise was broken.
pub fn violation(invariant: &'static str, text: String) -> Violation {
    Violation { invariant, text }
}

/// Fails unless `holds`.
pub fn must(holds: bool, invariant: &'static str, text: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(violation(invariant, text())) }
}

/// What the invariants remember of a life.
#[derive(Debug, Default)]
pub struct Checks {
    /// What was decided, sent and accepted under each context.
    pub reports: reports::Reports,
    /// How jobs were leased and ended.
    pub jobs: jobs::Jobs,
    /// Which deploy jobs were begun.
    pub deploys: deploys::Deploys,
    /// Which runs there are.
    pub storage: storage::Runs,
    /// What the clock started.
    pub clock: clock::Started,
    /// Who has a part in which concurrency group.
    pub groups: turns::Groups,
    last_full: u64,
}

impl Checks {
    /// Is a full check due at this step?
    pub fn is_due(&mut self, step: u64, every: u64) -> bool {
        let due = step >= self.last_full + every;
        if due {
            self.last_full = step;
        }
        due
    }
}

/// Looks at what a commit changed: each key with what was there before.
pub fn after_commit(world: &mut World, changed: &[(EntityKey, Option<Entity>)]) -> Checked {
    let time = world.clock();
    let World { store, checks, unlocking, coverage, github, cell, .. } = world;
    let inner = store.inner();
    let mut groups = BTreeSet::new();
    for (key, before) in changed {
        let now = inner.get(key);
        match (key, now) {
            (EntityKey::Meta, Some(Entity::Meta(meta))) => {
                clock::i3_nothing_due_is_passed_over(before.as_ref(), meta, changed, time, coverage)?;
            }
            (EntityKey::Report(..), Some(Entity::Report(report))) => {
                reports::decided(&mut checks.reports, report)?;
                storage::i23_wanted_report_is_in_the_outbox(&inner, report)?;
            }
            (EntityKey::Run(..), Some(Entity::Run(run))) => {
                jobs::i9_terminal_states_stay(&mut checks.jobs, run, &github.objects, coverage)?;
                storage::i2_one_run_for_each_key(&mut checks.storage, run, before.is_none())?;
                clock::i2_a_due_time_starts_once(&mut checks.clock, run)?;
                let before = match before {
                    Some(Entity::Run(before)) => Some(&**before),
                    _ => None,
                };
                calls::i9_a_call_ends_with_its_jobs(run, before, coverage)?;
                if let Some(cell) = cell {
                    turns::i18_who_waits_says_why(cell.repository(), run)?;
                }
                turns::count(run, before, coverage);
                groups.append(&mut checks.groups.take_in(run.number, Some(run)));
            }
            (EntityKey::Run(number), None) => groups.append(&mut checks.groups.take_in(*number, None)),
            (EntityKey::Environment(..), Some(Entity::Environment(environment))) => {
                let before = match before {
                    Some(Entity::Environment(before)) => before.lock.as_ref(),
                    _ => None,
                };
                deploys::i20_released_by_its_token(&inner, environment, before, *unlocking)?;
            }
            (EntityKey::Deployment(..), Some(Entity::Deployment(deployment))) => {
                deploys::i19_one_at_a_time(&inner, deployment)?;
                storage::i23_wanted_deployment_state_is_in_the_outbox(&inner, deployment)?;
            }
            (EntityKey::Branch(..), Some(Entity::Branch(branch))) => {
                storage::i23_merge_is_in_the_outbox(&inner, branch)?;
                let halted_before = matches!(before, Some(Entity::Branch(before)) if before.halted.is_some());
                if branch.halted.is_some() && !halted_before {
                    coverage.saw(crate::coverage::Moment::Halt);
                }
                if merges::began_retest(branch, before.as_ref()) {
                    coverage.saw(crate::coverage::Moment::Retest);
                }
            }
            (EntityKey::Pull(..), Some(Entity::Pull(pull))) => {
                merges::r1_difference_halts(&inner, pull, before.as_ref())?
            }
            (EntityKey::Wish(..), Some(Entity::Wish(wish))) => storage::i23_deployment_is_in_the_outbox(&inner, wish)?,
            _ => {}
        }
    }
    groups.iter().try_for_each(|group| checks.groups.i12_one_at_a_time(&inner, group))
}

/// Looks at an effect that is about to be sent.
pub fn sent(world: &mut World, dispatch: &Dispatch) -> Checked {
    must(!world.stuck, "I24", || format!("{} was started while nothing could be stored", dispatch.key))?;
    match &dispatch.effect {
        Effect::Show { sha, context, report, .. } => {
            reports::i6_no_pending_after_the_end(&mut world.checks.reports, *sha, context, report)
        }
        Effect::Merge { pull, head_sha, .. } => {
            // A try that confirms may find it done, and what it left behind.
            if !dispatch.confirm {
                merges::i13_sent_while_green(world, *pull, *head_sha)?;
            }
            merges::i15_sent_for_an_approved_head(world, *pull, *head_sha)
        }
        _ => Ok(()),
    }
}
