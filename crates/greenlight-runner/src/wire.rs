//! What a runner on another machine and its server say to each other, in JSON over HTTP, and the spool that outlives both.
//!
//! A runner registers once with a token ([`message`]) and has a key from then on. It asks for a job ([`order`]), and whatever the job
//! prints and does goes into a file of its own ([`spool`]) before anything is sent: it is sent from there until the server has taken it,
//! however often either of them is started again. A runner of the version before this one is understood: fields that are new have a
//! meaning where they are missing, and what is not known is passed over.

pub mod message;
pub mod order;
pub mod spool;

/// The version of this protocol.
pub const PROTOCOL: u32 = 1;

/// The header in which a runner says which version it speaks.
pub const PROTOCOL_HEADER: &str = "x-greenlight-protocol";

/// Is a runner of this version understood? This version is, and the one before it.
pub fn is_understood(version: u32) -> bool {
    version == PROTOCOL || version + 1 == PROTOCOL
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_before_is_understood() {
        assert!(is_understood(PROTOCOL) && is_understood(PROTOCOL - 1));
        assert!(!is_understood(PROTOCOL + 1));
    }
}
