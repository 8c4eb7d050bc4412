//! After the quiet phase: I3, I7, I18, and that nothing is left over.

use greenlight_core::deployment::{Carrying, WishState};
use greenlight_core::effect::Effect;
use greenlight_core::event::PullStanding;
use greenlight_core::item::{Item, ItemState};
use greenlight_core::port::Store as _;
use greenlight_core::repository::Repository;
use greenlight_core::run::{Subject, SuiteKey, SuitePhase};

use super::{Checked, must, violation};
use crate::block::block_on;
use crate::github::{Pull, is_over, state_of};
use crate::objects::name;
use crate::world::World;

/// Checks that everything has settled.
pub fn everything_settled(world: &World) -> Checked {
    let Some(cell) = &world.cell else { return must(false, "quiet", || "the server is down".to_owned()) };
    let state = cell.repository();
    nothing_waits(world, state)?;
    runs_are_over(world, state)?;
    i7_github_shows_what_is_decided(world, state)?;
    for pull in world.github.pulls.iter().filter(|pull| pull.standing == PullStanding::Open) {
        i3_open_head_was_looked_at(world, state, pull)?;
        i18_landed_or_explained(world, state, pull)?;
    }
    i3_main_was_looked_at(world, state)?;
    merges_are_known(world, state)?;
    deployments_are_over(world, state)?;
    super::clock::the_clock_is_still(&state.meta().timetable)?;
    locks_are_free(state)
}

/// Nothing is left in the inbox or the outbox, but for a comparison, and the first try of a read that the last one led to: they come
/// again every ten minutes, and the rest may end in the middle of one.
fn nothing_waits(world: &World, state: &Repository) -> Checked {
    let waiting = block_on(world.store.waiting(0, 10)).unwrap_or_default();
    must(waiting.is_empty(), "quiet", || format!("deliveries still wait: {waiting:?}"))?;
    let compared_at = state.meta().reconciled_at;
    let follows = |item: &&Item| {
        let since = match item.state {
            ItemState::InFlight { since } => Some(since),
            ItemState::Ready { .. } => None,
        };
        matches!(item.effect, Effect::ReadPull(_)) && item.tried == 0 && since.is_some() && since >= compared_at
    };
    match state.items().find(|item| !item.key.as_str().starts_with("reconcile") && !follows(item)) {
        None => Ok(()),
        Some(item) => Err(violation(
            "quiet",
            format!(
                "the outbox still holds {} ({:?}, tried {}, awaits {:?}, trouble {:?})",
                item.key, item.state, item.tried, item.after_success, item.trouble
            ),
        )),
    }
}

/// Every run is over, or waits for an approval.
fn runs_are_over(world: &World, state: &Repository) -> Checked {
    for run in state.runs.values().filter(|run| !run.is_over()) {
        let suite = state.suites.get(&run.suite);
        let waits = suite.is_some_and(|suite| {
            !suite.may_run()
                && suite
                    .pull()
                    .is_some_and(|number| world.github.pull(number).is_some_and(|pull| !world.github.is_trusted(pull)))
        });
        must(waits, "quiet", || {
            format!(
                "run {} of {:?} is not over: {:?}",
                run.number,
                run.suite,
                run.jobs.iter().map(|job| &job.state).collect::<Vec<_>>()
            )
        })?;
    }
    Ok(())
}

/// I7: Eventually every terminal attempt's state equals GitHub's state for that context, unless the commit or repository is
/// gone.
fn i7_github_shows_what_is_decided(world: &World, state: &Repository) -> Checked {
    for ((sha, context), report) in state.reports.iter() {
        if report.given_up.is_some() {
            continue;
        }
        let shown = world.github.statuses.get(&(*sha, context.clone())).map(|status| status.shown.state);
        let alike = match shown {
            Some(shown) => shown == report.wanted.state || !(shown.is_final() || report.wanted.state.is_final()),
            None => false,
        };
        must(alike, "I7", || {
            format!("{context} on {} is {:?}, but GitHub shows {shown:?}", sha.short(), report.wanted.state)
        })?;
    }
    Ok(())
}

/// I3: Eventually, for every open PR head in GitHub's state, the run set equals the one a fresh server would create from
/// that state alone; and its aggregate is no longer pending, unless a person is awaited.
fn i3_open_head_was_looked_at(world: &World, state: &Repository, pull: &Pull) -> Checked {
    let (number, head) = (pull.number, name(pull.head));
    let base = world.github.branches[pull.base].name.clone();
    let key = SuiteKey { head_sha: head, event: "pull_request".into(), subject: Subject::Pull(number, base) };
    let Some(suite) = state.suites.get(&key) else {
        return must(false, "I3", || format!("nobody looked at #{number} at {}", head.short()));
    };
    must(!matches!(suite.phase, SuitePhase::Reading { .. }), "I3", || format!("#{number} is still being read"))?;
    let shown = world.github.aggregate(head);
    let Some(shown) = shown else {
        return must(false, "I3", || format!("nothing is shown on #{number} at {}", head.short()));
    };
    let awaits = !world.github.is_trusted(pull) && shown.description.contains("approval");
    must(shown.state.is_final() || awaits, "I3", || {
        format!("#{number} at {} is still {:?}: {}", head.short(), shown.state, shown.description)
    })
}

