//! One seed's life, from its birth to its quiet end; and what is told where it fails.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::coverage::Coverage;
use crate::invariant::Violation;
use crate::trace::Lines;
use crate::world::World;

/// How a life went.
#[derive(Clone, Debug)]
pub struct Life {
    /// The seed.
    pub seed: u64,
    /// What happened, as one number.
    pub hash: u64,
    /// What was seen.
    pub coverage: Coverage,
    /// The promise that was broken, and the step.
    pub broken: Option<(u64, Violation)>,
    /// The last lines, where they were kept.
    pub lines: Vec<String>,
}

/// Lives one seed.
pub fn live(seed: u64, steps: u64, lines: Lines) -> Life {
    let mut world = World::new(seed, lines);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live(steps).and_then(|()| world.rest())));
    let broken = match lived {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => Some(Violation { invariant: "panic", text: said(&*panic) }),
    };
    let mut coverage = world.coverage.clone();
    coverage.lives = 1;
    let hash = world.trace.hash() ^ world.store.inner_after_panic().commits();
    Life {
        seed,
        hash,
        broken: broken.map(|violation| (coverage.steps, violation)),
        coverage,
        lines: world.trace.last(),
    }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it panicked".to_owned())
}

/// Returns what is printed of a life that failed: it is lived again, with its lines.
pub fn report(seed: u64, steps: u64) -> String {
    let life = live(seed, steps, Lines::Last);
    let Some((step, violation)) = life.broken else {
        return format!("seed {seed} failed, and did not fail when it was lived again: it is no seed (I32)");
    };
    format!(
        "{}\n\nseed {seed} broke {} at step {step}: {}\n  again: cargo xtask sim --seed {seed} --steps {steps} --trace",
        life.lines.join("\n"),
        violation.invariant,
        violation.text
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_of_lives_keeps_every_promise() {
        for seed in 0..12 {
            let life = live(seed, 400, Lines::None);
            assert!(life.broken.is_none(), "{}", report(seed, 400));
        }
    }

    #[test]
    fn a_seed_is_a_life() {
        for seed in 20..23 {
            assert_eq!(live(seed, 300, Lines::None).hash, live(seed, 300, Lines::Last).hash);
        }
    }
}
