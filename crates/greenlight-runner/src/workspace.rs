//! A job's folders: all new, all its own, all removed behind it. They are few, since removing a folder takes some filesystems
//! milliseconds.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::leftovers::{self, Since};

/// How long a repository's name may be as a folder's.
const NAME_LENGTH_MAX: usize = 100;

/// A job's folders.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// All of it.
    pub(crate) root: PathBuf,
    /// `GITHUB_WORKSPACE`: empty when the job begins.
    pub(crate) workspace: PathBuf,
    /// `RUNNER_TEMP`.
    pub(crate) temp: PathBuf,
    /// `HOME`.
    pub(crate) home: PathBuf,
    /// `RUNNER_TOOL_CACHE`: made by who needs it.
    pub(crate) tools: PathBuf,
    /// The job's copies of actions: made by who needs it.
    pub(crate) actions: PathBuf,
    /// The files that steps speak through.
    pub(crate) commands: PathBuf,
    /// `GITHUB_EVENT_PATH`.
    pub(crate) event: PathBuf,
    /// Were the files of the first step made ahead, before anybody could have touched them?
    pub(crate) has_first_files: bool,
}

impl Workspace {
    /// Makes the folders of a job below `work_dir`.
    pub(crate) fn create(work_dir: &Path, repository: &str) -> std::io::Result<Self> {
        let root = new_folder(work_dir)?;
        let temp = root.join("_temp");
        let workspace = Self {
            workspace: root.join(folder_name(repository)),
            home: root.join("_home"),
            tools: root.join("_tools"),
            actions: root.join("_actions"),
            event: temp.join("_event.json"),
            commands: temp.clone(),
            temp,
            root,
            has_first_files: false,
        };
        for folder in [&workspace.workspace, &workspace.home, &workspace.temp] {
            std::fs::create_dir(folder)?;
        }
        Ok(workspace)
    }

    /// Is it what a job of this repository would have?
    pub(crate) fn is_for(&self, repository: &str) -> bool {
        self.workspace.file_name().is_some_and(|name| *name == *folder_name(repository))
    }

    /// Returns the job's number on this runner.
    pub(crate) fn number(&self) -> u64 {
        self.root.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(1)
    }

    /// Returns the folders that the job's processes write to.
    pub(crate) fn folders(&self) -> [PathBuf; 5] {
        [&self.workspace, &self.temp, &self.home, &self.tools, &self.actions].map(PathBuf::clone)
    }

    /// Lets everybody write in the job's folders, for a container whose user is not ours. Nobody outside of it comes that far.
    pub(crate) fn open_to_all(&self) -> std::io::Result<()> {
        let set = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        set(&self.root, 0o700)?;
        let made = self.folders().into_iter().filter(|folder| folder.is_dir());
        made.into_iter().try_for_each(|folder| set(&folder, 0o777))
    }

    /// Returns what the job sees as `/tmp`, where it has a view of its own.
    pub(crate) fn shared_temp(&self) -> PathBuf {
        self.root.join("_tmp")
    }

    /// Writes the machine's tables of users and groups with the job's own in front, so that its number has a name. Returns where.
    pub(crate) fn write_names(&self, number: u32) -> std::io::Result<[PathBuf; 2]> {
        let home = self.home.display();
        let own = [
            ("/etc/passwd", "_passwd", format!("runner:x:{number}:{number}:runner:{home}:/bin/bash\n")),
            ("/etc/group", "_group", format!("runner:x:{number}:\n")),
        ];
        let mut made = [PathBuf::new(), PathBuf::new()];
        for (place, (table, name, line)) in made.iter_mut().zip(own) {
            let rest = std::fs::read_to_string(table).unwrap_or_default();
            let rest: String =
                rest.lines().filter(|line| !line.starts_with("runner:")).map(|line| format!("{line}\n")).collect();
            *place = self.root.join(name);
            std::fs::write(&*place, line + &rest)?;
        }
        Ok(made)
    }

    /// Returns the folder of a relative path, where it is inside the workspace after all links are followed.
    pub(crate) fn inside(&self, path: &str) -> Result<PathBuf, String> {
        let joined = self.workspace.join(path);
        let outside = || format!("'{path}' is not inside the workspace");
        let mut existing = joined.as_path();
        let mut missing = Vec::new();
        loop {
            match existing.canonicalize() {
                Ok(found) => {
                    let workspace = self.workspace.canonicalize().map_err(|error| error.to_string())?;
                    let whole = missing.iter().rev().fold(found, |path: PathBuf, name| path.join(name));
                    return if whole.starts_with(&workspace) { Ok(whole) } else { Err(outside()) };
                }
                // A link to nowhere is there and cannot be followed.
                Err(_) if existing.symlink_metadata().is_ok() => return Err(outside()),
                Err(_) => {
                    missing.push(existing.file_name().ok_or_else(outside)?.to_owned());
                    existing = existing.parent().ok_or_else(outside)?;
                }
            }
        }
    }
}

