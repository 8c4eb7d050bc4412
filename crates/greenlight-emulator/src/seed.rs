//! What an emulator starts with: a file in JSON.
//!
//! ```json
//! {
//!   "users": [{"login": "octocat", "name": "The Octocat", "id": 583231}],
//!   "organizations": [{"login": "acme", "members": {"octocat": "admin"},
//!                      "teams": [{"name": "ops", "members": ["octocat"], "repositories": {"app": "push"}}]}],
//!   "tokens": [{"token": "ghp_octocat", "user": "octocat", "scopes": ["repo"]}],
//!   "apps": [{"id": 7, "slug": "greenlight", "owner": "octocat", "private_key": "-----BEGIN…", "permissions": {"checks": "write"},
//!             "events": ["pull_request"], "webhook": {"url": "http://127.0.0.1:4567/webhooks/github", "secret": "…"},
//!             "installations": [{"id": 9, "account": "octocat", "repositories": ["Spoon-Knife"]}]}],
//!   "repositories": [{"owner": "octocat", "name": "Spoon-Knife", "private": false, "default_branch": "main",
//!                     "files": {"README.md": "hello", "script/cibuild": {"text": "#!/bin/sh\n", "mode": "100755"}},
//!                     "collaborators": {"hubot": "push"},
//!                     "hooks": [{"config": {"url": "http://…", "content_type": "json", "secret": "…"}, "events": ["*"]}],
//!                     "protection": {"main": {"required_status_checks": {"strict": false, "contexts": ["greenlight"]}}}}]
//! }
//! ```
//!
//! `protection` is what `PUT /branches/{branch}/protection` takes. A token without `scopes` has all of them; an App without keys gets a
//! pair made for it, which `GET /_emulator/apps` shows. What is there already (a second start on the same data) is left as it is.

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeySize, PrivateDecryptingKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    git::{GitError, Kind, RefUpdate, Signature},
    model::{
        AccountKind, App, At, Hook, HookTarget, Installation, Permission, Repository, Token, ZERO_OID,
        account::{SCOPES_ALL, Team},
        hook::HookConfig,
    },
    push,
    render::event::fields,
    rest::protection::protection_in,
    site::{Change, Site},
    webhook::Announcement,
};

/// What an emulator starts with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seed {
    /// People.
    pub users: Vec<SeedUser>,
    /// Organizations.
    pub organizations: Vec<SeedOrganization>,
    /// Personal tokens.
    pub tokens: Vec<SeedToken>,
    /// GitHub Apps with their installations.
    pub apps: Vec<SeedApp>,
    /// Repositories.
    pub repositories: Vec<SeedRepository>,
}

/// A person.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedUser {
    /// The login.
    pub login: String,
    /// The name in commits; the login where there is none.
    pub name: Option<String>,
    /// The address in commits.
    pub email: Option<String>,
    /// The id; the next free one where there is none.
    pub id: Option<u64>,
}

/// An organization.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedOrganization {
    /// The login.
    pub login: String,
    /// The id; the next free one where there is none.
    pub id: Option<u64>,
    /// Login to `admin` or `member`.
    #[serde(default)]
    pub members: BTreeMap<String, String>,
    /// Teams.
    #[serde(default)]
    pub teams: Vec<SeedTeam>,
}

/// A team.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedTeam {
    /// The name, which is the slug as well.
    pub name: String,
    /// Logins.
    #[serde(default)]
    pub members: Vec<String>,
    /// Repository name to permission.
    #[serde(default)]
    pub repositories: BTreeMap<String, String>,
}

/// A personal token.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedToken {
    /// The token itself.
    pub token: String,
    /// Whose it is.
    pub user: String,
    /// All scopes where there are none.
    pub scopes: Option<Vec<String>>,
}

impl std::fmt::Debug for SeedToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SeedToken")
            .field("user", &self.user)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// A GitHub App.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedApp {
    /// The App's id.
    pub id: u64,
    /// The slug; its bot is `slug[bot]`.
    pub slug: String,
    /// Whose App it is.
    pub owner: String,
    /// PEM (PKCS#8), from which the public key follows.
    pub private_key: Option<String>,
    /// PEM (SPKI), where the private key is elsewhere.
    pub public_key: Option<String>,
    /// Permission to `read` or `write`.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// Events that it hears.
    #[serde(default)]
    pub events: Vec<String>,
    /// Where it hears them.
    #[serde(default)]
    pub webhook: Value,
    /// Where it is installed.
    #[serde(default)]
    pub installations: Vec<SeedInstallation>,
}

