//! The program as a whole: over real sockets, with its real store, and an emulated GitHub where there has to be one.

mod called;
mod checkout;
mod demo;
mod exec;
mod github;
mod intake;
mod language;
mod live;
mod merging;
mod outages;
mod pages;
mod program;
mod recovery;
mod rooms;
mod round;
mod runner;
mod said;
mod server;
mod services;
mod settings;
mod words;
