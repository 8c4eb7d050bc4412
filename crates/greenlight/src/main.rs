//! Starts the program: reads the arguments, does what they ask for, ends with the documented code.

use clap::Parser as _;
use greenlight::cli::{self, Cli};

fn main() -> std::process::ExitCode {
    // A job's sandbox begins with this same program.
    if let Some(code) = greenlight_runner::sandbox::init::run_if_asked() {
        return code;
    }
    let cli = Cli::parse();
    end_with_the_reader(cli.outlives_its_reader());
    cli::start(cli)
}

/// Ends quietly when whoever reads our output has read enough (`greenlight env list | head`), as other programs do. What serves
/// others goes on when nobody reads what it logs any more.
fn end_with_the_reader(outlives_its_reader: bool) {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let text = panic.payload().downcast_ref::<String>().map(String::as_str).unwrap_or_default();
        let is_unread = |stream: &str| text.starts_with(&format!("failed printing to {stream}"));
        if is_unread("stdout") || (is_unread("stderr") && !outlives_its_reader) {
            std::process::exit(0);
        }
        report(panic);
    }));
}
