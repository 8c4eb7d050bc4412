//! Deliveries: written first, read later.
//!
//! The body is compressed in its caller's task; all deliveries that wait go into one statement that commits by itself, which
//! measures at nine tenths of what the bare database does. The writer gives each its place in the order of arrival, so
//! that it sees afterwards which ones were there before: those are looked up one by one, which is rare.

use std::sync::Arc;

use greenlight_core::port::{Disposition, NewDelivery, StoreError, Stored, Waiting};
use greenlight_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use crate::dialect::{RowsStatement, rows_at_once};
use crate::packed::{UNPACKED_MAX, pack, unpack, unpack_whole};

/// Bodies larger than this are compressed on a thread of their own, so that small ones need not wait.
const INLINE_PACK_MAX: usize = 1 << 20;

/// The most that [`waiting`] unpacks at once; one delivery is always returned.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// A delivery as it goes to disk.
pub struct PackedDelivery {
    form: bool,
    received_at: i64,
    size: i64,
    id: Arc<str>,
    event: Arc<str>,
    hook: Option<Arc<str>>,
    digest: Arc<[u8]>,
    body: Arc<[u8]>,
}

impl PackedDelivery {
    /// Compresses a delivery.
    pub async fn of(delivery: &NewDelivery) -> Result<Self, StoreError> {
        if delivery.body.len() > UNPACKED_MAX {
            return Err(StoreError::Unavailable(format!(
                "a delivery of {} bytes is too large to be stored",
                delivery.body.len()
            )));
        }
        let body = if delivery.body.len() <= INLINE_PACK_MAX {
            pack(&delivery.body)
        } else {
            let body = delivery.body.clone();
            tokio::task::spawn_blocking(move || pack(&body)).await.expect("compressing does not panic")
        };
        let body =
            body.map_err(|error| StoreError::Unavailable(format!("a delivery cannot be compressed: {error}")))?;
        Ok(Self {
            form: delivery.form,
            received_at: delivery.received_at.as_millis(),
            size: i64::try_from(delivery.body.len()).expect("a body is smaller than 2^63 bytes"),
            id: delivery.id.as_str().into(),
            event: delivery.event.clone(),
            hook: delivery.hook.clone(),
            digest: delivery.digest.as_slice().into(),
            body: body.into(),
        })
    }

    /// Returns how much memory it takes while it waits.
    pub fn weight(&self) -> usize {
        self.body.len() + 256
    }
}

/// The statements by which deliveries are written.
pub struct Intake {
    insert: RowsStatement,
    place: i64,
}

impl Intake {
    /// Continues after the last delivery that is stored.
    pub async fn open(connection: &mut SqliteConnection) -> sqlx::Result<Self> {
        let place = sqlx::query_scalar("SELECT coalesce(max(place), 0) FROM delivery").fetch_one(connection).await?;
        Ok(Self {
            insert: RowsStatement::new(
                "INSERT INTO delivery (place, state, form, received_at, size, id, event, hook, digest, body)",
                "(?,0,?,?,?,?,?,?,?,?)",
                "ON CONFLICT (id) DO NOTHING",
            ),
            place,
        })
    }

    /// Writes these deliveries in one commit, and returns what became of each.
    pub async fn write(
        &mut self,
        connection: &mut SqliteConnection,
        group: &[PackedDelivery],
    ) -> sqlx::Result<Vec<Stored>> {
        let first = self.place + 1;
        let mut insert = sqlx::query(self.insert.of(group.len()));
        for (place, delivery) in (first..).zip(group) {
            insert = insert
                .bind(place)
                .bind(delivery.form)
                .bind(delivery.received_at)
                .bind(delivery.size)
                .bind(delivery.id.clone())
                .bind(delivery.event.clone())
                .bind(delivery.hook.clone())
                .bind(delivery.digest.clone())
                .bind(delivery.body.clone());
        }
        let written = insert.execute(&mut *connection).await?.rows_affected();
        self.place += i64::try_from(group.len()).expect("a group is small");
        if written == group.len() as u64 {
            return Ok(vec![Stored::New; group.len()]);
        }
        let mut stored = Vec::with_capacity(group.len());
        for (place, delivery) in (first..).zip(group) {
            stored.push(judge(connection, place, delivery).await?);
        }
        Ok(stored)
    }
}

/// Says what became of the delivery that was to be written at this place.
async fn judge(connection: &mut SqliteConnection, place: i64, delivery: &PackedDelivery) -> sqlx::Result<Stored> {
    let there = sqlx::query("SELECT place, size, event, digest, body FROM delivery WHERE id = ?")
        .bind(delivery.id.clone())
        .fetch_one(&mut *connection)
        .await?;
    if there.get::<i64, _>("place") == place {
        return Ok(Stored::New);
    }
    if is_same(&there, delivery) {
        return Ok(Stored::Repeat);
    }
    sqlx::query(
        "INSERT INTO quarantine (form, received_at, size, id, event, hook, digest, body) VALUES (?,?,?,?,?,?,?,?)
         ON CONFLICT (id, digest) DO NOTHING",
    )
    .bind(delivery.form)
    .bind(delivery.received_at)
    .bind(delivery.size)
    .bind(delivery.id.clone())
    .bind(delivery.event.clone())
    .bind(delivery.hook.clone())
    .bind(delivery.digest.clone())
    .bind(delivery.body.clone())
    .execute(connection)
    .await?;
    Ok(Stored::Quarantined)
}

