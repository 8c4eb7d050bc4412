//! Missed deliveries: at start and every ten minutes GitHub is asked to send again what never arrived.

use std::sync::Arc;
use std::time::Duration;

use greenlight_core::time::Timestamp;
use greenlight_github::client::CallError;
use greenlight_github::deliveries::{MissedDeliveries, Recovery};

use super::{Shared, clock};

/// How often.
const LOOK_EVERY: Duration = Duration::from_secs(600);
/// How soon, as long as no repository is known.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// How far back: GitHub keeps its log for three days.
const BACK: Duration = Duration::from_secs(3 * 24 * 3600);

/// Runs until the server ends.
pub async fn run(shared: Arc<Shared>) {
    let Some(url) = shared.config.url.clone() else {
        tracing::info!(
            "missed deliveries are not looked for: `url` is not set, and by it our hook is known; comparing with GitHub finds what they would have told"
        );
        return;
    };
    let missed = MissedDeliveries::new(shared.github.client().clone(), &format!("{url}/webhooks/github"));
    if !shared.github.is_app() {
        first_repository(&shared).await;
    }
    loop {
        let since = clock::now() - BACK;
        if shared.github.is_app() {
            tell("the App", missed.recover_app(since).await);
        } else {
            recover_all(&shared, &missed, since).await;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Waits until there is a repository to look for.
async fn first_repository(shared: &Shared) {
    while shared.directory.all().is_empty() && !shared.stop.is_cancelled() {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn recover_all(shared: &Shared, missed: &MissedDeliveries, since: Timestamp) {
    for handle in shared.directory.all() {
        let name = handle.reference().full_name;
        let recovered = missed.recover_repository(&name, since).await;
        tell(&name, recovered);
    }
}

fn tell(whose: &str, recovered: Result<Recovery, CallError>) {
    match recovered {
        Ok(Recovery::Looked { asked, refused, .. }) if asked.is_empty() && refused.is_empty() => {}
        Ok(Recovery::Looked { asked, refused, .. }) => {
            tracing::info!(
                "{whose}: asked for {} missed deliveries again; {} will not come",
                asked.len(),
                refused.len()
            );
        }
        Ok(Recovery::NotReadable { reason }) => {
            tracing::debug!("{whose}: missed deliveries are not looked for: {reason}")
        }
        Err(error) => tracing::info!("{whose}: missed deliveries could not be looked for: {error}"),
    }
}
