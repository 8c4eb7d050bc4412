//! The engine: takes facts in, then settles whatever they touched until nothing is left to settle.
//!
//! Taking in a fact only changes what is known and touches topics; what should follow is decided by settling the topics, each
//! of which looks at state alone. So it does not matter by which road a fact came, nor how often: settling a topic twice
//! changes nothing, and settling all of them (as after a restart) gives what settling the touched ones gave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::ConfigStanding;
use crate::effect::{Answer, Effect, Outcome, PullRead, Reconciled, Reply};
use crate::event::{BranchRules, Event, PullSnapshot, PullStanding};
use crate::fact::{Click, Fact, PullFact, PushFact, RepositoryRef, Source, Wish};
use crate::id::{EffectKey, PullNumber, RefName, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::pull::{Branch, MergeStanding, Note, Pull};
use crate::repository::{Repository, Topic};
use crate::run::{Conclusion, Run, Subject, Suite, SuiteKey, SuitePhase, Trust};
use crate::time::{Duration, Timestamp};
use crate::{command, configured, deploy, forget, merge, outbox, plan, report, rerun, schedule, trust};

/// How often GitHub is compared with (R5).
pub const RECONCILE_EVERY: Duration = Duration::from_secs(600);
/// How far back deployments are looked at.
const DEPLOYMENTS_BACK: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far back a merge that nobody told of is taken up: a day less than what is over is remembered.
const MERGES_BACK: Duration = Duration::from_secs(7 * 24 * 3600);
/// More topics in one step than this is a rule that never comes to rest: a broken promise of our own.
const TOPICS_MAX: usize = 100_000;

/// Takes one fact in. Returns the answer, where the fact asked for one.
pub fn apply(state: &mut Repository, fact: &Fact, now: Timestamp) -> Option<Reply> {
    match fact {
        Fact::Repository(repository) => repository_seen(state, repository),
        Fact::Pull(fact) => pull_seen(state, fact, now),
        Fact::Push(fact) => pushed(state, fact, now),
        Fact::Comment(comment) => command::commented(state, comment, now),
        Fact::Review { pull, review } => reviewed(state, *pull, review, now),
        Fact::Deployment { deployment, event } => deploy::seen(state, deployment, event.as_ref(), now),
        Fact::Verdict { sha, context, verdict } => verdict_seen(state, *sha, context, *verdict),
        Fact::Event { subject, git_ref, sha, event } => other_event(state, subject, git_ref.as_ref(), *sha, event, now),
        Fact::Outcome { effect, outcome } => came_back(state, effect, outcome, now),
        Fact::LeaseAsked(asked) => return Some(schedule::lease(state, asked, now)),
        Fact::Reported { attempt, token, report } => {
            return Some(schedule::reported(state, attempt, *token, report, now));
        }
        Fact::Booted { boot } => schedule::booted(state, boot, now),
        Fact::Labels(labels) => schedule::labels_known(state, labels),
        Fact::Click(click) => return Some(clicked(state, click, now)),
    }
    None
}

/// Settles every topic that was touched or whose time has come, until none is left.
pub fn decide(state: &mut Repository, now: Timestamp) {
    schedule::index_loaded(state);
    state.ring(now);
    let mut settled = 0;
    while let Some(topic) = state.next_topic() {
        settle(state, &topic, now);
        settled += 1;
        assert!(settled < TOPICS_MAX, "the rules do not come to rest at {topic:?}");
    }
}

fn settle(state: &mut Repository, topic: &Topic, now: Timestamp) {
    match topic {
        Topic::Repository => settle_repository(state, now),
        Topic::Person(id) => trust::settle_person(state, *id),
        Topic::Pull(number) => settle_pull(state, *number, now),
        Topic::Suite(key) => schedule::settle_suite(state, key, now),
        Topic::Run(number) => schedule::settle_run(state, *number, now),
        Topic::Commit(sha) => report::settle_commit(state, *sha),
        Topic::Report(sha, context) => report::settle_report(state, *sha, context, now),
        Topic::Branch(name) => merge::settle_branch(state, name, now),
        Topic::Wish(environment, sha) => deploy::settle_wish(state, environment, *sha, now),
        Topic::Environment(name) => deploy::settle_environment(state, name, now),
        Topic::Deployment(id) => deploy::settle_deployment(state, *id, now),
    }
}

// The repository.

fn repository_seen(state: &mut Repository, repository: &RepositoryRef) {
    if state.meta().repository == *repository {
        return;
    }
    state.set_reference(repository.clone());
    state.touch_all();
}

/// Compares with GitHub when it is time, and reads `.greenlight.yml` when the default branch moved.
fn settle_repository(state: &mut Repository, now: Timestamp) {
    let due = state.meta().reconciled_at.map_or(now, |at| at + RECONCILE_EVERY);
    if due <= now {
        reconcile(state, now);
    }
    state.set_alarm(Topic::Repository, Some(if due <= now { now + RECONCILE_EVERY } else { due }));
    let name = state.default_branch();
    let Some(tip) = state.branches.get(&name).map(|branch| branch.tip).filter(|tip| !tip.is_zero()) else { return };
    let read_at = match &state.meta().config {
        ConfigStanding::Unknown => None,
        ConfigStanding::Read { sha, .. } => Some(*sha),
    };
    if read_at != Some(tip) {
        let effect = Effect::ReadCommit { sha: tip, git_ref: Some(name), before: None };
        want(state, Wanted::now(format!("config:{tip}"), Class::Read, effect));
    }
}

fn reconcile(state: &mut Repository, now: Timestamp) {
    if state.outbox.contains(&EffectKey::from("reconcile")) {
        return;
    }
    forget::forget(state, now);
    let open = state.pulls.values().filter(|pull| pull.snapshot.standing == PullStanding::Open);
    let known_open = open.map(|pull| pull.snapshot.number).collect();
    let pulls_since = state.meta().pulls_seen;
    let effect = Effect::Reconcile { known_open, since: now - DEPLOYMENTS_BACK, pulls_since };
    want(state, Wanted::now("reconcile", Class::Read, effect));
}

fn reconciled(state: &mut Repository, read: &Reconciled, now: Timestamp) {
    repository_seen(state, &read.repository);
    state.meta_mut().reconciled_at = Some(now);
    let gone = refs_gone(state, &read.refs);
    for push in read.refs.iter().chain(&gone) {
        pushed(state, push, now);
    }
    state.meta_mut().refs_known = true;
    for fact in read.pulls.iter().filter(|fact| !is_forgotten(state, fact, now)).collect::<Vec<_>>() {
        pull_seen(state, fact, now);
    }
    let seen = state.meta().pulls_seen.max(read.pulls_until);
    state.meta_mut().pulls_seen = seen;
    for (number, review) in &read.reviews {
        reviewed(state, *number, review, now);
    }
    for comment in &read.comments {
        command::commented(state, comment, now);
    }
    for snapshot in &read.deployments {
        deploy::seen(state, snapshot, None, now);
    }
    deploy::settle_unproven(state);
    state.touch(Topic::Repository);
}

/// Was a pull request over so long ago that it may have been known and forgotten? What followed from its merge is not done again.
fn is_forgotten(state: &Repository, fact: &PullFact, now: Timestamp) -> bool {
    fact.pull.standing != PullStanding::Open
        && !state.pulls.contains(&fact.pull.number)
        && fact.pull.updated_at + MERGES_BACK <= now
}

/// Returns the refs that we know and GitHub does not any more.
fn refs_gone(state: &Repository, refs: &[PushFact]) -> Vec<PushFact> {
    let Some(sample) = refs.first() else { return Vec::new() };
    let there: BTreeSet<&RefName> = refs.iter().map(|push| &push.git_ref).collect();
    let known = state.branches.values().filter(|branch| !branch.tip.is_zero() && !there.contains(&branch.name));
    let gone = known.map(|branch| PushFact {
        git_ref: branch.name.clone(),
        before: branch.tip,
        after: Sha::ZERO,
        pushed_at: sample.pushed_at,
        event: sample.event.clone(),
        source: Source::Read,
    });
    gone.collect()
}

// Pull requests.

fn pull_seen(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let number = fact.pull.number;
    other_activity(state, fact, now);
    match state.pulls.get(&number) {
        None => first_seen(state, fact, now),
        Some(known) => match compare(known, fact) {
            Newness::Stale => {}
            Newness::Same => {
                if known.reread && fact.source == Source::Read {
                    let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
                    pull.reread = false;
                }
            }
            Newness::Unclear => {
                let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
                pull.reread = true;
            }
            Newness::Newer => changed(state, fact, now),
        },
    }
    state.touch(Topic::Pull(number));
}

fn first_seen(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let pull = Pull {
        snapshot: fact.pull.clone(),
        event: fact.event.clone(),
        head_since: head_since(fact, now),
        reread: false,
        reviews: BTreeMap::new(),
        merge_asked: None,
        approved_heads: BTreeMap::new(),
        commands: Vec::new(),
        comments_seen: BTreeSet::new(),
        merge: MergeStanding::None,
        note: Note::default(),
    };
    state.pulls.insert(fact.pull.number, pull);
}

/// Since when the head is what it is: a webhook tells the moment, a read tells no more than the head repository's last push.
fn head_since(fact: &PullFact, now: Timestamp) -> Timestamp {
    match fact.source {
        Source::Webhook if matches!(fact.event.action.as_deref(), Some("opened" | "synchronize")) => {
            fact.pull.updated_at
        }
        _ => fact.pull.head_pushed_at.unwrap_or(now),
    }
}

enum Newness {
    Stale,
    Same,
    Unclear,
    Newer,
}

/// Is this snapshot newer than what is known? GitHub's clock ticks in seconds: two that differ within one can only be told apart by a read.
fn compare(known: &Pull, fact: &PullFact) -> Newness {
    let (old, new) = (&known.snapshot, &fact.pull);
    if matches!(old.standing, PullStanding::Merged { commit: Some(_) }) || new.updated_at < old.updated_at {
        return Newness::Stale;
    }
    if old == new {
        return Newness::Same;
    }
    let merged = matches!(new.standing, PullStanding::Merged { .. });
    if new.updated_at > old.updated_at || fact.source == Source::Read || merged || is_alike(old, new) {
        return Newness::Newer;
    }
    Newness::Unclear
}

/// Do two snapshots agree in everything that a rule looks at?
fn is_alike(old: &PullSnapshot, new: &PullSnapshot) -> bool {
    old.standing == new.standing
        && old.head_sha == new.head_sha
        && old.base_ref == new.base_ref
        && old.draft == new.draft
}

fn changed(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let Some(pull) = state.pulls.get_mut(&fact.pull.number) else { return };
    let head_changed = pull.snapshot.head_sha != fact.pull.head_sha;
    let base_changed = pull.snapshot.base_ref != fact.pull.base_ref;
    let old_base = pull.snapshot.base_ref.clone();
    if fact.source == Source::Read {
        pull.reread = false;
    }
    if head_changed {
        pull.head_since = head_since(fact, now);
        pull.merge_asked = None;
    }
    if head_changed || base_changed || is_start(fact) {
        pull.event = fact.event.clone();
    }
    let landed = matches!(fact.pull.standing, PullStanding::Merged { .. })
        && !matches!(pull.snapshot.standing, PullStanding::Merged { .. });
    pull.snapshot = fact.pull.clone();
    if landed {
        merged_elsewhere(state, fact.pull.number);
    }
    state.touch(Topic::Branch(old_base));
    if base_changed {
        state.touch(Topic::Branch(fact.pull.base_ref.clone()));
    }
    // What was tested of the earlier head, base or standing is history, at every commit.
    state.touch_suites_of(fact.pull.number);
}

fn is_start(fact: &PullFact) -> bool {
    matches!(fact.event.action.as_deref(), Some("opened" | "reopened" | "synchronize"))
}

/// A pull request was merged. Where our own call may have done it, what landed is to be compared with what was tested.
fn merged_elsewhere(state: &mut Repository, number: PullNumber) {
    let Some(pull) = state.pulls.get(&number) else { return };
    let merging = state.branches.get(&pull.snapshot.base_ref).and_then(|branch| branch.merging.clone());
    let called = merging.filter(|merging| merging.pull == number).and_then(|merging| merging.called);
    let commit = match pull.snapshot.standing {
        PullStanding::Merged { commit } => commit,
        _ => None,
    };
    let Some(tested_tree) = called else { return };
    if pull.merge == MergeStanding::None {
        let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
        pull.merge = MergeStanding::Landed { tested_tree, landed_tree: None };
    }
    if let Some(sha) = commit {
        merge::tell_merged(state, number, sha);
    }
}

/// Other activity types start suites of their own: labeled, closed, edited, …
fn other_activity(state: &mut Repository, fact: &PullFact, now: Timestamp) {
    let Some(action) = fact.event.action.clone() else { return };
    if fact.source == Source::Read || is_start(fact) || &*fact.event.name != "pull_request" {
        return;
    }
    let subject = Subject::PullAction(fact.pull.number, action, fact.pull.updated_at);
    let key = SuiteKey { head_sha: fact.pull.head_sha, event: fact.event.name.clone(), subject };
    if state.suites.contains(&key) {
        return;
    }
    let number = fact.pull.number;
    let known = Pull {
        snapshot: fact.pull.clone(),
        event: fact.event.clone(),
        head_since: now,
        reread: false,
        reviews: BTreeMap::new(),
        merge_asked: None,
        approved_heads: BTreeMap::new(),
        commands: Vec::new(),
        comments_seen: BTreeSet::new(),
        merge: MergeStanding::None,
        note: Note::default(),
    };
    let (trusted, author) = trust::of_pull(state, &known, now);
    let git_ref = match fact.pull.standing {
        PullStanding::Merged { .. } => fact.pull.base_ref.clone(),
        _ => RefName::from(format!("refs/pull/{number}/merge")),
    };
    let suite = Suite::new(key.clone(), fact.event.clone(), git_ref, trusted, author, now);
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}

/// Settles a pull request: its suite, its commands, its merge, what follows a merge, and its note.
fn settle_pull(state: &mut Repository, number: PullNumber, now: Timestamp) {
    let Some(pull) = state.pulls.get_shared(&number) else { return };
    if pull.reread {
        want(state, Wanted::now(merge::read_key(number), Class::Read, Effect::ReadPull(number)));
    }
    match pull.snapshot.standing {
        PullStanding::Open => want_suite(state, &pull, now),
        PullStanding::Closed => stop_suites(state, number, None, || "the pull request was closed".to_owned(), now),
        PullStanding::Merged { commit } => {
            stop_untrusted(state, number, now);
            after_merge(state, &pull, commit, now);
        }
    }
    command::settle_commands(state, number, now);
    let readiness = state.pulls.get(&number).map_or(merge::Readiness::Quiet, |pull| merge::readiness(state, pull));
    let relevant = state.branches.get(&pull.snapshot.base_ref).is_some_and(|branch| {
        branch.merging.as_ref().is_some_and(|merging| merging.pull == number)
            || (branch.merging.is_none() && readiness == merge::Readiness::Ready)
    });
    if relevant {
        state.touch(Topic::Branch(pull.snapshot.base_ref.clone()));
    }
    settle_note(state, number, readiness);
}

/// An open pull request wants its head tested against its base. What was tested before for it is history.
fn want_suite(state: &mut Repository, pull: &Pull, now: Timestamp) {
    let key = merge::suite_key(pull);
    ensure_branch(state, &pull.snapshot.base_ref, pull.snapshot.base_sha);
    let newer = || format!("{} took its place", pull.snapshot.head_sha.short());
    stop_suites(state, pull.snapshot.number, Some(&key), newer, now);
    match state.suites.get(&key) {
        Some(suite) if matches!(&suite.phase, SuitePhase::Stopped { conclusion: Conclusion::Cancelled, .. }) => {
            schedule::begin_attempt(state, &key, now);
        }
        Some(_) => {}
        None => {
            let (trust, author) = trust::of_pull(state, pull, now);
            let git_ref = RefName::from(format!("refs/pull/{}/merge", pull.snapshot.number));
            let suite = Suite::new(key.clone(), pull.event.clone(), git_ref, trust, author, now);
            state.insert_suite(suite);
            state.note(
                format!("#{}", pull.snapshot.number),
                format!("{} is to be tested", pull.snapshot.head_sha.short()),
            );
            state.touch(Topic::Commit(key.head_sha));
            state.touch(Topic::Suite(key));
        }
    }
}

/// A branch of which only a pull request told is known by its name.
fn ensure_branch(state: &mut Repository, name: &RefName, tip: Sha) {
    if state.branches.contains(name) {
        return;
    }
    let branch =
        Branch { name: name.clone(), tip, pushed_at: Timestamp::EPOCH, merging: None, halted: None, rules: None };
    state.branches.insert(name.clone(), branch);
    if *name == state.default_branch() {
        state.touch(Topic::Repository);
    }
}

/// Stops the suites of a pull request that are not `but`.
fn stop_suites(
    state: &mut Repository,
    number: PullNumber,
    but: Option<&SuiteKey>,
    reason: impl FnOnce() -> String,
    now: Timestamp,
) {
    let others = state.open_suites_of(number).filter(|key| Some(*key) != but);
    let (over, stale): (Vec<SuiteKey>, Vec<SuiteKey>) =
        others.cloned().partition(|key| state.suites.get(key).is_none_or(|suite| is_over(state, suite)));
    for key in over {
        state.close_suite(number, &key);
    }
    if stale.is_empty() {
        return;
    }
    let reason = reason();
    for key in stale {
        stop_suite(state, &key, &reason, now);
    }
}

/// What nobody let start before the merge never will.
fn stop_untrusted(state: &mut Repository, number: PullNumber, now: Timestamp) {
    let waiting: Vec<_> = state
        .suites_of(number)
        .filter(|suite| !suite.may_run() && !is_over(state, suite))
        .map(|suite| suite.key.clone())
        .collect();
    for key in waiting {
        stop_suite(state, &key, "the pull request was merged without it", now);
    }
}

/// Is there nothing of a suite left that could be stopped?
fn is_over(state: &Repository, suite: &Suite) -> bool {
    match suite.phase {
        SuitePhase::Reading { .. } => false,
        SuitePhase::Planned(_) => suite.runs.iter().all(|number| state.runs.get(number).is_none_or(Run::is_over)),
        SuitePhase::Stopped { .. } => true,
    }
}

fn stop_suite(state: &mut Repository, key: &SuiteKey, reason: &str, now: Timestamp) {
    let Some(suite) = state.suites.get(key) else { return };
    let runs = suite.runs.clone();
    match suite.phase {
        SuitePhase::Reading { .. } => {
            for number in runs {
                schedule::cancel_run(state, number, reason, now);
            }
            plan::stop(state, key, Conclusion::Cancelled, &format!("cancelled: {reason}"));
        }
        SuitePhase::Planned(_) => {
            let active = runs.iter().any(|number| state.runs.get(number).is_some_and(|run| !run.is_over()));
            for number in runs {
                schedule::cancel_run(state, number, reason, now);
            }
            // What ended before keeps its results; what was cut short begins anew if its head comes back.
            let is_wrong =
                state.suites.get(key).and_then(Suite::planned).is_some_and(|planned| planned.config_problem.is_some());
            if active && !is_wrong {
                plan::stop(state, key, Conclusion::Cancelled, &format!("cancelled: {reason}"));
            }
        }
        SuitePhase::Stopped { .. } => {}
    }
}

fn after_merge(state: &mut Repository, pull: &Pull, commit: Option<Sha>, now: Timestamp) {
    let number = pull.snapshot.number;
    let Some(sha) = commit else {
        return want(state, Wanted::now(merge::read_key(number), Class::Read, Effect::ReadPull(number)));
    };
    if let MergeStanding::Landed { landed_tree: None, .. } = pull.merge {
        let effect = Effect::ReadCommit { sha, git_ref: Some(pull.snapshot.base_ref.clone()), before: None };
        want(state, Wanted::now(format!("landed:{number}"), Class::Read, effect));
    }
    merge::compare_trees(state, number);
    deploy::wish_for_merge(state, pull, now);
}

fn landed_read(state: &mut Repository, key: &EffectKey, outcome: &Outcome) {
    let Some(number) = key.as_str().strip_prefix("landed:").and_then(|number| number.parse().ok()).map(PullNumber)
    else {
        return;
    };
    let Outcome::Done(Answer::Commit(files)) = outcome else { return };
    if let Some(pull) = state.pulls.get_mut(&number)
        && let MergeStanding::Landed { landed_tree, .. } = &mut pull.merge
    {
        *landed_tree = Some(files.tree);
        state.touch(Topic::Pull(number));
        report::touch_followers(state, files.sha);
    }
}

/// Keeps the one comment that explains waits and refusals.
fn settle_note(state: &mut Repository, number: PullNumber, readiness: merge::Readiness) {
    let Some(pull) = state.pulls.get(&number) else { return };
    let wanted = merge::note(state, pull, readiness);
    let note = &pull.note;
    let (accepted, id) = (note.accepted.clone(), note.id);
    if note.given_up.is_some() {
        return;
    }
    if note.wanted != wanted {
        let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
        pull.note.wanted.clone_from(&wanted);
    }
    let is_due = wanted.is_some() && accepted != wanted;
    if !is_due && !state.noting.contains(&number) {
        return;
    }
    let key = EffectKey::from(format!("note:{number}"));
    match wanted {
        Some(body) if accepted.as_ref() != Some(&body) => {
            let effect = Effect::Comment { pull: number, mark: "note".into(), body, id };
            want(state, Wanted::now(key, Class::Comment, effect));
            state.noting.insert(number);
        }
        _ => {
            if outbox::withdraw(state, &key) {
                state.noting.remove(&number);
            }
        }
    }
}

fn noted(state: &mut Repository, effect: &Effect, outcome: &Outcome) {
    let Effect::Comment { pull: number, mark, body, .. } = effect else { return };
    if &**mark != "note" {
        return;
    }
    let Some(pull) = state.pulls.get_mut(number) else { return };
    match outcome {
        Outcome::Done(answer) => {
            if let Answer::Comment(id) = answer {
                pull.note.id = Some(*id);
            }
            pull.note.accepted = Some(body.clone());
        }
        Outcome::Refused(refusal) => pull.note.given_up = Some(refusal.reason()),
        // What is tried again is what is wanted by then.
        Outcome::Later { .. } | Outcome::Unknown { .. } => {}
    }
    state.touch(Topic::Pull(*number));
}

fn reviewed(state: &mut Repository, number: PullNumber, review: &crate::event::Review, now: Timestamp) {
    let Some(pull) = state.pulls.get(&number) else {
        return want(state, Wanted::now(merge::read_key(number), Class::Read, Effect::ReadPull(number)));
    };
    if pull.reviews.get(&review.id) == Some(review) {
        return;
    }
    let dismissed = pull.reviews.get(&review.id).is_some_and(|known| known.verdict == crate::event::Verdict::Dismissed);
    if dismissed {
        return;
    }
    let pull = state.pulls.get_mut(&number).expect("it was there a line ago");
    pull.reviews.insert(review.id, review.clone());
    trust::ask_again(state, &review.user, now);
    state.touch(Topic::Pull(number));
}

fn verdict_seen(state: &mut Repository, sha: Sha, context: &crate::id::Context, verdict: crate::event::Verdicts) {
    let name = (sha, context.clone());
    if state.reports.contains(&name) || state.verdicts.get(&name) == Some(&verdict) {
        return;
    }
    state.verdicts.insert(name, verdict);
    report::touch_followers(state, sha);
}

// Pushes and other events.

fn pushed(state: &mut Repository, push: &PushFact, now: Timestamp) {
    let known = state.branches.get(&push.git_ref);
    let first_look = known.is_none() && !state.meta().refs_known && push.source == Source::Read;
    let moved = known.is_none_or(|branch| branch.tip != push.after);
    let newer = known.is_none_or(|branch| push.pushed_at >= branch.pushed_at || push.source == Source::Read);
    let tip = known.map(|branch| branch.tip);
    if moved && newer {
        move_branch(state, push, now);
    }
    let news = match push.source {
        Source::Webhook => true,
        Source::Read => moved && !first_look,
    };
    if !news || push.after.is_zero() || is_our_own(state, push) {
        return;
    }
    let key = SuiteKey { head_sha: push.after, event: "push".into(), subject: Subject::Ref(push.git_ref.clone()) };
    if state.suites.contains(&key) {
        return;
    }
    let mut suite = Suite::new(key.clone(), push.event.clone(), push.git_ref.clone(), Trust::Trusted, None, now);
    suite.before = match push.source {
        Source::Webhook => Some(push.before),
        Source::Read => tip,
    }
    .filter(|before| !before.is_zero());
    state.insert_suite(suite);
    state.touch(Topic::Commit(key.head_sha));
    state.touch(Topic::Suite(key));
}

fn move_branch(state: &mut Repository, push: &PushFact, now: Timestamp) {
    match state.branches.get_mut(&push.git_ref) {
        Some(branch) => {
            branch.tip = push.after;
            branch.pushed_at = branch.pushed_at.max(push.pushed_at);
        }
        None => {
            let branch = Branch {
                name: push.git_ref.clone(),
                tip: push.after,
                pushed_at: push.pushed_at,
                merging: None,
                halted: None,
                rules: None,
            };
            state.branches.insert(push.git_ref.clone(), branch);
        }
    }
    merge::base_moved(state, &push.git_ref, now);
    state.touch(Topic::Branch(push.git_ref.clone()));
    if push.git_ref == state.default_branch() {
        state.touch(Topic::Repository);
        configured::touch_deployments(state);
    }
}

/// What our own App pushed starts nothing, unless it is a merge of ours: otherwise a job's push would start runs that GitHub's own token would not.
fn is_our_own(state: &Repository, push: &PushFact) -> bool {
    let Some(own) = state.settings.own_user else { return false };
    if push.event.sender.id != own || push.source == Source::Read {
        return false;
    }
    let merging = state
        .branches
        .get(&push.git_ref)
        .is_some_and(|branch| branch.merging.as_ref().is_some_and(|merging| merging.called.is_some()));
    let merged =
        state.pulls.values().any(|pull| pull.snapshot.standing == PullStanding::Merged { commit: Some(push.after) });
    !merging && !merged
}

fn other_event(
    state: &mut Repository,
    subject: &Arc<str>,
    git_ref: Option<&RefName>,
    sha: Option<Sha>,
    event: &Arc<Event>,
    now: Timestamp,
) {
    let git_ref = git_ref.cloned().unwrap_or_else(|| state.default_branch());
    let tip = state.branches.get(&git_ref).map(|branch| branch.tip).filter(|tip| !tip.is_zero());
    let Some(head_sha) = sha.or(tip) else { return };
    let key = SuiteKey { head_sha, event: event.name.clone(), subject: Subject::Other(subject.clone()) };
    if state.suites.contains(&key) {
        return;
    }
    let suite = Suite::new(key.clone(), event.clone(), git_ref, Trust::Trusted, None, now);
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}

// Outcomes.

fn came_back(state: &mut Repository, key: &EffectKey, outcome: &Outcome, now: Timestamp) {
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
            if let Outcome::Done(Answer::Reconciled(read)) = outcome {
                reconciled(state, read, now);
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
            Outcome::Done(Answer::Commit(files)) => configured::read(state, files, now),
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

// Clicks.

fn clicked(state: &mut Repository, click: &Click, now: Timestamp) -> Reply {
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
        Wish::Approve(number) => approve(state, *number),
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

fn approve(state: &mut Repository, number: crate::id::RunNumber) -> Result<Arc<str>, Arc<str>> {
    let Some(run) = state.runs.get(&number) else { return Err(format!("there is no run {number}").into()) };
    let key = run.suite.clone();
    match state.suites.get(&key) {
        Some(suite) if suite.may_run() => Err(format!("run {number} needs no approval").into()),
        Some(suite) if suite.runs.contains(&number) => {
            trust::approve(state, &key, crate::id::UserId(0));
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
