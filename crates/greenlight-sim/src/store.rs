//! The fake memory: what was committed, whole or not at all; fails and forgets on demand.

use std::collections::BTreeMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard};

use greenlight_core::entity::{Entity, EntityKey};
use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::{DeliveryId, RepoId};
use greenlight_core::port::{Commit, Disposition, Loaded, NewDelivery, Reply, Store, StoreError, Stored, Waiting};

/// What is to go wrong with the next write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trouble {
    /// Nothing.
    #[default]
    None,
    /// It fails, and nothing was written.
    Before,
    /// It is written, and nobody hears of it.
    After,
}

/// A store that lives as long as its world.
#[derive(Debug, Default)]
pub struct FakeStore(Mutex<Inner>);

/// What is committed, and what the last commit changed.
#[derive(Debug, Default)]
pub struct Inner {
    version: u64,
    entities: BTreeMap<EntityKey, Entity>,
    deliveries: Vec<Delivery>,
    by_id: BTreeMap<DeliveryId, usize>,
    trouble: Trouble,
    full: bool,
    commits: u64,
    changed: Vec<(EntityKey, Option<Entity>)>,
}

#[derive(Debug)]
struct Delivery {
    delivery: NewDelivery,
    disposition: Option<Disposition>,
    quarantined: Vec<[u8; 32]>,
}

impl FakeStore {
    /// Makes the next commit go wrong.
    pub fn trouble(&self, trouble: Trouble) {
        self.inner().trouble = trouble;
    }

    /// Fills the disk, or frees it.
    pub fn fill(&self, full: bool) {
        self.inner().full = full;
    }

    /// Returns what is inside, for the invariants.
    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of the lock panics")
    }

    /// Returns what is inside, after a life that may have ended by a panic.
    pub fn inner_after_panic(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Inner {
    /// Returns an entity as it was committed.
    pub fn get(&self, key: &EntityKey) -> Option<&Entity> {
        self.entities.get(key)
    }

    /// Returns the first key that is not before this one.
    pub fn after(&self, key: &EntityKey) -> Option<&EntityKey> {
        self.entities.range(key..).next().map(|(key, _)| key)
    }

    /// Is the disk full?
    pub fn is_full(&self) -> bool {
        self.full
    }

    /// Returns how many commits there were.
    pub fn commits(&self) -> u64 {
        self.commits
    }

    /// Takes what the last commit changed: each key with what was there before.
    pub fn take_changed(&mut self) -> Vec<(EntityKey, Option<Entity>)> {
        std::mem::take(&mut self.changed)
    }

    /// Is this delivery here, byte for byte?
    pub fn holds(&self, delivery: &NewDelivery) -> bool {
        self.by_id.get(&delivery.id).and_then(|at| self.deliveries.get(*at)).is_some_and(|known| {
            known.delivery == *delivery || known.quarantined.contains(&delivery.digest) || {
                known.delivery.digest == delivery.digest && known.delivery.body == delivery.body
            }
        })
    }

    /// Returns how many deliveries are kept, those kept aside included.
    pub fn kept(&self) -> usize {
        self.deliveries.iter().map(|delivery| 1 + delivery.quarantined.len()).sum()
    }

    fn receive(&mut self, delivery: &NewDelivery) -> Result<Stored, StoreError> {
        if self.full {
            return Err(StoreError::Unavailable("no space left on device".into()));
        }
        match self.by_id.get(&delivery.id).copied() {
            None => {
                self.by_id.insert(delivery.id.clone(), self.deliveries.len());
                let delivery = Delivery { delivery: delivery.clone(), disposition: None, quarantined: Vec::new() };
                self.deliveries.push(delivery);
                Ok(Stored::New)
            }
            Some(at) if is_same(&self.deliveries[at].delivery, delivery) => Ok(Stored::Repeat),
            Some(at) => {
                self.deliveries[at].quarantined.push(delivery.digest);
                Ok(Stored::Quarantined)
            }
        }
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let trouble = std::mem::take(&mut self.trouble);
        if self.full || trouble == Trouble::Before {
            return Err(StoreError::Unavailable("no space left on device".into()));
        }
        if commit.version != self.version {
            return Err(StoreError::Conflict);
        }
        self.version += 1;
        self.commits += 1;
        self.changed.clear();
        for (key, entity) in &commit.changes {
            let before = match entity {
                Some(entity) => self.entities.insert(key.clone(), entity.clone()),
                None => self.entities.remove(key),
            };
            self.changed.push((key.clone(), before));
        }
        for (place, disposition) in &commit.deliveries {
            self.dispose(*place, disposition.clone())?;
        }
        match trouble {
            Trouble::After => Err(StoreError::Unavailable("the answer was lost".into())),
            Trouble::None | Trouble::Before => Ok(()),
        }
    }

    fn dispose(&mut self, place: u64, disposition: Disposition) -> Result<(), StoreError> {
        let at = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
        match at.and_then(|at| self.deliveries.get_mut(at)) {
            Some(delivery) => {
                delivery.disposition = Some(disposition);
                Ok(())
            }
            None => Err(StoreError::Corrupt(format!("there is no delivery at place {place}"))),
        }
    }

    fn waiting(&self, after: u64, limit: usize) -> Vec<Waiting> {
        let place = |at: usize| u64::try_from(at).expect("a usize fits") + 1;
        self.deliveries
            .iter()
            .enumerate()
            .filter(|(at, delivery)| place(*at) > after && delivery.disposition.is_none())
            .take(limit)
            .map(|(at, delivery)| Waiting { place: place(at), delivery: delivery.delivery.clone() })
            .collect()
    }
}

/// Is it the same one? Under another secret the same event and body have another digest.
fn is_same(known: &NewDelivery, other: &NewDelivery) -> bool {
    known.digest == other.digest || (known.event == other.event && known.body == other.body)
}

impl Store for FakeStore {
    fn receive<'a>(&'a self, delivery: &'a NewDelivery) -> Reply<'a, Result<Stored, StoreError>> {
        Box::pin(ready(self.inner().receive(delivery)))
    }

    fn waiting<'a>(&'a self, after: u64, limit: usize) -> Reply<'a, Result<Vec<Waiting>, StoreError>> {
        Box::pin(ready(Ok(self.inner().waiting(after, limit))))
    }

    fn dispose<'a>(&'a self, place: u64, disposition: Disposition) -> Reply<'a, Result<(), StoreError>> {
        Box::pin(ready(self.inner().dispose(place, disposition)))
    }

    fn load<'a>(&'a self, _: RepoId) -> Reply<'a, Result<Option<Loaded>, StoreError>> {
        let inner = self.inner();
        let loaded = (inner.version > 0)
            .then(|| Loaded { version: inner.version, entities: inner.entities.values().cloned().collect() });
        Box::pin(ready(Ok(loaded)))
    }

    fn commit<'a>(&'a self, commit: &'a Commit) -> Reply<'a, Result<(), StoreError>> {
        Box::pin(ready(self.inner().commit(commit)))
    }

    fn repositories<'a>(&'a self) -> Reply<'a, Result<Vec<RepositoryRef>, StoreError>> {
        let known = match self.inner().get(&EntityKey::Meta) {
            Some(Entity::Meta(meta)) => vec![meta.repository.clone()],
            _ => Vec::new(),
        };
        Box::pin(ready(Ok(known)))
    }
}

