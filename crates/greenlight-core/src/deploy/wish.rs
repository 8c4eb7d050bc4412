//! Wishes: what a merge, or a success, wants to be deployed; when that is due, and how it is made once.

use std::sync::Arc;

use super::seen;
use crate::config::{EnvironmentRule, NotifyOn};
use crate::deployment::{DeployWish, WishState};
use crate::effect::{Answer, Effect, Outcome};
use crate::event::{DeploymentSnapshot, DeploymentState, PullStanding};
use crate::id::{EffectKey, EnvironmentName, PullNumber, RefName, Sha};
use crate::item::{Class, ItemState};
use crate::outbox::{Wanted, remove, want, withdraw};
use crate::pull::{MergeStanding, Pull};
use crate::report::{self, is_tested_green};
use crate::repository::{Repository, Topic};
use crate::room::tell;
use crate::run::{Run, Subject, SuitePhase};
use crate::shown::{ReportState, description};
use crate::time::{Duration, Timestamp};

/// How long to wait before a deployment that GitHub refused for its contexts is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// A pull request was merged: the first environments want its commit.
pub(crate) fn wish_for_merge(state: &mut Repository, pull: &Pull, now: Timestamp) {
    let PullStanding::Merged { commit: Some(sha) } = pull.snapshot.standing else { return };
    let Some(config) = state.config() else { return };
    let default = state.default_branch();
    let base = &pull.snapshot.base_ref;
    for rule in config
        .environments
        .iter()
        .filter(|rule| rule.on_merge && rule.after.is_empty() && takes_branch(rule, base, &default))
    {
        wish(state, &rule.name, sha, pull.snapshot.number, now);
    }
}

fn takes_branch(rule: &EnvironmentRule, base: &RefName, default: &RefName) -> bool {
    match rule.branches.is_empty() {
        true => base == default,
        false => rule.branches.iter().any(|branch| Some(&**branch) == base.as_branch()),
    }
}

fn wish(state: &mut Repository, environment: &EnvironmentName, sha: Sha, pull: PullNumber, now: Timestamp) {
    let name = (environment.clone(), sha);
    if state.wishes.contains(&name) {
        return;
    }
    let wish = DeployWish {
        environment: environment.clone(),
        sha,
        pull,
        tree: None,
        since: now,
        state: WishState::Waiting { reason: "the commit is being looked at".into() },
    };
    state.wishes.insert(name, wish);
    state.note(environment.as_str(), format!("{} of #{pull} is to be deployed", sha.short()));
    state.touch(Topic::Wish(environment.clone(), sha));
    state.touch(Topic::Commit(sha));
}

/// Settles a wish: due as soon as its commit is proven, made once.
pub(crate) fn settle_wish(state: &mut Repository, environment: &EnvironmentName, sha: Sha, now: Timestamp) {
    let name = (environment.clone(), sha);
    let topic = Topic::Wish(environment.clone(), sha);
    refuse_overtaken(state, &name);
    let Some(wish) = state.wishes.get(&name) else { return };
    match wish.state.clone() {
        WishState::Created(_) | WishState::Refused { .. } => state.set_alarm(topic, None),
        WishState::Creating { not_before } => match due(state, &name) {
            Ok(()) => create(state, environment, sha, not_before),
            Err(reason) if withdraw(state, &create_key(environment, sha)) => {
                let wish = state.wishes.get_mut(&name).expect("it was there a line ago");
                wish.state = WishState::Waiting { reason };
            }
            Err(_) => {}
        },
        WishState::Waiting { reason } => {
            if wish.tree.is_none() && !learn_tree(state, &name) {
                return;
            }
            match due(state, &name) {
                Ok(()) => {
                    let wish = state.wishes.get_mut(&name).expect("it was there a line ago");
                    wish.state = WishState::Creating { not_before: now };
                    state.touch(topic);
                    state.touch(Topic::Commit(sha));
                }
                Err(why) if why != reason => {
                    let wish = state.wishes.get_mut(&name).expect("it was there a line ago");
                    wish.state = WishState::Waiting { reason: why };
                    state.touch(Topic::Commit(sha));
                }
                Err(_) => state.touch(Topic::Commit(sha)),
            }
        }
    }
}

