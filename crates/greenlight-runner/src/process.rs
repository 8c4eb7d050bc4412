//! One process of a step, with its group: started, watched, and ended in good order.
//!
//! Being stopped means SIGINT to the whole group, then SIGTERM, then SIGKILL, with time in between. What a step leaves running when
//! it ends by itself goes on (a server that later steps talk to); what is there when it was stopped is killed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::container::{Contained, Fresh, Home};
use crate::leftovers;
use crate::output::{Output, pump};
use crate::sandbox::{Inside, Sandbox};
use crate::spawner::{self, Priority};
use crate::stop::{Stop, worse_than};

/// How long a process is waited for between one signal and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// After SIGINT.
    pub interrupted: Duration,
    /// After SIGTERM.
    pub terminated: Duration,
    /// How long a cancelled job may take for everything that it still does.
    pub cancelled: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            interrupted: Duration::from_millis(7500),
            terminated: Duration::from_millis(2500),
            cancelled: Duration::from_secs(300),
        }
    }
}

/// What is to be started.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) folder: PathBuf,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By a signal that was not ours.
    Signal(i32),
    /// It took too long.
    TimedOut,
    /// It was told to stop.
    Stopped,
}

/// When a process is to be ended before it ends by itself.
pub(crate) struct Limits<'a> {
    pub(crate) timeout: Option<Duration>,
    pub(crate) stop: watch::Receiver<Stop>,
    /// What it was told before it began.
    pub(crate) known: Stop,
    /// Does it go on although the job was cancelled?
    pub(crate) goes_on: &'a (dyn Fn() -> bool + Sync),
    pub(crate) patience: Patience,
}

/// What is left of a process that ended.
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) output: Output,
    /// The pipe, where processes in the background still hold it.
    pub(crate) pipe: Option<pipe::Receiver>,
}

/// Where a step's program runs.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// On the machine, with nothing around it, at this priority.
    Bare(Priority),
    /// In the job's sandbox.
    Sandbox(Arc<Sandbox>),
    /// In the job's container.
    Container(Arc<Home>),
    /// In a container of its own.
    Fresh(Arc<Fresh>),
}

impl Place {
    /// Stops what runs there, so that nothing moves under the runner's hands while it writes into the job's folders.
    pub(crate) async fn freeze(&self) {
        match self {
            Self::Sandbox(sandbox) => sandbox.freeze().await,
            Self::Container(home) => home.pause().await,
            Self::Bare(_) | Self::Fresh(_) => {}
        }
    }

    /// Lets what runs there go on, with what the runner put into this folder.
    pub(crate) async fn thaw(&self, made: &Path) -> std::io::Result<()> {
        match self {
            Self::Sandbox(sandbox) => {
                let given = sandbox.give(made);
                sandbox.thaw().await;
                given
            }
            Self::Container(home) => {
                home.unpause().await;
                Ok(())
            }
            Self::Bare(_) | Self::Fresh(_) => Ok(()),
        }
    }
}

/// Runs a program to its end.
pub(crate) async fn run(place: &Place, program: Program, output: Output, limits: Limits<'_>) -> std::io::Result<Ran> {
    let (reader, writer) = std::io::pipe()?;
    let receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    let mut process = match place {
        Place::Bare(priority) => {
            let child = spawn(program, writer, *priority).await?;
            let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
            Process::Own(child, group)
        }
        Place::Sandbox(sandbox) => Process::Inside(sandbox.spawn(&program, writer).await?),
        Place::Container(home) => Process::Contained(home.spawn(&program, writer).await?),
        Place::Fresh(fresh) => Process::Contained(fresh.spawn(&program, writer).await?),
    };
    let (ended, pump_ended) = oneshot::channel();
    let pump = tokio::spawn(pump(receiver, output, pump_ended));
    let exit = watch_over(&mut process, limits).await;
    // The pump may be gone already, where all writers are.
    let _ = ended.send(());
    let (output, pipe) = pump.await.map_err(std::io::Error::other)?;
    process.let_go();
    Ok(Ran { exit: exit?, output, pipe })
}

