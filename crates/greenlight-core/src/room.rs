//! What rooms are told. A line is wanted in the same step as the change that it tells of, so it is told once however often
//! the change is looked at; each room is a lane, so its lines keep their order and an outage loses none.

use std::sync::Arc;

use crate::config::NotifyOn;
use crate::effect::Effect;
use crate::id::{RunNumber, Sha};
use crate::item::Class;
use crate::outbox::{Wanted, want};
use crate::repository::Repository;
use crate::run::{Conclusion, Suite};

/// Tells every room that wants to hear of this. While `.greenlight.yml` is wrong that is who wanted to when it was last right.
pub(crate) fn tell(state: &mut Repository, on: NotifyOn, about: &str, message: &str) {
    let Some(config) = state.known_config() else { return };
    for rule in config.notify.iter().filter(|rule| rule.on.contains(&on)) {
        let effect = Effect::Tell { room: rule.room.clone(), message: message.into() };
        let lane = format!("room:{}", rule.room);
        want(state, Wanted::now(format!("tell:{}:{about}", rule.room), Class::Comment, effect).in_lane(lane));
    }
}

/// Tells of a run that is over, where it failed: once for each attempt. Of what a stranger wrote and nobody let run no room
/// hears, and a deployment's own end is told in its own words.
pub(crate) fn tell_of_run(state: &mut Repository, suite: &Suite, number: RunNumber) {
    let Some(run) = state.runs.get_shared(&number) else { return };
    let failed = matches!(run.conclusion(), Some(Conclusion::Failure | Conclusion::TimedOut | Conclusion::Lost));
    if !failed || !suite.may_run() || suite.deployment().is_some() {
        return;
    }
    let repository = state.meta().repository.full_name.clone();
    let place = suite.pull().map_or_else(|| suite.git_ref.short().to_owned(), |number| format!("#{number}"));
    // What is wrong with a file begins with its path, and the run has no other name.
    let name = match run.problem {
        Some(_) => String::new(),
        None => format!(", {},", run.name),
    };
    let sha = suite.key.head_sha.short();
    let message = format!("Build #{number} ({sha}) of {repository} {place}{name} failed: {}", run.reason);
    tell(state, NotifyOn::Failure, &format!("run:{number}:{}", run.attempt), &message);
}

/// Tells that the default branch's `.greenlight.yml` became wrong with this commit.
pub(crate) fn tell_of_problem(state: &mut Repository, sha: Sha, problem: &Arc<str>) {
    let (repository, branch) = (state.meta().repository.full_name.clone(), state.default_branch());
    let message =
        format!("{repository} {} ({}): nothing is merged or deployed: {problem}", branch.short(), sha.short());
    tell(state, NotifyOn::Failure, &format!("config:{sha}"), &message);
}
