//! How a call can end other than well, and what to do about it.

use std::sync::Arc;

use greenlight_core::effect::FORBIDDEN;
use greenlight_core::time::{Duration, Timestamp};
use serde_json::Value;

use super::transport::Raw;

/// How long to be silent where GitHub names a limit but no time.
const SILENCE: Duration = Duration::from_secs(60);
/// Longest text of GitHub's that an error repeats, in characters.
const MESSAGE_LENGTH_MAX: usize = 300;

/// How the reason begins where GitHub has nothing for us: what was made a moment ago is seen a little later.
pub const NOTHING_THERE: &str = "GitHub has nothing for us";

/// A call that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It never left: the host cannot be reached, or TLS cannot be set up.
    #[error("GitHub cannot be reached for {what}: {problem}")]
    NotSent {
        /// The call.
        what: String,
        /// What happened.
        problem: String,
    },
    /// It left, and no whole answer came.
    #[error("no answer came to {what}: {problem}")]
    Lost {
        /// The call.
        what: String,
        /// What happened.
        problem: String,
    },
    /// GitHub failed.
    #[error("GitHub answered {status} to {what}")]
    Server {
        /// The call.
        what: String,
        /// The status.
        status: u16,
    },
    /// A limit is reached.
    #[error("GitHub's rate limit is reached; {what} waits")]
    RateLimited {
        /// The call.
        what: String,
        /// Until when to be silent.
        until: Timestamp,
    },
    /// The token, or the App's key, is not valid (any more).
    #[error(
        "GitHub does not accept our token for {what} ({message}): was it revoked, or has it run out? Give the server a new one"
    )]
    Unauthorized {
        /// The call.
        what: String,
        /// GitHub's words.
        message: String,
    },
    /// We may not do that.
    #[error("{} {what}: {message}", FORBIDDEN)]
    Forbidden {
        /// The call.
        what: String,
        /// GitHub's words.
        message: String,
    },
    /// It is not there, or we may not know that it is.
    #[error("{} at {what}: it is gone, or the token may not see it", NOTHING_THERE)]
    NotFound {
        /// The call.
        what: String,
    },
    /// GitHub refused: 405, 409, 422 and others.
    #[error("GitHub refused {what} with {status}: {message}")]
    Rejected {
        /// The call.
        what: String,
        /// The status.
        status: u16,
        /// GitHub's words.
        message: Arc<str>,
        /// The whole answer, where it is JSON.
        answer: Arc<Value>,
    },
    /// GitHub sent us somewhere that we do not go.
    #[error("GitHub sent {what} to another address: was the repository moved? `api_url` must be where the API is")]
    Redirected {
        /// The call.
        what: String,
    },
    /// The answer is not what GitHub describes.
    #[error("the answer to {what} cannot be used: {problem}")]
    BadAnswer {
        /// The call.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// What to do about an error now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Again, not before this.
    RetryAt(Timestamp),
    /// Again, a little later.
    Retry,
    /// A person has to give us a token that is valid.
    Reauthorize,
    /// The same again would end the same.
    GiveUp,
}

impl CallError {
    /// Returns what to do now.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::RateLimited { until, .. } => Remedy::RetryAt(*until),
            Self::NotSent { .. } | Self::Lost { .. } | Self::Server { .. } | Self::Redirected { .. } => Remedy::Retry,
            Self::BadAnswer { .. } => Remedy::Retry,
            Self::Unauthorized { .. } => Remedy::Reauthorize,
            Self::Forbidden { .. } | Self::NotFound { .. } | Self::Rejected { .. } => Remedy::GiveUp,
        }
    }

    /// May the call have done what it was for, although it did not end well?
    pub fn may_have_taken_effect(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Server { .. } | Self::BadAnswer { .. })
    }
}

/// A call that was answered with anything but success.
pub(super) struct Refused {
    pub error: CallError,
    /// Until when nothing at all is to be sent with this token.
    pub closed_until: Option<Timestamp>,
}

