//! Delivering: from a merged commit to a deployment, from a deployment to what it did.
//!
//! A merge *wishes* for deployments; a wish becomes due when its commit is proven, and is made once. A deployment, whoever
//! made it, is carried out where its environment has an entry in `.greenlight.yml`: one at a time, under a lock that belongs
//! to the deployment. Carrying out is a run, never an effect: it is never repeated by itself, and where nobody knows how it
//! ended the lock is kept for a person.

use std::sync::Arc;

use crate::config::{ConfigStanding, EnvironmentRule, NotifyOn, Provider};
use crate::deployment::{Carrying, DeployWish, Deployment, Environment, Lock, WishState};
use crate::effect::{Answer, DEPLOYMENT_UNKNOWN, Effect, Outcome};
use crate::event::{DeploymentMaker, DeploymentSnapshot, DeploymentState, Event, PullStanding};
use crate::id::{DeploymentId, EffectKey, EnvironmentName, PullNumber, RefName, Sha, Token};
use crate::item::{Class, ItemState};
use crate::outbox::{Wanted, remove, want, withdraw};
use crate::pull::{MergeStanding, Pull};
use crate::report::{self, is_tested_green};
use crate::repository::{Repository, Topic};
use crate::room::tell;
use crate::run::{Conclusion, Job, JobState, Run, Subject, Suite, SuiteKey, SuitePhase, Trust};
use crate::shown::{Link, ReportState, ShownDeployment, description};
use crate::time::{Duration, Timestamp};

/// How long after it was seen a deployment may still be taken on because `.greenlight.yml` names its environment by then.
const OVERTAKEN_MAX: Duration = Duration::from_secs(600);
/// How long to wait before a deployment that GitHub refused for its contexts is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

// Wishes.

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

fn create(state: &mut Repository, environment: &EnvironmentName, sha: Sha, not_before: Timestamp) {
    let pull = state.wishes.get(&(environment.clone(), sha)).map(|wish| wish.pull).unwrap_or_default();
    let effect = Effect::CreateDeployment {
        sha,
        environment: environment.clone(),
        description: description(&format!("#{pull} was merged")),
        production: environment.as_str() == "production",
    };
    state.touch(Topic::Commit(sha));
    let aggregate = state.aggregate();
    let wanted = Wanted::now(create_key(environment, sha), Class::Deployment, effect);
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

// Deployments.

/// A deployment was seen: by its event, by the answer to our own create, or by a read.
pub(crate) fn seen(state: &mut Repository, snapshot: &DeploymentSnapshot, event: Option<&Arc<Event>>, now: Timestamp) {
    claim_wish(state, snapshot);
    match state.deployments.get_mut(&snapshot.id) {
        Some(known) => {
            if known.event.is_none() {
                known.event = event.cloned();
            }
            if snapshot.state.is_some() && known.wanted.is_none() {
                known.snapshot.state = snapshot.state;
            }
        }
        None => {
            let deployment = Deployment {
                snapshot: snapshot.clone(),
                event: event.cloned(),
                seen_at: now,
                state: Carrying::Waiting,
                wanted: None,
                accepted: None,
                given_up: None,
            };
            state.deployments.insert(snapshot.id, deployment);
        }
    }
    state.touch(Topic::Deployment(snapshot.id));
    state.touch(Topic::Environment(snapshot.environment.clone()));
}

/// A deployment with our key is the one that was wished for, however we came to hear of it.
fn claim_wish(state: &mut Repository, snapshot: &DeploymentSnapshot) {
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
        state.touch(Topic::Wish(name.0, name.1));
    }
}

/// Returns the environment's entry in `.greenlight.yml`.
fn rule_of(state: &Repository, name: &EnvironmentName) -> Option<EnvironmentRule> {
    state.config()?.environments.iter().find(|rule| rule.name == *name).cloned()
}

/// Settles a deployment: whose it is to carry out, how far it is, and what is to be shown.
pub(crate) fn settle_deployment(state: &mut Repository, id: DeploymentId, now: Timestamp) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    match deployment.state.clone() {
        Carrying::Waiting => take_on(state, id, now),
        Carrying::Started { token, .. } => follow(state, id, token, now),
        Carrying::Watched { .. } if is_overtaken(state, id, now) => take_on(state, id, now),
        Carrying::Watched { .. } | Carrying::Done => {}
    }
    settle_shown(state, id);
}

