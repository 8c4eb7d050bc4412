//! The mirrors, opened when they are first needed: a server without git starts, and says what it waits for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use greenlight_core::effect::{Dispatch, Outcome};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::Sha;
use greenlight_core::port::{Hands as _, Reply};
use greenlight_git::mirrors::FETCH_TIMEOUT;
use greenlight_git::{AccessToken, Anonymous, Credentials, Mirrors, MirrorsOptions, Transport};
use greenlight_github::account::Sharing;
use greenlight_github::client::Remedy;
use greenlight_runner::{
    ActionFiles, ActionName, ActionRemote, ActionSource, ActionStore, ActionStoreOptions, RemoteError,
};
use tokio::sync::OnceCell;

use super::called::CalledSource;
use super::github::GitHub;
use super::standing::Standing;
use crate::actions::{self, ActionsOptions};
use crate::config::Config;

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

/// Opens the store of everybody's actions: from the GitHub that we serve, or from where the settings say.
///
/// Nobody is asked who we are: our token may read repositories that the author of a workflow may not, and what is in the store is
/// for every job.
fn open_actions(config: &Config, github: &GitHub) -> std::io::Result<ActionStore> {
    let url = config.actions.url.as_deref().unwrap_or(github.web_url()).trim_end_matches('/').to_owned();
    let folder = config.data.join("actions");
    let options = ActionsOptions { folder, url, credentials: Arc::new(Anonymous), transport: Transport::Http };
    actions::open(options, store_options(config))
}

fn store_options(config: &Config) -> ActionStoreOptions {
    let (offline, pins) = (config.actions.offline, config.actions.pins.clone());
    ActionStoreOptions { offline, pins, ..ActionStoreOptions::default() }
}

/// The stores of actions: one for everybody, and one for each repository's own.
pub struct ActionStores {
    everybody: ActionStore,
    git: Arc<Git>,
    folder: PathBuf,
    options: ActionStoreOptions,
    /// Do actions come from the GitHub that we serve, so that its private repositories may be meant?
    is_ours: bool,
}

impl ActionStores {
    /// Opens them.
    pub fn open(config: &Config, github: &GitHub, git: Arc<Git>) -> std::io::Result<Self> {
        let (folder, options) = (config.data.join("actions"), store_options(config));
        let is_ours = config.actions.url.is_none() && !config.actions.offline;
        Ok(Self { everybody: open_actions(config, github)?, git, folder, options, is_ours })
    }

    fn own(&self, repository: &RepositoryRef) -> std::io::Result<ActionStore> {
        let folder = self.folder.join("own").join(repository.id.to_string());
        let remote = OwnActions { git: self.git.clone(), repository: repository.clone() };
        ActionStore::open(ActionStoreOptions { folder, ..self.options.clone() }, Some(Arc::new(remote)))
    }
}

/// The actions that a job may use, and the workflows that it may call: those of its own repository from its mirror, those of private
/// ones that its owner opened to it, and everybody's.
pub struct Actions {
    stores: Arc<ActionStores>,
    repository: RepositoryRef,
}

impl Actions {
    /// Returns the actions for the jobs of a repository.
    pub fn of(stores: Arc<ActionStores>, repository: RepositoryRef) -> Self {
        Self { stores, repository }
    }
}

impl Actions {
    /// Finds the files of a repository at a ref, and says of a failure whether another try may end better.
    pub async fn look(&self, name: &ActionName) -> Result<ActionFiles, RemoteError> {
        let private = match self.private(name).await {
            Ok(Some(private)) => private,
            Ok(None) => return self.stores.everybody.look(name).await,
            // What is everybody's is served without anybody's leave.
            Err(RemoteError::Unreachable(why)) => {
                let found = self.stores.everybody.look(name).await;
                return found.map_err(|_| RemoteError::Unreachable(why));
            }
            Err(closed) => return Err(closed),
        };
        let own = self
            .stores
            .own(&private)
            .map_err(|error| RemoteError::Unreachable(format!("the store of actions cannot be written: {error}")))?;
        own.look(name).await
    }

    /// Returns the repository that is read with our own token: ours, or a private one that is open to ours. Nothing for everybody's.
    async fn private(&self, name: &ActionName) -> Result<Option<RepositoryRef>, RemoteError> {
        let (full_name, ours) = (name.repository(), &self.repository.full_name);
        if full_name.eq_ignore_ascii_case(ours) {
            return Ok(Some(self.repository.clone()));
        }
        let is_of_owner = ours.split('/').next().is_some_and(|owner| owner.eq_ignore_ascii_case(&name.owner));
        if !is_of_owner || !self.stores.is_ours {
            return Ok(None);
        }
        let closed = || RemoteError::NotFound(format!("{full_name} is not there, or not open to {ours}"));
        match self.stores.git.github.client().sharing(&full_name, ours).await {
            Ok(Sharing::Shared(reference)) => Ok(Some(reference)),
            // What a private repository is called, and how it is set up, is nothing for everybody who can read a status.
            Ok(Sharing::Closed(why)) => {
                tracing::warn!("{name} cannot be used: {why}");
                Err(closed())
            }
            Ok(Sharing::Unseen) => Err(closed()),
            Ok(Sharing::Everybody) => Ok(None),
            // What GitHub forbids is a no; an App that is not installed there, too.
            Err(error) => match error.remedy() {
                Remedy::GiveUp => Ok(None),
                _ => Err(RemoteError::Unreachable(format!("whether {full_name} is private cannot be read: {error}"))),
            },
        }
    }
}

impl ActionSource for Actions {
    fn find<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, String>> {
        Box::pin(async move { self.look(name).await.map_err(|error| error.to_string()) })
    }
}

impl CalledSource for Actions {
    fn look<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, RemoteError>> {
        Box::pin(self.look(name))
    }
}

/// A repository's own actions, as its mirror has them. They are kept apart from everybody's: the repository may be private.
struct OwnActions {
    git: Arc<Git>,
    repository: RepositoryRef,
}

impl OwnActions {
    async fn mirrors(&self) -> Result<&Mirrors, RemoteError> {
        self.git.mirrors().await.map_err(|why| RemoteError::Unreachable(why.to_string()))
    }
}

impl ActionRemote for OwnActions {
    fn resolve<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<Sha, RemoteError>> {
        Box::pin(async move {
            let found = self.mirrors().await?.resolve(&self.repository, &name.git_ref).await;
            found.map_err(|error| actions::remote_error(&error))
        })
    }

    fn fetch<'a>(&'a self, _: &'a ActionName, commit: Sha, dest: &'a Path) -> Reply<'a, Result<(), RemoteError>> {
        Box::pin(async move {
            let written = self.mirrors().await?.export(&self.repository, commit, dest).await;
            written.map_err(|error| actions::remote_error(&error))
        })
    }
}
