//! What verbs read: files, or standard input where `-` is given. Everything has a bound, and what cannot be read is named.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use greenlight_workflow::Value;

/// What stands for standard input.
pub const STANDARD_INPUT: &str = "-";

/// How many bytes of JSON are read: as much as GitHub sends with an event.
pub const JSON_BYTES_MAX: u64 = 25 << 20;

/// Why something was not read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It is not there, or not readable.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// What was to be read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is too large.
    #[error("{} is larger than {max} bytes", .path.display())]
    TooLarge {
        /// What was to be read.
        path: PathBuf,
        /// The bound.
        max: u64,
    },
    /// It is no text.
    #[error("{} is not UTF-8", .path.display())]
    NotText {
        /// What was to be read.
        path: PathBuf,
    },
    /// It is no JSON.
    #[error("{} is no JSON", .path.display())]
    NotJson {
        /// What was to be read.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: greenlight_workflow::JsonError,
    },
}

impl InputError {
    /// Says whether the file is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, InputError::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

/// Reads at most `max` bytes and one more, so that whoever has a bound of its own sees that it is passed.
pub fn bytes(path: &Path, max: u64) -> Result<Vec<u8>, InputError> {
    let unreadable = |source| InputError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let count = if path.as_os_str() == STANDARD_INPUT {
        std::io::stdin().lock().take(max + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(max + 1).read_to_end(&mut bytes))
    };
    count.map(|_| bytes).map_err(unreadable)
}

/// Reads a text of at most `max` bytes.
pub fn text(path: &Path, max: u64) -> Result<String, InputError> {
    let bytes = bytes(path, max)?;
    if bytes.len() as u64 > max {
        return Err(InputError::TooLarge { path: path.to_owned(), max });
    }
    String::from_utf8(bytes).map_err(|_| InputError::NotText { path: path.to_owned() })
}

/// Reads a JSON value.
pub fn json(path: &Path) -> Result<Value, InputError> {
    let text = text(path, JSON_BYTES_MAX)?;
    Value::from_json(&text).map_err(|source| InputError::NotJson { path: path.to_owned(), source })
}

/// Returns a value of the language as JSON for an answer.
pub fn to_json(value: &Value) -> serde_json::Value {
    serde_json::from_str(&value.to_json()).expect("the language writes JSON")
}
