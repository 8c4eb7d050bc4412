//! The bytes of artifacts and caches, coming and going, under signed addresses.
//!
//! They come as Azure's block blobs do: all at once, or as blocks in any order with a list of them at the end. Blocks stay blobs of
//! their own; the list says in which order they are one. What came is hashed once, before anybody may see it.

use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, digest};
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt as _, TryStreamExt as _};
use greenlight_core::id::RepoId;
use greenlight_store::{BlobError, BlobStream, Blobs, ObjectKind, ObjectName, ObjectRow, ObjectState};
use tokio::sync::Semaphore;

use super::signed::{Given, Permit};
use super::twirp::Failed;
use super::{Place, Services, said};
use crate::server::clock;

/// How large one block may be.
const BLOCK_SIZE_MAX: u64 = 512 << 20;
/// How many blocks there may be.
const BLOCKS_MAX: usize = 50_000;
/// How large a list of blocks may be.
const LIST_SIZE_MAX: usize = 8 << 20;
/// How many bodies are written at once: each needs some megabytes.
const WRITERS: usize = 12;
/// How many blobs of a removed one are taken away side by side.
const REMOVED_AT_ONCE: usize = 16;

static WRITING: Semaphore = Semaphore::const_new(WRITERS);

/// `/blobs/KIND/ID/NAME`: bytes come, or go.
pub async fn door(
    State(place): State<Arc<Place>>,
    Path((_, id, _)): Path<(String, i64, String)>,
    request: Request,
) -> Response {
    let services = super::at(State(place)).await;
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let permit = match parts.method {
        Method::PUT => Permit::Write,
        Method::GET | Method::HEAD => Permit::Read,
        _ => return said(StatusCode::METHOD_NOT_ALLOWED, "this address takes PUT, or gives by GET"),
    };
    let done = async {
        let row = permitted(&services, id, &query, permit).await?;
        match permit {
            Permit::Read => fetch(&services, &row, &parts.headers, parts.method == Method::HEAD).await,
            Permit::Write => take(&services, &row, &query, &parts.headers, body).await,
        }
    };
    done.await.unwrap_or_else(IntoResponse::into_response)
}

/// Returns the row that an address is for. One that is too old, for another row or for something else is refused alike.
async fn permitted(services: &Services, id: i64, query: &str, permit: Permit) -> Result<ObjectRow, Failed> {
    let refused = || Failed::forbidden("this address is not valid (any more): ask for another one");
    let given = Given::of(query).ok_or_else(refused)?;
    let row = services.store.object(id).await?.ok_or_else(refused)?;
    if !given.permits(&services.keys, permit, &row) {
        return Err(refused());
    }
    let goes_on = permit == Permit::Write && services.uploads.goes_on(id);
    if given.is_over(clock::now()) && !goes_on {
        return Err(refused());
    }
    Ok(row)
}

async fn take(
    services: &Services,
    row: &ObjectRow,
    query: &str,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failed> {
    let found = |name: &str| {
        form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    match found("comp").as_deref() {
        Some("block") => {
            must_be_open(row)?;
            let id = found("blockid").ok_or_else(|| Failed::invalid("a block has an id"))?;
            keep(services, row, &block_key(row, &id), body).await?;
        }
        Some("blocklist") => {
            let text = axum::body::to_bytes(body, LIST_SIZE_MAX)
                .await
                .map_err(|_| Failed::invalid(format!("a list of blocks has at most {LIST_SIZE_MAX} bytes")))?;
            let ids = listed(&String::from_utf8_lossy(&text));
            let ids = ids.ok_or_else(|| Failed::invalid(format!("a list names at most {BLOCKS_MAX} blocks")))?;
            let mut parts = Vec::with_capacity(ids.len());
            for id in ids {
                let key = block_key(row, &id);
                let length = services.blobs.size(&key).await?;
                parts.push((key, length.ok_or_else(|| Failed::invalid(format!("the block {id} has not come")))?));
            }
            let kind = headers.get("x-ms-blob-content-type").and_then(|kind| kind.to_str().ok());
            complete(services, row, kind, parts).await?;
        }
        Some(other) => return Err(Failed::invalid(format!("this server does not know comp={other}"))),
        None => {
            must_be_open(row)?;
            let key = format!("{}/whole", folder(row.id));
            let length = keep(services, row, &key, body).await?;
            let kind = headers.get("x-ms-blob-content-type").and_then(|kind| kind.to_str().ok());
            complete(services, row, kind, vec![(key, length)]).await?;
        }
    }
    let etag = format!("\"{}\"", row.id);
    Ok((StatusCode::CREATED, [(header::ETAG, etag)]).into_response())
}

fn must_be_open(row: &ObjectRow) -> Result<(), Failed> {
    match row.state {
        ObjectState::Open => Ok(()),
        ObjectState::Written | ObjectState::Whole => {
            Err(Failed::exists("all bytes are here already, and nothing changes any more"))
        }
    }
}

/// Writes a body as one blob, and returns its length.
pub async fn keep(services: &Services, row: &ObjectRow, key: &str, body: Body) -> Result<u64, Failed> {
    must_be_open(row)?;
    let _turn = WRITING.acquire().await.expect("it is never closed");
    let most = services.limits.object_bytes_max;
    let mut upload = services.blobs.upload(key).await?;
    let mut pieces = body.into_data_stream();
    let mut length = 0;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| Failed::invalid("the body broke off"))?;
        length += piece.len() as u64;
        if services.uploads.came(row.id, piece.len() as u64) > most || length > BLOCK_SIZE_MAX.max(most) {
            return Err(Failed::full(format!("one artifact or cache has at most {most} bytes")));
        }
        upload.write(&piece).await?;
    }
    upload.finish().await?;
    Ok(length)
}

