//! Artifacts and caches: a row says what one is called and who may see it, its bytes are blobs.
//!
//! One is *open* while it is being sent, *written* when its bytes are complete, and *whole* when its sender said so; only then does
//! anybody else see it, and nothing of it changes any more (S6). The rules about names and scopes are the caller's; this module
//! only sees to it that one name exists once.

use greenlight_core::id::RepoId;
use greenlight_core::port::StoreError;
use greenlight_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::database::Database;
use crate::dialect::store_error;
use crate::writer::{Write, Written};

/// The most rows that one question returns.
pub const OBJECTS_MAX: u32 = 1000;

/// What something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// What a run hands on.
    Artifact,
    /// What makes later runs faster.
    Cache,
}

impl ObjectKind {
    /// Returns the word that the rows use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Cache => "cache",
        }
    }
}

/// How far one has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectState {
    /// It is being sent.
    Open,
    /// Its bytes are complete.
    Written,
    /// Its sender said that it is complete; nothing changes any more.
    Whole,
}

/// Where something stands: what makes it the only one of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// What it is.
    pub kind: ObjectKind,
    /// Whose.
    pub repo: RepoId,
    /// The run; 0 for a cache.
    pub run: u64,
    /// The run's attempt; 0 for a cache.
    pub run_attempt: u32,
    /// The ref that may read a cache; empty for an artifact.
    pub scope: String,
    /// An artifact's name, a cache's key.
    pub name: String,
    /// A cache's version; empty for an artifact.
    pub version: String,
}

/// An artifact or a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// Its number. A later one is larger.
    pub id: i64,
    /// Where it stands.
    pub at: ObjectName,
    /// The job that writes it.
    pub owner: String,
    /// What its bytes are.
    pub media_type: String,
    /// How far it has come.
    pub state: ObjectState,
    /// The blobs in order, with their lengths.
    pub parts: Vec<(String, u64)>,
    /// How many bytes.
    pub size: u64,
    /// SHA-256 of the bytes, hexadecimal; empty while it is open.
    pub digest: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was last asked for.
    pub used_at: Timestamp,
    /// When it may go.
    pub expires_at: Timestamp,
}

/// Something that is about to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewObject {
    /// Where it is to stand.
    pub at: ObjectName,
    /// The job that writes it.
    pub owner: String,
    /// What its bytes are.
    pub media_type: String,
    /// Now.
    pub created_at: Timestamp,
    /// When it may go.
    pub expires_at: Timestamp,
}

/// A change of one row.
pub enum ObjectWrite {
    /// Begins one.
    Begin(NewObject),
    /// Its bytes are complete.
    Written { id: i64, media_type: Option<String>, parts: String, size: u64, digest: String },
    /// Its sender said that it is complete.
    Whole { id: i64, expires_at: Timestamp },
    /// Somebody asked for it.
    Used { id: i64, at: Timestamp, expires_at: Timestamp },
    /// It goes.
    Delete { id: i64 },
}

const COLUMNS: &str = "id, kind, repo, run, run_attempt, scope, name, version, owner, media_type, state, parts, size, digest, \
                       created_at, used_at, expires_at";

impl Database {
    /// Begins an artifact or a cache. Nothing where there is one of this name.
    pub async fn begin_object(&self, new: NewObject) -> Result<Option<i64>, StoreError> {
        let id = self.change_object(ObjectWrite::Begin(new)).await?;
        Ok((id > 0).then_some(id))
    }

    /// Notes that the bytes of an open one are complete. False where it is not open (any more).
    pub async fn object_written(
        &self,
        id: i64,
        media_type: Option<String>,
        parts: &[(String, u64)],
        digest: &str,
    ) -> Result<bool, StoreError> {
        let size = parts.iter().map(|(_, length)| length).sum();
        let parts = serde_json::to_string(parts).expect("texts and numbers are JSON");
        let write = ObjectWrite::Written { id, media_type, parts, size, digest: digest.to_owned() };
        self.change_object(write).await.map(|rows| rows > 0)
    }

    /// Makes a written one whole. False where it is not written, or whole already.
    pub async fn object_whole(&self, id: i64, expires_at: Timestamp) -> Result<bool, StoreError> {
        self.change_object(ObjectWrite::Whole { id, expires_at }).await.map(|rows| rows > 0)
    }

    /// Notes that somebody asked for one.
    pub async fn object_used(&self, id: i64, at: Timestamp, expires_at: Timestamp) -> Result<(), StoreError> {
        self.change_object(ObjectWrite::Used { id, at, expires_at }).await.map(drop)
    }

