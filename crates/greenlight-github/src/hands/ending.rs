//! How a call's end is told to the outbox.

use std::sync::Arc;

use greenlight_core::effect::{Outcome, Refusal};

use crate::client::{CallError, Remedy};

/// Tries after which what GitHub does not find is believed to be gone: just made things appear a little late (R13).
const TRIES_FOR_UNSEEN: u32 = 4;

/// The end of a call that changes nothing: a read that failed can be made again at any time.
pub(super) fn not_read(error: CallError) -> Outcome {
    match error {
        CallError::Forbidden { .. } => Outcome::Refused(Refusal::Forbidden(reason(&error))),
        CallError::NotFound { .. } => Outcome::Refused(Refusal::Gone(reason(&error))),
        CallError::Rejected { message, .. } => Outcome::Refused(Refusal::Other(message)),
        error => later(&error),
    }
}

/// The end of a call that changes something.
pub(super) struct Writing {
    pub tried: u32,
}

impl Writing {
    pub(super) fn failed(&self, error: CallError) -> Outcome {
        match error {
            error if error.may_have_taken_effect() => Outcome::Unknown { reason: reason(&error) },
            CallError::Forbidden { .. } => Outcome::Refused(Refusal::Forbidden(reason(&error))),
            CallError::NotFound { .. } => self.unseen(reason(&error)),
            CallError::Rejected { message, .. } => Outcome::Refused(Refusal::Other(message)),
            error => later(&error),
        }
    }

    /// What is not found may have been made a moment ago.
    pub(super) fn unseen(&self, reason: Arc<str>) -> Outcome {
        if self.tried < TRIES_FOR_UNSEEN {
            Outcome::Later { not_before: None, reason }
        } else {
            Outcome::Refused(Refusal::Gone(reason))
        }
    }
}

/// The end of looking whether an earlier try did it: as long as that is not known, nothing is.
pub(super) fn not_read_back(error: &CallError) -> Outcome {
    Outcome::Unknown { reason: format!("what became of an earlier try cannot be read: {error}").into() }
}

fn later(error: &CallError) -> Outcome {
    let not_before = match error.remedy() {
        Remedy::RetryAt(until) => Some(until),
        Remedy::Retry | Remedy::Reauthorize | Remedy::GiveUp => None,
    };
    Outcome::Later { not_before, reason: reason(error) }
}

pub(super) fn reason(error: &CallError) -> Arc<str> {
    error.to_string().into()
}
