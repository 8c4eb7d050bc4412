//! The server: the loops between the door and the hands, and how they start and end.
//!
//! Started first are the store and the two listeners, so that the first answer comes at once; everything that needs GitHub, git
//! or time follows in the background and says what it waits for ([`standing`]). A repository has one loop ([`repository`]) that
//! alone steps it; the inbox ([`inbox`]) feeds it, hands ([`outbox`]) carry out what it wants, the pool ([`pool`]) takes its jobs.
//! At the end a deployment that runs may end ([`ending`]), then every loop is given a moment to write down what came of what was
//! under way; being killed is just as well.

pub mod clock;
pub mod standing;
pub mod feed;
pub mod listener;

pub mod inbox;
pub mod repository;
pub mod directory;

pub mod said;
pub mod github;
pub mod mirrors;
pub mod called;
pub mod outbox;

pub mod board;
pub mod host;
pub mod pool;
pub mod holders;
pub mod fleet;

pub mod back;
pub mod missed;
pub mod hosted;
pub mod disk;
pub mod retention;

pub mod ending;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use greenlight_core::port::Store;
use greenlight_github::signature::{SecretsError, Verifier};
use greenlight_store::{Database, OpenError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::intake::{self, Door, Entrance};
use crate::pages;
use crate::rooms::Rooms;
use crate::services::{self, Services};
use listener::{listen, serve};

/// How long the loops are given to end.
const END_WITHIN: Duration = Duration::from_secs(15);

/// What the loops share.
pub struct Shared {
    /// The settings.
    pub config: Config,
    /// New at every start: leases of the built-in runner under an older one are over.
    pub boot: Arc<str>,
    /// The memory.
    pub store: Arc<Database>,
    /// The logs of jobs.
    pub logs: Arc<greenlight_store::Logs>,
    /// The door that deliveries come through.
    pub door: Arc<Door>,
    /// What is in the way.
    pub standing: Arc<standing::Standing>,
    /// Where hosted Actions would run the same workflows.
    pub hosted: hosted::Hosted,
    /// Tells open pages.
    pub feed: feed::Feed,
    /// Jobs that wait for a runner.
    pub board: board::Board,
    /// The built-in runner.
    pub pool: Arc<greenlight_runner::Pool>,
    /// Runners on other machines.
    pub fleet: fleet::Fleet,
    /// What actions ask for.
    pub services: Arc<Services>,
    /// Jobs that are no run's, for trying the services from outside.
    pub dev_jobs: holders::DevJobs,
    /// Where the public listener listens.
    pub public_at: SocketAddr,
    /// GitHub.
    pub github: Arc<github::GitHub>,
    /// The mirrors.
    pub git: Arc<mirrors::Git>,
    /// The actions of other repositories.
    pub actions: Arc<mirrors::ActionStores>,
    /// The repositories.
    pub directory: directory::Directory,
    /// Deliveries stayed in the store and are to be looked for again.
    pub rescan: Notify,
    /// No new job starts: the disk is nearly full.
    pub jobs_stopped: AtomicBool,
    /// No new job starts: the server is about to end.
    pub ending: AtomicBool,
    /// The server ends.
    pub stop: CancellationToken,
    /// The loops.
    pub tasks: TaskTracker,
}

/// A server that runs.
pub struct Running {
    /// Where the public listener listens.
    pub public: SocketAddr,
    /// Where pages and API listen.
    pub pages: SocketAddr,
    /// What the loops share.
    pub shared: Arc<Shared>,
}

/// The server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store cannot be opened.
    #[error("the store cannot be opened")]
    Store(#[source] OpenError),
    /// The logs cannot be kept.
    #[error("the folder of the logs cannot be used")]
    Logs(#[source] greenlight_store::LogError),
    /// The blobs cannot be kept.
    #[error("the folder of the blobs cannot be used")]
    Blobs(#[source] greenlight_store::BlobError),
    /// The runners on other machines.
    #[error("the runners cannot be looked for")]
    Runners(#[source] greenlight_core::port::StoreError),
    /// The keys of the services.
    #[error("the services for actions cannot be opened")]
    Services(#[source] services::keys::KeysError),
    /// The folder that jobs work in.
    #[error("the folder that jobs work in cannot be used")]
    Work(#[source] std::io::Error),
    /// The folder that actions are kept in.
    #[error("the folder that actions are kept in cannot be used")]
    Actions(#[source] std::io::Error),
    /// Jobs cannot be isolated as the settings require.
    #[error("jobs would not be isolated")]
    Isolation(#[source] greenlight_runner::IsolationError),
    /// There is no webhook secret.
    #[error("no delivery could be verified")]
    Secrets(#[source] SecretsError),
    /// GitHub's settings.
    #[error("GitHub cannot be spoken with")]
    GitHub(#[source] github::GitHubError),
    /// The client for rooms.
    #[error("rooms cannot be spoken with")]
    Rooms(#[source] reqwest::Error),
    /// A listener.
    #[error("cannot listen at {address} (is another server running?)")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

/// Starts the server.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let public = listen(config.listen).await?;
    let private = listen(config.pages.listen).await?;
    let addresses = (config.listen, config.pages.listen);
    let (public_at, private_at) =
        (public.local_addr().unwrap_or(addresses.0), private.local_addr().unwrap_or(addresses.1));
    let (stop, tasks, entrance) = (CancellationToken::new(), TaskTracker::new(), Arc::new(Entrance::new()));
    let place = Arc::new(services::Place::new());
    let desk = Arc::new(fleet::Place::new());
    let routes =
        intake::routes(entrance.clone()).merge(services::routes(place.clone())).merge(fleet::routes(desk.clone()));
    tasks.spawn(serve(public, routes, stop.clone()));
    // Should the rest fail, the listener that answers already ends with this guard.
    let guard = stop.clone().drop_guard();
    let shared = share(config, public_at, stop.clone(), tasks).await?;
    guard.disarm();
    // Nobody else sets it.
    let _ = entrance.set(shared.door.clone());
    holders::begin(&shared);
    let _ = place.set(shared.services.clone());
    let _ = desk.set(Arc::new(fleet::Desk::new(shared.clone())));
    shared.directory.begin(&shared.standing);
    shared.tasks.spawn(serve(private, pages::routes(shared.clone()), stop));
    let spawn = |name: &'static str, task: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
        shared.tasks.spawn(async move {
            task.await;
            tracing::debug!("{name} ended");
        });
    };
    spawn("inbox", Box::pin(inbox::run(shared.clone())));
    spawn("directory", Box::pin(directory::find(shared.clone())));
    spawn("missed deliveries", Box::pin(missed::run(shared.clone())));
    spawn("who is back", Box::pin(back::run(shared.clone())));
    spawn("hosted Actions", Box::pin(hosted::run(shared.clone())));
    spawn("disk", Box::pin(disk::run(shared.clone())));
    spawn("retention", Box::pin(retention::run(shared.clone())));
    spawn("artifacts and caches", Box::pin(services::sweep::run(shared.services.clone(), shared.stop.clone())));
    spawn("logs", Box::pin(fleet::logs::run(shared.clone())));
    spawn("runner", Box::pin(pool::run(shared.clone())));
    tell_start(&shared.config, public_at, private_at);
    Ok(Running { public: public_at, pages: private_at, shared })
}

impl Shared {
    /// May a job start that waits?
    pub fn starts_jobs(&self) -> bool {
        !self.jobs_stopped.load(Ordering::Relaxed) && !self.ending.load(Ordering::Relaxed)
    }
}

impl Running {
    /// Starts no new job, and waits for the deployments that are being carried out here, for so long at most.
    pub async fn finish_deployments(&self, within: Duration) {
        ending::finish_deployments(&self.shared, within).await;
    }

    /// Ends the loops, giving each a moment to write down what came of what was under way.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(END_WITHIN, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("some work did not end within {} s; the next start takes it up", END_WITHIN.as_secs());
        }
    }
}

async fn share(
    config: Config,
    public_at: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
) -> Result<Arc<Shared>, StartError> {
    let verifier = Verifier::new(&config.github.webhook_secrets).map_err(StartError::Secrets)?;
    let rooms = Rooms::new(config.rooms.clone()).map_err(StartError::Rooms)?;
    let store = Database::open(&config.data).await.map_err(StartError::Store)?;
    let said = Arc::new(said::Said(store.clone()));
    let github = Arc::new(github::GitHub::new(&config, said).map_err(StartError::GitHub)?);
    let blobs = greenlight_store::Blobs::open(&config.data.join("blobs")).map_err(StartError::Blobs)?;
    let logs = pool::open_logs(&config, blobs.clone())?;
    let services = Services::open(&config.data.join("keys"), store.clone(), blobs, config.services.limits);
    let standing = Arc::new(standing::Standing::default());
    let git = Arc::new(mirrors::Git::new(config.data.join("mirrors"), github.clone(), standing.clone()));
    let actions = mirrors::ActionStores::open(&config, &github, git.clone()).map_err(StartError::Actions)?;
    let actions = Arc::new(actions);
    let hands = Arc::new(outbox::Hands::new(git.clone(), actions.clone(), github.clone(), rooms, standing.clone()));
    let directory = directory::Directory::new(config.github.repositories.clone(), github.clone(), hands);
    let door: Arc<dyn Store> = store.clone();
    let boot: Arc<str> = uuid::Uuid::new_v4().to_string().into();
    let fleet = fleet::Fleet::default();
    for runner in store.runners().await.map_err(StartError::Runners)? {
        fleet.add_labels(&runner.labels);
    }
    Ok(Arc::new(Shared {
        fleet,
        actions,
        services: Arc::new(services.map_err(StartError::Services)?),
        dev_jobs: holders::DevJobs::default(),
        public_at,
        pool: pool::open(&config, &boot).await?,
        boot,
        door: Arc::new(Door::new(door, verifier)),
        store,
        logs,
        standing,
        hosted: hosted::Hosted::default(),
        feed: feed::Feed::default(),
        board: board::Board::default(),
        github,
        git,
        directory,
        rescan: Notify::new(),
        jobs_stopped: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        stop,
        tasks,
        config,
    }))
}

fn tell_start(config: &Config, public: SocketAddr, pages: SocketAddr) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    tracing::info!("webhooks: http://{public}/webhooks/github · pages: http://{pages}/");
    if config.pages.url.is_none() {
        tracing::info!("statuses carry no links: set pages.url to the address under which people reach the pages");
    }
}
