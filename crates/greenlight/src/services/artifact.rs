//! Artifacts: what a run hands on to its later jobs and to people. A whole run sees them, whichever job made them.

use greenlight_store::{NewObject, ObjectKind, ObjectName, ObjectRow, ObjectState};
use serde_json::{Value, json};

use super::signed::{self, Permit};
use super::twirp::{Asked, Failed, check_names};
use super::{Grant, Services, bytes};
use crate::server::clock;

/// How long a name may be.
const NAME_LENGTH_MAX: usize = 255;
/// What no name may have in it.
const FORBIDDEN: &[char] = &['"', ':', '<', '>', '|', '*', '?', '\\', '/', '\r', '\n'];
/// What an artifact is where nobody says so.
const ZIP: &str = "application/zip";
/// How long a media type may be.
const MEDIA_TYPE_LENGTH_MAX: usize = 200;
/// How many artifacts a run has.
const ARTIFACTS_MAX: usize = 500;

/// Begins an artifact, and returns where its bytes go.
pub async fn create(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    let owner = check_names(services, grant, asked)?;
    let name = name(asked)?;
    let at = place(grant, name);
    let whole = services.store.artifacts(at.repo, at.run).await?;
    if whole.len() >= ARTIFACTS_MAX {
        return Err(Failed::full(format!("a run has at most {ARTIFACTS_MAX} artifacts")));
    }
    match services.store.object_named(&at).await? {
        Some(row) if row.state == ObjectState::Whole => {
            return Err(Failed::exists(format!("the run has an artifact {name} already; set overwrite to replace it")));
        }
        // What was begun and never ended is nobody's.
        Some(row) => services.remove(&row).await?,
        None => {}
    }
    services.check_room(&at).await?;
    let now = clock::now();
    let longest = now + services.limits.artifacts_kept;
    let wanted = asked.maybe_text("expires_at").and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let wanted = wanted.map(|at| greenlight_core::time::Timestamp::from_millis(at.as_millisecond()));
    let media_type = asked.maybe_text("mime_type").filter(|kind| is_media_type(kind)).unwrap_or(ZIP);
    let new = NewObject {
        at: at.clone(),
        owner,
        media_type: media_type.to_owned(),
        created_at: now,
        expires_at: wanted.filter(|at| *at > now).map_or(longest, |at| at.min(longest)),
    };
    let taken = || Failed::exists(format!("another job makes an artifact {name} at this moment"));
    let id = services.store.begin_object(new).await?.ok_or_else(taken)?;
    let row = services.store.object(id).await?.ok_or_else(|| Failed::missing("the artifact is gone"))?;
    let url = signed::address(&services.keys, &grant.url, Permit::Write, &row, now);
    Ok(json!({ "ok": true, "signed_upload_url": url }))
}

/// Makes an artifact whole.
pub async fn finalize(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    let owner = check_names(services, grant, asked)?;
    let name = name(asked)?;
    let missing = || Failed::missing(format!("this job has begun no artifact {name}"));
    let row = services.store.object_named(&place(grant, name)).await?.filter(|row| row.owner == owner);
    let row = row.ok_or_else(missing)?;
    if row.state == ObjectState::Open {
        return Err(Failed::invalid(format!("the bytes of the artifact {name} have not come yet")));
    }
    bytes::check(&row, asked.length("size")?, asked.maybe_text("hash"))?;
    services.store.object_whole(row.id, row.expires_at).await?;
    Ok(json!({ "ok": true, "artifact_id": row.id.to_string() }))
}

/// Lists the artifacts of the run.
pub async fn list(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    check_names(services, grant, asked)?;
    let rows = services.store.artifacts(grant.attempt.repo, grant.attempt.run.0).await?;
    let (name, id) = (asked.maybe_text("name_filter"), asked.maybe_number("id_filter"));
    let rows =
        rows.iter().filter(|row| name.is_none_or(|name| row.at.name == name) && id.is_none_or(|id| row.id == id));
    let artifacts: Vec<Value> = rows.map(|row| shown(asked, row)).collect();
    Ok(json!({ "artifacts": artifacts }))
}

fn shown(asked: &Asked, row: &ObjectRow) -> Value {
    json!({
        "workflow_run_backend_id": asked.text("workflow_run_backend_id"),
        "workflow_job_run_backend_id": asked.text("workflow_job_run_backend_id"),
        "database_id": row.id.to_string(),
        "name": row.at.name,
        "size": row.size.to_string(),
        "created_at": clock::written(row.created_at),
        "digest": format!("sha256:{}", row.digest),
    })
}

/// Returns where an artifact can be fetched.
pub async fn address(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    check_names(services, grant, asked)?;
    let row = newest(services, grant, name(asked)?).await?;
    let now = clock::now();
    services.store.object_used(row.id, now, row.expires_at).await?;
    Ok(json!({ "signed_url": signed::address(&services.keys, &grant.url, Permit::Read, &row, now) }))
}

/// Takes an artifact away.
pub async fn delete(services: &Services, grant: &Grant, asked: &Asked) -> Result<Value, Failed> {
    check_names(services, grant, asked)?;
    let row = newest(services, grant, name(asked)?).await?;
    services.remove(&row).await?;
    Ok(json!({ "ok": true, "artifact_id": row.id.to_string() }))
}

/// Returns the newest artifact of this name, whichever attempt of the run made it.
async fn newest(services: &Services, grant: &Grant, name: &str) -> Result<ObjectRow, Failed> {
    let rows = services.store.artifacts(grant.attempt.repo, grant.attempt.run.0).await?;
    let found = rows.into_iter().find(|row| row.at.name == name);
    found.ok_or_else(|| Failed::missing(format!("the run has no artifact {name}")))
}

fn place(grant: &Grant, name: &str) -> ObjectName {
    ObjectName {
        kind: ObjectKind::Artifact,
        repo: grant.attempt.repo,
        run: grant.attempt.run.0,
        run_attempt: grant.attempt.run_attempt,
        scope: String::new(),
        name: name.to_owned(),
        version: String::new(),
    }
}

fn name(asked: &Asked) -> Result<&str, Failed> {
    let name = asked.text("name");
    if name.is_empty() || name.len() > NAME_LENGTH_MAX || name.contains(FORBIDDEN) {
        return Err(Failed::invalid(format!(
            "an artifact's name has 1 to {NAME_LENGTH_MAX} bytes and none of \" : < > | * ? \\ / nor line breaks"
        )));
    }
    Ok(name)
}

fn is_media_type(kind: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    // Parameters such as a charset are left to the first part.
    kind.len() <= MEDIA_TYPE_LENGTH_MAX
        && kind.split_once('/').is_some_and(|(kind, rest)| is_word(kind) && is_word(rest))
}
