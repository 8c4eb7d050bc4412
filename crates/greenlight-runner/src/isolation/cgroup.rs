//! Control groups, by plain writes: a lower CPU weight for jobs, a limit of processes, and an end that nothing in the group escapes.
//!
//! Version 2 where a folder of our own can be made (the service manager has to delegate it); version 1 where a machine still has it,
//! for the weight and the limit alone.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sandbox::init::PROCESSES_MAX;

/// The weight of jobs in version 2, where the server has 100, and in version 1, where it has 1024.
const WEIGHT: (&str, &str) = ("20", "204");

/// What the names of jobs' groups begin with.
const PREFIX: &str = "greenlight-job-";

/// How long a group may take to become empty, and how often it is looked at. The kernel tells of it in version 2 only (`cgroup.events`); nobody
/// waits for this, and mostly the first look is the last.
const EMPTY_WAIT: (Duration, u32) = (Duration::from_millis(100), 100);

/// How often a job's processes are looked through for those that were started before their parent was in the group.
const ROUNDS_MAX: usize = 10;

/// Where groups can be made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    unified: Option<PathBuf>,
    /// Controllers of version 1, with our own group there.
    old: Vec<(String, PathBuf)>,
}

/// A job's groups.
#[derive(Debug)]
pub(crate) struct JobGroup {
    folders: Vec<PathBuf>,
}

impl Groups {
    /// Finds out where groups can be made, by making one.
    pub(crate) fn find() -> Self {
        let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
        Self::of(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
    }

    /// Reads the two tables of the kernel: what is mounted where, and which group we are in.
    fn of(mounts: &str, own: &str) -> Self {
        let mut groups = Self::default();
        for line in own.lines() {
            let mut parts = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
            let Some(place) = mounted(mounts, controllers) else { continue };
            let own = place.join(path.trim_start_matches('/'));
            if !can_make(&own) {
                continue;
            }
            remove_empty(&own);
            if controllers.is_empty() {
                groups.unified = Some(own);
            } else if let Some(name) = controllers.split(',').find(|name| ["cpu", "pids"].contains(name)) {
                groups.old.push((name.to_owned(), own));
            }
        }
        groups
    }

    /// Says what there is, if anything.
    pub(crate) fn told(&self) -> Option<String> {
        let old: Vec<&str> = self.old.iter().map(|(name, _)| name.as_str()).collect();
        match (&self.unified, old.is_empty()) {
            (Some(own), true) => {
                let given = std::fs::read_to_string(own.join("cgroup.subtree_control")).unwrap_or_default();
                let given =
                    if given.trim().is_empty() { "no controllers".into() } else { given.trim().replace(' ', ", ") };
                Some(format!("a control group ({given})"))
            }
            (Some(_), false) => Some(format!("a control group (version 1: {})", old.join(", "))),
            (None, false) => Some(format!("a control group (version 1: {})", old.join(", "))),
            (None, true) => None,
        }
    }

    /// Makes a job's group.
    pub(crate) fn make(&self, name: &str) -> Option<JobGroup> {
        let name = format!("{PREFIX}{name}");
        let mut folders = Vec::new();
        let places = self.unified.iter().map(|own| (None, own));
        let places = places.chain(self.old.iter().map(|(controller, own)| (Some(controller.as_str()), own)));
        for (controller, own) in places {
            let folder = own.join(&name);
            if std::fs::create_dir(&folder).is_err() {
                continue;
            }
            let processes = PROCESSES_MAX.to_string();
            let settings: &[(&str, &str)] = match controller {
                None => &[("cpu.weight", WEIGHT.0), ("pids.max", &processes)],
                Some("cpu") => &[("cpu.shares", WEIGHT.1)],
                Some(_) => &[("pids.max", &processes)],
            };
            for (file, value) in settings {
                // A controller that was not given has no such file, and the header says what was.
                let _ = write(&folder.join(file), value);
            }
            folders.push(folder);
        }
        (!folders.is_empty()).then_some(JobGroup { folders })
    }
}

impl JobGroup {
    /// Takes in a process and all that it starts.
    pub(crate) fn take_in(&self, pid: u32) {
        self.move_in(pid);
        // It may have started some before it was in.
        for _ in 0..ROUNDS_MAX {
            if !self.move_descendants(pid) {
                break;
            }
        }
    }

    /// Takes in what a process started, and not itself: who waits for the first process of a namespace ends behind it.
    pub(crate) fn take_in_children(&self, parent: u32) {
        for pid in children(parent) {
            self.take_in(pid);
        }
    }

