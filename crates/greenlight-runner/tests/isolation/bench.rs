//! A place for jobs in sandboxes, and the harness.

use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use greenlight_core::effect::{JobEnd, JobOrder};
use greenlight_core::id::Sha;
use greenlight_core::port::Reply;
use greenlight_core::run::Conclusion;
use greenlight_core::time::Timestamp;
use greenlight_runner::{
    CheckedOut, CheckoutRequest, Isolation, IsolationOptions, IsolationWanted, JobHost, LogBlock, Patience, Priority,
    RunnerOptions, StepUpdate, Stop, run_job,
};

use crate::containers;
use tokio::sync::watch;

/// Names the folder in which this program is to run a job until it is killed.
pub const TO_BE_KILLED: &str = "ISOLATION_TO_BE_KILLED";

/// Names the image of a container that this program is to run its job in.
pub const IN_CONTAINER: &str = "ISOLATION_IN_CONTAINER";

/// Says that an engine was promised: its tests are not skipped then.
const PROMISED: &str = "GREENLIGHT_TEST_ENGINE";

/// How long a test may take.
const TIME_MAX: Duration = Duration::from_secs(120);

/// A test: what it does with a bench.
pub type Test = fn(Bench) -> Pin<Box<dyn Future<Output = ()>>>;

/// A place that remembers what was said.
#[derive(Default)]
struct Place(Mutex<Vec<u8>>);

impl JobHost for Place {
    fn checkout<'a>(&'a self, _: &'a CheckoutRequest, dest: &'a Path) -> Reply<'a, Result<CheckedOut, String>> {
        Box::pin(async move {
            std::fs::create_dir_all(dest).map_err(|error| error.to_string())?;
            std::fs::write(dest.join("README"), "hello\n").map_err(|error| error.to_string())?;
            Ok(CheckedOut { sha: Sha::ZERO, git_ref: None })
        })
    }

    fn step(&self, _: StepUpdate) -> Reply<'_, ()> {
        Box::pin(async {})
    }

    fn log(&self, block: LogBlock) -> Reply<'_, ()> {
        Box::pin(async move { self.0.lock().unwrap().extend_from_slice(&block.text) })
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }
}

/// Folders as a server has them, and what jobs there can be told.
pub struct Bench {
    folder: tempfile::TempDir,
    isolation: Arc<Isolation>,
    place: Arc<Place>,
    env: &'static str,
    /// `container:` and `services:`, where the jobs have some.
    around: String,
    pub stop: watch::Sender<Stop>,
}

