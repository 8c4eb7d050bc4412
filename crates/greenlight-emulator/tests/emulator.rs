//! The emulator from outside: over its socket, with real git, with clients that are not ours.

#![recursion_limit = "256"]

#[path = "emulator/activity.rs"]
mod activity;
#[path = "emulator/apps.rs"]
mod apps;
#[path = "emulator/client.rs"]
mod client;
#[path = "emulator/deployments.rs"]
mod deployments;
#[path = "emulator/faults.rs"]
mod faults;
#[path = "emulator/git.rs"]
mod git;
#[path = "emulator/merging.rs"]
mod merging;
#[path = "emulator/openapi.rs"]
mod openapi;
#[path = "emulator/pages.rs"]
mod pages;
#[path = "emulator/pulls.rs"]
mod pulls;
#[path = "emulator/rest.rs"]
mod rest;
#[path = "emulator/webhooks.rs"]
mod webhooks;
#[path = "emulator/world.rs"]
mod world;