/// I3: … and for the default branch's tip, once it moved while we looked.
fn i3_main_was_looked_at(world: &World, state: &Repository) -> Checked {
    let main = &world.github.branches[0];
    let (Some(tip), true) = (main.tip, main.moved) else { return Ok(()) };
    let known = state.branches.get(&main.name).map(|branch| branch.tip);
    must(known == Some(name(tip)), "I3", || format!("main is at {}, but {known:?} is known", name(tip).short()))
}

/// I18: Eventually every approved, mergeable, green PR is landed or ejected with a reason; none waits without a named cause.
fn i18_landed_or_explained(world: &World, state: &Repository, pull: &Pull) -> Checked {
    let number = pull.number;
    let head = name(pull.head);
    let Some(config) = state.config() else { return Ok(()) };
    let Some(rule) = &config.merge else { return Ok(()) };
    let tip = world.github.tip(pull.base);
    let green = world.github.aggregate(head).is_some_and(|shown| {
        shown.state == greenlight_core::shown::ReportState::Success && shown.description.contains("succeeded")
    });
    let mergeable = world.github.objects.merged(tip, pull.head).is_some();
    let asked = match rule.when {
        greenlight_core::config::MergeWhen::Green => true,
        greenlight_core::config::MergeWhen::Approved => world.github.is_approved(pull),
        // A command may have been given for another head, or before the comment could be tied to this one.
        greenlight_core::config::MergeWhen::Command => {
            state.pulls.get(&number).is_some_and(|known| known.merge_asked.is_some())
        }
    };
    if !green || !mergeable || !asked || pull.draft {
        return Ok(());
    }
    let explained = pull.ours.iter().any(|(mark, _, text)| &**mark == "note" && text.starts_with("Not merged yet"));
    let given_up = state.pulls.get(&number).is_some_and(|known| known.note.given_up.is_some());
    must(explained || given_up, "I18", || {
        let branch = state.branches.get(&world.github.branches[pull.base].name);
        format!(
            "#{number} at {} is green and was neither landed nor explained; merging: {:?}, notes: {:?}",
            head.short(),
            branch.map(|branch| &branch.merging),
            pull.ours
        )
    })
}

/// Every merge is known, and the first environments want what landed.
fn merges_are_known(world: &World, state: &Repository) -> Checked {
    for pull in &world.github.pulls {
        let PullStanding::Merged { commit: Some(sha) } = pull.standing else { continue };
        // What was merged before anybody looked for the first time is history.
        let (Some(merged_at), Some(first_look)) = (pull.merged_at, world.first_look) else { continue };
        let known = state.pulls.get(&pull.number).map(|known| known.snapshot.standing);
        let is_history = known.is_none() && merged_at <= first_look;
        must(is_history || known == Some(pull.standing), "I3", || {
            format!("#{} was merged as {}, but is known as {known:?}", pull.number, sha.short())
        })?;
    }
    Ok(())
}

/// Every deployment that is ours to carry out is over, or waits for an environment that a person must free.
fn deployments_are_over(world: &World, state: &Repository) -> Checked {
    for deployed in &world.github.deployments {
        let id = deployed.snapshot.id;
        let Some(known) = state.deployments.get(&id) else {
            return must(false, "I3", || format!("deployment {id} is not known"));
        };
        if matches!(known.state, Carrying::Watched { .. }) || state.config().is_none() {
            continue;
        }
        let kept = state
            .environments
            .get(&deployed.snapshot.environment)
            .is_some_and(|environment| environment.lock.as_ref().is_some_and(|lock| lock.kept.is_some()));
        let gave_up = known.given_up.is_some();
        must(is_over(deployed) || kept || gave_up, "I7", || {
            format!("deployment {id} is {:?} on GitHub and {:?} here", state_of(deployed), known.state)
        })?;
    }
    for wish in state.wishes.values() {
        let creating = matches!(wish.state, WishState::Creating { .. });
        must(!creating, "quiet", || format!("{} is still to be deployed to {}", wish.sha.short(), wish.environment))?;
    }
    Ok(())
}

/// No lock is left but those kept for a person.
fn locks_are_free(state: &Repository) -> Checked {
    for environment in state.environments.values() {
        let Some(lock) = &environment.lock else { continue };
        must(lock.kept.is_some(), "I20", || {
            format!("{} is still held by deployment {}", environment.name, lock.deployment)
        })?;
    }
    Ok(())
}
