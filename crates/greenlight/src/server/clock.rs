//! The one place that looks at the clock.

use std::time::{SystemTime, UNIX_EPOCH};

use greenlight_core::time::Timestamp;

/// Returns the time.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Writes a time as machines read it ("2026-01-02T03:04:05Z").
pub fn written(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}
