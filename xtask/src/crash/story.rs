//! One story: `greenlight demo --once --fast --json`, its server killed on the way, judged by the demo itself.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::point::Point;

/// How long a story may take, its restart included.
const STORY_WITHIN: Duration = Duration::from_secs(120);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// Lines that are told of a story that went wrong.
const LINES_TOLD: usize = 6;

/// What every story needs.
pub struct Theatre {
    /// A copy of the program: a build that goes on meanwhile does not change it.
    pub program: PathBuf,
    /// The library that kills at a sync.
    pub at_sync: PathBuf,
    /// Where the stories have their folders.
    pub folder: PathBuf,
}

/// What became of a story.
#[derive(Debug)]
pub struct Ended {
    /// Whether all came as it should.
    pub passed: bool,
    /// How often the server was started again.
    pub restarts: u64,
    /// Whether a deployment was caught in the middle.
    pub is_unknown: bool,
    /// From the server's start to the end, in milliseconds.
    pub millis: u64,
    /// The server's syncs after its last start.
    pub syncs: u64,
    /// What is told where it did not pass.
    pub told: String,
    /// Where everything lies.
    pub folder: PathBuf,
}

/// Plays a story in a folder of its own. The first of its three ports is given.
pub fn play(theatre: &Theatre, name: &str, port: u16, point: Option<Point>) -> Result<Ended, Box<dyn Error>> {
    let folder = theatre.folder.join(name);
    // What an earlier try at this point left.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut demo = start(theatre, &folder, port, point)?;
    let began = Instant::now();
    let Some(ready) = wait_for(&mut demo, began, || pid_of(&folder, "serve").is_some())? else {
        return Ok(end(folder, None, began));
    };
    if let Some(Point::Time(millis)) = point {
        let at = ready + Duration::from_millis(millis);
        if wait_for(&mut demo, began, || Instant::now() >= at)?.is_some()
            && let Some(pid) = pid_of(&folder, "serve")
        {
            kill(&pid);
        }
    }
    let status = loop {
        if let Some(status) = demo.try_wait()? {
            break Some(status);
        }
        if began.elapsed() > STORY_WITHIN {
            end_all(&mut demo, &folder);
            break None;
        }
        sleep(LOOK_EVERY);
    };
    Ok(end(folder, status, ready))
}

fn start(theatre: &Theatre, folder: &Path, port: u16, point: Option<Point>) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new(&theatre.program);
    command.args(["demo", "--once", "--fast", "--json", "--restart-killed", "--dir"]).arg(folder.join("demo"));
    command.args(["--port", &port.to_string(), "--serve-through"]).arg(through(theatre, folder, point));
    let output = fs::File::create(folder.join("output"))?;
    let errors = fs::File::create(folder.join("errors"))?;
    Ok(command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn()?)
}

/// Returns what the server is started through: the library that counts its syncs, and strikes at one.
fn through(theatre: &Theatre, folder: &Path, point: Option<Point>) -> String {
    let (nth, after) = match point {
        Some(Point::Sync { nth, done }) => (nth, if done { " CRASH_AFTER=1" } else { "" }),
        Some(Point::Time(_)) | None => (0, ""),
    };
    let (library, marker, count) = (theatre.at_sync.display(), folder.join("struck"), folder.join("syncs"));
    format!(
        "env LD_PRELOAD={library} CRASH_AT_SYNC={nth}{after} CRASH_MARKER={} CRASH_COUNT={}",
        marker.display(),
        count.display()
    )
}

/// Waits for a condition while the story goes on; returns when it came, or nothing where the story ended first.
fn wait_for(demo: &mut Child, began: Instant, came: impl Fn() -> bool) -> Result<Option<Instant>, Box<dyn Error>> {
    while began.elapsed() < STORY_WITHIN {
        if came() {
            return Ok(Some(Instant::now()));
        }
        if demo.try_wait()?.is_some() {
            return Ok(None);
        }
        sleep(LOOK_EVERY);
    }
    Ok(None)
}

fn pid_of(folder: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(folder.join(format!("demo/{name}.pid"))).ok()?;
    // Without its line end it is still being written.
    text.strip_suffix('\n').filter(|text| !text.is_empty()).map(str::to_owned)
}

fn kill(pid: &str) {
    // It fails where the process is gone already; how often it was started again tells.
    let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
}

/// Ends a story that does not end by itself, with the two processes that it started.
fn end_all(demo: &mut Child, folder: &Path) {
    let pids = ["serve", "emulate"].map(|name| pid_of(folder, name));
    let _ = demo.kill();
    let _ = demo.wait();
    pids.iter().flatten().for_each(|pid| kill(pid));
}

fn end(folder: PathBuf, status: Option<ExitStatus>, began: Instant) -> Ended {
    let output = fs::read_to_string(folder.join("output")).unwrap_or_default();
    let last = output.lines().last().and_then(|line| serde_json::from_str::<Value>(line).ok()).unwrap_or_default();
    let judge = &last["judge"];
    let count = fs::read(folder.join("syncs")).ok().and_then(|bytes| bytes.try_into().ok());
    let passed = status.is_some_and(|status| status.success());
    let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ended {
        passed,
        restarts: judge["restarts"].as_u64().unwrap_or(0),
        is_unknown: output.contains("outcome unknown"),
        millis,
        syncs: count.map_or(0, u64::from_ne_bytes),
        told: if passed { String::new() } else { told(&folder, status, judge) },
        folder,
    }
}

fn told(folder: &Path, status: Option<ExitStatus>, judge: &Value) -> String {
    let mut lines = vec![match status {
        Some(status) => format!("the story ended with {status}"),
        None => format!("the story did not end within {} s", STORY_WITHIN.as_secs()),
    }];
    for list in ["missed", "findings"] {
        let wrong = judge[list].as_array().into_iter().flatten().filter(|finding| finding["ok"] != Value::Bool(true));
        lines.extend(wrong.map(|finding| format!("{list}: {finding}")));
    }
    if let Some(missed) = judge["missed"].as_str() {
        lines.push(format!("missed: {missed}"));
    }
    let errors = fs::read_to_string(folder.join("errors")).unwrap_or_default();
    let first = errors.lines().count().saturating_sub(LINES_TOLD);
    lines.extend(errors.lines().skip(first).map(str::to_owned));
    lines.iter().map(|line| format!("    {line}\n")).collect()
}