#[cfg(test)]
mod tests {
    use greenlight_core::intake::{Reception, receive};
    use greenlight_core::time::Timestamp;

    use super::*;
    use crate::block::block_on;

    fn delivery(id: &str, body: &str) -> NewDelivery {
        let mut digest = [0; 32];
        digest[..body.len()].copy_from_slice(body.as_bytes());
        NewDelivery {
            id: DeliveryId::from(id),
            event: "push".into(),
            hook: None,
            form: false,
            received_at: Timestamp::EPOCH,
            body: body.as_bytes().into(),
            digest,
        }
    }

    fn commit(version: u64, deliveries: Vec<(u64, Disposition)>) -> Commit {
        let repo = RepoId(1);
        Commit { repo, version, changes: Vec::new(), deliveries, audit: Vec::new(), at: Timestamp::EPOCH }
    }

    #[test]
    fn a_repeat_is_a_repeat_and_another_body_is_quarantined() {
        let store = FakeStore::default();
        assert_eq!(block_on(receive(&store, &delivery("a", "one"))), Reception::Accepted);
        assert_eq!(block_on(receive(&store, &delivery("a", "one"))), Reception::Repeat);
        assert_eq!(block_on(receive(&store, &delivery("a", "two"))), Reception::Quarantined);
        assert!(store.inner().holds(&delivery("a", "one")) && store.inner().holds(&delivery("a", "two")));
        assert_eq!(block_on(store.waiting(0, 9)).unwrap().len(), 1);
    }

    #[test]
    fn a_full_disk_accepts_nothing() {
        let store = FakeStore::default();
        store.fill(true);
        assert!(matches!(block_on(receive(&store, &delivery("a", "one"))), Reception::Unavailable(_)));
        assert!(!store.inner().holds(&delivery("a", "one")));
        assert!(block_on(store.commit(&commit(0, Vec::new()))).is_err());
        store.fill(false);
        assert_eq!(block_on(store.commit(&commit(0, Vec::new()))), Ok(()));
    }

    #[test]
    fn a_commit_on_an_old_version_is_a_conflict() {
        let store = FakeStore::default();
        assert_eq!(block_on(store.commit(&commit(0, Vec::new()))), Ok(()));
        assert_eq!(block_on(store.commit(&commit(0, Vec::new()))), Err(StoreError::Conflict));
    }

    #[test]
    fn what_was_looked_at_does_not_wait() {
        let store = FakeStore::default();
        block_on(receive(&store, &delivery("a", "one")));
        block_on(receive(&store, &delivery("b", "one")));
        block_on(store.commit(&commit(0, vec![(1, Disposition::Applied)]))).unwrap();
        let waiting = block_on(store.waiting(0, 9)).unwrap();
        assert_eq!(waiting.iter().map(|waiting| waiting.place).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn trouble_after_the_write_leaves_it_written() {
        let store = FakeStore::default();
        store.trouble(Trouble::After);
        assert!(block_on(store.commit(&commit(0, Vec::new()))).is_err());
        assert_eq!(store.inner().commits(), 1);
        store.trouble(Trouble::Before);
        assert!(block_on(store.commit(&commit(1, Vec::new()))).is_err());
        assert_eq!(store.inner().commits(), 1);
    }
}
