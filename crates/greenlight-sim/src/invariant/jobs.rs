//! Jobs, from the runners' side: I9, I10, I12, I22, I25, I26; and which trees were really tested.

use std::collections::{BTreeMap, BTreeSet};

use greenlight_core::effect::{JobOrder, Reply};
use greenlight_core::id::{AttemptId, JobKey, RunNumber, RunnerId, Sha, Token};
use greenlight_core::plan::{SCHEDULE, TARGET};
use greenlight_core::run::{Conclusion, Job, JobState, Run, Subject};

use super::{Checked, must, turns};
use crate::coverage::{Coverage, Moment};
use crate::objects::{Objects, name};
use crate::world::World;

/// How the jobs of one run attempt ended, as its runners told.
#[derive(Clone, Debug)]
struct Tested {
    subject: Subject,
    attempt: u32,
    good: u32,
    bad: u32,
    open: u32,
}

/// A job attempt: run, its attempt, job, try.
type Place = (RunNumber, u32, JobKey, u32);

/// What runners were given and what they told.
#[derive(Debug, Default)]
pub struct Jobs {
    ended: BTreeMap<Place, Conclusion>,
    said: BTreeMap<Place, Conclusion>,
    last_token: u64,
    tokens: BTreeMap<(RunNumber, JobKey), Token>,
    tested: BTreeMap<Sha, BTreeMap<RunNumber, Tested>>,
    runs: BTreeMap<RunNumber, Sha>,
    /// Trees of which every job that ran succeeded.
    pub green_trees: BTreeSet<Sha>,
}

impl Jobs {
    /// Was this commit tested for this subject, and did every job of the latest attempts that ran succeed?
    pub fn is_green(&self, sha: Sha, subject: &Subject) -> bool {
        let Some(runs) = self.tested.get(&sha) else { return false };
        let mut good = 0;
        for run in runs.values().filter(|run| run.subject == *subject) {
            if run.bad > 0 || run.open > 0 {
                return false;
            }
            good += run.good;
        }
        good > 0
    }

    fn lease(&mut self, order: &JobOrder, run: &Run) {
        let attempt = &order.attempt;
        // A retest moves a run to another commit.
        if let Some(before) = self.runs.insert(attempt.run, order.checkout.sha)
            && before != order.checkout.sha
            && let Some(runs) = self.tested.get_mut(&before)
        {
            runs.remove(&attempt.run);
        }
        let fresh = || {
            let (good, bad) = kept(run);
            Tested { subject: run.suite.subject.clone(), attempt: attempt.run_attempt, good, bad, open: 0 }
        };
        let runs = self.tested.entry(order.checkout.sha).or_default();
        if runs.get(&attempt.run).is_none_or(|known| known.attempt != attempt.run_attempt) {
            runs.insert(attempt.run, fresh());
        }
        if let Some(run) = runs.get_mut(&attempt.run) {
            run.open += u32::from(attempt.tried == 1);
        }
    }

    /// A runner is about to tell how its job ended.
    pub fn says(&mut self, attempt: &AttemptId, conclusion: Conclusion) {
        self.said.insert((attempt.run, attempt.run_attempt, attempt.job.clone(), attempt.tried), conclusion);
    }

    /// A job attempt is over. Returns its commit, where it was tested at all.
    fn end(&mut self, run: &Run, conclusion: Conclusion) -> Option<Sha> {
        let sha = *self.runs.get(&run.number)?;
        let known = self.tested.get_mut(&sha)?.get_mut(&run.number)?;
        if known.attempt != run.attempt || conclusion == Conclusion::Skipped {
            return None;
        }
        known.open = known.open.saturating_sub(1);
        match conclusion {
            Conclusion::Success => known.good += 1,
            _ => known.bad += 1,
        }
        Some(sha)
    }
}

/// Returns how many of a run's jobs were kept from earlier attempts as a success, and how many as something else.
fn kept(run: &Run) -> (u32, u32) {
    let kept = run.jobs.iter().filter(|job| job.attempt < run.attempt && !job.is_open_call());
    kept.filter_map(Job::conclusion).fold((0, 0), |(good, bad), conclusion| match conclusion {
        Conclusion::Success => (good + 1, bad),
        Conclusion::Skipped => (good, bad),
        _ => (good, bad + 1),
    })
}

