//! Who we are for GitHub, and which repositories we look after.

use std::sync::Arc;

use greenlight_core::event::User;
use greenlight_core::fact::RepositoryRef;
use serde::Deserialize;

use crate::client::{CallError, Client, On, repository_path, segment};
use crate::shape::{RepositoryShape, UserShape};

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct App {
    slug: Arc<str>,
}

#[derive(Deserialize)]
struct ActionsPermissions {
    enabled: bool,
}

#[derive(Deserialize)]
struct ActionsAccess {
    access_level: Arc<str>,
}

#[derive(Deserialize)]
struct OpenRepository {
    #[serde(default)]
    private: bool,
    #[serde(flatten)]
    shape: RepositoryShape,
}

/// May a repository's workflows be used by another one of its owner?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Everybody may: it is public.
    Everybody,
    /// The other one may.
    Shared(RepositoryRef),
    /// It may not, in one sentence.
    Closed(String),
    /// There is no such repository, as far as we may know.
    Unseen,
}

impl Client {
    /// Reads whether `user`, a repository of the same owner, may use the workflows and actions of `full_name`: by GitHub's own rules
    /// (a private repository's are for other private ones, where its setting says so), read with what we may read.
    pub async fn sharing(&self, full_name: &str, user: &str) -> Result<Sharing, CallError> {
        let path = repository_path(full_name, "")?;
        let found: Option<OpenRepository> = self.get_if_readable(On::Repository(full_name), &path).await?;
        let Some(found) = found else { return Ok(Sharing::Unseen) };
        if !found.private {
            return Ok(Sharing::Everybody);
        }
        let using: OpenRepository = self.get(On::Repository(user), &repository_path(user, "")?).await?;
        if !using.private {
            return Ok(Sharing::Closed(format!("{full_name} is private, and {user} is not")));
        }
        let path = repository_path(full_name, "/actions/permissions/access")?;
        let access: Option<ActionsAccess> = self.get_if_readable(On::Repository(full_name), &path).await?;
        Ok(match access.as_ref().map(|access| &*access.access_level) {
            None => Sharing::Closed(format!(
                "{full_name} is private, and whether others may use its workflows cannot be read: that takes admin rights there"
            )),
            Some("none") => Sharing::Closed(format!(
                "{full_name} is private, and its settings (Actions, General, Access) let no other repository use its workflows"
            )),
            Some(_) => Sharing::Shared(reference(&found.shape, full_name)?),
        })
    }

    /// Reads a repository's id and default branch by its name.
    pub async fn repository(&self, full_name: &str) -> Result<RepositoryRef, CallError> {
        let shape: RepositoryShape = self.get(On::Repository(full_name), &repository_path(full_name, "")?).await?;
        reference(&shape, full_name)
    }

    /// Reads the repositories that our App is installed on; none for a personal token, which has to be told.
    pub async fn repositories(&self) -> Result<Vec<RepositoryRef>, CallError> {
        if !self.is_app() {
            return Ok(Vec::new());
        }
        let installations: Vec<Installation> =
            self.list(On::Ourselves, "/app/installations?per_page=100", None).await?;
        let mut found = Vec::new();
        for installation in installations {
            let on = On::Installation(installation.id);
            let path = "/installation/repositories?per_page=100";
            let repositories: Vec<RepositoryShape> = self.list(on, path, Some("repositories")).await?;
            for shape in repositories {
                let repository = reference(&shape, "a repository")?;
                self.learn_installation(&repository.full_name, installation.id);
                found.push(repository);
            }
        }
        Ok(found)
    }

    /// Reads who we are: the token's person, or the App's bot.
    pub async fn own_user(&self) -> Result<User, CallError> {
        let shape: UserShape = if self.is_app() {
            let app: App = self.get(On::Ourselves, "/app").await?;
            // The App itself may not ask for users, and anybody's answer is the same: ask as any of its installations.
            let installations: Vec<Installation> =
                self.list(On::Ourselves, "/app/installations?per_page=1", None).await?;
            let on = installations.first().map_or(On::Ourselves, |installation| On::Installation(installation.id));
            self.get(on, &format!("/users/{}", segment(&format!("{}[bot]", app.slug)))).await?
        } else {
            self.get(On::Ourselves, "/user").await?
        };
        Ok(shape.user())
    }

    /// Would hosted Actions run this repository's workflows, too? Nothing where we may not know: it takes admin rights.
    pub async fn hosted_actions(&self, full_name: &str) -> Result<Option<bool>, CallError> {
        let path = repository_path(full_name, "/actions/permissions")?;
        let permissions: Option<ActionsPermissions> = self.get_if_readable(On::Repository(full_name), &path).await?;
        Ok(permissions.map(|permissions| permissions.enabled))
    }
}

fn reference(shape: &RepositoryShape, name: &str) -> Result<RepositoryRef, CallError> {
    shape
        .reference()
        .map_err(|malformed| CallError::BadAnswer { what: format!("reading {name}"), problem: malformed.to_string() })
}
