//! The folder of one run of `exec`, and what is left of those that were killed.
//!
//! Who runs holds the lock of a file in its folder; the lock of whoever was killed is gone with it. So the next run knows which folders
//! are nobody's, ends what may still run there, and removes them. One without that file is somebody's who is about to make it.

use std::fs::{DirEntry, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What the folders' names begin with.
const PREFIX: &str = "greenlight-exec-";
/// The file that is locked.
const LOCK: &str = "lock";
/// Where jobs have their folders in it.
const WORK: &str = "work";

/// A folder that is locked as long as this is there.
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes a folder in `below`.
    pub fn make(below: &Path) -> io::Result<Self> {
        loop {
            let path = below.join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
            std::fs::create_dir(&path)?;
            let lock = File::create_new(path.join(LOCK))?;
            lock.lock()?;
            // Between these two it looked like somebody's who was killed.
            if path.join(LOCK).metadata().is_ok_and(|found| lock.metadata().is_ok_and(|own| own.ino() == found.ino())) {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    /// Returns where jobs have their folders.
    pub fn work(&self) -> PathBuf {
        self.path.join(WORK)
    }

    /// Returns where something else has its own.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Removes it. The jobs are over, and have taken away what was theirs.
    pub fn remove(self) -> anyhow::Result<()> {
        use anyhow::Context as _;
        std::fs::remove_dir_all(&self.path).with_context(|| format!("{} cannot be removed", self.path.display()))
    }
}

/// Removes the folders in `below` whose owners were killed.
pub async fn sweep(below: &Path) {
    let Ok(entries) = std::fs::read_dir(below) else { return };
    for entry in entries.flatten() {
        if let Some(folder) = left(&entry)
            && let Err(error) = clear(&folder).await
        {
            tracing::warn!("what a killed run left in {} cannot be removed: {error}", folder.path.display());
        }
    }
}

/// Returns a folder of ours whose owner is gone, locked.
fn left(entry: &DirEntry) -> Option<Folder> {
    let is_ours = |path: &Path| {
        let uid = rustix::process::getuid().as_raw();
        path.symlink_metadata().is_ok_and(|found| found.uid() == uid && !found.is_symlink())
    };
    let (path, name) = (entry.path(), entry.file_name());
    if !name.to_str()?.starts_with(PREFIX) || !is_ours(&path) || !is_ours(&path.join(LOCK)) {
        return None;
    }
    let lock = File::open(path.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some(Folder { path, _lock: lock })
}

async fn clear(folder: &Folder) -> io::Result<()> {
    greenlight_runner::workspace::sweep(&folder.work())?;
    greenlight_runner::container::sweep(&folder.work()).await;
    std::fs::remove_dir_all(&folder.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_nobody_holds_is_removed() {
        let below = tempfile::tempdir().unwrap();
        let held = Folder::make(below.path()).unwrap();
        let killed = Folder::make(below.path()).unwrap();
        std::fs::create_dir_all(killed.work().join("1")).unwrap();
        let left = killed.path.clone();
        drop(killed);
        let begun = below.path().join("greenlight-exec-begun");
        std::fs::create_dir(&begun).unwrap();
        std::fs::write(below.path().join("greenlight-exec-file"), "").unwrap();
        sweep(below.path()).await;
        assert!(!left.exists() && held.path.exists() && begun.exists());
        held.remove().unwrap();
        assert_eq!(std::fs::read_dir(below.path()).unwrap().count(), 2);
    }
}
