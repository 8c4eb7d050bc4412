//! `bench loop`: from the webhook to the commit's status and to the step, the real programs over real sockets.
//!
//! The emulated GitHub's feed tells when it sent a delivery and when it had answered a request, in whole milliseconds, and how
//! long it took over the answer; steps write their clock in microseconds. A delivery counts from the moment at which the emulated
//! GitHub opens the connection for it, which is earlier than its arrival: what is measured is never less than what is asked.

mod clock;
mod hour;
mod site;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::machine::{FOREIGN_LOAD_MAX, Watch};
use super::{EXIT_BUSY, Options, median};
use clock::Clock;
use site::{Profile, Site, at, until};

/// Pull requests that are opened a second.
const EVENTS_PER_SECOND: u64 = 10;
/// From the webhook to `pending` accepted, over the emulated GitHub's own answer.
const PENDING_P50_MAX: f64 = 10.0;
const PENDING_P99_MAX: f64 = 50.0;
/// From the webhook to the step, over a script that does the same.
const STEP_OVER_FLOOR_MAX: f64 = 10.0;
/// From the end of the last step to `success` accepted.
const SUCCESS_P50_MAX: f64 = 10.0;
/// So many runs through one slot, in seconds.
const RUNS: usize = 100;
const RUNS_SECONDS_MAX: f64 = 3.0;
/// Samples a round of what is measured one by one.
const SAMPLES_PER_ROUND: usize = 6;
/// Between two samples, so that one does not disturb the next.
const PAUSE: Duration = Duration::from_millis(150);

/// A goal, and what was measured.
struct Goal {
    what: &'static str,
    measured: f64,
    at_most: f64,
    unit: &'static str,
}

