//! One ordered record of all that happened: API requests, deliveries, pushes, and what the room was told.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use crate::model::At;

/// How many entries are kept; the oldest go first.
const ENTRIES_MAX: usize = 50_000;
/// How many bytes of entries are kept; the oldest go first.
const BYTES_MAX: usize = 256 * 1024 * 1024;
/// How many entries one answer carries.
const ENTRIES_PER_ANSWER_MAX: usize = 1_000;
/// How long a reader may wait for news.
pub const WAIT_MAX: Duration = Duration::from_secs(60);

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Delivery,
    Push,
    Room,
}

impl Kind {
    /// Returns the word in the entry's `kind`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Request => "request",
            Kind::Delivery => "delivery",
            Kind::Push => "push",
            Kind::Room => "room",
        }
    }
}

/// The record.
pub struct Feed {
    entries: Mutex<Entries>,
    newest: watch::Sender<u64>,
}

#[derive(Default)]
struct Entries {
    last: u64,
    /// As text, which is a fraction of the size of a parsed payload.
    kept: VecDeque<(u64, Kind, Box<str>)>,
    bytes: usize,
}

impl Feed {
    /// Returns an empty record.
    pub fn new() -> Feed {
        Feed { entries: Mutex::default(), newest: watch::channel(0).0 }
    }

    /// Adds an entry; `seq`, `at` and `kind` come before its own fields.
    pub fn add(&self, kind: Kind, fields: Value) -> u64 {
        let mut entry = Map::new();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.last += 1;
        let seq = entries.last;
        entry.insert("seq".to_owned(), json!(seq));
        entry.insert("at".to_owned(), json!(At::now().0));
        entry.insert("kind".to_owned(), json!(kind.name()));
        if let Value::Object(fields) = fields {
            entry.extend(fields);
        }
        let text = Value::Object(entry).to_string().into_boxed_str();
        entries.bytes += text.len();
        entries.kept.push_back((seq, kind, text));
        while entries.kept.len() > ENTRIES_MAX || entries.bytes > BYTES_MAX {
            let Some((_, _, oldest)) = entries.kept.pop_front() else { break };
            entries.bytes -= oldest.len();
        }
        drop(entries);
        self.newest.send_replace(seq);
        seq
    }

    /// Returns the entries after `after` of the wanted kinds, at once or as soon as there is one, at latest after `wait`.
    pub async fn after(&self, after: u64, kinds: &[Kind], wait: Duration) -> Vec<Value> {
        let mut newest = self.newest.subscribe();
        let deadline = tokio::time::Instant::now() + wait.min(WAIT_MAX);
        loop {
            newest.mark_unchanged();
            let found = self.select(after, kinds);
            if !found.is_empty() {
                return found;
            }
            match tokio::time::timeout_at(deadline, newest.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return found,
            }
        }
    }

    /// Returns the newest entries of one kind, newest first.
    pub fn recent(&self, kind: Kind, count: usize) -> Vec<Value> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .kept
            .iter()
            .rev()
            .filter(|(_, known, _)| *known == kind)
            .take(count)
            .map(|(_, _, text)| read(text))
            .collect()
    }

    fn select(&self, after: u64, kinds: &[Kind]) -> Vec<Value> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let start = entries.kept.partition_point(|(seq, _, _)| *seq <= after);
        let wanted = entries.kept.range(start..).filter(|(_, kind, _)| kinds.is_empty() || kinds.contains(kind));
        wanted.take(ENTRIES_PER_ANSWER_MAX).map(|(_, _, text)| read(text)).collect()
    }
}

/// Parses an entry; it was written from a value, so it is one.
fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_gets_what_came_after_and_of_its_kind() {
        let feed = Feed::new();
        feed.add(Kind::Room, json!({"text": "a"}));
        feed.add(Kind::Push, json!({"ref": "b"}));
        feed.add(Kind::Room, json!({"text": "c"}));
        let found = feed.after(1, &[Kind::Room], Duration::ZERO).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0]["text"], "c");
        assert_eq!(found[0]["seq"], 3);
        assert!(feed.after(3, &[], Duration::ZERO).await.is_empty());
    }
}
