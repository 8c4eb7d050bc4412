//! The files of a commit that matter: workflows, `.greenlight.yml`, and whether there is a `script/cibuild`.
//!
//! A file that is too large to be a workflow is not left out, which would look as if it were not there: its text is replaced by
//! one line that is no workflow and says why, and that the reader of the file shows with a caret under it. The same goes for a
//! folder with too many files.

use std::sync::Arc;

use greenlight_core::event::CommitFiles;

use crate::error::GitError;
use crate::mirror::Mirror;
use crate::objects::{Commit, Entry, Kind, MODE_EXECUTABLE, MODE_FILE, Object, tree_entries};

/// How large a workflow or `.greenlight.yml` may be.
pub const FILE_BYTES_MAX: u64 = 512 << 10;

/// How many workflows a commit may have.
pub const WORKFLOWS_MAX: usize = 500;

/// How large a folder's listing may be.
const FOLDER_BYTES_MAX: u64 = 4 << 20;

/// Ours, and where they are not, GitHub's.
const WORKFLOW_FOLDERS: [&str; 2] = [".greenlight/workflows", ".github/workflows"];

const CONFIG_FILES: [&str; 2] = [".greenlight.yml", ".greenlight.yaml"];

type NamedText = (Arc<str>, Arc<str>);

/// Reads what matters of a commit's files.
pub(crate) async fn commit_files(mirror: &Mirror, commit: &Commit) -> Result<CommitFiles, GitError> {
    let tree = commit.tree;
    let paths = [WORKFLOW_FOLDERS[0], WORKFLOW_FOLDERS[1], "script"];
    let folders = mirror.read(&paths.map(|path| format!("{tree}:{path}")), FOLDER_BYTES_MAX).await?;
    let folder = |index: usize| folders.get(index).and_then(|object| object.data(Kind::Tree)).and_then(tree_entries);
    let has_own = !matches!(folders.first(), None | Some(Object::Missing));
    let chosen = usize::from(!has_own);
    let workflows = match folders.get(chosen) {
        Some(Object::TooLarge(found)) => {
            vec![(WORKFLOW_FOLDERS[chosen].into(), too_large("folder", found.size, FOLDER_BYTES_MAX))]
        }
        _ => workflows(mirror, WORKFLOW_FOLDERS[chosen], &folder(chosen).unwrap_or_default()).await?,
    };
    let is_cibuild = |entry: &Entry| entry.name == "cibuild" && entry.mode == MODE_EXECUTABLE;
    Ok(CommitFiles {
        sha: commit.id,
        tree,
        message: commit.message.as_str().into(),
        workflows,
        called: Vec::new(),
        config: config(mirror, commit).await?,
        cibuild: folder(2).is_some_and(|entries| entries.iter().any(is_cibuild)),
        changed_paths: None,
    })
}

async fn workflows(mirror: &Mirror, folder: &str, entries: &[Entry]) -> Result<Vec<NamedText>, GitError> {
    let is_workflow = |entry: &&Entry| {
        let is_yaml = entry.name.ends_with(".yml") || entry.name.ends_with(".yaml");
        is_yaml && matches!(entry.mode, MODE_FILE | MODE_EXECUTABLE)
    };
    let mut files: Vec<&Entry> = entries.iter().filter(is_workflow).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let count = files.len();
    files.truncate(WORKFLOWS_MAX);
    let ids: Vec<String> = files.iter().map(|file| file.id.to_string()).collect();
    let objects = mirror.read(&ids, FILE_BYTES_MAX).await?;
    let named = files
        .iter()
        .zip(&objects)
        .filter_map(|(file, object)| Some((format!("{folder}/{}", file.name).into(), text(object)?)));
    let mut workflows: Vec<NamedText> = named.collect();
    if count > WORKFLOWS_MAX {
        let why =
            format!("greenlight-cannot-read: 'the folder has {count} workflows; at most {WORKFLOWS_MAX} are read'\n");
        workflows.push((folder.into(), why.into()));
    }
    Ok(workflows)
}

async fn config(mirror: &Mirror, commit: &Commit) -> Result<Option<NamedText>, GitError> {
    let objects = mirror.read(&CONFIG_FILES.map(|path| format!("{}:{path}", commit.tree)), FILE_BYTES_MAX).await?;
    let mut named = CONFIG_FILES.iter().zip(&objects);
    Ok(named.find_map(|(path, object)| Some(((*path).into(), text(object)?))))
}

/// Returns the text, or what stands for it.
fn text(object: &Object) -> Option<Arc<str>> {
    match object {
        Object::TooLarge(found) if found.kind == Kind::Blob => Some(too_large("file", found.size, FILE_BYTES_MAX)),
        _ => object.data(Kind::Blob).map(|data| String::from_utf8_lossy(data).into()),
    }
}

fn too_large(what: &str, size: u64, max: u64) -> Arc<str> {
    format!("greenlight-cannot-read: 'the {what} has {size} bytes; at most {max} are read'\n").into()
}
