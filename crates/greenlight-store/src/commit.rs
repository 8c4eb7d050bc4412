//! One step of one repository, as rows: made in its caller's task, written by the writer, all of it or nothing.

use std::collections::HashSet;
use std::sync::Arc;

use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::RepoId;
use greenlight_core::port::{Audit, Commit};
use greenlight_core::time::Timestamp;
use sqlx::SqliteConnection;

use crate::delivery::{Settled, Settler};
use crate::dialect::{ROWS_MAX, RowsStatement};
use crate::format::{FORMAT, encode, kind_and_key};
use crate::packed::{Digest, pack};
use crate::projection::{Projected, Projector};

/// How many texts the writer remembers to have stored.
const TEXTS_KNOWN_MAX: usize = 8192;

/// A step as rows.
pub struct CommitRows {
    repo: RepoId,
    version: i64,
    repository: Option<RepositoryRef>,
    written: Vec<EntityRow>,
    gone: Vec<(&'static str, String)>,
    projected: Vec<Projected>,
    settled: Vec<Settled>,
    audit: Vec<Audit>,
    at: Timestamp,
}

struct EntityRow {
    kind: &'static str,
    key: Arc<str>,
    body: Arc<[u8]>,
    texts: Vec<(Digest, Arc<str>)>,
}

impl EntityRow {
    /// May entities of this kind refer to long texts? The others need no look at what they referred to before.
    fn may_refer(&self) -> bool {
        !matches!(self.kind, "person" | "branch" | "verdict" | "proof" | "environment")
    }
}

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Written.
    Yes,
    /// The version was another one: nothing is written.
    Conflict,
}

impl CommitRows {
    /// Turns a step into rows.
    pub fn of(commit: &Commit) -> Self {
        let mut rows = Self {
            repo: commit.repo,
            version: commit.version.cast_signed(),
            repository: None,
            written: Vec::with_capacity(commit.changes.len()),
            gone: Vec::new(),
            projected: Vec::new(),
            settled: commit
                .deliveries
                .iter()
                .map(|(place, disposition)| {
                    Settled::of(*place, disposition, Some(commit.repo.0.cast_signed()), commit.at)
                })
                .collect(),
            audit: commit.audit.clone(),
            at: commit.at,
        };
        for (key, entity) in &commit.changes {
            rows.change(key, entity.as_ref());
        }
        rows
    }

    fn change(&mut self, key: &EntityKey, entity: Option<&Entity>) {
        let (kind, row_key) = kind_and_key(key);
        self.projected.extend(Projected::of(key, entity));
        let Some(entity) = entity else {
            self.gone.push((kind, row_key));
            return;
        };
        if let Entity::Meta(meta) = entity {
            self.repository = Some(meta.repository.clone());
        }
        let encoded = encode(entity);
        self.written.push(EntityRow { kind, key: row_key.into(), body: encoded.body.into(), texts: encoded.texts });
    }

    /// Returns how many bytes of state it writes.
    pub fn weight(&self) -> usize {
        self.written.iter().map(|row| row.body.len() + 256).sum::<usize>() + 1024
    }
}

/// The statements that write steps.
pub struct Committer {
    entities: RowsStatement,
    audit: RowsStatement,
    projector: Projector,
    settler: Settler,
    /// Texts that are stored for certain, as long as none is swept away.
    known: HashSet<Digest>,
    /// Texts that the open transaction stored: known only once it is committed.
    fresh: Vec<Digest>,
}

impl Committer {
    /// Makes them.
    pub fn new() -> Self {
        Self {
            entities: RowsStatement::new(
                "INSERT INTO entity (repo, kind, key, format, body)",
                "(?,?,?,?,?)",
                "ON CONFLICT (repo, kind, key) DO UPDATE SET format = excluded.format, body = excluded.body",
            ),
            audit: RowsStatement::new("INSERT INTO audit (repo, at, about, text)", "(?,?,?,?)", ""),
            projector: Projector::new(),
            settler: Settler::new(),
            known: HashSet::new(),
            fresh: Vec::new(),
        }
    }

    /// Writes what became of these deliveries.
    pub async fn settle(&mut self, connection: &mut SqliteConnection, settled: &[&Settled]) -> sqlx::Result<()> {
        self.settler.write(connection, settled).await
    }

    /// The open transaction is committed: what it stored is stored.
    pub fn keep(&mut self) {
        if self.known.len() + self.fresh.len() > TEXTS_KNOWN_MAX {
            self.known.clear();
        }
        self.known.extend(self.fresh.drain(..));
    }

    /// The open transaction is rolled back, or texts were swept away: what is stored is to be looked up again.
    pub fn forget(&mut self) {
        self.known.clear();
        self.fresh.clear();
    }

