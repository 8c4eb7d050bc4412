//! `cargo xtask bench`: measurements as ratios, floor and product interleaved in one run.
//!
//! Absolute figures are one machine's; a gate judges ratios only, and refuses (exit code 3) when something else used the machine
//! meanwhile: a ratio measured against somebody's compiler is worth nothing.

mod client;
mod clock;
mod goal;
mod http;
mod idle;
mod intake;
mod language;
mod loops;
mod machine;
mod runner;
pub mod service;
mod site;

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Exit code where the machine was too busy to judge.
pub const EXIT_BUSY: u8 = 3;

const HELP: &str = "Measures, as ratios in one run.

Usage: cargo xtask bench WHAT [--rounds N] [--seconds N] [--hour | --minutes N] [--only PART] [--program PATH]

  intake    signed deliveries against the bare floor (bench/floors), 1, 16 and 64 clients, and beside jobs that fill all cores
  loop      from the webhook to the status and to the step, against `greenlight emulate`; with --hour the limits of github.com
            instead, 30 pull requests of 20 jobs in an hour of the clock (--minutes: in so many, which is harder)
  language  a workflow read, checked and planned beside GitHub's own package; expressions by the thousand; hostile files
  runner    what a job, a step, a log and a checkout cost, each beside what does it without us; --only start, steps, pipeline,
            logs or checkout: one of them
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
    /// Which part of a measurement is wanted, where it has parts.
    pub only: Option<String>,
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
        "runner" => runner::run(root, &options),
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
    let mut options = Options { rounds: 5, seconds: 4, minutes: None, only: None, program: None };
    while let Some(word) = words.next() {
        if word == "--program" {
            options.program = Some(PathBuf::from(words.next()?));
            continue;
        }
        if word == "--only" {
            options.only = Some(words.next()?.clone());
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

/// Returns a folder of this run's own, which whoever asks for it removes.
fn scratch(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("greenlight-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Builds a test or a bench of a crate in a release build, and returns where it is.
fn build_executable(root: &Path, words: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
    let mut command = Command::new("cargo");
    command.args(words).args(["--no-run", "--message-format", "json"]).current_dir(root).stderr(Stdio::inherit());
    let said = String::from_utf8(command.output()?.stdout)?;
    let mut executables = said.lines().filter_map(|line| line.split("\"executable\":\"").nth(1)?.split('"').next());
    executables.next_back().map(PathBuf::from).ok_or_else(|| format!("cargo {} built nothing", words.join(" ")).into())
}

/// Runs a measurement and returns its lines `name value`.
fn figures_of(command: &mut Command) -> Result<BTreeMap<String, f64>, Box<dyn Error>> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{:?} ended with {}", command.get_program(), output.status).into());
    }
    let said = String::from_utf8(output.stdout)?;
    let figure = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    Ok(said.lines().filter_map(figure).collect())
}

/// Returns one of the figures.
fn figure(figures: &BTreeMap<String, f64>, name: &str) -> Result<f64, Box<dyn Error>> {
    figures.get(name).copied().ok_or_else(|| format!("there is no figure `{name}`").into())
}

/// Runs git.
fn git(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new("git").args(arguments).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("git failed".into()) }
}
