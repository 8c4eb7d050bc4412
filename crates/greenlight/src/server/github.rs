//! Our side of GitHub: who we are there, where repositories are cloned from, and the hands that read and write.

use std::sync::Arc;

use greenlight_core::effect::{Dispatch, Outcome};
use greenlight_core::event::User;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::port::{Hands as _, Said};
use greenlight_core::repository::Addresses;
use greenlight_github::client::{AppKey, AppKeyError, Client, Credentials, Settings, SettingsError};
use greenlight_github::hands::GitHubHands;

use crate::config::{Config, Identity};

/// Where a GitHub Enterprise Server has its API.
const ENTERPRISE_PATH: &str = "/api/v3";

/// Whose limits hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// github.com's, or those of whoever looks like it.
    GitHubCom,
    /// GitHub Enterprise Server has none as it is set up by default.
    Enterprise,
}

/// GitHub, as the settings have it.
pub struct GitHub {
    client: Client,
    hands: GitHubHands,
    web_url: String,
    api_url: String,
    profile: Profile,
}

/// The settings for GitHub cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// The private key.
    #[error("github.private_key cannot be used")]
    Key(#[source] AppKeyError),
    /// The address.
    #[error("github.api_url cannot be used")]
    Address(#[source] SettingsError),
}

impl GitHub {
    /// Gets ready; `said` tells what jobs said beside their logs. Nothing is sent yet.
    pub fn new(config: &Config, said: Arc<dyn Said>) -> Result<Self, GitHubError> {
        let credentials = match &config.github.identity {
            Identity::Token(token) => Credentials::Token(token.clone()),
            Identity::App { id, private_key } => {
                Credentials::App { id: id.to_string(), key: AppKey::from_pem(private_key).map_err(GitHubError::Key)? }
            }
        };
        let api_url = config.github.api_url.to_string();
        let (web_url, profile) = web_of(&api_url);
        let client = Client::new(Settings { api_url: api_url.clone(), credentials }).map_err(GitHubError::Address)?;
        let hands = GitHubHands::new(client.clone(), config.pages.url.as_deref()).with_said(said);
        Ok(Self { client, hands, web_url, api_url, profile })
    }

    /// Returns the client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Returns whose limits hold.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Are we an App?
    pub fn is_app(&self) -> bool {
        self.client.is_app()
    }

    /// Returns where a repository is cloned from.
    pub fn clone_url(&self, repository: &RepositoryRef) -> String {
        format!("{}/{}.git", self.web_url, repository.full_name)
    }

    /// Returns the address that repositories stand below, without a slash at its end.
    pub fn web_url(&self) -> &str {
        &self.web_url
    }

    /// Returns where jobs are told that GitHub is.
    pub fn addresses(&self) -> Addresses {
        let api = &self.api_url;
        // An enterprise's GraphQL stands beside its REST API: `/api/v3` and `/api/graphql`.
        let graphql = match self.profile {
            Profile::Enterprise => format!("{}/api/graphql", self.web_url),
            Profile::GitHubCom => format!("{api}/graphql"),
        };
        Addresses { server: self.web_url.as_str().into(), api: api.as_str().into(), graphql: graphql.into() }
    }

    /// Returns whose budget a write to this repository counts against: the token's, or that of the App's installation, of which there is one an owner.
    pub fn whose_token(&self, repository: &RepositoryRef) -> String {
        match self.is_app() {
            false => String::new(),
            true => repository.full_name.split('/').next().unwrap_or("").to_lowercase(),
        }
    }

    /// Asks who we are.
    pub async fn own_user(&self) -> Result<User, String> {
        self.client.own_user().await.map_err(|error| error.to_string())
    }

    /// Carries out one try.
    pub async fn perform(&self, repository: &RepositoryRef, dispatch: &Dispatch) -> Outcome {
        self.hands.perform(repository, dispatch).await
    }
}

/// Returns the address that repositories are cloned from, and whose limits hold.
fn web_of(api_url: &str) -> (String, Profile) {
    match api_url.strip_suffix(ENTERPRISE_PATH) {
        Some(web) => (web.to_owned(), Profile::Enterprise),
        None if api_url == "https://api.github.com" => ("https://github.com".to_owned(), Profile::GitHubCom),
        None => (api_url.to_owned(), Profile::GitHubCom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_cloned_from_the_web_s_address() {
        assert_eq!(web_of("https://api.github.com"), ("https://github.com".into(), Profile::GitHubCom));
        assert_eq!(web_of("https://ghes.example.com/api/v3"), ("https://ghes.example.com".into(), Profile::Enterprise));
        assert_eq!(web_of("http://127.0.0.1:8080"), ("http://127.0.0.1:8080".into(), Profile::GitHubCom));
    }
}
