//! The memory: SQLite, stored formats, logs and blobs.
//!
//! A delivery or a step comes in through [`Database`], which implements [`greenlight_core::port::Store`]. It is turned into
//! rows in its caller's task (`delivery`, `commit`, with the stored formats of `format` and the rows for pages of
//! `projection`), handed to the one `writer`, and answered after the group that it went with is synced. Pages read through
//! [`History`]. Logs are not rows: [`Logs`] keeps them in files, and afterwards in [`Blobs`].
//!
//! What this crate refuses to know: GitHub, processes, and what the rows mean.

mod format;
mod packed;

mod delivery;
mod projection;
mod commit;

mod dialect;
mod writer;
mod checkpoint;
mod database;
mod load;
mod step;
mod annotation;
mod object;
mod runner;
mod sweep;

mod history;

mod blob;
mod log;

pub use annotation::{ANNOTATIONS_MAX, SUMMARIES_MAX, SUMMARY_SIZE_MAX, SummaryRow};
pub use blob::{BlobError, BlobStream, BlobUpload, Blobs};
pub use database::{Database, OpenError, OpenOptions};
pub use history::{
    AuditLine, Counters, DeliveryDetail, DeliveryRow, DeliveryState, DeploymentRow, EnvironmentRow, History, JobRow,
    RunDetail, RunQuery, RunRow, StepRow, WishRow,
};
pub use log::{Follower, LOG_BYTES_MAX, LogBlock, LogError, LogLine, LogPage, LogShape, Logs};
pub use object::{NewObject, OBJECTS_MAX, ObjectKind, ObjectName, ObjectRow, ObjectState};
pub use runner::{NewRunner, RunnerRow};
pub use step::{StepRecord, StepState};
pub use sweep::{Retention, SWEEP_BATCH, Swept};