/// Measures and judges.
pub fn run(root: &Path, options: &Options) -> Result<ExitCode, Box<dyn Error>> {
    let program = options.program(root)?;
    if let Some(minutes) = options.minutes {
        return hour::run(&program, minutes);
    }
    let samples = options.rounds * SAMPLES_PER_ROUND;
    let watch = Watch::begin();
    let mut goals = pending(&program, options.rounds as u64 * options.seconds * EVENTS_PER_SECOND)?;
    goals.extend(first_step(&program, samples)?);
    goals.extend(success(&program, samples)?);
    goals.extend(many_runs(&program)?);
    let foreign = watch.foreign_load();
    for goal in &goals {
        println!("{}  {}", if goal.measured <= goal.at_most { "met   " } else { "MISSED" }, sentence(goal));
    }
    println!("foreign load: {foreign:.2} of a core");
    if foreign > FOREIGN_LOAD_MAX {
        println!("not judged: something else used more than {FOREIGN_LOAD_MAX} of a core meanwhile");
        return Ok(ExitCode::from(EXIT_BUSY));
    }
    let missed = goals.iter().filter(|goal| goal.measured > goal.at_most || goal.measured.is_nan()).count();
    println!("{}", if missed == 0 { "all goals met".to_owned() } else { format!("{missed} goals were missed") });
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sentence(goal: &Goal) -> String {
    format!("{}: {:.2} {} (at most {})", goal.what, goal.measured, goal.unit, goal.at_most)
}

/// Opens pull requests at an even pace, whatever the server does, and looks at how soon each was shown `pending`.
fn pending(program: &Path, events: u64) -> Result<Vec<Goal>, Box<dyn Error>> {
    let site = Site::start(program, Profile::Ghes, &workflows("/dev/null"), "")?;
    let heads = site.branches("pull", usize::try_from(events)?)?;
    warm_up(&site)?;
    let mark = site.mark()?;
    let began = Instant::now();
    for (serial, (branch, _)) in (0_u32..).zip(&heads) {
        let due = began + Duration::from_secs(1) * serial / u32::try_from(EVENTS_PER_SECOND)?;
        sleep(due.saturating_duration_since(Instant::now()));
        site.post("/pulls", &json!({ "title": branch, "head": branch, "base": "main" }))?;
    }
    let last = heads.last().map(|(_, sha)| sha.clone()).unwrap_or_default();
    site.status_of(&last, "success", mark)?;
    let entries = site.entries("events", mark)?;
    let (mut whole, mut over) = (Vec::new(), Vec::new());
    for (_, sha) in &heads {
        let sent = delivery(&entries, |payload| payload["pull_request"]["head"]["sha"] == sha.as_str());
        let shown = entries.iter().find(|entry| is_status(entry, sha, "pending"));
        let (Some(sent), Some(shown)) = (sent, shown) else {
            return Err(format!("{sha} was never shown pending").into());
        };
        let took = at(shown, "at") - at(sent, "started_at");
        whole.push(took);
        over.push((took - at(shown, "duration_ms")).max(0.0));
    }
    println!(
        "webhook to pending accepted, {events} pull requests at {EVENTS_PER_SECOND}/s: p50 {:.1} p90 {:.1} p99 {:.1} ms; \
         over the emulated GitHub's own answer p50 {:.1} p90 {:.1} p99 {:.1} ms",
        share(&whole, 0.5),
        share(&whole, 0.9),
        share(&whole, 0.99),
        share(&over, 0.5),
        share(&over, 0.9),
        share(&over, 0.99)
    );
    Ok(vec![
        Goal { what: "webhook to pending, p50", measured: share(&over, 0.5), at_most: PENDING_P50_MAX, unit: "ms" },
        Goal { what: "webhook to pending, p99", measured: share(&over, 0.99), at_most: PENDING_P99_MAX, unit: "ms" },
    ])
}

/// What the step's clock is compared with.
struct Kind {
    what: &'static str,
    prefix: &'static str,
    /// The script that does the same without us; `{bare}` and `{sha}` are filled in.
    floor: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind { what: "webhook to first step without checkout, p50 over the script's", prefix: "plain", floor: "" },
    Kind {
        what: "webhook to first step with checkout, p50 over the script's",
        prefix: "checkout",
        floor: "git init --quiet work && cd work && git fetch --quiet --depth 1 'file://{bare}' {sha} && git checkout --quiet FETCH_HEAD\n",
    },
];

/// Pushes branches that point to a commit which is mirrored already, in turn with the script.
fn first_step(program: &Path, samples: usize) -> Result<Vec<Goal>, Box<dyn Error>> {
    let folder = scratch("step")?;
    let clock = Clock::start()?;
    let site = Site::start(program, Profile::Ghes, &workflows(&clock.target()), "")?;
    warm_up(&site)?;
    let sha = site.main()?;
    let bare = folder.join("bare.git");
    git(&["clone", "--quiet", "--bare", &site.clone_url(), &bare.display().to_string()])?;
    let mark = site.mark()?;
    let mut floors = [Vec::new(), Vec::new()];
    for sample in 0..samples {
        for (kind, floors) in KINDS.iter().zip(&mut floors) {
            floors.push(floor(&folder, kind, &bare, &sha)?);
            sleep(PAUSE);
            let branch = format!("{}-{sample}", kind.prefix);
            site.post("/git/refs", &json!({ "ref": format!("refs/heads/{branch}"), "sha": sha }))?;
            until(&format!("the step of {branch}"), || Ok(clock.of(&branch).map(|_| ())))?;
            sleep(PAUSE);
        }
    }
    let entries = site.entries("deliveries", mark)?;
    let mut goals = Vec::new();
    for (kind, floors) in KINDS.iter().zip(&floors) {
        let mut took = Vec::new();
        for sample in 0..samples {
            let branch = format!("{}-{sample}", kind.prefix);
            let sent = delivery(&entries, |payload| payload["ref"] == format!("refs/heads/{branch}"));
            let began = clock.of(&branch).ok_or("a step lost its clock")?;
            took.push(began - at(sent.ok_or("a push was never delivered")?, "started_at"));
        }
        let (product, floor) = (median(&took), median(floors));
        println!(
            "{:8} {samples} pushes of one mirrored commit: first step p50 {product:.1} p90 {:.1} ms; script p50 {floor:.1} p90 {:.1} ms",
            kind.prefix,
            share(&took, 0.9),
            share(floors, 0.9)
        );
        goals.push(Goal { what: kind.what, measured: product - floor, at_most: STEP_OVER_FLOOR_MAX, unit: "ms" });
    }
    let _ = fs::remove_dir_all(folder);
    Ok(goals)
}

/// Runs the script and returns how long it took to its step, in milliseconds.
fn floor(folder: &Path, kind: &Kind, bare: &Path, sha: &str) -> Result<f64, Box<dyn Error>> {
    let place = folder.join("floor");
    fs::create_dir_all(&place)?;
    let clock = place.join("clock");
    fs::write(place.join("step.sh"), format!("echo \"floor $EPOCHREALTIME\" >>'{}'\n", clock.display()))?;
    let checkout = kind.floor.replace("{bare}", &bare.display().to_string()).replace("{sha}", sha);
    let script =
        format!("set -e\n{checkout}bash --noprofile --norc -e -o pipefail '{}'\n", place.join("step.sh").display());
    fs::write(place.join("script.sh"), script)?;
    let began = now_millis();
    let status = Command::new("bash").arg("script.sh").current_dir(&place).stdin(Stdio::null()).status()?;
    let told = fs::read_to_string(&clock)?;
    let took = clock::told(&told, "floor").filter(|_| status.success()).ok_or("the script failed")? - began;
    fs::remove_dir_all(place)?;
    Ok(took)
}

/// Opens pull requests one by one, and looks at how soon after its only step each was shown `success`.
fn success(program: &Path, samples: usize) -> Result<Vec<Goal>, Box<dyn Error>> {
    let clock = Clock::start()?;
    let site = Site::start(program, Profile::Ghes, &workflows(&clock.target()), "")?;
    let heads = site.branches("pull", samples)?;
    warm_up(&site)?;
    let mark = site.mark()?;
    let mut took = Vec::new();
    for (branch, sha) in &heads {
        site.post("/pulls", &json!({ "title": branch, "head": branch, "base": "main" }))?;
        let shown = site.status_of(sha, "success", mark)?;
        let ended = clock.of(branch).ok_or("a step lost its clock")?;
        took.push(at(&shown, "at") - ended);
        sleep(PAUSE);
    }
    println!(
        "end of the last step to success accepted, {samples} pull requests: p50 {:.1} p90 {:.1} ms",
        median(&took),
        share(&took, 0.9)
    );
    let what = "end of the last step to success, p50";
    Ok(vec![Goal { what, measured: median(&took), at_most: SUCCESS_P50_MAX, unit: "ms" }])
}

/// Pushes many branches that point to one mirrored commit, at once, to a server with one slot.
fn many_runs(program: &Path) -> Result<Vec<Goal>, Box<dyn Error>> {
    let clock = Clock::start()?;
    let site = Site::start(program, Profile::Ghes, &workflows(&clock.target()), "[runner]\nslots = 1\n")?;
    warm_up(&site)?;
    let (sha, mark) = (site.main()?, site.mark()?);
    for run in 0..RUNS {
        site.post("/git/refs", &json!({ "ref": format!("refs/heads/plain-{run}"), "sha": sha }))?;
    }
    let last = until("the last step", || {
        let all: Option<Vec<f64>> = (0..RUNS).map(|run| clock.of(&format!("plain-{run}"))).collect();
        Ok(all)
    })?;
    until("the last run", || Ok(site.all_runs_are_over()?.then_some(())))?;
    let entries = site.entries("events", mark)?;
    let first = entries.iter().filter(|entry| entry["event"] == "push").map(|entry| at(entry, "started_at"));
    let first = first.reduce(f64::min).ok_or("no push was delivered")?;
    let shown = entries.iter().filter(|entry| entry["body"]["state"] == "success").map(|entry| at(entry, "at"));
    let end = shown.chain(last).reduce(f64::max).ok_or("nothing was shown")?;
    let seconds = (end - first) / 1000.0;
    println!("{RUNS} runs of one mirrored commit, without checkout, through one slot: {seconds:.2} s");
    let what = "100 trivial runs through one slot";
    Ok(vec![Goal { what, measured: seconds, at_most: RUNS_SECONDS_MAX, unit: "s" }])
}

/// Lets the server mirror what there is, and run each kind of job once.
fn warm_up(site: &Site) -> Result<(), Box<dyn Error>> {
    let mark = site.mark()?;
    let heads = site.branches("warm", 1)?;
    let sha = site.main()?;
    for kind in &KINDS {
        let branch = format!("refs/heads/{}-warm", kind.prefix);
        site.post("/git/refs", &json!({ "ref": branch, "sha": sha }))?;
    }
    for (branch, sha) in &heads {
        site.post("/pulls", &json!({ "title": branch, "head": branch, "base": "main" }))?;
        site.status_of(sha, "success", mark)?;
    }
    until("the first runs", || Ok(site.all_runs_are_over()?.then_some(())))
}

/// Returns the repository's files: a workflow for pull requests, one for pushes without and one with checkout. Each
/// step's last act is to write its branch and its clock.
fn workflows(clock: &str) -> Value {
    let step = format!("echo \"${{GITHUB_HEAD_REF:-$GITHUB_REF_NAME}} $EPOCHREALTIME\" >'{clock}'");
    let job =
        |before: &str| format!("jobs:\n  test:\n    runs-on: ubuntu-latest\n    steps:\n{before}      - run: {step}\n");
    let push = |branches: &str| format!("on:\n  push:\n    branches: ['{branches}-*']\n");
    json!({
        "README.md": "A repository that is only there to be measured.\n",
        ".github/workflows/pull.yml": format!("name: Pull\non: pull_request\n{}", job("")),
        ".github/workflows/plain.yml": format!("name: Plain\n{}{}", push("plain"), job("")),
        ".github/workflows/checkout.yml": format!("name: Checkout\n{}{}", push("checkout"), job("      - uses: actions/checkout@v4\n")),
    })
}

/// Returns the first delivery whose payload is wanted.
fn delivery(entries: &[Value], is_wanted: impl Fn(&Value) -> bool) -> Option<&Value> {
    let is_ours = |entry: &&Value| {
        entry["kind"] == "delivery"
            && matches!(entry["event"].as_str(), Some("push" | "pull_request"))
            && is_wanted(&entry["payload"])
    };
    entries.iter().find(is_ours)
}

/// Was the aggregate accepted in this state for this commit?
fn is_status(entry: &Value, sha: &str, state: &str) -> bool {
    let is_for = |path: &str| path.strip_suffix(sha).is_some_and(|path| path.ends_with("/statuses/"));
    entry["status"] == 201
        && entry["path"].as_str().is_some_and(is_for)
        && entry["body"]["context"] == "greenlight"
        && entry["body"]["state"] == state
}

fn now_millis() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

/// Returns the figure that this share of the figures does not exceed.
fn share(figures: &[f64], share: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index below the length"
    )]
    let index = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(index).copied().unwrap_or(f64::NAN)
}

