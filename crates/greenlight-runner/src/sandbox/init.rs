//! Inside the sandbox: the first process of a job. It lays the job's view over the machine's files, becomes the job's user, puts up the
//! last wall, starts what the runner asks for, tells how it ended, and takes everything with it when the runner is gone.
//!
//! It is this same program, started again within new namespaces, with the runner's socket as its standard input. It believes the
//! runner and nobody else: the job's processes do not have the socket.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::process::{
    DumpableBehavior, Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getpid, getrlimit,
    kill_process_group, set_dumpable_behavior, setrlimit, wait, waitid,
};

use super::layer::{self, Layer};
use super::message::{Fields, Frame, Kind, receive, send};
use super::{identity, wall};
use crate::leftovers;

/// How many processes and threads a job may have at once, where it has a user namespace of its own to count them in.
pub const PROCESSES_MAX: u64 = 8192;

/// What ended so that the runner knows it from a number of the job's.
const SIGNALLED: u32 = 1;
const CODE: u32 = 0;

/// What is known of the programs that were started.
#[derive(Default)]
struct Known {
    /// The runner's number, by process.
    running: HashMap<i32, u32>,
    /// The group, by the runner's number.
    groups: HashMap<u32, Pid>,
}

struct Init {
    socket: UnixStream,
    known: Mutex<Known>,
    has_children: Condvar,
    /// Only one thread writes at a time.
    writing: Mutex<()>,
}

/// Was [`run_if_asked`] called, so that this program can be started as the first process of a sandbox?
static CAN_BE_ASKED: OnceLock<()> = OnceLock::new();

/// Returns this program, where it can be the first process of a sandbox.
pub(crate) fn this_program() -> Option<PathBuf> {
    CAN_BE_ASKED.get()?;
    std::env::current_exe().ok()
}

/// Is this process to be the first one of a sandbox? Then it never returns to what it was started as. To be called by `main`, before
/// anything else.
pub fn run_if_asked() -> Option<ExitCode> {
    // It says the same each time.
    let _ = CAN_BE_ASKED.set(());
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == *super::INIT && arguments.next().is_none()).then(|| match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the sandbox ends: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve() -> std::io::Result<()> {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let Some((mut rules, _)) = receive(&socket)? else { return Ok(()) };
    let layers = layers(rules.list()?)?;
    let (user, inner_id) = (rules.number()?, rules.number()?);
    let writable = rules.list()?;
    let readable = rules.list()?;
    layer::lay(&layers)?;
    if user != 0 {
        identity::assume(user, (inner_id != 0).then_some(inner_id))?;
    }
    limit();
    // No process of the job may look into this one, stop it, or speak with the runner in its place.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let wall = wall::raise(&paths(writable), &paths(readable));
    let init =
        Arc::new(Init { socket, known: Mutex::default(), has_children: Condvar::new(), writing: Mutex::default() });
    let reaper = init.clone();
    std::thread::Builder::new().name("reaper".into()).spawn(move || reaper.reap())?;
    init.tell(Frame::new(Kind::Ready).bytes(wall.as_bytes()))?;
    while let Some((fields, fd)) = receive(&init.socket)? {
        init.obey(fields, fd)?;
    }
    Ok(())
}

fn layers(fields: Vec<Vec<u8>>) -> std::io::Result<Vec<Layer>> {
    let broken = || std::io::Error::from(std::io::ErrorKind::InvalidData);
    let (layers, rest) = fields.as_chunks::<{ layer::FIELDS }>();
    let layers = layers.iter().map(|fields| Layer::read(fields.clone())).collect::<Option<Vec<_>>>();
    layers.filter(|_| rest.is_empty()).ok_or_else(broken)
}

fn paths(list: Vec<Vec<u8>>) -> Vec<PathBuf> {
    list.into_iter().map(|path| OsString::from_vec(path).into()).collect()
}

/// No core files, and not so many processes that the machine has none left. Where a limit cannot be set the walls stand without it.
fn limit() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let had = getrlimit(Resource::Nproc).maximum;
    let most = Some(had.map_or(PROCESSES_MAX, |had| had.min(PROCESSES_MAX)));
    let _ = setrlimit(Resource::Nproc, Rlimit { current: most, maximum: most });
}

