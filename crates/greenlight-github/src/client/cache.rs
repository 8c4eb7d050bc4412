//! What was read before, for conditional requests: an answer of 304 costs nothing of the limit.
//!
//! An entry belongs to a token as well as to an address, so that nothing private is ever shown to another. The answers all
//! have the same `Accept`, so it needs no place in the key.

use std::collections::HashMap;

use bytes::Bytes;

use super::Identity;

/// Entries that are kept.
const ENTRIES_MAX: usize = 2048;
/// Bytes of all bodies together.
const BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest body that is kept.
const BODY_SIZE_MAX: usize = 512 * 1024;

/// Names an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub identity: Identity,
    pub path: String,
}

/// An answer as it was.
#[derive(Clone, Debug)]
pub(super) struct Cached {
    pub etag: String,
    pub body: Bytes,
    pub next: Option<String>,
}

/// The answers, the least recently used of which go first when it is full.
#[derive(Default)]
pub(super) struct EtagCache {
    entries: HashMap<Key, (u64, Cached)>,
    bytes: usize,
    uses: u64,
}

impl EtagCache {
    pub(super) fn get(&mut self, key: &Key) -> Option<Cached> {
        self.uses += 1;
        let (used, cached) = self.entries.get_mut(key)?;
        *used = self.uses;
        Some(cached.clone())
    }

    pub(super) fn put(&mut self, key: Key, cached: Cached) {
        self.remove(&key);
        if cached.body.len() > BODY_SIZE_MAX {
            return;
        }
        self.uses += 1;
        self.bytes += cached.body.len();
        self.entries.insert(key, (self.uses, cached));
        while self.entries.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            self.remove(&oldest.expect("a cache that is too full is not empty"));
        }
    }

    fn remove(&mut self, key: &Key) {
        if let Some((_, cached)) = self.entries.remove(key) {
            self.bytes -= cached.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(identity: Identity, path: usize) -> Key {
        Key { identity, path: format!("/{path}") }
    }

    fn cached(size: usize) -> Cached {
        Cached { etag: "\"e\"".into(), body: vec![b'x'; size].into(), next: None }
    }

    #[test]
    fn answers_belong_to_a_token() {
        let mut cache = EtagCache::default();
        cache.put(key(Identity::Installation(1), 1), cached(1));
        assert!(cache.get(&key(Identity::Installation(1), 1)).is_some());
        assert!(cache.get(&key(Identity::Installation(2), 1)).is_none());
    }

    #[test]
    fn what_was_used_last_stays() {
        let mut cache = EtagCache::default();
        for path in 0..ENTRIES_MAX {
            cache.put(key(Identity::Token, path), cached(1));
        }
        assert!(cache.get(&key(Identity::Token, 0)).is_some());
        cache.put(key(Identity::Token, ENTRIES_MAX), cached(1));
        assert!(cache.get(&key(Identity::Token, 0)).is_some());
        assert!(cache.get(&key(Identity::Token, 1)).is_none());
        assert_eq!((cache.entries.len(), cache.bytes), (ENTRIES_MAX, ENTRIES_MAX));
    }

    #[test]
    fn bytes_are_bounded() {
        let mut cache = EtagCache::default();
        for path in 0..100 {
            cache.put(key(Identity::Token, path), cached(BODY_SIZE_MAX));
            cache.put(key(Identity::Token, path), cached(BODY_SIZE_MAX));
            assert!(cache.bytes <= BYTES_MAX);
        }
        cache.put(key(Identity::Token, 99), cached(BODY_SIZE_MAX + 1));
        assert!(cache.get(&key(Identity::Token, 99)).is_none());
    }
}
