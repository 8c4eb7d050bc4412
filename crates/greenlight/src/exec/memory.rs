//! A memory that lasts as long as the run: what is asked of a store, without a disk.

use std::future::ready;

use greenlight_core::fact::RepositoryRef;
use greenlight_core::id::RepoId;
use greenlight_core::port::{Commit, Disposition, Loaded, NewDelivery, Reply, Store, StoreError, Stored, Waiting};

/// The memory. The live state is in the cell, and nobody comes back for it, so nothing is kept.
pub struct Memory;

impl Store for Memory {
    fn receive<'a>(&'a self, _: &'a NewDelivery) -> Reply<'a, Result<Stored, StoreError>> {
        Box::pin(ready(Ok(Stored::New)))
    }

    fn waiting<'a>(&'a self, _: u64, _: usize) -> Reply<'a, Result<Vec<Waiting>, StoreError>> {
        Box::pin(ready(Ok(Vec::new())))
    }

    fn dispose<'a>(&'a self, _: u64, _: Disposition) -> Reply<'a, Result<(), StoreError>> {
        Box::pin(ready(Ok(())))
    }

    fn load<'a>(&'a self, _: RepoId) -> Reply<'a, Result<Option<Loaded>, StoreError>> {
        Box::pin(ready(Ok(None)))
    }

    fn commit<'a>(&'a self, _: &'a Commit) -> Reply<'a, Result<(), StoreError>> {
        Box::pin(ready(Ok(())))
    }

    fn repositories<'a>(&'a self) -> Reply<'a, Result<Vec<RepositoryRef>, StoreError>> {
        Box::pin(ready(Ok(Vec::new())))
    }
}
