//! Merging: when a pull request is ready, one after the other, and never on what was read before the last change.
//!
//! A merge goes: *ready* as far as state tells → GitHub is read → still ready, and tested on the base's tip as just read? Then
//! the call, guarded by the head; else the base moved, and it is tested again first. Whatever the call answers but a plain
//! success leads back to reading. What landed is compared with what was tested; a difference halts merging by name (R1).

mod note;

use std::sync::Arc;

use crate::config::{ConfigStanding, MergeRule, MergeWhen, NotifyOn};
use crate::effect::{Answer, Effect, Outcome, PullRead, Refusal};
use crate::event::{PullStanding, Verdict, Verdicts};
use crate::id::{Context, EffectKey, PullNumber, RefName, Sha, UserId};
use crate::item::{Class, ItemState};
use crate::outbox::{Wanted, backoff, remove, want, withdraw};
use crate::pull::{MergePhase, MergeStanding, Merging, Pull};
use crate::report::{AGGREGATE, is_green_on_github, is_tested_green};
use crate::repository::{Repository, Topic};
use crate::room::tell;
use crate::run::{Subject, Suite, SuiteKey, SuitePhase, Trust};
use crate::schedule::{self, is_suite_over};
use crate::time::{Duration, Timestamp};
use crate::trust::{awaits, may_push};

pub(crate) use note::note;

/// How long GitHub may say "not yet" before that is the answer.
pub const NOT_YET_MAX: Duration = Duration::from_secs(300);
/// How long to wait before asking again after "not yet".
const NOT_YET_WAIT: Duration = Duration::from_secs(5);

/// The event whose workflows decide about a merge.
const PULL_REQUEST: &str = "pull_request";

/// Whether a pull request may be merged, and why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nobody asked for it, or its tests are not over: nothing to explain beyond its status.
    Quiet,
    /// It waits or is refused, and this is why.
    Blocked(Arc<str>),
    /// It may be merged.
    Ready,
}

impl Readiness {
    fn blocked(reason: impl Into<Arc<str>>) -> Self {
        Self::Blocked(reason.into())
    }
}

/// Returns the name of the suite that tests a pull request's present head against its present base.
pub(crate) fn suite_key(pull: &Pull) -> SuiteKey {
    // Nearly always the event is one, and its name is shared.
    let told = &pull.event.name;
    SuiteKey {
        head_sha: pull.snapshot.head_sha,
        event: if &**told == PULL_REQUEST { told.clone() } else { PULL_REQUEST.into() },
        subject: Subject::Pull(pull.snapshot.number, pull.snapshot.base_ref.clone()),
    }
}

/// Returns whether a pull request may be merged, from state alone.
pub(crate) fn readiness(state: &Repository, pull: &Pull) -> Readiness {
    if pull.snapshot.standing != PullStanding::Open {
        return Readiness::Quiet;
    }
    let config = match &state.meta().config {
        ConfigStanding::Unknown => return Readiness::Quiet,
        ConfigStanding::Read { config: Err(problem), .. } => {
            return match is_wanted_in_any_case(pull) {
                true => Readiness::blocked(problem.to_string()),
                false => Readiness::Quiet,
            };
        }
        ConfigStanding::Read { config: Ok(config), .. } => config.clone(),
    };
    let Some(rule) = &config.merge else { return Readiness::Quiet };
    if rule.when == MergeWhen::Command && !is_wanted_in_any_case(pull) {
        return Readiness::Quiet;
    }
    let Some(suite) = state.suites.get(&suite_key(pull)) else { return Readiness::Quiet };
    if !matches!(suite.phase, SuitePhase::Planned(_))
        || suite.runs.iter().any(|number| state.runs.get(number).is_some_and(|run| !run.is_over()))
    {
        return Readiness::Quiet;
    }
    if suite.planned().is_some_and(|planned| planned.nothing.is_some()) {
        return Readiness::blocked("no job ran for this pull request, and only tested code is merged by itself");
    }
    if !is_tested_green(state, suite) || !is_green_on_github(state, pull.snapshot.head_sha) {
        return Readiness::Quiet;
    }
    match hindrance(state, pull, suite, rule) {
        Some(reason) => Readiness::Blocked(reason),
        None => Readiness::Ready,
    }
}

