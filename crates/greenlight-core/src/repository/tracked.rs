//! Maps that know what was changed in them.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A map that knows which of its entries were changed since the last commit. What was committed is shared with whoever
/// keeps it, and copied only when it is changed again.
#[derive(Clone, Debug)]
pub struct Tracked<K, V> {
    pub(super) map: BTreeMap<K, Arc<V>>,
    pub(super) changed: BTreeSet<K>,
}

impl<K: Ord + Clone, V> Default for Tracked<K, V> {
    fn default() -> Self {
        Self { map: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, V: Clone> Tracked<K, V> {
    /// Returns the entry.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.map.get(key).map(|value| &**value)
    }

    /// Returns the entry, to be kept beside the state.
    pub fn get_shared<Q>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.map.get(key).cloned()
    }

    /// Returns the entry to be changed; it counts as changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let value = self.map.get_mut(key)?;
        if !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
        Some(Arc::make_mut(value))
    }

    /// Returns the entry to be changed in memory only: what is not stored need not be.
    pub(crate) fn get_quiet(&mut self, key: &K) -> Option<&mut V> {
        self.map.get_mut(key).map(Arc::make_mut)
    }

    /// Puts an entry in.
    pub fn insert(&mut self, key: K, value: V) {
        self.changed.insert(key.clone());
        self.map.insert(key, Arc::new(value));
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<Arc<V>> {
        let value = self.map.remove(key)?;
        self.changed.insert(key.clone());
        Some(value)
    }

    /// Is there such an entry?
    pub fn contains<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.map.contains_key(key)
    }

    /// Returns all entries in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.map.iter().map(|(key, value)| (key, &**value))
    }

    /// Returns all values in order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.map.values().map(|value| &**value)
    }

    /// Returns the entries of a range of keys.
    pub fn range<R: std::ops::RangeBounds<K>>(&self, range: R) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.map.range(range).map(|(key, value)| (key, &**value))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(super) fn load(&mut self, key: K, value: Arc<V>) {
        self.map.insert(key, value);
    }
}
