//! `bench loop`: from the webhook to the commit's status and to the step, the real programs over real sockets.
//!
//! The emulated GitHub's feed tells when it sent a delivery and when it had answered a request, in whole milliseconds, and how
//! long it took over the answer; steps write their clock in microseconds. A delivery counts from the moment at which the emulated
//! GitHub opens the connection for it, which is earlier than its arrival: what is measured is never less than what is asked.

mod hour;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::clock::{self, Clock};
use super::goal::{Goal, judge};
use super::machine::Watch;
use super::site::{Profile, Site, at, is_status, until};
use super::{Options, git, median, scratch};

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
    Ok(judge(&goals, watch.foreign_load()))
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
        Goal::new("webhook to pending, p50", share(&over, 0.5), PENDING_P50_MAX, "ms"),
        Goal::new("webhook to pending, p99", share(&over, 0.99), PENDING_P99_MAX, "ms"),
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
            site.point(&branch, &sha)?;
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
        goals.push(Goal::new(kind.what, product - floor, STEP_OVER_FLOOR_MAX, "ms"));
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
    Ok(vec![Goal::new(what, median(&took), SUCCESS_P50_MAX, "ms")])
}

/// Pushes many branches that point to one mirrored commit, at once, to a server with one slot.
fn many_runs(program: &Path) -> Result<Vec<Goal>, Box<dyn Error>> {
    let clock = Clock::start()?;
    let site = Site::start(program, Profile::Ghes, &workflows(&clock.target()), "[runner]\nslots = 1\n")?;
    warm_up(&site)?;
    let (sha, mark) = (site.main()?, site.mark()?);
    for run in 0..RUNS {
        site.point(&format!("plain-{run}"), &sha)?;
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
    Ok(vec![Goal::new(what, seconds, RUNS_SECONDS_MAX, "s")])
}

/// Lets the server mirror what there is, and run each kind of job once.
fn warm_up(site: &Site) -> Result<(), Box<dyn Error>> {
    let mark = site.mark()?;
    let heads = site.branches("warm", 1)?;
    let sha = site.main()?;
    for kind in &KINDS {
        let branch = format!("{}-warm", kind.prefix);
        site.point(&branch, &sha)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