    /// Takes a row away; its blobs are the caller's. False where it was not there.
    pub async fn delete_object(&self, id: i64) -> Result<bool, StoreError> {
        self.change_object(ObjectWrite::Delete { id }).await.map(|rows| rows > 0)
    }

    /// Returns the one of this number.
    pub async fn object(&self, id: i64) -> Result<Option<ObjectRow>, StoreError> {
        self.one("WHERE id = ?", |query| query.bind(id)).await
    }

    /// Returns the one of this name.
    pub async fn object_named(&self, at: &ObjectName) -> Result<Option<ObjectRow>, StoreError> {
        let rest =
            "WHERE kind = ? AND repo = ? AND run = ? AND scope = ? AND version = ? AND name = ? AND run_attempt = ?";
        self.one(rest, |query| {
            query
                .bind(at.kind.as_str())
                .bind(at.repo.0.cast_signed())
                .bind(at.run.cast_signed())
                .bind(at.scope.clone())
                .bind(at.version.clone())
                .bind(at.name.clone())
                .bind(at.run_attempt)
        })
        .await
    }

    /// Returns the whole artifacts of a run in all its attempts, the newest first.
    pub async fn artifacts(&self, repo: RepoId, run: u64) -> Result<Vec<ObjectRow>, StoreError> {
        let rest = "WHERE kind = 'artifact' AND repo = ? AND run = ? AND scope = '' AND state = 'whole' ORDER BY id DESC LIMIT ?";
        self.many(rest, |query| query.bind(repo.0.cast_signed()).bind(run.cast_signed()).bind(OBJECTS_MAX)).await
    }

    /// Returns the newest whole cache of a scope and version whose key begins so.
    pub async fn newest_cache(
        &self,
        repo: RepoId,
        scope: &str,
        version: &str,
        prefix: &str,
    ) -> Result<Option<ObjectRow>, StoreError> {
        let rest = "WHERE kind = 'cache' AND repo = ? AND run = 0 AND scope = ? AND version = ? AND name >= ?
                    AND substr(name, 1, length(?)) = ? AND state = 'whole' ORDER BY created_at DESC, id DESC LIMIT 1";
        self.one(rest, |query| {
            query
                .bind(repo.0.cast_signed())
                .bind(scope.to_owned())
                .bind(version.to_owned())
                .bind(prefix.to_owned())
                .bind(prefix.to_owned())
                .bind(prefix.to_owned())
        })
        .await
    }

    /// Returns those that may go at this time.
    pub async fn expired_objects(&self, now: Timestamp) -> Result<Vec<ObjectRow>, StoreError> {
        let rest = "WHERE expires_at <= ? ORDER BY expires_at LIMIT ?";
        self.many(rest, |query| query.bind(now.as_millis()).bind(OBJECTS_MAX)).await
    }

    /// Returns those that were begun before this and are not whole.
    pub async fn unfinished_objects(&self, before: Timestamp) -> Result<Vec<ObjectRow>, StoreError> {
        let rest = "WHERE state <> 'whole' AND created_at <= ? ORDER BY created_at LIMIT ?";
        self.many(rest, |query| query.bind(before.as_millis()).bind(OBJECTS_MAX)).await
    }

    /// Returns how many bytes each repository has of one kind.
    pub async fn object_bytes(&self, kind: ObjectKind) -> Result<Vec<(RepoId, u64)>, StoreError> {
        let rows = sqlx::query("SELECT repo, sum(size) AS bytes FROM object WHERE kind = ? GROUP BY repo")
            .bind(kind.as_str())
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(|error| store_error("counting what jobs left", &error))?;
        Ok(rows
            .iter()
            .map(|row| (RepoId(row.get::<i64, _>("repo").cast_unsigned()), row.get::<i64, _>("bytes").cast_unsigned()))
            .collect())
    }

    /// Returns those of a repository that nobody has asked for for the longest time.
    pub async fn least_used(&self, kind: ObjectKind, repo: RepoId) -> Result<Vec<ObjectRow>, StoreError> {
        let rest = "WHERE kind = ? AND repo = ? AND state = 'whole' ORDER BY used_at LIMIT 100";
        self.many(rest, |query| query.bind(kind.as_str()).bind(repo.0.cast_signed())).await
    }

    async fn change_object(&self, write: ObjectWrite) -> Result<i64, StoreError> {
        match self.write(Write::Object(write)).await? {
            Written::Number(number) => Ok(number),
            Written::Yes | Written::Conflict | Written::Swept(_) => Ok(0),
        }
    }

