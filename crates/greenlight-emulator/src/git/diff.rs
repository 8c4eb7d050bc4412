//! What differs between two commits, file by file, with patches.

use std::sync::Arc;

use super::{Git, GitError};
use crate::model::Oid;

/// How much of a file's patch is kept; GitHub leaves larger ones out.
const PATCH_BYTES_MAX: usize = 256 * 1024;
/// The tree that has nothing in it.
const TREE_EMPTY: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

/// One changed file.
#[derive(Clone, Debug)]
pub struct FileChange {
    pub path: String,
    pub previous: Option<String>,
    /// GitHub's word: added, removed, modified, renamed.
    pub status: &'static str,
    pub blob: Oid,
    pub additions: usize,
    pub deletions: usize,
    pub patch: Option<String>,
}

impl Git {
    /// Returns what differs between two commits or trees; `base` may be nothing for a first commit.
    pub async fn diff(
        &self,
        repository: u64,
        base: Option<&str>,
        head: &str,
    ) -> Result<Arc<Vec<FileChange>>, GitError> {
        let base = base.unwrap_or(TREE_EMPTY);
        let key = (base.to_owned(), head.to_owned());
        if let Some(known) = Git::cached(&self.diffs, &key) {
            return Ok(known);
        }
        if base == TREE_EMPTY {
            self.write_tree(repository, &[])?;
        }
        let options = [
            "diff",
            "--no-ext-diff",
            "--no-color",
            "--full-index",
            "-M",
            "--no-prefix",
            "--raw",
            "--abbrev=40",
            "-p",
            "-z",
            base,
            head,
        ];
        let output = self.run(&self.dir(repository), &options, None).await?;
        let changes = Arc::new(parse(&output.stdout));
        Git::remember(&self.diffs, key, Arc::clone(&changes));
        Ok(changes)
    }
}

/// Parses `git diff --raw -p -z`: records ended by NUL, an empty one, then the patches in the same order.
fn parse(output: &[u8]) -> Vec<FileChange> {
    let mut fields = output.split(|byte| *byte == 0);
    let mut changes = Vec::new();
    let mut consumed = 0;
    while let Some(field) = fields.next() {
        let Some(header) = field.strip_prefix(b":") else { break };
        consumed += field.len() + 1;
        let header = String::from_utf8_lossy(header).into_owned();
        let columns: Vec<&str> = header.split(' ').collect();
        let [_, _, old, new, letter] = columns[..] else { break };
        let mut path = || {
            let path = fields.next().unwrap_or_default();
            consumed += path.len() + 1;
            String::from_utf8_lossy(path).into_owned()
        };
        let first = path();
        let (status, name, previous) = match letter.as_bytes().first() {
            Some(b'A') => ("added", first, None),
            Some(b'D') => ("removed", first, None),
            Some(b'R') => ("renamed", path(), Some(first)),
            Some(b'C') => ("copied", path(), Some(first)),
            _ => ("modified", first, None),
        };
        let blob = if status == "removed" { old } else { new };
        changes.push(FileChange {
            path: name,
            previous,
            status,
            blob: blob.to_owned(),
            additions: 0,
            deletions: 0,
            patch: None,
        });
    }
    let patches = String::from_utf8_lossy(output.get(consumed + 1..).unwrap_or_default()).into_owned();
    let sections = format!("\n{patches}");
    for (change, section) in changes.iter_mut().zip(sections.split("\ndiff --git ").skip(1)) {
        fill_patch(change, section);
    }
    changes
}

fn fill_patch(change: &mut FileChange, section: &str) {
    let Some(start) = section.find("\n@@ ") else { return };
    let patch = section[start + 1..].trim_end_matches('\n');
    for line in patch.lines() {
        match line.as_bytes().first() {
            Some(b'+') => change.additions += 1,
            Some(b'-') => change.deletions += 1,
            _ => {}
        }
    }
    if patch.len() <= PATCH_BYTES_MAX {
        change.patch = Some(patch.to_owned());
    }
}
