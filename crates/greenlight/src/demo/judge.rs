//! The judgement: did everything come about, once, and nothing else? From the emulated GitHub's final state alone, read over
//! its own API as anybody could.
//!
//! Where the server was killed on the way, three things are let pass, and nothing else: a deployment caught in the middle may
//! have ended as "outcome unknown" (then its environment is held, what comes later waits, and what would follow does not);
//! a state that was replaced by a newer one before it left may be missing among a deployment's; and a room, which cannot be
//! asked what it heard, may have heard a line twice.

mod finding;
mod state;

use super::project;
use super::record::{OUTCOME_UNKNOWN, is_aggregate, is_unknown};
use super::recorded::{Status, short};

pub use finding::Verdict;
use state::DeploymentState;
pub use state::FinalState;

/// What a deployment shows one after the other.
const DEPLOYMENT_STATES: [&str; 3] = ["queued", "in_progress", "success"];
/// Where a deployment is not there any more, since a later one took its place.
const INACTIVE: &str = "inactive";

/// What should have become of the story's pull requests, in the order in which they were merged.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// A line each.
    pub pulls: Vec<ExpectedPull>,
}

/// What should have become of a pull request.
#[derive(Clone, Debug)]
pub struct ExpectedPull {
    /// Its number.
    pub number: u64,
    /// Its heads, the oldest first, and what each should show.
    pub heads: Vec<(String, Shows)>,
    /// How it should end.
    pub ending: Ending,
}

/// What a commit should show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// Green: aggregate and jobs.
    Success,
    /// Red: the aggregate, and the job that failed.
    Failure,
    /// Neither: nothing ran.
    WaitsForApproval,
}

/// How a pull request should end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Merged and delivered.
    Delivered,
    /// Open.
    Open,
}

/// How strictly it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Nothing came between.
    Undisturbed,
    /// The server was killed on the way.
    Killed,
}

/// Judges.
pub fn judge(expected: &Expected, state: &FinalState, manner: Manner) -> Verdict {
    let mut verdict = Verdict::default();
    for pull in &expected.pulls {
        judge_pull(pull, state, manner, &mut verdict);
    }
    judge_main(expected, state, &mut verdict);
    judge_deliveries(expected, state, manner, &mut verdict);
    let known = expected.pulls.iter().map(|pull| pull.number);
    let strange: Vec<u64> =
        state.pulls.keys().copied().filter(|number| !known.clone().any(|known| known == *number)).collect();
    verdict.add("there are no other pull requests", strange.is_empty().then_some(()).ok_or(format!("{strange:?}")));
    verdict
}

fn judge_pull(expected: &ExpectedPull, state: &FinalState, manner: Manner, verdict: &mut Verdict) {
    let number = expected.number;
    for (sha, shows) in &expected.heads {
        let statuses = state.statuses.get(sha).map(Vec::as_slice).unwrap_or_default();
        verdict.add(&format!("#{number} {} shows {}", short(sha), shows.word()), shows_rightly(statuses, *shows));
        verdict.add(&format!("#{number} {} was shown everything once", short(sha)), shown_once(statuses, manner));
    }
    let Some(pull) = state.pulls.get(&number) else {
        return verdict.add(&format!("#{number} is there"), Err("it is not".to_owned()));
    };
    let last = expected.heads.last().map(|(sha, _)| sha.as_str()).unwrap_or_default();
    let ended = match (expected.ending, &pull.merged_as) {
        (Ending::Delivered, None) => Err(format!("it is {}", pull.state)),
        (Ending::Delivered, Some(merge)) => landed(state, merge, last),
        (Ending::Open, None) if pull.state == "open" => Ok(()),
        (Ending::Open, merged) => Err(format!("it is {}, merged as {merged:?}", pull.state)),
    };
    let what = if expected.ending == Ending::Delivered { "is merged at its last head" } else { "is open" };
    verdict.add(&format!("#{number} {what}"), ended);
    let mut bodies = pull.comments.clone();
    bodies.sort();
    let repeated = bodies.windows(2).find(|pair| pair[0] == pair[1]);
    let said_once = repeated.map_or(Ok(()), |pair| Err(format!("twice: {}", pair[0])));
    verdict.add(&format!("#{number} was told nothing twice"), said_once);
}

impl Shows {
    fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::WaitsForApproval => "that it waits for approval",
        }
    }
}

/// Returns the last status of each context.
fn last_of_each(statuses: &[Status]) -> Vec<&Status> {
    let mut last: Vec<&Status> = Vec::new();
    for status in statuses {
        last.retain(|known| known.context != status.context);
        last.push(status);
    }
    last
}

