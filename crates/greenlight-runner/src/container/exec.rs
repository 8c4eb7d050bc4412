//! A program in a container: one that is started in a job's container, or the one that a Docker action's container is made for.
//!
//! The engine tells output and end on connections of their own; what it says becomes bytes in the same pipe that a process would write
//! to. It has no word for a signal to a program inside a container, so the program's number is written down before it begins.

use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use super::engine::{Engine, EngineError};
use super::mount::Mounts;
use crate::process::{Exit, Program};

/// How often a program is looked after whose output does not end: what it started may hold the connection open.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long output may still come after the program's end.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How large a piece of output may be that the engine announces.
const PIECE_BYTES_MAX: usize = 64 << 20;

/// Writes down a program's number, and becomes it. `$0` is the file.
const BEGIN: &str = "echo $$ 2>/dev/null > \"$0\"; exec \"$@\"";

/// What marks a program that no shell begins, so that it can be found.
const MARK: &str = "GREENLIGHT_PROGRAM";

/// Does every shell hand a variable of this name on? Some forget what is no name of theirs, as an input with a dash (`INPUT_FETCH-DEPTH`).
fn is_kept_by_shells(name: &str) -> bool {
    !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// A job's container that runs.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    pub(crate) engine: Engine,
    pub(crate) id: String,
    pub(crate) mounts: Mounts,
    /// Where numbers of programs are written down, inside.
    pub(crate) notes: String,
    /// What runs scripts where nothing is written; `sh` where nothing.
    pub(crate) shell: Option<&'static str>,
}

/// A container that is made for one program.
#[derive(Clone, Debug)]
pub(crate) struct Fresh {
    pub(crate) engine: Engine,
    pub(crate) mounts: Mounts,
    /// What the container is made from, but for its program and variables.
    pub(crate) body: Value,
    /// What is started instead of the image's entry point.
    pub(crate) entrypoint: Option<Vec<String>>,
}

/// A program that runs in a container.
pub(crate) struct Contained {
    target: Target,
    exited: oneshot::Receiver<std::io::Result<Exit>>,
    is_let_go: bool,
}

#[derive(Clone, Debug)]
enum Target {
    /// A program beside others: the engine, the container, the words that find its number there.
    Within(Engine, String, String),
    /// All of a container.
    Whole(Engine, String),
}

impl std::fmt::Debug for Contained {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Contained").finish_non_exhaustive()
    }
}

impl Home {
    /// Starts a program in the container, its output going into `writer`.
    pub(crate) async fn spawn(&self, program: &Program, writer: std::io::PipeWriter) -> std::io::Result<Contained> {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut env = env_of(&self.mounts, program);
        let text = |text: &std::ffi::OsStr| self.mounts.translate(&text.to_string_lossy());
        let mut command = Vec::new();
        let find = if program.env.keys().all(|name| is_kept_by_shells(name)) {
            let note = format!("{}/_program_{number}", self.notes);
            command.extend(["sh".to_owned(), "-c".to_owned(), BEGIN.to_owned(), note.clone()]);
            format!("cat {note}")
        } else {
            env.push(format!("{MARK}={number}"));
            let is_it = format!("tr '\\0' '\\n' < $p/environ 2>/dev/null | grep -qx {MARK}={number}");
            format!("for p in /proc/[0-9]*; do {is_it} && echo ${{p#/proc/}}; done | sort -n | head -n 1")
        };
        command.push(text(program.path.as_os_str()));
        command.extend(program.arguments.iter().map(|argument| text(argument)));
        let body = json!({
            "AttachStdout": true, "AttachStderr": true, "Cmd": command, "Env": env,
            "WorkingDir": text(program.folder.as_os_str()),
        });
        let id = create_exec(&self.engine, &self.id, body).await.map_err(other)?;
        let output = start_exec(&self.engine, &id).await.map_err(other)?;
        let (ended, exited) = oneshot::channel();
        let engine = self.engine.clone();
        let pipe = pipe::Sender::from_owned_fd(OwnedFd::from(writer))?;
        tokio::spawn(async move {
            let pumped = pump(output, pipe);
            tokio::pin!(pumped);
            let exit = tokio::select! {
                _ = &mut pumped => end_of_exec(&engine, &id).await,
                exit = end_of_exec(&engine, &id) => {
                    let _ = tokio::time::timeout(LAST_WORDS, &mut pumped).await;
                    exit
                }
            };
            // Nobody waits where the step was given up.
            let _ = ended.send(exit);
        });
        let target = Target::Within(self.engine.clone(), self.id.clone(), find);
        Ok(Contained { target, exited, is_let_go: false })
    }

