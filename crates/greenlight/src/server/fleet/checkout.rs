//! The repository's files for a job elsewhere: a clone is made here from the mirror, and its `.git` is sent.
//!
//! Its files are put where they belong by the runner's own git: what a repository may name a link or a device never travels.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use greenlight_core::id::AttemptId;
use greenlight_runner::wire::message::CheckedOutShape;
use greenlight_runner::{CheckoutRequest, JobHost as _};
use tokio::sync::{Semaphore, mpsc};

use super::super::Shared;
use super::super::host::Host;

/// How many clones are made at once for jobs elsewhere.
const AT_ONCE: usize = 4;
/// How much of a file is read at once.
const PIECE: usize = 256 << 10;
/// How many pieces wait to be sent.
const PIECES_MAX: usize = 8;

static MAKING: Semaphore = Semaphore::const_new(AT_ONCE);

/// Makes a clone, and returns it as it is sent: what was checked out, then file after file.
pub async fn serve(
    shared: &Shared,
    host: Arc<Host>,
    attempt: &AttemptId,
    request: &CheckoutRequest,
) -> Result<Body, String> {
    let _turn = MAKING.acquire().await.expect("it is never closed");
    let unusable = |error: std::io::Error| format!("a folder for the clone cannot be made: {error}");
    let parent = shared.config.data.join("clones");
    std::fs::create_dir_all(&parent).map_err(unusable)?;
    let folder = Removed(parent.join(uuid::Uuid::new_v4().to_string()));
    std::fs::create_dir(&folder.0).map_err(unusable)?;
    let done = host.checkout(request, &folder.0).await?;
    tracing::debug!(job.attempt = %attempt, "sending {}", done.sha);
    let head = serde_json::to_vec(&CheckedOutShape::from(&done)).map_err(|error| error.to_string())?;
    let (sender, receiver) = mpsc::channel::<std::io::Result<Bytes>>(PIECES_MAX);
    tokio::task::spawn_blocking(move || {
        let sent = send(&sender, &head, &folder.0.join(".git"));
        if let Err(error) = sent {
            // Whoever reads may be gone.
            let _ = sender.blocking_send(Err(error));
        }
    });
    let pieces = stream::unfold(receiver, |mut receiver| async {
        let piece = receiver.recv().await?;
        Some((piece, receiver))
    });
    Ok(Body::from_stream(pieces))
}

/// A folder that is removed behind its use.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("{} cannot be removed: {error}", self.0.display());
        }
    }
}

type Sender = mpsc::Sender<std::io::Result<Bytes>>;

fn send(sender: &Sender, head: &[u8], folder: &Path) -> std::io::Result<()> {
    give(sender, &(head.len() as u32).to_be_bytes())?;
    give(sender, head)?;
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        for entry in std::fs::read_dir(&path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                waiting.push(entry.path());
            } else if kind.is_file() && entry.file_name() != "index" {
                send_file(sender, folder, &entry.path())?;
            }
        }
    }
    // A path of no length ends it: what broke off is known for it.
    give(sender, &0_u32.to_be_bytes())
}

fn send_file(sender: &Sender, folder: &Path, path: &Path) -> std::io::Result<()> {
    let name = path.strip_prefix(folder).map_err(std::io::Error::other)?;
    let name = name.to_str().ok_or_else(|| std::io::Error::other("a file of git's is no text"))?;
    let mut file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    give(sender, &(name.len() as u32).to_be_bytes())?;
    give(sender, name.as_bytes())?;
    give(sender, &length.to_be_bytes())?;
    let mut left = length;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
        file.read_exact(&mut piece)?;
        left -= piece.len() as u64;
        sender.blocking_send(Ok(piece.into())).map_err(std::io::Error::other)?;
    }
    Ok(())
}

fn give(sender: &Sender, bytes: &[u8]) -> std::io::Result<()> {
    sender.blocking_send(Ok(Bytes::copy_from_slice(bytes))).map_err(std::io::Error::other)
}
