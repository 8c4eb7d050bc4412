//! `cargo xtask crash`: the real program killed with SIGKILL at many points of the demo's story.
//!
//! Only `greenlight serve` is killed, and started again by the demo; the emulated GitHub lives on and is what the story is judged
//! by. Half of the points are moments, half are syncs of the server, in turn before and after the sync reached the disk. A sync
//! is struck by a small library that is preloaded into the server (`crash/at_sync.c`), which needs a C compiler as the build does.

mod point;
mod story;

use std::error::Error;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::bench::service::build;
use point::{Length, Point, spread};
use story::{Ended, Theatre, play};

const HELP: &str =
    "Kills `greenlight serve` at many points of `greenlight demo --once --fast`, and lets the demo judge.

Usage: cargo xtask crash --smoke [--points N] [--jobs N] [--seed N]
       cargo xtask crash --point time:MILLIS | sync:N:before | sync:N:after

  --program  a greenlight that was built before, instead of the release build of this tree
  --points   how many; half by time, half at a sync (200)
  --jobs     stories side by side (4)
  --seed     where in its share of the story each point lies (from the clock; printed)
  --point    this one only; may be given several times

A story that goes wrong keeps its folder. Exit codes: 0 all passed · 1 one did not · 2 wrong usage";

/// How often a point that its story did not reach is tried again, earlier.
const TRIES_MAX: usize = 4;
/// After how many points it is said how far it came.
const TOLD_EVERY: usize = 20;
/// The first port, how many each of the stories side by side has to itself, and how many of these it uses.
const PORT_FIRST: u16 = 21_000;
const PORTS_EACH: u16 = 8;
const PORTS_USED: u16 = 3;

struct Options {
    points: usize,
    jobs: usize,
    seed: u64,
    chosen: Vec<Point>,
    program: Option<PathBuf>,
}

/// What is counted over all points.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    not_struck: usize,
    unknown: usize,
}

/// Runs it.
pub fn run(root: &Path, arguments: &[String]) -> ExitCode {
    let Some(options) = parse(arguments) else {
        println!("{HELP}");
        return ExitCode::from(if arguments.iter().any(|word| word == "--help") { 0 } else { 2 });
    };
    match crash(root, &options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("crash: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Option<Options> {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let mut options = Options { points: 200, jobs: 4, seed: clock, chosen: Vec::new(), program: None };
    let mut is_smoke = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--smoke" => is_smoke = true,
            "--points" => options.points = words.next()?.parse().ok()?,
            "--jobs" => options.jobs = words.next()?.parse().ok().filter(|jobs| (1..=64).contains(jobs))?,
            "--seed" => options.seed = words.next()?.parse().ok()?,
            "--program" => options.program = Some(PathBuf::from(words.next()?)),
            "--point" => options.chosen.push(Point::parse(words.next()?)?),
            _ => return None,
        }
    }
    (is_smoke || !options.chosen.is_empty()).then_some(options)
}

fn crash(root: &Path, options: &Options) -> Result<bool, Box<dyn Error>> {
    let began = Instant::now();
    let theatre = open(root, options.program.as_deref())?;
    let (ports, _held) = ports(options.jobs)?;
    let points = match &options.chosen[..] {
        [] => {
            let length = measure(&theatre, &ports)?;
            println!(
                "an undisturbed story takes {} ms and {} syncs; seed {}",
                length.millis, length.syncs, options.seed
            );
            spread(options.points, length, options.seed)
        }
        chosen => chosen.to_vec(),
    };
    let tally = strike_all(&theatre, &ports, &points)?;
    let summary = json!({ "crash": {
        "points": points.len(),
        "passed": tally.passed,
        "failed": tally.failed,
        "not_struck": tally.not_struck,
        "outcome_unknown": tally.unknown,
        "seed": options.seed,
        "seconds": began.elapsed().as_secs(),
    }});
    println!("{summary}\n{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed == 0 {
        fs::remove_dir_all(&theatre.folder)?;
    }
    Ok(tally.failed == 0 && tally.passed == points.len())
}