/// Was a deployment looked at before the `.greenlight.yml` that it is about was read? The push and the deployment are two
/// webhooks, and nobody says in which order they come.
fn is_overtaken(state: &Repository, id: DeploymentId, now: Timestamp) -> bool {
    state.deployments.get(&id).is_some_and(|deployment| {
        deployment.wanted.is_none()
            && deployment.snapshot.state.is_none()
            && now.since(deployment.seen_at) < OVERTAKEN_MAX
            && rule_of(state, &deployment.snapshot.environment).is_some()
            && !state.suites.contains(&suite_key(&deployment.snapshot))
    })
}

/// Is the `.greenlight.yml` that is known the one of the default branch's tip?
fn is_config_current(state: &Repository) -> bool {
    let tip = state.branches.get(&state.default_branch()).map(|branch| branch.tip);
    match &state.meta().config {
        ConfigStanding::Read { sha, config: Ok(_), .. } => tip.is_none_or(|tip| tip == *sha),
        _ => false,
    }
}

/// Returns what is wrong with the `.greenlight.yml` that a deployment waits for, where it is to an environment that we deploy to.
fn stopped_by_config(state: &Repository, id: DeploymentId) -> Option<Arc<str>> {
    let snapshot = &state.deployments.get(&id)?.snapshot;
    let is_ours = snapshot.state.is_none()
        && snapshot.maker == DeploymentMaker::Anyone
        && state.environments.contains(&snapshot.environment);
    match &state.meta().config {
        ConfigStanding::Read { config: Err(problem), .. } if is_ours => Some(problem.clone()),
        _ => None,
    }
}

/// Decides whether a deployment is ours to carry out; if so it waits for its environment.
fn take_on(state: &mut Repository, id: DeploymentId, now: Timestamp) {
    if !is_config_current(state) {
        if let Some(problem) = stopped_by_config(state, id) {
            show(state, id, DeploymentState::Queued, &format!("nothing is deployed: {problem}"), None, None);
        }
        return;
    }
    let Some(deployment) = state.deployments.get(&id) else { return };
    let snapshot = deployment.snapshot.clone();
    let reason: Option<Arc<str>> =
        if deployment.wanted.is_none() && snapshot.state.is_some_and(DeploymentState::is_final) {
            Some("it was over when it was first seen".into())
        } else if deployment.wanted.is_none()
            && matches!(snapshot.state, Some(DeploymentState::Queued | DeploymentState::InProgress))
        {
            Some("somebody else is carrying it out".into())
        } else if snapshot.maker == DeploymentMaker::Actions {
            Some("hosted Actions made it, and carries it out".into())
        } else if rule_of(state, &snapshot.environment).is_none() {
            Some(format!("{} has no entry in .greenlight.yml", snapshot.environment).into())
        } else {
            None
        };
    if let Some(reason) = reason {
        let event = deployment.event.clone();
        if deployment.wanted.is_some() {
            // It was queued by us, and `.greenlight.yml` changed meanwhile.
            return end(state, id, Token::default(), End::error(&reason), now);
        }
        let deployment = state.deployments.get_mut(&id).expect("it was there a line ago");
        deployment.state = Carrying::Watched { reason };
        let has_environments = state.config().is_some_and(|config| !config.environments.is_empty());
        // Where `.greenlight.yml` names environments, what it does not name is not deployed; elsewhere workflows run as on GitHub.
        if let Some(event) = event
            && !has_environments
            && !snapshot.state.is_some_and(DeploymentState::is_final)
            && snapshot.maker == DeploymentMaker::Anyone
        {
            begin_suite(state, &snapshot, event, None, None, now);
        }
        return;
    }
    let before = ahead(state, id);
    let kept = state.environments.get(&snapshot.environment).and_then(|environment| environment.lock.as_ref());
    let text = match (before, kept.and_then(|lock| lock.kept.as_ref())) {
        (_, Some(kept)) => format!("waits: {} is locked by {kept}", snapshot.environment),
        (Some(other), None) => format!("waits for deployment {other}, which holds {}", snapshot.environment),
        (None, None) => "it is about to begin".to_owned(),
    };
    if let Some(deployment) = state.deployments.get_mut(&id)
        && matches!(deployment.state, Carrying::Watched { .. })
    {
        deployment.state = Carrying::Waiting;
    }
    show(state, id, DeploymentState::Queued, &text, None, None);
    state.touch(Topic::Environment(snapshot.environment.clone()));
}

