//! Git over HTTP: `git http-backend` behind tokens, and what a push changes in the model.

use std::{process::Stdio, sync::Arc};

use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, header},
};
use bytes::{Buf, Bytes};
use flate2::read::GzDecoder;
use std::io::Read;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
};
use tokio_util::io::ReaderStream;

use crate::{
    git::{RefUpdate, isolate, write_file},
    model::{Permission, ZERO_OID},
    push::{self, Door},
    rest::{
        auth::{identify, permission_of},
        git_data::refusal_by_protection,
    },
    site::Site,
};

/// How large a push may be.
const PUSH_BYTES_MAX: usize = 512 * 1024 * 1024;
/// How long the headers of the CGI program may be.
const CGI_HEADER_BYTES_MAX: usize = 64 * 1024;
/// Refuses, in the middle of a push, what the branch's protection refuses. The reasons come through the environment.
const UPDATE_HOOK: &str = "#!/bin/sh\n\
    name=\"$1\"; old=\"$2\"; new=\"$3\"\n\
    printf '%s\\n' \"$GREENLIGHT_REFUSED\" | while IFS=' ' read -r ref reason; do\n\
    if [ \"$ref\" = \"$name\" ]; then\n\
    echo \"error: GH006: Protected branch update failed for $name.\" >&2; echo \"error: $reason\" >&2; exit 1; fi; done || exit 1\n\
    printf '%s\\n' \"$GREENLIGHT_FORWARD_ONLY\" | while IFS=' ' read -r ref; do\n\
    if [ \"$ref\" = \"$name\" ] && ! git merge-base --is-ancestor \"$old\" \"$new\"; then\n\
    echo \"error: GH006: Protected branch update failed for $name.\" >&2; echo 'error: Cannot force-push to this branch' >&2; exit 1; fi; done || exit 1\n";

/// What a request for git asks.
pub struct GitRequest<'a> {
    pub owner: &'a str,
    /// Without `.git`.
    pub name: &'a str,
    /// `info/refs`, `git-upload-pack` or `git-receive-pack`.
    pub rest: String,
}

/// Who may go on, and where to.
struct Entry {
    repository: u64,
    account: Option<u64>,
    login: String,
    permission: Permission,
}

/// Recognizes a request for git by its path.
pub fn recognize<'a>(parts: &'a [&'a str]) -> Option<GitRequest<'a>> {
    let [owner, name, rest @ ..] = parts else { return None };
    let rest = rest.join("/");
    let name = name.strip_suffix(".git").unwrap_or(name);
    matches!(rest.as_str(), "info/refs" | "git-upload-pack" | "git-receive-pack").then_some(GitRequest {
        owner,
        name,
        rest,
    })
}

/// Serves one request of git.
pub async fn serve(site: Arc<Site>, asked: GitRequest<'_>, request: Request<Body>) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let writes = asked.rest == "git-receive-pack" || query.contains("service=git-receive-pack");
    let entry = match enter(&site, &asked, &request, writes) {
        Ok(entry) => entry,
        Err(refusal) => return *refusal,
    };
    let outcome = if asked.rest == "git-receive-pack" {
        receive(&site, &entry, request).await
    } else {
        advertise_or_upload(&site, &entry, &asked, &query, request).await
    };
    outcome.unwrap_or_else(|error| {
        tracing::error!(%error, "git http-backend failed");
        plain(StatusCode::INTERNAL_SERVER_ERROR, "git http-backend failed")
    })
}

fn enter(
    site: &Site,
    asked: &GitRequest<'_>,
    request: &Request<Body>,
    writes: bool,
) -> Result<Entry, Box<Response<Body>>> {
    let look = site.look();
    let ask = || {
        let mut response = plain(StatusCode::UNAUTHORIZED, "Authentication failed: give a token as the password");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"GitHub\""));
        Box::new(response)
    };
    let caller = identify(&look, request.headers()).map_err(|_| ask())?;
    let anonymous = caller.account().is_none();
    let missing = || if anonymous { ask() } else { Box::new(plain(StatusCode::NOT_FOUND, "Repository not found.")) };
    let repository = look.repository(asked.owner, asked.name).ok_or_else(missing)?;
    let mut permission = permission_of(&look, &caller, repository);
    if let crate::rest::Caller::Installation { token, .. } = &caller {
        let may = |level| crate::model::app::allows(&token.permissions, "contents", level);
        permission = if may("write") {
            permission
        } else if may("read") || !repository.private {
            permission.min(Permission::Read)
        } else {
            Permission::None
        };
    }
    if permission < Permission::Read {
        return Err(missing());
    }
    if writes && anonymous {
        return Err(ask());
    }
    if writes && permission < Permission::Write {
        let login = caller.account().map_or("", |id| look.login(id));
        let text = format!("Permission to {} denied to {login}.", look.full_name(repository));
        return Err(Box::new(plain(StatusCode::FORBIDDEN, &text)));
    }
    let account = caller.account();
    Ok(Entry {
        repository: repository.id,
        account,
        login: account.map_or_else(String::new, |id| look.login(id).to_owned()),
        permission,
    })
}

