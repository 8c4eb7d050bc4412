//! The program: it wires the rules to the world. Settings, the two listeners, the loops, rooms, pages, the API and the verbs.
//!
//! A webhook enters at [`intake`] and is stored; [`server`] turns it into facts, steps the repository that it belongs to
//! and has the effects carried out by its hands: GitHub, the mirrors, and [`rooms`]. What actions ask for while a job runs is answered by
//! [`services`]. What came of it is read on [`pages`]
//! and through [`api`], which the verbs of [`cli`] use as well. No rule is decided here; the core does that.

pub mod cli;
pub mod config;

pub mod intake;
pub mod actions;
pub mod services;
pub mod server;
pub mod rooms;

pub mod terminal;
pub mod history;
pub mod api;
pub mod pages;

pub mod exec;

pub mod demo;