/// Returns the deployment that this one waits for.
fn ahead(state: &Repository, id: DeploymentId) -> Option<DeploymentId> {
    let environment = &state.deployments.get(&id)?.snapshot.environment;
    let holder = state
        .environments
        .get(environment)
        .and_then(|environment| environment.lock.as_ref())
        .map(|lock| lock.deployment);
    holder.filter(|holder| *holder != id).or_else(|| waiting_in(state, environment).next().filter(|first| *first != id))
}

fn waiting_in<'a>(state: &'a Repository, environment: &'a EnvironmentName) -> impl Iterator<Item = DeploymentId> + 'a {
    state
        .deployments
        .values()
        .filter(move |deployment| {
            deployment.state == Carrying::Waiting
                && deployment.wanted.is_some()
                && deployment.snapshot.environment == *environment
        })
        .map(|deployment| deployment.snapshot.id)
}

/// Settles an environment: when nobody holds it, the first that waits does.
pub(crate) fn settle_environment(state: &mut Repository, name: &EnvironmentName, now: Timestamp) {
    if !state.environments.contains(name) {
        if rule_of(state, name).is_none() {
            return;
        }
        state.environments.insert(name.clone(), Environment { name: name.clone(), lock: None, live: None });
    }
    if state.environments.get(name).is_none_or(|environment| environment.lock.is_some()) {
        return;
    }
    let Some(id) = waiting_in(state, name).next() else { return };
    let Some(rule) = rule_of(state, name) else { return };
    let token = state.next_token();
    let environment = state.environments.get_mut(name).expect("it was there a line ago");
    environment.lock = Some(Lock { deployment: id, token, since: now, kept: None });
    let deployment = state.deployments.get_mut(&id).expect("it waits");
    deployment.state = Carrying::Started { token, run: None };
    let snapshot = deployment.snapshot.clone();
    let event = deployment.event.clone().unwrap_or_else(|| made_up_event(&snapshot));
    let (decides, given) = match &rule.provider {
        Provider::Workflow(file) => (Some(file.clone()), None),
        Provider::Shell(path) => (None, Some((path.clone(), shell_workflow(path)))),
    };
    begin_suite(state, &snapshot, event, decides, given, now);
    state.note(name.as_str(), format!("deployment {id} of {} begins", snapshot.sha.short()));
    state.touch(Topic::Deployment(id));
    let others: Vec<_> = waiting_in(state, name).collect();
    for other in others {
        state.touch(Topic::Deployment(other));
    }
}

/// Returns the event of a deployment that no webhook told of.
fn made_up_event(snapshot: &DeploymentSnapshot) -> Arc<Event> {
    let text = |text: &str| greenlight_workflow::Value::string(text);
    let payload = greenlight_workflow::Value::from_json(&snapshot.payload).unwrap_or(greenlight_workflow::Value::Null);
    #[expect(clippy::cast_precision_loss, reason = "GitHub's ids are far below 2^53")]
    let deployment = greenlight_workflow::Value::object([
        ("id", greenlight_workflow::Value::Number(snapshot.id.0 as f64)),
        ("sha", text(&snapshot.sha.to_string())),
        ("ref", text(&snapshot.git_ref)),
        ("task", text(&snapshot.task)),
        ("environment", text(snapshot.environment.as_str())),
        ("payload", payload),
    ]);
    let body = greenlight_workflow::Value::object([("action", text("created")), ("deployment", deployment)]);
    Arc::new(Event {
        name: "deployment".into(),
        action: Some("created".into()),
        payload: body.to_json().into(),
        sender: snapshot.creator.clone(),
    })
}

