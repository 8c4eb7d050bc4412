//! The folder of one run of `exec`, or of one `demo`, and what is left of those that were killed.
//!
//! Who runs holds the lock of a file in its folder; the lock of whoever was killed is gone with it. So the next run knows which folders
//! are nobody's, ends what may still run there, and removes them. One without that file is somebody's who is about to make it.

use std::fs::{DirBuilder, DirEntry, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// The file that is locked.
const LOCK: &str = "lock";

/// Whose folder it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One run's.
    Exec,
    /// A demo's, which has tokens in it.
    Demo,
}

impl Kind {
    /// Returns what the folders' names begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Exec => "greenlight-exec-",
            Self::Demo => "greenlight-demo-",
        }
    }

    /// Returns where jobs have their folders in it.
    fn work(self) -> &'static str {
        match self {
            Self::Exec => "work",
            Self::Demo => "server/work",
        }
    }

    /// Returns who may look into it: jobs that have a user of their own, or nobody else.
    fn mode(self) -> u32 {
        match self {
            Self::Exec => 0o777,
            Self::Demo => 0o700,
        }
    }
}

/// A folder that is locked as long as this is there.
pub struct Folder {
    kind: Kind,
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder of a run of `exec` in `below`.
    pub fn make(below: &Path) -> io::Result<Self> {
        Self::make_for(Kind::Exec, below)
    }

    /// Makes a folder of this kind in `below`.
    pub fn make_for(kind: Kind, below: &Path) -> io::Result<Self> {
        loop {
            let path = below.join(format!("{}{}", kind.prefix(), uuid::Uuid::new_v4().simple()));
            DirBuilder::new().mode(kind.mode()).create(&path)?;
            let lock = File::create_new(path.join(LOCK))?;
            lock.lock()?;
            // Between these two it looked like somebody's who was killed.
            if path.join(LOCK).metadata().is_ok_and(|found| lock.metadata().is_ok_and(|own| own.ino() == found.ino())) {
                return Ok(Self { kind, path, _lock: lock });
            }
        }
    }

    /// Returns where jobs have their folders.
    pub fn work(&self) -> PathBuf {
        self.path.join(self.kind.work())
    }

    /// Returns the folder itself.
    pub fn path(&self) -> &Path {
        &self.path
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

    /// Leaves it to be looked at: nobody sweeps it any more.
    pub fn keep(self) -> io::Result<()> {
        std::fs::remove_file(self.path.join(LOCK))
    }
}

/// Removes the folders of runs of `exec` in `below` whose owners were killed.
pub async fn sweep(below: &Path) {
    sweep_of(Kind::Exec, below).await;
}

/// Removes the folders of this kind in `below` whose owners were killed.
pub async fn sweep_of(kind: Kind, below: &Path) {
    let Ok(entries) = std::fs::read_dir(below) else { return };
    for entry in entries.flatten() {
        if let Some(folder) = left(kind, &entry)
            && let Err(error) = clear(&folder).await
        {
            tracing::warn!("what a killed run left in {} cannot be removed: {error}", folder.path.display());
        }
    }
}

/// Returns a folder of ours whose owner is gone, locked.
fn left(kind: Kind, entry: &DirEntry) -> Option<Folder> {
    let is_ours = |path: &Path| {
        let uid = rustix::process::getuid().as_raw();
        path.symlink_metadata().is_ok_and(|found| found.uid() == uid && !found.is_symlink())
    };
    let (path, name) = (entry.path(), entry.file_name());
    if !name.to_str()?.starts_with(kind.prefix()) || !is_ours(&path) || !is_ours(&path.join(LOCK)) {
        return None;
    }
    let lock = File::open(path.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some(Folder { kind, path, _lock: lock })
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
