//! The engine: takes facts in, then settles whatever they touched until nothing is left to settle.
//!
//! Taking in a fact only changes what is known and touches topics; what should follow is decided by settling the topics, each
//! of which looks at state alone. So it does not matter by which road a fact came, nor how often: settling a topic twice
//! changes nothing, and settling all of them (as after a restart) gives what settling the touched ones gave.

mod change;
mod click;
mod cron;
mod outcome;
mod pull;
mod reconcile;
mod seen;
mod target;

use crate::effect::Reply;
use crate::fact::Fact;
use crate::repository::{Repository, Topic};
use crate::time::Timestamp;
use crate::{deploy, merge, report, schedule, trust};

use change::{other_event, pushed, reviewed, verdict_seen};
use click::clicked;
use outcome::came_back;
use pull::settle_pull;
pub use reconcile::RECONCILE_EVERY;
use reconcile::{comment_heard, repository_seen, settle_repository};
use seen::pull_seen;

/// More topics in one step than this is a rule that never comes to rest: a broken promise of our own.
const TOPICS_MAX: usize = 100_000;

/// Takes one fact in. Returns the answer, where the fact asked for one.
pub fn apply(state: &mut Repository, fact: &Fact, now: Timestamp) -> Option<Reply> {
    schedule::index_loaded(state);
    match fact {
        Fact::Repository(repository) => repository_seen(state, repository),
        Fact::Pull(fact) => pull_seen(state, fact, now),
        Fact::Push(fact) => pushed(state, fact, now),
        Fact::Comment(comment) => comment_heard(state, comment, now),
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
    if state.meta().reconciled_at.is_some_and(|at| at > now) {
        // The clock was set back: what was to be done by then would wait for it to come there again.
        state.touch(Topic::Repository);
    }
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
