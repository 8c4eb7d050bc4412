//! Git objects: loose files read and written here, packed ones through `git cat-file`.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::Arc,
};

use aws_lc_rs::digest;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use super::{Git, GitError, write_file};
use crate::model::Oid;

/// How large an object may be that the API reads: GitHub's own limit for blobs.
const OBJECT_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// The kind of a git object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Blob,
    Tree,
    Commit,
    Tag,
}

impl Kind {
    /// Returns git's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Blob => "blob",
            Kind::Tree => "tree",
            Kind::Commit => "commit",
            Kind::Tag => "tag",
        }
    }

    fn parse(text: &str) -> Option<Kind> {
        [Kind::Blob, Kind::Tree, Kind::Commit, Kind::Tag].into_iter().find(|kind| kind.name() == text)
    }
}

/// Who made a commit, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    pub email: String,
    /// Seconds since 1970.
    pub seconds: i64,
    /// As git writes it, `+0000`.
    pub zone: String,
}

impl Signature {
    /// Returns a signature in UTC.
    pub fn new(name: &str, email: &str, seconds: i64) -> Signature {
        let plain = |text: &str| text.replace(['<', '>', '\n'], "");
        Signature { name: plain(name), email: plain(email), seconds, zone: "+0000".to_owned() }
    }

    fn parse(text: &str) -> Option<Signature> {
        let (who, when) = text.rsplit_once("> ")?;
        let (name, email) = who.split_once('<')?;
        let (seconds, zone) = when.split_once(' ')?;
        Some(Signature {
            name: name.trim().to_owned(),
            email: email.to_owned(),
            seconds: seconds.parse().ok()?,
            zone: zone.to_owned(),
        })
    }

    fn write(&self) -> String {
        format!("{} <{}> {} {}", self.name, self.email, self.seconds, self.zone)
    }
}

/// A commit.
#[derive(Clone, Debug)]
pub struct Commit {
    pub oid: Oid,
    pub tree: Oid,
    pub parents: Vec<Oid>,
    pub author: Signature,
    pub committer: Signature,
    pub message: String,
}

impl Commit {
    fn parse(oid: &str, bytes: &[u8]) -> Option<Commit> {
        let text = String::from_utf8_lossy(bytes);
        let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        let mut tree = None;
        let mut parents = Vec::new();
        let mut author = None;
        let mut committer = None;
        for line in head.lines() {
            match line.split_once(' ') {
                Some(("tree", value)) => tree = Some(value.to_owned()),
                Some(("parent", value)) => parents.push(value.to_owned()),
                Some(("author", value)) => author = Signature::parse(value),
                Some(("committer", value)) => committer = Signature::parse(value),
                _ => {}
            }
        }
        let author = author?;
        let committer = committer.unwrap_or_else(|| author.clone());
        Some(Commit { oid: oid.to_owned(), tree: tree?, parents, author, committer, message: message.to_owned() })
    }
}

/// One entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// As git writes it: `100644`, `100755`, `120000`, `40000`, `160000`.
    pub mode: String,
    pub name: String,
    pub oid: Oid,
}

impl TreeEntry {
    /// Answers whether the entry is a folder.
    pub fn is_tree(&self) -> bool {
        self.mode == "40000"
    }

    /// Returns the kind of object that the entry names.
    pub fn kind(&self) -> &'static str {
        match self.mode.as_str() {
            "40000" => "tree",
            "160000" => "commit",
            _ => "blob",
        }
    }
}

impl Git {
    /// Reads one object.
    pub fn read(&self, repository: u64, oid: &str) -> Result<(Kind, Vec<u8>), GitError> {
        if oid.len() != 40 || !oid.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(GitError::Missing(oid.to_owned()));
        }
        let path = self.dir(repository).join("objects").join(&oid[..2]).join(&oid[2..]);
        match std::fs::File::open(&path) {
            Ok(file) => {
                let mut bytes = Vec::new();
                let failed = |source| GitError::File { path: path.clone(), source };
                ZlibDecoder::new(file).take(OBJECT_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
                split_header(bytes).ok_or_else(|| GitError::Unexpected(oid.to_owned(), "loose object"))
            }
            Err(_) => self.read_packed(repository, oid),
        }
    }

