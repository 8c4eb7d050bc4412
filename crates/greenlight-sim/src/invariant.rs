//! What must hold after every step, as named functions: the I… of the reliability page.
//!
//! They judge by what the fake GitHub and the fake runners saw wherever that can be told, and by what was committed elsewhere;
//! they look at what changed, and every fiftieth step at everything.

pub mod deploys;
pub mod jobs;
pub mod merges;
pub mod reports;
pub mod settled;
pub mod storage;
pub mod whole;

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
    let World { store, checks, unlocking, coverage, github, .. } = world;
    let inner = store.inner();
    for (key, before) in changed {
        let now = inner.get(key);
        match (key, now) {
            (EntityKey::Report(..), Some(Entity::Report(report))) => {
                reports::decided(&mut checks.reports, report)?;
                storage::i23_wanted_report_is_in_the_outbox(&inner, report)?;
            }
            (EntityKey::Run(..), Some(Entity::Run(run))) => {
                jobs::i9_terminal_states_stay(&mut checks.jobs, run, &github.objects, coverage)?;
                storage::i2_one_run_for_each_key(&mut checks.storage, run, before.is_none())?;
            }
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
    Ok(())
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
