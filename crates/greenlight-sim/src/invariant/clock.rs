//! What comes due by the clock: each due time starts at most once (I2), and none is passed over (I3). The times are told apart here by
//! counting minutes, not by the language's reading of a line.

use std::collections::BTreeMap;
use std::sync::Arc;

use greenlight_core::entity::{Entity, EntityKey, Meta};
use greenlight_core::id::RunNumber;
use greenlight_core::plan::SCHEDULE;
use greenlight_core::run::{Run, Subject};
use greenlight_core::time::{Duration, Timestamp};
use greenlight_core::timetable::Timetable;
use greenlight_workflow::cron::minute_text;

use super::{Checked, must};
use crate::coverage::{Coverage, Moment};
use crate::sources::CLOCK_LINES;

/// How late a line may start, and how soon again: what users are told, not what the core says.
const MADE_UP_FOR: Duration = Duration::from_secs(3600);
const APART: Duration = Duration::from_secs(60);
/// How late a start is that was made up for.
const LATE: i64 = 60_000;
const MINUTE: i64 = 60_000;

/// The runs that the clock started, by what they are for.
#[derive(Debug, Default)]
pub struct Started(BTreeMap<(Arc<str>, Arc<str>), RunNumber>);

/// I2: a due time starts a workflow at most once, whatever commit the default branch is at.
pub fn i2_a_due_time_starts_once(started: &mut Started, run: &Run) -> Checked {
    let (Subject::Other(subject), true) = (&run.suite.subject, &*run.suite.event == SCHEDULE) else { return Ok(()) };
    let known = *started.0.entry((subject.clone(), run.workflow.clone())).or_insert(run.number);
    must(known == run.number, "I2", || format!("runs {known} and {} are both for {subject}", run.number))
}

/// I3: where a line counts from a later time than before, what came due in between was begun in the same commit.
pub fn i3_nothing_due_is_passed_over(
    before: Option<&Entity>,
    meta: &Meta,
    changed: &[(EntityKey, Option<Entity>)],
    now: Timestamp,
    coverage: &mut Coverage,
) -> Checked {
    let Some(Entity::Meta(Meta { timetable: before, .. })) = before else { return Ok(()) };
    if Arc::ptr_eq(before, &meta.timetable) {
        return Ok(());
    }
    for line in &meta.timetable.lines {
        let Some(known) = before.lines.iter().find(|known| known.is(&line.cron, &line.timezone)) else { continue };
        let Some(due) = last_due(&line.cron, known.from, line.from) else { continue };
        if due + MADE_UP_FOR < now {
            continue;
        }
        must(line.from >= due + APART, "I2", || {
            format!("'{}' counts from {:?} on, though {due:?} was begun", line.cron, line.from)
        })?;
        let text = minute_text(due.as_millis());
        let is_begun = |key: &EntityKey| match key {
            EntityKey::Suite(key) => match &key.subject {
                Subject::Other(subject) => {
                    &*key.event == SCHEDULE && subject.starts_with(&*line.cron) && subject.ends_with(&text)
                }
                _ => false,
            },
            _ => false,
        };
        must(changed.iter().any(|(key, _)| is_begun(key)), "I3", || {
            format!("'{}' was due at {text}, and nothing was begun", line.cron)
        })?;
        coverage.saw(Moment::CameDue);
        if now.as_millis() - due.as_millis() > LATE {
            coverage.saw(Moment::CameDueUnseen);
        }
    }
    Ok(())
}

/// Returns the last minute before `to`, not before `from`, in which a line is due.
fn last_due(cron: &str, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
    let (_, every, at) = CLOCK_LINES.iter().find(|(line, _, _)| *line == cron)?;
    let last = (to.as_millis() - 1).div_euclid(MINUTE);
    let due = last - (last - at).rem_euclid(*every);
    (due * MINUTE >= from.as_millis()).then(|| Timestamp::from_millis(due * MINUTE))
}

/// After the quiet phase: the schedule was taken away when it began, and so there is none.
pub fn the_clock_is_still(timetable: &Timetable) -> Checked {
    must(timetable.lines.is_empty(), "I3", || format!("lines that were taken away still hold: {:?}", timetable.lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_that_was_due_is_found() {
        let at = |minutes: i64| Timestamp::from_millis(minutes * MINUTE);
        let (cron, every, first) = CLOCK_LINES[0];
        let due = first + every;
        assert_eq!(last_due(cron, at(due), at(due + 1)), Some(at(due)));
        assert_eq!(last_due(cron, at(due), at(due)), None);
        assert_eq!(last_due(cron, at(due + 1), at(due + every)), None);
        assert_eq!(last_due(cron, at(due - every), at(due + every)), Some(at(due)));
        assert_eq!(last_due("7 7 7 7 7", at(0), at(100_000)), None);
    }
}