/// An installation of an App.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedInstallation {
    /// The id; the next free one where there is none.
    pub id: Option<u64>,
    /// The account.
    pub account: String,
    /// Names of the chosen repositories; all where there are none.
    pub repositories: Option<Vec<String>>,
}

/// A repository.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedRepository {
    /// Whose it is.
    pub owner: String,
    /// The name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether only some may see it.
    #[serde(default)]
    pub private: bool,
    /// `main` where there is none.
    pub default_branch: Option<String>,
    /// Path to content of the first commit.
    #[serde(default)]
    pub files: BTreeMap<String, SeedFile>,
    /// Login to permission.
    #[serde(default)]
    pub collaborators: BTreeMap<String, String>,
    /// Hooks, as `POST /hooks` takes them.
    #[serde(default)]
    pub hooks: Vec<Value>,
    /// Branch to protection, as `PUT /branches/{branch}/protection` takes it.
    #[serde(default)]
    pub protection: BTreeMap<String, Value>,
}

/// A file.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum SeedFile {
    /// A plain file.
    Text(String),
    /// A file with a mode, as git writes it.
    Moded { text: String, mode: String },
}

/// What is wrong with a seed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// A name is used that nobody has.
    #[error("{what} {name} is not in the seed")]
    Unknown { what: &'static str, name: String },
    /// A value is not what it should be.
    #[error("{what} is not valid: {problem}")]
    Invalid { what: String, problem: String },
    /// A repository could not be made.
    #[error("could not make repository {name}")]
    Git {
        name: String,
        #[source]
        source: GitError,
    },
}

/// Puts the seed into the model, but for what is there already.
pub async fn plant(site: &Arc<Site>, seed: &Seed) -> Result<(), SeedError> {
    {
        let mut change = site.change();
        plant_accounts(&mut change, seed)?;
    }
    for repository in &seed.repositories {
        plant_repository(site, repository).await?;
    }
    let mut change = site.change();
    plant_teams(&mut change, seed)?;
    for app in &seed.apps {
        plant_app(&mut change, app)?;
    }
    Ok(())
}

fn id_of(change: &Change<'_>, login: &str) -> Result<u64, SeedError> {
    change
        .account(login)
        .map(|account| account.id)
        .ok_or_else(|| SeedError::Unknown { what: "account", name: login.to_owned() })
}

fn plant_accounts(change: &mut Change<'_>, seed: &Seed) -> Result<(), SeedError> {
    for user in &seed.users {
        if change.account(&user.login).is_some() {
            continue;
        }
        let id = change.add_account(&user.login, AccountKind::User, user.id);
        if let Some(account) = change.accounts.get_mut(&id) {
            account.name = user.name.clone().unwrap_or_else(|| user.login.clone());
            account.email = user.email.clone().unwrap_or_else(|| account.email.clone());
        }
    }
    for organization in &seed.organizations {
        let id = match change.account(&organization.login) {
            Some(known) => known.id,
            None => change.add_account(&organization.login, AccountKind::Organization, organization.id),
        };
        for (login, role) in &organization.members {
            let member = id_of(change, login)?;
            if let Some(account) = change.accounts.get_mut(&id) {
                account.members.insert(member, role == "admin");
            }
        }
    }
    for token in &seed.tokens {
        let user = id_of(change, &token.user)?;
        add_token(change, &token.token, user, token.scopes.clone());
    }
    Ok(())
}

/// Adds a personal token; without scopes it has all.
pub fn add_token(change: &mut Change<'_>, token: &str, user: u64, scopes: Option<Vec<String>>) {
    let scopes = scopes.unwrap_or_else(|| SCOPES_ALL.iter().map(|scope| (*scope).to_owned()).collect());
    change.tokens.entry(token.to_owned()).or_insert(Token { user, scopes, revoked: false });
}

