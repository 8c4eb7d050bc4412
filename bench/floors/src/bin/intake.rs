//! `intake MODE ADDRESS DATABASE`: the least that a durable webhook door has to do.
//!
//! Modes: `answer` (202 and nothing else), `verify` (HMAC-SHA-256 over the body), `commit` (verified, one commit per
//! delivery), `group` (verified, whatever has gathered is one commit), `group-zstd` (the same, compressed at level 1
//! before the insert: the floor that the product is measured by). The database is SQLite, WAL, synchronous=FULL.
//! Prints `listening on ADDRESS` when it is ready.

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, Mac};
use rusqlite::{Connection, params};
use sha2::Sha256;
use tokio::sync::{mpsc, oneshot};

/// The secret of GitHub's own test vector.
const SECRET: &[u8] = b"It's a Secret to Everybody";
/// Deliveries that wait for the writer; above it the door waits.
const QUEUE_LENGTH_MAX: usize = 4096;
/// Deliveries in one commit.
const GROUP_SIZE_MAX: usize = 256;
const COMPRESSION_LEVEL: i32 = 1;

const SCHEMA: &str = "
    PRAGMA journal_mode=WAL;
    PRAGMA synchronous=FULL;
    CREATE TABLE IF NOT EXISTS delivery(
        id INTEGER PRIMARY KEY, guid TEXT NOT NULL UNIQUE, event TEXT NOT NULL,
        at INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL);
    CREATE INDEX IF NOT EXISTS waiting ON delivery(id) WHERE state = 0;";
const INSERT: &str = "INSERT OR IGNORE INTO delivery(guid, event, at, body) VALUES (?1, ?2, unixepoch(), ?3)";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Answer,
    Verify,
    Commit,
    Group,
    GroupZstd,
}

impl Mode {
    fn named(name: &str) -> Option<Mode> {
        Some(match name {
            "answer" => Mode::Answer,
            "verify" => Mode::Verify,
            "commit" => Mode::Commit,
            "group" => Mode::Group,
            "group-zstd" => Mode::GroupZstd,
            _ => return None,
        })
    }

    fn is_durable(self) -> bool {
        !matches!(self, Mode::Answer | Mode::Verify)
    }
}

struct Delivery {
    guid: String,
    event: String,
    body: Bytes,
    stored: oneshot::Sender<()>,
}

struct Door {
    mode: Mode,
    writer: Option<mpsc::Sender<Delivery>>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address, database] = arguments.as_slice() else {
        return Err("usage: intake answer|verify|commit|group|group-zstd ADDRESS DATABASE".into());
    };
    let mode = Mode::named(mode).ok_or("unknown mode")?;
    let writer = if mode.is_durable() { Some(start_writer(mode, Connection::open(database)?)?) } else { None };
    let app = Router::new().route("/hook", post(take)).with_state(Arc::new(Door { mode, writer }));
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn take(State(door): State<Arc<Door>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if door.mode == Mode::Answer {
        return StatusCode::ACCEPTED;
    }
    if !is_signed(&headers, &body) {
        return StatusCode::UNAUTHORIZED;
    }
    let Some(writer) = &door.writer else { return StatusCode::ACCEPTED };
    let (stored, answer) = oneshot::channel();
    let delivery = Delivery {
        guid: header(&headers, "x-github-delivery"),
        event: header(&headers, "x-github-event"),
        body,
        stored,
    };
    let is_stored = writer.send(delivery).await.is_ok() && answer.await.is_ok();
    if is_stored { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn is_signed(headers: &HeaderMap, body: &[u8]) -> bool {
    let signature = header(headers, "x-hub-signature-256");
    let Some(Ok(expected)) = signature.strip_prefix("sha256=").map(hex::decode) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.verify_slice(&expected).is_ok()
}

fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn start_writer(mode: Mode, database: Connection) -> Result<mpsc::Sender<Delivery>, Box<dyn Error>> {
    database.execute_batch(SCHEMA)?;
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH_MAX);
    // The thread ends with its queue; a failed write drops the group, which answers 503.
    std::thread::spawn(move || {
        if let Err(error) = write(receiver, mode, database) {
            eprintln!("intake: {error}");
        }
    });
    Ok(sender)
}

fn write(mut queue: mpsc::Receiver<Delivery>, mode: Mode, mut database: Connection) -> Result<(), Box<dyn Error>> {
    let size_max = if mode == Mode::Commit { 1 } else { GROUP_SIZE_MAX };
    let mut compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
    while let Some(first) = queue.blocking_recv() {
        let mut group = vec![first];
        while group.len() < size_max
            && let Ok(next) = queue.try_recv()
        {
            group.push(next);
        }
        let transaction = database.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for delivery in &group {
                let packed = if mode == Mode::GroupZstd { Some(compressor.compress(&delivery.body)?) } else { None };
                insert.execute(params![delivery.guid, delivery.event, packed.as_deref().unwrap_or(&delivery.body)])?;
            }
        }
        transaction.commit()?;
        for delivery in group {
            // A client that has gone away needs no answer.
            let _ = delivery.stored.send(());
        }
    }
    Ok(())
}
