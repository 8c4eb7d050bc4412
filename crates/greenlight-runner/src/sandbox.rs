//! One job's sandbox, seen from outside: it is started, told what to run, and ended with everything in it.
//!
//! The namespaces are made by `bwrap`, or `unshare` where that is all there is; their first process is this program again
//! ([`init`]), which starts the steps. So all steps of a job share their namespaces, a step costs no more than a process, and when the
//! first process dies the kernel kills the rest. If the runner dies, the socket closes and the first process ends; if that fails, it is
//! killed with its parent.

mod identity;
pub mod init;
pub(crate) mod layer;
mod message;
pub(crate) mod wall;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use crate::isolation::{JobGroup, User};
use crate::process::{Exit, Program};
use crate::spawner::{self, Priority};
use layer::Layer;
use message::{Fields, Frame, Kind};

/// The argument that makes this program the first process of a sandbox.
pub(crate) const INIT: &str = "job-sandbox";

/// How long a sandbox may take until it stands.
const START_TIME_MAX: Duration = Duration::from_secs(20);

/// How long a sandbox may take to end by itself when the runner lets go of it.
const LET_GO_TIME_MAX: Duration = Duration::from_secs(1);

/// How long what was killed may take until it is gone.
const END_TIME_MAX: Duration = Duration::from_secs(5);

/// How much of what a sandbox complains about is read.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// How many messages may wait to be sent.
const WAITING_MAX: usize = 256;

/// What is to be started, and what it may touch.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The program that makes the namespaces, and what it is told; the first process itself where there is none.
    pub(crate) command: Vec<std::ffi::OsString>,
    /// At which priority all of it runs.
    pub(crate) priority: Priority,
    /// What the first process lays over the machine's files.
    pub(crate) layers: Vec<Layer>,
    /// The job's user, where it has one of its own.
    pub(crate) user: Option<User>,
    /// What that user is called in a user namespace of its own, where it has one.
    pub(crate) inner_id: Option<u32>,
    /// Does the kernel end everything in it with its first process?
    pub(crate) has_pid_namespace: bool,
    /// What may be written.
    pub(crate) writable: Vec<PathBuf>,
    /// What may be read; everything that is seen, where empty.
    pub(crate) readable: Vec<PathBuf>,
    /// The job's control group.
    pub(crate) group: Option<Arc<JobGroup>>,
}

type Running = Arc<Mutex<HashMap<u32, Awaited>>>;

/// Who waits for a program.
struct Awaited {
    started: Option<oneshot::Sender<std::io::Result<()>>>,
    exited: Option<oneshot::Sender<Exit>>,
}

enum Outgoing {
    Frame(Frame, Option<OwnedFd>),
    Freeze(oneshot::Sender<()>),
}

/// A sandbox that stands.
pub(crate) struct Sandbox {
    socket: Arc<UnixStream>,
    outgoing: mpsc::Sender<Outgoing>,
    running: Running,
    frozen: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
    child: tokio::sync::Mutex<Child>,
    next: AtomicU32,
    /// What Landlock gave.
    pub(crate) wall: String,
    user: Option<User>,
    group: Option<Arc<JobGroup>>,
    has_pid_namespace: bool,
    has_ended: AtomicBool,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Sandbox").field("wall", &self.wall).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Starts a sandbox and waits until it stands.
    pub(crate) async fn start(plan: Plan) -> std::io::Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let socket = UnixStream::from_std(ours)?;
        let mut child = spawner::spawn(command(&plan, theirs), plan.priority).await?;
        let mut complaints = child.stderr.take();
        let layers: Vec<Vec<u8>> = plan.layers.iter().flat_map(Layer::fields).collect();
        let rules = Frame::new(Kind::Rules)
            .list(layers.iter())
            .number(plan.user.map_or(0, User::id))
            .number(plan.inner_id.unwrap_or(0))
            .list(plan.writable.iter().map(|path| bytes(path)))
            .list(plan.readable.iter().map(|path| bytes(path)));
        let socket = Arc::new(socket);
        let greeting = async {
            send(&socket, rules, None).await?;
            let mut first = next(&socket).await?;
            if first.kind != Kind::Ready { Err(std::io::ErrorKind::InvalidData.into()) } else { first.text() }
        };
        let wall = match tokio::time::timeout(START_TIME_MAX, greeting).await {
            Ok(Ok(wall)) => wall,
            answer => {
                let _ = child.start_kill();
                return Err(complaint(complaints.take(), answer.map(|_| ()).is_err()).await);
            }
        };
        if let (Some(group), Some(pid)) = (plan.group.clone(), child.id()) {
            // The kernel takes milliseconds for each process that it moves; no step waits for that.
            let is_outside = plan.has_pid_namespace;
            tokio::task::spawn_blocking(
                move || if is_outside { group.take_in_children(pid) } else { group.take_in(pid) },
            );
        }
        let running = Running::default();
        let frozen = Arc::new(Mutex::default());
        let (outgoing, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(write(socket.clone(), waiting, Arc::clone(&frozen)));
        tokio::spawn(read(socket.clone(), running.clone(), Arc::clone(&frozen)));
        Ok(Self {
            socket,
            outgoing,
            running,
            frozen,
            child: tokio::sync::Mutex::new(child),
            next: 0.into(),
            wall,
            user: plan.user,
            group: plan.group,
            has_pid_namespace: plan.has_pid_namespace,
            has_ended: AtomicBool::new(false),
        })
    }

