//! A user for each job, where the runner is root and can give one.
//!
//! Such a user owns nothing on the machine but the job's folders: no file of root's or of another job's can be read or written by its
//! rights, and what it leaves anywhere can be told by its number.

use std::os::unix::fs::lchown;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The first of the numbers, above those that machines give to people, services and containers.
const FIRST: u32 = 1_914_600_000;

/// How many each process has. A job's number comes round after so many; no runner has as many jobs at once.
const COUNT: u32 = 256;

/// How many processes have numbers of their own: two on one machine must not take each other's jobs for what theirs left behind.
const PROCESSES: u32 = 900_000;

/// A user of a job's own; the group has the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct User(u32);

impl User {
    /// Returns the user of the job of this number, where we may give it one.
    pub(crate) fn for_job(number: u64) -> Option<Self> {
        let place = u32::try_from(number % u64::from(COUNT)).unwrap_or_default();
        let place = std::process::id() % PROCESSES * COUNT + place;
        rustix::process::geteuid().is_root().then_some(Self(FIRST + place))
    }

    pub(crate) fn id(self) -> u32 {
        self.0
    }

    /// Gives it a file, or a folder with all that is in it. Links are given, not followed.
    pub(crate) fn give(self, path: &Path) -> std::io::Result<()> {
        lchown(path, Some(self.0), Some(self.0))?;
        if path.symlink_metadata()?.is_dir() {
            for entry in std::fs::read_dir(path)? {
                self.give(&entry?.path())?;
            }
        }
        Ok(())
    }

    /// Kills whatever runs as it.
    pub(crate) fn kill_all(self) {
        use std::os::unix::fs::MetadataExt;
        let Ok(entries) = std::fs::read_dir("/proc") else { return };
        for entry in entries.flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            let is_its = || entry.metadata().is_ok_and(|found| found.uid() == self.0);
            if let Some(pid) = pid.filter(|_| is_its()) {
                // Being gone already is what is wanted.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
