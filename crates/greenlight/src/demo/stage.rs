//! What the play needs before it begins: a folder, ports, secrets, the emulator's seed and the server's settings.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::desk::Person;
use super::processes::{Killed, Plan};
use super::project;
use crate::exec::folder::{Folder, Kind};

/// Ports that the system does not hand out by itself, so that one that is free stays free for a while.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many ports are tried.
const TRIES_MAX: u16 = 200;
/// How late the emulated GitHub shows a write at most, in milliseconds: as late as by default, or at once where nobody reads along.
const LAG: [u32; 2] = [500, 0];

/// The stage.
pub struct Stage {
    /// The folder of it all.
    pub dir: PathBuf,
    own: Option<Folder>,
    ports: [u16; 3],
    /// Owns the repository; judges in the end.
    pub owner: Person,
    /// May push.
    pub writer: Person,
    /// May not.
    pub stranger: Person,
}

/// How the server is started.
pub struct Serving<'a> {
    /// A program and its arguments, which starts what follows it.
    pub through: Option<&'a str>,
    /// What happens when somebody kills it.
    pub killed: Killed,
}

impl Stage {
    /// Sets the stage, in a folder of its own or in the one that was named.
    pub fn set(dir: Option<&Path>, port: u16) -> anyhow::Result<Self> {
        let ports = ports(port)?;
        let own = dir.is_none().then(temporary).transpose()?;
        let dir = match (dir, &own) {
            (Some(dir), _) => empty(dir)?,
            (None, own) => own.as_ref().map(|own| own.path().to_owned()).unwrap_or_default(),
        };
        let person = |login, name| Person { login, name, token: secret("ghp_") };
        let stage = Self {
            dir,
            own,
            ports,
            owner: person(project::OWNER, "The Octocat"),
            writer: person("monalisa", "Mona Lisa"),
            stranger: person("worf", "Worf"),
        };
        stage.furnish().context("could not furnish the demo's folder")?;
        Ok(stage)
    }

    /// Returns the address of the emulated GitHub's pages and of git.
    pub fn github(&self) -> String {
        address(self.ports[0])
    }

    /// Returns the address of its API.
    pub fn api(&self) -> String {
        format!("{}/api/v3", self.github())
    }

    /// Returns the address that webhooks go to.
    pub fn server(&self) -> String {
        address(self.ports[1])
    }

    /// Returns the address of the server's pages.
    pub fn pages(&self) -> String {
        address(self.ports[2])
    }

    fn furnish(&self) -> anyhow::Result<()> {
        let token = secret("ghp_");
        let webhook_secret = secret("");
        self.write("github.token", &token)?;
        self.write("webhook.secret", &webhook_secret)?;
        self.write("deploys.url", &format!("{}/_emulator/room/slack/deploys", self.github()))?;
        self.write("greenlight.toml", &self.settings())?;
        self.write("seed.json", &self.seed(&token, &webhook_secret).to_string())
    }