fn plant_teams(change: &mut Change<'_>, seed: &Seed) -> Result<(), SeedError> {
    for organization in &seed.organizations {
        let id = id_of(change, &organization.login)?;
        for team in &organization.teams {
            let members =
                team.members.iter().map(|login| id_of(change, login)).collect::<Result<Vec<u64>, SeedError>>()?;
            let mut repositories = BTreeMap::new();
            for (name, permission) in &team.repositories {
                let known = change
                    .repository(&organization.login, name)
                    .ok_or_else(|| SeedError::Unknown { what: "repository", name: name.clone() })?;
                repositories.insert(known.id, permission_in(permission)?);
            }
            let team_id = change.next_id();
            let Some(account) = change.accounts.get_mut(&id) else { continue };
            if !account.teams.iter().any(|known| known.slug == team.name) {
                account.teams.push(Team {
                    id: team_id,
                    name: team.name.clone(),
                    slug: team.name.clone(),
                    members,
                    repositories,
                });
            }
        }
    }
    Ok(())
}

fn permission_in(text: &str) -> Result<Permission, SeedError> {
    let problem = "expected pull, triage, push, maintain or admin".to_owned();
    Permission::parse(text).ok_or_else(|| SeedError::Invalid { what: format!("permission {text}"), problem })
}

async fn plant_repository(site: &Arc<Site>, seed: &SeedRepository) -> Result<(), SeedError> {
    let branch = seed.default_branch.clone().unwrap_or_else(|| "main".to_owned());
    let git_error = |source| SeedError::Git { name: format!("{}/{}", seed.owner, seed.name), source };
    let (id, owner) = {
        let mut change = site.change();
        let owner = id_of(&change, &seed.owner)?;
        if change.repository(&seed.owner, &seed.name).is_some() {
            return Ok(());
        }
        let id = change.next_id();
        let mut repository = Repository::new(id, owner, &seed.name, At::now());
        repository.private = seed.private;
        repository.description.clone_from(&seed.description);
        repository.default_branch.clone_from(&branch);
        for (login, permission) in &seed.collaborators {
            repository.collaborators.insert(id_of(&change, login)?, permission_in(permission)?);
        }
        change.repositories.insert(id, repository);
        (id, owner)
    };
    site.git.init(id, &branch, None).await.map_err(git_error)?;
    if !seed.files.is_empty() {
        let commit = first_commit(site, id, owner, seed).map_err(git_error)?;
        let _held = site.hold_refs(id).await;
        let update = RefUpdate { name: format!("refs/heads/{branch}"), old: ZERO_OID.to_owned(), new: commit };
        push::move_refs(site, id, owner, vec![update], None).await.map_err(git_error)?;
    }
    let mut change = site.change();
    for hook in &seed.hooks {
        plant_hook(&mut change, HookTarget::Repository(id), hook);
    }
    for (branch, wanted) in &seed.protection {
        let protection = protection_in(wanted)
            .map_err(|error| SeedError::Invalid { what: format!("protection of {branch}"), problem: error.message })?;
        if let Some(repository) = change.repositories.get_mut(&id) {
            repository.protection.insert(branch.clone(), protection);
        }
    }
    Ok(())
}

fn first_commit(site: &Site, id: u64, owner: u64, seed: &SeedRepository) -> Result<String, GitError> {
    let mut tree = None;
    for (path, file) in &seed.files {
        let (text, mode) = match file {
            SeedFile::Text(text) => (text, "100644"),
            SeedFile::Moded { text, mode } => (text, mode.as_str()),
        };
        let blob = site.git.write(id, Kind::Blob, text.as_bytes())?;
        tree = site.git.with_path(id, tree.as_deref(), path, Some((mode, &blob)))?;
    }
    let tree = match tree {
        Some(tree) => tree,
        None => site.git.write_tree(id, &[])?,
    };
    let signature = {
        let look = site.look();
        let (name, email) = look
            .accounts
            .get(&owner)
            .map_or(("ghost", "ghost@users.noreply.localhost"), |account| (&account.name, &account.email));
        Signature::new(name, email, At::now().seconds())
    };
    site.git.write_commit(id, &tree, &[], &signature, &signature, "Initial commit")
}

fn plant_hook(change: &mut Change<'_>, target: HookTarget, wanted: &Value) -> u64 {
    let (id, now) = (change.next_id(), At::now());
    let events =
        wanted["events"].as_array().map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let hook = Hook {
        id,
        target,
        name: "web".to_owned(),
        active: wanted["active"].as_bool().unwrap_or(true),
        events: events.unwrap_or_else(|| vec!["*".to_owned()]),
        config: config_in(&wanted["config"]),
        created_at: now,
        updated_at: now,
        last_response: None,
    };
    change.hooks.insert(id, hook);
    id
}