    /// Writes one object and returns its name.
    pub fn write(&self, repository: u64, kind: Kind, bytes: &[u8]) -> Result<Oid, GitError> {
        let header = format!("{} {}\0", kind.name(), bytes.len());
        let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
        hash.update(header.as_bytes());
        hash.update(bytes);
        let oid = hex::encode(hash.finish());
        let path = self.dir(repository).join("objects").join(&oid[..2]).join(&oid[2..]);
        if path.exists() {
            return Ok(oid);
        }
        let failed = |source| GitError::File { path: path.clone(), source };
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(header.as_bytes()).and_then(|()| encoder.write_all(bytes)).map_err(failed)?;
        let compressed = encoder.finish().map_err(failed)?;
        write_file(&path, &compressed)?;
        Ok(oid)
    }

    /// Reads a commit; a tag is followed to what it names.
    pub fn commit(&self, repository: u64, oid: &str) -> Result<Arc<Commit>, GitError> {
        if let Some(known) = Git::cached(&self.commits, &oid.to_owned()) {
            return Ok(known);
        }
        let (kind, bytes) = self.read(repository, oid)?;
        if kind == Kind::Tag {
            let text = String::from_utf8_lossy(&bytes);
            let target = text
                .lines()
                .find_map(|line| line.strip_prefix("object "))
                .ok_or_else(|| GitError::Unexpected(oid.to_owned(), "tag"))?;
            return self.commit(repository, target);
        }
        let commit = (kind == Kind::Commit).then(|| Commit::parse(oid, &bytes)).flatten();
        let commit = Arc::new(commit.ok_or_else(|| GitError::Unexpected(oid.to_owned(), "commit"))?);
        Git::remember(&self.commits, oid.to_owned(), Arc::clone(&commit));
        Ok(commit)
    }

    /// Writes a commit.
    pub fn write_commit(
        &self,
        repository: u64,
        tree: &str,
        parents: &[&str],
        author: &Signature,
        committer: &Signature,
        message: &str,
    ) -> Result<Oid, GitError> {
        let mut text = format!("tree {tree}\n");
        for parent in parents {
            text.push_str(&format!("parent {parent}\n"));
        }
        text.push_str(&format!("author {}\ncommitter {}\n\n{message}", author.write(), committer.write()));
        if !text.ends_with('\n') {
            text.push('\n');
        }
        self.write(repository, Kind::Commit, text.as_bytes())
    }

    /// Reads a tree.
    pub fn tree(&self, repository: u64, oid: &str) -> Result<Arc<Vec<TreeEntry>>, GitError> {
        if let Some(known) = Git::cached(&self.trees, &oid.to_owned()) {
            return Ok(known);
        }
        let (kind, bytes) = self.read(repository, oid)?;
        let entries = (kind == Kind::Tree).then(|| parse_tree(&bytes)).flatten();
        let entries = Arc::new(entries.ok_or_else(|| GitError::Unexpected(oid.to_owned(), "tree"))?);
        Git::remember(&self.trees, oid.to_owned(), Arc::clone(&entries));
        Ok(entries)
    }

    /// Writes a tree, in git's order.
    pub fn write_tree(&self, repository: u64, entries: &[TreeEntry]) -> Result<Oid, GitError> {
        let mut sorted: Vec<&TreeEntry> = entries.iter().collect();
        sorted.sort_by_key(|entry| if entry.is_tree() { format!("{}/", entry.name) } else { entry.name.clone() });
        let mut bytes = Vec::new();
        for entry in sorted {
            bytes.extend_from_slice(format!("{} {}\0", entry.mode, entry.name).as_bytes());
            bytes.extend_from_slice(&hex::decode(&entry.oid).map_err(|_| GitError::Missing(entry.oid.clone()))?);
        }
        self.write(repository, Kind::Tree, &bytes)
    }

