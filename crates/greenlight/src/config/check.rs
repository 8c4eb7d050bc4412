//! From texts to types: every value is judged, and everything that is wrong is told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::id::RoomName;
use greenlight_runner::{ActionPin, IsolationWanted};

use super::keys::{self, Form};
use super::source::{Given, Origin, Sources};
use super::{
    Actions, Config, ConfigError, FILE_NAME, GitHub, Identity, Pages, Room, RoomKind, Runner, Secret, Services, Shown,
};
use crate::services::Limits;

/// Most that a file with a secret may hold: a private key is about 2 KB.
const SECRET_SIZE_MAX: u64 = 64 << 10;
/// The bit of a file's mode that lets everybody read it.
const OTHERS_READ: u32 = 0o004;
/// How many webhook secrets may live at once.
const WEBHOOK_SECRETS_MAX: usize = 2;
/// Most jobs that the built-in runner takes at once.
const SLOTS_MAX: usize = 256;
/// Longest that a runner on another machine may be silent before its job is somebody else's.
const LEASE_SECONDS_MAX: u64 = 3600;
/// Longest that artifacts and caches may be kept, in days.
const KEPT_DAYS_MAX: u64 = 400;
/// Most that artifacts, or caches, of one repository may have, in GiB.
const KEPT_GIB_MAX: u64 = 1 << 20;
/// How much may be logged.
const LEVELS: &[&str] = &["off", "error", "warn", "info", "debug", "trace"];
/// What hosted runners on Linux answer to, besides `self-hosted`.
const LABELS: &[&str] = &["self-hosted", "linux", "ubuntu-latest", "ubuntu-24.04", "ubuntu-22.04"];

/// Checks every value.
pub fn check(sources: Sources, problems: Vec<String>) -> Result<Config, ConfigError> {
    let is_without_file = sources.is_without_file;
    if sources.is_unread {
        // What is missing would only follow from that.
        return Err(ConfigError { problems });
    }
    let mut checker = Checker { sources, problems, warnings: Vec::new() };
    let config = checker.config();
    let (mut problems, warnings) = (checker.problems, checker.warnings);
    match config {
        Some(config) if problems.is_empty() => Ok(Config { warnings, ..config }),
        _ => {
            problems.sort_by_key(|problem| line_of(problem));
            if is_without_file {
                problems.insert(0, no_file());
            }
            Err(ConfigError { problems })
        }
    }
}

/// Returns every setting as it is shown, with the defaults that are made at start.
pub fn shown(sources: &Sources) -> Vec<Shown> {
    sources.shown(|key| match key {
        "runner.slots" => Some(slots_default().to_string()),
        "runner.labels" => Some(LABELS.join(", ")),
        _ => None,
    })
}

/// Returns the line of the settings file that a problem is about; one that is about none goes last.
fn line_of(problem: &str) -> usize {
    let place = problem.split_once(": ").map_or("", |(place, _)| place);
    place.rsplit_once(':').and_then(|(_, line)| line.parse().ok()).unwrap_or(usize::MAX)
}

fn slots_default() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn no_file() -> String {
    let here = std::env::current_dir().map_or_else(|_| "this folder".to_owned(), |here| here.display().to_string());
    format!("there is no {FILE_NAME} in {here}: write one, or name another with --config")
}

