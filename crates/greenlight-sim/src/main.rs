//! `greenlight-sim`: lives many seeds and tells what broke. `cargo xtask sim` starts it.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use greenlight_sim::coverage::Coverage;
use greenlight_sim::life::{live, report};
use greenlight_sim::trace::Lines;
use mimalloc::MiMalloc;

/// A life makes and drops small things all the time; with this one it is an eighth quicker.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const HELP: &str = "Lives seeds of the simulation.

Usage: greenlight-sim [--seeds A..B] [--steps N] [--threads N] [--twice] [--keep-going N] [--first]
       greenlight-sim --seed N [--steps N] [--trace]

  --seeds A..B     live these seeds (0..100)
  --seed N         live this one
  --steps N        how many steps reach the core in each (2000)
  --threads N      how many live side by side (2)
  --twice          live each twice and compare the traces' hashes
  --trace          print everything that happens
  --keep-going N   end after N failures instead of one
  --first          print only the first seed that failed, for scripts
";

/// What was asked for.
struct Arguments {
    seeds: std::ops::Range<u64>,
    steps: u64,
    threads: usize,
    twice: bool,
    trace: bool,
    one: bool,
    failures_max: usize,
    first: bool,
}

fn main() -> ExitCode {
    match read(std::env::args().skip(1)) {
        Ok(arguments) => run(&arguments),
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

fn read(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        seeds: 0..100,
        steps: 2000,
        threads: 2,
        twice: false,
        trace: false,
        one: false,
        failures_max: 1,
        first: false,
    };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value\n\n{HELP}"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number\n\n{HELP}"));
        match word.as_str() {
            "--seeds" => arguments.seeds = range(&value()?)?,
            "--seed" => {
                let seed = number(value()?)?;
                arguments.seeds = seed..seed + 1;
                arguments.one = true;
            }
            "--steps" => arguments.steps = number(value()?)?,
            "--threads" => arguments.threads = usize::try_from(number(value()?)?).unwrap_or(1).max(1),
            "--keep-going" => arguments.failures_max = usize::try_from(number(value()?)?).unwrap_or(1).max(1),
            "--twice" => arguments.twice = true,
            "--trace" => arguments.trace = true,
            "--first" => arguments.first = true,
            "--help" | "-h" => return Err(HELP.to_owned()),
            _ => return Err(format!("{word} is not known\n\n{HELP}")),
        }
    }
    Ok(arguments)
}

fn range(text: &str) -> Result<std::ops::Range<u64>, String> {
    let ends = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    ends.ok_or_else(|| format!("{text} is no range like 0..1000"))
}

fn run(arguments: &Arguments) -> ExitCode {
    // A panic is a broken promise; it is told with its trace, not by the hook.
    std::panic::set_hook(Box::new(|_| {}));
    if arguments.trace {
        let life = live(arguments.seeds.start, arguments.steps, Lines::Print);
        return match life.broken {
            None => ExitCode::SUCCESS,
            Some((step, violation)) => {
                println!("broke {} at step {step}: {}", violation.invariant, violation.text);
                ExitCode::FAILURE
            }
        };
    }
    let begun = Instant::now();
    let (coverage, mut failed) = live_all(arguments);
    failed.sort_unstable();
    if arguments.first {
        return match failed.first() {
            Some((seed, what)) => {
                println!("{seed} {what}");
                ExitCode::FAILURE
            }
            None => ExitCode::SUCCESS,
        };
    }
    for (seed, _) in &failed {
        println!("{}\n", report(*seed, arguments.steps));
    }
    tell(&coverage, begun.elapsed().as_secs_f64(), arguments.threads);
    let complaint = coverage.complaint().filter(|_| !arguments.one && failed.is_empty());
    if let Some(complaint) = &complaint {
        println!("not enough was seen: {complaint}");
    }
    if failed.is_empty() && complaint.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Lives all seeds. Returns what was seen, and which failed by what.
fn live_all(arguments: &Arguments) -> (Coverage, Vec<(u64, String)>) {
    let next = AtomicU64::new(arguments.seeds.start);
    let enough = AtomicBool::new(false);
    let result = Mutex::new((Coverage::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                let mut coverage = Coverage::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= arguments.seeds.end || enough.load(Ordering::Relaxed) {
                        break;
                    }
                    let life = live(seed, arguments.steps, Lines::None);
                    coverage.add(&life.coverage);
                    let mut broken = life.broken.map(|(_, violation)| violation.invariant.to_owned());
                    if arguments.twice && broken.is_none() {
                        let again = live(seed, arguments.steps, Lines::None);
                        broken = (again.hash != life.hash).then(|| "I32".to_owned());
                    }
                    if let Some(what) = broken {
                        let mut result = result.lock().expect("no holder panics");
                        result.1.push((seed, what));
                        if result.1.len() >= arguments.failures_max {
                            enough.store(true, Ordering::Relaxed);
                        }
                    }
                }
                result.lock().expect("no holder panics").0.add(&coverage);
            });
        }
    });
    result.into_inner().expect("no holder panics")
}

fn tell(coverage: &Coverage, seconds: f64, threads: usize) {
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let each = seconds * 1e6 * threads as f64 / coverage.steps.max(1) as f64;
    println!(
        "{} lives, {} steps in {seconds:.1} s: {each:.1} µs of a core for each step",
        coverage.lives, coverage.steps
    );
    let counts: Vec<String> = coverage.all().map(|(moment, count)| format!("{moment:?} {count}")).collect();
    for line in counts.chunks(6) {
        println!("  {}", line.join(", "));
    }
}
