//! Who is a runner: tokens that make one, keys that prove one. Only digests are kept.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use greenlight_core::port::StoreError;
use greenlight_core::time::Timestamp;
use greenlight_runner::wire::message::Registered;
use greenlight_store::{NewRunner, RunnerRow};

use super::super::{Shared, clock};

/// How long a token that makes a runner can be used.
pub const TOKEN_LENGTH: Duration = Duration::from_secs(15 * 60);
/// How long a runner's name may be.
const NAME_LENGTH_MAX: usize = 40;
/// How often it is written down that a runner was heard of.
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// What tokens and keys begin with, so that they are known for what they are.
const TOKEN_PREFIX: &str = "glt_";
const KEY_PREFIX: &str = "glr_";

/// A token that makes one runner.
pub struct NewToken {
    /// The token. It is shown once.
    pub text: String,
    /// Until when it can be used.
    pub expires_at: Timestamp,
}

impl Shared {
    /// Makes a token for one runner with these labels.
    pub async fn make_runner_token(&self, labels: &[Arc<str>]) -> Result<NewToken, StoreError> {
        let (text, now) = (secret(TOKEN_PREFIX), clock::now());
        let expires_at = now + TOKEN_LENGTH;
        self.store.add_runner_token(digest_of(&text), labels, now, expires_at).await?;
        Ok(NewToken { text, expires_at })
    }
}

/// Makes a runner of a token; nothing where the token does not work (any more).
pub async fn register(
    shared: &Shared,
    token: &str,
    name: &str,
    protocol: u32,
) -> Result<Option<Registered>, StoreError> {
    let key = secret(KEY_PREFIX);
    let name = format!("{}-{}", plain(name), &secret("")[..6]);
    let new = NewRunner { name, digest: digest_of(&key), token: digest_of(token), at: clock::now(), protocol };
    let Some(made) = shared.store.register_runner(new).await? else { return Ok(None) };
    shared.fleet.add_labels(&made.labels);
    shared.directory.tell_labels(shared);
    tracing::info!("the runner {} registered ({})", made.name, made.labels.join(", "));
    let labels = made.labels.iter().map(ToString::to_string).collect();
    Ok(Some(Registered { runner: made.name, key, labels }))
}

/// Takes a runner away. False where there is none of this name.
pub async fn remove(shared: &Shared, name: &str) -> Result<bool, StoreError> {
    if !shared.store.remove_runner(name).await? {
        return Ok(false);
    }
    let left = shared.store.runners().await?;
    shared.fleet.set_labels(left.iter().flat_map(|runner| runner.labels.iter().cloned()));
    shared.directory.tell_labels(shared);
    tracing::info!("the runner {name} was removed");
    Ok(true)
}

/// Returns the runner that a key belongs to, and notes that it was heard of.
pub async fn recognize(shared: &Shared, key: &str, protocol: u32) -> Result<Option<RunnerRow>, StoreError> {
    if !key.starts_with(KEY_PREFIX) {
        return Ok(None);
    }
    let Some(runner) = shared.store.runner_of_key(digest_of(key)).await? else { return Ok(None) };
    let now = clock::now();
    if now.since(runner.seen_at) >= SEEN_EVERY || runner.protocol != protocol {
        shared.store.runner_seen(&runner.name, now, protocol).await?;
    }
    Ok(Some(runner))
}

/// Returns the digest under which a secret of ours is kept. It is long and random, so that a plain digest will do.
fn digest_of(secret: &str) -> [u8; 32] {
    digest(&SHA256, secret.as_bytes()).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn secret(prefix: &str) -> String {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).expect("the system gives random numbers");
    format!("{prefix}{}", hex::encode(bytes))
}

/// Makes of what a machine calls itself something that stands in a log and an address.
fn plain(name: &str) -> String {
    let name: String = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .take(NAME_LENGTH_MAX)
        .collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "runner".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        assert_eq!(plain("Build Box.local"), "build-box-local");
        assert_eq!(plain("../\n"), "runner");
        assert_eq!(plain(&"x".repeat(99)).len(), NAME_LENGTH_MAX);
        assert_ne!(secret("a"), secret("a"));
    }
}
