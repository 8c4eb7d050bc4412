//! A GitHub of our own: a model, and its HTTP and git in front.
//!
//! [`Emulator::start`] gives one that answers on a socket: REST at the root (or at `/api/v3`, as GHES does), git over HTTP, pages, and the
//! emulator's own paths below `/_emulator`. It knows no other crate of ours, and is no kinder than GitHub: statuses and test merges
//! become visible late, limits bite, and faults come on demand.
//!
//! A request goes through these, in this order:

#![recursion_limit = "512"] // the longest of GitHub's objects are literals of that depth

mod server; // starts, stops, finds out what a request is for
mod rest; // GitHub's paths, answers and refusals
mod git_http; // clone, fetch and push
mod page; // HTML for people
mod admin; // the emulator's own paths, and the room
mod push; // what follows from refs that moved
mod merging; // test merges and real ones
mod webhook; // signed deliveries, lanes, logs
mod render; // GitHub's JSON
mod fault; // what goes wrong on demand
mod limits; // rate limits
mod feed; // the record of it all
mod site; // the model behind its lock
mod model; // what the emulated GitHub knows
mod git; // bare repositories
mod seed; // what it starts with
mod snapshot; // the model on disk

pub use fault::{FaultKind, FaultRule};
pub use limits::RateLimits;
pub use seed::{
    Seed, SeedApp, SeedError, SeedFile, SeedInstallation, SeedOrganization, SeedRepository, SeedTeam, SeedToken,
    SeedUser,
};
pub use server::{Emulator, EmulatorError, Options, Running};
pub use site::Profile;
