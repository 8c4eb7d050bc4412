//! Starts the program: reads the arguments, does what they ask for, ends with the documented code.

use clap::Parser as _;
use greenlight::cli::{self, Cli};

fn main() -> std::process::ExitCode {
    cli::start(Cli::parse())
}
