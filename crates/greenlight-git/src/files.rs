//! The files of a commit that matter: workflows, `.greenlight.yml`, and whether there is a `script/cibuild`.
//!
//! A file that is too large to be a workflow is not left out, which would look as if it were not there: its text is replaced by
//! one line that is no workflow and says why, and that the reader of the file repeats. The same goes for a folder with too many
//! files.

use std::sync::Arc;

use greenlight_core::event::{CommitFiles, unread};
use greenlight_core::id::Sha;

use crate::error::GitError;
use crate::mirror::Mirror;
use crate::objects::{
    Commit, Entry, Kind, MODE_EXECUTABLE, MODE_FILE, MODE_FOLDER, MODE_SUBMODULE, Object, tree_entries,
};

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
    let configs = mirror.read(&CONFIG_FILES.map(|path| format!("{tree}:{path}")), FILE_BYTES_MAX).await?;
    let read = paths.iter().zip(&folders).chain(CONFIG_FILES.iter().zip(&configs));
    are_absent(mirror, tree, read.filter(|(_, object)| **object == Object::Missing).map(|(path, _)| *path)).await?;
    let workflows = match folders.get(chosen) {
        Some(Object::TooLarge(found)) => {
            vec![(WORKFLOW_FOLDERS[chosen].into(), too_large("folder", found.size, FOLDER_BYTES_MAX))]
        }
        _ => workflows(mirror, tree, WORKFLOW_FOLDERS[chosen], &folder(chosen).unwrap_or_default()).await?,
    };
    let is_cibuild = |entry: &Entry| entry.name == "cibuild" && entry.mode == MODE_EXECUTABLE;
    Ok(CommitFiles {
        sha: commit.id,
        tree,
        message: commit.message.as_str().into(),
        workflows,
        called: Vec::new(),
        elsewhere: Vec::new(),
        config: CONFIG_FILES.iter().zip(&configs).find_map(|(path, object)| Some(((*path).into(), text(object)?))),
        cibuild: folder(2).is_some_and(|entries| entries.iter().any(is_cibuild)),
        changed_paths: None,
    })
}

async fn workflows(mirror: &Mirror, tree: Sha, folder: &str, entries: &[Entry]) -> Result<Vec<NamedText>, GitError> {
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
    if let Some((file, _)) = files.iter().zip(&objects).find(|(_, object)| **object == Object::Missing) {
        return Err(GitError::Incomplete { tree, path: format!("{folder}/{}", file.name) });
    }
    let named = files
        .iter()
        .zip(&objects)
        .filter_map(|(file, object)| Some((format!("{folder}/{}", file.name).into(), text(object)?)));
    let mut workflows: Vec<NamedText> = named.collect();
    if count > WORKFLOWS_MAX {
        let why = format!("the folder has {count} workflows; at most {WORKFLOWS_MAX} are read");
        workflows.push((folder.into(), unread(&why).into()));
    }
    Ok(workflows)
}

/// Makes sure that what git called missing is not in the commit at all. To git a file that nobody wrote and one whose object is not
/// there yet are the same; to us the one means that there is nothing to obey, the other that we do not know.
async fn are_absent(mirror: &Mirror, tree: Sha, paths: impl Iterator<Item = &str>) -> Result<(), GitError> {
    let lacks = |path: &str| GitError::Incomplete { tree, path: path.to_owned() };
    let mut known: Vec<(Sha, Vec<Entry>)> = Vec::new();
    for path in paths {
        let mut within = tree;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            if !known.iter().any(|(id, _)| *id == within) {
                let objects = mirror.read(&[within.to_string()], FOLDER_BYTES_MAX).await?;
                match objects.first() {
                    None | Some(Object::Missing) => return Err(lacks(path)),
                    // Nothing is read out of a folder like that.
                    Some(object) => {
                        let entries = object.data(Kind::Tree).and_then(tree_entries).unwrap_or_default();
                        known.push((within, entries));
                    }
                }
            }
            let entries = known.iter().find(|(id, _)| *id == within).map_or(&[][..], |(_, entries)| entries);
            match entries.iter().find(|entry| entry.name == part) {
                None => break,
                Some(entry) if entry.mode == MODE_SUBMODULE => break,
                Some(_) if parts.peek().is_none() => return Err(lacks(path)),
                Some(entry) if entry.mode == MODE_FOLDER => within = entry.id,
                Some(_) => break,
            }
        }
    }
    Ok(())
}

/// Returns the text, or what stands for it.
fn text(object: &Object) -> Option<Arc<str>> {
    match object {
        Object::TooLarge(found) if found.kind == Kind::Blob => Some(too_large("file", found.size, FILE_BYTES_MAX)),
        _ => object.data(Kind::Blob).map(|data| String::from_utf8_lossy(data).into()),
    }
}

fn too_large(what: &str, size: u64, max: u64) -> Arc<str> {
    unread(&format!("the {what} has {size} bytes; at most {max} are read")).into()
}
