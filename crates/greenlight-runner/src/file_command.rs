//! The files that a step writes to speak to the runner: `GITHUB_ENV`, `GITHUB_OUTPUT`, `GITHUB_PATH`, `GITHUB_STATE`,
//! `GITHUB_STEP_SUMMARY`, `GITHUB_ARTIFACTS`. They are new for each step and read after it, also when it failed.

use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::workspace::write_new;

/// How large such a file may be.
pub const FILE_BYTES_MAX: u64 = 1 << 20;

/// The files, by the name of their variable.
pub(crate) const FILES: [&str; 6] = ["artifacts", "env", "output", "path", "state", "step_summary"];

/// What is wrong with such a file, in GitHub's words where it has some.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FileError {
    /// A line is neither `name=value` nor `name<<delimiter`.
    #[error("Invalid format '{0}'")]
    Format(String),
    /// There is no name.
    #[error("Invalid format '{0}'. Name must not be empty")]
    Name(String),
    /// There is no name or no delimiter.
    #[error("Invalid format '{0}'. Name must not be empty and delimiter must not be empty")]
    NameOrDelimiter(String),
    /// The value never ends.
    #[error("Invalid value. Matching delimiter not found '{0}'")]
    Delimiter(String),
    /// The last line does not end.
    #[error("Invalid value. EOF value must end with a newline")]
    NoNewline,
    /// It is too large.
    #[error("the file is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge,
    /// It is not text.
    #[error("the file is not UTF-8")]
    NotText,
    /// It is no file any more.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

/// The number of a job's first step.
pub(crate) const FIRST_STEP: u32 = 1;

/// The files of one step.
#[derive(Debug)]
pub(crate) struct StepFiles {
    folder: PathBuf,
    number: u32,
}

impl StepFiles {
    /// Makes the files of the step of this number in `folder`.
    pub(crate) fn create(folder: &Path, number: u32) -> std::io::Result<Self> {
        let files = Self { folder: folder.to_owned(), number };
        for name in FILES {
            write_new(&files.path(name), b"")?;
        }
        Ok(files)
    }

    /// Returns the files of a step that were made ahead.
    pub(crate) fn made_ahead(folder: &Path, number: u32) -> Self {
        Self { folder: folder.to_owned(), number }
    }

    /// Returns the number of the step.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Returns the path of one of them.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("_{name}_{}", self.number))
    }

    /// Reads names and values.
    pub(crate) fn pairs(&self, name: &str) -> Result<Vec<(String, String)>, FileError> {
        parse_pairs(&self.text(name)?)
    }

    /// Reads lines that are not empty.
    pub(crate) fn lines(&self, name: &str) -> Result<Vec<String>, FileError> {
        Ok(self.text(name)?.split('\n').filter(|line| !line.is_empty()).map(str::to_owned).collect())
    }

    /// Reads all of it.
    pub(crate) fn text(&self, name: &str) -> Result<String, FileError> {
        let unreadable = |error: std::io::Error| FileError::Unreadable(error.to_string());
        // The step may have put anything in its place: what is no plain file is not opened for long, and not followed.
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW;
        let mut options = std::fs::OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = match options.open(self.path(name)) {
            // A step that removes the file has nothing to say.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(String::new()),
            file => file.map_err(unreadable)?,
        };
        let found = file.metadata().map_err(unreadable)?;
        if !found.is_file() {
            return Err(FileError::Unreadable("it is not a file any more".into()));
        }
        if found.len() == 0 {
            return Ok(String::new());
        }
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(FileError::TooLarge);
        }
        String::from_utf8(bytes).map_err(|_| FileError::NotText)
    }

    /// Removes them.
    pub(crate) fn remove(&self) {
        for name in FILES {
            // What stays goes with the workspace.
            let _ = std::fs::remove_file(self.path(name));
        }
    }
}

/// Reads `name=value` lines and `name<<delimiter` blocks.
fn parse_pairs(text: &str) -> Result<Vec<(String, String)>, FileError> {
    let mut pairs = Vec::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(raw) = lines.next() {
        let line = raw.strip_suffix('\n').unwrap_or(raw);
        if line.is_empty() {
            continue;
        }
        match (line.find('='), line.find("<<")) {
            (Some(equals), block) if block.is_none_or(|block| equals < block) => {
                if equals == 0 {
                    return Err(FileError::Name(line.to_owned()));
                }
                pairs.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
            }
            (_, Some(block)) => {
                let (name, delimiter) = (&line[..block], &line[block + 2..]);
                if name.is_empty() || delimiter.is_empty() {
                    return Err(FileError::NameOrDelimiter(line.to_owned()));
                }
                pairs.push((name.to_owned(), parse_block(&mut lines, delimiter)?));
            }
            _ => return Err(FileError::Format(line.to_owned())),
        }
    }
    Ok(pairs)
}