/// Takes these blobs as the bytes: hashes them, notes them, and lets go of every other one.
pub async fn complete(
    services: &Services,
    row: &ObjectRow,
    media_type: Option<&str>,
    parts: Vec<(String, u64)>,
) -> Result<(), Failed> {
    if row.state != ObjectState::Open {
        // An answer that was lost is asked for again.
        return if row.parts == parts { Ok(()) } else { must_be_open(row) };
    }
    let digest = hash(&services.blobs, &parts).await?;
    let media_type = media_type.filter(|kind| row.at.kind == ObjectKind::Artifact && is_plain(kind)).map(str::to_owned);
    if !services.store.object_written(row.id, media_type, &parts, &digest).await? {
        return Err(Failed::exists("all bytes are here already, and nothing changes any more"));
    }
    services.uploads.forget(row.id);
    let unused = services.blobs.list(&folder(row.id)).await?;
    for key in unused.iter().filter(|key| !parts.iter().any(|(part, _)| part == *key)) {
        services.blobs.delete(key).await?;
    }
    Ok(())
}

async fn hash(blobs: &Blobs, parts: &[(String, u64)]) -> Result<String, Failed> {
    let mut context = Context::new(&SHA256);
    for (key, _) in parts {
        let gone = || Failed::missing("a block is gone");
        let mut stream = blobs.stream(key, None).await?.ok_or_else(gone)?;
        while let Some(piece) = stream.next().await {
            context.update(&piece?);
            // A large one must not keep the others waiting.
            tokio::task::yield_now().await;
        }
    }
    Ok(hex::encode(context.finish()))
}

/// Refuses what is not what its sender says it is.
pub fn check(row: &ObjectRow, size: u64, hash: Option<&str>) -> Result<(), Failed> {
    if row.size != size {
        return Err(Failed::invalid(format!("{} bytes came, and {size} were sent", row.size)));
    }
    match hash.map(|hash| hash.trim_start_matches("sha256:")) {
        Some(hash) if !hash.eq_ignore_ascii_case(&row.digest) => {
            Err(Failed::invalid("what came is not what was sent: the SHA-256 differs; send it again"))
        }
        _ => Ok(()),
    }
}

async fn fetch(services: &Services, row: &ObjectRow, headers: &HeaderMap, is_head: bool) -> Result<Response, Failed> {
    if row.state != ObjectState::Whole {
        return Err(Failed::missing("this is not complete"));
    }
    let asked = headers.get(header::RANGE).and_then(|range| range.to_str().ok());
    let (from, to) = match asked.and_then(|range| span(range, row.size)) {
        Some(span) => span,
        None => (0, row.size),
    };
    let is_part = (from, to) != (0, row.size);
    let mut response = match is_head {
        true => Response::new(Body::empty()),
        false => Response::new(Body::from_stream(read(services.blobs.clone(), row.parts.clone(), from, to))),
    };
    if is_part {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let name = percent_encoding::utf8_percent_encode(&row.at.name, percent_encoding::NON_ALPHANUMERIC);
    let extension = if row.media_type.contains("zip") { ".zip" } else { "" };
    let mut told = vec![
        (header::CONTENT_LENGTH, (to - from).to_string()),
        (header::CONTENT_TYPE, row.media_type.clone()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
        (header::ETAG, format!("\"{}\"", row.digest)),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}{extension}\"; filename*=UTF-8''{name}{extension}"),
        ),
        // What a job made is never shown as a page of ours.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'".to_owned()),
    ];
    if is_part {
        told.push((header::CONTENT_RANGE, format!("bytes {from}-{}/{}", to - 1, row.size)));
    }
    for (name, value) in told {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// Reads `bytes=5-9` as a span of bytes; nothing where it asks for none of them, or for several parts.
fn span(range: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let span = match (from.is_empty(), to.is_empty()) {
        (true, _) => (size.saturating_sub(to.parse().ok()?), size),
        (false, true) => (from.parse().ok()?, size),
        (false, false) => (from.parse().ok()?, to.parse::<u64>().ok()?.saturating_add(1).min(size)),
    };
    (span.0 < span.1).then_some(span)
}

type Pieces = std::pin::Pin<Box<dyn futures_util::Stream<Item = Result<bytes::Bytes, BlobError>> + Send>>;

/// Returns the bytes from one place to another of blobs that follow each other.
fn read(blobs: Blobs, parts: Vec<(String, u64)>, from: u64, to: u64) -> Pieces {
    let mut start = 0;
    let mut wanted = Vec::new();
    for (key, length) in parts {
        let (begin, end) = (from.max(start), to.min(start + length));
        if begin < end {
            wanted.push((key, begin - start..end - start));
        }
        start += length;
    }
    let stream = futures_util::stream::iter(wanted.into_iter().map(Ok::<_, BlobError>));
    let opened = stream.and_then(move |(key, range)| {
        let blobs = blobs.clone();
        async move {
            let found = blobs.stream(&key, Some(range)).await?;
            // One that is gone cuts the answer short, and its length tells.
            Ok(found.unwrap_or_else(|| futures_util::stream::empty().boxed() as BlobStream))
        }
    });
    opened.try_flatten().boxed()
}

/// Returns the folder of keys that belongs to a row.
pub fn folder(id: i64) -> String {
    format!("objects/{id}")
}

fn block_key(row: &ObjectRow, block: &str) -> String {
    // The client chooses the id; what becomes part of a path is ours.
    format!("{}/block-{}", folder(row.id), &hex::encode(digest(&SHA256, block.as_bytes()))[..32])
}

/// Reads a list of blocks: `<BlockList><Latest>ID</Latest>…</BlockList>`. Nothing where it names too many.
fn listed(text: &str) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    for part in text.split('<').skip(1) {
        let Some((tag, id)) = part.split_once('>') else { continue };
        if matches!(tag, "Latest" | "Uncommitted" | "Committed") {
            ids.push(id.trim().to_owned());
        }
        if ids.len() > BLOCKS_MAX {
            return None;
        }
    }
    Some(ids)
}