    /// Stops what runs in it, until [`Home::unpause`].
    pub(crate) async fn pause(&self) {
        if let Err(error) = self.engine.post(&format!("/containers/{}/pause", self.id), None).await {
            tracing::warn!("a job's container cannot be paused while files are put into its folders: {error}");
        }
    }

    /// Lets it go on.
    pub(crate) async fn unpause(&self) {
        if let Err(error) = self.engine.post(&format!("/containers/{}/unpause", self.id), None).await {
            tracing::debug!("a job's container was not paused: {error}");
        }
    }

    /// Runs a short program of the runner's own. Returns its exit code.
    pub(crate) async fn run(&self, user: Option<&str>, command: &[&str]) -> Result<i64, EngineError> {
        run_in(&self.engine, &self.id, user, command).await
    }
}

/// Runs a short program in a container, and forgets what it says. Returns its exit code.
pub(crate) async fn run_in(
    engine: &Engine,
    container: &str,
    user: Option<&str>,
    command: &[&str],
) -> Result<i64, EngineError> {
    let mut body = json!({ "AttachStdout": true, "AttachStderr": true, "Cmd": command });
    if let Some(user) = user {
        body["User"] = user.into();
    }
    let id = create_exec(engine, container, body).await?;
    let mut output = start_exec(engine, &id).await?;
    while let Some(Ok(_)) = output.frame().await {}
    exit_code(engine, &id).await
}