/// Builds the program and the library, and puts both into a folder of this run's own.
fn open(root: &Path, program: Option<&Path>) -> Result<Theatre, Box<dyn Error>> {
    let built = match program {
        Some(program) => program.to_owned(),
        None => build(root, "Cargo.toml", "greenlight", "greenlight")?,
    };
    let folder = std::env::temp_dir().join(format!("greenlight-crash-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (program, at_sync) = (folder.join("greenlight"), folder.join("at_sync.so"));
    fs::copy(&built, &program).map_err(|error| format!("{} cannot be copied: {error}", built.display()))?;
    compile(&folder.join("at_sync.c"), &at_sync)?;
    Ok(Theatre { program, at_sync, folder })
}

fn compile(source: &Path, library: &Path) -> Result<(), Box<dyn Error>> {
    fs::write(source, include_str!("crash/at_sync.c"))?;
    let compiler = std::env::var_os("CC").map_or_else(|| PathBuf::from("cc"), PathBuf::from);
    let mut command = Command::new(&compiler);
    command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(library).arg(source);
    let status = command.status().map_err(|error| format!("{} cannot be started: {error}", compiler.display()))?;
    if status.success() { Ok(()) } else { Err("the library that kills at a sync does not compile".into()) }
}

/// Returns the first of its ports for each of the stories side by side, and what keeps another run of this tool from taking the
/// same: the port behind those that a story uses is held until the end.
fn ports(jobs: usize) -> Result<(Vec<u16>, Vec<TcpListener>), Box<dyn Error>> {
    let take = |first: u16| -> Option<(u16, TcpListener)> {
        let held = TcpListener::bind(("127.0.0.1", first + PORTS_USED)).ok()?;
        let is_free = (first..first + PORTS_USED).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        is_free.then_some((first, held))
    };
    let all = (PORT_FIRST..u16::MAX / 2).step_by(usize::from(PORTS_EACH));
    let (ports, held): (Vec<_>, Vec<_>) = all.filter_map(take).take(jobs).unzip();
    if ports.len() == jobs { Ok((ports, held)) } else { Err("there are not enough free ports".into()) }
}

/// Plays stories that nobody disturbs, as many side by side as later: their length is what points are spread over.
fn measure(theatre: &Theatre, ports: &[u16]) -> Result<Length, Box<dyn Error>> {
    let played: Vec<Result<Ended, String>> = thread::scope(|scope| {
        let threads: Vec<_> = ports
            .iter()
            .map(|port| {
                scope.spawn(move || {
                    play(theatre, &format!("undisturbed-{port}"), *port, None).map_err(|error| error.to_string())
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a story panicked".into()))).collect()
    });
    let mut length = Length { millis: u64::MAX, syncs: u64::MAX };
    for ended in played {
        let ended = ended?;
        if !ended.passed {
            return Err(format!("an undisturbed story failed: {}\n{}", ended.folder.display(), ended.told).into());
        }
        length = Length { millis: length.millis.min(ended.millis), syncs: length.syncs.min(ended.syncs) };
        fs::remove_dir_all(&ended.folder)?;
    }
    Ok(length)
}

fn strike_all(theatre: &Theatre, ports: &[u16], points: &[Point]) -> Result<Tally, Box<dyn Error>> {
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    let played: Vec<Result<(), String>> = thread::scope(|scope| {
        let work = |port: u16| -> Result<(), String> {
            while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                let (point, ended) = strike(theatre, port, *point).map_err(|error| error.to_string())?;
                let mut tally = tally.lock().map_err(|_| "another story panicked".to_owned())?;
                tell(&mut tally, point, &ended);
            }
            Ok(())
        };
        let threads: Vec<_> = ports.iter().map(|port| scope.spawn(move || work(*port))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err("a story panicked".into()))).collect()
    });
    played.into_iter().collect::<Result<Vec<()>, String>>()?;
    Ok(tally.into_inner().map_err(|_| "a story panicked")?)
}

/// Plays the story with the server killed at a point; where the story was over before it, at an earlier one.
fn strike(theatre: &Theatre, port: u16, point: Point) -> Result<(Point, Ended), Box<dyn Error>> {
    let mut point = point;
    let mut tries = 1;
    loop {
        let name = format!("{port}-{}", point.to_string().replace(':', "-"));
        let ended = play(theatre, &name, port, Some(point))?;
        if !ended.passed || ended.restarts > 0 || tries == TRIES_MAX {
            return Ok((point, ended));
        }
        fs::remove_dir_all(&ended.folder)?;
        point = point.earlier();
        tries += 1;
    }
}

fn tell(tally: &mut Tally, point: Point, ended: &Ended) {
    tally.unknown += usize::from(ended.is_unknown);
    let played = tally.passed + tally.failed + 1;
    if played.is_multiple_of(TOLD_EVERY) {
        eprintln!("{played} points played, {} failed", tally.failed);
    }
    if ended.passed && ended.restarts > 0 {
        tally.passed += 1;
        // A folder that stays costs room, nothing else.
        let _ = fs::remove_dir_all(&ended.folder);
        return;
    }
    tally.failed += 1;
    if ended.passed {
        tally.not_struck += 1;
        println!("FAILED {point}: the story was over each time before the server could be killed");
    } else {
        println!("FAILED {point} (restarts {}), kept in {}\n{}", ended.restarts, ended.folder.display(), ended.told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Option<Options> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn it_runs_only_when_it_is_told_what() {
        assert!(options("").is_none());
        assert!(options("--points 3").is_none());
        assert!(options("--smoke --jobs 0").is_none());
        let smoke = options("--smoke --points 40 --seed 9").unwrap();
        assert_eq!((smoke.points, smoke.jobs, smoke.seed), (40, 4, 9));
        assert_eq!(options("--point sync:3:after").unwrap().chosen, [Point::Sync { nth: 3, done: true }]);
    }

    #[test]
    fn the_library_kills_once_and_only_what_it_was_preloaded_into() {
        let folder = std::env::temp_dir().join(format!("greenlight-at-sync-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let library = folder.join("at_sync.so");
        compile(&folder.join("at_sync.c"), &library).unwrap();
        // dd's conv=fsync is one fsync; the second file would be its child's.
        let sync = |nth: &str| {
            let mut command = Command::new("dd");
            command.args(["if=/dev/zero", "count=1", "conv=fsync", "status=none"]);
            command.arg(format!("of={}", folder.join("file").display()));
            command.env("LD_PRELOAD", &library).env("CRASH_AT_SYNC", nth);
            command.env("CRASH_MARKER", folder.join("struck")).env("CRASH_COUNT", folder.join("count"));
            command.status().unwrap()
        };
        assert!(sync("2").success(), "there is only one");
        assert_eq!(fs::read(folder.join("count")).unwrap(), 1_u64.to_ne_bytes());
        assert!(!sync("1").success(), "it strikes");
        assert!(sync("1").success(), "it strikes once");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn two_runs_side_by_side_have_ports_of_their_own() {
        let (first, held) = ports(2).unwrap();
        let (second, _) = ports(2).unwrap();
        assert!(first.iter().all(|port| !second.contains(port)), "{first:?} {second:?}");
        drop(held);
    }
}
