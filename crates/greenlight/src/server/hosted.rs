//! Warns once for each repository where hosted Actions would run the same workflows as well.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use super::repository::Handle;

/// How often new repositories are looked for: among those that are known here, which costs nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let mut looked = std::collections::BTreeSet::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
        for handle in shared.directory.all() {
            if looked.insert(handle.reference().id) {
                warn(&shared, &handle).await;
            }
        }
    }
}

async fn warn(shared: &Shared, handle: &Handle) {
    let name = handle.reference().full_name;
    match shared.github.client().hosted_actions(&name).await {
        Ok(Some(true)) => tracing::warn!(
            "{name}: hosted Actions are on, so GitHub runs the workflows in .github/workflows as well. \
             Switch them off in the repository's settings, or move the files to .greenlight/workflows"
        ),
        Ok(Some(false)) => {}
        Ok(None) => tracing::info!("{name}: whether hosted Actions are on could not be read, which takes admin rights"),
        Err(error) => tracing::debug!("{name}: whether hosted Actions are on could not be read: {error}"),
    }
}