fn parse_block<'a>(lines: &mut impl Iterator<Item = &'a str>, delimiter: &str) -> Result<String, FileError> {
    let mut value = String::new();
    for raw in lines {
        let line = raw.strip_suffix('\n');
        if line.unwrap_or(raw) == delimiter {
            value.pop();
            return Ok(value);
        }
        if line.is_none() {
            return Err(FileError::NoNewline);
        }
        value.push_str(raw);
    }
    Err(FileError::Delimiter(delimiter.to_owned()))
}

/// May a step set this variable for the steps after it? Those that change what later programs load, and our own, it may not (S5).
/// `LD_LIBRARY_PATH` it may: actions that install a language set it for its libraries.
pub(crate) fn may_be_set(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let is_ours = name.starts_with("GITHUB_") || name.starts_with("RUNNER_") || name.starts_with("GREENLIGHT");
    let loads = name == "NODE_OPTIONS" || (name.starts_with("LD_") && name != "LD_LIBRARY_PATH");
    !is_ours && !loads && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse_pairs(text).unwrap()
    }

    fn own(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn lines_and_blocks_are_read() {
        assert_eq!(pairs("a=1\n\nb=x=y<<z\nc="), [own("a", "1"), own("b", "x=y<<z"), own("c", "")]);
        assert_eq!(pairs("a<<END\none\n\ntwo=2\nEND\nb=1\n"), [own("a", "one\n\ntwo=2"), own("b", "1")]);
        assert_eq!(pairs("a<<END\nEND"), [own("a", "")], "the delimiter itself need not end");
        assert_eq!(pairs("a<<E=D\nx\nE=D\n"), [own("a", "x")]);
        assert_eq!(pairs("a=1\r\n"), [own("a", "1\r")], "only LF ends a line");
        assert_eq!(pairs("a<<E\n\nE\n"), [own("a", "")]);
        assert_eq!(pairs(""), []);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert_eq!(parse_pairs("nothing\n"), Err(FileError::Format("nothing".into())));
        assert_eq!(parse_pairs("=x\n"), Err(FileError::Name("=x".into())));
        assert_eq!(parse_pairs("<<END\nEND\n"), Err(FileError::NameOrDelimiter("<<END".into())));
        assert_eq!(parse_pairs("a<<\n"), Err(FileError::NameOrDelimiter("a<<".into())));
        assert_eq!(parse_pairs("a<<END\nx\n"), Err(FileError::Delimiter("END".into())));
        assert_eq!(parse_pairs("a<<END\nx"), Err(FileError::NoNewline));
    }

    #[test]
    fn a_file_that_became_something_else_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let files = StepFiles::create(folder.path(), 1).unwrap();
        std::fs::write(files.path("env"), "A=1\n").unwrap();
        assert_eq!(files.pairs("env").unwrap(), [own("A", "1")]);
        std::fs::remove_file(files.path("env")).unwrap();
        assert_eq!(files.pairs("env").unwrap(), []);
        std::os::unix::fs::symlink("/etc/hostname", files.path("env")).unwrap();
        assert!(matches!(files.pairs("env"), Err(FileError::Unreadable(_))));
        std::fs::remove_file(files.path("env")).unwrap();
        std::fs::create_dir(files.path("env")).unwrap();
        assert!(matches!(files.pairs("env"), Err(FileError::Unreadable(_))));
        std::fs::write(files.path("output"), "x".repeat(FILE_BYTES_MAX as usize + 1)).unwrap();
        assert_eq!(files.pairs("output"), Err(FileError::TooLarge));
    }

    #[test]
    fn some_variables_are_nobodys_to_set() {
        for name in ["NODE_OPTIONS", "GITHUB_SHA", "runner_temp", "LD_PRELOAD", "GREENLIGHT"] {
            assert!(!may_be_set(name), "{name}");
        }
        assert!(may_be_set("PATH_EXTRA") && may_be_set("LD_LIBRARY_PATH") && may_be_set("MY_GITHUB_X"));
    }
}