    async fn one(
        &self,
        rest: &str,
        bind: impl FnOnce(Query<'_>) -> Query<'_>,
    ) -> Result<Option<ObjectRow>, StoreError> {
        self.many(rest, bind).await.map(|rows| rows.into_iter().next())
    }

    async fn many(&self, rest: &str, bind: impl FnOnce(Query<'_>) -> Query<'_>) -> Result<Vec<ObjectRow>, StoreError> {
        // Only our own constants are in it.
        let text = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM object {rest}"));
        let rows = bind(sqlx::query(text))
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(|error| store_error("looking for what jobs left", &error))?;
        rows.iter().map(read).collect()
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// Changes one row within the open transaction. Returns the new row's number, or how many rows changed.
pub async fn write(connection: &mut SqliteConnection, write: &ObjectWrite) -> sqlx::Result<i64> {
    let changed = match write {
        ObjectWrite::Begin(new) => return begin(connection, new).await,
        ObjectWrite::Written { id, media_type, parts, size, digest } => sqlx::query(
            "UPDATE object SET state = 'written', media_type = coalesce(?, media_type), parts = ?, size = ?, digest = ?
                 WHERE id = ? AND state = 'open'",
        )
        .bind(media_type.clone())
        .bind(parts.clone())
        .bind(size.cast_signed())
        .bind(digest.clone())
        .bind(*id)
        .execute(connection)
        .await?,
        ObjectWrite::Whole { id, expires_at } => {
            sqlx::query("UPDATE object SET state = 'whole', expires_at = ? WHERE id = ? AND state = 'written'")
                .bind(expires_at.as_millis())
                .bind(*id)
                .execute(connection)
                .await?
        }
        ObjectWrite::Used { id, at, expires_at } => {
            sqlx::query("UPDATE object SET used_at = ?, expires_at = ? WHERE id = ?")
                .bind(at.as_millis())
                .bind(expires_at.as_millis())
                .bind(*id)
                .execute(connection)
                .await?
        }
        ObjectWrite::Delete { id } => {
            sqlx::query("DELETE FROM object WHERE id = ?").bind(*id).execute(connection).await?
        }
    };
    Ok(changed.rows_affected().cast_signed())
}

async fn begin(connection: &mut SqliteConnection, new: &NewObject) -> sqlx::Result<i64> {
    let at = &new.at;
    let id: Option<i64> = sqlx::query_scalar(
        "INSERT INTO object (kind, repo, run, run_attempt, scope, name, version, owner, media_type, state, parts, size, digest,
                             created_at, used_at, expires_at)
         VALUES (?,?,?,?,?,?,?,?,?,'open','[]',0,'',?,?,?) ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(at.kind.as_str())
    .bind(at.repo.0.cast_signed())
    .bind(at.run.cast_signed())
    .bind(at.run_attempt)
    .bind(at.scope.clone())
    .bind(at.name.clone())
    .bind(at.version.clone())
    .bind(new.owner.clone())
    .bind(new.media_type.clone())
    .bind(new.created_at.as_millis())
    .bind(new.created_at.as_millis())
    .bind(new.expires_at.as_millis())
    .fetch_optional(connection)
    .await?;
    Ok(id.unwrap_or(0))
}

fn read(row: &SqliteRow) -> Result<ObjectRow, StoreError> {
    let id: i64 = row.get("id");
    let corrupt = |what: &str| StoreError::Corrupt(format!("object {id}: {what}"));
    let kind = match row.get("kind") {
        "artifact" => ObjectKind::Artifact,
        "cache" => ObjectKind::Cache,
        _ => return Err(corrupt("its kind is unknown")),
    };
    let state = match row.get("state") {
        "open" => ObjectState::Open,
        "written" => ObjectState::Written,
        "whole" => ObjectState::Whole,
        _ => return Err(corrupt("its state is unknown")),
    };
    let parts: Vec<(String, u64)> =
        serde_json::from_str(row.get("parts")).map_err(|_| corrupt("its parts cannot be read"))?;
    let time = |name: &str| Timestamp::from_millis(row.get(name));
    Ok(ObjectRow {
        id,
        at: ObjectName {
            kind,
            repo: RepoId(row.get::<i64, _>("repo").cast_unsigned()),
            run: row.get::<i64, _>("run").cast_unsigned(),
            run_attempt: row.get("run_attempt"),
            scope: row.get("scope"),
            name: row.get("name"),
            version: row.get("version"),
        },
        owner: row.get("owner"),
        media_type: row.get("media_type"),
        state,
        parts,
        size: row.get::<i64, _>("size").cast_unsigned(),
        digest: row.get("digest"),
        created_at: time("created_at"),
        used_at: time("used_at"),
        expires_at: time("expires_at"),
    })
}
