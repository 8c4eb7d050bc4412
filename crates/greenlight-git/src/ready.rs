//! A checked-out tree that lies ready for a repository's next job.
//!
//! Writing thousands of files is what a checkout takes its time for. So behind each checkout of a large tree another one is made,
//! in a folder that no job ever sees; the next job gets its files by a few renames, and git brings them from that commit to the one that
//! is wanted, which mostly differs little. Where a tree cannot be moved (another file system), or has files whose attributes the
//! wanted commit changes (git would leave them as they are), the job gets a checkout as if there were none.
//!
//! Of git's own folder only the index is kept: what names programs to run, or refs, or objects, is written anew for each job.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::mirror::{remove_tree, unique};

/// How many files make a tree worth keeping: a small one is written as quickly as it is moved.
const FILES_MIN: u32 = 200;

/// How many files a tree has at most that is kept.
const FILES_MAX: u32 = 200_000;

/// The largest index that is read.
const INDEX_BYTES_MAX: u64 = 256 << 20;

/// How many repositories have a tree that lies ready: those that were checked out last.
pub(crate) const TREES_MAX: usize = 8;

/// What the folder of a repository's tree ends with, beside its mirror.
pub(crate) const EXTENSION: &str = "ready";

/// The name of the tree that is whole.
const WHOLE: &str = "tree";

/// Where the tree of one repository lies.
pub(crate) struct Ready {
    folder: PathBuf,
    /// Held by whoever makes one.
    making: Arc<Mutex<()>>,
}

/// The files that say how others are written, each with its content's name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Attributes(Vec<(Vec<u8>, [u8; 20])>);

impl Ready {
    pub(crate) fn beside(mirror: &Path) -> Self {
        Self { folder: mirror.with_extension(EXTENSION), making: Arc::default() }
    }

    /// Moves the tree into an empty folder. Returns what says whether it can be used; nothing where no tree lies ready. After an error the
    /// folder may hold a part of it.
    pub(crate) async fn take(&self, dest: &Path) -> io::Result<Option<Attributes>> {
        let (folder, dest) = (self.folder.clone(), dest.to_owned());
        let taken = spawn_blocking(move || {
            let own = folder.join(format!("{:x}", unique()));
            // Of two who want it one gets it.
            match fs::rename(folder.join(WHOLE), &own) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                renamed => renamed?,
            }
            let moved = fs::read_dir(&own).and_then(|mut entries| {
                entries.try_for_each(|entry| {
                    let entry = entry?;
                    fs::rename(entry.path(), dest.join(entry.file_name()))
                })
            });
            fs::remove_dir_all(&own)?;
            moved.map(|()| attributes_in(&dest))
        });
        taken.await.map_err(io::Error::other)?
    }

    /// Makes a tree with what fills an empty folder, where none lies there and nobody else makes one. Returns the folder of the trees, where
    /// one is there now.
    pub(crate) async fn make<E>(&self, fill: impl AsyncFnOnce(&Path) -> Result<(), E>) -> io::Result<Option<PathBuf>>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let Ok(_turn) = self.making.try_lock() else { return Ok(None) };
        let whole = self.folder.join(WHOLE);
        if tokio::fs::try_exists(&whole).await? {
            return Ok(None);
        }
        let made = self.folder.join(format!("{:x}", unique()));
        tokio::fs::create_dir_all(&made).await?;
        let filled = match fill(&made).await {
            Ok(()) => strip(&made).await,
            Err(error) => Err(io::Error::other(error)),
        };
        let kept = match filled {
            Ok(()) => tokio::fs::rename(&made, &whole).await,
            Err(error) => Err(error),
        };
        if kept.is_err() {
            remove_tree(&made).await?;
        }
        kept.map(|()| Some(self.folder.clone()))
    }
}

/// Is the tree of this clone worth keeping?
pub(crate) fn is_worth_it(clone: &Path) -> bool {
    use std::io::Read as _;
    let mut head = [0; 12];
    let read = fs::File::open(clone.join(".git/index")).and_then(|mut index| index.read_exact(&mut head));
    let files = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    read.is_ok() && (FILES_MIN..=FILES_MAX).contains(&files)
}

/// Leaves nothing of a clone's `.git` but the index.
async fn strip(clone: &Path) -> io::Result<()> {
    let (git_dir, aside) = (clone.join(".git"), clone.with_extension("git"));
    spawn_blocking(move || {
        fs::rename(&git_dir, &aside)?;
        fs::create_dir(&git_dir)?;
        fs::rename(aside.join("index"), git_dir.join("index"))?;
        fs::remove_dir_all(&aside)
    })
    .await
    .map_err(io::Error::other)?
}

/// Reads which attributes the files of a clone were written with; nothing where its index is of no kind that is known.
pub(crate) fn attributes_in(clone: &Path) -> Option<Attributes> {
    let path = clone.join(".git/index");
    if fs::metadata(&path).ok()?.len() > INDEX_BYTES_MAX {
        return None;
    }
    attributes_of(&fs::read(path).ok()?).map(Attributes)
}

/// Reads the entries of an index (git's `index-format`, versions 2 and 3).
fn attributes_of(index: &[u8]) -> Option<Vec<(Vec<u8>, [u8; 20])>> {
    const HEAD: usize = 12;
    const EXTENDED: u16 = 0x4000;
    let word = |at: usize| Some(u32::from_be_bytes(index.get(at..at + 4)?.try_into().ok()?));
    if index.get(..4)? != b"DIRC" || !(2..=3).contains(&word(4)?) {
        return None;
    }
    let (mut found, mut at) = (Vec::new(), HEAD);
    for _ in 0..word(8)? {
        let name: [u8; 20] = index.get(at + 40..at + 60)?.try_into().ok()?;
        let flags = u16::from_be_bytes(index.get(at + 60..at + 62)?.try_into().ok()?);
        let begin = at + if flags & EXTENDED == 0 { 62 } else { 64 };
        let length = index.get(begin..)?.iter().position(|byte| *byte == 0)?;
        let path = &index[begin..begin + length];
        if path.ends_with(b".gitattributes") {
            found.push((path.to_vec(), name));
        }
        // An entry ends with one to eight zero bytes, so that the next one begins at a multiple of eight from here.
        at += (begin - at + length + 8) & !7;
    }
    Some(found)
}
