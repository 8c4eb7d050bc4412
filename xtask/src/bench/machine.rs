//! How busy the machine was with other things than the measurement.

use std::fs;
use std::time::Instant;

/// More foreign load than this, in cores, and nothing is judged.
pub const FOREIGN_LOAD_MAX: f64 = 0.5;

/// The machine's CPU time since some moment.
pub struct Watch {
    began: Instant,
    busy: f64,
    own: f64,
}

impl Watch {
    /// Begins to watch.
    pub fn begin() -> Self {
        Self { began: Instant::now(), busy: busy_seconds(), own: own_seconds() }
    }

    /// Returns how many cores were busy with neither us nor our children that ended since.
    pub fn foreign_load(&self) -> f64 {
        let passed = self.began.elapsed().as_secs_f64();
        ((busy_seconds() - self.busy) - (own_seconds() - self.own)).max(0.0) / passed
    }
}

const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the seconds in which any core was not idle, since the machine started.
fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq: all but idle and iowait.
    [0, 1, 2, 5, 6].iter().filter_map(|at| fields.get(*at)).sum::<f64>() / TICKS_PER_SECOND
}

/// Returns the CPU seconds of this process and of its children that were waited for.
fn own_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // utime stime cutime cstime are fields 14 to 17; after the name and the state the first left is field 4.
    (10..14).filter_map(|at| fields.get(at)).sum::<f64>() / TICKS_PER_SECOND
}
