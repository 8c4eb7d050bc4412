//! Whose code may run: computed once from facts that cannot change, asked at one door (S1).
//!
//! Untrusted is what comes from another repository, or from an author who may not push. Events, labels, re-runs, cancels and
//! concurrency do not change it; only somebody with write permission lets one attempt at one head start.

use crate::effect::{Answer, Effect, Outcome};
use crate::entity::Person;
use crate::event::{Permission, PullStanding, User};
use crate::id::{EffectKey, UserId};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::pull::Pull;
use crate::repository::{Repository, Topic};
use crate::run::{Approval, Suite, SuiteKey, Trust};
use crate::time::{Duration, Timestamp};
use crate::turn;

/// How long what was read of somebody counts as read just now. GitHub does not tell when people come and go.
const JUST_NOW: Duration = Duration::from_secs(60);

/// Returns what somebody may do, where it was read; asks for it where it was not. Who might not push is asked about again: people
/// who may by now need no approval.
pub(crate) fn permission(state: &mut Repository, user: &User, now: Timestamp) -> Option<Permission> {
    match state.people.get(&user.id) {
        Some(person) if person.permission.is_some_and(Permission::can_write) => person.permission,
        Some(person) if person.asked_at.is_some() => None,
        Some(person) if is_young(person, now) => person.permission,
        _ => {
            ask_again(state, user, now);
            None
        }
    }
}

/// Returns whether somebody may push, as far as it was read.
pub(crate) fn may_push(state: &Repository, user: UserId) -> bool {
    state.people.get(&user).and_then(|person| person.permission).is_some_and(Permission::can_write)
}

/// Returns whether somebody's permission is known, and not being read anew.
pub(crate) fn is_fresh(state: &Repository, user: UserId) -> bool {
    state.people.get(&user).is_some_and(|person| person.permission.is_some() && person.asked_at.is_none())
}

fn is_young(person: &Person, now: Timestamp) -> bool {
    person.read_at <= now && now < person.read_at + JUST_NOW
}

/// Is it still to be read whether somebody may push, before something is done on their word that cannot be taken back? Then it
/// is asked for.
pub(crate) fn awaits(state: &mut Repository, user: UserId, now: Timestamp) -> bool {
    let Some(person) = state.people.get(&user) else { return false };
    if person.asked_at.is_none() && !is_young(person, now) {
        let user = person.user.clone();
        ask_again(state, &user, now);
        return true;
    }
    person.asked_at.is_some()
}

/// Asks for somebody's permission anew, for what they do now. Until it is read the earlier one holds for what they did before.
pub(crate) fn ask_again(state: &mut Repository, user: &User, now: Timestamp) {
    let known = state.people.get(&user.id).and_then(|person| person.permission);
    let person = Person { user: user.clone(), permission: known, read_at: now, asked_at: Some(now), trouble: None };
    state.people.insert(user.id, person);
    state.touch(Topic::Person(user.id));
}

/// Settles a person: where the permission is not known, it is read.
pub(crate) fn settle_person(state: &mut Repository, id: UserId) {
    let Some(person) = state.people.get(&id) else { return };
    if person.asked_at.is_some() {
        let effect = Effect::ReadPermission(person.user.clone());
        want(state, Wanted::now(format!("permission:{id}"), Class::Read, effect));
    }
}

/// Takes in what a person may do.
pub(crate) fn permission_read(state: &mut Repository, id: UserId, outcome: &Outcome, now: Timestamp) {
    let Some(person) = state.people.get_mut(&id) else { return };
    match outcome {
        Outcome::Done(Answer::Permission(permission)) => {
            person.permission = Some(*permission);
        }
        Outcome::Done(_) | Outcome::Refused(_) => person.permission = Some(Permission::None),
        Outcome::Later { reason, .. } | Outcome::Unknown { reason } => {
            person.trouble = Some(reason.clone());
            return state.touch(Topic::Person(id));
        }
    }
    person.read_at = now;
    person.asked_at = None;
    person.trouble = None;
    let open = state.pulls.values().filter(|pull| pull.snapshot.standing == PullStanding::Open);
    let pulls: Vec<_> = open.map(|pull| pull.snapshot.number).collect();
    for number in pulls {
        state.touch(Topic::Pull(number));
    }
    let asking: Vec<_> =
        state.suites.values().filter(|suite| suite.trust == Trust::Asking).map(|suite| suite.key.clone()).collect();
    for key in asking {
        state.touch(Topic::Suite(key));
    }
}

/// Returns how far a pull request's code is trusted, and whose permission decides where it does.
pub(crate) fn of_pull(state: &mut Repository, pull: &Pull, now: Timestamp) -> (Trust, Option<User>) {
    if pull.snapshot.head_repo != Some(state.meta().repository.id) {
        return (Trust::Untrusted, None);
    }
    let author = pull.snapshot.author.clone();
    (by_author(permission(state, &author, now)), Some(author))
}

fn by_author(permission: Option<Permission>) -> Trust {
    match permission {
        None => Trust::Asking,
        Some(permission) if permission.can_write() => Trust::Trusted,
        Some(_) => Trust::Untrusted,
    }
}

/// Settles a suite's trust, where its author's permission was still awaited. Once settled it never changes.
pub(crate) fn settle_suite(state: &mut Repository, key: &SuiteKey, now: Timestamp) {
    let Some(suite) = state.suites.get(key) else { return };
    if suite.trust != Trust::Asking {
        return;
    }
    let trust = match suite.author.clone() {
        None => Trust::Untrusted,
        Some(author) => by_author(permission(state, &author, now)),
    };
    if trust == Trust::Asking {
        return;
    }
    let Some(suite) = state.suites.get_mut(key) else { return };
    suite.trust = trust;
    if trust == Trust::Trusted {
        turn::comes(state, key, now);
    }
}

/// Lets the present attempt of a suite start, by somebody with write permission.
pub(crate) fn approve(state: &mut Repository, key: &SuiteKey, by: UserId, now: Timestamp) {
    if state.suites.get(key).is_some_and(|suite| !suite.may_run()) {
        turn::comes(state, key, now);
    }
    if let Some(suite) = state.suites.get_mut(key) {
        suite.approval = Some(Approval { attempt: suite.attempt, head_sha: suite.key.head_sha, by });
        state.touch(Topic::Suite(key.clone()));
    }
}

/// Begins a suite's next attempt. What Greenlight starts by itself on the same head inherits the approval, here and nowhere else.
pub(crate) fn inherit(suite: &mut Suite) {
    let approved = suite.may_run();
    suite.attempt += 1;
    suite.turns += 1;
    if approved && let Some(approval) = &mut suite.approval {
        approval.attempt = suite.attempt;
    }
}

/// Reads the user out of a permission effect's key.
pub(crate) fn user_of(key: &EffectKey) -> Option<UserId> {
    key.as_str().strip_prefix("permission:")?.parse().ok().map(UserId)
}
