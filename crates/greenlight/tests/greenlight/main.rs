//! The program as a whole: over real sockets, with its real store, and an emulated GitHub where there has to be one.

mod demo;
mod exec;
mod github;
mod intake;
mod pages;
mod program;
mod round;
mod server;
mod settings;