async fn advertise_or_upload(
    site: &Site,
    entry: &Entry,
    asked: &GitRequest<'_>,
    query: &str,
    request: Request<Body>,
) -> std::io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, PUSH_BYTES_MAX).await.map_err(std::io::Error::other)?;
    let mut command = backend(site, entry, &asked.rest, query, &parts, body.len());
    if let Some(encoding) = parts.headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()) {
        command.env("HTTP_CONTENT_ENCODING", encoding);
    }
    run(command, body).await
}

/// Takes a push: refuses what protection refuses, then lets the model follow.
async fn receive(site: &Arc<Site>, entry: &Entry, request: Request<Body>) -> std::io::Result<Response<Body>> {
    let (parts, body) = request.into_parts();
    let mut body = axum::body::to_bytes(body, PUSH_BYTES_MAX).await.map_err(std::io::Error::other)?;
    if parts.headers.get(header::CONTENT_ENCODING).is_some_and(|value| value == "gzip") {
        let mut plain = Vec::new();
        GzDecoder::new(body.reader()).take(PUSH_BYTES_MAX as u64).read_to_end(&mut plain)?;
        body = plain.into();
    }
    let _held = site.hold_refs(entry.repository).await;
    let commands = commands_of(&body);
    let mut command = backend(site, entry, "git-receive-pack", "", &parts, body.len());
    protect(site, entry, &commands, &mut command)?;
    let response = collect(run(command, body).await?).await?;
    follow(site, entry).await?;
    Ok(response)
}

/// Compares the refs on disk with those of the model, and lets everything follow from the difference.
async fn follow(site: &Arc<Site>, entry: &Entry) -> std::io::Result<()> {
    let now = site.git.refs(entry.repository).await.map_err(std::io::Error::other)?;
    let before = site.look().repositories.get(&entry.repository).map(|known| known.refs.clone()).unwrap_or_default();
    let mut updates = Vec::new();
    for (name, new) in &now {
        let old = before.get(name).cloned().unwrap_or_else(|| ZERO_OID.to_owned());
        if old != *new {
            updates.push(RefUpdate { name: name.clone(), old, new: new.clone() });
        }
    }
    for (name, old) in before.iter().filter(|(name, _)| !now.contains_key(*name)) {
        updates.push(RefUpdate { name: name.clone(), old: old.clone(), new: ZERO_OID.to_owned() });
    }
    let Some(pusher) = entry.account.filter(|_| !updates.is_empty()) else { return Ok(()) };
    adopt_default_branch(site, entry.repository, &now);
    push::refs_moved(site, entry.repository, pusher, updates, None, Door::Git).await.map_err(std::io::Error::other)
}

/// The first branch that is pushed into an empty repository becomes its default branch where there is none of that name.
fn adopt_default_branch(site: &Site, repository: u64, refs: &std::collections::BTreeMap<String, String>) {
    let mut change = site.change();
    let Some(known) = change.repositories.get_mut(&repository).filter(|known| known.refs.is_empty()) else { return };
    if refs.contains_key(&format!("refs/heads/{}", known.default_branch)) {
        return;
    }
    let Some(first) = refs.keys().find_map(|name| name.strip_prefix("refs/heads/")) else { return };
    known.default_branch = first.to_owned();
    if let Err(error) = site.git.set_head(repository, first) {
        tracing::warn!(%error, "could not point HEAD at {first}");
    }
}

