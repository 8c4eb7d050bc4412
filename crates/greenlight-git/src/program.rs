//! The `git` program: found once, run with an environment of our own, bounded in time and output.
//!
//! The server's own environment is not handed down: only where programs, certificates and proxies are. What git is to know is
//! given in `GIT_CONFIG_COUNT` variables, the token too, so that it stands neither in a command line nor in a file. Each call is a
//! process group, killed whole when its time is up or its caller goes away, so that no helper of a fetch outlives it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::credentials::AccessToken;
use crate::error::GitError;

/// The oldest git that will do.
const VERSION_MIN: (u32, u32) = (2, 38);

/// How many git processes run at a time; more wait.
const PROCESSES_MAX: usize = 32;

/// How much of a call's complaint is kept.
const STDERR_MAX: usize = 16 << 10;

/// How much of a call's complaint is shown.
const MESSAGE_MAX: usize = 400;

/// How long a call that asks nobody may take.
pub(crate) const LOCAL_TIMEOUT: Duration = Duration::from_secs(60);

/// How much a call may write where nothing else is said.
const OUTPUT_MAX: usize = 1 << 20;

/// What is handed down of our own environment.
const INHERITED: [&str; 14] = [
    "PATH",
    "TMPDIR",
    "TZ",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
];

/// What every call is told, whatever a repository's own configuration says.
const CONFIG: [(&str, &str); 14] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("credential.helper", ""),
    ("protocol.allow", "never"),
    ("protocol.https.allow", "always"),
    ("protocol.http.allow", "always"),
    ("protocol.version", "2"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("advice.detachedHead", "false"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
];

/// The program, and what all calls share.
#[derive(Debug)]
pub(crate) struct Git {
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
    slots: Semaphore,
}

/// What came of a call that ended by itself.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Git {
    /// Finds `git` on PATH and looks at its version. `home` stands in for the user's home folder: nothing is in it.
    pub(crate) async fn find(home: &Path) -> Result<Self, GitError> {
        let git = Self {
            program: which("git").unwrap_or_else(|| PathBuf::from("git")),
            environment: environment(home),
            slots: Semaphore::new(PROCESSES_MAX),
        };
        let output = match git.call("--version").arg("--version").run().await {
            Err(GitError::Process { source, .. }) => return Err(GitError::Missing(source)),
            other => other?,
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.trim().trim_start_matches("git version ").to_owned();
        if is_new_enough(&found) { Ok(git) } else { Err(GitError::TooOld { found }) }
    }

    /// Begins a call; `what` names it in errors.
    pub(crate) fn call(&self, what: &'static str) -> Call<'_> {
        let mut command = Command::new(&self.program);
        command.env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
        let config = CONFIG.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let timeout = LOCAL_TIMEOUT;
        Call {
            git: self,
            what,
            command,
            config,
            timeout,
            output_max: OUTPUT_MAX,
            input: Vec::new(),
            secrets: Vec::new(),
        }
    }
}

fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

fn environment(home: &Path) -> Vec<(OsString, OsString)> {
    let inherited = INHERITED.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    let own = [
        ("HOME", home.as_os_str()),
        ("LC_ALL", OsStr::new("C")),
        ("GIT_TERMINAL_PROMPT", OsStr::new("0")),
        ("GIT_CONFIG_NOSYSTEM", OsStr::new("1")),
        ("GIT_CONFIG_GLOBAL", OsStr::new("/dev/null")),
        ("GIT_ATTR_NOSYSTEM", OsStr::new("1")),
        ("GIT_OPTIONAL_LOCKS", OsStr::new("0")),
    ];
    inherited.chain(own.into_iter().map(|(name, value)| (name.into(), value.into()))).collect()
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= VERSION_MIN
}

/// One call of git that is being put together. It holds the token, so it cannot be printed.
pub(crate) struct Call<'a> {
    git: &'a Git,
    what: &'static str,
    command: Command,
    config: Vec<(String, String)>,
    timeout: Duration,
    output_max: usize,
    input: Vec<u8>,
    secrets: Vec<String>,
}

impl<'a> Call<'a> {
    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Names the repository by its `.git`, so that git does not go looking for one.
    pub(crate) fn repository(mut self, folder: &Path) -> Self {
        self.command.env("GIT_DIR", folder).current_dir(folder);
        self
    }

    /// Names the folder to work in, and its repository in it.
    pub(crate) fn work_tree(mut self, folder: &Path) -> Self {
        self.command.env("GIT_DIR", folder.join(".git")).env("GIT_WORK_TREE", folder).current_dir(folder);
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets a configuration key for this call.
    pub(crate) fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Allows the transport that reads other folders.
    pub(crate) fn allow_folders(self) -> Self {
        self.config("protocol.file.allow", "always")
    }

    /// Shows this token to the server at `url` and to nobody else.
    pub(crate) fn token(mut self, url: &str, token: Option<&AccessToken>) -> Self {
        let Some(token) = token else { return self };
        self.secrets.extend(token.secrets());
        self.config(&format!("http.{url}.extraHeader"), &token.header())
    }

    /// Says this to it.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Gives it that long.
    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it. A bad exit code is an error.
    pub(crate) async fn run(self) -> Result<Output, GitError> {
        let what = self.what;
        let output = self.run_to_end().await?;
        if output.code == 0 { Ok(output) } else { Err(GitError::Failed { what, message: message(&output.stderr) }) }
    }

    /// Runs it, whatever its exit code.
    pub(crate) async fn run_to_end(self) -> Result<Output, GitError> {
        let (what, timeout, output_max) = (self.what, self.timeout, self.output_max);
        let (secrets, input) = (self.secrets.clone(), self.input.clone());
        let (mut running, _slot) = self.spawn().await?;
        match tokio::time::timeout(timeout, running.finish(what, &input, output_max)).await {
            Ok(output) => output.map(|output| scrubbed(output, &secrets)),
            Err(_) => Err(GitError::TimedOut { what, after: timeout }),
        }
    }

    /// Starts it with open pipes, for a process that is kept.
    pub(crate) fn keep(mut self) -> Result<Running, GitError> {
        self.command.stdin(Stdio::piped()).stderr(Stdio::null());
        self.start()
    }

    async fn spawn(mut self) -> Result<(Running, SemaphorePermit<'a>), GitError> {
        if !self.input.is_empty() {
            self.command.stdin(Stdio::piped());
        }
        let slot = self.git.slots.acquire().await.expect("the semaphore is never closed");
        Ok((self.start()?, slot))
    }

    fn start(mut self) -> Result<Running, GitError> {
        self.command.env("GIT_CONFIG_COUNT", self.config.len().to_string());
        for (index, (key, value)) in self.config.iter().enumerate() {
            self.command.env(format!("GIT_CONFIG_KEY_{index}"), key);
            self.command.env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        let what = self.what;
        let child = self.command.spawn().map_err(|source| GitError::Process { what, source })?;
        Ok(Running { group: child.id().and_then(|id| Pid::from_raw(id.cast_signed())), child })
    }
}

/// A git process with its helpers. They do not outlive this.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) child: Child,
    group: Option<Pid>,
}

impl Running {
    async fn finish(&mut self, what: &'static str, input: &[u8], output_max: usize) -> Result<Output, GitError> {
        let failed = |source| GitError::Process { what, source };
        let stdout = self.child.stdout.take().expect("the output is piped");
        let stderr = self.child.stderr.take().expect("the complaints are piped");
        let stdin = self.child.stdin.take();
        let write = async {
            if let Some(mut stdin) = stdin {
                // A process that ends early does not read to the end; its exit code tells.
                let _ = stdin.write_all(input).await;
            }
            Ok(())
        };
        let ((), (stdout, overflow), (stderr, _)) =
            tokio::try_join!(write, read_up_to(stdout, output_max), read_up_to(stderr, STDERR_MAX)).map_err(failed)?;
        if overflow {
            return Err(GitError::TooMuchOutput { what, max: output_max });
        }
        let status = self.child.wait().await.map_err(failed)?;
        self.group = None;
        Ok(Output { code: status.code().unwrap_or(-1), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            // Nobody is left to tell; a group that is gone already is what we want.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end, keeps up to `max` bytes, and tells whether there were more.
async fn read_up_to(mut pipe: impl AsyncRead + Unpin, max: usize) -> std::io::Result<(Vec<u8>, bool)> {
    let mut kept = Vec::new();
    let mut overflow = false;
    let mut chunk = vec![0; 16 << 10];
    loop {
        let length = pipe.read(&mut chunk).await?;
        if length == 0 {
            return Ok((kept, overflow));
        }
        let room = max.saturating_sub(kept.len()).min(length);
        kept.extend_from_slice(&chunk[..room]);
        overflow |= room < length;
    }
}

fn scrubbed(mut output: Output, secrets: &[String]) -> Output {
    for secret in secrets {
        if output.stderr.contains(secret.as_str()) {
            output.stderr = output.stderr.replace(secret.as_str(), "***");
        }
    }
    output
}

/// Makes one line of what git complained: its last lines say most.
fn message(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join("; ");
    let skip = text.chars().count().saturating_sub(MESSAGE_MAX);
    text.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(is_new_enough("2.38.0"));
        assert!(is_new_enough("2.47.3"));
        assert!(is_new_enough("3.0"));
        assert!(!is_new_enough("2.9.5"));
        assert!(!is_new_enough("2.37.9 (Apple Git-1)"));
        assert!(!is_new_enough("something else"));
    }

    #[tokio::test]
    async fn a_token_is_in_no_argument() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::find(folder.path()).await.unwrap();
        let token = AccessToken::new("ghs_secret");
        let call =
            git.call("fetch").arg("fetch").token("https://github.com", Some(&token)).arg("https://github.com/o/r");
        let arguments: Vec<_> = call.command.as_std().get_args().collect();
        assert_eq!(arguments, ["fetch", "https://github.com/o/r"]);
        assert!(
            call.config
                .iter()
                .any(|(key, value)| key == "http.https://github.com.extraHeader" && value.contains("Basic"))
        );
        assert!(!format!("{token:?}").contains("secret"));
    }
}
