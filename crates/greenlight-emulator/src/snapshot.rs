//! The model on disk: one JSON file (with the tokens in it, so only its owner may read it),
//! written whole, some time after a change, never often enough to matter.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{git::GitError, model::Model, site::Site};

/// How long changes gather before they are written.
const GATHER: Duration = Duration::from_millis(300);
/// How many times longer than the last write the next one waits at least.
const REST_FACTOR: u32 = 20;

/// What went wrong with the snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The file could not be read.
    #[error("could not read {path}")]
    Read {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The file is not a snapshot that this version knows.
    #[error("could not understand {path}; move it away to start empty")]
    Parse {
        path: String,
        #[source]
        source: serde_json::Error,
    },
    /// The file could not be written.
    #[error("could not write the snapshot")]
    Write(#[source] GitError),
}

/// Reads the model that an earlier start left behind.
pub fn load(path: &Path) -> Result<Option<Model>, SnapshotError> {
    let name = || path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map(Some).map_err(|source| SnapshotError::Parse { path: name(), source })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SnapshotError::Read { path: name(), source }),
    }
}

/// Writes the model.
pub async fn save(site: &Arc<Site>) -> Result<(), SnapshotError> {
    let site = Arc::clone(site);
    let written = tokio::task::spawn_blocking(move || {
        let bytes = serde_json::to_vec(&*site.look())
            .map_err(|error| GitError::File { path: site.snapshot.clone(), source: error.into() })?;
        crate::git::write_secret_file(&site.snapshot, &bytes)
    });
    written
        .await
        .unwrap_or_else(|error| Err(GitError::Unexpected(error.to_string(), "snapshot")))
        .map_err(SnapshotError::Write)
}

/// Writes the model after changes, for as long as the task lives.
pub async fn keep(site: Arc<Site>) {
    loop {
        site.changed.notified().await;
        tokio::time::sleep(GATHER).await;
        let started = Instant::now();
        if let Err(error) = save(&site).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the emulator's state is not saved");
        }
        tokio::time::sleep(started.elapsed() * REST_FACTOR).await;
    }
}