/// Reads an answer that is no success.
pub(super) fn classify(what: String, raw: &Raw, now: Timestamp) -> Refused {
    let answer: Value = serde_json::from_slice(&raw.body).unwrap_or(Value::Null);
    let message = message(&answer, raw.status);
    if let Some(until) = limited_until(raw, &message, now) {
        return Refused { error: CallError::RateLimited { what, until }, closed_until: Some(until) };
    }
    let error = match raw.status {
        401 => CallError::Unauthorized { what, message },
        403 => CallError::Forbidden { what, message },
        404 | 410 => CallError::NotFound { what },
        status @ 400..500 => CallError::Rejected { what, status, message: message.into(), answer: Arc::new(answer) },
        status @ 500.. => CallError::Server { what, status },
        status => CallError::BadAnswer { what, problem: format!("its status is {status}") },
    };
    Refused { error, closed_until: None }
}

/// GitHub answers 403 or 429 where a limit is reached; what tells it from a plain "no" are its headers and words.
fn limited_until(raw: &Raw, message: &str, now: Timestamp) -> Option<Timestamp> {
    if !matches!(raw.status, 403 | 429) {
        return None;
    }
    let words = message.to_ascii_lowercase();
    let is_named = raw.status == 429 || words.contains("rate limit") || words.contains("abuse detection");
    raw.retry_after
        .map(|seconds| now + Duration::from_secs(seconds))
        .or_else(|| raw.limit_reached_until(now))
        .or_else(|| is_named.then(|| now + SILENCE))
}

/// Returns GitHub's words: its message, and what it says of single fields.
fn message(answer: &Value, status: u16) -> String {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let main = answer.get("message").and_then(text).unwrap_or_else(|| format!("status {status}"));
    let errors = answer.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let details = errors.iter().filter_map(|error| text(error).or_else(|| error.get("message").and_then(text)));
    let whole = std::iter::once(main).chain(details).collect::<Vec<_>>().join("; ");
    whole.chars().filter(|character| !character.is_control()).take(MESSAGE_LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn raw(status: u16, body: &str) -> Raw {
        Raw { status, body: body.to_owned().into(), ..Raw::default() }
    }

    fn error(raw: &Raw) -> CallError {
        classify("GET /x".into(), raw, NOW).error
    }

    fn until(millis: i64) -> CallError {
        CallError::RateLimited { what: "GET /x".into(), until: Timestamp::from_millis(millis) }
    }

    #[test]
    fn limits_are_told_from_a_plain_no() {
        assert_eq!(error(&Raw { retry_after: Some(7), ..raw(403, "{}") }), until(1_007_000));
        let primary = Raw { remaining: Some(0), reset: Some(1_500), ..raw(403, "{}") };
        assert_eq!(error(&primary), until(1_500_000));
        assert_eq!(error(&raw(429, "")), until(1_060_000));
        assert_eq!(error(&raw(403, r#"{"message":"You have exceeded a secondary rate limit."}"#)), until(1_060_000));
        assert_eq!(
            error(&Raw { remaining: Some(17), ..raw(403, r#"{"message":"Resource not accessible"}"#) }),
            CallError::Forbidden { what: "GET /x".into(), message: "Resource not accessible".into() }
        );
    }

    #[test]
    fn every_status_has_its_remedy() {
        let remedy = |status| error(&raw(status, "not even JSON")).remedy();
        assert_eq!(remedy(401), Remedy::Reauthorize);
        assert_eq!(remedy(403), Remedy::GiveUp);
        assert_eq!(remedy(404), Remedy::GiveUp);
        assert_eq!(remedy(409), Remedy::GiveUp);
        assert_eq!(remedy(422), Remedy::GiveUp);
        assert_eq!(remedy(429), Remedy::RetryAt(Timestamp::from_millis(1_060_000)));
        assert_eq!(remedy(502), Remedy::Retry);
        assert!(error(&raw(502, "")).may_have_taken_effect());
        assert!(!error(&raw(409, "")).may_have_taken_effect());
    }

    #[test]
    fn what_is_wrong_with_fields_is_repeated() {
        let body = r#"{"message":"Validation Failed","errors":[{"message":"too many"},"and so on",{"code":"x"},7]}"#;
        assert_eq!(
            error(&raw(422, body)).to_string(),
            "GitHub refused GET /x with 422: Validation Failed; too many; and so on"
        );
    }
}
