//! The thread that starts jobs' processes.
//!
//! A job that takes all cores must not slow down the server's answers, so jobs run at the lowest priority. A process has the
//! priority of the thread that started it; setting it afterwards would miss what the process started meanwhile, most of all on a busy
//! machine, and a program that sets it would cost a start of its own. So there is one thread of that priority, and it starts them.
//! Where nobody waits for answers (`exec`) another thread does, at the program's own.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Once, OnceLock};

use rustix::process::setpriority_process;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The lowest priority there is.
const NICENESS: i32 = 19;

/// At which priority jobs run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// The lowest there is: beside them others wait for answers.
    #[default]
    Lowest,
    /// This program's own: it answers nobody meanwhile.
    Own,
}

struct Start {
    command: Command,
    runtime: Handle,
    started: oneshot::Sender<std::io::Result<Child>>,
}

/// Starts a process at this priority.
pub(crate) async fn spawn(command: Command, priority: Priority) -> std::io::Result<Child> {
    static HEEDED: Once = Once::new();
    HEEDED.call_once(heed_signals);
    static LOWEST: OnceLock<Option<Sender<Start>>> = OnceLock::new();
    static OWN: OnceLock<Option<Sender<Start>>> = OnceLock::new();
    let gone = || std::io::Error::other("the thread that starts processes is gone");
    let spawner = match priority {
        Priority::Lowest => &LOWEST,
        Priority::Own => &OWN,
    };
    let spawner = spawner.get_or_init(|| start_thread(priority)).as_ref().ok_or_else(gone)?;
    let (started, child) = oneshot::channel();
    spawner.send(Start { command, runtime: Handle::current(), started }).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}

/// Sees to it that steps can be interrupted. Whoever is started in the background by a script ignores the signals of a terminal, and
/// so would all that it starts; one that has a handler is at its default again in what is started. The handler does nothing.
fn heed_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for kind in [SignalKind::interrupt(), SignalKind::quit()] {
        if is_ignored(&status, kind.as_raw_value()) && signal(kind).is_err() {
            tracing::debug!("steps cannot be told to stop by signal {}", kind.as_raw_value());
        }
    }
}

fn is_ignored(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

fn start_thread(priority: Priority) -> Option<Sender<Start>> {
    let (sender, starts) = channel::<Start>();
    let work = move || {
        if priority == Priority::Lowest {
            // On Linux this is the priority of the thread. A machine that does not allow it runs jobs as it runs us.
            let _ = setpriority_process(None, NICENESS);
        }
        for mut start in starts {
            let _runtime = start.runtime.enter();
            // Who asked may be gone: then the process is killed with its handle.
            let _ = start.started.send(start.command.spawn());
        }
    };
    std::thread::Builder::new().name("job-spawner".into()).spawn(work).ok().map(|_| sender)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_has_the_priority_that_was_asked_for() {
        let niceness = async |priority| {
            let mut command = Command::new("nice");
            command.stdout(std::process::Stdio::piped());
            let output = spawn(command, priority).await.unwrap().wait_with_output().await.unwrap();
            String::from_utf8(output.stdout).unwrap().trim().parse::<i32>().unwrap()
        };
        assert_eq!(niceness(Priority::Lowest).await, NICENESS);
        assert_eq!(niceness(Priority::Own).await, rustix::process::getpriority_process(None).unwrap());
        assert_eq!(niceness(Priority::Lowest).await, NICENESS, "one does not change the other");
    }

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001006\nSigCgt:\t0\n";
        assert_eq!([1, 2, 3, 13].map(|signal| is_ignored(status, signal)), [false, true, true, true]);
        assert!(!is_ignored("", 2));
    }
}
