//! What would differ between SQLite and another database: how a connection is opened, how statements of many rows are
//! spelled, and what an error means.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use greenlight_core::port::StoreError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqlSafeStr as _, SqlStr};

/// SQLite's result codes, as far as they tell what to do.
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CONSTRAINT: i32 = 19;
const NOTADB: i32 = 26;

/// What a connection is for.
#[derive(Clone, Copy)]
pub enum Use {
    /// The one that writes.
    Write,
    /// One that moves the write-ahead log into the file. It never waits: it comes again.
    Checkpoint,
    /// One that reads.
    Read,
}

/// How a connection is set up.
#[derive(Clone, Copy, Debug)]
pub struct Tuning {
    /// The page cache of one connection, in KiB.
    pub cache_kib: u32,
    /// How long a write waits for somebody else's lock.
    pub busy_wait: Duration,
    /// The largest size of the database, in pages of 4 KiB; nothing for the disk's own limit.
    pub pages_max: Option<u32>,
}

/// Returns how to connect to the database in this file.
pub fn connect_options(file: &Path, tuning: Tuning, purpose: Use) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", format!("-{}", tuning.cache_kib))
        .pragma("temp_store", "memory")
        .disable_statement_logging();
    match purpose {
        Use::Write => {
            let options = options
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // The log is moved into the file by the checkpointer, off the commit's path.
                .pragma("wal_autocheckpoint", "0")
                .busy_timeout(tuning.busy_wait)
                .statement_cache_capacity(64);
            match tuning.pages_max {
                Some(pages) => options.pragma("max_page_count", pages.to_string()),
                None => options,
            }
        }
        Use::Checkpoint => {
            options.pragma("wal_autocheckpoint", "0").busy_timeout(Duration::ZERO).statement_cache_capacity(2)
        }
        Use::Read => options.read_only(true).busy_timeout(tuning.busy_wait).statement_cache_capacity(32),
    }
}

/// Connects. The future is boxed: the driver's own cannot be shown to be `Send` from within another one.
pub fn connect(options: SqliteConnectOptions) -> Pin<Box<dyn Future<Output = sqlx::Result<SqliteConnection>> + Send>> {
    Box::pin(async move { options.connect().await })
}

/// Returns the SQLite result code of an error, without its extension.
fn code_of(error: &sqlx::Error) -> Option<i32> {
    let extended: i32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(extended & 0xff)
}

/// Is the statement itself wrong, rather than the disk, the lock or the connection?
pub fn is_constraint(error: &sqlx::Error) -> bool {
    code_of(error) == Some(CONSTRAINT)
}

/// May the connection be used on after this error?
pub fn keeps_connection(error: &sqlx::Error) -> bool {
    matches!(code_of(error), Some(BUSY | LOCKED | FULL | CONSTRAINT))
}

/// Says what an error means for who asked, and what to do about it.
pub fn store_error(doing: &str, error: &sqlx::Error) -> StoreError {
    match code_of(error) {
        Some(CORRUPT | NOTADB) => {
            StoreError::Corrupt(format!("{doing}: {error}; restore the data directory from a backup"))
        }
        Some(FULL) => {
            StoreError::Unavailable(format!("{doing}: the disk is full; free some space, work goes on by itself"))
        }
        Some(BUSY | LOCKED) => StoreError::Unavailable(format!(
            "{doing}: another process holds the database; end it, work goes on by itself"
        )),
        Some(READONLY) => StoreError::Unavailable(format!("{doing}: the data directory is read-only")),
        Some(IOERR) => StoreError::Unavailable(format!("{doing}: the disk failed or is full ({error})")),
        _ => StoreError::Unavailable(format!("{doing}: {error}")),
    }
}

/// A statement that inserts many rows at once, its text made once for each number of rows.
pub struct RowsStatement {
    before: &'static str,
    row: &'static str,
    after: &'static str,
    texts: HashMap<usize, Arc<str>>,
}

impl RowsStatement {
    /// Describes `before VALUES row, row, … after`.
    pub fn new(before: &'static str, row: &'static str, after: &'static str) -> Self {
        Self { before, row, after, texts: HashMap::new() }
    }

    /// Returns the statement for this many rows.
    pub fn of(&mut self, rows: usize) -> SqlStr {
        let text = self.texts.entry(rows).or_insert_with(|| {
            let values = vec![self.row; rows].join(",");
            format!("{} VALUES {values} {}", self.before, self.after).into()
        });
        // Only our own constants are in it.
        AssertSqlSafe(text.clone()).into_sql_str()
    }
}

/// The most rows that one statement inserts.
pub const ROWS_MAX: usize = 256;

/// Returns how many of `waiting` rows go into the next statement. Few different numbers, so that few statements are kept.
pub fn rows_at_once(waiting: usize) -> usize {
    match waiting {
        0..=16 => waiting,
        17..=31 => waiting & !3,
        32..=63 => waiting & !7,
        64..=127 => waiting & !15,
        128..=255 => waiting & !31,
        _ => ROWS_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_in_few_sizes_and_lose_little() {
        let sizes: std::collections::BTreeSet<usize> = (1..=ROWS_MAX).map(rows_at_once).collect();
        assert!(sizes.len() <= 40, "{sizes:?}");
        for waiting in 1..=ROWS_MAX {
            let now = rows_at_once(waiting);
            assert!(now <= waiting && now * 5 >= waiting * 4, "{now} of {waiting}");
        }
    }

    #[test]
    fn a_statement_has_as_many_rows_as_asked_for() {
        let mut statement = RowsStatement::new("INSERT INTO t (a)", "(?)", "ON CONFLICT DO NOTHING");
        assert_eq!(statement.of(2).as_str(), "INSERT INTO t (a) VALUES (?),(?) ON CONFLICT DO NOTHING");
    }
}
