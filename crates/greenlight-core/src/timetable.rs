//! When the default branch's workflows come due by the clock (`on: schedule`): the lines, and up to where each was looked at.
//!
//! A due time that was taken, or has passed, never comes again: each line keeps the minute from which on it counts, in the state that
//! the same step writes. So a crash repeats a whole step or none of it, and a clock that is set back starts nothing twice.

use std::sync::Arc;

use greenlight_workflow::Cron;

use crate::event::User;
use crate::id::Sha;
use crate::time::{Duration, Timestamp};

/// What a line counts in. GitHub leaves five minutes between two starts; the machines here are the owner's.
const MINUTE: Duration = Duration::from_secs(60);
/// How late a line may start, where nobody was there when it came due.
pub const LATE_MAX: Duration = Duration::from_secs(3600);
/// How far ahead a line may be looked at: beyond that the clock was wrong, and has been set back.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 3600);
/// How many lines a repository may have.
pub const LINES_MAX: usize = 200;

/// What comes due by the clock.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Timetable {
    /// The commit of the default branch whose workflows were read for it.
    pub read_at: Option<Sha>,
    /// The lines: each once, however many workflows have it.
    pub lines: Vec<CronLine>,
}

/// A cron line in its time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronLine {
    /// The line, as it is written.
    pub cron: Arc<str>,
    /// The name of the time zone.
    pub timezone: Arc<str>,
    /// Who brought it, as far as that is known.
    pub actor: User,
    /// What comes due before this is over, or was never waited for.
    pub from: Timestamp,
}

/// What a look at a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// What is to start now: the last time that came due.
    pub due: Option<Timestamp>,
    /// What came due so long ago that it is not made up for.
    pub missed: Option<Timestamp>,
    /// From when on the line counts after this look.
    pub from: Timestamp,
    /// When it comes due next.
    pub next: Option<Timestamp>,
}

/// Returns from when on a line counts that nobody knew before.
pub fn first_from(now: Timestamp) -> Timestamp {
    let minute = 60_000;
    Timestamp::from_millis(now.as_millis().div_euclid(minute).saturating_add(1).saturating_mul(minute))
}

impl CronLine {
    /// Is it the same line as this one?
    pub fn is(&self, cron: &str, timezone: &str) -> bool {
        *self.cron == *cron && self.timezone.eq_ignore_ascii_case(timezone)
    }

    /// Looks at the line. Of all that came due while nobody looked only the last is to start, and only within [`LATE_MAX`].
    pub fn look(&self, now: Timestamp) -> Look {
        let from = if self.from > now + AHEAD_MAX { first_from(now) } else { self.from };
        let Some(cron) = Cron::parse(&self.cron, &self.timezone) else {
            return Look { due: None, missed: None, from, next: None };
        };
        let after = |at: Timestamp| cron.first_from(at.as_millis()).map(Timestamp::from_millis);
        let late = now - LATE_MAX;
        let missed = after(from).filter(|first| *first < late);
        let mut look =
            Look { due: None, missed, from: from.max(if missed.is_some() { late } else { from }), next: None };
        look.next = after(look.from);
        while let Some(due) = look.next.filter(|next| *next <= now) {
            look = Look { due: Some(due), from: due + MINUTE, next: after(due + MINUTE), ..look };
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::UserId;

    const HOUR: u64 = 3600;

    fn line(cron: &str, from: u64) -> CronLine {
        let actor = User { id: UserId(1), login: "octocat".into() };
        CronLine { cron: cron.into(), timezone: "UTC".into(), actor, from: at(from) }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn what_comes_due_starts_once() {
        let mut line = line("0 * * * *", 60);
        assert_eq!(line.look(at(3599)), Look { due: None, missed: None, from: at(60), next: Some(at(HOUR)) });
        let look = line.look(at(HOUR));
        let expected = Look { due: Some(at(HOUR)), missed: None, from: at(HOUR + 60), next: Some(at(2 * HOUR)) };
        assert_eq!(look, expected);
        line.from = look.from;
        assert_eq!(line.look(at(HOUR)).due, None);
        // The clock is set back.
        assert_eq!(line.look(at(60)), Look { due: None, missed: None, from: at(HOUR + 60), next: Some(at(2 * HOUR)) });
    }

    #[test]
    fn of_what_was_missed_the_last_within_an_hour_starts() {
        let every = line("*/20 * * * *", 60).look(at(10 * HOUR + 30));
        assert_eq!((every.due, every.missed), (Some(at(10 * HOUR)), Some(at(1200))));
        let nightly = line("0 2 * * *", 60);
        assert_eq!(nightly.look(at(3 * HOUR)).due, Some(at(2 * HOUR)));
        let late = nightly.look(at(3 * HOUR + 1));
        assert_eq!((late.due, late.missed, late.next), (None, Some(at(2 * HOUR)), Some(at(26 * HOUR))));
        let looked_at = CronLine { from: late.from, ..nightly };
        assert_eq!(looked_at.look(at(3 * HOUR + 1)).missed, None, "it is told once");
    }

    #[test]
    fn a_line_may_come_due_every_minute() {
        let mut line = line("* * * * *", 60);
        let mut starts = Vec::new();
        for second in (0..260).step_by(20) {
            let look = line.look(at(second));
            starts.extend(look.due.map(|due| due.since(Timestamp::EPOCH).as_secs()));
            line.from = look.from;
        }
        assert_eq!(starts, [60, 120, 180, 240]);
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_silence_a_line_for_years() {
        let line = line("0 * * * *", 100 * 24 * HOUR);
        let look = line.look(at(90));
        assert_eq!((look.from, look.next), (at(120), Some(at(HOUR))));
    }
}
