//! The mirrors, opened when they are first needed: a server without git starts, and says what it waits for.

use std::path::PathBuf;
use std::sync::Arc;

use greenlight_core::effect::{Dispatch, Outcome};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::port::{Hands as _, Reply};
use greenlight_git::mirrors::FETCH_TIMEOUT;
use greenlight_git::{AccessToken, Credentials, Mirrors, MirrorsOptions, Transport};
use tokio::sync::OnceCell;

use super::github::GitHub;
use super::standing::Standing;

/// What is waited for when git is not there.
const GIT: &str = "git";

/// The mirrors of all repositories.
pub struct Git {
    folder: PathBuf,
    github: Arc<GitHub>,
    standing: Arc<Standing>,
    mirrors: OnceCell<Mirrors>,
}

impl Git {
    /// Keeps the mirrors in `folder`.
    pub fn new(folder: PathBuf, github: Arc<GitHub>, standing: Arc<Standing>) -> Self {
        Self { folder, github, standing, mirrors: OnceCell::new() }
    }

    /// Returns the mirrors, or one sentence why there are none.
    pub async fn mirrors(&self) -> Result<&Mirrors, Arc<str>> {
        match self.mirrors.get_or_try_init(|| Mirrors::open(self.options())).await {
            Ok(mirrors) => {
                self.standing.clear(GIT);
                Ok(mirrors)
            }
            Err(error) => {
                let why: Arc<str> = error.chain().to_string().into();
                self.standing.wait(GIT, why.clone());
                Err(why)
            }
        }
    }

    /// Carries out one try of an effect of git's.
    pub async fn perform(&self, repository: &RepositoryRef, dispatch: &Dispatch) -> Outcome {
        match self.mirrors().await {
            Ok(mirrors) => mirrors.perform(repository, dispatch).await,
            Err(reason) => Outcome::Later { not_before: None, reason },
        }
    }

    fn options(&self) -> MirrorsOptions {
        let github = self.github.clone();
        MirrorsOptions {
            folder: self.folder.clone(),
            clone_url: Box::new(move |repository| github.clone_url(repository)),
            credentials: Arc::new(Tokens(self.github.clone())),
            transport: Transport::Http,
            fetch_timeout: FETCH_TIMEOUT,
        }
    }
}

/// Git fetches with the token that reads the repository through the API.
struct Tokens(Arc<GitHub>);

impl Credentials for Tokens {
    fn token<'a>(&'a self, repository: &'a RepositoryRef) -> Reply<'a, Result<Option<AccessToken>, String>> {
        Box::pin(async move {
            match self.0.client().token_for(&repository.full_name).await {
                Ok(token) => Ok(Some(AccessToken::new(token.expose()))),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}
