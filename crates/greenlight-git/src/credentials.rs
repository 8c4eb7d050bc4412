//! Who we are to the other side of a fetch.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::port::Reply;

/// A token for git over HTTP. It shows itself to nobody but git.
#[derive(Clone)]
pub struct AccessToken(String);

impl AccessToken {
    /// Wraps a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// Returns the header that carries it. GitHub takes any user name with an installation token or a personal one.
    pub(crate) fn header(&self) -> String {
        format!("Authorization: Basic {}", self.encoded())
    }

    /// Returns what must not be repeated in a message.
    pub(crate) fn secrets(&self) -> [String; 2] {
        [self.0.clone(), self.encoded()]
    }

    fn encoded(&self) -> String {
        STANDARD.encode(format!("x-access-token:{}", self.0))
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// Where tokens come from: the configuration, or GitHub's API for an App's installation.
pub trait Credentials: Send + Sync {
    /// Returns a token that may read this repository now, nothing where none is needed, or one sentence why there is none.
    fn token<'a>(&'a self, repository: &'a RepositoryRef) -> Reply<'a, Result<Option<AccessToken>, String>>;
}

/// No token: public repositories, and folders.
#[derive(Clone, Copy, Debug)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn token<'a>(&'a self, _: &'a RepositoryRef) -> Reply<'a, Result<Option<AccessToken>, String>> {
        Box::pin(async { Ok(None) })
    }
}
