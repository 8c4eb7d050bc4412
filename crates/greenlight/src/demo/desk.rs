//! A developer's desk: a clone of a repository, and plain git to push from it.
//!
//! The token goes to git through its environment, where no list of processes shows it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

/// How long one call of git may take.
const GIT_WITHIN: Duration = Duration::from_secs(60);

/// Who pushes.
#[derive(Clone, Debug)]
pub struct Person {
    /// The login.
    pub login: &'static str,
    /// The name in commits.
    pub name: &'static str,
    /// A token of theirs.
    pub token: String,
}

/// A clone that somebody works in.
pub struct Desk {
    dir: PathBuf,
    person: Person,
}

impl Desk {
    /// Clones a repository.
    pub async fn set_up(dir: &Path, url: &str, person: &Person) -> anyhow::Result<Self> {
        let desk = Self { dir: dir.to_owned(), person: person.clone() };
        std::fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
        desk.git(&["clone", "--quiet", url, "."]).await?;
        Ok(desk)
    }

    /// Begins a branch on what the default branch is now.
    pub async fn begin(&self, branch: &str) -> anyhow::Result<()> {
        self.git(&["fetch", "--quiet", "origin"]).await?;
        self.git(&["switch", "--quiet", "--no-track", "--create", branch, "origin/main"]).await?;
        Ok(())
    }

    /// Writes files and commits them; returns the commit.
    pub async fn commit(&self, message: &str, files: &[(&str, &str)]) -> anyhow::Result<String> {
        for (path, text) in files {
            let path = self.dir.join(path);
            std::fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
        }
        self.git(&["add", "--all"]).await?;
        self.git(&["commit", "--quiet", "--message", message]).await?;
        self.git(&["rev-parse", "HEAD"]).await
    }

    /// Pushes the branch that is checked out.
    pub async fn push(&self) -> anyhow::Result<()> {
        self.git(&["push", "--quiet", "origin", "HEAD"]).await.map(|_| ())
    }

    async fn git(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(&self.dir).stdin(Stdio::null()).kill_on_drop(true);
        self.isolate(&mut command);
        let asked = tokio::time::timeout(GIT_WITHIN, command.output()).await;
        let what = arguments.first().copied().unwrap_or_default();
        let output = asked
            .with_context(|| format!("git {what} did not end within {} s", GIT_WITHIN.as_secs()))?
            .context("could not start git: is it installed?")?;
        if !output.status.success() {
            bail!("git {what} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Lets git know who works here, and nothing of the git around us.
    fn isolate(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("GIT_") || name.to_lowercase().ends_with("_proxy")) {
                command.env_remove(name);
            }
        }
        let login = STANDARD.encode(format!("{}:{}", self.person.login, self.person.token));
        let settings = [
            ("http.extraHeader", format!("Authorization: Basic {login}")),
            ("user.name", self.person.name.to_owned()),
            ("user.email", format!("{}@users.noreply.localhost", self.person.login)),
            ("credential.helper", String::new()),
            ("commit.gpgSign", "false".to_owned()),
            ("gc.auto", "0".to_owned()),
        ];
        command.env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (index, (key, value)) in settings.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
    }
}