/// What was wished for later from the same branch was made first: what comes now would replace it by something older.
fn refuse_overtaken(state: &mut Repository, name: &(EnvironmentName, Sha)) {
    let Some(wish) = state.wishes.get(name).filter(|wish| wish.is_open()) else { return };
    let base_of = |pull: PullNumber| state.pulls.get(&pull).map(|pull| &pull.snapshot.base_ref);
    let Some(base) = base_of(wish.pull) else { return };
    let is_later = |other: &&DeployWish| {
        other.environment == name.0
            && other.since > wish.since
            && matches!(other.state, WishState::Created(_))
            && base_of(other.pull) == Some(base)
    };
    let Some(later) = state.wishes.values().find(is_later) else { return };
    let reason: Arc<str> =
        format!("{} is older than {} of #{}, which went there first", name.1.short(), later.sha.short(), later.pull)
            .into();
    // What may have been made already is asked about first.
    if !withdraw(state, &create_key(&name.0, name.1)) {
        return;
    }
    state.note(name.0.as_str(), reason.clone());
    if let Some(wish) = state.wishes.get_mut(name) {
        wish.state = WishState::Refused { reason };
    }
    state.touch(Topic::Commit(name.1));
}

/// GitHub's deployments were read, and claimed by their wishes: what is still being made, though its commit is not proven any
/// more, was never made.
pub(crate) fn settle_unproven(state: &mut Repository) {
    let creating = state.wishes.values().filter(|wish| matches!(wish.state, WishState::Creating { .. }));
    let names: Vec<_> = creating.map(|wish| (wish.environment.clone(), wish.sha)).collect();
    for name in names {
        let Err(reason) = due(state, &name) else { continue };
        let key = create_key(&name.0, name.1);
        if state.outbox.get(&key).is_some_and(|item| matches!(item.state, ItemState::InFlight { .. })) {
            continue;
        }
        remove(state, &key);
        if let Some(wish) = state.wishes.get_mut(&name) {
            wish.state = WishState::Waiting { reason };
        }
        state.touch(Topic::Wish(name.0, name.1));
    }
}

/// Learns a wish's tree from what is known, or has the commit read.
fn learn_tree(state: &mut Repository, name: &(EnvironmentName, Sha)) -> bool {
    let Some(wish) = state.wishes.get(name) else { return false };
    let (sha, pull) = (wish.sha, wish.pull);
    let landed = state.pulls.get(&pull).and_then(|pull| match (&pull.merge, pull.snapshot.standing) {
        (MergeStanding::Landed { landed_tree, .. }, PullStanding::Merged { commit: Some(commit) }) if commit == sha => {
            *landed_tree
        }
        _ => None,
    });
    let pushed = state
        .suites_at(sha)
        .find_map(|suite| suite.planned().filter(|planned| planned.sha == sha).map(|planned| planned.tree));
    match landed.or(pushed) {
        Some(tree) => {
            let wish = state.wishes.get_mut(name).expect("it was there a line ago");
            wish.tree = Some(tree);
            state.touch(Topic::Commit(sha));
            true
        }
        None => {
            let git_ref = state.pulls.get(&pull).map(|pull| pull.snapshot.base_ref.clone());
            want(
                state,
                Wanted::now(format!("tree:{sha}"), Class::Read, Effect::ReadCommit { sha, git_ref, before: None }),
            );
            false
        }
    }
}

/// A commit's tree was read for the wishes that wait for it.
pub(crate) fn tree_read(state: &mut Repository, sha: Sha, outcome: &Outcome) {
    let names: Vec<_> = state
        .wishes
        .values()
        .filter(|wish| wish.sha == sha && wish.tree.is_none())
        .map(|wish| (wish.environment.clone(), sha))
        .collect();
    for name in names {
        let Some(wish) = state.wishes.get_mut(&name) else { continue };
        match outcome {
            Outcome::Done(Answer::Commit(files)) => wish.tree = Some(files.tree),
            Outcome::Refused(refusal) => {
                wish.state =
                    WishState::Refused { reason: format!("the commit cannot be read: {}", refusal.reason()).into() };
            }
            Outcome::Later { reason, .. } | Outcome::Unknown { reason } => {
                wish.state = WishState::Waiting { reason: format!("the commit cannot be read yet: {reason}").into() };
                continue;
            }
            Outcome::Done(_) => continue,
        }
        state.touch(Topic::Wish(name.0, sha));
        state.touch(Topic::Commit(sha));
    }
}