/// Waits for the end of a program in a container. The engines' API has no call that waits for one, and not every engine tells of it among its
/// events: so it is looked at. Where its output has ended, it has ended too, and the first look is the last.
async fn exit_code(engine: &Engine, id: &str) -> Result<i64, EngineError> {
    loop {
        let told = engine.get(&format!("/exec/{id}/json")).await?;
        if told["Running"] == false {
            return Ok(told["ExitCode"].as_i64().unwrap_or(-1));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn create_exec(engine: &Engine, container: &str, body: Value) -> Result<String, EngineError> {
    let made = engine.post(&format!("/containers/{container}/exec"), Some(body)).await?;
    Ok(made["Id"].as_str().unwrap_or_default().to_owned())
}

async fn start_exec(engine: &Engine, id: &str) -> Result<Incoming, EngineError> {
    let body = json!({ "Detach": false, "Tty": false }).to_string();
    engine.stream(&format!("/exec/{id}/start"), Some((body.into(), "application/json")), &[]).await
}

async fn end_of_exec(engine: &Engine, id: &str) -> std::io::Result<Exit> {
    exit_code(engine, id).await.map(exit_of).map_err(other)
}

impl Fresh {
    /// Makes the container and starts it, its output going into `writer`. The program's arguments are the container's command.
    pub(crate) async fn spawn(&self, program: &Program, writer: std::io::PipeWriter) -> std::io::Result<Contained> {
        let mut body = self.body.clone();
        let arguments: Vec<String> =
            program.arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
        if !arguments.is_empty() {
            body["Cmd"] = json!(arguments);
        }
        if let Some(entrypoint) = &self.entrypoint {
            body["Entrypoint"] = json!(entrypoint);
        }
        body["Env"] = json!(env_of(&self.mounts, program));
        let made = self.engine.post("/containers/create", Some(body)).await.map_err(other)?;
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        let target = Target::Whole(self.engine.clone(), id.clone());
        let (ended, exited) = oneshot::channel();
        let contained = Contained { target, exited, is_let_go: false };
        self.engine.post(&format!("/containers/{id}/start"), None).await.map_err(other)?;
        let pipe = pipe::Sender::from_owned_fd(OwnedFd::from(writer))?;
        let engine = self.engine.clone();
        tokio::spawn(async move {
            let _ = ended.send(follow(&engine, &id, pipe).await);
            if let Err(error) = engine.delete(&format!("/containers/{id}?force=1&v=1")).await {
                tracing::warn!("the container {id} of an action cannot be removed: {error}");
            }
        });
        Ok(contained)
    }
}

/// Follows a container to its end.
async fn follow(engine: &Engine, id: &str, pipe: pipe::Sender) -> std::io::Result<Exit> {
    let logs = engine.lines(&format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1")).await.map_err(other)?;
    let pumped = tokio::spawn(pump(logs, pipe));
    let told = engine.post(&format!("/containers/{id}/wait"), None).await.map_err(other)?;
    // What it said last is on its way.
    let _ = tokio::time::timeout(LAST_WORDS * 10, pumped).await;
    Ok(exit_of(told["StatusCode"].as_i64().unwrap_or(-1)))
}

fn env_of(mounts: &Mounts, program: &Program) -> Vec<String> {
    mounts.env(&program.env).into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

fn exit_of(code: i64) -> Exit {
    match i32::try_from(code).unwrap_or(-1) {
        // The engine tells a signal as a shell does.
        code @ 129..=192 => Exit::Signal(code - 128),
        code => Exit::Code(code),
    }
}

/// Writes what the engine sends into a pipe: pieces with a head of eight bytes, of which four are the length.
async fn pump(mut output: Incoming, mut pipe: pipe::Sender) {
    let mut waiting = BytesMut::new();
    while let Some(Ok(frame)) = output.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        waiting.extend_from_slice(&data);
        while let Some(head) = waiting.get(..8) {
            let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
            if length > PIECE_BYTES_MAX {
                return;
            }
            if waiting.len() < 8 + length {
                break;
            }
            let piece = waiting.split_to(8 + length);
            if pipe.write_all(&piece[8..]).await.is_err() {
                return;
            }
        }
    }
}

impl Contained {
    /// Returns how it ended, when it did. To be asked once.
    pub(crate) async fn wait(&mut self) -> std::io::Result<Exit> {
        (&mut self.exited).await.map_err(|_| other("nobody watches over it any more"))?
    }

    /// Sends a signal to it and its group.
    pub(crate) fn signal(&self, signal: Signal) {
        let target = self.target.clone();
        let number = signal.as_raw();
        tokio::spawn(async move {
            let sent = match &target {
                Target::Within(engine, container, find) => {
                    let script =
                        format!("p=$({find}) && [ -n \"$p\" ] && {{ kill -{number} -- -$p || kill -{number} $p; }}");
                    run_in(engine, container, Some("0"), &["sh", "-c", &script]).await.map(drop)
                }
                Target::Whole(engine, id) => {
                    engine.post(&format!("/containers/{id}/kill?signal={number}"), None).await.map(drop)
                }
            };
            if let Err(error) = sent {
                tracing::debug!("a signal did not reach a container: {error}");
            }
        });
    }

    /// Kills it with its group.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Leaves what it started alone.
    pub(crate) fn let_go(mut self) {
        self.is_let_go = true;
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        // Without a runtime the next start's sweep does it.
        if !self.is_let_go && tokio::runtime::Handle::try_current().is_ok() {
            self.kill();
        }
    }
}

fn other(error: impl std::fmt::Display) -> std::io::Error {
    std::io::Error::other(error.to_string())
}
