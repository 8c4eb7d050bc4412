//! `--escapes`: every try as a job through the real runner, next to a server that has something to lose.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use greenlight_runner::{Isolation, IsolationWanted};

use crate::bench::{Bench, alive, runtime};
use crate::tries::{Held, TRIES, Try};

/// The variable that a job must not see.
const SECRET: &str = "ISOLATE_SECRET";

/// How long what a job left may live on.
const LEFT_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a job that tries may take.
const TRY_TIME_MAX: Duration = Duration::from_secs(60);

/// Programs without which a try would prove nothing.
const PROGRAMS: &[&str] = &["python3", "strace", "unshare", "nsenter", "prlimit"];

/// What the server keeps: where, and what stands there.
const KEPT: &[(&str, &str)] = &[
    ("greenlight.sqlite", "rows of-the-server"),
    ("greenlight.toml", "settings of-the-server"),
    ("pairs", "LEAK=of-the-server\n"),
    ("victim", "kept of-the-server"),
    ("logs/1.log", "log of-the-server"),
    ("mirrors/demo.git/HEAD", "ref: refs/heads/main\n"),
];

/// Runs those whose names hold one of the words, or all. Started again with a secret among its variables, as a server is.
pub fn run(words: &[String]) -> ExitCode {
    if std::env::var_os(SECRET).is_none() {
        let again = std::env::current_exe()
            .and_then(|program| Command::new(program).args(std::env::args_os().skip(1)).env(SECRET, "x").status());
        return ExitCode::from(u8::from(!again.is_ok_and(|status| status.success())));
    }
    runtime().block_on(async {
        let (words, wanted) = match words.split_first() {
            // Named ones without any walls: the proof that a try sees an escape. Some of them harm the machine.
            Some((first, named)) if first == "--without" && !named.is_empty() => (named, IsolationWanted::None),
            _ => (words, IsolationWanted::Auto),
        };
        let world = World::open(wanted).await;
        println!("{}", world.isolation.told());
        let mut counts = [0; 3];
        for tried in TRIES.iter().filter(|tried| words.is_empty() || words.iter().any(|word| tried.name.contains(word)))
        {
            let verdict = world.judge(tried).await;
            let (place, text) = match &verdict {
                Verdict::Held => (0, "held".to_owned()),
                Verdict::NotHeld(why) => (1, format!("NOT HELD: {why}")),
                Verdict::NotHere(why) => (2, format!("not supported here: {why}")),
            };
            counts[place] += 1;
            println!("{:58} {text}", tried.name);
        }
        let [held, not_held, not_here] = counts;
        println!(
            "{{\"isolate\":{{\"tries\":{},\"held\":{held},\"not_held\":{not_held},\"not_supported\":{not_here}}}}}",
            held + not_held + not_here
        );
        ExitCode::from(u8::from(not_held > 0))
    })
}

enum Verdict {
    Held,
    NotHeld(String),
    NotHere(String),
}

/// A server with files, sockets and processes, and a job that runs beside those that try.
struct World {
    bench: Bench,
    isolation: Arc<Isolation>,
    is_walled: bool,
    victim: Child,
    home: PathBuf,
    run: PathBuf,
    shm: PathBuf,
    name: String,
    port: u16,
    other: PathBuf,
    _sockets: Vec<UnixListener>,
    _pages: std::net::TcpListener,
}

