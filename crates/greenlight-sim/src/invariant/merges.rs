//! Merges, from GitHub's side: I13, I15, and that a difference halts (R1).

use greenlight_core::config::MergeWhen;
use greenlight_core::effect::Effect;
use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::id::{PullNumber, Sha};
use greenlight_core::pull::{Branch, MergePhase, MergeStanding, Pull};
use greenlight_core::run::Subject;
use greenlight_core::shown::ReportState;

use super::{Checked, must};
use crate::github::STALE_MAX;
use crate::objects::{Index, name};
use crate::store::Inner;
use crate::world::World;

/// A merge of ours took effect on GitHub.
pub fn merged(world: &mut World, number: PullNumber, tip: Index, landed: Index, effect: &Effect) -> Checked {
    let Effect::Merge { head_sha, .. } = effect else { return Ok(()) };
    i13_what_lands_was_tested(world, number, *head_sha)?;
    i15_approval_was_valid(world, number, *head_sha)?;
    let tree = world.github.objects.tree(landed);
    let head = world.github.pull(number).map(|pull| pull.head);
    let last_base = world.github.pull(number).and_then(|pull| pull.last_read).map(|read| read.base_tip);
    let tested = head.zip(last_base).and_then(|(head, base)| {
        let base = world.github.objects.find(base)?;
        world.github.objects.known_merge(base, head)
    });
    let tested_tree = tested.map(|index| world.github.objects.tree(index));
    world.trace.line(|| {
        let what = if tested_tree == Some(tree) { "the tree that was tested" } else { "another tree than was tested" };
        format!("  #{number} landed on {} as {}, {what}", name(tip).short(), name(landed).short())
    });
    if let (Some(pull), Some(tested_tree)) = (world.github.pull_mut(number), tested_tree) {
        pull.landed = Some((tested_tree, tree));
    }
    Ok(())
}

/// I13: No commit becomes the tip of a target branch by us unless its tree was itself tested with every required context
/// `success` on a commit with that tree and that parent tip (as last read before the call).
fn i13_what_lands_was_tested(world: &World, number: PullNumber, head_sha: Sha) -> Checked {
    let Some(pull) = world.github.pull(number) else { return Ok(()) };
    let Some(read) = pull.last_read else {
        return must(false, "I13", || format!("#{number} was merged and never read before"));
    };
    let objects = &world.github.objects;
    let pair = objects.find(read.base_tip).zip(objects.find(head_sha));
    let Some(merge) = pair.and_then(|(base, head)| objects.known_merge(base, head)) else {
        return must(false, "I13", || {
            format!("#{number} was merged; its head on {} (as last read) was never tested", read.base_tip.short())
        });
    };
    // The call has no guard for the base: a new one that nobody told of yet is found by the comparison of the trees.
    let subject = Subject::Pull(number, world.github.branches[read.base].name.clone());
    must(world.checks.jobs.is_green(name(merge), &subject), "I13", || {
        format!(
            "#{number} was merged; the tests of {} on {} were not all green",
            head_sha.short(),
            read.base_tip.short()
        )
    })?;
    if !world.github.sources.lint {
        return Ok(());
    }
    let lint = world.github.verdicts.get(&(head_sha, "lint".into()));
    must(lint.is_some(), "I13", || format!("#{number} was merged and nobody said lint of {}", head_sha.short()))
}

/// I15: A pull request is landed only at the exact head SHA its approval names, with the approval still valid at landing
/// (as far as GitHub had told).
fn i15_approval_was_valid(world: &World, number: PullNumber, head_sha: Sha) -> Checked {
    let Some(pull) = world.github.pull(number) else { return Ok(()) };
    must(name(pull.head) == head_sha, "I15", || format!("#{number} landed at another head"))?;
    let trusted = world.github.is_trusted(pull);
    let since = pull.last_read.map_or(0, |read| read.at) - STALE_MAX - 1000;
    let approved = world.github.is_approved(pull) || pull.valid_until >= since;
    let asked = pull.said.iter().any(|said| {
        said.head == pull.head && said.comment.body.starts_with("/merge") && world.github.people[said.by].1.can_write()
    });
    match world.github.sources.when {
        None => return must(false, "I15", || format!("#{number} was merged, but nothing is merged here")),
        Some(MergeWhen::Approved) => {
            must(approved, "I15", || format!("#{number} landed without a valid approval of {}", head_sha.short()))?
        }
        Some(MergeWhen::Command) => {
            must(asked, "I15", || format!("#{number} landed and nobody who may said /merge of {}", head_sha.short()))?
        }
        Some(MergeWhen::Green) => {}
    }
    must(trusted || approved, "I15", || format!("#{number} is not trusted and landed without an approval"))
}

/// I13, when the call leaves: GitHub shows the aggregate as a success. What begins while it is under way comes too late.
pub fn i13_sent_while_green(world: &World, number: PullNumber, head_sha: Sha) -> Checked {
    let aggregate = world.github.aggregate(head_sha).map(|shown| shown.state);
    must(aggregate == Some(ReportState::Success), "I13", || {
        format!("#{number} is to be merged while greenlight on {} is {aggregate:?}", head_sha.short())
    })
}

/// I15, from our side: what was told to us before the call left did not take the approval back.
pub fn i15_sent_for_an_approved_head(world: &World, number: PullNumber, head_sha: Sha) -> Checked {
    let Some(pull) = world.cell.as_ref().and_then(|cell| cell.repository().pulls.get(&number)) else { return Ok(()) };
    must(pull.snapshot.head_sha == head_sha, "I15", || {
        format!("#{number} is to be merged at {}, but is at {}", head_sha.short(), pull.snapshot.head_sha.short())
    })
}

/// R1: a landed tree unlike the tested one halts merging into that branch in the same step.
pub fn r1_difference_halts(inner: &Inner, pull: &Pull, before: Option<&Entity>) -> Checked {
    let MergeStanding::Landed { tested_tree, landed_tree: Some(landed_tree) } = &pull.merge else { return Ok(()) };
    let news = !matches!(before, Some(Entity::Pull(before)) if before.merge == pull.merge);
    if !news || tested_tree == landed_tree {
        return Ok(());
    }
    let branch = inner.get(&EntityKey::Branch(pull.snapshot.base_ref.clone()));
    let halted = matches!(branch, Some(Entity::Branch(branch)) if branch.halted.is_some());
    must(halted, "R1", || format!("#{} landed as another tree, and merging goes on", pull.snapshot.number))
}

/// Did a merge begin to test again, because the base moved?
pub fn began_retest(branch: &Branch, before: Option<&Entity>) -> bool {
    let is_retest = |branch: &Branch| {
        branch.merging.as_ref().is_some_and(|merging| matches!(merging.phase, MergePhase::Retesting { .. }))
    };
    is_retest(branch) && !matches!(before, Some(Entity::Branch(before)) if is_retest(before))
}
