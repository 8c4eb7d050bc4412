//! What comes due by the clock: the default branch's `on: schedule`.
//!
//! The lines are read where `.greenlight.yml` is, at each new tip of the default branch. A line that comes due begins a suite at the
//! tip; which workflows that starts is told by the files there, so that a push which takes a line away ends it at once. After a start
//! GitHub is compared with first, so that the tip is not an old one.

use std::sync::Arc;

use greenlight_workflow::cron::minute_text;
use greenlight_workflow::{Cron, Value};

use crate::event::{CommitFiles, Event, User};
use crate::id::{Sha, UserId};
use crate::plan::{SCHEDULE, workflow_in};
use crate::repository::{Repository, Topic};
use crate::run::{Subject, Suite, SuiteKey, Trust};
use crate::time::Timestamp;
use crate::timetable::{CronLine, LATE_MAX, LINES_MAX, Timetable, first_from};
use crate::told;

/// The default branch's workflows were read: their lines hold from now on.
pub(super) fn read(state: &mut Repository, files: &CommitFiles, now: Timestamp) {
    let name = state.default_branch();
    let is_old = state.branches.get(&name).is_some_and(|branch| branch.tip != files.sha);
    if is_old || state.meta().timetable.read_at == Some(files.sha) {
        return;
    }
    let known = state.meta().timetable.clone();
    let mut lines: Vec<CronLine> = Vec::new();
    for (path, text) in &files.workflows {
        let Some(workflow) = workflow_in(state, path, text) else { continue };
        for schedule in workflow.on.event(SCHEDULE).into_iter().flat_map(|event| &event.schedules) {
            let (cron, zone) = (&*schedule.cron, schedule.zone());
            if lines.iter().any(|line| line.is(cron, zone)) {
                continue;
            }
            if let Some(why) = never_starts(&lines, cron, zone) {
                state.note(path.clone(), format!("'{cron}' starts nothing: {why}"));
                continue;
            }
            lines.push(match known.lines.iter().find(|line| line.is(cron, zone)) {
                Some(line) => line.clone(),
                None => CronLine {
                    cron: cron.into(),
                    timezone: zone.into(),
                    actor: actor(state, files.sha),
                    from: first_from(now),
                },
            });
        }
    }
    state.meta_mut().timetable = Arc::new(Timetable { read_at: Some(files.sha), lines });
    state.touch(Topic::Repository);
}

fn never_starts(lines: &[CronLine], cron: &str, zone: &str) -> Option<String> {
    match Cron::parse(cron, zone) {
        None => Some(format!("it cannot be read, or there is no time zone '{zone}'")),
        Some(cron) if cron.never_comes() => Some("its day never comes".to_owned()),
        Some(_) if lines.len() >= LINES_MAX => Some(format!("a repository has at most {LINES_MAX} schedules")),
        Some(_) => None,
    }
}

/// Returns who brought what stands at a commit: whoever pushed it, as far as that was heard; else the repository's owner.
fn actor(state: &Repository, sha: Sha) -> User {
    let pushed = SuiteKey { head_sha: sha, event: "push".into(), subject: Subject::Ref(state.default_branch()) };
    let sender = state.suites.get(&pushed).map(|suite| suite.event.sender.clone());
    sender.filter(|sender| !sender.login.is_empty()).unwrap_or_else(|| {
        let name = &state.meta().repository.full_name;
        User { id: UserId(0), login: name.split('/').next().unwrap_or_default().into() }
    })
}

/// Begins what has come due. Returns when the next line comes due.
pub(super) fn settle(state: &mut Repository, now: Timestamp) -> Option<Timestamp> {
    let is_still = state.settings.ignores_clock || state.meta().reconciled_at.is_none();
    if is_still || state.meta().timetable.lines.is_empty() {
        return None;
    }
    let timetable = state.meta().timetable.clone();
    let tip = state.branches.get(&state.default_branch()).map(|branch| branch.tip).filter(|tip| !tip.is_zero())?;
    let looks: Vec<_> = timetable.lines.iter().map(|line| line.look(now)).collect();
    for (line, look) in timetable.lines.iter().zip(&looks) {
        if let Some(missed) = look.missed {
            let hours = LATE_MAX.as_secs() / 3600;
            let missed = minute_text(missed.as_millis());
            state.note(
                SCHEDULE,
                format!(
                    "'{}' came due at {missed} and was not started within {hours} h: it is not made up for",
                    line.cron
                ),
            );
        }
        if let Some(due) = look.due {
            begin(state, line, tip, due, now);
        }
    }
    if timetable.lines.iter().zip(&looks).any(|(line, look)| line.from != look.from) {
        let moved = timetable.lines.iter().zip(&looks).map(|(line, look)| CronLine { from: look.from, ..line.clone() });
        state.meta_mut().timetable = Arc::new(Timetable { read_at: timetable.read_at, lines: moved.collect() });
    }
    looks.iter().filter_map(|look| look.next).min()
}

/// Begins the suite of a line that came due.
fn begin(state: &mut Repository, line: &CronLine, tip: Sha, due: Timestamp, now: Timestamp) {
    let CronLine { cron, timezone, .. } = line;
    let zone = if &**timezone == greenlight_workflow::cron::UTC { String::new() } else { format!(" in {timezone}") };
    let subject = Subject::Other(format!("{cron}{zone}, due {}", minute_text(due.as_millis())).into());
    let key = SuiteKey { head_sha: tip, event: SCHEDULE.into(), subject };
    if state.suites.contains(&key) {
        return;
    }
    let event = Event {
        name: key.event.clone(),
        action: None,
        payload: payload(state, line, tip).into(),
        sender: line.actor.clone(),
    };
    let suite = Suite::new(key.clone(), Arc::new(event), state.default_branch(), Trust::Trusted, None, now);
    state.insert_suite(suite);
    state.touch(Topic::Suite(key));
}

/// Returns what workflows see as `github.event`. GitHub itself sends none of this to us: it is what we know.
fn payload(state: &Repository, line: &CronLine, tip: Sha) -> String {
    let event = Value::object([
        ("schedule", Value::string(&*line.cron)),
        ("timezone", Value::string(&*line.timezone)),
        ("repository", told::repository(state, tip)),
    ]);
    event.to_json()
}
