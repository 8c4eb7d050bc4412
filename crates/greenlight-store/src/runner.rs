//! Runners on other machines: their names, their labels, the digest of their key; and the tokens that make them (S10).

use std::sync::Arc;

use greenlight_core::port::StoreError;
use greenlight_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::database::Database;
use crate::dialect::store_error;
use crate::writer::{Write, Written};

/// A runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerRow {
    /// Its name.
    pub name: String,
    /// What jobs may ask of it, lower case.
    pub labels: Vec<Arc<str>>,
    /// When it registered.
    pub created_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
    /// Which version of the protocol it spoke then.
    pub protocol: u32,
}

/// A runner that registers.
pub struct NewRunner {
    /// Its name.
    pub name: String,
    /// SHA-256 of its key.
    pub digest: [u8; 32],
    /// SHA-256 of the token that it shows.
    pub token: [u8; 32],
    /// Now.
    pub at: Timestamp,
    /// Which version of the protocol it speaks.
    pub protocol: u32,
}

/// A change of runners or tokens.
pub enum RunnerWrite {
    /// A token is handed out.
    Token { digest: [u8; 32], labels: String, expires_at: Timestamp, now: Timestamp },
    /// A runner registers: its token is used up, and its labels become the runner's.
    Register(NewRunner),
    /// A runner was heard of.
    Seen { name: String, at: Timestamp, protocol: u32 },
    /// A runner goes.
    Remove(String),
}

impl Database {
    /// Keeps a token that makes one runner with these labels. Tokens that are too old go.
    pub async fn add_runner_token(
        &self,
        digest: [u8; 32],
        labels: &[Arc<str>],
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        let labels = serde_json::to_string(labels).expect("texts are JSON");
        self.change_runner(RunnerWrite::Token { digest, labels, expires_at, now }).await.map(drop)
    }

    /// Makes a runner of a token. Nothing where the token is not known, used up or too old.
    pub async fn register_runner(&self, new: NewRunner) -> Result<Option<RunnerRow>, StoreError> {
        let name = new.name.clone();
        match self.change_runner(RunnerWrite::Register(new)).await? {
            0 => Ok(None),
            _ => self.runner("WHERE name = ?", name).await,
        }
    }

    /// Returns the runner whose key has this digest.
    pub async fn runner_of_key(&self, digest: [u8; 32]) -> Result<Option<RunnerRow>, StoreError> {
        self.runner("WHERE digest = ?", digest.to_vec()).await
    }

    /// Returns all runners, by name.
    pub async fn runners(&self) -> Result<Vec<RunnerRow>, StoreError> {
        let rows = sqlx::query("SELECT name, labels, created_at, seen_at, protocol FROM runner ORDER BY name")
            .fetch_all(&mut *self.reader().await?)
            .await
            .map_err(|error| store_error("listing the runners", &error))?;
        rows.iter().map(read).collect()
    }

    /// Notes that a runner was heard of.
    pub async fn runner_seen(&self, name: &str, at: Timestamp, protocol: u32) -> Result<(), StoreError> {
        self.change_runner(RunnerWrite::Seen { name: name.to_owned(), at, protocol }).await.map(drop)
    }

    /// Takes a runner away: its key opens nothing any more. False where there is none of this name.
    pub async fn remove_runner(&self, name: &str) -> Result<bool, StoreError> {
        self.change_runner(RunnerWrite::Remove(name.to_owned())).await.map(|rows| rows > 0)
    }

    async fn runner<'q, T>(&self, rest: &str, value: T) -> Result<Option<RunnerRow>, StoreError>
    where
        T: 'q + Send + sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
    {
        // Only our own constants are in it.
        let text =
            sqlx::AssertSqlSafe(format!("SELECT name, labels, created_at, seen_at, protocol FROM runner {rest}"));
        let row = sqlx::query(text)
            .bind(value)
            .fetch_optional(&mut *self.reader().await?)
            .await
            .map_err(|error| store_error("looking for a runner", &error))?;
        row.as_ref().map(read).transpose()
    }

    async fn change_runner(&self, write: RunnerWrite) -> Result<i64, StoreError> {
        match self.write(Write::Runner(write)).await? {
            Written::Number(number) => Ok(number),
            Written::Yes | Written::Conflict | Written::Swept(_) => Ok(0),
        }
    }
}

/// Changes runners or tokens within the open transaction. Returns how many rows changed.
pub async fn write(connection: &mut SqliteConnection, write: &RunnerWrite) -> sqlx::Result<i64> {
    let changed = match write {
        RunnerWrite::Token { digest, labels, expires_at, now } => {
            sqlx::query("DELETE FROM runner_token WHERE expires_at <= ?")
                .bind(now.as_millis())
                .execute(&mut *connection)
                .await?;
            sqlx::query("INSERT INTO runner_token (digest, labels, expires_at) VALUES (?, ?, ?)")
                .bind(digest.to_vec())
                .bind(labels.clone())
                .bind(expires_at.as_millis())
                .execute(connection)
                .await?
        }
        RunnerWrite::Register(new) => return register(connection, new).await,
        RunnerWrite::Seen { name, at, protocol } => {
            sqlx::query("UPDATE runner SET seen_at = ?, protocol = ? WHERE name = ?")
                .bind(at.as_millis())
                .bind(*protocol)
                .bind(name.clone())
                .execute(connection)
                .await?
        }
        RunnerWrite::Remove(name) => {
            sqlx::query("DELETE FROM runner WHERE name = ?").bind(name.clone()).execute(connection).await?
        }
    };
    Ok(changed.rows_affected().cast_signed())
}

/// One writer writes, so that a token that two show at once makes one runner.
async fn register(connection: &mut SqliteConnection, new: &NewRunner) -> sqlx::Result<i64> {
    let labels: Option<String> =
        sqlx::query_scalar("DELETE FROM runner_token WHERE digest = ? AND expires_at > ? RETURNING labels")
            .bind(new.token.to_vec())
            .bind(new.at.as_millis())
            .fetch_optional(&mut *connection)
            .await?;
    let Some(labels) = labels else { return Ok(0) };
    let made = sqlx::query(
        "INSERT INTO runner (name, labels, digest, created_at, seen_at, protocol) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(new.name.clone())
    .bind(labels)
    .bind(new.digest.to_vec())
    .bind(new.at.as_millis())
    .bind(new.at.as_millis())
    .bind(new.protocol)
    .execute(connection)
    .await?;
    Ok(made.rows_affected().cast_signed())
}

fn read(row: &SqliteRow) -> Result<RunnerRow, StoreError> {
    let name: String = row.get("name");
    let labels = serde_json::from_str(row.get("labels"))
        .map_err(|_| StoreError::Corrupt(format!("runner {name}: its labels cannot be read")))?;
    Ok(RunnerRow {
        labels,
        created_at: Timestamp::from_millis(row.get("created_at")),
        seen_at: Timestamp::from_millis(row.get("seen_at")),
        protocol: row.get("protocol"),
        name,
    })
}