/// Returns the workflow that runs a script of the repository, so that a script is carried out as everything else is.
fn shell_workflow(path: &str) -> Arc<str> {
    let quoted = path.replace('\'', "'\\''");
    let script = greenlight_workflow::Value::string(format!("'./{}'", quoted.trim_start_matches("./"))).to_json();
    format!(
        "name: shell\non: deployment\njobs:\n  deploy:\n    runs-on: self-hosted\n    steps:\n      - uses: actions/checkout@v4\n      - id: script\n        run: {script}\n    outputs:\n      environment_url: ${{{{ steps.script.outputs.environment_url }}}}\n"
    )
    .into()
}

/// Returns the name of a deployment's suite.
pub(crate) fn suite_key(snapshot: &DeploymentSnapshot) -> SuiteKey {
    SuiteKey { head_sha: snapshot.sha, event: "deployment".into(), subject: Subject::Deployment(snapshot.id) }
}

fn begin_suite(
    state: &mut Repository,
    snapshot: &DeploymentSnapshot,
    event: Arc<Event>,
    decides: Option<Arc<str>>,
    given: Option<(Arc<str>, Arc<str>)>,
    now: Timestamp,
) {
    let key = suite_key(snapshot);
    if state.suites.contains(&key) {
        return;
    }
    let git_ref = match Sha::parse(&snapshot.git_ref) {
        Ok(_) => state.default_branch(),
        Err(_) if snapshot.git_ref.starts_with("refs/") => RefName::from(&*snapshot.git_ref),
        Err(_) => RefName::branch(&snapshot.git_ref),
    };
    let suite = Suite {
        key: key.clone(),
        attempt: 1,
        turns: 1,
        event,
        git_ref,
        before: None,
        // Only somebody with write permission can make a deployment.
        trust: Trust::Trusted,
        author: None,
        approval: None,
        phase: SuitePhase::Reading { trouble: None },
        runs: Vec::new(),
        requested_at: now,
        decides,
        given,
    };
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}

/// Follows the run that carries a deployment out.
fn follow(state: &mut Repository, id: DeploymentId, token: Token, now: Timestamp) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    let Some(suite) = state.suites.get(&suite_key(&deployment.snapshot)) else { return };
    let name = deployment.snapshot.environment.clone();
    let decides = suite.decides.clone();
    match &suite.phase {
        SuitePhase::Reading { trouble } => {
            let text = trouble
                .as_ref()
                .map_or_else(|| "it is about to begin".to_owned(), |trouble| format!("waits: {trouble}"));
            show(state, id, DeploymentState::Queued, &text, None, None);
        }
        SuitePhase::Stopped { reason, .. } => {
            let reason = reason.clone();
            end(state, id, token, End::error(&reason), now);
        }
        SuitePhase::Planned(_) => {
            let run = suite
                .runs
                .iter()
                .filter_map(|number| state.runs.get(number))
                .find(|run| run.deployment == Some(id))
                .cloned();
            match run {
                Some(run) => follow_run(state, id, token, &run, now),
                None => {
                    let file = decides.unwrap_or_else(|| "the script".into());
                    let reason = format!(
                        ".github/workflows/{file}.yml does not run on: deployment at this commit, or is not there, so {name} cannot be deployed"
                    );
                    end(state, id, token, End::error(&reason), now);
                }
            }
        }
    }
}

