//! Where the actions of a local run come from: folders that were named, this working tree for its own, and a store in the user's
//! cache that fetches every commit once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::port::Reply;
use greenlight_git::{AccessToken, Credentials, Transport};
use greenlight_runner::{ActionFiles, ActionName, ActionOverride, ActionSource, ActionStore, ActionStoreOptions};

use super::files::Sources;
use crate::actions::{self, ActionsOptions};

/// How actions are to be wanted.
#[derive(Clone)]
pub struct Wanted<'a> {
    /// The folders that were named.
    pub sources: &'a Sources,
    /// The repository of the working tree ("owner/name"), and the commit that it plays.
    pub own: (&'a str, String),
    /// The working tree.
    pub root: &'a Path,
    /// Is nothing fetched?
    pub offline: bool,
    /// The address that repositories stand below.
    pub url: &'a str,
    /// The person's own token, for what only they may read.
    pub token: Option<String>,
}

/// The token of the person who runs it, where there is one. It is shown to the address that the actions come from.
struct Personal(Option<AccessToken>);

impl Credentials for Personal {
    fn token<'a>(&'a self, _: &'a RepositoryRef) -> Reply<'a, Result<Option<AccessToken>, String>> {
        Box::pin(async { Ok(self.0.clone()) })
    }
}

/// Opens the actions of a local run.
pub fn open(wanted: &Wanted<'_>) -> anyhow::Result<Arc<dyn ActionSource>> {
    let folder = cache().context("there is no cache folder: set HOME or XDG_CACHE_HOME")?.join("greenlight/actions");
    let mut overrides: Vec<ActionOverride> = wanted
        .sources
        .iter()
        .map(|(name, git_ref, folder)| ActionOverride {
            repository: name.into(),
            git_ref: git_ref.map(Arc::from),
            folder: folder.to_owned(),
        })
        .collect();
    // The one that was named last counts, as everywhere.
    overrides.reverse();
    let (own, commit) = &wanted.own;
    let (repository, git_ref) = (Arc::from(*own), Some(Arc::from(commit.as_str())));
    overrides.push(ActionOverride { repository, git_ref, folder: wanted.root.to_owned() });
    let options = ActionsOptions {
        folder: folder.clone(),
        url: wanted.url.trim_end_matches('/').to_owned(),
        credentials: Arc::new(Personal(wanted.token.clone().map(AccessToken::new))),
        transport: Transport::Http,
    };
    let store = ActionStoreOptions { overrides, offline: wanted.offline, ..ActionStoreOptions::default() };
    let store = actions::open(options, store);
    let store = store.with_context(|| format!("the folder of actions, {}, cannot be used", folder.display()))?;
    Ok(Arc::new(Helpful(store)))
}

/// The store, which says what to do about an action that is not to be had.
struct Helpful(ActionStore);

impl ActionSource for Helpful {
    fn find<'a>(&'a self, name: &'a ActionName) -> Reply<'a, Result<ActionFiles, String>> {
        Box::pin(async move {
            let found = ActionSource::find(&self.0, name).await;
            found.map_err(|why| format!("{why}; --action-source {}=DIR takes a folder in its place", name.repository()))
        })
    }

    fn replaces(&self, name: &ActionName) -> bool {
        self.0.replaces(name)
    }
}

fn cache() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    named.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
}