impl Bench {
    pub async fn new(wanted: IsolationWanted) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let isolation = isolation(folder.path(), wanted).await;
        Self {
            folder,
            isolation,
            place: Arc::default(),
            env: "SOME: thing",
            around: String::new(),
            stop: watch::channel(Stop::No).0,
        }
    }

    /// Returns a bench without isolation.
    pub fn plain() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let (isolation, stop) = (Arc::new(Isolation::none()), watch::channel(Stop::No).0);
        Self { folder, isolation, place: Arc::default(), env: "SOME: thing", around: String::new(), stop }
    }

    /// Returns the same whose jobs run in a container.
    pub fn with_container(self, container: &str) -> Self {
        Self { around: format!("{}    container: {container}\n", self.around), ..self }
    }

    /// Returns the same whose jobs have services.
    pub fn with_services(self, services: &str) -> Self {
        Self { around: format!("{}    services: {services}\n", self.around), ..self }
    }

    /// Returns the same with another isolation.
    pub fn with(self, isolation: Arc<Isolation>) -> Self {
        Self { isolation, ..self }
    }

    /// Returns the same whose jobs have another `env`.
    pub fn with_env(self, env: &'static str) -> Self {
        Self { env, ..self }
    }

    /// Returns the server's folder.
    pub fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder of the jobs.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Have jobs a view of the files of their own?
    pub fn has_a_view(&self) -> bool {
        self.isolation.told().contains("bubblewrap (")
    }

    /// Returns all that jobs said.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.place.0.lock().unwrap()).into_owned()
    }

    /// Runs a job of these steps, and removes what it left.
    pub async fn run(&self, steps: &str) -> JobEnd {
        let options = options(&self.work(), &self.isolation);
        let ended =
            run_job(order(steps, self.env, &self.around), self.place.clone(), self.stop.subscribe(), &options).await;
        ended.cleanup.finish().await;
        ended.end
    }

    /// Runs a job of these steps, and returns how long it was to its end; what it left is removed behind it.
    async fn time_to_end(&self, steps: &str) -> Duration {
        let options = options(&self.work(), &self.isolation);
        let began = Instant::now();
        let order = order(steps, self.env, &self.around);
        let ended = run_job(order, self.place.clone(), self.stop.subscribe(), &options).await;
        let took = began.elapsed();
        ended.cleanup.finish().await;
        took
    }

    /// Returns what its jobs are isolated with.
    pub fn isolation(&self) -> Arc<Isolation> {
        self.isolation.clone()
    }

    /// Runs a job of these steps, and returns what it said.
    pub async fn run_quietly(&self, steps: &str) -> String {
        let place = Arc::new(Place::default());
        let options = options(&self.work(), &self.isolation);
        let ended = run_job(order(steps, self.env, &self.around), place.clone(), self.stop.subscribe(), &options).await;
        ended.cleanup.finish().await;
        let log = String::from_utf8_lossy(&place.0.lock().unwrap()).into_owned();
        // What is shown of a script before it runs is not what it said.
        let mut said = String::new();
        let mut is_shown = true;
        for line in log.lines() {
            match line {
                line if line.starts_with("##[group]") => is_shown = false,
                "##[endgroup]" => is_shown = true,
                line if is_shown => said += &format!("{line}\n"),
                _ => {}
            }
        }
        said
    }

    /// Starts a job that runs beside the others, and returns its workspace.
    pub async fn neighbour(&self) -> PathBuf {
        let steps = "- run: |\n    for place in . ~ /tmp; do echo of-the-server > $place/secret; done\n    echo of-the-server > README\n    pwd > $RUNNER_TEMP/ready\n    sleep 98762";
        let (options, place) = (options(&self.work(), &self.isolation), Arc::new(Place::default()));
        let (order, stop) = (order(steps, self.env, &self.around), self.stop.subscribe());
        tokio::spawn(async move { run_job(order, place, stop, &options).await.cleanup.finish().await });
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            for entry in std::fs::read_dir(self.work()).unwrap().flatten() {
                let ready = std::fs::read_to_string(entry.path().join("_temp/ready")).unwrap_or_default();
                if ready.ends_with('\n') {
                    return PathBuf::from(ready.trim_end());
                }
            }
            assert!(Instant::now() < deadline, "the other job never began");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a job's folders were made ahead, and returns the workspace.
    pub async fn made_ahead(&self) -> PathBuf {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let found = std::fs::read_dir(self.work()).unwrap().flatten().map(|entry| entry.path().join("demo"));
            if let Some(workspace) = found.into_iter().find(|workspace| workspace.is_dir()) {
                return workspace;
            }
            assert!(Instant::now() < deadline, "none was made");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until a step said this.
    pub async fn heard(&self, line: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.log().lines().any(|said| said == line) {
            assert!(Instant::now() < deadline, "'{line}' was never said:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    #[track_caller]
    pub fn succeeded(&self, end: &JobEnd) {
        assert_eq!(end.conclusion, Conclusion::Success, "{}\n{}", end.reason, self.log());
    }
}

async fn isolation(data: &Path, wanted: IsolationWanted) -> Arc<Isolation> {
    let options = IsolationOptions {
        wanted,
        program: None,
        work_dir: data.join("work"),
        hidden: vec![data.to_owned()],
        visible: Vec::new(),
        priority: Priority::default(),
    };
    Arc::new(Isolation::find(options).await.unwrap())
}

fn options(work: &Path, isolation: &Arc<Isolation>) -> RunnerOptions {
    let mut options = RunnerOptions::new(work, "bench");
    options.isolation = isolation.clone();
    options.patience = Patience {
        interrupted: Duration::from_millis(500),
        terminated: Duration::from_millis(300),
        cancelled: Duration::from_secs(20),
    };
    options
}

fn order(steps: &str, env: &str, around: &str) -> JobOrder {
    let steps: String = steps.lines().map(|line| format!("      {line}\n")).collect();
    crate::order::order(&format!(
        "on: push\njobs:\n  test:\n    runs-on: linux\n{around}    env:\n      {env}\n    steps:\n{steps}"
    ))
}

/// Is a process with this among its arguments alive?
pub fn alive(mark: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let is_dead = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'));
        !is_dead && line.split(|&byte| byte == 0).any(|word| word == mark.as_bytes())
    })
}

/// Runs a job that never ends.
pub fn be_killed(data: &Path) -> ExitCode {
    runtime().block_on(async {
        let options = options(&data.join("work"), &isolation(data, IsolationWanted::Auto).await);
        let (_stop, stopped) = watch::channel(Stop::No);
        let (around, mark) = match std::env::var(IN_CONTAINER) {
            Ok(image) => (format!("    container: {image}\n"), 6668),
            Err(_) => (String::new(), 6667),
        };
        let steps = format!("- run: setsid env -i sleep {mark}");
        run_job(order(&steps, "A: b", &around), Arc::new(Place::default()), stopped, &options)
            .await
            .cleanup
            .finish()
            .await;
    });
    ExitCode::SUCCESS
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Runs the tests whose names hold what was asked for, and tells it as libtest does.
pub fn run_all(walled: &[(&str, Test)], contained: &[(&str, Test)]) -> ExitCode {
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let lists = std::env::args().any(|word| word == "--list");
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|part| name.contains(part.as_str()));
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let runtime = runtime();
    let no_walls = runtime.block_on(Bench::new(IsolationWanted::Auto)).isolation.lack();
    let no_engine = runtime.block_on(containers::missing());
    let groups = [(walled, no_walls, "CI"), (contained, no_engine, PROMISED)];
    for (tests, missing, promised) in groups {
        for (name, test) in tests.iter().filter(|(name, _)| is_asked(name)) {
            if lists {
                println!("{name}: test");
                continue;
            }
            if let Some(missing) = missing.as_ref().filter(|_| std::env::var_os(promised).is_none()) {
                println!("test {name} ... skipped: {missing}");
                skipped += 1;
                continue;
            }
            let bench = runtime.block_on(Bench::new(IsolationWanted::Auto));
            let run =
                AssertUnwindSafe(|| runtime.block_on(async { tokio::time::timeout(TIME_MAX, test(bench)).await }));
            let is_ok = matches!(std::panic::catch_unwind(run), Ok(Ok(())));
            println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
            if is_ok { passed += 1 } else { failed += 1 }
        }
    }
    if !lists {
        let word = if failed == 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {passed} passed; {failed} failed; {skipped} ignored; 0 measured; 0 filtered out"
        );
    }
    ExitCode::from(u8::from(failed > 0))
}

/// How many jobs of each kind are timed, in turn.
const JOBS_TIMED: usize = 20;

/// How many steps of one job are timed.
const STEPS_TIMED: usize = 500;

/// Tells what a job of one trivial step takes with its clean-up, in the sandbox and without one; how long it is to its end in a sandbox that
/// was made ahead, as a server has it; and what a bare sandbox takes for the same script.
pub fn cost_of_jobs() -> ExitCode {
    let runtime = runtime();
    let (walled, plain) = (runtime.block_on(Bench::new(IsolationWanted::Auto)), Bench::plain());
    let spared = runtime.block_on(Bench::new(IsolationWanted::Auto));
    let keeping = Arc::new(Isolation::clone(&spared.isolation()).keeping_a_spare());
    let spared = spared.with(keeping.clone());
    let script = script();
    let words = "--unshare-all --share-net --die-with-parent --ro-bind / / --dev /dev --proc /proc bash -e";
    let (mut isolated, mut bare, mut ahead, mut sandbox) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let job = |bench: &Bench| time_of(|| drop(runtime.block_on(bench.run("- run: 'true'"))));
    for _ in 0..JOBS_TIMED {
        isolated.push(job(&walled));
        bare.push(job(&plain));
        ahead.push(runtime.block_on(spared.time_to_end("- run: 'true'")));
        sandbox.push(time_of(|| succeed(Command::new("bwrap").args(words.split(' ')).arg(script.path()))));
    }
    runtime.block_on(keeping.close());
    let all = [("isolated_ms", isolated), ("plain_ms", bare), ("ahead_ms", ahead), ("sandbox_ms", sandbox)];
    for (name, times) in all {
        println!("{name} {:.3}", median(times).as_secs_f64() * 1e3);
    }
    ExitCode::SUCCESS
}

/// Tells what a trivial step takes in a job of many, and what a bare shell takes for the same script.
pub fn cost_of_steps() -> ExitCode {
    let runtime = runtime();
    let bench = runtime.block_on(Bench::new(IsolationWanted::Auto));
    let job = |steps: usize| {
        time_of(|| {
            let end = runtime.block_on(bench.run(&"- run: 'true'\n".repeat(steps)));
            bench.succeeded(&end);
        })
    };
    let script = script();
    let words = "--noprofile --norc -eo pipefail";
    let start = || succeed(Command::new("bash").args(words.split(' ')).arg(script.path()));
    let bash = time_of(|| (0..STEPS_TIMED).for_each(|_| start()));
    let steps = job(STEPS_TIMED + 1).saturating_sub(job(1));
    for (name, time) in [("step_ms", steps), ("bash_ms", bash)] {
        println!("{name} {:.3}", time.as_secs_f64() * 1e3 / STEPS_TIMED as f64);
    }
    ExitCode::SUCCESS
}

fn script() -> tempfile::NamedTempFile {
    let mut script = tempfile::NamedTempFile::new().unwrap();
    script.write_all(b"true\n").unwrap();
    script
}

fn succeed(command: &mut Command) {
    assert!(command.stdin(Stdio::null()).status().unwrap().success());
}

fn time_of(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