fn is_wanted_in_any_case(pull: &Pull) -> bool {
    pull.merge_asked.as_ref().is_some_and(|asked| asked.head_sha == pull.snapshot.head_sha)
}

/// Returns what keeps a pull request whose tests are green from being merged.
fn hindrance(state: &Repository, pull: &Pull, suite: &Suite, rule: &MergeRule) -> Option<Arc<str>> {
    let head = pull.snapshot.head_sha;
    if let MergeStanding::Refused { head_sha, reason } = &pull.merge
        && *head_sha == head
    {
        return Some(reason.clone());
    }
    if pull.snapshot.draft {
        return Some("it is a draft".into());
    }
    if let Some(halted) = state.branches.get(&pull.snapshot.base_ref).and_then(|branch| branch.halted.clone()) {
        return Some(format!("merging into {} is halted: {halted}", pull.snapshot.base_ref.short()).into());
    }
    if rule.when == MergeWhen::Command
        && let Some(by) = pull.merge_asked.as_ref().map(|asked| asked.by).filter(|by| !may_push(state, *by))
    {
        let login = state.people.get(&by).map_or_else(|| "whoever".into(), |person| person.user.login.clone());
        return Some(format!("{login} said /merge, and may not push any more").into());
    }
    let approvals = approvals(state, pull);
    if let Some(against) = objection(state, pull) {
        return Some(format!("{against} asked for changes").into());
    }
    if rule.when == MergeWhen::Approved && approvals == 0 {
        return Some(
            format!("it waits for an approving review of {} by somebody with write permission", head.short()).into(),
        );
    }
    if suite.trust != Trust::Trusted && approvals == 0 {
        return Some(
            format!("its author may not push here, so it waits for an approving review of {} by somebody with write permission", head.short())
                .into(),
        );
    }
    unmet(state, pull, rule, approvals)
}

/// Returns what of the branch's rules, and of the contexts that somebody else reports, is not fulfilled.
fn unmet(state: &Repository, pull: &Pull, rule: &MergeRule, approvals: u32) -> Option<Arc<str>> {
    let head = pull.snapshot.head_sha;
    let rules = state.branches.get(&pull.snapshot.base_ref).and_then(|branch| branch.rules.as_ref());
    if let Some(needed) = rules.map(|rules| rules.approvals)
        && approvals < needed
    {
        return Some(
            format!("{} asks for {needed} approving reviews, and {approvals} count", pull.snapshot.base_ref.short())
                .into(),
        );
    }
    let required = rule.require.iter().chain(rules.iter().flat_map(|rules| &rules.required));
    required.filter_map(|context| missing(state, head, context)).next()
}

/// Returns what is wrong with a required context: only an explicit success on this very commit will do (R4).
fn missing(state: &Repository, head: Sha, context: &Context) -> Option<Arc<str>> {
    if context.as_str() == AGGREGATE {
        return None;
    }
    let ours = state.reports.get(&(head, context.clone()));
    if let Some(report) = ours {
        return match report.accepted.as_ref().is_some_and(|shown| shown.state == crate::shown::ReportState::Success) {
            true => None,
            false => Some(format!("the required {context} is no success on {}", head.short()).into()),
        };
    }
    match state.verdicts.get(&(head, context.clone())) {
        Some(Verdicts::Success) => None,
        Some(Verdicts::Pending) => Some(format!("it waits for the required {context}").into()),
        Some(Verdicts::NotSuccess) => Some(format!("the required {context} is no success on {}", head.short()).into()),
        None => {
            Some(format!("it waits for the required {context}, which nobody has reported on {}", head.short()).into())
        }
    }
}

/// Counts the people whose approval counts.
fn approvals(state: &Repository, pull: &Pull) -> u32 {
    u32::try_from(approvers(state, pull).count()).unwrap_or(u32::MAX)
}

