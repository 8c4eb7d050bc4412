//! Caches: what makes later runs faster. Once one is whole it never changes (S6); which ones a job sees follows from its grant alone.

use greenlight_core::time::{Duration, Timestamp};
use greenlight_store::{NewObject, ObjectKind, ObjectName, ObjectRow, ObjectState};
use serde_json::{Value, json};

use super::signed::{self, Permit};
use super::twirp::{Asked, Failed};
use super::{Grant, Services, bytes};
use crate::server::clock;

/// How long a key may be.
const KEY_LENGTH_MAX: usize = 512;
/// How many keys may be asked for at once.
const KEYS_MAX: usize = 10;
/// How long a version may be.
const VERSION_LENGTH_MAX: usize = 512;
/// How long one that was begun is left to its job.
const BEGUN_FOR: Duration = Duration::from_secs(3600);
/// What a cache's bytes are.
const BINARY: &str = "application/octet-stream";

/// Begins a cache, and returns where its bytes go.
pub async fn create(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    match reserve(services, grant, asked.text("key"), asked.text("version")).await? {
        Reserved::Taken(why) => Ok(json!({ "ok": false, "message": why })),
        Reserved::Begun(row) => {
            let url = signed::address(&services.keys, &grant.url, Permit::Write, &row, clock::now());
            Ok(json!({ "ok": true, "signed_upload_url": url }))
        }
    }
}

/// Makes a cache whole.
pub async fn finalize(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    let at = place(grant, asked.text("key"), asked.text("version"))?;
    let row = services.store.object_named(&at).await?.filter(|row| row.owner == owner(services, grant));
    let row = row.ok_or_else(|| Failed::missing(format!("this job has begun no cache {}", at.name)))?;
    if row.state == ObjectState::Open {
        return Err(Failed::invalid("the bytes of the cache have not come yet"));
    }
    bytes::check(&row, asked.length("size_bytes")?, None)?;
    seal(services, &row).await?;
    Ok(json!({ "ok": true, "entry_id": row.id.to_string() }))
}

/// Returns where a cache can be fetched that fits one of the keys, or that there is none.
pub async fn address(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    let mut keys = vec![asked.text("key")];
    keys.extend(asked.texts("restore_keys"));
    match find(services, grant, &keys, asked.text("version")).await? {
        None => Ok(json!({ "ok": false })),
        Some(row) => {
            let url = signed::address(&services.keys, &grant.url, Permit::Read, &row, clock::now());
            Ok(json!({ "ok": true, "signed_download_url": url, "matched_key": row.at.name }))
        }
    }
}

/// What became of a wish to write a cache.
pub enum Reserved {
    /// It is begun.
    Begun(Box<ObjectRow>),
    /// Somebody was first; why, in one sentence.
    Taken(String),
}

/// Begins a cache.
pub async fn reserve(services: &Services, grant: &Grant, key: &str, version: &str) -> Result<Reserved, Failed> {
    let at = place(grant, key, version)?;
    let (now, owner) = (clock::now(), owner(services, grant));
    match services.store.object_named(&at).await? {
        Some(row) if row.state == ObjectState::Whole => {
            return Ok(Reserved::Taken(format!("there is a cache {key} already, and a cache never changes")));
        }
        Some(row) if row.owner != owner && now.since(row.created_at) < BEGUN_FOR => {
            return Ok(Reserved::Taken(format!("another job is writing the cache {key}")));
        }
        Some(row) => services.remove(&row).await?,
        None => {}
    }
    let expires_at = now + services.limits.caches_kept;
    let new = NewObject { at, owner, media_type: BINARY.to_owned(), created_at: now, expires_at };
    let Some(id) = services.store.begin_object(new).await? else {
        return Ok(Reserved::Taken(format!("another job is writing the cache {key}")));
    };
    let row = services.store.object(id).await?.ok_or_else(|| Failed::missing("the cache is gone"))?;
    Ok(Reserved::Begun(Box::new(row)))
}

/// Makes a written cache whole; where the repository has too many, those go that nobody asked for for the longest time.
pub async fn seal(services: &Services, row: &ObjectRow) -> Result<(), Failed> {
    services.store.object_whole(row.id, clock::now() + services.limits.caches_kept).await?;
    services.evict(row.at.repo, Some(row.id)).await?;
    Ok(())
}

/// Finds the cache that fits: place after place, key after key, the whole key before one that begins so, the newest first.
pub async fn find(
    services: &Services,
    grant: &Grant,
    keys: &[&str],
    version: &str,
) -> Result<Option<ObjectRow>, Failed> {
    if keys.len() > KEYS_MAX {
        return Err(Failed::invalid(format!("at most {KEYS_MAX} keys can be asked for at once")));
    }
    for key in keys {
        check_key(key)?;
    }
    let repo = grant.attempt.repo;
    for scope in &grant.scopes {
        for key in keys {
            let whole = ObjectName { scope: scope.to_string(), ..place(grant, key, version)? };
            let exact = services.store.object_named(&whole).await?.filter(|row| row.state == ObjectState::Whole);
            let found = match exact {
                Some(row) => Some(row),
                None => services.store.newest_cache(repo, scope, version, key).await?,
            };
            if let Some(row) = found {
                let now = clock::now();
                services.store.object_used(row.id, now, now + services.limits.caches_kept).await?;
                return Ok(Some(row));
            }
        }
    }
    Ok(None)
}

/// Returns where a cache of this job stands.
fn place(grant: &Grant, key: &str, version: &str) -> Result<ObjectName, Failed> {
    check_key(key)?;
    if version.is_empty() || version.len() > VERSION_LENGTH_MAX {
        return Err(Failed::invalid(format!("a cache's version has 1 to {VERSION_LENGTH_MAX} bytes")));
    }
    Ok(ObjectName {
        kind: ObjectKind::Cache,
        repo: grant.attempt.repo,
        run: 0,
        run_attempt: 0,
        scope: grant.own_scope().to_owned(),
        name: key.to_owned(),
        version: version.to_owned(),
    })
}

fn check_key(key: &str) -> Result<(), Failed> {
    if key.is_empty() || key.len() > KEY_LENGTH_MAX || key.contains([',', '\r', '\n']) {
        return Err(Failed::invalid(format!(
            "a cache's key has 1 to {KEY_LENGTH_MAX} bytes, and neither commas nor line breaks"
        )));
    }
    Ok(())
}

/// Returns the name of the job that writes.
pub fn owner(services: &Services, grant: &Grant) -> String {
    grant.backend_ids(&services.keys).1
}

/// Returns when something was made, as clients read it.
pub fn written(at: Timestamp) -> String {
    clock::written(at)
}
