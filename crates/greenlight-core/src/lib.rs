//! The rules of Greenlight: what happened (facts), what is known (state), what should be done about it (effects).
//!
//! Everything that happens enters as a [`fact`]; everything that is done outside leaves as an [`effect`]; the outcome of an
//! effect is a fact again. Between them stands [`engine`], which does no I/O, knows no clock and no randomness: time and
//! ids are arguments, so that the simulation can live a million lives with the very code that the server runs.
//!
//! The modules stand in the order in which they may know each other: a later one knows the earlier ones, never the other way.

pub mod id;
pub mod time;

pub mod event;
pub mod run;
pub mod shown;
pub mod fact;
pub mod effect;

pub mod config;
pub mod deployment;
pub mod item;
pub mod pull;
pub mod timetable;
pub mod entity;
pub mod repository;

pub mod outbox;
pub mod trust;
pub mod turn;
pub mod report;
pub mod room;
mod told;

pub mod plan;
pub mod call;
pub mod schedule;
pub mod rerun;
pub mod merge;
pub mod deploy;

pub mod command;
pub mod forget;
pub mod configured;

pub mod engine;

pub mod port;
pub mod intake;
pub mod step;