/// Returns the people with write permission whose latest verdict is an approval of this very head; never the author.
fn approvers(state: &Repository, pull: &Pull) -> impl Iterator<Item = UserId> {
    let counted = latest_verdicts(pull).into_iter().filter(|(user, verdict, commit)| {
        *verdict == Verdict::Approved
            && *commit == Some(pull.snapshot.head_sha)
            && *user != pull.snapshot.author.id
            && may_push(state, *user)
    });
    counted.map(|(user, ..)| user)
}

/// Are there people on whose word a pull request would be merged, and of whom it is to be read first whether they may still push?
fn awaits_people(state: &mut Repository, number: PullNumber, now: Timestamp) -> bool {
    let Some(pull) = state.pulls.get_shared(&number) else { return false };
    let mut people: Vec<UserId> = approvers(state, &pull).collect();
    people.extend(pull.merge_asked.as_ref().filter(|_| is_wanted_in_any_case(&pull)).map(|asked| asked.by));
    // Each of them is asked about, and all at once.
    people.into_iter().filter(|user| awaits(state, *user, now)).count() > 0
}

/// Returns the pull requests that wait for nothing but what others say or rules ask for: whoever never heard that it changed would wait
/// for ever.
pub(crate) fn blocked(state: &Repository) -> Vec<PullNumber> {
    let Some(rule) = state.config().and_then(|config| config.merge.clone()) else { return Vec::new() };
    let is_blocked = |pull: &&Pull| {
        matches!(readiness(state, pull), Readiness::Blocked(_))
            && unmet(state, pull, &rule, approvals(state, pull)).is_some()
    };
    state.pulls.values().filter(is_blocked).map(|pull| pull.snapshot.number).collect()
}

/// Has a pull request read, whatever is known of it.
pub(crate) fn read(state: &mut Repository, number: PullNumber) {
    want(state, Wanted::now(read_key(number), Class::Read, Effect::ReadPull(number)));
}

/// Returns who with write permission asked for changes and has not taken that back. Somebody whose permission is not known yet may be one.
fn objection(state: &Repository, pull: &Pull) -> Option<Arc<str>> {
    let may_object = |user| match state.people.get(&user).and_then(|person| person.permission) {
        None => true,
        Some(permission) => permission.can_write(),
    };
    let mut verdicts = latest_verdicts(pull).into_iter();
    let (against, ..) =
        verdicts.find(|(user, verdict, _)| *verdict == Verdict::ChangesRequested && may_object(*user))?;
    pull.reviews.values().find(|review| review.user.id == against).map(|review| review.user.login.clone())
}

/// Returns each person's latest verdict; a mere comment does not replace one.
fn latest_verdicts(pull: &Pull) -> Vec<(UserId, Verdict, Option<Sha>)> {
    let mut latest: Vec<(UserId, Verdict, Option<Sha>)> = Vec::new();
    for review in pull.reviews.values().filter(|review| review.verdict != Verdict::Commented) {
        latest.retain(|(user, _, _)| *user != review.user.id);
        latest.push((review.user.id, review.verdict, review.commit));
    }
    latest
}

/// Settles merging into a branch: one pull request at a time.
pub(crate) fn settle_branch(state: &mut Repository, name: &RefName, now: Timestamp) {
    let Some(branch) = state.branches.get(name) else { return };
    match branch.merging.clone() {
        None => begin(state, name, now),
        Some(merging) => proceed(state, name, merging, now),
    }
}

fn begin(state: &mut Repository, name: &RefName, now: Timestamp) {
    let ready = state
        .pulls
        .values()
        .filter(|pull| pull.snapshot.base_ref == *name && pull.snapshot.standing == PullStanding::Open)
        .find(|pull| readiness(state, pull) == Readiness::Ready);
    let Some(pull) = ready else { return };
    let merging = Merging {
        pull: pull.snapshot.number,
        head_sha: pull.snapshot.head_sha,
        phase: MergePhase::Reading { not_before: now },
        not_yet_since: None,
        called: None,
    };
    set_merging(state, name, Some(merging));
}

