//! A step that prints a million lines, and one that prints ten million, from the first of them to the packed log in the store.
//!
//! The floor (`bench/floors`, `logs`) does the same with nothing around it: a pipe, one clock and one search of twenty secrets for each
//! block of whole lines, each line stamped, zstd at level 1, one file. A server has its pipe, masks, index, live file and packed log, and is
//! looked at from outside: a step tells its clock just before it prints, and the log is done when its live file is gone.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::bench::clock::Clock;
use crate::bench::goal::Goal;
use crate::bench::machine::Watch;
use crate::bench::site::{Profile, Site, until};
use crate::bench::{Options, figure, figures_of, median, scratch, service};

const LINES: u64 = 1_000_000;
const MANY_LINES: u64 = 10_000_000;
const SECRETS: u64 = 20;
/// A million lines over the floor.
const FLOOR_RATIO_MAX: f64 = 1.5;
/// Ten million over a million.
const MANY_RATIO_MAX: f64 = 11.0;
/// More memory than a job that prints nothing.
const MEGABYTES_MAX: f64 = 16.0;
/// How often ten million are measured: they take ten times as long.
const MANY_ROUNDS_MAX: usize = 3;
/// How many jobs that print nothing say what the server's memory is without a log.
const QUIET_JOBS: usize = 5;

/// Measures.
pub fn measure(root: &Path, options: &Options, watch: &mut Option<Watch>) -> Result<Vec<Goal>, Box<dyn Error>> {
    let program = options.program(root)?;
    let floor = service::build(root, "bench/floors/Cargo.toml", "floors", "logs")?;
    let clock = Clock::start()?;
    let site = Site::start(&program, Profile::Ghes, &workflows(&clock.target()), "")?;
    let folder = scratch("logs")?;
    let (secrets, lines) = (folder.join("secrets"), folder.join("lines"));
    fs::write(&secrets, self::secrets().join("\n"))?;
    let mut seq = Command::new("seq");
    seq.args(["-f", FORMAT, "1", &LINES.to_string()]).stdout(fs::File::create(&lines)?);
    if !seq.status()?.success() {
        return Err("seq failed".into());
    }
    let mut bench = Bench { site, clock, serial: 0 };
    *watch = Some(Watch::begin());
    let (mut bare, mut quiet, mut some, mut many) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // Before the first long log, so that what one leaves in the allocator's hands counts as its own.
    for _ in 0..QUIET_JOBS {
        quiet.push(bench.printed("quiet")?);
    }
    for round in 0..options.rounds {
        let mut command = Command::new(&floor);
        command.arg(&secrets).arg(folder.join("out")).arg("cat").arg(&lines);
        bare.push(figure(&figures_of(&mut command)?, "seconds")?);
        some.push(bench.printed("some")?);
        if round < MANY_ROUNDS_MAX {
            many.push(bench.printed("many")?);
        }
    }
    drop(bench);
    let _ = fs::remove_dir_all(folder);
    let (bare, time, long) = (median(&bare), median(&seconds(&some)), median(&seconds(&many)));
    let memory = |printed: &[Printed]| median(&printed.iter().map(|printed| printed.megabytes).collect::<Vec<_>>());
    let [without, with, with_many] = [memory(&quiet), memory(&some), memory(&many)];
    println!(
        "a step that prints {LINES} lines: {time:.2} s to the packed log, the floor {bare:.2} s; {MANY_LINES} lines: {long:.2} s"
    );
    println!(
        "the server's memory at most: {without:.1} MB without, {with:.1} MB with {LINES} lines, {with_many:.1} MB with {MANY_LINES}"
    );
    Ok(vec![
        Goal::new("a million lines over the block floor", time / bare, FLOOR_RATIO_MAX, "times"),
        Goal::new("ten million lines over a million", long / time, MANY_RATIO_MAX, "times"),
        Goal::new("more memory while a million lines come", with - without, MEGABYTES_MAX, "MB"),
        Goal::new("more memory while ten million come", with_many - without, MEGABYTES_MAX, "MB"),
    ])
}

fn seconds(printed: &[Printed]) -> Vec<f64> {
    printed.iter().map(|printed| printed.seconds).collect()
}

/// What a job that printed came to.
struct Printed {
    seconds: f64,
    megabytes: f64,
}

struct Bench {
    site: Site,
    clock: Clock,
    serial: usize,
}

impl Bench {
    /// Runs the job of a workflow to its packed log.
    fn printed(&mut self, workflow: &str) -> Result<Printed, Box<dyn Error>> {
        self.serial += 1;
        let branch = format!("{workflow}-{}", self.serial);
        let server = self.site.server();
        let live = server.folder().join("data/logs");
        server.forget_peak()?;
        self.site.point(&branch, &self.site.main()?)?;
        let began = until(&format!("the step of {branch}"), || Ok(self.clock.of(&branch)))?;
        until(&format!("the log of {branch}"), || Ok(is_empty(&live)?.then_some(())))?;
        let ended = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64() * 1000.0;
        until("the run", || Ok(self.site.all_runs_are_over()?.then_some(())))?;
        Ok(Printed { seconds: (ended - began) / 1000.0, megabytes: server.peak_megabytes() })
    }
}

fn is_empty(folder: &PathBuf) -> std::io::Result<bool> {
    Ok(fs::read_dir(folder)?.next().is_none())
}

/// A line of 106 bytes.
const FORMAT: &str =
    "%07.0f Compiling some-crate v1.2.3 (registry+https://index.example.org/crates) with features default std";

/// Returns twenty secrets: every other one a token with a known beginning, the others begin with any letter.
fn secrets() -> Vec<String> {
    let secret = |number: u64| {
        let high = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let low = (number + 1).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        match number % 2 {
            0 => format!("ghs_{high:016x}{low:016x}"),
            _ => {
                let first = char::from(b'C' + u8::try_from(number % 20).unwrap_or(0));
                format!("{first}{high:016X}-{low:016x}")
            }
        }
    };
    (0..SECRETS).map(secret).collect()
}

/// Returns the repository's files: workflows that print nothing, a million lines, ten million. What is printed lies there before.
fn workflows(clock: &str) -> Value {
    let tell = format!("echo \"$GITHUB_REF_NAME $EPOCHREALTIME\" >'{clock}'");
    let masks: String = secrets().iter().map(|secret| format!("          echo '::add-mask::{secret}'\n")).collect();
    let workflow = |name: &str, lines: u64| {
        format!(
            "name: {name}\non:\n  push:\n    branches: ['{name}-*']\njobs:\n  print:\n    runs-on: ubuntu-latest\n    steps:\n      \
             - run: |\n{masks}          seq -f '{FORMAT}' 1 {lines} >lines\n      - run: |\n          {tell}\n          cat lines\n"
        )
    };
    json!({
        "README.md": "A repository that is only there to be measured.\n",
        ".github/workflows/quiet.yml": workflow("quiet", 1),
        ".github/workflows/some.yml": workflow("some", LINES),
        ".github/workflows/many.yml": workflow("many", MANY_LINES),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_alike() {
        let secrets: std::collections::BTreeSet<String> = secrets().into_iter().collect();
        assert_eq!(secrets.len(), 20);
        assert!(secrets.iter().all(|secret| secret.len() > 30));
    }
}
