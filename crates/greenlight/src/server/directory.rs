//! The repositories that are looked after, and where they come from: the settings, the App's installations, the store, and the
//! deliveries themselves. GitHub need not be reachable for those that were ever known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use greenlight_core::fact::{Fact, RepositoryRef};
use greenlight_core::id::{RepoId, UserId};
use greenlight_core::port::Store as _;
use greenlight_core::repository::{Edition, RetentionDays, Settings};

use super::Shared;
use super::github::{GitHub, Profile};
use super::outbox::Hands;
use super::repository::{self, Handle};
use super::standing::Standing;

/// What is waited for when GitHub cannot be reached.
const GITHUB: &str = "github";
/// First and longest wait before GitHub is asked again.
const ASK_AGAIN_MIN: Duration = Duration::from_secs(1);
const ASK_AGAIN_MAX: Duration = Duration::from_secs(60);
/// How often an App's installations are read again.
const READ_AGAIN: Duration = Duration::from_secs(600);
const SECONDS_OF_A_DAY: u64 = 24 * 3600;

/// The repositories that are looked after.
pub struct Directory {
    names: Vec<Arc<str>>,
    github: Arc<GitHub>,
    hands: Arc<Hands>,
    own_user: Mutex<Option<UserId>>,
    handles: Mutex<BTreeMap<RepoId, Handle>>,
}

impl Directory {
    /// Returns an empty directory; `names` are the settings' repositories.
    pub fn new(names: Vec<Arc<str>>, github: Arc<GitHub>, hands: Arc<Hands>) -> Self {
        Self { names, github, hands, own_user: Mutex::new(None), handles: Mutex::default() }
    }

    /// Says that the repositories have to be found first: whoever asks before does not hear that there are none.
    pub fn begin(&self, standing: &Standing) {
        let whom = if self.names.is_empty() { "our repositories".to_owned() } else { self.names.join(", ") };
        standing.begin(GITHUB, format!("{whom} must be found first"));
    }

    /// Returns every repository, by id.
    pub fn all(&self) -> Vec<Handle> {
        self.handles().values().cloned().collect()
    }

    /// Returns the repository of this id.
    pub fn by_id(&self, id: RepoId) -> Option<Handle> {
        self.handles().get(&id).cloned()
    }

    /// Returns the repository of this name, in any case.
    pub fn by_name(&self, full_name: &str) -> Option<Handle> {
        self.handles().values().find(|handle| handle.reference().full_name.eq_ignore_ascii_case(full_name)).cloned()
    }

    /// Returns the repository that a delivery is about, taking it in where it is one of ours.
    pub fn of_delivery(&self, shared: &Arc<Shared>, reference: &RepositoryRef) -> Option<Handle> {
        if let Some(handle) = self.by_id(reference.id) {
            return Some(handle);
        }
        (self.github.is_app() || self.is_named(&reference.full_name)).then(|| self.take_in(shared, reference.clone()))
    }

    /// Starts the loop of a repository, where it does not run yet.
    pub fn take_in(&self, shared: &Arc<Shared>, reference: RepositoryRef) -> Handle {
        let settings = Settings {
            app: self.github.is_app(),
            own_user: *self.own_user.lock().expect("nobody panics while holding an id"),
            addresses: self.github.addresses(),
            retention: RetentionDays(shared.config.services.limits.artifacts_kept.as_secs() / SECONDS_OF_A_DAY),
            edition: match self.github.profile() {
                Profile::GitHubCom => Edition::GitHubCom,
                Profile::Enterprise => Edition::EnterpriseServer,
            },
            ..Settings::default()
        };
        let mut handles = self.handles();
        let start = || {
            tracing::info!(repository.id = %reference.id, "looking after {}", reference.full_name);
            repository::start(shared, reference.clone(), settings, self.hands.clone())
        };
        handles.entry(reference.id).or_insert_with(start).clone()
    }

    /// Tells the repositories that runners came or went.
    pub fn tell_labels(&self, shared: &Shared) {
        let labels = shared.fleet.with_labels(&shared.config.runner.labels);
        for handle in self.all() {
            handle.tell(Fact::Labels(labels.clone()));
        }
    }

    fn is_named(&self, full_name: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(full_name))
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<RepoId, Handle>> {
        self.handles.lock().expect("nobody panics while holding the repositories")
    }
}

/// Starts the repositories that were known before, then finds out about the others.
pub async fn find(shared: Arc<Shared>) {
    let directory = &shared.directory;
    // An App must know its own bot before it can tell its own doings from those of others.
    if !directory.github.is_app() {
        start_known(&shared).await;
    }
    let mut wait = ASK_AGAIN_MIN;
    loop {
        let pause = match ask(&shared).await {
            Ok(()) => {
                shared.standing.clear(GITHUB);
                match directory.github.is_app() {
                    true => READ_AGAIN,
                    false => return,
                }
            }
            Err(why) => {
                shared.standing.wait(GITHUB, why);
                let pause = wait;
                wait = (wait * 2).min(ASK_AGAIN_MAX);
                pause
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

async fn start_known(shared: &Arc<Shared>) {
    let directory = &shared.directory;
    match shared.store.repositories().await {
        Ok(known) => {
            for reference in known {
                if directory.github.is_app() || directory.is_named(&reference.full_name) {
                    directory.take_in(shared, reference);
                }
            }
        }
        Err(error) => shared.standing.wait("store", error.to_string()),
    }
}

/// Asks GitHub for what is not known yet.
async fn ask(shared: &Arc<Shared>) -> Result<(), String> {
    let directory = &shared.directory;
    let client = directory.github.client();
    if directory.github.is_app() {
        let is_unknown = directory.own_user.lock().expect("nobody panics while holding an id").is_none();
        if is_unknown {
            let own = directory.github.own_user().await?;
            *directory.own_user.lock().expect("nobody panics while holding an id") = Some(own.id);
            start_known(shared).await;
        }
        let installed = client.repositories().await.map_err(|error| error.to_string())?;
        for reference in installed {
            directory.take_in(shared, reference);
        }
    }
    let mut trouble = None;
    for name in directory.names.iter().filter(|name| directory.by_name(name).is_none()) {
        match client.repository(name).await {
            Ok(reference) => {
                directory.take_in(shared, reference);
            }
            // One name that GitHub does not know must not keep the others waiting.
            Err(error) => trouble = Some(format!("{name}: {error}")),
        }
    }
    trouble.map_or(Ok(()), Err)
}