    /// Writes a file that nobody else may read.
    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        let mut file = fs::File::options()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("could not make {}", path.display()))?;
        file.write_all(text.as_bytes()).with_context(|| format!("could not write {}", path.display()))
    }

    fn settings(&self) -> String {
        let (server, pages) = (self.ports[1], self.ports[2]);
        format!(
            "url = \"{}\"\n\
             listen = \"127.0.0.1:{server}\"\n\
             data = \"server\"\n\
             \n\
             [github]\n\
             api_url = \"{}\"\n\
             token_file = \"github.token\"\n\
             webhook_secret_file = \"webhook.secret\"\n\
             repositories = [\"{}\"]\n\
             \n\
             [pages]\n\
             listen = \"127.0.0.1:{pages}\"\n\
             url = \"{}\"\n\
             \n\
             [rooms.deploys]\n\
             kind = \"slack\"\n\
             url_file = \"deploys.url\"\n",
            self.server(),
            self.api(),
            project::FULL_NAME,
            self.pages(),
        )
    }

    fn seed(&self, server_token: &str, webhook_secret: &str) -> serde_json::Value {
        let people = [&self.owner, &self.writer, &self.stranger];
        let mut users: Vec<_> =
            people.iter().map(|person| json!({"login": person.login, "name": person.name})).collect();
        let mut tokens: Vec<_> =
            people.iter().map(|person| json!({"token": person.token, "user": person.login})).collect();
        users.push(json!({"login": "greenlight-bot", "name": "Greenlight"}));
        tokens.push(json!({"token": server_token, "user": "greenlight-bot"}));
        let hook = json!({
            "config": {"url": format!("{}/webhooks/github", self.server()), "content_type": "json", "secret": webhook_secret},
            "events": ["*"],
        });
        json!({
            "users": users,
            "tokens": tokens,
            "repositories": [{
                "owner": project::OWNER,
                "name": project::NAME,
                "description": "Greets people in their language.",
                "files": project::seed_files(),
                // The delivery log of a hook, which tells what was missed, is for admins.
                "collaborators": {"greenlight-bot": "admin", self.writer.login: "push"},
                "hooks": [hook],
            }],
        })
    }

    /// Returns how the emulated GitHub is started.
    pub fn emulator(&self, is_fast: bool) -> anyhow::Result<Plan> {
        let listen = format!("127.0.0.1:{}", self.ports[0]);
        let lag = LAG[usize::from(is_fast)].to_string();
        let arguments = [
            "emulate",
            "--listen",
            &listen,
            "--data",
            "github",
            "--seed",
            "seed.json",
            "--profile",
            "ghes",
            "--lag",
            &lag,
            "--end-with-input",
        ];
        let command = own_program()?.into_iter().chain(arguments.map(str::to_owned)).collect();
        Ok(self.plan("greenlight emulate", "emulate", command, Killed::End))
    }

    /// Returns how the server is started.
    pub fn serving(&self, serving: &Serving<'_>) -> anyhow::Result<Plan> {
        let through = serving.through.unwrap_or_default().split_whitespace().map(str::to_owned);
        let arguments = ["serve", "--config", "greenlight.toml", "--end-with-input"].map(str::to_owned);
        let command = through.chain(own_program()?).chain(arguments).collect();
        Ok(self.plan("greenlight serve", "serve", command, serving.killed))
    }

    fn plan(&self, name: &'static str, file: &str, command: Vec<String>, killed: Killed) -> Plan {
        let dir = self.dir.clone();
        let (log, pid_file) = (dir.join(format!("{file}.log")), dir.join(format!("{file}.pid")));
        Plan { name, command, dir, log, pid_file, killed }
    }

    /// Removes the folder, unless it was named.
    pub fn strike(self) {
        if let Some(Err(error)) = self.own.map(Folder::remove) {
            eprintln!("greenlight: {error:#}");
        }
    }

    /// Leaves the folder to be looked at, also by the next demo.
    pub fn leave(self) {
        if let Some(Err(error)) = self.own.map(Folder::keep) {
            eprintln!("greenlight: the next demo removes {}: {error}", self.dir.display());
        }
    }
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn own_program() -> anyhow::Result<Vec<String>> {
    let path = std::env::current_exe().context("could not find our own program")?;
    let path = path.into_os_string().into_string();
    path.map(|path| vec![path]).map_err(|path| anyhow::anyhow!("the path of our own program is not text: {path:?}"))
}

fn secret(prefix: &str) -> String {
    format!("{prefix}{}", uuid::Uuid::new_v4().simple())
}

fn temporary() -> anyhow::Result<Folder> {
    let below = std::env::temp_dir();
    Folder::make_for(Kind::Demo, &below).with_context(|| format!("no folder can be made in {}", below.display()))
}

fn empty(dir: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
    let dir = dir.canonicalize().with_context(|| format!("could not find {}", dir.display()))?;
    let mut entries = fs::read_dir(&dir).with_context(|| format!("could not look into {}", dir.display()))?;
    if entries.next().is_some() {
        bail!("{} is not empty: name a folder that is, or one that is not there yet", dir.display());
    }
    Ok(dir)
}

fn ports(first: u16) -> anyhow::Result<[u16; 3]> {
    if first > 0 {
        let port = |offset: u16| {
            first.checked_add(offset).with_context(|| format!("there are no three ports from {first} on"))
        };
        let ports = [port(0)?, port(1)?, port(2)?];
        if let Some(taken) = ports.iter().find(|port| !is_free(**port)) {
            bail!("the port {taken} is taken: name another one with --port, which is the first of three, or none");
        }
        return Ok(ports);
    }
    let random = uuid::Uuid::new_v4().as_u128();
    let span = PORTS.end - PORTS.start;
    let start = u16::try_from(random % u128::from(span)).unwrap_or(0);
    let candidates = (0..TRIES_MAX).map(|step| PORTS.start + (start + step) % span);
    let free: Vec<u16> = candidates.filter(|port| is_free(*port)).take(3).collect();
    match free[..] {
        [github, server, pages] => Ok([github, server, pages]),
        _ => bail!("there are no three free ports; name the first of three with --port"),
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_and_the_seed_are_what_they_are_for() {
        let dir = tempfile::tempdir().unwrap();
        let stage = Stage::set(Some(&dir.path().join("demo")), 0).unwrap();
        let environment = crate::config::Environment::default();
        let config = crate::config::Config::load(Some(&stage.dir.join("greenlight.toml")), &environment).unwrap();
        assert_eq!(config.pages.url.as_deref(), Some(stage.pages().as_str()));
        let seed = fs::read_to_string(stage.dir.join("seed.json")).unwrap();
        let seed: greenlight_emulator::Seed = serde_json::from_str(&seed).unwrap();
        assert_eq!(seed.repositories[0].files.len(), 12);
        assert!(Stage::set(Some(&stage.dir), 0).is_err(), "what is there already is left alone");
    }
}
