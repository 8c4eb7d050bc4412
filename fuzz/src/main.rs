//! Mutates the corpus from a seed, and runs the targets on what comes of it: what runs where there is no libFuzzer.
//!
//! An input whose outcome is of a kind that was not seen yet joins the inputs that are mutated further. The first input that
//! makes a target panic, or takes longer than [`INPUT_TIME_MAX`], is written to `artifacts/` and ends the run.

use std::collections::BTreeSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use greenlight_fuzz::{TARGETS, Target};

/// How long one input may take.
const INPUT_TIME_MAX: Duration = Duration::from_secs(2);
/// How long an input may be.
const INPUT_LENGTH_MAX: usize = 8 << 10;
/// How many inputs are kept to be mutated further.
const POOL_MAX: usize = 4_096;
/// How many changes at most make a new input.
const CHANGES_MAX: usize = 8;

const USAGE: &str = "usage: mutate [--seconds N] [--seed N] TARGET…";

fn main() -> Result<(), Box<dyn Error>> {
    let mut seconds = 60;
    let mut seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
    let mut targets = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => seconds = arguments.next().ok_or(USAGE)?.parse()?,
            "--seed" => seed = arguments.next().ok_or(USAGE)?.parse()?,
            name => targets.push(TARGETS.iter().find(|target| target.name == name).ok_or(USAGE)?),
        }
    }
    if targets.is_empty() {
        return Err(USAGE.into());
    }
    for target in targets {
        println!("{}: seed {seed}, {seconds} s", target.name);
        let mut run = Run::new(target, seed)?;
        let tried = run.go(Duration::from_secs(seconds))?;
        println!("{}: {tried} inputs, {} kinds of outcome, nothing found", target.name, run.seen.len());
    }
    Ok(())
}

/// One target being run.
struct Run {
    target: &'static Target,
    random: Random,
    pool: Vec<Vec<u8>>,
    seen: BTreeSet<u64>,
}

impl Run {
    fn new(target: &'static Target, seed: u64) -> Result<Run, Box<dyn Error>> {
        let mut run = Run { target, random: Random(seed | 1), pool: Vec::new(), seen: BTreeSet::new() };
        let mut files: Vec<PathBuf> = std::fs::read_dir(home().join("corpus").join(target.name))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        files.sort();
        for file in files {
            run.try_input(std::fs::read(file)?)?;
        }
        Ok(run)
    }

    /// Tries inputs until the time is over; returns how many.
    fn go(&mut self, time: Duration) -> Result<u64, Box<dyn Error>> {
        let (start, mut tried) = (Instant::now(), 0);
        while start.elapsed() < time {
            let input = self.mutated();
            self.try_input(input)?;
            tried += 1;
        }
        Ok(tried)
    }

    fn try_input(&mut self, input: Vec<u8>) -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.target.run)(&input)));
        if outcome.is_err() || start.elapsed() > INPUT_TIME_MAX {
            let what = if outcome.is_err() { "panics" } else { "takes long" };
            let file = keep(self.target.name, &input)?;
            return Err(format!("{}: {} {what}", self.target.name, file.display()).into());
        }
        if outcome.is_ok_and(|kind| self.seen.insert(kind)) && self.pool.len() < POOL_MAX {
            self.pool.push(input);
        }
        Ok(())
    }

    fn mutated(&mut self) -> Vec<u8> {
        let at = self.random.below(self.pool.len());
        let mut input = self.pool.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.random.below(CHANGES_MAX) {
            self.change(&mut input);
        }
        input.truncate(INPUT_LENGTH_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let from = self.random.below(input.len() + 1);
        let to = (from + self.random.below(24)).min(input.len());
        match self.random.below(6) {
            0 => drop(input.drain(from..to)),
            1 => {
                let piece = input[from..to].to_vec();
                let target = self.random.below(input.len() + 1);
                input.splice(target..target, piece);
            }
            2 if !input.is_empty() => {
                let at = self.random.below(input.len());
                input[at] = self.random.below(128) as u8;
            }
            3 => {
                // A piece of another input.
                let other = self.random.below(self.pool.len());
                let Some(other) = self.pool.get(other) else { return };
                let start = self.random.below(other.len() + 1);
                let end = (start + 1 + self.random.below(64)).min(other.len());
                let piece = other[start..end].to_vec();
                input.splice(from..from, piece);
            }
            _ => {
                let word = self.target.word(self.random.below(self.target.word_count()));
                input.splice(from..from, word.bytes());
            }
        }
    }
}

/// Writes an input that failed to `artifacts/`.
fn keep(target: &str, input: &[u8]) -> Result<PathBuf, Box<dyn Error>> {
    let folder = home().join("artifacts").join(target);
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!("mutated-{:016x}", checksum(input)));
    std::fs::write(&file, input)?;
    Ok(file)
}

/// Returns the FNV-1a checksum, which names files.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A generator of numbers that depend on nothing but its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}
