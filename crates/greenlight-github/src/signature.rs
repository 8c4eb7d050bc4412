//! Who sent this body? HMAC-SHA-256 over the raw bytes, before anything looks into them (S13).
//!
//! The algorithm is ours to choose, never the header's: SHA-1 is not accepted, even where it is all that was sent. The
//! expected value is never shown, not even in an error.

use aws_lc_rs::hmac;

use crate::secret::Secret;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";
/// The header of the old signature, which proves nothing here.
pub const SIGNATURE_HEADER_SHA1: &str = "x-hub-signature";
/// Secrets that may be live at a time: the new one and the old one during a rotation.
pub const SECRETS_MAX: usize = 2;

const PREFIX: &str = "sha256=";

/// Proof that GitHub signed a body.
///
/// It is told apart from every other body's by what was computed anyway: two bodies with one tag would be a collision of
/// SHA-256. The same body has another tag under another secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signed {
    tag: [u8; 32],
}

impl Signed {
    /// Returns the body's HMAC-SHA-256.
    pub fn tag(&self) -> &[u8; 32] {
        &self.tag
    }
}

/// Checks signatures with one secret, or with two while one is being replaced.
pub struct Verifier {
    keys: Vec<hmac::Key>,
}

/// The secrets given cannot protect a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// There is none.
    #[error("no webhook secret is configured: set `github.webhook_secret_file`, and the same secret at the hook")]
    None,
    /// There are too many.
    #[error("more than {SECRETS_MAX} webhook secrets are configured: keep the new one and the one that it replaces")]
    TooMany,
}

/// Why a signature does not prove that GitHub sent a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("the header X-Hub-Signature-256 is missing: set the hook's secret")]
    Missing,
    /// There is one of the old kind.
    #[error("only X-Hub-Signature (SHA-1) was sent, which is not accepted: X-Hub-Signature-256 is needed")]
    OnlySha1,
    /// It is not of the form "sha256=" and 64 hexadecimal digits.
    #[error("the header X-Hub-Signature-256 is not `sha256=` and 64 hexadecimal digits")]
    Malformed,
    /// It was made with another secret, or for another body.
    #[error("the signature does not fit: the hook's secret is not the one configured here, or the body was changed")]
    Wrong,
}

impl Verifier {
    /// Returns a verifier for these secrets. Without one there is no verifier, so that none can be forgotten.
    pub fn new(secrets: &[Secret]) -> Result<Self, SecretsError> {
        match secrets.len() {
            0 => Err(SecretsError::None),
            1..=SECRETS_MAX => Ok(Self { keys: secrets.iter().map(key).collect() }),
            _ => Err(SecretsError::TooMany),
        }
    }

    /// Checks the raw `body` against the header X-Hub-Signature-256; `sha1` is X-Hub-Signature, for the error only.
    pub fn verify(&self, body: &[u8], sha256: Option<&str>, sha1: Option<&str>) -> Result<Signed, SignatureError> {
        let header = match (sha256, sha1) {
            (Some(header), _) => header,
            (None, Some(_)) => return Err(SignatureError::OnlySha1),
            (None, None) => return Err(SignatureError::Missing),
        };
        let digits = header.strip_prefix(PREFIX).ok_or(SignatureError::Malformed)?;
        let mut tag = [0; 32];
        hex::decode_to_slice(digits, &mut tag).map_err(|_| SignatureError::Malformed)?;
        // Every key is tried, so that the time taken does not tell which one fits.
        let fits = self.keys.iter().filter(|key| hmac::verify(key, body, &tag).is_ok()).count() > 0;
        if fits { Ok(Signed { tag }) } else { Err(SignatureError::Wrong) }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verifier({} secrets)", self.keys.len())
    }
}

/// Returns the value of X-Hub-Signature-256 for `body`, for what we send ourselves.
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    format!("{PREFIX}{}", hex::encode(hmac::sign(&key(secret), body)))
}

fn key(secret: &Secret) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"Hello, World!";
    const SIGNATURE: &str = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn secret(text: &str) -> Secret {
        Secret::new(text).unwrap()
    }

    fn verifier(secrets: &[&str]) -> Verifier {
        Verifier::new(&secrets.iter().map(|text| secret(text)).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn github_s_own_example_fits() {
        let ours = verifier(&["It's a Secret to Everybody"]);
        let signed = ours.verify(BODY, Some(SIGNATURE), None).unwrap();
        assert_eq!(hex::encode(signed.tag()), SIGNATURE[PREFIX.len()..]);
        assert_eq!(ours.verify(BODY, Some(&SIGNATURE.to_uppercase().replace("SHA", "sha")), None), Ok(signed));
        assert_eq!(sign(&secret("It's a Secret to Everybody"), BODY), SIGNATURE);
    }

    #[test]
    fn both_secrets_fit_during_a_rotation() {
        let ours = verifier(&["new", "old"]);
        for live in ["new", "old"] {
            assert!(ours.verify(BODY, Some(&sign(&secret(live), BODY)), None).is_ok(), "{live}");
        }
        assert_eq!(ours.verify(BODY, Some(&sign(&secret("older"), BODY)), None), Err(SignatureError::Wrong));
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let ours = verifier(&["It's a Secret to Everybody"]);
        assert_eq!(ours.verify(b"Hello, World?", Some(SIGNATURE), None), Err(SignatureError::Wrong));
        assert_eq!(ours.verify(BODY, None, None), Err(SignatureError::Missing));
        assert_eq!(ours.verify(BODY, None, Some("sha1=00")), Err(SignatureError::OnlySha1));
        for malformed in ["", "sha256=", "sha1=757107", "757107ea", "sha256=zz", &format!("{SIGNATURE}00"), "sha256=é"]
        {
            assert_eq!(ours.verify(BODY, Some(malformed), None), Err(SignatureError::Malformed), "{malformed}");
        }
    }

    #[test]
    fn without_a_secret_there_is_no_verifier() {
        assert_eq!(Verifier::new(&[]).err(), Some(SecretsError::None));
        let three = ["a", "b", "c"].map(secret);
        assert_eq!(Verifier::new(&three).err(), Some(SecretsError::TooMany));
        assert_eq!(format!("{:?}", verifier(&["hunter2"])), "Verifier(1 secrets)");
    }
}