/// A runner was given a job.
pub fn leased(world: &mut World, runner: &RunnerId, order: &JobOrder) -> Checked {
    i10_one_lease(world, runner, order)?;
    i12_its_turn(world, order)?;
    i25_untrusted_is_approved(world, order)?;
    i25_target_is_the_default_branch(world, order)?;
    super::deploys::i22_never_twice(world, order)?;
    // What deploys a commit does not test it, and no more does what the clock starts.
    let deploys = order.env.iter().any(|(name, _)| &**name == "DEPLOYMENT_ID");
    if let Some(run) = world.run(order.attempt.run).filter(|run| !deploys && &*run.suite.event != SCHEDULE) {
        world.checks.jobs.lease(order, &run);
    }
    Ok(())
}

/// I10: At any time at most one runner holds a valid lease on an attempt.
fn i10_one_lease(world: &mut World, runner: &RunnerId, order: &JobOrder) -> Checked {
    let clock = world.server_millis();
    let place = (order.attempt.run, order.attempt.job.clone());
    for other in &world.runners {
        let Some(work) = &other.work else { continue };
        let same = work.attempt.run == place.0
            && work.attempt.job == place.1
            && work.attempt.run_attempt == order.attempt.run_attempt;
        must(!(same && work.is_held(clock) && other.id != *runner), "I10", || {
            format!("{} was leased to {runner} while {} held it", order.attempt, other.id)
        })?;
    }
    let jobs = &mut world.checks.jobs;
    must(order.token.0 > jobs.last_token, "I10", || {
        format!("token {} is not larger than {}", order.token, jobs.last_token)
    })?;
    jobs.last_token = order.token.0;
    jobs.tokens.insert(place, order.token);
    Ok(())
}

/// I12: A job starts only after all its `needs` are terminal; no two jobs of one concurrency group run at once.
fn i12_its_turn(world: &World, order: &JobOrder) -> Checked {
    let Some(run) = world.run(order.attempt.run) else { return Ok(()) };
    let Some(job) = run.job(&order.attempt.job) else {
        return must(false, "I12", || format!("{} is no job of its run", order.attempt));
    };
    for need in &job.needs {
        let mut legs = run.jobs.iter().filter(|other| other.job_id == *need && other.caller == job.caller);
        must(legs.all(Job::is_over), "I12", || format!("{} began before {need} was over", order.attempt))?;
    }
    super::calls::i12_every_call_is_under_way(&run, job, order)?;
    let clock = world.server_millis();
    for (group, member) in turns::held(&run, job) {
        for work in world.runners.iter().filter_map(|other| other.work.as_ref()).filter(|work| work.is_held(clock)) {
            // What is over here, or of an earlier attempt, ends as soon as its runner asks.
            let over = || {
                world.run(work.attempt.run).is_none_or(|run| {
                    run.attempt != work.attempt.run_attempt || run.job(&work.attempt.job).is_none_or(Job::is_over)
                })
            };
            let beside = work.holds.iter().any(|(other, holder)| *other == group && *holder != member);
            must(!beside || over(), "I12", || {
                format!("{} and {} run at once in {group}", order.attempt, work.attempt)
            })?;
        }
    }
    Ok(())
}

/// I25: No job of an untrusted run is dispatched without an approval for exactly that head SHA, made earlier by a user with
/// write permission. I26: and none of them gets a secret or a token.
fn i25_untrusted_is_approved(world: &mut World, order: &JobOrder) -> Checked {
    let Some(run) = world.run(order.attempt.run) else { return Ok(()) };
    let (number, head) = match &run.suite.subject {
        Subject::Pull(number, _) | Subject::PullAction(number, _, _) => (*number, run.suite.head_sha),
        _ => return Ok(()),
    };
    let Some(pull) = world.github.pull(number) else { return Ok(()) };
    if world.github.is_trusted(pull) {
        return Ok(());
    }
    let head = world.github.objects.find(head);
    let approved = head.is_some_and(|head| pull.approved.contains(&head));
    must(approved, "I25", || format!("{} of #{number} was handed out and nobody approved it", order.attempt))?;
    must(!order.trusted, "I26", || format!("{} of #{number} may have secrets", order.attempt))?;
    world.coverage.saw(Moment::UntrustedRun);
    Ok(())
}

/// I25: what runs for a pull request without an approval is the default branch's code, never that of a head.
fn i25_target_is_the_default_branch(world: &mut World, order: &JobOrder) -> Checked {
    let Some(run) = world.run(order.attempt.run).filter(|run| &*run.suite.event == TARGET) else { return Ok(()) };
    let main = &world.github.branches[0].name;
    must(order.checkout.git_ref == *main, "I25", || {
        format!("{} checks out {}", order.attempt, order.checkout.git_ref)
    })?;
    let of_a_head = world.github.pulls.iter().any(|pull| name(pull.head) == order.checkout.sha);
    must(!of_a_head && order.checkout.sha != run.suite.head_sha, "I25", || {
        format!("{} checks out the head {}", order.attempt, order.checkout.sha.short())
    })?;
    world.coverage.saw(Moment::TargetRun);
    Ok(())
}