fn proceed(state: &mut Repository, name: &RefName, merging: Merging, now: Timestamp) {
    let still = state.pulls.get(&merging.pull).is_some_and(|pull| {
        pull.snapshot.standing == PullStanding::Open
            && pull.snapshot.head_sha == merging.head_sha
            && pull.snapshot.base_ref == *name
    });
    if !still {
        return abandon(state, name, &merging);
    }
    match &merging.phase {
        // Once it is being read they are not asked about again, however long that takes: it is looked at when it was read.
        MergePhase::Reading { .. }
            if !state.outbox.contains(&read_key(merging.pull)) && awaits_people(state, merging.pull, now) => {}
        MergePhase::Reading { not_before } => {
            let effect = Effect::ReadPull(merging.pull);
            want(state, Wanted::now(read_key(merging.pull), Class::Read, effect).not_before(*not_before));
        }
        MergePhase::Retesting { attempt } => {
            let Some(suite) = suite_of(state, merging.pull) else { return };
            if suite.attempt < *attempt || !is_suite_over(state, suite) {
                return;
            }
            if !is_tested_green(state, suite) {
                return set_merging(state, name, None);
            }
            if is_green_on_github(state, merging.head_sha) {
                set_merging(state, name, Some(Merging { phase: MergePhase::Reading { not_before: now }, ..merging }));
            }
        }
        MergePhase::Calling { .. } if is_in_doubt(state, &merge_key(merging.pull, merging.head_sha)) => {
            remove(state, &merge_key(merging.pull, merging.head_sha));
            set_merging(state, name, Some(Merging { phase: MergePhase::Reading { not_before: now }, ..merging }));
        }
        MergePhase::Calling { method, .. } => {
            let ready = state.pulls.get(&merging.pull).is_some_and(|pull| readiness(state, pull) == Readiness::Ready);
            if !ready && withdraw(state, &merge_key(merging.pull, merging.head_sha)) {
                return set_merging(state, name, None);
            }
            let effect = Effect::Merge {
                pull: merging.pull,
                head_sha: merging.head_sha,
                base_ref: name.clone(),
                method: *method,
            };
            want(state, Wanted::now(merge_key(merging.pull, merging.head_sha), Class::Merge, effect));
        }
    }
}

/// Ends a merge whose pull request is not what it was. A call that is under way is waited for; one of an earlier life of the
/// server came too late for what the pull request is now.
fn abandon(state: &mut Repository, name: &RefName, merging: &Merging) {
    let key = merge_key(merging.pull, merging.head_sha);
    if is_in_doubt(state, &key) {
        remove(state, &key);
    }
    if withdraw(state, &key) {
        set_merging(state, name, None);
    }
}

/// May a call have been made, and nobody waits for its answer any more? It is not made again: GitHub is read.
fn is_in_doubt(state: &Repository, key: &EffectKey) -> bool {
    state.outbox.get(key).is_some_and(|item| item.confirm && !matches!(item.state, ItemState::InFlight { .. }))
}

fn set_merging(state: &mut Repository, name: &RefName, merging: Option<Merging>) {
    let Some(branch) = state.branches.get_mut(name) else { return };
    if branch.merging == merging {
        return;
    }
    branch.merging = merging;
    state.touch(Topic::Branch(name.clone()));
    touch_pulls(state, name);
}

/// Touches every open pull request against a branch.
pub(crate) fn touch_pulls(state: &mut Repository, name: &RefName) {
    let pulls: Vec<_> = state
        .pulls
        .values()
        .filter(|pull| pull.snapshot.base_ref == *name && pull.snapshot.standing == PullStanding::Open)
        .map(|pull| pull.snapshot.number)
        .collect();
    for number in pulls {
        state.touch(Topic::Pull(number));
    }
}

fn suite_of(state: &Repository, number: PullNumber) -> Option<&Suite> {
    state.pulls.get(&number).and_then(|pull| state.suites.get(&suite_key(pull)))
}

