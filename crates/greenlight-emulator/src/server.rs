//! Starting, stopping, and finding out what a request is for.

use std::{
    fs::{File, TryLockError},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{Request, Response, header},
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

use crate::{
    admin,
    git::{Git, GitError},
    git_http,
    limits::{Limits, RateLimits},
    page, rest,
    seed::{self, Seed, SeedError},
    site::{Parts, Profile, Site, Urls},
    snapshot::{self, SnapshotError},
    webhook::Webhooks,
};

/// How long requests under way may take when the emulator stops.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);
/// The file in the data folder that is locked for as long as an emulator uses it.
const LOCK: &str = "lock";
/// How long a folder is waited for: an emulator that was killed may have left a git behind that still holds the lock, until
/// that git begins its own program.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often it is tried.
const LOCK_WAIT: Duration = Duration::from_millis(20);
/// The first words of paths that belong to the API where it is served at the root.
const API_WORDS: [&str; 20] = [
    "repos",
    "repositories",
    "user",
    "users",
    "orgs",
    "organizations",
    "app",
    "apps",
    "app-manifests",
    "installation",
    "meta",
    "rate_limit",
    "graphql",
    "zen",
    "emojis",
    "search",
    "markdown",
    "events",
    "gists",
    "notifications",
];

/// How an emulator is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder for repositories and state.
    pub data: PathBuf,
    /// Which of GitHub's faces is shown.
    pub profile: Profile,
    /// How late statuses and `mergeable` become visible at most. Nothing is late where it is zero.
    pub lag: Duration,
    /// What there is at the start.
    pub seed: Option<Seed>,
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Rate limits; none where absent.
    pub limits: Option<RateLimits>,
    /// The address that links use, where it is not that of the listener.
    pub public_url: Option<String>,
}

impl Options {
    /// Returns github.com's profile with its limits, half a second of lag, on a free port of loopback.
    pub fn new(data: impl Into<PathBuf>) -> Options {
        Options {
            data: data.into(),
            profile: Profile::GithubCom,
            lag: Duration::from_millis(500),
            seed: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            limits: Some(RateLimits::default()),
            public_url: None,
        }
    }

    /// Returns the profile of GHES, which has no limits.
    pub fn ghes(data: impl Into<PathBuf>) -> Options {
        Options { profile: Profile::Ghes, limits: None, ..Options::new(data) }
    }
}

