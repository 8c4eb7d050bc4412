//! What people click, or type as a verb.

use std::sync::Arc;

use super::reconcile::reconcile;
use crate::effect::Reply;
use crate::fact::{Click, Wish};
use crate::id::RefName;
use crate::pull::{MergeStanding, Pull};
use crate::repository::{Repository, Topic};
use crate::time::Timestamp;
use crate::{deploy, merge, rerun, schedule, trust};

pub(super) fn clicked(state: &mut Repository, click: &Click, now: Timestamp) -> Reply {
    let by = &*click.by;
    let answer = match &click.wish {
        Wish::Rerun(number, again) => rerun::rerun(state, *number, again, now),
        Wish::Cancel(number) => match state.runs.get(number) {
            None => Err(format!("there is no run {number}").into()),
            Some(run) if run.is_over() => Err(format!("run {number} is over").into()),
            Some(_) => {
                schedule::cancel_run(state, *number, &format!("by {by}"), now);
                Ok(format!("run {number} is being cancelled").into())
            }
        },
        Wish::Approve(number) => approve(state, *number, now),
        Wish::Unlock(name) => deploy::unlock(state, name, by),
        Wish::ResumeMerging(name) => resume(state, name, by),
        Wish::Sync => {
            reconcile(state, now);
            Ok("GitHub is being read".into())
        }
    };
    match answer {
        Ok(text) => Reply::Granted(text),
        Err(text) => Reply::Denied(text),
    }
}

fn approve(state: &mut Repository, number: crate::id::RunNumber, now: Timestamp) -> Result<Arc<str>, Arc<str>> {
    let Some(run) = state.runs.get(&number) else { return Err(format!("there is no run {number}").into()) };
    let key = run.suite.clone();
    match state.suites.get(&key) {
        Some(suite) if suite.may_run() => Err(format!("run {number} needs no approval").into()),
        Some(suite) if suite.runs.contains(&number) => {
            trust::approve(state, &key, crate::id::UserId(0), now);
            Ok(format!("run {number} may start").into())
        }
        _ => Err(format!("run {number} is history").into()),
    }
}

/// What landed unlike it was tested was looked at by a person: it does not halt merging again.
fn acknowledge(state: &mut Repository, name: &RefName) {
    let differs = |pull: &&Pull| match pull.merge {
        MergeStanding::Landed { tested_tree, landed_tree: Some(landed_tree) } => tested_tree != landed_tree,
        _ => false,
    };
    let landed = state.pulls.values().filter(|pull| pull.snapshot.base_ref == *name).filter(differs);
    let numbers: Vec<_> = landed.map(|pull| pull.snapshot.number).collect();
    for number in numbers {
        if let Some(pull) = state.pulls.get_mut(&number) {
            pull.merge = MergeStanding::None;
        }
    }
}

fn resume(state: &mut Repository, name: &RefName, by: &str) -> Result<Arc<str>, Arc<str>> {
    match state.branches.get(name) {
        Some(branch) if branch.halted.is_some() => {
            let branch = state.branches.get_mut(name).expect("it was there a line ago");
            branch.halted = None;
            acknowledge(state, name);
            state.note(name.as_str(), format!("merging resumed by {by}"));
            merge::touch_pulls(state, name);
            state.touch(Topic::Branch(name.clone()));
            Ok(format!("merging into {} goes on", name.short()).into())
        }
        _ => Err(format!("merging into {} is not halted", name.short()).into()),
    }
}
