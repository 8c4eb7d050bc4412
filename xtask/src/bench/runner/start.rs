//! What it costs to run a job of one trivial step, and one step more.
//!
//! The runner is measured in process, by the program of its isolation tests: that one is its own first process in a sandbox, as the
//! server is. It takes turns with a bare bubblewrap and a bare bash.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::Command;

use crate::bench::goal::Goal;
use crate::bench::machine::Watch;
use crate::bench::{Options, build_executable, figure, figures_of, median};

/// What a job of one trivial step may take beyond the bare sandbox.
const OWN_MILLIS_MAX: f64 = 10.0;
/// What one of 500 trivial steps may take beside the same script started by nothing but the standard library.
const STEP_RATIO_MAX: f64 = 3.0;

/// Measures jobs.
pub fn jobs(root: &Path, options: &Options, watch: &mut Option<Watch>) -> Result<Vec<Goal>, Box<dyn Error>> {
    let figures = measured(root, options, watch, "--cost-of-jobs")?;
    let [isolated, plain, ahead, sandbox] =
        ["isolated_ms", "plain_ms", "ahead_ms", "sandbox_ms"].map(|name| middle(&figures, name).unwrap_or(f64::NAN));
    println!(
        "a job of one trivial step and its clean-up: {isolated:.1} ms in its sandbox, {plain:.1} ms without one; its script in a bare bubblewrap {sandbox:.1} ms"
    );
    println!("to its end in a sandbox that was made ahead, as a server has it: {ahead:.1} ms");
    Ok(vec![Goal::new("own cost of a job of one trivial step", isolated - sandbox, OWN_MILLIS_MAX, "ms")])
}

/// Measures steps.
pub fn steps(root: &Path, options: &Options, watch: &mut Option<Watch>) -> Result<Vec<Goal>, Box<dyn Error>> {
    let figures = measured(root, options, watch, "--cost-of-steps")?;
    let (step, bash) = (middle(&figures, "step_ms")?, middle(&figures, "bash_ms")?);
    println!("one of 500 trivial steps: {step:.2} ms; bash started for the same script {bash:.2} ms");
    Ok(vec![Goal::new("one of 500 trivial steps over bash alone", step / bash, STEP_RATIO_MAX, "times")])
}

fn measured(
    root: &Path,
    options: &Options,
    watch: &mut Option<Watch>,
    what: &str,
) -> Result<Vec<BTreeMap<String, f64>>, Box<dyn Error>> {
    let program =
        build_executable(root, &["test", "--release", "--package", "greenlight-runner", "--test", "isolation"])?;
    *watch = Some(Watch::begin());
    (0..options.rounds).map(|_| figures_of(Command::new(&program).arg(what))).collect()
}

fn middle(figures: &[BTreeMap<String, f64>], name: &str) -> Result<f64, Box<dyn Error>> {
    let all: Vec<f64> = figures.iter().map(|figures| figure(figures, name)).collect::<Result<_, _>>()?;
    Ok(median(&all))
}