/// May the deployment be made: is its commit proven, and can its aggregate still become the success that GitHub asks for? Else why not.
fn due(state: &Repository, name: &(EnvironmentName, Sha)) -> Result<(), Arc<str>> {
    proof_of(state, name)?;
    let Some(report) = state.reports.get(&(name.1, state.aggregate())) else { return Ok(()) };
    let short = name.1.short();
    if let Some(reason) = &report.given_up {
        return Err(format!("GitHub does not show greenlight on {short} ({reason}); a person must deploy it").into());
    }
    let shown = &report.wanted;
    if shown.state.is_final() && shown.state != ReportState::Success {
        return Err(
            format!("greenlight on {short} is no success ({}); a person must deploy it", shown.description).into()
        );
    }
    Ok(())
}

/// Is the commit proven: was its tree tested green, or did its own push runs end green? Else why not.
fn proof_of(state: &Repository, name: &(EnvironmentName, Sha)) -> Result<(), Arc<str>> {
    let Some(wish) = state.wishes.get(name) else { return Err("it is not wished for".into()) };
    let proven = wish.tree.is_some_and(|tree| state.proofs.contains(&tree));
    let suite = state.suites_at(wish.sha).find(|suite| {
        &*suite.key.event == "push" && matches!(&suite.key.subject, Subject::Ref(name) if name.as_branch().is_some())
    });
    let Some(suite) = suite else {
        return match proven {
            true => Ok(()),
            false => Err(format!("nothing tested {}; a person must deploy it", wish.sha.short()).into()),
        };
    };
    let is_over = |number| state.runs.get(number).is_some_and(Run::is_over);
    let failed = match &suite.phase {
        SuitePhase::Reading { .. } => false,
        SuitePhase::Stopped { .. } => true,
        SuitePhase::Planned(planned) => {
            planned.config_problem.is_some() || suite.runs.iter().all(is_over) && report::has_failed(state, suite)
        }
    };
    if proven && !failed {
        return Ok(());
    }
    match &suite.phase {
        SuitePhase::Reading { .. } => Err("it waits for the tests of its own push".into()),
        SuitePhase::Stopped { reason, .. } => {
            Err(format!("its own push could not be tested ({reason}); a person must deploy it").into())
        }
        SuitePhase::Planned(planned) if planned.config_problem.is_some() => {
            Err("its own .greenlight.yml is wrong; a person must deploy it".into())
        }
        SuitePhase::Planned(planned) if planned.nothing.is_some() => {
            Err(format!("nothing tested {}; a person must deploy it", wish.sha.short()).into())
        }
        SuitePhase::Planned(_) if is_tested_green(state, suite) => Ok(()),
        SuitePhase::Planned(_)
            if suite.runs.iter().any(|number| state.runs.get(number).is_some_and(|run| !run.is_over())) =>
        {
            Err("it waits for the tests of its own push".into())
        }
        SuitePhase::Planned(_) => Err("the tests of its own push did not succeed; a person must deploy it".into()),
    }
}

fn create_key(environment: &EnvironmentName, sha: Sha) -> EffectKey {
    EffectKey::from(format!("deploy:{environment}:{sha}"))
}

pub(super) fn create(state: &mut Repository, environment: &EnvironmentName, sha: Sha, not_before: Timestamp) {
    let pull = state.wishes.get(&(environment.clone(), sha)).map(|wish| wish.pull).unwrap_or_default();
    let effect = Effect::CreateDeployment {
        sha,
        environment: environment.clone(),
        description: description(&format!("#{pull} was merged")),
        production: environment.as_str() == "production",
    };
    state.touch(Topic::Commit(sha));
    let aggregate = state.aggregate();
    // One after the other: what cannot be made at once does not come after what was wished for later.
    let wanted =
        Wanted::now(create_key(environment, sha), Class::Deployment, effect).in_lane(format!("deploy:{environment}"));
    want(state, wanted.not_before(not_before).after_success(sha, aggregate));
}

