//! Deliveries, as they came and what became of them.

use greenlight_core::id::{DeliveryId, RepoId};
use greenlight_core::port::StoreError;
use greenlight_core::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{at, limit_of, maybe_at, maybe_number};
use crate::dialect::store_error;
use crate::packed::unpack;

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Nobody has looked at it.
    New,
    /// It became facts.
    Applied,
    /// We have no use for it.
    Ignored,
    /// It cannot be read.
    Unreadable,
    /// Its id was here before with another body: kept, not acted upon.
    Quarantined,
}

/// A delivery, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its place in the order of arrival.
    pub place: u64,
    /// `X-GitHub-Delivery`.
    pub id: DeliveryId,
    /// `X-GitHub-Event`.
    pub event: String,
    /// `X-GitHub-Hook-ID`.
    pub hook: Option<String>,
    /// Was it a form?
    pub form: bool,
    /// When it came.
    pub received_at: Timestamp,
    /// How long its body is.
    pub size: u64,
    /// What became of it.
    pub state: DeliveryState,
    /// Why, in one sentence.
    pub reason: Option<String>,
    /// Which repository it went to.
    pub repo: Option<RepoId>,
    /// When it was looked at.
    pub settled_at: Option<Timestamp>,
}

/// A delivery with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryDetail {
    /// What the list shows.
    pub row: DeliveryRow,
    /// The body, as it was signed.
    pub body: Vec<u8>,
}

pub async fn list(
    connection: &mut SqliteConnection,
    before: Option<u64>,
    limit: usize,
) -> sqlx::Result<Vec<DeliveryRow>> {
    let rows = sqlx::query(
        "SELECT place, state, form, received_at, size, repo, settled_at, id, event, hook, reason FROM delivery
         WHERE place < ? ORDER BY place DESC LIMIT ?",
    )
    .bind(before.map_or(i64::MAX, u64::cast_signed))
    .bind(limit_of(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(delivery_row).collect()
}

pub async fn quarantined(connection: &mut SqliteConnection, limit: usize) -> sqlx::Result<Vec<DeliveryRow>> {
    let rows = sqlx::query(
        "SELECT place, 4 AS state, form, received_at, size, NULL AS repo, NULL AS settled_at, id, event, hook,
                'the same id came before with another body' AS reason
         FROM quarantine ORDER BY place DESC LIMIT ?",
    )
    .bind(limit_of(limit))
    .fetch_all(connection)
    .await?;
    rows.iter().map(delivery_row).collect()
}

pub async fn detail(connection: &mut SqliteConnection, id: &str) -> Result<Option<DeliveryDetail>, StoreError> {
    let failed = |error: sqlx::Error| store_error("reading a delivery", &error);
    let row = sqlx::query(
        "SELECT place, state, form, received_at, size, repo, settled_at, id, event, hook, reason, body FROM delivery
         WHERE id = ?",
    )
    .bind(id.to_owned())
    .fetch_optional(connection)
    .await
    .map_err(failed)?;
    let Some(found) = row else { return Ok(None) };
    let row = delivery_row(&found).map_err(failed)?;
    let size = usize::try_from(row.size).unwrap_or(usize::MAX);
    let body = unpack(found.get("body"), size)
        .map_err(|error| StoreError::Corrupt(format!("the body of delivery {id} cannot be unpacked: {error}")))?;
    Ok(Some(DeliveryDetail { row, body }))
}

fn delivery_row(row: &SqliteRow) -> sqlx::Result<DeliveryRow> {
    let state = match row.get::<i64, _>("state") {
        0 => DeliveryState::New,
        1 => DeliveryState::Applied,
        2 => DeliveryState::Ignored,
        3 => DeliveryState::Unreadable,
        4 => DeliveryState::Quarantined,
        other => return Err(sqlx::Error::Decode(format!("{other} is no state of a delivery").into())),
    };
    Ok(DeliveryRow {
        place: row.get::<i64, _>("place").cast_unsigned(),
        id: DeliveryId::from(row.get::<&str, _>("id")),
        event: row.get("event"),
        hook: row.get("hook"),
        form: row.get("form"),
        received_at: at(row, "received_at"),
        size: row.get::<i64, _>("size").cast_unsigned(),
        state,
        reason: row.get("reason"),
        repo: maybe_number(row, "repo").map(RepoId),
        settled_at: maybe_at(row, "settled_at"),
    })
}
