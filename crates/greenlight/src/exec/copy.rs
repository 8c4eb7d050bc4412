//! Copying files into a job's folder. Jobs write there, too: no link in it is followed, nor one of the working tree that stands where
//! its list has a folder.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Copies files of one folder into another.
pub struct Copier<'a> {
    from: &'a Path,
    to: &'a Path,
    /// The folders that are known to be such on both sides.
    folders: HashSet<PathBuf>,
}

impl<'a> Copier<'a> {
    /// Returns what copies from one folder into another; both are there.
    pub fn new(from: &'a Path, to: &'a Path) -> Self {
        Self { from, to, folders: HashSet::from([PathBuf::new()]) }
    }

    /// Copies a file, a link, or a folder (a submodule) with all that is in it; what is not there is passed over.
    pub fn copy(&mut self, path: &Path) -> io::Result<()> {
        let (from, to) = (self.from.join(path), self.to.join(path));
        let kind = match from.symlink_metadata() {
            Ok(metadata) => metadata.file_type(),
            // It was deleted here, and that is a change as well.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
            Err(error) => return Err(error),
        };
        let parent = path.parent().unwrap_or(Path::new(""));
        if !self.make(parent)? {
            return Ok(());
        }
        if kind.is_dir() {
            self.make(path)?;
            for entry in std::fs::read_dir(&from)? {
                let entry = entry?;
                if entry.file_name() != ".git" {
                    self.copy(&path.join(entry.file_name()))?;
                }
            }
            return Ok(());
        }
        remove(&to)?;
        if kind.is_symlink() {
            return std::os::unix::fs::symlink(std::fs::read_link(from)?, to);
        }
        std::fs::copy(from, to).map(|_| ())
    }

    /// Removes what a path names where the copies go.
    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        let mut folders = path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty());
        let is_folder = |folder: &Path| self.to.join(folder).symlink_metadata().is_ok_and(|found| found.is_dir());
        if folders.all(is_folder) { remove(&self.to.join(path)) } else { Ok(()) }
    }

    /// Makes a folder and those that it is in. Returns whether it is one where the files come from.
    fn make(&mut self, folder: &Path) -> io::Result<bool> {
        if self.folders.contains(folder) {
            return Ok(true);
        }
        let is_there = self.make(folder.parent().unwrap_or(Path::new("")))?;
        if !is_there || !self.from.join(folder).symlink_metadata()?.is_dir() {
            return Ok(false);
        }
        let made = self.to.join(folder);
        if !made.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            remove(&made)?;
            std::fs::create_dir(made)?;
        }
        self.folders.insert(folder.to_owned());
        Ok(true)
    }
}

/// Removes a file, a link or a folder; nothing where there is none.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(found) if found.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_is_followed_on_either_side() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to, own] = ["from", "to", "own"].map(|name| folder.path().join(name));
        for made in [&from.join("a/b"), &from.join("c"), &to, &own] {
            std::fs::create_dir_all(made).unwrap();
        }
        for (path, text) in [(from.join("a/b/x"), "new"), (from.join("c/y"), "new"), (own.join("x"), "mine")] {
            std::fs::write(path, text).unwrap();
        }
        symlink(&own, from.join("linked")).unwrap();
        symlink("c/y", from.join("link")).unwrap();
        // What a job left: a link in the place of a folder, one in the place of a file.
        std::fs::create_dir(to.join("c")).unwrap();
        symlink(&own, to.join("a")).unwrap();
        symlink(own.join("x"), to.join("c/y")).unwrap();
        let mut copier = Copier::new(&from, &to);
        for path in ["a/b/x", "c/y", "linked/x", "link", "gone/x"] {
            copier.copy(Path::new(path)).unwrap();
        }
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        assert_eq!((read(to.join("a/b/x")), read(to.join("c/y"))), ("new".into(), "new".into()));
        assert_eq!(std::fs::read_link(to.join("link")).unwrap(), Path::new("c/y"));
        assert_eq!((read(own.join("x")), std::fs::read_dir(&own).unwrap().count()), ("mine".into(), 1));
        assert!(!to.join("linked").exists() && !to.join("gone").exists());
        symlink(&own, to.join("elsewhere")).unwrap();
        copier.remove(Path::new("elsewhere/x")).unwrap();
        copier.remove(Path::new("c/y")).unwrap();
        assert!(own.join("x").exists() && !to.join("c/y").exists());
    }
}