/// Returns the key of the effect that reads a pull request.
pub(crate) fn read_key(number: PullNumber) -> EffectKey {
    EffectKey::from(format!("read-pull:{number}"))
}

fn merge_key(number: PullNumber, head: Sha) -> EffectKey {
    EffectKey::from(format!("merge:{number}:{head}"))
}

/// A pull request was read; its facts are taken in already. Where it is being merged, this is the moment to decide.
pub(crate) fn after_read(state: &mut Repository, read: &PullRead, now: Timestamp) {
    let number = read.fact.pull.number;
    let name = read.fact.pull.base_ref.clone();
    let Some(merging) = state.branches.get(&name).and_then(|branch| branch.merging.clone()) else { return };
    if merging.pull != number || !matches!(merging.phase, MergePhase::Reading { .. }) {
        return;
    }
    let Some(pull) = state.pulls.get(&number) else { return };
    if pull.snapshot.head_sha != merging.head_sha || pull.reread {
        return set_merging(state, &name, None);
    }
    if readiness(state, pull) != Readiness::Ready {
        return set_merging(state, &name, None);
    }
    if awaits_people(state, number, now) {
        return;
    }
    let Some(pull) = state.pulls.get(&number) else { return };
    let Some(planned) = state.suites.get(&suite_key(pull)).and_then(Suite::planned) else { return };
    let Some(rule) = state.config().and_then(|config| config.merge.clone()) else { return };
    if planned.base_sha == Some(read.base_tip) {
        let phase = MergePhase::Calling { tree: planned.tree, base_sha: read.base_tip, method: rule.method };
        let called = Some(planned.tree);
        return set_merging(state, &name, Some(Merging { phase, called, ..merging }));
    }
    let key = suite_key(pull);
    let text = format!("{} moved to {}: #{number} is tested again first", name.short(), read.base_tip.short());
    state.note(format!("#{number}"), text);
    let attempt = schedule::begin_attempt(state, &key, now);
    set_merging(state, &name, Some(Merging { phase: MergePhase::Retesting { attempt }, ..merging }));
}

/// The base moved after it was read: a call that has not left is taken back, and GitHub is read again.
pub(crate) fn base_moved(state: &mut Repository, name: &RefName, now: Timestamp) {
    let Some(merging) = state.branches.get(name).and_then(|branch| branch.merging.clone()) else { return };
    let MergePhase::Calling { base_sha, .. } = merging.phase else { return };
    let moved = state.branches.get(name).is_some_and(|branch| branch.tip != base_sha);
    if moved && withdraw(state, &merge_key(merging.pull, merging.head_sha)) {
        set_merging(state, name, Some(Merging { phase: MergePhase::Reading { not_before: now }, ..merging }));
    }
}

/// Takes in what became of a merge call.
pub(crate) fn called(state: &mut Repository, key: &EffectKey, effect: &Effect, outcome: &Outcome, now: Timestamp) {
    let Effect::Merge { pull: number, head_sha, base_ref, .. } = effect else { return };
    let merging = state
        .branches
        .get(base_ref)
        .and_then(|branch| branch.merging.clone())
        .filter(|merging| merging.pull == *number);
    match outcome {
        Outcome::Done(answer) => {
            let Answer::Merged { sha, tree } = answer else { return };
            landed(state, *number, base_ref, *sha, *tree, merging.as_ref());
        }
        Outcome::Refused(refusal) => refused(state, *number, *head_sha, base_ref, refusal, merging, now),
        Outcome::Later { reason, .. } | Outcome::Unknown { reason } => {
            // Nothing that cannot be taken back is repeated on what was read before: GitHub is read again.
            remove(state, key);
            let Some(merging) = merging else { return };
            state.note(format!("#{number}"), format!("the merge is tried again: {reason}"));
            let not_before = now + backoff(key, 1);
            set_merging(state, base_ref, Some(Merging { phase: MergePhase::Reading { not_before }, ..merging }));
        }
    }
}

