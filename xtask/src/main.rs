//! The project's own tools, as `cargo xtask COMMAND`.
//!
//! Nothing here knows the product's crates: what has to run them starts them as programs. A tool is one
//! line in [`COMMANDS`] and one module.

mod bench;
mod check;
mod crash;
mod isolate;
mod sim;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A tool that can be started by name.
struct Command {
    name: &'static str,
    /// One line for the help.
    summary: &'static str,
    run: fn(root: &Path, arguments: &[String]) -> ExitCode,
}

const COMMANDS: &[Command] = &[
    Command { name: "check", summary: "format, clippy, who may know whom, purity, tidiness, links", run: check::run },
    Command { name: "bench", summary: "what it costs, as ratios against the bare floor", run: bench::run },
    Command {
        name: "sim",
        summary: "many lives of the core in fake worlds, from seeds; --mutants plants bugs",
        run: sim::run,
    },
    Command { name: "crash", summary: "the server killed at many points of the demo's story", run: crash::run },
    Command { name: "isolate", summary: "jobs that try to escape from the runner's sandbox", run: isolate::run },
];

/// Exit code for a command line that cannot be understood.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments.first() else {
        print_help();
        return ExitCode::SUCCESS;
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        print_help();
        return ExitCode::SUCCESS;
    }
    match COMMANDS.iter().find(|command| command.name == name) {
        Some(command) => (command.run)(&workspace_root(), &arguments[1..]),
        None => {
            eprintln!("xtask: there is no `{name}`; `cargo xtask help` lists what there is");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn print_help() {
    println!("The project's own tools.\n\nUsage: cargo xtask COMMAND [OPTIONS]\n\nCommands:");
    for command in COMMANDS {
        println!("  {:10} {}", command.name, command.summary);
    }
    println!("\n`cargo xtask COMMAND --help` says more about one of them.");
}

/// Returns the folder of the workspace: the parent of this crate's, which cargo names; else the current one.
fn workspace_root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .and_then(|manifest| manifest.parent().map(Path::to_path_buf))
        .unwrap_or_else(|| PathBuf::from("."))
}