    /// Writes a step within the open transaction. After a conflict nothing was written, so that others may go on in it.
    pub async fn write(&mut self, connection: &mut SqliteConnection, rows: &CommitRows) -> sqlx::Result<Committed> {
        if !advance(connection, rows).await? {
            return Ok(Committed::Conflict);
        }
        self.write_entities(connection, rows).await?;
        for (kind, key) in &rows.gone {
            sqlx::query("DELETE FROM entity WHERE repo = ? AND kind = ? AND key = ?")
                .bind(rows.repo.0.cast_signed())
                .bind(*kind)
                .bind(key.clone())
                .execute(&mut *connection)
                .await?;
        }
        for row in rows.written.iter().filter(|row| row.may_refer()) {
            self.refer(connection, rows.repo, row).await?;
        }
        for projected in &rows.projected {
            self.projector.write(connection, rows.repo, projected).await?;
        }
        self.settle(connection, &rows.settled.iter().collect::<Vec<_>>()).await?;
        self.write_audit(connection, rows).await?;
        Ok(Committed::Yes)
    }

    async fn write_entities(&mut self, connection: &mut SqliteConnection, rows: &CommitRows) -> sqlx::Result<()> {
        for group in rows.written.chunks(ROWS_MAX) {
            let mut query = sqlx::query(self.entities.of(group.len()));
            for row in group {
                query = query
                    .bind(rows.repo.0.cast_signed())
                    .bind(row.kind)
                    .bind(row.key.clone())
                    .bind(FORMAT)
                    .bind(row.body.clone());
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }

    /// Stores the texts that a row refers to, and says that it refers to these and no others.
    async fn refer(&mut self, connection: &mut SqliteConnection, repo: RepoId, row: &EntityRow) -> sqlx::Result<()> {
        for (digest, text) in &row.texts {
            self.store_text(connection, *digest, text).await?;
        }
        let entity: i64 = sqlx::query_scalar("SELECT id FROM entity WHERE repo = ? AND kind = ? AND key = ?")
            .bind(repo.0.cast_signed())
            .bind(row.kind)
            .bind(row.key.clone())
            .fetch_one(&mut *connection)
            .await?;
        let before: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT t.id, t.digest FROM entity_text r JOIN text t ON t.id = r.text WHERE r.entity = ?")
                .bind(entity)
                .fetch_all(&mut *connection)
                .await?;
        for (text, digest) in &before {
            if !row.texts.iter().any(|(wanted, _)| wanted[..] == digest[..]) {
                sqlx::query("DELETE FROM entity_text WHERE entity = ? AND text = ?")
                    .bind(entity)
                    .bind(*text)
                    .execute(&mut *connection)
                    .await?;
            }
        }
        for (digest, _) in &row.texts {
            if !before.iter().any(|(_, there)| there[..] == digest[..]) {
                sqlx::query("INSERT INTO entity_text (entity, text) SELECT ?, id FROM text WHERE digest = ?")
                    .bind(entity)
                    .bind(digest.to_vec())
                    .execute(&mut *connection)
                    .await?;
            }
        }
        Ok(())
    }

    async fn store_text(&mut self, connection: &mut SqliteConnection, digest: Digest, text: &str) -> sqlx::Result<()> {
        if self.known.contains(&digest) || self.fresh.contains(&digest) {
            return Ok(());
        }
        let there: Option<i64> = sqlx::query_scalar("SELECT id FROM text WHERE digest = ?")
            .bind(digest.to_vec())
            .fetch_optional(&mut *connection)
            .await?;
        if there.is_none() {
            sqlx::query("INSERT INTO text (digest, body) VALUES (?, ?)")
                .bind(digest.to_vec())
                .bind(pack(text.as_bytes()).map_err(sqlx::Error::Io)?)
                .execute(connection)
                .await?;
        }
        self.fresh.push(digest);
        Ok(())
    }

    async fn write_audit(&mut self, connection: &mut SqliteConnection, rows: &CommitRows) -> sqlx::Result<()> {
        for lines in rows.audit.chunks(ROWS_MAX) {
            let mut query = sqlx::query(self.audit.of(lines.len()));
            for line in lines {
                query = query
                    .bind(rows.repo.0.cast_signed())
                    .bind(rows.at.as_millis())
                    .bind(line.about.clone())
                    .bind(line.text.clone());
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

/// Moves the repository's version on, if it is still the one that the step began with.
async fn advance(connection: &mut SqliteConnection, rows: &CommitRows) -> sqlx::Result<bool> {
    let repository = rows.repository.as_ref();
    let name = repository.map(|repository| repository.full_name.clone());
    let branch = repository.map(|repository| repository.default_branch.clone());
    let query = if rows.version == 0 {
        sqlx::query(
            "INSERT INTO repository (version, repo, full_name, default_branch) VALUES (1 + ?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )
    } else {
        sqlx::query(
            "UPDATE repository SET version = version + 1, full_name = coalesce(?3, full_name),
                 default_branch = coalesce(?4, default_branch)
             WHERE version = ?1 AND repo = ?2",
        )
    };
    let query = query.bind(rows.version).bind(rows.repo.0.cast_signed()).bind(name).bind(branch);
    Ok(query.execute(connection).await?.rows_affected() == 1)
}
