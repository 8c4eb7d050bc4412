//! The server's settings: `greenlight.toml` and the environment become one checked, typed struct at start.
//!
//! Every key stands in one table ([`keys`]) with its kind and its default. A key may come from the file or as
//! `GREENLIGHT_SECTION__KEY`; the environment wins. A secret may also be named by a file (`token_file`). What is not in the
//! table is refused, naming the nearest key that is. All problems are told at once, each with the place it comes from.

mod check;
mod keys;
mod source;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::id::RoomName;
pub use greenlight_github::secret::Secret;
use greenlight_runner::{ActionPin, IsolationWanted};

use crate::services::Limits;

pub use source::{Environment, Origin};

/// Name of the file that is read where no other is named.
pub const FILE_NAME: &str = "greenlight.toml";

/// Everything that the server was told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where GitHub and runners reach the public listener.
    pub url: Option<Arc<str>>,
    /// Where the public listener listens.
    pub listen: SocketAddr,
    /// The folder of the database, the mirrors, the logs and the workspaces.
    pub data: PathBuf,
    /// What is logged.
    pub log: Arc<str>,
    /// GitHub.
    pub github: GitHub,
    /// Pages and API.
    pub pages: Pages,
    /// The built-in runner.
    pub runner: Runner,
    /// Where actions come from.
    pub actions: Actions,
    /// The services for actions.
    pub services: Services,
    /// The rooms that `.greenlight.yml` may name.
    pub rooms: BTreeMap<RoomName, Room>,
    /// What can be used and should be otherwise, a sentence each.
    pub warnings: Vec<String>,
}

/// How GitHub is reached, and what it proves itself with.
#[derive(Clone, Debug)]
pub struct GitHub {
    /// The API's address, without a slash at its end.
    pub api_url: Arc<str>,
    /// Who we are there.
    pub identity: Identity,
    /// The secrets that a delivery may be signed with; the second one lives while the first is being replaced.
    pub webhook_secrets: Vec<Secret>,
    /// The repositories ("owner/name") to look after, besides those of an App's installations.
    pub repositories: Vec<Arc<str>>,
}

/// Who we are at GitHub.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Whoever made this personal token.
    Token(Secret),
    /// A GitHub App.
    App {
        /// Its id.
        id: u64,
        /// Its private key, as PEM.
        private_key: Secret,
    },
}

/// Where pages and API are.
#[derive(Clone, Debug)]
pub struct Pages {
    /// The address, which is a loopback one as long as nobody signs in.
    pub listen: SocketAddr,
    /// The address that links in statuses begin with.
    pub url: Option<Arc<str>>,
}

/// The built-in runner.
#[derive(Clone, Debug)]
pub struct Runner {
    /// How many jobs run side by side.
    pub slots: usize,
    /// What jobs may ask for with `runs-on`, lower case.
    pub labels: Arc<[Arc<str>]>,
    /// Is `actions/checkout` served from the mirror? Else it is an action like any other.
    pub built_in_checkout: bool,
    /// The Node for actions that ask for a version; the `node` on the PATH serves the others.
    pub nodes: BTreeMap<u32, PathBuf>,
    /// How much jobs are kept apart from the machine.
    pub isolation: IsolationWanted,
    /// Folders that jobs may read though they lie where isolated jobs see nothing.
    pub visible: Vec<PathBuf>,
    /// Files with settings and secrets, which jobs never see.
    pub hidden: Vec<PathBuf>,
    /// How long a runner on another machine need not be heard of before its job is given to somebody else.
    pub lease: Duration,
}

/// Where actions of other repositories come from.
#[derive(Clone, Debug)]
pub struct Actions {
    /// The address that their repositories stand below; nothing for the GitHub that we serve.
    pub url: Option<Arc<str>>,
    /// Is nothing fetched any more?
    pub offline: bool,
    /// The commits of some of them, whatever their refs say.
    pub pins: Vec<ActionPin>,
}

/// The services for actions: artifacts, caches, identity.
#[derive(Clone, Debug)]
pub struct Services {
    /// Where jobs of the built-in runner reach the public listener; nothing for its own address.
    pub url: Option<Arc<str>>,
    /// How much is kept, and for how long.
    pub limits: Limits,
}

/// A room that can be told something.
#[derive(Clone, Debug)]
pub struct Room {
    /// How it wants to be told.
    pub kind: RoomKind,
    /// Where. A Slack webhook's address is a secret as a whole.
    pub url: Secret,
}

/// How a room wants to be told.
#[derive(Clone, Debug)]
pub enum RoomKind {
    /// A Slack incoming webhook.
    Slack,
    /// A Hubot with Janky's script: `POST /janky`.
    Hubot {
        /// The room's name there.
        room: Arc<str>,
    },
    /// Anybody who understands a signed JSON message.
    Webhook {
        /// The message is signed with this.
        secret: Secret,
    },
}

/// One setting as `config show` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The key ("github.api_url").
    pub key: String,
    /// The value; a secret is only said to be there. Nothing where nobody says it and it has no default.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// The settings cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings cannot be used:{}", problems.iter().map(|problem| format!("\n  {problem}")).collect::<String>())]
pub struct ConfigError {
    /// Everything that is wrong, a sentence each.
    pub problems: Vec<String>,
}

impl Config {
    /// Reads and checks the settings. A file that was not named (`None`) need not be there.
    pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let (sources, problems) = source::read(file, environment);
        check::check(sources, problems)
    }
}

/// Returns every setting with its value and where it comes from, without using any of them.
pub fn show(file: Option<&Path>, environment: &Environment) -> Result<Vec<Shown>, ConfigError> {
    let (sources, problems) = source::read(file, environment);
    if problems.is_empty() { Ok(check::shown(&sources)) } else { Err(ConfigError { problems }) }
}

#[cfg(test)]
mod tests;