/// Is this the delivery that stands in the row? Under another secret the same one has another digest.
fn is_same(row: &SqliteRow, delivery: &PackedDelivery) -> bool {
    if row.get::<&[u8], _>("digest") == &*delivery.digest {
        return true;
    }
    let body: &[u8] = row.get("body");
    row.get::<i64, _>("size") == delivery.size
        && row.get::<&str, _>("event") == &*delivery.event
        && (body == &*delivery.body || is_same_unpacked(body, &delivery.body))
}

/// Another version of the compressor may have packed the same body differently.
fn is_same_unpacked(one: &[u8], other: &[u8]) -> bool {
    unpack_whole(one).ok().is_some_and(|one| unpack_whole(other).is_ok_and(|other| one == other))
}

/// What a delivery's disposition looks like in its row.
pub struct Settled {
    place: i64,
    state: i64,
    reason: Option<Arc<str>>,
    repo: Option<i64>,
    at: i64,
}

impl Settled {
    /// Turns a disposition into its row.
    pub fn of(place: u64, disposition: &Disposition, repo: Option<i64>, at: Timestamp) -> Self {
        let (state, reason) = match disposition {
            Disposition::Applied => (1, None),
            Disposition::Ignored { reason } => (2, Some(reason.clone())),
            Disposition::Unreadable { reason } => (3, Some(reason.clone())),
        };
        Self { place: place.cast_signed(), state, reason, repo, at: at.as_millis() }
    }
}

/// The statement by which dispositions are written.
pub struct Settler {
    update: RowsStatement,
}

impl Settler {
    /// Makes it.
    pub fn new() -> Self {
        Self {
            update: RowsStatement::new(
                "UPDATE delivery SET state = told.column2, reason = told.column3, repo = told.column4,
                        settled_at = told.column5 FROM (",
                "(?,?,?,?,?)",
                ") AS told WHERE delivery.place = told.column1",
            ),
        }
    }

    /// Writes all of these.
    pub async fn write(&mut self, connection: &mut SqliteConnection, mut settled: &[&Settled]) -> sqlx::Result<()> {
        while !settled.is_empty() {
            let (now, later) = settled.split_at(rows_at_once(settled.len()));
            let mut update = sqlx::query(self.update.of(now.len()));
            for one in now {
                update = update.bind(one.place).bind(one.state).bind(one.reason.clone()).bind(one.repo).bind(one.at);
            }
            update.execute(&mut *connection).await?;
            settled = later;
        }
        Ok(())
    }
}

/// Returns deliveries that nobody has looked at yet, in the order of arrival, after this place.
pub async fn waiting(connection: &mut SqliteConnection, after: u64, limit: usize) -> Result<Vec<Waiting>, StoreError> {
    use futures_util::TryStreamExt as _;
    let failed = |error: sqlx::Error| crate::dialect::store_error("reading the deliveries that wait", &error);
    let mut rows = sqlx::query(
        "SELECT place, form, received_at, size, id, event, hook, digest, body FROM delivery
         WHERE state = 0 AND place > ? ORDER BY place LIMIT ?",
    )
    .bind(after.cast_signed())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch(connection);
    let mut found = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let waiting = unpack_row(&row)?;
        bytes += waiting.delivery.body.len();
        if bytes > WAITING_BYTES_MAX && !found.is_empty() {
            break;
        }
        found.push(waiting);
    }
    Ok(found)
}

fn unpack_row(row: &SqliteRow) -> Result<Waiting, StoreError> {
    let place = row.get::<i64, _>("place").cast_unsigned();
    let size = usize::try_from(row.get::<i64, _>("size")).unwrap_or(usize::MAX);
    let body = unpack(row.get("body"), size)
        .map_err(|error| StoreError::Corrupt(format!("the body of delivery {place} cannot be unpacked: {error}")))?;
    let digest: &[u8] = row.get("digest");
    Ok(Waiting {
        place,
        delivery: NewDelivery {
            id: row.get::<&str, _>("id").into(),
            event: row.get::<&str, _>("event").into(),
            hook: row.get::<Option<&str>, _>("hook").map(Into::into),
            form: row.get("form"),
            received_at: Timestamp::from_millis(row.get("received_at")),
            body: body.into(),
            digest: digest
                .try_into()
                .map_err(|_| StoreError::Corrupt(format!("the digest of delivery {place} is not 32 bytes long")))?,
        },
    })
}
