//! `cargo xtask bench`: measurements as ratios, floor and product interleaved in one run.
//!
//! Absolute figures are one machine's; a gate judges ratios only, and refuses (exit code 3) when something else used the machine
//! meanwhile: a ratio measured against somebody's compiler is worth nothing.

mod client;
mod http;
mod idle;
mod intake;
mod language;
mod loops;
mod machine;
pub mod service;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code where the machine was too busy to judge.
pub const EXIT_BUSY: u8 = 3;

const HELP: &str = "Measures, as ratios in one run.

Usage: cargo xtask bench WHAT [--rounds N] [--seconds N] [--hour | --minutes N] [--program PATH]

  intake    signed deliveries against the bare floor (bench/floors), 1, 16 and 64 clients, and beside jobs that fill all cores
  loop      from the webhook to the status and to the step, against `greenlight emulate`; with --hour the limits of github.com
            instead, 30 pull requests of 20 jobs in an hour of the clock (--minutes: in so many, which is harder)
  language  a workflow read, checked and planned beside GitHub's own package; expressions by the thousand; hostile files
  idle      memory of a server that has nothing to do, and its start

  --program   a greenlight that was built before, instead of the release build of this tree

Exit codes: 0 goals met · 1 a goal was missed · 2 wrong usage · 3 the machine was too busy to judge";

/// What one measurement is asked for.
pub struct Options {
    /// How often both sides are measured; medians are compared.
    pub rounds: usize,
    /// How long each side runs each time.
    pub seconds: u64,
    /// In how many minutes github.com's hour is measured, instead of the rest.
    pub minutes: Option<u64>,
    /// A program that was built before.
    pub program: Option<PathBuf>,
}

impl Options {
    /// Returns the program that is measured; where none was named it is built.
    pub fn program(&self, root: &Path) -> Result<PathBuf, Box<dyn Error>> {
        match &self.program {
            Some(program) => Ok(program.canonicalize()?),
            None => service::build(root, "Cargo.toml", "greenlight", "greenlight"),
        }
    }
}

/// Runs the measurement that is named.
pub fn run(root: &Path, arguments: &[String]) -> ExitCode {
    let Some((what, options)) = parse(arguments) else {
        println!("{HELP}");
        return ExitCode::from(if arguments.iter().any(|word| word == "--help") { 0 } else { 2 });
    };
    let result = match what {
        "idle" => idle::run(root, &options),
        "intake" => intake::run(root, &options),
        "language" => language::run(root, &options),
        "loop" => loops::run(root, &options),
        _ => {
            println!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<(&str, Options)> {
    let mut words = arguments.iter();
    let what = words.next()?;
    let mut options = Options { rounds: 5, seconds: 4, minutes: None, program: None };
    while let Some(word) = words.next() {
        if word == "--program" {
            options.program = Some(PathBuf::from(words.next()?));
            continue;
        }
        let mut number = || words.next()?.parse::<u64>().ok();
        match word.as_str() {
            "--rounds" => options.rounds = usize::try_from(number()?).ok()?,
            "--seconds" => options.seconds = number()?,
            "--minutes" => options.minutes = Some(number()?),
            "--hour" => options.minutes = Some(60),
            _ => return None,
        }
    }
    Some((what, options))
}

/// Returns the middle one of some figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        length => sorted[length / 2],
    }
}
