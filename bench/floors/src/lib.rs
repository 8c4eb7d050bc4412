//! The bare floors that Greenlight's benchmarks are compared with, run interleaved with the product.
//!
//! Each program does one thing as directly as the libraries allow: `intake` takes signed webhooks and makes them
//! durable, `spawn` starts processes, `durable` syncs and commits,
//! `logs` stamps, masks and packs a program's output. They print one line per figure.

pub mod percentiles;