fn follow_run(state: &mut Repository, id: DeploymentId, token: Token, run: &Run, now: Timestamp) {
    if let Some(deployment) = state.deployments.get_mut(&id) {
        deployment.state = Carrying::Started { token, run: Some(run.number) };
    }
    let link = Some(Link::Run(run.number));
    let url = run.jobs.iter().rev().find_map(|job| job.environment_url.clone());
    let name = state.deployments.get(&id).map(|deployment| deployment.snapshot.environment.clone());
    let url = url.or_else(|| rule_of(state, &name.clone()?).and_then(|rule| rule.url));
    match run.conclusion() {
        None if run.jobs.iter().any(has_begun) => {
            let text = format!("run {} carries it out", run.number);
            if show(state, id, DeploymentState::InProgress, &text, link, None) {
                announce(state, id, "begun", "is being deployed");
            }
        }
        None => {
            show(state, id, DeploymentState::Queued, "waits for a runner", link, None);
        }
        Some(Conclusion::Success) => {
            let ended = End { result: DeploymentState::Success, reason: &run.reason, link, environment_url: url };
            end(state, id, token, ended, now);
        }
        Some(Conclusion::Lost) => {
            let (result, text) = DEPLOYMENT_UNKNOWN;
            keep_lock(state, id, token, text);
            end(state, id, token, End { result, reason: text, link, environment_url: None }, now);
        }
        Some(Conclusion::Cancelled) if run.jobs.iter().any(was_interrupted) => {
            let (result, text) = DEPLOYMENT_UNKNOWN;
            keep_lock(state, id, token, text);
            let reason = format!("{text}: {}", run.reason);
            end(state, id, token, End { result, reason: &reason, link, environment_url: None }, now);
        }
        Some(Conclusion::Skipped) => {
            let reason = "every job was skipped, so nothing was deployed";
            end(state, id, token, End { link, ..End::error(reason) }, now);
        }
        Some(_) => {
            let ended = End { result: DeploymentState::Failure, reason: &run.reason, link, environment_url: url };
            end(state, id, token, ended, now);
        }
    }
}

fn has_begun(job: &Job) -> bool {
    !matches!(job.state, JobState::Waiting | JobState::Queued { .. })
}

fn was_interrupted(job: &Job) -> bool {
    matches!(&job.state, JobState::Completed { conclusion: Conclusion::Cancelled, started_at: Some(_), .. })
}

/// How a deployment ended.
struct End<'a> {
    result: DeploymentState,
    reason: &'a str,
    link: Option<Link>,
    environment_url: Option<Arc<str>>,
}

impl<'a> End<'a> {
    fn error(reason: &'a str) -> Self {
        Self { result: DeploymentState::Error, reason, link: None, environment_url: None }
    }
}

/// Ends a deployment: its state is shown, its lock freed unless it is kept, the room told, and the next environment wants the commit.
fn end(state: &mut Repository, id: DeploymentId, token: Token, end: End<'_>, now: Timestamp) {
    let End { result, reason, link, environment_url } = end;
    show(state, id, result, reason, link, environment_url.clone());
    let Some(deployment) = state.deployments.get_mut(&id) else { return };
    deployment.state = Carrying::Done;
    let (name, sha) = (deployment.snapshot.environment.clone(), deployment.snapshot.sha);
    state.note(name.as_str(), format!("deployment {id} of {} ended as {}: {reason}", sha.short(), word(result)));
    let text = match (result, &environment_url) {
        (DeploymentState::Success, Some(url)) => format!("is done! {url}"),
        (DeploymentState::Success, None) => "is done!".to_owned(),
        (DeploymentState::Failure, _) => format!("failed: {reason}"),
        _ => format!("has errors: {reason}"),
    };
    announce(state, id, "ended", &text);
    if result == DeploymentState::Success {
        if let Some(environment) = state.environments.get_mut(&name) {
            environment.live = Some((id, sha));
        }
        wish_for_next(state, &name, sha, now);
    }
    free(state, &name, id, token);
}

fn word(result: DeploymentState) -> &'static str {
    match result {
        DeploymentState::Success => "success",
        DeploymentState::Failure => "failure",
        _ => "error",
    }
}

fn announce(state: &mut Repository, id: DeploymentId, moment: &str, text: &str) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    let snapshot = &deployment.snapshot;
    let message = format!(
        "{}'s {} deployment of {} ({}) {text}",
        snapshot.creator.login,
        snapshot.environment,
        state.meta().repository.full_name,
        snapshot.sha.short()
    );
    tell(state, NotifyOn::Deployment, &format!("deployment:{id}:{moment}"), &message);
}

/// Frees an environment, if this is still its holder and nobody keeps it (R21).
fn free(state: &mut Repository, name: &EnvironmentName, id: DeploymentId, token: Token) {
    let Some(environment) = state.environments.get_mut(name) else { return };
    let held = environment
        .lock
        .as_ref()
        .is_some_and(|lock| lock.deployment == id && lock.token == token && lock.kept.is_none());
    if held {
        environment.lock = None;
        state.touch(Topic::Environment(name.clone()));
    }
}

