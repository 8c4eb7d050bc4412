//! A request at the webhook door becomes a delivery that can be kept: what shows without parsing is checked, nothing else.
//!
//! The signature comes first ([`crate::signature`]). The body is not looked into: one that cannot be read is kept as well,
//! and is there to be read by a later version.

use std::sync::Arc;

use aws_lc_rs::digest;
use greenlight_core::id::DeliveryId;
use greenlight_core::port::NewDelivery;
use greenlight_core::time::Timestamp;

use crate::signature::Signed;

/// Largest JSON body. GitHub makes none that is larger.
pub const JSON_SIZE_MAX: usize = 25 * 1024 * 1024;
/// Largest form: each byte of the JSON may take three.
pub const FORM_SIZE_MAX: usize = 3 * JSON_SIZE_MAX;
/// Longest event name and longest delivery id.
const NAME_LENGTH_MAX: usize = 200;

const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";
const HOOK: &str = "X-GitHub-Hook-ID";
const CONTENT_TYPE: &str = "Content-Type";

/// Why a request is no delivery. Each names what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// A header is missing.
    #[error("the header {0} is missing: is this a webhook of GitHub's?")]
    HeaderMissing(&'static str),
    /// A header holds what GitHub never sends.
    #[error("the header {0} is empty, too long, or has characters that GitHub does not use")]
    HeaderMalformed(&'static str),
    /// The body is neither JSON nor a form.
    #[error(
        "the content type `{0}` is not supported: choose application/json or application/x-www-form-urlencoded at the hook"
    )]
    ContentType(String),
    /// The form has no payload.
    #[error("the form has no field `payload`")]
    NoPayload,
    /// The body is too large.
    #[error("the body is larger than {limit} bytes, the most that GitHub sends in this form")]
    TooLarge {
        /// The most that there may be.
        limit: usize,
    },
}

impl DeliveryError {
    /// Returns the HTTP status to answer with.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 413,
            _ => 400,
        }
    }
}

/// Returns the most bytes that a body of this content type may have, to be known before it is read.
pub fn size_max(content_type: Option<&str>) -> usize {
    match content_type.map(Form::of) {
        Some(Some(Form::Urlencoded)) => FORM_SIZE_MAX,
        _ => JSON_SIZE_MAX,
    }
}

/// Makes a delivery of a request. `header` looks a header up by its name, in any case; `signed` is the proof for this body.
pub fn delivery<'a>(
    header: impl Fn(&str) -> Option<&'a str>,
    signed: &Signed,
    body: impl Into<Arc<[u8]>>,
    received_at: Timestamp,
) -> Result<NewDelivery, DeliveryError> {
    let event = name(&header, EVENT)?.ok_or(DeliveryError::HeaderMissing(EVENT))?;
    let id = name(&header, DELIVERY)?.ok_or(DeliveryError::HeaderMissing(DELIVERY))?;
    let hook = name(&header, HOOK)?;
    let content_type = header(CONTENT_TYPE).ok_or(DeliveryError::HeaderMissing(CONTENT_TYPE))?;
    let form = Form::of(content_type).ok_or_else(|| DeliveryError::ContentType(clipped(content_type)))?;
    let body = body.into();
    let limit = size_max(Some(content_type));
    if body.len() > limit {
        return Err(DeliveryError::TooLarge { limit });
    }
    if form == Form::Urlencoded && !has_payload(&body) {
        return Err(DeliveryError::NoPayload);
    }
    Ok(NewDelivery {
        id: DeliveryId::new(id),
        digest: digest_of(event, signed),
        event: event.into(),
        hook: hook.map(Arc::from),
        form: form == Form::Urlencoded,
        received_at,
        body,
    })
}

/// Returns what tells this delivery from another of its id (R9). The signature stands for the body, which is not hashed again.
fn digest_of(event: &str, signed: &Signed) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(event.as_bytes());
    context.update(&[0]);
    context.update(signed.tag());
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Urlencoded,
}

impl Form {
    fn of(content_type: &str) -> Option<Self> {
        let kind = content_type.split(';').next().unwrap_or("").trim();
        if kind.eq_ignore_ascii_case("application/json") {
            Some(Self::Json)
        } else if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Some(Self::Urlencoded)
        } else {
            None
        }
    }
}

