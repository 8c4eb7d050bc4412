//! When a schedule comes due: a cron line of five fields, read in a time zone. The time is an argument.
//!
//! A line is read as the page that GitHub's documentation sends people to reads it: `*`, numbers, names, ranges, lists and steps; a
//! number with a step goes on to the end of its field (`20/15` is 20, 35 and 50). Where neither the day of the month nor that of the
//! week begins with a `*`, a day of either kind will do; else it must be both.
//!
//! Where clocks are put forward, what was to begin within the hour that is left out begins at its end, as on GitHub. Where they are
//! put back, what has passed does not come again. A line whose hours are `*` follows real time through both.

use std::sync::LazyLock;

use jiff::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

/// A field: what it is called, its range, and the names that stand for its numbers.
pub(crate) struct Field {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Its least number.
    pub(crate) min: u32,
    /// Its largest.
    pub(crate) max: u32,
    /// The names of its numbers, in order.
    pub(crate) names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The fields of a line, in order.
pub(crate) const FIELDS: [Field; 5] = [
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of the month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: &MONTHS },
    Field { name: "day of the week", min: 0, max: 6, names: &WEEKDAYS },
];

/// The most days that each month has.
const MONTH_DAYS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
/// How far ahead a day is looked for: every day of a month falls on every day of the week within so many years.
const YEARS_AHEAD_MAX: i16 = 40;
/// How often a zone's offset may change before the next time that is due.
const CHANGES_MAX: usize = 1000;

/// The time zones that this program has with it; each is read once.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// The time zone of a schedule that names none.
pub const UTC: &str = "UTC";

/// A cron line in its time zone.
#[derive(Clone, Debug)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    either_day: bool,
    every_hour: bool,
    zone: TimeZone,
}

/// Returns the parts of a line.
pub(crate) fn fields(line: &str) -> Vec<&str> {
    line.split(' ').filter(|field| !field.is_empty()).collect()
}

impl Field {
    /// Returns the numbers that a field stands for, a bit each; nothing where it is not understood.
    pub(crate) fn numbers(&self, written: &str) -> Option<u64> {
        written.split(',').try_fold(0, |all, part| Some(all | self.part(part)?))
    }

    fn part(&self, part: &str) -> Option<u64> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (self.number(from)?, self.number(to)?),
            None if range == "*" => (self.min, self.max),
            None => {
                let number = self.number(range)?;
                (number, if step.is_some() { self.max } else { number })
            }
        };
        let step = match step {
            Some(step) => step.parse().ok().filter(|step| (1..=self.max.max(1)).contains(step))?,
            None => 1,
        };
        let numbers = (from..=to).step_by(usize::try_from(step).ok()?);
        (from <= to).then(|| numbers.fold(0, |all, number| all | 1 << number))
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let number = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + self.min).or_else(|| text.parse().ok());
        number.filter(|number| (self.min..=self.max).contains(number))
    }
}

impl Cron {
    /// Reads a line; nothing where it is none, or where nobody knows the time zone.
    pub fn parse(line: &str, timezone: &str) -> Option<Self> {
        let written = fields(line);
        let [_, hour, day, _, weekday] = written[..] else { return None };
        let mut numbers = [0; FIELDS.len()];
        for ((field, text), number) in FIELDS.iter().zip(&written).zip(&mut numbers) {
            *number = field.numbers(text)?;
        }
        let [minutes, hours, days, months, weekdays] = numbers;
        let zone = match timezone {
            UTC => TimeZone::UTC,
            name => ZONES.get(name).ok()?,
        };
        let either_day = !day.starts_with('*') && !weekday.starts_with('*');
        Some(Self { minutes, hours, days, months, weekdays, either_day, every_hour: hour.starts_with('*'), zone })
    }

    /// Says whether no day that it names is ever there, as the 31st of February.
    pub fn never_comes(&self) -> bool {
        let longest = |(at, days): (usize, &u32)| (self.months & 1 << (at + 1) != 0).then_some(*days);
        let longest = MONTH_DAYS.iter().enumerate().filter_map(longest).max().unwrap_or(0);
        !self.either_day && self.days.trailing_zeros() > longest
    }

