//! A clone that the server sends: its `.git`, file by file; this machine's git puts the files where they belong.

use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use greenlight_runner::CheckedOut;
use greenlight_runner::wire::message::CheckedOutShape;
use tokio::io::AsyncWriteExt as _;

/// How long the head may be.
const HEAD_SIZE_MAX: usize = 64 << 10;
/// How long the name of a file may be.
const NAME_SIZE_MAX: usize = 4096;
/// How many files there may be.
const FILES_MAX: usize = 1_000_000;
/// How long git may take to write the files.
const WRITE_WITHIN: Duration = Duration::from_secs(900);

/// Makes room for a clone: `dest` is a folder without a `.git` behind it, and empty where it is to be.
pub async fn make_room(dest: &Path, clean: bool) -> std::io::Result<()> {
    match tokio::fs::symlink_metadata(dest).await {
        Ok(found) if !found.is_dir() => return Err(std::io::Error::other("it is no folder")),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return tokio::fs::create_dir_all(dest).await,
        Err(error) => return Err(error),
    }
    let mut entries = tokio::fs::read_dir(dest).await?;
    while let Some(entry) = entries.next_entry().await? {
        if !clean && entry.file_name() != ".git" {
            continue;
        }
        match entry.file_type().await?.is_dir() {
            true => tokio::fs::remove_dir_all(entry.path()).await?,
            false => tokio::fs::remove_file(entry.path()).await?,
        }
    }
    Ok(())
}

/// Takes in a clone.
pub async fn receive(answer: reqwest::Response, dest: &Path) -> Result<CheckedOut, String> {
    let mut source = Source { answer, buffer: BytesMut::new() };
    let length = source.number().await? as usize;
    let head = source.take(length, HEAD_SIZE_MAX).await?;
    let done: CheckedOutShape =
        serde_json::from_slice(&head).map_err(|error| format!("the server's answer cannot be read: {error}"))?;
    let done = done.into_done().ok_or("the server names no commit")?;
    let folder = dest.join(".git");
    let failed = |error: std::io::Error| format!("the clone cannot be written: {error}");
    // Folders that git wants, though nothing may be in them.
    for name in ["objects/pack", "refs/heads"] {
        tokio::fs::create_dir_all(folder.join(name)).await.map_err(failed)?;
    }
    for _ in 0..FILES_MAX {
        let length = source.number().await? as usize;
        if length == 0 {
            write_files(dest).await?;
            return Ok(done);
        }
        let name = source.take(length, NAME_SIZE_MAX).await?;
        let path = inside(&folder, &name).ok_or("the server names a file outside of the clone")?;
        source.need(8).await?;
        let length = source.buffer.get_u64();
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        let file = tokio::fs::File::options().create_new(true).write(true).open(&path).await.map_err(failed)?;
        source.copy(length, file).await?;
    }
    Err(format!("the clone has more than {FILES_MAX} files"))
}

/// Returns where a file is to be; nothing where its name would lead out.
fn inside(folder: &Path, name: &[u8]) -> Option<PathBuf> {
    let name = Path::new(std::str::from_utf8(name).ok()?);
    let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
    (is_plain && name.components().next().is_some()).then(|| folder.join(name))
}

/// Has git write the files of the commit that `HEAD` names. No hook and nobody's configuration has a part in it.
async fn write_files(dest: &Path) -> Result<(), String> {
    let mut command = tokio::process::Command::new("git");
    command
        .args(["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "core.fsync=none"])
        .args(["reset", "--hard", "--quiet"])
        .current_dir(dest)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ran = tokio::time::timeout(WRITE_WITHIN, command.output()).await;
    let output = ran
        .map_err(|_| "git took too long to write the files".to_owned())?
        .map_err(|error| format!("git cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("git cannot write the files: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The answer, piece by piece.
struct Source {
    answer: reqwest::Response,
    buffer: BytesMut,
}

impl Source {
    async fn number(&mut self) -> Result<u32, String> {
        self.need(4).await?;
        Ok(self.buffer.get_u32())
    }

    async fn take(&mut self, length: usize, most: usize) -> Result<BytesMut, String> {
        if length > most {
            return Err("the server's answer is none of ours".to_owned());
        }
        self.need(length).await?;
        Ok(self.buffer.split_to(length))
    }

    async fn copy(&mut self, mut length: u64, mut file: tokio::fs::File) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("the clone cannot be written: {error}");
        while length > 0 {
            if self.buffer.is_empty() {
                self.need(1).await?;
            }
            let here = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            file.write_all(&self.buffer.split_to(here)).await.map_err(failed)?;
            length -= here as u64;
        }
        file.flush().await.map_err(failed)
    }

    /// Reads on until so many bytes are there.
    async fn need(&mut self, length: usize) -> Result<(), String> {
        while self.buffer.len() < length {
            match self.answer.chunk().await {
                Ok(Some(piece)) => self.buffer.extend_from_slice(&piece),
                Ok(None) => return Err("the server's answer broke off".to_owned()),
                Err(error) => return Err(format!("the server's answer broke off: {error}")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out() {
        let folder = Path::new("/x/.git");
        assert_eq!(inside(folder, b"refs/heads/main").unwrap(), Path::new("/x/.git/refs/heads/main"));
        for name in ["../config", "/etc/passwd", "a/../../b", "", "./a", "\u{0}"].map(str::as_bytes) {
            let path = inside(folder, name);
            assert!(path.is_none() || name == b"\0", "{path:?}");
        }
        assert!(inside(folder, b"\xff").is_none());
    }
}