fn is_plain(kind: &str) -> bool {
    kind.len() <= 200 && kind.contains('/') && kind.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

impl Services {
    /// Takes an artifact or a cache away: first the row, so that nobody finds half of it.
    pub(super) async fn remove(&self, row: &ObjectRow) -> Result<(), Failed> {
        self.store.delete_object(row.id).await?;
        self.uploads.forget(row.id);
        let keys = self.blobs.list(&folder(row.id)).await?;
        let gone = futures_util::stream::iter(keys.into_iter().map(|key| {
            let blobs = self.blobs.clone();
            async move { blobs.delete(&key).await }
        }));
        gone.buffer_unordered(REMOVED_AT_ONCE).try_collect::<()>().await?;
        Ok(())
    }

    /// Refuses a new artifact where its repository has no room.
    pub(super) async fn check_room(&self, at: &ObjectName) -> Result<(), Failed> {
        let (used, most) = (self.used(ObjectKind::Artifact, at.repo).await?, self.limits.artifact_bytes_max);
        if used >= most {
            return Err(Failed::full(format!(
                "the artifacts of this repository have {used} bytes, and there is room for {most}: delete some, or keep them for fewer days"
            )));
        }
        Ok(())
    }

    /// Takes caches away until a repository has room, those first that nobody asked for for the longest time.
    pub(super) async fn evict(&self, repo: RepoId, but: Option<i64>) -> Result<u64, Failed> {
        let mut used = self.used(ObjectKind::Cache, repo).await?;
        let mut evicted = 0;
        while used > self.limits.cache_bytes_max {
            let oldest = self.store.least_used(ObjectKind::Cache, repo).await?;
            let Some(row) = oldest.into_iter().find(|row| Some(row.id) != but) else { break };
            self.remove(&row).await?;
            used = used.saturating_sub(row.size);
            evicted += 1;
        }
        Ok(evicted)
    }

    async fn used(&self, kind: ObjectKind, repo: RepoId) -> Result<u64, Failed> {
        let all = self.store.object_bytes(kind).await?;
        Ok(all.iter().find(|(of, _)| *of == repo).map_or(0, |(_, bytes)| *bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_blocks_keeps_its_order() {
        let text = "<?xml version=\"1.0\"?><BlockList><Latest>Yg==</Latest>\n<Latest>YQ==</Latest></BlockList>";
        assert_eq!(listed(text).unwrap(), ["Yg==", "YQ=="]);
        assert_eq!(listed("nothing").unwrap(), [""; 0]);
        assert_eq!(listed(&"<Latest>a</Latest>".repeat(BLOCKS_MAX + 1)), None);
    }

    #[test]
    fn spans_are_read_as_browsers_write_them() {
        assert_eq!(span("bytes=0-4", 10), Some((0, 5)));
        assert_eq!(span("bytes=5-", 10), Some((5, 10)));
        assert_eq!(span("bytes=-3", 10), Some((7, 10)));
        assert_eq!(span("bytes=2-99", 10), Some((2, 10)));
        assert_eq!(span("bytes=10-12", 10), None);
        assert_eq!(span("bytes=0-1,4-5", 10), None);
    }
}