fn scratch(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("greenlight-bench-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn git(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let status = Command::new("git").args(arguments).stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err("git failed".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_aggregate_of_this_commit_counts_and_only_when_it_was_accepted() {
        let entry = json!({ "path": "/repos/acme/app/statuses/abc", "status": 201, "body": { "context": "greenlight", "state": "pending" } });
        assert!(is_status(&entry, "abc", "pending"));
        assert!(!is_status(&entry, "bc", "pending"), "the end of another commit's name");
        assert!(!is_status(&entry, "abc", "success"));
        for (field, value) in
            [("status", json!(422)), ("body", json!({ "context": "greenlight / CI", "state": "pending" }))]
        {
            let mut other = entry.clone();
            other[field] = value;
            assert!(!is_status(&other, "abc", "pending"), "{other}");
        }
    }

    #[test]
    fn a_delivery_is_found_by_its_payload_among_its_own_kind() {
        let push =
            |event: &str, git_ref: &str| json!({ "kind": "delivery", "event": event, "payload": { "ref": git_ref } });
        let entries = [push("create", "a"), push("push", "b"), push("push", "a")];
        assert_eq!(delivery(&entries, |payload| payload["ref"] == "a"), Some(&entries[2]));
        assert_eq!(delivery(&entries, |payload| payload["ref"] == "c"), None);
    }

    #[test]
    fn shares_are_taken_of_the_sorted_figures() {
        let figures: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(
            [share(&figures, 0.0), share(&figures, 0.5), share(&figures, 0.99), share(&figures, 1.0)],
            [1.0, 51.0, 100.0, 100.0]
        );
        assert!(share(&[], 0.5).is_nan());
    }
}