    /// Returns the first time that is due, not before this one: both in milliseconds since 1970.
    pub fn first_from(&self, millis: i64) -> Option<i64> {
        let mut at = up_to_minute(millis.div_euclid(1000) + i64::from(millis.rem_euclid(1000) > 0));
        // A clock that is put forward at this very minute may bring what it left out.
        let mut within = at - 1;
        for _ in 0..CHANGES_MAX {
            let now = Timestamp::from_second(within).ok()?;
            let offset = self.offset(now);
            let due = self.first_local(up_to_minute((at + offset).max(self.shown_before(within))))?;
            let Some(change) = self.zone.following(now).next() else { return Some((due - offset) * 1000) };
            let (end, next_offset) = (change.timestamp().as_second(), i64::from(change.offset().seconds()));
            if due - offset < end {
                return Some((due - offset) * 1000);
            }
            if !self.every_hour && due < end + next_offset {
                return Some(up_to_minute(end) * 1000);
            }
            at = end.max(due - offset - DAY);
            within = at;
        }
        None
    }

    fn offset(&self, at: Timestamp) -> i64 {
        self.zone.to_offset(at).seconds().into()
    }

    /// Returns what the clock showed last before it was changed to what it is at this time: nothing before it is due again.
    fn shown_before(&self, seconds: i64) -> i64 {
        let change = Timestamp::from_second(seconds + 1).ok().and_then(|at| self.zone.preceding(at).next());
        let Some(change) = change.filter(|_| !self.every_hour).map(|change| change.timestamp().as_second()) else {
            return i64::MIN;
        };
        Timestamp::from_second(change - 1).map_or(i64::MIN, |before| change + self.offset(before))
    }

    /// Returns the first time that is due by a clock that never changes: both in seconds since 1970, as that clock shows them.
    fn first_local(&self, seconds: i64) -> Option<i64> {
        let start = Offset::UTC.to_datetime(Timestamp::from_second(seconds).ok()?);
        let (mut date, mut from) =
            (start.date(), (u32::try_from(start.hour()).ok()?, u32::try_from(start.minute()).ok()?));
        let last_year = date.year().saturating_add(YEARS_AHEAD_MAX);
        while date.year() <= last_year {
            if self.months & 1 << date.month() == 0 {
                date = date.first_of_month().checked_add(1.month()).ok()?;
            } else {
                if self.has_day(date)
                    && let Some((hour, minute)) = self.first_minute(from)
                {
                    let due = date.at(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0);
                    return Some(Offset::UTC.to_timestamp(due).ok()?.as_second());
                }
                date = date.tomorrow().ok()?;
            }
            from = (0, 0);
        }
        None
    }

    fn has_day(&self, date: Date) -> bool {
        let day = self.days & 1 << date.day() != 0;
        let weekday = self.weekdays & 1 << date.weekday().to_sunday_zero_offset() != 0;
        if self.either_day { day || weekday } else { day && weekday }
    }

    /// Returns the first hour and minute of a day, not before this one.
    fn first_minute(&self, (hour, minute): (u32, u32)) -> Option<(u32, u32)> {
        let first = |set: u64, from: u32| {
            let at = (set >> from).trailing_zeros() + from;
            (set >> from != 0).then_some(at)
        };
        if self.hours & 1 << hour != 0
            && let Some(minute) = first(self.minutes, minute)
        {
            return Some((hour, minute));
        }
        Some((first(self.hours, hour + 1)?, first(self.minutes, 0)?))
    }
}

/// Says whether there is a time zone of this name.
pub(crate) fn is_zone(name: &str) -> bool {
    ZONES.get(name).is_ok()
}

/// Returns the names of all time zones.
pub(crate) fn zones() -> Vec<String> {
    ZONES.available().map(|name| name.as_str().to_owned()).collect()
}

fn up_to_minute(seconds: i64) -> i64 {
    seconds + (MINUTE - seconds.rem_euclid(MINUTE)) % MINUTE
}

