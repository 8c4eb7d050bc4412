//! Webhooks: what changed becomes a signed request to everyone who subscribed, and a line in the hook's log.

mod deliver;
mod log;

pub use deliver::{Announcement, Webhooks};
pub use log::{Delivery, DeliveryLog};