    /// Starts a program in it, its output going into `writer`.
    pub(crate) async fn spawn(
        self: &Arc<Self>,
        program: &Program,
        writer: std::io::PipeWriter,
    ) -> std::io::Result<Inside> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (started, has_started) = oneshot::channel();
        let (exited, has_exited) = oneshot::channel();
        lock(&self.running).insert(number, Awaited { started: Some(started), exited: Some(exited) });
        let env = flat(&program.env);
        let frame = Frame::new(Kind::Spawn)
            .number(number)
            .bytes(bytes(&program.path))
            .bytes(bytes(&program.folder))
            .list(program.arguments.iter().map(|argument| argument.as_bytes()))
            .list(env.iter().map(|text| text.as_bytes()));
        let inside = Inside { sandbox: self.clone(), number, exited: has_exited, is_let_go: false };
        let message = Outgoing::Frame(frame, Some(OwnedFd::from(writer)));
        self.outgoing.send(message).await.map_err(|_| gone())?;
        has_started.await.map_err(|_| gone())??;
        Ok(inside)
    }

    /// Stops everything in it until [`Sandbox::thaw`]: so that nothing moves under the runner's hands while it writes there.
    pub(crate) async fn freeze(&self) {
        let (sender, frozen) = oneshot::channel();
        if self.outgoing.send(Outgoing::Freeze(sender)).await.is_ok() {
            // A sandbox that is gone stands still.
            let _ = frozen.await;
        }
    }

    /// Lets everything go on.
    pub(crate) async fn thaw(&self) {
        self.tell(Frame::new(Kind::Thaw)).await;
    }

    /// Gives what the runner made in the job's folders to the job's user.
    pub(crate) fn give(&self, path: &Path) -> std::io::Result<()> {
        self.user.map_or(Ok(()), |user| user.give(path))
    }

    /// Ends everything in it, and waits for that. Returns whether it is sure that nothing is left.
    pub(crate) async fn end(&self) -> bool {
        if let Some(group) = &self.group {
            group.kill();
        }
        // Its first process ends by this, with it everything in its namespace, and then who waits for it out here.
        let _ = rustix::net::shutdown(&*self.socket, rustix::net::Shutdown::Both);
        let mut child = self.child.lock().await;
        let has_ended = tokio::time::timeout(LET_GO_TIME_MAX, child.wait()).await.is_ok();
        if !has_ended {
            self.kill(&mut child).await;
        }
        self.has_ended.store(true, Ordering::Relaxed);
        if let Some(group) = self.group.clone() {
            // A group is empty when the last of its dead was buried, which some machines' first process takes a second for.
            tokio::spawn(async move { group.remove().await });
        }
        has_ended && self.has_pid_namespace
    }

    /// Ends what did not end by itself: the job may have stopped its first process.
    async fn kill(&self, child: &mut Child) {
        // The kernel kills the first process with the one out here.
        let _ = child.start_kill();
        if tokio::time::timeout(END_TIME_MAX, child.wait()).await.is_err() {
            tracing::error!("a job's sandbox does not end though it was killed");
        }
        if let Some(user) = self.user {
            user.kill_all();
        }
    }

    /// Is its first process alive?
    pub(crate) async fn stands(&self) -> bool {
        matches!(self.child.lock().await.try_wait(), Ok(None))
    }

    async fn tell(&self, frame: Frame) {
        // A sandbox that is gone needs no word.
        let _ = self.outgoing.send(Outgoing::Frame(frame, None)).await;
    }

    fn tell_now(&self, frame: Frame) {
        // One that takes no messages any more is about to be killed.
        let _ = self.outgoing.try_send(Outgoing::Frame(frame, None));
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(group) = self.group.as_ref().filter(|_| !self.has_ended.load(Ordering::Relaxed)) {
            group.kill();
        }
        lock(&self.frozen).clear();
    }
}

/// A program within a sandbox.
#[derive(Debug)]
pub(crate) struct Inside {
    sandbox: Arc<Sandbox>,
    number: u32,
    exited: oneshot::Receiver<Exit>,
    is_let_go: bool,
}

impl Inside {
    /// Returns how it ended, when it did. To be asked once.
    pub(crate) async fn wait(&mut self) -> std::io::Result<Exit> {
        (&mut self.exited).await.map_err(|_| gone())
    }

    /// Sends a signal to its group.
    pub(crate) fn signal(&self, signal: Signal) {
        let frame = Frame::new(Kind::Signal).number(self.number).number(signal.as_raw().cast_unsigned());
        self.sandbox.tell_now(frame);
    }

    /// Kills it with all that it started.
    pub(crate) fn kill(&self) {
        self.sandbox.tell_now(Frame::new(Kind::Kill).number(self.number));
    }