/// Why an emulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// The address is taken or not ours.
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    /// Two emulators on one folder would spoil it.
    #[error("another emulator uses {}: end it, or name another folder with --data", .0.display())]
    InUse(PathBuf),
    /// The folder cannot be locked.
    #[error("could not lock {}", path.display())]
    Lock {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The repositories could not be opened.
    #[error("could not open the repositories")]
    Git(#[source] GitError),
    /// The state of an earlier start could not be read.
    #[error("could not take up the earlier state")]
    Snapshot(#[source] SnapshotError),
    /// The seed is wrong.
    #[error("could not plant the seed")]
    Seed(#[source] SeedError),
    /// Webhooks could not be prepared.
    #[error("could not prepare webhooks")]
    Webhooks(#[source] reqwest::Error),
}

/// The emulated GitHub.
pub struct Emulator;

impl Emulator {
    /// Starts an emulator and returns when it answers.
    pub async fn start(options: Options) -> Result<Running, EmulatorError> {
        Emulator::start_wrapped(options, |router| router).await
    }

    /// Starts an emulator whose router goes through `wrap` first, so that a test can put a layer around it.
    pub async fn start_wrapped(
        options: Options,
        wrap: impl FnOnce(Router) -> Router,
    ) -> Result<Running, EmulatorError> {
        let listening = |source| EmulatorError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listening)?;
        let address = listener.local_addr().map_err(listening)?;
        let git = Git::open(&options.data).map_err(EmulatorError::Git)?;
        let lock = lock(&options.data).await?;
        let site = open(&options, git, address)?;
        site.webhooks.attach(&site);
        if let Some(seed) = &options.seed {
            seed::plant(&site, seed).await.map_err(EmulatorError::Seed)?;
        }
        let router = wrap(router(Arc::clone(&site)));
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(async move {
            let mut stopped = stopped;
            let until = async move {
                // An error means that whoever could stop us is gone.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            };
            axum::serve(listener, router).with_graceful_shutdown(until).await
        });
        let keeper = tokio::spawn(snapshot::keep(Arc::clone(&site)));
        Ok(Running { site, address, stop, server, keeper, _lock: lock })
    }
}

/// Locks the folder; the lock is gone with whoever holds it, however that ends.
async fn lock(data: &Path) -> Result<File, EmulatorError> {
    let path = data.join(LOCK);
    let unusable = |source| EmulatorError::Lock { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(unusable)?;
    let deadline = tokio::time::Instant::now() + LOCK_WAIT_MAX;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(unusable(source)),
            Err(TryLockError::WouldBlock) if tokio::time::Instant::now() >= deadline => {
                return Err(EmulatorError::InUse(data.to_owned()));
            }
            Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_WAIT).await,
        }
    }
}

fn open(options: &Options, git: Git, address: SocketAddr) -> Result<Arc<Site>, EmulatorError> {
    let snapshot = options.data.join("state.json");
    let model = snapshot::load(&snapshot).map_err(EmulatorError::Snapshot)?.unwrap_or_default();
    let web = options.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
    let api = match options.profile {
        Profile::GithubCom => web.clone(),
        Profile::Ghes => format!("{web}/api/v3"),
    };
    Ok(Arc::new(Site::new(Parts {
        profile: options.profile,
        urls: Urls { web, api },
        git,
        limits: Limits::new(options.limits),
        webhooks: Webhooks::new().map_err(EmulatorError::Webhooks)?,
        snapshot,
        lag: options.lag,
        model,
    })))
}

/// An emulator that answers.
pub struct Running {
    site: Arc<Site>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
    keeper: JoinHandle<()>,
    _lock: File,
}

impl Running {
    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of its pages and of git.
    pub fn base_url(&self) -> &str {
        &self.site.urls.web
    }

    /// Returns the address of its API.
    pub fn api_url(&self) -> &str {
        &self.site.urls.api
    }

    /// Stops it, after what is under way, and saves its state.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        let mut server = self.server;
        if tokio::time::timeout(SHUTDOWN_WAIT, &mut server).await.is_err() {
            server.abort();
        }
        self.keeper.abort();
        if let Err(error) = snapshot::save(&self.site).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the emulator's state is not saved");
        }
    }

    /// Waits until it ends by itself, which only an error of its listener makes it do.
    pub async fn wait(&mut self) -> io::Result<()> {
        match (&mut self.server).await {
            Ok(outcome) => outcome,
            Err(error) => Err(io::Error::other(error)),
        }
    }
}

/// Returns everything behind one door.
fn router(site: Arc<Site>) -> Router {
    Router::new().fallback(serve).with_state(site)
}

async fn serve(State(site): State<Arc<Site>>, request: Request<Body>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_json = accept.contains("json");
    match &parts[..] {
        ["_emulator", rest @ ..] => admin::serve(site, rest, request).await,
        ["api", "v3", ..] => {
            let inner = path.strip_prefix("/api/v3").unwrap_or_default().to_owned();
            rest::door::serve(site, if inner.is_empty() { "/".to_owned() } else { inner }, request).await
        }
        ["api", "graphql"] => rest::door::serve(site, "/graphql".to_owned(), request).await,
        [first, ..] if API_WORDS.contains(first) => rest::door::serve(site, path.clone(), request).await,
        [] if wants_json => rest::door::serve(site, path.clone(), request).await,
        parts => match git_http::recognize(parts) {
            Some(asked) => git_http::serve(site, asked, request).await,
            None => page::serve(site, parts, request).await,
        },
    }
}
