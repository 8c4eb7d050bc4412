//! The place that a job of this runner runs in: its spool for what it says, the server for its files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::port::Reply;
use greenlight_core::time::Timestamp;
use greenlight_runner::wire::message::{AnnotationShape, StepShape};
use greenlight_runner::wire::spool::Entry;
use greenlight_runner::{
    ActionSource, Annotation, CheckedOut, CheckoutRequest, Given, JobHost, LogBlock, Pinned, StepUpdate,
};

use super::link::Link;
use super::spooled::Spooled;
use crate::server::clock;

/// How long what cannot be written waits before it is tried again. The job waits with it (R19).
const WRITE_AGAIN: Duration = Duration::from_millis(500);
/// How often it is tried before it is given up, so that a job ends one day.
const WRITES_MAX: u32 = 120;

/// One job's host.
pub struct RemoteHost {
    link: Arc<Link>,
    spooled: Arc<Spooled>,
}

impl RemoteHost {
    /// Returns the host of a job with this spool.
    pub fn new(link: Arc<Link>, spooled: Arc<Spooled>) -> Self {
        Self { link, spooled }
    }

    async fn keep(&self, write: impl Fn() -> std::io::Result<()>) {
        for tried in 1..=WRITES_MAX {
            match write() {
                Ok(()) => return,
                Err(error) if tried == WRITES_MAX => tracing::error!("lines of a log are lost: {error}"),
                Err(error) => {
                    tracing::warn!("a log waits: {error}");
                    tokio::time::sleep(WRITE_AGAIN).await;
                }
            }
        }
    }
}

/// Behind the job's last word its spool is complete.
impl Drop for RemoteHost {
    fn drop(&mut self) {
        self.spooled.change(|progress| progress.closed = true);
    }
}

impl JobHost for RemoteHost {
    fn checkout<'a>(&'a self, request: &'a CheckoutRequest, dest: &'a Path) -> Reply<'a, Result<CheckedOut, String>> {
        Box::pin(self.link.check_out(&self.spooled.about, request, dest))
    }

    fn step<'a>(&'a self, update: StepUpdate) -> Reply<'a, ()> {
        let entry = Entry::Step(StepShape::from(&update));
        Box::pin(async move { self.keep(|| self.spooled.write(&entry)).await })
    }

    fn log<'a>(&'a self, block: LogBlock) -> Reply<'a, ()> {
        Box::pin(async move { self.keep(|| self.spooled.log(&block)).await })
    }

    fn now(&self) -> Timestamp {
        clock::now()
    }

    fn given(&self) -> Given {
        self.spooled.given.clone()
    }

    fn actions(&self) -> Option<Arc<dyn ActionSource>> {
        let source = self.link.actions()?;
        Some(Arc::new(Pinned { source, pins: self.spooled.pins.clone() }))
    }

    fn annotate<'a>(&'a self, annotation: Annotation) -> Reply<'a, ()> {
        let entry = Entry::Annotation(AnnotationShape::from(&annotation));
        Box::pin(async move { self.keep(|| self.spooled.write(&entry)).await })
    }

    fn summarize<'a>(&'a self, step: u32, markdown: String) -> Reply<'a, ()> {
        let entry = Entry::Summary { step, markdown };
        Box::pin(async move { self.keep(|| self.spooled.write(&entry)).await })
    }
}
