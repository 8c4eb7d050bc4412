//! What became of effects, each told to the rule that wanted it.

use super::change::{reviewed, verdict_seen};
use super::cron;
use super::pull::{ensure_branch, landed_read, noted};
use super::reconcile::{not_reconciled, reconciled};
use super::seen::pull_seen;
use crate::effect::{Answer, Effect, Outcome, PullRead};
use crate::event::{BranchRules, PullStanding};
use crate::id::{EffectKey, PullNumber, RefName, Sha};
use crate::repository::{Repository, Topic};
use crate::time::Timestamp;
use crate::{command, configured, deploy, merge, outbox, plan, report, trust};

pub(super) fn came_back(state: &mut Repository, key: &EffectKey, outcome: &Outcome, now: Timestamp) {
    let Some(item) = outbox::settle(state, key, outcome, now) else { return };
    match &item.effect {
        Effect::PrepareMerge { .. } => plan::files_read(state, key, outcome, now),
        Effect::ReadCommit { sha, .. } => commit_read(state, key, *sha, outcome, now),
        Effect::ReadPermission(_) => {
            if let Some(id) = trust::user_of(key) {
                trust::permission_read(state, id, outcome, now);
            }
        }
        Effect::ReadPull(number) => pull_read(state, *number, outcome, now),
        Effect::Reconcile { .. } => {
            match outcome {
                Outcome::Done(Answer::Reconciled(read)) => reconciled(state, read, now),
                Outcome::Refused(refusal) => not_reconciled(state, refusal, now),
                _ => {}
            }
            state.touch(Topic::Repository);
        }
        Effect::Show { .. } => report::shown(state, &item.effect, outcome, now),
        Effect::Comment { .. } => noted(state, &item.effect, outcome),
        Effect::Merge { .. } => merge::called(state, key, &item.effect, outcome, now),
        Effect::CreateDeployment { .. } => deploy::created(state, key, &item.effect, outcome, now),
        Effect::ShowDeployment { .. } => deploy::shown(state, &item.effect, outcome),
        Effect::Tell { .. } => {
            if let Outcome::Refused(refusal) = outcome {
                state.note("room", format!("a line was refused: {}", refusal.reason()));
            }
        }
    }
}

fn commit_read(state: &mut Repository, key: &EffectKey, sha: Sha, outcome: &Outcome, now: Timestamp) {
    let text = key.as_str();
    if text.starts_with("config:") {
        match outcome {
            Outcome::Done(Answer::Commit(files)) => {
                configured::read(state, files, now);
                cron::read(state, files, now);
            }
            Outcome::Refused(refusal) => {
                state.note("config", format!("{} cannot be read: {}", sha.short(), refusal.reason()))
            }
            _ => {}
        }
    } else if text.starts_with("landed:") {
        landed_read(state, key, outcome);
    } else if text.starts_with("tree:") {
        deploy::tree_read(state, sha, outcome);
    } else {
        plan::files_read(state, key, outcome, now);
    }
}

fn pull_read(state: &mut Repository, number: PullNumber, outcome: &Outcome, now: Timestamp) {
    let read = match outcome {
        Outcome::Done(Answer::Pull(read)) => read,
        Outcome::Refused(_) => {
            if let Some(pull) = state.pulls.get_mut(&number) {
                pull.reread = false;
                pull.commands.clear();
            }
            return;
        }
        _ => return,
    };
    if !state.pulls.contains(&number) && matches!(read.fact.pull.standing, PullStanding::Merged { .. }) {
        // Somebody talks about what was merged, perhaps long ago. Where nobody told of that, the next comparison does.
        return;
    }
    take_in(state, read, now);
    command::head_read(state, number, read.fact.pull.updated_at);
    merge::after_read(state, read, now);
    state.touch(Topic::Pull(number));
}

fn take_in(state: &mut Repository, read: &PullRead, now: Timestamp) {
    pull_seen(state, &read.fact, now);
    let number = read.fact.pull.number;
    for review in &read.reviews {
        reviewed(state, number, review, now);
    }
    for (context, verdict) in &read.verdicts {
        verdict_seen(state, read.fact.pull.head_sha, context, *verdict);
    }
    let name = &read.fact.pull.base_ref;
    ensure_branch(state, name, read.base_tip);
    set_rules(state, name, read.rules.as_ref());
}

fn set_rules(state: &mut Repository, name: &RefName, rules: Option<&BranchRules>) {
    if let (Some(rules), Some(branch)) = (rules, state.branches.get(name))
        && branch.rules.as_ref() != Some(rules)
    {
        let branch = state.branches.get_mut(name).expect("it was there a line ago");
        branch.rules = Some(rules.clone());
        merge::touch_pulls(state, name);
    }
}
