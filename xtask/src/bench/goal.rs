//! What should be met, what was measured, and the verdict.

use std::process::ExitCode;

use super::EXIT_BUSY;
use super::machine::FOREIGN_LOAD_MAX;

/// A goal, and what was measured.
pub struct Goal {
    what: &'static str,
    measured: f64,
    at_most: f64,
    unit: &'static str,
}

impl Goal {
    /// Returns a goal with what was measured; `unit` may be empty for a ratio.
    pub fn new(what: &'static str, measured: f64, at_most: f64, unit: &'static str) -> Self {
        Self { what, measured, at_most, unit }
    }

    fn is_met(&self) -> bool {
        self.measured <= self.at_most
    }

    fn sentence(&self) -> String {
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        format!("{}: {:.2}{unit} (at most {})", self.what, self.measured, self.at_most)
    }
}

/// Tells each goal and the verdict; nothing is judged where something else used the machine.
pub fn judge(goals: &[Goal], foreign_load: f64) -> ExitCode {
    for goal in goals {
        println!("{}  {}", if goal.is_met() { "met   " } else { "MISSED" }, goal.sentence());
    }
    println!("foreign load: {foreign_load:.2} of a core");
    if foreign_load > FOREIGN_LOAD_MAX {
        println!("not judged: something else used more than {FOREIGN_LOAD_MAX} of a core meanwhile");
        return ExitCode::from(EXIT_BUSY);
    }
    let missed = goals.iter().filter(|goal| !goal.is_met()).count();
    println!("{}", if missed == 0 { "all goals met".to_owned() } else { format!("{missed} goals were missed") });
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_measured_is_not_met() {
        let goal = |measured| Goal::new("a thing", measured, 1.5, "ms");
        assert_eq!([1.0, 1.5, 1.6, f64::NAN].map(|measured| goal(measured).is_met()), [true, true, false, false]);
        assert_eq!(goal(1.25).sentence(), "a thing: 1.25 ms (at most 1.5)");
    }
}