fn keep_lock(state: &mut Repository, id: DeploymentId, token: Token, why: &str) {
    let Some(name) = state.deployments.get(&id).map(|deployment| deployment.snapshot.environment.clone()) else {
        return;
    };
    let Some(environment) = state.environments.get_mut(&name) else { return };
    if let Some(lock) = environment.lock.as_mut().filter(|lock| lock.deployment == id && lock.token == token) {
        lock.kept = Some(format!("deployment {id}: {why}; a person must look and unlock {name}").into());
    }
    // Those that wait are told for whom.
    let waiting: Vec<_> = waiting_in(state, &name).collect();
    for other in waiting {
        state.touch(Topic::Deployment(other));
    }
}

/// A person frees an environment. Returns what to say.
pub(crate) fn unlock(state: &mut Repository, name: &EnvironmentName, by: &str) -> Result<Arc<str>, Arc<str>> {
    let Some(lock) = state.environments.get(name).and_then(|environment| environment.lock.clone()) else {
        return Err(format!("{name} is not locked").into());
    };
    if lock.kept.is_none() {
        return Err(
            format!("deployment {} holds {name} and is under way; cancel its run first", lock.deployment).into()
        );
    }
    if let Some(environment) = state.environments.get_mut(name) {
        environment.lock = None;
    }
    state.note(name.as_str(), format!("unlocked by {by}"));
    state.touch(Topic::Environment(name.clone()));
    Ok(format!("{name} is unlocked").into())
}

/// An environment succeeded with a commit: those that come after it want the commit, once all that they come after have it.
fn wish_for_next(state: &mut Repository, done: &EnvironmentName, sha: Sha, now: Timestamp) {
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

/// Says what GitHub should show of a deployment. Returns whether the state is a new one.
fn show(
    state: &mut Repository,
    id: DeploymentId,
    result: DeploymentState,
    text: &str,
    log: Option<Link>,
    environment_url: Option<Arc<str>>,
) -> bool {
    let Some(deployment) = state.deployments.get(&id) else { return false };
    let before = deployment.wanted.as_ref().map(|shown| shown.state);
    if before.is_some_and(|known| known.is_final() || known > result) {
        return false;
    }
    let shown = ShownDeployment { state: result, description: description(text), log, environment_url };
    if deployment.wanted.as_ref() == Some(&shown) {
        return false;
    }
    let deployment = state.deployments.get_mut(&id).expect("it was there a line ago");
    deployment.wanted = Some(shown);
    state.touch(Topic::Deployment(id));
    before != Some(result)
}

fn settle_shown(state: &mut Repository, id: DeploymentId) {
    let Some(deployment) = state.deployments.get(&id) else { return };
    let key = EffectKey::from(format!("show-deployment:{id}"));
    let Some(wanted) = deployment.wanted.clone() else { return };
    // A text alone is not worth a write.
    let settled = deployment
        .accepted
        .as_ref()
        .is_some_and(|accepted| *accepted == wanted || (accepted.state == wanted.state && !wanted.state.is_final()));
    if settled || deployment.given_up.is_some() {
        withdraw(state, &key);
        return;
    }
    want(state, Wanted::now(key, Class::Deployment, Effect::ShowDeployment { id, shown: wanted }));
}

/// Takes in what became of showing a deployment's state.
pub(crate) fn shown(state: &mut Repository, effect: &Effect, outcome: &Outcome) {
    let Effect::ShowDeployment { id, shown } = effect else { return };
    let Some(deployment) = state.deployments.get_mut(id) else { return };
    match outcome {
        Outcome::Done(_) => deployment.accepted = Some(shown.clone()),
        Outcome::Refused(refusal) => deployment.given_up = Some(refusal.reason()),
        // What is tried again is what is wanted by then.
        Outcome::Later { .. } | Outcome::Unknown { .. } => {}
    }
    state.touch(Topic::Deployment(*id));
}