struct Checker {
    sources: Sources,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Checker {
    fn config(&mut self) -> Option<Config> {
        let url = self.url("url");
        let listen = self.address("listen");
        let data = self.path("data");
        let log = self.log();
        let github = self.github();
        let pages = self.pages();
        let runner = self.runner();
        let actions = self.actions();
        let services = self.services();
        let rooms = self.rooms();
        Some(Config {
            url,
            listen: listen?,
            data: data?,
            log,
            github: github?,
            pages: pages?,
            runner: runner?,
            actions: actions?,
            services: services?,
            rooms,
            warnings: Vec::new(),
        })
    }

    fn github(&mut self) -> Option<GitHub> {
        let api_url = self.url("github.api_url");
        let identity = self.identity();
        let webhook_secrets = self.webhook_secrets();
        let repositories = self.repositories();
        if repositories.is_empty() && matches!(identity, Some(Identity::Token(_))) {
            self.problem(
                "github.repositories",
                "name at least one repository (\"owner/name\"): a token does not know which are meant",
            );
        }
        Some(GitHub { api_url: api_url?, identity: identity?, webhook_secrets: webhook_secrets?, repositories })
    }

    fn identity(&mut self) -> Option<Identity> {
        let has_token = self.sources.given.contains_key("github.token");
        let has_app = self.sources.given.contains_key("github.app_id");
        match (has_token, has_app) {
            (true, true) => {
                self.problem("github.token", "is given beside github.app_id: keep one of them");
                None
            }
            (true, false) => self.secret("github.token").map(Identity::Token),
            (false, true) => {
                let id = self.number("github.app_id", u64::MAX);
                let private_key = self.secret("github.private_key");
                Some(Identity::App { id: id?, private_key: private_key? })
            }
            (false, false) => {
                let what = "nobody said who we are at GitHub: set github.token_file, or github.app_id and github.private_key_file";
                self.problems.push(what.to_owned());
                None
            }
        }
    }

    fn webhook_secrets(&mut self) -> Option<Vec<Secret>> {
        const NAME: &str = "github.webhook_secret";
        let Some(given) = self.sources.given.get(NAME).cloned() else {
            let what = "there is no webhook secret, and without one anybody could send deliveries: set github.webhook_secret_file \
                        to a file that holds the secret of the repository's webhook";
            self.problems.push(what.to_owned());
            return None;
        };
        if given.texts.is_empty() || given.texts.len() > WEBHOOK_SECRETS_MAX {
            self.problem(NAME, "must be one secret, or two while one is being replaced");
            return None;
        }
        let secrets: Vec<_> = given.texts.iter().filter_map(|text| self.secret_text(NAME, &given, text)).collect();
        (secrets.len() == given.texts.len()).then_some(secrets)
    }

    fn repositories(&mut self) -> Vec<Arc<str>> {
        let Some(given) = self.sources.given.get("github.repositories").cloned() else { return Vec::new() };
        for name in &given.texts {
            if !is_repository(name) {
                self.problem(
                    "github.repositories",
                    &format!("`{name}` is not the name of a repository: write \"owner/name\""),
                );
            }
        }
        given.texts.iter().map(|name| name.as_str().into()).collect()
    }

    fn pages(&mut self) -> Option<Pages> {
        let listen = self.address("pages.listen");
        let url = self.url("pages.url");
        if listen.is_some_and(|address| !address.ip().is_loopback()) {
            self.problem(
                "pages.listen",
                "must be a loopback address: nobody signs in on the pages, so only this machine may see them",
            );
            return None;
        }
        Some(Pages { listen: listen?, url })
    }

    fn runner(&mut self) -> Option<Runner> {
        let slots = match self.sources.given.contains_key("runner.slots") {
            true => self.number("runner.slots", SLOTS_MAX as u64).and_then(|slots| usize::try_from(slots).ok()),
            false => Some(slots_default()),
        };
        let labels = match self.sources.given.get("runner.labels") {
            Some(given) => given.texts.iter().map(|label| label.to_lowercase().into()).collect(),
            None => LABELS.iter().map(|label| Arc::from(*label)).collect(),
        };
        let isolation = self.text("runner.isolation").unwrap_or_default();
        let wanted = IsolationWanted::parse(&isolation);
        if wanted.is_none() {
            self.problem("runner.isolation", &format!("must be auto, required or none, not `{isolation}`"));
        }
        let visible = self.sources.given.get("runner.visible").map(|given| given.texts.clone()).unwrap_or_default();
        if let Some(path) = visible.iter().find(|path| !Path::new(path).is_absolute()) {
            self.problem("runner.visible", &format!("must be full paths, and `{path}` is none"));
        }
        let visible = visible.into_iter().map(PathBuf::from).collect();
        let built_in_checkout = match self.text("runner.checkout").as_deref() {
            Some("built-in") | None => true,
            Some("action") => false,
            Some(other) => {
                self.problem("runner.checkout", &format!("must be built-in or action, not `{other}`"));
                true
            }
        };
        let nodes = self.nodes();
        let lease = Duration::from_secs(self.number("runner.lease_seconds", LEASE_SECONDS_MAX)?);
        Some(Runner {
            slots: slots?,
            labels,
            built_in_checkout,
            nodes,
            isolation: wanted?,
            visible,
            hidden: self.files(),
            lease,
        })
    }

    fn nodes(&mut self) -> BTreeMap<u32, PathBuf> {
        let mut nodes = BTreeMap::new();
        for version in [16, 20, 24] {
            let key = format!("runner.node{version}");
            let Some(text) = self.text(&key) else { continue };
            // A name alone would be looked for beside the settings, not on the PATH.
            if Path::new(&text).is_absolute() {
                nodes.insert(version, PathBuf::from(text));
            } else {
                self.problem(&key, &format!("must be the full path of a Node, not `{text}`"));
            }
        }
        nodes
    }

    fn actions(&mut self) -> Option<Actions> {
        let url = self.url("actions.url");
        let offline = match self.text("actions.offline").as_deref() {
            Some("true") => true,
            Some("false") | None => false,
            Some(other) => {
                self.problem("actions.offline", &format!("must be true or false, not `{other}`"));
                return None;
            }
        };
        let texts = self.sources.given.get("actions.pins").map(|given| given.texts.clone()).unwrap_or_default();
        let pins: Vec<_> = texts.iter().filter_map(|text| ActionPin::parse(text)).collect();
        if pins.len() < texts.len() {
            self.problem("actions.pins", "must each be OWNER/REPO@REF=COMMIT, with the whole SHA of a commit");
            return None;
        }
        Some(Actions { url, offline, pins })
    }

    /// Returns the files that settings were read from, those with secrets included.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = BTreeSet::new();
        for given in self.sources.given.values() {
            if let Origin::File { path, .. } = &given.origin {
                files.insert(path.clone());
            }
            if given.form == Form::File {
                files.extend(given.texts.iter().map(|text| beside(&given.origin, text)));
            }
        }
        files.into_iter().collect()
    }

