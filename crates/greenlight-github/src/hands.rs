//! Effects on GitHub, carried out.
//!
//! Each effect is one function: read back first where an earlier try may have done it, then one write, then the answer in
//! the core's words. Nothing is repeated here. A call that never left, or that GitHub turned away for now, is "later"; one
//! whose answer was lost is "unknown", and its next try comes with [`Dispatch::confirm`].

mod comment;
mod deploy;
mod ending;
mod made_up;
mod merge;
mod pull;
mod reconcile;
mod show;

use std::sync::Arc;

use greenlight_core::effect::{Answer, Dispatch, Effect, Outcome, Refusal};
use greenlight_core::event::{Permission, User};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::EffectKey;
use greenlight_core::port::{Hands, Reply, Said};
use greenlight_core::shown::Link;
use serde::Deserialize;

use crate::client::{CallError, Client, On, repository_path, segment};
use crate::shape::UserShape;
use ending::not_read;

/// Carries out effects on GitHub: those whose target is reading from it or writing to it.
#[derive(Clone)]
pub struct GitHubHands {
    client: Client,
    links: Option<Arc<str>>,
    said: Option<Arc<dyn Said>>,
}

/// One try of an effect: who, where, which.
struct Try<'a> {
    client: &'a Client,
    links: Option<&'a str>,
    said: Option<&'a dyn Said>,
    repository: &'a RepositoryRef,
    key: &'a EffectKey,
    tried: u32,
    confirm: bool,
}

impl GitHubHands {
    /// Returns hands that speak through `client`. `links` is the address of our pages; without it, reports carry no links.
    pub fn new(client: Client, links: Option<&str>) -> Self {
        Self { client, links: links.map(|links| links.trim_end_matches('/').into()), said: None }
    }

    /// Makes the check runs of jobs that are over show what these said beside their logs.
    pub fn with_said(self, said: Arc<dyn Said>) -> Self {
        Self { said: Some(said), ..self }
    }

    async fn carry_out(&self, repository: &RepositoryRef, dispatch: &Dispatch) -> Outcome {
        let Dispatch { key, effect, tried, confirm } = dispatch;
        let links = self.links.as_deref();
        let said = self.said.as_deref();
        let attempt = Try { client: &self.client, links, said, repository, key, tried: *tried, confirm: *confirm };
        match effect {
            Effect::ReadPermission(user) => attempt.read_permission(user).await,
            Effect::ReadPull(pull) => attempt.read_pull(*pull).await,
            Effect::Reconcile { known_open, since, pulls_since } => {
                attempt.reconcile(known_open, *since, *pulls_since).await
            }
            Effect::Show { sha, context, report, check_run } => attempt.show(*sha, context, report, *check_run).await,
            Effect::Comment { pull, mark, body, id } => attempt.comment(*pull, mark, body, *id).await,
            Effect::Merge { pull, head_sha, base_ref, method } => {
                attempt.merge(*pull, *head_sha, base_ref, *method).await
            }
            Effect::CreateDeployment { sha, environment, description, production } => {
                attempt.create_deployment(*sha, environment, description, *production).await
            }
            Effect::ShowDeployment { id, shown } => attempt.show_deployment(*id, shown).await,
            Effect::PrepareMerge { .. } | Effect::ReadCommit { .. } | Effect::Tell { .. } => {
                Outcome::Refused(Refusal::Other("this is nothing that GitHub's API does".into()))
            }
        }
    }
}

impl Hands for GitHubHands {
    fn perform<'a>(&'a self, repository: &'a RepositoryRef, dispatch: &'a Dispatch) -> Reply<'a, Outcome> {
        Box::pin(self.carry_out(repository, dispatch))
    }
}

#[derive(Deserialize)]
struct Collaborator {
    permission: Arc<str>,
    #[serde(default)]
    user: Option<UserShape>,
}

impl Try<'_> {
    fn on(&self) -> On<'_> {
        On::Repository(&self.repository.full_name)
    }

    fn path(&self, rest: &str) -> Result<String, CallError> {
        repository_path(&self.repository.full_name, rest)
    }

    /// Returns the address of a page of ours.
    fn address(&self, link: Option<&Link>) -> Option<String> {
        let below = format!("{}/{}", self.links?, self.repository.full_name);
        Some(match link? {
            Link::Run(run) => format!("{below}/runs/{run}"),
            Link::Job(run, job) => format!("{below}/runs/{run}/jobs/{}", segment(job.as_str())),
            Link::Pull(pull) => format!("{below}/pulls/{pull}"),
            Link::Environments => format!("{below}/environments"),
        })
    }

    async fn read_permission(&self, user: &User) -> Outcome {
        match self.permission(user).await {
            Ok(permission) => Outcome::Done(Answer::Permission(permission)),
            Err(error) => not_read(error),
        }
    }

    /// A login can change hands: what counts is whom GitHub means by it now (S2).
    async fn permission(&self, user: &User) -> Result<Permission, CallError> {
        let path = self.path(&format!("/collaborators/{}/permission", segment(&user.login)))?;
        let found: Option<Collaborator> = match self.client.get(self.on(), &path).await {
            Ok(found) => Some(found),
            Err(CallError::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let Some(Collaborator { permission, user: Some(meant) }) = found else { return Ok(Permission::None) };
        if meant.id != user.id.0 {
            tracing::warn!(user.id = %user.id, "{} is somebody else's name by now", user.login);
            return Ok(Permission::None);
        }
        Ok(match &*permission {
            "admin" => Permission::Admin,
            "write" | "maintain" => Permission::Write,
            "read" | "triage" => Permission::Read,
            _ => Permission::None,
        })
    }
}
