//! The built-in runner: a few slots, each of which takes the oldest job that it can do.

use std::sync::Arc;

use greenlight_store::{Blobs, Logs};

use super::{Shared, StartError};
use crate::config::Config;

/// Opens the logs: those of running jobs in one folder, the finished ones among the blobs.
pub fn open_logs(config: &Config) -> Result<Arc<Logs>, StartError> {
    let blobs = Blobs::open(&config.data.join("blobs")).map_err(StartError::Blobs)?;
    Logs::open(&config.data.join("logs"), blobs).map_err(StartError::Logs)
}

/// Starts the slots.
pub fn start(shared: &Arc<Shared>) {
    let _ = shared;
}
