//! The program as a whole: over real sockets, with its real store, and an emulated GitHub where there has to be one.

mod intake;
mod pages;
mod server;
mod settings;
