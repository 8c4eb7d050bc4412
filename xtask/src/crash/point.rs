//! Where the server is killed: a moment of the story, or one of its syncs.

use std::fmt;

/// Where the server is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// So many milliseconds after it was started.
    Time(u64),
    /// At its Nth sync, before or after that reached the disk.
    Sync {
        /// Which one, from 1.
        nth: u64,
        /// Whether the sync is done first.
        done: bool,
    },
}

/// How long an undisturbed story is.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    /// In milliseconds, from the server's start to the judgement.
    pub millis: u64,
    /// In syncs of the server.
    pub syncs: u64,
}

impl Point {
    /// Reads what `Display` writes.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let point = match (parts.next()?, parts.next()?.parse().ok()?, parts.next()) {
            ("time", millis, None) => Self::Time(millis),
            ("sync", nth, Some("before")) => Self::Sync { nth, done: false },
            ("sync", nth, Some("after")) => Self::Sync { nth, done: true },
            _ => return None,
        };
        parts.next().is_none().then_some(point)
    }

    /// Returns a point that comes earlier, for a story that was over before this one.
    pub fn earlier(self) -> Self {
        match self {
            Self::Time(millis) => Self::Time(millis * 3 / 4),
            Self::Sync { nth, done } => Self::Sync { nth: (nth * 3 / 4).max(1), done },
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(millis) => write!(formatter, "time:{millis}"),
            Self::Sync { nth, done } => write!(formatter, "sync:{nth}:{}", if *done { "after" } else { "before" }),
        }
    }
}

/// Spreads points over a story: half by time, half by sync, each anywhere in its own share of the length.
pub fn spread(count: usize, length: Length, seed: u64) -> Vec<Point> {
    let mut random = Random(seed);
    let half = (count / 2) as u64;
    let rest = count as u64 - half;
    let times = (0..half).map(|at| (at, half, None)).collect::<Vec<_>>();
    let syncs = (0..rest).map(|at| (at, rest, Some(at % 2 == 1)));
    let points = times.into_iter().chain(syncs).map(|(at, shares, done)| {
        let mut within = |whole: u64| (at * whole + random.below(whole.max(1))) / shares;
        match done {
            None => Point::Time(within(length.millis)),
            Some(done) => Point::Sync { nth: within(length.syncs) + 1, done },
        }
    });
    points.collect()
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Length = Length { millis: 6000, syncs: 300 };

    #[test]
    fn a_point_can_be_named_and_found_again() {
        for point in spread(40, LENGTH, 7) {
            assert_eq!(Point::parse(&point.to_string()), Some(point));
        }
        for wrong in ["", "time", "time:x", "time:1:before", "sync:1", "sync:1:soon", "sync:1:after:all"] {
            assert_eq!(Point::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn points_are_spread_over_the_whole_story_and_a_seed_is_a_seed() {
        let points = spread(200, LENGTH, 7);
        assert_eq!(points, spread(200, LENGTH, 7));
        assert_ne!(points, spread(200, LENGTH, 8));
        for tenth in 0..10 {
            let in_time = |point: &&Point| matches!(point, Point::Time(at) if at / 600 == tenth);
            let in_syncs = |point: &&Point| matches!(point, Point::Sync { nth, .. } if (nth - 1) / 30 == tenth);
            assert_eq!(points.iter().filter(in_time).count(), 10);
            assert_eq!(points.iter().filter(in_syncs).count(), 10);
        }
    }
}
