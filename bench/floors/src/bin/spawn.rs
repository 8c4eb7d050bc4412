//! `spawn COUNT [--tokio] PROGRAM [ARGUMENT…]`: starts a program again and again, one after the other.
//!
//! The floor for the start of a step: the same program started by nothing but the standard library (or tokio).

use std::error::Error;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use floors::percentiles::Sample;

/// Repetitions that are not counted, for warm caches.
const WARM_UP: usize = 3;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let through_tokio = arguments.get(1).is_some_and(|argument| argument == "--tokio");
    if through_tokio {
        arguments.remove(1);
    }
    let [count, program, rest @ ..] = arguments.as_slice() else {
        return Err("usage: spawn COUNT [--tokio] PROGRAM [ARGUMENT…]".into());
    };
    let (mut sample, mut failed) = (Sample::default(), 0);
    for repetition in 0..count.parse::<usize>()? + WARM_UP {
        let start = Instant::now();
        let status = if through_tokio { start_by_tokio(program, rest).await? } else { start_plainly(program, rest)? };
        if repetition >= WARM_UP {
            sample.add(start.elapsed());
            failed += usize::from(!status.success());
        }
    }
    println!("spawn {} failed={failed}", sample.summary());
    Ok(())
}

fn start_plainly(program: &str, arguments: &[String]) -> std::io::Result<ExitStatus> {
    Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status()
}

async fn start_by_tokio(program: &str, arguments: &[String]) -> std::io::Result<ExitStatus> {
    tokio::process::Command::new(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status().await
}
