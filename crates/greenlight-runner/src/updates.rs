//! How steps go, told to the job's host.
//!
//! A host that keeps these words apart from the log takes them in while the job goes on: a step that ends does not wait until that
//! is written. For one that shows both as one story, each waits for what was said before it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::host::{JobHost, StepUpdate};
use crate::job_log::JobLog;

/// How many updates of steps may wait to be taken in.
const UPDATES_MAX: usize = 64;

/// Where steps tell how they go.
#[derive(Clone)]
pub(crate) struct Updates {
    log: Arc<JobLog>,
    /// Beside the log; nothing where there is one story.
    lane: Option<mpsc::Sender<StepUpdate>>,
}

impl Updates {
    /// Returns the way to the log's host, and what takes in what goes beside the log, until all of it is told.
    pub(crate) fn new(log: Arc<JobLog>) -> (Self, Option<JoinHandle<()>>) {
        if log.host.is_one_story() {
            return (Self { log, lane: None }, None);
        }
        let (lane, received) = mpsc::channel(UPDATES_MAX);
        let taken = tokio::spawn(take_in(log.host.clone(), received));
        (Self { log, lane: Some(lane) }, Some(taken))
    }

    /// Tells how a step goes.
    pub(crate) async fn tell(&self, update: StepUpdate) {
        match &self.lane {
            // The updates are taken in until the job is over.
            Some(lane) => drop(lane.send(update).await),
            None => {
                self.log.settle().await;
                self.log.host.step(update).await;
            }
        }
    }
}

async fn take_in(host: Arc<dyn JobHost>, mut updates: mpsc::Receiver<StepUpdate>) {
    while let Some(update) = updates.recv().await {
        host.step(update).await;
    }
}
