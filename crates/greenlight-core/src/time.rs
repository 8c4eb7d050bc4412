//! Points in time, as an argument: nothing in this crate asks a clock.

use std::fmt;
use std::ops::{Add, Sub};
pub use std::time::Duration;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);

    /// Returns the point `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns the milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns how much later this is than `earlier`; nothing where it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX)))
    }
}

/// Writes a length as people say it: "0.3 s", "12 s", "3 min 5 s", "2 h 10 min".
pub fn spoken(length: Duration) -> impl fmt::Display {
    let millis = length.as_millis();
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{}.{} s", 0, millis / 100),
        1..60 => format!("{seconds} s"),
        60..3600 if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_does_not_overflow() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(Timestamp::EPOCH.since(end), Duration::ZERO);
        assert_eq!((Timestamp::EPOCH + Duration::from_secs(2)).since(Timestamp::EPOCH), Duration::from_secs(2));
    }

    #[test]
    fn lengths_are_spoken() {
        assert_eq!(spoken(Duration::from_millis(340)).to_string(), "0.3 s");
        assert_eq!(spoken(Duration::from_secs(185)).to_string(), "3 min 5 s");
        assert_eq!(spoken(Duration::from_secs(7800)).to_string(), "2 h 10 min");
    }
}