fn landed(
    state: &mut Repository,
    number: PullNumber,
    base_ref: &RefName,
    sha: Sha,
    tree: Sha,
    merging: Option<&Merging>,
) {
    let tested = merging.and_then(|merging| merging.called);
    let Some(pull) = state.pulls.get_mut(&number) else { return };
    let was_told = matches!(pull.snapshot.standing, PullStanding::Merged { .. });
    pull.snapshot.standing = PullStanding::Merged { commit: Some(sha) };
    if let Some(tested_tree) = tested {
        pull.merge = MergeStanding::Landed { tested_tree, landed_tree: Some(tree) };
    }
    let head = pull.snapshot.head_sha;
    if merging.is_some() {
        set_merging(state, base_ref, None);
    }
    state.note(format!("#{number}"), format!("merged {} into {} as {}", head.short(), base_ref.short(), sha.short()));
    if !was_told {
        tell_merged(state, number, sha);
    }
    state.touch(Topic::Pull(number));
    state.touch_suites_of(number);
    state.touch_followers(sha);
    compare_trees(state, number);
}

/// Tells the rooms what was merged by us, however we came to hear of it.
pub(crate) fn tell_merged(state: &mut Repository, number: PullNumber, sha: Sha) {
    let Some(pull) = state.pulls.get(&number) else { return };
    let text = format!(
        "{}#{number} ({}) was merged into {} as {}",
        state.meta().repository.full_name,
        pull.snapshot.title,
        pull.snapshot.base_ref.short(),
        sha.short()
    );
    tell(state, NotifyOn::Merge, &format!("merge:{number}"), &text);
}

/// Compares what landed with what was tested (R1). A difference halts merging into the branch, by name.
pub(crate) fn compare_trees(state: &mut Repository, number: PullNumber) {
    let Some(pull) = state.pulls.get(&number) else { return };
    let MergeStanding::Landed { tested_tree, landed_tree: Some(landed_tree) } = pull.merge else { return };
    if tested_tree == landed_tree {
        return;
    }
    let name = pull.snapshot.base_ref.clone();
    let reason: Arc<str> = format!(
        "#{number} landed as tree {}, but tree {} was tested; a person must look and resume merging",
        landed_tree.short(),
        tested_tree.short()
    )
    .into();
    let Some(branch) = state.branches.get_mut(&name) else { return };
    if branch.halted.is_none() {
        branch.halted = Some(reason.clone());
        state.note(name.as_str(), format!("merging is halted: {reason}"));
        let repository = state.meta().repository.full_name.clone();
        tell(
            state,
            NotifyOn::Failure,
            &format!("halt:{number}"),
            &format!("merging into {} of {repository} is halted: {reason}", name.short()),
        );
        state.touch(Topic::Branch(name.clone()));
        touch_pulls(state, &name);
    }
}

fn refused(
    state: &mut Repository,
    number: PullNumber,
    head_sha: Sha,
    base_ref: &RefName,
    refusal: &Refusal,
    merging: Option<Merging>,
    now: Timestamp,
) {
    let since = merging.as_ref().and_then(|merging| merging.not_yet_since).unwrap_or(now);
    if let (Refusal::NotYet(_), Some(merging)) = (refusal, &merging)
        && now.since(since) < NOT_YET_MAX
    {
        let phase = MergePhase::Reading { not_before: now + NOT_YET_WAIT };
        return set_merging(state, base_ref, Some(Merging { phase, not_yet_since: Some(since), ..merging.clone() }));
    }
    if merging.is_some() {
        set_merging(state, base_ref, None);
    }
    if *refusal == Refusal::HeadMoved {
        let effect = Effect::ReadPull(number);
        return want(state, Wanted::now(read_key(number), Class::Read, effect));
    }
    let reason: Arc<str> = format!("GitHub refused the merge: {}", refusal.reason()).into();
    if let Some(pull) = state.pulls.get_mut(&number) {
        pull.merge = MergeStanding::Refused { head_sha, reason: reason.clone() };
    }
    state.note(format!("#{number}"), reason);
    state.touch(Topic::Pull(number));
}