fn name<'a>(header: &impl Fn(&str) -> Option<&'a str>, which: &'static str) -> Result<Option<&'a str>, DeliveryError> {
    let Some(value) = header(which) else { return Ok(None) };
    let fits = !value.is_empty()
        && value.len() <= NAME_LENGTH_MAX
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    if fits { Ok(Some(value)) } else { Err(DeliveryError::HeaderMalformed(which)) }
}

fn has_payload(body: &[u8]) -> bool {
    const FIELD: &[u8] = b"payload=";
    body.starts_with(FIELD) || body.windows(FIELD.len() + 1).any(|window| window[0] == b'&' && &window[1..] == FIELD)
}

fn clipped(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::signature::{Verifier, sign};

    fn signed(body: &[u8]) -> Signed {
        let secret = Secret::new("It's a Secret to Everybody").unwrap();
        let signature = sign(&secret, body);
        Verifier::new(&[secret]).unwrap().verify(body, Some(&signature), None).unwrap()
    }

    fn check(headers: &[(&str, &str)], body: &[u8]) -> Result<NewDelivery, DeliveryError> {
        let find =
            |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value);
        delivery(find, &signed(body), body, Timestamp::from_millis(7))
    }

    const EVENT_OK: (&str, &str) = ("x-github-event", "push");
    const ID_OK: (&str, &str) = ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    const JSON: (&str, &str) = ("Content-Type", "application/json; charset=utf-8");
    const URLENCODED: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

    #[test]
    fn json_and_forms_are_taken() {
        let json = check(&[EVENT_OK, ID_OK, JSON, ("X-GitHub-Hook-ID", "12")], b"{}").unwrap();
        assert_eq!((&*json.event, json.form, json.hook.as_deref()), ("push", false, Some("12")));
        assert_eq!(json.id.as_str(), ID_OK.1);
        assert_eq!(json.received_at, Timestamp::from_millis(7));
        assert!(check(&[EVENT_OK, ID_OK, URLENCODED], b"payload=%7B%7D").unwrap().form);
        assert!(check(&[EVENT_OK, ID_OK, URLENCODED], b"a=1&payload=%7B%7D").is_ok());
    }

    #[test]
    fn what_is_not_json_is_kept_all_the_same() {
        assert!(check(&[EVENT_OK, ID_OK, JSON], b"\xff\x00 no JSON").is_ok());
    }

    #[test]
    fn what_is_missing_is_named() {
        use DeliveryError::*;
        assert_eq!(check(&[ID_OK, JSON], b"{}"), Err(HeaderMissing("X-GitHub-Event")));
        assert_eq!(check(&[EVENT_OK, JSON], b"{}"), Err(HeaderMissing("X-GitHub-Delivery")));
        assert_eq!(check(&[EVENT_OK, ID_OK], b"{}"), Err(HeaderMissing("Content-Type")));
        assert_eq!(
            check(&[EVENT_OK, ID_OK, ("Content-Type", "text/plain")], b"{}"),
            Err(ContentType("text/plain".into()))
        );
        assert_eq!(check(&[EVENT_OK, ID_OK, URLENCODED], b"{}"), Err(NoPayload));
        assert_eq!(check(&[EVENT_OK, ID_OK, URLENCODED], b"xpayload=1"), Err(NoPayload));
        assert_eq!(check(&[("X-GitHub-Event", "a b"), ID_OK, JSON], b"{}"), Err(HeaderMalformed("X-GitHub-Event")));
        assert_eq!(check(&[EVENT_OK, ID_OK], b"{}").unwrap_err().status(), 400);
    }

    #[test]
    fn bodies_have_a_bound() {
        let large = vec![b' '; JSON_SIZE_MAX + 1];
        let error = check(&[EVENT_OK, ID_OK, JSON], &large).unwrap_err();
        assert_eq!((error.status(), error), (413, DeliveryError::TooLarge { limit: JSON_SIZE_MAX }));
        assert!(check(&[EVENT_OK, ID_OK, JSON], &large[1..]).is_ok());
        assert_eq!(size_max(Some(URLENCODED.1)), 75 * 1024 * 1024);
        assert_eq!(size_max(None), JSON_SIZE_MAX);
    }

    #[test]
    fn the_digest_covers_event_and_body() {
        let digest = |event, body: &[u8]| check(&[("X-GitHub-Event", event), ID_OK, JSON], body).unwrap().digest;
        assert_eq!(digest("push", b"{}"), digest("push", b"{}"));
        assert_ne!(digest("push", b"{}"), digest("push", b"{ }"));
        assert_ne!(digest("push", b"{}"), digest("ping", b"{}"));
    }
}
