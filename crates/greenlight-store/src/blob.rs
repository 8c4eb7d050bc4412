//! Blobs: large things under a key, written once. A directory today; object_store keeps the door open for others.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};

/// Blobs up to this size are written in one piece; larger ones in pieces of it.
const PART: usize = 8 << 20;

/// A blob could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The directory cannot be used.
    #[error("the blob directory {path} cannot be used")]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key is none.
    #[error("{key} is no key for a blob")]
    Key {
        /// Which.
        key: String,
        /// Why.
        #[source]
        source: Box<object_store::path::Error>,
    },
    /// The store refused.
    #[error("the blob {key} cannot be {doing}")]
    Store {
        /// Which.
        key: String,
        /// "read", "written", "removed".
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<object_store::Error>,
    },
}

/// A blob, piece by piece.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// Large things under a key.
#[derive(Clone, Debug)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
}

impl Blobs {
    /// Keeps blobs in this directory, which is created where it is not there. What was written is synced to disk.
    pub fn open(directory: &Path) -> Result<Self, BlobError> {
        let unusable = |source: std::io::Error| BlobError::Directory { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(unusable)?;
        let store = LocalFileSystem::new_with_prefix(directory)
            .map_err(|error| unusable(std::io::Error::other(error)))?
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store) })
    }

    /// Writes a blob; one of this key that was there is replaced, all at once.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), BlobError> {
        let path = parse(key)?;
        self.store
            .put(&path, PutPayload::from_bytes(bytes))
            .await
            .map(drop)
            .map_err(|source| failed(key, "written", source))
    }

    /// Begins to write a blob in pieces; nothing of it is seen before [`BlobUpload::finish`].
    pub async fn upload(&self, key: &str) -> Result<BlobUpload, BlobError> {
        Ok(BlobUpload { blobs: self.clone(), key: key.to_owned(), path: parse(key)?, buffer: Vec::new(), parts: None })
    }

    /// Returns a blob, or nothing where there is none.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, BlobError> {
        self.read(key, None).await.map(|found| found.map(|(bytes, _)| bytes))
    }

    /// Returns a part of a blob, or nothing where there is none.
    pub async fn range(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, BlobError> {
        self.read(key, Some(GetRange::Bounded(range))).await.map(|found| found.map(|(bytes, _)| bytes))
    }

    /// Returns the last bytes of a blob, at most `length`, and how large the whole is.
    pub async fn tail(&self, key: &str, length: u64) -> Result<Option<(Bytes, u64)>, BlobError> {
        self.read(key, Some(GetRange::Suffix(length))).await
    }

    async fn read(&self, key: &str, range: Option<GetRange>) -> Result<Option<(Bytes, u64)>, BlobError> {
        let options = GetOptions { range, ..GetOptions::default() };
        let found = match self.store.get_opts(&parse(key)?, options).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(source) => return Err(failed(key, "read", source)),
        };
        let size = found.meta.size;
        let bytes = found.bytes().await.map_err(|source| failed(key, "read", source))?;
        Ok(Some((bytes, size)))
    }

    /// Returns a blob piece by piece, however large it is, or nothing where there is none.
    pub async fn stream(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<BlobStream>, BlobError> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        match self.store.get_opts(&parse(key)?, options).await {
            Ok(found) => {
                let key = key.to_owned();
                Ok(Some(found.into_stream().map_err(move |source| failed(&key, "read", source)).boxed()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(key, "read", source)),
        }
    }

    /// Returns how large a blob is, or nothing where there is none.
    pub async fn size(&self, key: &str) -> Result<Option<u64>, BlobError> {
        match self.store.head(&parse(key)?).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(key, "read", source)),
        }
    }

    /// Returns the keys below a folder of keys.
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, BlobError> {
        let found = self.store.list(Some(&parse(folder)?)).map_ok(|found| found.location.to_string());
        found.try_collect().await.map_err(|source| failed(folder, "listed", source))
    }

    /// Removes a blob; one that is not there is no error.
    pub async fn delete(&self, key: &str) -> Result<(), BlobError> {
        match self.store.delete(&parse(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed(key, "removed", source)),
        }
    }
}

/// A blob that is being written.
pub struct BlobUpload {
    blobs: Blobs,
    key: String,
    path: Key,
    buffer: Vec<u8>,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl BlobUpload {
    /// Adds bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), BlobError> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < PART { Ok(()) } else { self.send_part().await }
    }

    /// Makes the blob appear, whole.
    pub async fn finish(mut self) -> Result<(), BlobError> {
        if self.parts.is_none() {
            return self.blobs.put(&self.key, std::mem::take(&mut self.buffer).into()).await;
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        let parts = self.parts.as_mut().expect("a part was sent, or this function has returned");
        parts.complete().await.map(drop).map_err(|source| failed(&self.key, "written", source))
    }

    async fn send_part(&mut self) -> Result<(), BlobError> {
        let failed = |source| failed(&self.key, "written", source);
        let parts = match &mut self.parts {
            Some(parts) => parts,
            slot => slot.insert(self.blobs.store.put_multipart(&self.path).await.map_err(failed)?),
        };
        let part = PutPayload::from(std::mem::take(&mut self.buffer));
        parts.put_part(part).await.map_err(failed)
    }
}

fn parse(key: &str) -> Result<Key, BlobError> {
    Key::parse(key).map_err(|source| BlobError::Key { key: key.to_owned(), source: Box::new(source) })
}

fn failed(key: &str, doing: &'static str, source: object_store::Error) -> BlobError {
    BlobError::Store { key: key.to_owned(), doing, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blob_is_written_read_in_parts_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs")).unwrap();
        assert_eq!(blobs.get("a/b").await.unwrap(), None);
        blobs.put("a/b", Bytes::from_static(b"0123456789")).await.unwrap();
        assert_eq!(blobs.get("a/b").await.unwrap().unwrap(), &b"0123456789"[..]);
        assert_eq!(blobs.range("a/b", 2..5).await.unwrap().unwrap(), &b"234"[..]);
        assert_eq!(blobs.tail("a/b", 3).await.unwrap().unwrap(), (Bytes::from_static(b"789"), 10));
        assert_eq!(blobs.tail("a/b", 99).await.unwrap().unwrap().0.len(), 10);
        assert_eq!(blobs.size("a/b").await.unwrap(), Some(10));
        assert_eq!(blobs.list("a").await.unwrap(), ["a/b"]);
        let pieces: Vec<Bytes> = blobs.stream("a/b", Some(1..4)).await.unwrap().unwrap().try_collect().await.unwrap();
        assert_eq!(pieces.concat(), b"123");
        assert!(blobs.stream("a/c", None).await.unwrap().is_none());
        blobs.delete("a/b").await.unwrap();
        blobs.delete("a/b").await.unwrap();
        assert_eq!(blobs.get("a/b").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_large_blob_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).unwrap();
        let mut upload = blobs.upload("large").await.unwrap();
        let piece: Vec<u8> = (0..=255).cycle().take(PART / 3).collect();
        for _ in 0..7 {
            upload.write(&piece).await.unwrap();
        }
        assert_eq!(blobs.get("large").await.unwrap(), None);
        upload.finish().await.unwrap();
        assert_eq!(blobs.get("large").await.unwrap().unwrap(), piece.repeat(7));
    }

    #[tokio::test]
    async fn a_key_cannot_leave_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&directory.path().join("blobs")).unwrap();
        let outcome = blobs.put("../outside", Bytes::from_static(b"x")).await;
        assert!(matches!(outcome, Err(BlobError::Key { .. })), "{outcome:?}");
    }
}