/// Writes a new file into a folder that belongs to a job, and gives it to whoever has the folder. What the job put in its place goes:
/// a link there would lead the runner's hand anywhere.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    let folder = path.parent().unwrap_or(path).symlink_metadata()?;
    if folder.uid() != file.metadata()?.uid() {
        fchown(&file, Some(folder.uid()), Some(folder.gid()))?;
    }
    Ok(())
}

/// Returns what a repository's folder is called.
fn folder_name(repository: &str) -> String {
    let name = repository.rsplit('/').next().unwrap_or_default();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name.chars().filter(|&c| is_plain(c)).take(NAME_LENGTH_MAX).collect();
    // An underscore is ours.
    if name.trim_matches('.').is_empty() || name.starts_with('_') { "repository".to_owned() } else { name }
}

fn new_folder(work_dir: &Path) -> std::io::Result<PathBuf> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    loop {
        let root = work_dir.join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        match std::fs::create_dir(&root) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => std::fs::create_dir_all(work_dir)?,
            // What a process of the job shows of its folder has all links followed.
            made => return made.and_then(|()| root.canonicalize()),
        }
    }
}

/// Kills what the job in this folder left running, if there can be such, and removes the folder.
pub(crate) fn clean_up(root: &Path, left_since: Option<Since>) -> std::io::Result<()> {
    let count = left_since.map_or(0, |since| leftovers::kill_all_of(root, since));
    if count > 0 {
        tracing::info!(folder = %root.display(), "killed {count} processes that a job left behind");
    }
    remove(root)
}

/// Kills and removes what jobs of an earlier life left in `work_dir`. To be called before the first job.
pub fn sweep(work_dir: &Path) -> std::io::Result<()> {
    let work_dir = match work_dir.canonicalize() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return std::fs::create_dir_all(work_dir),
        found => found?,
    };
    leftovers::kill_all_of(&work_dir, Since::EVER);
    for entry in std::fs::read_dir(&work_dir)? {
        let entry = entry?;
        let is_jobs = entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if is_jobs && entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(root: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(root) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            // Some tools write-protect their folders; a process that was just killed may have added a file.
            make_writable(root);
            std::fs::remove_dir_all(root)
        }
    }
}

fn make_writable(folder: &Path) {
    // What cannot be changed shows when it cannot be removed.
    let _ = std::fs::set_permissions(folder, PermissionsExt::from_mode(0o700));
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_of_the_workspace_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(folder.path(), "octo/demo").unwrap();
        assert!(workspace.workspace.ends_with("demo"));
        std::os::unix::fs::symlink("/tmp", workspace.workspace.join("link")).unwrap();
        std::os::unix::fs::symlink("/nowhere", workspace.workspace.join("dangling")).unwrap();
        assert!(workspace.inside("a/b").unwrap().ends_with("demo/a/b"));
        assert_eq!(workspace.inside("").unwrap(), workspace.workspace.canonicalize().unwrap());
        for path in ["..", "a/../../x", "/etc", "link", "link/x", "dangling/x", "../../../../../../../../etc"] {
            assert!(workspace.inside(path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_new_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("file"), folder.path().join("elsewhere"));
        std::fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        write_new(&file, b"new").unwrap();
        assert_eq!(std::fs::read_to_string(&elsewhere).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert!(!file.is_symlink());
    }

    #[test]
    fn a_workspace_is_removed_even_where_it_is_write_protected() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(folder.path(), "octo/..").unwrap();
        let protected = workspace.workspace.join("mod/cache");
        std::fs::create_dir_all(&protected).unwrap();
        std::fs::write(protected.join("file"), "x").unwrap();
        std::fs::set_permissions(&protected, PermissionsExt::from_mode(0o500)).unwrap();
        clean_up(&workspace.root, Some(Since::EVER)).unwrap();
        assert!(!workspace.root.exists());
    }

    #[test]
    fn jobs_of_an_earlier_life_are_swept_away() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = Workspace::create(folder.path(), "octo/demo").unwrap();
        std::fs::write(folder.path().join("not-a-job"), "x").unwrap();
        sweep(folder.path()).unwrap();
        assert!(!workspace.root.exists());
        assert!(folder.path().join("not-a-job").exists());
        sweep(&folder.path().join("new")).unwrap();
        assert!(folder.path().join("new").exists());
    }
}
