//! Reading a repository's state: everything at one moment, decoded.

use std::sync::Arc;

use greenlight_core::entity::Entity;
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::RepoId;
use greenlight_core::port::{Loaded, StoreError};
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::dialect::store_error;
use crate::format::{Texts, decode};
use crate::packed::unpack_whole;

/// Returns a repository's state, or nothing where it was never stored.
pub async fn load(connection: &mut SqliteConnection, repo: RepoId) -> Result<Option<Loaded>, StoreError> {
    let failed = |error: sqlx::Error| store_error(&format!("loading repository {repo}"), &error);
    // One transaction, so that version, entities and texts are of one moment.
    let mut moment = connection.begin().await.map_err(failed)?;
    let version: Option<i64> = sqlx::query_scalar("SELECT version FROM repository WHERE repo = ?")
        .bind(repo.0.cast_signed())
        .fetch_optional(&mut *moment)
        .await
        .map_err(failed)?;
    let Some(version) = version else { return Ok(None) };
    let texts = load_texts(&mut moment, repo).await?;
    let entities = load_entities(&mut moment, repo, &texts).await?;
    moment.commit().await.map_err(failed)?;
    Ok(Some(Loaded { version: version.cast_unsigned(), entities }))
}

async fn load_texts(connection: &mut SqliteConnection, repo: RepoId) -> Result<Texts, StoreError> {
    let rows = sqlx::query(
        "SELECT id, digest, body FROM text
         WHERE id IN (SELECT r.text FROM entity e JOIN entity_text r ON r.entity = e.id WHERE e.repo = ?)",
    )
    .bind(repo.0.cast_signed())
    .fetch_all(connection)
    .await
    .map_err(|error| store_error(&format!("loading the texts of repository {repo}"), &error))?;
    rows.iter()
        .map(|row| {
            let id: i64 = row.get("id");
            let unreadable = |why: String| StoreError::Corrupt(format!("text {id}: {why}"));
            let digest = row
                .get::<&[u8], _>("digest")
                .try_into()
                .map_err(|_| unreadable("its digest is cut short".to_owned()))?;
            let body = unpack_whole(row.get("body")).map_err(|error| unreadable(error.to_string()))?;
            let text = String::from_utf8(body).map_err(|error| unreadable(error.to_string()))?;
            Ok((digest, Arc::from(text)))
        })
        .collect()
}

async fn load_entities(
    connection: &mut SqliteConnection,
    repo: RepoId,
    texts: &Texts,
) -> Result<Vec<Entity>, StoreError> {
    let rows = sqlx::query("SELECT kind, key, format, body FROM entity WHERE repo = ? ORDER BY id")
        .bind(repo.0.cast_signed())
        .fetch_all(connection)
        .await
        .map_err(|error| store_error(&format!("loading repository {repo}"), &error))?;
    rows.iter()
        .map(|row| {
            decode(row.get("kind"), row.get("key"), row.get("format"), row.get("body"), texts)
                .map_err(|error| StoreError::Corrupt(format!("repository {repo}: {error}")))
        })
        .collect()
}

/// Returns the repositories that were ever stored.
pub async fn repositories(connection: &mut SqliteConnection) -> Result<Vec<RepositoryRef>, StoreError> {
    let rows =
        sqlx::query("SELECT repo, full_name, default_branch FROM repository WHERE full_name IS NOT NULL ORDER BY repo")
            .fetch_all(connection)
            .await
            .map_err(|error| store_error("listing the repositories", &error))?;
    Ok(rows
        .iter()
        .map(|row| RepositoryRef {
            id: RepoId(row.get::<i64, _>(0).cast_unsigned()),
            full_name: row.get::<&str, _>(1).into(),
            default_branch: row.get::<&str, _>(2).into(),
        })
        .collect())
}
