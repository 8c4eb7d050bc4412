//! Where workflows are: the files that were named, those of the repository one stands in, those that they call.

use std::path::{Path, PathBuf};

use greenlight_workflow::yaml::SIZE_MAX;
use greenlight_workflow::{CallRef, CallSource, CalledFile, Finding, Span};

use crate::cli::input::{self, InputError};

/// The folders of workflows, the first that is there counts.
const FOLDERS: [&str; 2] = [".greenlight/workflows", ".github/workflows"];

/// How many workflows of a repository are looked at.
const FILES_MAX: usize = 1_000;

/// A reusable workflow that was given by hand.
#[derive(Clone, Debug)]
pub struct Given {
    /// What `uses:` says.
    pub reference: String,
    /// The file.
    pub path: PathBuf,
}

/// Reads `REF=FILE`.
pub fn given(text: &str) -> Result<Given, String> {
    let (reference, path) = text.rsplit_once('=').ok_or("write REF=FILE, as ./.github/workflows/x.yml=x.yml")?;
    Ok(Given { reference: reference.to_owned(), path: path.into() })
}

/// Reads a workflow as the server does: what is not UTF-8 becomes replacement characters, and one that is longer than it may
/// be is seen to be so by the reader.
pub fn read(path: &Path) -> Result<String, InputError> {
    read_with_doubts(path).map(|(text, _)| text)
}

/// Reads a workflow, with a warning about the first byte of it that is not UTF-8.
pub fn read_with_doubts(path: &Path) -> Result<(String, Option<Finding>), InputError> {
    let bytes = input::bytes(path, SIZE_MAX as u64)?;
    if bytes.len() > SIZE_MAX {
        return Ok((String::from_utf8_lossy(&bytes).into_owned(), None));
    }
    let doubt = std::str::from_utf8(&bytes).err().map(|error| not_utf_8(&bytes, error.valid_up_to()));
    Ok((String::from_utf8_lossy(&bytes).into_owned(), doubt))
}

fn not_utf_8(bytes: &[u8], at: usize) -> Finding {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() as u32 + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() as u32 + 1;
    let span = Span { line, column, end_line: line, end_column: column + 1 };
    let message = format!("Byte {} of the file, 0x{:02x}, is not UTF-8; it is read as '\u{fffd}'", at + 1, bytes[at]);
    Finding::warning("not-utf-8", span, message).with_help("save the file as UTF-8")
}

/// Returns the repository that a folder is in.
pub fn repository(from: &Path) -> Option<PathBuf> {
    let is_root =
        |folder: &&Path| folder.join(".git").exists() || FOLDERS.iter().any(|name| folder.join(name).is_dir());
    from.ancestors().find(is_root).map(Path::to_path_buf)
}

/// Returns the workflows of a repository, in the order of their names.
pub fn workflows(root: &Path) -> Vec<PathBuf> {
    let Some(folder) = FOLDERS.iter().map(|name| root.join(name)).find(|folder| folder.is_dir()) else {
        return Vec::new();
    };
    let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let is_workflow =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "yml" || end == "yaml") && path.is_file();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_workflow).collect();
    files.sort();
    files.truncate(FILES_MAX);
    files
}

/// Returns a path as it is shown: relative to where one stands.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}

/// The workflows that others call.
pub struct Called<'a> {
    given: &'a [Given],
    /// The repository of the file that is looked at, where its place tells.
    root: Option<PathBuf>,
}

impl<'a> Called<'a> {
    /// Returns what the file at this path can call: what was given by hand, and the workflows beside it.
    pub fn of(path: &Path, given: &'a [Given]) -> Called<'a> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let folder = absolute.parent().unwrap_or(Path::new(""));
        let root = FOLDERS.iter().find_map(|name| {
            let depth = Path::new(name).components().count();
            folder.ends_with(name).then(|| folder.ancestors().nth(depth).map(Path::to_path_buf))?
        });
        Called { given, root }
    }

    /// Returns what a reference in the file of this path means.
    pub fn find(&self, caller: &str, reference: &CallRef) -> CallSource {
        let name = reference.to_string();
        if let Some(given) = self.given.iter().find(|given| given.reference == name) {
            let text = read(&given.path).ok();
            return text.map(|text| CalledFile { path: name, text }).into();
        }
        let is_of_another = self.given.iter().any(|given| given.reference == caller && !caller.starts_with("./"));
        match (reference, &self.root) {
            (CallRef::Local(path), Some(root)) if !is_of_another => {
                let file = root.join(path);
                let is_inside = !Path::new(path).components().any(|part| part == std::path::Component::ParentDir);
                let text = is_inside.then(|| read(&file).ok()).flatten();
                text.map(|text| CalledFile { path: shown(&file), text }).into()
            }
            _ => CallSource::Elsewhere,
        }
    }
}
