//! Starts the program: reads the arguments, does what they ask for, ends with the documented code.

use clap::Parser as _;
use greenlight::cli::{self, Cli};

fn main() -> std::process::ExitCode {
    // A job's sandbox begins with this same program.
    if let Some(code) = greenlight_runner::sandbox::init::run_if_asked() {
        return code;
    }
    end_with_the_reader();
    cli::start(Cli::parse())
}

/// Ends quietly when whoever reads our output has read enough (`greenlight env list | head`), as other programs do.
fn end_with_the_reader() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map(String::as_str).unwrap_or_default();
        if text.starts_with("failed printing to stdout") {
            std::process::exit(0);
        }
        report(panic);
    }));
}
