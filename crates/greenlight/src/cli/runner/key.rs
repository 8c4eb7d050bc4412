//! What a runner proves itself with: registered once, kept in its folder, readable by nobody else.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use greenlight_runner::wire::message::{Refused, Register, Registered};
use greenlight_runner::wire::{PROTOCOL, PROTOCOL_HEADER};
use serde::{Deserialize, Serialize};

/// The file in the runner's folder.
const FILE: &str = "runner.json";
/// The variable that may hold the token.
const VARIABLE: &str = "GREENLIGHT_RUNNER_TOKEN";
/// How long the server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// The most that the file may hold.
const FILE_SIZE_MAX: u64 = 64 << 10;

/// Who the runner is.
#[derive(Clone, Serialize, Deserialize)]
pub struct Key {
    /// The address of the server's public listener, without a slash at its end.
    pub server: String,
    /// The runner's name.
    pub runner: String,
    /// Its key.
    pub key: String,
    /// What jobs may ask of it.
    pub labels: Vec<String>,
}

/// Returns the key in the runner's folder; where there is none, the runner registers. So it does with a token where the server
/// does not know the key any more.
pub async fn kept_or_made(
    folder: &Path,
    server: Option<&str>,
    token_file: Option<&Path>,
    name: Option<&str>,
) -> anyhow::Result<Key> {
    let path = folder.join(FILE);
    let kept = kept(&path)?;
    let has_token = token_file.is_some() || std::env::var_os(VARIABLE).is_some();
    if let Some(key) = &kept
        && (!has_token || is_known(key).await)
    {
        return Ok(key.clone());
    }
    let Some(server) = server.or(kept.as_ref().map(|key| &*key.server)) else {
        bail!("this runner has not registered: say where with --server")
    };
    let server = server.trim_end_matches('/');
    let url = reqwest::Url::parse(server).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    if url.is_none() {
        bail!("--server must be an address that begins with http:// or https://, not `{server}`");
    }
    let token = match (token_file, std::env::var(VARIABLE)) {
        (Some(file), _) => {
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
        }
        (None, Ok(token)) => token,
        (None, Err(_)) => {
            bail!(
                "this runner has not registered: make a token with `greenlight runner token` on the server, and name its file with --token-file (or set {VARIABLE})"
            )
        }
    };
    let name = name.map_or_else(machine, str::to_owned);
    let made = register(server, token.trim(), &name).await?;
    let key = Key { server: server.to_owned(), runner: made.runner, key: made.key, labels: made.labels };
    write(&path, &key).with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(key)
}

fn kept(path: &Path) -> anyhow::Result<Option<Key>> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() > FILE_SIZE_MAX => bail!("{} is too large for a runner's key", path.display()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
    let text = std::fs::read_to_string(path)?;
    let why = || format!("{} holds no key: remove it and register again", path.display());
    serde_json::from_str(&text).map(Some).with_context(why)
}

/// Does the server know the key? One that does not answer is asked again by whoever has something to say.
async fn is_known(key: &Key) -> bool {
    let Ok(client) = client(&key.server) else { return true };
    // A report of nothing is refused in any case, but for another reason where the key is known.
    let request = client
        .post(format!("{}/api/runner/v1/report", key.server))
        .timeout(ANSWER_WITHIN)
        .header(PROTOCOL_HEADER, PROTOCOL)
        .bearer_auth(&key.key)
        .body("{}");
    let Ok(answer) = request.send().await else { return true };
    if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
        return true;
    }
    let text = answer.bytes().await.unwrap_or_default();
    serde_json::from_slice::<Refused>(&text).is_err()
}

async fn register(server: &str, token: &str, name: &str) -> anyhow::Result<Registered> {
    let message = Register { token: token.to_owned(), name: name.to_owned() };
    let request = client(server)?
        .post(format!("{server}/api/runner/v1/register"))
        .timeout(ANSWER_WITHIN)
        .header(PROTOCOL_HEADER, PROTOCOL)
        .body(serde_json::to_vec(&message)?);
    let answer = request.send().await.with_context(|| format!("{server} cannot be reached"))?;
    let status = answer.status();
    let text = answer.bytes().await?;
    if !status.is_success() {
        let refused = serde_json::from_slice::<Refused>(&text).map(|refused| refused.message);
        bail!("{server} refused: {}", refused.unwrap_or_else(|_| status.to_string()));
    }
    serde_json::from_slice(&text).with_context(|| format!("the answer of {server} cannot be understood"))
}

/// Returns a client for a server. One on this machine is not asked for through a proxy.
pub fn client(server: &str) -> anyhow::Result<reqwest::Client> {
    let builder =
        reqwest::Client::builder().connect_timeout(Duration::from_secs(10)).redirect(reqwest::redirect::Policy::none());
    let host = reqwest::Url::parse(server)?.host_str().unwrap_or_default().to_owned();
    let is_here = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let builder = if is_here { builder.no_proxy() } else { builder };
    Ok(builder.build()?)
}

/// Writes the key, in the place of an earlier one.
fn write(path: &Path, key: &Key) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options().create_new(true).write(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec_pretty(key)?)?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

fn machine() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "runner".to_owned(), |name| name.trim().to_owned())
}
