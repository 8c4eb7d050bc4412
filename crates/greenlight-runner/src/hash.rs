//! `hashFiles(…)`: one digest of all files that patterns find, as `@actions/glob` finds them.
//!
//! The digest is SHA-256 over the digests of the files, in the order of the search: a folder's entries by name, a folder's
//! files where the folder stands. Only files below the workspace count.

use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, Digest, SHA256};

use crate::pattern::Patterns;

/// How long the search and the reading may take.
const TIME_MAX: Duration = Duration::from_secs(120);

/// How deep folders are searched: links that lead back into themselves end here.
const DEPTH_MAX: usize = 255;

/// How much of a file is read at a time.
const BLOCK_BYTES: usize = 128 << 10;

/// Returns the digest of the files that `patterns` find below `workspace`; empty where they find none.
pub(crate) fn hash_files(workspace: &Path, patterns: &[String], follow_links: bool) -> Result<String, String> {
    let search = Search {
        workspace,
        patterns: Patterns::new(workspace, patterns)?,
        follow_links,
        until: Instant::now() + TIME_MAX,
    };
    let hash = || search.hash();
    // A large tree takes its time: what else this thread has to do is done by others meanwhile, where there are any.
    let has_others = tokio::runtime::Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread);
    if has_others { tokio::task::block_in_place(hash) } else { hash() }
}

struct Search<'a> {
    workspace: &'a Path,
    patterns: Patterns,
    follow_links: bool,
    until: Instant,
}

impl Search<'_> {
    fn hash(&self) -> Result<String, String> {
        let mut all = Context::new(&SHA256);
        let mut has_any = false;
        let mut waiting: Vec<(PathBuf, usize)> =
            self.patterns.starts().into_iter().rev().map(|path| (path, 0)).collect();
        while let Some((path, depth)) = waiting.pop() {
            self.check_time()?;
            let found = self.patterns.find(&path);
            let is_folder = self.is_folder(&path);
            if is_folder && found.may_be_below && depth < DEPTH_MAX {
                let mut entries = entries(&path);
                entries.reverse();
                waiting.extend(entries.into_iter().map(|entry| (entry, depth + 1)));
            }
            if !is_folder && found.is_match && path.starts_with(self.workspace) && path.is_file() {
                all.update(self.digest(&path)?.as_ref());
                has_any = true;
            }
        }
        Ok(if has_any { hex(all.finish().as_ref()) } else { String::new() })
    }

    fn is_folder(&self, path: &Path) -> bool {
        let found = if self.follow_links { path.metadata() } else { path.symlink_metadata() };
        found.is_ok_and(|found| found.is_dir())
    }

    fn digest(&self, path: &Path) -> Result<Digest, String> {
        let unreadable = |error| format!("hashFiles cannot read {}: {error}", path.display());
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let mut context = Context::new(&SHA256);
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let length = file.read(&mut block).map_err(unreadable)?;
            if length == 0 {
                return Ok(context.finish());
            }
            context.update(&block[..length]);
            self.check_time()?;
        }
    }

    fn check_time(&self) -> Result<(), String> {
        let is_late = Instant::now() > self.until;
        if is_late { Err(format!("hashFiles took longer than {} s", TIME_MAX.as_secs())) } else { Ok(()) }
    }
}

/// Returns what is in a folder, by name; nothing where it cannot be read.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    entries.sort_by(|one, other| one.as_os_str().as_bytes().cmp(other.as_os_str().as_bytes()));
    entries
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest::digest;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn of(texts: &[&str]) -> String {
        let digests: Vec<u8> =
            texts.iter().flat_map(|text| digest(&SHA256, text.as_bytes()).as_ref().to_vec()).collect();
        hex(digest(&SHA256, &digests).as_ref())
    }

    fn hashed(folder: &Path, patterns: &[&str]) -> String {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        hash_files(&folder.canonicalize().unwrap(), &patterns, false).unwrap()
    }

    #[test]
    fn the_digests_of_the_files_are_hashed_in_order() {
        let tree = tree(&[
            ("package-lock.json", "1"),
            ("a/package-lock.json", "2"),
            (".hidden/package-lock.json", "3"),
            ("a/b/c.txt", "4"),
            ("a-b/x.txt", "5"),
        ]);
        assert_eq!(hashed(tree.path(), &["package-lock.json"]), of(&["1"]));
        assert_eq!(hashed(tree.path(), &["**/package-lock.json"]), of(&["3", "2", "1"]));
        assert_eq!(hashed(tree.path(), &["a"]), of(&["4", "2"]), "a folder means what is in it");
        assert_eq!(hashed(tree.path(), &["**", "!**/*.txt"]), of(&["3", "2", "1"]));
        assert_eq!(hashed(tree.path(), &["a*/**/*.txt"]), of(&["4", "5"]));
        assert_eq!(hashed(tree.path(), &["nothing/**"]), "");
        assert_eq!(hashed(tree.path(), &["/etc/hostname"]), "", "outside of the workspace");
        assert_eq!(hashed(tree.path(), &["a\n# a comment\npackage-lock.json"]), of(&["4", "2", "1"]));
    }

    #[test]
    fn links_to_folders_are_followed_where_that_is_asked_for() {
        let tree = tree(&[("real/file", "1")]);
        std::os::unix::fs::symlink("real", tree.path().join("link")).unwrap();
        std::os::unix::fs::symlink(".", tree.path().join("real/loop")).unwrap();
        let root = tree.path().canonicalize().unwrap();
        assert_eq!(hash_files(&root, &["link/**".into()], false).unwrap(), "");
        assert_eq!(hash_files(&root, &["link/file".into()], true).unwrap(), of(&["1"]));
    }
}
