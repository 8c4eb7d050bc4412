//! Containers: a job's own, those of its services, and those of Docker actions, over the Docker API (Docker or Podman).
//!
//! Everything that is made carries a label with the job's folder, so that what a killed runner left is found and removed at the next
//! start. What a workflow may ask of a container is an allow-list ([`options`]): nothing that reaches the machine (S9).

mod action;
mod engine;
mod exec;
mod job;
mod mount;
mod options;
mod setup;

pub use engine::{Engine, EngineError};
pub(crate) use exec::{Contained, Fresh, Home};
pub(crate) use job::Containers;
pub(crate) use mount::Mounts;

use std::path::Path;

use serde_json::json;

/// The label of everything that belongs to a job: its folder.
const LABEL_JOB: &str = "greenlight.job";

/// The label of everything that belongs to a runner: the folder below which its jobs have theirs.
const LABEL_RUNNER: &str = "greenlight.runner";

/// Removes the containers, networks, volumes and images that jobs of an earlier life left. To be called before the first job; a
/// machine without an engine has none.
pub async fn sweep(work_dir: &Path) {
    let Ok(engine) = Engine::find().await else { return };
    let work_dir = work_dir.canonicalize().unwrap_or_else(|_| work_dir.to_owned());
    let count = remove_all(&engine, &format!("{LABEL_RUNNER}={}", work_dir.display())).await;
    if count > 0 {
        tracing::info!("removed {count} containers, networks and volumes that an earlier runner left");
    }
}

impl Engine {
    /// Counts the containers, networks and volumes that jobs of the runner in this folder have.
    pub async fn count_of(&self, work_dir: &Path) -> usize {
        let work_dir = work_dir.canonicalize().unwrap_or_else(|_| work_dir.to_owned());
        let mut count = 0;
        for (list, ..) in lists(&format!("{LABEL_RUNNER}={}", work_dir.display())) {
            let found = self.get(&list).await.unwrap_or_default();
            let found = found.get("Volumes").cloned().unwrap_or(found);
            count += found.as_array().map_or(0, Vec::len);
        }
        count
    }
}

/// Returns where things with this label are listed, what names one, and how one is removed.
fn lists(label: &str) -> [(String, &'static str, &'static str, &'static str); 4] {
    let filters = engine::escaped(&json!({ "label": [label] }).to_string());
    [
        (format!("/containers/json?all=1&filters={filters}"), "Id", "/containers/", "?force=1&v=1"),
        (format!("/networks?filters={filters}"), "Id", "/networks/", ""),
        (format!("/volumes?filters={filters}"), "Name", "/volumes/", "?force=1"),
        (format!("/images/json?filters={filters}"), "Id", "/images/", "?force=1"),
    ]
}

/// Removes everything with this label. Returns how many there were.
async fn remove_all(engine: &Engine, label: &str) -> usize {
    let mut count = 0;
    for (list, key, place, how) in lists(label) {
        let Ok(found) = engine.get(&list).await else { continue };
        let found = found.get("Volumes").cloned().unwrap_or(found);
        for thing in found.as_array().into_iter().flatten() {
            let Some(id) = thing.get(key).and_then(|id| id.as_str()) else { continue };
            match engine.delete(&format!("{place}{}{how}", engine::escaped(id))).await {
                Ok(()) => count += 1,
                Err(error) => tracing::warn!("{id}, which a job left, cannot be removed: {error}"),
            }
        }
    }
    count
}
