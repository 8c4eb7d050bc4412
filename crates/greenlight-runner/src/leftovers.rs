//! What a job leaves running is killed.
//!
//! A process belongs to a job if it carries the job's mark in its environment, works or was started in the job's folder, or was started
//! by one that does. A process that hides from all three (it clears its environment, leaves the folder and loses its parents)
//! is not found: that takes a namespace of the job's own, and where it has one the kernel sees to it and nobody looks here (R26). Processes
//! that are older than the job are not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The variable that marks a job's processes: the job's folder.
pub(crate) const MARK: &str = "GREENLIGHT_JOB_FOLDER";

/// How often the processes are looked through: one that starts others faster than they are killed is not chased for ever.
const ROUNDS_MAX: usize = 50;

/// A point in time, as processes' ages are told: hundredths of a second since the machine started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Since(u64);

impl Since {
    /// Before everything.
    pub(crate) const EVER: Self = Self(0);

    /// Returns now, or the beginning of time where the machine does not tell.
    pub(crate) fn now() -> Self {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds: f64 = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
        // Ages are rounded, so a little earlier.
        Self(((seconds - 0.1).max(0.0) * 100.0) as u64)
    }
}

/// Kills every process of the job in this folder, or of all jobs below it. Returns how many there were.
pub(crate) fn kill_all_of(folder: &Path, since: Since) -> usize {
    let mut killed = BTreeSet::new();
    for _ in 0..ROUNDS_MAX {
        let processes = processes(since);
        let own = processes.iter().filter(|(pid, _)| belongs(**pid, folder)).map(|(pid, _)| *pid);
        let found = with_descendants(&processes, own.collect());
        if found.is_empty() {
            break;
        }
        kill(&found);
        killed.extend(found);
    }
    killed.len()
}

/// Kills what this process started, and what those started.
pub(crate) fn kill_tree(leader: Pid) {
    let leader = leader.as_raw_nonzero().get();
    let mut tree = with_descendants(&processes(Since::EVER), BTreeSet::from([leader]));
    tree.remove(&leader);
    kill(&tree);
}

fn kill(pids: &BTreeSet<i32>) {
    for pid in pids.iter().filter_map(|&pid| Pid::from_raw(pid)) {
        // Being gone already is what is wanted.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Returns our user's processes that are alive and no older, each with its parent.
fn processes(since: Since) -> BTreeMap<i32, i32> {
    let own_user = rustix::process::geteuid().as_raw();
    let own_pid = rustix::process::getpid().as_raw_nonzero().get();
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let (parent, started) = parent_and_start(pid).filter(|_| pid != own_pid)?;
            let is_ours = started >= since && entry.metadata().ok()?.uid() == own_user;
            is_ours.then_some((pid, parent))
        })
        .collect()
}

/// Returns a living process's parent and when it started.
fn parent_and_start(pid: i32) -> Option<(i32, Since)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold some itself.
    let mut words = stat.rsplit_once(") ")?.1.split(' ');
    let is_dead = words.next()? == "Z";
    let parent = words.next()?.parse().ok()?;
    let started = words.nth(17)?.parse().ok()?;
    (!is_dead).then_some((parent, Since(started)))
}

fn belongs(pid: i32, folder: &Path) -> bool {
    let is_inside =
        |link: &str| std::fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|path| path.starts_with(folder));
    is_marked(pid, folder) || is_inside("cwd") || is_inside("exe")
}

fn is_marked(pid: i32, folder: &Path) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    let mark = format!("{MARK}=");
    environment.split(|&byte| byte == 0).any(|variable| {
        let value = variable.strip_prefix(mark.as_bytes());
        value
            .and_then(|value| std::str::from_utf8(value).ok())
            .is_some_and(|value| Path::new(value).starts_with(folder))
    })
}

fn with_descendants(processes: &BTreeMap<i32, i32>, mut found: BTreeSet<i32>) -> BTreeSet<i32> {
    loop {
        let children = processes.iter().filter(|(pid, parent)| found.contains(parent) && !found.contains(pid));
        let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        if children.is_empty() {
            return found;
        }
        found.extend(children);
    }
}