    /// Finds the entry at `path` below a tree.
    pub fn entry_at(&self, repository: u64, tree: &str, path: &str) -> Result<Option<TreeEntry>, GitError> {
        let mut current = TreeEntry { mode: "40000".to_owned(), name: String::new(), oid: tree.to_owned() };
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !current.is_tree() {
                return Ok(None);
            }
            match self.tree(repository, &current.oid)?.iter().find(|entry| entry.name == part) {
                Some(entry) => current = entry.clone(),
                None => return Ok(None),
            }
        }
        Ok(Some(current))
    }

    /// Returns the tree with `path` set to (mode, object), or removed.
    pub fn with_path(
        &self,
        repository: u64,
        tree: Option<&str>,
        path: &str,
        value: Option<(&str, &str)>,
    ) -> Result<Option<Oid>, GitError> {
        let mut entries = match tree {
            Some(tree) => self.tree(repository, tree)?.as_ref().clone(),
            None => Vec::new(),
        };
        let (name, rest) = path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let at = entries.iter().position(|entry| entry.name == name);
        let replacement = match rest {
            Some(rest) => {
                let below = at.map(|at| &entries[at]).filter(|entry| entry.is_tree()).map(|entry| entry.oid.clone());
                let tree = self.with_path(repository, below.as_deref(), rest, value)?;
                tree.map(|oid| TreeEntry { mode: "40000".to_owned(), name: name.to_owned(), oid })
            }
            None => {
                value.map(|(mode, oid)| TreeEntry { mode: mode.to_owned(), name: name.to_owned(), oid: oid.to_owned() })
            }
        };
        if let Some(at) = at {
            entries.remove(at);
        }
        entries.extend(replacement);
        if entries.is_empty() { Ok(None) } else { self.write_tree(repository, &entries).map(Some) }
    }

    /// Returns the only loose object whose name starts with `prefix`.
    pub fn expand(&self, repository: u64, prefix: &str) -> Option<Oid> {
        if !(4..40).contains(&prefix.len()) || !prefix.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let folder = self.dir(repository).join("objects").join(&prefix[..2]);
        let names = std::fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut found = names.filter(|name| name.starts_with(&prefix[2..]));
        let only = found.next()?;
        found.next().is_none().then(|| format!("{}{only}", &prefix[..2]))
    }

    fn read_packed(&self, repository: u64, oid: &str) -> Result<(Kind, Vec<u8>), GitError> {
        let failed = |source| GitError::Run { command: "cat-file".to_owned(), source };
        let mut command = Command::new("git");
        command.args(["cat-file", "--batch"]).current_dir(self.dir(repository)).env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(format!("{oid}\n").as_bytes()).map_err(failed)?;
        }
        let output = child.wait_with_output().map_err(failed)?.stdout;
        let missing = || GitError::Missing(oid.to_owned());
        let line = output.iter().position(|byte| *byte == b'\n').ok_or_else(missing)?;
        let header = String::from_utf8_lossy(&output[..line]).into_owned();
        let [_, kind, size] = header.split(' ').collect::<Vec<_>>()[..] else { return Err(missing()) };
        let kind = Kind::parse(kind).ok_or_else(missing)?;
        let size: usize = size.parse().map_err(|_| missing())?;
        let body = output.get(line + 1..line + 1 + size).ok_or_else(missing)?;
        Ok((kind, body.to_vec()))
    }
}

fn split_header(mut bytes: Vec<u8>) -> Option<(Kind, Vec<u8>)> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let header = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let (kind, _) = header.split_once(' ')?;
    let kind = Kind::parse(kind)?;
    Some((kind, bytes.split_off(end + 1)))
}

fn parse_tree(mut bytes: &[u8]) -> Option<Vec<TreeEntry>> {
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let header = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let (mode, name) = header.split_once(' ')?;
        let oid = bytes.get(end + 1..end + 21)?;
        entries.push(TreeEntry { mode: mode.to_owned(), name: name.to_owned(), oid: hex::encode(oid) });
        bytes = &bytes[end + 21..];
    }
    Some(entries)
}