    fn services(&mut self) -> Option<Services> {
        let url = self.url("services.url");
        let artifact_days = self.number("services.artifact_days", KEPT_DAYS_MAX);
        let artifact_gib = self.number("services.artifact_gib", KEPT_GIB_MAX);
        let cache_days = self.number("services.cache_days", KEPT_DAYS_MAX);
        let cache_gib = self.number("services.cache_gib", KEPT_GIB_MAX);
        let days = |days: u64| Duration::from_secs(days * 24 * 3600);
        let limits = Limits {
            artifacts_kept: days(artifact_days?),
            artifact_bytes_max: artifact_gib? << 30,
            caches_kept: days(cache_days?),
            cache_bytes_max: cache_gib? << 30,
            ..Limits::default()
        };
        Some(Services { url, limits })
    }

    fn rooms(&mut self) -> BTreeMap<RoomName, Room> {
        let names: BTreeSet<String> =
            self.sources.given.keys().filter_map(|key| room_of(key)).map(str::to_owned).collect();
        names.iter().filter_map(|name| Some((RoomName::from(name.as_str()), self.room(name)?))).collect()
    }

    fn room(&mut self, name: &str) -> Option<Room> {
        let key = |part: &str| format!("rooms.{name}.{part}");
        let url = self.room_url(&key("url"));
        let kind = match self.text(&key("kind")).as_deref() {
            Some("slack") => Some(RoomKind::Slack),
            Some("hubot") => {
                let room = self.text(&key("room")).unwrap_or_else(|| name.to_owned());
                Some(RoomKind::Hubot { room: room.into() })
            }
            Some("webhook") => self.secret(&key("secret")).map(|secret| RoomKind::Webhook { secret }),
            Some(other) => {
                self.problem(&key("kind"), &format!("must be slack, hubot or webhook, not `{other}`"));
                None
            }
            None => {
                self.problem(&key("kind"), "is missing: say slack, hubot or webhook");
                None
            }
        };
        Some(Room { kind: kind?, url: url? })
    }

    fn room_url(&mut self, key: &str) -> Option<Secret> {
        let url = self.secret(key)?;
        if parse_url(url.expose()).is_none() {
            self.problem(key, "must be an address that begins with http:// or https://");
            return None;
        }
        Some(url)
    }

    fn log(&mut self) -> Arc<str> {
        let text = self.text("log").unwrap_or_default();
        // A word that is no level would mean a part of the program by that name, of which there is none.
        let is_level =
            |part: &str| LEVELS.contains(&part.rsplit('=').next().unwrap_or_default().trim().to_lowercase().as_str());
        if !text.split(',').all(is_level) || text.parse::<tracing_subscriber::filter::EnvFilter>().is_err() {
            self.problem("log", "must be error, warn, info, debug or trace, or several like `info,greenlight=debug`");
        }
        text.into()
    }

    fn text(&self, key: &str) -> Option<String> {
        match self.sources.given.get(key) {
            Some(given) => given.texts.first().cloned(),
            None => keys::find(key).and_then(|(key, _)| key.default).map(str::to_owned),
        }
    }

