//! `bench idle`: what a server costs that has nothing to do: memory, and the time from its start to its first answer.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::intake::start_server;
use super::{Options, median};

/// Resident memory of a server that has nothing to do.
const MEGABYTES_MAX: f64 = 27.0;
/// From the start of the process to the first accepted connection.
const START_MILLIS_MAX: f64 = 50.0;
const SETTLE: Duration = Duration::from_secs(3);

/// Measures and judges.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let program = options.program(root)?;
    let (mut memory, mut start) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let service = start_server(&program, "http://127.0.0.1:9")?;
        start.push(service.started_in.as_secs_f64() * 1000.0);
        std::thread::sleep(SETTLE);
        memory.push(service.resident_megabytes());
    }
    let (memory, start) = (median(&memory), median(&start));
    println!(
        "idle memory {memory:.1} MB (at most {MEGABYTES_MAX}), first answer after {start:.0} ms (at most {START_MILLIS_MAX})"
    );
    let met = memory <= MEGABYTES_MAX && start <= START_MILLIS_MAX;
    println!("{}", if met { "all goals met" } else { "a goal was missed" });
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
