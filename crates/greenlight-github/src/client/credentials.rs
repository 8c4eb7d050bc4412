//! As whom we speak: a personal token, or a GitHub App with a short-lived token for each installation.
//!
//! An installation's token is fetched by one caller while the others wait, five minutes before the old one runs out.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use greenlight_core::time::{Duration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};

use super::{CallError, Client, Identity, Inner, On, Request, now, repository_path};
use crate::secret::Secret;
use crate::shape;

/// How long before its end a token is replaced.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// How long a token lasts where GitHub does not say so.
const TOKEN_LENGTH: Duration = Duration::from_secs(60 * 60);
/// How far a JWT reaches back and ahead: GitHub takes ten minutes in all, and clocks differ.
const JWT_BACK: Duration = Duration::from_secs(60);
const JWT_AHEAD: Duration = Duration::from_secs(9 * 60);

/// As whom we speak.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A person's token.
    Token(Secret),
    /// A GitHub App.
    App {
        /// Its id, or its client id.
        id: String,
        /// Its private key.
        key: AppKey,
    },
}

/// The private key of a GitHub App.
#[derive(Clone)]
pub struct AppKey(Arc<EncodingKey>);

/// The text is no private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file holds no RSA private key in PEM form: download one from the App's settings")]
pub struct AppKeyError;

impl AppKey {
    /// Reads a key in PEM form, as GitHub gives it.
    pub fn from_pem(pem: &Secret) -> Result<Self, AppKeyError> {
        let key = EncodingKey::from_rsa_pem(pem.expose().as_bytes()).map_err(|_| AppKeyError)?;
        Ok(Self(Arc::new(key)))
    }
}

impl std::fmt::Debug for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[private key]")
    }
}

/// A token, ready to be sent.
#[derive(Clone)]
pub(super) struct Bearer {
    pub identity: Identity,
    pub header: HeaderValue,
}

impl Bearer {
    fn new(identity: Identity, token: &str) -> Result<Self, CallError> {
        let header = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut header = header.map_err(|_| CallError::Unauthorized {
            what: "any call".into(),
            message: "the token has characters that no token has".into(),
        })?;
        header.set_sensitive(true);
        Ok(Self { identity, header })
    }

    /// Can we get another one by ourselves?
    pub(super) fn is_renewable(&self) -> bool {
        matches!(self.identity, Identity::Installation(_))
    }
}

/// The App's installations, as far as they are known.
#[derive(Default)]
pub(super) struct Installations {
    by_repository: Mutex<HashMap<String, u64>>,
    tokens: Mutex<HashMap<u64, Arc<Slot>>>,
}

/// The place of one installation's token. Who holds its lock fetches it; the others wait.
type Slot = tokio::sync::Mutex<Option<Minted>>;

struct Minted {
    token: Secret,
    expires_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iat: i64,
    exp: i64,
    iss: &'a str,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct MintedShape {
    token: Arc<str>,
    #[serde(default)]
    expires_at: Option<Arc<str>>,
}

impl Client {
    /// Returns the token for git and for what else reads this repository for us. It lasts at least some minutes.
    pub async fn token_for(&self, full_name: &str) -> Result<Secret, CallError> {
        match &self.inner.credentials {
            Credentials::Token(token) => Ok(token.clone()),
            Credentials::App { .. } => {
                let installation = self.installation_of(full_name).await?;
                self.installation_token(installation).await
            }
        }
    }

    pub(super) async fn bearer(&self, on: On<'_>) -> Result<Bearer, CallError> {
        let installation = match (&self.inner.credentials, on) {
            (Credentials::Token(token), _) => return Bearer::new(Identity::Token, token.expose()),
            (Credentials::App { .. }, On::Ourselves) => return self.inner.app_bearer(),
            (Credentials::App { .. }, On::Installation(id)) => id,
            (Credentials::App { .. }, On::Repository(full_name)) => self.installation_of(full_name).await?,
        };
        let token = self.installation_token(installation).await?;
        Bearer::new(Identity::Installation(installation), token.expose())
    }

    /// A token that GitHub does not take any more is not used again, and where it belongs is asked again, too.
    pub(super) async fn forget(&self, bearer: &Bearer) {
        if let Identity::Installation(installation) = bearer.identity {
            let slot = self.inner.installations.slot(installation);
            let mut minted = slot.lock().await;
            let is_same = minted.as_ref().is_some_and(|minted| {
                Bearer::new(bearer.identity, minted.token.expose()).is_ok_and(|known| known.header == bearer.header)
            });
            if is_same {
                *minted = None;
            }
            self.inner.installations.forget(installation);
        }
    }

    async fn installation_of(&self, full_name: &str) -> Result<u64, CallError> {
        if let Some(id) = self.inner.installations.of(full_name) {
            return Ok(id);
        }
        let path = repository_path(full_name, "/installation")?;
        let app = self.inner.app_bearer()?;
        let installation: Installation = self.call_as(&app, &Request::get(path)).await?.json()?;
        self.inner.installations.learn(full_name, installation.id);
        Ok(installation.id)
    }

    async fn installation_token(&self, installation: u64) -> Result<Secret, CallError> {
        let slot = self.inner.installations.slot(installation);
        let mut minted = slot.lock().await;
        if let Some(minted) = minted.as_ref().filter(|minted| minted.expires_at > now() + RENEW_BEFORE) {
            return Ok(minted.token.clone());
        }
        let path = format!("/app/installations/{installation}/access_tokens");
        let request = Request { method: reqwest::Method::POST, path, body: None };
        let answer = self.call_as(&self.inner.app_bearer()?, &request).await;
        if matches!(answer, Err(CallError::NotFound { .. })) {
            self.inner.installations.forget(installation);
        }
        let answer = answer?;
        let shape: MintedShape = answer.json()?;
        let token = Secret::new(shape.token).map_err(|_| answer.bad("the token is empty"))?;
        let expires_at = shape.expires_at.as_deref().and_then(shape::timestamp).unwrap_or_else(|| now() + TOKEN_LENGTH);
        *minted = Some(Minted { token: token.clone(), expires_at });
        Ok(token)
    }
}

impl Inner {
    /// The App itself speaks with a JWT.
    fn app_bearer(&self) -> Result<Bearer, CallError> {
        let refused =
            |message: &str| CallError::Unauthorized { what: "a call of the App".into(), message: message.to_owned() };
        let Credentials::App { id, key } = &self.credentials else {
            return Err(refused("a personal token is configured, and this needs a GitHub App"));
        };
        let seconds = |time: Timestamp| time.as_millis() / 1000;
        let claims = Claims { iat: seconds(now() - JWT_BACK), exp: seconds(now() + JWT_AHEAD), iss: id };
        let jwt = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key.0)
            .map_err(|_| refused("the App's private key cannot sign"))?;
        Bearer::new(Identity::App, &jwt)
    }
}

impl Installations {
    fn of(&self, full_name: &str) -> Option<u64> {
        self.by_repository.lock().unwrap_or_else(PoisonError::into_inner).get(full_name).copied()
    }

    pub(super) fn learn(&self, full_name: &str, installation: u64) {
        let mut known = self.by_repository.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(full_name.to_owned(), installation);
    }

    fn forget(&self, installation: u64) {
        let mut known = self.by_repository.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, id| *id != installation);
    }

    fn slot(&self, installation: u64) -> Arc<Slot> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).entry(installation).or_default().clone()
    }
}