    /// Takes in those below a process that are not in it yet. Returns whether there were any.
    fn move_descendants(&self, pid: u32) -> bool {
        let mut below = children(pid);
        let mut place = 0;
        while let Some(pid) = below.get(place).copied() {
            below.extend(children(pid));
            place += 1;
        }
        let Some(folder) = self.folders.first().filter(|_| !below.is_empty()) else { return false };
        let within = std::fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
        let within: Vec<u32> = within.lines().filter_map(|pid| pid.parse().ok()).collect();
        below.retain(|pid| !within.contains(pid));
        below.iter().for_each(|pid| self.move_in(*pid));
        !below.is_empty()
    }

    fn move_in(&self, pid: u32) {
        for folder in &self.folders {
            if let Err(error) = write(&folder.join("cgroup.procs"), &pid.to_string()) {
                tracing::debug!("a job's process cannot be put into {}: {error}", folder.display());
            }
        }
    }

    /// Kills what is in it, where the kernel does that in one stroke.
    pub(crate) fn kill(&self) {
        for folder in &self.folders {
            // The PID namespace's end does the same.
            let _ = write(&folder.join("cgroup.kill"), "1");
        }
    }

    /// Removes it, when it is empty.
    pub(crate) async fn remove(&self) {
        for folder in &self.folders {
            for _ in 0..EMPTY_WAIT.1 {
                match std::fs::remove_dir(folder) {
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                        tokio::time::sleep(EMPTY_WAIT.0).await;
                    }
                    _ => break,
                }
            }
        }
    }
}

/// Writes into a file of the kernel's, where it is there.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::File::options().write(true).open(file)?.write_all(text.as_bytes())
}

/// Returns what a process started that lives.
fn children(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Returns where a hierarchy is mounted: version 2 where no controllers are named.
fn mounted(mounts: &str, controllers: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut words = after.split(' ');
        let (kind, options) = (words.next()?, words.nth(1)?);
        let is_it = if controllers.is_empty() {
            kind == "cgroup2"
        } else {
            kind == "cgroup" && controllers.split(',').all(|name| options.split(',').any(|option| option == name))
        };
        let mut before = before.split(' ').skip(3);
        // A part of the hierarchy that is mounted (in a container) stands for our own group.
        let (root, place) = (before.next()?, before.next()?);
        (is_it && root == "/").then(|| Path::new(place).to_path_buf())
    })
}

/// Removes the groups of jobs of an earlier life. Those that are not empty are somebody's, and the kernel keeps them.
fn remove_empty(own: &Path) {
    for entry in std::fs::read_dir(own).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            // Another runner's may have begun to be used just now.
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

fn can_make(own: &Path) -> bool {
    let folder = own.join(format!("greenlight-try-{}", std::process::id()));
    std::fs::create_dir(&folder).and_then(|()| std::fs::remove_dir(&folder)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_made_where_the_tables_say_that_we_are() {
        let tree = tempfile::tempdir().unwrap();
        let place = tree.path().display();
        std::fs::create_dir_all(tree.path().join("unified/system.slice/greenlight.service")).unwrap();
        std::fs::create_dir_all(tree.path().join("pids/x")).unwrap();
        let mounts = format!(
            "30 29 0:26 / {place}/unified rw - cgroup2 cgroup2 rw\n31 29 0:27 / {place}/pids rw - cgroup cgroup rw,pids\n\
             32 29 0:28 / {place}/cpu rw - cgroup cgroup rw,cpu\n"
        );
        let groups = Groups::of(&mounts, "8:pids:/x\n1:cpu:/missing\n0::/system.slice/greenlight.service\n");
        assert_eq!(groups.unified, Some(tree.path().join("unified/system.slice/greenlight.service")));
        assert_eq!(groups.old, [("pids".to_owned(), tree.path().join("pids/x"))]);
        let job = groups.make("7").unwrap();
        assert!(job.folders.iter().all(|folder| folder.is_dir() && folder.ends_with("greenlight-job-7")));
        assert_eq!(groups.told().unwrap(), "a control group (version 1: pids)");
    }

    #[test]
    fn a_controller_that_was_given_is_used() {
        let tree = tempfile::tempdir().unwrap();
        let groups = Groups { unified: Some(tree.path().to_owned()), old: Vec::new() };
        std::fs::write(tree.path().join("cgroup.subtree_control"), "cpu pids\n").unwrap();
        assert_eq!(groups.told().unwrap(), "a control group (cpu, pids)");
        let nothing = Groups::of("", "0::/\n");
        assert!(nothing.told().is_none() && nothing.make("1").is_none());
    }
}
