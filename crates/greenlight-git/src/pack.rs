//! One commit without its history, as a pack that is made once and copied into every job's clone.
//!
//! It is copied, not linked: a job may write to every file that is its own. The packs of the last few commits are kept beside
//! the mirror's objects, where git does not look for them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use greenlight_core::id::Sha;
use tokio::sync::RwLock;
use tokio::task::spawn_blocking;

use crate::error::GitError;
use crate::mirror::{Mirror, remove_tree, unique};

/// The packs of how many commits are kept for each mirror.
const PACKS_MAX: usize = 8;

/// The folder of the packs, within the mirror's.
const FOLDER: &str = "greenlight-packs";

/// Puts the commit's objects into a clone's empty `.git`, with the ref that it is known by and the mark that there is no history.
pub(crate) async fn copy_one_deep(
    mirror: &Mirror,
    sha: Sha,
    stored: Option<&str>,
    git_dir: &Path,
) -> Result<(), GitError> {
    let _used = mirror.packs.read().await;
    let kept = mirror.folder().join(FOLDER).join(sha.to_string());
    if copy(&kept, sha, stored, git_dir).await.is_err() {
        make(mirror, sha, &kept).await?;
        let failed = |source| GitError::Folder { path: kept.clone(), source };
        copy(&kept, sha, stored, git_dir).await.map_err(failed)?;
        tokio::spawn(sweep_when_unused(mirror.packs.clone(), mirror.folder().join(FOLDER)));
    }
    Ok(())
}

async fn copy(kept: &Path, sha: Sha, stored: Option<&str>, git_dir: &Path) -> std::io::Result<()> {
    let (kept, git_dir) = (kept.to_owned(), git_dir.to_owned());
    let stored = stored.map(|name| git_dir.join(name));
    let copied = spawn_blocking(move || {
        for entry in std::fs::read_dir(&kept)? {
            let entry = entry?;
            std::fs::copy(entry.path(), git_dir.join("objects/pack").join(entry.file_name()))?;
        }
        std::fs::write(git_dir.join("shallow"), format!("{sha}\n"))?;
        if let Some(stored) = stored {
            std::fs::create_dir_all(stored.parent().unwrap_or(&git_dir))?;
            std::fs::write(stored, format!("{sha}\n"))?;
        }
        // The packs that were used last are kept.
        std::fs::File::open(&kept)?.set_modified(SystemTime::now())
    });
    copied.await.map_err(std::io::Error::other)?
}

/// Makes the pack. Two may do so at once; the second one's is thrown away.
async fn make(mirror: &Mirror, sha: Sha, kept: &Path) -> Result<(), GitError> {
    let failed = |source| GitError::Folder { path: kept.to_owned(), source };
    let unfinished = kept.with_extension(format!("{:x}", unique()));
    tokio::fs::create_dir_all(&unfinished).await.map_err(failed)?;
    let call = mirror.call("pack-objects").config("pack.writeReverseIndex", "false").config("core.fsync", "none");
    let call = call.config("pack.threads", "2").timeout(crate::mirrors::FETCH_TIMEOUT);
    let call =
        call.args(["pack-objects", "-q", "--revs", "--shallow", "--delta-base-offset"]).arg(unfinished.join("pack"));
    let made = call.input(format!("--shallow {sha}\n{sha}\n")).run().await;
    if made.is_ok() && tokio::fs::rename(&unfinished, kept).await.is_ok() {
        return Ok(());
    }
    remove_tree(&unfinished).await.map_err(failed)?;
    made.map(|_| ())
}

/// Removes all packs but those that were used last, when nobody copies or makes one. What is unfinished then is nobody's.
async fn sweep_when_unused(packs: Arc<RwLock<()>>, folder: PathBuf) {
    let _alone = packs.write().await;
    let swept = spawn_blocking({
        let folder = folder.clone();
        move || sweep(&folder)
    });
    if let Err(error) = swept.await.map_err(std::io::Error::other).and_then(|result| result) {
        tracing::warn!("old packs in {} cannot be removed: {error}", folder.display());
    }
}

fn sweep(folder: &Path) -> std::io::Result<()> {
    let mut packs = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_whole = entry.path().extension().is_none();
        packs.push((is_whole, entry.metadata()?.modified()?, entry.path()));
    }
    packs.sort_by(|a, b| b.cmp(a));
    for (index, (is_whole, _, path)) in packs.into_iter().enumerate() {
        if !is_whole || index >= PACKS_MAX {
            std::fs::remove_dir_all(path)?;
        }
    }
    Ok(())
}