    /// Leaves what it started alone.
    pub(crate) fn let_go(mut self) {
        self.is_let_go = true;
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if !self.is_let_go {
            self.kill();
        }
        lock(&self.sandbox.running).remove(&self.number);
        self.sandbox.tell_now(Frame::new(Kind::Forget).number(self.number));
    }
}

fn command(plan: &Plan, socket: std::os::unix::net::UnixStream) -> Command {
    let mut words = plan.command.iter();
    let program = words.next().cloned().unwrap_or_default();
    let mut command = Command::new(program);
    command.args(words).env_clear().env("PATH", crate::variables::PATH).current_dir("/").kill_on_drop(true);
    command.stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
    command
}

/// Returns what a sandbox that does not stand said about it.
async fn complaint(stderr: Option<tokio::process::ChildStderr>, is_late: bool) -> std::io::Error {
    let mut text = String::new();
    if let Some(stderr) = stderr {
        // Without its words there is still the fact.
        let mut stderr = stderr.take(COMPLAINT_BYTES_MAX);
        let _ = tokio::time::timeout(END_TIME_MAX, stderr.read_to_string(&mut text)).await;
    }
    let what = if is_late { "it does not start" } else { "it ended at once" };
    let text = text.lines().next().map_or_else(|| what.to_owned(), |line| format!("{what}: {line}"));
    std::io::Error::other(text)
}

fn flat(env: &BTreeMap<String, String>) -> Vec<&str> {
    env.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]).collect()
}

fn bytes(path: &Path) -> &[u8] {
    OsStr::as_bytes(path.as_os_str())
}

fn gone() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the job's sandbox is gone")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn write(
    socket: Arc<UnixStream>,
    mut waiting: mpsc::Receiver<Outgoing>,
    frozen: Arc<Mutex<Vec<oneshot::Sender<()>>>>,
) {
    while let Some(message) = waiting.recv().await {
        let sent = match message {
            Outgoing::Frame(frame, fd) => send(&socket, frame, fd).await,
            Outgoing::Freeze(sender) => {
                lock(&frozen).push(sender);
                send(&socket, Frame::new(Kind::Freeze), None).await
            }
        };
        if let Err(error) = sent
            && error.kind() != std::io::ErrorKind::ArgumentListTooLong
        {
            // The reader sees the end of it; who waits for a standstill has it.
            lock(&frozen).clear();
            return;
        }
    }
}

async fn read(socket: Arc<UnixStream>, running: Running, frozen: Arc<Mutex<Vec<oneshot::Sender<()>>>>) {
    while let Ok(mut fields) = next(&socket).await {
        if take_in(&mut fields, &running, &frozen).is_err() {
            break;
        }
    }
    // Whoever waits hears that it is gone.
    lock(&running).clear();
    lock(&frozen).clear();
}

fn take_in(fields: &mut Fields, running: &Running, frozen: &Mutex<Vec<oneshot::Sender<()>>>) -> std::io::Result<()> {
    if fields.kind == Kind::Frozen {
        for waiter in std::mem::take(&mut *lock(frozen)) {
            let _ = waiter.send(());
        }
        return Ok(());
    }
    let number = fields.number()?;
    let mut running = lock(running);
    let Some(awaited) = running.get_mut(&number) else { return Ok(()) };
    match fields.kind {
        Kind::Started => {
            awaited.started.take().map(|started| started.send(Ok(())));
        }
        Kind::Failed => {
            let error = std::io::Error::from_raw_os_error(fields.number()?.cast_signed());
            awaited.started.take().map(|started| started.send(Err(error)));
        }
        Kind::Exited => {
            let (is_signal, code) = (fields.number()? == 1, fields.number()?.cast_signed());
            let exit = if is_signal { Exit::Signal(code) } else { Exit::Code(code) };
            // A program may end before its start was told.
            awaited.started.take().map(|started| started.send(Ok(())));
            awaited.exited.take().map(|exited| exited.send(exit));
        }
        _ => {}
    }
    Ok(())
}

async fn send(socket: &UnixStream, frame: Frame, fd: Option<OwnedFd>) -> std::io::Result<()> {
    let bytes = frame.finish()?;
    let mut sent = 0;
    while sent < bytes.len() {
        let fd = fd.as_ref().filter(|_| sent == 0);
        // The length alone goes first: a pipe's end belongs to it.
        let part = if sent == 0 { &bytes[..4] } else { &bytes[sent..] };
        sent += socket.async_io(Interest::WRITABLE, || message::send(socket.as_fd(), part, fd)).await?;
    }
    Ok(())
}

async fn next(socket: &UnixStream) -> std::io::Result<Fields> {
    let mut head = [0; 4];
    read_exact(socket, &mut head).await?;
    let mut bytes = vec![0; message::length_of(head)?];
    read_exact(socket, &mut bytes).await?;
    Fields::parse(bytes)
}

async fn read_exact(socket: &UnixStream, room: &mut [u8]) -> std::io::Result<()> {
    let mut filled = 0;
    while filled < room.len() {
        socket.readable().await?;
        match socket.try_read(&mut room[filled..]) {
            Ok(0) => return Err(gone()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
