//! The one place where everything meets: the model behind its lock, the repositories, the record, the hooks' lanes.
//!
//! The lock is held for plain computation only: never across an await, a process or a socket. What changes refs of a repository
//! holds that repository's own asynchronous lock around its git processes.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::{
    fault::{Faults, fraction},
    feed::Feed,
    git::Git,
    limits::Limits,
    model::{Account, AccountKind, At, Model},
    render::Render,
    webhook::{Announcement, Webhooks},
};

/// Which of GitHub's two faces is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The API at the root, with rate limits.
    GithubCom,
    /// GitHub Enterprise Server: the API at `/api/v3`, without.
    Ghes,
}

/// The version that the GHES profile claims to be.
pub const GHES_VERSION: &str = "3.19.0";

/// Where the emulator is reached.
#[derive(Clone, Debug)]
pub struct Urls {
    pub web: String,
    pub api: String,
}

/// Everything behind the door.
pub struct Site {
    pub profile: Profile,
    pub urls: Urls,
    pub git: Git,
    pub feed: Feed,
    pub faults: Faults,
    pub limits: Limits,
    pub webhooks: Webhooks,
    pub changed: Notify,
    pub snapshot: PathBuf,
    lag: Duration,
    lag_drawn: AtomicU64,
    model: Mutex<Model>,
    repository_locks: Mutex<HashMap<u64, Arc<tokio::sync::Mutex<()>>>>,
}

/// What a site is made of.
pub struct Parts {
    pub profile: Profile,
    pub urls: Urls,
    pub git: Git,
    pub limits: Limits,
    pub webhooks: Webhooks,
    pub snapshot: PathBuf,
    pub lag: Duration,
    pub model: Model,
}

impl Site {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Site {
        Site {
            profile: parts.profile,
            urls: parts.urls,
            git: parts.git,
            feed: Feed::new(),
            faults: Faults::default(),
            limits: parts.limits,
            webhooks: parts.webhooks,
            changed: Notify::new(),
            snapshot: parts.snapshot,
            lag: parts.lag,
            lag_drawn: AtomicU64::new(0),
            model: Mutex::new(parts.model),
            repository_locks: Mutex::default(),
        }
    }

    /// Looks at the model.
    pub fn look(&self) -> Look<'_> {
        Look { site: self, model: self.lock() }
    }

    /// Changes the model. What is announced meanwhile goes out when the change is dropped.
    pub fn change(&self) -> Change<'_> {
        Change { site: self, model: self.lock(), announced: Vec::new() }
    }

    /// Returns how late the next status or test merge becomes visible.
    pub fn draw_lag(&self) -> Duration {
        if self.lag.is_zero() {
            return Duration::ZERO;
        }
        let drawn = self.lag_drawn.fetch_add(1, Ordering::Relaxed);
        self.lag.mul_f64(fraction(0, drawn + 1))
    }

    /// Answers whether anything becomes visible late.
    pub fn lags(&self) -> bool {
        !self.lag.is_zero()
    }

    /// Waits until nobody else changes refs of this repository.
    pub async fn hold_refs(&self, repository: u64) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.repository_locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(repository).or_default())
        };
        lock.lock_owned().await
    }

    fn lock(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The model, being read.
pub struct Look<'a> {
    site: &'a Site,
    model: MutexGuard<'a, Model>,
}

impl Look<'_> {
    /// Returns the writer of JSON.
    pub fn render(&self) -> Render<'_> {
        Render { site: self.site, model: &self.model }
    }
}

impl Deref for Look<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

/// The model, being changed.
pub struct Change<'a> {
    site: &'a Site,
    model: MutexGuard<'a, Model>,
    announced: Vec<Announcement>,
}

impl Change<'_> {
    /// Returns the writer of JSON.
    pub fn render(&self) -> Render<'_> {
        Render { site: self.site, model: &self.model }
    }

    /// Tells all hooks that want `event` of this repository. The payload is built only where there is one.
    pub fn announce(
        &mut self,
        repository: u64,
        event: &'static str,
        action: Option<&str>,
        sender: u64,
        fields: impl FnOnce(&Render<'_>) -> Map<String, Value>,
    ) {
        let Some(known) = self.model.repositories.get(&repository) else { return };
        let hooks = self.model.hooks_for(known, event);
        if hooks.is_empty() {
            return;
        }
        let render = Render { site: self.site, model: &self.model };
        let mut payload = Map::new();
        if let Some(action) = action {
            payload.insert("action".to_owned(), Value::from(action));
        }
        payload.extend(fields(&render));
        render.close_payload(&mut payload, known, sender);
        if event == "push" {
            payload.insert("repository".to_owned(), render.pushed_repository(known));
        }
        for (hook, installation) in hooks {
            self.announced.push(Announcement {
                hook,
                event,
                action: action.map(str::to_owned),
                repository: Some(repository),
                installation,
                payload: payload.clone(),
            });
        }
    }

    /// Tells only the hook of one App, which is how GitHub asks for checks.
    pub fn announce_to_app(
        &mut self,
        repository: u64,
        app: u64,
        event: &'static str,
        action: &str,
        sender: u64,
        fields: impl FnOnce(&Render<'_>) -> Map<String, Value>,
    ) {
        let Some(known) = self.model.repositories.get(&repository) else { return };
        let Some(installation) = self.model.installation_of(app, known) else { return };
        let Some(hook) = self.model.apps.get(&app).and_then(|app| self.model.hooks.get(&app.hook)) else { return };
        if !hook.active || hook.config.url.is_empty() {
            return;
        }
        let render = Render { site: self.site, model: &self.model };
        let mut payload = Map::new();
        payload.insert("action".to_owned(), Value::from(action));
        payload.extend(fields(&render));
        render.close_payload(&mut payload, known, sender);
        let action = Some(action.to_owned());
        let announcement = Announcement {
            hook: hook.id,
            event,
            action,
            repository: Some(repository),
            installation: Some(installation.id),
            payload,
        };
        self.announced.push(announcement);
    }

    /// Tells one hook something, subscribed or not.
    pub fn announce_to(&mut self, announcement: Announcement) {
        self.announced.push(announcement);
    }

    /// Adds an account and returns its id.
    pub fn add_account(&mut self, login: &str, kind: AccountKind, id: Option<u64>) -> u64 {
        let id = match id {
            Some(id) => {
                self.model.reserve_id(id);
                id
            }
            None => self.model.next_id(),
        };
        let account = Account {
            id,
            login: login.to_owned(),
            name: login.to_owned(),
            email: format!("{id}+{login}@users.noreply.localhost"),
            kind,
            created_at: At::now(),
            members: Default::default(),
            teams: Vec::new(),
        };
        self.model.accounts.insert(id, account);
        id
    }
}

impl Deref for Change<'_> {
    type Target = Model;

    fn deref(&self) -> &Model {
        &self.model
    }
}

impl DerefMut for Change<'_> {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.model
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        // While the lock is still held, so that deliveries of a hook stand in the order of the changes.
        for announcement in self.announced.drain(..) {
            if let Some(hook) = self.model.hooks.get(&announcement.hook) {
                self.site.webhooks.send(self.site, hook, announcement);
            }
        }
        self.site.changed.notify_one();
    }
}
