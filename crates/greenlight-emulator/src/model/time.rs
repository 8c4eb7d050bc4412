//! Instants as GitHub writes them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// An instant, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
pub struct At(pub i64);

impl At {
    /// Returns the present.
    pub fn now() -> At {
        At(Timestamp::now().as_millisecond())
    }

    /// Returns the instant `milliseconds` later.
    pub fn plus(self, milliseconds: u64) -> At {
        At(self.0.saturating_add(i64::try_from(milliseconds).unwrap_or(i64::MAX)))
    }

    /// Writes it as GitHub does, to the second.
    pub fn iso(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Writes it with milliseconds, as delivery logs do.
    pub fn iso_precise(self) -> String {
        self.timestamp().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// Reads an ISO 8601 instant.
    pub fn parse(text: &str) -> Option<At> {
        text.parse::<Timestamp>().ok().map(|timestamp| At(timestamp.as_millisecond()))
    }

    /// Returns whole seconds since 1970.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::At;

    #[test]
    fn an_instant_reads_back_to_the_second() {
        let at = At::parse("2026-11-21T21:55:29Z").unwrap();
        assert_eq!(at.iso(), "2026-11-21T21:55:29Z");
        assert_eq!(at.plus(1_001).iso_precise(), "2026-11-21T21:55:30.001Z");
        assert_eq!(At::parse("yesterday"), None);
    }
}