/// A program that runs, wherever it does.
enum Process {
    Own(Child, Group),
    Inside(Inside),
    Contained(Contained),
}

impl Process {
    async fn wait(&mut self) -> std::io::Result<Exit> {
        match self {
            Self::Own(child, _) => child.wait().await.map(exit_of),
            Self::Inside(inside) => inside.wait().await,
            Self::Contained(contained) => contained.wait().await,
        }
    }

    /// Sends a signal to its group.
    fn signal(&self, signal: Signal) {
        match self {
            Self::Own(_, group) => group.signal(signal),
            Self::Inside(inside) => inside.signal(signal),
            Self::Contained(contained) => contained.signal(signal),
        }
    }

    /// Kills it with all that it started.
    fn kill(&self) {
        match self {
            Self::Own(_, group) => group.kill(),
            Self::Inside(inside) => inside.kill(),
            Self::Contained(contained) => contained.kill(),
        }
    }

    /// Leaves what it started alone.
    fn let_go(self) {
        match self {
            Self::Own(_, group) => group.let_go(),
            Self::Inside(inside) => inside.let_go(),
            Self::Contained(contained) => contained.let_go(),
        }
    }
}

async fn spawn(program: Program, writer: std::io::PipeWriter, priority: Priority) -> std::io::Result<Child> {
    let mut command = Command::new(&program.path);
    command.args(&program.arguments).env_clear().envs(&program.env).current_dir(&program.folder);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0).kill_on_drop(true);
    spawner::spawn(command, priority).await
}

/// A process group that is killed when nobody watches over it any more.
struct Group(Option<Pid>);

impl Group {
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // Being gone already is what a signal wants.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Kills the group, and what its processes started in groups of their own.
    fn kill(&self) {
        if let Some(leader) = self.0 {
            leftovers::kill_tree(leader);
        }
        self.signal(Signal::KILL);
    }

    fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

async fn watch_over(process: &mut Process, mut limits: Limits<'_>) -> std::io::Result<Exit> {
    let timeout = limits.timeout.map(|timeout| Instant::now() + timeout);
    let mut ending: Option<(Exit, Ending)> = None;
    loop {
        let next_signal = ending.as_ref().and_then(|(_, ending)| ending.next_at);
        tokio::select! {
            exit = process.wait() => {
                let Some((told, _)) = ending else { return exit };
                process.signal(Signal::KILL);
                return Ok(told);
            }
            stop = worse_than(&mut limits.stop, &limits.known) => {
                let is_lost = matches!(stop, Stop::Lost(_));
                limits.known = stop;
                if is_lost {
                    process.kill();
                    ending = Some((Exit::Stopped, Ending { next_at: None, signal: Signal::KILL }));
                } else if ending.is_none() && !(limits.goes_on)() {
                    ending = Some((Exit::Stopped, Ending::begin(process, limits.patience)));
                }
            }
            () = at(timeout), if ending.is_none() => {
                ending = Some((Exit::TimedOut, Ending::begin(process, limits.patience)));
            }
            () = at(next_signal), if next_signal.is_some() => {
                if let Some((_, ending)) = &mut ending {
                    ending.go_on(process, limits.patience);
                }
            }
        }
    }
}

/// How far a process was told to end.
struct Ending {
    signal: Signal,
    next_at: Option<Instant>,
}

impl Ending {
    fn begin(process: &Process, patience: Patience) -> Self {
        process.signal(Signal::INT);
        Self { signal: Signal::INT, next_at: Some(Instant::now() + patience.interrupted) }
    }

    fn go_on(&mut self, process: &Process, patience: Patience) {
        if self.signal == Signal::INT {
            process.signal(Signal::TERM);
            *self = Self { signal: Signal::TERM, next_at: Some(Instant::now() + patience.terminated) };
        } else {
            process.kill();
            *self = Self { signal: Signal::KILL, next_at: None };
        }
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}
