//! The thread that starts jobs' processes.
//!
//! A job that takes all cores must not slow down the server's answers, so jobs run at the lowest priority. A process has the
//! priority of the thread that started it; setting it afterwards would miss what the process started meanwhile, most of all on a busy
//! machine, and a program that sets it would cost a start of its own. So there is one thread of that priority, and it starts them.

use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};

use rustix::process::setpriority_process;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The lowest priority there is.
const NICENESS: i32 = 19;

struct Start {
    command: Command,
    runtime: Handle,
    started: oneshot::Sender<std::io::Result<Child>>,
}

/// Starts a process at a job's priority.
pub(crate) async fn spawn(command: Command) -> std::io::Result<Child> {
    static SPAWNER: OnceLock<Option<Sender<Start>>> = OnceLock::new();
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    let spawner = SPAWNER.get_or_init(start_thread).as_ref().ok_or_else(gone)?;
    let (started, child) = oneshot::channel();
    spawner.send(Start { command, runtime: Handle::current(), started }).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

fn start_thread() -> Option<Sender<Start>> {
    let (sender, starts) = channel::<Start>();
    let work = move || {
        // On Linux this is the priority of the thread. A machine that does not allow it runs jobs as it runs us.
        let _ = setpriority_process(None, NICENESS);
        for mut start in starts {
            let _runtime = start.runtime.enter();
            // Who asked may be gone: then the process is killed with its handle.
            let _ = start.started.send(start.command.spawn());
        }
    };
    std::thread::Builder::new().name("job-spawner".into()).spawn(work).ok().map(|_| sender)
}
