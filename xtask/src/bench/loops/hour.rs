//! `bench loop --hour`: what an hour of github.com asks for, thirty pull requests of twenty jobs each, at the clock's own pace.
//!
//! That would need more writes than github.com allows. What must not wait is the aggregate; what must not happen is an answer
//! that refuses for a limit. In fewer minutes (`--minutes`) the same comes faster, and less of the budget grows back: harder
//! than the goal. A `pending` that was over before it could be sent is not late: what counts is the first aggregate in any state.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{delivery, share};
use crate::bench::clock::Clock;
use crate::bench::site::{Profile, Site, at, is_status};

const PULLS: u32 = 30;
const JOBS: usize = 20;
/// How long a job takes: long enough that `pending` has to be shown.
const JOB_SECONDS: u32 = 1;
/// How late an aggregate may be, in milliseconds.
const LATE_MAX: f64 = 10_000.0;
/// How long the last pull request is given beyond its own share of the time.
const SETTLE: Duration = Duration::from_secs(30);

/// Measures and judges.
pub fn run(program: &Path, minutes: u64) -> Result<ExitCode, Box<dyn Error>> {
    let clock = Clock::start()?;
    let site = Site::start(
        program,
        Profile::GitHubCom,
        &json!({ ".github/workflows/ci.yml": workflow(&clock.target()) }),
        "",
    )?;
    let mark = site.mark()?;
    let heads = site.branches("pull", usize::try_from(PULLS)?)?;
    let began = Instant::now();
    for (serial, (branch, _)) in (0_u32..).zip(&heads) {
        let due = began + Duration::from_secs(minutes * 60) * serial / PULLS;
        sleep(due.saturating_duration_since(Instant::now()));
        site.post("/pulls", &json!({ "title": branch, "head": branch, "base": "main" }))?;
    }
    sleep(SETTLE);
    let entries = site.entries("events", mark)?;
    let (mut first, mut success) = (Vec::new(), Vec::new());
    for (branch, sha) in &heads {
        let sent = delivery(&entries, |payload| payload["pull_request"]["head"]["sha"] == sha.as_str());
        let shown =
            |state: &str| entries.iter().find(|entry| is_status(entry, sha, state)).map(|entry| at(entry, "at"));
        let ended = (0..JOBS).filter_map(|job| clock.of(&format!("{branch}/{job}"))).reduce(f64::max);
        first.push(late(shown("pending").or(shown("success")), sent.map(|sent| at(sent, "started_at"))));
        success.push(late(shown("success"), ended));
    }
    Ok(judge(minutes, &entries, &first, &success))
}

/// A status that never came is later than any bound.
fn late(shown: Option<f64>, since: Option<f64>) -> f64 {
    shown.zip(since).map_or(f64::INFINITY, |(shown, since)| shown - since)
}

fn judge(minutes: u64, entries: &[Value], first: &[f64], success: &[f64]) -> ExitCode {
    let of_server = |entry: &&Value| entry["kind"] == "request" && entry["login"] == "greenlight-bot";
    let requests: Vec<&Value> = entries.iter().filter(of_server).collect();
    let writes = requests.iter().filter(|entry| entry["method"] != "GET").count();
    let refused = requests.iter().filter(|entry| entry["status"] == 403 || entry["status"] == 429).count();
    let (first_max, success_max) = (share(first, 1.0), share(success, 1.0));
    println!(
        "{} pull requests of {JOBS} jobs in {minutes} minutes: {} requests, {writes} of them writes, {refused} refused for a limit",
        first.len(),
        requests.len()
    );
    println!(
        "aggregates late: the first p50 {:.0} max {first_max:.0} ms, success p50 {:.0} max {success_max:.0} ms (at most {LATE_MAX})",
        share(first, 0.5),
        share(success, 0.5)
    );
    let met = refused == 0 && first_max <= LATE_MAX && success_max <= LATE_MAX;
    println!("{}", if met { "all goals met" } else { "a goal was missed" });
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn workflow(clock: &str) -> String {
    let numbers: Vec<String> = (0..JOBS).map(|job| job.to_string()).collect();
    format!(
        "name: CI\non: pull_request\njobs:\n  test:\n    runs-on: ubuntu-latest\n    strategy:\n      matrix:\n        part: [{}]\n    steps:\n\
         \x20     - run: sleep {JOB_SECONDS}\n\
         \x20     - run: echo \"$GITHUB_HEAD_REF/${{{{ matrix.part }}}} $EPOCHREALTIME\" >'{clock}'\n",
        numbers.join(", ")
    )
}