    fn number(&mut self, key: &str, most: u64) -> Option<u64> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(number) if (1..=most).contains(&number) => Some(number),
            _ => {
                self.problem(key, &format!("must be a number from 1 to {most}, not `{text}`"));
                None
            }
        }
    }

    fn address(&mut self, key: &str) -> Option<SocketAddr> {
        let text = self.text(key)?;
        match text.parse() {
            Ok(address) => Some(address),
            Err(_) => {
                self.problem(key, &format!("must be an address and a port like 127.0.0.1:4567, not `{text}`"));
                None
            }
        }
    }

    fn url(&mut self, key: &str) -> Option<Arc<str>> {
        let text = self.text(key)?;
        let url = parse_url(&text);
        if url.is_none() {
            self.problem(key, &format!("must be an address that begins with http:// or https://, not `{text}`"));
        }
        url
    }

    /// Returns an absolute path: git and jobs run in folders of their own.
    fn path(&mut self, key: &str) -> Option<PathBuf> {
        let text = self.text(key)?;
        let path =
            self.sources.given.get(key).map_or_else(|| PathBuf::from(&text), |given| beside(&given.origin, &text));
        match std::path::absolute(path) {
            Ok(path) => Some(path),
            Err(error) => {
                self.problem(key, &format!("cannot be used: {error}"));
                None
            }
        }
    }

    fn secret(&mut self, key: &str) -> Option<Secret> {
        let Some(given) = self.sources.given.get(key).cloned() else {
            self.problem(key, &format!("is missing: set {key}_file to a file that holds it"));
            return None;
        };
        let text = given.texts.first().cloned().unwrap_or_default();
        self.secret_text(key, &given, &text)
    }

    fn secret_text(&mut self, key: &str, given: &Given, text: &str) -> Option<Secret> {
        let secret = match given.form {
            Form::Value => text.to_owned(),
            Form::File => match read_secret(&beside(&given.origin, text)) {
                Ok((secret, warning)) => {
                    self.warnings.extend(warning.map(|what| format!("{}: {key}: {what}", given.origin)));
                    secret
                }
                Err(what) => {
                    self.problem(key, &what);
                    return None;
                }
            },
        };
        let secret = Secret::new(secret);
        if secret.is_err() {
            self.problem(key, "is empty");
        }
        secret.ok()
    }

    fn problem(&mut self, key: &str, what: &str) {
        let problem = match self.sources.given.get(key) {
            Some(given) => format!("{}: {key} {what}", given.origin),
            None => match self.neighbour(key) {
                Some(given) => format!("{}: {key} {what}", given.origin),
                None => format!("{key} {what}"),
            },
        };
        self.problems.push(problem);
    }
}

impl Checker {
    /// Returns what was said of the same room, where a key of it is missing: it stands there, or should.
    fn neighbour(&self, key: &str) -> Option<&Given> {
        let room = room_of(key)?;
        self.sources.given.iter().find(|(known, _)| room_of(known) == Some(room)).map(|(_, given)| given)
    }
}

/// A path in the settings file is meant from where that file is; one in the environment from where we are.
fn beside(origin: &Origin, text: &str) -> PathBuf {
    match origin {
        Origin::File { path, .. } => path.parent().unwrap_or(Path::new("")).join(text),
        Origin::Default | Origin::Variable(_) => PathBuf::from(text),
    }
}

/// Returns the secret in a file, and what is to be said of that file.
fn read_secret(path: &Path) -> Result<(String, Option<String>), String> {
    let told = |what: &dyn std::fmt::Display| format!("cannot be read from {}: {what}", path.display());
    let found = std::fs::metadata(path).map_err(|error| told(&error))?;
    if found.len() > SECRET_SIZE_MAX {
        return Err(told(&format!("it is larger than {SECRET_SIZE_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
    let is_open = found.mode() & OTHERS_READ != 0;
    let warning =
        is_open.then(|| format!("everybody on this machine may read {0}; say `chmod 600 {0}`", path.display()));
    Ok((text.trim_end_matches(['\r', '\n']).to_owned(), warning))
}

fn room_of(key: &str) -> Option<&str> {
    key.strip_prefix("rooms.")?.split('.').next()
}

fn parse_url(text: &str) -> Option<Arc<str>> {
    let url = reqwest::Url::parse(text).ok()?;
    let is_ours = matches!(url.scheme(), "http" | "https") && url.host_str().is_some() && url.username().is_empty();
    is_ours.then(|| text.trim_end_matches('/').into())
}

fn is_repository(name: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word != "."
            && word != ".."
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    name.split_once('/').is_some_and(|(owner, name)| is_word(owner) && is_word(name))
}
