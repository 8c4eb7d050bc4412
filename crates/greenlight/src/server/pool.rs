//! The built-in runner: a few slots, each of which takes the oldest job that it can do.

use std::sync::Arc;

use greenlight_store::{Blobs, BlobError, Logs};

use super::Shared;
use crate::config::Config;

/// Opens the logs.
pub fn open_logs(config: &Config) -> Result<Arc<Logs>, BlobError> {
    let blobs = Blobs::open(&config.data.join("blobs"))?;
    let _ = blobs;
    unreachable!()
}

/// Starts the slots.
pub fn start(shared: &Arc<Shared>) {
    let _ = shared;
}
