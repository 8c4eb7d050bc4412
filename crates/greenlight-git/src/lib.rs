//! The mirrors: files at a commit, changed paths, test merges, and the clone that a job works in.
//!
//! All of it is the `git` program (2.38 or newer), run with an environment of our own: no prompt, no hooks, nobody's
//! configuration, only the transports that were asked for, a bound on time and on output. There is one bare mirror for each
//! repository, named by GitHub's id, so that a rename does not matter. Jobs never write into it: each gets a clone of its own.
//!
//! This crate refuses to know GitHub's API (a token comes from [`Credentials`]) and the store (what it reads is an answer to an
//! effect, and what is lost can be fetched again).

pub mod credentials;
pub mod error;
mod program;

mod mirror;
pub mod mirrors;
mod objects;

mod changes;
pub mod checkout;
mod commit;
mod files;
mod merge;
mod pack;
mod ready;
mod recent;

#[cfg(test)]
mod tests;

pub use checkout::{CheckedOut, CheckoutRequest, Depth, Leftovers, Sparse, Wanted};
pub use credentials::{AccessToken, Anonymous, Credentials};
pub use error::GitError;
pub use mirrors::{Mirrors, MirrorsOptions, Transport};