fn config_in(given: &Value) -> HookConfig {
    let text = |name: &str| given[name].as_str().map(str::to_owned);
    HookConfig {
        url: text("url").unwrap_or_default(),
        content_type: text("content_type").unwrap_or_else(|| "json".to_owned()),
        secret: text("secret"),
        insecure_ssl: text("insecure_ssl").unwrap_or_else(|| "0".to_owned()),
    }
}

fn plant_app(change: &mut Change<'_>, seed: &SeedApp) -> Result<(), SeedError> {
    if change.apps.contains_key(&seed.id) {
        return Ok(());
    }
    let owner = id_of(change, &seed.owner)?;
    let invalid =
        |problem: &str| SeedError::Invalid { what: format!("key of App {}", seed.slug), problem: problem.to_owned() };
    let (public_key, private_key) = match (&seed.public_key, &seed.private_key) {
        (Some(public), _) => (public.clone(), None),
        (None, given) => {
            let pair = match given {
                Some(pem) => PrivateDecryptingKey::from_pkcs8(&der_in(pem).ok_or_else(|| invalid("expected PEM"))?)
                    .map_err(|_| invalid("expected an RSA key in PKCS#8"))?,
                None => PrivateDecryptingKey::generate(KeySize::Rsa2048).map_err(|_| invalid("could not make one"))?,
            };
            let public: PublicKeyX509Der<'_> =
                pair.public_key().as_der().map_err(|_| invalid("could not be written"))?;
            let private: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| invalid("could not be written"))?;
            (pem("PUBLIC KEY", public.as_ref()), given.is_none().then(|| pem("PRIVATE KEY", private.as_ref())))
        }
    };
    change.reserve_id(seed.id);
    let bot = change.add_account(&format!("{}[bot]", seed.slug), AccountKind::Bot, None);
    let wanted = serde_json::json!({"config": seed.webhook, "events": seed.events});
    let hook = plant_hook(change, HookTarget::App(seed.id), &wanted);
    let app = App {
        id: seed.id,
        slug: seed.slug.clone(),
        name: seed.slug.clone(),
        owner,
        bot,
        created_at: At::now(),
        permissions: seed.permissions.clone(),
        events: seed.events.clone(),
        public_key,
        private_key,
        hook,
    };
    change.apps.insert(seed.id, app);
    for installation in &seed.installations {
        plant_installation(change, seed.id, installation)?;
    }
    Ok(())
}

fn plant_installation(change: &mut Change<'_>, app: u64, seed: &SeedInstallation) -> Result<(), SeedError> {
    let account = id_of(change, &seed.account)?;
    let repositories = match &seed.repositories {
        None => None,
        Some(names) => {
            let find = |name: &String| {
                let known = change.repository(&seed.account, name);
                known.map(|known| known.id).ok_or_else(|| SeedError::Unknown { what: "repository", name: name.clone() })
            };
            Some(names.iter().map(find).collect::<Result<Vec<u64>, SeedError>>()?)
        }
    };
    let id = match seed.id {
        Some(id) => {
            change.reserve_id(id);
            id
        }
        None => change.next_id(),
    };
    change.installations.insert(id, Installation { id, app, account, repositories, created_at: At::now() });
    announce_installation(change, id);
    Ok(())
}

/// Tells an App that it was installed.
fn announce_installation(change: &mut Change<'_>, id: u64) {
    let Some(installation) = change.installations.get(&id) else { return };
    let Some(hook) = change.apps.get(&installation.app).and_then(|app| change.hooks.get(&app.hook)) else { return };
    if hook.config.url.is_empty() {
        return;
    }
    let render = change.render();
    let covered = change.repositories.values().filter(|known| installation.covers(known));
    let payload = fields(json!({
        "action": "created",
        "installation": render.installation(installation),
        "repositories": covered.map(|known| render.short_repository(known)).collect::<Vec<_>>(),
        "requester": null,
        "sender": render.user(installation.account),
    }));
    let action = Some("created".to_owned());
    let announcement = Announcement {
        hook: hook.id,
        event: "installation",
        action,
        repository: None,
        installation: Some(id),
        payload,
    };
    change.announce_to(announcement);
}

fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<String> =
        encoded.as_bytes().chunks(64).map(|chunk| String::from_utf8_lossy(chunk).into_owned()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn der_in(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    STANDARD.decode(body).ok()
}
