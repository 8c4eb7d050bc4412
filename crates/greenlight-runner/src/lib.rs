//! The hands: a job order comes in, processes run in a workspace of their own, and a conclusion goes out.
//!
//! An [`agent`] asks a server for work and keeps the lease alive; [`job`] does one job: it reads the workflow's text, makes a
//! [`workspace`], runs step after step with the shell's rules, takes in what the steps write into files and to their output, masks
//! it, and hands whole lines to its [`host`]. What is left of a job is killed and removed behind it.
//!
//! This crate refuses to know GitHub and the store: where a checkout comes from, where log lines go and what time it is are asked of
//! the [`host::JobHost`]; who hands out work is a [`agent::Server`].

pub mod host;
pub mod agent;

pub mod job;
mod job_end;
mod setup;
mod handover;
pub mod workspace;
mod contexts;
mod variables;

mod background;
mod step;
mod script;
mod shell;
mod step_end;
mod file_command;

mod shelf;
pub mod source;
pub mod action_store;
mod manifest;
mod action;
mod node;
mod composite;
mod hook;
mod checkout;
mod hash;
mod pattern;

pub mod isolation;
pub mod sandbox;
pub mod container;

pub mod wire;

pub mod stop;
mod spawner;
mod process;
mod leftovers;

mod job_log;
mod updates;
mod output;
mod command;
mod matcher;
pub mod mask;

#[cfg(test)]
mod tests;

pub use action_store::{ActionOverride, ActionPin, ActionRemote, ActionStore, ActionStoreOptions, Pinned, RemoteError};
pub use agent::{Answered, Done, Pool, PoolOptions, Server, Terms};
pub use host::{
    Annotation, AnnotationLevel, CheckedOut, CheckoutRequest, Given, JobHost, LogBlock, Sparse, StepState, StepUpdate,
};
pub use isolation::{Isolation, IsolationError, IsolationOptions, IsolationWanted};
pub use job::{Cleanup, Ended, RunnerOptions, run_job};
pub use process::Patience;
pub use source::{ActionFiles, ActionName, ActionSource, Origin};
pub use spawner::Priority;
pub use stop::Stop;
