//! The outside: webhooks in, reports out.
//!
//! GitHub's words end here. What comes in is checked, kept and turned into facts; what goes out is an effect turned into a
//! call, and the call's end turned into an outcome. Nothing here knows the store, and nothing here retries: the outbox is
//! the one retry layer (R15). GitHub's answers are input like any other: typed, bounded, and an unknown word is "unknown"
//! rather than an error (S25).

pub mod secret;

pub mod signature;
pub mod delivery;
pub mod payload;

mod shape;

pub mod client;
pub mod account;
pub mod hands;
pub mod deliveries;