fn shows_rightly(statuses: &[Status], shows: Shows) -> Result<(), String> {
    let last = last_of_each(statuses);
    let told = || {
        last.iter()
            .map(|status| format!("{} {} ({})", status.context, status.state, status.description))
            .collect::<Vec<_>>()
            .join("; ")
    };
    let aggregate = last.iter().find(|status| is_aggregate(&status.context)).ok_or("nothing under greenlight")?;
    let jobs: Vec<_> = last.iter().filter(|status| !is_aggregate(&status.context)).collect();
    let in_state = |state: &str| jobs.iter().filter(|job| job.state == state).count();
    let is_right = match shows {
        Shows::Success => aggregate.state == "success" && jobs.len() >= 2 && in_state("success") == jobs.len(),
        Shows::Failure => aggregate.state == "failure" && in_state("failure") >= 1 && in_state("pending") == 0,
        Shows::WaitsForApproval => {
            let says_why = aggregate.description.starts_with("waits for approval");
            aggregate.state == "pending" && says_why && in_state("pending") == jobs.len()
        }
    };
    is_right.then_some(()).ok_or_else(told)
}

/// Was nothing shown twice, and nothing something else after its end? A deployment's jobs share their contexts, one deployment after the other.
fn shown_once(statuses: &[Status], manner: Manner) -> Result<(), String> {
    for context in
        last_of_each(statuses).iter().map(|status| &status.context).filter(|context| !context.ends_with("(deployment)"))
    {
        let mut before: Option<&Status> = None;
        for status in statuses.iter().filter(|status| status.context == *context) {
            let Some(earlier) = before.replace(status) else { continue };
            if earlier == status {
                return Err(format!("{context} was shown as {} twice in a row ({})", status.state, status.description));
            }
            if manner == Manner::Undisturbed && earlier.state != "pending" && earlier.state != status.state {
                return Err(format!("{context} was {} after it was {}", status.state, earlier.state));
            }
        }
    }
    Ok(())
}

fn landed(state: &FinalState, merge: &str, head: &str) -> Result<(), String> {
    let parents = state.parents.get(merge).map(Vec::as_slice).unwrap_or_default();
    match parents {
        [_, merged] if merged == head => Ok(()),
        other => Err(format!("{} has the parents {other:?}, and not {}", short(merge), short(head))),
    }
}

/// The default branch is what it was at first and one merge for each that was to be merged, in their order.
fn judge_main(expected: &Expected, state: &FinalState, verdict: &mut Verdict) {
    let merges = merges_of(expected, state);
    let mut tip = state.main.as_str();
    let mut right = Ok(());
    for (_, merge) in merges.iter().rev() {
        if tip != *merge {
            right = Err(format!("{} is there in place of {}", short(tip), short(merge)));
            break;
        }
        tip = state.parents.get(*merge).and_then(|parents| parents.first()).map(String::as_str).unwrap_or_default();
    }
    verdict.add("main has each merge once, in order, and nothing else", right);
}

/// Returns the delivered pull requests with the commits that they became.
fn merges_of<'a>(expected: &'a Expected, state: &'a FinalState) -> Vec<(&'a ExpectedPull, &'a str)> {
    let delivered = expected.pulls.iter().filter(|pull| pull.ending == Ending::Delivered);
    delivered.filter_map(|pull| Some((pull, state.pulls.get(&pull.number)?.merged_as.as_deref()?))).collect()
}

fn judge_deliveries(expected: &Expected, state: &FinalState, manner: Manner, verdict: &mut Verdict) {
    let merges = merges_of(expected, state);
    let mut held: Vec<&str> = Vec::new();
    let mut known = Vec::new();
    for (pull, merge) in &merges {
        let statuses = state.statuses.get(*merge).map(Vec::as_slice).unwrap_or_default();
        let unknown_allowed = manner == Manner::Killed;
        verdict.add(&format!("the merge of #{} shows success", pull.number), merge_is_green(statuses, unknown_allowed));
        verdict.add(&format!("the merge of #{} was shown everything once", pull.number), shown_once(statuses, manner));
        told_of_merge(state, merge, pull.number, manner, verdict);
        for environment in project::ENVIRONMENTS {
            let made: Vec<_> = state.deployments.iter().filter(|made| made.is(environment, merge)).collect();
            known.extend(made.iter().map(|made| made.id));
            let is_held = held.contains(&environment);
            let what = format!("#{} is delivered to {environment}, once", pull.number);
            match delivered(&made, is_held, manner) {
                Ok(Delivered::Done) => {
                    verdict.add(&what, Ok(()));
                    told_of_deployment(state, environment, merge, made[0], manner, verdict);
                }
                Ok(Delivered::Unknown) => {
                    held.push(environment);
                    verdict.add(
                        &format!("#{} ended in {environment} as {OUTCOME_UNKNOWN}, after a kill", pull.number),
                        Ok(()),
                    );
                    break;
                }
                Ok(Delivered::Waits) => {
                    verdict.add(&format!("#{} waits for a person to free {environment}", pull.number), Ok(()));
                    break;
                }
                Err(why) => {
                    verdict.add(&what, Err(why));
                    break;
                }
            }
        }
    }
    let strange: Vec<String> =
        state.deployments.iter().filter(|made| !known.contains(&made.id)).map(DeploymentState::told).collect();
    verdict.add("there are no other deployments", strange.is_empty().then_some(()).ok_or(strange.join("; ")));
    told_of_failures(expected, state, manner, verdict);
}