/// Takes in what became of making a deployment.
pub(crate) fn created(state: &mut Repository, key: &EffectKey, effect: &Effect, outcome: &Outcome, now: Timestamp) {
    let Effect::CreateDeployment { sha, environment, .. } = effect else { return };
    let name = (environment.clone(), *sha);
    match outcome {
        Outcome::Done(Answer::Deployment(snapshot)) => seen(state, snapshot, None, now),
        Outcome::Done(_) => {
            state.note(
                environment.as_str(),
                "GitHub merged the default branch into it first; the deployment is asked for again",
            );
            if let Some(wish) = waiting_wish(state, &name) {
                wish.state = WishState::Creating { not_before: now + ASK_AGAIN };
            }
        }
        // The outbox asks again by itself, and still knows whether an earlier try may have taken effect.
        Outcome::Later { reason, .. } | Outcome::Unknown { reason } => {
            state.note(environment.as_str(), format!("the deployment of {} waits: {reason}", sha.short()));
            if waiting_wish(state, &name).is_none() {
                // It is there by now: an event or a read told so.
                remove(state, key);
            }
        }
        Outcome::Refused(refusal) => {
            let reason: Arc<str> = format!("GitHub refused the deployment: {}", refusal.reason()).into();
            let Some(wish) = waiting_wish(state, &name) else { return };
            wish.state = WishState::Refused { reason: reason.clone() };
            state.note(environment.as_str(), reason.clone());
            let repository = state.meta().repository.full_name.clone();
            tell(
                state,
                NotifyOn::Failure,
                key.as_str(),
                &format!("{repository} {} was not deployed to {environment}: {reason}", sha.short()),
            );
        }
    }
    state.touch(Topic::Wish(environment.clone(), *sha));
}

/// Returns a wish that was not fulfilled yet: what came true stays true, whatever is answered later.
fn waiting_wish<'a>(state: &'a mut Repository, name: &(EnvironmentName, Sha)) -> Option<&'a mut DeployWish> {
    match state.wishes.get(name)?.state {
        WishState::Created(_) => None,
        _ => state.wishes.get_mut(name),
    }
}

/// A deployment with our key is the one that was wished for, however we came to hear of it.
pub(super) fn claim_wish(state: &mut Repository, snapshot: &DeploymentSnapshot) {
    let key = create_key(&snapshot.environment, snapshot.sha);
    if snapshot.key.as_ref() != Some(&key) {
        return;
    }
    let name = (snapshot.environment.clone(), snapshot.sha);
    if let Some(wish) = state.wishes.get(&name)
        && !matches!(wish.state, WishState::Created(_))
    {
        let wish = state.wishes.get_mut(&name).expect("it was there a line ago");
        wish.state = WishState::Created(snapshot.id);
        // GitHub has it, so whether the last try took effect is known.
        if state.outbox.get(&key).is_some_and(|item| !matches!(item.state, ItemState::InFlight { .. })) {
            remove(state, &key);
        }
        let open = state.wishes.values().filter(|wish| wish.environment == name.0 && wish.is_open());
        let others: Vec<Sha> = open.map(|wish| wish.sha).collect();
        for sha in others.into_iter().chain([name.1]) {
            state.touch(Topic::Wish(name.0.clone(), sha));
        }
    }
}

/// An environment succeeded with a commit: those that come after it want the commit, once all that they come after have it.
pub(super) fn wish_for_next(state: &mut Repository, done: &EnvironmentName, sha: Sha, now: Timestamp) {
    let Some(config) = state.config() else { return };
    let Some(pull) = state.wishes.get(&(done.clone(), sha)).map(|wish| wish.pull) else { return };
    for rule in config.environments.iter().filter(|rule| rule.after.contains(done)) {
        let all = rule.after.iter().all(|name| {
            name == done
                || state.deployments.values().any(|other| {
                    other.snapshot.environment == *name
                        && other.snapshot.sha == sha
                        && other.wanted.as_ref().is_some_and(|shown| shown.state == DeploymentState::Success)
                })
        });
        if all {
            wish(state, &rule.name, sha, pull, now);
        }
    }
}
