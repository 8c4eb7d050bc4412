//! Reading objects: one `git cat-file --batch-command` for each mirror, kept, so that reading a commit's files starts no process.
//!
//! Sizes are asked before contents, so that a huge file costs a line and not its bytes. An answer that breaks off (a timeout, a
//! caller that went away) would put question and answer out of step: the process is put back only after the last answer was
//! read whole.

use std::time::Duration;

use greenlight_core::id::Sha;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};

use crate::error::GitError;
use crate::program::{Call, Running};

const WHAT: &str = "cat-file";

/// How long a batch of questions may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How many questions are asked before the answers are read: both ways fit into a pipe.
const QUESTIONS_MAX: usize = 128;

/// How long a line of an answer may be.
const LINE_MAX: u64 = 8 << 10;

/// What kind an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

/// That there is such an object, and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) id: Sha,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
}

/// What reading an object gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Object {
    /// There is none of this name.
    Missing,
    /// It is larger than what was asked for.
    TooLarge(Found),
    /// Here it is.
    Whole(Found, Vec<u8>),
}

impl Object {
    /// Returns the bytes, where it is of this kind.
    pub(crate) fn data(&self, kind: Kind) -> Option<&[u8]> {
        match self {
            Self::Whole(found, data) if found.kind == kind => Some(data),
            _ => None,
        }
    }
}

/// The kept process.
#[derive(Debug)]
pub(crate) struct Reader {
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
    _process: Running,
}

impl Reader {
    /// Starts the process.
    pub(crate) fn start(call: Call<'_>) -> Result<Self, GitError> {
        let mut process = call.args(["cat-file", "--batch-command"]).keep()?;
        let questions = process.child.stdin.take().expect("the input is piped");
        let answers = BufReader::new(process.child.stdout.take().expect("the output is piped"));
        Ok(Self { questions, answers, _process: process })
    }

    /// Tells which of these names are objects.
    pub(crate) async fn find<N: AsRef<str>>(&mut self, names: &[N]) -> Result<Vec<Option<Found>>, GitError> {
        bounded(self.ask_for_sizes(names)).await
    }

    /// Reads the objects of these names that have up to `max` bytes.
    pub(crate) async fn read<N: AsRef<str>>(&mut self, names: &[N], max: u64) -> Result<Vec<Object>, GitError> {
        bounded(async {
            let mut objects = Vec::with_capacity(names.len());
            for found in self.ask_for_sizes(names).await? {
                objects.push(match found {
                    None => Object::Missing,
                    Some(found) if found.size > max => Object::TooLarge(found),
                    Some(found) => Object::Whole(found, self.ask_for_contents(&found).await?),
                });
            }
            Ok(objects)
        })
        .await
    }

    async fn ask_for_sizes<N: AsRef<str>>(&mut self, names: &[N]) -> Result<Vec<Option<Found>>, GitError> {
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(QUESTIONS_MAX) {
            let questions: String = names.iter().map(|name| format!("info {}\n", name.as_ref())).collect();
            self.questions.write_all(questions.as_bytes()).await.map_err(broken)?;
            for name in names {
                found.push(self.answer(name.as_ref()).await?);
            }
        }
        Ok(found)
    }

    async fn ask_for_contents(&mut self, object: &Found) -> Result<Vec<u8>, GitError> {
        self.questions.write_all(format!("contents {}\n", object.id).as_bytes()).await.map_err(broken)?;
        let again = self.answer("contents").await?;
        if again.as_ref() != Some(object) {
            return Err(GitError::Answer { what: WHAT, line: format!("{} changed while it was read", object.id) });
        }
        let size = usize::try_from(object.size).expect("the size was compared with a bound");
        // The contents end with a newline of git's own.
        let mut data = vec![0; size + 1];
        self.answers.read_exact(&mut data).await.map_err(broken)?;
        data.pop();
        Ok(data)
    }

    async fn answer(&mut self, name: &str) -> Result<Option<Found>, GitError> {
        let mut line = String::new();
        (&mut self.answers).take(LINE_MAX).read_line(&mut line).await.map_err(broken)?;
        let Some(line) = line.strip_suffix('\n') else {
            return Err(broken(std::io::ErrorKind::UnexpectedEof.into()));
        };
        if line.strip_prefix(name).is_some_and(|rest| rest == " missing" || rest == " ambiguous") {
            return Ok(None);
        }
        let mut words = line.split(' ');
        match (words.next().map(Sha::parse), words.next(), words.next().map(str::parse)) {
            (Some(Ok(id)), Some(kind), Some(Ok(size))) => match kind_of(kind) {
                Some(kind) => Ok(Some(Found { id, kind, size })),
                None => Err(GitError::Answer { what: WHAT, line: line.to_owned() }),
            },
            // A submodule has a name here and no object.
            (Some(Ok(_)), Some("submodule" | "missing"), None) => Ok(None),
            _ => Err(GitError::Answer { what: WHAT, line: line.to_owned() }),
        }
    }
}

