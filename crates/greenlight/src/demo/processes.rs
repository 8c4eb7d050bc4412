//! The processes of the demo: started, watched, ended with it.
//!
//! Each has a process group of its own, so that Ctrl-C reaches the demo alone, which ends them in order; and each holds the
//! other end of a pipe to the demo as its standard input, so that it ends when the demo is gone however that came about.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal};
use std::os::unix::process::ExitStatusExt as _;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a process may take to end when it is asked to.
const END_WITHIN: Duration = Duration::from_secs(10);
/// How often a killed process is started again.
const RESTARTS_MAX: u32 = 100;
/// How many lines of a log are told when its process failed.
const LAST_WORDS_MAX: usize = 8;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is called ("greenlight serve").
    pub name: &'static str,
    /// The program, with those that it is started through in front.
    pub command: Vec<String>,
    /// Where it runs.
    pub dir: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// Where its process id is written.
    pub pid_file: PathBuf,
    /// What happens when it is killed.
    pub killed: Killed,
}

/// What happens when a process is killed by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Killed {
    /// That is the end.
    End,
    /// It is started again, with the same settings and data.
    Restart,
}

/// How a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It runs, and was started again so often.
    Up { restarts: u32 },
    /// It ended although nobody asked it to.
    Down { why: String },
}

/// A process that is watched.
pub struct Process {
    state: watch::Receiver<State>,
    stop: CancellationToken,
    keeper: JoinHandle<()>,
}

impl Process {
    /// Starts it.
    pub fn start(plan: Plan) -> anyhow::Result<Self> {
        let child = spawn(&plan)?;
        let (sender, state) = watch::channel(State::Up { restarts: 0 });
        let stop = CancellationToken::new();
        let keeper = tokio::spawn(keep(plan, child, stop.clone(), sender));
        Ok(Self { state, stop, keeper })
    }

    /// Returns how it stands.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Returns how often it was started again.
    pub fn restarts(&self) -> u32 {
        match self.state() {
            State::Up { restarts } => restarts,
            State::Down { .. } => 0,
        }
    }

    /// Ends it and waits until it is gone.
    pub async fn end(self) {
        self.stop.cancel();
        // The keeper has nothing to tell; it ends as the process does.
        let _ended = self.keeper.await;
    }
}

async fn keep(plan: Plan, mut child: Child, stop: CancellationToken, state: watch::Sender<State>) {
    let mut restarts = 0;
    loop {
        // Waiting closes the standard input, which is what tells the process that we are gone.
        let leash = child.stdin.take();
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = stop.cancelled() => {
                end(&mut child).await;
                return;
            }
        };
        drop(leash);
        let is_killed = matches!(&ended, Ok(status) if status.signal().is_some());
        let again = plan.killed == Killed::Restart && is_killed && restarts < RESTARTS_MAX;
        let started = if again { spawn(&plan).map_err(|error| format!("{error:#}")) } else { Err(told(&plan, ended)) };
        match started {
            Ok(started) => {
                child = started;
                restarts += 1;
                state.send_replace(State::Up { restarts });
            }
            Err(why) => {
                state.send_replace(State::Down { why });
                return;
            }
        }
    }
}

fn spawn(plan: &Plan) -> anyhow::Result<Child> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(&plan.log)
        .with_context(|| format!("could not open {}", plan.log.display()))?;
    let other = log.try_clone().context("could not share a log between two streams")?;
    let (program, arguments) = plan.command.split_first().context("there is nothing to start")?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir(&plan.dir).process_group(0).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(log).stderr(other);
    for (name, _) in std::env::vars_os() {
        // Settings of another server, or of a git around us, are not the demo's.
        if name.to_str().is_some_and(|name| name.starts_with("GREENLIGHT_") || name.starts_with("GIT_")) {
            command.env_remove(name);
        }
    }
    let child = command.spawn().with_context(|| format!("could not start {}", plan.name))?;
    let id = child.id().map(|id| id.to_string()).unwrap_or_default();
    std::fs::write(&plan.pid_file, format!("{id}\n"))
        .with_context(|| format!("could not write {}", plan.pid_file.display()))?;
    Ok(child)
}

/// Asks a process and all in its group to end, and insists where it does not.
async fn end(child: &mut Child) {
    let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    let Some(group) = group else { return };
    // Both fail only where it is gone already, which is what is wanted.
    let _gone = rustix::process::kill_process_group(group, Signal::TERM);
    if tokio::time::timeout(END_WITHIN, child.wait()).await.is_err() {
        let _gone = rustix::process::kill_process_group(group, Signal::KILL);
        let _reaped = child.wait().await;
    }
}

fn told(plan: &Plan, ended: std::io::Result<ExitStatus>) -> String {
    let how = match ended {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    let words = last_words(&plan.log);
    let words = if words.is_empty() { String::new() } else { format!("; its last words:\n{words}") };
    format!("{} ended by itself ({how}){words}", plan.name)
}

fn last_words(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LAST_WORDS_MAX);
    lines[first..].iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(dir: &Path, script: &str, killed: Killed) -> Plan {
        Plan {
            name: "bash",
            command: vec!["bash".into(), "-c".into(), script.into()],
            dir: dir.to_owned(),
            log: dir.join("log"),
            pid_file: dir.join("pid"),
            killed,
        }
    }

    async fn wait_for(process: &Process, wanted: impl Fn(&State) -> bool) -> State {
        let mut state = process.state.clone();
        let found = tokio::time::timeout(Duration::from_secs(20), state.wait_for(|state| wanted(state))).await;
        found.expect("it came in time").expect("the keeper tells before it ends").clone()
    }

    fn kill(dir: &Path) {
        let id: i32 = std::fs::read_to_string(dir.join("pid")).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn a_process_that_ends_by_itself_leaves_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let process = Process::start(plan(dir.path(), "echo no such port; exit 3", Killed::Restart)).unwrap();
        let state = wait_for(&process, |state| matches!(state, State::Down { .. })).await;
        let State::Down { why } = state else { panic!("{state:?}") };
        assert!(why.contains("exit status: 3") && why.contains("no such port"), "{why}");
    }

    #[tokio::test]
    async fn a_killed_process_is_started_again_where_that_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let process = Process::start(plan(dir.path(), "read -r line", Killed::Restart)).unwrap();
        kill(dir.path());
        wait_for(&process, |state| *state == State::Up { restarts: 1 }).await;
        process.end().await;

        let process = Process::start(plan(dir.path(), "read -r line", Killed::End)).unwrap();
        kill(dir.path());
        wait_for(&process, |state| matches!(state, State::Down { .. })).await;
    }
}
