//! `cargo xtask isolate`: jobs that try to escape, through the real runner and its real sandbox.
//!
//! The tries stand beside the runner's tests (`crates/greenlight-runner/tests/isolation/tries.rs`), since they need its crates; this
//! starts them and hands on what they say.

use std::path::Path;
use std::process::{Command, ExitCode};

const HELP: &str = "Lets jobs try to escape from the runner's sandbox, each in a way of its own.

Usage: cargo xtask isolate [WORD…]

  WORD   only the tries whose names hold one of the words

Each line says `held`, `NOT HELD` with what happened, or `not supported here` with what the machine lacks; the last line is JSON.
Exit codes: 0 all that should hold did · 1 one did not · 2 wrong usage";

/// Runs it.
pub fn run(root: &Path, arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|word| word.starts_with('-')) {
        println!("{HELP}");
        return ExitCode::from(if arguments.iter().any(|word| word == "--help") { 0 } else { 2 });
    }
    let mut command = Command::new("cargo");
    command.current_dir(root).args(["test", "--quiet", "--package", "greenlight-runner", "--test", "isolation", "--"]);
    match command.arg("--escapes").args(arguments).status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("isolate: cargo cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}