fn kind_of(word: &str) -> Option<Kind> {
    match word {
        "commit" => Some(Kind::Commit),
        "tree" => Some(Kind::Tree),
        "blob" => Some(Kind::Blob),
        "tag" => Some(Kind::Tag),
        _ => None,
    }
}

fn broken(source: std::io::Error) -> GitError {
    GitError::Process { what: WHAT, source }
}

async fn bounded<T>(work: impl Future<Output = Result<T, GitError>>) -> Result<T, GitError> {
    tokio::time::timeout(ANSWER_TIMEOUT, work)
        .await
        .unwrap_or(Err(GitError::TimedOut { what: WHAT, after: ANSWER_TIMEOUT }))
}

/// A commit's parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: Sha,
    pub(crate) tree: Sha,
    pub(crate) parents: Vec<Sha>,
    /// Seconds since the epoch, as the committer said.
    pub(crate) committed_at: i64,
    pub(crate) message: String,
}

impl Commit {
    /// Reads a commit object.
    pub(crate) fn parse(object: &Object) -> Option<Self> {
        let Object::Whole(found, data) = object else { return None };
        if found.kind != Kind::Commit {
            return None;
        }
        let text = String::from_utf8_lossy(data);
        let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
        let line = |word| head.lines().find_map(move |line| line.strip_prefix(word));
        let parents =
            head.lines().filter_map(|line| line.strip_prefix("parent ")).filter_map(|sha| Sha::parse(sha).ok());
        let committed_at =
            line("committer ").and_then(|line| line.rsplit(' ').nth(1)).and_then(|time| time.parse().ok());
        Some(Self {
            id: found.id,
            tree: Sha::parse(line("tree ")?).ok()?,
            parents: parents.collect(),
            committed_at: committed_at.unwrap_or(0),
            message: message.to_owned(),
        })
    }
}

/// One line of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) mode: u32,
    pub(crate) name: String,
    pub(crate) id: Sha,
}

/// An ordinary file.
pub(crate) const MODE_FILE: u32 = 0o100_644;

/// A file that may be run.
pub(crate) const MODE_EXECUTABLE: u32 = 0o100_755;

/// A folder.
pub(crate) const MODE_FOLDER: u32 = 0o040_000;

/// A commit of another repository, which is not in this one.
pub(crate) const MODE_SUBMODULE: u32 = 0o160_000;

/// Reads a tree object: mode, name and id, one after the other.
pub(crate) fn tree_entries(mut data: &[u8]) -> Option<Vec<Entry>> {
    let mut entries = Vec::new();
    while !data.is_empty() {
        let space = data.iter().position(|&byte| byte == b' ')?;
        let end = data.iter().position(|&byte| byte == 0)?;
        let mode = u32::from_str_radix(std::str::from_utf8(&data[..space]).ok()?, 8).ok()?;
        let name = String::from_utf8_lossy(data.get(space + 1..end)?).into_owned();
        let id = data.get(end + 1..end + 21)?;
        entries.push(Entry { mode, name, id: Sha::from_bytes(id.try_into().ok()?) });
        data = &data[end + 21..];
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_breaks_off_is_none() {
        let mut data = b"100755 cibuild\0".to_vec();
        data.extend([7; 20]);
        let entries = tree_entries(&data).unwrap();
        assert_eq!(entries, [Entry { mode: MODE_EXECUTABLE, name: "cibuild".into(), id: Sha::from_bytes([7; 20]) }]);
        assert_eq!(tree_entries(&data[..data.len() - 1]), None);
        assert_eq!(tree_entries(b"rubbish"), None);
        assert_eq!(tree_entries(b"").unwrap(), []);
    }

    #[test]
    fn a_commit_is_read_to_its_message() {
        let data = b"tree 1111111111111111111111111111111111111111\nparent 2222222222222222222222222222222222222222\n\
                     author A <a@x> 1 +0000\ncommitter C <c@x> 1700000000 +0200\n\nSubject\n\nBody [skip ci]\n";
        let found = Found { id: Sha::ZERO, kind: Kind::Commit, size: data.len() as u64 };
        let commit = Commit::parse(&Object::Whole(found, data.to_vec())).unwrap();
        assert_eq!(commit.committed_at, 1_700_000_000);
        assert_eq!(commit.parents.len(), 1);
        assert_eq!(commit.message, "Subject\n\nBody [skip ci]\n");
    }
}
