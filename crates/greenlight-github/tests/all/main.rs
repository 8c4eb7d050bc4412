//! The adapter at its boundary: GitHub's own payloads in, and calls to a small server of our own out. Whatever is sent to that
//! server is checked against GitHub's description of its API.

mod account;
mod client;
mod deliveries;
mod deploy;
mod description;
mod emulated;
mod merge;
mod mutations;
mod payloads;
mod read;
mod samples;
mod show;
mod stub;
