//! Figures of a sample.

use std::time::Duration;

/// How long each of many repetitions took.
#[derive(Default)]
pub struct Sample {
    lengths: Vec<Duration>,
}

impl Sample {
    pub fn add(&mut self, length: Duration) {
        self.lengths.push(length);
    }

    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Returns the figures as `n=… p50=… p90=… p99=… max=…`, in milliseconds.
    pub fn summary(mut self) -> String {
        self.lengths.sort();
        let at = |part: f64| {
            let index = (self.lengths.len().saturating_sub(1)) as f64 * part;
            self.lengths.get(index as usize).map_or(f64::NAN, |length| length.as_secs_f64() * 1e3)
        };
        let (p50, p90, p99, max) = (at(0.5), at(0.9), at(0.99), at(1.0));
        format!("n={} p50={p50:.3} p90={p90:.3} p99={p99:.3} max={max:.3} ms", self.lengths.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_sample() {
        let mut sample = Sample::default();
        for millis in (1..=100).rev() {
            sample.add(Duration::from_millis(millis));
        }
        assert_eq!(sample.summary(), "n=100 p50=50.000 p90=90.000 p99=99.000 max=100.000 ms");
    }
}
