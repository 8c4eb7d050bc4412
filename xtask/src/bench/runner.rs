//! `bench runner`: what a job, a step, a hundred jobs, a long log and a checkout cost, each in turn with what does the same without us.
//!
//! Each part can be measured alone. Parts that go through a server start the real programs, as `bench loop` does.

mod checkout;
mod logs;
mod pipeline;
mod start;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use super::Options;
use super::goal::{Goal, judge};
use super::machine::Watch;

type Part = fn(&Path, &Options, &mut Option<Watch>) -> Result<Vec<Goal>, Box<dyn Error>>;

/// The parts, by the names that `--only` takes.
const PARTS: [(&str, Part); 5] = [
    ("start", start::jobs),
    ("steps", start::steps),
    ("pipeline", pipeline::measure),
    ("logs", logs::measure),
    ("checkout", checkout::measure),
];

/// Measures and judges.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let is_wanted = |name: &str| options.only.as_deref().is_none_or(|only| only == name);
    let wanted: Vec<_> = PARTS.iter().filter(|(name, _)| is_wanted(name)).collect();
    if wanted.is_empty() {
        let names = PARTS.map(|(name, _)| name).join(", ");
        return Err(format!("--only names no part: there are {names}").into());
    }
    let (mut goals, mut foreign) = (Vec::new(), 0.0_f64);
    for (_, part) in wanted {
        // What is built and installed first is not measured, so each part says when it begins.
        let mut watch = None;
        goals.extend(part(root, options, &mut watch)?);
        foreign = foreign.max(watch.map_or(f64::NAN, |watch| watch.foreign_load()));
    }
    Ok(judge(&goals, foreign))
}