/// Reads the ref updates that a push begins with.
fn commands_of(body: &[u8]) -> Vec<(String, String, String)> {
    let mut commands = Vec::new();
    let mut rest = body;
    while let Some(length) =
        rest.get(..4).and_then(|digits| usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
    {
        let Some(line) = (length > 4).then(|| rest.get(4..length)).flatten() else { break };
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let text = String::from_utf8_lossy(line).into_owned();
        if let [old, new, name] = text.trim_end().split(' ').collect::<Vec<_>>()[..] {
            commands.push((old.to_owned(), new.to_owned(), name.to_owned()));
        }
        rest = &rest[length..];
    }
    commands
}

/// Tells the update hook what to refuse.
fn protect(
    site: &Site,
    entry: &Entry,
    commands: &[(String, String, String)],
    command: &mut Command,
) -> std::io::Result<()> {
    let (mut refused, mut forward_only) = (Vec::new(), Vec::new());
    {
        let look = site.look();
        let Some(repository) = look.repositories.get(&entry.repository) else { return Ok(()) };
        for (old, new, name) in commands {
            let Some(branch) = name.strip_prefix("refs/heads/") else { continue };
            if old == ZERO_OID {
                continue;
            }
            let sha = (new != ZERO_OID).then_some(new.as_str());
            if let Some(reason) = refusal_by_protection(repository, branch, sha, true, entry.permission) {
                refused.push(format!("{name} {reason}"));
            } else if repository.protections(branch).iter().any(|protection| !protection.allow_force_pushes) {
                forward_only.push(name.clone());
            }
        }
    }
    if refused.is_empty() && forward_only.is_empty() {
        return Ok(());
    }
    let hooks = site.git.root().join("hooks");
    let hook = hooks.join("update");
    if !hook.exists() {
        write_file(&hook, UPDATE_HOOK.as_bytes()).map_err(std::io::Error::other)?;
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&hook, permissions)?;
    }
    command.env("GIT_CONFIG_COUNT", "2").env("GIT_CONFIG_KEY_1", "core.hooksPath").env("GIT_CONFIG_VALUE_1", hooks);
    command.env("GREENLIGHT_REFUSED", refused.join("\n")).env("GREENLIGHT_FORWARD_ONLY", forward_only.join("\n"));
    Ok(())
}

fn backend(
    site: &Site,
    entry: &Entry,
    rest: &str,
    query: &str,
    parts: &axum::http::request::Parts,
    length: usize,
) -> Command {
    let mut command = Command::new("git");
    isolate(&mut command);
    command.arg("http-backend").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let header =
        |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    command
        .env("GIT_PROJECT_ROOT", site.git.root())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", format!("/{}.git/{rest}", entry.repository))
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", length.to_string())
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("GIT_PROTOCOL", header(HeaderName::from_static("git-protocol")));
    if !entry.login.is_empty() {
        command.env("REMOTE_USER", &entry.login);
    }
    command
}

/// Runs the CGI program; its answer streams on while it works.
async fn run(mut command: Command, body: Bytes) -> std::io::Result<Response<Body>> {
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or_else(|| std::io::Error::other("no standard input"))?;
    let stdout = child.stdout.take().ok_or_else(|| std::io::Error::other("no standard output"))?;
    tokio::spawn(async move {
        // A program that has read enough closes its end; what it thinks of the rest stands in its answer.
        let _ = stdin.write_all(&body).await;
        drop(stdin);
        let _ = child.wait().await;
    });
    let mut reader = BufReader::new(stdout);
    let mut response = Response::new(Body::empty());
    let mut read = 0;
    loop {
        let mut line = String::new();
        read += reader.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if read > CGI_HEADER_BYTES_MAX {
            return Err(std::io::Error::other("the headers of git http-backend are too long"));
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let code = value
                .split(' ')
                .next()
                .and_then(|code| code.parse().ok())
                .and_then(|code| StatusCode::from_u16(code).ok());
            *response.status_mut() = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            response.headers_mut().append(name, value);
        }
    }
    *response.body_mut() = Body::from_stream(ReaderStream::new(reader.take(u64::MAX)));
    Ok(response)
}

/// Waits for the whole answer, so that the program has ended when the model is asked to follow.
async fn collect(response: Response<Body>) -> std::io::Result<Response<Body>> {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, PUSH_BYTES_MAX).await.map_err(std::io::Error::other)?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::commands_of;

    #[test]
    fn a_push_names_its_refs_first() {
        let (old, new) = ("0".repeat(40), "a".repeat(40));
        let line = format!("{old} {new} refs/heads/main\0 report-status");
        let body = format!("{:04x}{line}0000PACK", line.len() + 4);
        assert_eq!(commands_of(body.as_bytes()), [(old, new, "refs/heads/main".to_owned())]);
        assert!(commands_of(b"junk").is_empty());
    }
}
