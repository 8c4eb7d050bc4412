//! `cargo xtask sim`: lives many seeds of the simulation, and plants bugs to see that it sees.
//!
//! The simulation is a program of the workspace (`greenlight-sim`), started through cargo, in a release build with a profile of
//! its own. `--mutants` builds it again with one patch of `mutants/` after the other against a copy of the core below `target/`:
//! shipping code has no switch for tests.

mod mutants;

use std::path::Path;
use std::process::{Command, ExitCode};

const HELP: &str = "Lives seeds of the simulation, and checks the invariants after every step.

Usage: cargo xtask sim [--seeds A..B] [--steps N] [--threads N] [--twice] [--keep-going N]
       cargo xtask sim --seed N [--steps N] [--trace]
       cargo xtask sim --mutants [NAME …]

  --mutants   plants each patch of mutants/ (or those named) in a copy of the core, and wants it found within 1,000 seeds
              from three different starts, where the core without it passes the same seeds

Exit codes: 0 every promise was kept · 1 one was not, or too little was seen · 2 wrong usage";

/// Runs the tool.
pub fn run(root: &Path, arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if arguments.first().is_some_and(|word| word == "--mutants") {
        return match mutants::run(root, &arguments[1..]) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(problem) => {
                eprintln!("xtask: {problem}");
                ExitCode::FAILURE
            }
        };
    }
    let status = Command::new(cargo())
        .current_dir(root)
        .args(["run", "--quiet", "--profile", "sim", "--package", "greenlight-sim", "--"])
        .args(arguments)
        .status();
    match status {
        Ok(status) => match status.code() {
            Some(0) => ExitCode::SUCCESS,
            Some(2) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        },
        Err(problem) => {
            eprintln!("xtask: cargo cannot be started: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the cargo that started us.
fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