fn merge_is_green(statuses: &[Status], unknown_allowed: bool) -> Result<(), String> {
    let last = last_of_each(statuses);
    let is_excused =
        |status: &Status| unknown_allowed && status.context.ends_with("(deployment)") && status.state == "error";
    let wrong = last.iter().find(|status| status.state != "success" && !is_excused(status));
    match (wrong, last.iter().any(|status| is_aggregate(&status.context))) {
        (Some(status), _) => Err(format!("{} is {} ({})", status.context, status.state, status.description)),
        (None, false) => Err("nothing under greenlight".to_owned()),
        (None, true) => Ok(()),
    }
}

/// What became of a deployment.
enum Delivered {
    Done,
    Unknown,
    Waits,
}

fn delivered(made: &[&DeploymentState], is_held: bool, manner: Manner) -> Result<Delivered, String> {
    let deployment = match made {
        [] => return Err("there is no deployment".to_owned()),
        [one] => *one,
        several => return Err(format!("there are {} deployments", several.len())),
    };
    let mut states: Vec<&str> = deployment.statuses.iter().map(|status| status.state.as_str()).collect();
    if is_held {
        return if states == ["queued"] { Ok(Delivered::Waits) } else { Err(deployment.told()) };
    }
    if manner == Manner::Killed && deployment.statuses.last().is_some_and(is_unknown) {
        states.pop();
        let so_far = &DEPLOYMENT_STATES[..2];
        return if is_part_of(&states, so_far) { Ok(Delivered::Unknown) } else { Err(deployment.told()) };
    }
    if states.last() == Some(&INACTIVE) {
        states.pop();
    }
    let is_right = match manner {
        Manner::Undisturbed => states == DEPLOYMENT_STATES,
        Manner::Killed => states.last() == Some(&"success") && is_part_of(&states, &DEPLOYMENT_STATES),
    };
    if !is_right {
        return Err(deployment.told());
    }
    let has_url =
        deployment.statuses.iter().any(|status| status.state == "success" && status.environment_url.is_some());
    has_url.then_some(Delivered::Done).ok_or_else(|| "its success has no environment_url".to_owned())
}

/// Are these some of those, in their order, each once?
fn is_part_of(some: &[&str], all: &[&str]) -> bool {
    let mut rest = all.iter();
    some.iter().all(|state| rest.any(|known| known == state))
}

fn told_of_merge(state: &FinalState, merge: &str, number: u64, manner: Manner, verdict: &mut Verdict) {
    let mention = format!("{}#{number} ", project::FULL_NAME);
    let count = state.count_told(&[short(merge), &mention]);
    verdict.add(&format!("the room heard of the merge of #{number}"), heard(count, 1, manner));
}

fn told_of_deployment(
    state: &FinalState,
    environment: &str,
    merge: &str,
    made: &DeploymentState,
    manner: Manner,
    verdict: &mut Verdict,
) {
    let words = [environment, short(merge)];
    let begun = usize::from(made.statuses.iter().any(|status| status.state == "in_progress"));
    verdict.add(
        &format!("the room heard of {environment} of {}", short(merge)),
        heard(state.count_told(&words), 1 + begun, manner),
    );
}

fn told_of_failures(expected: &Expected, state: &FinalState, manner: Manner, verdict: &mut Verdict) {
    let heads = expected.pulls.iter().flat_map(|pull| &pull.heads).filter(|(_, shows)| *shows == Shows::Failure);
    for (sha, _) in heads {
        verdict.add(
            &format!("the room heard of the failure of {}", short(sha)),
            heard(state.count_told(&[short(sha)]), 1, manner),
        );
    }
}

fn heard(count: usize, wanted: usize, manner: Manner) -> Result<(), String> {
    let most = if manner == Manner::Killed { wanted * 2 } else { wanted };
    match count {
        _ if (wanted..=most).contains(&count) => Ok(()),
        _ => Err(format!("{count} lines, and not {wanted}")),
    }
}

#[cfg(test)]
mod tests;
