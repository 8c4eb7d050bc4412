//! What follows when `.greenlight.yml` was read at the default branch's tip: it holds from now on, or what is wrong with it is shown.

use std::sync::Arc;

use crate::config::{self, ConfigStanding, LastRight};
use crate::entity::Meta;
use crate::event::{CommitFiles, Event, PullStanding, User};
use crate::id::{Sha, UserId};
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Subject, Suite, SuiteKey, Trust};
use crate::time::Timestamp;
use crate::{merge, plan, room, schedule};

/// The default branch's `.greenlight.yml` was read.
pub(crate) fn read(state: &mut Repository, files: &CommitFiles, now: Timestamp) {
    let name = state.default_branch();
    if state.branches.get(&name).is_some_and(|branch| branch.tip != files.sha) {
        return;
    }
    let config = match &files.config {
        None => Ok(Arc::default()),
        Some(file) => match &state.meta().config {
            ConfigStanding::Read { file: Some(known), config, .. } if known == file => config.clone(),
            _ => config::decode(&file.0, &file.1).map(Arc::new),
        },
    };
    let standing = ConfigStanding::Read { sha: files.sha, file: files.config.clone(), config };
    if state.meta().config == standing {
        return;
    }
    let same = match (&state.meta().config, &standing) {
        (ConfigStanding::Read { config: one, .. }, ConfigStanding::Read { config: other, .. }) => one == other,
        _ => false,
    };
    let mended = matches!(&standing, ConfigStanding::Read { config: Ok(_), .. });
    let problem = match &standing {
        ConfigStanding::Read { config: Err(problem), .. } => Some(problem.clone()),
        _ => None,
    };
    let meta = state.meta_mut();
    meta.last_right = last_right(meta, &standing);
    meta.config = standing;
    if let Some(problem) = &problem {
        show_problem(state, files.sha, problem, now);
    }
    touch_deployments(state);
    if !same {
        if let Some(problem) = &problem {
            room::tell_of_problem(state, files.sha, problem);
        }
        if mended {
            test_again(state, now);
        }
        state.touch_all();
    }
}

/// Returns what is to be kept of the last right file beside what holds from now on.
fn last_right(before: &Meta, now: &ConfigStanding) -> Option<Arc<LastRight>> {
    match (&before.config, now) {
        (_, ConfigStanding::Read { config: Ok(_), .. }) => None,
        (ConfigStanding::Read { file: Some(file), config: Ok(config), .. }, _) => {
            Some(Arc::new(LastRight { file: file.clone(), config: config.clone() }))
        }
        _ => before.last_right.clone(),
    }
}

/// What is wrong with `.greenlight.yml` is shown on the commit that brought it, though nothing ran for it, as at the first look at
/// a repository. Where its push was seen, its suite says so by itself.
fn show_problem(state: &mut Repository, sha: Sha, problem: &Arc<str>, now: Timestamp) {
    let git_ref = state.default_branch();
    let key = SuiteKey { head_sha: sha, event: "push".into(), subject: Subject::Ref(git_ref.clone()) };
    if state.suites.contains(&key) {
        return;
    }
    // Nobody is known to have pushed it, and nothing of it is ever run.
    let sender = User { id: UserId(0), login: "".into() };
    let event = Event { name: key.event.clone(), action: None, payload: "{}".into(), sender };
    let suite = Suite::new(key.clone(), Arc::new(event), git_ref, Trust::Trusted, None, now);
    state.insert_suite(suite);
    plan::stop(state, &key, Conclusion::Failure, problem);
}

/// Deployments wait while the file is being read, whether it says something else afterwards or not.
pub(crate) fn touch_deployments(state: &mut Repository) {
    let open = state.deployments.values().filter(|known| known.is_unsettled());
    let waiting: Vec<_> = open.map(|known| known.snapshot.id).collect();
    for id in waiting {
        state.touch(Topic::Deployment(id));
    }
}

/// The default branch's `.greenlight.yml` is right again: a pull request that failed for bringing the wrong one is tested again.
fn test_again(state: &mut Repository, now: Timestamp) {
    let failed = state.suites.values().filter(|suite| {
        let is_open = suite
            .pull()
            .and_then(|number| state.pulls.get(&number))
            .is_some_and(|pull| pull.snapshot.standing == PullStanding::Open && merge::suite_key(pull) == suite.key);
        is_open && suite.planned().is_some_and(|planned| planned.config_problem.is_some())
    });
    let keys: Vec<_> = failed.map(|suite| suite.key.clone()).collect();
    for key in keys {
        schedule::begin_attempt(state, &key, now);
    }
}