impl World {
    async fn open(wanted: IsolationWanted) -> Self {
        let bench = Bench::new(wanted).await;
        let data = bench.data().to_owned();
        for (name, text) in KEPT {
            let file = data.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        let pid = std::process::id();
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
        std::fs::write(home.join(".isolate-secret"), "of-the-server").unwrap();
        let shm = PathBuf::from(format!("/dev/shm/isolate-{pid}"));
        std::fs::write(&shm, "of-the-server").unwrap();
        let run = ["/run", "/var/tmp"].map(|folder| PathBuf::from(format!("{folder}/isolate-{pid}.sock")));
        let bound = run.iter().find_map(|path| Some((path.clone(), UnixListener::bind(path).ok()?)));
        let (run, in_run) = bound.expect("a socket can be made in one of them");
        let name = format!("isolate-{pid}");
        let hidden = SocketAddr::from_abstract_name(&name).unwrap();
        let sockets = vec![
            in_run,
            UnixListener::bind(data.join("control.sock")).unwrap(),
            UnixListener::bind_addr(&hidden).unwrap(),
        ];
        let pages = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let victim = Command::new("sleep").arg("98761").spawn().unwrap();
        let port = pages.local_addr().unwrap().port();
        let other = bench.neighbour().await;
        let isolation = bench.isolation();
        let is_walled = wanted != IsolationWanted::None;
        Self {
            bench,
            is_walled,
            isolation,
            victim,
            home,
            run,
            shm,
            name,
            port,
            other,
            _sockets: sockets,
            _pages: pages,
        }
    }

    async fn judge(&self, tried: &Try) -> Verdict {
        if self.is_walled
            && tried.held == Held::Walls
            && let Some(lack) = self.isolation.lack()
        {
            return Verdict::NotHere(lack);
        }
        let missing = PROGRAMS.iter().find(|program| tried.steps.contains(*program) && !is_installed(program));
        if let Some(program) = missing {
            return Verdict::NotHere(format!("{program}, which the try uses, is not installed"));
        }
        let mut said = String::new();
        for scripts in [tried.steps, tried.after].into_iter().filter(|scripts| !scripts.is_empty()) {
            let steps = steps_of(&self.fill(scripts));
            let job = self.bench.run_quietly(&steps);
            match tokio::time::timeout(TRY_TIME_MAX, job).await {
                Ok(log) => said += &log,
                Err(_) => return Verdict::NotHeld("the runner waits for ever".into()),
            }
        }
        let came_through = said.lines().any(|line| line == "ESCAPED");
        if came_through && tried.held == Held::Network {
            return Verdict::NotHere("jobs have the machine's network".into());
        }
        if came_through {
            return Verdict::NotHeld("the job came through".into());
        }
        if said.contains("of-the-server") {
            return Verdict::NotHeld("a secret is in the log".into());
        }
        self.damage().await.map_or(Verdict::Held, Verdict::NotHeld)
    }

    /// Says what is not as it was, or alive, where it should not be.
    async fn damage(&self) -> Option<String> {
        for (name, text) in KEPT {
            if std::fs::read_to_string(self.bench.data().join(name)).ok().as_deref() != Some(text) {
                return Some(format!("the server's {name} was changed"));
            }
        }
        if std::fs::read_dir(self.bench.data().join("mirrors")).unwrap().count() != 1 {
            return Some("something was put into the mirrors".into());
        }
        for (mark, what) in [("98761", "a process of the server's"), ("98762", "another job's process")] {
            if !alive(mark) {
                return Some(format!("{what} was killed"));
            }
        }
        let deadline = Instant::now() + LEFT_TIME_MAX;
        loop {
            let left = self.left();
            if left.is_none() || Instant::now() > deadline {
                return left;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn left(&self) -> Option<String> {
        if alive("98763") {
            return Some("a process lives on".into());
        }
        let folders = std::fs::read_dir(self.bench.work()).unwrap().count();
        if folders != 1 {
            return Some(format!("{} folders of jobs are left", folders - 1));
        }
        let left = ["/tmp/isolate-left", "/var/tmp/isolate-left", "/dev/shm/isolate-left", "/usr/bin/isolate-evil"];
        left.into_iter().find(|file| Path::new(file).exists()).map(|file| format!("{file} is left"))
    }

    fn fill(&self, scripts: &str) -> String {
        let shown = |path: &Path| path.display().to_string();
        let next = self.bench.work().join("9999999");
        let names = [
            ("{data}", shown(self.bench.data())),
            ("{work}", shown(&self.bench.work())),
            ("{pid}", std::process::id().to_string()),
            ("{victim}", self.victim.id().to_string()),
            ("{next}", shown(&next)),
            ("{other}", shown(&self.other)),
            ("{home}", shown(&self.home)),
            ("{port}", self.port.to_string()),
            ("{name}", self.name.clone()),
            ("{run}", shown(&self.run)),
            ("{shm}", shown(&self.shm)),
            ("{exe}", shown(&std::env::current_exe().unwrap())),
        ];
        names.iter().fold(scripts.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
        for file in [&self.run, &self.shm, &self.home.join(".isolate-secret")] {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn is_installed(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file())
}

/// Makes steps of scripts between `===`.
fn steps_of(scripts: &str) -> String {
    let mut steps = String::new();
    for script in scripts.split("\n=== ") {
        let step = match script.split_once(' ') {
            Some(("CHECKOUT", path)) => {
                format!("- uses: actions/checkout@v4\n  with: {{path: {path}, clean: false}}\n")
            }
            Some(("ACTION", path)) => format!("- uses: {path}\n"),
            _ => {
                let lines: String = script.lines().map(|line| format!("    {line}\n")).collect();
                format!("- shell: bash {{0}}\n  run: |\n{lines}")
            }
        };
        steps += &(step + "  if: always()\n  continue-on-error: true\n");
    }
    steps
}