/// Writes a time as people read it, to the minute: "2026-11-22 08:05 UTC".
pub fn minute_text(millis: i64) -> String {
    let at = Timestamp::from_millisecond(millis).unwrap_or_default();
    Offset::UTC.to_datetime(at).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// Returns the first times that are due from this one on.
    fn due(line: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let cron = Cron::parse(line, zone).unwrap();
        let mut from = millis(from);
        let mut times = Vec::new();
        while times.len() < count
            && let Some(at) = cron.first_from(from)
        {
            times.push(minute_text(at).trim_end_matches(" UTC").to_owned());
            from = at + 1;
        }
        times
    }

    #[test]
    fn a_line_says_when() {
        let day = "2026-11-22T08:04:30Z"; // A Sunday.
        for (line, expected) in [
            ("*/5 * * * *", ["2026-11-22 08:05", "2026-11-22 08:10"]),
            ("20/15 8 * * *", ["2026-11-22 08:20", "2026-11-22 08:35"]),
            ("30 5 * * 1-5", ["2026-11-23 05:30", "2026-11-24 05:30"]),
            ("0 0 1 jan,JUL *", ["2027-01-01 00:00", "2027-07-01 00:00"]),
            ("0 0 29 2 *", ["2028-02-29 00:00", "2032-02-29 00:00"]),
            ("0 12 24 * SUN", ["2026-11-22 12:00", "2026-11-24 12:00"]),
            ("0 12 */2 * SUN", ["2026-11-29 12:00", "2026-12-13 12:00"]),
            ("0 0 13 * */5", ["2026-12-13 00:00", "2027-06-13 00:00"]),
            ("59 23 31 12 *", ["2026-12-31 23:59", "2027-12-31 23:59"]),
            ("4 8 * * *", ["2026-11-23 08:04", "2026-11-24 08:04"]),
        ] {
            assert_eq!(due(line, UTC, day, 2), expected, "{line}");
        }
        assert_eq!(due("5 8 * * *", UTC, "2026-11-22T08:05:00Z", 1), ["2026-11-22 08:05"]);
        assert_eq!(due("0 0 31 2 *", UTC, day, 1), [""; 0]);
    }

    #[test]
    fn a_zone_has_its_own_hours() {
        let november = "2026-11-22T08:00:00Z";
        assert_eq!(due("30 5 * * *", "America/New_York", november, 1), ["2026-11-22 10:30"]);
        assert_eq!(due("30 5 * * *", "asia/kolkata", november, 1), ["2026-11-23 00:00"]);
        assert_eq!(due("30 5 1 7 *", "Europe/Berlin", november, 1), ["2027-07-01 03:30"]);
        assert!(Cron::parse("0 0 * * *", "Mars/Olympus").is_none());
    }

    #[test]
    fn what_falls_into_an_hour_that_is_left_out_begins_at_its_end() {
        // In Berlin 02:00 becomes 03:00 on 2027-03-28, at 01:00 UTC.
        let night = "2027-03-28T00:00:00Z";
        assert_eq!(due("30 2 * * *", "Europe/Berlin", night, 2), ["2027-03-28 01:00", "2027-03-29 00:30"]);
        assert_eq!(due("30 2 * * *", "Europe/Berlin", "2027-03-28T01:00:00Z", 1), ["2027-03-28 01:00"]);
        assert_eq!(due("15,45 2 * * *", "Europe/Berlin", night, 2), ["2027-03-28 01:00", "2027-03-29 00:15"]);
        let every_hour = ["2027-03-28 00:30", "2027-03-28 01:30", "2027-03-28 02:30"];
        assert_eq!(due("30 * * * *", "Europe/Berlin", night, 3), every_hour);
    }

    #[test]
    fn what_an_hour_that_comes_twice_has_had_does_not_come_again() {
        // In Berlin 03:00 becomes 02:00 on 2026-10-25, at 01:00 UTC.
        let night = "2026-10-25T00:00:00Z";
        assert_eq!(due("30 2 * * *", "Europe/Berlin", night, 2), ["2026-10-25 00:30", "2026-10-26 01:30"]);
        assert_eq!(due("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", 1), ["2026-10-26 01:30"]);
        assert_eq!(
            due("0 2,3 * * *", "Europe/Berlin", night, 3),
            ["2026-10-25 00:00", "2026-10-25 02:00", "2026-10-26 01:00"]
        );
        let every_hour = ["2026-10-25 00:30", "2026-10-25 01:30", "2026-10-25 02:30"];
        assert_eq!(due("30 * * * *", "Europe/Berlin", night, 3), every_hour);
    }

    #[test]
    fn a_time_that_is_due_is_due_from_itself_on() {
        for (line, zone) in [
            ("*/7 * * * *", UTC),
            ("30 1,2,3 * * *", "Europe/Berlin"),
            ("0 0 * * 1", "Australia/Lord_Howe"),
            ("45 23 * * *", "Pacific/Apia"),
            ("15 * * * *", "Africa/Casablanca"),
        ] {
            let cron = Cron::parse(line, zone).unwrap();
            let mut at = millis("2026-01-01T00:00:00Z");
            for _ in 0..2000 {
                let due = cron.first_from(at).unwrap();
                assert!(due >= at && due % 60_000 == 0, "{line} {zone}: {due} after {at}");
                assert_eq!(cron.first_from(due), Some(due), "{line} {zone}");
                at = due + 1;
            }
        }
    }
}