impl Init {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, frame: Frame) -> std::io::Result<()> {
        let bytes = frame.finish()?;
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sent = 0;
        while sent < bytes.len() {
            sent += send(self.socket.as_fd(), &bytes[sent..], None)?;
        }
        Ok(())
    }

    fn obey(&self, mut fields: Fields, fd: Option<OwnedFd>) -> std::io::Result<()> {
        match fields.kind {
            Kind::Spawn => {
                let number = fields.number()?;
                match self.spawn(number, fields, fd) {
                    Ok(()) => self.tell(Frame::new(Kind::Started).number(number)),
                    Err(error) => {
                        let code = error.raw_os_error().unwrap_or(0).cast_unsigned();
                        self.tell(Frame::new(Kind::Failed).number(number).number(code))
                    }
                }
            }
            Kind::Signal => {
                let (number, signal) = (fields.number()?, fields.number()?);
                let group = self.lock().groups.get(&number).copied();
                if let (Some(group), Some(signal)) = (group, Signal::from_named_raw(signal.cast_signed())) {
                    // Being gone already is what a signal wants.
                    let _ = kill_process_group(group, signal);
                }
                Ok(())
            }
            Kind::Kill => {
                let group = self.lock().groups.get(&fields.number()?).copied();
                if let Some(group) = group {
                    leftovers::kill_tree(group);
                    let _ = kill_process_group(group, Signal::KILL);
                }
                Ok(())
            }
            Kind::Forget => {
                let number = fields.number()?;
                self.lock().groups.remove(&number);
                Ok(())
            }
            Kind::Freeze => {
                signal_all(Signal::STOP);
                self.tell(Frame::new(Kind::Frozen))
            }
            Kind::Thaw => {
                signal_all(Signal::CONT);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn spawn(&self, number: u32, mut fields: Fields, fd: Option<OwnedFd>) -> std::io::Result<()> {
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let path = OsString::from_vec(fields.bytes()?.to_vec());
        let folder = OsString::from_vec(fields.bytes()?.to_vec());
        let arguments = fields.list()?;
        let env = fields.list()?;
        let writer = fd.ok_or_else(gone)?;
        let mut command = Command::new(path);
        command.args(arguments.into_iter().map(OsString::from_vec)).env_clear().current_dir(folder);
        for pair in env.chunks_exact(2) {
            command.env(OsString::from_vec(pair[0].clone()), OsString::from_vec(pair[1].clone()));
        }
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer).process_group(0);
        // Nothing is reaped while this is held: a child that could not become the program is waited for by who started it.
        let mut known = self.lock();
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        known.running.insert(pid.as_raw_nonzero().get(), number);
        known.groups.insert(number, pid);
        self.has_children.notify_one();
        Ok(())
    }

    /// Reaps what ended, for as long as this process lives: all that lose their parents become its own.
    fn reap(&self) {
        loop {
            // Waits without reaping, so that nothing is taken from who starts a program just now.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let has_ended = waitid(WaitId::All, options).is_ok();
            let mut known = self.lock();
            if !has_ended && known.running.is_empty() {
                let waited = self.has_children.wait_timeout(known, ORPHANS_EVERY);
                known = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                if let Some(number) = known.running.remove(&pid.as_raw_nonzero().get()) {
                    // A runner that is gone hears nothing, and this process ends by it.
                    let _ = self.tell(ended(number, status));
                }
            }
        }
    }
}

/// How often processes that lost their parents are looked for while no program of the runner's runs.
const ORPHANS_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

fn ended(number: u32, status: WaitStatus) -> Frame {
    let frame = Frame::new(Kind::Exited).number(number);
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => frame.number(CODE).number(code.cast_unsigned()),
        (None, signal) => frame.number(SIGNALLED).number(signal.unwrap_or(0).cast_unsigned()),
    }
}

/// Sends a signal to everything in the sandbox but this process. Where there is no PID namespace there is no "everything".
fn signal_all(signal: Signal) {
    if getpid() == Pid::INIT {
        // The group of process 1, as the kernel reads it, is everybody.
        let _ = kill_process_group(Pid::INIT, signal);
    }
}
