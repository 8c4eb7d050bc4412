//! The keys: one secret for what only we read again, one RSA key for what others check. Both lie on the disk, readable by us alone.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Name of the file with the secret.
const SECRET_FILE: &str = "token.key";
/// Name of the file with the RSA key, PKCS #8 DER.
const RSA_FILE: &str = "oidc.key";
/// How long the secret is.
const SECRET_LENGTH: usize = 32;
/// The most that a key's file may hold.
const FILE_SIZE_MAX: u64 = 64 << 10;

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("the key {path} cannot be read or made")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What is in it is no key.
    #[error("{path} holds no key of ours: take it away, and a new one is made")]
    Broken {
        /// Which.
        path: PathBuf,
    },
}

/// The keys.
pub struct Keys {
    secret: hmac::Key,
    rsa: KeyPair,
    /// The RSA key's modulus and exponent, as a key set writes them.
    modulus: String,
    exponent: String,
    id: String,
}

impl Keys {
    /// Opens the keys in this folder; what is not there is made.
    pub fn open(folder: &Path) -> Result<Self, KeysError> {
        let failed = |path: &Path, source| KeysError::File { path: path.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
        let secret_path = folder.join(SECRET_FILE);
        let secret = kept(&secret_path, make_secret).map_err(|source| failed(&secret_path, source))?;
        if secret.len() != SECRET_LENGTH {
            return Err(KeysError::Broken { path: secret_path });
        }
        let rsa_path = folder.join(RSA_FILE);
        let broken = || KeysError::Broken { path: rsa_path.clone() };
        let der = kept(&rsa_path, make_rsa).map_err(|source| failed(&rsa_path, source))?;
        let rsa = KeyPair::from_pkcs8(&der).map_err(|_| broken())?;
        let public = rsa.public_key().as_ref().to_vec();
        let (modulus, exponent) = parts_of(&public).ok_or_else(broken)?;
        let (modulus, exponent) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
        let id = hex::encode(&digest::digest(&digest::SHA256, &public).as_ref()[..16]);
        Ok(Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &secret), rsa, modulus, exponent, id })
    }

    /// Returns the code of a tuple: each part with its length before it, so that two tuples never give the same text (S7).
    pub fn code(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.secret);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }

    /// Is this the code of the tuple?
    pub fn is_code(&self, parts: &[&[u8]], code: &[u8]) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.code(parts), code).is_ok()
    }

    /// Signs with the RSA key (RS256).
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.rsa.public_modulus_len()];
        let random = SystemRandom::new();
        self.rsa
            .sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
            .expect("a key of 2048 bits signs with PKCS #1 and SHA-256");
        signature
    }

    /// Returns the name of the RSA key.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the RSA key's public half, as a key set has it.
    pub fn public(&self) -> serde_json::Value {
        serde_json::json!({
            "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.id, "n": self.modulus, "e": self.exponent,
        })
    }
}

fn make_secret() -> std::io::Result<Vec<u8>> {
    let mut secret = vec![0; SECRET_LENGTH];
    SystemRandom::new().fill(&mut secret).map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    Ok(secret)
}

fn make_rsa() -> std::io::Result<Vec<u8>> {
    let failed = |_| std::io::Error::other("no RSA key can be made");
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
    Ok(der.as_ref().to_vec())
}

/// Reads a file, or makes it: whole or not at all, and nobody else may read it.
fn kept(path: &Path, make: impl FnOnce() -> std::io::Result<Vec<u8>>) -> std::io::Result<Vec<u8>> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() > FILE_SIZE_MAX => return Err(std::io::Error::other("it is too large for a key")),
        Ok(_) => return std::fs::read(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let new = make()?;
    let unfinished = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = std::fs::File::options().create(true).truncate(true).write(true).mode(0o600).open(&unfinished)?;
    file.write_all(&new)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    Ok(new)
}

/// Takes modulus and exponent out of an RSA public key (PKCS #1: a sequence of two integers).
fn parts_of(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (sequence, _) = element(der, 0x30)?;
    let (modulus, rest) = element(sequence, 0x02)?;
    let (exponent, _) = element(rest, 0x02)?;
    Some((without_zero(modulus), without_zero(exponent)))
}

/// Splits off one element of DER with this tag: its content, and what follows.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let (bytes, rest) = rest.split_at_checked(count)?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (found == tag).then_some(())?;
    rest.split_at_checked(length)
}

fn without_zero(number: &[u8]) -> &[u8] {
    number.strip_prefix(&[0]).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;

    #[test]
    fn keys_are_made_once_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        let again = Keys::open(folder.path()).unwrap();
        assert_eq!(keys.id(), again.id());
        assert_eq!(keys.code(&[b"a"]), again.code(&[b"a"]));
        for name in [SECRET_FILE, RSA_FILE] {
            let mode = std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        let n = URL_SAFE_NO_PAD.decode(keys.public()["n"].as_str().unwrap()).unwrap();
        let e = URL_SAFE_NO_PAD.decode(keys.public()["e"].as_str().unwrap()).unwrap();
        assert_eq!((n.len(), &*e), (256, &[1, 0, 1][..]));
        let public = RsaPublicKeyComponents { n, e };
        public.verify(&RSA_PKCS1_2048_8192_SHA256, b"text", &keys.sign(b"text")).unwrap();
        std::fs::write(folder.path().join(RSA_FILE), "nothing").unwrap();
        assert!(matches!(Keys::open(folder.path()), Err(KeysError::Broken { .. })));
    }

    #[test]
    fn a_code_is_of_one_tuple_only() {
        let keys = Keys::open(tempfile::tempdir().unwrap().path()).unwrap();
        assert!(keys.is_code(&[b"ab", b"c"], &keys.code(&[b"ab", b"c"])));
        assert_ne!(keys.code(&[b"ab", b"c"]), keys.code(&[b"a", b"bc"]));
        assert_ne!(keys.code(&[b"ab"]), keys.code(&[b"ab", b""]));
        assert!(!keys.is_code(&[b"ab"], b"short"));
    }
}