/// A report was taken in.
pub fn heard(
    world: &mut World,
    runner: &RunnerId,
    attempt: &AttemptId,
    token: Token,
    until: i64,
    clock: i64,
) -> Checked {
    must(until > clock, "I10", || format!("{runner} was heard on {attempt} after its lease had run out"))?;
    let newest = world.checks.jobs.tokens.get(&(attempt.run, attempt.job.clone())).copied();
    must(newest == Some(token), "I10", || {
        format!("{runner} was heard on {attempt} under {token}, but {newest:?} is newer")
    })?;
    Ok(())
}

/// A report was refused: its sender must have lost the lease.
pub fn refused(world: &mut World, attempt: &AttemptId, token: Token, until: i64, clock: i64) -> Checked {
    let run = world.run(attempt.run);
    let job = run.as_ref().and_then(|run| run.job(&attempt.job));
    let over = job.is_none_or(|job| job.lease().is_none_or(|lease| lease.token != token));
    must(over || until <= clock, "I10", || format!("{attempt} under {token} was refused although its lease holds"))
}

/// A runner said that it was started again without its job: nobody holds it any more, and it is tried again or over.
pub fn given_up(world: &World, attempt: &AttemptId, token: Token) -> Checked {
    let Some(run) = world.run(attempt.run).filter(|run| run.attempt == attempt.run_attempt) else { return Ok(()) };
    let Some(job) = run.job(&attempt.job) else { return Ok(()) };
    must(job.lease().is_none_or(|lease| lease.token != token), "I10", || {
        format!("{attempt} is still leased under {token}, though its runner gave it up")
    })?;
    let again = matches!(job.state, JobState::Queued { .. }) && job.tried == attempt.tried + 1;
    let over = matches!(job.conclusion(), Some(Conclusion::Lost | Conclusion::Cancelled)) && job.tried == attempt.tried;
    let taken = job.tried > attempt.tried;
    must(again || over || taken, "I9", || format!("{attempt} was given up by its runner, and is {:?}", job.state))?;
    must(!(again && run.deployment.is_some()), "I22", || format!("{attempt} deploys, and is tried again"))
}

/// I9: a repeated end changes nothing: the job is not the runner's any more.
pub fn i9_a_repeat_is_refused(reply: Option<&Reply>) -> Checked {
    must(matches!(reply, None | Some(Reply::NotYours)), "I9", || format!("an end said twice was answered {reply:?}"))
}

/// I9: Every attempt has exactly one terminal state, and it never changes; a success is one that its runner told.
pub fn i9_terminal_states_stay(jobs: &mut Jobs, run: &Run, objects: &Objects, coverage: &mut Coverage) -> Checked {
    for job in &run.jobs {
        let JobState::Completed { conclusion, .. } = &job.state else { continue };
        // What was kept when a part of the run began anew ended in an earlier attempt, and so it stays.
        let place = (run.number, job.attempt, job.key.clone(), job.tried);
        if let Some(known) = jobs.ended.get(&place) {
            must(known == conclusion, "I9", || {
                format!("run {} job {} ended as {known:?} and then as {conclusion:?}", run.number, job.key)
            })?;
            continue;
        }
        if *conclusion == Conclusion::Lost {
            coverage.saw(Moment::JobLost);
        }
        if job.is_open_call() {
            // The core ends it, when its jobs are over; it was no runner's.
            must(!jobs.tokens.contains_key(&(run.number, job.key.clone())), "I9", || {
                format!("run {} call {} had a runner", run.number, job.key)
            })?;
            jobs.ended.insert(place, *conclusion);
            continue;
        }
        let said = jobs.said.get(&place).copied();
        must(*conclusion != Conclusion::Success || said == Some(Conclusion::Success), "I9", || {
            format!("run {} job {} is a success, but its runner said {said:?}", run.number, job.key)
        })?;
        jobs.ended.insert(place, *conclusion);
        if let Some(sha) = jobs.end(run, *conclusion)
            && jobs.is_green(sha, &run.suite.subject)
            && let Some(index) = objects.find(sha)
        {
            jobs.green_trees.insert(objects.tree(index));
        }
    }
    Ok(())
}
