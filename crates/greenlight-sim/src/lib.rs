//! The proving ground: the real core, its step and its outbox driver, in fake worlds.
//!
//! From one seed follow a fake GitHub with its people, fake git, runners, rooms, disk and clock, everything that goes wrong
//! with them, and a life of some thousand steps. After each step the invariants are checked; then comes a quiet phase in which
//! everything must settle. A seed that fails is printed and can be lived again.

pub mod block;
pub mod rng;
pub mod trace;

pub mod objects;
pub mod sources;

pub mod github;
pub mod store;

pub mod coverage;
pub mod odds;

pub mod invariant;
pub mod world;

pub mod life;
